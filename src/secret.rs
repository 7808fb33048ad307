//! Secret texts.
//!
//! Invariant: no `Debug` shows a [`Secret`]. Code that needs its text calls [`Secret::expose`].

pub(crate) mod base64;

use crate::limits;
use crate::regular_file::{self, ReadError};
use std::fmt;
use std::path::{Path, PathBuf};

/// What takes the place of a secret.
pub(crate) const HIDDEN: &str = "***";

/// A text that only the endpoint may see.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Box<str>);

/// What a secret may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Anything but control characters: it is sent in base64.
    Password,
    /// Visible ASCII.
    Token,
    /// ASCII, blanks included.
    Field,
}

impl Secret {
    /// # Errors
    /// What is wrong with the text, which is not repeated.
    pub(crate) fn new(text: &str, shape: Shape) -> Result<Self, SecretError> {
        let is_wrong = |c: char| match shape {
            Shape::Password => c.is_control(),
            Shape::Token => !c.is_ascii_graphic(),
            Shape::Field => !(c.is_ascii_graphic() || c == ' '),
        };
        if text.is_empty() {
            return Err(SecretError::Empty);
        }
        if text.len() > limits::SECRET_BYTES_MAX {
            return Err(SecretError::TooLong);
        }
        if text.contains(is_wrong) {
            return Err(SecretError::BadCharacter(shape));
        }
        Ok(Self(text.into()))
    }

    /// Reads a secret from a file; the ends of lines at its end are no part of it.
    ///
    /// # Errors
    /// The file, and what is wrong with it.
    pub(crate) fn read(path: &Path, shape: Shape) -> Result<Self, SecretFileError> {
        let wrong = |cause| SecretFileError { path: path.to_owned(), cause };
        let bytes_max = limits::SECRET_BYTES_MAX as u64 + LINE_END_BYTES_MAX;
        let bytes = regular_file::read(path, bytes_max).map_err(|error| wrong(Cause::Read(error)))?;
        let text = String::from_utf8(bytes).map_err(|_| wrong(Cause::NotUtf8))?;
        Self::new(text.trim_end_matches(['\r', '\n']), shape).map_err(|error| wrong(Cause::Secret(error)))
    }

    /// A text that is made of secrets, or is a part of one: it is not checked.
    pub(crate) fn of(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// The password or key of `user:password` or `id:key`, if the text is that in base64, perhaps behind a scheme's name.
    pub(crate) fn within(&self) -> Option<Self> {
        let decoded = base64::decoded(self.0.rsplit(' ').next()?)?;
        let (_, inner) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        Some(Self::of(inner))
    }
}

/// Why a text cannot be a secret. Its `Display` belongs behind the name of the key or the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretError {
    /// Occasional: a file or an environment variable that nothing has been written to.
    Empty,
    /// It is longer than [`limits::SECRET_BYTES_MAX`]. Rare: mostly the name of a wrong file.
    TooLong,
    /// A character that cannot be sent in this place. The likeliest of the three: a blank or newline that was copied, too.
    BadCharacter(Shape),
}

/// Why there is no secret in a file.
#[derive(Debug)]
pub(crate) struct SecretFileError {
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    /// The file cannot be read. The likeliest of the three: it is not there yet, or belongs to another user.
    Read(ReadError),
    /// Rare: mostly the name of a wrong file.
    NotUtf8,
    /// The text cannot be a secret. Occasional.
    Secret(SecretError),
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::TooLong => "is too long",
            Self::BadCharacter(Shape::Password) => "contains a control character, such as a newline",
            Self::BadCharacter(Shape::Token) => "contains a space or a non-ASCII character",
            Self::BadCharacter(Shape::Field) => "contains a character that is not allowed in a header",
        })
    }
}

impl fmt::Display for SecretFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.cause {
            Cause::Read(error) => error.fmt(f),
            Cause::NotUtf8 => f.write_str("is not UTF-8 text"),
            Cause::Secret(error) => error.fmt(f),
        }
    }
}

/// What may stand behind a secret in its file.
const LINE_END_BYTES_MAX: u64 = 2;

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_header_can_carry_is_refused_without_being_repeated() {
        for (text, shape) in [
            ("", Shape::Password),
            ("hunter2\nX: y", Shape::Password),
            ("hunter2 ", Shape::Token),
            ("h\u{fc}nter2", Shape::Token),
            ("hunter2\r\nX: y", Shape::Field),
        ] {
            let error = Secret::new(text, shape).unwrap_err().to_string();
            assert!(!error.contains("nter2"), "{error}");
        }
        assert!(Secret::new("p\u{e4}ss w\u{f6}rd", Shape::Password).is_ok());
        assert!(Secret::new(&"x".repeat(limits::SECRET_BYTES_MAX + 1), Shape::Token).is_err());
    }

    #[test]
    fn a_file_holds_one_secret_and_the_end_of_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let read = |text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            Secret::read(&path, Shape::Password)
        };
        assert_eq!(read(b"hunter2").unwrap().expose(), "hunter2");
        assert_eq!(read(b" hunter2 \r\n").unwrap().expose(), " hunter2 ");
        for (text, problem) in [
            (&b""[..], "is empty"),
            (b"\n", "is empty"),
            (b"hunter2\nmore\n", "contains a control character"),
            (b"hunter2\xff", "is not UTF-8 text"),
            ("x".repeat(70_000).as_bytes(), "is 70000 bytes long, the limit is 16386"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(problem) && !error.contains("hunter2"), "{error}");
        }
        let error = Secret::read(folder.path(), Shape::Token).unwrap_err().to_string();
        assert!(error.contains("is a directory, not a regular file"), "{error}");
    }
}
