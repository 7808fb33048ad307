//! Small files that are read whole: the configuration, a `map_file`, secrets, certificates.
//!
//! Reading must never block the one thread. Opening a FIFO waits for a writer, a device may have no end, and opening
//! one may have side effects. So only regular files are opened, within a size limit, and without waiting if the path is
//! replaced by something else between two calls.

use crate::descriptors;
use rustix::fs::OFlags;
use std::fmt;
use std::fs::{FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Why a file was not read. A message has the file's name and a colon before its `Display`.
#[derive(Debug)]
pub(crate) enum ReadError {
    System(io::Error),
    /// What is there instead of a regular file.
    Irregular(&'static str),
    /// It is longer than these bytes.
    TooLong {
        bytes: Option<u64>,
        bytes_max: u64,
    },
}

/// Reads a whole file of at most `bytes_max` bytes.
///
/// # Errors
/// [`ReadError`]
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    check(path, bytes_max)?;
    let open = || OpenOptions::new().read(true).custom_flags(never_waiting()).open(path);
    let file = descriptors::freeing(open)?;
    let announced = check_metadata(&file.metadata()?, bytes_max)?;
    let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or_default());
    // Files of /proc have no length, and others may grow meanwhile.
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(ReadError::TooLong { bytes: None, bytes_max });
    }
    Ok(bytes)
}

/// Checks that there is a regular file of at most `bytes_max` bytes, before a library opens it.
///
/// # Errors
/// [`ReadError`]
pub(crate) fn check(path: &Path, bytes_max: u64) -> Result<(), ReadError> {
    check_metadata(&std::fs::metadata(path)?, bytes_max).map(|_| ())
}

/// What kind of file this is, as a text. None if it is a regular file.
pub(crate) fn irregular_kind(file_type: FileType) -> Option<&'static str> {
    match file_type {
        _ if file_type.is_file() => None,
        _ if file_type.is_dir() => Some("a directory"),
        _ if file_type.is_fifo() => Some("a FIFO"),
        _ if file_type.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

/// Flags for opening a path that may lead to anything: opening does not wait for the other end of a FIFO, and a terminal does
/// not become the process's controlling terminal.
pub(crate) fn never_waiting() -> i32 {
    (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed()
}

fn check_metadata(metadata: &Metadata, bytes_max: u64) -> Result<u64, ReadError> {
    if let Some(kind) = irregular_kind(metadata.file_type()) {
        return Err(ReadError::Irregular(kind));
    }
    if metadata.len() > bytes_max {
        return Err(ReadError::TooLong { bytes: Some(metadata.len()), bytes_max });
    }
    Ok(metadata.len())
}

impl ReadError {
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::System(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(f, "cannot be read: {error}"),
            Self::Irregular(kind) => write!(f, "is {kind}, not a regular file"),
            Self::TooLong { bytes: Some(bytes), bytes_max } => {
                write!(f, "is {bytes} bytes long, the limit is {bytes_max}")
            }
            Self::TooLong { bytes: None, bytes_max } => {
                write!(f, "is longer than the limit of {bytes_max} bytes")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_regular_files_are_read_and_only_up_to_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "four").unwrap();
        assert_eq!(read(&path("file"), 4).unwrap(), b"four");
        mknodat(CWD, path("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        for (name, leads_to) in [("zero", "/dev/zero"), ("to fifo", "fifo"), ("gone", "nowhere")] {
            std::os::unix::fs::symlink(leads_to, path(name)).unwrap();
        }
        for (name, bytes_max, problem) in [
            ("file", 3, "is 4 bytes long, the limit is 3"),
            ("fifo", 9, "is a FIFO, not a regular file"),
            ("to fifo", 9, "is a FIFO, not a regular file"),
            ("zero", 9, "is a device, not a regular file"),
            ("socket", 9, "is a socket, not a regular file"),
            ("", 9, "is a directory, not a regular file"),
        ] {
            assert_eq!(read(&path(name), bytes_max).unwrap_err().to_string(), problem, "{name}");
            assert_eq!(check(&path(name), bytes_max).unwrap_err().to_string(), problem, "{name}");
        }
        assert!(read(&path("gone"), 9).unwrap_err().is_not_found());
        // It says that it has no length.
        let error = read(Path::new("/proc/self/maps"), 9).unwrap_err().to_string();
        assert_eq!(error, "is longer than the limit of 9 bytes");
    }
}
