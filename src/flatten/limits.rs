//! The bounds of the sanitiser, each with its unit and its reason.

/// Objects and arrays within each other. Go's own `encoding/json` stops at 10,000, servers at 20 levels of names.
pub const DEPTH_MAX: usize = 64;

/// Columns of one array of objects, at most: what has more is a table of names, not of values, and finding a column takes
/// a look at each in the worst case. Further members are left out and counted.
pub const COLUMNS_MAX: usize = 1_000;

/// Bytes of a variable's name; longer ones are cut, with a hash at the end. Far above any real one (136 in the recorded
/// payloads), and low enough that a thousand of them are half a megabyte.
pub const NAME_BYTES_MAX: usize = 512;

/// Names that one reader's variables get instead of their own.
pub const RENAMES_MAX: usize = 1_000;

/// Bytes of a name that is to be renamed: in a longer one no dot is looked at, however many there are.
pub const RENAMED_BYTES_MAX: usize = 1_024;

/// Segments of a name: the servers' `index.mapping.depth.limit`.
pub const NAME_SEGMENTS_MAX: usize = 20;

/// Bytes of a number: the servers' JSON parsers stop at a thousand characters.
pub const NUMBER_BYTES_MAX: usize = 1_000;

/// Default of a reader's `max_fields`.
pub const FIELDS_DEFAULT: usize = 1_000;

/// Bytes of one flat document. Joined names can make it much larger than the payload (a 100 kB name over 1,000
/// numbers makes 100 MB), and a server refuses a request over 100 MB whatever is in it.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// Scratch of the sanitiser above this is given back after a tick, bytes.
pub const KEPT_SCRATCH_BYTES_MAX: usize = 1 << 20;

/// Bytes of a server's or an endpoint's own words that a log line repeats.
pub const QUOTED_BYTES_MAX: usize = 300;

/// `null` that stand for gaps in the columns of one document, and as many for elements that are missing: 0.6 MB of text. What has
/// more is no table.
pub const GAPS_MAX: usize = 131_072;

/// Names of lost variables that a reader remembers, by their hashes, of each kind: what has more is broken as a whole.
pub const LOST_NAMES_MAX: usize = 200;

/// Of these, names in one log line.
pub const LOST_NAMES_TOLD: usize = 5;

/// Bytes of a lost variable's name that are kept. A log line shows fewer: secrets are looked for before it is cut.
pub const LOST_NAME_BYTES_MAX: usize = 256;

/// Bytes of it that a log line shows.
pub const LOST_NAME_SHOWN_BYTES_MAX: usize = 100;

/// Places of one payload where something is lost that are looked at for their names, 16 bytes each.
pub const LOST_LOOKED_AT_MAX: usize = 1_024;

/// A body that has to be mended is there twice while it is followed. So that it takes no more memory than others all the same
/// (six times its length, with four bytes for each of its tokens), one that is longer than this is refused if more than two
/// thirds of it are tokens of a byte. Real payloads have a token in every three to ten bytes.
pub(crate) const MENDED_BYTES_MAX: usize = 300 << 10;
