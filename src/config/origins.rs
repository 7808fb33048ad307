//! Which text each part of the configuration comes from. The tree that is read is put together of several files, merge keys and
//! `defaults`, so a place in it is not the place in the text.

use std::collections::BTreeMap;

/// A place in the texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// The index of the file.
    pub(super) file: usize,
    /// The indices of the entries that lead to it in the tree of that file.
    pub(super) path: Vec<usize>,
    pub(super) via: Via,
}

/// How a part has come to its place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Via {
    /// It is written there.
    #[default]
    Own,
    /// By a merge key. It may have come to other places as well.
    Merge,
    /// From `defaults`. The same.
    Defaults,
}

/// The places of the parts that are not where the text has them.
#[derive(Debug, Default)]
pub(super) struct Origins {
    mixed: BTreeMap<Vec<usize>, Sources>,
}

/// Where the entries of one section come from.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The sections that they are from.
    pub(super) sections: Vec<Origin>,
    /// For each entry: which of the sections, and the index of the entry there.
    pub(super) entries: Vec<(usize, usize)>,
}

impl Origin {
    /// The beginning of a file.
    pub(super) fn of_file(file: usize) -> Self {
        Self { file, ..Self::default() }
    }

    /// The place of entry or item `index`.
    pub(super) fn below(&self, index: usize) -> Self {
        Self { path: [&self.path[..], &[index]].concat(), ..*self }
    }
}

impl Sources {
    /// The origin of an entry.
    pub(super) fn of(&self, index: usize) -> Origin {
        self.entries.get(index).map_or_else(Origin::default, |&(section, index)| self.sections[section].below(index))
    }

    /// Adds the origin of a further entry.
    pub(super) fn push(&mut self, mut origin: Origin) {
        let Some(index) = origin.path.pop() else { return };
        if self.sections.last() != Some(&origin) {
            self.sections.push(origin);
        }
        self.entries.push((self.sections.len() - 1, index));
    }

    /// Adds those of another section.
    pub(super) fn append(&mut self, other: Self) {
        let first = self.sections.len();
        self.sections.extend(other.sections);
        self.entries.extend(other.entries.into_iter().map(|(section, index)| (first + section, index)));
    }
}

impl Origins {
    /// Records where the entries of the section at `path` come from.
    pub(super) fn record(&mut self, path: Vec<usize>, sources: Sources) {
        self.mixed.insert(path, sources);
    }

    /// Where the part at `path` comes from.
    pub(super) fn find(&self, path: &[usize]) -> Origin {
        let mut origin = Origin::default();
        for (depth, &index) in path.iter().enumerate() {
            match self.mixed.get(&path[..depth]).and_then(|sources| sources.entries.get(index).map(|_| sources)) {
                Some(sources) => origin = sources.of(index),
                None => origin.path.push(index),
            }
        }
        origin
    }
}
