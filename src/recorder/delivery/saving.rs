//! What becomes of documents that have to wait: they go to disk after `spool.sync`, or when memory is full. Without a
//! spool, the oldest are dropped when memory is full.

use super::Delivery;
use super::loading::{tried_in, tried_when_unloaded, unload};
use super::storage::Storage;
use crate::limits;
use crate::log::component_log;
use crate::plural::counted;
use crate::spool::Lane;
use crate::spool::disk::{Changes, Disk, Dropped, SaveError, Tried};
use std::io;
use std::time::Instant;

impl Delivery {
    /// Saves what has waited for long enough, and opens the folder if it is not open. Returns when to call it again if
    /// nothing else starts to wait.
    pub(in crate::recorder) fn save_due(&mut self, now: Instant) -> Option<Instant> {
        if let Storage::Closed { retry_at, .. } = &self.storage
            && *retry_at <= now
        {
            self.open_storage(now);
        }
        if self.next_save().is_some_and(|due| due <= now) {
            self.save_all(now);
        }
        match &self.storage {
            Storage::Off => None,
            Storage::Closed { retry_at, .. } => Some(*retry_at),
            Storage::Open { .. } => self.next_save(),
        }
    }

    fn next_save(&self) -> Option<Instant> {
        let Storage::Open { config, blocked_until, .. } = &self.storage else { return None };
        let due = self.spool.unsaved_since()? + config.sync;
        Some(blocked_until.map_or(due, |until| until.max(due)))
    }

    fn open_storage(&mut self, now: Instant) {
        let Storage::Closed { config, .. } = &self.storage else { return };
        let config = config.clone();
        match Disk::open(config.files.clone(), &config.folder, config.bounds) {
            Ok(disk) => {
                // Documents beyond the bound, which may have been larger before, are dropped at once.
                let found = disk.documents() + disk.dropped();
                self.storage =
                    Storage::Open { config, disk: Box::new(disk), blocked_until: None, unreadable_until: None };
                self.update(|ledger| {
                    ledger.made += found;
                    ledger.recovered += found;
                    ledger.waiting += found;
                });
                self.count_dropped(now);
                if found > 0 {
                    let name = self.name.as_str();
                    component_log!(
                        self.log_level,
                        Info,
                        recorder = name,
                        documents = found,
                        "documents recovered from the spool"
                    );
                }
            }
            Err(error) => {
                self.storage = Storage::Closed { config, retry_at: now + limits::SPOOL_RETRY };
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
            && let Some(waiting) = self.spool.next_to_copy()
        {
            match disk.save_copy(&waiting.bulk) {
                Ok(id) => {
                    waiting.saved = Some(id);
                    disk.saved_since(waiting.since);
                }
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
                    unload(&mut self.spool, Some(&mut *disk), lane, id, saved, tried_when_unloaded(lane));
                }
            }
            let others_wait = disk.has_backlog(true);
            match disk.save(&waiting.bulk, tried_in(lane)) {
                Ok(()) => {
                    disk.saved_since(waiting.since);
                    self.spool.recycle(waiting.bulk);
                    if !others_wait && tried_in(lane) != Tried::No {
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
        if let Storage::Open { config, blocked_until, .. } = &mut self.storage {
            *blocked_until = failed.is_some().then(|| now + limits::SPOOL_RETRY);
            if let Some(error) = failed {
                let folder = config.folder.display();
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
        self.refresh_spooled();
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
    pub(super) fn book_changes(&mut self, now: Instant) {
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
            component_log!(self.log_level, Warn, recorder = name, documents = found, "{message}");
        }
        if lost > 0 {
            self.log_loss(
                "spool removed",
                "another process removed or moved spool files: their documents are lost",
                now,
            );
        } else if rescued > 0 && self.losses.failed("spool rescued", now).is_some() {
            let name = self.name.as_str();
            let message = "another process removed or moved spool files: their documents have been written again";
            component_log!(self.log_level, Warn, recorder = name, documents = rescued, "{message}");
        }
    }

    /// Logs a problem that has not lost anything yet.
    pub(super) fn warn_of_spool(&mut self, message: &str, now: Instant) {
        self.note_error(message, now);
        if self.losses.failed("spool", now).is_some() {
            let waiting = self.ledger.waiting;
            component_log!(self.log_level, Warn, recorder = self.name, waiting, "{message}");
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
        self.make_room_for(0, now);
    }

    /// Brings the memory so far below its bounds that it can grow by this many bytes.
    pub(super) fn make_room_for(&mut self, growth: usize, now: Instant) {
        if !self.spool.is_over_limit(growth) {
            return;
        }
        self.save_all(now);
        let (mut dropped, mut rejected) = (0, 0);
        while self.spool.is_over_limit(growth) {
            // Documents that are also on disk can wait there alone.
            if let Some((lane, id, waiting)) = self.spool.take_saved(None) {
                if !self.unload(lane, id, waiting, tried_when_unloaded(lane), now) {
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
            self.log_loss("dropped", "settings.memory_limit reached: dropping the oldest documents", now);
        }
    }

    /// Books the documents that were dropped from the disk to make room.
    pub(super) fn count_dropped(&mut self, now: Instant) {
        let Dropped { documents, rejected } = self.storage.disk_mut().map(Disk::take_dropped).unwrap_or_default();
        self.drop_documents(documents - rejected, |ledger| &mut ledger.dropped.spool_full);
        self.drop_documents(rejected, |ledger| &mut ledger.dropped.dead_letter_unwritable);
        if documents > 0 {
            self.log_loss("spool full", "spool.bytes reached: dropping the oldest documents", now);
        }
    }
}
