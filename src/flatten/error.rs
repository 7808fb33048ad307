//! Why a payload gave no document.

use super::limits;
use std::fmt;

/// Why a payload gave no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlattenError {
    /// What is wrong.
    pub cause: Cause,
    /// Byte offset in the body.
    pub offset: usize,
}

/// The kinds of payload that are refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// There is no text.
    Empty,
    /// It is another value, or no JSON at all.
    NotAnObject,
    /// It ends within the object.
    CutOff,
    /// The variable at the offset is not JSON, and where it ends cannot be told.
    Broken,
    /// A bracket is never closed, and no variable is broken.
    Unclosed,
    /// Something stands behind the object.
    TrailingData,
    /// It has to be repaired, and is large and consists of little but brackets and commas: repairing it would take more
    /// memory than a body may.
    TooDense,
    /// Nested beyond [`limits::DEPTH_MAX`].
    TooDeep,
    /// The document would be longer than [`limits::DOCUMENT_BYTES_MAX`].
    DocumentTooLong,
    /// There is nothing to ship.
    NoVariables,
    /// There is something, and all of it is broken.
    AllBroken,
    /// There is something, and the rules leave out all of it.
    AllLeftOut,
}

/// Why a walk ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The payload gives no document.
    Refused(FlattenError),
    /// Its members are not those of the layout.
    OtherLayout,
    /// It is not JSON, by more than single tokens.
    Tangled,
}

impl Stop {
    /// Offsets count from `start` bytes before.
    pub(crate) fn moved(self, start: usize) -> Self {
        match self {
            Self::Refused(error) => Self::Refused(FlattenError { offset: error.offset + start, ..error }),
            other => other,
        }
    }
}

impl fmt::Display for FlattenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::NoVariables => return f.write_str("the payload contains no variables"),
            Cause::AllBroken => return f.write_str("nothing in the payload is valid JSON"),
            Cause::AllLeftOut => {
                return f.write_str(
                    "every variable in the payload is left out: check include, exclude, max_fields and object_arrays",
                );
            }
            Cause::Empty => return f.write_str("the body is empty, expected a JSON object"),
            Cause::NotAnObject => f.write_str("the body is not a JSON object")?,
            Cause::CutOff => f.write_str("the JSON is truncated")?,
            Cause::Broken => f.write_str("a value is not valid JSON, and the start of the next one cannot be found")?,
            Cause::Unclosed => f.write_str("a bracket in the JSON is never closed")?,
            Cause::TooDense => {
                f.write_str("a variable is not valid JSON, and the rest has too many brackets and commas to continue")?;
            }
            Cause::TrailingData => f.write_str("trailing data after the JSON object")?,
            Cause::TooDeep => write!(f, "the JSON is nested deeper than {} levels", limits::DEPTH_MAX)?,
            Cause::DocumentTooLong => {
                write!(f, "the flat document would be longer than {} bytes", limits::DOCUMENT_BYTES_MAX)?;
            }
        }
        write!(f, " (byte {})", self.offset)
    }
}
