//! What the walk found in one payload.

use crate::layout::Mended;

/// What one payload held, for the own metrics.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Numbers that were shipped outside of arrays.
    pub numbers: u64,
    /// Strings that were shipped outside of arrays.
    pub strings: u64,
    /// Booleans that were shipped outside of arrays.
    pub booleans: u64,
    /// Arrays that were shipped, a column of an array of objects counting as one.
    pub lists: u64,
    /// Of `lists`, the ring buffers of garbage collections.
    pub gc_lists: u64,
    /// Objects within the payload.
    pub objects: u64,
    /// `null`, which has no place in a flat document.
    pub nulls: u64,
    /// Values that are no JSON and were left out.
    pub broken: u64,
    /// Numbers beyond the largest double, left out.
    pub out_of_range: u64,
    /// Lone surrogates in strings, written as U+FFFD.
    pub mended: u64,
    /// Values in arrays of objects that have more members than [`crate::limits::COLUMNS_MAX`], or more gaps than
    /// [`crate::limits::GAPS_MAX`], left out.
    pub beyond_columns: u64,
    /// Byte offset behind the first of them, in the text that was followed.
    pub first_beyond_columns: Option<usize>,
    /// Names that had to be mended, and variables beyond `max_fields`.
    pub names: Mended,
    /// Of `numbers`, those that a `map_file` calls sizes in bytes.
    pub sizes: u64,
    /// Garbage collections that were overwritten before they were seen.
    pub gc_missed: u64,
    /// 1 if the totals of garbage collections contradict each other.
    pub gc_doubtful: u64,
    /// The target is another process than that of the last document.
    pub restarted: bool,
}
