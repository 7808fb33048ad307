//! Bounds on what is exchanged with servers.

/// Bytes of a server's name for an error (`mapper_parsing_exception`).
pub(crate) const ERROR_TYPE_BYTES_MAX: usize = 120;
/// Bytes of what failures that are alike are told by, and of why something failed: both are kept while it fails, and a
/// log line has the reason. A server's own words in it are bounded before, and six times as long with each byte escaped.
pub(crate) const FAILURE_KIND_BYTES_MAX: usize = 400;
pub(crate) const FAILURE_REASON_BYTES_MAX: usize = 1_000;
/// Reasons that are told of one answer to a bulk whose documents go again: one of each kind, as long as they are few.
pub(crate) const REFUSALS_SAID_MAX: usize = 4;
