//! The names of variables that are missing in a reader's documents. Each name is reported once, when it is first lost.
//!
//! A walk only records where something is lost. The name is looked up in the body if the place is new. So a variable
//! that is broken in every payload only costs a look-up of a hash.

use super::by_hash::{FNV_OFFSET, fnv};
use crate::bytes::locate::{self, Locator};
use crate::limits::{LOST_LOOKED_AT_MAX, LOST_NAMES_MAX, LOST_NAMES_TOLD};
use std::collections::BinaryHeap;
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::mem;

/// A place in a body where something is lost.
///
/// The order is that of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LostAt {
    offset: usize,
    /// A hash that identifies the member: it is the same in all payloads with the same layout.
    member: u64,
    loss: Loss,
}

/// What is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// Values that are no JSON, or no numbers that a server can store.
    Broken,
    /// Variables beyond `max_fields`.
    OverLimit,
    /// Columns of an array that has too many columns, or columns with too many gaps.
    Columns,
    /// Texts that should be numbers and are none. They are shipped as they are.
    Unconverted,
    /// Elements without a key, in arrays that become objects by a key.
    Unkeyed,
}

/// Some of the names that were lost for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostNames {
    /// A few of them.
    pub names: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

/// What was changed, and not left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangedNames {
    /// A few of them: the name in the payload, and the one in the document.
    pub names: Vec<[String; 2]>,
    /// How many more there are.
    pub more: usize,
    /// The first variable whose text has half a surrogate pair.
    pub mended_text: Option<String>,
}

/// The names that were lost in one way.
#[derive(Debug, Default)]
struct Names {
    /// Hashes of the names that have been lost so far, at most [`LOST_NAMES_MAX`].
    seen: HashSet<u64>,
    /// The names that have not been reported yet.
    pending: VecDeque<String>,
}

/// What is remembered about the losses of one reader: nothing until there is one, because most readers have none.
#[derive(Debug, Default)]
pub(crate) struct Lost(Option<Box<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    hasher: RandomState,
    /// By [`Loss`].
    names: [Names; 5],
    /// The names that were changed in the current layout; none unless somebody wants to know them.
    changed: Option<ChangedNames>,
    /// Members of the current layout whose names have been looked up.
    known: HashSet<u64>,
    locator: Locator,
    /// A buffer for the current name.
    name: String,
}

impl LostAt {
    /// `place` is that of the member in the layout. `names` identify what the layout does not contain: members of the
    /// objects in an array.
    pub(crate) fn new(loss: Loss, offset: usize, place: usize, names: &[&[u8]]) -> Self {
        let place = fnv(fnv(FNV_OFFSET, &place.to_le_bytes()), &[loss as u8]);
        Self { offset, member: names.iter().fold(place, |hash, name| fnv(hash, name)), loss }
    }
}

impl Lost {
    fn memory(&mut self) -> &mut Memory {
        self.0.get_or_insert_default()
    }

    /// The layout has changed, and with it the places of all members.
    pub(crate) fn forget_layout(&mut self) {
        if let Some(memory) = &mut self.0 {
            memory.known.clear();
        }
    }

    /// `body` has become a document, in which these values are missing, or not what they should be.
    pub(crate) fn note(&mut self, body: &[u8], lost: &mut Vec<LostAt>) {
        self.memory().note(body, lost);
    }

    /// The variable with this name is lost.
    pub(crate) fn note_name(&mut self, loss: Loss, name: &[u8]) {
        self.memory().note_name(loss, name);
    }

    /// A few of the names that were lost for the first time, and how many more there are. Each name is given once.
    pub(crate) fn take(&mut self, loss: Loss) -> LostNames {
        self.0.as_mut().map_or(LostNames { names: Vec::new(), more: 0 }, |memory| memory.take(loss))
    }

    /// From now on, changed names are remembered.
    pub(crate) fn want_changed(&mut self) {
        self.memory().changed = Some(ChangedNames::default());
    }

    fn changed(&mut self) -> Option<&mut ChangedNames> {
        self.0.as_mut()?.changed.as_mut()
    }

    /// The text of the variable at this byte of the body was mended.
    pub(crate) fn note_mended_text(&mut self, body: &[u8], offset: usize) {
        if let Some(changed) = self.changed() {
            changed.mended_text = Some(locate::name_at(body, offset));
        }
    }

    /// The names of another layout follow.
    pub(crate) fn forget_changed(&mut self) {
        if let Some(changed) = self.changed() {
            *changed = ChangedNames::default();
        }
    }

    /// The variable that is called `key` in an object gets the name `shipped`. `object` is the name of the object, with a dot
    /// behind it.
    pub(crate) fn note_changed(&mut self, object: &[u8], key: &[u8], shipped: &[u8]) {
        let Some(changed) = self.changed() else { return };
        if changed.names.len() == LOST_NAMES_TOLD {
            changed.more += 1;
            return;
        }
        let shown = |name: &[u8]| {
            let mut shown = String::new();
            locate::write_shown(name, &mut shown);
            shown
        };
        changed.names.push([shown(&[object, key].concat()), shown(shipped)]);
    }

    /// What was changed, if that was wanted.
    pub(crate) fn take_changed(&mut self) -> ChangedNames {
        self.0.as_mut().and_then(|memory| memory.changed.take()).unwrap_or_default()
    }
}

impl Memory {
    fn note(&mut self, body: &[u8], lost: &mut Vec<LostAt>) {
        lost.retain(|lost| {
            !self.known.contains(&lost.member) && self.names[lost.loss as usize].seen.len() < LOST_NAMES_MAX
        });
        if lost.is_empty() {
            return;
        }
        // A heap sorts in a tenth of the code that `sort` takes.
        *lost = BinaryHeap::from(mem::take(lost)).into_sorted_vec();
        self.locator.restart();
        for LostAt { offset, member, loss } in lost.drain(..) {
            self.locator.name_at(body, offset, &mut self.name);
            self.note_own_name(loss);
            if self.known.len() < LOST_LOOKED_AT_MAX {
                self.known.insert(member);
            }
        }
    }

    fn note_name(&mut self, loss: Loss, name: &[u8]) {
        if self.of(loss).seen.len() < LOST_NAMES_MAX {
            locate::write_shown(name, &mut self.name);
            self.note_own_name(loss);
        }
    }

    fn note_own_name(&mut self, loss: Loss) {
        let hash = self.hasher.hash_one(&self.name);
        let names = &mut self.names[loss as usize];
        if names.seen.len() < LOST_NAMES_MAX && names.seen.insert(hash) {
            names.pending.push_back(self.name.clone());
        }
    }

    fn take(&mut self, loss: Loss) -> LostNames {
        let pending = &mut self.of(loss).pending;
        let names = pending.drain(..pending.len().min(LOST_NAMES_TOLD)).collect();
        if pending.is_empty() {
            pending.shrink_to_fit();
        }
        LostNames { names, more: pending.len() }
    }

    fn of(&mut self, loss: Loss) -> &mut Names {
        &mut self.names[loss as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> LostNames {
        LostNames { names: names.iter().map(|&name| name.to_owned()).collect(), more: 0 }
    }

    #[test]
    fn each_name_is_handed_out_once() {
        let body = br#"{"a": ,"b":{"c":NaN,"d": },"e":[1, ],"f":NaN,"g":NaN}"#;
        let at = |member| {
            LostAt::new(Loss::Broken, memchr::memchr_iter(b'N', body).step_by(2).nth(member).unwrap(), member, &[])
        };
        let mut lost = Lost::default();
        lost.note(body, &mut vec![at(1), at(0)]);
        assert_eq!(lost.take(Loss::Broken), of(&["b.c", "f"]));
        lost.note(body, &mut vec![at(0), at(1), at(2)]);
        assert_eq!(lost.take(Loss::Broken), of(&["g"]));
        lost.forget_layout();
        lost.note(body, &mut vec![at(0), at(1), at(2)]);
        assert_eq!(lost.take(Loss::Broken), of(&[]));
    }

    #[test]
    fn a_few_at_a_time_and_not_for_ever() {
        let mut lost = Lost::default();
        for name in 0..2 * LOST_NAMES_MAX {
            lost.note_name(Loss::OverLimit, name.to_string().as_bytes());
        }
        let mut reported = Vec::new();
        loop {
            let LostNames { names, more } = lost.take(Loss::OverLimit);
            assert!(!names.is_empty() && names.len() <= LOST_NAMES_TOLD);
            reported.extend(names);
            assert_eq!(reported.len() + more, LOST_NAMES_MAX);
            if more == 0 {
                break;
            }
        }
        assert_eq!(reported[7], "7");
        assert_eq!(lost.take(Loss::OverLimit), of(&[]));
        assert_eq!(lost.take(Loss::Broken), of(&[]));
    }
}
