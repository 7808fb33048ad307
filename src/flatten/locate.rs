//! Which variable stands at an offset of a body, for a log line about something broken. It takes any bytes, reads them
//! from the start, and runs only when such a line is written.

use crate::limits::QUOTED_BYTES_MAX;

/// A container that is open where the reading has come to.
struct Open<'b> {
    is_object: bool,
    /// The key whose value is at hand.
    key: Option<&'b [u8]>,
}

/// The keys around and at byte `offset`, joined with dots, as they stand; empty if it is in none.
#[must_use]
pub fn name_at(body: &[u8], offset: usize) -> String {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut last_string: &[u8] = b"";
    let mut at = 0;
    while at < offset.min(body.len()) {
        match body[at] {
            b'"' => {
                let end = string_end(body, at + 1);
                last_string = &body[at + 1..end];
                at = end;
            }
            first @ (b'{' | b'[') => open.push(Open { is_object: first == b'{', key: None }),
            b'}' | b']' => _ = open.pop(),
            b':' => set_key(&mut open, Some(last_string)),
            b',' => set_key(&mut open, None),
            _ => {}
        }
        at += 1;
    }
    let keys: Vec<&[u8]> = open.iter().filter_map(|open| open.key).collect();
    let name = keys.join(&b'.');
    let shown = &name[..name.len().min(QUOTED_BYTES_MAX)];
    let chunks = shown.utf8_chunks();
    chunks.flat_map(|chunk| [chunk.valid().to_owned(), chunk.invalid().escape_ascii().to_string()]).collect()
}

fn set_key<'b>(open: &mut [Open<'b>], key: Option<&'b [u8]>) {
    if let Some(innermost) = open.last_mut().filter(|open| open.is_object) {
        innermost.key = key;
    }
}

/// Where the quote is that ends the string whose text begins at `start`.
fn string_end(body: &[u8], start: usize) -> usize {
    let mut at = start;
    while at < body.len() && body[at] != b'"' {
        at += if body[at] == b'\\' { 2 } else { 1 };
    }
    at.min(body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_at_an_offset_is_named() {
        for (body, name) in [
            (&br#"{"a":1,"cache": ,"b":2}"#[..], "cache"),
            (br#"{"a":{"b\"":[1,{"c":2}],"d": ,"e":1}}"#, "a.d"),
            (br#"{"a":[{"b":1},{"b": ,"c":1}]}"#, "a.b"),
            (b"{\"caf\xe9\": ,\"a\":1}", "caf\\xe9"),
            (br#"{"a":{"b":1}, ,"c":2}"#, ""),
            (br#"{"a":1},"b": ,"#, ""),
            (br#"{"a":"\\","b": ,"#, "b"),
        ] {
            let offset = memchr::memmem::find(body, b" ,").unwrap() + 1;
            assert_eq!(name_at(body, offset), name, "{}", body.escape_ascii());
        }
        assert_eq!(name_at(br#"{"a":""#, 99), "a");
        let long = format!("{{\"{}\": ,", "k".repeat(5000));
        assert_eq!(name_at(long.as_bytes(), 5004).len(), QUOTED_BYTES_MAX);
        for offset in 0..40 {
            let _ = name_at(b"]}{\"\\\xff:,[\"a\":{[\"\\\"", offset);
        }
    }
}
