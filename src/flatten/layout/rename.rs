//! New names for variables.
//!
//! They are given for the payload's names (keys joined with dots), and apply to everything below. Asked only when a
//! payload's layout is learned.

/// Which names become which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renames {
    /// Sorted by `from`, no two of which are the same.
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
    /// Of pairs of a name in the payload and one in the document. No two have the same first, and each second is one that
    /// [`super::names::unfit_for_label`] has nothing against.
    #[must_use]
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        let mut sorted: Vec<Rename> = Vec::with_capacity(pairs.len());
        for (from, to) in pairs {
            // A few hundred at most: less code than sorting.
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

    /// The place of the longest name that is `name`, or a part of it that ends at a dot not before byte `from`.
    pub(crate) fn longest(&self, name: &[u8], from: usize) -> Option<usize> {
        self.all(name, from).next()
    }

    /// Hands the place of each such name to `visit`.
    pub(crate) fn each_of(&self, name: &[u8], from: usize, visit: impl FnMut(usize)) {
        self.all(name, from).for_each(visit);
    }

    fn all(&self, name: &[u8], from: usize) -> impl Iterator<Item = usize> {
        // At a dot that is further behind no name ends.
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
