//! What the walk does about broken values and keys: counts them, records where they are, and steps over them.

use super::{Outcome, Walk};
use crate::bytes::scalar::{self, Escapes};
use crate::bytes::untangle;
use crate::error::Stop;
use crate::layout::guide::{Guide, Known};
use crate::layout::lost::{Loss, LostAt};
use crate::limits;

impl<G: Guide> Walk<'_, G> {
    /// Takes note that the value at the cursor is broken.
    pub(super) fn note_broken(&mut self) {
        self.note_broken_at(self.at, b"");
    }

    #[cold]
    fn note_broken_at(&mut self, token: usize, key: &[u8]) {
        self.report.broken += 1;
        self.note_lost(Loss::Broken, token, key);
        let offset = self.offset(token);
        if self.by_lines && offset >= self.alone_until {
            let (is_alone, until) = untangle::stands_alone(self.body, offset);
            self.tangled |= !is_alone;
            self.alone_until = until;
        }
    }

    /// Records where something is lost, so that it can be named later. `key` tells apart what has the same place in the
    /// layout: a key that the layout does not have.
    #[cold]
    pub(super) fn note_lost(&mut self, loss: Loss, token: usize, key: &[u8]) {
        let offset = self.offset(token);
        if let Some(known) = self.guide.known()
            && self.lost.len() < limits::LOST_LOOKED_AT_MAX
        {
            self.lost.push(LostAt::new(loss, offset, known.place(), &[self.path, key]));
        }
    }

    /// Counts a member whose key, at `token`, is broken, and goes to the separator behind the member.
    #[cold]
    pub(super) fn skip_broken_member(&mut self, token: usize) -> Outcome<()> {
        let key = &self.body[self.offset(token)..self.offset(token + 1)];
        self.note_broken_at(token, key);
        self.skip_to_separator()
    }

    /// Steps over the value of a member that is left out. In a body with one variable per line, a broken value must not
    /// make it skip other variables, too, and what follows on its line may be a part of it.
    pub(super) fn skip_value(&mut self) -> Outcome<()> {
        let first = self.at;
        self.skip_to_separator()?;
        if self.by_lines && self.depth == 1 {
            let (start, end) = (self.offset(first), self.offset(self.at));
            let skipped = &self.body[start..end];
            let skips_more = memchr::memchr(b'\n', skipped).is_some() && untangle::holds_a_variable(self.body, skipped);
            let shares_line = memchr::memchr(b'\n', &self.body[end..self.next_offset()]).is_none();
            if skips_more || (shares_line && !self.is_sound(first)) {
                return Err(Stop::Tangled);
            }
        }
        Ok(())
    }

    /// Whether the tokens from `first` to the cursor can be a JSON value: each scalar is one, and no two values stand
    /// side by side.
    #[cold]
    fn is_sound(&self, first: usize) -> bool {
        let mut after_value = false;
        (first..self.at).all(|token| {
            let value = &self.body[self.offset(token)..self.offset(token + 1)];
            let value = value.trim_ascii_end();
            let is_sound = match value {
                [b'{' | b'['] | b"true" | b"false" | b"null" => !after_value,
                [b'}' | b']' | b',' | b':'] => true,
                [b'"', text @ .., b'"'] => !after_value && scalar::escapes(text) != Escapes::Bad,
                _ => !after_value && scalar::number_end(value, 0) == Some(value.len()),
            };
            after_value = !matches!(value, [b'{' | b'[' | b',' | b':']);
            is_sound
        }) && after_value
    }
}
