//! The ring buffers of garbage collections. The walk only steps over them. They are written at its end, because which
//! entries are new depends on the totals, which come later in the payload. `gc` finds that out.

use super::fit::ElementKinds;
use super::gc::{self, Pauses, Ring, Totals};
use super::{Outcome, Walk};
use crate::bytes::json;
use crate::layout::Role;
use crate::layout::convert::Conversion;
use crate::layout::guide::Guide;
use crate::layout::names;

impl<G: Guide> Walk<'_, G> {
    /// Whether the array at the cursor is a ring buffer of Go's runtime: it has that role, and consists of as many
    /// scalars.
    pub(super) fn is_ring(&self, role: Role) -> bool {
        let free = match role {
            Role::PauseNs => self.pauses.pause_ns.is_none(),
            Role::PauseEnd => self.pauses.pause_end.is_none(),
            _ => false,
        };
        let Some(tokens) = self.offsets.get(self.at + 1..=self.at + 2 * gc::RING) else { return false };
        let byte = |token: u32| self.body[token as usize];
        free && byte(tokens[2 * gc::RING - 1]) == b']'
            && tokens.chunks_exact(2).enumerate().all(|(at, pair)| {
                !matches!(byte(pair[0]), b'{' | b'[' | b']' | b'}' | b',' | b':')
                    && (at == gc::RING - 1 || byte(pair[1]) == b',')
            })
    }

    /// Steps over a ring buffer, and remembers where it is.
    pub(super) fn ring(&mut self, role: Role, conversion: Conversion) -> Outcome<()> {
        let token = self.at;
        let hole = self.guide.leaf(self.out)?.then_some(self.out.len());
        let ring = Some(Ring { token, hole, conversion });
        if role == Role::PauseNs {
            self.pauses.pause_ns = ring;
        } else {
            self.pauses.pause_end = ring;
        }
        self.at += 2 * gc::RING + 1;
        if hole.is_some() {
            self.report.lists += 1;
            self.report.gc_lists += 1;
        }
        Ok(())
    }

    /// Inserts the new entries of the ring buffers where they belong in the output. Gives the totals, if the payload
    /// has both.
    pub(super) fn fill_rings(&mut self) -> Outcome<Option<Totals>> {
        let Pauses { pause_ns, pause_end, collections, pause_total_ns } = self.pauses;
        let totals = collections.zip(pause_total_ns).map(|(collections, pause_ns)| Totals { collections, pause_ns });
        let known = totals.zip(pause_ns);
        let fresh = known.map(|(totals, ring)| {
            gc::fresh(self.options.totals_before, totals, |entry| self.entry(&ring, entry).unwrap_or_default())
        });
        // The later hole first, because filling a hole moves everything after it.
        let mut rings = [pause_ns, pause_end];
        if rings.map(|ring| ring.and_then(|ring| ring.hole)).is_sorted() {
            rings.reverse();
        }
        for ring in rings.into_iter().flatten() {
            let Some(hole) = ring.hole else { continue };
            let end = self.out.len();
            self.element_kinds = ElementKinds::default();
            match &fresh {
                Some(fresh) => self.write_entries(&ring, fresh),
                None => self.write_ring(&ring)?,
            }
            ring.conversion.list(self.out, end);
            self.fit_array(end)?;
            let written = self.out.len() - end;
            self.out[hole..].rotate_right(written);
        }
        if let Some(fresh) = fresh {
            self.report.gc_missed = fresh.missed;
            self.report.gc_doubtful = u64::from(fresh.doubtful);
            self.report.restarted = fresh.restarted;
            // Without a variable there is no document that could be marked.
            if fresh.restarted && self.has_written() {
                self.out.extend_from_slice(b",\"");
                self.out.extend_from_slice(names::RESTARTED.as_bytes());
                self.out.extend_from_slice(b"\":true");
            }
        }
        self.check_length()?;
        Ok(totals)
    }

    /// Writes a ring buffer as it stands.
    fn write_ring(&mut self, ring: &Ring) -> Outcome<()> {
        self.rewind(ring.token);
        let kind = self.scan_array()?;
        self.copy_array(&kind, ring.token)
    }

    /// Writes the new entries of a ring buffer.
    fn write_entries(&mut self, ring: &Ring, fresh: &gc::Fresh) {
        self.out.push(b'[');
        let empty = self.out.len();
        for collection in fresh.collections.clone() {
            let Some(value) = self.entry(ring, gc::entry(collection)) else { continue };
            if self.out.len() > empty {
                self.out.push(b',');
            }
            let start = self.out.len();
            json::write_u64(self.out, value);
            self.element_kinds.add_scalar(&self.out[start..]);
        }
        self.out.push(b']');
    }

    /// An entry of a ring buffer, if it is an integer.
    pub(super) fn entry(&self, ring: &Ring, entry: usize) -> Option<u64> {
        let token = ring.token + 1 + 2 * entry;
        let text = &self.body[self.offset(token)..self.offset(token + 1)];
        integer(text.trim_ascii_end())
    }

    /// Records the total that has been written from `start` on. If there are several, the first one counts.
    pub(super) fn note_total(&mut self, role: Role, start: usize) {
        let total = match role {
            Role::NumGc => &mut self.pauses.collections,
            Role::PauseTotalNs => &mut self.pauses.pause_total_ns,
            _ => return,
        };
        *total = total.or_else(|| integer(&self.out[start..]));
    }
}

/// The value of a non-negative integer.
fn integer(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit) && (text[0] != b'0' || text.len() == 1);
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}
