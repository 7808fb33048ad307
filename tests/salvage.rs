//! Random damage: a broken value costs itself only, and whatever bytes come in, what goes out is valid. The documents are
//! read by a strict parser that keeps repeated names.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/flatten_twin.rs"]
mod flatten_twin;

use expvastic::Config;
use expvastic::hot_path::HotPath;
use flatten_twin::strict_json::{self, Json};
use flatten_twin::{GcPauses, Options};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A reader with these further keys.
fn reader(options: &str) -> HotPath {
    let config = format!(
        "readers: {{app: {{type_name: app, endpoint: \"localhost:1\", {options}}}}}\n\
         recorders: {{out: {{type: file, path: \"-\"}}}}\nroutes: {{r: {{readers: [app], recorders: [out]}}}}\n"
    );
    let config = Config::parse("test", &config, &|_| None).expect("a good configuration");
    HotPath::of_config(&config).expect("a reader")
}

type Members = Vec<(String, Json)>;

/// What the twin makes of strict JSON.
fn expected_members(payload: &str) -> Members {
    let options = Options { gc_pauses: GcPauses::All, ..Options::default() };
    flatten_twin::document(&options, payload).unwrap_or_default()
}

fn members(document: &[u8]) -> Members {
    match Json::parse(std::str::from_utf8(document).expect("UTF-8")) {
        Ok(Json::Object(members)) => members,
        _ => panic!("a document is a JSON object"),
    }
}

/// The members of a document behind its own, checked for what holds of every document.
fn variables(document: &[u8]) -> Members {
    assert!(!document.contains(&b'\n') && !document.contains(&b'\r'), "one line");
    let mut found = members(document);
    let own: Vec<_> = found.drain(..3).map(|(name, _)| name).collect();
    assert_eq!(own, ["@timestamp", "service.name", "host.name"]);
    let names: BTreeSet<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), found.len(), "no name is there twice");
    for name in &names {
        assert!(name.split('.').all(|segment| !segment.trim().is_empty()), "a blank segment in {name:?}");
        assert!(name.split('.').count() <= 20, "too deep: {name:?}");
        for (dot, _) in name.match_indices('.') {
            assert!(!names.contains(&name[..dot]), "both value and object: {name:?}");
        }
    }
    found
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

fn same_texts(members: Members) -> Members {
    members.into_iter().map(|(name, value)| (name, strict_json::same_text(&value))).collect()
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
        match reader("gc_pauses: all").flatten(&mut replaced(broken).into_bytes()) {
            Ok(document) => prop_assert_eq!(same_texts(variables(document)), same_texts(expected)),
            Err(error) => prop_assert!(expected.is_empty(), "{}", error),
        }
    }

    #[test]
    fn whatever_bytes_come_in_what_goes_out_is_valid(payload in payload(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
        let mut body = payload.into_bytes();
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let mut reader = reader("");
        for _ in 0..2 {
            if let Ok(document) = reader.flatten(&mut body.clone()) {
                variables(document);
            }
        }
    }
}
