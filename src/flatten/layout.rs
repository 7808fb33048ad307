//! The layout of a reader's payload: which members it has, in order, and what becomes of each.
//!
//! A layout is learned once and then followed. As long as the members stay the same, a tick costs one comparison for
//! each key and one copy for each name, no matter how the names had to be changed. A payload that departs from it is
//! learned anew.

pub(crate) mod by_hash;
pub(crate) mod convert;
pub(crate) mod globs;
pub(crate) mod guide;
pub(crate) mod keyed;
pub(crate) mod lost;
pub(crate) mod names;
pub(crate) mod rates;
pub(crate) mod rename;
pub(crate) mod rules;
pub(crate) mod texts;
pub(crate) mod unmatched;

use crate::bytes::quantity::TextUnit;
use crate::limits;
use convert::Conversion;

/// What has been learned of one payload, in the order of its members.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) nodes: Vec<Node>,
    /// The keys as they stand in the payload, one after the other.
    pub(super) keys: Vec<u8>,
    /// The names that are not simply the keys joined with dots, one after the other, each with what surrounds it:
    /// `,"name":`.
    pub(super) names: Vec<u8>,
    /// The nodes that are renamed, in their order. If an object is renamed, so is everything in it.
    pub(super) renamed: Vec<Renamed>,
    /// For each rate, a hash that identifies its counter: first of its name in the payload alone, and after
    /// [`rates::tell_apart`] also of its position among counters with the same name.
    pub(super) counters: Vec<u64>,
    /// How many names were changed, and why.
    pub(super) mended: Mended,
}

/// A node that is renamed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Renamed {
    /// Its place among the nodes.
    pub(super) node: usize,
    /// The place of its new name in [`rename::Renames`].
    pub(super) rename: usize,
}

/// How many variables of a document have a name that had to be changed, by the reason.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Mended {
    /// A segment was empty or blank; it is now `_`.
    pub empty: u64,
    /// The name is one of ours or of the server's; it now begins with `vars.`.
    pub reserved: u64,
    /// The name had more levels than a server accepts; the last ones are joined with `_`.
    pub deep: u64,
    /// The name was too long; it is cut, with a hash at the end.
    pub long: u64,
    /// The name was equal to another one; it ends with `#2` and so on.
    pub repeated: u64,
    /// The name was that of a value and of an object; it ends with `._value`, or contains `#object`.
    pub moved: u64,
    /// Variables that are left out because there are more than `max_fields`.
    pub over_limit: u64,
}

/// One member of the payload, or a rate, or the end of an object or of a list of columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) traits: Traits,
    pub(super) shipped: Shipped,
    pub(super) key_bytes: u32,
    /// It is a leaf that has had no value yet, so servers do not know its name.
    pub(super) lacks_value: bool,
    pub(super) name: Name,
    /// For a leaf or a rate: the length of its name in [`Layout::names`], 0 if it has none there. For an end: by how
    /// much the path gets shorter. For an object: 0, or, if it is an array that becomes an object by a key, one more than
    /// its place in the rules.
    pub(super) name_bytes: u32,
}

/// Where the name of a leaf is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// In [`Layout::names`], if it has one.
    Listed,
    /// It is simply its keys joined with dots.
    Keys,
    /// The same; besides, the leaf has had a value, and its value is shipped unchanged.
    Plain,
}

/// Whether a member whose value is read is shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shipped {
    Yes,
    /// The rules leave it out, but its value is needed, or something in it may be shipped.
    Unwanted,
    /// It is beyond `max_fields`.
    BeyondLimit,
}

/// What is done with the value of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits {
    pub(super) role: Role,
    pub(super) conversion: Conversion,
    /// What its texts become.
    pub(super) text: Option<TextUnit>,
    /// It is a leaf, and the next node is its [`Kind::Rate`].
    pub(super) rated: bool,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A member that is left out, whatever its value is.
    Skipped,
    /// A scalar or an array without objects.
    Leaf,
    /// The rate of the leaf before it; it has no member in the payload.
    Rate,
    /// An object, or an array that becomes one by a key: its members follow, then `End`.
    Object,
    /// An array with objects: its columns follow, each a `Leaf` or `Skipped`, then `End`.
    Columns,
    /// An array with objects that is left out. If the member had any other value, it would be shipped.
    Dropped,
    /// The end of an object or of a list of columns.
    End,
}

/// What a member means for finding new garbage collections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    None,
    PauseNs,
    PauseEnd,
    NumGc,
    PauseTotalNs,
}

impl Traits {
    pub(super) const NONE: Self = Self { role: Role::None, conversion: Conversion::None, text: None, rated: false };
}

impl Role {
    /// The role of the member `key` of the root's `memstats`.
    pub(super) fn of(key: &[u8]) -> Self {
        match key {
            b"PauseNs" => Self::PauseNs,
            b"PauseEnd" => Self::PauseEnd,
            b"NumGC" => Self::NumGc,
            b"PauseTotalNs" => Self::PauseTotalNs,
            _ => Self::None,
        }
    }

    pub(super) fn is_ring(self) -> bool {
        matches!(self, Self::PauseNs | Self::PauseEnd)
    }
}

impl Mended {
    /// Names of the reasons, in the order of [`Mended::counts`].
    pub const KINDS: [&str; 7] =
        ["empty_segment", "reserved", "too_deep", "too_long", "repeated", "value_and_object", "over_max_fields"];

    /// How many there are of each of [`Self::KINDS`].
    #[must_use]
    pub fn counts(&self) -> [u64; 7] {
        let Self { empty, reserved, deep, long, repeated, moved, over_limit } = *self;
        [empty, reserved, deep, long, repeated, moved, over_limit]
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.empty += other.empty;
        self.reserved += other.reserved;
        self.deep += other.deep;
        self.long += other.long;
    }
}

impl Node {
    pub(super) fn is_hidden(&self) -> bool {
        self.shipped != Shipped::Yes
    }

    /// Makes the keys, joined with dots, the name of this leaf.
    pub(super) fn take_keys_as_name(&mut self) {
        let is_plain = self.kind == Kind::Leaf && self.traits == Traits::NONE && !self.lacks_value;
        self.name = if is_plain { Name::Plain } else { Name::Keys };
    }
}

fn copy<T: Copy>(to: &mut Vec<T>, from: &[T]) {
    to.clear();
    to.reserve_exact(from.len());
    to.extend_from_slice(from);
}

impl Layout {
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.keys.clear();
        self.names.clear();
        self.renamed.clear();
        self.counters.clear();
        self.mended = Mended::default();
    }

    /// Whether some member is left out, whatever its value is.
    pub(super) fn leaves_out(&self) -> bool {
        self.nodes.iter().any(|node| node.is_hidden() || matches!(node.kind, Kind::Skipped | Kind::Dropped))
    }

    pub(super) fn bytes(&self) -> usize {
        self.nodes.len() * size_of::<Node>() + self.keys.len() + self.names.len()
    }

    /// Becomes equal to another, in buffers that are no larger than needed unless they were before.
    pub(super) fn copy_from(&mut self, other: &Self) {
        copy(&mut self.nodes, &other.nodes);
        copy(&mut self.keys, &other.keys);
        copy(&mut self.names, &other.names);
        copy(&mut self.renamed, &other.renamed);
        copy(&mut self.counters, &other.counters);
        self.mended = other.mended;
    }

    /// Frees memory beyond what is usual, which an unusually large payload made it allocate.
    pub(super) fn shrink(&mut self) {
        self.nodes.shrink_to(limits::KEPT_SCRATCH_BYTES_MAX / size_of::<Node>());
        self.keys.shrink_to(limits::KEPT_SCRATCH_BYTES_MAX);
        self.names.shrink_to(limits::KEPT_SCRATCH_BYTES_MAX);
    }

    pub(super) fn push(&mut self, kind: Kind, traits: Traits, key: &[u8]) {
        self.keys.extend_from_slice(key);
        // A body is below 4 GiB (limits.rs).
        let key_bytes = u32::try_from(key.len()).unwrap_or(u32::MAX);
        self.nodes.push(Node {
            kind,
            traits,
            shipped: Shipped::Yes,
            lacks_value: kind == Kind::Leaf,
            name: Name::Listed,
            key_bytes,
            name_bytes: 0,
        });
    }

    pub(super) fn push_end(&mut self) {
        self.push(Kind::End, Traits::NONE, b"");
    }

    /// Appends the rate of the last node, which is a leaf and a counter; `hash` is that of its name.
    pub(super) fn push_rate(&mut self, hash: u64) {
        if let Some(leaf) = self.nodes.last_mut() {
            leaf.traits.rated = true;
        }
        self.push(Kind::Rate, Traits::NONE, b"");
        self.counters.push(hash);
    }

    /// Removes the rates that are not shipped, so that no values are remembered for them.
    pub(super) fn drop_hidden_rates(&mut self) {
        if self.counters.is_empty() {
            return;
        }
        let (mut place, mut kept) = (0, 0);
        for at in 1..self.nodes.len() {
            let Node { kind: Kind::Rate, shipped, .. } = self.nodes[at] else { continue };
            self.nodes[at - 1].traits.rated = shipped == Shipped::Yes;
            if shipped == Shipped::Yes {
                self.counters[kept] = self.counters[place];
                kept += 1;
            }
            place += 1;
        }
        self.counters.truncate(kept);
        self.nodes.retain(|node| node.kind != Kind::Rate || !node.is_hidden());
    }
}
