//! The sanitiser: the bytes that an endpoint answered become one flat JSON object, or an error and nothing.
//!
//! Pure and synchronous: no socket, clock, file or environment. simd-json finds the structural characters of the
//! untouched body (its first stage: UTF-8, closed strings, control characters, all by SIMD); one walk over that index
//! checks the rest of the grammar and copies tokens as they stand into the document. No tree is built and no number is
//! converted, so a value leaves with the digits that it came with.
//!
//! Invariants:
//! - the document is one line of valid JSON in UTF-8, whatever the body was;
//! - a broken value is left out and counted ([`Report::broken`]); its neighbours stay;
//! - a body that is cut off, no object, too deep, too long, or without any variable gives an error, and nothing is appended;
//! - a [`Scratch`] that has seen the largest payload allocates no more.

mod columns;
mod index;
mod rules;
mod scalar;
mod walk;

use crate::limits;
use index::Index;
use std::fmt;

pub(crate) use index::PADDING_BYTES;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Working memory of the sanitiser, one for the whole process, used only within [`Scratch::flatten`].
pub(crate) struct Scratch {
    index: Index,
    /// Name of the object that the walk is in: escaped as JSON, joined with dots.
    path: Vec<u8>,
    /// What a tick needs besides: the columns of arrays of objects. Emptied after each document.
    arena: bumpalo::Bump,
}

/// What one payload held, for the own metrics.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// Numbers that were shipped outside of arrays.
    pub(crate) numbers: u64,
    /// Strings that were shipped outside of arrays.
    pub(crate) strings: u64,
    /// Booleans that were shipped outside of arrays.
    pub(crate) booleans: u64,
    /// Arrays that were shipped, a column of an array of objects counting as one.
    pub(crate) lists: u64,
    /// Of `lists`, the ring buffers of garbage collections.
    pub(crate) gc_lists: u64,
    /// Objects within the payload.
    pub(crate) objects: u64,
    /// `null`, which has no place in a flat document.
    pub(crate) nulls: u64,
    /// Values that are no JSON and were left out.
    pub(crate) broken: u64,
    /// Lone surrogates in strings, written as U+FFFD.
    pub(crate) mended: u64,
    /// Byte offset of the first broken value.
    pub(crate) first_broken: Option<usize>,
}

/// Why a payload gave no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlattenError {
    pub(crate) cause: Cause,
    /// Byte offset in the body.
    pub(crate) offset: usize,
}

/// The kinds of payload that are refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Empty,
    NotAnObject,
    CutOff,
    TrailingData,
    Unexpected(u8),
    TooDeep,
    InvalidUtf8,
    ControlCharacter,
    DocumentTooLong,
    NoVariables,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let arena = bumpalo::Bump::new();
        arena.set_allocation_limit(Some(limits::DOCUMENT_BYTES_MAX));
        Self { index: Index::new(), path: Vec::new(), arena }
    }

    /// Appends the variables of `body` to `out` as `,"name":value`, in their order: the caller has begun the object
    /// with its own members and closes it.
    ///
    /// `body` is grown by [`PADDING_BYTES`] while it is read and has its length back afterwards.
    ///
    /// # Errors
    /// [`FlattenError`] with `out` as it was.
    pub(crate) fn flatten(&mut self, body: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<Report, FlattenError> {
        let mark = out.len();
        let start = if body.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let result = self.index.build(body, start).and_then(|()| {
            self.path.clear();
            let walk = walk::Walk::new(&body[start..], self.index.offsets(), &mut self.path, out, &self.arena);
            walk.run().map_err(|error| FlattenError { offset: error.offset + start, ..error })
        });
        self.arena.reset();
        let result = match result {
            Ok(_) if out.len() == mark => Err(FlattenError { cause: Cause::NoVariables, offset: 0 }),
            other => other,
        };
        if result.is_err() {
            out.truncate(mark);
        }
        result
    }

    /// Gives back what an outlier made it grow to.
    pub(crate) fn trim(&mut self, body_bytes: usize) {
        if body_bytes > limits::KEPT_SCRATCH_BYTES_MAX {
            *self = Self::new();
        }
    }
}

impl fmt::Display for FlattenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::NoVariables => return f.write_str("the payload holds no variable"),
            Cause::Empty => return f.write_str("the body is empty, expected a JSON object"),
            Cause::NotAnObject => f.write_str("the body is not a JSON object")?,
            Cause::CutOff => f.write_str("the JSON is cut off")?,
            Cause::TrailingData => f.write_str("something follows the end of the JSON object")?,
            Cause::Unexpected(byte) => write!(f, "unexpected `{}` in the JSON", byte.escape_ascii())?,
            Cause::TooDeep => write!(f, "the JSON is nested deeper than {} levels", limits::DEPTH_MAX)?,
            Cause::InvalidUtf8 => f.write_str("the body is not UTF-8")?,
            Cause::ControlCharacter => f.write_str("a string holds a raw control character")?,
            Cause::DocumentTooLong => {
                write!(f, "the flat document would be longer than {} bytes", limits::DOCUMENT_BYTES_MAX)?;
            }
        }
        write!(f, " (byte {})", self.offset)
    }
}

#[cfg(test)]
mod tests;
