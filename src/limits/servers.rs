//! Bounds on what is exchanged with servers.

use std::time::Duration;

/// Idle time after which a kept connection is not used again. Load balancers, NAT and firewalls drop idle connections without
/// telling either side, some of them after seconds. A request on such a connection is lost, and only `timeout` reveals it. A
/// new connection costs a fraction of a millisecond, so only connections that are used every few seconds are kept.
pub(crate) const IDLE_CONNECTION_TRUST: Duration = Duration::from_secs(4);
/// How long the addresses of a host name are used. Then they are asked for again when the next connection is made.
pub(crate) const NAME_AGE_MAX: Duration = Duration::from_secs(30);
/// Addresses of one name that are tried. Names with more are those of large clusters, and the resolver shuffles them.
pub(crate) const NAME_ADDRESSES_MAX: usize = 16;
/// Name lookups at once. Each has a thread, which may hang for a minute when a name server is down.
pub(crate) const LOOKUPS_MAX: usize = 16;
/// Stack of a lookup's thread. The resolver and its modules (mDNS, LDAP) put answers of up to 64 kB on it. Only what is used
/// becomes resident.
pub(crate) const LOOKUP_STACK_BYTES: usize = 512 << 10;
/// How long one address is tried before the next one is tried beside it, if it has neither accepted nor failed (RFC 8305
/// recommends this time).
pub(crate) const ADDRESS_HEAD_START: Duration = Duration::from_millis(250);
/// Bytes of the system's hosts file, which has a few hundred. A longer file is ignored.
pub(crate) const HOSTS_FILE_BYTES_MAX: u64 = 1 << 20;
/// TCP keep-alive: the silence before the first probe, the pause between two probes, and their number. So a peer that has
/// disappeared is noticed after half a minute, even if `timeout` is longer.
pub(crate) const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
pub(crate) const KEEPALIVE_PROBES: u32 = 3;

/// Bytes of the `type` of a server's error, such as `mapper_parsing_exception`.
pub(crate) const ERROR_TYPE_BYTES_MAX: usize = 120;
/// Bytes of the text by which equal failures are recognised, and of the reason that is logged. Both are kept in memory while
/// the failure lasts. Quotes from a server in them have bounds of their own, but escapes can make these six times as long.
pub(crate) const FAILURE_KIND_BYTES_MAX: usize = 400;
pub(crate) const FAILURE_REASON_BYTES_MAX: usize = 1_000;
/// Reasons that are logged for one answer that refuses documents for now: one of each kind, up to this number.
pub(crate) const REFUSALS_LOGGED_MAX: usize = 4;
/// Endpoints that `check` names because of a proxy that a program without proxies cannot use: enough to see which.
#[cfg(not(feature = "proxy"))]
pub(crate) const UNUSABLE_PROXIES_NAMED_MAX: usize = 8;
/// Fields that are named in the message about an index whose types differ from its template; the others are counted.
pub(crate) const OTHER_TYPES_NAMED_MAX: usize = 5;

/// Bytes of an HTTP answer's head, and of the trailers after its last chunk. Go's own client accepts a megabyte; servers send
/// a few hundred bytes.
pub(crate) const HEAD_BYTES_MAX: usize = 16 << 10;
/// Header fields of an HTTP answer. Each takes 32 B of the stack while the head is parsed.
pub(crate) const HEAD_FIELDS_MAX: usize = 100;

/// Reads from a TLS connection in a row that give nothing but records without content, such as tickets, before others have
/// their turn. Each reads up to 4 kB. Servers send a few hundred bytes of such records.
#[cfg(feature = "tls")]
pub(crate) const TLS_EMPTY_READS_MAX: usize = 16;

/// Panels that a dashboard has for single variables. A page with more takes the front end many seconds.
pub(crate) const VARIABLE_PANELS_MAX: usize = 60;
/// Series of one panel, such as one for each reader, and panels for each recorder. More cannot be told apart.
pub(crate) const PANEL_SERIES_MAX: usize = 20;
/// Bytes of a variable's or index's name in the id of a saved object, each of which may take three. Servers allow 512 in all.
pub(crate) const SAVED_ID_PART_BYTES_MAX: usize = 60;
/// Bytes of the answer to an import. It has some 300 for each object.
pub(crate) const IMPORT_ANSWER_BYTES_MAX: usize = 1 << 20;
/// Bytes of the text about an import, with a line for each object that was not taken. It is shown once, and not kept.
pub(crate) const IMPORT_TEXT_BYTES_MAX: usize = 16 << 10;
/// The time for the whole of `expvastic test`. A person is waiting, and several servers that hang are asked at the same time.
pub(crate) const TEST_TIME_MAX: Duration = Duration::from_secs(60);
/// Addresses of a host name that it shows.
pub(crate) const TEST_ADDRESSES_SHOWN: usize = 4;
/// Days before its end at which it says that a certificate has to be renewed.
pub(crate) const TEST_CERTIFICATE_DAYS_MIN: u64 = 30;
/// Lines for which it looks up the place in the configuration file. The file is parsed again for each.
pub(crate) const TEST_PLACES_MAX: usize = 50;
/// Bytes of a text in one of its lines. There are at most three.
pub(crate) const TEST_TEXT_BYTES_MAX: usize = 1_000;
/// Files of a system that has its certificates in a folder instead of a bundle. There are some 150, most of them twice.
#[cfg(feature = "tls")]
pub(crate) const CA_FILES_MAX: usize = 1_000;
/// Different TLS configurations that are kept loaded. Each has its own trusted certificates, 0.2 MB for those of the system.
#[cfg(feature = "tls")]
pub(crate) const TLS_SETTINGS_MAX: usize = 32;
/// Ports whose TLS sessions are kept apart, for each TLS configuration. A range of ports has at most [`super::RANGE_PORTS_MAX`].
#[cfg(feature = "tls")]
pub(crate) const TLS_PORTS_MAX: usize = 2 * super::RANGE_PORTS_MAX;
/// Tickets by which sessions can be resumed, for each TLS configuration and port. rustls keeps eight for each name of a host, so
/// these are four hosts. A ticket takes up to 2 kB.
#[cfg(feature = "tls")]
pub(crate) const TLS_SESSIONS_MAX: usize = 32;
/// Hours for which a server can be told to keep documents: a hundred years.
pub(crate) const RETENTION_HOURS_MAX: u32 = 36_500 * 24;
