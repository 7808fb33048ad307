//! The YAML text as a tree. Unlike a struct that serde fills, it keeps all entries of a map in their order, repeated
//! keys included, and keeps keys and numbers as they are written.
//!
//! Only this module and those below it use `serde_yaml`.

mod build;
mod places;

use super::error::{Location, Problem, shorten};
use super::scan::scan;
use crate::limits::CONFIG_VALUES_BYTES_MAX;
use build::{NodeSeed, Reading, Spelling};
use serde::de::DeserializeSeed;
use std::cell::Cell;

pub(super) use places::{Target, locate};

const A_KEY: &str = "a key must be text";
const UNFOLDED: &str = "aliases expand to too many values: write the values out";

/// One value of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number {
        /// As it is written: `1.10` or `0x1F` may be meant as text.
        text: String,
        /// Its value, if that is an integer and not negative.
        whole: Option<u64>,
    },
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    /// It has a problem that has been reported already.
    Invalid,
}

/// Reads the whole text.
///
/// # Errors
/// The text is not YAML, would take too much time or memory to parse, or has aliases that expand to too much.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    parse_within(text, &Cell::new(CONFIG_VALUES_BYTES_MAX))
}

/// The same for one of several texts. Their trees together may take `room` bytes.
pub(super) fn parse_within(text: &str, room: &Cell<usize>) -> Result<Node, Problem> {
    let reading = Reading::new(scan(text)?.has_odd_numbers, room);
    read(text, &reading).map_err(|error| {
        let location = location_of(&error);
        // serde_yaml panics if asked for a document after one with an error, so only ask if the first document has
        // none.
        let second = if has_more_documents(&error) { second_document(text) } else { None };
        let line = second.unwrap_or(1);
        Problem::at(location.unwrap_or(Location { line, column: 1 }), explain(&error, text, location))
    })
}

/// Whether the only problem of the first document is that there is a second one. That error has no position, unlike
/// other errors with the same words.
fn has_more_documents(error: &serde_yaml::Error) -> bool {
    error.location().is_none() && error.to_string().contains("more than one document")
}

/// `serde_yaml` gives a number either as a value or as text. If some number may be written in an unusual way, the text
/// is read a second time for the texts of all numbers.
fn read(text: &str, reading: &Reading<'_>) -> Result<Node, serde_yaml::Error> {
    let seed = NodeSeed(reading);
    let mut root = seed.deserialize(serde_yaml::Deserializer::from_str(text))?;
    if reading.wants_spelling.get() {
        Spelling { node: &mut root, seed }.deserialize(serde_yaml::Deserializer::from_str(text))?;
    }
    Ok(root)
}

/// The line on which a second document begins: that of its `---`, if it has one.
fn second_document(text: &str) -> Option<usize> {
    let second = serde_yaml::Deserializer::from_str(text).nth(1)?;
    let content = places::root(second)?.line;
    // All the line breaks of YAML.
    let text = text.replace("\r\n", "\n");
    let lines: Vec<&str> = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).take(content).collect();
    let before = lines.iter().rev().take_while(|line| !line.starts_with("..."));
    let above = before.into_iter().position(|line| line.starts_with("---")).unwrap_or(0);
    Some(lines.len() - above)
}

fn location_of(error: &serde_yaml::Error) -> Option<Location> {
    error.location().map(|at| Location { line: at.line(), column: at.column() })
}

/// Says what is wrong in words that help a user.
fn explain(error: &serde_yaml::Error, text: &str, location: Option<Location>) -> String {
    let message = error.to_string();
    let line = location.and_then(|at| text.lines().nth(at.line.saturating_sub(1))).unwrap_or_default();
    if message.contains("cannot start any token") && line.contains('\t') {
        return "tabs are not allowed here: indent with spaces".to_owned();
    }
    // These are about aliases: what is too deep without them is refused before it is parsed.
    let unfolded = ["repetition limit", "recursion limit"];
    if unfolded.iter().any(|words| message.starts_with(words)) || message.contains(UNFOLDED) {
        return UNFOLDED.to_owned();
    }
    if has_more_documents(error) {
        return "the file contains more than one YAML document: keep one, without `---` in between".to_owned();
    }
    // The next two messages of serde begin with the keys around the place, one of which may be a part of a secret.
    if message.contains("invalid type: enum") {
        return "tags (`!…`) are not supported: remove it".to_owned();
    }
    if message.contains(A_KEY) {
        let found = if message.contains("invalid type: sequence") { "a list" } else { "a mapping" };
        return format!("{A_KEY}, found {found}");
    }
    let end = message.find(" at line ").unwrap_or(message.len());
    // In patterns, variables and dates these characters do not mean what they mean in YAML.
    let misread = ["expected ',' or", "alphabetic or numeric character", "cannot start any token", "unknown anchor"];
    let is_misread =
        misread.iter().any(|words| message.contains(words)) && line.contains(['$', '*', '%', '&', '@', '`']);
    let hint = if is_misread { "; put a value with such characters in quotes" } else { "" };
    format!("not valid YAML: {}{hint}", &message[..end])
}

/// The size of a YAML text: its keys, values, lists and sections, and how deep lists and sections are nested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct YamlSizes {
    /// The number of nodes according to the scan before parsing.
    pub counted_nodes: usize,
    /// The depth according to that scan.
    pub counted_depth: usize,
    /// The number of nodes according to the parser.
    pub nodes: usize,
    /// The depth according to the parser.
    pub depth: usize,
}

impl YamlSizes {
    pub(crate) fn of(text: &str) -> Option<Self> {
        let shape = scan(text).ok()?;
        let root = parse(text).ok()?;
        let (nodes, depth) = root.size();
        // An empty document is one value.
        let counted_nodes = shape.nodes.max(1);
        let has_aliases = text.contains('*');
        (!has_aliases).then_some(Self { counted_nodes, counted_depth: shape.depth, nodes, depth })
    }
}

impl Node {
    /// The number of nodes in it, itself included, and how deep lists and sections are nested.
    fn size(&self) -> (usize, usize) {
        let sum = |own: usize, below: &mut dyn Iterator<Item = &Self>| {
            let below = below.map(Self::size);
            let (nodes, depth) = below.fold((own, 0), |(nodes, depth), (more, deep)| (nodes + more, depth.max(deep)));
            (nodes, depth + 1)
        };
        match self {
            Self::List(items) => sum(1, &mut items.iter()),
            Self::Map(entries) => sum(1 + entries.len(), &mut entries.iter().map(|(_, value)| value)),
            Self::Null | Self::Bool(_) | Self::Number { .. } | Self::Text(_) | Self::Invalid => (1, 0),
        }
    }

    /// What it is, for an error about what was found.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null | Self::Invalid => "nothing".to_owned(),
            Self::Bool(value) => format!("{value}"),
            Self::Number { text, .. } => format!("the number {}", shorten(text)),
            Self::Text(text) => format!("{:?}", shorten(text)),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PROBLEM_READINGS_BYTES_MAX;

    const TEXT: &str = "a: 1\nb:\n  c: [x, y]\n  d: {e: ~}\nb: again\n";

    #[test]
    fn every_entry_of_a_map_is_kept_in_order() {
        let text = |text: &str| Node::Text(text.to_owned());
        let expected = Node::Map(vec![
            ("a".into(), Node::Number { text: "1".into(), whole: Some(1) }),
            (
                "b".into(),
                Node::Map(vec![
                    ("c".into(), Node::List(vec![text("x"), text("y")])),
                    ("d".into(), Node::Map(vec![("e".into(), Node::Null)])),
                ]),
            ),
            ("b".into(), text("again")),
        ]);
        assert_eq!(parse(TEXT), Ok(expected));
    }

    #[test]
    fn keys_and_numbers_are_as_they_stand() {
        for (text, value) in [
            ("0x1F", Some(31)),
            ("0o17", Some(15)),
            ("0b11", Some(3)),
            ("+5", Some(5)),
            ("-0", Some(0)),
            ("-7", None),
            ("1.10", None),
            ("1e3", None),
            (".inf", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("340282366920938463463374607431768211455", None),
            ("123456789012345678901234567890123456789012", None),
        ] {
            let number = Node::Number { text: text.to_owned(), whole: value };
            let both = Node::Map(vec![
                (text.to_owned(), number.clone()),
                ("b".to_owned(), Node::List(vec![number.clone(), number])),
            ]);
            assert_eq!(parse(&format!("{text}: &a {text}\nb: [*a, {text}]\n")), Ok(both));
        }
        for text in ["1_000", "007", "yes", "0x", "12:30", "1.2.3", "2026-11-25"] {
            let node = Node::Text(text.to_owned());
            assert_eq!(parse(&format!("{text}: {text}\n")), Ok(Node::Map(vec![(text.to_owned(), node)])));
        }
        assert_eq!(
            parse("~: ~\nTrue: True"),
            Ok(Node::Map(vec![("~".into(), Node::Null), ("True".into(), Node::Bool(true))]))
        );
    }

    #[test]
    fn no_error_repeats_the_keys_around_it() {
        for text in [
            "hunter2: {[a]: b}",
            "hunter2: {? {a: b} : c}",
            "hunter2: !tag x",
            "hunter2: *x",
            "hunter2: [",
            "hunter2: more than one document: *x",
            "more than one document: [!hunter2 y, *x]",
            "hunter2: \"\\z\"",
        ] {
            let Problem { message, .. } = parse(text).expect_err(text);
            assert!(!message.contains("hunter2"), "{message}");
        }
        assert_eq!(
            parse("a: {[a]: b}"),
            Err(Problem::at(Location { line: 1, column: 5 }, "a key must be text, found a list".to_owned()))
        );
    }

    #[test]
    fn a_second_document_is_named_by_the_line_where_it_begins() {
        for (text, line) in [
            ("a: 1\n---\nb: 2\n", 2),
            ("# c\n---\na: 1\n---\nb: 2", 4),
            ("%YAML 1.1\n---\n\na: 1\n--- # more\n\n# x\nb: 2\n", 5),
            ("---\na: 1\n...\nb: 2\n", 4),
            ("---\na: 1\r\n...\r\n# x\r\n---\r\nb: 2\r\n", 5),
            ("a: |\n  x\n  ---\n---\n", 4),
            ("a: 1\r---\rb: 2", 2),
            ("--- a\n--- b\n--- c\n", 2),
            ("a: 1\n--- *x\n", 2),
            ("a: 1\n---\nb: [1, *x]\n", 2),
            ("a: 1\n---\nb: [\n", 2),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.message.contains("more than one YAML document"), "{text:?}: {}", error.message);
            assert_eq!(error.location, Some(Location { line, column: 1 }), "{text:?}");
        }
    }

    #[test]
    fn each_place_is_found_again() {
        for (path, at_key, line, column) in [
            (&[0][..], true, 1, 1),
            (&[0], false, 1, 4),
            (&[1, 0], true, 3, 3),
            (&[1, 0, 1], false, 3, 10),
            (&[1, 1, 0], false, 4, 10),
            (&[2], true, 5, 1),
            (&[2], false, 5, 4),
        ] {
            let found = locate(TEXT, &[Target { path, at_key }]);
            assert_eq!(found, [Some(Location { line, column })], "{path:?}");
        }
    }

    #[test]
    fn all_places_are_found_at_once_and_lists_one_by_one() {
        let text = "a: &x [1, {b: c}]\n? d\n: - *x\n  - e: {}\n!t f: |\n  g\nh: *x\n";
        let targets: [(&[usize], bool, usize, usize); 10] = [
            (&[3], false, 1, 4),
            (&[1, 1, 0], false, 4, 8),
            (&[0, 1, 0], true, 1, 12),
            (&[1, 1], false, 4, 5),
            (&[2], true, 5, 1),
            (&[0, 1], false, 1, 11),
            (&[2], false, 5, 7),
            (&[1, 0, 1, 0], false, 1, 15),
            (&[1, 1, 0], true, 4, 5),
            (&[0], false, 1, 4),
        ];
        let sought: Vec<Target<'_>> = targets.iter().map(|&(path, at_key, ..)| Target { path, at_key }).collect();
        let places = |found: Vec<Option<Location>>| -> Vec<(usize, usize)> {
            found.into_iter().map(|at| at.map_or((0, 0), |at| (at.line, at.column))).collect()
        };
        let expected: Vec<(usize, usize)> = targets.iter().map(|&(.., line, column)| (line, column)).collect();
        assert_eq!(places(locate(text, &sought)), expected);
        // In a long text, what is no scalar is told by the nearest key.
        let long = format!("{text}{}", "#".repeat(PROBLEM_READINGS_BYTES_MAX));
        let mut near = expected;
        (near[0], near[1], near[3], near[5], near[9]) = ((7, 1), (4, 5), (2, 3), (1, 1), (1, 1));
        assert_eq!(places(locate(&long, &sought)), near);
    }
}
