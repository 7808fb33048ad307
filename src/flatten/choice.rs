//! Which variables are shipped: globs over flat names, compiled once and asked only when a payload's layout is learned.
//!
//! `*` stands for any characters within a segment, `**` for any characters; a trailing `.**` takes the name before it
//! along. A pattern that matches a name takes in everything below that name.

/// The patterns of `include` and `exclude`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    include: Globs,
    exclude: Globs,
}

/// Patterns, any of which may take a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Globs(Vec<Glob>);

/// One pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Glob {
    /// Without a trailing `.**`: whatever is below a match is matched anyway.
    text: Vec<u8>,
}

impl Choice {
    fn new<P: AsRef<str>>(include: &[P], exclude: &[P]) -> Self {
        Self { include: Globs::new(include), exclude: Globs::new(exclude) }
    }

    /// With other patterns where they are given.
    #[must_use]
    pub fn replaced<P: AsRef<str>>(self, include: Option<&[P]>, exclude: Option<&[P]>) -> Self {
        Self { include: include.map_or(self.include, Globs::new), exclude: exclude.map_or(self.exclude, Globs::new) }
    }

    /// Whether `name`, or a part of it that ends at a dot behind byte `from`, is excluded.
    pub(super) fn excludes(&self, name: &[u8], from: usize) -> bool {
        self.exclude.take(name, from)
    }

    /// Whether `name`, or a part of it that ends at a dot behind byte `from`, is included.
    pub(super) fn includes(&self, name: &[u8], from: usize) -> bool {
        self.include.take(name, from)
    }

    /// Whether something below `name` could be included, though `name` is not.
    pub(super) fn may_include_below(&self, name: &[u8]) -> bool {
        self.include.0.iter().any(|glob| begins(&glob.text, name))
    }
}

impl Default for Choice {
    fn default() -> Self {
        Self::new(&["**"], &["cmdline", "memstats.BySize.**"])
    }
}

impl Globs {
    /// Compiles the patterns.
    #[must_use]
    pub fn new<P: AsRef<str>>(patterns: &[P]) -> Self {
        Self(patterns.iter().map(|pattern| Glob::new(pattern.as_ref())).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any takes `name`, or a part of it that ends at a dot behind byte `from`.
    pub(super) fn take(&self, name: &[u8], from: usize) -> bool {
        self.0.iter().any(|glob| glob.takes(name, from))
    }
}

impl Glob {
    fn new(pattern: &str) -> Self {
        let text = pattern.strip_suffix(".**").filter(|name| !name.is_empty()).unwrap_or(pattern);
        Self { text: text.as_bytes().to_vec() }
    }

    fn takes(&self, name: &[u8], from: usize) -> bool {
        let ends = memchr::memchr_iter(b'.', &name[from..]).map(|end| from + end).chain([name.len()]);
        ends.into_iter().any(|end| matches(&self.text, &name[..end]))
    }
}

/// Backtracks to the last star only: `**` once passed never needs to be looked at again, `*` stops at a dot.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut single: Option<(usize, usize)> = None;
    let mut double: Option<(usize, usize)> = None;
    loop {
        if pattern[p..].starts_with(b"**") {
            p += 2;
            (double, single) = (Some((p, n)), None);
        } else if pattern.get(p) == Some(&b'*') {
            p += 1;
            single = Some((p, n));
        } else if n == name.len() && p == pattern.len() {
            return true;
        } else if n < name.len() && pattern.get(p) == Some(&name[n]) {
            (p, n) = (p + 1, n + 1);
        } else if let Some((after, at)) = single.filter(|&(_, at)| at < name.len() && name[at] != b'.') {
            (p, n) = (after, at + 1);
            single = Some((after, at + 1));
        } else if let Some((after, at)) = double.filter(|&(_, at)| at < name.len()) {
            (p, n) = (after, at + 1);
            (double, single) = (Some((after, at + 1)), None);
        } else {
            return false;
        }
    }
}

/// Whether a name that begins with `name` and a dot could match: the pattern is followed up to its first `**`.
fn begins(pattern: &[u8], name: &[u8]) -> bool {
    let (mut segments, mut patterns) = (name.split(|&byte| byte == b'.'), pattern.split(|&byte| byte == b'.'));
    loop {
        match (patterns.next(), segments.next()) {
            (Some(_), None) => return true,
            (None, _) => return false,
            (Some(pattern), Some(segment)) => {
                if let Some(open) = pattern.windows(2).position(|pair| pair == b"**") {
                    // What stands before the `**` in its segment must still fit; behind it everything may.
                    return open == 0 || matches(&[&pattern[..open], b"*"].concat(), segment);
                }
                if !matches(pattern, segment) {
                    return false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_a_segment_and_double_stars_do_not() {
        for (pattern, name, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.bc", false),
            ("a.*", "a.b", true),
            ("a.*.c", "a.b.c", true),
            ("a.*c", "a.b.c", false),
            ("a.**c", "a.b.c", true),
            ("**", "a.b.c", true),
            ("**.c", "a.b.c", true),
            ("**.c", "c", false),
            ("*", "a", true),
            ("*", "", true),
            ("m*s.**.x*", "memstats.a.b.xyz", true),
            ("m*s.**.x*", "memstats.a.b.yz", false),
            ("**a*b**c", "xxa1b.2.c", true),
            ("a?", "ab", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_match_takes_in_what_is_below() {
        let choice = Choice::new(&["app.*", "up"], &["app.secret.**", "**.tmp"]);
        for (name, included, excluded) in [
            ("app.x", true, false),
            ("app.x.y", true, false),
            ("up", true, false),
            ("upper", false, false),
            ("app.secret", true, true),
            ("app.secret.key", true, true),
            ("app.a.tmp.b", true, true),
        ] {
            let name = name.as_bytes();
            assert_eq!((choice.includes(name, 0), choice.excludes(name, 0)), (included, excluded), "{name:?}");
        }
        let narrow = Choice::new(&["a.b.**", "c*.d", "x**y"], &[]);
        for (name, expected) in [("a", true), ("b", false), ("cc", true), ("a.c", false), ("xa", true), ("ya", false)] {
            assert_eq!(narrow.may_include_below(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn the_contracts_defaults_stay_out() {
        let choice = Choice::default();
        for name in ["cmdline", "memstats.BySize", "memstats.BySize.Size"] {
            assert!(choice.excludes(name.as_bytes(), 0), "{name}");
        }
        assert!(!choice.excludes(b"app.cmdline", 0) && !choice.excludes(b"BySize", 0) && choice.includes(b"x", 0));
    }
}
