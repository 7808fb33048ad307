//! Which texts become numbers (`convert`), by patterns for the names of variables. Matched only while a layout is learned.

use super::globs::{Globs, Progress};
use crate::bytes::quantity::TextUnit;

/// Patterns for the variables whose texts become numbers. The first pattern that matches a variable's name, or that of an
/// object around it, says of which unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextUnits {
    /// Neighbours in the list that have the same unit are together.
    groups: Vec<(Globs, TextUnit)>,
}

/// How far the name of the current member has got in the patterns of each group.
#[derive(Debug, Default)]
pub(crate) struct TextProgress {
    groups: Vec<Progress>,
}

impl TextUnits {
    /// Compiles the patterns, of which an earlier one wins.
    #[must_use]
    pub fn new(patterns: &[(String, TextUnit)]) -> Self {
        let groups = patterns.chunk_by(|(_, one), (_, next)| one == next).filter_map(|group| {
            let texts: Vec<&str> = group.iter().map(|(text, _)| text.as_str()).collect();
            group.first().map(|(_, unit)| (Globs::new(&texts), *unit))
        });
        Self { groups: groups.collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &Globs> {
        self.groups.iter().map(|(globs, _)| globs)
    }
}

impl TextProgress {
    /// Begins a payload.
    pub(crate) fn begin(&mut self, units: &TextUnits) {
        self.groups.iter_mut().for_each(Progress::clear);
        if self.groups.len() < units.groups.len() {
            self.groups.resize_with(units.groups.len(), Progress::default);
        }
    }

    /// Steps into a member, whose name is that of the object around it followed by `bytes`. Gives the unit of its texts.
    pub(crate) fn push(&mut self, units: &TextUnits, bytes: &[u8]) -> Option<TextUnit> {
        let mut found = None;
        for (progress, (globs, unit)) in self.groups.iter_mut().zip(&units.groups) {
            if progress.push(globs, bytes) {
                found = found.or(Some(*unit));
            }
        }
        found
    }

    /// Steps out of the member.
    pub(crate) fn pop(&mut self) {
        self.groups.iter_mut().for_each(Progress::pop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pattern_that_matches_says_which_unit() {
        let unit = |name| TextUnit::named(name).unwrap();
        let patterns = [("a.up", "s"), ("*.latency", "ms"), ("b.latency", "ns"), ("a", "number"), ("**.size", "B")];
        let units = TextUnits::new(&patterns.map(|(pattern, name)| (pattern.to_owned(), unit(name))));
        let mut progress = TextProgress::default();
        for _ in 0..2 {
            progress.begin(&units);
            assert_eq!(progress.push(&units, b"a"), Some(unit("number")));
            for (name, expected) in [(".up", "s"), (".latency", "ms"), (".size", "number"), (".other", "number")] {
                assert_eq!(progress.push(&units, name.as_bytes()), Some(unit(expected)), "{name}");
                progress.pop();
            }
            progress.pop();
            assert_eq!(progress.push(&units, b"b"), None);
            assert_eq!(progress.push(&units, b".latency"), Some(unit("ms")));
            // Everything below a match.
            assert_eq!(progress.push(&units, b".p99"), Some(unit("ms")));
        }
    }
}
