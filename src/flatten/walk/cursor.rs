//! The position of the walk: the current token, and the bounds of depth and length.

use super::{Outcome, Walk};
use crate::bytes::scalar::is_blank;
use crate::error::{Cause, FlattenError, Stop};
use crate::layout::guide::Guide;
use crate::limits;

impl<G: Guide> Walk<'_, G> {
    /// The first byte of the token at the cursor. A body that has ended is tangled.
    #[inline]
    pub(super) fn peek(&self) -> Outcome<u8> {
        match self.offsets.get(self.at) {
            Some(&offset) => Ok(self.body[offset as usize]),
            None => Err(Stop::Tangled),
        }
    }

    /// The same, and steps over the token.
    #[inline]
    pub(super) fn next(&mut self) -> Outcome<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    /// Where a token begins in the body; the end of the body for what comes after the last token.
    #[inline]
    pub(super) fn offset(&self, token: usize) -> usize {
        self.offsets.get(token).map_or(self.body.len(), |&offset| offset as usize)
    }

    /// Where the token after the one at the cursor begins.
    #[inline]
    pub(super) fn next_offset(&self) -> usize {
        self.offset(self.at + 1)
    }

    /// Where the text before offset `next` ends, without trailing blanks.
    #[inline]
    pub(super) fn trimmed(&self, next: usize) -> usize {
        let mut end = next;
        while is_blank(self.body[end - 1]) {
            end -= 1;
        }
        end
    }

    /// Checks that the member ends at the cursor, with a `,` or `}`.
    #[inline]
    pub(super) fn end_of_member(&self) -> Outcome<()> {
        if matches!(self.peek()?, b',' | b'}') { Ok(()) } else { Err(Stop::Tangled) }
    }

    /// Goes back to token `first`.
    pub(super) fn rewind(&mut self, first: usize) {
        self.at = first;
        // Only if the search for backslashes began later: no part of the body is searched twice without need.
        if self.offset(first) < self.backslash_sought_from {
            self.seek_backslash(self.offset(first));
        }
    }

    /// Goes to the next `,`, `}` or `]` of the container that the cursor is in.
    pub(super) fn skip_to_separator(&mut self) -> Outcome<()> {
        let mut nested = 0_usize;
        loop {
            match self.peek()? {
                b'{' | b'[' => nested += 1,
                b'}' | b']' | b',' if nested == 0 => return Ok(()),
                b'}' | b']' => nested -= 1,
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Steps into an object or array.
    pub(super) fn enter(&mut self) -> Outcome<()> {
        self.depth += 1;
        if self.depth <= limits::DEPTH_MAX {
            return Ok(());
        }
        // In a body with one variable per line, a broken variable may be the reason, and the others are fine.
        Err(if self.by_lines { Stop::Tangled } else { self.error_before(Cause::TooDeep) })
    }

    /// Steps out of an object or array.
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Checks the length of the document.
    #[inline]
    pub(super) fn check_length(&self) -> Outcome<()> {
        if self.out.len() > self.out_bytes_max { Err(self.error_before(Cause::DocumentTooLong)) } else { Ok(()) }
    }

    pub(super) fn error_at_cursor(&self, cause: Cause) -> Stop {
        Stop::Refused(FlattenError { cause, offset: self.offset(self.at) })
    }

    pub(super) fn error_before(&self, cause: Cause) -> Stop {
        Stop::Refused(FlattenError { cause, offset: self.offset(self.at.saturating_sub(1)) })
    }
}
