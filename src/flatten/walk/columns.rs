//! Arrays of objects: each member becomes one array, `path.member: […]`, with one value for each object of the array.
//!
//! Each element of the array is a row. In a column, a value has the position of its row; there is `null` where a row
//! has no such member, or a broken one. A row that has a name twice fills two columns. Elements that are not objects go
//! to `path._value`. The columns are collected in the arena, because their lengths are known only at the end of the
//! array.

use super::Walk;
use super::fit::ElementKinds;
use super::scalars::Written;
use crate::bytes::json::{self, NULL};
use crate::bytes::scalar::{self, Escapes};
use crate::error::{Cause, Stop};
use crate::layout::guide::{ColumnTraits, Guide};
use crate::limits::COLUMNS_MAX;
use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

/// The name of the column for elements that are not objects.
const VALUE_COLUMN: &[u8] = b"_value";

/// The columns of one array, in the order in which their names were first seen.
struct Columns<'a> {
    arena: &'a Bump,
    list: ArenaVec<'a, Column<'a>>,
    /// The column after the last one that was found. Rows mostly have the same members in the same order, so it is
    /// likely to be the next one.
    expected: usize,
    /// The number of rows before the current one.
    rows: usize,
    /// Whether two columns have the same name.
    has_twins: bool,
}

/// Where the names of an array's columns begin in the path: in bytes, and in keys, because a key may be empty.
#[derive(Debug, Clone, Copy)]
struct Base {
    bytes: usize,
    keys: usize,
}

/// One column.
struct Column<'a> {
    /// Relative to the array, escaped as JSON.
    name: &'a [u8],
    /// Hash of the name. Many names are long and begin alike, so comparing them takes longer.
    hash: u64,
    /// JSON values, separated by commas.
    values: ArenaVec<'a, u8>,
    /// The number of values.
    rows: usize,
    /// How many of these are `null` that fill gaps.
    gaps: usize,
    element_kinds: ElementKinds,
    /// The token of its first string, or the last one of the array that this is in.
    string_token: usize,
    /// Whether one of the values is not `null`.
    has_value: bool,
    /// Whether it would have more gaps than are left to fill; it is not shipped then.
    is_sparse: bool,
}

/// Why a value cannot be stored.
enum NoPlace {
    /// There are too many columns, or its column has too many gaps.
    Column,
    /// The arena is full; its limit is that of the document.
    Arena,
}

impl<'a> Columns<'a> {
    fn new(arena: &'a Bump) -> Self {
        Self { arena, list: ArenaVec::new_in(arena), expected: 0, rows: 0, has_twins: false }
    }

    /// Puts a value into the column `name`, in the current row. `token` is its last one. `gaps` is the number of gaps that
    /// may still be filled.
    fn push(&mut self, name: &[u8], value: &[u8], token: usize, gaps: &mut usize) -> Result<(), NoPlace> {
        let at = self.find(name)?;
        self.expected = at + 1;
        let column = &mut self.list[at];
        column.fill(self.rows, gaps)?;
        let had_strings = column.element_kinds.has_strings();
        column.append(value)?;
        if !had_strings && column.element_kinds.has_strings() {
            column.string_token = token;
        }
        Ok(())
    }

    /// The first column with this name that has no value in the current row yet. Creates one if there is none.
    fn find(&mut self, name: &[u8]) -> Result<usize, NoPlace> {
        let rows = self.rows;
        let is_free = |column: &Column<'_>| column.rows <= rows && column.name == name;
        if !self.has_twins && self.list.get(self.expected).is_some_and(is_free) {
            return Ok(self.expected);
        }
        let hash = hash(name);
        let mut twins = self.list.iter().enumerate().filter(|(_, column)| column.hash == hash && column.name == name);
        let mut has_twin = false;
        if let Some((at, _)) = twins.find(|(_, column)| {
            has_twin = true;
            is_free(column)
        }) {
            return Ok(at);
        }
        if self.list.len() == COLUMNS_MAX {
            return Err(NoPlace::Column);
        }
        self.list.try_reserve(1).map_err(|_| NoPlace::Arena)?;
        let name = self.arena.try_alloc_slice_copy(name).map_err(|_| NoPlace::Arena)?;
        self.has_twins |= has_twin;
        self.list.push(Column {
            name,
            hash,
            values: ArenaVec::new_in(self.arena),
            rows: 0,
            gaps: 0,
            element_kinds: ElementKinds::default(),
            string_token: 0,
            has_value: false,
            is_sparse: false,
        });
        Ok(self.list.len() - 1)
    }

    /// Fills the end of each column. Gives the number of columns that have too many gaps for that and are not shipped.
    fn complete(&mut self, gaps: &mut usize) -> Result<u64, NoPlace> {
        let mut lost = 0;
        for column in self.list.iter_mut().filter(|column| column.has_value && !column.is_sparse) {
            match column.fill(self.rows, gaps) {
                Ok(()) => {}
                Err(NoPlace::Column) => lost += 1,
                Err(NoPlace::Arena) => return Err(NoPlace::Arena),
            }
        }
        Ok(lost)
    }
}

impl Column<'_> {
    /// Fills the gap before row `row`.
    fn fill(&mut self, row: usize, gaps: &mut usize) -> Result<(), NoPlace> {
        let missing = row.saturating_sub(self.rows);
        if self.is_sparse || missing > *gaps {
            self.is_sparse = true;
            // The column is not shipped, so other columns can have its gaps.
            *gaps += std::mem::take(&mut self.gaps);
            return Err(NoPlace::Column);
        }
        *gaps -= missing;
        self.gaps += missing;
        (0..missing).try_for_each(|_| self.append(NULL))
    }

    fn append(&mut self, value: &[u8]) -> Result<(), NoPlace> {
        self.values.try_reserve(value.len() + 1).map_err(|_| NoPlace::Arena)?;
        if self.rows > 0 {
            self.values.push(b',');
        }
        self.values.extend_from_slice_copy(value);
        self.rows += 1;
        self.element_kinds.add_value(value);
        self.has_value |= value != NULL;
        Ok(())
    }

    fn is_shipped(&self) -> bool {
        self.has_value && !self.is_sparse
    }
}

/// A hash that takes eight bytes at a time. Names may be as long as the body, and are hashed once for each value.
fn hash(name: &[u8]) -> u64 {
    let (words, rest) = name.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let word = |hash: u64, word: &[u8; 8]| (hash ^ u64::from_le_bytes(*word)).wrapping_mul(ODD).rotate_left(29);
    word(words.iter().fold(name.len() as u64, word), &last)
}

/// An odd number without a pattern in its bits: 2^64 divided by the golden ratio.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

impl<'a, G: Guide> Walk<'a, G> {
    /// Writes the array of objects at the cursor as one member for each column.
    pub(super) fn columns_member(&mut self) -> Result<(), Stop> {
        let mut columns = Columns::new(self.arena);
        self.path.clear();
        self.path_keys = 0;
        self.collect_array(&mut columns, Base { bytes: 0, keys: 0 })?;
        self.complete(&mut columns)?;
        for column in columns.list.iter().filter(|column| column.is_shipped()) {
            let mark = self.out.len();
            let ColumnTraits { named, text } = self.guide.column(column.name, self.out)?;
            if named && column.element_kinds.has_any() {
                self.guide.value()?;
            }
            if !named || G::LEARNS {
                self.out.truncate(mark);
                continue;
            }
            let start = self.out.len();
            self.out.push(b'[');
            self.out.extend_from_slice(&column.values);
            self.out.push(b']');
            self.element_kinds = column.element_kinds;
            if let Some(unit) = text
                && column.element_kinds.has_strings()
            {
                self.convert_array(unit, column.string_token, start)?;
            }
            self.fit_array(start)?;
            self.report.lists += 1;
            self.check_length()?;
        }
        self.guide.end()
    }

    fn complete(&mut self, columns: &mut Columns<'a>) -> Result<(), Stop> {
        match columns.complete(&mut self.gaps_left) {
            Ok(0) => Ok(()),
            Ok(lost) => {
                self.beyond_columns(lost);
                Ok(())
            }
            Err(_) => Err(self.error_at_cursor(Cause::DocumentTooLong)),
        }
    }

    #[cold]
    fn beyond_columns(&mut self, values: u64) {
        self.report.beyond_columns += values;
        let offset = self.offset(self.at);
        self.report.first_beyond_columns.get_or_insert(offset);
    }

    /// Appends a key to the name of the column. Keys that differ only in how they are escaped become equal.
    fn push_column_key(&mut self, key: &[u8]) {
        let mark = self.path.len();
        if memchr::memchr(b'\\', key).is_none() {
            self.path.extend_from_slice(key);
        } else {
            // Decoded behind what has been written.
            let end = self.out.len();
            scalar::decode(self.out, key);
            json::write_escaped_bytes(self.path, &self.out[end..]);
            self.out.truncate(end);
        }
        if self.dots_underscore() {
            self.path[mark..].iter_mut().filter(|byte| **byte == b'.').for_each(|byte| *byte = b'_');
        }
    }

    /// Collects the elements of the array at the cursor.
    fn collect_array(&mut self, columns: &mut Columns<'a>, base: Base) -> Result<(), Stop> {
        self.at += 1;
        self.enter()?;
        if self.peek()? == b']' {
            self.at += 1;
            self.leave();
            return Ok(());
        }
        loop {
            match self.peek()? {
                b'{' => {
                    self.collect_object(columns, base)?;
                    columns.rows += 1;
                }
                b'[' => self.collect_nested(columns, base)?,
                b',' | b']' | b'}' | b':' => return Err(Stop::Tangled),
                first => {
                    self.collect_scalar(columns, base, first)?;
                    columns.rows += 1;
                }
            }
            match self.next()? {
                b',' => {}
                b']' => break,
                _ => return Err(Stop::Tangled),
            }
        }
        self.leave();
        Ok(())
    }

    fn collect_object(&mut self, columns: &mut Columns<'a>, base: Base) -> Result<(), Stop> {
        self.at += 1;
        self.enter()?;
        if self.peek()? == b'}' {
            self.at += 1;
            self.leave();
            return Ok(());
        }
        loop {
            self.collect_member(columns, base)?;
            match self.next()? {
                b',' => {}
                b'}' => break,
                _ => return Err(Stop::Tangled),
            }
        }
        self.leave();
        Ok(())
    }

    fn collect_member(&mut self, columns: &mut Columns<'a>, base: Base) -> Result<(), Stop> {
        if self.peek()? != b'"' {
            return Err(Stop::Tangled);
        }
        let token = self.at;
        let Some(key) = self.key()? else { return self.skip_broken_member(token) };
        if scalar::escapes(key) == Escapes::Bad {
            return self.skip_broken_member(token);
        }
        let path_bytes = self.path.len();
        if self.path_keys > base.keys {
            self.path.push(b'.');
        }
        self.path_keys += 1;
        self.push_column_key(key);
        match self.peek()? {
            b'{' => self.collect_object(columns, base)?,
            b'[' => self.collect_list(columns, base)?,
            first => self.collect_scalar(columns, base, first)?,
        }
        self.path.truncate(path_bytes);
        self.path_keys -= 1;
        self.end_of_member()
    }

    fn collect_scalar(&mut self, columns: &mut Columns<'a>, base: Base, first: u8) -> Result<(), Stop> {
        let mark = self.out.len();
        if self.scalar(first) == Written::No {
            self.out.extend_from_slice(NULL);
        }
        self.collect_written(columns, base, mark)?;
        self.out.truncate(mark);
        Ok(())
    }

    /// Collects an array that is a member of an object: as one value, or, if it contains objects itself, one for each
    /// of its own columns.
    fn collect_list(&mut self, columns: &mut Columns<'a>, base: Base) -> Result<(), Stop> {
        if self.collect_plain(columns, base)? {
            return Ok(());
        }
        let mark = self.out.len();
        let mut inner = Columns::new(self.arena);
        let path_bytes = self.path.len();
        self.collect_array(&mut inner, Base { bytes: path_bytes, keys: self.path_keys })?;
        self.complete(&mut inner)?;
        for column in inner.list.iter().filter(|column| !column.is_sparse) {
            if column.has_value {
                self.out.push(b'[');
                self.out.extend_from_slice(&column.values);
                self.out.push(b']');
            } else {
                self.out.extend_from_slice(NULL);
            }
            self.path.push(b'.');
            self.path.extend_from_slice(column.name);
            self.collect_written(columns, base, mark)?;
            self.path.truncate(path_bytes);
            self.out.truncate(mark);
        }
        Ok(())
    }

    /// Collects an array that is an element. If it contains objects, they count as elements of the outer array.
    fn collect_nested(&mut self, columns: &mut Columns<'a>, base: Base) -> Result<(), Stop> {
        if self.collect_plain(columns, base)? {
            columns.rows += 1;
            return Ok(());
        }
        self.collect_array(columns, base)
    }

    /// Collects an array without objects as one value. If it contains objects: does nothing and gives false.
    fn collect_plain(&mut self, columns: &mut Columns<'a>, base: Base) -> Result<bool, Stop> {
        let mark = self.out.len();
        let plain = self.array_text()?;
        if plain {
            self.collect_written(columns, base, mark)?;
            self.out.truncate(mark);
        }
        Ok(plain)
    }

    /// Puts the value that has been written after `mark` into the column that `path` names.
    fn collect_written(&mut self, columns: &mut Columns<'a>, base: Base, mark: usize) -> Result<(), Stop> {
        let name = if self.path_keys > base.keys { &self.path[base.bytes..] } else { VALUE_COLUMN };
        match columns.push(name, &self.out[mark..], self.at - 1, &mut self.gaps_left) {
            Ok(()) => Ok(()),
            Err(NoPlace::Column) => {
                self.beyond_columns(1);
                Ok(())
            }
            Err(NoPlace::Arena) => Err(self.error_at_cursor(Cause::DocumentTooLong)),
        }
    }
}
