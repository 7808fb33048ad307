//! Texts that become numbers (`convert`). A text that is none stays as it is, and is counted and named.

use super::fit::{self, ElementKinds};
use super::{Outcome, Walk};
use crate::bytes::quantity::TextUnit;
use crate::error::Cause;
use crate::layout::guide::Guide;
use crate::layout::lost::Loss;
use bumpalo::collections::Vec as ArenaVec;

/// What has become of an array.
enum Converted {
    Whole,
    /// One of its texts is no quantity, so the array is as it was.
    Not,
    /// The document would be too long.
    NoRoom,
}

impl<G: Guide> Walk<'_, G> {
    /// Turns the string at `token`, which has been written at `start`, into a number. True if it is one now.
    #[inline(never)]
    pub(super) fn convert_text(&mut self, unit: TextUnit, token: usize, start: usize) -> bool {
        let is_number = unit.replace(self.out, start);
        if !is_number {
            self.note_unconverted(token);
        }
        is_number
    }

    /// The same for the array that has been written at `start` and contains strings: all of them become numbers, or none,
    /// because an array with both has no type on any server. `token` is where it, or its first text, is.
    #[inline(never)]
    pub(super) fn convert_array(&mut self, unit: TextUnit, token: usize, start: usize) -> Outcome<()> {
        match self.converted_array(unit, start) {
            Converted::Whole => {
                self.element_kinds = ElementKinds::default();
                self.element_kinds.add_value(&self.out[start..]);
            }
            Converted::Not => self.note_unconverted(token),
            Converted::NoRoom => return Err(self.error_before(Cause::DocumentTooLong)),
        }
        Ok(())
    }

    fn converted_array(&mut self, unit: TextUnit, start: usize) -> Converted {
        let mut text = ArenaVec::new_in(self.arena);
        if text.try_reserve(self.out.len() - start).is_err() {
            return Converted::NoRoom;
        }
        text.extend_from_slice_copy(&self.out[start..]);
        self.out.truncate(start);
        for token in fit::tokens(&text) {
            let at = self.out.len();
            self.out.extend_from_slice(token);
            if token.starts_with(b"\"") && !unit.replace(self.out, at) {
                self.out.truncate(start);
                self.out.extend_from_slice(&text);
                return Converted::Not;
            }
            if self.out.len() > self.out_bytes_max {
                return Converted::NoRoom;
            }
        }
        Converted::Whole
    }

    #[cold]
    fn note_unconverted(&mut self, token: usize) {
        self.report.unconverted += 1;
        self.note_lost(Loss::Unconverted, token, b"");
    }
}
