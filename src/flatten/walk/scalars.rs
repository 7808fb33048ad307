//! Strings, numbers and literals. They are checked, and copied as they stand.

use super::Walk;
use crate::bytes::scalar::{self, Escapes, is_blank};
use crate::layout::guide::Guide;
use crate::layout::lost::Loss;

/// Whether a value has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    /// It is `null`, missing, broken, or out of range.
    No,
}

impl<G: Guide> Walk<'_, G> {
    /// Whether `body[start..end]` is a number that is shipped unchanged.
    #[allow(clippy::inline_always, reason = "a fifth of the instructions of a member")]
    #[inline(always)]
    pub(super) fn is_plain_number(&self, start: usize, end: usize) -> bool {
        scalar::is_short_integer(self.body, start, end) || scalar::is_plain_number(self.body, start, end)
    }

    /// Writes the scalar at the cursor and steps over it. What is not written is counted.
    #[inline]
    pub(super) fn scalar(&mut self, first: u8) -> Written {
        let start = self.offset(self.at);
        match first {
            b'"' => return self.string(),
            b',' | b'}' | b']' => {
                self.note_broken();
                return Written::No;
            }
            _ => {}
        }
        let Some(end) = self.bare_end(first) else {
            self.note_broken();
            self.at += 1;
            return Written::No;
        };
        let out_of_range = self.is_out_of_range(first, end);
        self.at += 1;
        if first == b'n' {
            self.report.nulls += 1;
            return Written::No;
        }
        if out_of_range {
            self.report.out_of_range += 1;
            self.note_lost(Loss::Broken, self.at - 1, b"");
            return Written::No;
        }
        self.out.extend_from_slice(&self.body[start..end]);
        Written::Yes
    }

    /// The same for a string.
    #[inline]
    fn string(&mut self) -> Written {
        let (start, end) = self.string_text();
        match self.escapes_of((start, end)) {
            Escapes::Fine => self.out.extend_from_slice(&self.body[start - 1..=end]),
            Escapes::LoneSurrogate => {
                self.out.push(b'"');
                self.report.mended += scalar::write_mended(self.out, &self.body[start..end]);
                self.report.first_mended.get_or_insert(start);
                self.out.push(b'"');
            }
            Escapes::Bad => {
                self.note_broken();
                self.at += 1;
                return Written::No;
            }
        }
        self.at += 1;
        Written::Yes
    }

    /// Where the number or literal at the cursor ends. None if it is neither, or something other than blanks follows
    /// it.
    #[inline]
    pub(super) fn bare_end(&self, first: u8) -> Option<usize> {
        let start = self.offset(self.at);
        let literal = |text: &[u8]| self.body[start..].starts_with(text).then_some(start + text.len());
        let end = match first {
            b'-' | b'0'..=b'9' => scalar::number_end(self.body, start),
            b't' => literal(b"true"),
            b'f' => literal(b"false"),
            b'n' => literal(b"null"),
            _ => None,
        }?;
        let next = self.next_offset();
        (end == next || self.body[end..next].iter().all(|&byte| is_blank(byte))).then_some(end)
    }

    /// Whether the scalar at the cursor, up to `end`, is a number that no server can store.
    pub(super) fn is_out_of_range(&self, first: u8, end: usize) -> bool {
        matches!(first, b'-' | b'0'..=b'9') && scalar::is_out_of_range(&self.body[self.offset(self.at)..end])
    }

    /// Start and end of the string at the cursor, without its quotes. simd-json's first stage has made sure that it is
    /// closed.
    #[inline]
    pub(super) fn string_text(&self) -> (usize, usize) {
        let start = self.offset(self.at) + 1;
        (start, self.trimmed(self.next_offset()) - 1)
    }

    /// What escapes the string from `start` to `end` contains.
    #[inline]
    pub(super) fn escapes_of(&mut self, (start, end): (usize, usize)) -> Escapes {
        if self.next_backslash < start {
            self.seek_backslash(start);
        }
        if self.next_backslash >= end {
            return Escapes::Fine;
        }
        scalar::escapes(&self.body[start..end])
    }

    /// Finds the first backslash at or after `start`.
    pub(super) fn seek_backslash(&mut self, start: usize) {
        self.backslash_sought_from = start;
        self.next_backslash = memchr::memchr(b'\\', &self.body[start..]).map_or(self.body.len(), |found| start + found);
    }
}
