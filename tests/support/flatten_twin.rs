//! The naive twin of the flattener: a tree of values and plain recursion, for payloads that are strict JSON and whose
//! names need no mending. With `arbitrary_precision` a number keeps the text that the payload has.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Flat name to value.
pub(crate) type Flat = BTreeMap<String, Value>;

/// What a document must hold of `payload`: all of it, but what stays out by default.
pub(crate) fn expected_fields(payload: &Value) -> Flat {
    let mut flat = flatten(payload);
    flat.retain(|name, _| name != "cmdline" && !name.starts_with("memstats.BySize."));
    flat
}

/// Every leaf of `payload` under its joined name. Nulls and empty objects leave nothing; an array is one leaf, unless it
/// is one of objects: that becomes one array per member.
pub(crate) fn flatten(payload: &Value) -> Flat {
    let mut flat = Flat::new();
    if let Value::Object(members) = payload {
        flatten_members("", members, &mut flat);
    }
    flat
}

fn flatten_members(prefix: &str, members: &Map<String, Value>, flat: &mut Flat) {
    for (name, value) in members {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Null => {}
            Value::Object(inner) => flatten_members(&path, inner, flat),
            Value::Array(elements) if !elements.is_empty() && elements.iter().all(Value::is_object) => {
                flatten_columns(&path, elements, flat);
            }
            leaf => {
                flat.insert(path, leaf.clone());
            }
        }
    }
}

fn flatten_columns(path: &str, elements: &[Value], flat: &mut Flat) {
    for element in elements {
        for (member, value) in flatten(element) {
            let column = flat.entry(format!("{path}.{member}")).or_insert_with(|| Value::Array(Vec::new()));
            column.as_array_mut().expect("a column is an array").push(value);
        }
    }
}

#[test]
fn the_twin_flattens_as_the_contract_says() {
    let table = [
        (r#"{"a":1,"b":{"c":{"d":2.50}}}"#, r#"{"a":1,"b.c.d":2.50}"#),
        (r#"{"a":null,"b":{},"c":{"d":null},"e":[]}"#, r#"{"e":[]}"#),
        (r#"{"a":18446744073709551615,"b":-0.0,"c":1e400}"#, r#"{"a":18446744073709551615,"b":-0.0,"c":1e400}"#),
        (r#"{"a":[3,1,2],"b":["y","x"],"c":true,"d":""}"#, r#"{"a":[3,1,2],"b":["y","x"],"c":true,"d":""}"#),
        (r#"{"a":[{"n":1,"m":{"k":"x"}},{"n":2}]}"#, r#"{"a.n":[1,2],"a.m.k":["x"]}"#),
    ];
    for (payload, expected) in table {
        let payload: Value = serde_json::from_str(payload).unwrap();
        let expected: Flat = serde_json::from_str(expected).unwrap();
        assert_eq!(flatten(&payload), expected, "{payload}");
    }
}

#[test]
fn the_twin_leaves_out_what_the_defaults_do() {
    let payload = serde_json::json!({"cmdline": ["a"], "memstats": {"Sys": 1, "BySize": [{"Size": 8}]}});
    let flat = expected_fields(&payload);
    assert_eq!(flat.keys().collect::<Vec<_>>(), ["memstats.Sys"]);
}
