//! Figures of the documents that wait in memory, for the status pages.

use super::{Lane, Spool, Waiting};
use std::time::Instant;

impl Spool {
    /// Bytes of the documents in memory, with those of the open bulk and those that are under way.
    pub(crate) fn document_bytes(&self) -> usize {
        let bulk_bytes = |waiting: &Waiting| waiting.bulk.bytes().len();
        let lines = self
            .lines
            .iter()
            .map(|line| line.bulks.iter().map(bulk_bytes).sum::<usize>() + line.queue.document_bytes());
        let sending = self.sending.iter().map(|(_, waiting)| bulk_bytes(waiting));
        self.open.bytes().len() + lines.chain(sending).sum::<usize>()
    }

    /// When the oldest document in memory came.
    pub(crate) fn oldest_since(&self) -> Option<Instant> {
        let lines = self.lines.iter().flat_map(|line| line.bulks.iter().map(|waiting| waiting.since));
        let queues = self.lines.iter().filter_map(|line| line.queue.since());
        let sending = self.sending.iter().map(|(_, waiting)| waiting.since);
        lines.chain(queues).chain(sending).chain(self.open_since).min()
    }

    /// Whether documents wait in a lane, or some of it are under way.
    pub(crate) fn has_any(&self, lane: Lane) -> bool {
        !self.is_lane_empty(lane) || self.sending.as_ref().is_some_and(|(of, _)| *of == lane)
    }
}
