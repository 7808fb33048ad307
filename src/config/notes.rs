//! What is noted while a configuration is read, for those who print it as it is in force.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Notes about places in the tree, which are told by the indices that lead to them.
#[derive(Default)]
pub(super) struct Notes {
    /// Defaults that have no effect on their entry.
    pub(super) ignored: RefCell<BTreeSet<Vec<usize>>>,
    /// The values that are paths, as they are used.
    pub(super) paths: RefCell<BTreeMap<Vec<usize>, PathBuf>>,
}

impl Notes {
    /// Notes that the default at `place` has no effect there.
    pub(super) fn ignore(&self, place: &[usize]) {
        self.ignored.borrow_mut().insert(place.to_vec());
    }

    /// Notes that the value at `place` is this path.
    pub(super) fn path(&self, place: &[usize], path: PathBuf) {
        self.paths.borrow_mut().insert(place.to_vec(), path);
    }
}
