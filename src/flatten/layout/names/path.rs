//! The name of the current member, changed segment by segment where it must be. Its hash grows along with it, so the
//! long name of an object with many members is hashed only once.

use super::{OWN_NAMES, RESERVED, VARS, is_blank_segment};
use crate::bytes::json;
use crate::bytes::scalar;
use crate::layout::Mended;
use crate::layout::by_hash::{FNV_OFFSET, fnv};
use crate::layout::rename::Rename;
use crate::layout::rules::Label;
use crate::limits::{NAME_BYTES_MAX, NAME_SEGMENTS_MAX};

/// What a name that was cut ends with: `_` and a hash in 16 hexadecimal digits.
const HASH_BYTES: usize = 17;

/// The name of the current member.
#[derive(Debug, Default)]
pub(super) struct Path {
    dots_underscore: bool,
    /// The changed names of all levels; see [`Level::text_start`].
    text: Vec<u8>,
    /// A buffer for the current key.
    key: Vec<u8>,
    /// The root, each object that the current member is in, and the member itself.
    levels: Vec<Level>,
}

/// One level of nesting.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// Where its name begins in the text: where the name of the level above begins, or, if it is renamed, ends.
    text_start: usize,
    /// Where its name ends in the text.
    text_end: usize,
    /// Length of its name in the payload: the keys joined with dots.
    raw_bytes: usize,
    segments: usize,
    /// Whether its name begins with `vars.`, which is not in the text.
    prefixed: bool,
    hash: u64,
    /// Why its name had to be changed.
    reasons: Mended,
}

impl Level {
    fn beginning_at(text_start: usize) -> Self {
        Self {
            text_start,
            text_end: text_start,
            raw_bytes: 0,
            segments: 0,
            prefixed: false,
            hash: FNV_OFFSET,
            reasons: Mended::default(),
        }
    }
}

impl Path {
    pub(super) fn reset(&mut self, dots_underscore: bool) {
        self.dots_underscore = dots_underscore;
        self.text.clear();
        self.levels.clear();
        self.levels.push(Level::beginning_at(0));
    }

    /// Steps into a member. `key` is escaped as JSON; if it is that of a column, its dots are those between keys.
    /// `rename` is what the member is renamed to; the name that it replaces ends within the key. `suffix` is appended.
    pub(super) fn enter(&mut self, key: &[u8], column: bool, rename: Option<&Rename>, suffix: &[u8], labels: &[Label]) {
        let Some(mut level) = self.levels.last().copied() else { return };
        let key_at = level.raw_bytes + usize::from(self.levels.len() > 1);
        let mut decoded = std::mem::take(&mut self.key);
        decoded.clear();
        decoded.extend_from_slice(rename.map_or(b"", |rename| rename.to.as_bytes()));
        let start = decoded.len();
        scalar::decode(&mut decoded, key);
        let raw_bytes = key_at + decoded.len() - start;
        if self.dots_underscore && !column {
            decoded[start..].iter_mut().filter(|byte| **byte == b'.').for_each(|byte| *byte = b'_');
        }
        if let Some(rename) = rename {
            level = Level::beginning_at(self.text.len());
            let replaced = rename.from.len() - key_at;
            decoded.copy_within(start + replaced.., start);
            decoded.truncate(decoded.len() - replaced);
        }
        decoded.extend_from_slice(suffix);
        level.raw_bytes = raw_bytes;
        for segment in decoded.split(|&byte| byte == b'.') {
            self.push(&mut level, segment, labels);
        }
        self.key = decoded;
        self.levels.push(level);
    }

    /// Appends one segment, changed if it must be.
    fn push(&mut self, level: &mut Level, segment: &[u8], labels: &[Label]) {
        if level.segments > 0 {
            let deep = level.segments + usize::from(level.prefixed) >= NAME_SEGMENTS_MAX;
            level.reasons.deep = u64::from(deep);
            self.append(level, if deep { b"_" } else { b"." });
        }
        level.segments += 1;
        let blank = is_blank_segment(segment);
        level.reasons.empty |= u64::from(blank);
        self.append(level, if blank { b"_" } else { segment });
        let text = &self.text[level.text_start..level.text_end];
        let reserved = level.segments == 1 && RESERVED.iter().any(|name| name.as_bytes() == text);
        let own = || OWN_NAMES.iter().any(|name| name.as_bytes() == text);
        let label = || labels.iter().any(|label| label.name.as_bytes() == text);
        if !level.prefixed && (reserved || own() || label()) {
            level.prefixed = true;
            level.reasons.reserved = 1;
            level.hash = fnv(fnv(FNV_OFFSET, VARS.as_bytes()), text);
        }
    }

    fn append(&mut self, level: &mut Level, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        level.text_end = self.text.len();
        level.hash = fnv(level.hash, bytes);
    }

    /// Steps out of the member.
    pub(super) fn leave(&mut self) {
        self.levels.pop();
        self.text.truncate(self.levels.last().map_or(0, |level| level.text_end));
    }

    /// Writes the mended name. Gives the reasons for which it was changed.
    pub(super) fn render(&self, name: &mut Vec<u8>) -> Mended {
        name.clear();
        let Some(level) = self.levels.last() else { return Mended::default() };
        let prefix = if level.prefixed { VARS.as_bytes() } else { b"" };
        name.extend_from_slice(prefix);
        let text = &self.text[level.text_start..level.text_end];
        let long = prefix.len() + text.len() > NAME_BYTES_MAX;
        let kept = if long { NAME_BYTES_MAX - HASH_BYTES - prefix.len() } else { text.len() };
        name.extend_from_slice(&text[..scalar::character_boundary(text, kept)]);
        if long {
            name.push(b'_');
            level.hash.to_be_bytes().into_iter().for_each(|byte| json::write_hex(name, byte));
        }
        Mended { long: u64::from(long), ..level.reasons }
    }
}
