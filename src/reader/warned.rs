//! Warnings about the configuration that would come from each reader alike. Hundreds of readers may have the patterns of
//! `defaults`, or be the targets of one reader: what matches nothing is told once, and not once for each of them.

use crate::limits;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// The warnings that the running configuration has caused.
#[derive(Debug, Default)]
pub(crate) struct Warned(RefCell<BTreeSet<String>>);

impl Warned {
    /// Whether nobody has been warned like this so far. Assumes that somebody is now.
    pub(super) fn is_first(&self, warning: &str) -> bool {
        let mut warned = self.0.borrow_mut();
        if warned.contains(warning) {
            return false;
        }
        if warned.len() < limits::SHARED_WARNINGS_MAX {
            warned.insert(warning.to_owned());
        }
        true
    }

    /// There is another configuration.
    pub(crate) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_given_once_for_each_configuration() {
        let warned = Warned::default();
        assert!(warned.is_first("a") && warned.is_first("b") && !warned.is_first("a"));
        for number in 0..1_000 {
            assert!(warned.is_first(&number.to_string()));
        }
        assert_eq!(warned.0.borrow().len(), limits::SHARED_WARNINGS_MAX);
        warned.clear();
        assert!(warned.is_first("a"));
    }
}
