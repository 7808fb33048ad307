//! Bounds on what is exchanged with servers.

use std::time::Duration;

/// Idle time after which a kept connection is not used again. Load balancers, NAT and firewalls drop idle connections without
/// telling either side, some of them after seconds; what is sent then is lost, and takes a whole `timeout` to notice. A new
/// connection costs a fraction of a millisecond, so only those are kept that are used every few seconds.
pub(crate) const IDLE_CONNECTION_TRUST: Duration = Duration::from_secs(4);
/// Bytes of the system's file of names, which has a few hundred. In one that is longer nothing is looked up.
pub(crate) const HOSTS_FILE_BYTES_MAX: u64 = 1 << 20;
/// TCP keep-alive: the silence before the first probe, the pause between two probes, and their number. A peer that has gone is
/// noticed after half a minute, where a `timeout` may be longer.
pub(crate) const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
pub(crate) const KEEPALIVE_PROBES: u32 = 3;

/// Bytes of a server's name for an error (`mapper_parsing_exception`).
pub(crate) const ERROR_TYPE_BYTES_MAX: usize = 120;
/// Bytes of the text by which equal failures are recognised, and of the reason that is logged. Both are kept for as long as
/// something fails. A server's own words in them are bounded before, and six times as long with each byte escaped.
pub(crate) const FAILURE_KIND_BYTES_MAX: usize = 400;
pub(crate) const FAILURE_REASON_BYTES_MAX: usize = 1_000;
/// Reasons that are logged for one answer after which documents are sent again: one of each kind, up to this number.
pub(crate) const REFUSALS_LOGGED_MAX: usize = 4;
/// Fields that are named in the message about an index whose types differ from its template; the others are counted.
pub(crate) const OTHER_TYPES_NAMED_MAX: usize = 5;

/// Bytes of an answer's head, and of what may stand behind its last chunk. Go's own client takes a megabyte; servers send
/// a few hundred.
pub(crate) const HEAD_BYTES_MAX: usize = 16 << 10;
/// Fields of an answer's head: each takes 32 B of the stack while it is parsed.
pub(crate) const HEAD_FIELDS_MAX: usize = 100;
