//! Finds the variable at an offset of a body, for log lines about broken values. It accepts any bytes, reads them from
//! the start, and runs only when such a line is written.

use super::untangle::BROKEN_KEY;
use crate::limits::LOST_NAME_BYTES_MAX;
use std::ops::Range;

/// An object or array that is open at the current position.
#[derive(Debug)]
struct Open {
    is_object: bool,
    /// Where the key of the current member is.
    key: Option<Range<usize>>,
}

/// Reads a body from its start. Its buffers are reused from one body to the next.
#[derive(Debug, Default)]
pub(crate) struct Locator {
    at: usize,
    open: Vec<Open>,
    last_string: Range<usize>,
    /// A buffer for the name as it stands in the body.
    raw: Vec<u8>,
}

/// The name of what is at byte `offset`: the keys of the objects around it and its own, joined with dots, as they stand
/// in the body. It has at most [`LOST_NAME_BYTES_MAX`] bytes and is never empty.
#[must_use]
pub fn name_at(body: &[u8], offset: usize) -> String {
    let mut name = String::new();
    Locator::default().name_at(body, offset, &mut name);
    name
}

impl Locator {
    /// Prepares for another body.
    pub(crate) fn restart(&mut self) {
        self.at = 0;
        self.open.clear();
        self.last_string = 0..0;
    }

    /// Writes the name of what is at an offset, which must not be before the previous one. If a key begins there, it is
    /// the last part of the name.
    pub(crate) fn name_at(&mut self, body: &[u8], offset: usize, name: &mut String) {
        self.read_to(body, offset.min(body.len()));
        let own = key_at(body, offset);
        let innermost = self.open.len().saturating_sub(1);
        let keys = self.open.iter().enumerate().filter_map(|(place, open)| {
            // The current member of the object that this key is in is the one before it.
            if own.is_some() && place == innermost { None } else { open.key.clone().map(|key| &body[key]) }
        });
        self.raw.clear();
        for key in keys.chain(own) {
            if !self.raw.is_empty() {
                self.raw.push(b'.');
            }
            let key = key.strip_prefix(BROKEN_KEY).unwrap_or(key);
            self.raw.extend_from_slice(&key[..key.len().min(LOST_NAME_BYTES_MAX)]);
            if self.raw.len() > LOST_NAME_BYTES_MAX {
                break;
            }
        }
        write_shown(&self.raw, name);
    }

    fn read_to(&mut self, body: &[u8], end: usize) {
        while self.at < end {
            match body[self.at] {
                b'"' => {
                    let text_end = string_end(body, self.at + 1);
                    if text_end >= end {
                        return;
                    }
                    self.last_string = self.at + 1..text_end;
                    self.at = text_end;
                }
                first @ (b'{' | b'[') => self.open.push(Open { is_object: first == b'{', key: None }),
                b'}' | b']' => _ = self.open.pop(),
                b':' => self.set_key(Some(self.last_string.clone())),
                b',' => self.set_key(None),
                _ => {}
            }
            self.at += 1;
        }
    }

    fn set_key(&mut self, key: Option<Range<usize>>) {
        if let Some(innermost) = self.open.last_mut().filter(|open| open.is_object) {
            innermost.key = key;
        }
    }
}

/// The key that begins at an offset, if one does.
fn key_at(body: &[u8], offset: usize) -> Option<&[u8]> {
    if body.get(offset) != Some(&b'"') {
        return None;
    }
    let end = string_end(body, offset + 1);
    let behind = body.get(end + 1..)?.iter().find(|byte| !byte.is_ascii_whitespace());
    (behind == Some(&b':')).then(|| &body[offset + 1..end])
}

/// Writes a name as text, cut to [`LOST_NAME_BYTES_MAX`].
pub(crate) fn write_shown(name: &[u8], shown: &mut String) {
    shown.clear();
    let mut add = |text: &str| {
        let fits = shown.len() + text.len() <= LOST_NAME_BYTES_MAX;
        if fits {
            shown.push_str(text);
        }
        fits
    };
    for chunk in name.utf8_chunks() {
        if !chunk.valid().chars().all(|char| add(char.encode_utf8(&mut [0; 4]))) {
            break;
        }
        if !chunk.invalid().is_empty() && !add(&chunk.invalid().escape_ascii().to_string()) {
            break;
        }
    }
    if shown.trim().is_empty() {
        "(without a name)".clone_into(shown);
    }
}

/// The offset of the quote that ends the string whose text begins at `start`.
pub(crate) fn string_end(body: &[u8], start: usize) -> usize {
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
            (br#"{"a":{"b":1}, ,"c":2}"#, "(without a name)"),
            (br#"{"a":1},"b": ,"#, "(without a name)"),
            (br#"{"a":"\\","b": ,"#, "b"),
        ] {
            let offset = memchr::memmem::find(body, b" ,").unwrap() + 1;
            assert_eq!(name_at(body, offset), name, "{}", body.escape_ascii());
        }
        assert_eq!(name_at(br#"{"a":""#, 99), "a");
        let long = format!("{{\"{}\": ,", "k".repeat(5000));
        assert_eq!(name_at(long.as_bytes(), 5004).len(), LOST_NAME_BYTES_MAX);
        for offset in 0..40 {
            let _ = name_at(b"]}{\"\\\xff:,[\"a\":{[\"\\\"", offset);
        }
    }

    #[test]
    fn a_key_is_part_of_its_name() {
        let body = br#"{"a":1,"b":{"caf\xe9" :1,"\?no key":?,"c":2}}"#;
        let at = |text: &[u8]| memchr::memmem::find(body, text).unwrap();
        let (mut locator, mut found) = (Locator::default(), String::new());
        for (text, name) in
            [(&br#""a"#[..], "a"), (br#""caf"#, r"b.caf\xe9"), (br#""\?no"#, "b.no key"), (br"?,", "b.no key")]
        {
            locator.name_at(body, at(text), &mut found);
            assert_eq!(found, name);
        }
    }
}
