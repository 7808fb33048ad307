//! Finds the positions of the tree's entries in the text.
//!
//! `serde_yaml` gives a position only with an error. So the text is read again with a seed that fails at each scalar
//! that is looked for. After a scalar, reading simply continues, because the failed scalar has been consumed. A list or
//! section that fails would leave the rest of its content unread; so the reading ends there, and another one looks for
//! the remaining entries.

use super::location_of;
use crate::config::error::Location;
use crate::limits::PROBLEM_READINGS_BYTES_MAX;
use crate::sort::sorted;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

const FOUND: &str = "here";

/// What is looked for: an entry of the tree.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Target<'p> {
    /// The index of the entry or element at each level.
    pub(in super::super) path: &'p [usize],
    /// Whether the position of its key is wanted, and not that of its value.
    pub(in super::super) at_key: bool,
}

/// The position of each target in a text that has been parsed. In a long text, only some lists and sections are
/// located; the others get the positions of their keys.
pub(in super::super) fn locate(text: &str, targets: &[Target<'_>]) -> Vec<Option<Location>> {
    let keys = targets.iter().enumerate().map(|(index, target)| (target.path, !target.at_key, index));
    let mut order: Vec<usize> = sorted(keys.collect()).into_iter().map(|(_, _, index)| index).collect();
    let found = vec![Cell::new(None); targets.len()];
    for stops_left in (0..=PROBLEM_READINGS_BYTES_MAX / text.len().max(1)).rev() {
        order.retain(|&index| found[index].get().is_none());
        if order.is_empty() {
            break;
        }
        let search = Search { targets, found: &found, may_stop: stops_left > 0, stop: Cell::default() };
        search.read(&order, serde_yaml::Deserializer::from_str(text));
        if search.stop.get() != Stop::AtContainer {
            break;
        }
    }
    found.into_iter().map(Cell::into_inner).collect()
}

/// Where a document begins.
pub(super) fn root(document: serde_yaml::Deserializer<'_>) -> Option<Location> {
    let found = [Cell::new(None)];
    let search = Search {
        targets: &[Target { path: &[], at_key: false }],
        found: &found,
        may_stop: true,
        stop: Cell::default(),
    };
    search.read(&[0], document);
    found[0].get()
}

/// Why the reading of a value failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stop {
    #[default]
    None,
    AtScalar,
    AtContainer,
}

/// One reading of the text.
struct Search<'s> {
    targets: &'s [Target<'s>],
    found: &'s [Cell<Option<Location>>],
    /// Whether the reading may end at a list or section that is looked for.
    may_stop: bool,
    stop: Cell<Stop>,
}

impl Search<'_> {
    fn read(&self, wanted: &[usize], document: serde_yaml::Deserializer<'_>) {
        let outcome = Finder { search: self, wanted, depth: 0, near: None }.deserialize(document);
        let Err(error) = outcome else { return };
        let next = wanted.iter().find(|&&index| self.found[index].get().is_none());
        let Some(&first) = next else { return };
        // Other targets with the same path are found with it.
        let path = self.targets[first].path;
        for &index in wanted.iter().filter(|&&index| self.targets[index].path == path) {
            self.find(index, location_of(&error));
        }
    }

    fn find(&self, index: usize, location: Option<Location>) {
        if self.found[index].get().is_none() {
            self.found[index].set(location);
        }
    }
}

/// Looks for the targets whose paths begin with the steps to the current node.
#[derive(Clone, Copy)]
struct Finder<'s> {
    search: &'s Search<'s>,
    /// Indices of these targets, sorted by path, and keys before values.
    wanted: &'s [usize],
    depth: usize,
    /// The position of the nearest key above, if the reading may not stop.
    near: Option<Location>,
}

impl<'s> Finder<'s> {
    /// The targets that are this node, and those that are below it.
    fn split(&self) -> (&'s [usize], &'s [usize]) {
        let is_here = |index: &usize| self.search.targets[*index].path.len() == self.depth;
        self.wanted.split_at(self.wanted.iter().take_while(|index| is_here(index)).count())
    }

    /// Splits `wanted` into the targets in the entry with this index, and the others.
    fn below(&self, wanted: &'s [usize], entry: usize) -> (&'s [usize], &'s [usize]) {
        let is_below = |index: &usize| self.search.targets[*index].path[self.depth] == entry;
        wanted.split_at(wanted.iter().take_while(|index| is_below(index)).count())
    }

    fn scalar<E: de::Error>(self) -> Result<(), E> {
        let (here, _) = self.split();
        if here.is_empty() {
            return Ok(());
        }
        self.search.stop.set(Stop::AtScalar);
        Err(E::custom(FOUND))
    }

    /// Stops at a list or section that is looked for, or gives it the position of its key.
    fn container<E: de::Error>(self) -> Result<(), E> {
        let (here, _) = self.split();
        if self.search.may_stop && !here.is_empty() {
            self.search.stop.set(Stop::AtContainer);
            return Err(E::custom(FOUND));
        }
        for &index in here {
            self.search.find(index, self.near);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Finder<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        let Err(error) = from.deserialize_any(self) else { return Ok(()) };
        if self.search.stop.get() != Stop::AtScalar {
            return Err(error);
        }
        self.search.stop.set(Stop::None);
        let (here, _) = self.split();
        for &index in here {
            self.search.find(index, place_in(&error));
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Finder<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what was there before")
    }

    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.container()?;
        let (_, mut wanted) = self.split();
        for entry in 0.. {
            let below;
            (below, wanted) = self.below(wanted, entry);
            let seed = Finder { wanted: below, depth: self.depth + 1, ..self };
            let element = match below {
                [] => list.next_element::<IgnoredAny>()?.map(drop),
                _ => list.next_element_seed(seed)?,
            };
            if element.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.container()?;
        let (_, mut wanted) = self.split();
        for entry in 0.. {
            let below;
            (below, wanted) = self.below(wanted, entry);
            if below.is_empty() {
                if map.next_entry::<IgnoredAny, IgnoredAny>()?.is_none() {
                    break;
                }
                continue;
            }
            let is_key = |index: &&usize| {
                let target = self.search.targets[**index];
                target.at_key && target.path.len() == self.depth + 1
            };
            let (keys, values) = below.split_at(below.iter().take_while(is_key).count());
            let mut near = None;
            if !keys.is_empty() || !self.search.may_stop {
                let Some(key) = map.next_key_seed(KeyFinder)? else { break };
                near = key.or(self.near);
                for &index in keys {
                    self.search.find(index, key);
                }
            } else if map.next_key::<IgnoredAny>()?.is_none() {
                break;
            }
            match values {
                [] => map.next_value::<IgnoredAny>().map(drop)?,
                _ => map.next_value_seed(Finder { wanted: values, depth: self.depth + 1, near, ..self })?,
            }
        }
        Ok(())
    }
}

/// Reads a key, whatever tag it may have, and finds its position.
struct KeyFinder;

impl<'de> DeserializeSeed<'de> for KeyFinder {
    type Value = Option<Location>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        Ok(from.deserialize_str(self).err().and_then(|error| place_in(&error)))
    }
}

impl Visitor<'_> for KeyFinder {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        Err(E::custom(FOUND))
    }
}

/// The position in an error that was made here. `serde_yaml` adds it as text, except at the very beginning of a file.
fn place_in(error: &impl de::Error) -> Option<Location> {
    let message = error.to_string();
    let Some((_, place)) = message.rsplit_once(" at line ") else { return Some(Location { line: 1, column: 1 }) };
    if message.ends_with(FOUND) {
        return Some(Location { line: 1, column: 1 });
    }
    let (line, column) = place.split_once(" column ")?;
    Some(Location { line: line.parse().ok()?, column: column.parse().ok()? })
}
