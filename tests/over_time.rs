//! Several payloads of one reader: names that stay the same from document to document, and the rates of counters.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/sanitised.rs"]
mod sanitised;

use sanitised::flatten_twin::Reader;
use sanitised::flatten_twin::strict_json::Json;
use sanitised::{Mapping, assert_same, flattened, hot_path, memstats, options_of, variables};
use std::time::Duration;

/// What becomes of counters: the options, then the time since the payload before, the payload, and its variables, or `-`.
type Story = (&'static str, &'static [(Duration, &'static str, &'static str)]);

const SECOND: Duration = Duration::from_secs(1);

#[rustfmt::skip]
const RATES: &[Story] = &[
    ("rates a", &[
        (SECOND, r#"{"a":5,"b":1}"#, r#"{"a":5,"b":1}"#),
        (SECOND, r#"{"a":7,"b":2}"#, r#"{"a":7,"a_per_second":2.0,"b":2}"#),
        (Duration::from_millis(250), r#"{"a":7,"b":3}"#, r#"{"a":7,"a_per_second":0.0,"b":3}"#),
        (Duration::from_millis(500), r#"{"a":8.5}"#, r#"{"a":8.5,"a_per_second":3.0}"#),
        // It began anew, and goes on.
        (SECOND, r#"{"a":2}"#, r#"{"a":2}"#),
        (Duration::from_secs(4), r#"{"a":3}"#, r#"{"a":3,"a_per_second":0.25}"#),
        // No time has passed.
        (Duration::ZERO, r#"{"a":4}"#, r#"{"a":4}"#),
        (Duration::from_millis(1), r#"{"a":5}"#, r#"{"a":5,"a_per_second":1000.0}"#),
        // What gives no document changes nothing.
        (SECOND, "{}", "-"),
        (SECOND, r#"{"a":1"#, "-"),
        (SECOND, r#"{"cmdline":3}"#, "-"),
        (SECOND, r#"{"b":{"c":[1,2},"a":3}"#, "-"),
        (SECOND, r#"{"a":20}"#, r#"{"a":20,"a_per_second":3.0}"#),
        // It was missing, or no number.
        (SECOND, r#"{"b":1}"#, r#"{"b":1}"#),
        (SECOND, r#"{"a":30}"#, r#"{"a":30}"#),
        (SECOND, r#"{"a":null,"b":1}"#, r#"{"b":1}"#),
        (SECOND, r#"{"a":40}"#, r#"{"a":40}"#),
        (SECOND, r#"{"a":"41"}"#, r#"{"a":"41"}"#),
        (SECOND, r#"{"a":42}"#, r#"{"a":42}"#),
        (SECOND, r#"{"a":[43]}"#, r#"{"a":[43]}"#),
        (SECOND, r#"{"a":1e999,"b":1}"#, r#"{"b":1}"#),
        (SECOND, r#"{"a":44}"#, r#"{"a":44}"#),
        (SECOND, r#"{"a":45}"#, r#"{"a":45,"a_per_second":1.0}"#),
    ]),
    // Exact however large it is; digits of the value are left as they are.
    ("rates **", &[
        (SECOND, r#"{"a":18446744073709551610,"b":-9223372036854775808,"c":1e-7,"d":1E2}"#,
         r#"{"a":18446744073709551610.0,"b":-9223372036854775808,"c":1e-7,"d":1E2}"#),
        (SECOND, r#"{"a":18446744073709551613,"b":9223372036854775807,"c":2e-7,"d":101}"#,
         r#"{"a":18446744073709551613.0,"a_per_second":3.0,"b":9223372036854775807,"b_per_second":1.8446744073709552e19,"c":2e-7,"c_per_second":1e-7,"d":101,"d_per_second":1.0}"#),
    ]),
    // A pattern takes in what is below; arrays are none, nor what is in them.
    ("rates a b.*", &[
        (SECOND, r#"{"a":{"x":1,"y":[1],"z":[{"t":1}],"s":"1","t":true},"b":{"c":{"d":1}},"ab":1}"#,
         r#"{"a.x":1,"a.y":[1],"a.z.t":[1],"a.s":"1","a.t":true,"b.c.d":1,"ab":1}"#),
        (SECOND, r#"{"a":{"x":2,"y":[2],"z":[{"t":2}],"s":"2","t":true},"b":{"c":{"d":3}},"ab":2}"#,
         r#"{"a.x":2,"a.x_per_second":1.0,"a.y":[2],"a.z.t":[2],"a.s":"2","a.t":true,"b.c.d":3,"b.c.d_per_second":2.0,"ab":2}"#),
    ]),
    // Members come and go, and change places; the second of a name is compared with the second. When there are more or fewer of
    // a name than before, nobody knows which is which: none of them has a rate.
    ("rates **", &[
        (SECOND, r#"{"a":1,"a":10,"b":100}"#, r#"{"a":1,"a#2":10,"b":100}"#),
        (SECOND, r#"{"b":103,"c":1,"a":2,"a":12}"#,
         r#"{"b":103,"b_per_second":3.0,"c":1,"a":2,"a_per_second":1.0,"a#2":12,"a_per_second#2":2.0}"#),
        (SECOND, r#"{"a":5,"c":2}"#, r#"{"a":5,"c":2,"c_per_second":1.0}"#),
        (SECOND, r#"{"c":4,"a":6,"a":13}"#, r#"{"c":4,"c_per_second":2.0,"a":6,"a#2":13}"#),
        // Of a payload with other members that gives no document nothing stays.
        (SECOND, r#"{"a":7,"d":1,"c":9"#, "-"),
        (SECOND, r#"{"d":null}"#, "-"),
        (SECOND, r#"{"a":10,"c":8}"#, r#"{"a":10,"c":8,"c_per_second":1.3333333333333333}"#),
    ]),
    // Its name goes by the rules for names, and is that of the variable in the payload, or the one that it is given.
    ("rates **", &[
        (SECOND, r#"{"_id":1,"a":1,"a.b":1,"":1,"c":1,"c_per_second":7}"#,
         r#"{"vars._id":1,"a._value":1,"a.b":1,"_":1,"c":1,"c_per_second#2":7}"#),
        (SECOND, r#"{"_id":2,"a":2,"a.b":2,"":2,"c":2,"c_per_second":9}"#,
         r#"{"vars._id":2,"_id_per_second":1.0,"a._value":2,"a_per_second":1.0,"a.b":2,"a.b_per_second":1.0,"_":2,"_per_second":1.0,"c":2,"c_per_second":1.0,"c_per_second#2":9,"c_per_second_per_second":2.0}"#),
    ]),
    ("rename+rates a=x b.c=y.z", &[
        (SECOND, r#"{"a":1,"b":{"c":{"d":1}},"x":5}"#, r#"{"x":1,"y.z.d":1,"x#2":5}"#),
        (SECOND, r#"{"a":2,"b":{"c":{"d":3}},"x":5}"#,
         r#"{"x":2,"x_per_second":1.0,"y.z.d":3,"y.z.d_per_second":2.0,"x#2":5,"x_per_second#2":0.0}"#),
    ]),
    // max_fields counts it, and what is not shipped has none.
    ("max+rates 3", &[
        (SECOND, r#"{"a":1,"b":1,"c":1}"#, r#"{"a":1,"b":1}"#),
        (SECOND, r#"{"a":2,"b":2,"c":2}"#, r#"{"a":2,"a_per_second":1.0,"b":2}"#),
        (SECOND, r#"{"c":3,"b":3,"a":3}"#, r#"{"b":3,"a":3,"a_per_second":1.0}"#),
    ]),
    ("exclude+rates a.b", &[
        (SECOND, r#"{"a":{"b":1,"c":1}}"#, r#"{"a.c":1}"#),
        (SECOND, r#"{"a":{"b":2,"c":2}}"#, r#"{"a.c":2,"a.c_per_second":1.0}"#),
    ]),
];

/// A name that servers know as a value's stays one, and so does that of an object.
#[rustfmt::skip]
const NAMES: &[Story] = &[
    ("", &[
        (SECOND, r#"{"a":1}"#, r#"{"a":1}"#),
        (SECOND, r#"{"a":{"b":2,"c":{"d":3}}}"#, r#"{"a#object.b":2,"a#object.c.d":3}"#),
        (SECOND, r#"{"a":4,"a.b":5,"a#object":6}"#, r#"{"a":4,"a#object.b":5,"a#object._value":6}"#),
        (SECOND, r#"{"a.b.c":7}"#, r#"{"a#object.b#object.c":7}"#),
        (SECOND, r#"{"a":[{"x":8}],"a":9}"#, r#"{"a#object.x":[8],"a":9}"#),
    ]),
    ("", &[
        (SECOND, r#"{"a":{"b":1}}"#, r#"{"a.b":1}"#),
        (SECOND, r#"{"a":2}"#, r#"{"a._value":2}"#),
        (SECOND, r#"{"a":{"_value":{"x":3},"b":4}}"#, r#"{"a._value#object.x":3,"a.b":4}"#),
    ]),
    // What is in one document meets there.
    ("", &[
        (SECOND, r#"{"a":1,"a.b":2}"#, r#"{"a._value":1,"a.b":2}"#),
        (SECOND, r#"{"a":1,"a":2,"c":3}"#, r#"{"a._value":1,"a._value#2":2,"c":3}"#),
        (SECOND, r#"{"c":{"x":1},"a":{"_value#2":{"y":2}}}"#, r#"{"c#object.x":1,"a._value#2#object.y":2}"#),
    ]),
    // Nothing is no value: servers make no field of it.
    ("", &[
        (SECOND, r#"{"a":null,"b":[],"c":[[null]],"d":[{"l":[]}],"z":0}"#, r#"{"b":[],"c":[[null]],"d.l":[[]],"z":0}"#),
        (SECOND, r#"{"a":{"x":1},"b":[{"x":2}],"c":{"x":3},"d":{"l":{"x":4}},"z":0}"#,
         r#"{"a.x":1,"b.x":[2],"c.x":3,"d.l.x":4,"z":0}"#),
        (SECOND, r#"{"a":5,"b":6,"c":[],"d":7,"z":0}"#, r#"{"a._value":5,"b._value":6,"c._value":[],"d._value":7,"z":0}"#),
    ]),
    ("", &[
        (SECOND, r#"{"a":null,"z":0}"#, r#"{"z":0}"#),
        (SECOND, r#"{"a":1,"z":0}"#, r#"{"a":1,"z":0}"#),
        (SECOND, r#"{"a":null,"z":0}"#, r#"{"z":0}"#),
        (SECOND, r#"{"a":{"x":1},"z":0}"#, r#"{"a#object.x":1,"z":0}"#),
    ]),
    ("", &[
        (SECOND, r#"{"a":[],"b":[{"l":[]}]}"#, r#"{"a":[],"b.l":[[]]}"#),
        (SECOND, r#"{"a":[1],"b":[{"l":["x"]}]}"#, r#"{"a":[1],"b.l":[["x"]]}"#),
        (SECOND, r#"{"a":[{"x":2}],"b":[{"l":{"y":3}}]}"#, r#"{"a#object.x":[2],"b.l#object.y":[3]}"#),
    ]),
    ("labels a.b", &[(SECOND, r#"{"a":1,"a.b.c":2}"#, r#"{"a.b":"label","a._value":1,"vars.a.b.c":2}"#)]),
    ("rename x=a", &[
        (SECOND, r#"{"x":1}"#, r#"{"a":1}"#),
        (SECOND, r#"{"x":{"b":2},"a.c":3}"#, r#"{"a#object.b":2,"a#object.c":3}"#),
    ]),
    ("rates **", &[
        (SECOND, r#"{"a":1}"#, r#"{"a":1}"#),
        (SECOND, r#"{"a":2,"a_per_second":{"x":3}}"#, r#"{"a":2,"a_per_second":1.0,"a_per_second#object.x":3}"#),
    ]),
    // max_fields counts names as they are shipped.
    ("max 2", &[
        (SECOND, r#"{"a":1}"#, r#"{"a":1}"#),
        (SECOND, r#"{"a":1,"a.b":2,"c":3}"#, r#"{"a":1,"a#object.b":2}"#),
        (SECOND, r#"{"c":3,"a.b":2,"a":1}"#, r#"{"a#object.b":2,"a":1}"#),
    ]),
    ("max 2", &[
        (SECOND, r#"{"a":1,"a.b":2,"c":3}"#, r#"{"a._value":1,"a.b":2}"#),
        (SECOND, r#"{"a":1,"a":2}"#, r#"{"a._value":1}"#),
    ]),
    ("max 3", &[
        (SECOND, r#"{"a":1,"a":2}"#, r#"{"a":1,"a#2":2}"#),
        (SECOND, r#"{"a":1,"a":2,"a#2":3}"#, r#"{"a":1,"a#3":2,"a#2":3}"#),
        (SECOND, r#"{"a":1,"a":2,"a#2":3,"a#3":4}"#, r#"{"a":1,"a#3":2,"a#2":3}"#),
        (SECOND, r#"{"a":1,"a":2,"a#2":3}"#, r#"{"a":1,"a#3":2,"a#2":3}"#),
    ]),
    ("max+rates 4", &[
        (SECOND, r#"{"a":1,"b":1}"#, r#"{"a":1,"b":1}"#),
        (SECOND, r#"{"a":3,"a":1,"a#2":1,"b":2}"#, r#"{"a":3,"b":2,"b_per_second":1.0}"#),
    ]),
];

#[test]
fn counters_are_shipped_with_their_change_per_second() {
    check(RATES);
}

#[test]
fn no_name_is_a_value_in_one_document_and_an_object_in_another() {
    check(NAMES);
}

fn check(stories: &[Story]) {
    for (short, ticks) in stories {
        let options = options_of(short);
        let (mut reader, mut hot_path) = (Reader::new(options.clone()), hot_path(&options));
        let mut mapping = Mapping::new(&options);
        for (place, (pause, payload, expected)) in ticks.iter().enumerate() {
            let expected = match Json::parse(expected) {
                Ok(Json::Object(expected)) => Some(expected),
                _ => None,
            };
            let what = format!("{short}, {place}: {payload}");
            let found = reader.document_after(*pause, payload);
            assert_same(found.as_ref(), expected.as_ref(), &format!("the twin, {what}"));
            let found = hot_path.flatten_after(*pause, &mut payload.as_bytes().to_vec()).ok().map(variables);
            assert_same(found.as_ref(), expected.as_ref(), &what);
            if let Some(document) = &found {
                mapping.add(document);
            }
        }
    }
}

/// What seemed to be an object is none: nothing that was in it has been shipped.
#[test]
fn what_is_broken_afterwards_is_not_compared_with() {
    let mut hot_path = hot_path(&options_of("rates **"));
    for (payload, expected) in [
        (r#"{"o":{"a":1},"b":1}"#, r#"{"o.a":1,"b":1}"#),
        (r#"{"o":{"a":2} x,"b":2}"#, r#"{"b":2,"b_per_second":1.0}"#),
        (r#"{"o":{"a":3},"b":4}"#, r#"{"o.a":3,"b":4,"b_per_second":2.0}"#),
        (r#"{"o":{"a":4},"b":NaN}"#, r#"{"o.a":4,"o.a_per_second":1.0}"#),
        (r#"{"o":{"a":6},"b":5}"#, r#"{"o.a":6,"o.a_per_second":2.0,"b":5}"#),
    ] {
        let Ok(Json::Object(expected)) = Json::parse(expected) else { panic!("a row: {expected}") };
        assert_same(flattened(&mut hot_path, payload.as_bytes()).as_ref(), Some(&expected), payload);
    }
}

#[test]
fn a_restart_of_the_target_gives_no_rate() {
    let options = options_of("rates **");
    let (mut reader, mut hot_path) = (Reader::new(options.clone()), hot_path(&options));
    let payload = |a: u64, pauses: &[u64]| format!(r#"{{"a":{a},"memstats":{}}}"#, memstats(pauses, 0));
    for (a, pauses, rate) in
        [(1, &[5, 5][..], None), (3, &[5, 5], Some("2.0")), (9, &[7], None), (10, &[7], Some("1.0"))]
    {
        let payload = payload(a, pauses);
        let expected = reader.document(&payload).expect("something to ship");
        let found = flattened(&mut hot_path, payload.as_bytes());
        assert_same(found.as_ref(), Some(&expected), &payload);
        let get = |name: &str| expected.iter().find(|(found, _)| found == name).map(|(_, value)| value.to_string());
        assert_eq!(get("a_per_second").as_deref(), rate, "{a}");
        assert_eq!(get("memstats.Sys_per_second").is_some(), rate.is_some(), "{a}");
    }
}

/// `NumGC` has 32 bits in Go's runtime, `PauseTotalNs` 64.
#[test]
fn a_full_count_of_collections_is_no_restart() {
    let full = 1_u64 << 32;
    let payload = |collections: u64| {
        let mut ring = [0; 256];
        for number in collections - 256..collections {
            ring[usize::try_from(number % 256).expect("small")] = 1 + number % 7;
        }
        let total: u64 = (full - 1_000..collections).map(|number| 1 + number % 7).sum();
        let count = collections % full;
        format!(r#"{{"a":{count},"memstats":{{"NumGC":{count},"PauseTotalNs":{total},"PauseNs":{ring:?}}}}}"#)
    };
    let options = options_of("");
    let (mut reader, mut hot_path) = (Reader::new(options.clone()), hot_path(&options));
    for (collections, new) in [(full - 5, 0), (full - 2, 3), (full + 4, 6), (full + 5, 1), (full + 400, 256)] {
        let payload = payload(collections);
        let expected = reader.document(&payload).expect("something to ship");
        let found = flattened(&mut hot_path, payload.as_bytes());
        assert_same(found.as_ref(), Some(&expected), &payload);
        let get = |name: &str| expected.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
        assert_eq!(get("expvastic.restarted"), None, "{collections}");
        let Some(Json::Array(pauses)) = get("memstats.PauseNs") else { panic!("{collections}") };
        assert_eq!(pauses.len(), new, "{collections}");
    }
}
