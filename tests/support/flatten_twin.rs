//! The naive twin of the flattener: a tree of values and plain recursion, for payloads that are strict JSON and whose
//! names need no mending. With `arbitrary_precision` a number keeps the text that the payload has.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Flat name to value.
pub(crate) type Flat = BTreeMap<String, Value>;

/// What a document must hold of `payload` under the default rules, `before` being the payload of the tick before it
/// (none at the first tick of a reader).
pub(crate) fn expected_fields(payload: &Value, before: Option<&Value>) -> Flat {
    let mut flat = flatten(payload);
    flat.retain(|name, _| name != "cmdline" && !name.starts_with("memstats.BySize."));
    for ring in ["PauseNs", "PauseEnd"] {
        let name = format!("memstats.{ring}");
        let pauses = new_pauses(payload, before, ring);
        if pauses.is_empty() {
            flat.remove(&name);
        } else {
            flat.insert(name, Value::Array(pauses));
        }
    }
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

/// The entries of a ring buffer of 256 that were written since `before`, oldest first.
fn new_pauses(payload: &Value, before: Option<&Value>, ring: &str) -> Vec<Value> {
    let collections = |payload: &Value| payload["memstats"]["NumGC"].as_u64().expect("memstats.NumGC");
    let (first, last) = (before.map_or(0, collections), collections(payload));
    assert!(last >= first && last - first <= 256, "the ring holds all of {first}..{last}");
    (first..last)
        .map(|number| {
            let slot = usize::try_from(number % 256).expect("a slot of the ring");
            payload["memstats"][ring][slot].clone()
        })
        .collect()
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
fn the_twin_takes_only_what_the_defaults_ship() {
    let payload = |num_gc: u64, slot: usize| {
        let mut ring = vec![0; 256];
        ring[slot] = 77;
        serde_json::json!({
            "cmdline": ["a"],
            "memstats": {"NumGC": num_gc, "PauseNs": ring, "PauseEnd": [], "BySize": [{"Size": 8}]}
        })
    };
    let (before, after) = (payload(256, 255), payload(257, 0));
    let flat = expected_fields(&after, Some(&before));
    let expected: Flat =
        serde_json::from_str(r#"{"memstats.NumGC":257,"memstats.PauseNs":[77],"memstats.PauseEnd":[null]}"#).unwrap();
    assert_eq!(flat, expected);
    let flat = expected_fields(&after, Some(&after));
    assert_eq!(flat.keys().collect::<Vec<_>>(), ["memstats.NumGC"], "no new pauses, no field");
}
