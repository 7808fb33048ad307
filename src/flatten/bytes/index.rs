//! The structural index of a body: offsets of `{ } [ ] : ,` outside of strings and of the first byte of each string and
//! scalar.
//!
//! simd-json is asked to parse to a depth of 0. Its first stage reads the whole body and fills the index. Its second
//! stage stops at the first brace, before it has decoded or written anything (tested by
//! `depth_zero_fills_the_index_only`).

use crate::error::{Cause, FlattenError, Stop};
use simd_json::{Buffers, ErrorType, Tape};

/// Bytes by which a body is longer while it is indexed, because SIMD instructions read past its end.
pub const PADDING_BYTES: usize = simd_json::INPUT_PADDING;

const MAX_DEPTH: usize = 0;

/// The buffers of simd-json, which are reused for every body.
pub(crate) struct Index {
    buffers: Buffers,
    /// Always empty. simd-json requires one, and creating one would cost an allocation each time.
    tape: Tape<'static>,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self { buffers: Buffers::with_max_depth(0, MAX_DEPTH), tape: Tape(Vec::new()) }
    }

    /// Fills the index with the structure of `body`; offsets count from `start`.
    ///
    /// # Errors
    /// A body that does not begin with an object. [`Stop::Tangled`] for what the first stage finds: bytes that are not
    /// UTF-8, a string that does not end, an unescaped control character in a string.
    pub(crate) fn build(&mut self, body: &mut Vec<u8>, start: usize) -> Result<(), Stop> {
        let refused = |cause, offset| Err(Stop::Refused(FlattenError { cause, offset }));
        match body[start..].iter().position(|byte| !byte.is_ascii_whitespace()) {
            None => return refused(Cause::Empty, body.len()),
            Some(first) if body[start + first] != b'{' => return refused(Cause::NotAnObject, start + first),
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
            Err(_) => Err(Stop::Tangled),
        }
    }

    /// The index of the body that [`Index::build`] read last: ascending offsets.
    pub(crate) fn offsets(&self) -> &[u32] {
        self.buffers.structural_indexes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(json: &str) -> Vec<u32> {
        let mut index = Index::new();
        let mut body = json.as_bytes().to_vec();
        index.build(&mut body, 0).unwrap();
        assert_eq!(body, json.as_bytes(), "the body is untouched");
        index.offsets().to_vec()
    }

    #[test]
    fn depth_zero_fills_the_index_only() {
        assert_eq!(offsets(r#"{"a":[1, true],"b\"{":"x"}"#), [0, 1, 4, 5, 6, 7, 9, 13, 14, 15, 21, 22, 25]);
        // What stage 2 would refuse is left to the walk.
        assert_eq!(offsets(r#"{"a":,NaN}"#), [0, 1, 4, 5, 6, 9]);
    }

    #[test]
    fn what_stage_1_refuses_is_tangled() {
        let stop = |json: &[u8]| {
            let mut body = json.to_vec();
            let stop = Index::new().build(&mut body, 0).unwrap_err();
            assert_eq!(body, json, "the body is untouched");
            stop
        };
        for (json, cause, offset) in
            [(&b""[..], Cause::Empty, 0), (b"<html>\xff", Cause::NotAnObject, 0), (b" \n ", Cause::Empty, 3)]
        {
            let expected = FlattenError { cause, offset };
            assert!(matches!(stop(json), Stop::Refused(error) if error == expected), "{}", json.escape_ascii());
        }
        for json in
            [&b"{\"a\":\"x"[..], b"{\"a\":\"x\ny\"}", b"{\"a\":\"x\\\ty\"}", b"{\"a\":\"\xff\"}", b"{\"a\":\"\xc3"]
        {
            assert!(matches!(stop(json), Stop::Tangled), "{}", json.escape_ascii());
        }
    }
}
