//! The bounds of the sanitiser, each with its unit and its reason.

/// Objects and arrays within each other. Go's own `encoding/json` stops at 10,000, servers at 20 levels of names.
pub const DEPTH_MAX: usize = 64;

/// The most columns of one array of objects. With more, the names of members are data themselves; and in the worst
/// case, finding a column takes a comparison with each. Further members are left out and counted.
pub const COLUMNS_MAX: usize = 1_000;

/// Bytes of a variable's name; longer ones are cut, with a hash at the end. Far above any real one (136 in the recorded
/// payloads), and low enough that a thousand of them are half a megabyte.
pub const NAME_BYTES_MAX: usize = 512;

/// The most variables that one reader renames.
pub const RENAMES_MAX: usize = 1_000;

/// Bytes of a name that is renamed. So only the first dots of a long name have to be looked at, however many there are.
pub const RENAMED_BYTES_MAX: usize = 1_024;

/// Segments of a name: the servers' `index.mapping.depth.limit`.
pub const NAME_SEGMENTS_MAX: usize = 20;

/// Bytes of a number: the servers' JSON parsers stop at a thousand characters.
pub const NUMBER_BYTES_MAX: usize = 1_000;

/// Default of a reader's `max_fields`.
pub const FIELDS_DEFAULT: usize = 1_000;

/// Bytes of one flat document. Joined names can make it much longer than the payload: an object with a name of 100 kB
/// and 1,000 numbers would become 100 MB. Servers refuse requests of more than 100 MB.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// The sanitiser's buffers are freed after a poll if they have more bytes than this.
pub const KEPT_SCRATCH_BYTES_MAX: usize = 1 << 20;

/// Bytes of a text from a server or an endpoint that a log line repeats.
pub const QUOTED_BYTES_MAX: usize = 300;

/// The most gaps in the columns of one document that are filled with `null`, and the most missing elements that a
/// repaired copy marks: 0.6 MB of text. What has more gaps is not a table.
pub const GAPS_MAX: usize = 131_072;

/// The most names of lost variables that a reader remembers, as hashes, for each kind of loss. If there are more,
/// everything is broken, and more names say nothing new.
pub const LOST_NAMES_MAX: usize = 200;

/// The most of these names in one log line.
pub const LOST_NAMES_TOLD: usize = 5;

/// Bytes of a lost variable's name that are remembered. A log line shows fewer, because secrets are searched for before
/// the name is cut.
pub const LOST_NAME_BYTES_MAX: usize = 256;

/// Bytes of a lost variable's name that a log line shows.
pub const LOST_NAME_SHOWN_BYTES_MAX: usize = 100;

/// The most places in one payload where something is lost that are recorded, 16 bytes each.
pub const LOST_LOOKED_AT_MAX: usize = 1_024;

/// While a body that had to be repaired is walked, there are two copies of it. So that it takes no more memory than
/// others, six times its length, a body that is longer than this is refused if more than two thirds of its bytes begin
/// a token: the index has four bytes for each token. Real payloads have a token in every three to ten bytes.
pub(crate) const MENDED_BYTES_MAX: usize = 300 << 10;
