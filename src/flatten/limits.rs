//! The bounds of the sanitiser, each with its unit and its reason.

/// Levels of nested objects and arrays. Go's `encoding/json` allows 10,000, and servers allow 20 levels of names.
pub const DEPTH_MAX: usize = 64;

/// The most columns that are made of one array of objects. If there are more, the members' names are data themselves. Also,
/// finding a column may take a comparison with each of them. Further members are left out and counted.
pub const COLUMNS_MAX: usize = 1_000;

/// Bytes of a variable's name. A longer name is cut and gets a hash at its end. The longest name in the recorded payloads has
/// 136 bytes, and a thousand names of this length take half a megabyte.
pub const NAME_BYTES_MAX: usize = 512;

/// The most variables that one reader renames.
pub const RENAMES_MAX: usize = 1_000;

/// Bytes of a name that can be renamed. So only the beginning of a very long name has to be compared.
pub const RENAMED_BYTES_MAX: usize = 1_024;

/// Segments of a name. This is the default of the servers' `index.mapping.depth.limit`.
pub const NAME_SEGMENTS_MAX: usize = 20;

/// Bytes of a number. The servers' JSON parsers accept a thousand characters.
pub const NUMBER_BYTES_MAX: usize = 1_000;

/// Bytes of a text that may be a number, a duration or a size. Go's longest duration has 25, a double at most 25.
pub const QUANTITY_BYTES_MAX: usize = 100;

/// The most arrays of objects that one reader turns into objects by a key, each with a name of at most
/// [`RENAMED_BYTES_MAX`] bytes. They are looked for one by one, only while a layout is learned.
pub const KEYED_ARRAYS_MAX: usize = 100;

/// Default of a reader's `max_fields`.
pub const FIELDS_DEFAULT: usize = 1_000;

/// Bytes of one flat document. Repeated prefixes of names can make it much longer than the payload: an object with a name of
/// 100 kB and 1,000 numbers would become 100 MB. Servers refuse requests of more than 100 MB.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// Bytes up to which the sanitiser's buffers are kept after a poll. Larger ones are freed.
pub const KEPT_SCRATCH_BYTES_MAX: usize = 1 << 20;

/// Bytes of a repaired copy that are kept after a poll. The memory for each byte of a body has no share for it while the next
/// body is read.
pub(crate) const KEPT_COPY_BYTES_MAX: usize = 64 << 10;

/// Bytes of a text from a server or an endpoint that a log line repeats.
pub const QUOTED_BYTES_MAX: usize = 300;

/// The most gaps in the columns of one document that are filled with `null`, and the most missing elements that are marked in
/// a repaired copy. They take 0.6 MB of text. An array of objects with more gaps is not a table.
pub const GAPS_MAX: usize = 131_072;

/// The most names of lost variables that a reader remembers, as hashes, for each kind of loss. If there are more, more names
/// in the log would not help.
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

/// A body that had to be repaired is in memory twice while it is walked. So that it takes no more memory than other bodies
/// (six times its length), a longer one than this is refused if more than two thirds of its bytes begin a token, because the
/// index has four bytes for each token. Real payloads have a token in every three to ten bytes.
pub(crate) const MENDED_BYTES_MAX: usize = 300 << 10;
