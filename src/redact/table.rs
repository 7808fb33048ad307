//! What to look for: every form in which secrets can come back, as numbers of eight bytes. Pure.
//!
//! A secret of eight bytes or more is hidden wherever eight consecutive bytes of it are found, so it does not matter
//! where, or by whom, a text was cut. Looking up a number takes the same time for any number of secrets.

use super::fold::{self, Unit};
use crate::limits;
use crate::secret::{HIDDEN, base64};
use crate::sort::sorted;
use std::mem;
use std::ops::Range;

/// Bytes of a secret that are found as such in any surroundings: one number of 64 bits.
const PART_BYTES: usize = 8;

/// All that is to be hidden.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Every eight bytes of a secret. Sorted, as the others.
    parts: Vec<u64>,
    /// Secrets that are shorter: they are hidden where they are whole words, as they may be part of one by chance.
    words: Vec<u64>,
    /// Beginnings that are shorter than a part, which are hidden at the end of a text.
    beginnings: Vec<u64>,
    /// The same of `words`.
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
            // In another character set; the same once it was read as UTF-8; UTF-8 that was read as if it were that set.
            self.add(&secret.chars().map(byte_of).collect::<Vec<u8>>());
            self.add(secret.replace(|c: char| !c.is_ascii(), "\u{fffd}").as_bytes());
            self.add(secret.bytes().map(char::from).collect::<String>().as_bytes());
        }
        if secret.len() <= limits::HIDDEN_BASE64_BYTES_MAX {
            // What base64 makes of it depends on its place within three bytes.
            for skipped in 0..3 {
                self.add(base64::encoded(&secret.as_bytes()[skipped..]).trim_end_matches('=').as_bytes());
            }
        }
    }

    /// Adds the text in each way to read it: escapes are decoded in what is searched, whether they are meant or not.
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

    /// The text with [`HIDDEN`] in the places of secrets; none if there is nothing to hide.
    pub(super) fn hide(&self, text: &str) -> Option<String> {
        if self.parts.is_empty() && self.words.is_empty() {
            return None;
        }
        // Somebody has cut it.
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

/// One way to read a text.
struct Search<'s> {
    table: &'s Table,
    units: &'s [Unit],
    /// Those that count, by their places in `units`.
    counted: Vec<usize>,
}

impl<'s> Search<'s> {
    fn new(table: &'s Table, units: &'s [Unit]) -> Self {
        let counted = (0..units.len()).filter(|&at| units[at].key().is_some()).collect();
        Self { table, units, counted }
    }

    /// Adds where something is to be hidden, in bytes of the text.
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

    /// A secret that begins at the end of the text: the rest of it may have been cut off, within an escape perhaps.
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

/// The text with [`HIDDEN`] in the place of these ranges, which may overlap and end within characters.
fn without(text: &str, ranges: Vec<Range<usize>>) -> String {
    let ranges = sorted(ranges.into_iter().map(|range| (range.start, range.end)).collect());
    let mut left = String::with_capacity(text.len());
    let mut at = 0;
    let mut ranges = ranges.into_iter().peekable();
    while let Some((mut start, mut end)) = ranges.next() {
        while let Some(next) = ranges.next_if(|(next, _)| *next <= end) {
            end = end.max(next.1);
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
