//! Which documents of a segment wait on disk alone, once some of it has been in memory.
//!
//! A document is known by its place in the list of checksums, which stays the same whatever is damaged in the text. So
//! any documents of a segment can come into memory and go back, in any order, and none of them is taken twice or left.

use crate::bulk::Bulk;
use crate::spool::segment::{self, Checked};

/// A segment's documents: a bit for each that waits on disk alone, and where those in memory have their places.
#[derive(Debug)]
pub(super) struct Part {
    waits: Vec<u64>,
    waiting: u64,
    /// Checksum and place, sorted; of documents in memory, and of some that are done.
    out: Vec<(u64, u32)>,
    /// The place where the next reading begins.
    next: u32,
}

impl Part {
    /// As many documents, all of them on disk alone.
    pub(super) fn waiting_all(documents: u64) -> Self {
        let mut part = Self { waits: Vec::new(), waiting: 0, out: Vec::new(), next: 0 };
        for place in 0..u32::try_from(documents).unwrap_or(u32::MAX) {
            part.set(place);
        }
        part
    }

    /// The documents of a bulk that is in memory: their places are those in the bulk.
    pub(super) fn out_all(bulk: &Bulk) -> Self {
        let sums = (0..bulk.documents()).map(|index| segment::checksum(bulk.document(index)));
        let mut out: Vec<(u64, u32)> = sums.zip(0..).collect();
        out.sort_unstable();
        Self { waits: Vec::new(), waiting: 0, out, next: 0 }
    }

    /// Documents that wait on disk alone.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Whether the document at this place waits on disk alone.
    pub(super) fn waits_at(&self, place: u32) -> bool {
        bit(&self.waits, place)
    }

    /// Forgets those that are not whole any more; gives how many.
    pub(super) fn keep(&mut self, whole: &Checked) -> u64 {
        let before = std::mem::take(&mut self.waiting);
        let waits = std::mem::take(&mut self.waits);
        for &(_, place) in &whole.found {
            if bit(&waits, place) {
                self.set(place);
            }
        }
        before - self.waiting
    }

    /// Takes documents out, the next ones that wait, up to so many bytes, but one at least.
    pub(super) fn take(&mut self, whole: Checked, bytes_max: usize) -> Bulk {
        if !whole.found.iter().any(|&(_, place)| place >= self.next && bit(&self.waits, place)) {
            self.next = 0;
        }
        let (mut taken, mut number, mut bytes) = (vec![false; whole.found.len()], 0, 0);
        for (index, &(sum, place)) in whole.found.iter().enumerate() {
            if place < self.next || !bit(&self.waits, place) {
                continue;
            }
            bytes += whole.bulk.document(index).len();
            if number > 0 && bytes > bytes_max {
                break;
            }
            self.clear(place);
            self.out.push((sum, place));
            self.next = place + 1;
            (taken[index], number) = (true, number + 1);
        }
        self.out.sort_unstable();
        self.out.dedup();
        if number == taken.len() { whole.bulk } else { whole.bulk.select(|index| taken[index]) }
    }

    /// Documents that were taken out are on disk alone again. They come next, if `soon`; else when their turn comes.
    pub(super) fn put_back(&mut self, bulk: &Bulk, soon: bool) {
        for index in 0..bulk.documents() {
            let sum = segment::checksum(bulk.document(index));
            let at = self.out.partition_point(|&(other, _)| other < sum);
            let Some(&(_, place)) = self.out.get(at).filter(|(other, _)| *other == sum) else {
                debug_assert!(false, "a document that was not taken out");
                continue;
            };
            self.set(place);
            if soon {
                self.next = self.next.min(place);
            }
        }
    }

    /// None of them is in memory any more.
    pub(super) fn none_is_out(&mut self) {
        self.out = Vec::new();
    }

    fn set(&mut self, place: u32) {
        let at = place as usize / 64;
        if at >= self.waits.len() {
            self.waits.resize(at + 1, 0);
        }
        self.waiting += u64::from(!bit(&self.waits, place));
        self.waits[at] |= 1 << (place % 64);
    }

    fn clear(&mut self, place: u32) {
        self.waiting -= u64::from(bit(&self.waits, place));
        if let Some(word) = self.waits.get_mut(place as usize / 64) {
            *word &= !(1 << (place % 64));
        }
    }
}

fn bit(words: &[u64], place: u32) -> bool {
    words.get(place as usize / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
}
