//! A copy of a body in which what stage 1 refuses is marked: the strings that hold it are then broken values like any
//! other, and only they are lost.
//!
//! The mark is `\x`, an escape that JSON lacks. It stands for each run of bytes that are no UTF-8, and for each control
//! character within a string; outside of strings those are blanks, or broken already.

const MARK: &[u8] = b"\\x";

/// The marked copy.
pub(super) fn marked(body: &[u8]) -> Vec<u8> {
    let mut copy = Vec::with_capacity(body.len() + body.len() / 8);
    mark(body, |_, piece| copy.extend_from_slice(piece));
    copy
}

/// Where byte `offset` of the marked copy is in `body`.
pub(super) fn original_offset(body: &[u8], offset: usize) -> usize {
    let (mut copied, mut found) = (0, None);
    mark(body, |at, piece| {
        if found.is_none() && offset < copied + piece.len() {
            found = Some(if piece == MARK { at } else { at + offset - copied });
        }
        copied += piece.len();
    });
    found.unwrap_or(body.len())
}

/// Hands out the pieces of the copy, each with its offset in `body`.
fn mark<'b>(body: &'b [u8], mut piece: impl FnMut(usize, &'b [u8])) {
    let (mut at, mut state) = (0, State::default());
    for chunk in body.utf8_chunks() {
        let valid = chunk.valid().as_bytes();
        let mut copied = 0;
        for (index, &byte) in valid.iter().enumerate() {
            if byte < 0x20 && state.in_string {
                piece(at + copied, &valid[copied..index]);
                piece(at + index, state.mark());
                copied = index + 1;
            } else {
                state.see(byte);
            }
        }
        piece(at + copied, &valid[copied..]);
        at += valid.len();
        if !chunk.invalid().is_empty() {
            piece(at, state.mark());
            at += chunk.invalid().len();
        }
    }
}

#[derive(Default)]
struct State {
    in_string: bool,
    /// Behind an odd number of backslashes.
    escaped: bool,
}

impl State {
    fn see(&mut self, byte: u8) {
        self.in_string ^= byte == b'"' && !self.escaped;
        self.escaped = byte == b'\\' && !self.escaped;
    }

    /// The mark, less its backslash where the body already has it.
    fn mark(&mut self) -> &'static [u8] {
        if std::mem::take(&mut self.escaped) { &MARK[1..] } else { MARK }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stage_1_refuses_is_marked_and_found_again() {
        for (body, copy) in [
            (&b"{\"a\":\"\xff\xfe\"}"[..], &b"{\"a\":\"\\x\\x\"}"[..]),
            (b"{\"a\":\"\\\xff\"}", b"{\"a\":\"\\x\"}"),
            (b"{\"a\":\"\\\\\xff\"}", b"{\"a\":\"\\\\\\x\"}"),
            (b"{\n\"a\nb\":\t1}", b"{\n\"a\\xb\":\t1}"),
            (b"{\"a\":\"\\\n\\\"\"}", b"{\"a\":\"\\x\\\"\"}"),
            (b"{\"a\":\xff1}", b"{\"a\":\\x1}"),
            (b"{\"a\":\"caf\xc3\xa9\"}", b"{\"a\":\"caf\xc3\xa9\"}"),
        ] {
            assert_eq!(marked(body).escape_ascii().to_string(), copy.escape_ascii().to_string());
        }
        let body = b"{\"\xff\":1,\"b\":2}";
        let offsets: Vec<usize> = (0..=marked(body).len()).map(|offset| original_offset(body, offset)).collect();
        assert_eq!(offsets, [0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    }
}
