//! Names that the server takes: each variable's name is mended where it must be, the same way on every server, and no
//! two variables of a document end up with the same one.
//!
//! What servers refuse (Elasticsearch 5 to 9, OpenSearch 1 to 3): empty or blank segments, their own fields at the root,
//! more than 20 levels, equal names, and a name that is both a value and an object.
//!
//! The table of a document's names lives in the tick's arena. What outlives it are hashes: of the fields that the reader
//! has shipped (they are bounded, first come first kept) and of the names that were objects (a name that once was one
//! stays one, else the server's mapping would refuse the value that takes its place).

use super::layout::{Kind, Layout, Role};
use super::scalar;
use crate::json;
use crate::limits::{NAME_BYTES_MAX, NAME_SEGMENTS_MAX};
use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use hashbrown::HashMap;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// Fields that each document begins with, and those that the sanitiser adds.
pub(super) const OWN_NAMES: [&str; 4] = ["@timestamp", "service.name", "host.name", RESTARTED];
/// Member of a document whose target is another process than that of the document before.
pub(super) const RESTARTED: &str = "expvastic.restarted";
/// Prefix of variables that carry a name of ours or of the server's.
const VARS: &str = "vars.";

/// Metadata fields of any of the servers: at the root they are refused, or worse, taken for what they name.
#[rustfmt::skip]
const RESERVED: [&str; 31] = [
    "_all", "_data_stream_timestamp", "_doc_count", "_feature", "_field_names", "_id", "_ignored", "_ignored_source",
    "_index", "_index_mode", "_inference_fields", "_meta", "_nested_path", "_parent", "_primary_term",
    "_recovery_source", "_routing", "_seq_no", "_size", "_slice", "_source", "_tier", "_timestamp", "_ts_routing_hash",
    "_tsid", "_ttl", "_type", "_uid", "_version", "_seq_no_doc_values", "_nested",
];

/// How many variables of a document have a name that was mended, by kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mended {
    /// A segment was empty or blank, and is `_`.
    pub(crate) empty: u64,
    /// A name of ours or of the server's, behind `vars.`.
    pub(crate) reserved: u64,
    /// More levels than a server takes: the last are joined with `_`.
    pub(crate) deep: u64,
    /// Cut, with a hash at the end.
    pub(crate) long: u64,
    /// Equal to one before, with `#2` and so on at the end.
    pub(crate) repeated: u64,
    /// Both value and object: `._value` is at the end.
    pub(crate) moved: u64,
    /// Variables beyond `max_fields`, left out.
    pub(crate) over_limit: u64,
}

/// What a reader remembers of its names as long as it lives.
#[derive(Debug)]
pub(super) struct Fields {
    hasher: RandomState,
    max: usize,
    taken: HashSet<u64>,
    objects: HashSet<u64>,
}

/// Buffers that are kept from one payload to the next.
#[derive(Debug, Default)]
pub(super) struct Work {
    path: Path,
    name: Vec<u8>,
    /// The keys around the member that is looked at as they stand, each with a dot behind it.
    raw: Vec<u8>,
    raw_marks: Vec<usize>,
}

/// There is no room for the names in the arena.
pub(super) struct NoRoom;

/// A variable that is shipped.
struct Entry<'a> {
    node: usize,
    /// Mended, then final.
    name: &'a [u8],
    occurrence: u32,
    /// The name is the keys as they stand, joined with dots.
    plain: bool,
}

/// A name of this document.
#[derive(Default)]
struct Slot {
    /// Variables whose mended name it is.
    occurrences: u32,
    /// The last `#n` that was tried.
    tried: u32,
    used: bool,
}

type Table<'a> = HashMap<&'a [u8], Slot, RandomState, &'a Bump>;

impl Fields {
    pub(super) fn new(max: usize) -> Self {
        let hasher = RandomState::new();
        let mut fields = Self { hasher, max, taken: HashSet::new(), objects: HashSet::new() };
        for name in OWN_NAMES {
            fields.add_objects(name.as_bytes());
        }
        fields
    }

    /// Whether a reader may ship this field: it has before, or there is room for one more.
    fn take(&mut self, name: &[u8], occurrence: u32) -> bool {
        let hash = self.hasher.hash_one((name, occurrence));
        self.taken.contains(&hash) || (self.taken.len() < self.max && self.taken.insert(hash))
    }

    fn add_objects(&mut self, name: &[u8]) {
        for dot in memchr::memrchr_iter(b'.', name) {
            if !self.objects.insert(self.hasher.hash_one(&name[..dot])) {
                break;
            }
        }
    }

    fn is_object(&self, name: &[u8]) -> bool {
        self.objects.contains(&self.hasher.hash_one(name))
    }
}

/// Gives every variable of `layout` its final name, or takes it out.
pub(super) fn resolve(
    layout: &mut Layout,
    fields: &mut Fields,
    work: &mut Work,
    dots_underscore: bool,
    arena: &Bump,
) -> Result<(), NoRoom> {
    work.path.reset(dots_underscore);
    let mut table = Table::with_hasher_in(fields.hasher.clone(), arena);
    let mut entries = collect(layout, fields, &mut table, work, arena)?;
    for entry in &entries {
        fields.add_objects(entry.name);
    }
    for entry in &entries {
        if entry.occurrence == 1 && !fields.is_object(entry.name) {
            slot(&mut table, entry.name)?.used = true;
        }
    }
    for entry in &mut entries {
        if entry.occurrence > 1 || fields.is_object(entry.name) {
            settle(entry, fields, &mut table, &mut layout.mended, &mut work.name, arena)?;
        }
    }
    write_names(layout, &entries);
    Ok(())
}

/// The mended names of all variables that are shipped.
fn collect<'a>(
    layout: &mut Layout,
    fields: &mut Fields,
    table: &mut Table<'a>,
    work: &mut Work,
    arena: &'a Bump,
) -> Result<ArenaVec<'a, Entry<'a>>, NoRoom> {
    let mut entries = ArenaVec::new_in(arena);
    let Work { path, name, raw, raw_marks } = work;
    raw.clear();
    raw_marks.clear();
    let (mut mended, mut key_at, mut in_columns) = (Mended::default(), 0, false);
    for (index, node) in layout.nodes.iter_mut().enumerate() {
        let key = &layout.keys[key_at..key_at + node.key_bytes as usize];
        key_at += key.len();
        match node.kind {
            Kind::Out | Kind::Dropped => {}
            Kind::End => {
                path.leave();
                in_columns = false;
                let mark = raw_marks.pop().unwrap_or_default();
                node.name_bytes = u32::try_from(raw.len() - mark).unwrap_or(u32::MAX);
                raw.truncate(mark);
            }
            Kind::Object | Kind::Columns => {
                path.enter(key, false);
                in_columns = node.kind == Kind::Columns;
                raw_marks.push(raw.len());
                raw.extend_from_slice(key);
                raw.push(b'.');
            }
            Kind::Leaf if node.hidden => {}
            Kind::Leaf => {
                path.enter(key, in_columns);
                let kinds = path.render(name);
                path.leave();
                let occurrence = table.get(name.as_slice()).map_or(0, |slot| slot.occurrences) + 1;
                if !fields.take(name, occurrence) {
                    mended.over_limit += 1;
                    // What tells which pauses are new is needed all the same.
                    node.hidden = node.role != Role::None;
                    node.kind = if node.hidden { Kind::Leaf } else { Kind::Out };
                    continue;
                }
                mended.add(kinds);
                let plain = name.strip_prefix(raw.as_slice()) == Some(key) && memchr::memchr(b'\\', name).is_none();
                let name = &*arena.try_alloc_slice_copy(name).map_err(|_| NoRoom)?;
                slot(table, name)?.occurrences = occurrence;
                entries.try_reserve(1).map_err(|_| NoRoom)?;
                entries.push(Entry { node: index, name, occurrence, plain });
            }
        }
    }
    layout.mended = mended;
    Ok(entries)
}

fn slot<'t, 'a>(table: &'t mut Table<'a>, name: &'a [u8]) -> Result<&'t mut Slot, NoRoom> {
    table.try_reserve(1).map_err(|_| NoRoom)?;
    Ok(table.entry(name).or_default())
}

/// Finds a name for a variable that cannot have its own.
fn settle<'a>(
    entry: &mut Entry<'a>,
    fields: &Fields,
    table: &mut Table<'a>,
    mended: &mut Mended,
    candidate: &mut Vec<u8>,
    arena: &'a Bump,
) -> Result<(), NoRoom> {
    let mut base = ArenaVec::new_in(arena);
    append(&mut base, entry.name)?;
    while fields.is_object(&base) {
        append(&mut base, b"._value")?;
    }
    mended.moved += u64::from(base.len() > entry.name.len());
    let base = base.into_bump_slice();
    let mut number = slot(table, base)?.tried;
    loop {
        number += 1;
        candidate.clear();
        candidate.extend_from_slice(base);
        if number > 1 {
            candidate.push(b'#');
            json::write_u64(candidate, number.into());
        }
        if !table.get(candidate.as_slice()).is_some_and(|slot| slot.used) && !fields.is_object(candidate) {
            break;
        }
    }
    mended.repeated += u64::from(number > 1);
    slot(table, base)?.tried = number;
    entry.name = arena.try_alloc_slice_copy(candidate).map_err(|_| NoRoom)?;
    entry.plain = false;
    slot(table, entry.name)?.used = true;
    Ok(())
}

fn append(text: &mut ArenaVec<'_, u8>, more: &[u8]) -> Result<(), NoRoom> {
    text.try_reserve(more.len()).map_err(|_| NoRoom)?;
    text.extend_from_slice_copy(more);
    Ok(())
}

fn write_names(layout: &mut Layout, entries: &[Entry<'_>]) {
    for entry in entries {
        if entry.plain {
            layout.nodes[entry.node].plain = true;
            continue;
        }
        let start = layout.names.len();
        layout.names.extend_from_slice(b",\"");
        json::write_escaped_bytes(&mut layout.names, entry.name);
        layout.names.extend_from_slice(b"\":");
        // A name is cut to NAME_BYTES_MAX.
        layout.nodes[entry.node].name_bytes = u32::try_from(layout.names.len() - start).unwrap_or(u32::MAX);
    }
}

impl Mended {
    /// Names of the kinds, in the order of [`Mended::counts`].
    pub(crate) const KINDS: [&str; 7] =
        ["empty_segment", "reserved", "too_deep", "too_long", "repeated", "value_and_object", "over_max_fields"];

    pub(crate) fn counts(&self) -> [u64; 7] {
        let Self { empty, reserved, deep, long, repeated, moved, over_limit } = *self;
        [empty, reserved, deep, long, repeated, moved, over_limit]
    }

    fn add(&mut self, other: Self) {
        self.empty += other.empty;
        self.reserved += other.reserved;
        self.deep += other.deep;
        self.long += other.long;
    }
}

/// The name of the member that is looked at, mended segment by segment; the hash goes along, so that a long name over
/// many members costs its own length once.
#[derive(Debug, Default)]
struct Path {
    dots_underscore: bool,
    text: Vec<u8>,
    key: Vec<u8>,
    levels: Vec<Level>,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    text_bytes: usize,
    segments: usize,
    prefixed: bool,
    hash: u64,
    kinds: Mended,
}

impl Path {
    fn reset(&mut self, dots_underscore: bool) {
        self.dots_underscore = dots_underscore;
        self.text.clear();
        self.levels.clear();
        self.levels.push(Level {
            text_bytes: 0,
            segments: 0,
            prefixed: false,
            hash: FNV_OFFSET,
            kinds: Mended::default(),
        });
    }

    /// `key` is escaped as JSON; the dots of a column's are those between keys.
    fn enter(&mut self, key: &[u8], column: bool) {
        let mut decoded = std::mem::take(&mut self.key);
        decoded.clear();
        scalar::decode(&mut decoded, key);
        let Some(mut level) = self.levels.last().copied() else { return };
        if self.dots_underscore && !column {
            decoded.iter_mut().filter(|byte| **byte == b'.').for_each(|byte| *byte = b'_');
        }
        for segment in decoded.split(|&byte| byte == b'.') {
            self.push(&mut level, segment);
        }
        self.key = decoded;
        self.levels.push(level);
    }

    fn push(&mut self, level: &mut Level, segment: &[u8]) {
        if level.segments > 0 {
            let deep = level.segments + usize::from(level.prefixed) >= NAME_SEGMENTS_MAX;
            level.kinds.deep = u64::from(deep);
            self.append(level, if deep { b"_" } else { b"." });
        }
        level.segments += 1;
        let blank = is_blank(segment);
        level.kinds.empty |= u64::from(blank);
        self.append(level, if blank { b"_" } else { segment });
        let text = &self.text[..level.text_bytes];
        let reserved = level.segments == 1 && RESERVED.iter().any(|name| name.as_bytes() == text);
        if !level.prefixed && (reserved || OWN_NAMES.iter().any(|name| name.as_bytes() == text)) {
            level.prefixed = true;
            level.kinds.reserved = 1;
            level.hash = fnv(fnv(FNV_OFFSET, VARS.as_bytes()), text);
        }
    }

    fn append(&mut self, level: &mut Level, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        level.text_bytes = self.text.len();
        level.hash = fnv(level.hash, bytes);
    }

    fn leave(&mut self) {
        self.levels.pop();
        self.text.truncate(self.levels.last().map_or(0, |level| level.text_bytes));
    }

    /// Writes the mended name, and says what was done to it.
    fn render(&self, name: &mut Vec<u8>) -> Mended {
        name.clear();
        let Some(level) = self.levels.last() else { return Mended::default() };
        let prefix = if level.prefixed { VARS.as_bytes() } else { b"" };
        name.extend_from_slice(prefix);
        let long = prefix.len() + level.text_bytes > NAME_BYTES_MAX;
        let kept = if long { NAME_BYTES_MAX - HASH_BYTES - prefix.len() } else { level.text_bytes };
        name.extend_from_slice(&self.text[..scalar::character_boundary(&self.text, kept)]);
        if long {
            name.push(b'_');
            for byte in level.hash.to_be_bytes() {
                name.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
            }
        }
        Mended { long: u64::from(long), ..level.kinds }
    }
}

/// `_` and 16 hexadecimal digits.
const HASH_BYTES: usize = 17;
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a: it is part of names that stay in indices for years, so it may never change.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn is_blank(segment: &[u8]) -> bool {
    let text = std::str::from_utf8(segment).unwrap_or("?");
    text.chars().all(|character| character.is_whitespace() || character <= ' ')
}
