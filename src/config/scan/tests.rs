use super::super::node::{self, Node, YamlSizes};
use super::*;
use proptest::prelude::*;

/// The scan sees at least what the parser makes of it.
fn assert_not_less(text: &str) -> Result<(), TestCaseError> {
    let Some(sizes) = YamlSizes::of(text) else { return Ok(()) };
    prop_assert!(sizes.counted_nodes >= sizes.nodes, "{text:?}: {sizes:?}");
    prop_assert!(2 * sizes.counted_depth >= sizes.depth, "{text:?}: {sizes:?}");
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

/// Brackets that are not brackets to YAML do not count, however many there are.
#[test]
fn no_sensible_file_is_refused() {
    let brackets = "[{".repeat(100);
    for text in [
        format!("a: \"{brackets}\"\nb: '{brackets}'\nc: x{brackets}\n# {brackets}\nd: e # {brackets}\n"),
        format!(
            "a: |\n  {brackets}\n\n  - - - {brackets}\nb: >2-\n   {brackets}\n\n  {brackets}\nc:\n  d: x\n   {brackets}\n   y\n"
        ),
        "a:\n- b:\n  - c:\n    - {d: [e, f]}\n".repeat(1_000),
        format!("a: {}{}\n", "[".repeat(CONFIG_DEPTH_MAX - 1), "]".repeat(CONFIG_DEPTH_MAX - 1)),
        format!("{}a: b\n", "\n".repeat(100_000)),
        format!("a: x{} y z\n{}b: \"x{}y z\"\n", " ".repeat(1_000), "\n".repeat(1_000), "\n".repeat(1_000)),
        format!("- |\n  a\n{}  b\n{}", "\n".repeat(1_000), "  c\n".repeat(1_000)),
        "a: {b: c}\n".repeat(CONFIG_NODES_MAX / 5),
    ] {
        assert!(scan(&text).is_ok(), "{:?}: {:.200}", scan(&text), text);
    }
}

#[test]
fn what_costs_too_much_is_refused_where_it_becomes_too_much() {
    let line = |text: String, message: &str, line, column| {
        let problem = scan(&text).unwrap_err();
        assert!(problem.message.contains(message), "{problem:?}");
        assert_eq!(problem.location, Some(Location { line, column }), "{problem:?}");
    };
    let many = CONFIG_DEPTH_MAX + 1;
    line(format!("a: {}", "[".repeat(200_000)), " levels deep", 1, 3 + many - 1);
    line(format!("a: {}", "{a: [".repeat(200_000)), " levels deep", 1, 4 + 5 * (many - 1) / 2 - 1);
    line("é: [\n".to_owned() + &"{a: \n".repeat(200_000), " levels deep", many - 1, 1);
    line("- ".repeat(200_000), " levels deep", 1, 2 * many - 1);
    line("? ".repeat(200_000), " levels deep", 1, 2 * many - 1);
    line((0..100).map(|n| " ".repeat(n) + "a:\n").collect(), " levels deep", many, many + 1);
    line("k: 1\n".repeat(80_000), "100000 keys and values", 50_000, 4);
    line("[a,\n".to_owned() + &"b,\n".repeat(100_000), "100000 keys and values", 100_000, 1);
    line("%TAG !a! b\n".repeat(17) + "--- a\n", "lines that begin with %", 17, 1);
    let (wide, words) = (" ".repeat(100_000), "a ".repeat(1_000));
    line(format!("x: a{wide}{words}"), " spaces or newlines in a row", 1, 4);
    line(format!("x: \n  \"a{wide}{words}\""), " spaces or newlines in a row", 2, 3);
    line(
        format!("x: |\n a{}{}", wide.replace(' ', "\n"), " a\n\n".repeat(1_000)),
        " spaces or newlines in a row",
        1,
        4,
    );
}

/// Property tests seldom put the right two pieces into the right brackets.
#[test]
fn whatever_two_pieces_stand_in_brackets_none_is_missed() {
    for (open, close) in [("{", "}"), ("[", "]"), ("[{", "}]"), ("k: {a, ", "}"), ("- ", "\n"), ("? ", "\n")] {
        for (one, other) in PIECES.iter().flat_map(|one| PIECES.iter().map(move |other| (one, other))) {
            assert_not_less(&format!("{open}{one}{other}{close}")).unwrap();
        }
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
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn nothing_that_the_parser_takes_is_missed(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24)) {
        assert_not_less(&pieces.concat())?;
    }

    /// The text of a number is read on its own where it does not follow from the value.
    #[test]
    fn numbers_are_spelt_as_they_stand(number in "[-+]?(0x|0o|0b)?[0-9a-f.]{1,22}(e[-+]?[0-9]{1,3})?") {
        let Ok(Node::List(items)) = node::parse(&format!("[{number}, x]")) else { return Ok(()) };
        let Node::Number { text, .. } = &items[0] else { return Ok(()) };
        prop_assert_eq!(text, &number);
    }
}
