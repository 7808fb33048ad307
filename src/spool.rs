//! The documents of one recorder that wait: those in memory here, those on disk in [`disk`].
//!
//! Invariants: a document that was given to [`Spool::push`] is in the open bulk, in a lane, or under way, until it is
//! taken out. [`Spool::is_over`] counts every byte that is held for documents, used or not. Nothing here knows a clock,
//! a file or a socket.

pub(crate) mod disk;
mod figures;
pub(crate) mod files;
mod lane;
mod line;
mod queue;
pub(crate) mod segment;

use crate::bulk::{ActionLine, Bulk, DocumentKey};
use crate::limits;
use disk::SegmentId;
pub(crate) use lane::{Lane, Waiting};
use line::Line;
use std::sync::Arc;
use std::time::Instant;

/// How much a recorder's bulks hold, and all of them together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) documents_max: usize,
    pub(crate) bytes_max: usize,
    pub(crate) memory_bytes_max: usize,
    /// The part of the memory that is reserved for documents that are also on disk, so that the backlog keeps moving
    /// while the disk is full.
    pub(crate) reserved_bytes: usize,
}

/// How many documents come out of a queue at once.
#[derive(Debug, Clone, Copy)]
struct PortionBounds {
    documents_max: usize,
    bytes_max: usize,
}

/// Bytes that documents take in memory.
#[derive(Debug, Default, Clone, Copy)]
struct MemoryBytes {
    all: usize,
    /// Those of them that hold documents that are also on disk.
    saved: usize,
}

/// The documents that wait in memory.
#[derive(Debug)]
pub(crate) struct Spool {
    action: ActionLine,
    bounds: Bounds,
    /// The number of readers. Each gives a document at one instant, and a new bulk is allocated large enough for all of
    /// them.
    feeders: usize,
    /// The bulk that is being filled. Nobody else has a reference to it.
    open: Arc<Bulk>,
    open_since: Option<Instant>,
    lines: [Line; Lane::ALL.len()],
    sending: Option<(Lane, Waiting)>,
    /// What is under way is sent from a copy, which takes as much memory again.
    sends_copies: bool,
    /// Emptied buffers. Nobody else has a reference to them.
    pool: Vec<Arc<Bulk>>,
    /// A large emptied buffer, which is kept from bulk to bulk of a lane that has more. Freeing and allocating one for each bulk would fragment
    /// the heap.
    spare: Option<Arc<Bulk>>,
}

impl Spool {
    pub(crate) fn new(action: ActionLine, bounds: Bounds, feeders: usize) -> Self {
        Self {
            action,
            bounds,
            feeders,
            open: Arc::default(),
            open_since: None,
            lines: Default::default(),
            sending: None,
            sends_copies: false,
            pool: Vec::with_capacity(limits::POOLED_BULKS_MAX),
            spare: None,
        }
    }

    /// Copies a document into the open bulk. True if that sealed a bulk.
    pub(crate) fn push(&mut self, key: DocumentKey, document: &[u8], now: Instant) -> bool {
        let mut sealed = false;
        if self.open.bytes().len() + document.len() > self.bounds.bytes_max {
            sealed = self.seal();
        }
        if let Some(open) = Arc::get_mut(&mut self.open) {
            if open.is_empty() {
                open.reserve_for(self.feeders, document.len(), self.bounds.bytes_max);
            }
            open.push(&mut self.action, key, document);
        }
        self.open_since.get_or_insert(now);
        if self.open.documents() >= self.bounds.documents_max || self.open.bytes().len() >= self.bounds.bytes_max {
            sealed |= self.seal();
        }
        sealed
    }

    /// When the oldest document of the open bulk came.
    pub(crate) fn open_since(&self) -> Option<Instant> {
        self.open_since
    }

    /// Moves the open bulk to the end of the fresh lane. False if it was empty.
    pub(crate) fn seal(&mut self) -> bool {
        let Some(since) = self.open_since.take() else { return false };
        let emptied = self.pool.pop().unwrap_or_default();
        let bulk = std::mem::replace(&mut self.open, emptied);
        self.append(Lane::Fresh, Waiting::new(bulk, since));
        true
    }

    /// Takes the next documents of a lane to send them. Called only while nothing is under way.
    pub(crate) fn send(&mut self, lane: Lane) -> Option<Arc<Bulk>> {
        if self.lines[lane as usize].is_empty() {
            // Kept any longer, a large buffer would take the room of documents, and memory would peak higher.
            self.spare = None;
            return None;
        }
        let most = PortionBounds { documents_max: self.bounds.documents_max, bytes_max: self.portion_bytes() };
        let (there, pool, spare) = (&mut self.lines[lane as usize], &mut self.pool, &mut self.spare);
        let emptied = || spare.take().or_else(|| pool.pop()).unwrap_or_default();
        let waiting = there.take(emptied, most)?;
        let bulk = Arc::clone(&waiting.bulk);
        self.sending = Some((lane, waiting));
        Some(bulk)
    }

    /// Sets whether what is under way is sent from a copy.
    pub(crate) fn set_sends_copies(&mut self, sends_copies: bool) {
        self.sends_copies = sends_copies;
    }

    /// Ends a try: returns what was under way, and the lane that it came from.
    pub(crate) fn take_sent(&mut self) -> Option<(Lane, Waiting)> {
        self.sending.take()
    }

    /// Puts documents at the front of a lane.
    pub(crate) fn put_front(&mut self, lane: Lane, waiting: Waiting) {
        self.lines[lane as usize].bulks.push_front(waiting);
    }

    /// Puts documents at the end of a lane. A bulk that is the first to wait stays as it is; otherwise its documents
    /// are copied into the queue.
    pub(crate) fn append(&mut self, lane: Lane, waiting: Waiting) {
        let is_next = self.sending.is_none() || lane != Lane::Fresh;
        let there = &mut self.lines[lane as usize];
        if is_next && there.is_empty() || !waiting.is_unsaved() || lane == Lane::Aside {
            there.bulks.push_back(waiting);
        } else {
            there.queue.append(&waiting.bulk, waiting.since, block_bytes(&self.bounds));
            self.recycle(waiting.bulk);
        }
    }

    /// Puts documents of a segment into a lane that is empty.
    pub(crate) fn load(&mut self, lane: Lane, id: SegmentId, bulk: Bulk, now: Instant) {
        let there = &mut self.lines[lane as usize];
        if bulk.is_within(self.bounds.documents_max, self.bounds.bytes_max) {
            there.bulks.push_back(Waiting { saved: Some(id), ..Waiting::new(Arc::new(bulk), now) });
        } else {
            there.queue.append(&bulk, now, block_bytes(&self.bounds));
            there.queue_saved = Some(id);
        }
    }

    /// The next bulk that has to be saved but also stays in memory: it is under way, or set aside.
    pub(crate) fn next_to_copy(&mut self) -> Option<&mut Waiting> {
        let sending = self.sending.iter_mut().map(|(_, waiting)| waiting);
        sending.chain(&mut self.lines[Lane::Aside as usize].bulks).find(|waiting| waiting.is_unsaved())
    }

    /// The next of the other documents that have to be saved; at most `documents_max`, unless they already are one
    /// bulk.
    pub(crate) fn next_unsaved(&mut self, documents_max: usize) -> Option<(Lane, Waiting)> {
        let most = PortionBounds { documents_max, bytes_max: self.portion_bytes() };
        for lane in Lane::ALL.into_iter().filter(|lane| *lane != Lane::Aside) {
            let there = &mut self.lines[lane as usize];
            if let Some(at) = there.bulks.iter().position(Waiting::is_unsaved) {
                return there.bulks.remove(at).map(|waiting| (lane, waiting));
            }
            if !there.queue.is_empty() && there.queue_saved.is_none() {
                let emptied = self.emptied();
                return self.lines[lane as usize].take_queued(emptied, most).map(|waiting| (lane, waiting));
            }
        }
        None
    }

    /// When the oldest document arrived that has to be saved and is not, leaving out the open bulk.
    pub(crate) fn unsaved_since(&self) -> Option<Instant> {
        let sending = self.sending.iter().map(|(_, waiting)| waiting);
        let sending = sending.filter(|waiting| waiting.is_unsaved()).map(|waiting| waiting.since);
        self.lines.iter().filter_map(Line::unsaved_since).chain(sending).min()
    }

    /// A segment no longer exists, so those of its documents that are in memory are there only.
    pub(crate) fn forget_saved(&mut self, id: SegmentId) {
        let sending = self.sending.iter_mut().map(|(_, waiting)| &mut waiting.saved);
        let lines = self
            .lines
            .iter_mut()
            .flat_map(|line| line.bulks.iter_mut().map(|waiting| &mut waiting.saved).chain([&mut line.queue_saved]));
        for saved in lines.chain(sending) {
            *saved = saved.filter(|saved| *saved != id);
        }
    }

    /// Takes documents that are also on disk out of memory, the last ones to be sent first. If a segment is given, only
    /// its documents, and none that were set aside.
    pub(crate) fn take_saved(&mut self, of: Option<SegmentId>) -> Option<(Lane, SegmentId, Waiting)> {
        let is_wanted = |id: SegmentId| of.is_none_or(|of| of == id);
        let most = PortionBounds { documents_max: usize::MAX, bytes_max: self.portion_bytes() };
        for lane in Lane::ALL.into_iter().filter(|lane| of.is_none() || *lane != Lane::Aside) {
            let there = &mut self.lines[lane as usize];
            if let Some(id) = there.queue_saved.filter(|id| is_wanted(*id)) {
                let emptied = self.emptied();
                return self.lines[lane as usize].take_queued(emptied, most).map(|waiting| (lane, id, waiting));
            }
            let at = there.bulks.iter().rposition(|waiting| waiting.saved.is_some_and(is_wanted));
            if let Some(waiting) = at.and_then(|at| there.bulks.remove(at)) {
                return waiting.saved.map(|id| (lane, id, waiting));
            }
        }
        None
    }

    /// Drops the oldest documents that are in memory only, not many at a time. Gives where they were, and how many.
    pub(crate) fn drop_oldest(&mut self) -> Option<(Lane, usize)> {
        let ages = Lane::ALL.into_iter().filter_map(|lane| Some((self.lines[lane as usize].oldest()?, lane)));
        let ((_, place), lane) = ages.min_by_key(|((since, _), _)| *since)?;
        let there = &mut self.lines[lane as usize];
        let Some(place) = place else { return Some((lane, there.queue.drop_block())) };
        let bulk = &mut there.bulks[place].bulk;
        let part = bulk.documents() / limits::DROPPED_PARTS;
        if part > 0
            && let Some(bulk) = Arc::get_mut(bulk)
        {
            bulk.remove_first(part);
            return Some((lane, part));
        }
        let dropped = there.bulks.remove(place)?.bulk;
        let documents = dropped.documents();
        self.recycle(dropped);
        Some((lane, documents))
    }

    /// Documents that were refused for good and exist only in memory, including those that are under way again.
    pub(crate) fn rejected_in_memory(&self) -> usize {
        let sending = self.sending.iter().filter(|(lane, waiting)| *lane == Lane::Rejected && waiting.saved.is_none());
        self.documents(Lane::Rejected) + sending.map(|(_, waiting)| waiting.bulk.documents()).sum::<usize>()
    }

    pub(crate) fn is_lane_empty(&self, lane: Lane) -> bool {
        self.lines[lane as usize].is_empty()
    }

    /// Documents that wait in a lane.
    pub(crate) fn documents(&self, lane: Lane) -> usize {
        self.lines[lane as usize].documents()
    }

    /// Whether nothing waits in any lane.
    fn is_idle(&self) -> bool {
        self.lines.iter().all(Line::is_empty)
    }

    /// An emptied buffer for documents from a queue.
    fn emptied(&mut self) -> Arc<Bulk> {
        self.spare.take().or_else(|| self.pool.pop()).unwrap_or_default()
    }

    /// Keeps an emptied buffer for the next bulk, if nobody else holds it and it is not too large for that.
    pub(crate) fn recycle(&mut self, mut bulk: Arc<Bulk>) {
        let Some(emptied) = Arc::get_mut(&mut bulk) else { return };
        emptied.clear();
        let is_large = emptied.memory_bytes() > limits::POOLED_BULK_BYTES_MAX;
        if self.is_idle() {
            self.spare = None;
        } else if is_large && self.spare.is_none() {
            self.spare = Some(bulk);
            return;
        }
        if is_large {
            return;
        }
        if self.open.memory_bytes() == 0 {
            // It was never used, because nothing has arrived since: one buffer is enough while answers arrive in time.
            std::mem::swap(&mut self.open, &mut bulk);
        }
        if self.pool.len() < limits::POOLED_BULKS_MAX {
            self.pool.push(bulk);
        }
    }

    fn memory_bytes(&self) -> MemoryBytes {
        let sending = self.sending.as_ref().map_or(0, |(_, waiting)| waiting.bulk.memory_bytes());
        let copied = if self.sends_copies { sending } else { 0 };
        let is_sending_saved = self.sending.as_ref().is_some_and(|(_, waiting)| waiting.saved.is_some());
        let emptied = self.pool.iter().chain(&self.spare).map(|bulk| bulk.memory_bytes()).sum::<usize>();
        let (mut all, mut saved) = (self.open.memory_bytes() + sending + copied + emptied, 0);
        for line in &self.lines {
            let of_line = line.memory_bytes();
            (all, saved) = (all + of_line.all, saved + of_line.saved);
        }
        MemoryBytes { all, saved: saved + if is_sending_saved { sending } else { 0 } }
    }

    /// Bytes that the open bulk has to grow by for a document of this length.
    pub(crate) fn growth_for(&self, document_bytes: usize) -> usize {
        if !self.open.is_empty() && self.open.bytes().len() + document_bytes > self.bounds.bytes_max {
            return document_bytes;
        }
        if self.open.has_room_for(document_bytes) {
            return 0;
        }
        let documents = if self.open.is_empty() { self.feeders } else { 1 };
        documents.saturating_mul(document_bytes).min(self.bounds.bytes_max).max(document_bytes)
    }

    /// Whether it would take more memory than it may, with `growth` bytes more. If so, emptied buffers are freed first.
    pub(crate) fn is_over_limit(&mut self, growth: usize) -> bool {
        let Bounds { memory_bytes_max, reserved_bytes, .. } = self.bounds;
        let is_over = |MemoryBytes { all, saved }| {
            all + growth > memory_bytes_max || all - saved + growth > memory_bytes_max - reserved_bytes
        };
        if !is_over(self.memory_bytes()) {
            return false;
        }
        self.pool.clear();
        self.spare = None;
        if self.open.is_empty() {
            self.open = Arc::default();
        }
        is_over(self.memory_bytes())
    }

    fn free_bytes(&self) -> usize {
        self.bounds.memory_bytes_max.saturating_sub(self.memory_bytes().all)
    }

    /// Bytes of a portion that is copied out of a queue: as many as a bulk may have, or fewer while memory is nearly full.
    fn portion_bytes(&self) -> usize {
        let Bounds { bytes_max, memory_bytes_max, .. } = self.bounds;
        let free = self.free_bytes() + self.spare.as_ref().map_or(0, |spare| spare.memory_bytes());
        bytes_max.min(free.max(memory_bytes_max / limits::MEMORY_COPIED_PART))
    }

    /// Bytes that may be loaded from the disk: a quarter of the bound at most, as they are copied when they are divided.
    pub(crate) fn room_to_load(&self) -> usize {
        let Bounds { memory_bytes_max, reserved_bytes, .. } = self.bounds;
        self.free_bytes().min(memory_bytes_max / 4).max(reserved_bytes)
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Sets the action line of documents that are pushed from now on. Those that wait keep theirs.
    pub(crate) fn set_action_line(&mut self, action: ActionLine) {
        self.action = action;
    }

    /// Applies other bounds. Bulks that exceed them are divided.
    pub(crate) fn fit(&mut self, bounds: Bounds, feeders: usize) {
        self.feeders = feeders;
        let before = std::mem::replace(&mut self.bounds, bounds);
        let Bounds { documents_max, bytes_max, .. } = bounds;
        if documents_max < before.documents_max || bytes_max < before.bytes_max {
            self.seal();
        }
        let sending = self.sending.iter_mut().map(|(_, waiting)| waiting);
        for waiting in self.lines.iter_mut().flat_map(|line| &mut line.bulks).chain(sending) {
            // The disk may hold more now.
            waiting.too_large = false;
        }
        for line in &mut self.lines {
            if line.bulks.iter().all(|waiting| waiting.bulk.is_within(documents_max, bytes_max)) {
                continue;
            }
            for Waiting { bulk, since, saved, too_large, never_merged } in std::mem::take(&mut line.bulks) {
                let portions = bulk.portions(documents_max, bytes_max).into_iter().map(Arc::new);
                line.bulks.extend(portions.map(|bulk| Waiting { bulk, since, saved, too_large, never_merged }));
            }
        }
        if bytes_max != before.bytes_max {
            // They have the size of the old bounds.
            self.spare = None;
            self.pool.clear();
        }
    }

    /// Drops all documents.
    pub(crate) fn forget(&mut self) {
        self.open = Arc::default();
        self.open_since = None;
        self.lines = Default::default();
        self.sending = None;
        self.spare = None;
    }
}

/// The size of the blocks in which documents wait: a small part of the memory, within fixed limits.
fn block_bytes(bounds: &Bounds) -> usize {
    let part = bounds.memory_bytes_max / limits::MEMORY_BLOCKS_MIN;
    part.clamp(limits::MEMORY_BLOCK_BYTES_MIN, limits::MEMORY_BLOCK_BYTES_MAX)
}
