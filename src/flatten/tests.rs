//! The sanitiser compared with plain expectations; `tests/payloads.rs` compares it with a naive twin on real payloads.

use super::*;

mod broken;
mod converted;
mod memory;

fn flat(json: &[u8]) -> Result<(String, Report), FlattenError> {
    let mut variables = Variables::new(VariableRules { gc_pauses: GcPauses::All, ..VariableRules::default() });
    flat_with(&mut variables, json)
}

fn flat_with(variables: &mut Variables, json: &[u8]) -> Result<(String, Report), FlattenError> {
    flat_at(variables, Duration::ZERO, json)
}

fn flat_at(variables: &mut Variables, polled: Duration, json: &[u8]) -> Result<(String, Report), FlattenError> {
    let mut scratch = Scratch::new();
    let mut body = json.to_vec();
    let mut out = b"{\"@\":0".to_vec();
    let report = scratch.flatten(variables, polled, &mut body, &mut out);
    assert_eq!(body, json, "the body is left as it was");
    if report.is_err() {
        assert_eq!(out, b"{\"@\":0", "an error leaves nothing behind");
    }
    let report = report?;
    out.push(b'}');
    let strict: serde_json::Value = serde_json::from_slice(&out).expect("what leaves is strict JSON");
    assert!(strict.is_object() && !out.contains(&b'\n') && !out.contains(&b'\r'));
    let members = out[6..out.len() - 1].strip_prefix(b",").unwrap_or_default();
    Ok((String::from_utf8(members.to_vec()).expect("UTF-8"), report))
}

#[test]
fn members_become_flat_names_with_their_digits() {
    for (json, members) in [
        (r#"{"the key": "is the value!"}"#, r#""the key":"is the value!""#),
        (r#"{"a":{"b":{"c":1,"d":-0.50e+1}},"e":true}"#, r#""a.b.c":1,"a.b.d":-0.50e+1,"e":true"#),
        (
            r#"{"a":18446744073709551615,"b":0.1234567890123,"c":5e-324}"#,
            r#""a":18446744073709551615.0,"b":0.1234567890123,"c":5e-324"#,
        ),
        (r#"{"a":null,"b":{},"c":{"d":{}},"e":false}"#, r#""e":false"#),
        (
            r#"{"a": [1, 2 ,3], "b":[], "c":["x",null], "d":["x",null,true]}"#,
            r#""a":[1, 2 ,3],"b":[],"c":["x",null],"d":"[\"x\",null,true]""#,
        ),
        ("{\"a\":[\n1,\r\n2]}", r#""a":[1,2]"#),
        (r#"{"a":[[1,2],[3]]}"#, r#""a":[[1,2],[3]]"#),
        (r#"{"q\"k":"\u0000\n\\","":{"":2}}"#, r#""q\"k":"\u0000\n\\","_._":2"#),
        (r#"{"s":"\ud800x","k\udc00":1}"#, "\"s\":\"\u{fffd}x\",\"k\u{fffd}\":1"),
        ("\u{feff}{\"a\":1}", r#""a":1"#),
        (
            r#"{"cmdline":["secret"],"memstats":{"BySize":[{"Size":0}],"Sys":1},"x":{"cmdline":"kept"}}"#,
            r#""memstats.Sys":1,"x.cmdline":"kept""#,
        ),
    ] {
        let (found, report) = flat(json.as_bytes()).expect(json);
        assert_eq!(found, members, "{json}");
        assert_eq!(report.broken, 0, "{json}");
    }
}

#[test]
fn arrays_of_objects_become_columns() {
    for (json, members) in [
        (r#"{"a":[{"n":1,"s":"x"},{"n":2}]}"#, r#""a.n":[1,2],"a.s":["x",null]"#),
        (r#"{"a":[{"d":{"e":1}},{"d":{"e":2,"f":null}}]}"#, r#""a.d.e":[1,2]"#),
        (
            r#"{"a":[{"x":1},{"y":2},{},{"x":3}],"b":[{"x":{"y":1}},7]}"#,
            r#""a.x":[1,null,null,3],"a.y":[null,2,null,null],"b.x.y":[1,null],"b._value":[null,7]"#,
        ),
        (r#"{"a":[{"x":1,"x":2},{"x":3},{"x":null,"x":4}]}"#, r#""a.x":[1,3,null],"a.x#2":[2,null,4]"#),
        (r#"{"a":[{"x":1,"y":2,"x":3},{"y":4,"x":5}]}"#, r#""a.x":[1,5],"a.y":[2,4],"a.x#2":[3,null]"#),
        (r#"{"a":[{"l":[1,2]},{"l":[]}]}"#, r#""a.l":[[1,2],[]]"#),
        (r#"{"a":[{"l":[{"x":1},{"x":2}]},{"l":[{"x":3}]}]}"#, r#""a.l.x":[[1,2],[3]]"#),
        (r#"{"a":[1,{"x":2},"three",null]}"#, r#""a._value":"[1,null,\"three\",null]","a.x":[null,2,null,null]"#),
        (r#"{"a":[[{"x":1}],{"x":2}]}"#, r#""a.x":[1,2]"#),
        (r#"{"a":[{},{}],"b":1}"#, r#""b":1"#),
        (r#"{"a":[{"s":"\"\\"},{"s":"\ud800"}]}"#, "\"a.s\":[\"\\\"\\\\\",\"\u{fffd}\"]"),
    ] {
        assert_eq!(flat(json.as_bytes()).expect(json).0, members, "{json}");
    }
}

#[test]
fn a_document_stays_within_its_bound() {
    let numbers: Vec<String> = (0..1000).map(|n| format!("\"{n}\":{n}")).collect();
    let wide = format!("{{\"{}\":{{{}}}}}", "k".repeat(100_000), numbers.join(","));
    let (document, report) = flat(wide.as_bytes()).expect("100 MB from 113 kB, were the names not cut");
    assert!(document.len() < 1000 * (limits::NAME_BYTES_MAX + 10), "{} bytes", document.len());
    assert_eq!(report.names.long, 1000);
    let values = format!("{{\"a\":[{}1]}}", "1234567890,".repeat(limits::DOCUMENT_BYTES_MAX / 11 + 1));
    assert_eq!(flat(values.as_bytes()).expect_err("too long").cause, Cause::DocumentTooLong);
    let row = format!("{{\"{}\":1}}", "k".repeat(100_000));
    let table = format!("{{\"a\":[{}]}}", vec![row; 200].join(","));
    let (document, _) = flat(table.as_bytes()).expect("one column");
    assert!(document.len() < 1_000, "one column of 200 values: {} bytes", document.len());
}

#[test]
fn counts_say_what_was_there() {
    let json = br#"{"n":1,"f":1.5,"s":"x","b":true,"z":null,"l":[1],"o":{"p":{}},"t":[{"x":1},{"y":2}],
        "memstats":{"PauseNs":[1,2],"PauseEnd":[3,4]},"bad":NaN}"#;
    let (_, report) = flat(json).unwrap();
    let expected = Report {
        numbers: 2,
        strings: 1,
        booleans: 1,
        lists: 5,
        gc_lists: 2,
        objects: 3,
        nulls: 1,
        broken: 1,
        out_of_range: 0,
        mended: 0,
        ..Report::default()
    };
    assert_eq!(report, expected);
}

/// The members of each document that one reader makes of these payloads, one after the other.
fn ticks(rules: VariableRules, payloads: &[&str]) -> Vec<String> {
    let mut variables = Variables::new(rules);
    payloads.iter().map(|json| flat_with(&mut variables, json.as_bytes()).expect(json).0).collect()
}

fn with(change: impl FnOnce(&mut VariableRules)) -> VariableRules {
    let mut rules = VariableRules::default();
    change(&mut rules);
    rules
}

#[test]
fn names_that_servers_refuse_are_mended() {
    let deep = format!("{}1{}", "{\"d\":".repeat(22), "}".repeat(22));
    let deep_name = format!("{}d_d_d", "d.".repeat(19));
    let long = format!("{{\"{}é\":1}}", "k".repeat(520));
    // FNV-1a 64, worked out elsewhere.
    let long_name = format!("{}_b2627b63dd32b189", "k".repeat(495));
    for (json, members) in [
        (
            r#"{"":1,"a":{"":2},"b..c":3,"f":{".d":4},"e.":5," ":6}"#,
            r#""_":1,"a._":2,"b._.c":3,"f._.d":4,"e._":5,"_#2":6"#,
        ),
        (
            r#"{"_id":1,"_source":{"x":2},"_mine":3,"a":{"_id":4}}"#,
            r#""vars._id":1,"vars._source.x":2,"_mine":3,"a._id":4"#,
        ),
        (
            r#"{"@timestamp":1,"service.name":2,"service":{"name":{"x":3},"y":4},"host":5}"#,
            r#""vars.@timestamp":1,"vars.service.name._value":2,"vars.service.name.x":3,"service.y":4,"host._value":5"#,
        ),
        (r#"{"a":1,"a":2,"a#2":3,"\u0061":4}"#, r#""a":1,"a#3":2,"a#2":3,"a#4":4"#),
        (r#"{"a.b":1,"a":{"b":2}}"#, r#""a.b":1,"a.b#2":2"#),
        (r#"{"a":1,"a.b":2}"#, r#""a._value":1,"a.b":2"#),
        (r#"{"a":{"b":{"c":1}},"a.b":2,"a":3}"#, r#""a.b.c":1,"a.b._value":2,"a._value":3"#),
        (r#"{"a":1,"a":2,"a":{"b":3,"_value":4}}"#, r#""a._value#2":1,"a._value#3":2,"a.b":3,"a._value":4"#),
        (r#"{"a":null,"a":NaN,"a":1}"#, r#""a#3":1"#),
        (deep.as_str(), &format!("\"{deep_name}\":1")),
        (long.as_str(), &format!("\"{long_name}\":1")),
    ] {
        let (found, _) = flat(json.as_bytes()).expect(json);
        assert_eq!(found, members, "{json}");
    }
    let underscores = with(|rules| rules.dots_underscore = true);
    let json = r#"{"a.b":{"c.d":1},"t":[{"x.y":1,"z":{"w":2}}]}"#;
    assert_eq!(ticks(underscores, &[json]), [r#""a_b.c_d":1,"t.x_y":[1],"t.z.w":[2]"#]);
}

#[test]
fn what_was_done_to_names_is_counted() {
    let json = br#"{"":1,"_id":1,"a":1,"a":2,"b":1,"b.c":1}"#;
    let report = flat(json).unwrap().1;
    assert_eq!(report.names.counts(), [1, 1, 0, 0, 1, 1, 0]);
}

#[test]
fn a_payload_that_changes_is_learned_anew() {
    let payloads = [
        r#"{"a":1,"b":{"c":2}}"#,
        r#"{"a":3,"b":{"c":4}}"#,
        r#"{"b":{"c":5,"d":6},"e":7}"#,
        r#"{"b":8}"#,
        r#"{"a":9}"#,
    ];
    // What was an object once is never a value of the same name: the server's mapping would refuse it.
    let documents = [r#""a":1,"b.c":2"#, r#""a":3,"b.c":4"#, r#""b.c":5,"b.d":6,"e":7"#, r#""b._value":8"#, r#""a":9"#];
    assert_eq!(ticks(VariableRules::default(), &payloads), documents);
    let arrays = [r#"{"a":[]}"#, r#"{"a":[{"x":1}]}"#, r#"{"a":[{"x":1,"y":2}]}"#, r#"{"a":[1]}"#];
    let columns = [r#""a":[]"#, r#""a.x":[1]"#, r#""a.x":[1],"a.y":[2]"#, r#""a._value":[1]"#];
    assert_eq!(ticks(VariableRules::default(), &arrays), columns);
    let mut variables = Variables::new(with(|rules| rules.drop_object_arrays = true));
    let mut dropped = |json: &[u8]| flat_with(&mut variables, json).unwrap().0;
    assert_eq!(dropped(br#"{"a":[{"x":1}],"b":1}"#), r#""b":1"#);
    assert_eq!(dropped(br#"{"a":[{"x":2}],"b":2}"#), r#""b":2"#);
    assert_eq!(dropped(br#"{"a":[3],"b":3}"#), r#""a":[3],"b":3"#);
    assert_eq!(dropped(br#"{"a":[1,[{}],{"x":2}],"b":4}"#), r#""b":4"#);
}

#[test]
fn the_first_fields_are_kept_for_the_life_of_the_reader() {
    let rules = || with(|rules| rules.fields_max = 3);
    let payloads = [r#"{"a":1,"b":2}"#, r#"{"x":0,"y":0,"a":3,"b":4}"#, r#"{"y":5,"x":6}"#];
    assert_eq!(ticks(rules(), &payloads), [r#""a":1,"b":2"#, r#""x":0,"a":3,"b":4"#, r#""x":6"#]);
    let report = flat_with(&mut Variables::new(rules()), br#"{"a":1,"a":2,"a":3,"a":4,"b":5}"#).unwrap();
    assert_eq!((report.0.as_str(), report.1.names.over_limit), (r#""a":1,"a#2":2,"a#3":3"#, 2));
    // A variable that is beyond them may be an object next time, with a field that was among them.
    let objects =
        [r#"{"a":1,"b":{"c":2},"d":[{"e":3}]}"#, r#"{"a":4,"b":5,"d":6}"#, r#"{"a":7,"b":{"c":8},"d":[{"e":9}]}"#];
    let kept = [r#""a":1,"b.c":2,"d.e":[3]"#, r#""a":4"#, r#""a":7,"b.c":8,"d.e":[9]"#];
    assert_eq!(ticks(rules(), &objects), kept);
}

#[test]
fn include_and_exclude_choose_by_flat_names() {
    let json = r#"{"cmdline":["x"],"a":{"b":1,"c":{"d":2}},"a.e":3,"t":[{"x":1,"y":2}]}"#;
    let choose = |include: &[&str], exclude: &[&str]| {
        with(|rules| rules.choice = Choice::default().replaced(Some(include), Some(exclude)))
    };
    for (include, exclude, members) in [
        (&["**"][..], &[][..], r#""cmdline":["x"],"a.b":1,"a.c.d":2,"a.e":3,"t.x":[1],"t.y":[2]"#),
        (&["a.*"], &["a.c"], r#""a.b":1,"a.e":3"#),
        (&["**.d", "t.y"], &[], r#""a.c.d":2,"t.y":[2]"#),
        (&["**"], &["a", "cmdline", "t.*"], ""),
    ] {
        let mut variables = Variables::new(choose(include, exclude));
        for _ in 0..2 {
            let found = flat_with(&mut variables, json.as_bytes());
            if members.is_empty() {
                assert_eq!(found.expect_err("nothing is left").cause, Cause::AllLeftOut);
            } else {
                assert_eq!(found.unwrap().0, members);
            }
        }
    }
}

/// `memstats` of a target after so many collections, of 1 ns, 2 ns and so on, at 1001 ns, 1002 ns and so on.
fn memstats(collections: u64) -> String {
    let entries = |base: u64| -> String {
        let entry = |at| (1..=collections).rev().find(|&n| gc::entry(n - 1) == at).map_or(0, |n| base + n);
        (0..gc::RING).map(|at| entry(at).to_string()).collect::<Vec<_>>().join(",")
    };
    let total: u64 = (1..=collections).sum();
    format!(
        r#"{{"memstats":{{"PauseTotalNs":{total},"PauseNs":[{}],"PauseEnd":[{}],"NumGC":{collections}}},"z":1}}"#,
        entries(0),
        entries(1000)
    )
}

#[test]
fn a_document_carries_the_pauses_since_the_last() {
    let document = |total: u64, collections: u64, new: &[u64]| {
        let list = |base: u64| new.iter().map(|n| (base + n).to_string()).collect::<Vec<_>>().join(",");
        format!(
            r#""memstats.PauseTotalNs":{total},"memstats.PauseNs":[{}],"memstats.PauseEnd":[{}],"memstats.NumGC":{collections},"z":1"#,
            list(0),
            list(1000)
        )
    };
    let payloads = [2, 2, 5, 3, 260].map(memstats);
    let expected = [
        document(3, 2, &[]),
        document(3, 2, &[]),
        document(15, 5, &[3, 4, 5]),
        document(6, 3, &[1, 2, 3]) + r#","expvastic.restarted":true"#,
        document(260 * 261 / 2, 260, &(5..=260).collect::<Vec<_>>()),
    ];
    let payloads = payloads.each_ref().map(String::as_str);
    assert_eq!(ticks(VariableRules::default(), &payloads), expected);

    let mut variables = Variables::new(VariableRules::default());
    let report = |variables: &mut Variables, json: &str| flat_with(variables, json.as_bytes()).unwrap();
    report(&mut variables, &memstats(2));
    assert_eq!(report(&mut variables, &memstats(260)).1.gc_missed, 2);
    assert!(report(&mut variables, &memstats(1)).1.restarted);
    let again = memstats(2).replace("\"z\":1", "\"memstats\":{\"NumGC\":0,\"PauseTotalNs\":0}");
    assert!(!report(&mut variables, &again).1.restarted, "of several totals the first count");
    let lies = memstats(4).replace("\"PauseTotalNs\":10", "\"PauseTotalNs\":99");
    let (document, found) = report(&mut variables, &lies);
    assert!(document.contains(r#""memstats.PauseNs":[],"#), "{document}");
    assert_eq!((found.gc_doubtful, found.restarted), (1, false));
}

#[test]
fn the_runtimes_members_are_known_however_they_are_written() {
    let plain = [2, 5].map(memstats);
    let escaped = plain.clone().map(|json| json.replace("NumGC", "NumG\\u0043").replace("PauseNs", "\\u0050auseNs"));
    let found = ticks(VariableRules::default(), &escaped.each_ref().map(String::as_str));
    assert_eq!(found, ticks(VariableRules::default(), &plain.each_ref().map(String::as_str)));
}

#[test]
fn totals_of_broken_memstats_do_not_count() {
    let mut variables = Variables::new(VariableRules::default());
    let mut ship = |json: &str| flat_with(&mut variables, json.as_bytes()).unwrap().0;
    ship(&memstats(2));
    assert_eq!(ship(&memstats(4).replace(r#"},"z""#, r#"}x,"z""#)), r#""z":1"#);
    assert_eq!(ship(&memstats(4).replace(r#"},"z""#, r#"},5,"z""#)), r#""z":1"#);
    let document = ship(&memstats(5));
    assert!(document.contains(r#""memstats.PauseNs":[3,4,5]"#), "{document}");
}

#[test]
fn a_variable_with_the_name_of_a_deep_label_finds_room_behind_vars() {
    let name = |segments: usize| vec!["l"; segments].join(".");
    assert!(check_label_name(&name(limits::NAME_SEGMENTS_MAX)).is_err());
    let label = name(limits::NAME_SEGMENTS_MAX - 1);
    assert_eq!(check_label_name(&label), Ok(()));
    let rules = with(|rules| rules.labels = vec![Label { name: label.clone(), value: None }]);
    let (document, _) = flat_with(&mut Variables::new(rules), format!(r#"{{"{label}":1}}"#).as_bytes()).unwrap();
    assert_eq!(document, format!(r#""vars.{label}":1"#));
}

#[test]
fn a_restart_alone_is_no_document() {
    let mut variables = Variables::new(with(|rules| rules.fields_max = 1));
    let mut ship = |json: &str| flat_with(&mut variables, json.as_bytes());
    let first = |name: &str, collections: u64| format!(r#"{{"{name}":1,{}"#, &memstats(collections)[1..]);
    assert_eq!(ship(&first("x", 5)).unwrap().0, r#""x":1"#);
    assert_eq!(ship(&first("x", 2)).unwrap().0, r#""x":1,"expvastic.restarted":true"#);
    let without = first("y", 1);
    assert_eq!(ship(&without).unwrap_err().cause, Cause::AllLeftOut);
    // It is told by the next document that there is.
    assert_eq!(ship(&first("x", 1)).unwrap().0, r#""x":1,"expvastic.restarted":true"#);
}

#[test]
fn what_is_no_ring_is_shipped_as_it_is() {
    for json in [
        r#"{"memstats":{"PauseNs":[1,2],"NumGC":2,"PauseTotalNs":3}}"#,
        r#"{"memstats":{"PauseNs":7,"PauseEnd":"x"}}"#,
        r#"{"app":{"PauseNs":[1]}}"#,
    ] {
        let all = ticks(with(|rules| rules.gc_pauses = GcPauses::All), &[json, json]);
        assert_eq!(ticks(VariableRules::default(), &[json, json]), all);
    }
    let alone = memstats(3).replace("NumGC", "Other");
    let all = ticks(with(|rules| rules.gc_pauses = GcPauses::All), &[&alone]);
    assert_eq!(ticks(VariableRules::default(), &[&alone]), all);
    let off = ticks(with(|rules| rules.gc_pauses = GcPauses::Off), &[&memstats(3)]);
    assert_eq!(off, [r#""memstats.PauseTotalNs":6,"memstats.NumGC":3,"z":1"#]);
    let hidden =
        with(|rules| rules.choice = Choice::default().replaced(None, Some(&["memstats.NumGC", "memstats.PauseNs"])));
    let ends = ticks(hidden, &[&memstats(3), &memstats(4)]);
    assert_eq!(ends[1], r#""memstats.PauseTotalNs":10,"memstats.PauseEnd":[1004],"z":1"#);
}

#[test]
fn no_bytes_make_it_panic_or_emit_anything_but_json() {
    // Each truncation and a flip of each byte of a body with everything in it.
    let json = br#"{"a":[1,{"b":"\u00e9\n","c":[true,null]},-2.5e3],"d":{"e":"x\"y","f":{}} , "g":[[],[1]]}"#;
    for end in 0..json.len() {
        let _ = flat(&json[..end]);
        for flipped in [b'"', b'{', b'}', b'[', b']', b',', b':', b'\\', b' ', b'\n', b'0', 0, 0xff] {
            let mut body = json.to_vec();
            body[end] = flipped;
            let _ = flat(&body);
        }
    }
}

#[test]
fn names_that_are_changed_are_known_to_those_who_ask() {
    let (nested, name) = ("{\"d\":".repeat(20) + "1" + &"}".repeat(20), "deep".to_owned() + &".d".repeat(19));
    let json =
        format!(r#"{{"o":{{"":1,"_id":2}},"_id":3,"v":4,"v.w":5,"v":6,"plain":7,"deep":{nested},"t":["a","\ud800"]}}"#);
    let mut variables = Variables::new(VariableRules::default());
    variables.want_changed();
    let (_, report) = flat_with(&mut variables, json.as_bytes()).unwrap();
    let ChangedNames { names, more, mended_text } = variables.changed();
    let names: Vec<(&str, &str)> = names.iter().map(|[name, shipped]| (name.as_str(), shipped.as_str())).collect();
    let (deep, flattened) = (name.clone() + ".d", name + "_d");
    let expected = [("o.", "o._"), ("_id", "vars._id"), ("v", "v._value"), ("v", "v._value#2"), (&deep, &flattened)];
    assert_eq!(names, expected);
    assert_eq!((more, mended_text.as_deref()), (0, Some("t")));
    assert_eq!(report.names.reserved, 1);
    assert_eq!(variables.changed(), ChangedNames::default(), "once");
    let mut others = Variables::new(VariableRules::default());
    flat_with(&mut others, json.as_bytes()).unwrap();
    assert_eq!(others.changed(), ChangedNames::default(), "nobody has asked");
}
