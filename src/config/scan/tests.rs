use super::super::node::{self, Node};
use super::*;
use proptest::prelude::*;

/// Nodes and depth of what the parser makes of a text.
fn parsed(text: &str) -> Option<(usize, usize)> {
    fn measure(node: &Node) -> (usize, usize) {
        let children: Vec<&Node> = match node {
            Node::List(items) => items.iter().collect(),
            Node::Map(entries) => entries.iter().map(|(_, value)| value).collect(),
            _ => return (1, 0),
        };
        let keys = if let Node::Map(entries) = node { entries.len() } else { 0 };
        let below = children.into_iter().map(measure);
        let (nodes, depth) = below.fold((0, 0), |(nodes, depth), (more, deeper)| (nodes + more, depth.max(deeper)));
        (1 + keys + nodes, 1 + depth)
    }
    node::parse(text).ok().map(|node| measure(&node))
}

/// The scan sees at least what the parser makes of it.
fn assert_not_less(text: &str) -> Result<(), TestCaseError> {
    let (Some((nodes, depth)), Ok(shape)) = (parsed(text), scan(text)) else { return Ok(()) };
    prop_assert!(shape.nodes.max(1) >= nodes, "{text:?}: {nodes} nodes, {shape:?}");
    prop_assert!(2 * shape.depth >= depth, "{text:?}: {depth} deep, {shape:?}");
    Ok(())
}

#[test]
fn what_files_hold_is_counted_as_it_is() {
    for (text, nodes, depth) in [
        ("", 0, 0),
        ("a", 1, 0),
        ("a: 1\nb: 2\n", 5, 1),
        ("a:\n  b: {c: [d, e], f: g}\n  h:\n  - i\n  - j\n", 15, 4),
        ("a:\nb:\n", 5, 1),
        ("{a, b, c: }", 7, 1),
        ("- a: 1\n  b: 2\n- - c\n  - d\n-\n", 10, 2),
        ("a: \"[[[[ {{{{ - - ? :\"\nb: '[[{{ it''s'\nc: [[ # ]] [[\n]]\n", 8, 3),
        ("a: x[[[ {{{ - [ ]\n  [[[ {{\nb: >-\n  [[[[\n   {{{{\n\n  - - -\nc: |1\n [[[\nd: 1 # [[[[\n", 9, 1),
        ("\"a\": [*b, \"c\"]\n", 5, 2),
        ("a: {\"b\":1,'c':2}\n", 7, 2),
    ] {
        let shape = scan(text).unwrap();
        assert_eq!((shape.nodes, shape.depth), (nodes, depth), "{text:?}");
        assert_not_less(text).unwrap();
    }
}

/// What texts are made of that mean something to YAML, and something else in other places.
const PIECES: [&str; 46] = [
    "a",
    "b c",
    "- ",
    "-",
    "? ",
    "?",
    ": ",
    ":",
    ", ",
    ",",
    "[",
    "]",
    "{",
    "}",
    "\n",
    "\n  ",
    "\n    ",
    "\n - ",
    "\r\n",
    "\r",
    "\t",
    "  ",
    "\"",
    "'",
    "''",
    "\\",
    "\\\"",
    "#",
    " # ",
    "|",
    ">",
    "|2-",
    ">+\n",
    "|\n   ",
    "&a ",
    "*a",
    "!!str ",
    "!<x>",
    "%YAML 1.1\n",
    "\n---\n",
    "\n...",
    "1.10",
    "é",
    "\u{2028}",
    "\u{feff}",
    "0x1F",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_that_the_parser_takes_is_missed(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24)) {
        assert_not_less(&pieces.concat())?;
    }

    /// The text of a number is read on its own where it does not follow from the value.
    #[test]
    fn numbers_are_spelt_as_they_stand(number in "[-+]?(0x|0o|0b)?[0-9a-f.]{1,22}(e[-+]?[0-9]{1,3})?") {
        if let Ok(Node::List(items)) = node::parse(&format!("[{number}, x]")) {
            if let Node::Number { text, .. } = &items[0] {
                prop_assert_eq!(text, &number);
            }
        }
    }
}
