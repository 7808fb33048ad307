//! The obvious implementation: a tree of `serde_json` values, and a recursion that writes its leaves. Numbers are kept as text,
//! because the tests enable `arbitrary_precision`, without which digits would be lost.

use serde_json::{Map, Value};

/// The flat document of `body` in `out`.
pub(crate) fn flatten(body: &[u8], out: &mut Vec<u8>) {
    let payload: Map<String, Value> = serde_json::from_slice(body).expect("a JSON object");
    out.clear();
    out.push(b'{');
    members("", &payload, out);
    out.push(b'}');
}

fn members(prefix: &str, payload: &Map<String, Value>, out: &mut Vec<u8>) {
    for (name, value) in payload {
        if matches!((prefix, name.as_str()), ("", "cmdline") | ("memstats", "BySize")) {
            continue;
        }
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Null => {}
            Value::Object(inner) => members(&path, inner, out),
            leaf => {
                if out.len() > 1 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, &path).expect("written");
                out.push(b':');
                serde_json::to_writer(&mut *out, leaf).expect("written");
            }
        }
    }
}
