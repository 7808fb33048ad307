//! Writes JSON objects, member by member.

use crate::json;
use std::time::Duration;

/// A JSON object that is being written.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Object<'o> {
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        json::write_string(self.out, name);
        self.out.push(b':');
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        json::write_u64(self.out, value);
    }

    pub(crate) fn seconds(&mut self, name: &str, value: Duration) {
        self.name(name);
        json::write_u64(self.out, value.as_secs());
        let micros = 1_000_000 + value.subsec_micros();
        let start = self.out.len();
        json::write_u64(self.out, micros.into());
        self.out[start] = b'.';
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        json::write_string(self.out, value);
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.json(name, if value { b"true" } else { b"false" });
    }

    /// A member whose value is already JSON.
    pub(crate) fn json(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.out.extend_from_slice(value);
    }

    pub(crate) fn nested(&mut self, name: &str, members: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        let mut object = Object::new(self.out);
        members(&mut object);
        object.end();
    }

    /// A list; `item` writes each item.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut item: impl FnMut(&mut Vec<u8>, T),
    ) {
        self.name(name);
        let mut separator = b'[';
        for one in items {
            self.out.push(separator);
            item(self.out, one);
            separator = b',';
        }
        if separator == b'[' {
            self.out.push(b'[');
        }
        self.out.push(b']');
    }

    pub(crate) fn end(self) {
        self.out.push(b'}');
    }
}
