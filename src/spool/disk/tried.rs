//! What is known about documents that wait on disk, and about those that were dropped to make room.

/// What is known of documents that come to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tried {
    /// Not at all, or with a whole request that failed.
    No,
    /// Refused one by one, for now.
    Refused,
    /// Refused for good; their dead letters could not be written.
    Rejected,
}

/// Documents that made room.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Dropped {
    pub(crate) documents: u64,
    /// Those of them that were known to be [`Tried::Rejected`].
    pub(crate) rejected: u64,
}
