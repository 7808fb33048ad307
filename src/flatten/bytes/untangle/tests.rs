use super::*;

fn copy(body: &[u8]) -> Result<String, FlattenError> {
    let mut copy = b"what was before".to_vec();
    untangle(body, &mut copy)?;
    Ok(String::from_utf8(copy).expect("UTF-8"))
}

#[test]
fn a_copy_has_a_mark_for_each_value_that_is_lost() {
    for (body, expected) in [
        (&br#" {"a" : 1 , "b":[1 , 2], "c":{ } } "#[..], r#"{"a":1,"b":[1,2],"c":{}}"#),
        (
            br#"{"a":NaN,"b":,"c":1 2,"d":"x"y,"e":[1 2,,],"f":{"g":1,2}}"#,
            r#"{"a":?,"b":?,"c":?,"d":?,"e":[?],"f":{"g":?}}"#,
        ),
        (br#"{"a":[1,2]3,"b":{"c":[},"d":1}"#, ""),
        (b"{\"a\":\"\xff\",\"\xff\\\xffb\":1,\"c\":\"\t\",\"d\":\"\\x\"}", r#"{"a":?,"\?xff\xffb":?,"c":?,"d":?}"#),
        (br#"{x"y"z{"w":[1]},"b":2}"#, r#"{"\?x'y'z{'w':[1]}":?,"b":2}"#),
        (b"{\n\"a\": 1 {,\n\"b\": [\n1,\n2],\n\"c\": \"x\",\n\"d\":}\n}\n", r#"{"a":?,"b":[1,2],"c":"x","d":?}"#),
        (b"{\n\"a\": 1,\n\"b\n\": 2\n}", r#"{"a":1,"\?bx0a":?}"#),
    ] {
        assert_eq!(copy(body).unwrap_or_default(), expected, "{}", body.escape_ascii());
    }
}

#[test]
fn a_variable_that_is_too_deep_is_told_from_one_that_is_no_json() {
    let by_lines = |value: &str| copy(format!("{{\n\"a\": {value},\n\"b\": 1 {{\n}}").as_bytes());
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(64), close.repeat(64));
    assert_eq!(by_lines(&deep("[", "]")).unwrap_err().cause, Cause::TooDeep);
    assert_eq!(by_lines(&"[".repeat(64)).unwrap(), r#"{"a":?,"b":?}"#);
    assert_eq!(copy(format!("{{\"a\":{},x}}", deep("{\"a\":", "}")).as_bytes()).unwrap_err().cause, Cause::TooDeep);
    assert_eq!(copy(format!("{{\"a\":1{}}}", deep("[", "]")).as_bytes()).unwrap_err().cause, Cause::TooDeep);
}

#[test]
fn a_copy_is_a_few_times_its_body_at_most() {
    let units = [
        "[",
        "]",
        "{",
        "}",
        ",",
        "\"",
        ":",
        "NaN",
        "NaN,",
        "\",\n\"",
        "\n",
        ",\n\"a\": ",
        ",\n\"a\": {",
        ",\n\"a\": [1,\n",
        "\"a\":",
        "\"a\":{",
        "\"a\":[",
        "\"a\":1,",
        "\"a\":1 2,",
        "\"a\"",
        "\"a\" ",
        "\"a\",",
        ",\n\"a\": \"",
        ",\n\"a\": \"\\",
        "\\",
        "\\\"",
        "[,",
        "{,",
        "[1,",
        " ",
        "1 ",
        ",\n\"a\": 1 {",
        "\n}\n{",
        "{\"a\":",
        "[[],",
        "{\"a\":1},",
        "\u{e9}",
        "\u{0}",
        "x\"y\"",
        "1,",
        ",\n\"\": ,",
        ",\n\"a\": {\n\"b\": [\n",
    ];
    for unit in units {
        for (begin, end) in [
            ("{\n\"x\": ", "\n}"),
            ("{\n\"x\": {\"y\": ", "}\n}"),
            ("{", "}"),
            ("{\"x\":[", "]}"),
            ("{\"x\":\"", "\"}"),
        ] {
            let body = format!("{begin}{}{end}", unit.repeat((1 << 16) / unit.len()));
            let mut copy = Vec::new();
            let _ = untangle(body.as_bytes(), &mut copy);
            assert!(copy.len() <= 4 * body.len(), "{unit:?} in {begin:?}");
        }
    }
}

#[test]
fn a_large_body_of_little_but_brackets_is_not_mended() {
    let text = |piece: &str, bytes: usize| piece.repeat(bytes / piece.len());
    for piece in ["[],", "1,", "{},"] {
        assert!(is_too_dense(text(piece, 400_000).as_bytes()), "{piece}");
        assert!(!is_too_dense(text(piece, 300_000).as_bytes()), "{piece}");
    }
    for piece in ["\"name\":12,", "[123,456],", "{\"a\":1},\n"] {
        assert!(!is_too_dense(text(piece, 1_000_000).as_bytes()), "{piece}");
    }
}
