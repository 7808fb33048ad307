//! Arrays of objects: each member becomes one array of the values that are there, `path.member: […]`.
//!
//! Values beside the objects of such an array go to `path._value`. The columns are collected in the tick's arena, as
//! their lengths are known only at the end of the array.

use super::Cause;
use super::fit::Met;
use super::guide::{Guide, Stop};
use super::scalar::{self, Escapes};
use super::walk::{Walk, Written};
use crate::json;
use crate::limits::COLUMNS_MAX;
use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

/// Name of the column that holds what is no object.
const VALUE_COLUMN: &[u8] = b"_value";

/// The columns of one array, in the order in which their names were first seen.
struct Columns<'a> {
    arena: &'a Bump,
    list: ArenaVec<'a, Column<'a>>,
    /// The column after the one last found: elements mostly have the same members in the same order.
    expected: usize,
}

/// Where the names of an array's columns begin in the path; by keys too, as a key may be empty.
#[derive(Debug, Clone, Copy)]
struct Base {
    bytes: usize,
    keys: usize,
}

struct Column<'a> {
    /// Relative to the array, escaped as JSON.
    name: &'a [u8],
    /// Of the name: long names that begin alike are many.
    hash: u64,
    /// JSON values, separated by commas.
    values: ArenaVec<'a, u8>,
    met: Met,
}

impl<'a> Columns<'a> {
    fn new(arena: &'a Bump) -> Self {
        Self { arena, list: ArenaVec::new_in(arena), expected: 0 }
    }

    /// Appends a value to the column `name`; false if there are too many columns or the arena is full.
    fn push(&mut self, name: &[u8], value: &[u8]) -> bool {
        let Some(at) = self.find(name) else { return false };
        self.expected = at + 1;
        let values = &mut self.list[at].values;
        if values.try_reserve(value.len() + 1).is_err() {
            return false;
        }
        if !values.is_empty() {
            values.push(b',');
        }
        values.extend_from_slice_copy(value);
        self.list[at].met.value(value);
        true
    }

    fn find(&mut self, name: &[u8]) -> Option<usize> {
        if self.list.get(self.expected).is_some_and(|column| column.name == name) {
            return Some(self.expected);
        }
        let hash = hash(name);
        if let Some(at) = self.list.iter().position(|column| column.hash == hash && column.name == name) {
            return Some(at);
        }
        if self.list.len() == COLUMNS_MAX || self.list.try_reserve(1).is_err() {
            return None;
        }
        let name = self.arena.try_alloc_slice_copy(name).ok()?;
        self.list.push(Column { name, hash, values: ArenaVec::new_in(self.arena), met: Met::default() });
        Some(self.list.len() - 1)
    }
}

/// Eight bytes at a time: names may be as long as the body, and are hashed once for each value.
fn hash(name: &[u8]) -> u64 {
    let (words, rest) = name.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let word = |hash: u64, word: &[u8; 8]| (hash ^ u64::from_le_bytes(*word)).wrapping_mul(ODD).rotate_left(29);
    word(words.iter().fold(name.len() as u64, word), &last)
}

/// Bits without a pattern: 2^64 divided by the golden ratio.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

impl<'a, G: Guide> Walk<'a, G> {
    /// Writes the array of objects at the cursor as one member for each column.
    pub(super) fn columns_member(&mut self) -> Result<(), Stop> {
        let mut columns = Columns::new(self.arena);
        self.path.clear();
        self.path_keys = 0;
        self.collect_array(&mut columns, Base { bytes: 0, keys: 0 })?;
        for column in &columns.list {
            let mark = self.out.len();
            let named = self.guide.column(column.name, self.out)?;
            if named && column.met.is_any() {
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
            self.met = column.met;
            self.fit_array(start)?;
            self.report.lists += 1;
            self.check_length()?;
        }
        self.guide.end()
    }

    /// Appends a key to the name of the column: written one way, however the payload escapes it.
    fn push_column_key(&mut self, key: &[u8]) {
        let mark = self.path.len();
        if memchr::memchr(b'\\', key).is_none() {
            self.path.extend_from_slice(key);
        } else {
            let decoded = &mut Vec::with_capacity(key.len());
            scalar::decode(decoded, key);
            json::write_escaped_bytes(self.path, decoded);
        }
        if self.dots_underscore() {
            self.path[mark..].iter_mut().filter(|byte| **byte == b'.').for_each(|byte| *byte = b'_');
        }
    }

    /// Collects the elements of the array at the cursor; names count from `base`.
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
                b'{' => self.collect_object(columns, base)?,
                b'[' => self.collect_nested(columns, base)?,
                first => self.collect_scalar(columns, base, first)?,
            }
            if !matches!(self.peek()?, b',' | b']') {
                self.skip_broken()?;
            }
            match self.next()? {
                b',' => {}
                b']' => break,
                other => return Err(self.unexpected(other)),
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
                other => return Err(self.unexpected(other)),
            }
        }
        self.leave();
        Ok(())
    }

    fn collect_member(&mut self, columns: &mut Columns<'a>, base: Base) -> Result<(), Stop> {
        if self.peek()? != b'"' {
            return self.skip_broken();
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
        if matches!(self.peek()?, b',' | b'}') { Ok(()) } else { self.skip_broken() }
    }

    fn collect_scalar(&mut self, columns: &mut Columns<'a>, base: Base, first: u8) -> Result<(), Stop> {
        let (mark, broken) = (self.out.len(), self.report.broken);
        let written = self.scalar(first);
        let separated = self.is_separated()?;
        if written == Written::Yes && separated {
            self.collect_written(columns, base, mark)?;
        }
        self.out.truncate(mark);
        if separated { Ok(()) } else { self.skip_broken_since(broken) }
    }

    /// An array as a member of an element: one value of its column, or columns of its own.
    fn collect_list(&mut self, columns: &mut Columns<'a>, base: Base) -> Result<(), Stop> {
        if self.collect_plain(columns, base)? {
            return Ok(());
        }
        let mark = self.out.len();
        let mut inner = Columns::new(self.arena);
        let path_bytes = self.path.len();
        self.collect_array(&mut inner, Base { bytes: path_bytes, keys: self.path_keys })?;
        if !self.is_separated()? {
            return Ok(());
        }
        for column in &inner.list {
            self.out.push(b'[');
            self.out.extend_from_slice(&column.values);
            self.out.push(b']');
            self.path.push(b'.');
            self.path.extend_from_slice(column.name);
            self.collect_written(columns, base, mark)?;
            self.path.truncate(path_bytes);
            self.out.truncate(mark);
        }
        Ok(())
    }

    /// An array as an element: its objects count as elements of the outer one.
    fn collect_nested(&mut self, columns: &mut Columns<'a>, base: Base) -> Result<(), Stop> {
        if self.collect_plain(columns, base)? { Ok(()) } else { self.collect_array(columns, base) }
    }

    /// An array without objects as one value; false, and the cursor where it was, if there are objects in it.
    fn collect_plain(&mut self, columns: &mut Columns<'a>, base: Base) -> Result<bool, Stop> {
        let mark = self.out.len();
        let plain = self.array_text()?;
        if plain {
            // What something follows was not the value that it seemed to be.
            if self.is_separated()? {
                self.collect_written(columns, base, mark)?;
            }
            self.out.truncate(mark);
        }
        Ok(plain)
    }

    /// Takes the value that has been written behind `mark` into the column that `path` names.
    fn collect_written(&mut self, columns: &mut Columns<'a>, base: Base, mark: usize) -> Result<(), Stop> {
        let name = if self.path_keys > base.keys { &self.path[base.bytes..] } else { VALUE_COLUMN };
        if columns.push(name, &self.out[mark..]) {
            return Ok(());
        }
        if columns.list.len() < COLUMNS_MAX {
            // Not the columns have run out but the arena, whose limit is that of the document.
            return Err(self.error_at_cursor(Cause::DocumentTooLong));
        }
        self.report.beyond_columns += 1;
        let offset = self.offset(self.at);
        self.report.first_beyond_columns.get_or_insert(offset);
        Ok(())
    }
}
