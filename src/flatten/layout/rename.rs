//! New names for variables.
//!
//! A user gives them for names in the payload (keys joined with dots). Renaming an object renames everything in it.
//! They are looked up only while a layout is learned.

/// The variables that are renamed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renames {
    /// Sorted by `from`, which is different in each.
    sorted: Vec<Rename>,
    from_bytes_max: usize,
}

/// One name and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rename {
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Renames {
    /// `pairs` are names in the payload, each different, with the names that they get in the document, each of which
    /// [`super::names::check_label_name`] accepts.
    #[must_use]
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        let mut sorted: Vec<Rename> = Vec::with_capacity(pairs.len());
        for (from, to) in pairs {
            // There are a few hundred at most, and this is less code than sorting.
            let place = sorted.partition_point(|rename| rename.from < from);
            sorted.insert(place, Rename { from, to });
        }
        let from_bytes_max = sorted.iter().map(|rename| rename.from.len()).max().unwrap_or_default();
        Self { sorted, from_bytes_max }
    }

    /// The names in the document.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.sorted.iter().map(|rename| rename.to.as_str())
    }

    /// What the variable with this flat name is called in the document, if it, or an object that it is in, is renamed.
    #[must_use]
    pub fn renamed(&self, name: &str) -> Option<String> {
        let Rename { from, to } = self.get(self.longest(name.as_bytes(), 0)?)?;
        Some([to, &name[from.len()..]].concat())
    }

    pub(crate) fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The names in the payload, sorted.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &str> {
        self.sorted.iter().map(|rename| rename.from.as_str())
    }

    pub(crate) fn get(&self, place: usize) -> Option<&Rename> {
        self.sorted.get(place)
    }

    /// The place of the longest renamed name that is `name`, or a prefix of it that ends at a dot at or after byte
    /// `from`.
    pub(crate) fn longest(&self, name: &[u8], from: usize) -> Option<usize> {
        self.all(name, from).next()
    }

    /// Calls `visit` with the place of each such name.
    pub(crate) fn each_of(&self, name: &[u8], from: usize, visit: impl FnMut(usize)) {
        self.all(name, from).for_each(visit);
    }

    fn all(&self, name: &[u8], from: usize) -> impl Iterator<Item = usize> {
        // No renamed name is so long that it could end at a later dot.
        let window = name.get(from..name.len().min(self.from_bytes_max + 1));
        let dots = window.into_iter().flat_map(|window| memchr::memrchr_iter(b'.', window)).map(move |dot| from + dot);
        let whole = window.map(|_| name.len());
        whole.into_iter().chain(dots).filter_map(|end| self.find(&name[..end]))
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        self.sorted.binary_search_by(|rename| rename.from.as_bytes().cmp(name)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_wins() {
        let pair = |(from, to): (&str, &str)| (from.to_owned(), to.to_owned());
        let renames = Renames::new([("a", "x"), ("b.c", "z"), ("a.b.c", "y")].map(pair).to_vec());
        let target = |name: &str, from| {
            let place = renames.longest(name.as_bytes(), from)?;
            renames.get(place).map(|rename| rename.to.as_str())
        };
        for (name, from, expected) in [
            ("a", 0, Some("x")),
            ("a.b", 0, Some("x")),
            ("a.b.c", 0, Some("y")),
            ("a.b.c.d.e.f", 0, Some("y")),
            ("a.b.cd", 0, Some("x")),
            ("a.b", 2, None),
            ("a..b", 1, Some("x")),
            ("ab", 0, None),
            ("b", 0, None),
            ("b.c", 2, Some("z")),
            ("", 0, None),
            (".", 0, None),
        ] {
            assert_eq!(target(name, from), expected, "{name} from {from}");
        }
        assert_eq!(Renames::default().longest(b"a", 0), None);
        assert_eq!(renames.targets().collect::<Vec<_>>(), ["x", "y", "z"]);
    }
}
