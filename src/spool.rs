//! The documents of one recorder that wait: those in memory here, those on disk in [`disk`].
//!
//! Invariants: a document that [`Spool::push`] was given is in the open bulk, in one of the two lanes, or under way, until it
//! is taken out; what is in the lanes is sealed and never changed but for growing at the end; nothing here knows a clock,
//! a file or a socket.

pub(crate) mod disk;
pub(crate) mod files;
pub(crate) mod segment;

use crate::bulk::{ActionLine, Bulk, DocumentKey};
use crate::limits;
use disk::SegmentId;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// A sealed bulk.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) bulk: Arc<Bulk>,
    /// When the oldest of its documents came.
    pub(crate) since: Instant,
    /// Its documents are on disk, too, in this segment.
    pub(crate) saved: Option<SegmentId>,
    pub(crate) refused: Refused,
    /// They are more than the disk may hold: they wait in memory only.
    pub(crate) too_large: bool,
}

impl Waiting {
    /// Whether its documents are to be on disk, and are not.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.saved.is_none() && !self.too_large
    }
}

/// Whether documents of a bulk were refused one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Never,
    /// They have waited on disk since: it is their turn again.
    Before,
    Lately,
}

/// Where a bulk waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Not tried yet, or with a whole request that failed.
    Fresh,
    /// Refused one by one, for now; or from the disk. Behind what is fresh.
    Held,
}

/// How much a recorder's bulks hold, and all of them together.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_field_names, reason = "each says that it is a bound")]
pub(crate) struct Bounds {
    pub(crate) documents_max: usize,
    pub(crate) bytes_max: usize,
    pub(crate) memory_bytes_max: usize,
}

/// The documents that wait in memory.
#[derive(Debug)]
pub(crate) struct Spool {
    action: ActionLine,
    bounds: Bounds,
    /// Documents that come in one instant: bulks are made large enough for them at once.
    feeders: usize,
    /// Being filled; nobody else holds it.
    open: Arc<Bulk>,
    open_since: Option<Instant>,
    /// Oldest first.
    fresh: VecDeque<Waiting>,
    held: VecDeque<Waiting>,
    /// Bytes of both.
    lanes_bytes: usize,
    sending: Option<(Lane, Waiting)>,
    /// Emptied buffers; nobody else holds them.
    pool: Vec<Arc<Bulk>>,
    /// A large one, kept while others wait: if each were given back and asked for again, the heap would grow in pieces.
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
            fresh: VecDeque::new(),
            held: VecDeque::new(),
            lanes_bytes: 0,
            sending: None,
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
                open.expect(self.feeders, document.len(), self.bounds.bytes_max);
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

    /// Moves the open bulk to the end of the fresh lane, into the last one there if it has room. False if it was empty.
    pub(crate) fn seal(&mut self) -> bool {
        let Some(since) = self.open_since.take() else { return false };
        let emptied = self.pool.pop().unwrap_or_default();
        let bulk = std::mem::replace(&mut self.open, emptied);
        self.append(Lane::Fresh, Waiting { bulk, since, saved: None, refused: Refused::Never, too_large: false });
        true
    }

    /// The oldest of a lane, to be sent: nothing else is under way.
    pub(crate) fn send(&mut self, lane: Lane) -> Option<Arc<Bulk>> {
        let waiting = self.lane(lane).pop_front()?;
        self.lanes_bytes -= waiting.bulk.memory_bytes();
        let bulk = Arc::clone(&waiting.bulk);
        self.sending = Some((lane, waiting));
        Some(bulk)
    }

    /// Ends a try: what was under way, and where it came from.
    pub(crate) fn take_sent(&mut self) -> Option<(Lane, Waiting)> {
        self.sending.take()
    }

    pub(crate) fn sending(&mut self) -> Option<&mut Waiting> {
        self.sending.as_mut().map(|(_, waiting)| waiting)
    }

    /// Before everything else in a lane.
    pub(crate) fn put_front(&mut self, lane: Lane, waiting: Waiting) {
        self.lanes_bytes += waiting.bulk.memory_bytes();
        self.lane(lane).push_front(waiting);
    }

    /// Behind everything else in a lane, within the last bulk there if that has room and both are to be on disk, and are not.
    pub(crate) fn append(&mut self, lane: Lane, mut waiting: Waiting) {
        let Bounds { documents_max, bytes_max, .. } = self.bounds;
        let is_next = self.sending.is_none() && self.fresh.is_empty() && lane == Lane::Fresh;
        let last = self.lane(lane).back_mut().filter(|last| last.is_unsaved() && waiting.is_unsaved());
        if let Some(Waiting { bulk, since, .. }) = last
            && let Some(last) = Arc::get_mut(bulk)
        {
            let documents = last.documents() + waiting.bulk.documents();
            if documents <= documents_max && last.bytes().len() + waiting.bulk.bytes().len() <= bytes_max {
                let before = last.memory_bytes();
                last.append(&waiting.bulk);
                *since = waiting.since.min(*since);
                let grown = last.memory_bytes() - before;
                self.lanes_bytes += grown;
                self.recycle(waiting.bulk);
                return;
            }
        }
        if !is_next && waiting.is_unsaved() {
            // It has to wait, and others will join it: all such buffers are of one size, so that those that come fit
            // where those that went have been. Of what is not used, no page is touched.
            let mut roomy = self.spare.take().unwrap_or_else(|| Arc::new(Bulk::with_room(bytes_max)));
            if let Some(emptied) = Arc::get_mut(&mut roomy) {
                emptied.append(&waiting.bulk);
                self.recycle(std::mem::replace(&mut waiting.bulk, roomy));
            }
        }
        self.lanes_bytes += waiting.bulk.memory_bytes();
        self.lane(lane).push_back(waiting);
    }

    /// Whatever waits in a lane and is to be on disk, and is not, oldest first.
    pub(crate) fn next_unsaved(&mut self) -> Option<(Lane, Waiting)> {
        for lane in [Lane::Held, Lane::Fresh] {
            if let Some(at) = self.lane(lane).iter().position(Waiting::is_unsaved) {
                return self.lane(lane).remove(at).map(|waiting| {
                    self.lanes_bytes -= waiting.bulk.memory_bytes();
                    (lane, waiting)
                });
            }
        }
        None
    }

    /// When the oldest document came that is to be on disk, and is not, the open bulk aside.
    pub(crate) fn unsaved_since(&self) -> Option<Instant> {
        let sending = self.sending.iter().map(|(_, waiting)| waiting);
        let all = self.fresh.iter().chain(&self.held).chain(sending);
        all.filter(|waiting| waiting.is_unsaved()).map(|waiting| waiting.since).min()
    }

    /// Whether something from the disk waits that has not been tried since it was loaded.
    pub(crate) fn has_loaded(&self) -> bool {
        self.held.iter().any(|waiting| waiting.saved.is_some() && waiting.refused != Refused::Lately)
    }

    /// A segment is no more: what was on disk, too, is in memory alone.
    pub(crate) fn forget_saved(&mut self, id: SegmentId) {
        let sending = self.sending.iter_mut().map(|(_, waiting)| waiting);
        for waiting in self.fresh.iter_mut().chain(&mut self.held).chain(sending) {
            waiting.saved = waiting.saved.filter(|saved| *saved != id);
        }
    }

    /// A bulk that is on disk, too, the youngest first; of one segment only, if that is said.
    pub(crate) fn take_saved(&mut self, of: Option<SegmentId>) -> Option<(SegmentId, Waiting)> {
        for lane in [Lane::Held, Lane::Fresh] {
            let is_wanted = |id: SegmentId| of.is_none_or(|of| of == id);
            let at = self.lane(lane).iter().rposition(|waiting| waiting.saved.is_some_and(is_wanted));
            if let Some(waiting) = at.and_then(|at| self.lane(lane).remove(at)) {
                self.lanes_bytes -= waiting.bulk.memory_bytes();
                return waiting.saved.map(|id| (id, waiting));
            }
        }
        None
    }

    /// The bulk whose documents are the oldest, to make room.
    pub(crate) fn take_oldest(&mut self) -> Option<Waiting> {
        let oldest = |lane: &VecDeque<Waiting>| {
            let at = (0..lane.len()).min_by_key(|&at| lane[at].since)?;
            Some((lane[at].since, at))
        };
        let (fresh, held) = (oldest(&self.fresh), oldest(&self.held));
        let (lane, at) = match (fresh, held) {
            (Some((since, at)), held) if held.is_none_or(|(other, _)| since < other) => (Lane::Fresh, at),
            (_, held) => (Lane::Held, held?.1),
        };
        let waiting = self.lane(lane).remove(at)?;
        self.lanes_bytes -= waiting.bulk.memory_bytes();
        Some(waiting)
    }

    pub(crate) fn is_lane_empty(&self, lane: Lane) -> bool {
        match lane {
            Lane::Fresh => self.fresh.is_empty(),
            Lane::Held => self.held.is_empty(),
        }
    }

    /// Keeps an emptied buffer for the next bulk, if nobody else holds it and it is not too large for that.
    pub(crate) fn recycle(&mut self, mut bulk: Arc<Bulk>) {
        let Some(emptied) = Arc::get_mut(&mut bulk) else { return };
        emptied.clear();
        if emptied.memory_bytes() > limits::POOLED_BULK_BYTES_MAX {
            let is_roomy = emptied.memory_bytes() >= self.bounds.bytes_max;
            let is_idle = self.fresh.is_empty() && self.held.is_empty();
            self.spare = Some(bulk).filter(|_| is_roomy && !is_idle);
            return;
        }
        if self.open.memory_bytes() == 0 {
            // It was never used, as nothing has come since: one buffer is enough as long as answers come in time.
            std::mem::swap(&mut self.open, &mut bulk);
        }
        if self.pool.len() < limits::POOLED_BULKS_MAX {
            self.pool.push(bulk);
        }
    }

    /// Bytes that all of it takes, buffers included, but for one that is spare.
    fn memory_bytes(&self) -> usize {
        let sending = self.sending.as_ref().map_or(0, |(_, waiting)| waiting.bulk.memory_bytes());
        let pool: usize = self.pool.iter().map(|bulk| bulk.memory_bytes()).sum();
        self.lanes_bytes + self.open.memory_bytes() + sending + pool
    }

    /// Whether it takes more than it may, the spare buffer included. Emptied buffers are given back before it comes to that.
    pub(crate) fn is_over(&mut self) -> bool {
        if self.memory_bytes() > self.most_bytes() {
            self.pool.clear();
        }
        self.memory_bytes() > self.most_bytes()
    }

    fn most_bytes(&self) -> usize {
        self.bounds.memory_bytes_max - self.bounds.bytes_max
    }

    /// Bytes that may be loaded from the disk: a bulk at least, a quarter of the bound at most, as they are copied when they
    /// are divided. None if others wait and leave no room for a bulk.
    pub(crate) fn room_to_load(&mut self) -> Option<usize> {
        // Emptied buffers are given back before it comes to that.
        let _ = self.is_over();
        let Bounds { bytes_max, memory_bytes_max, .. } = self.bounds;
        let room = self.most_bytes().saturating_sub(self.memory_bytes());
        let is_free = room >= bytes_max || self.held.is_empty();
        is_free.then(|| room.min(memory_bytes_max / 4).max(bytes_max))
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Goes on by another configuration. What waits keeps its action lines.
    pub(crate) fn follow(&mut self, action: ActionLine) {
        self.action = action;
    }

    /// Goes on within other bounds: what waits in larger portions than these is divided.
    pub(crate) fn fit(&mut self, bounds: Bounds, feeders: usize) {
        self.feeders = feeders;
        let sending = self.sending.iter_mut().map(|(_, waiting)| waiting);
        for waiting in self.fresh.iter_mut().chain(&mut self.held).chain(sending) {
            // The disk may hold more now.
            waiting.too_large = false;
        }
        let before = std::mem::replace(&mut self.bounds, bounds);
        let Bounds { documents_max, bytes_max, .. } = bounds;
        if documents_max < before.documents_max || bytes_max < before.bytes_max {
            self.seal();
            for lane in [Lane::Fresh, Lane::Held] {
                for Waiting { bulk, since, saved, refused, too_large } in std::mem::take(self.lane(lane)) {
                    let bulk = Arc::try_unwrap(bulk).unwrap_or_else(|shared| shared.select(|_| true));
                    let portions = bulk.portions(documents_max, bytes_max).into_iter().map(Arc::new);
                    self.lane(lane).extend(portions.map(|bulk| Waiting { bulk, since, saved, refused, too_large }));
                }
            }
            self.lanes_bytes = self.fresh.iter().chain(&self.held).map(|waiting| waiting.bulk.memory_bytes()).sum();
        }
        if bytes_max != before.bytes_max {
            // They have the size that was usual so far.
            self.spare = None;
            self.pool.clear();
        }
    }

    /// Lets go of everything.
    pub(crate) fn forget(&mut self) {
        self.open = Arc::default();
        self.open_since = None;
        self.fresh.clear();
        self.held.clear();
        self.lanes_bytes = 0;
        self.sending = None;
        self.spare = None;
    }

    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Waiting> {
        match lane {
            Lane::Fresh => &mut self.fresh,
            Lane::Held => &mut self.held,
        }
    }
}
