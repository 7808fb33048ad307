//! Random payloads, and options of a reader that are likely to matter to them.

use super::sanitised::flatten_twin::{GcPauses, Options};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::time::Duration;

/// Characters that [`quoted`] writes as one half of a surrogate pair, which no Rust string can contain.
const HIGH_ALONE: char = '\u{f8ff}';
const LOW_ALONE: char = '\u{f8fe}';

/// A JSON string. The bits of `styles` choose how each character is escaped, if it can be written in several ways.
fn quoted(text: &str, styles: u64) -> String {
    let mut json = String::from("\"");
    for (at, char) in text.chars().enumerate() {
        let style = styles.rotate_right(u32::try_from(at % 64).expect("small")) & 3;
        let mut units = [0; 2];
        match char {
            HIGH_ALONE => json.push_str("\\ud83d"),
            LOW_ALONE => json.push_str("\\uDE00"),
            '"' | '\\' | '/' if style < 2 => json.extend(['\\', char]),
            '\n' if style < 2 => json.push_str("\\n"),
            '\t' if style < 2 => json.push_str("\\t"),
            char if char >= ' ' && char != '"' && char != '\\' && style != 3 => json.push(char),
            char => json.extend(char.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04X}"))),
        }
    }
    json + "\""
}

/// The text as a JSON string. One in four has random escapes.
fn strings(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (text, prop_oneof![3 => Just(0), 1 => any::<u64>()]).prop_map(|(text, styles)| quoted(&text, styles))
}

fn names() -> impl Strategy<Value = String> {
    // Only a few, so that names clash often.
    let clashing = vec!["a", "b", "a.b", "a#2", "a#3", "_value", "a._value", "a_b", "a.b.c"];
    #[rustfmt::skip]
    let odd = vec![
        "", " ", ".", "..", ".x", "x.", "a..b", "\t\n", "\u{3000}", "\u{85}", "\u{1f}.\u{1}", "_", "_._", "_id", "_source", "_id.x",
        "vars", "vars._id",
        "@timestamp", "@timestamp.x", "service", "service.name", "service.name.x", "service.name#2", "host", "host.name",
        "expvastic", "expvastic.restarted", "name", "restarted", "cmdline", "é", "日本", "😀", "\"", "\\", "/", "\u{fffd}",
        "a\u{f8ff}", "\u{f8ff}\u{f8fe}", "\u{f8fe}\u{f8ff}", "#2", "\0", "\u{7f}", "\u{2028}", "*", "**",
    ];
    let owned = |name: &str| name.to_owned();
    prop_oneof![
        8 => select(clashing).prop_map(owned),
        4 => select(odd).prop_map(owned),
        1 => vec(any::<char>(), 0..6).prop_map(String::from_iter),
        1 => (select(vec!["x", "é", "日", "a.", ".", "\u{f8ff}"]), 1..600_usize).prop_map(|(part, times)| part.repeat(times)),
    ]
}

fn numbers() -> impl Strategy<Value = String> {
    let odd = [
        "-0",
        "-0.0",
        "0e0",
        "1E+2",
        "1e-400",
        "1e400",
        "-1E400",
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "18446744073709551616",
        "-9223372036854775809",
        "123456789012345678901234567890.5",
        "5e-324",
        "0.1e+1",
    ];
    let lengths = prop_oneof![Just(308_usize), Just(309), Just(400), Just(998), Just(999), Just(1001)];
    prop_oneof![
        (-9..99_i32).prop_map(|number| number.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        select(odd.to_vec()).prop_map(str::to_owned),
        (any::<i32>(), any::<u32>(), -420..420_i32).prop_map(|(whole, part, power)| format!("{whole}.{part}e{power}")),
        (select(vec!["", "0.", "-"]), lengths).prop_map(|(start, length)| start.to_owned() + &"9".repeat(length)),
    ]
}

/// Texts that may become numbers. None is longer than the twin's arithmetic allows.
fn quantities() -> impl Strategy<Value = String> {
    #[rustfmt::skip]
    let odd = vec![
        "1.5µs", "1.5\u{3bc}s", "72h3m0.5s", "-3m", "+5s", "0", "-0", "-0s", "5.s", ".5h", "1 s", "1d", "s", "-", "", "007", "-00.50", "1.",
        "1e3", "1E+05", "1e999", "0x10", "1,234", "NaN", " 1", "512MiB", "1.5 GB", "10kB", "1KB", "128Mi", "1 ", "1mb", "0.1B", "-5MB",
        "18446744073709551615",
    ];
    let units = vec!["", "ns", "us", "ms", "s", "m", "h", "B", " kB", "MB", "KiB", "MiB", " GB", "Ti"];
    prop_oneof![
        1 => select(odd).prop_map(str::to_owned),
        1 => (any::<u32>(), select(units.clone())).prop_map(|(number, unit)| format!("{number}{unit}")),
        1 => (any::<u16>(), 0..1000_u16, select(units)).prop_map(|(whole, part, unit)| format!("-{whole}.{part:03}{unit}")),
    ]
}

fn scalars() -> impl Strategy<Value = String> {
    let plain = select(vec!["null", "true", "false"]).prop_map(str::to_owned);
    prop_oneof![1 => plain, 4 => numbers(), 2 => strings(names()), 1 => strings(quantities())]
}

fn blanks() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t ")]
}

pub(crate) fn object(value: impl Strategy<Value = String>, most: usize) -> impl Strategy<Value = String> {
    let member =
        (blanks(), strings(names()), value).prop_map(|(blank, name, value)| format!("{blank}{name}{blank}:{value}"));
    (vec(member, 0..most), blanks()).prop_map(|(members, blank)| format!("{{{}{blank}}}", members.join(",")))
}

fn array(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let element = (blanks(), value).prop_map(|(blank, value)| format!("{blank}{value}{blank}"));
    (vec(element, 0..4), blanks()).prop_map(|(elements, blank)| format!("[{blank}{}]", elements.join(",")))
}

pub(crate) fn values() -> impl Strategy<Value = String> {
    scalars().prop_recursive(
        4,
        24,
        4,
        |inner| prop_oneof![3 => object(inner.clone(), 4), 2 => array(inner.clone()), 2 => array(object(inner, 3))],
    )
}

/// Deep nesting, but not so deep that the payload is refused.
fn chains() -> impl Strategy<Value = String> {
    let links =
        vec![(r#"{"a":"#, "}"), (r#"{"x.y":"#, "}"), (r#"{"":"#, "}"), ("[", "]"), (r#"{"_value":1,"a":"#, "}")];
    (vec(select(links), 1..50), scalars()).prop_map(|(links, scalar)| {
        links.into_iter().rev().fold(scalar, |inner, (open, close)| format!("{open}{inner}{close}"))
    })
}

/// The member `memstats` with rings of pauses, which may be invalid.
fn pauses() -> impl Strategy<Value = String> {
    let broken = || select(vec!["-1", "1.5", "null", "\"1\"", "[]"]).prop_map(str::to_owned);
    let count = move || prop_oneof![6 => any::<u64>().prop_map(|count| count.to_string()), 1 => broken()];
    let ring = || {
        let length = prop_oneof![6 => Just(256_usize), 1 => Just(255), 1 => Just(257), 1 => Just(0)];
        let odd = prop_oneof![6 => Just("1"), 1 => Just("[1]"), 1 => Just("\"x\""), 1 => Just("true")];
        (length, odd).prop_map(|(length, odd)| {
            let elements: Vec<String> =
                (0..length).map(|at| if at == 7 { odd.to_owned() } else { at.to_string() }).collect();
            format!("[{}]", elements.join(","))
        })
    };
    (ring(), ring(), count(), count(), values()).prop_map(|(pauses, ends, count, total, value)| {
        format!(
            r#""memstats":{{"PauseNs":{pauses},"a":{value},"PauseEnd":{ends},"NumGC":{count},"PauseTotalNs":{total}}}"#
        )
    })
}

pub(crate) fn payloads() -> impl Strategy<Value = String> {
    let member = (blanks(), strings(names()), prop_oneof![8 => values(), 1 => chains()])
        .prop_map(|(blank, name, value)| format!("{blank}{name}:{blank}{value}"));
    let extra = prop_oneof![5 => Just(None), 1 => pauses().prop_map(Some)];
    (vec(member, 0..8), extra, any::<prop::sample::Index>()).prop_map(|(mut members, extra, place)| {
        if let Some(extra) = extra {
            members.insert(place.index(members.len() + 1), extra);
        }
        format!("{{{}}}", members.join(","))
    })
}

/// Labels whose names also occur in payloads. The configuration accepts them together, as none is below another.
fn labels() -> impl Strategy<Value = Vec<String>> {
    let names = ["a", "b#2", "x._value", "service.x", "é", "c.d", "a_b"];
    prop::sample::subsequence(names.to_vec(), 1..4).prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

/// Renames whose new names clash with each other and with names in payloads.
fn some_renames() -> impl Strategy<Value = Vec<(String, String)>> {
    #[rustfmt::skip]
    let from = vec![
        "a", "a.b", "a.b.c", "a.", ".", "a..b", "b", "_value", "a._value", "a.b._value", "_id", "x.y", "service.name", "é", "😀", "a_b",
        "memstats", "memstats.PauseNs", "vars", " ",
    ];
    #[rustfmt::skip]
    let to = vec![
        "a", "b", "a.b", "a._value", "a#2", "z", "y.z", "é", "_idx", "a_b", "n.n.n.n.n.n.n.n.n.n.n.n.n.n.n.n.n.n.n", "a.b.c.d",
        "expvastic_x", "#2", "a b",
    ];
    let pick = |names: Vec<&'static str>| prop::sample::subsequence(names, 4).prop_shuffle();
    (pick(from), pick(to), 1..5_usize).prop_map(|(from, to, count)| {
        let pairs = from.into_iter().zip(to).take(count);
        pairs.map(|(from, to)| (from.to_owned(), to.to_owned())).collect()
    })
}

/// The renames that the configuration accepts together with these labels.
fn without_labels(rename: Vec<(String, String)>, labels: &[String]) -> Vec<(String, String)> {
    let is_below = |name: &str, other: &str| name.strip_prefix(other).is_some_and(|rest| rest.starts_with('.'));
    let meets = |name: &str, label: &String| name == label || is_below(name, label) || is_below(label, name);
    rename.into_iter().filter(|(_, to)| !labels.iter().any(|label| meets(to, label))).collect()
}

/// Values that rates may be made of: mostly small integers, which often rise, fall or stay between two payloads.
pub(crate) fn counters() -> impl Strategy<Value = String> {
    let counter = || prop_oneof![4 => (0..9_u8).prop_map(|number| number.to_string()), 1 => numbers(), 1 => scalars()];
    prop_oneof![4 => counter(), 1 => object(counter(), 3), 1 => array(counter())]
}

pub(crate) fn pauses_between() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_secs(1)),
        (1..9_u64).prop_map(Duration::from_nanos),
        (0..1u64 << 50).prop_map(Duration::from_nanos),
    ]
}

pub(crate) fn rates() -> impl Strategy<Value = Vec<String>> {
    let patterns = ["**", "a.**", "**.b", "a", "*b*", "memstats.**", "a_per_second", "x.*", "é*"];
    vec(select(patterns.to_vec()).prop_map(str::to_owned), 1..3)
}

/// Units for texts. The runtime's own members are left alone, because the twin reads them first.
fn conversions() -> impl Strategy<Value = Vec<(String, String)>> {
    let patterns = vec!["a", "b", "a.b", "a.*", "a**", "**.b", "b*", "x.**", "é*", "**._value", "a.b.c"];
    let units = vec!["number", "ns", "us", "ms", "s", "B", "kB", "MB", "GB", "MiB"];
    (prop::sample::subsequence(patterns, 1..5).prop_shuffle(), vec(select(units), 5)).prop_map(|(patterns, units)| {
        patterns.into_iter().zip(units).map(|(pattern, unit)| (pattern.to_owned(), unit.to_owned())).collect()
    })
}

/// Arrays that become objects, and the members that have the keys.
fn keyed_arrays() -> impl Strategy<Value = Vec<(String, String)>> {
    let arrays = vec!["a", "b", "a.b", "a._value", "a.a", "a.a.b", "_value", "a.b.c", "x.", "a..b"];
    (prop::sample::subsequence(arrays, 1..6), vec(select(vec!["a", "b", "a.b", "_value", "é"]), 6)).prop_map(
        |(arrays, members)| {
            let pairs = arrays.into_iter().zip(members);
            pairs.map(|(array, member)| (array.to_owned(), member.to_owned())).collect()
        },
    )
}

pub(crate) fn options() -> impl Strategy<Value = Options> {
    #[rustfmt::skip]
    let patterns = vec![
        "a", "a.b", "a.*", "a.**", "*.b", "**.b", "**", "*", "b*", "*b*", "a.*.c", "**a**", "**._value", "*#*",
        "**a*b", "*.**b.*", "***b", ".*", "a.*b**", "*.**.**",
        "memstats.Pause*", "memstats.NumGC",
        "service.**", "_id", "x.y.**", "é*",
    ];
    let lists = move || vec(select(patterns.clone()).prop_map(str::to_owned), 1..3);
    let default = Options::default();
    (
        prop_oneof![4 => Just(default.include), 1 => lists()],
        prop_oneof![3 => Just(default.exclude), 1 => Just(Vec::new()), 1 => lists()],
        any::<bool>(),
        select(vec![GcPauses::New, GcPauses::All, GcPauses::Off]),
        prop::bool::weighted(0.2),
        prop_oneof![3 => Just(1000), 1 => 1..9_usize],
        prop_oneof![3 => Just(Vec::new()), 1 => labels()],
        (
            prop_oneof![2 => Just(Vec::new()), 1 => some_renames()],
            prop_oneof![Just(Vec::new()), rates()],
            prop_oneof![Just(Vec::new()), conversions()],
            prop_oneof![2 => Just(Vec::new()), 1 => keyed_arrays()],
        ),
    )
        .prop_map(
            |(include, exclude, dots_underscore, gc_pauses, drop_object_arrays, max_fields, labels, others)| {
                let (rename, rates, convert, keyed) = others;
                let rename = without_labels(rename, &labels);
                let drop_object_arrays = drop_object_arrays && keyed.is_empty();
                let rules = Options { max_fields, labels, rename, rates, convert, keyed, ..Options::default() };
                Options { include, exclude, dots_underscore, gc_pauses, drop_object_arrays, ..rules }
            },
        )
}
