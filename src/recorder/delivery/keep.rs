//! What becomes of documents that have to wait: on disk after `spool.sync`, or when memory is full; back when their turn comes.

use super::Delivery;
use crate::config::Recorder;
use crate::limits;
use crate::log::part_log;
use crate::spool::disk::{self, Changes, Disk, SaveError, SegmentId};
use crate::spool::files::Files;
use crate::spool::{Bounds, Lane, Refused, Waiting};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The disk behind the memory.
#[derive(Debug)]
pub(super) enum Storage {
    /// None was asked for.
    Off,
    /// It could not be opened, and is tried again.
    Closed { place: Place, retry_at: Instant },
    /// `blocked_until`: it could not be written to, and is tried again then; `unreadable_until`: it could not be read.
    Open { place: Place, disk: Box<Disk>, blocked_until: Option<Instant>, unreadable_until: Option<Instant> },
}

/// What was asked for.
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

    /// Goes on as another configuration says, with the same folder or with one where there was none.
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

    pub(super) fn has_backlog(&self) -> bool {
        self.disk().is_some_and(Disk::has_backlog)
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
    /// Saves what has waited for long enough; opens the folder if it is not. Gives when to ask again, at the latest, if
    /// nothing else comes to wait.
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
                // Those that are beyond a bound that was larger before go at once.
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
                    part_log!(self.log_level, Info, info, recorder = name, documents = found, "found in the spool");
                }
            }
            Err(error) => {
                self.storage = Storage::Closed { place, retry_at: now + limits::SPOOL_RETRY };
                self.warn_of_spool(&format!("{error}; documents wait in memory only"), now);
            }
        }
    }

    /// Brings everything to the disk that is not there: what waits is then there only, what is under way is there, too. What is
    /// too large for it stays where it is.
    fn save_all(&mut self, now: Instant) {
        self.look_at_disk(now);
        let Some(disk) = self.storage.writable(now) else { return };
        let (mut failed, mut too_large) = (None, 0);
        if let Some(sending) = self.spool.sending().filter(|sending| sending.is_unsaved()) {
            match disk.save_apart(&sending.bulk) {
                Ok(id) => sending.saved = Some(id),
                Err(SaveError::TooLarge) => (sending.too_large, too_large) = (true, sending.bulk.documents()),
                Err(SaveError::Io(error)) => failed = Some(error),
            }
        }
        while failed.is_none() {
            let Some((lane, mut waiting)) = self.spool.next_unsaved() else { break };
            if !disk.has_room(&waiting.bulk) {
                // The oldest are to make room, and they may be those that are in memory, too.
                while let Some((id, saved)) = self.spool.take_saved(None) {
                    if disk.unload(id, &saved.bulk, saved.refused == Refused::Lately) {
                        self.spool.recycle(saved.bulk);
                    } else {
                        self.spool.append(Lane::Held, Waiting { saved: None, ..saved });
                    }
                }
            }
            match disk.save(&waiting.bulk, waiting.refused != Refused::Never) {
                Ok(()) => self.spool.recycle(waiting.bulk),
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
        if let Storage::Open { place, blocked_until, .. } = &mut self.storage {
            *blocked_until = failed.is_some().then(|| now + limits::SPOOL_RETRY);
            if let Some(error) = failed {
                let folder = place.folder.display();
                let message = format!("cannot write to the spool folder {folder}: {error}; documents wait in memory");
                self.warn_of_spool(&message, now);
            }
        }
        if too_large > 0 {
            let message = format!("larger than spool.bytes: {too_large} documents wait in memory only");
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
        gone.into_iter().for_each(|id| self.spool.forget_saved(id));
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
            part_log!(self.log_level, Warn, warn, recorder = name, found, "{message}");
        }
        if lost > 0 {
            self.lost(
                "spool removed",
                "others have removed or moved files of the spool: what was in them is lost",
                now,
            );
        } else if rescued > 0 && self.losses.failed("spool rescued", now).is_some() {
            let name = self.name.as_str();
            let message = "others have removed or moved files of the spool: what was in them has been written again";
            part_log!(self.log_level, Warn, warn, recorder = name, documents = rescued, "{message}");
        }
    }

    /// Nothing is lost by it yet.
    fn warn_of_spool(&mut self, message: &str, now: Instant) {
        if self.losses.failed("spool", now).is_some() {
            let waiting = self.ledger.waiting;
            part_log!(self.log_level, Warn, warn, recorder = self.name, waiting, "{message}");
        }
    }

    /// The last chance, whatever has failed before.
    pub(super) fn save_at_last(&mut self, now: Instant) {
        if let Storage::Open { disk, blocked_until, .. } = &mut self.storage {
            *blocked_until = None;
            // What is said to wait on disk is to be there.
            let _ = disk.look_at_last();
            self.book_changes(now);
            self.save_all(now);
        }
    }

    /// Within the bounds of memory again: by the disk, else the oldest go.
    pub(super) fn make_room(&mut self, now: Instant) {
        if !self.spool.is_over() {
            return;
        }
        self.save_all(now);
        let mut dropped = 0;
        while self.spool.is_over() {
            // What is on disk, too, can wait there alone.
            if let Some((id, waiting)) = self.spool.take_saved(None) {
                if !self.unload(Lane::Held, id, waiting, now) {
                    self.save_all(now);
                }
                continue;
            }
            let Some(oldest) = self.spool.take_oldest() else { break };
            dropped += oldest.bulk.documents() as u64;
            self.spool.recycle(oldest.bulk);
        }
        if dropped > 0 {
            self.drop_documents(dropped, |ledger| &mut ledger.dropped.memory_limit);
            self.lost("dropped", "settings.memory_limit is reached: the oldest documents make room", now);
        }
    }

    /// Lets documents wait on disk alone that are there, too. False if others have removed them there: they are in the lane
    /// again.
    fn unload(&mut self, lane: Lane, id: SegmentId, waiting: Waiting, now: Instant) -> bool {
        let is_refused = waiting.refused == Refused::Lately;
        let is_there = self.storage.disk_mut().is_some_and(|disk| disk.unload(id, &waiting.bulk, is_refused));
        if is_there {
            self.spool.recycle(waiting.bulk);
        } else {
            self.spool.put_front(lane, Waiting { saved: None, ..waiting });
            self.book_changes(now);
        }
        is_there
    }

    /// Books the documents that made room on disk.
    pub(super) fn count_dropped(&mut self, now: Instant) {
        let dropped = self.storage.disk_mut().map_or(0, Disk::take_dropped);
        self.drop_documents(dropped, |ledger| &mut ledger.dropped.spool_full);
        if dropped > 0 {
            self.lost("spool full", "spool.bytes is reached: the oldest documents make room", now);
        }
    }

    /// Brings the next segment from the disk to the held lane, if all that came from there has been tried: what was refused
    /// goes back, behind what was not, so that it delays no other. True if there was none after many of them, and there are
    /// more: others are to have their turn first.
    pub(super) fn load_backlog(&mut self, now: Instant) -> bool {
        let is_readable = self.storage.unreadable_until(now).is_none();
        let mut segments = 0;
        while is_readable && !self.spool.has_loaded() && self.storage.has_backlog() {
            if segments == limits::SEGMENTS_PER_TURN {
                return true;
            }
            segments += 1;
            while let Some((id, refused)) = self.spool.take_saved(None) {
                self.unload(Lane::Held, id, refused, now);
                self.storage.disk_mut().into_iter().for_each(|disk| disk.put_behind(id));
            }
            let Some(room) = self.spool.room_to_load() else { return false };
            let loaded = match self.storage.disk_mut().map(|disk| disk.load_next(room)) {
                Some(Ok(Some(loaded))) => loaded,
                None | Some(Ok(None)) => return false,
                Some(Err(error)) => {
                    self.cannot_read(&error, now);
                    return false;
                }
            };
            self.book_changes(now);
            self.update(|ledger| {
                // What is lost beyond what was counted came from a write that had failed.
                let found = loaded.damaged - loaded.counted;
                ledger.made += found;
                ledger.recovered += found;
                ledger.waiting -= loaded.counted;
                ledger.dropped.damaged += loaded.damaged;
            });
            if loaded.damaged > 0 {
                self.lost("damaged", "documents in the spool were damaged; what is left of them is set aside", now);
            }
            // It may come from a time of other bounds.
            let Bounds { documents_max, bytes_max, .. } = self.spool.bounds();
            let portions = loaded.bulk.portions(documents_max, bytes_max).into_iter().map(Arc::new);
            let refused = if loaded.refused { Refused::Before } else { Refused::Never };
            let (saved, since) = (Some(loaded.id), now);
            let waiting = portions.map(|bulk| Waiting { bulk, since, saved, refused, too_large: false });
            if loaded.refused {
                waiting.for_each(|waiting| self.spool.append(Lane::Held, waiting));
            } else {
                waiting.rev().for_each(|waiting| self.spool.put_front(Lane::Held, waiting));
            }
        }
        false
    }

    fn cannot_read(&mut self, error: &io::Error, now: Instant) {
        if let Storage::Open { place, unreadable_until, .. } = &mut self.storage {
            *unreadable_until = Some(now + limits::SPOOL_RETRY);
            let folder = place.folder.display();
            let message = format!("cannot read the spool folder {folder}: {error}; what is there waits");
            self.warn_of_spool(&message, now);
        }
    }

    /// Ends a try whose end nobody waits for any more. True if one was under way.
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
        // With the rest of their segment, so that they come back in order.
        self.unload(lane, id, sent, now);
        while let Some((id, waiting)) = self.spool.take_saved(Some(id)) {
            self.unload(Lane::Held, id, waiting, now);
        }
    }

    /// So many documents of a bulk are done.
    pub(super) fn finish_documents(&mut self, saved: Option<SegmentId>, documents: u64) {
        if let (Some(id), Some(disk)) = (saved, self.storage.disk_mut()) {
            disk.done(id, documents);
        }
    }
}
