//! Bounds on the program's own HTTP pages.

use std::time::Duration;

/// Clients of the program's own pages that are served at the same time. The least is enough for a probe, a collector and a
/// browser with six connections. With enough descriptors there are more, so that many idle clients do not keep out new ones.
pub(crate) const PAGE_CONNECTIONS_MIN: usize = 8;
pub(crate) const PAGE_CONNECTIONS_MAX: usize = 64;
/// The backlog of the listening socket: clients that are connected and not yet accepted.
pub(crate) const PAGE_BACKLOG: i32 = 512;
/// If all places are taken, a new client waits until one has been connected for at least this long, and replaces it.
pub(crate) const PAGE_CLIENT_TIME_MIN: Duration = Duration::from_millis(40);
/// The pause before the next attempt to accept a client when there was no descriptor for it.
pub(crate) const PAGE_ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The time that a client of the program's own pages has for its whole exchange. Clients are usually on the same network.
pub(crate) const PAGE_TIME: Duration = Duration::from_secs(5);
/// The time that `expvastic health` waits for its answer. The other process is on the same machine, and its thread answers
/// between two polls. Probes of containers are usually given longer, so the message is still printed.
pub(crate) const HEALTH_TIME: Duration = Duration::from_secs(2);
/// Bytes of an answer that `expvastic health` prints.
pub(crate) const HEALTH_TEXT_BYTES_MAX: usize = 200;
/// Bytes of the head of a request for one of the program's own pages. Browsers send less than 1 kB, and more with cookies of
/// other programs on the same host.
pub(crate) const PAGE_REQUEST_BYTES_MAX: usize = 8 << 10;
/// Header fields in that head.
pub(crate) const PAGE_REQUEST_FIELDS_MAX: usize = 64;
/// The pause before the next attempt to listen on an address that could not be bound.
pub(crate) const PAGE_RETRY: Duration = Duration::from_secs(10);

/// How long a reader's last document is kept after somebody has asked for it. A browser asks once a second while the page is
/// visible, and may be slow.
pub(crate) const PAGE_DOCUMENT_TIME: Duration = Duration::from_secs(30);
/// Readers whose last documents are kept at the same time. A page shows that of one reader.
pub(crate) const PAGE_DOCUMENTS_MAX: usize = 4;
/// Bytes of a document that is kept. One with the 1,000 fields of `max_fields` has some 50 kB.
pub(crate) const PAGE_DOCUMENT_BYTES_MAX: usize = 256 << 10;
/// Memory for such documents, bytes: each is copied when it is sent. A client that reads slowly holds a copy for at most
/// [`PAGE_TIME`], and there are a few clients.
pub(crate) const PAGE_BYTES: u64 = 2 * (PAGE_DOCUMENTS_MAX * PAGE_DOCUMENT_BYTES_MAX) as u64;
/// Names in `listen_hosts`.
pub(crate) const PAGE_HOSTS_MAX: usize = 32;
/// Bytes of a host name.
pub(crate) const HOST_NAME_BYTES_MAX: usize = 253;
/// Lines of `/ready`. A probe's log shows the first of them.
pub(crate) const READY_LINES_MAX: usize = 100;
