//! Gives every variable a name that servers accept. A name is changed only where it must be, and in the same way for
//! every server. No two variables of a document end up with the same name.
//!
//! Servers (Elasticsearch 5 to 9, OpenSearch 1 to 3) refuse empty or blank segments, their own fields at the root, more
//! than 20 levels, equal names, and a name that is both that of a value and that of an object.
//!
//! The table of a document's names is in the arena, which is emptied after each document. What is remembered longer is
//! in `fields`.

mod fields;
mod path;

use super::by_hash::{ByHash, NoRoom};
use super::lost::{Loss, Lost};
use super::rules::VariableRules;
use super::{Kind, Layout, Mended, Node, Shipped};
use crate::bytes::json;
use crate::limits::{NAME_BYTES_MAX, NAME_SEGMENTS_MAX};
use bumpalo::Bump;
use fields::Place;
use path::Path;
use std::fmt;

pub(crate) use fields::Fields;

/// The fields that each document begins with, and those that the sanitiser adds.
pub(crate) const OWN_NAMES: [&str; 4] = ["@timestamp", "service.name", "host.name", RESTARTED];
/// The field that marks a document whose target has restarted since the document before.
pub(crate) const RESTARTED: &str = "expvastic.restarted";
/// Prefix for variables whose name is one of ours or of the server's.
const VARS: &str = "vars.";

/// Makes the name of a counter that of its rate.
const RATE_SUFFIX: &[u8] = b"_per_second";

/// Metadata fields of any of the servers. At the root they are refused, or worse, given their special meaning.
#[rustfmt::skip]
const RESERVED: [&str; 31] = [
    "_all", "_data_stream_timestamp", "_doc_count", "_feature", "_field_names", "_id", "_ignored", "_ignored_source",
    "_index", "_index_mode", "_inference_fields", "_meta", "_nested_path", "_parent", "_primary_term",
    "_recovery_source", "_routing", "_seq_no", "_size", "_slice", "_source", "_tier", "_timestamp", "_ts_routing_hash",
    "_tsid", "_ttl", "_type", "_uid", "_version", "_seq_no_doc_values", "_nested",
];

/// Whether `name` is the name of something in the object `other`.
#[must_use]
pub fn is_below(name: &str, other: &str) -> bool {
    name.strip_prefix(other).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether a document cannot have both names: they are equal, or one is in the object that the other names.
#[must_use]
pub fn names_conflict(one: &str, other: &str) -> bool {
    one == other || is_below(one, other) || is_below(other, one)
}

/// Why a name that a user has chosen cannot be that of a label or of a renamed variable. Such names are shipped
/// unchanged, so they have to be acceptable as they are. Users get these errors while they write a configuration, and
/// not later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelNameError<'n> {
    /// There is nothing, or only white space, before, between or after the dots.
    EmptySegment,
    /// The name, or the object that it would be in, is one of ours or of the server's. The most likely one.
    Reserved(&'n str),
    /// It has more levels than servers accept, with one more for `vars.`. Unlikely.
    TooManySegments,
    /// It is longer than [`NAME_BYTES_MAX`]. Unlikely.
    TooLong,
}

impl fmt::Display for LabelNameError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptySegment => f.write_str("has an empty segment"),
            Self::Reserved(name) => write!(f, "conflicts with the reserved name {name}"),
            Self::TooManySegments => write!(f, "has more than {} segments", NAME_SEGMENTS_MAX - 1),
            Self::TooLong => write!(f, "is longer than {NAME_BYTES_MAX} bytes"),
        }
    }
}

impl std::error::Error for LabelNameError<'_> {}

/// Checks a name that a user has chosen, and that documents carry unchanged.
///
/// # Errors
/// Why it cannot be used.
pub fn check_label_name(name: &str) -> Result<(), LabelNameError<'_>> {
    // Names that begin with `vars.` are those of variables that had to be renamed.
    let reserved = name.split('.').next().filter(|first| *first == "vars" || RESERVED.contains(first));
    let own = OWN_NAMES.iter().find(|own| names_conflict(name, own));
    if name.split('.').any(|segment| is_blank_segment(segment.as_bytes())) {
        Err(LabelNameError::EmptySegment)
    } else if let Some(taken) = reserved.or_else(|| own.copied()) {
        Err(LabelNameError::Reserved(taken))
    } else if name.split('.').count() >= NAME_SEGMENTS_MAX {
        // A variable with the same name gets `vars.` before it, which is one segment more.
        Err(LabelNameError::TooManySegments)
    } else if name.len() > NAME_BYTES_MAX {
        Err(LabelNameError::TooLong)
    } else {
        Ok(())
    }
}

/// Buffers that are reused from one payload to the next.
#[derive(Debug, Default)]
pub(crate) struct Work {
    path: Path,
    name: Vec<u8>,
    spare: Vec<u8>,
    /// The keys of the objects that the current member is in, as they stand in the payload, each followed by a dot.
    raw: Vec<u8>,
    /// For each of these objects, the length of `raw` before its key.
    raw_marks: Vec<usize>,
}

/// What is known of one name of the current document.
#[derive(Debug, Default, Clone, Copy)]
struct Slot {
    /// How many variables want this name. A label counts as the first of them.
    occurrences: u32,
    /// How many of these have got their final name so far.
    settled: u32,
    /// The last number that was tried in `#n`.
    tried: u32,
    /// Whether it was given to a variable that could not have the name that it wanted.
    given: bool,
}

/// The names of a document, by their hashes with a random key. Should two hashes ever collide, one name gets a number
/// that it did not need.
type Table<'a> = ByHash<'a, Slot>;

/// Gives every variable of `layout` its final name, or leaves it out.
///
/// Goes over the layout twice, because the last variable can decide the name of the first: the first pass finds out
/// which names are wanted, and the second one assigns them. Only hashes are kept in between.
pub(crate) fn resolve(
    layout: &mut Layout,
    fields: &mut Fields,
    lost: &mut Lost,
    work: &mut Work,
    rules: &VariableRules,
    arena: &Bump,
) -> Result<(), NoRoom> {
    let labels = rules.labels.as_slice();
    let is_named = |node: &&Node| matches!(node.kind, Kind::Leaf | Kind::Rate) && !node.is_hidden();
    let leaves = layout.nodes.iter().filter(is_named).count();
    let mut table = Table::new(leaves.min(rules.fields_max) + labels.len(), arena)?;
    for label in labels {
        *table.get_mut(fields.hash(label.name.as_bytes()))? = Slot { occurrences: 1, settled: 1, ..Slot::default() };
    }
    let mut mended = Mended::default();
    lost.forget_changed();
    work.path.reset(rules.dots_underscore);
    each_leaf(layout, work, rules, |leaf| {
        let outcome = collect(leaf, fields, &mut table, &mut mended);
        leaf.note(lost);
        outcome
    })?;
    work.path.reset(rules.dots_underscore);
    each_leaf(layout, work, rules, |leaf| {
        let outcome = settle(leaf, fields, &mut table, &mut mended);
        leaf.note(lost);
        outcome
    })?;
    layout.mended = mended;
    layout.drop_hidden_rates();
    Ok(())
}

/// A variable that is shipped.
struct Leaf<'l> {
    node: &'l mut Node,
    /// Its key as it stands in the payload; of a rate, that of its counter.
    key: &'l [u8],
    /// The keys of the objects that it is in, as they stand in the payload, each followed by a dot.
    raw: &'l [u8],
    /// The name that it wants: mended, but perhaps not unique. May be written over.
    name: &'l mut Vec<u8>,
    spare: &'l mut Vec<u8>,
    /// Why the name had to be changed.
    reasons: Mended,
    /// Its final name is not the one that it has in the payload, or is renamed to.
    is_changed: bool,
    /// [`Layout::names`], to which the final name is appended, unless it is simply the keys.
    names: &'l mut Vec<u8>,
}

/// Calls `visit` for each variable that is shipped, in their order.
fn each_leaf(
    layout: &mut Layout,
    work: &mut Work,
    rules: &VariableRules,
    mut visit: impl FnMut(&mut Leaf<'_>) -> Result<(), NoRoom>,
) -> Result<(), NoRoom> {
    let Layout { nodes, keys, names, renamed, .. } = layout;
    let Work { path, name, spare, raw, raw_marks } = work;
    raw.clear();
    raw_marks.clear();
    let (mut key_at, mut in_columns) = (0, false);
    // Those of the last leaf: a rate is named after it.
    let (mut leaf_key, mut leaf_rename, mut leaf_shipped) = (&keys[..0], None, Shipped::Yes);
    let mut renamed = renamed.iter().peekable();
    for (place, node) in nodes.iter_mut().enumerate() {
        let key = &keys[key_at..key_at + node.key_bytes as usize];
        key_at += key.len();
        let rename =
            renamed.next_if(|renamed| renamed.node == place).and_then(|renamed| rules.renames.get(renamed.rename));
        match node.kind {
            Kind::Skipped | Kind::Dropped => {}
            Kind::End => {
                path.leave();
                in_columns = false;
                let mark = raw_marks.pop().unwrap_or_default();
                node.name_bytes = u32::try_from(raw.len() - mark).unwrap_or(u32::MAX);
                raw.truncate(mark);
            }
            Kind::Object | Kind::Columns => {
                path.enter(key, false, rename, b"", &rules.labels);
                in_columns = node.kind == Kind::Columns;
                raw_marks.push(raw.len());
                raw.extend_from_slice(key);
                raw.push(b'.');
            }
            Kind::Leaf => {
                if !node.is_hidden() {
                    path.enter(key, in_columns, rename, b"", &rules.labels);
                    let reasons = path.render(name);
                    path.leave();
                    visit(&mut Leaf { node, key, raw, name, spare, reasons, is_changed: false, names })?;
                }
                (leaf_key, leaf_rename, leaf_shipped) = (key, rename, node.shipped);
            }
            Kind::Rate => {
                node.shipped = if leaf_shipped == Shipped::Yes { node.shipped } else { leaf_shipped };
                if !node.is_hidden() {
                    path.enter(leaf_key, false, leaf_rename, RATE_SUFFIX, &rules.labels);
                    let reasons = path.render(name);
                    path.leave();
                    let key = leaf_key;
                    visit(&mut Leaf { node, key, raw, name, spare, reasons, is_changed: false, names })?;
                }
            }
        }
    }
    Ok(())
}

/// The first pass: counts a variable's mended name, or leaves the variable out.
fn collect(leaf: &mut Leaf<'_>, fields: &mut Fields, table: &mut Table<'_>, mended: &mut Mended) -> Result<(), NoRoom> {
    let moved = fields.keep_out_of_values(leaf.name, leaf.spare);
    let hash = fields.hash(leaf.name);
    let occurrence = table.get(hash).occurrences + 1;
    if !fields.admit(leaf.name, occurrence) {
        leaf.leave_out(mended);
        return Ok(());
    }
    mended.add(leaf.reasons);
    mended.moved += u64::from(moved);
    table.get_mut(hash)?.occurrences = occurrence;
    fields.add_objects(leaf.name);
    Ok(())
}

/// The second pass: gives a variable its final name. That is the one it wants, if it is the first variable to want it
/// and no object has it.
fn settle(leaf: &mut Leaf<'_>, fields: &mut Fields, table: &mut Table<'_>, mended: &mut Mended) -> Result<(), NoRoom> {
    let is_moved = fields.keep_out_of_values(leaf.name, leaf.spare);
    let own = fields.hash(leaf.name);
    let slot = table.get_mut(own)?;
    slot.settled += 1;
    let clashes = slot.settled > 1 || fields.is_object(own);
    leaf.is_changed = is_moved || clashes || leaf.reasons != Mended::default();
    let name = if clashes { find_another(leaf.name, fields, table, mended)? } else { own };
    match fields.take(name, !leaf.node.lacks_value) {
        Place::Taken => leaf.node.lacks_value = false,
        Place::Awaited => {}
        Place::Full => {
            leaf.leave_out(mended);
            return Ok(());
        }
    }
    let is_plain = leaf.name.strip_prefix(leaf.raw) == Some(leaf.key) && memchr::memchr(b'\\', leaf.name).is_none();
    if is_plain && !clashes && leaf.node.kind == Kind::Leaf {
        leaf.node.take_keys_as_name();
        return Ok(());
    }
    let start = leaf.names.len();
    leaf.names.extend_from_slice(b",\"");
    json::write_escaped_bytes(leaf.names, leaf.name);
    leaf.names.extend_from_slice(b"\":");
    // A name is cut to NAME_BYTES_MAX.
    leaf.node.name_bytes = u32::try_from(leaf.names.len() - start).unwrap_or(u32::MAX);
    Ok(())
}

impl Leaf<'_> {
    /// Leaves it out because there are more than `max_fields`. The walk still looks at it: its value may be needed, and
    /// in the next payload it may be an object with members that have a place.
    fn leave_out(&mut self, mended: &mut Mended) {
        mended.over_limit += 1;
        self.node.shipped = Shipped::BeyondLimit;
    }

    /// Records its name if it has just been left out, or has just got another one.
    fn note(&self, lost: &mut Lost) {
        if self.node.shipped == Shipped::BeyondLimit {
            lost.note_name(Loss::OverLimit, self.name);
        } else if self.is_changed {
            lost.note_changed(self.raw, self.key, self.name);
        }
    }
}

/// Finds a name for a variable that cannot have the one it wants; gives its hash.
fn find_another(
    name: &mut Vec<u8>,
    fields: &Fields,
    table: &mut Table<'_>,
    mended: &mut Mended,
) -> Result<u64, NoRoom> {
    let own_bytes = name.len();
    fields.keep_out_of_objects(name);
    let base_bytes = name.len();
    let base = fields.hash(name);
    let mut number = table.get(base).tried;
    let chosen = loop {
        number += 1;
        name.truncate(base_bytes);
        if number > 1 {
            name.push(b'#');
            json::write_u64(name, number.into());
        }
        let hash = fields.hash(name);
        let slot = table.get(hash);
        // A name that some variable wants, whether it comes before or after this one, is not given away.
        if slot.occurrences == 0 && !slot.given && !fields.is_object(hash) {
            break hash;
        }
    };
    mended.moved += u64::from(base_bytes > own_bytes);
    mended.repeated += u64::from(number > 1);
    table.get_mut(base)?.tried = number;
    table.get_mut(chosen)?.given = true;
    Ok(chosen)
}

fn is_blank_segment(segment: &[u8]) -> bool {
    let text = std::str::from_utf8(segment).unwrap_or("?");
    text.chars().all(|character| character.is_whitespace() || character <= ' ')
}
