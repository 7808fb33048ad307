//! The sanitiser against its contract, body by body: a table that was written by hand, a naive twin for random bodies, and stored
//! results for the recorded payloads. `EXPVASTIC_BLESS=1` writes these results again.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/payload_strategies.rs"]
mod payload_strategies;
#[path = "support/recorded.rs"]
mod recorded;
#[path = "support/sanitised.rs"]
mod sanitised;

use std::path::Path;

use expvastic::Config;
use expvastic::hot_path::HotPath;
use payload_strategies::{counters, object, options, pauses_between, payloads, rates, values};
use proptest::collection::vec;
use proptest::prelude::*;
use sanitised::flatten_twin::strict_json::{self, Json};
use sanitised::flatten_twin::{self, Options, Reader};
use sanitised::{Mapping, assert_same, flattened, hot_path, memstats, options_of, variables};

/// A random payload takes half a millisecond in a debug build; `PROPTEST_CASES` asks for more of them.
const CASES: u32 = 500;

/// One reader gives the twin's document of the body, each time anew.
fn check_body(options: &Options, body: &str, what: &str) {
    let mut reader = Reader::new(options.clone());
    let mut hot_path = hot_path(options);
    for time in 1..=3 {
        let expected =
            if options.rates.is_empty() { flatten_twin::document(options, body) } else { reader.document(body) };
        let found = flattened(&mut hot_path, body.as_bytes());
        assert_same(found.as_ref(), expected.as_ref(), &format!("{what}, time {time}"));
    }
}

/// The rows of the contract: what the payload is, what the variables are.
#[rustfmt::skip]
const PLAIN: &[(&str, &str)] = &[
    (r#"{"a":1,"b":{"c":{"d":2.50}}}"#, r#"{"a":1,"b.c.d":2.50}"#),
    (r#"{"a":null,"b":{},"c":{"d":null},"e":[],"f":[null]}"#, r#"{"e":[],"f":[null]}"#),
    (r#"{"a":18446744073709551616,"b":-0.0,"c":1E+2}"#, r#"{"a":18446744073709551616.0,"b":-0.0,"c":1E+2}"#),
    (r#"{"a":18446744073709551615,"b":9223372036854775807}"#, r#"{"a":18446744073709551615.0,"b":9223372036854775807}"#),
    (r#"{"a":[1,-9223372036854775809]}"#, r#"{"a":[1,-9223372036854775809.0]}"#),
    (r#"{"a":[1,"two",null],"b":["x",[true]],"c":[1,[2.5]]}"#, r#"{"a":"[1,\"two\",null]","b":"[\"x\",[true]]","c":[1,[2.5]]}"#),
    (r#"{"a":[{"n":1},{"n":"x"},{},{"n":[2]}]}"#, r#"{"a.n":"[1,\"x\",null,[2]]"}"#),
    (r#"{"a":1e400,"b":[1,-1e400,[1e999],2]}"#, r#"{"b":[1,null,[null],2]}"#),
    (r#"{"a":"x\ud800y","b\udc00":"\ud83d\ude00","\ud800\ud83d\ude00":1}"#, r#"{"a":"x�y","b�":"😀","�😀":1}"#),
    (r#"{"a":"\\ud800","\u0061b":"\/"}"#, r#"{"a":"\\ud800","ab":"/"}"#),
    // A value beside an object, in either order.
    (r#"{"a":1,"a.b":2}"#, r#"{"a._value":1,"a.b":2}"#),
    (r#"{"a":{"b":2},"a":1}"#, r#"{"a.b":2,"a._value":1}"#),
    (r#"{"a":null,"a.b":2}"#, r#"{"a.b":2}"#),
    (r#"{"a":1,"a.b":null}"#, r#"{"a._value":1}"#),
    (r#"{"a":1,"a._value":2,"a._value.x":3}"#, r#"{"a._value._value":1,"a._value._value#2":2,"a._value.x":3}"#),
    (r#"{"a":1,"a":2,"a.b":3}"#, r#"{"a._value":1,"a._value#2":2,"a.b":3}"#),
    // The same name again; who has it for its own keeps it.
    (r#"{"a":1,"a":2,"a#2":3}"#, r#"{"a":1,"a#3":2,"a#2":3}"#),
    (r#"{"a":1,"a":2,"a":3}"#, r#"{"a":1,"a#2":2,"a#3":3}"#),
    (r#"{"a":null,"a":2}"#, r#"{"a#2":2}"#),
    (r#"{"a":1,"a":2,"a#2.x":3}"#, r#"{"a":1,"a#3":2,"a#2.x":3}"#),
    // Segments that a server refuses.
    (r#"{"":1,"a..b":2,".x":3,"x.":4," ":{"\t":5}}"#, r#"{"_._value":1,"a._.b":2,"_.x":3,"x._":4,"_._":5}"#),
    (r#"{".":1,"\u3000":{"a b":2}}"#, r#"{"_._":1,"_.a b":2}"#),
    // Names that a server keeps for itself, and ours.
    (r#"{"_id":1,"_source":{"x":2},"x":{"_id":3},"_idx":4}"#, r#"{"vars._id":1,"vars._source.x":2,"x._id":3,"_idx":4}"#),
    (r#"{"@timestamp":1,"@timestamp.x":2}"#, r#"{"vars.@timestamp._value":1,"vars.@timestamp.x":2}"#),
    (r#"{"service":1,"service.name":2}"#, r#"{"service._value":1,"vars.service.name":2}"#),
    (r#"{"service.name.x":1,"service.names":2}"#, r#"{"vars.service.name.x":1,"service.names":2}"#),
    (r#"{"host":1,"expvastic":2,"vars":3}"#, r#"{"host._value":1,"expvastic._value":2,"vars":3}"#),
    (r#"{"vars":3,"expvastic":{"restarted":2}}"#, r#"{"vars._value":3,"vars.expvastic.restarted":2}"#),
    // Columns.
    (r#"{"a":[{"n":1,"m":{"k":"x"}},{"n":2}],"b":1}"#, r#"{"a.n":[1,2],"a.m.k":["x",null],"b":1}"#),
    (r#"{"a":[{"l":[{"x":1},{"x":2}]},{"l":[{"x":3}]}]}"#, r#"{"a.l.x":[[1,2],[3]]}"#),
    (r#"{"a":[1,{"x":2},null,[3,null],[{"x":4},5],[]]}"#, r#"{"a._value":[1,null,null,[3,null],null,5,[]],"a.x":[null,2,null,null,4,null,null]}"#),
    (r#"{"a":[{"x":null,"y":1e400,"z":{}},{}],"b":1}"#, r#"{"b":1}"#),
    (r#"{"a":[{"l":[1,1e400,null]}],"b":[{"l":[{"x":null}]}]}"#, r#"{"a.l":[[1,null,null]]}"#),
    (r#"{"a":[{"x":1,"x":2}],"a":3,"a.x":4}"#, r#"{"a.x":[1],"a.x#2":[2],"a._value":3,"a.x#3":4}"#),
    (r#"{"a":[{"_value":1},2,{"":3}]}"#, r#"{"a._value":[1,2,null],"a._":[null,null,3]}"#),
    (r#"{"a":[{"n":"x","v":1},{"n":"y"},{"n":"z","v":3}]}"#, r#"{"a.n":["x","y","z"],"a.v":[1,null,3]}"#),
    (r#"{"a":[{"x":1e400},{"y":1},{"x":2}],"b":[{"l":[{"x":1},{"y":2}]},{},{"l":[{"x":null}]}]}"#,
     r#"{"a.x":[null,null,2],"a.y":[null,1,null],"b.l.x":[[1,null],null,null],"b.l.y":[[null,2],null,null]}"#),
    (r#"{"a":[{"x":1,"x":2},{"x":3},{"x":null,"x":4},{"y":5}]}"#,
     r#"{"a.x":[1,3,null,null],"a.x#2":[2,null,4,null],"a.y":[null,null,null,5]}"#),
    (r#"{"_id":[{"x":1}]}"#, r#"{"vars._id.x":[1]}"#),
    // What stays out by default, and what only looks like it.
    (r#"{"cmdline":["x"],"memstats":{"BySize":[{"Size":1}],"BySizes":2},"BySize":3}"#, r#"{"memstats.BySizes":2,"BySize":3}"#),
    (r#"{"cmdline":{"x":1},"cmdline.y":2,"cmdlines":3}"#, r#"{"cmdlines":3}"#),
    // Not rings of pauses.
    (r#"{"memstats":{"NumGC":1,"PauseTotalNs":1,"PauseNs":[1],"PauseEnd":[]}}"#,
     r#"{"memstats.NumGC":1,"memstats.PauseTotalNs":1,"memstats.PauseNs":[1],"memstats.PauseEnd":[]}"#),
];

/// What the options change: the word is short for what `options_of` makes of it.
#[rustfmt::skip]
const CHOSEN: &[(&str, &str, &str)] = &[
    ("dots", r#"{"a.b":{"c.d":1},".":2,"a_b":[{"x.y":3,"x_y":4}]}"#, r#"{"a_b.c_d":1,"_":2,"a_b.x_y":[3],"a_b.x_y#2":[4]}"#),
    ("dots", r#"{"service.name":1,"a.b":{".":2},"service":{"name":3}}"#, r#"{"service_name":1,"a_b._":2,"vars.service.name":3}"#),
    (
        "convert t=s d=B n=number x.*=ms",
        r#"{"t":"1m0.5s","d":["1kB","2MiB"],"n":"-007.50","x":{"y":"1µs","z":"soon"},"t2":"1s"}"#,
        r#"{"t":60.5,"d":[1000,2097152],"n":-7.50,"x.y":0.001,"x.z":"soon","t2":"1s"}"#,
    ),
    (
        "keyed G=Name",
        r#"{"G":[{"Name":"a.b","Value":1},{"Name":"a.b","Value":2},{"Value":3},{"Value":4,"Name":"c"}],"H":[{"Name":"a"}]}"#,
        r#"{"G.a.b.Value":1,"G.c.Value":4,"H.Name":["a"]}"#,
    ),
    ("drop", r#"{"a":[{"x":1}],"b":[1,[{}]],"c":[1,[]]}"#, r#"{"c":[1,[]]}"#),
    ("max 2", r#"{"a":1,"b.c":null,"b":3}"#, r#"{"a":1}"#),
    ("max 2", r#"{"a":1,"a":2,"a":3,"a.b":4}"#, r#"{"a":1,"a#2":2}"#),
    ("max 2", r#"{"a":{},"b":[{"x":1,"y":2,"z":3}],"c":4}"#, r#"{"b.x":[1],"b.y":[2]}"#),
    ("include a.*", r#"{"a":{"b":1,"c":{"d":2}},"a.":3,"a":4,"ab":5}"#, r#"{"a.b":1,"a.c.d":2,"a._":3}"#),
    ("include a.**", r#"{"a":1,"a.b":2,"ab":3,"b.a":4}"#, r#"{"a._value":1,"a.b":2}"#),
    ("include **.b", r#"{"b":1,"a.b":2,"a":{"x.b":{"y":3}},"xb":4}"#, r#"{"a.b":2,"a.x.b.y":3}"#),
    ("include *b", r#"{"b":1,"a.b":2,"ab":{"x":3}}"#, r#"{"b":1,"ab.x":3}"#),
    ("include **b", r#"{"bc":1,"a.b.c":2,"a":3}"#, r#"{"a.b.c":2}"#),
    ("exclude a.*.c", r#"{"a":{"b":{"c":1,"d":2}},"a.c":3}"#, r#"{"a.b.d":2,"a.c":3}"#),
    ("exclude a.x", r#"{"a":[{"x":1,"y":2}, 3]}"#, r#"{"a.y":[2,null],"a._value":[null,3]}"#),
    ("exclude a._value", r#"{"a":[{"x":1}, 3]}"#, r#"{"a.x":[1,null]}"#),
    ("exclude a", r#"{"a":1,"a.b":2,"b":3,"a":[{"x":1}]}"#, r#"{"b":3}"#),
    // A label keeps its name, whatever a variable's is or becomes.
    ("labels a", r#"{"a":1,"a.b":2,"b":{"a":3}}"#, r#"{"a":"label","vars.a._value":1,"vars.a.b":2,"b.a":3}"#),
    ("labels a.b c", r#"{"a":1,"a.c":{"d":2},"a.b":3,"a.bc":4}"#,
     r#"{"a.b":"label","c":"label","a._value":1,"a.c.d":2,"vars.a.b":3,"a.bc":4}"#),
    ("labels a", r#"{"a":1,"vars":{"a":2}}"#, r#"{"a":"label","vars.a":1,"vars.a#2":2}"#),
    // A new name for a variable, for an object with all that is below it; the longest name wins.
    ("rename a.b=x c=y.z", r#"{"a":{"b":1,"c":2},"c":{"d":{"":3},"e.f":[4]},"cd":5}"#,
     r#"{"x":1,"a.c":2,"y.z.d._":3,"y.z.e.f":[4],"cd":5}"#),
    ("rename a=x a.b=y a.b.c.d=z", r#"{"a":{"b":{"c":{"d":1,"e":2}},"f":3},"a.b":4,"a.bc":5}"#,
     r#"{"z":1,"y.c.e":2,"x.f":3,"y._value":4,"x.bc":5}"#),
    // Names of the payload are joined with dots, wherever those come from.
    ("rename a.b=x", r#"{"a.b.c":1,"a":{"b":2,"b.d":{"e":3}},"a..b":4}"#, r#"{"x.c":1,"x._value":2,"x.d.e":3,"a._.b":4}"#),
    ("rename a.=x", r#"{"a..b":1,"a":{"":{"c":2},".d":3}}"#, r#"{"x.b":1,"x.c":2,"x.d":3}"#),
    // It meets others.
    ("rename a=b", r#"{"a":1,"b":2,"c":3}"#, r#"{"b":1,"b#2":2,"c":3}"#),
    ("rename b=a", r#"{"a":1,"b":2,"b":3}"#, r#"{"a":1,"a#2":2,"a#3":3}"#),
    ("rename a=b", r#"{"a":1,"b":{"c":2}}"#, r#"{"b._value":1,"b.c":2}"#),
    ("rename a=b b=a", r#"{"a":1,"b":2}"#, r#"{"b":1,"a":2}"#),
    ("rename a=a b=c.b", r#"{"a":1,"b":2}"#, r#"{"a":1,"c.b":2}"#),
    // What a server refuses of the old name is no matter any more, what is below it is.
    ("rename _id=id @timestamp=time", r#"{"_id":1,"@timestamp":{"_id":2,"":3}}"#, r#"{"id":1,"time._id":2,"time._":3}"#),
    ("rename a.x=b a=c", r#"{"a":[{"x":1,"y":2},3]}"#, r#"{"b":[1,null],"c.y":[2,null],"c._value":[null,3]}"#),
    ("rename é😀=x", r#"{"\u00e9\ud83d\ude00":{"q\"":1}}"#, r#"{"x.q\"":1}"#),
    ("rename a=x b=y", r#"{"c":1}"#, r#"{"c":1}"#),
    ("dots a.b=x.y c=z", r#"{"a.b":1,"a":{"b":{"c.d":2}},"c":{"e.f":3},"c.g":4}"#,
     r#"{"x.y._value":1,"x.y.c_d":2,"z.e_f":3,"z_g":4}"#),
    ("labels b#2 c._value", r#"{"b":1,"b":2,"c":3,"c.d":4}"#,
     r#"{"b#2":"label","c._value":"label","b":1,"b#3":2,"c._value#2":3,"c.d":4}"#),
];

/// The rows that are too long to be written out. The hashes are another program's.
fn long_rows() -> Vec<(String, String)> {
    let name = "n".repeat(600);
    let fits = "é".repeat(256);
    let deep = |depth: usize| format!("{}1{}", r#"{"d":"#.repeat(depth), "}".repeat(depth));
    let number = |bytes: usize| format!("0.{}", "1".repeat(bytes - 2));
    vec![
        (format!(r#"{{"{name}":1}}"#), format!(r#"{{"{}_a0e48264e793a605":1}}"#, &name[..495])),
        (format!(r#"{{"{fits}":1}}"#), format!(r#"{{"{fits}":1}}"#)),
        (format!(r#"{{"{}":1}}"#, "é".repeat(300)), format!(r#"{{"{}_f23488e9e5502015":1}}"#, "é".repeat(247))),
        (deep(20), format!(r#"{{"d{}":1}}"#, ".d".repeat(19))),
        (deep(21), format!(r#"{{"d{}.d_d":1}}"#, ".d".repeat(18))),
        (deep(61), format!(r#"{{"d{}.d{}":1}}"#, ".d".repeat(18), "_d".repeat(41))),
        (format!(r#"{{"a":{},"b":{}}}"#, number(1000), number(1001)), format!(r#"{{"a":{}}}"#, number(1000))),
        (
            format!(r#"{{"a":{},"b":1{}}}"#, "9".repeat(308), "0".repeat(309)),
            format!(r#"{{"a":{}.0}}"#, "9".repeat(308)),
        ),
    ]
}

#[test]
fn the_twin_and_the_program_do_what_the_contract_says() {
    let plain = PLAIN.iter().map(|&(payload, expected)| ("", payload.to_owned(), expected.to_owned()));
    let chosen = CHOSEN.iter().map(|&(short, payload, expected)| (short, payload.to_owned(), expected.to_owned()));
    let long = long_rows().into_iter().map(|(payload, expected)| ("", payload, expected));
    for (short, payload, expected) in plain.chain(chosen).chain(long) {
        let options = options_of(short);
        let Ok(Json::Object(expected)) = Json::parse(&expected) else { panic!("a row of the table: {expected}") };
        let twin = flatten_twin::document(&options, &payload);
        assert_same(twin.as_ref(), Some(&expected), &format!("the twin, {short}: {payload}"));
        check_body(&options, &payload, &format!("{short}: {payload}"));
    }
}

#[test]
fn nothing_to_ship_is_no_document() {
    for payload in ["{}", r#"{"a":null}"#, r#"{"a":{"b":{}}}"#, r#"{"cmdline":1}"#, r#"{"a":[{}]}"#, r#"{"a":1e400}"#] {
        assert_eq!(flatten_twin::document(&Options::default(), payload), None, "{payload}");
        check_body(&Options::default(), payload, payload);
    }
}

#[test]
fn pauses_are_shipped_once_and_in_their_order() {
    let mut reader = Reader::new(Options::default());
    let mut hot_path = hot_path(&Options::default());
    let long: Vec<u64> = (1..=700).collect();
    let new = |from: u64, to: u64| Json::Array((from..=to).map(|pause| Json::Number(pause.to_string())).collect());
    for (what, pauses, lie, shipped, restarted) in [
        ("first", &long[..10], 0, new(1, 0), false),
        ("two more", &long[..12], 0, new(11, 12), false),
        ("no more", &long[..12], 0, new(1, 0), false),
        ("round the ring", &long[..260], 0, new(13, 260), false),
        ("a whole ring", &long[..516], 0, new(261, 516), false),
        ("started anew", &long[..3], 0, new(1, 3), true),
        ("more than a ring", &long[..300], 0, new(45, 300), false),
        ("a lie", &long[..301], 7, new(1, 0), false),
        ("after the lie", &long[..303], 7, new(302, 303), false),
        ("anew, more than a ring", &long[5..302], 0, new(47, 302), true),
        ("anew, and more than before", &long[..100], 0, new(1, 100), true),
    ] {
        let body = format!(r#"{{"memstats":{}}}"#, memstats(pauses, lie));
        let expected = reader.document(&body).expect("something to ship");
        let get = |name: &str| expected.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
        assert_eq!(get("memstats.PauseNs"), Some(shipped), "the twin: {what}");
        assert_eq!(get("expvastic.restarted").is_some(), restarted, "the twin: {what}");
        let found = flattened(&mut hot_path, body.as_bytes());
        assert_same(found.as_ref(), Some(&expected), what);
    }
}

#[test]
fn every_strict_payload_comes_out_leaf_by_leaf_as_it_went_in() {
    let all = Options { max_fields: 100_000, ..Options::default() };
    let mut compared = 0;
    for (name, body) in recorded::payloads().into_iter().filter(|(name, _)| !name.contains(".invalid.")) {
        let body = String::from_utf8(body).expect("strict JSON");
        for options in [&Options::default(), &all] {
            check_body(options, &body, &name);
        }
        compared += 1;
    }
    assert!(compared >= 20, "only {compared} payloads");
}

#[test]
fn recorded_payloads_come_out_as_they_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let bless = std::env::var_os("EXPVASTIC_BLESS").is_some();
    if bless {
        std::fs::create_dir_all(&folder).expect("a place for the goldens");
    }
    let mut seen = 0;
    for (name, mut body) in recorded::payloads().into_iter().filter(|(_, body)| body.len() < 100_000) {
        let mut hot_path = hot_path(&Options::default());
        let document = hot_path.flatten(&mut body).expect("something to ship");
        let text = std::str::from_utf8(document).expect("a document is UTF-8");
        let members = strict_json::members(text).expect("a document is strict");
        let line = |(name, value): &(String, &str)| format!("{}:{value}", serde_json::Value::from(name.as_str()));
        let found: Vec<String> = members[3..].iter().map(line).collect();
        let path = folder.join(name.replace(".json", ".txt"));
        if bless {
            std::fs::write(&path, found.join("\n") + "\n").expect("a golden is written");
        }
        let golden = std::fs::read_to_string(&path).expect("EXPVASTIC_BLESS=1 writes it");
        for (found, golden) in found.iter().zip(golden.lines()) {
            assert_eq!(found, golden, "{name}");
        }
        assert_eq!(found.len(), golden.lines().count(), "{name}: as many variables");
        seen += 1;
    }
    assert_eq!(std::fs::read_dir(&folder).expect("the goldens").count(), seen, "no golden without its payload");
}

fn cases() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(CASES), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_payload_comes_out_as_the_twin_says(body in payloads(), options in options()) {
        check_body(&options, &body, &body);
    }

    #[test]
    fn what_a_reader_has_seen_decides_what_it_makes_of_the_next(
        bodies in vec(object(values(), 5), 2..5), options in options(),
    ) {
        let mut reader = Reader::new(options.clone());
        let (mut hot_path, mut mapping) = (hot_path(&options), Mapping::new(&options));
        for body in bodies {
            let expected = reader.document(&body);
            let found = flattened(&mut hot_path, body.as_bytes());
            assert_same(found.as_ref(), expected.as_ref(), &body);
            if let Some(document) = &found {
                mapping.add(document);
            }
        }
    }

    #[test]
    fn rates_come_out_as_the_twin_says(
        ticks in vec((pauses_between(), object(counters(), 6), prop::option::weighted(0.2, 0..4_usize)), 2..9),
        options in options(), rates in rates(),
    ) {
        let mut options = Options { rates, ..options };
        if ticks.iter().any(|(.., collections)| collections.is_some()) {
            // The twin looks into memstats whatever is wanted of it.
            let Options { include, exclude, .. } = Options::default();
            (options.include, options.exclude) = (include, exclude);
        }
        let mut reader = Reader::new(options.clone());
        let mut hot_path = hot_path(&options);
        for (pause, body, collections) in ticks {
            let body = match collections {
                Some(count) => format!(r#"{{"memstats":{},"a":{body}}}"#, memstats(&[3, 4, 5][..count.min(3)], 0)),
                None => body,
            };
            let expected = reader.document_after(pause, &body);
            let found = hot_path.flatten_after(pause, &mut body.clone().into_bytes()).ok().map(variables);
            assert_same(found.as_ref(), expected.as_ref(), &body);
        }
    }

    #[test]
    fn pauses_come_out_as_the_twin_says(
        steps in vec((0..8_u8, prop_oneof![3 => 0..5_usize, 1 => 0..600_usize], 1..9_u64), 1..8),
    ) {
        let mut reader = Reader::new(Options::default());
        let mut hot_path = hot_path(&Options::default());
        let mut pauses = Vec::new();
        let mut lie = 0;
        for (kind, count, pause) in steps {
            match kind {
                0 => pauses.clear(),
                1 => lie += pause,
                _ => {}
            }
            pauses.extend((0..count as u64).map(|at| pause + at));
            let body = format!(r#"{{"memstats":{}}}"#, memstats(&pauses, lie));
            let expected = reader.document(&body);
            assert_same(flattened(&mut hot_path, body.as_bytes()).as_ref(), expected.as_ref(), &body);
        }
    }
}

/// What a `map_file` names, and nothing else, comes out in other units; the last of several documents counts.
#[test]
fn a_map_file_converts_what_it_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write(
        "conf.yml",
        "readers: {app: {type_name: app, endpoint: \"localhost:1\", map_file: maps.yml}}\n\
         recorders: {out: {type: file, path: \"-\"}}\nroutes: {r: {readers: [app], recorders: [out]}}\n",
    );
    write("maps.yml", "gc_types: [memstats.PauseNs, pauses]\nmemory_bytes: {alloc: kb, a.b: gb, flag: mb, same: b}\n");
    let config = Config::load(folder.path().join("conf.yml")).expect("a good configuration");
    let document = |bodies: &[&str]| {
        let mut hot_path = HotPath::of_config(&config).expect("a good reader");
        let documents = bodies.iter().map(|body| flattened(&mut hot_path, body.as_bytes()).expect("a document"));
        documents.last().expect("some body")
    };
    for (body, expected) in [
        (r#"{"Alloc":1536,"x":{"ALLOC":-512,"alloc":1e3}}"#, r#"{"Alloc":1.5,"x.ALLOC":-0.5,"x.alloc":0.9765625}"#),
        (r#"{"a":{"b":1073741824},"b":7,"c":{"a":{"b":9}}}"#, r#"{"a.b":1.0,"b":7,"c.a.b":9}"#),
        (r#"{"flag":true,"alloc":"12","same":1e2}"#, r#"{"flag":true,"alloc":"12","same":1e2}"#),
        (r#"{"alloc":[1024],"pauses":7,"memstats":{"alloc":}}"#, r#"{"alloc":[1024],"pauses":7}"#),
        (r#"{"pauses":[0, 1500,0,2000 ],"other":[0,1]}"#, r#"{"pauses":[1.5,2.0],"other":[0,1]}"#),
        (r#"{"a":[{"alloc":1024}],"pauses":[{"x":1000}]}"#, r#"{"a.alloc":[1024],"pauses.x":[1000]}"#),
    ] {
        let Ok(Json::Object(expected)) = Json::parse(expected) else { panic!("an object: {expected}") };
        assert_eq!(document(&[body]), expected, "{body}");
        assert_eq!(document(&[body, body]), expected, "{body}, again");
    }
    let tick = |pauses: &[u64]| format!(r#"{{"memstats":{}}}"#, memstats(pauses, 0));
    let found = document(&[&tick(&[1500]), &tick(&[1500, 2500, 3000])]);
    let new = Json::Array(["2.5", "3.0"].map(|number| Json::Number(number.to_owned())).to_vec());
    assert!(found.contains(&("memstats.PauseNs".to_owned(), new)), "new pauses, in microseconds: {found:?}");
}
