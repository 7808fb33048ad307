//! Writes JSON objects, member by member.

use crate::json;
use std::time::Duration;

/// A JSON object that is being written. Its methods are called dozens of times, so none of them is inlined or generic.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Object<'o> {
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    #[inline(never)]
    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        json::write_string(self.out, name);
        self.out.push(b':');
    }

    #[inline(never)]
    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        json::write_u64(self.out, value);
    }

    #[inline(never)]
    pub(crate) fn seconds(&mut self, name: &str, value: Duration) {
        self.name(name);
        json::write_u64(self.out, value.as_secs());
        let micros = 1_000_000 + value.subsec_micros();
        let start = self.out.len();
        json::write_u64(self.out, micros.into());
        self.out[start] = b'.';
    }

    #[inline(never)]
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        json::write_string(self.out, value);
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.json(name, if value { b"true" } else { b"false" });
    }

    /// A member whose value is already JSON.
    #[inline(never)]
    pub(crate) fn json(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.out.extend_from_slice(value);
    }

    #[inline(never)]
    pub(crate) fn nested(&mut self, name: &str, members: &mut dyn FnMut(&mut Object<'_>)) {
        self.name(name);
        let mut object = Object::new(self.out);
        members(&mut object);
        object.end();
    }

    /// A list; `next` writes an item, or returns false if there are no more.
    #[inline(never)]
    pub(crate) fn list(&mut self, name: &str, next: &mut dyn FnMut(&mut Vec<u8>) -> bool) {
        self.name(name);
        self.out.push(b'[');
        let first = self.out.len();
        while next(self.out) {
            self.out.push(b',');
        }
        if self.out.len() > first {
            self.out.pop();
        }
        self.out.push(b']');
    }

    pub(crate) fn end(self) {
        self.out.push(b'}');
    }
}
