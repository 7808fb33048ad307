//! The naive twin's patterns.

/// Whether a pattern matches the name, or that of an object around it.
pub(crate) fn any_matches(patterns: &[String], raw: &str) -> bool {
    let prefixes = || raw.match_indices('.').map(|(dot, _)| &raw[..dot]).chain([raw]);
    patterns.iter().any(|pattern| prefixes().any(|prefix| matches(pattern, prefix)))
}

fn matches(pattern: &str, name: &str) -> bool {
    glob(pattern, name) || pattern.strip_suffix(".**").is_some_and(|stem| glob(stem, name))
}

fn glob(pattern: &str, name: &str) -> bool {
    let cuts = || name.char_indices().map(|(at, _)| at).chain([name.len()]);
    if let Some(rest) = pattern.strip_prefix("**") {
        rest.is_empty() || cuts().any(|at| glob(rest, &name[at..]))
    } else if let Some(rest) = pattern.strip_prefix('*') {
        cuts().any(|at| !name[..at].contains('.') && glob(rest, &name[at..]))
    } else if let Some(literal) = pattern.chars().next() {
        name.strip_prefix(literal).is_some_and(|name| glob(&pattern[literal.len_utf8()..], name))
    } else {
        name.is_empty()
    }
}
