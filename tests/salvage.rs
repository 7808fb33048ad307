//! Randomly damaged payloads: a broken value costs only itself, and every document is valid, whatever the payload is. The
//! documents are checked by a strict parser that keeps repeated names.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/sanitised.rs"]
mod sanitised;

use expvastic::hot_path::HotPath;
use proptest::prelude::*;
use sanitised::flatten_twin::{self, GcPauses, Options};
use sanitised::{Variables, assert_same, variables};

fn reader(gc_pauses: GcPauses) -> HotPath {
    let options = Options { gc_pauses, ..Options::default() };
    HotPath::of_config(&sanitised::config(&options)).expect("a reader")
}

/// What the twin makes of strict JSON.
fn expected_members(payload: &str) -> Variables {
    let options = Options { gc_pauses: GcPauses::All, ..Options::default() };
    flatten_twin::document(&options, payload).unwrap_or_default()
}

/// A key as it stands in a payload: few of them, so that they clash, and each odd in its way.
fn key() -> impl Strategy<Value = String> {
    let odd = [
        "a",
        "b",
        "c",
        "a.b",
        "a#2",
        "_value",
        "a._value",
        "b.",
        ".c",
        "a..b",
        ".",
        "",
        " ",
        "\\u0061",
        "\\ud83d\\ude00",
        "é",
        "_id",
        "_source",
        "@timestamp",
        "service",
        "service.name",
        "host",
        "host.name.x",
        "expvastic.restarted",
        "q\\\"",
        "cmdline",
        "memstats",
        "BySize",
        "\\u0000",
        "x/y z",
    ];
    let long = (500_usize..530).prop_map(|bytes| "k".repeat(bytes));
    prop_oneof![30 => prop::sample::select(odd.map(str::to_owned).to_vec()), 1 => long]
}

fn scalar() -> impl Strategy<Value = String> {
    let odd = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-0.0",
        "1e21",
        "5e-324",
        "1e400",
        "-1e999",
        "18446744073709551615",
        "-9223372036854775808",
        "123456789012345678901234567890",
        "0.1000",
        "\\\"\\\"",
        "\\\"\\\\u2028\\\\n\\\"",
        "\\\"é\u{7f}\\\"",
    ];
    let odd = odd.map(|text| text.replace("\\\"", "\"").replace("\\\\", "\\")).to_vec();
    prop_oneof![
        prop::sample::select(odd),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<u64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_filter("JSON has no other", |value| value.is_finite()).prop_map(|value| format!("{value:?}")),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let blank = prop::sample::select(vec!["", " ", "\n", "\t "]);
    scalar().prop_recursive(5, 60, 6, move |inner| {
        let members = prop::collection::vec((key(), inner.clone(), blank.clone()), 0..6);
        let elements = prop::collection::vec((inner, blank.clone()), 0..6);
        prop_oneof![
            3 => members.prop_map(|members| object(&members)),
            2 => elements.prop_map(|elements| {
                let elements: Vec<_> = elements.iter().map(|(value, blank)| format!("{blank}{value}{blank}")).collect();
                format!("[{}]", elements.join(","))
            }),
        ]
    })
}

fn object(members: &[(String, String, &str)]) -> String {
    let members: Vec<_> =
        members.iter().map(|(key, value, blank)| format!("{blank}\"{key}\"{blank}:{value}{blank}")).collect();
    format!("{{{}}}", members.join(","))
}

fn payload() -> impl Strategy<Value = String> {
    prop::collection::vec((key(), value(), Just("")), 1..8).prop_map(|members| object(&members))
}

/// Text that is no JSON, from its first word on, and holds no beginning of a variable.
fn text() -> impl Strategy<Value = String> {
    let parts = [
        "{", "}", "[", "]", "\"", ",", ":", " ", "x", "1", "\\", "\n", "é", "NaN", "null", "\t", "\"a\": 1", "},",
        "\u{1}", "1,234", "\r\n", "{\"",
    ];
    let parts = prop::collection::vec(prop::sample::select(parts.to_vec()), 0..9);
    let text = parts.prop_map(|parts| format!("x{}", parts.concat()));
    text.prop_filter("another variable", |text| {
        let text = text.replace("\r\n", "\n");
        !text.contains(",\n\"") && !text.contains("\n}\n{\n\"")
    })
}

/// Whether the text holds a comma and a member behind it that another way of writing JSON has there, too: with the comma at
/// the beginning of a line, or with several members on one line.
fn may_hold_member(text: &str, shares_line: bool) -> bool {
    text.match_indices(',').any(|(at, _)| {
        let begins_line = text[..at].trim_end_matches([' ', '\t']).ends_with('\n');
        (shares_line || begins_line) && text[at + 1..].trim_ascii_start().starts_with("\"a\": ")
    })
}

/// As Go's handler writes it.
fn by_lines(members: &[(String, String)]) -> String {
    let lines: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn a_broken_value_costs_itself_only(members in prop::collection::vec((key(), value(), Just("")), 1..6), at in any::<prop::sample::Index>(),
        broken in prop::sample::select(vec!["", "NaN", "+Inf", "-Inf", "152.295657ms", "\"\\xe9\"", "01", "1.", "tru", "\"\\ud8\"", "1 2", "x y"])) {
        let at = at.index(members.len());
        let replaced = |text: &str| {
            let mut members = members.clone();
            members[at].1 = text.to_owned();
            object(&members)
        };
        // A broken value holds its name, as null does.
        let expected = expected_members(&replaced("null"));
        match reader(GcPauses::All).flatten(&mut replaced(broken).into_bytes()) {
            Ok(document) => assert_same(Some(&variables(document)), Some(&expected), &replaced(broken)),
            Err(error) => prop_assert!(expected.is_empty(), "{}", error),
        }
    }

    #[test]
    fn a_variable_with_a_line_to_itself_may_hold_anything(
        members in prop::collection::vec((key(), prop_oneof![2 => value().prop_map(|value| (value, true)), 1 => text().prop_map(|text| (text, false))]), 1..7),
    ) {
        let is_alone = members.len() == 1;
        let may_hold = |(_, (text, is_sound)): &(String, (String, bool))| !is_sound && may_hold_member(text, is_alone);
        prop_assume!(!members.iter().any(may_hold));
        let with = |lost: Option<&str>| -> Vec<(String, String)> {
            let value = |(value, is_sound): &(String, bool)| if *is_sound { value.clone() } else { lost.unwrap_or(value).to_owned() };
            members.iter().map(|(key, one)| (key.clone(), value(one))).collect()
        };
        let (body, expected) = (by_lines(&with(None)), expected_members(&by_lines(&with(Some("null")))));
        let mut reader = reader(GcPauses::All);
        for _ in 0..2 {
            match reader.flatten(&mut body.clone().into_bytes()) {
                Ok(document) => assert_same(Some(&variables(document)), Some(&expected), &body),
                Err(error) => prop_assert!(expected.is_empty(), "{}: {}", error, body),
            }
        }
    }

    #[test]
    fn whatever_bytes_come_in_what_goes_out_is_valid(payload in payload(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
        let mut body = payload.into_bytes();
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let mut reader = reader(GcPauses::New);
        for _ in 0..2 {
            if let Ok(document) = reader.flatten(&mut body.clone()) {
                variables(document);
            }
        }
    }
}
