//! One lane in memory: whole bulks in front, single documents behind them.

use super::disk::SegmentId;
use super::queue::Queue;
use super::{MemoryBytes, PortionBounds, Waiting};
use crate::bulk::Bulk;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Bytes that a bulk takes beside its documents: itself, and the counters of its `Arc`.
const BULK_BYTES: usize = size_of::<Waiting>() + size_of::<Bulk>() + 2 * size_of::<usize>();

/// The documents of one lane. Most lanes are empty, and are asked several times a tick: that costs next to nothing.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Bulks that are sent first: the only ones so far, those whose request failed, halves of one that was split.
    pub(super) bulks: VecDeque<Waiting>,
    pub(super) queue: Queue,
    /// The segment of all documents in the queue, if they are also on disk.
    pub(super) queue_saved: Option<SegmentId>,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.bulks.is_empty() && self.queue.is_empty()
    }

    pub(super) fn documents(&self) -> usize {
        if self.bulks.is_empty() {
            return self.queue.documents();
        }
        self.bulks.iter().map(|waiting| waiting.bulk.documents()).sum::<usize>() + self.queue.documents()
    }

    pub(super) fn memory_bytes(&self) -> MemoryBytes {
        let queue = self.queue.memory_bytes();
        if self.bulks.is_empty() && queue == 0 {
            return MemoryBytes::default();
        }
        let (mut all, mut saved) = (queue, if self.queue_saved.is_some() { queue } else { 0 });
        for waiting in &self.bulks {
            let bytes = waiting.bulk.memory_bytes() + BULK_BYTES;
            all += bytes;
            saved += if waiting.saved.is_some() { bytes } else { 0 };
        }
        MemoryBytes { all, saved }
    }

    /// When the oldest document arrived that has to be saved and is not.
    pub(super) fn unsaved_since(&self) -> Option<Instant> {
        if self.is_empty() {
            return None;
        }
        let bulks = self.bulks.iter().filter(|waiting| waiting.is_unsaved()).map(|waiting| waiting.since);
        let queue = self.queue.since().filter(|_| self.queue_saved.is_none());
        bulks.chain(queue).min()
    }

    /// When the oldest document came that is in memory only, and the place of its bulk, if it is in one.
    pub(super) fn oldest(&self) -> Option<(Instant, Option<usize>)> {
        if self.is_empty() {
            return None;
        }
        let unsaved = self.bulks.iter().enumerate().filter(|(_, waiting)| waiting.saved.is_none());
        let bulks = unsaved.map(|(place, waiting)| (waiting.since, Some(place)));
        let queue = self.queue.since().filter(|_| self.queue_saved.is_none()).map(|since| (since, None));
        bulks.chain(queue).min_by_key(|(since, _)| *since)
    }

    /// The first bulk, or one of documents from the queue that is put into `emptied`, within these bounds. A bulk that may
    /// grow gets documents from the queue within them, too.
    pub(super) fn take(&mut self, emptied: impl FnOnce() -> Arc<Bulk>, most: PortionBounds) -> Option<Waiting> {
        let Some(mut first) = self.bulks.pop_front() else { return self.take_queued(emptied(), most) };
        if self.bulks.is_empty()
            && self.queue_saved.is_none()
            && first.is_unsaved()
            && !first.never_merged
            && let Some(bulk) = Arc::get_mut(&mut first.bulk)
        {
            self.queue.move_to(bulk, most.documents_max, most.bytes_max);
        }
        Some(first)
    }

    /// Documents from the front of the queue, within these bounds.
    pub(super) fn take_queued(&mut self, mut emptied: Arc<Bulk>, most: PortionBounds) -> Option<Waiting> {
        let (since, saved) = (self.queue.since()?, self.queue_saved);
        let bulk = Arc::get_mut(&mut emptied)?;
        self.queue.move_to(bulk, most.documents_max, most.bytes_max);
        if self.queue.is_empty() {
            self.queue_saved = None;
        }
        Some(Waiting { saved, ..Waiting::new(emptied, since) })
    }
}
