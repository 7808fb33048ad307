use super::*;
use proptest::prelude::*;
use serde_json::Value;

/// What was heard, in words.
#[derive(Default)]
struct Heard(Vec<String>);

impl Listener for Heard {
    fn hear(&mut self, path: &[Step], event: Event<'_>) {
        let text = |excerpt: Excerpt<'_>| String::from_utf8_lossy(excerpt.bytes).into_owned();
        let event = match event {
            Event::Text(excerpt) => format!("{:?}", text(excerpt)),
            Event::Number(excerpt) => text(excerpt),
            other => format!("{other:?}"),
        };
        self.0.push(format!("{path:?} {event}"));
    }
}

/// Reads a text in pieces; what was heard, if it is an object.
fn read<'t>(pieces: impl IntoIterator<Item = &'t [u8]>) -> Option<Vec<String>> {
    let (mut scanner, mut heard) = (Scanner::new(), Heard::default());
    for piece in pieces {
        scanner.read(piece, &mut heard);
        assert!(scanner.text.len() <= limits::EXCERPT_BYTES_MAX);
    }
    scanner.is_complete().then_some(heard.0)
}

#[test]
fn values_are_told_with_the_way_to_them() {
    let text = r#" { "took" : 30, "it\u0065ms":[{"create":{"status":201,"x":[1,{"y":-0.5e+3}]}},[]],"error":null,"reason":"" } "#;
    let expected = [
        "[] Object",
        "[Other] 30",
        "[Items] Array",
        "[Items, Element] Object",
        "[Items, Element, Other] Object",
        "[Items, Element, Other, Status] 201",
        "[Items, Element, Other, Other] Array",
        "[Items, Element, Other, Other, Element] 1",
        "[Items, Element, Other, Other, Element] Object",
        "[Items, Element, Other, Other, Element, Other] -0.5e+3",
        "[Items, Element, Other, Other, Element] End",
        "[Items, Element, Other, Other] End",
        "[Items, Element, Other] End",
        "[Items, Element] End",
        "[Items, Element] Array",
        "[Items, Element] End",
        "[Items] End",
        "[Error] Literal",
        "[Reason] \"\"",
        "[] End",
    ];
    assert_eq!(read([text.as_bytes()]).unwrap(), expected);
    assert_eq!(read(text.as_bytes().chunks(1)).unwrap(), expected);
}

#[test]
fn texts_are_unescaped() {
    for (text, expected) in [
        (r"a\n\t\r\b\f\/\\\x22", None),
        (r#"a\n\t\r\b\f\/\\\""#, Some("a\n\t\r\u{8}\u{c}/\\\"")),
        (r"\u00e4\u20AC\ud83d\ude00ä€😀", Some("ä€😀ä€😀")),
        (r"\ud83d", Some("\u{fffd}")),
        (r"\ud83dx\ude00\ud83d\ud83d\ude00\ud83d\n", Some("\u{fffd}x\u{fffd}\u{fffd}😀\u{fffd}\n")),
        (r"\u12g4", None),
        (r"\u123", None),
    ] {
        let body = format!("{{\"type\":\"{text}\"}}");
        let heard = expected.map(|expected| format!("[Type] {expected:?}"));
        for length in [1, 2, 3, 100] {
            let found = read(body.as_bytes().chunks(length)).map(|heard| heard[1].clone());
            assert_eq!(found, heard, "{text} in pieces of {length}");
        }
    }
}

#[test]
fn a_long_text_is_kept_up_to_a_bound_and_checked_to_its_end() {
    let long = "ä".repeat(1 << 20);
    let body = format!("{{\"reason\":\"{long}\",\"{long}\":1,\"type\":\"t\"}}");
    let heard = read(body.as_bytes().chunks(10_000)).unwrap();
    assert!(heard[1].len() < limits::EXCERPT_BYTES_MAX + 100);
    assert_eq!(heard[2..4], ["[Other] 1", "[Type] \"t\""]);
    let broken = format!("{{\"reason\":\"{long}\n\"}}");
    assert_eq!(read(broken.as_bytes().chunks(10_000)), None);
}

#[test]
fn what_is_too_deep_is_refused() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(read([nested(limits::ANSWER_DEPTH_MAX - 1).as_bytes()]).is_some());
    assert_eq!(read([nested(limits::ANSWER_DEPTH_MAX).as_bytes()]), None);
    let deep = format!("{{\"a\":{}", "[".repeat(1 << 20));
    assert_eq!(read([deep.as_bytes()]), None);
}

#[test]
fn bytes_that_are_no_characters_are_refused() {
    let body = |bytes: &[u8]| [b"{\"a\":\"", bytes, b"\"}"].concat();
    let good = |bytes: &[u8]| read([body(bytes).as_slice()]).is_some();
    for first in 0x80..=0xff_u8 {
        for second in [0x20, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff] {
            for rest in [&[][..], &[0x80], &[0x80, 0x80], &[0xbf, 0xbf, 0x80]] {
                let bytes = [&[first, second], rest].concat();
                assert_eq!(good(&bytes), std::str::from_utf8(&bytes).is_ok(), "{bytes:x?}");
            }
        }
    }
}

/// Scraps of JSON, which are JSON in some orders.
fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop_oneof![
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just(",".to_owned()),
        Just(":".to_owned()),
        Just("\"a\"".to_owned()),
        Just("\"a\":".to_owned()),
        Just("{}".to_owned()),
        Just(" ".to_owned()),
        Just("tru".to_owned()),
        Just("null".to_owned()),
        "-?[0-9]{1,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?",
        "\"[a\\\\\"nu/\u{1}]{0,3}\"",
    ];
    prop::collection::vec(scrap, 0..8).prop_map(|scraps| scraps.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]
    #[test]
    fn what_is_json_is_what_a_parser_of_the_whole_says(inside in scraps(), length in 1_usize..5) {
        for text in [format!("{{\"a\":{inside}}}"), format!("{{{inside}"), format!("{{\"a\":[{inside}]}}")] {
            let is_object = serde_json::from_str::<Value>(&text).is_ok_and(|value| value.is_object());
            let whole = read([text.as_bytes()]);
            prop_assert_eq!(whole.is_some(), is_object, "{}", text);
            prop_assert_eq!(read(text.as_bytes().chunks(length)), whole, "{}", text);
        }
    }
}
