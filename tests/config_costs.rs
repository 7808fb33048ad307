//! The time for loading a configuration is proportional to its length, whatever it contains: eight times the text takes about
//! eight times as long, not sixty-four times. This matters because SIGHUP loads it on the only thread, between polls.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use expvastic::Config;
use loopback::{counting_app, wait_until};
use program::Program;
use rustix::time::{ClockId, clock_gettime};
use std::fmt::Write;
use std::time::Duration;

/// Texts of one kind, by how many bytes one is to have.
type Kind<'k> = &'k dyn Fn(usize) -> String;

/// `start`, then `unit` as often as there is room, with `#` replaced by a number, then `end`.
fn filled(start: &str, unit: &str, end: &str, bytes: usize) -> String {
    let mut text = start.to_owned();
    for number in 0.. {
        let next = unit.replace('#', &number.to_string());
        if text.len() + next.len() + end.len() > bytes {
            break;
        }
        text.push_str(&next);
    }
    text + end
}

fn load(text: &str) -> Result<Config, String> {
    let variable = |name: &str| (name == "X").then(|| "x".repeat(20_000));
    Config::parse("tests/config/conf.yml", text, &variable).map_err(|error| error.to_string())
}

/// What the processor spends on it: what else runs on the machine does not matter.
fn time(text: &str) -> Duration {
    let spent = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below a second"))
    };
    let begin = spent();
    let _ = load(text);
    spent().saturating_sub(begin)
}

/// A text of eight times the size takes about eight times as long to load, or is refused sooner.
fn assert_linear(name: &str, kind: Kind<'_>) {
    let (small, large) = (kind(12 << 10), kind(96 << 10));
    assert!(large.len() > 90 << 10 && large.len() <= 96 << 10, "{name}: {} bytes", large.len());
    let (mut few, mut many) = (Duration::MAX, Duration::MAX);
    for _ in 0..50 {
        // The least of some tries, in turn. What takes no time at all says nothing of how it grows.
        (few, many) = (few.min(time(&small)), many.min(time(&large)));
        if many < few * 24 || many < Duration::from_millis(5) {
            return;
        }
    }
    panic!("{name:?}: 12 kB take {few:?}, 96 kB {many:?}");
}

const RECORDER: &str = "recorders: {es: {endpoint: \"localhost:2\"}}\n";

#[test]
fn brackets_and_blocks_within_one_another() {
    for unit in ["[", "{", "[\n", "{a: ", "- ", "? ", "[? ", ": ", "[{a: [b]}, ", "- [a: "] {
        assert_linear(unit, &|bytes| filled("x: ", unit, "", bytes));
        assert_linear(unit, &|bytes| filled("", unit, "", bytes));
    }
    let steps = |bytes: usize| {
        let mut text = String::new();
        while text.len() + 2_000 < bytes {
            let depth = text.lines().count();
            let _ = writeln!(text, "{}a:", " ".repeat(depth));
        }
        text + &"#".repeat(1_000)
    };
    assert_linear("blocks", &steps);
    // As deep as it may be.
    let start = "[".repeat(30);
    for (unit, end) in [("a,", ""), ("[a, b]: c, ", ""), ("[[a]:b]:c,", ""), ("a, ", "]]]")] {
        assert_linear(unit, &|bytes| filled(&format!("x: {start}"), unit, end, bytes));
    }
}

#[test]
fn one_token_over_and_over() {
    for unit in [
        "a",
        "a ",
        "a\n",
        "#",
        "#\n",
        "\"",
        "\"\" ",
        "'",
        "''",
        "!",
        "!! ",
        "!!str ",
        "|",
        "|\n",
        ">\n",
        "&",
        "&a ",
        "*a ",
        "%",
        "%\n",
        "%YAML 1.1\n",
        "%TAG !# x\n",
        "%TAG !a#! x\n",
        "---\n",
        "...\n",
        "--- a\n",
        "\t",
        "\u{feff}",
        "\u{feff}\n",
        "\r\n",
        "\r",
        "\u{85}",
        "\u{2028}",
        "\\",
        "@",
        ",",
        "\0",
        "é",
        "1",
    ] {
        assert_linear(unit, &|bytes| filled("", unit, "", bytes));
        assert_linear(unit, &|bytes| filled("x: ", unit, "", bytes));
        assert_linear(unit, &|bytes| filled("\"", unit, "\"", bytes));
        assert_linear(unit, &|bytes| filled("x: |\n ", &unit.replace('\n', "\n "), "", bytes));
    }
}

#[test]
fn gaps_between_words() {
    for (start, gap, word) in [("x: a", " ", "a "), ("x: \"a", " ", "a "), ("x: 'a", "\t", "a ")] {
        assert_linear(word, &|bytes| filled(&format!("{start}{}", gap.repeat(bytes / 2)), word, "", bytes));
    }
    for (start, lines) in
        [("x: a", " a\n\n"), ("x: \"a", "a\n\n"), ("x: |\n a\n", " a\n\n"), ("x: >\n a\n", " a\n\n b\n")]
    {
        for gap in ["\n", "\r\n", "\n \n", "\u{2028}"] {
            let head = |bytes: usize| format!("{start}{}\n", gap.repeat(bytes / 2 / gap.len()));
            assert_linear(start, &|bytes| filled(&head(bytes), lines, "", bytes));
        }
    }
}

#[test]
fn keys_and_problems() {
    for (start, unit) in [
        ("settings:\n", "  k#: 1\n"),
        ("settings:\n", "  log_level: x\n"),
        ("", "k#: 1\n"),
        ("", "#:\n"),
        ("", "k#: |\n a\n"),
        ("", "k#:\t'1'\r\n"),
        ("", "? k#\n"),
        ("readers:\n", "  r#: {x: y}\n"),
        ("readers:\n", "  r#: []\n"),
        ("readers:\n", "  r#: {interval: x, endpoint: [], labels: a}\n"),
        ("readers:\n", "  r: {type: self, type_name: a}\n"),
        ("readers:\n  a:\n", "    type_name: x\n"),
        ("readers:\n  a:\n    labels:\n", "      x#: y\n"),
        ("readers:\n  a:\n    headers:\n", "      x#: y\n"),
        ("readers:\n  a:\n    rename:\n", "      x#: y\n"),
        ("readers:\n  a:\n    include:\n", "    - [x]\n"),
        ("readers:\n  a:\n    include:\n", "    - \"${X}\"\n"),
        ("readers:\n  a:\n    include:\n", "    - \"${Y#}\"\n"),
        ("readers:\n", "  r:#: {type_name: a, endpoint: \"l:1-256/\"}\n"),
        ("recorders:\n", "  e#: {type: file, path: \"a/../x\"}\n"),
        ("recorders:\n", "  e#: {endpoint: [\"h:1\", \"h:1\", []]}\n"),
        ("readers:\n", "  abcdefghijklmnopqrstuvwxyz#: {type: self, type_name: a}\n"),
    ] {
        assert_linear(unit, &|bytes| filled(start, unit, "", bytes));
        assert_linear(unit, &|bytes| filled(&format!("{RECORDER}{start}"), unit, "routes: {}\n", bytes));
    }
    for long in [100, 1_000, 10_000, 30_000] {
        let key = "k".repeat(long);
        assert_linear("long keys", &|bytes| filled(&format!("? {key}\n: ["), "[],", "]", bytes));
        assert_linear("long keys", &|bytes| {
            filled(&format!("{RECORDER}readers:\n  ? {key}\n  : {{labels: {{"), "x#: [],", "}}", bytes)
        });
    }
}

#[test]
fn anchors_and_aliases() {
    for (start, unit, end) in [
        ("", "k#: &a# 1\n", ""),
        ("", "- &a x\n", ""),
        ("a: &a x\nb: [", "*a, ", "]\n"),
        ("a: &a xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\nb:\n", "  *a : 1\n", ""),
        ("m: &m {a: 1}\n", "m#: {<<: *m}\n", ""),
    ] {
        assert_linear(unit, &|bytes| filled(start, unit, end, bytes));
    }
    let half = |start: &str, unit: &str, bytes: usize| filled(start, unit, "", bytes / 2);
    assert_linear("lists", &|bytes| filled(&(half("a: &a [", "x,", bytes) + "]\nb: ["), "*a,", "]", bytes));
    assert_linear("texts", &|bytes| filled(&(half("a: &a \"", "x", bytes) + "\"\nb: ["), "*a,", "]", bytes));
    assert_linear("variables", &|bytes| filled(&(half("a: &a \"", "${X}", bytes) + "\"\nb: ["), "*a,", "]", bytes));
    let renames = |bytes| half("readers:\n  r: {type: self, type_name: a, rename: &r {", "a#: b#,", bytes) + "}}\n";
    let reader = "  r#: {type: self, type_name: a, rename: *r}\n";
    assert_linear("renames", &|bytes| filled(&renames(bytes), reader, "", bytes));
}

#[test]
fn good_files() {
    // Each reader to each recorder.
    let recorders = |bytes: usize| filled("recorders:\n", "  e#: {type: file, path: p#}\n", "", bytes * 3 / 4);
    let names = |bytes: usize| (0..recorders(bytes).lines().count() - 1).map(|number| format!("e{number},"));
    let routed = |bytes: usize| {
        let readers = filled("readers:\n", "  r#: {type: self, type_name: a}\n", "", 400);
        let joined: String = names(bytes).collect();
        let route = format!("routes: {{r: {{readers: [r0, r1, r2, r3, r4], recorders: [{joined}]}}}}\n");
        let text = readers + &recorders(bytes) + &route;
        text.clone() + &"#".repeat(bytes - text.len())
    };
    assert!(load(&routed(96 << 10)).is_ok());
    assert_linear("routes", &routed);
    let mapped = "  r#: {type: self, type_name: a, map_file: maps/maps.yml}\n";
    let rest = format!("{RECORDER}routes: {{r: {{readers: [r0], recorders: [es]}}}}\n");
    assert_linear("map files", &|bytes| filled("readers:\n", mapped, &rest, bytes));
    assert!(load(&filled("readers:\n", mapped, &rest, 96 << 10)).is_ok());
}

/// While the file is looked at, polls are late by it, and no more.
#[test]
fn a_monstrous_file_at_sighup_holds_nobody_up() {
    let app = counting_app();
    let config = format!(
        "readers: {{app: {{type_name: app, endpoint: \"{}\", interval: 10ms}}}}\n\
         recorders: {{out: {{type: file, path: out.ndjson}}}}\nroutes: {{r: {{readers: [app], recorders: [out]}}}}\n",
        app.address
    );
    let mut program = Program::start(&[], &config);
    wait_until("it polls", || app.request_count() > 2);
    for (number, (start, unit)) in
        [("x: ", "["), ("settings:\n", "  k#: 1\n"), ("", "k#: &a# 1\n"), ("", "%TAG !a#! x\n"), ("x: ", "{a: \n")]
            .into_iter()
            .enumerate()
    {
        std::fs::write(program.path("conf.yml"), filled(start, unit, "", 1 << 20)).expect("written");
        program.signal("HUP");
        let refused = || program.read("stderr").matches("invalid configuration").count();
        wait_until("it is refused", || refused() > number);
        let before = app.request_count();
        wait_until("it goes on", || app.request_count() > before + 2);
    }
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
}
