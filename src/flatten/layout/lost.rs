//! The names of variables that a reader's documents lack. Each name is reported once, when it is first lost.
//!
//! A walk records only where something is lost. The name is looked up in the body only if the place is not known yet,
//! so a variable that is broken in every payload costs a look-up of its hash.

use super::by_hash::{FNV_OFFSET, fnv};
use crate::bytes::locate::{self, Locator};
use crate::limits::{LOST_LOOKED_AT_MAX, LOST_NAMES_MAX, LOST_NAMES_TOLD};
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

/// A place in a body where something is lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LostAt {
    offset: usize,
    /// Of the member: the same in each payload of the same layout.
    member: u64,
}

/// What is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Values that are no JSON, or no numbers that a server can store.
    Broken,
    /// Variables beyond `max_fields`.
    OverLimit,
    /// Columns of an array that has too many, or too many gaps in them.
    Columns,
}

/// The names of one kind.
#[derive(Debug, Default)]
struct Names {
    /// Hashes of those that have been lost so far, of [`LOST_NAMES_MAX`] at most.
    seen: HashSet<u64>,
    /// Those that have not been handed out.
    pending: VecDeque<String>,
}

/// What is remembered of the losses of one reader.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    hasher: RandomState,
    names: [Names; 3],
    /// Members of the layout whose names have been seen.
    known: HashSet<u64>,
    locator: Locator,
    /// The name that is looked at.
    name: String,
}

impl LostAt {
    /// Of the member of this place in the layout; `names` are those that the layout does not have.
    pub(crate) fn new(offset: usize, place: usize, names: &[&[u8]]) -> Self {
        let place = fnv(FNV_OFFSET, &place.to_le_bytes());
        Self { offset, member: names.iter().fold(place, |hash, name| fnv(hash, name)) }
    }
}

impl Lost {
    /// The layout is another one.
    pub(crate) fn forget_layout(&mut self) {
        self.known.clear();
    }

    /// Of a body that has become a document these were lost.
    pub(crate) fn note(&mut self, body: &[u8], lost: &mut Vec<LostAt>) {
        lost.retain(|lost| !self.known.contains(&lost.member));
        if lost.is_empty() || self.of(Loss::Broken).seen.len() >= LOST_NAMES_MAX {
            return;
        }
        lost.sort_unstable_by_key(|lost| lost.offset);
        self.locator.restart();
        for LostAt { offset, member } in lost.drain(..) {
            self.locator.name_at(body, offset, &mut self.name);
            self.note_own_name(Loss::Broken);
            if self.known.len() < LOST_LOOKED_AT_MAX {
                self.known.insert(member);
            }
        }
    }

    /// The variable with this name is lost.
    pub(crate) fn note_name(&mut self, loss: Loss, name: &[u8]) {
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

    /// Hands out names that were lost for the first time: a few, and how many are left.
    pub(crate) fn take(&mut self, loss: Loss) -> (Vec<String>, usize) {
        let pending = &mut self.of(loss).pending;
        let taken = pending.drain(..pending.len().min(LOST_NAMES_TOLD)).collect();
        if pending.is_empty() {
            pending.shrink_to_fit();
        }
        (taken, pending.len())
    }

    fn of(&mut self, loss: Loss) -> &mut Names {
        &mut self.names[loss as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_handed_out_once() {
        let body = br#"{"a": ,"b":{"c":NaN,"d": },"e":[1, ],"f":NaN,"g":NaN}"#;
        let at = |member| LostAt::new(memchr::memchr_iter(b'N', body).step_by(2).nth(member).unwrap(), member, &[]);
        let mut lost = Lost::default();
        lost.note(body, &mut vec![at(1), at(0)]);
        assert_eq!(lost.take(Loss::Broken), (vec!["b.c".to_owned(), "f".to_owned()], 0));
        lost.note(body, &mut vec![at(0), at(1), at(2)]);
        assert_eq!(lost.take(Loss::Broken), (vec!["g".to_owned()], 0));
        lost.forget_layout();
        lost.note(body, &mut vec![at(0), at(1), at(2)]);
        assert_eq!(lost.take(Loss::Broken), (Vec::new(), 0));
    }

    #[test]
    fn a_few_at_a_time_and_not_for_ever() {
        let mut lost = Lost::default();
        for name in 0..2 * LOST_NAMES_MAX {
            lost.note_name(Loss::OverLimit, name.to_string().as_bytes());
        }
        let mut told = Vec::new();
        loop {
            let (names, left) = lost.take(Loss::OverLimit);
            assert!(!names.is_empty() && names.len() <= LOST_NAMES_TOLD);
            told.extend(names);
            assert_eq!(told.len() + left, LOST_NAMES_MAX);
            if left == 0 {
                break;
            }
        }
        assert_eq!(told[7], "7");
        assert_eq!(lost.take(Loss::OverLimit), (Vec::new(), 0));
        assert_eq!(lost.take(Loss::Broken), (Vec::new(), 0));
    }
}
