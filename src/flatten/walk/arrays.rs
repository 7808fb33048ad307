//! Arrays without objects. They are checked element by element and then copied as a whole, or, if something in them is
//! broken, element by element. `columns` is about arrays with objects.

use super::fit::{self, ElementKinds};
use super::scalars::Written;
use super::{Outcome, Walk};
use crate::bytes::json::NULL;
use crate::bytes::scalar::Escapes;
use crate::error::{Cause, Stop};
use crate::layout::Traits;
use crate::layout::guide::{Guide, Objects};
use crate::layout::rules::GcPauses;

/// What an array turned out to be.
pub(super) enum ArrayKind {
    /// It is valid and contains no object, so it can be copied as it stands.
    Plain,
    /// It contains no object, but something in it is broken or must be changed.
    Blemished,
    /// It contains objects.
    Objects,
}

impl<G: Guide> Walk<'_, G> {
    /// Walks a member whose value is an array.
    pub(super) fn array_member(&mut self, traits: Traits) -> Outcome<()> {
        let Traits { role, conversion, text, .. } = traits;
        if !G::LEARNS && self.options.gc_pauses == GcPauses::New && self.is_ring(role) {
            return self.ring(role, conversion);
        }
        let (mark, first) = (self.out.len(), self.at);
        self.element_kinds = ElementKinds::default();
        let kind = self.scan_array()?;
        if matches!(kind, ArrayKind::Objects) {
            self.rewind(first);
            return match self.guide.objects()? {
                Objects::Columns => self.columns_member(),
                Objects::Dropped => self.skip_to_separator(),
                Objects::Keyed(place) => match self.options.keyed_arrays.get(place) {
                    Some(keyed) => self.keyed_member(keyed.member.as_bytes()),
                    None => Err(Stop::OtherLayout),
                },
            };
        }
        let named = self.guide.leaf(self.out)?;
        let start = self.out.len();
        self.copy_array(&kind, first)?;
        if let Some(unit) = text
            && named
            && self.element_kinds.has_strings()
        {
            self.convert_array(unit, first, start)?;
        }
        conversion.list(self.out, start);
        self.fit_array(start)?;
        if named {
            if self.element_kinds.has_any() {
                self.guide.value()?;
            }
            self.report.lists += 1;
            self.report.gc_lists += u64::from(role.is_ring());
        } else {
            self.out.truncate(mark);
        }
        self.drop_if_learning(mark);
        self.check_length()
    }

    /// Changes the array that begins at `start` in the output to a form that servers accept.
    pub(super) fn fit_array(&mut self, start: usize) -> Outcome<()> {
        if !self.element_kinds.need_change() || fit::array(self.out, start, self.arena) {
            return Ok(());
        }
        Err(self.error_before(Cause::DocumentTooLong))
    }

    /// Writes the array that begins at token `first` and has just been checked.
    pub(super) fn copy_array(&mut self, kind: &ArrayKind, first: usize) -> Outcome<()> {
        let span = &self.body[self.offset(first)..=self.offset(self.at - 1)];
        if matches!(kind, ArrayKind::Plain) && memchr::memchr2(b'\n', b'\r', span).is_none() {
            self.out.extend_from_slice(span);
            return Ok(());
        }
        self.rewind(first);
        self.copy_elements()
    }

    /// Writes the array at the cursor, without a name. If it contains objects: does nothing and gives false.
    pub(super) fn array_text(&mut self) -> Outcome<bool> {
        let first = self.at;
        match self.scan_array()? {
            ArrayKind::Objects => {
                self.rewind(first);
                Ok(false)
            }
            kind => self.copy_array(&kind, first).map(|()| true),
        }
    }

    /// A fast path for the most common element: a valid number. Steps over the separator after it and gives that. For
    /// any other element it does nothing and gives none.
    #[inline]
    fn plain_element(&mut self) -> Option<u8> {
        let [value, next] = self.offsets.get(self.at..)?.first_chunk::<2>()?.map(|offset| offset as usize);
        let separator = self.body[next];
        let end = self.trimmed(next);
        if !matches!(separator, b',' | b']') || !self.is_plain_number(value, end) {
            return None;
        }
        self.element_kinds.add_number();
        self.at += 2;
        Some(separator)
    }

    /// Checks the array at the cursor and steps over it. If it contains objects, the cursor may be anywhere in it
    /// afterwards.
    pub(super) fn scan_array(&mut self) -> Outcome<ArrayKind> {
        self.at += 1;
        self.enter()?;
        let mut sound = true;
        if self.peek()? == b']' {
            self.at += 1;
            self.depth -= 1;
            return Ok(ArrayKind::Plain);
        }
        loop {
            match self.plain_element() {
                Some(b',') => continue,
                Some(_) => break,
                None => {}
            }
            match self.peek()? {
                b'{' => {
                    self.depth -= 1;
                    return Ok(ArrayKind::Objects);
                }
                b',' | b']' | b'}' | b':' => return Err(Stop::Tangled),
                b'[' => match self.scan_array()? {
                    ArrayKind::Plain => {}
                    ArrayKind::Blemished => sound = false,
                    ArrayKind::Objects => {
                        self.depth -= 1;
                        return Ok(ArrayKind::Objects);
                    }
                },
                first => sound &= self.scan_scalar(first),
            }
            match self.next()? {
                b',' => {}
                b']' => break,
                _ => return Err(Stop::Tangled),
            }
        }
        self.depth -= 1;
        Ok(if sound { ArrayKind::Plain } else { ArrayKind::Blemished })
    }

    /// Steps over the scalar at the cursor. True if it can be copied as it stands.
    fn scan_scalar(&mut self, first: u8) -> bool {
        let start = self.offset(self.at);
        // What is left out gets an empty text, which does not count as an element.
        let (end, sound) = match first {
            b'"' => match self.escapes_of(self.string_text()) {
                Escapes::Bad => (start, false),
                escapes => (start + 1, escapes == Escapes::Fine),
            },
            _ => match self.bare_end(first) {
                Some(end) if !self.is_out_of_range(first, end) => (end, true),
                _ => (start, false),
            },
        };
        self.element_kinds.add_scalar(&self.body[start..end]);
        self.at += 1;
        sound
    }

    /// Writes the array at the cursor element by element, with `null` in the place of broken ones.
    fn copy_elements(&mut self) -> Outcome<()> {
        self.at += 1;
        self.out.push(b'[');
        if self.peek()? == b']' {
            self.at += 1;
            self.out.push(b']');
            return Ok(());
        }
        loop {
            let mark = self.out.len();
            let first = self.peek()?;
            if first == b'[' {
                self.copy_elements()?;
            } else if self.element(first) == Written::No {
                self.out.truncate(mark);
                self.out.extend_from_slice(NULL);
            }
            match self.next()? {
                b',' => self.out.push(b','),
                b']' => break,
                _ => return Err(Stop::Tangled),
            }
        }
        self.out.push(b']');
        self.check_length()
    }

    /// Writes the scalar at the cursor, which is an element. Unlike that of a member, its `null` is kept and not
    /// counted.
    pub(super) fn element(&mut self, first: u8) -> Written {
        let nulls = self.report.nulls;
        let written = self.scalar(first);
        self.report.nulls = nulls;
        written
    }

    /// Removes what has been written if a layout is being learned, because it has no name yet.
    fn drop_if_learning(&mut self, mark: usize) {
        if G::LEARNS {
            self.out.truncate(mark);
        }
    }
}
