//! Keys of which only one may be set. If an entry has one of its own, it does not get another one from `defaults`. Pure.

use super::node::Node;
use super::step::Step;
use super::values;
use std::collections::BTreeMap;

/// The ways to say the same; each is a list of keys that belong together.
type Ways = &'static [&'static [&'static str]];

/// In a reader or a recorder.
const OF_ENTRIES: &[Ways] = &[&[&["index_name"], &["data_stream"]], &[&["endpoint"], &["targets_file"]]];
/// In `auth`.
const OF_AUTH: &[Ways] = &[
    &[&["user", "password", "password_file"], &["api_key", "api_key_file"], &["bearer", "bearer_file"]],
    &[&["password"], &["password_file"]],
    &[&["api_key"], &["api_key_file"]],
    &[&["bearer"], &["bearer_file"]],
];

/// How deep the keys of an entry are, and those of a section in it.
const ENTRY: usize = 2;
const SECTION: usize = 3;

/// Whether the section at `step`, which has the entries `own`, says in another way what the default `key` says.
pub(super) fn is_superseded(key: &str, own: &BTreeMap<&str, &Node>, step: &Step<'_>) -> bool {
    let is_given = |key: &str| own.get(key).is_some_and(|node| **node != Node::Null);
    let has_other = |ways: Ways| {
        let mine = ways.iter().position(|way| way.contains(&key));
        let others = ways.iter().enumerate().filter(|(way, _)| mine.is_some_and(|mine| mine != *way));
        others.flat_map(|(_, way)| way.iter()).any(|other| is_given(other))
    };
    match (step.depth(), step.key()) {
        (ENTRY, _) if key == "auth" => own.get("endpoint").is_some_and(|endpoint| has_credentials(endpoint)),
        (ENTRY, _) => OF_ENTRIES.iter().any(|ways| has_other(ways)),
        (SECTION, "auth") => OF_AUTH.iter().any(|ways| has_other(ways)),
        // The name of a header may be written in any case, and its value may be in a file.
        (SECTION, "headers") => own.keys().any(|other| header(other).eq_ignore_ascii_case(header(key))),
        _ => false,
    }
}

fn header(key: &str) -> &str {
    key.strip_suffix("_file").unwrap_or(key)
}

fn has_credentials(endpoint: &Node) -> bool {
    match endpoint {
        Node::Text(text) => values::has_credentials(text),
        Node::List(items) => items.iter().any(has_credentials),
        _ => false,
    }
}
