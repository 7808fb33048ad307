//! The spool folder of a recorder, whether it is open, and whether it could be read and written lately.

use crate::config::Recorder;
use crate::limits;
use crate::spool::disk::{self, Disk, SegmentId};
use crate::spool::files::Files;
use crate::spool::{Bounds, Lane};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The disk behind the memory.
#[derive(Debug)]
pub(super) enum Storage {
    /// The recorder has no spool.
    Off,
    /// It is not open yet, or could not be opened. It is tried again.
    Closed { config: SpoolConfig, retry_at: Instant },
    /// `blocked_until`: it could not be written to, and is tried again then; `unreadable_until`: it could not be read.
    Open { config: SpoolConfig, disk: Box<Disk>, blocked_until: Option<Instant>, unreadable_until: Option<Instant> },
}

/// What the configuration says about the spool.
#[derive(Debug, Clone)]
pub(super) struct SpoolConfig {
    pub(super) files: Files,
    pub(super) folder: PathBuf,
    pub(super) bounds: disk::Bounds,
    pub(super) sync: Duration,
}

impl Storage {
    /// Not opened yet: [`Delivery::save_due`] does.
    pub(super) fn new(config: &Recorder, bounds: Bounds, files: Files, now: Instant) -> Self {
        let Some(spool) = &config.spool else { return Self::Off };
        let bounds = disk::Bounds {
            bytes_max: spool.bytes_max,
            segment_bytes_max: bounds.bytes_max as u64,
            segment_documents_max: (bounds.documents_max as u64).max(limits::SEGMENT_DOCUMENTS_MIN),
        };
        let spool = SpoolConfig { files, folder: spool.path.clone(), bounds, sync: spool.sync };
        Self::Closed { config: spool, retry_at: now }
    }

    /// Applies another configuration, which has the same folder, or a folder where there was none.
    pub(super) fn apply_config(&mut self, config: &Recorder, bounds: Bounds, files: Files, now: Instant) {
        let Self::Closed { config: new, .. } = Self::new(config, bounds, files, now) else { return };
        match self {
            Self::Off => *self = Self::Closed { config: new, retry_at: now },
            Self::Closed { config, retry_at } => (*config, *retry_at) = (new, now),
            Self::Open { config, disk, blocked_until, unreadable_until } => {
                disk.set_bounds(new.bounds);
                (*config, *blocked_until, *unreadable_until) = (new, None, None);
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

    pub(super) fn disk(&self) -> Option<&Disk> {
        match self {
            Self::Open { disk, .. } => Some(disk),
            Self::Off | Self::Closed { .. } => None,
        }
    }

    pub(super) fn disk_mut(&mut self) -> Option<&mut Disk> {
        match self {
            Self::Open { disk, .. } => Some(disk),
            Self::Off | Self::Closed { .. } => None,
        }
    }

    /// The disk, unless it could not be written to a short while ago.
    pub(super) fn writable(&mut self, now: Instant) -> Option<&mut Disk> {
        match self {
            Self::Open { disk, blocked_until, .. } if blocked_until.is_none_or(|until| until <= now) => Some(disk),
            _ => None,
        }
    }
}
