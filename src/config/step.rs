//! The way to a node of the tree, for code that walks through the whole of it.

use super::problems::Place;

/// The way to a node. Unlike a [`Place`], it allocates nothing.
pub(super) enum Step<'s> {
    Root,
    Item { within: &'s Step<'s>, index: usize },
    Entry { within: &'s Step<'s>, index: usize, key: &'s str },
}

impl Step<'_> {
    /// The place to which it leads. It does not repeat a key that may be a part of a secret.
    pub(super) fn place(&self) -> Place {
        match self {
            Self::Root => Place::default(),
            Self::Item { within, index } => within.place().item(*index),
            Self::Entry { within, index, key } => {
                let place = within.place();
                if place.holds_secrets { place.below(*index) } else { place.entry(*index, key) }
            }
        }
    }

    /// How many steps it is from the root.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Root => 0,
            Self::Item { within, .. } | Self::Entry { within, .. } => within.depth() + 1,
        }
    }

    /// The key of the last step; empty if it has none.
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Root | Self::Item { .. } => "",
            Self::Entry { key, .. } => key,
        }
    }

    /// The index of each step.
    pub(super) fn indices(&self) -> Vec<usize> {
        match self {
            Self::Root => Vec::new(),
            Self::Item { within, index } | Self::Entry { within, index, .. } => {
                let mut indices = within.indices();
                indices.push(*index);
                indices
            }
        }
    }
}
