//! The lanes in which bulks wait in memory, and what is known of a bulk that waits.

use super::disk::SegmentId;
use crate::bulk::Bulk;
use std::sync::Arc;
use std::time::Instant;

/// A bulk that waits to be sent, and what is known of its documents.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) bulk: Arc<Bulk>,
    /// When the oldest of its documents arrived.
    pub(crate) since: Instant,
    /// Its documents are also on disk, in this segment.
    pub(crate) saved: Option<SegmentId>,
    /// They are larger than `spool.bytes`, so they wait in memory only.
    pub(crate) too_large: bool,
    /// No other documents may join this bulk, because requests with it failed as a whole. It may be a half of one that was
    /// split.
    pub(crate) never_merged: bool,
}

impl Waiting {
    pub(crate) fn new(bulk: Arc<Bulk>, since: Instant) -> Self {
        Self { bulk, since, saved: None, too_large: false, never_merged: false }
    }

    /// Whether its documents have to be written to disk and are not there yet.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.saved.is_none() && !self.too_large
    }
}

/// Where documents wait, by what is known of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// In memory; not tried yet, or tried in a request that failed as a whole.
    Fresh,
    /// In memory, refused one by one, for now.
    Refused,
    /// In memory, refused for good; their dead letters could not be written.
    Rejected,
    /// Requests with them fail as a whole, while others succeed. The bulks are not merged with others.
    Aside,
    /// From the disk, not refused so far.
    Backlog,
    /// From the disk, refused before in this run.
    RefusedBacklog,
}

impl Lane {
    /// In the order in which their documents leave the memory for the disk.
    pub(crate) const ALL: [Self; 6] =
        [Self::RefusedBacklog, Self::Backlog, Self::Refused, Self::Rejected, Self::Aside, Self::Fresh];

    /// Whether its documents come from the disk. They are still on disk, unless others have removed them.
    pub(crate) fn is_from_disk(self) -> bool {
        self.of_segments().is_some()
    }

    /// True if the lane takes the segments that were refused in this run, false if it takes the others, and none if it
    /// takes no segments.
    pub(crate) fn of_segments(self) -> Option<bool> {
        match self {
            Self::Fresh | Self::Refused | Self::Rejected | Self::Aside => None,
            Self::Backlog => Some(false),
            Self::RefusedBacklog => Some(true),
        }
    }
}
