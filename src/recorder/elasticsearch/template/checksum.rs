//! The checksum of a template, which is the same for the text that was sent and for what the server returns. Pure.

use crate::sort::sorted;
use simd_json::prelude::*;
use simd_json::tape;
use std::fmt::Write;

pub(super) fn checksum_of(text: &str) -> Option<String> {
    let mut copy = text.as_bytes().to_vec();
    let tape = simd_json::to_tape(&mut copy).ok()?;
    Some(checksum(tape.as_value()))
}

/// A hash (FNV-1a) of the template's content. It is the same for the text that was sent and for what the server returns,
/// which may have another order of members, quoted numbers and members of the server's own.
pub(super) fn checksum(template: tape::Value<'_, '_>) -> String {
    let mut lines = Vec::new();
    leaves(template, &mut String::new(), &mut lines);
    let lines = sorted(lines);
    let bytes = lines.iter().flat_map(|line| line.bytes().chain([b'\n']));
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// Appends a line `path=value` for each scalar in `value`.
fn leaves(value: tape::Value<'_, '_>, path: &mut String, lines: &mut Vec<String>) {
    let mark = path.len();
    if let Some(object) = value.as_object() {
        for (key, member) in &object {
            // Leaves out the mark itself, and members that servers add.
            let is_added = mark == 0 && (key == "data_stream" || key.contains("_date"));
            if key == "_meta" || is_added {
                continue;
            }
            let _ = write!(path, ".{key}");
            leaves(member, path, lines);
            path.truncate(mark);
        }
    } else if let Some(array) = value.as_array() {
        for (index, element) in array.iter().enumerate() {
            let _ = write!(path, "[{index}]");
            leaves(element, path, lines);
            path.truncate(mark);
        }
    } else {
        let text = match (value.as_str(), value.as_bool(), value.as_i64()) {
            (Some(text), ..) => text.to_owned(),
            (_, Some(truth), _) => truth.to_string(),
            (.., Some(number)) => number.to_string(),
            _ => value.as_f64().map(|number| number.to_string()).unwrap_or_default(),
        };
        lines.push(format!("{path}={text}"));
    }
}
