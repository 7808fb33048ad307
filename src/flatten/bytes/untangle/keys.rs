//! Writes broken keys into the copy in such a form that the walk recognises them as broken, and their names can be
//! reported.

use super::{BROKEN_KEY, LOST, Mender};
use crate::bytes::json;

/// How many bytes of a text without a key are used as its name.
const KEYLESS_NAME_BYTES: usize = 40;

impl Mender<'_, '_> {
    /// Writes a key that is not JSON. Bytes that are not text are written in hexadecimal.
    pub(super) fn write_broken_key(&mut self, key: &[u8]) {
        self.out.extend_from_slice(BROKEN_KEY);
        for chunk in key.utf8_chunks() {
            for &byte in chunk.valid().as_bytes() {
                if byte < b' ' { self.write_byte(byte) } else { self.out.push(byte) }
            }
            chunk.invalid().iter().for_each(|&byte| self.write_byte(byte));
        }
    }

    fn write_byte(&mut self, byte: u8) {
        // Without a backslash, because together with one before it that would be an escaped backslash.
        self.out.push(b'x');
        json::write_hex(self.out, byte);
    }

    /// Writes a text that stands where a key should be. Its beginning becomes its name.
    pub(super) fn write_keyless(&mut self, start: usize) {
        let text = self.text[start..self.at].trim_ascii_end();
        let text = String::from_utf8_lossy(&text[..text.len().min(KEYLESS_NAME_BYTES)]);
        let plain = text.replace('"', "'").replace(|char: char| char == '\\' || char.is_control(), " ");
        self.out.push(b'"');
        self.out.extend_from_slice(BROKEN_KEY);
        self.out.extend_from_slice(plain.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out.push(LOST);
    }
}
