//! The layout of a reader's payload: which members it has, in order, and what becomes of each.
//!
//! A layout is learned once and then followed. As long as the members stay the same, a tick costs one comparison for
//! each key and one copy for each name, no matter how the names had to be changed. A payload that departs from it is
//! learned anew.

pub(crate) mod by_hash;
pub(crate) mod choice;
pub(crate) mod convert;
pub(crate) mod guide;
pub(crate) mod lost;
pub(crate) mod names;
pub(crate) mod rates;
pub(crate) mod rename;
pub(crate) mod rules;
pub(crate) mod unmatched;

use crate::limits;
use convert::Conversion;

/// What has been learned of one payload, in the order of its members.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) nodes: Vec<Node>,
    /// The keys as they stand in the payload, one after the other.
    pub(super) keys: Vec<u8>,
    /// The names that are not simply the keys joined with dots, with what surrounds them (`,"name":`), one after the other.
    pub(super) names: Vec<u8>,
    /// Places of the nodes that are renamed, and of what in [`rename::Renames`]; in the order of the nodes. A renamed object
    /// takes along what is in it.
    pub(super) renamed: Vec<(usize, usize)>,
    /// Of each rate: a hash of its counter's name in the payload; once names are given, of its occurrence, too.
    pub(super) counters: Vec<u64>,
    /// What was done to the names.
    pub(super) mended: Mended,
}

/// How many variables of a document have a name that was mended, by kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Mended {
    /// A segment was empty or blank, and is `_`.
    pub empty: u64,
    /// A name of ours or of the server's, behind `vars.`.
    pub reserved: u64,
    /// More levels than a server takes: the last are joined with `_`.
    pub deep: u64,
    /// Cut, with a hash at the end.
    pub long: u64,
    /// Equal to one before, with `#2` and so on at the end.
    pub repeated: u64,
    /// Both value and object: `._value` is at the end.
    pub moved: u64,
    /// Variables beyond `max_fields`, left out.
    pub over_limit: u64,
}

/// One member, or the end of an object or of a list of columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) traits: Traits,
    pub(super) shipped: Shipped,
    pub(super) key_bytes: u32,
    /// A leaf that has had no value yet: servers do not know its name.
    pub(super) lacks_value: bool,
    /// Its name is its keys as they stand, joined with dots: it is not in `names`.
    pub(super) keys_as_name: bool,
    /// A leaf of which that is true, and that has had a value, and whose value is shipped as it is.
    pub(super) plain: bool,
    /// Of a leaf or a rate: bytes in `names`, 0 unless it is shipped under a mended name. Of an end: bytes that the path loses.
    pub(super) name_bytes: u32,
}

/// Whether a member that is read is shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shipped {
    Yes,
    /// The rules leave it out, but its value, or something in it, is needed.
    Unwanted,
    /// It is beyond `max_fields`.
    BeyondLimit,
}

/// What is done with the value of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits {
    pub(super) role: Role,
    pub(super) conversion: Conversion,
    /// A leaf with a `Rate` behind it.
    pub(super) rated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Stays out, whatever it is.
    Out,
    /// A value or an array without objects.
    Leaf,
    /// The rate of the leaf before it: not a member of the payload.
    Rate,
    /// An object: its members follow, then `End`.
    Object,
    /// An array with objects: its columns follow, each a `Leaf` or `Out`, then `End`.
    Columns,
    /// An array with objects that is left out. Any other value of the member would be shipped.
    Dropped,
    End,
}

/// What the member is to the count of garbage collections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    None,
    PauseNs,
    PauseEnd,
    NumGc,
    PauseTotalNs,
}

impl Traits {
    pub(super) const NONE: Self = Self { role: Role::None, conversion: Conversion::None, rated: false };
}

impl Role {
    /// Of the member `key` of the root's `memstats`.
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
    /// Names of the kinds, in the order of [`Mended::counts`].
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

    /// The name of this leaf is its keys as they stand.
    pub(super) fn take_keys_as_name(&mut self) {
        self.keys_as_name = true;
        self.plain = self.kind == Kind::Leaf && self.traits == Traits::NONE && !self.lacks_value;
    }
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
        self.nodes.iter().any(|node| node.is_hidden() || matches!(node.kind, Kind::Out | Kind::Dropped))
    }

    /// Frees memory that an outlier has made it allocate.
    pub(super) fn give_back(&mut self) {
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
            keys_as_name: false,
            plain: false,
            key_bytes,
            name_bytes: 0,
        });
    }

    pub(super) fn push_end(&mut self) {
        self.push(Kind::End, Traits::NONE, b"");
    }

    /// The last node is a leaf, and a counter: its rate stands behind it.
    pub(super) fn push_rate(&mut self, hash: u64) {
        if let Some(leaf) = self.nodes.last_mut() {
            leaf.traits.rated = true;
        }
        self.push(Kind::Rate, Traits::NONE, b"");
        self.counters.push(hash);
    }

    /// Of a rate that is not shipped nothing is remembered.
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
