//! What a reader remembers about its names as long as it runs, as hashes with a random key.
//!
//! Servers take dotted names for objects. When they first see a name in an index they decide whether it is that of a
//! value or that of an object, and refuse every later document in which it is the other. So a name that was shipped
//! with a value remains that of a value, and one that was an object remains that of an object. Invariant: no name is
//! both.

use super::OWN_NAMES;
use crate::layout::rules::Label;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// Appended to the name of a value if an object has that name.
const VALUE: &[u8] = b"._value";
/// Appended to the name of an object if a value has that name.
const OBJECT: &[u8] = b"#object";

/// The names of one reader.
#[derive(Debug)]
pub(crate) struct Fields {
    hasher: RandomState,
    max: usize,
    /// Variables that may be shipped, each identified by its mended name and by how many variables with the same name
    /// come before it.
    admitted: HashSet<u64>,
    /// Names under which a value has been shipped.
    values: HashSet<u64>,
    /// Names of objects.
    objects: HashSet<u64>,
    /// Whether there has been no document yet. Then a roll-back simply begins anew, and `added` stays empty.
    is_new: bool,
    /// What the current payload has added: it is removed again if the payload does not become a document.
    added: Vec<(Set, u64)>,
}

/// One of the three sets.
#[derive(Debug, Clone, Copy)]
enum Set {
    Admitted,
    Values,
    Objects,
}

/// Whether a reader may ship a value under a name.
pub(super) enum Place {
    /// Yes: the name is a field in the server's mapping, or becomes one now.
    Taken,
    /// Yes, as soon as it has a value.
    Awaited,
    /// No: the reader ships as many names as it may already.
    Full,
}

impl Fields {
    pub(crate) fn new(max: usize, labels: &[Label]) -> Self {
        let (admitted, values, objects) = (HashSet::new(), HashSet::new(), HashSet::new());
        let hasher = RandomState::new();
        let mut fields = Self { hasher, max, admitted, values, objects, is_new: true, added: Vec::new() };
        for name in OWN_NAMES.into_iter().chain(labels.iter().map(|label| label.name.as_str())) {
            fields.add_objects(name.as_bytes());
        }
        fields
    }

    /// The payload has become a document.
    pub(crate) fn commit(&mut self) {
        self.is_new = false;
        self.added = Vec::new();
    }

    /// The payload has not become a document: forgets what it has added.
    pub(crate) fn roll_back(&mut self, labels: &[Label]) {
        if self.is_new {
            *self = Self::new(self.max, labels);
        }
        for (set, hash) in std::mem::take(&mut self.added) {
            self.set(set).remove(&hash);
        }
    }

    fn set(&mut self, set: Set) -> &mut HashSet<u64> {
        match set {
            Set::Admitted => &mut self.admitted,
            Set::Values => &mut self.values,
            Set::Objects => &mut self.objects,
        }
    }

    /// Adds a hash. False if it was there already.
    fn add(&mut self, set: Set, hash: u64) -> bool {
        let is_new = self.set(set).insert(hash);
        if is_new && !self.is_new {
            self.added.push((set, hash));
        }
        is_new
    }

    pub(super) fn hash(&self, name: &[u8]) -> u64 {
        self.hasher.hash_one(name)
    }

    /// Whether the reader may ship this variable: it has done so before, or there is room for one more.
    pub(super) fn admit(&mut self, name: &[u8], occurrence: u32) -> bool {
        let hash = self.hasher.hash_one((name, occurrence));
        self.admitted.contains(&hash) || (self.admitted.len() < self.max && self.add(Set::Admitted, hash))
    }

    /// Reserves the name with this hash, which is not that of an object, for a value.
    pub(super) fn take(&mut self, hash: u64, has_value: bool) -> Place {
        if self.values.contains(&hash) {
            Place::Taken
        } else if self.values.len() >= self.max {
            Place::Full
        } else if has_value {
            self.add(Set::Values, hash);
            Place::Taken
        } else {
            Place::Awaited
        }
    }

    pub(super) fn is_object(&self, hash: u64) -> bool {
        self.objects.contains(&hash)
    }

    /// Adds the objects that this name is in.
    pub(super) fn add_objects(&mut self, name: &[u8]) {
        for dot in memchr::memrchr_iter(b'.', name) {
            if !self.add(Set::Objects, self.hash(&name[..dot])) {
                break;
            }
        }
    }

    /// Changes the name of a value if it is that of an object.
    pub(super) fn keep_out_of_objects(&self, name: &mut Vec<u8>) {
        while self.is_object(self.hash(name)) {
            name.extend_from_slice(VALUE);
        }
    }

    /// Changes the name of something in an object if the object's name is that of a value. True if so.
    pub(super) fn keep_out_of_values(&self, name: &mut Vec<u8>, spare: &mut Vec<u8>) -> bool {
        if self.values.is_empty() || !self.is_in_value(name) {
            return false;
        }
        spare.clear();
        for (place, segment) in name.split(|byte| *byte == b'.').enumerate() {
            if place > 0 {
                while self.values.contains(&self.hash(spare)) {
                    spare.extend_from_slice(OBJECT);
                }
                spare.push(b'.');
            }
            spare.extend_from_slice(segment);
        }
        std::mem::swap(name, spare);
        true
    }

    fn is_in_value(&self, name: &[u8]) -> bool {
        for dot in memchr::memrchr_iter(b'.', name) {
            let around = self.hash(&name[..dot]);
            if self.is_object(around) {
                // Then everything around it is an object, too.
                return false;
            }
            if self.values.contains(&around) {
                return true;
            }
        }
        false
    }
}
