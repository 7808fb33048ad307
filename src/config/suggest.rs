//! Finds the known name that a misspelt one was probably meant to be.

use crate::limits::{SUGGESTED_CHARS_MAX, SUGGESTION_STEPS_MAX};
use std::cell::Cell;

/// The name among `known` that is most similar to `name`, if at most a third of its letters differ.
pub(crate) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    Suggestions::default().nearest(name, known)
}

/// Makes the suggestions for one file, as long as they do not take too long together.
pub(super) struct Suggestions {
    steps_left: Cell<usize>,
}

impl Default for Suggestions {
    fn default() -> Self {
        Self { steps_left: Cell::new(SUGGESTION_STEPS_MAX) }
    }
}

impl Suggestions {
    /// The same. None if the suggestions so far have taken too long.
    pub(super) fn nearest<'k>(&self, name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
        let length = name.chars().count();
        if length > SUGGESTED_CHARS_MAX {
            return None;
        }
        let lower = name.to_lowercase();
        let is_near = |letters: usize, distance| distance <= (letters / 3).max(1);
        let mut best = None;
        for candidate in known {
            self.step(candidate.len())?;
            let letters = candidate.chars().count();
            if !is_near(letters, length.abs_diff(letters)) {
                continue;
            }
            self.step(length * letters)?;
            let distance = distance(&lower, &candidate.to_lowercase());
            if is_near(letters, distance) && best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, candidate));
            }
        }
        best.map(|(_, candidate)| candidate)
    }

    /// Counts steps. None if there have been too many.
    fn step(&self, steps: usize) -> Option<()> {
        let left = self.steps_left.get().checked_sub(steps);
        self.steps_left.set(left.unwrap_or(0));
        left.map(drop)
    }
}

/// How many letters have to be inserted, deleted, replaced or swapped with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for row in 1..=a.len() {
        let mut current = vec![row];
        for column in 1..=b.len() {
            let replaced = above[column - 1] + usize::from(a[row - 1] != b[column - 1]);
            let mut best = replaced.min(above[column] + 1).min(current[column - 1] + 1);
            if row > 1 && column > 1 && a[row - 1] == b[column - 2] && a[row - 2] == b[column - 1] {
                best = best.min(before[column - 2] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_name_and_strangers_none() {
        let known = ["interval", "timeout", "type", "type_name", "endpoint"];
        for (slip, meant) in [
            ("intervall", Some("interval")),
            ("itnerval", Some("interval")),
            ("time_out", Some("timeout")),
            ("Type_Name", Some("type_name")),
            ("typ", Some("type")),
            ("end_point", Some("endpoint")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(slip, known), meant, "{slip}");
        }
    }
}
