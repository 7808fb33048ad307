//! The structural index of a body: offsets of `{ } [ ] : ,` outside of strings and of the first byte of each string
//! and scalar.
//!
//! simd-json is asked for a parse of depth 0. Its first stage reads the whole body and fills the index, its second
//! stops at the first brace, before anything has been decoded or written (`depth_zero_fills_the_index_only` pins that).

use super::{Cause, FlattenError};
use simd_json::{Buffers, ErrorType, Tape};

/// Bytes that must be free behind the body while it is indexed: SIMD loads read past the end.
pub const PADDING_BYTES: usize = simd_json::INPUT_PADDING;

const MAX_DEPTH: usize = 0;

/// Buffers of simd-json, kept for the process.
pub(super) struct Index {
    buffers: Buffers,
    /// Stays empty; kept because simd-json wants one and an empty one costs an allocation.
    tape: Tape<'static>,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { buffers: Buffers::with_max_depth(0, MAX_DEPTH), tape: Tape(Vec::new()) }
    }

    /// Fills the index with the structure of `body`; offsets count from `start`.
    ///
    /// # Errors
    /// A body that does not begin an object, and what stage 1 finds: bytes that are no UTF-8, a string that does not
    /// end, a raw control character in a string.
    pub(super) fn build(&mut self, body: &mut Vec<u8>, start: usize) -> Result<(), FlattenError> {
        match body[start..].iter().position(|byte| !byte.is_ascii_whitespace()) {
            None => return Err(FlattenError { cause: Cause::Empty, offset: body.len() }),
            Some(first) if body[start + first] != b'{' => {
                return Err(FlattenError { cause: Cause::NotAnObject, offset: start + first });
            }
            Some(_) => {}
        }
        let len = body.len();
        body.resize(len + PADDING_BYTES, b' ');
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let outcome = simd_json::fill_tape_padded(&mut body[start..], len - start, &mut self.buffers, &mut tape);
        self.tape = tape.reset();
        body.truncate(len);
        match outcome {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.error(), ErrorType::DepthLimitExceeded) => Ok(()),
            Err(_) => diagnose(body),
        }
    }

    /// The offsets, ascending, of the body that [`Index::build`] read last.
    pub(super) fn offsets(&self) -> &[u32] {
        self.buffers.structural_indexes()
    }
}

/// Names what stage 1 refused and where: it says neither itself. Only runs for a body that is refused.
fn diagnose(body: &[u8]) -> Result<(), FlattenError> {
    let error = |cause, offset| Err(FlattenError { cause, offset });
    if let Err(utf8) = std::str::from_utf8(body) {
        let offset = utf8.valid_up_to();
        let cause = if utf8.error_len().is_some() { Cause::InvalidUtf8 } else { Cause::CutOff };
        return error(cause, offset);
    }
    let mut in_string = false;
    let mut escaped = false;
    for (offset, &byte) in body.iter().enumerate() {
        match byte {
            // Behind a backslash, too.
            0..0x20 if in_string => return error(Cause::ControlCharacter, offset),
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
    }
    error(Cause::CutOff, body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(json: &str) -> Result<Vec<u32>, FlattenError> {
        let mut index = Index::new();
        let mut body = json.as_bytes().to_vec();
        let outcome = index.build(&mut body, 0);
        assert_eq!(body, json.as_bytes(), "the body is untouched");
        outcome.map(|()| index.offsets().to_vec())
    }

    #[test]
    fn depth_zero_fills_the_index_only() {
        assert_eq!(offsets(r#"{"a":[1, true],"b\"{":"x"}"#), Ok(vec![0, 1, 4, 5, 6, 7, 9, 13, 14, 15, 21, 22, 25]));
        // What stage 2 would refuse is left to the walk.
        assert_eq!(offsets(r#"{"a":,NaN}"#), Ok(vec![0, 1, 4, 5, 6, 9]));
    }

    #[test]
    fn what_stage_1_refuses_is_named_with_its_offset() {
        let refused = |json: &[u8]| {
            let mut body = json.to_vec();
            Index::new().build(&mut body, 0).unwrap_err()
        };
        assert_eq!(refused(b""), FlattenError { cause: Cause::Empty, offset: 0 });
        assert_eq!(refused(b"<html>\xff"), FlattenError { cause: Cause::NotAnObject, offset: 0 });
        assert_eq!(refused(b" \n "), FlattenError { cause: Cause::Empty, offset: 3 });
        assert_eq!(refused(b"{\"a\":\"x"), FlattenError { cause: Cause::CutOff, offset: 7 });
        assert_eq!(refused(b"{\"a\":\"x\ny\"}"), FlattenError { cause: Cause::ControlCharacter, offset: 7 });
        assert_eq!(
            refused(b"{\"a\":\"x\\\ty\"}"),
            FlattenError { cause: Cause::ControlCharacter, offset: 8 },
            "an escaped one"
        );
        assert_eq!(refused(b"{\"a\":\"\xff\"}"), FlattenError { cause: Cause::InvalidUtf8, offset: 6 });
        assert_eq!(refused(b"{\"a\":\"\xc3"), FlattenError { cause: Cause::CutOff, offset: 6 });
    }
}
