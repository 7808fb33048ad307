//! What the walk found in one payload.

use crate::layout::Mended;

/// What one payload contained, for the program's own metrics.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Numbers that are shipped, without those in arrays.
    pub numbers: u64,
    /// Strings that are shipped, without those in arrays.
    pub strings: u64,
    /// Booleans that are shipped, without those in arrays.
    pub booleans: u64,
    /// Arrays that are shipped. Each column of an array of objects counts as one.
    pub lists: u64,
    /// How many of `lists` are ring buffers of garbage collections.
    pub gc_lists: u64,
    /// Objects within the payload.
    pub objects: u64,
    /// Members that are `null`, which are left out.
    pub nulls: u64,
    /// Values that are not JSON, left out.
    pub broken: u64,
    /// Numbers beyond the largest double, left out.
    pub out_of_range: u64,
    /// Lone surrogates in strings, written as U+FFFD.
    pub mended: u64,
    /// Byte offset of the first of these strings, in the text that was walked.
    pub first_mended: Option<usize>,
    /// Values that are left out because an array of objects has more columns than [`crate::limits::COLUMNS_MAX`], or
    /// more gaps than [`crate::limits::GAPS_MAX`].
    pub beyond_columns: u64,
    /// Byte offset just after the first of these values, in the text that was walked.
    pub first_beyond_columns: Option<usize>,
    /// Texts that should have become numbers, and were none.
    pub unconverted: u64,
    /// Elements that had no key, left out of arrays that become objects by a key.
    pub unkeyed: u64,
    /// Names that had to be changed, and variables beyond `max_fields`.
    pub names: Mended,
    /// How many of `numbers` are sizes in bytes according to a `map_file`.
    pub sizes: u64,
    /// Garbage collections that were overwritten before they were seen.
    pub gc_missed: u64,
    /// 1 if the totals of garbage collections contradict each other.
    pub gc_doubtful: u64,
    /// Whether the target has restarted since the last document.
    pub restarted: bool,
}

impl Report {
    /// Values and variables that were left out although the rules want them.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.broken + self.out_of_range + self.beyond_columns + self.unkeyed + self.names.over_limit
    }
}
