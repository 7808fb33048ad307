//! A reader's `rename`: names in the payload, and the names that they get in the document.

use super::ports;
use super::section::Section;
use crate::flatten::{Label, Renames, check_label_name, names_conflict};
use crate::limits;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Takes the key. `labels` are those of the reader.
pub(super) fn renames(section: &mut Section<'_, '_>, labels: &[Label]) -> Renames {
    let Some(names) = section.section("rename") else { return Renames::default() };
    let count = names.keys().count();
    if count > limits::RENAMES_MAX {
        names.lacks(format!("{count} names, at most {} are allowed", limits::RENAMES_MAX));
        return Renames::default();
    }
    let taken = RefCell::new(BTreeSet::new());
    let pairs = names.each(|from, to| {
        let mut taken = taken.borrow_mut();
        if let Some(problem) = problem(from, to, labels, &taken) {
            return Err(problem);
        }
        taken.insert(to.to_owned());
        Ok((from.to_owned(), to.to_owned()))
    });
    Renames::new(pairs)
}

/// Why `from` cannot be renamed to `to`; none if it can.
fn problem(from: &str, to: &str, labels: &[Label], taken: &BTreeSet<String>) -> Option<String> {
    if from.is_empty() {
        return Some("an empty name cannot be renamed: expected one such as memstats.Alloc".to_owned());
    }
    if from.len() > limits::RENAMED_BYTES_MAX {
        return Some(format!("a name of more than {} bytes cannot be renamed", limits::RENAMED_BYTES_MAX));
    }
    if let Err(problem) = check_label_name(to) {
        return Some(format!("the new name {to:?} {problem}: choose another"));
    }
    if let Some(label) = labels.iter().find(|label| names_conflict(&label.name, to)) {
        return Some(format!("the new name {to:?} conflicts with {}: choose another", ports::described(label)));
    }
    taken.contains(to).then(|| format!("the new name {to:?} is given twice: choose another"))
}
