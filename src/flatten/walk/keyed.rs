//! Arrays of objects that become one object each: `[{"Name":"a","Value":1}]` is walked as `{"a":{"Value":1}}`. For the guide,
//! there is no difference between the two, so names, patterns, renames and rates are as for any object.
//!
//! An element that has no key is left out as a whole, counted, and named by its array: one that is no object, that lacks the
//! member or has it twice, whose member is no text, or whose key an earlier element has.

use super::{Outcome, Walk};
use crate::bytes::scalar::{self, Escapes};
use crate::error::{Cause, Stop};
use crate::layout::by_hash::{ByHash, FNV_OFFSET, NoRoom, fnv};
use crate::layout::guide::{Guide, Member};
use crate::layout::keyed;
use crate::layout::lost::Loss;

/// The member of an element that names it.
struct Key<'a> {
    /// The token with which the member begins.
    token: usize,
    /// Its value, without quotes.
    text: &'a [u8],
}

impl<'a, G: Guide> Walk<'a, G> {
    /// Walks the array at the cursor, whose elements have their keys in `member`.
    pub(super) fn keyed_member(&mut self, member: &[u8]) -> Outcome<()> {
        let mut seen = ByHash::<bool>::new(0, self.arena).map_err(|NoRoom| self.no_room())?;
        self.at += 1;
        self.enter()?;
        loop {
            let key = match self.peek()? {
                b'{' => self.key_of_element(member),
                b',' | b']' | b'}' | b':' => return Err(Stop::Tangled),
                _ => None,
            };
            match key {
                Some(key) if !self.is_taken(&mut seen, key.text)? => self.keyed_element(&key)?,
                _ => self.skip_unkeyed()?,
            }
            match self.next()? {
                b',' => {}
                b']' => break,
                _ => return Err(Stop::Tangled),
            }
        }
        self.leave();
        self.guide.end()
    }

    /// Whether an earlier element has this key, however it is escaped. From now on, one has.
    fn is_taken(&mut self, seen: &mut ByHash<'a, bool>, key: &[u8]) -> Outcome<bool> {
        let mut hash = fnv(FNV_OFFSET, key);
        if memchr::memchr(b'\\', key).is_some() {
            self.path.clear();
            scalar::decode(self.path, key);
            hash = fnv(FNV_OFFSET, self.path);
        }
        let seen = seen.get_mut(hash).map_err(|NoRoom| self.no_room())?;
        Ok(std::mem::replace(seen, true))
    }

    /// Walks the object at the cursor as a member with this key.
    fn keyed_element(&mut self, key: &Key<'a>) -> Outcome<()> {
        if matches!(self.guide.member(key.text)?, Member::Skip) {
            return self.skip_to_separator();
        }
        self.at += 1;
        self.report.objects += 1;
        self.guide.object()?;
        let around = std::mem::replace(&mut self.key_token, key.token);
        self.object()?;
        self.key_token = around;
        Ok(())
    }

    /// The key of the element at the cursor, an object. None if it has none, or more than one.
    fn key_of_element(&mut self, member: &[u8]) -> Option<Key<'a>> {
        let mut found = None;
        let mut nested = 0_usize;
        let mut token = self.at + 1;
        while let Some(&offset) = self.offsets.get(token) {
            let first = self.body[offset as usize];
            match first {
                b'{' | b'[' => nested += 1,
                b'}' | b']' if nested == 0 => break,
                b'}' | b']' => nested -= 1,
                _ => {}
            }
            if first == b'"' && nested == 0 && self.is_key(token, member) && found.replace(token).is_some() {
                return None;
            }
            token += 1;
        }
        let token = found?;
        let text = self.string_at(token + 2)?;
        (scalar::escapes(text) != Escapes::Bad).then_some(Key { token, text })
    }

    /// Whether the string at `token` is the key of a member with this name.
    fn is_key(&mut self, token: usize, member: &[u8]) -> bool {
        if self.offsets.get(token + 1).is_none_or(|&offset| self.body[offset as usize] != b':') {
            return false;
        }
        let Some(key) = self.string_at(token) else { return false };
        keyed::is_name(key, member, self.path)
    }

    /// The text of the string at a token, without its quotes. None if there is something else.
    fn string_at(&self, token: usize) -> Option<&'a [u8]> {
        let start = self.offset(token);
        if self.body.get(start) != Some(&b'"') {
            return None;
        }
        self.body.get(start + 1..self.trimmed(self.offset(token + 1)) - 1)
    }

    /// Steps over the element at the cursor, which has no key.
    #[cold]
    fn skip_unkeyed(&mut self) -> Outcome<()> {
        self.report.unkeyed += 1;
        // It may hold a key, and is part of what identifies a loss.
        self.path.clear();
        self.note_lost(Loss::Unkeyed, self.at, b"");
        self.skip_to_separator()
    }

    #[cold]
    fn no_room(&self) -> Stop {
        self.error_at_cursor(Cause::DocumentTooLong)
    }
}
