//! Payloads that are broken in part, and payloads that are refused.

use super::*;

#[test]
fn only_the_broken_value_is_lost() {
    for (json, members, broken) in [
        (r#"{"a":1,"cache": ,"b":2}"#, r#""a":1,"b":2"#, 1),
        (r#"{"a":1,"queue": }"#, r#""a":1"#, 1),
        (r#"{"a":NaN,"b":+Inf,"c":-Inf,"d":Infinity,"e":5}"#, r#""e":5"#, 4),
        (r#"{"d":152.295657ms,"b":2}"#, r#""b":2"#, 1),
        (r#"{"m":{"a": 1, "bad": , "z": 2}}"#, r#""m.a":1,"m.z":2"#, 1),
        (r#"{"caf\xe9.log":1,"b":"caf\xe9","c":3}"#, r#""c":3"#, 2),
        (r#"{"l":[1,NaN,3],"m":[NaN],"n":[+Inf,2]}"#, r#""l":[1,null,3],"m":[null],"n":[null,2]"#, 3),
        (r#"{"a":1 2,"b":"x" y,"c":[1 2,3],"d":4}"#, r#""c":[null,3],"d":4"#, 3),
        (r#"{"a":01,"b":1.,"c":.5,"d":tru,"e":nulll,"f":6}"#, r#""f":6"#, 5),
        (r#"{"a" 1,"b":2,nokey:3,"c":4}"#, r#""c":4"#, 2),
        (r#"{"a":[{"x":NaN,"y":1},{"x":2,"y":}]}"#, r#""a.x":[null,2],"a.y":[1,null]"#, 2),
        (r#"{"a":{"b":NaN x {"c":1}},"d":4}"#, r#""d":4"#, 1),
        (r#"{"a":[{"x":1,"y":"b" c,"z":[1] 2},{"x":2 3},"x":1]}"#, r#""a.x":[1,null,null]"#, 4),
        (r#"{"l":[NaN x,],"m":[[1] 2],"n":[{"x":1},NaN x]}"#, r#""l":[null],"m":[null],"n.x":[1,null]"#, 3),
        ("{\"a\":\"\\\t\",\"b\":1}", r#""b":1"#, 1),
        // No half of a value.
        (r#"{"a":1,234,"b":2}"#, r#""b":2"#, 1),
        (r#"{"m":{"k":1,234,567,"l":3},"p":12,5,"t":52.1, 13.4,"b":2}"#, r#""m.l":3,"b":2"#, 3),
        (r#"{"a":"x","y","t":true,false,"n":null,3,"o":{"k":1},{"k":2},"l":[1],[2],"b":2}"#, r#""b":2"#, 5),
        (r#"{"a":[{"k":1,234,"l":2},{"k":3}]}"#, r#""a.k":[null,3],"a.l":[2,null]"#, 1),
        (r#"{"caf\xe9":1,234,"b":2}"#, r#""b":2"#, 1),
        (r#"{"a":{"b":1},x,"c":2}"#, r#""c":2"#, 1),
        // A missing element has its place.
        (
            r#"{"a":[1,,3],"b":[,1],"c":[ , , 1,],"d":[[,2]]}"#,
            r#""a":[1,null,3],"b":[null,1],"c":[null,null,1],"d":[[null,2]]"#,
            5,
        ),
        (r#"{"a":[{"x":1},,{"x":3}],"b":[1, 2 3, 4]}"#, r#""a.x":[1,null,3],"b":[1,null,4]"#, 2),
    ] {
        let (found, report) = flat(json.as_bytes()).expect(json);
        assert_eq!(found, members, "{json}");
        assert_eq!(report.broken, broken, "{json}");
    }
}

#[test]
fn superfluous_commas_lose_nothing() {
    for (json, members) in [
        (r#"{"a":1,"b":{"c":2,},"d":[1,2,],"e":3,}"#, r#""a":1,"b.c":2,"d":[1,2],"e":3"#),
        (r#"{,,"a":1,, ,"b":[{"x":1,},],"c":[,],"d":{,}}"#, r#""a":1,"b.x":[1],"c":[]"#),
        ("{\n\"a\": 1,,\n\"b\": [1],\n}\n", r#""a":1,"b":[1]"#),
    ] {
        let (found, report) = flat(json.as_bytes()).expect(json);
        assert_eq!((found.as_str(), report.broken), (members, 0), "{json}");
    }
}

/// The names of what a payload loses, as they are reported.
fn lost(json: &[u8]) -> Vec<String> {
    let mut variables = Variables::new(VariableRules::default());
    flat_with(&mut variables, json).unwrap_or_else(|error| panic!("{}: {error}", json.escape_ascii()));
    variables.lost(Loss::Broken).names
}

#[test]
fn what_is_lost_is_named() {
    for (json, names) in [
        (&br#"{"a":NaN,"m":{"k":,"l":1},"c":[1,NaN],"t":[{"x":1,"y":NaN}]}"#[..], &["a", "m.k", "c", "t.y"][..]),
        (br#"{"a":1,234,"m":{"k":1,234,567,"l":3},"c":[1,,2],"x":1e400}"#, &["a", "m.k", "c", "x"]),
        (br#"{"caf\xe9.log":1,"m":{"caf\xe9":2},"a":3}"#, &["caf\\xe9.log", "m.caf\\xe9"]),
        (b"{\"caf\xe9.log\":1,\"m\":{\"a\tb\":2},\"a\":3}", &["cafxe9.log", "m.ax09b"]),
        (br#"{no key: 1,"m":{"a" 1, "b":2},"a":3}"#, &["no key: 1", "m.'a' 1"]),
        (b"{\n\"a\": x } y,\n\"b\": [1, NaN],\n\"caf\\xe9\": {,\n\"c\": 1\n}\n", &["a", "b", "caf\\xe9"]),
    ] {
        assert_eq!(lost(json), names, "{}", json.escape_ascii());
    }
    let mut variables = Variables::new(VariableRules::default());
    let mut reported = |json: &str| {
        flat_with(&mut variables, json.as_bytes()).unwrap();
        variables.lost(Loss::Broken)
    };
    assert_eq!(reported(r#"{"a":1,"b":NaN,"c":2}"#).names, ["b"]);
    assert_eq!(reported(r#"{"a":1,"b":NaN,"c":NaN}"#).names, ["c"], "one that is lost later");
    assert_eq!(reported(r#"{"d":NaN,"a":1,"b":NaN,"c":NaN,"e":1}"#).names, ["d"], "in another layout");
    assert_eq!(reported(r#"{"d":NaN,"a":1 2,"b":NaN,"c":NaN,"e":1}"#).names, ["a"], "in a body that is tangled");
    let many: Vec<String> = (0..12).map(|n| format!("\"m{n}\":")).collect();
    let LostNames { names, more } = reported(&format!("{{\"z\":1,{}}}", many.join(",")));
    assert_eq!((names.len(), more), (limits::LOST_NAMES_TOLD, 12 - limits::LOST_NAMES_TOLD));
    assert_eq!(reported(r#"{"z":1}"#).names, ["m5", "m6", "m7", "m8", "m9"]);
}

/// Bodies that are written a variable a line: what is broken ends where the next variable begins.
#[test]
fn a_variable_that_holds_anything_costs_itself_only() {
    for value in [
        "unexpected } here",
        "unexpected { here",
        "invalid [ here",
        "invalid ] here",
        "5\" disk",
        "parse \"{\": {",
        "}",
        "{",
        "[",
        "]",
        "\"",
        "},",
        "{,",
        "],",
        "[,",
        "1}",
        "1 }",
        "}}}}",
        "[[[[",
        "{\"a\":1",
        "{\"a\":1}}",
        "[1,2",
        "\"a\" \"",
        "map[{1 2}:3 \"x]",
        "1,234",
        "\"a\", \"b\"",
        "true, false",
        "{\"k\":1}, {\"k\":2}",
        "[1], [2]",
        "NaN, \"y\": 1",
        "\\",
        "\\\"",
        "\"\\",
        "'",
        "a: b",
        "goroutine 1 [running]:\nmain.main()\n\t/x.go:12 +0x1d {",
        "line\n}",
        "x\n{\n",
        "\"two\nlines\"",
        "<html>\n<a href=\"x\">\n",
        "{\"m\": x { y, \"b\": 2}",
        "{\"q\"x\": 1, \"k\": 2}",
        "\u{1}",
        "{\n\"x\n}",
        "[\n1,\n2\n",
        "\"a\": 1",
        ":",
        "?",
        "",
    ] {
        let others = [(r#""b4": 1"#, r#""after": 2|"z": {"y":3}"#), (r#""b4": 1"#, ""), ("", r#""z": {"y":3}"#)];
        let gaps = ["\n", "\n  ", "\r\n", "\n\t"];
        for ((before, after), gap) in others.iter().flat_map(|others| gaps.map(|gap| (others, gap))) {
            let err = format!("\"err\": {value}");
            let lines = [*before, err.as_str()].into_iter().chain(after.split('|'));
            let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
            let json = format!("{{{gap}{}\n}}\n", lines.join(&format!(",{gap}")));
            let (found, report) = flat(json.as_bytes()).expect(&json);
            let mut members = Vec::new();
            members.extend((!before.is_empty()).then_some(r#""b4":1"#));
            members.extend(after.contains("after").then_some(r#""after":2"#));
            members.extend((!after.is_empty()).then_some(r#""z.y":3"#));
            assert_eq!(found, members.join(","), "{json}");
            assert_eq!(report.broken, 1, "{json}");
            assert_eq!(lost(json.as_bytes()), ["err"], "{json}");
        }
    }
}

#[test]
fn a_body_with_lines_keeps_what_is_whole() {
    for (json, members, broken) in [
        ("{\n\"m\": {\"k\": 1,234,567, \"l\": 3},\n\"after\": 2\n}", r#""m.l":3,"after":2"#, 1),
        ("{\n\"m\": {\n\"k\": 1,\n\"l\": NaN\n},\n\"x\": [,\n\"after\": 2\n}", r#""m.k":1,"after":2"#, 2),
        ("{\n\"m\": {\n  \"k\": 1,2,\n  \"l\": 3\n},\n\"x\": ],\n\"after\": 2\n}", r#""m.l":3,"after":2"#, 2),
        ("{\n\"a\": {,\n\"b\": 1,\n\"c\": },\n\"d\": 2\n}", r#""b":1,"d":2"#, 2),
        ("{\n\"a\": {\"k\": NaN,\n\"b\": 1,\n\"c\": 2 },\n\"d\": 2\n}", r#""b":1,"d":2"#, 2),
        ("{\n\"cmdline\": [ {,\n\"b\": 1,\n\"c\": } ],\n\"d\": 2\n}", r#""b":1,"d":2"#, 1),
        ("{\n\"cmdline\": x y,\"a\": 1,\n\"d\": 2\n}", r#""d":2"#, 0),
        ("{\n\"cmdline\": NaN,\"a\": 1,\n\"d\": 2\n}", r#""d":2"#, 0),
        ("{\n\"cmdline\": [1, x],\"a\": 1,\n\"d\": 2\n}", r#""d":2"#, 0),
        ("{\n\"cmdline\": {\"k\": \"\\xe9\"},\"a\": 1,\n\"d\": 2\n}", r#""d":2"#, 0),
        ("{\n\"cmdline\": \"x\" 1,\"a\": 1,\n\"d\": 2\n}", r#""d":2"#, 0),
        ("{\n\"cmdline\": ,\"a\": 1,\n\"d\": 2\n}", r#""d":2"#, 0),
        ("{\n\"cmdline\": [\"-x\", {\"k\": -1.5e3}], \"a\": 1,\n\"d\": 2\n}", r#""a":1,"d":2"#, 0),
        ("{\n\"cmdline\": null, \"a\": 1,\n\"d\": 2\n}", r#""a":1,"d":2"#, 0),
        ("{\n\"a\": [1, NaN, 3],\n\"b\": ,\n\"c\": 1,234\n}", r#""a":[1,null,3]"#, 3),
        ("{\n\"a\": x \"y,\n\"bad\\xe9\": 1,\n\"c\": 2\n}", r#""c":2"#, 2),
        ("{\n\"a\": 1, \"b\": 2 3, \"c\": 4\n}", r#""a":1,"c":4"#, 1),
        ("{\n\n\"a\": 1,\n\"b\": 2 3,\n\"c\": 4}", r#""a":1,"c":4"#, 1),
        ("{\n  \"m\": {\n    \"a\": 1,\n    \"b\": 2 3\n  },\n  \"x\": },\n  \"c\": 4\n}", r#""m.a":1,"c":4"#, 2),
        ("\u{feff}{\n\"a\": 5\" disk,\n\"c\": 2\n}", r#""c":2"#, 1),
    ] {
        let (found, report) = flat(json.as_bytes()).expect(json);
        assert_eq!(found, members, "{json}");
        assert_eq!(report.broken, broken, "{json}");
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
        (r#"{"a":null,"b":{},"c": }"#, Cause::AllBroken, 0),
        (r#"{"a":1 2,"cmdline":3}"#, Cause::AllBroken, 0),
        (r#"{"a":null,"cmdline":[1]}"#, Cause::AllLeftOut, 0),
        ("[]", Cause::NotAnObject, 0),
        ("12", Cause::NotAnObject, 0),
        ("<html><body>503</body></html>", Cause::NotAnObject, 0),
        (r#"{"a":1"#, Cause::CutOff, 6),
        (r#"{"a":[1,2,"#, Cause::CutOff, 10),
        (r#"{"a"#, Cause::CutOff, 3),
        ("{", Cause::CutOff, 1),
        ("{\n\"a\": 5\" disk,\n\"b\": 2", Cause::CutOff, 22),
        (r#"{"a":1}}"#, Cause::TrailingData, 7),
        (r#"{"a":1} {"b":2}"#, Cause::TrailingData, 8),
        ("{\n\"a\": 1\n}\n{\n\"b\": 2\n}\n", Cause::TrailingData, 11),
        (r#"{"a":[1}"#, Cause::Broken, 6),
        (r#"{"a":1]"#, Cause::CutOff, 7),
        (r#"{"a":[1]]}"#, Cause::Broken, 5),
        (r#"{"a":{"b":1,"c":{"d":2}}"#, Cause::Unclosed, 24),
        (r#"{"b4":1,"uri":"/s.php?q="cat","len":5,"after":2}"#, Cause::Broken, 14),
        ("{\n\"a\": 5\" disk,\n\"b\": 2}", Cause::Broken, 7),
        (&deep, Cause::TooDeep, 68),
        (&deeper, Cause::TooDeep, 320),
    ] {
        assert_eq!(flat(json.as_bytes()).expect_err(json), FlattenError { cause, offset }, "{json}");
    }
    assert_eq!(flat(hidden.as_bytes()).expect_err("deep").cause, Cause::TooDeep);
    assert!(flat(format!("{{\"a\":{}1{}}}", "[".repeat(63), "]".repeat(63)).as_bytes()).is_ok());
}

#[test]
fn bytes_that_are_no_text_cost_their_variable_only() {
    let json = b"{\"a\":1,\"caf\xe9\":2,\"b\":{\"c\":\"x\xffy\",\"d\":\"raw\ttab\",\"e\":3},\"l\":[\"\xff\",4]}";
    let (found, report) = flat(json).unwrap();
    assert_eq!((found.as_str(), report.broken), (r#""a":1,"b.e":3,"l":[null,4]"#, 4));
    assert_eq!(flat(b"{\"a\xff\":1,\"b\"").expect_err("cut").offset, 11);
}

#[test]
fn numbers_that_no_server_stores_cost_themselves_only() {
    let huge = "9".repeat(400);
    let long = format!("0.{}1", "0".repeat(1000));
    let json = format!(
        r#"{{"a":1e400,"b":-1e309,"c":{huge},"d":{long},"e":[1,1e999,2],"f":1e308,"g":123456789012345678901234567890}}"#
    );
    let (found, report) = flat(json.as_bytes()).unwrap();
    assert_eq!(found, r#""e":[1,null,2],"f":1e308,"g":123456789012345678901234567890.0"#);
    assert_eq!((report.out_of_range, report.broken), (5, 0));
}

#[test]
fn elements_that_are_missing_have_their_places_up_to_a_bound() {
    let missing = |count: usize| format!("[{}1]", ",".repeat(count));
    let (found, report) = flat(format!("{{\"a\":{}}}", missing(limits::GAPS_MAX)).as_bytes()).unwrap();
    assert_eq!(found, format!("\"a\":[{}1]", "null,".repeat(limits::GAPS_MAX)));
    assert_eq!(report.broken, limits::GAPS_MAX as u64);
    let more = missing(limits::GAPS_MAX + 1);
    assert_eq!(flat(format!("{{\"a\":{more}}}").as_bytes()).unwrap_err().cause, Cause::Broken);
    let lines = format!("{{\n\"a\": {more},\n\"b\": 1,\n\"c\": [,2]\n}}");
    assert_eq!(flat(lines.as_bytes()).unwrap().0, r#""b":1,"c":[null,2]"#);
    let superfluous = format!("{{\"a\":[1{}]}}", ",".repeat(2 * limits::GAPS_MAX));
    assert_eq!(flat(superfluous.as_bytes()).unwrap().0, r#""a":[1]"#);
}
