//! Documents that come back from the disk when it is their turn, and leave the memory again if they are not done.

use super::Delivery;
use super::storage::Storage;
use crate::limits;
use crate::spool::disk::{Disk, SegmentId, Tried};
use crate::spool::{Lane, Spool, Waiting};
use std::io;
use std::time::Instant;

impl Delivery {
    /// Lets go of documents in memory that are also on disk. False if others have removed them from the disk: then they
    /// are back in the lane.
    pub(super) fn unload(&mut self, lane: Lane, id: SegmentId, waiting: Waiting, tried: Tried, now: Instant) -> bool {
        let is_there = unload(&mut self.spool, self.storage.disk_mut(), lane, id, waiting, tried);
        if !is_there {
            self.book_changes(now);
        }
        is_there
    }

    /// Loads the next segment into a lane, once everything loaded before has been sent. True if many segments gave no
    /// documents and there may be more: other lanes get their turn first.
    pub(super) fn load(&mut self, lane: Lane, now: Instant) -> bool {
        let Some(refused) = lane.of_segments() else { return false };
        let is_readable = self.storage.unreadable_until(now).is_none();
        let (mut segments, mut read_bytes) = (0, 0);
        while is_readable && self.spool.is_lane_empty(lane) {
            if segments == limits::SEGMENTS_PER_TURN || read_bytes > limits::SEGMENT_BYTES_PER_TURN {
                return true;
            }
            segments += 1;
            let room = self.spool.room_to_load();
            let loaded = match self.storage.disk_mut().map(|disk| disk.load_next(room, refused)) {
                Some(Ok(Some(loaded))) => loaded,
                None | Some(Ok(None)) => return false,
                Some(Err(error)) => {
                    self.turns.unreadable(lane);
                    self.cannot_read(&error, now);
                    return false;
                }
            };
            read_bytes += loaded.read_bytes;
            self.book_changes(now);
            self.update(|ledger| {
                // Losses beyond what was counted come from a write that had failed.
                let found = loaded.damaged - loaded.counted;
                ledger.made += found;
                ledger.recovered += found;
                ledger.waiting -= loaded.counted;
                ledger.dropped.damaged += loaded.damaged;
            });
            if loaded.damaged > 0 {
                self.log_loss(
                    "damaged",
                    "documents in the spool were damaged and are lost; the damaged data is set \
                           aside",
                    now,
                );
            }
            if !loaded.bulk.is_empty() {
                self.spool.load(lane, loaded.id, loaded.bulk, now);
            }
        }
        false
    }

    fn cannot_read(&mut self, error: &io::Error, now: Instant) {
        if let Storage::Open { config, unreadable_until, .. } = &mut self.storage {
            *unreadable_until = Some(now + limits::SPOOL_RETRY);
            let folder = config.folder.display();
            let message = format!("cannot read the spool folder {folder}: {error}; retrying");
            self.warn_of_spool(&message, now);
        }
    }

    /// Ends a try whose task was cancelled: its documents wait again. True if one was under way.
    pub(in crate::recorder) fn cancel_sending(&mut self, now: Instant) -> bool {
        let Some((lane, sent)) = self.spool.take_sent() else { return false };
        self.put_back(lane, sent, now);
        true
    }

    /// Ends a try that has failed as a whole: the documents wait where they came from.
    pub(super) fn put_back(&mut self, lane: Lane, sent: Waiting, now: Instant) {
        let Some(id) = sent.saved else {
            self.spool.put_front(lane, sent);
            return;
        };
        // Together with the rest of their segment, so that they come back in order.
        let mut is_there = self.unload(lane, id, sent, tried_when_unloaded(lane), now);
        while is_there && let Some((lane, id, waiting)) = self.spool.take_saved(Some(id)) {
            is_there = self.unload(lane, id, waiting, tried_when_unloaded(lane), now);
        }
    }
}

/// Lets go of documents in memory that are also on disk. False if the disk does not have them any more: then they are
/// back in the lane, in memory only.
pub(super) fn unload(
    spool: &mut Spool,
    disk: Option<&mut Disk>,
    lane: Lane,
    id: SegmentId,
    waiting: Waiting,
    tried: Tried,
) -> bool {
    let is_there = disk.is_some_and(|disk| disk.unload(id, &waiting.bulk, tried));
    if is_there {
        spool.recycle(waiting.bulk);
    } else {
        spool.put_front(lane, Waiting { saved: None, ..waiting });
    }
    is_there
}

/// What is known of the documents of a lane when they come to the disk.
pub(super) fn tried_in(lane: Lane) -> Tried {
    match lane {
        Lane::Fresh | Lane::Backlog => Tried::No,
        Lane::Refused | Lane::RefusedBacklog | Lane::Aside => Tried::Refused,
        Lane::Rejected => Tried::Rejected,
    }
}

/// What was learned about them since they were loaded, when they go back to the disk.
pub(super) fn tried_when_unloaded(lane: Lane) -> Tried {
    if lane.is_from_disk() { Tried::No } else { tried_in(lane) }
}
