//! Every bound of the program, with its unit and its reason.
//!
//! `memory.rs` adds up the memory that these bounds allow. The sum is logged at the start. It consists of the idle process
//! ([`PROGRAM_BYTES`]) and of
//! - bodies: a buffer has at least [`READ_BYTES_MIN`] and at most `max_body`, and shrinks to [`POOLED_BODY_BYTES_MAX`]
//!   afterwards. An exchange that waits for its answer has none, or what has arrived ([`PAUSED_BODY_BYTES_MAX`]);
//! - the scratch space for the largest body ([`MEMORY_PER_BODY_BYTE`]), with one document of at most [`DOCUMENT_BYTES_MAX`];
//! - `settings.memory_limit` for all queued documents. Allocated memory counts, whether it is used or not. It may be exceeded
//!   by a sixteenth while documents are copied ([`MEMORY_COPIED_PART`]), and by one segment while that is read and checked;
//! - answers to bulks: the error of one item, a byte per document, and the reasons of refusals ([`ANSWER_KEPT_BYTES_MAX`]).
//!
//! A bulk that is sent compressed, with types or in halves is copied for that time. (The compressed copy has a tenth of its size
//! in practice, and is never longer.) A recorder keeps a small buffer for it ([`POOLED_BULK_BYTES_MAX`]). A recorder that a
//! new configuration removes keeps its memory until it has ended, for at most `settings.shutdown_timeout`.

// Bounds of the sanitiser that apply to other parts as well.
pub(crate) use configuration::*;
pub(crate) use expvastic_flatten::limits::{
    DOCUMENT_BYTES_MAX, KEPT_SCRATCH_BYTES_MAX, KEYED_ARRAYS_MAX, NAME_SEGMENTS_MAX, QUOTED_BYTES_MAX,
    RENAMED_BYTES_MAX, RENAMES_MAX,
};
pub(crate) use pages::*;
pub(crate) use servers::*;
use std::time::Duration;
pub(crate) use supervisor::*;
pub(crate) use targets::*;

mod configuration;
mod pages;
mod servers;
mod supervisor;
mod targets;

/// Pairs of a reader and a recorder that routes join. Each document is copied for each pair, and 10,000 readers with 10,000
/// recorders would take a gigabyte before the first poll.
pub(crate) const ROUTED_PAIRS_MAX: usize = 100_000;

/// Readers, recorders or routes. A larger number is more likely a mistake in a template than intended. Each port of a range
/// counts as a reader.
pub(crate) const SECTION_ENTRIES_MAX: usize = 10_000;

/// Symbolic links that are followed to find out where a recorder would write. The system follows as many.
pub(crate) const LINKS_MAX: u32 = 40;
/// Bytes of a path. The system accepts no longer ones.
pub(crate) const PATH_BYTES_MAX: usize = 4 << 10;

/// Bytes of a reader's endpoint with its path. Each port of a range has a copy, and servers accept some 8 kB of header in all.
pub(crate) const ENDPOINT_BYTES_MAX: usize = 2 << 10;
/// Bytes of the name of a reader or a recorder. It is repeated for each port of a range, in each log line and in each counter.
pub(crate) const ENTRY_NAME_BYTES_MAX: usize = 512;

/// Default of a reader's `max_body`, bytes. The payload of a plain Go program has 10 kB, that of a busy influxd 150 kB.
pub(crate) const BODY_BYTES_DEFAULT: u64 = 1 << 20;

/// The most that `max_body` can be set to, bytes. The structural index has 32-bit offsets and takes 4 B for each structural
/// character, so a larger body would need a gigabyte of scratch space. simd-json also reserves 24 B of address space for each.
/// They are never touched, but the address space of a 32-bit process has little room for them.
pub(crate) const BODY_BYTES_MAX: u64 = if cfg!(target_pointer_width = "64") { 256 << 20 } else { 16 << 20 };

/// The most that `max_fields` can be set to. A name takes some 100 bytes while a payload's layout is learned.
pub(crate) const FIELDS_MAX: u64 = 100_000;
/// Patterns in `include` or `exclude`, and entries of a section whose keys are chosen by the user.
pub(crate) const PATTERNS_MAX: usize = 1_000;

/// Settings of indices in a recorder's `index_settings`. Servers have about a hundred.
pub(crate) const INDEX_SETTINGS_MAX: usize = 100;
/// Labels of a reader.
pub(crate) const LABELS_MAX: usize = 32;
/// Bytes of a label. Each document carries it, and the index template does not index longer texts.
pub(crate) const LABEL_BYTES_MAX: usize = INDEXED_STRING_CHARS_MAX;

/// Bytes of a password, a key, a token, or a header field's value. Servers accept some 8 kB of header in all.
pub(crate) const SECRET_BYTES_MAX: usize = 16 << 10;
/// Bytes of the shortest secret that is redacted in texts from outside. A shorter one is part of too many words, and the gap
/// that it leaves would make it easy to guess.
pub(crate) const HIDDEN_BYTES_MIN: usize = 4;
/// Bytes of a secret, up to which its base64 form is redacted as well. There are three forms, and each is longer than the secret.
pub(crate) const HIDDEN_BASE64_BYTES_MAX: usize = 256;
/// Bytes after the end of a quoted excerpt that are searched for secrets as well, because the excerpt may end within a secret.
/// An escape within an escape takes a dozen bytes for one.
pub(crate) const QUOTE_AHEAD_BYTES: usize = 1 << 10;
/// Fields in a reader's `headers`.
pub(crate) const HEADERS_MAX: usize = 32;
/// Bytes of a file with certificates or a key, which is checked when a configuration is loaded. The certificate bundle of a
/// Linux system has 250 kB.
pub(crate) const CERTIFICATES_BYTES_MAX: u64 = 4 << 20;
/// The shortest time between two checks of a file with a secret for changes. A check costs a system call.
pub(crate) const SECRET_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes of the path of a Unix socket: `sockaddr_un` has room for as many and a terminating zero.
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Bytes of a `type_name`.
pub(crate) const TYPE_NAME_BYTES_MAX: usize = 512;

/// The most capacity, in bytes, that a body buffer keeps in the pool. The memory for one very long body must not be kept for ever.
pub(crate) const POOLED_BODY_BYTES_MAX: usize = 64 << 10;

/// Body buffers in the pool. Readers beyond this number that answer at the same instant allocate.
pub(crate) const POOLED_BODIES_MAX: usize = 2;

/// Empty bulk buffers in the pool of one recorder. One bulk is filled while another one is being sent.
pub(crate) const POOLED_BULKS_MAX: usize = 2;

/// The most capacity, in bytes, of a bulk buffer that is kept in the pool.
pub(crate) const POOLED_BULK_BYTES_MAX: usize = 256 << 10;

/// Resident memory of the idle process, bytes; most of it is code (see docs/sizing.md). The figure has a margin, because what
/// the system counts differs from start to start.
pub(crate) const PROGRAM_BYTES: u64 = 4_600_000;
/// Memory of name lookups: the resolver's code, and the stack of a thread.
pub(crate) const LOOKUP_BYTES: u64 = 700_000;
/// Memory of TLS: its code, and the system's certificates, which are read when they are first needed.
pub(crate) const TLS_BYTES: u64 = 1_500_000;
/// Memory of a connection over TLS: its state, and records of 16 kB that are encrypted and decrypted.
pub(crate) const TLS_CONNECTION_BYTES: u64 = 100_000;
/// Memory of libcurl and its thread, bytes, with TLS and the system's certificates. They are loaded when they are first needed.
pub(crate) const LIBCURL_BYTES: u64 = 3_000_000;
/// Memory of one idle reader, bytes.
pub(crate) const READER_BYTES: u64 = 12_000;
/// Memory for each byte of the largest body: the body itself, an offset of 4 B for each structural character, and the document.
/// A body that had to be repaired is copied, but then at most two thirds of its bytes may be structural characters.
pub(crate) const MEMORY_PER_BODY_BYTE: u64 = 6;
/// Bytes of the payload of the program's own counters, with a few dozens of readers and recorders.
pub(crate) const OWN_PAYLOAD_BYTES: u64 = 64 << 10;
/// Memory of the compressor, bytes, without its output.
pub(crate) const GZIP_BYTES: u64 = 320 << 10;
/// Memory of a small exchange that asks one host for its state: the head and the body of the answer.
pub(crate) const HOST_BYTES: u64 = 64 << 10;

/// Default of `settings.memory_limit`, bytes, shared evenly by the recorders.
pub(crate) const MEMORY_LIMIT_DEFAULT: u64 = 8 << 20;

/// Queued documents are copied into blocks of this size. A part of the first and of the last block of a queue is unused. It is
/// above the size from which `build/allocator.c` has buffers mapped on their own, so each block is given back to the system
/// when its documents are gone. With the allocator's header it fills whole pages.
pub(crate) const MEMORY_BLOCK_BYTES_MAX: usize = (64 << 10) - 64;
/// Blocks are smaller if a recorder's share of `memory_limit` has no room for this many blocks of the full size.
pub(crate) const MEMORY_BLOCKS_MIN: usize = 128;
/// The smallest size of a block. The header of an entry must fit into one.
pub(crate) const MEMORY_BLOCK_BYTES_MIN: usize = 256;
/// A portion of documents that is copied into a bulk, or loaded from the disk, while memory is full has at most this fraction
/// of the recorder's share (a sixteenth). So copies exceed the share by little.
pub(crate) const MEMORY_COPIED_PART: usize = 16;

/// If the oldest documents are in a bulk, an eighth of them is dropped at a time to make room, rather than the whole bulk.
pub(crate) const DROPPED_PARTS: usize = 8;

/// Default of `spool.bytes`.
pub(crate) const SPOOL_BYTES_DEFAULT: u64 = 256 << 20;
/// The least that `spool.bytes` can be set to. A segment takes two blocks of the disk, and the lock file one.
pub(crate) const SPOOL_BYTES_MIN: u64 = 64 << 10;
/// The most that `spool.bytes` can be set to.
pub(crate) const SPOOL_BYTES_MAX: u64 = 1 << 50;
/// Default of `spool.sync`.
pub(crate) const SPOOL_SYNC_DEFAULT: Duration = Duration::from_secs(1);
/// The least number of documents at which a segment of the spool is closed, even if a bulk has fewer. Each segment takes two
/// files, so very short ones would be wasteful.
pub(crate) const SEGMENT_DOCUMENTS_MIN: u64 = 500;
/// A segment takes at most this fraction of the spool's bytes (an eighth). Dropping one to make room must not drop everything.
pub(crate) const SEGMENTS_MIN: u64 = 8;
/// Bytes of an action line. The servers accept 255 bytes of an index name and 512 of an id.
pub(crate) const ACTION_LINE_BYTES_MAX: usize = 1 << 10;
/// Bytes of a document's source with its line end: the members of the payload, and those that the program adds (the names of
/// the service and the host, and up to [`LABELS_MAX`] labels).
pub(crate) const SOURCE_BYTES_MAX: usize = DOCUMENT_BYTES_MAX + (1 << 20);
/// Bytes of a segment that are read. This program writes no segment that is larger than a bulk.
pub(crate) const SEGMENT_READ_BYTES_MAX: u64 = BULK_BYTES_MAX + SOURCE_BYTES_MAX as u64;
/// Attempts to find a number for a new segment, if other programs have created files of the same names.
pub(crate) const SEGMENT_NUMBERS_TRIED: u32 = 16;
/// Segments that are read before other tasks run. A folder may be full of segments that contain nothing but damaged documents.
pub(crate) const SEGMENTS_PER_TURN: usize = 16;
/// Bytes of segments that are read before other tasks run, which takes a few milliseconds. A single segment may be longer.
pub(crate) const SEGMENT_BYTES_PER_TURN: u64 = 4 << 20;
/// The usual size of a file system's blocks, bytes. Files take whole blocks.
pub(crate) const DISK_BLOCK_BYTES: u64 = 4 << 10;
/// The pause before the next attempt to use a spool folder that could not be opened, read or written.
pub(crate) const SPOOL_RETRY: Duration = Duration::from_secs(10);
/// Bytes that are read of the number of a spool folder's format.
pub(crate) const SPOOL_FORMAT_BYTES_MAX: u64 = 32;
/// Bytes of a dead-letter file, after which it is renamed to `FILE.1`. One old file is kept.
pub(crate) const DEAD_LETTER_BYTES_MAX: u64 = 16 << 20;

/// Bytes of a line of a dead-letter file: a document with its action line, and the server's message. Longer lines are skipped.
pub(crate) const LETTER_LINE_BYTES_MAX: usize = SOURCE_BYTES_MAX + (64 << 10);
/// Kinds of refusal that `expvastic dead-letters` lists, and messages that it shows for each, so that they fit on a screen.
pub(crate) const LETTER_KINDS_MAX: usize = 20;
/// See [`LETTER_KINDS_MAX`].
pub(crate) const LETTER_MESSAGES_MAX: usize = 3;
/// Lines of a dead-letter file that are not letters and are listed by number. Further ones are only counted.
pub(crate) const BROKEN_LETTERS_SHOWN: usize = 10;
/// Attempts to open a dead-letter file if other processes keep moving it.
pub(crate) const LETTER_OPEN_TRIES: u32 = 8;
/// Rounds in which `dead-letters retry` copies and syncs what was appended in the meantime before it locks the file.
pub(crate) const LETTER_SYNCS_MAX: u32 = 8;
/// Attempts of a running process to lock a dead-letter file before the letter has to wait.
pub(crate) const LETTER_LOCK_TRIES: u32 = 20;
/// How long `dead-letters retry` waits for the lock of a file. A process that writes a letter holds it for microseconds.
pub(crate) const LETTER_LOCK_TIME: Duration = Duration::from_secs(10);
/// The pause between two attempts to get that lock.
pub(crate) const LETTER_LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// Defaults of a recorder's `bulk`.
pub(crate) const BULK_DOCUMENTS_DEFAULT: u32 = 500;
/// Bytes of a bulk at which it is sealed.
pub(crate) const BULK_BYTES_DEFAULT: u64 = 1 << 20;
/// Default of `bulk.age`: how long the oldest document of a bulk waits for others.
pub(crate) const BULK_AGE_DEFAULT: Duration = Duration::from_secs(1);
/// The most that `bulk.documents` can be set to.
pub(crate) const BULK_DOCUMENTS_MAX: u64 = 100_000;
/// The most that `bulk.bytes` can be set to. Servers refuse requests of more than 100 MB by default.
pub(crate) const BULK_BYTES_MAX: u64 = 64 << 20;

/// The length from which bulks are compressed, bytes. A shorter one fits into one or two packets anyway.
pub(crate) const COMPRESSED_BYTES_MIN: usize = 1 << 10;
/// Bytes of compressed output before other tasks run (`event_loop::yield_now`). This corresponds to some ten times as many
/// bytes of the bulk, and up to a thousand times as many of a very repetitive one.
pub(crate) const COMPRESSED_TURN_BYTES: usize = 8 << 10;
/// Bytes of an answer that are inflated before other tasks run. This takes a fraction of a millisecond.
pub(crate) const INFLATED_TURN_BYTES: usize = 64 << 10;

/// Compressed bulks in a row that a host refuses with 400 but accepts uncompressed, until it gets no more compressed ones. One
/// is not enough, because 400 has many other causes. With 415 a single one is enough.
pub(crate) const COMPRESSED_REFUSALS_MAX: u32 = 2;
/// Uncompressed bulks that such a host gets before a compressed one is tried again. The number doubles with each refusal.
pub(crate) const PLAIN_BULKS_MIN: u32 = 100;
/// The most uncompressed bulks between two attempts: an hour at one bulk a second.
pub(crate) const PLAIN_BULKS_MAX: u32 = 3_600;

/// Bytes of a server's answer that are read in any case, even if it is not the answer to a bulk. An answer that is read to its
/// end leaves the connection usable.
pub(crate) const ANSWER_BYTES_MIN: usize = 64 << 10;
/// Further bytes for each document of the bulk. The error of an item, with its causes, has less than 2 kB.
pub(crate) const ANSWER_BYTES_PER_DOCUMENT: usize = 64 << 10;
/// Further bytes for each byte of the bulk. An error may quote a text twice, with each byte escaped to six.
pub(crate) const ANSWER_BYTES_PER_BULK_BYTE: usize = 12;
/// Bytes of memory for the errors of single documents in an answer. If they need more, the bulk is sent again in halves. It is
/// enough for a bulk of the usual size of which every document is refused.
pub(crate) const ANSWER_KEPT_BYTES_MAX: usize = 256 << 10;
/// Levels of nested objects and arrays in an answer. Errors have causes, which have causes of their own.
pub(crate) const ANSWER_DEPTH_MAX: usize = 128;
/// Bytes that are kept of one name or value in an answer, and of a page that came instead. Log lines show less of them
/// ([`QUOTED_BYTES_MAX`]), so that a secret is still complete when it is redacted.
pub(crate) const EXCERPT_BYTES_MAX: usize = 4 << 10;

/// The longest answer to a bulk that is read. If it is longer, the bulk is sent again in halves, and a document that is alone
/// in its bulk becomes a dead letter.
pub(crate) const fn answer_bytes_max(documents: usize, bulk_bytes: usize) -> usize {
    ANSWER_BYTES_MIN + documents * ANSWER_BYTES_PER_DOCUMENT + bulk_bytes * ANSWER_BYTES_PER_BULK_BYTE
}

/// Bytes of the answer to a small question to a server that are read: its `GET /`, or whether it has a template.
pub(crate) const SMALL_ANSWER_BYTES_MAX: usize = 16 << 10;
/// Bytes of a template that are read for `expvastic setup`, to compare it with ours.
pub(crate) const TEMPLATE_BYTES_MAX: usize = 256 << 10;
/// Bytes of the name of an ingest pipeline, which goes into every request.
pub(crate) const PIPELINE_BYTES_MAX: usize = 512;
/// Characters of a string that is indexed (`ignore_above` of our template): longer ones are kept, but not found by. Lucene
/// takes 32,766 bytes of one term, and what is that long is no name of anything.
pub(crate) const INDEXED_STRING_CHARS_MAX: usize = 1_024;
/// Bytes of a mapping type, by the rules of Elasticsearch 5 and 6.
pub(crate) const MAPPING_TYPE_BYTES_MAX: usize = 255;
/// Types that an error names. One of them is the type of the index.
pub(crate) const NAMED_TYPES_MAX: usize = 8;
/// Indices of Elasticsearch 6 whose type is remembered. With dated names there is a new one each day, and old ones get no more
/// documents.
pub(crate) const INDEX_TYPES_MAX: usize = 16;
/// Failures in a row to identify a server, after which bulks are sent to it nevertheless.
pub(crate) const LEARNING_FAILURES_MAX: u32 = 5;

/// Bytes of the line before a chunk of an HTTP body: its length in at most 16 digits, and extensions, which are hardly used.
pub(crate) const CHUNK_LINE_BYTES_MAX: usize = 1 << 10;

/// The capacity of the buffer for a body that begins to arrive, bytes. The payload of a plain Go program fits.
pub(crate) const READ_BYTES_MIN: usize = 16 << 10;
/// The most that is kept of an answer while more of it is awaited, before a whole buffer is kept. It is copied then, so it is
/// little; a header and the first piece of a payload fit.
pub(crate) const PAUSED_BODY_BYTES_MAX: usize = 8 << 10;
/// The most that a body's buffer grows at once because of its announced length. A server can announce any length.
pub(crate) const READ_BYTES_MAX: usize = 256 << 10;
/// Bytes that are read of one answer before other exchanges continue.
pub(crate) const READ_TURN_BYTES: usize = 1 << 20;

/// Bytes of an error page that are read, so that its connection can be used again.
pub(crate) const ERROR_PAGE_BYTES: usize = 16 << 10;

/// Bytes of a body that are examined to find out what it is if it is not expvar's JSON. The title of an HTML page is in them.
pub(crate) const FOREIGN_LOOK_BYTES: usize = 4 << 10;
/// Bytes of such a body, and of its Content-Type, that a log line repeats.
pub(crate) const FOREIGN_WORDS_BYTES_MAX: usize = 120;

/// Redirects followed in one poll.
pub(crate) const REDIRECTS_MAX: u32 = 5;

/// Descriptors that every process needs: the standard streams, signals, the pipe that wakes the thread, and a few for files
/// that are open for a moment.
pub(crate) const DESCRIPTORS_BASE: usize = 16;
/// Descriptors of one recorder's spool: the folder and its lock, the two files of the segment that is written, one that is
/// read, the folder once more while it is listed, and a new folder if the old one was moved.
pub(crate) const DESCRIPTORS_PER_SPOOL: usize = 7;
/// Descriptors of one file while it is rotated: the old file and the new one.
pub(crate) const DESCRIPTORS_PER_ROTATED_FILE: usize = 2;
/// The lowest number of a descriptor that stays open for good. If the limit is lowered later, lower numbers remain usable.
pub(crate) const PERMANENT_DESCRIPTORS_FLOOR: i32 = 64;
/// An exchange that libcurl has not ended this long after its timeout is given up.
#[cfg(feature = "proxy")]
pub(crate) const LIBCURL_LATE: Duration = Duration::from_secs(1);
/// Descriptors that libcurl and its client need to start. Without them libcurl would end the process.
#[cfg(feature = "proxy")]
pub(crate) const LIBCURL_START_DESCRIPTORS: usize = 6;
/// The same with those that are open only for a moment.
#[cfg(feature = "proxy")]
pub(crate) const LIBCURL_DESCRIPTORS: usize = 12;
/// Descriptors of libcurl's name lookups: up to twenty run at once, each with two sockets and a file.
#[cfg(feature = "proxy")]
pub(crate) const LIBCURL_LOOKUP_DESCRIPTORS: usize = 60;
/// Descriptors of one exchange that needs a name lookup: two sockets and a file, and a connection.
pub(crate) const LOOKUP_EXCHANGE_DESCRIPTORS: usize = 4;
/// Descriptors of our own name lookups that run at once, but not many do.
pub(crate) const LOOKUP_DESCRIPTORS: usize = 12;
/// The system refuses to poll more descriptors at once than the current limit, even if they were opened before it was lowered.
/// Then at most this many are polled at a time, without waiting, and again after a pause.
pub(crate) const POLL_PART_DESCRIPTORS: usize = 256;
pub(crate) const POLL_IN_PARTS_PAUSE: Duration = Duration::from_millis(10);
/// How often an exchange that waits for a descriptor checks whether one has become free.
pub(crate) const DESCRIPTOR_RETRY: Duration = Duration::from_secs(1);

/// Default of `settings.shutdown_timeout`.
pub(crate) const SHUTDOWN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// A second termination signal within this time counts as the same as the first.
pub(crate) const SAME_SIGNAL: Duration = Duration::from_secs(1);
/// The watchdog ends a process that has not ended this long after `shutdown_timeout`: the end is promised within a second.
pub(crate) const SHUTDOWN_GRACE: Duration = Duration::from_millis(800);
/// How often the watchdog checks for that.
pub(crate) const WATCHDOG_LOOK: Duration = Duration::from_millis(50);
/// If the main thread has not taken notice of a signal within this time, it hangs.
pub(crate) const SIGNAL_HEARD: Duration = Duration::from_millis(500);
/// Default `timeout` of readers and recorders.
pub(crate) const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Default `backoff` of readers and recorders: failures in a row.
pub(crate) const BACKOFF_DEFAULT: u32 = 15;
/// The most that `backoff` can be set to.
pub(crate) const BACKOFF_MAX: u32 = 1_000_000;
/// Default of a reader's `interval`.
pub(crate) const INTERVAL_DEFAULT: Duration = Duration::from_secs(1);
/// The longest duration in the configuration. A longer one is most likely a wrong unit.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// The shortest `interval`. Polls at a shorter one would only wait for each other.
pub(crate) const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// An endpoint is logged as slower than its interval only after this many slow polls in a row that took this long together,
/// because a machine may be busy for a moment.
pub(crate) const SLOW_POLLS_MIN: u32 = 3;
pub(crate) const SLOW_TIME_MIN: Duration = Duration::from_secs(5);

/// The pause between two probes of an endpoint that is down, varied at random by up to a quarter.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// The first pause after a failed request to a server. It doubles up to [`RETRY_DELAY_MAX`].
pub(crate) const RETRY_DELAY_MIN: Duration = Duration::from_millis(100);
/// The longest pause between two attempts while the server does not yet count as down.
pub(crate) const RETRY_DELAY_MAX: Duration = Duration::from_secs(8);
/// Failures in a row after which a bulk that fails as a whole is set aside, so that others are sent. The pauses between them are
/// below a second in all. If the failures only say that the server is busy or away, `backoff` applies if it is larger.
pub(crate) const TRIES_IN_A_ROW: u64 = 3;
/// Bulks of fresh documents that are sent in a row while older documents are due. So at least one bulk in four has older ones.
pub(crate) const FRESH_IN_A_ROW_MAX: u32 = 3;
/// The longest pause after documents were refused one by one, while there are others that have not been tried since. They may
/// be for another index, and there may be hundreds of segments of them.
pub(crate) const BACKLOG_DELAY_MAX: Duration = Duration::from_secs(1);
/// Hosts in the list of one recorder. While all are away, each attempt may cost an exchange with each of them.
pub(crate) const HOSTS_MAX: usize = 64;
/// The longest rest of a host while others get its bulks. The first rest is [`RETRY_DELAY_MIN`], and each failure doubles it.
pub(crate) const HOST_REST_MAX: Duration = Duration::from_secs(30);
/// A host rests for at least this many times the time for which documents waited for it in vain. So a host that hangs again
/// and again delays documents for at most a fifth of the time.
pub(crate) const REST_PER_COST: u32 = 4;
/// The longest `Retry-After` that is honoured. A server's mistake must not stop the recorder for a day.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Bytes of a log line with its end. A pipe takes as many in one piece, so that lines of several processes do not mix.
pub(crate) const LOG_LINE_BYTES_MAX: usize = PIPE_WRITE_BYTES;
/// The time, in each period, for which log lines together may wait until a full standard error has room. After that, lines are
/// dropped without waiting.
pub(crate) const LOG_PATIENCE: Duration = Duration::from_millis(50);
pub(crate) const LOG_PATIENCE_PERIOD: Duration = Duration::from_secs(1);

/// A failure that goes on is logged again after this time, and then after twice the time, up to [`LOG_PERIOD_MAX`].
pub(crate) const LOG_PERIOD_MIN: Duration = Duration::from_secs(60);
/// The longest time between two log lines about a failure that goes on.
pub(crate) const LOG_PERIOD_MAX: Duration = Duration::from_secs(900);

/// Kinds of failure that are remembered for one endpoint. Further kinds share the last place.
pub(crate) const FAILURE_KINDS_MAX: usize = 8;

/// Default of a file recorder's `bytes`: the size at which the file is rotated.
pub(crate) const FILE_BYTES_DEFAULT: u64 = 64 << 20;
/// Default of a file recorder's `keep`: the number of rotated files.
pub(crate) const FILE_KEEP_DEFAULT: u32 = 3;
/// The most that `keep` can be set to.
pub(crate) const FILE_KEEP_MAX: u64 = 1_000;
/// Bytes that are read at a time, from the end of a file recorder's file, to find the last complete document.
pub(crate) const TORN_READ_BYTES: usize = 8 << 10;
/// Bytes at the end of such a file that must contain a line end. A crash leaves at most a bulk incomplete.
pub(crate) const TORN_BYTES_MAX: u64 = BULK_BYTES_MAX + DOCUMENT_BYTES_MAX as u64;
/// Bytes in one write to a pipe. When a pipe is writable, the kernel takes this many in one piece without blocking.
pub(crate) const PIPE_WRITE_BYTES: usize = 4096;

const _: () = assert!(MEMORY_BLOCK_BYTES_MIN <= MEMORY_BLOCK_BYTES_MAX);
const _: () = assert!(RENAMES_MAX <= PATTERNS_MAX);
const _: () = assert!(BODY_BYTES_DEFAULT <= BODY_BYTES_MAX);
const _: () = assert!(BODY_BYTES_MAX < u32::MAX as u64);
const _: () = assert!(BULK_BYTES_DEFAULT <= BULK_BYTES_MAX);
const _: () = assert!(BULK_BYTES_MAX + (DOCUMENT_BYTES_MAX as u64) < u32::MAX as u64);
const _: () = assert!(BULK_DOCUMENTS_DEFAULT as u64 <= BULK_DOCUMENTS_MAX);
const _: () = assert!(HOST_REST_MAX.as_millis() > RETRY_DELAY_MAX.as_millis());
const _: () = assert!(RANGE_PORTS_MAX <= SECTION_ENTRIES_MAX);
const _: () = assert!(RETRY_DELAY_MIN.as_millis() < RETRY_DELAY_MAX.as_millis());
