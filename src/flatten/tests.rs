//! The sanitiser against plain expectations; `tests/payloads.rs` compares it with a naive twin on real payloads.

use super::*;

fn flat(json: &[u8]) -> Result<(String, Report), FlattenError> {
    let mut scratch = Scratch::new();
    let mut body = json.to_vec();
    let mut out = b"{\"@\":0".to_vec();
    let report = scratch.flatten(&mut body, &mut out);
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
            r#""a":18446744073709551615,"b":0.1234567890123,"c":5e-324"#,
        ),
        (r#"{"a":null,"b":{},"c":{"d":{}},"e":false}"#, r#""e":false"#),
        (r#"{"a": [1, 2 ,3], "b":[], "c":["x",null,true]}"#, r#""a":[1, 2 ,3],"b":[],"c":["x",null,true]"#),
        ("{\"a\":[\n1,\r\n2]}", r#""a":[1,2]"#),
        (r#"{"a":[[1,2],[3]]}"#, r#""a":[[1,2],[3]]"#),
        (r#"{"q\"k":"\u0000\n\\","":{"":2}}"#, r#""q\"k":"\u0000\n\\",".":2"#),
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
        (r#"{"a":[{"n":1,"s":"x"},{"n":2}]}"#, r#""a.n":[1,2],"a.s":["x"]"#),
        (r#"{"a":[{"d":{"e":1}},{"d":{"e":2,"f":null}}]}"#, r#""a.d.e":[1,2]"#),
        (r#"{"a":[{"l":[1,2]},{"l":[]}]}"#, r#""a.l":[[1,2],[]]"#),
        (r#"{"a":[{"l":[{"x":1},{"x":2}]},{"l":[{"x":3}]}]}"#, r#""a.l.x":[[1,2],[3]]"#),
        (r#"{"a":[1,{"x":2},"three",null]}"#, r#""a._value":[1,"three"],"a.x":[2]"#),
        (r#"{"a":[[{"x":1}],{"x":2}]}"#, r#""a.x":[1,2]"#),
        (r#"{"a":[{},{}],"b":1}"#, r#""b":1"#),
        (r#"{"a":[{"s":"\"\\"},{"s":"\ud800"}]}"#, "\"a.s\":[\"\\\"\\\\\",\"\u{fffd}\"]"),
    ] {
        assert_eq!(flat(json.as_bytes()).expect(json).0, members, "{json}");
    }
}

#[test]
fn only_the_broken_value_is_lost() {
    for (json, members, broken) in [
        (r#"{"a":1,"cache": ,"b":2}"#, r#""a":1,"b":2"#, 1),
        (r#"{"a":1,"queue": }"#, r#""a":1"#, 1),
        (r#"{"a":NaN,"b":+Inf,"c":-Inf,"d":Infinity,"e":5}"#, r#""e":5"#, 4),
        (r#"{"d":152.295657ms,"b":2}"#, r#""b":2"#, 1),
        (r#"{"m":{"a": 1, "bad": , "z": 2}}"#, r#""m.a":1,"m.z":2"#, 1),
        (r#"{"caf\xe9.log":1,"b":"caf\xe9","c":3}"#, r#""c":3"#, 2),
        (r#"{"l":[1,NaN,3],"m":[NaN],"n":[+Inf,2]}"#, r#""l":[1,3],"m":[],"n":[2]"#, 3),
        (r#"{"a":1 2,"b":"x" y,"c":[1 2,3],"d":4}"#, r#""c":[3],"d":4"#, 3),
        (r#"{"a":01,"b":1.,"c":.5,"d":tru,"e":nulll,"f":6}"#, r#""f":6"#, 5),
        (r#"{"a" 1,"b":2,nokey:3,}"#, r#""b":2"#, 3),
        (r#"{"a":[{"x":NaN,"y":1},{"x":2,"y":}]}"#, r#""a.y":[1],"a.x":[2]"#, 2),
        (r#"{"a":{"b":NaN x {"c":1}},"d":4}"#, r#""d":4"#, 1),
    ] {
        let (found, report) = flat(json.as_bytes()).expect(json);
        assert_eq!(found, members, "{json}");
        assert_eq!(report.broken, broken, "{json}");
        assert!(report.first_broken.is_some());
    }
}

#[test]
fn what_is_no_object_is_refused_whole() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(64), "]".repeat(64));
    let deeper = "{\"a\":".repeat(65);
    let hidden = format!("{{\"a\":[{{\"b\":{}{}}}]}}", "[".repeat(100), "]".repeat(100));
    for (json, cause, offset) in [
        ("", Cause::Empty, 0),
        ("{}", Cause::NoVariables, 0),
        (" {\n} ", Cause::NoVariables, 0),
        (r#"{"a":null,"b":{},"cmdline":[1],"c": }"#, Cause::NoVariables, 0),
        ("[]", Cause::NotAnObject, 0),
        ("12", Cause::NotAnObject, 0),
        ("<html><body>503</body></html>", Cause::NotAnObject, 0),
        (r#"{"a":1"#, Cause::CutOff, 6),
        (r#"{"a":[1,2,"#, Cause::CutOff, 10),
        (r#"{"a"#, Cause::CutOff, 3),
        ("{", Cause::CutOff, 1),
        (r#"{"a":1}}"#, Cause::TrailingData, 7),
        (r#"{"a":1} {"b":2}"#, Cause::TrailingData, 8),
        (r#"{"a":[1}"#, Cause::Unexpected(b'}'), 7),
        (r#"{"a":1]"#, Cause::Unexpected(b']'), 6),
        (&deep, Cause::TooDeep, 68),
        (&deeper, Cause::TooDeep, 320),
    ] {
        assert_eq!(flat(json.as_bytes()).expect_err(json), FlattenError { cause, offset }, "{json}");
    }
    assert_eq!(flat(hidden.as_bytes()).expect_err("deep").cause, Cause::TooDeep);
    assert!(flat(format!("{{\"a\":{}1{}}}", "[".repeat(63), "]".repeat(63)).as_bytes()).is_ok());
}

#[test]
fn a_document_stays_within_its_bound() {
    let numbers: Vec<String> = (0..1000).map(|n| format!("\"{n}\":{n}")).collect();
    let wide = format!("{{\"{}\":{{{}}}}}", "k".repeat(100_000), numbers.join(","));
    assert_eq!(flat(wide.as_bytes()).expect_err("100 MB from 113 kB").cause, Cause::DocumentTooLong);
    let row = format!("{{\"{}\":1}}", "k".repeat(100_000));
    let table = format!("{{\"a\":[{}]}}", vec![row; 200].join(","));
    let (document, _) = flat(table.as_bytes()).expect("one column");
    assert!(document.len() < 101_000);
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
        mended: 0,
        first_broken: Some(json.len() - 4),
    };
    assert_eq!(report, expected);
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
