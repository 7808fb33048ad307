//! The layout of a reader's payload: which members it has, in their order, and what becomes of each.
//!
//! It is learned once and then followed: as long as the members stay the same, a tick costs one comparison for each
//! key and one copy for each name, whatever the names had to be mended for. A payload that departs from it is learned anew.

use super::convert::Conversion;
use super::names::Mended;

/// What has been learned of one payload, in the order of its members.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) nodes: Vec<Node>,
    /// The keys as they stand in the payload, one after the other.
    pub(super) keys: Vec<u8>,
    /// The names that are not simply the keys joined with dots, with what surrounds them (`,"name":`), one after the other.
    pub(super) names: Vec<u8>,
    /// Places of the nodes that are renamed, and of what in [`super::Renames`]; in the order of the nodes. A renamed object
    /// takes along what is in it.
    pub(super) renamed: Vec<(usize, usize)>,
    /// What was done to the names.
    pub(super) mended: Mended,
}

/// One member, or the end of an object or of a list of columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) role: Role,
    pub(super) conversion: Conversion,
    /// It is looked at, but not shipped: its value is needed, or it is beyond `max_fields`.
    pub(super) hidden: bool,
    pub(super) key_bytes: u32,
    /// Its name is its keys as they stand, joined with dots: it is not in `names`.
    pub(super) keys_as_name: bool,
    /// A leaf of which that is true and whose value is shipped as it is.
    pub(super) plain: bool,
    /// Of a leaf: bytes in `names`, 0 unless it is shipped under a mended name. Of an end: bytes that the path loses.
    pub(super) name_bytes: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Stays out, whatever it is.
    Out,
    /// A value or an array without objects.
    Leaf,
    /// An object: its members follow, then `End`.
    Object,
    /// An array with objects: its columns follow, each a `Leaf` or `Out`, then `End`.
    Columns,
    /// An array with objects that is left out; were it anything else, it would be shipped.
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

impl Node {
    /// The name of this leaf is its keys as they stand.
    pub(super) fn take_keys_as_name(&mut self) {
        self.keys_as_name = true;
        self.plain = self.kind == Kind::Leaf && self.role == Role::None && self.conversion == Conversion::None;
    }
}

impl Layout {
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.keys.clear();
        self.names.clear();
        self.renamed.clear();
        self.mended = Mended::default();
    }

    pub(super) fn push(&mut self, kind: Kind, role: Role, conversion: Conversion, key: &[u8]) {
        self.keys.extend_from_slice(key);
        // A body is below 4 GiB (limits.rs).
        let key_bytes = u32::try_from(key.len()).unwrap_or(u32::MAX);
        self.nodes.push(Node {
            kind,
            role,
            conversion,
            hidden: false,
            keys_as_name: false,
            plain: false,
            key_bytes,
            name_bytes: 0,
        });
    }

    pub(super) fn push_end(&mut self) {
        self.push(Kind::End, Role::None, Conversion::None, b"");
    }
}
