//! Which documents of a segment wait on disk alone, once some of it has been in memory.
//!
//! A document is identified by its place in the list of checksums, which stays the same whatever is damaged in the
//! text. So any documents of a segment can come into memory and go back, in any order, and none of them is taken twice
//! or forgotten.

use crate::bulk::Bulk;
use crate::sort::sorted;
use crate::spool::segment::{self, Checked, Listed};
use std::mem;

/// A set of documents of a segment: a bit for each place.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<u64>);

impl Places {
    pub(super) fn has(&self, place: u32) -> bool {
        self.0.get(place as usize / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    pub(super) fn insert(&mut self, place: u32) {
        let at = place as usize / 64;
        if at >= self.0.len() {
            self.0.resize(at + 1, 0);
        }
        self.0[at] |= 1 << (place % 64);
    }

    pub(super) fn remove(&mut self, place: u32) {
        if let Some(word) = self.0.get_mut(place as usize / 64) {
            *word &= !(1 << (place % 64));
        }
    }

    /// The number of places in the set. If it is known which documents wait, only those count.
    pub(super) fn count(&self, residence: Option<&Residence>) -> u64 {
        let waits = |at: usize| residence.map_or(u64::MAX, |residence| residence.waits.0.get(at).copied().unwrap_or(0));
        self.0.iter().enumerate().map(|(at, word)| u64::from((word & waits(at)).count_ones())).sum()
    }
}

/// Where the documents of a segment are. Those that are in memory are on disk as well, until they are done.
#[derive(Debug)]
pub(super) struct Residence {
    /// The documents that wait on disk alone.
    waits: Places,
    /// Their number.
    waiting: u64,
    /// The documents in memory, and some that are done, sorted by their checksums.
    loaded: Vec<Listed>,
    /// The place where the next reading begins.
    next: u32,
}

impl Residence {
    /// This many documents, all of which wait on disk alone.
    pub(super) fn all_on_disk(documents: u64) -> Self {
        let mut residence = Self { waits: Places::default(), waiting: 0, loaded: Vec::new(), next: 0 };
        for place in 0..u32::try_from(documents).unwrap_or(u32::MAX) {
            residence.set(place);
        }
        residence
    }

    /// The documents of a bulk that is in memory: their places are those in the bulk.
    pub(super) fn all_in_memory(bulk: &Bulk) -> Self {
        let sums = (0..bulk.documents()).map(|index| segment::checksum(bulk.document(index)));
        let loaded = sorted(sums.zip(0..).map(|(sum, place)| Listed { sum, place }).collect());
        Self { waits: Places::default(), waiting: 0, loaded, next: 0 }
    }

    /// Documents that wait on disk alone.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Whether the document at this place waits on disk alone.
    pub(super) fn waits_at(&self, place: u32) -> bool {
        self.waits.has(place)
    }

    /// Forgets documents that are no longer whole, and returns how many.
    pub(super) fn retain_whole(&mut self, whole: &Checked) -> u64 {
        let before = mem::take(&mut self.waiting);
        let waits = mem::take(&mut self.waits);
        for &Listed { place, .. } in &whole.found {
            if waits.has(place) {
                self.set(place);
            }
        }
        before - self.waiting
    }

    /// Takes the next documents that wait, up to this many bytes, but at least one.
    pub(super) fn take(&mut self, whole: Checked, bytes_max: usize) -> Bulk {
        if !whole.found.iter().any(|found| found.place >= self.next && self.waits.has(found.place)) {
            self.next = 0;
        }
        let (mut taken, mut number, mut bytes) = (vec![false; whole.found.len()], 0, 0);
        for (index, &listed) in whole.found.iter().enumerate() {
            let place = listed.place;
            if place < self.next || !self.waits.has(place) {
                continue;
            }
            bytes += whole.bulk.document(index).len();
            if number > 0 && bytes > bytes_max {
                break;
            }
            self.clear(place);
            self.loaded.push(listed);
            self.next = place + 1;
            (taken[index], number) = (true, number + 1);
        }
        self.loaded = sorted(mem::take(&mut self.loaded));
        self.loaded.dedup();
        if number == taken.len() { whole.bulk } else { whole.bulk.select(|index| taken[index]) }
    }

    /// Documents that were taken wait on disk alone again; `found` is called with each place. They come next if `soon`,
    /// otherwise in the usual order.
    pub(super) fn put_back(&mut self, bulk: &Bulk, soon: bool, mut found: impl FnMut(u32)) {
        for index in 0..bulk.documents() {
            let sum = segment::checksum(bulk.document(index));
            let at = self.loaded.partition_point(|listed| listed.sum < sum);
            let Some(&Listed { place, .. }) = self.loaded.get(at).filter(|listed| listed.sum == sum) else {
                debug_assert!(false, "a document that was not taken out");
                continue;
            };
            self.set(place);
            found(place);
            if soon {
                self.next = self.next.min(place);
            }
        }
    }

    /// None of them is in memory any more.
    pub(super) fn forget_loaded(&mut self) {
        self.loaded = Vec::new();
    }

    fn set(&mut self, place: u32) {
        self.waiting += u64::from(!self.waits.has(place));
        self.waits.insert(place);
    }

    fn clear(&mut self, place: u32) {
        self.waiting -= u64::from(self.waits.has(place));
        self.waits.remove(place);
    }
}
