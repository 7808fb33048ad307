//! Gives every variable a name that the server accepts. A name is changed where it must be, in the same way for every
//! server, and no two variables of a document end up with the same one.
//!
//! What servers refuse (Elasticsearch 5 to 9, OpenSearch 1 to 3): empty or blank segments, their own fields at the
//! root, more than 20 levels, equal names, and a name that is both a value and an object.
//!
//! The table of a document's names lives in the tick's arena. What outlives the tick is in `fields`.

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

pub(crate) use fields::Fields;

/// Fields that each document begins with, and those that the sanitiser adds.
pub(crate) const OWN_NAMES: [&str; 4] = ["@timestamp", "service.name", "host.name", RESTARTED];
/// Member of a document whose target is another process than that of the document before.
pub(crate) const RESTARTED: &str = "expvastic.restarted";
/// Prefix of variables that carry a name of ours or of the server's.
const VARS: &str = "vars.";

/// Behind the name of a counter, the name of its rate.
const RATE_SUFFIX: &[u8] = b"_per_second";

/// Metadata fields of any of the servers: at the root they are refused, or worse, taken for what they name.
#[rustfmt::skip]
const RESERVED: [&str; 31] = [
    "_all", "_data_stream_timestamp", "_doc_count", "_feature", "_field_names", "_id", "_ignored", "_ignored_source",
    "_index", "_index_mode", "_inference_fields", "_meta", "_nested_path", "_parent", "_primary_term",
    "_recovery_source", "_routing", "_seq_no", "_size", "_slice", "_source", "_tier", "_timestamp", "_ts_routing_hash",
    "_tsid", "_ttl", "_type", "_uid", "_version", "_seq_no_doc_values", "_nested",
];

/// Whether `name` is that of something in the object `other`.
#[must_use]
pub fn is_below(name: &str, other: &str) -> bool {
    name.strip_prefix(other).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether the two are the same, or one is in the other: a document cannot have both.
#[must_use]
pub fn meet(one: &str, other: &str) -> bool {
    one == other || is_below(one, other) || is_below(other, one)
}

/// A name of the user's that each document carries as it is, so that no variable can have it: why it cannot be one.
#[must_use]
pub fn unfit_for_label(name: &str) -> Option<String> {
    // What a variable's name is mended to may begin with `vars.`.
    let reserved = name.split('.').next().filter(|first| *first == "vars" || RESERVED.contains(first));
    let own = OWN_NAMES.iter().find(|own| meet(name, own));
    if name.split('.').any(|segment| is_blank_segment(segment.as_bytes())) {
        Some("has an empty segment".to_owned())
    } else if let Some(taken) = reserved.or_else(|| own.copied()) {
        Some(format!("conflicts with the reserved name {taken}"))
    } else if name.split('.').count() >= NAME_SEGMENTS_MAX {
        // A variable of that name is to find room behind `vars.`.
        Some(format!("has more than {} segments", NAME_SEGMENTS_MAX - 1))
    } else if name.len() > NAME_BYTES_MAX {
        Some(format!("is longer than {NAME_BYTES_MAX} bytes"))
    } else {
        None
    }
}

/// Buffers that are kept from one payload to the next.
#[derive(Debug, Default)]
pub(crate) struct Work {
    path: Path,
    name: Vec<u8>,
    spare: Vec<u8>,
    /// The keys around the member that is looked at as they stand, each with a dot behind it.
    raw: Vec<u8>,
    raw_marks: Vec<usize>,
}

/// A name of this document, by its hash.
#[derive(Debug, Default, Clone, Copy)]
struct Slot {
    /// Variables whose mended name it is: of those that were met, then of those that have been settled. A label counts as
    /// the first.
    occurrences: u32,
    settled: u32,
    /// The last `#n` that was tried.
    tried: u32,
    /// A variable that could not have its own name has it.
    given: bool,
}

/// The names of a document. They are told by hashes with a random key: should two ever collide, one gets a number that it
/// did not need.
type Table<'a> = ByHash<'a, Slot>;

/// Gives every variable of `layout` its final name, or takes it out.
///
/// Goes over the layout twice, as the last variable can take away the name of the first: which names there are, then who
/// has which. Only hashes are kept in between.
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
    work.path.reset(rules.dots_underscore);
    each_leaf(layout, work, rules, |leaf| {
        let outcome = collect(leaf, fields, &mut table, &mut mended);
        leaf.note_lost(lost);
        outcome
    })?;
    work.path.reset(rules.dots_underscore);
    each_leaf(layout, work, rules, |leaf| {
        let outcome = settle(leaf, fields, &mut table, &mut mended);
        leaf.note_lost(lost);
        outcome
    })?;
    layout.mended = mended;
    layout.drop_hidden_rates();
    Ok(())
}

/// A variable that is to be shipped.
struct Leaf<'l> {
    node: &'l mut Node,
    key: &'l [u8],
    /// The keys around it as they stand, each with a dot behind it.
    raw: &'l [u8],
    /// The mended name; may be written over.
    name: &'l mut Vec<u8>,
    spare: &'l mut Vec<u8>,
    /// What was done to it.
    kinds: Mended,
    /// Takes the final name, with what surrounds it, if it is not simply the keys.
    names: &'l mut Vec<u8>,
}

/// Hands each variable that is to be shipped to `visit`, in their order.
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
    // Of the last leaf: a rate has its name.
    let (mut leaf_key, mut leaf_rename, mut leaf_shipped) = (&keys[..0], None, Shipped::Yes);
    let mut renamed = renamed.iter().peekable();
    for (place, node) in nodes.iter_mut().enumerate() {
        let key = &keys[key_at..key_at + node.key_bytes as usize];
        key_at += key.len();
        let rename = renamed.next_if(|(node, _)| *node == place).and_then(|&(_, rename)| rules.renames.get(rename));
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
                path.enter(key, false, rename, b"", &rules.labels);
                in_columns = node.kind == Kind::Columns;
                raw_marks.push(raw.len());
                raw.extend_from_slice(key);
                raw.push(b'.');
            }
            Kind::Leaf => {
                if !node.is_hidden() {
                    path.enter(key, in_columns, rename, b"", &rules.labels);
                    let kinds = path.render(name);
                    path.leave();
                    visit(&mut Leaf { node, key, raw, name, spare, kinds, names })?;
                }
                (leaf_key, leaf_rename, leaf_shipped) = (key, rename, node.shipped);
            }
            Kind::Rate => {
                node.shipped = if leaf_shipped == Shipped::Yes { node.shipped } else { leaf_shipped };
                if !node.is_hidden() {
                    path.enter(leaf_key, false, leaf_rename, RATE_SUFFIX, &rules.labels);
                    let kinds = path.render(name);
                    path.leave();
                    visit(&mut Leaf { node, key, raw, name, spare, kinds, names })?;
                }
            }
        }
    }
    Ok(())
}

/// Takes note of a variable's mended name, or takes the variable out.
fn collect(leaf: &mut Leaf<'_>, fields: &mut Fields, table: &mut Table<'_>, mended: &mut Mended) -> Result<(), NoRoom> {
    let moved = fields.keep_out_of_values(leaf.name, leaf.spare);
    let hash = fields.hash(leaf.name);
    let occurrence = table.get(hash).occurrences + 1;
    if !fields.admit(leaf.name, occurrence) {
        leaf.leave_out(mended);
        return Ok(());
    }
    mended.add(leaf.kinds);
    mended.moved += u64::from(moved);
    table.get_mut(hash)?.occurrences = occurrence;
    fields.add_objects(leaf.name);
    Ok(())
}

/// Gives a variable its final name: its own if it is the first to have it and it is no object.
fn settle(leaf: &mut Leaf<'_>, fields: &mut Fields, table: &mut Table<'_>, mended: &mut Mended) -> Result<(), NoRoom> {
    fields.keep_out_of_values(leaf.name, leaf.spare);
    let own = fields.hash(leaf.name);
    let slot = table.get_mut(own)?;
    slot.settled += 1;
    let clashes = slot.settled > 1 || fields.is_object(own);
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
    /// It is beyond `max_fields`, but still looked at: what it is may be needed, and in the next payload it may be an object with
    /// names that have been taken.
    fn leave_out(&mut self, mended: &mut Mended) {
        mended.over_limit += 1;
        self.node.shipped = Shipped::BeyondLimit;
    }

    /// If it has just been left out, its name is told.
    fn note_lost(&self, lost: &mut Lost) {
        if self.node.shipped == Shipped::BeyondLimit {
            lost.note_name(Loss::OverLimit, self.name);
        }
    }
}

/// Finds a name for a variable that cannot have its own; gives its hash.
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
        // One that is the own name of some variable, before or behind this one, stays that one's.
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
