//! Why a payload gives no document.

use super::limits;
use std::fmt;

/// Why a payload gives no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlattenError {
    /// What is wrong with it.
    pub cause: Cause,
    /// Where in the body, in bytes; 0 for causes that are not in one place.
    pub offset: usize,
}

/// What is wrong with a payload that is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The body is empty, or holds nothing but white space. Some programs answer so while they start.
    Empty,
    /// It is another JSON value, or not JSON at all. The most likely cause: the URL is not that of an expvar handler.
    NotAnObject,
    /// It ends within the object. Unlikely: an answer that is cut off is usually an HTTP error.
    CutOff,
    /// The variable at the offset is not JSON, and it is not clear where it ends. Unlikely: Go's handler
    /// writes one variable per line, and then the end of each is known.
    Broken,
    /// A bracket is never closed although no variable is broken. Very unlikely.
    Unclosed,
    /// Something follows the object. Unlikely: it takes a handler that writes more than the variables.
    TrailingData,
    /// It would have to be repaired, but is large and consists mostly of brackets and commas, so the repaired copy
    /// would take more memory than a body may. No real payload is like that.
    TooDense,
    /// It is nested deeper than [`limits::DEPTH_MAX`]. Real payloads have a few levels.
    TooDeep,
    /// The document would be longer than [`limits::DOCUMENT_BYTES_MAX`]. It takes long names of objects with many
    /// members.
    DocumentTooLong,
    /// It contains no variables, or only `null`.
    NoVariables,
    /// It contains variables, and all of them are broken.
    AllBroken,
    /// It contains variables, and the rules leave out all of them. Likely after a typing error in `include`.
    AllLeftOut,
}

/// Why a walk ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The payload gives no document; why.
    Refused(FlattenError),
    /// Its members are not those of the layout. Usual when a program adds a variable; the layout is then learned anew.
    OtherLayout,
    /// More than single tokens are not JSON: a repaired copy has to be walked.
    Tangled,
}

impl Stop {
    /// The same with its offset moved by `start` bytes, for a text that begins there in the body.
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
