//! What becomes of documents that have to wait: they go to disk after `spool.sync`, or when memory is full, and come
//! back when it is their turn.

use super::Delivery;
use crate::config::Recorder;
use crate::limits;
use crate::log::part_log;
use crate::plural::counted;
use crate::spool::disk::{self, Changes, Disk, Dropped, SaveError, SegmentId, Tried};
use crate::spool::files::Files;
use crate::spool::{Bounds, Lane, Waiting};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The disk behind the memory.
#[derive(Debug)]
pub(super) enum Storage {
    /// The recorder has no spool.
    Off,
    /// It is not open yet, or could not be opened. It is tried again.
    Closed { place: Place, retry_at: Instant },
    /// `blocked_until`: it could not be written to, and is tried again then; `unreadable_until`: it could not be read.
    Open { place: Place, disk: Box<Disk>, blocked_until: Option<Instant>, unreadable_until: Option<Instant> },
}

/// What the configuration says about the spool.
#[derive(Debug, Clone)]
pub(super) struct Place {
    files: Files,
    folder: PathBuf,
    bounds: disk::Bounds,
    sync: Duration,
}

impl Storage {
    /// Not opened yet: [`Delivery::keep`] does.
    pub(super) fn new(config: &Recorder, bounds: Bounds, files: Files, now: Instant) -> Self {
        let Some(spool) = &config.spool else { return Self::Off };
        let bounds = disk::Bounds {
            bytes_max: spool.bytes_max,
            segment_bytes_max: bounds.bytes_max as u64,
            segment_documents_max: (bounds.documents_max as u64).max(limits::SEGMENT_DOCUMENTS_MIN),
        };
        let place = Place { files, folder: spool.path.clone(), bounds, sync: spool.sync };
        Self::Closed { place, retry_at: now }
    }

    /// Applies another configuration, which has the same folder, or a folder where there was none.
    pub(super) fn follow(&mut self, config: &Recorder, bounds: Bounds, files: Files, now: Instant) {
        let Self::Closed { place: new, .. } = Self::new(config, bounds, files, now) else { return };
        match self {
            Self::Off => *self = Self::Closed { place: new, retry_at: now },
            Self::Closed { place, retry_at } => (*place, *retry_at) = (new, now),
            Self::Open { place, disk, blocked_until, unreadable_until } => {
                disk.follow(new.bounds);
                (*place, *blocked_until, *unreadable_until) = (new, None, None);
            }
        }
    }

    pub(super) fn documents(&self) -> u64 {
        self.disk().map_or(0, Disk::documents)
    }

    /// Documents that wait on disk for their turn in a lane.
    pub(super) fn waiting(&self, lane: Lane) -> u64 {
        lane.of_segments().zip(self.disk()).map_or(0, |(refused, disk)| disk.waiting(refused))
    }

    pub(super) fn has_backlog(&self, lane: Lane) -> bool {
        lane.of_segments().zip(self.disk()).is_some_and(|(refused, disk)| disk.has_backlog(refused))
    }

    /// This many documents of a segment are done.
    pub(super) fn done(&mut self, id: SegmentId, documents: u64) {
        if let Some(disk) = self.disk_mut() {
            disk.done(id, documents);
        }
    }

    /// When it is read again, if it could not be read a short while ago.
    pub(super) fn unreadable_until(&self, now: Instant) -> Option<Instant> {
        match self {
            Self::Open { unreadable_until, .. } => unreadable_until.filter(|until| now < *until),
            Self::Off | Self::Closed { .. } => None,
        }
    }

    fn disk(&self) -> Option<&Disk> {
        match self {
            Self::Open { disk, .. } => Some(disk),
            Self::Off | Self::Closed { .. } => None,
        }
    }

    fn disk_mut(&mut self) -> Option<&mut Disk> {
        match self {
            Self::Open { disk, .. } => Some(disk),
            Self::Off | Self::Closed { .. } => None,
        }
    }

    /// The disk, unless it could not be written to a short while ago.
    fn writable(&mut self, now: Instant) -> Option<&mut Disk> {
        match self {
            Self::Open { disk, blocked_until, .. } if blocked_until.is_none_or(|until| until <= now) => Some(disk),
            _ => None,
        }
    }
}

impl Delivery {
    /// Saves what has waited for long enough, and opens the folder if it is not open. Returns when to call it again if
    /// nothing else starts to wait.
    pub(in crate::recorder) fn keep(&mut self, now: Instant) -> Option<Instant> {
        if let Storage::Closed { retry_at, .. } = &self.storage
            && *retry_at <= now
        {
            self.open_storage(now);
        }
        if self.save_due().is_some_and(|due| due <= now) {
            self.save_all(now);
        }
        match &self.storage {
            Storage::Off => None,
            Storage::Closed { retry_at, .. } => Some(*retry_at),
            Storage::Open { .. } => self.save_due(),
        }
    }

    fn save_due(&self) -> Option<Instant> {
        let Storage::Open { place, blocked_until, .. } = &self.storage else { return None };
        let due = self.spool.unsaved_since()? + place.sync;
        Some(blocked_until.map_or(due, |until| until.max(due)))
    }

    fn open_storage(&mut self, now: Instant) {
        let Storage::Closed { place, .. } = &self.storage else { return };
        let place = place.clone();
        match Disk::open(place.files.clone(), &place.folder, place.bounds) {
            Ok(disk) => {
                // Documents beyond the bound, which may have been larger before, are dropped at once.
                let found = disk.documents() + disk.dropped();
                self.storage =
                    Storage::Open { place, disk: Box::new(disk), blocked_until: None, unreadable_until: None };
                self.update(|ledger| {
                    ledger.made += found;
                    ledger.recovered += found;
                    ledger.waiting += found;
                });
                self.count_dropped(now);
                if found > 0 {
                    let name = self.name.as_str();
                    part_log!(
                        self.log_level,
                        Info,
                        recorder = name,
                        documents = found,
                        "documents recovered from the spool"
                    );
                }
            }
            Err(error) => {
                self.storage = Storage::Closed { place, retry_at: now + limits::SPOOL_RETRY };
                self.warn_of_spool(&format!("{error}; keeping documents in memory only"), now);
            }
        }
    }

    /// Saves everything that is not on disk yet. Documents that wait leave the memory; bulks that are under way or set
    /// aside stay in memory as well. What is too large for the disk stays where it is.
    fn save_all(&mut self, now: Instant) {
        self.look_at_disk(now);
        let Some(disk) = self.storage.writable(now) else { return };
        let (mut failed, mut too_large) = (None, 0);
        while failed.is_none()
            && let Some(waiting) = self.spool.next_apart()
        {
            match disk.save_apart(&waiting.bulk) {
                Ok(id) => waiting.saved = Some(id),
                Err(SaveError::TooLarge) => {
                    waiting.too_large = true;
                    too_large += waiting.bulk.documents();
                }
                Err(SaveError::Io(error)) => failed = Some(error),
            }
        }
        let segment_documents = usize::try_from(limits::SEGMENT_DOCUMENTS_MIN).unwrap_or(usize::MAX);
        let documents_max = self.spool.bounds().documents_max.max(segment_documents);
        while failed.is_none() {
            let Some((lane, mut waiting)) = self.spool.next_unsaved(documents_max) else { break };
            if !disk.has_room(&waiting.bulk) {
                // The oldest documents have to make room, and those may be in memory as well.
                while let Some((lane, id, saved)) = self.spool.take_saved(None) {
                    if disk.unload(id, &saved.bulk, unloaded(lane)) {
                        self.spool.recycle(saved.bulk);
                    } else {
                        self.spool.put_front(lane, Waiting { saved: None, ..saved });
                    }
                }
            }
            let others_wait = disk.has_backlog(true);
            match disk.save(&waiting.bulk, tried(lane)) {
                Ok(()) => {
                    self.spool.recycle(waiting.bulk);
                    if !others_wait && tried(lane) != Tried::No {
                        self.turns.carry_pause(lane, Lane::RefusedBacklog);
                    }
                }
                Err(SaveError::TooLarge) => {
                    waiting.too_large = true;
                    too_large += waiting.bulk.documents();
                    self.spool.append(lane, waiting);
                }
                Err(SaveError::Io(error)) => {
                    failed = Some(error);
                    self.spool.put_front(lane, waiting);
                }
            }
        }
        self.end_of_saving(failed, too_large, now);
    }

    /// Logs what was not saved, and books the results.
    fn end_of_saving(&mut self, failed: Option<io::Error>, too_large: usize, now: Instant) {
        if let Storage::Open { place, blocked_until, .. } = &mut self.storage {
            *blocked_until = failed.is_some().then(|| now + limits::SPOOL_RETRY);
            if let Some(error) = failed {
                let folder = place.folder.display();
                let message = format!(
                    "cannot write to the spool folder {folder}: {error}; keeping documents in \
                                       memory"
                );
                self.warn_of_spool(&message, now);
            }
        }
        if too_large > 0 {
            let documents = counted(too_large as u64, "document");
            let message = format!("{documents} larger than spool.bytes: kept in memory only");
            self.warn_of_spool(&message, now);
        }
        self.book_changes(now);
        self.update(|_| {});
        self.count_dropped(now);
    }

    /// Notices what others have done to the spool folder, before anything else is decided.
    fn look_at_disk(&mut self, now: Instant) {
        if let Some(disk) = self.storage.writable(now) {
            // If it cannot be written to, the write says so.
            let _ = disk.look();
            self.book_changes(now);
        }
    }

    /// Books what others have done to the spool folder.
    fn book_changes(&mut self, now: Instant) {
        let Some(changes) = self.storage.disk_mut().and_then(Disk::take_changes) else { return };
        let Changes { lost, rescued, found, gone, folder } = changes;
        for id in gone {
            self.spool.forget_saved(id);
        }
        self.update(|ledger| {
            ledger.made += found;
            ledger.recovered += found;
            ledger.waiting += found;
            ledger.waiting -= lost;
            ledger.dropped.spool_removed += lost;
        });
        if let Some(message) = folder
            && self.losses.failed("spool moved", now).is_some()
        {
            let name = self.name.as_str();
            part_log!(self.log_level, Warn, recorder = name, documents = found, "{message}");
        }
        if lost > 0 {
            self.lost("spool removed", "another process removed or moved spool files: their documents are lost", now);
        } else if rescued > 0 && self.losses.failed("spool rescued", now).is_some() {
            let name = self.name.as_str();
            let message = "another process removed or moved spool files: their documents have been written again";
            part_log!(self.log_level, Warn, recorder = name, documents = rescued, "{message}");
        }
    }

    /// Logs a problem that has not lost anything yet.
    fn warn_of_spool(&mut self, message: &str, now: Instant) {
        if self.losses.failed("spool", now).is_some() {
            let waiting = self.ledger.waiting;
            part_log!(self.log_level, Warn, recorder = self.name, waiting, "{message}");
        }
    }

    /// The last chance, whatever has failed before.
    pub(super) fn save_at_last(&mut self, now: Instant) {
        if let Storage::Open { disk, blocked_until, .. } = &mut self.storage {
            *blocked_until = None;
            // Whatever counts as waiting on disk has to be there.
            let _ = disk.look_at_last();
            self.book_changes(now);
            self.save_all(now);
        }
    }

    /// Brings the memory back within its bounds: by saving, otherwise by dropping the oldest documents.
    pub(super) fn make_room(&mut self, now: Instant) {
        if !self.spool.is_over() {
            return;
        }
        self.save_all(now);
        let (mut dropped, mut rejected) = (0, 0);
        while self.spool.is_over() {
            // Documents that are also on disk can wait there alone.
            if let Some((lane, id, waiting)) = self.spool.take_saved(None) {
                if !self.unload(lane, id, waiting, unloaded(lane), now) {
                    self.save_all(now);
                }
                continue;
            }
            let Some((lane, documents)) = self.spool.drop_oldest() else { break };
            *(if lane == Lane::Rejected { &mut rejected } else { &mut dropped }) += documents as u64;
        }
        self.drop_documents(dropped, |ledger| &mut ledger.dropped.memory_limit);
        self.drop_documents(rejected, |ledger| &mut ledger.dropped.dead_letter_unwritable);
        if dropped + rejected > 0 {
            self.lost("dropped", "settings.memory_limit reached: dropping the oldest documents", now);
        }
    }

    /// Lets go of documents in memory that are also on disk. False if others have removed them from the disk: then they
    /// are back in the lane.
    pub(super) fn unload(&mut self, lane: Lane, id: SegmentId, waiting: Waiting, tried: Tried, now: Instant) -> bool {
        let is_there = self.storage.disk_mut().is_some_and(|disk| disk.unload(id, &waiting.bulk, tried));
        if is_there {
            self.spool.recycle(waiting.bulk);
        } else {
            self.spool.put_front(lane, Waiting { saved: None, ..waiting });
            self.book_changes(now);
        }
        is_there
    }

    /// Books the documents that were dropped from the disk to make room.
    pub(super) fn count_dropped(&mut self, now: Instant) {
        let Dropped { documents, rejected } = self.storage.disk_mut().map(Disk::take_dropped).unwrap_or_default();
        self.drop_documents(documents - rejected, |ledger| &mut ledger.dropped.spool_full);
        self.drop_documents(rejected, |ledger| &mut ledger.dropped.dead_letter_unwritable);
        if documents > 0 {
            self.lost("spool full", "spool.bytes reached: dropping the oldest documents", now);
        }
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
                self.lost(
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
        if let Storage::Open { place, unreadable_until, .. } = &mut self.storage {
            *unreadable_until = Some(now + limits::SPOOL_RETRY);
            let folder = place.folder.display();
            let message = format!("cannot read the spool folder {folder}: {error}; retrying");
            self.warn_of_spool(&message, now);
        }
    }

    /// Ends a try that was cancelled. True if one was under way.
    pub(in crate::recorder) fn take_back(&mut self, now: Instant) -> bool {
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
        let mut is_there = self.unload(lane, id, sent, unloaded(lane), now);
        while is_there && let Some((lane, id, waiting)) = self.spool.take_saved(Some(id)) {
            is_there = self.unload(lane, id, waiting, unloaded(lane), now);
        }
    }
}

/// What is known of the documents of a lane when they come to the disk.
fn tried(lane: Lane) -> Tried {
    match lane {
        Lane::Fresh | Lane::Backlog => Tried::No,
        Lane::Refused | Lane::RefusedBacklog | Lane::Aside => Tried::Refused,
        Lane::Rejected => Tried::Rejected,
    }
}

/// What was learned about them since they were loaded, when they go back to the disk.
fn unloaded(lane: Lane) -> Tried {
    if lane.is_from_disk() { Tried::No } else { tried(lane) }
}
