//! Finds secrets in a text, in every form in which they may be repeated. Pure.
//!
//! A secret of eight bytes or more is hidden wherever eight consecutive bytes of it are found, so it does not matter where a
//! text was cut. Eight bytes are compared as one 64-bit number, which is looked up in a sorted list, so the time hardly
//! depends on the number of secrets.

use super::fold::{self, Unit};
use crate::limits;
use crate::secret::{HIDDEN, base64};
use crate::sort::sorted;
use std::mem;
use std::ops::Range;

/// Bytes of a part of a secret that is hidden wherever it occurs. They fit into a 64-bit number.
const PART_BYTES: usize = 8;

/// Everything that is to be hidden. All lists are sorted.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Every eight consecutive bytes of the secrets.
    parts: Vec<u64>,
    /// Shorter secrets. They are hidden only where they are whole words, because they may be part of a word by chance.
    words: Vec<u64>,
    /// Beginnings of secrets that are shorter than a part. They are hidden at the end of a text, which may have been cut off.
    beginnings: Vec<u64>,
    /// The same for the secrets in `words`.
    word_beginnings: Vec<u64>,
}

impl Table {
    pub(super) fn of(secrets: &[&str]) -> Self {
        let mut table = Self::default();
        for secret in secrets.iter().filter(|secret| secret.len() >= limits::HIDDEN_BYTES_MIN) {
            table.add_all_forms(secret);
        }
        for keys in [&mut table.parts, &mut table.words, &mut table.beginnings, &mut table.word_beginnings] {
            *keys = sorted(mem::take(keys));
            keys.dedup();
            keys.shrink_to_fit();
        }
        table
    }

    fn add_all_forms(&mut self, secret: &str) {
        self.add(secret.as_bytes());
        if !secret.is_ascii() {
            let byte_of = |c| u8::try_from(u32::from(c)).unwrap_or(b'?');
            // The secret in Latin-1; what remains of it when that is read as UTF-8; and its UTF-8 form read as Latin-1.
            self.add(&secret.chars().map(byte_of).collect::<Vec<u8>>());
            self.add(secret.replace(|c: char| !c.is_ascii(), "\u{fffd}").as_bytes());
            self.add(secret.bytes().map(char::from).collect::<String>().as_bytes());
        }
        if secret.len() <= limits::HIDDEN_BASE64_BYTES_MAX {
            // Base64 encodes groups of three bytes, so its output depends on where in a group the secret begins.
            for skipped in 0..3 {
                self.add(base64::encoded(&secret.as_bytes()[skipped..]).trim_end_matches('=').as_bytes());
            }
        }
    }

    /// Adds the text unchanged and with its escapes decoded, because a secret itself may contain what looks like an escape.
    fn add(&mut self, text: &[u8]) {
        fold::for_each_reading(text, |units| self.add_units(units));
    }

    fn add_units(&mut self, units: &[Unit]) {
        let bytes: Vec<u8> = units.iter().filter_map(|unit| unit.key()).collect();
        if bytes.len() >= PART_BYTES {
            self.parts.extend(bytes.windows(PART_BYTES).map(key_of));
            self.beginnings.extend((limits::HIDDEN_BYTES_MIN..PART_BYTES).map(|length| key_of(&bytes[..length])));
        } else if bytes.len() >= limits::HIDDEN_BYTES_MIN {
            self.words.push(key_of(&bytes));
            self.word_beginnings.extend((limits::HIDDEN_BYTES_MIN..bytes.len()).map(|length| key_of(&bytes[..length])));
        }
    }

    /// Replaces the secrets in a text by [`HIDDEN`]. Returns `None` if there are none.
    pub(super) fn hide(&self, text: &str) -> Option<String> {
        if self.parts.is_empty() && self.words.is_empty() {
            return None;
        }
        // An ellipsis marks a text that was cut off before.
        let (text, ellipsis) = text.strip_suffix('…').map_or((text, ""), |text| (text, "…"));
        let mut found = Vec::new();
        fold::for_each_reading(text.as_bytes(), |units| Search::new(self, units).run(&mut found));
        if found.is_empty() {
            return None;
        }
        let mut hidden = without(text, found);
        hidden.push_str(ellipsis);
        Some(hidden)
    }
}

fn key_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |key, &byte| key << 8 | u64::from(byte))
}

/// Searches one form of a text.
struct Search<'s> {
    table: &'s Table,
    units: &'s [Unit],
    /// The indices of the units that are compared.
    counted: Vec<usize>,
}

impl<'s> Search<'s> {
    fn new(table: &'s Table, units: &'s [Unit]) -> Self {
        let counted = (0..units.len()).filter(|&at| units[at].key().is_some()).collect();
        Self { table, units, counted }
    }

    /// Adds the ranges of the text that are to be hidden.
    fn run(&self, found: &mut Vec<Range<usize>>) {
        let has_words = !self.table.words.is_empty();
        let mut key = 0;
        for (place, &at) in self.counted.iter().enumerate() {
            key = key << 8 | u64::from(self.units[at].key().unwrap_or_default());
            let behind = place + 1;
            if behind >= PART_BYTES && self.table.parts.binary_search(&key).is_ok() {
                found.push(self.range(behind - PART_BYTES, place));
            }
            for length in (limits::HIDDEN_BYTES_MIN..PART_BYTES).filter(|&length| has_words && behind >= length) {
                let is_known = self.table.words.binary_search(&last_of(key, length)).is_ok();
                if is_known && self.is_start(behind - length) && self.is_end(place) {
                    found.push(self.range(behind - length, place));
                }
            }
        }
        found.extend(self.beginning_at_end());
    }

    /// The beginning of a secret at the end of the text. The rest may have been cut off, possibly within an escape.
    fn beginning_at_end(&self) -> Option<Range<usize>> {
        let end = self.units.last()?.end;
        let first_torn = self.units.len().saturating_sub(fold::TORN_BYTES_MAX);
        let torn = (first_torn..self.units.len()).filter(|&at| fold::is_torn(&self.units[at..]));
        let ends = std::iter::once(self.units.len()).chain(torn);
        ends.filter_map(|behind| {
            let places = self.counted.partition_point(|&at| at < behind);
            let lengths = limits::HIDDEN_BYTES_MIN..PART_BYTES.min(places + 1);
            let longest = lengths.rev().find(|&length| {
                let first = places - length;
                let key = self.counted[first..places].iter().filter_map(|&at| self.units[at].key());
                let key = key.fold(0, |key, byte| key << 8 | u64::from(byte));
                self.table.beginnings.binary_search(&key).is_ok()
                    || self.is_start(first) && self.table.word_beginnings.binary_search(&key).is_ok()
            })?;
            Some(self.units[self.counted[places - longest]].start..end)
        })
        .min_by_key(|range| range.start)
    }

    fn range(&self, first: usize, last: usize) -> Range<usize> {
        self.units[self.counted[first]].start..self.units[self.counted[last]].end
    }

    /// Whether a word can begin here.
    fn is_start(&self, place: usize) -> bool {
        let at = self.counted[place];
        at == 0 || !self.units[at - 1].is_in_word() || !self.units[at].is_in_word()
    }

    /// Whether a word can end here.
    fn is_end(&self, place: usize) -> bool {
        let at = self.counted[place];
        let behind = self.units.get(at + 1);
        behind.is_none_or(|unit| !unit.is_in_word()) || !self.units[at].is_in_word()
    }
}

/// The last `length` of the eight bytes.
fn last_of(key: u64, length: usize) -> u64 {
    key & (u64::MAX >> (8 * (PART_BYTES - length)))
}

/// Replaces these ranges of a text by [`HIDDEN`]. They may overlap, and may begin or end within a character.
fn without(text: &str, ranges: Vec<Range<usize>>) -> String {
    let ranges = sorted(ranges.into_iter().map(|range| (range.start, range.end)).collect());
    let mut left = String::with_capacity(text.len());
    let mut at = 0;
    let mut ranges = ranges.into_iter().peekable();
    while let Some((mut start, mut end)) = ranges.next() {
        while let Some((_, next_end)) = ranges.next_if(|(next_start, _)| *next_start <= end) {
            end = end.max(next_end);
        }
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        while !text.is_char_boundary(end) {
            end += 1;
        }
        left.push_str(text.get(at..start).unwrap_or_default());
        left.push_str(HIDDEN);
        at = end;
    }
    left.push_str(&text[at..]);
    left
}
