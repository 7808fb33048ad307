//! Every bound of the program, with its unit and its reason.
//!
//! `memory.rs` adds up the memory that they allow, and the sum is logged at the start: the idle process ([`PROGRAM_BYTES`]), and
//! - bodies: each at least [`READ_BYTES_MIN`], at most `max_body`, given back down to [`POOLED_BODY_BYTES_MAX`] afterwards;
//!   an exchange that waits holds none;
//! - what is made of the largest body ([`MEMORY_PER_BODY_BYTE`]), and at most one document of [`DOCUMENT_BYTES_MAX`];
//! - `settings.memory_limit` for all documents that wait: each byte held for them counts, used or not. While they are copied
//!   it may be a sixteenth more ([`MEMORY_COPIED_PART`]); a segment that is read, at most a bulk, is checked beside it;
//! - answers to bulks: the beginning of one item, a byte per document, and what is said of refused ones ([`ANSWER_KEPT_BYTES_MAX`]).
//!
//! A bulk that is sent compressed, with types or in halves has a copy meanwhile (compressed: a tenth in practice, never longer);
//! a recorder keeps the buffer if it is small ([`POOLED_BULK_BYTES_MAX`]). A recorder that a new configuration lacks keeps its
//! share until it has ended, for `settings.shutdown_timeout` at most.

// The sanitiser's own, as far as others keep to them, too.
pub(crate) use expvastic_flatten::limits::{
    DOCUMENT_BYTES_MAX, KEPT_SCRATCH_BYTES_MAX, NAME_SEGMENTS_MAX, QUOTED_BYTES_MAX, RENAMED_BYTES_MAX, RENAMES_MAX,
};
pub(crate) use servers::*;
use std::time::Duration;

mod servers;

/// Bytes of a configuration file, and of a `map_file`. The longest sensible one, of [`SECTION_ENTRIES_MAX`] readers, has half of
/// it.
pub(crate) const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Bytes of all files together that readers name as their `map_file`: each has a few hundred.
pub(crate) const MAP_FILES_BYTES_MAX: usize = 512 << 10;
/// Keys and values of such a file. Each takes the parser some 300 bytes and 0.3 µs for a reading; [`SECTION_ENTRIES_MAX`] readers
/// with three keys each have 70,000.
pub(crate) const CONFIG_NODES_MAX: usize = 100_000;
/// Lists and sections within one another, where no key has more than six. The parser's time is the text times this depth.
pub(crate) const CONFIG_DEPTH_MAX: usize = 32;
/// Lines that begin with `%`: the parser compares each with all before it, and a configuration has none.
pub(crate) const CONFIG_DIRECTIVES_MAX: usize = 16;
/// For each text of several words: the number of its gaps times the longest of them, in bytes, which is what the parser
/// clears. A text of a thousand lines with a gap of a hundred empty ones has a hundred thousand.
pub(crate) const CONFIG_BLANKS_WORK_MAX: usize = 64 << 20;
/// Bytes from the beginning of a key without a `?` to its colon, by the rules of YAML.
pub(crate) const CONFIG_SIMPLE_KEY_BYTES_MAX: usize = 1024;
/// Bytes that the values of a configuration take once aliases and `${NAME}` are filled in: a list of 50 kB with 20,000 aliases
/// to it is a file of 100 kB, and would be gigabytes. Without either, no file of [`CONFIG_BYTES_MAX`] comes near it.
pub(crate) const CONFIG_VALUES_BYTES_MAX: usize = 16 << 20;
/// Problems of one file that are shown, the others being counted.
pub(crate) const PROBLEMS_MAX: usize = 100;
/// Bytes that they take together, with the file's name before each, and how many more there are: nobody reads further. A first
/// one is shown in any case.
pub(crate) const PROBLEMS_BYTES_MAX: usize = 64 << 10;
/// Bytes of a file that are read again to find where lists and sections begin that are problems: each takes a reading of its
/// own. In a long file the others are shown at their keys.
pub(crate) const PROBLEM_READINGS_BYTES_MAX: usize = 512 << 10;
/// Characters of a problem's message, and of its key path.
pub(crate) const PROBLEM_CHARS_MAX: usize = 1_000;
/// Characters of a name for which a similar one is looked for.
pub(crate) const SUGGESTED_CHARS_MAX: usize = 64;
/// Pairs of letters that are compared to find similar names, for all problems of a file: some 20 ms. Those beyond get no
/// suggestion; fifty problems among a hundred names of twenty letters take 2,000,000.
pub(crate) const SUGGESTION_STEPS_MAX: usize = 2 << 20;

/// Pairs of a reader and a recorder that routes join: each is a copy of each document. 10,000 readers with 10,000 recorders
/// would be a gigabyte before the first poll.
pub(crate) const ROUTED_PAIRS_MAX: usize = 100_000;

/// Readers, recorders, routes: more in one process is a mistake in a template rather than a wish.
/// What ranges of ports stand for counts as so many readers.
pub(crate) const SECTION_ENTRIES_MAX: usize = 10_000;

/// Links that are followed to find out where a recorder would write: the system follows as many.
pub(crate) const LINKS_MAX: u32 = 40;
/// Bytes of a path: the system takes no longer ones.
pub(crate) const PATH_BYTES_MAX: usize = 4 << 10;

/// Ports in a range: each keeps a connection open, and a process may have 1,024 files by default. One digit too many
/// (`8000-18003`) would be 10,000 readers.
pub(crate) const RANGE_PORTS_MAX: usize = 256;

/// Bytes of a reader's endpoint with its path: each port of a range has one, and servers take some 8 kB of header in all.
pub(crate) const ENDPOINT_BYTES_MAX: usize = 2 << 10;
/// Bytes of the name of a reader or a recorder: each port of a range has it, and each log line and counter about them.
pub(crate) const ENTRY_NAME_BYTES_MAX: usize = 512;

/// Default of a reader's `max_body`, bytes. A plain Go program serves 10 kB, a loaded influxd 150 kB.
pub(crate) const BODY_BYTES_DEFAULT: u64 = 1 << 20;

/// The most that `max_body` can be set to, bytes: the structural index counts in 32 bits and takes 4 B for each
/// structural character, so a larger body would need a gigabyte of scratch. Besides, simd-json reserves 24 B for each of
/// them, which are never touched, but of which a process of 32 bits has room for few.
pub(crate) const BODY_BYTES_MAX: u64 = if cfg!(target_pointer_width = "64") { 256 << 20 } else { 16 << 20 };

/// The most that `max_fields` can be set to: a name costs some 100 bytes while a payload's layout is learned.
pub(crate) const FIELDS_MAX: u64 = 100_000;
/// Patterns in `include` or `exclude`, and entries that are read of a section whose keys are names of the user's.
pub(crate) const PATTERNS_MAX: usize = 1_000;

/// Labels of a reader.
pub(crate) const LABELS_MAX: usize = 32;
/// Bytes of a label: each document carries it, and our template indexes no longer text.
pub(crate) const LABEL_BYTES_MAX: usize = INDEXED_STRING_CHARS_MAX;

/// Bytes of a password, a key, a token, or a header field's value: servers take some 8 kB of header in all.
pub(crate) const SECRET_BYTES_MAX: usize = 16 << 10;
/// Bytes of the shortest secret that is taken out of texts from outside: a shorter one is part of too many words, and whoever
/// reads a text without it could guess it.
pub(crate) const HIDDEN_BYTES_MIN: usize = 4;
/// Bytes of a secret that is looked for in base64 of its own, too: three forms, of which each takes more than the secret.
pub(crate) const HIDDEN_BASE64_BYTES_MAX: usize = 256;
/// Bytes behind a quote that are looked at as well: what the quote ends with may be the beginning of a secret, and an escape
/// in an escape takes a dozen bytes for one.
pub(crate) const QUOTE_AHEAD_BYTES: usize = 1 << 10;
/// Fields in a reader's `headers`.
pub(crate) const HEADERS_MAX: usize = 32;
/// Bytes of a file with certificates or a key that is looked at when a configuration is loaded. The bundle of a Linux
/// system has 250 kB.
pub(crate) const CERTIFICATES_BYTES_MAX: u64 = 4 << 20;
/// Time for the second handshake that finds out why a certificate was refused. It may fail behind a proxy.
#[cfg(feature = "tls")]
pub(crate) const CERTIFICATE_LOOK_TIME: Duration = Duration::from_secs(5);
/// How often a file with a secret is checked for changes, at most: a check costs a system call.
pub(crate) const SECRET_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Clients of the own pages that are answered at once: a probe, a collector and a browser with its six; and many more where
/// descriptors are plenty, so that a flood of idle ones leaves each new one its time.
pub(crate) const PAGE_CONNECTIONS_MIN: usize = 8;
pub(crate) const PAGE_CONNECTIONS_MAX: usize = 64;
/// Clients that wait until they are accepted.
pub(crate) const PAGE_BACKLOG: i32 = 512;
/// When there are as many, a new one takes the place of one that has been there for so long, and waits until there is one.
pub(crate) const PAGE_CLIENT_TIME_MIN: Duration = Duration::from_millis(40);
/// Without a descriptor for a client, it is accepted after this.
pub(crate) const PAGE_ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For one client of the own pages, from the first byte to the last: they are asked for from nearby.
pub(crate) const PAGE_TIME: Duration = Duration::from_secs(5);
/// Bytes of the head of a request for one of the own pages: browsers send less than 1 kB, cookies of other programs on the
/// same host included some more.
pub(crate) const PAGE_REQUEST_BYTES_MAX: usize = 8 << 10;
/// Fields in that head.
pub(crate) const PAGE_REQUEST_FIELDS_MAX: usize = 64;
/// An address for the own pages that cannot be had is tried again after this.
pub(crate) const PAGE_RETRY: Duration = Duration::from_secs(10);

/// Bytes of the path of a socket: `sockaddr_un` has room for so many and a zero.
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Bytes of a `type_name`.
pub(crate) const TYPE_NAME_BYTES_MAX: usize = 512;

/// A body buffer that goes back to the pool keeps at most this capacity, bytes: one outlier must not be kept for ever.
pub(crate) const POOLED_BODY_BYTES_MAX: usize = 64 << 10;

/// Body buffers in the pool. Readers beyond this number that answer at the same instant allocate.
pub(crate) const POOLED_BODIES_MAX: usize = 2;

/// Emptied bulk buffers in the pool of one recorder: one is filled while one is under way.
pub(crate) const POOLED_BULKS_MAX: usize = 2;

/// An emptied bulk buffer that is larger is not kept, bytes.
pub(crate) const POOLED_BULK_BYTES_MAX: usize = 256 << 10;

/// Memory of the process while nothing is to be done, bytes: most of it is code (see docs/sizing.md). With what the system counts of it
/// more or less from start to start.
pub(crate) const PROGRAM_BYTES: u64 = 4_600_000;
/// What libcurl and its thread take besides, once they are needed, with TLS and the certificates of the system.
pub(crate) const LIBCURL_BYTES: u64 = 3_000_000;
/// What one reader takes while it waits.
pub(crate) const READER_BYTES: u64 = 12_000;
/// Memory for each byte of the largest body: the body itself, an offset of 4 B for each structural character, and the document.
/// One that is broken has a copy besides, in which a fourth of the bytes, not all, are structural characters.
pub(crate) const MEMORY_PER_BODY_BYTE: u64 = 6;
/// Bytes of the payload of the program's own counters, with a few dozens of readers and recorders.
pub(crate) const OWN_PAYLOAD_BYTES: u64 = 64 << 10;
/// What the compression of a bulk takes beside the result.
pub(crate) const GZIP_BYTES: u64 = 320 << 10;
/// An exchange with one host that is asked how it does: the head and the body of a small answer, as text.
pub(crate) const HOST_BYTES: u64 = 64 << 10;

/// Default of `settings.memory_limit`, bytes, shared evenly by the recorders.
pub(crate) const MEMORY_LIMIT_DEFAULT: u64 = 8 << 20;

/// Documents that wait in memory are copied into blocks of this size: at either end of a queue a part of one is unused.
pub(crate) const MEMORY_BLOCK_BYTES_MAX: usize = 16 << 10;
/// Blocks are smaller than that if a recorder's share of `memory_limit` has not room for so many of them.
pub(crate) const MEMORY_BLOCKS_MIN: usize = 128;
/// The smallest blocks: a header goes into one.
pub(crate) const MEMORY_BLOCK_BYTES_MIN: usize = 256;
/// While memory is full, documents are copied into a bulk (for the server or the disk), or loaded from the disk, in
/// portions of this part of a recorder's share, so that they take little more than the share meanwhile.
pub(crate) const MEMORY_COPIED_PART: usize = 16;

/// A bulk whose documents are the oldest makes room by a part like this, rather than as a whole.
pub(crate) const DROPPED_PARTS: usize = 8;

/// Default of `spool.bytes`.
pub(crate) const SPOOL_BYTES_DEFAULT: u64 = 256 << 20;
/// The least that `spool.bytes` can be set to: a segment takes two blocks, the lock one.
pub(crate) const SPOOL_BYTES_MIN: u64 = 64 << 10;
/// The most that `spool.bytes` can be set to.
pub(crate) const SPOOL_BYTES_MAX: u64 = 1 << 50;
/// Default of `spool.sync`.
pub(crate) const SPOOL_SYNC_DEFAULT: Duration = Duration::from_secs(1);
/// A segment of the spool is closed before it grows over a bulk; it holds at least so many documents, as each takes two
/// files.
pub(crate) const SEGMENT_DOCUMENTS_MIN: u64 = 500;
/// Parts of the spool's bytes that one segment takes at most: dropping one to make room must not drop everything.
pub(crate) const SEGMENTS_MIN: u64 = 8;
/// Bytes of an action line: the servers take 255 of an index's name and 512 of an id.
pub(crate) const ACTION_LINE_BYTES_MAX: usize = 1 << 10;
/// Bytes of a document's source with its line end: what a payload makes of it, and the members of its own (the names of the
/// service and the host, [`LABELS_MAX`] labels).
pub(crate) const SOURCE_BYTES_MAX: usize = DOCUMENT_BYTES_MAX + (1 << 20);
/// Bytes of a segment that are read: no segment of ours is larger than a bulk.
pub(crate) const SEGMENT_READ_BYTES_MAX: u64 = BULK_BYTES_MAX + SOURCE_BYTES_MAX as u64;
/// Numbers that are tried for a new segment when others have put files there that are called as it would be.
pub(crate) const SEGMENT_NUMBERS_TRIED: u32 = 16;
/// Segments that are read before others have their turn: a folder may be full of them, and each may hold nothing but damage.
pub(crate) const SEGMENTS_PER_TURN: usize = 16;
/// Bytes of them, of which one segment may have more: a few milliseconds' work.
pub(crate) const SEGMENT_BYTES_PER_TURN: u64 = 4 << 20;
/// Files take whole blocks; this is the usual size, bytes.
pub(crate) const DISK_BLOCK_BYTES: u64 = 4 << 10;
/// A spool folder that cannot be opened, read or written to is tried again after this.
pub(crate) const SPOOL_RETRY: Duration = Duration::from_secs(10);
/// Bytes of a file of dead letters, after which it becomes `FILE.1`; one old file stays.
pub(crate) const DEAD_LETTER_BYTES_MAX: u64 = 16 << 20;

/// Bytes of a line there that is read as a letter: a document with its action line, and what the server said.
pub(crate) const LETTER_LINE_BYTES_MAX: usize = SOURCE_BYTES_MAX + (64 << 10);
/// Kinds of refusal that `expvastic dead-letters` tells apart, and messages that it shows of each: what fits on a screen.
pub(crate) const LETTER_KINDS_MAX: usize = 20;
/// See [`LETTER_KINDS_MAX`].
pub(crate) const LETTER_MESSAGES_MAX: usize = 3;
/// Lines that are no letters of which the number is shown; the others are counted.
pub(crate) const BROKEN_LETTERS_SHOWN: usize = 10;
/// Times that a file of dead letters is opened when others move it in between.
pub(crate) const LETTER_OPEN_TRIES: u32 = 8;
/// Times that `dead-letters retry` syncs what was appended meanwhile before it locks the file.
pub(crate) const LETTER_SYNCS_MAX: u32 = 8;
/// Times that a running process tries to lock one before the letter has to wait.
pub(crate) const LETTER_LOCK_TRIES: u32 = 20;
/// How long `dead-letters retry` waits for the lock of a file: a process that writes a letter holds it for microseconds.
pub(crate) const LETTER_LOCK_TIME: Duration = Duration::from_secs(10);
/// The pause between two attempts to get that lock.
pub(crate) const LETTER_LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// Defaults of a recorder's `bulk`.
pub(crate) const BULK_DOCUMENTS_DEFAULT: u32 = 500;
/// Bytes of a bulk at which it is sealed.
pub(crate) const BULK_BYTES_DEFAULT: u64 = 1 << 20;
/// How long the oldest document waits for the others of its instant.
pub(crate) const BULK_AGE_DEFAULT: Duration = Duration::from_secs(1);
/// The most that `bulk.documents` can be set to.
pub(crate) const BULK_DOCUMENTS_MAX: u64 = 100_000;
/// The most that `bulk.bytes` can be set to: servers refuse 100 MB by default.
pub(crate) const BULK_BYTES_MAX: u64 = 64 << 20;

/// A bulk of fewer bytes is sent as it is: it fits into one packet or two in any case.
pub(crate) const COMPRESSED_BYTES_MIN: usize = 1 << 10;
/// Bytes of compressed text that are made before other tasks get to run (`event_loop::yield_now`): some ten
/// times as many of the bulk. Of one that says the same thing over and over it may be a thousand times as many.
pub(crate) const COMPRESSED_TURN_BYTES: usize = 8 << 10;
/// Bytes of an answer that are inflated before other tasks get to run: a fraction of a millisecond.
pub(crate) const INFLATED_TURN_BYTES: usize = 64 << 10;

/// Compressed bulks in a row that a host refuses with 400 and takes as they are, after which it counts as one that takes none:
/// 400 is said for much else. 415 counts at once.
pub(crate) const COMPRESSED_REFUSALS_MAX: u32 = 2;
/// Bulks that such a host gets as they are before a compressed one is tried again; doubles with each refusal.
pub(crate) const PLAIN_BULKS_MIN: u32 = 100;
/// The most of them: an hour of one bulk a second.
pub(crate) const PLAIN_BULKS_MAX: u32 = 3_600;

/// Bytes of a server's answer to a bulk that are read whatever is in the bulk. So many are read of an answer to something else,
/// too, so that the connection can be used again.
pub(crate) const ANSWER_BYTES_MIN: usize = 64 << 10;
/// Bytes for each document of the bulk: an item error with its causes is below 2 kB.
pub(crate) const ANSWER_BYTES_PER_DOCUMENT: usize = 64 << 10;
/// Bytes for each byte of the bulk: an error may quote a text twice, with each byte of it escaped to six.
pub(crate) const ANSWER_BYTES_PER_BULK_BYTE: usize = 12;
/// Bytes of memory for what an answer says of single documents; beyond that the bulk is sent in halves. What may be said of
/// those of a usual bulk fits in, if each of them is refused.
pub(crate) const ANSWER_KEPT_BYTES_MAX: usize = 256 << 10;
/// Objects and arrays within each other in an answer: causes of causes of errors.
pub(crate) const ANSWER_DEPTH_MAX: usize = 128;
/// Bytes of one name or value in an answer, and of a page that is no answer, that are looked at. What is shown of them is
/// shorter ([`QUOTED_BYTES_MAX`]), so that a secret is whole when it is taken out.
pub(crate) const EXCERPT_BYTES_MAX: usize = 4 << 10;

/// The longest answer to a bulk that is read. What is longer leads to halves, and in the end to a dead letter.
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
/// Types that an error names, of which one is that of the index.
pub(crate) const NAMED_TYPES_MAX: usize = 8;
/// Indices of Elasticsearch 6 whose type is remembered: dated names come one a day, and the oldest get no more documents.
pub(crate) const INDEX_TYPES_MAX: usize = 16;
/// Failures in a row to learn what a server is, after which bulks are sent to it all the same.
pub(crate) const LEARNING_FAILURES_MAX: u32 = 5;

/// Bytes of the line before a chunk: its length in at most 16 digits, and extensions that nobody sends.
pub(crate) const CHUNK_LINE_BYTES_MAX: usize = 1 << 10;

/// Room for a body that begins to arrive, bytes: a plain Go program's payload comes in one piece, and twenty of them that
/// arrive slowly take a third of a megabyte.
pub(crate) const READ_BYTES_MIN: usize = 16 << 10;
/// The most that a body's buffer grows by at once because a longer one was announced: announcing costs a server nothing.
pub(crate) const READ_BYTES_MAX: usize = 256 << 10;
/// Bytes that are read of one answer before other exchanges have their turn.
pub(crate) const READ_TURN_BYTES: usize = 1 << 20;

/// Bytes of an error page that are read, so that its connection can be used again.
pub(crate) const ERROR_PAGE_BYTES: usize = 16 << 10;

/// Bytes of a body that are looked at to find out what came instead of expvar's JSON: a page has its title there.
pub(crate) const FOREIGN_LOOK_BYTES: usize = 4 << 10;
/// Bytes of it that a log line repeats, and of its Content-Type.
pub(crate) const FOREIGN_WORDS_BYTES_MAX: usize = 120;

/// Redirects followed in one poll.
pub(crate) const REDIRECTS_MAX: u32 = 5;

/// Descriptors that the process has in any case: the standard ones, signals, the pipe that wakes the thread; and a few for
/// files that are open for a moment.
pub(crate) const DESCRIPTORS_BASE: usize = 16;
/// Of one recorder's spool: the folder and its lock, the two files of the segment that is written, one that is read, the folder
/// once more while it is listed, and another one when it has been moved.
pub(crate) const DESCRIPTORS_PER_SPOOL: usize = 7;
/// Of one file that is rotated: the old one and the new one.
pub(crate) const DESCRIPTORS_PER_ROTATED_FILE: usize = 2;
/// What stays open for good has numbers from here on. A limit that is lowered to less leaves those below usable.
pub(crate) const PERMANENT_DESCRIPTORS_FLOOR: i32 = 64;
/// An exchange that libcurl has not ended so long after its time is given up.
pub(crate) const LIBCURL_LATE: Duration = Duration::from_secs(1);
/// What libcurl and its client start with; without them it would end the process.
pub(crate) const LIBCURL_START_DESCRIPTORS: usize = 6;
/// The same, and what it opens for a moment.
pub(crate) const LIBCURL_DESCRIPTORS: usize = 12;
/// What its lookups of names take: it has twenty at once, each with two sockets and a file.
pub(crate) const LIBCURL_LOOKUP_DESCRIPTORS: usize = 60;
/// What one exchange takes: a lookup, and a connection.
pub(crate) const LIBCURL_EXCHANGE_DESCRIPTORS: usize = 4;
/// Where the system refuses to wait for all descriptors at once, as there are more than the limit is by now, they are looked
/// at in parts of at most so many, and then again after a pause.
pub(crate) const POLL_PART_DESCRIPTORS: usize = 256;
pub(crate) const POLL_IN_PARTS_PAUSE: Duration = Duration::from_millis(10);
/// An exchange that waits for a descriptor looks this often whether there is one after all.
pub(crate) const DESCRIPTOR_RETRY: Duration = Duration::from_secs(1);

/// Default of `settings.shutdown_timeout`.
pub(crate) const SHUTDOWN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// Another signal that asks for the end within this time of the first counts as the first.
pub(crate) const SAME_SIGNAL: Duration = Duration::from_secs(1);
/// A process that has not ended so long after `shutdown_timeout` hangs. It is promised to end within a second.
pub(crate) const SHUTDOWN_GRACE: Duration = Duration::from_millis(800);
/// How often the watchdog checks for that.
pub(crate) const WATCHDOG_LOOK: Duration = Duration::from_millis(50);
/// A thread that has not heard a signal for so long hangs.
pub(crate) const SIGNAL_HEARD: Duration = Duration::from_millis(500);
/// Default `timeout` of readers and recorders.
pub(crate) const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Default `backoff` of readers and recorders: failures in a row.
pub(crate) const BACKOFF_DEFAULT: u32 = 15;
/// The most that `backoff` can be set to.
pub(crate) const BACKOFF_MAX: u32 = 1_000_000;
/// Default of a reader's `interval`.
pub(crate) const INTERVAL_DEFAULT: Duration = Duration::from_secs(1);
/// Durations in the configuration, at most: what is longer is a slip of a unit.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// The shortest `interval`: below it polls would only queue behind one another.
pub(crate) const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// Polls in a row that an endpoint takes longer than its interval before a line says so, and the time that they take together:
/// a machine that is busy for a moment is no reason.
pub(crate) const SLOW_POLLS_MIN: u32 = 3;
pub(crate) const SLOW_TIME_MIN: Duration = Duration::from_secs(5);

/// An endpoint that counts as down is probed this often, within a quarter more or less.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// First pause after a failed shipment; doubles up to [`RETRY_DELAY_MAX`].
pub(crate) const RETRY_DELAY_MIN: Duration = Duration::from_millis(100);
/// The longest pause between two tries while the server does not yet count as down.
pub(crate) const RETRY_DELAY_MAX: Duration = Duration::from_secs(8);
/// Tries in a row after which a bulk that fails as a whole is set aside for others: the pauses between them are below a second
/// in all. If all that is known is that the server is busy or away, `backoff` says how many, if that is more.
pub(crate) const TRIES_IN_A_ROW: u64 = 3;
/// Bulks of fresh documents that are sent in a row while other documents are due: of four bulks at least one is theirs.
pub(crate) const FRESH_IN_A_ROW_MAX: u32 = 3;
/// The longest pause after documents that were refused one by one, as long as others wait beside them that have not been
/// tried since: those may be for another index, and there may be hundreds of segments.
pub(crate) const BACKLOG_DELAY_MAX: Duration = Duration::from_secs(1);
/// Hosts in the list of one recorder: each may cost an exchange with every try while all are away.
pub(crate) const HOSTS_MAX: usize = 64;
/// The longest rest of a host while others do its work; first it is [`RETRY_DELAY_MIN`], then it doubles.
pub(crate) const HOST_REST_MAX: Duration = Duration::from_secs(30);
/// A host rests for at least so many times what documents waited for it in vain: one that hangs again and again takes a
/// fifth of the time at most.
pub(crate) const REST_PER_COST: u32 = 4;
/// The longest `Retry-After` that is honoured: a server must not silence us for a day by a slip.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Bytes of a log line with its end: what a pipe that has room takes at once, so that lines of several processes do not mix.
pub(crate) const LOG_LINE_BYTES_MAX: usize = PIPE_WRITE_BYTES;
/// For so long in all log lines may wait for room in standard error, in each of these periods. If nobody has read by then
/// they do not wait any more.
pub(crate) const LOG_PATIENCE: Duration = Duration::from_millis(50);
pub(crate) const LOG_PATIENCE_PERIOD: Duration = Duration::from_secs(1);

/// The same failure is logged again after this, then after twice this, up to [`LOG_PERIOD_MAX`].
pub(crate) const LOG_PERIOD_MIN: Duration = Duration::from_secs(60);
/// The longest silence about a failure that goes on.
pub(crate) const LOG_PERIOD_MAX: Duration = Duration::from_secs(900);

/// Kinds of failure that one endpoint is remembered with; more of them share the last place.
pub(crate) const FAILURE_KINDS_MAX: usize = 8;

/// Default of a file recorder's `bytes`, after which the file is rotated.
pub(crate) const FILE_BYTES_DEFAULT: u64 = 64 << 20;
/// Default of a file recorder's `keep`: rotated files that stay.
pub(crate) const FILE_KEEP_DEFAULT: u32 = 3;
/// The most that `keep` can be set to.
pub(crate) const FILE_KEEP_MAX: u64 = 1_000;
/// Bytes of a file recorder's file that are read at a time, from its end, to find the last whole document: mostly one does.
pub(crate) const TORN_READ_BYTES: usize = 8 << 10;
/// Bytes of such a file in which a line has to end: what a crash has torn is at most a bulk.
pub(crate) const TORN_BYTES_MAX: u64 = BULK_BYTES_MAX + DOCUMENT_BYTES_MAX as u64;
/// Bytes in one write to a pipe: the kernel takes so many at once without blocking when it says that it is ready.
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
