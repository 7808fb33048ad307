//! What the walk does at something broken: counts it, records where it is, and steps over it.

use super::{Outcome, Walk};
use crate::bytes::untangle;
use crate::error::Stop;
use crate::layout::guide::{Guide, Known};
use crate::layout::lost::LostAt;
use crate::limits;

impl<G: Guide> Walk<'_, G> {
    pub(super) fn broken(&mut self) {
        self.broken_at(self.at, b"");
    }

    #[cold]
    fn broken_at(&mut self, token: usize, key: &[u8]) {
        self.report.broken += 1;
        self.note_lost(token, key);
        let offset = self.offset(token);
        if self.by_lines && offset >= self.alone_until {
            let (is_alone, until) = untangle::stands_alone(self.body, offset);
            self.tangled |= !is_alone;
            self.alone_until = until;
        }
    }

    /// Takes note of where something is lost, so that it can be named; `key` is what the layout does not know of it.
    #[cold]
    pub(super) fn note_lost(&mut self, token: usize, key: &[u8]) {
        let offset = self.offset(token);
        if let Some(known) = self.guide.known()
            && self.lost.len() < limits::LOST_LOOKED_AT_MAX
        {
            self.lost.push(LostAt::new(offset, known.place(), &[self.path, key]));
        }
    }

    /// Counts a member whose key, at `token`, is broken and goes to the separator behind it.
    #[cold]
    pub(super) fn skip_broken_member(&mut self, token: usize) -> Outcome<()> {
        let key = &self.body[self.offset(token)..self.offset(token + 1)];
        self.broken_at(token, key);
        self.skip_to_separator()
    }

    /// Steps over the value of a member that is left out. In a body with one variable per line, it must not swallow
    /// other variables.
    pub(super) fn skip_out(&mut self) -> Outcome<()> {
        let start = self.offset(self.at);
        self.skip_to_separator()?;
        if self.by_lines && self.depth == 1 {
            let skipped = &self.body[start..self.offset(self.at)];
            if memchr::memchr(b'\n', skipped).is_some() && untangle::holds_a_variable(self.body, skipped) {
                return Err(Stop::Tangled);
            }
        }
        Ok(())
    }
}
