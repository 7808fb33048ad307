//! Bulks: documents with their action lines, ready to send as the NDJSON body of `_bulk`.
//!
//! Invariants: a document is in a bulk whole or not at all; [`Bulk::bytes`] always gives a complete `_bulk` body (every
//! line ended), or nothing.

mod form;

use crate::calendar::Timestamp;
use crate::document::SERVICE_NAME;
use memchr::memmem;
use std::ops::Range;

pub(crate) use form::{action_start, beginning, is_source};

/// Documents and their action lines.
#[derive(Debug, Default)]
pub(crate) struct Bulk {
    bytes: Vec<u8>,
    /// Where each document ends in `bytes`.
    ends: Vec<u32>,
}

/// What identifies a document. It is assigned when the document is made and does not change when it is sent again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DocumentKey {
    /// The time of the tick. It is filled into the patterns of the index name.
    pub(crate) time: Timestamp,
    pub(crate) id: [u8; ID_BYTES],
}

/// Bytes of an `_id`.
pub(crate) const ID_BYTES: usize = 20;

/// The text of an action line before the index name.
const INDEX: &[u8] = b"{\"create\":{\"_index\":\"";
/// The text of an action line between the index name and the `_id`.
const ID: &[u8] = b"\",\"_id\":\"";

/// Bytes of an action line and of both line ends, without the index name.
const ACTION_BYTES: usize = ID_BYTES + 40;

/// Bytes that a `_type` usually adds to an action line.
const TYPE_BYTES: usize = 40;

/// Makes the `_id`s of this process's documents. Each consists of 72 random bits, which are the same for the whole process,
/// and of a counter, and is encoded as 20 characters that need no escape in JSON or in a URL.
#[derive(Debug)]
pub(crate) struct IdSource {
    process: [u8; 9],
    made: u64,
}

impl IdSource {
    pub(crate) fn new(process: [u8; 9]) -> Self {
        Self { process, made: 0 }
    }

    pub(crate) fn next_id(&mut self) -> [u8; ID_BYTES] {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut raw = [0_u8; 15];
        raw[..9].copy_from_slice(&self.process);
        raw[9..].copy_from_slice(&self.made.to_be_bytes()[2..]);
        self.made += 1;
        let mut id = [0_u8; ID_BYTES];
        for (quad, triple) in id.chunks_exact_mut(4).zip(raw.chunks_exact(3)) {
            let bits = usize::from(triple[0]) << 16 | usize::from(triple[1]) << 8 | usize::from(triple[2]);
            for (place, character) in quad.iter_mut().enumerate() {
                *character = ALPHABET[bits >> (18 - 6 * place) & 63];
            }
        }
        id
    }
}

/// Writes action lines for the index of one recorder.
#[derive(Debug)]
pub(crate) struct ActionLine {
    index_name: String,
    /// The index name for the current document, if the configured name has patterns.
    rendered: Vec<u8>,
}

impl ActionLine {
    /// `index_name` has been validated: it needs no escape in JSON, before and after its patterns are filled in.
    pub(crate) fn new(index_name: &str) -> Self {
        Self { index_name: index_name.to_owned(), rendered: Vec::new() }
    }

    fn index_for(&mut self, time: Timestamp) -> &[u8] {
        if !self.index_name.contains('%') {
            return self.index_name.as_bytes();
        }
        self.rendered.clear();
        if time.fill(&self.index_name, &mut self.rendered).is_err() {
            // Cannot happen, because the configuration was checked by filling in this pattern. The text before the first
            // pattern is still a valid name.
            self.rendered.clear();
            self.rendered.extend(self.index_name.bytes().take_while(|&byte| byte != b'%'));
        }
        &self.rendered
    }
}

impl Bulk {
    /// Appends a document (one JSON object without a line end) with its action line.
    pub(crate) fn push(&mut self, action: &mut ActionLine, key: DocumentKey, document: &[u8]) {
        let index = action.index_for(key.time);
        self.reserve(index.len() + ACTION_BYTES + document.len());
        self.bytes.extend_from_slice(INDEX);
        self.bytes.extend_from_slice(index);
        self.bytes.extend_from_slice(ID);
        self.bytes.extend_from_slice(&key.id);
        self.bytes.extend_from_slice(b"\"}}\n");
        self.bytes.extend_from_slice(document);
        self.bytes.push(b'\n');
        self.close_document();
    }

    /// Makes a bulk of a text that consists of documents with their action lines. `ends` holds the offset at which each
    /// document ends.
    pub(crate) fn of_documents(text: Vec<u8>, ends: Vec<u32>) -> Self {
        debug_assert_eq!(ends.last().map_or(0, |&end| end as usize), text.len());
        Self { bytes: text, ends }
    }

    /// Appends a document with its action line and both line ends.
    pub(crate) fn push_whole(&mut self, document: &[u8]) {
        self.reserve(document.len());
        self.bytes.extend_from_slice(document);
        self.close_document();
    }

    /// One document with its action line and both line ends.
    pub(crate) fn document(&self, index: usize) -> &[u8] {
        &self.bytes[self.span(index)]
    }

    /// The beginning of the text that has at least `bytes` bytes and ends with a complete document.
    pub(crate) fn whole_until(&self, bytes: usize) -> &[u8] {
        let torn = self.ends.partition_point(|&end| (end as usize) < bytes);
        let end = if bytes == 0 { 0 } else { self.ends.get(torn).map_or(self.bytes.len(), |&end| end as usize) };
        &self.bytes[..end]
    }

    /// Appends one document, with its action line and both line ends, that consists of several pieces.
    pub(crate) fn push_pieces<'p>(&mut self, pieces: impl Iterator<Item = &'p [u8]>) {
        pieces.for_each(|piece| self.bytes.extend_from_slice(piece));
        self.close_document();
    }

    /// Allocates exactly the memory for this many more documents, which have `bytes` bytes together.
    pub(crate) fn reserve_exact(&mut self, documents: usize, bytes: usize) {
        self.bytes.reserve_exact(bytes);
        self.ends.reserve_exact(documents);
    }

    /// Copies the documents for whose indices `wanted` returns true, in order. The copy has no spare capacity.
    pub(crate) fn select(&self, wanted: impl Fn(usize) -> bool) -> Self {
        let wanted = || (0..self.documents()).filter(|&index| wanted(index));
        let mut selected = Self::default();
        selected.reserve_exact(wanted().count(), wanted().map(|index| self.span(index).len()).sum());
        for index in wanted() {
            selected.bytes.extend_from_slice(&self.bytes[self.span(index)]);
            selected.close_document();
        }
        selected
    }

    /// Copies the documents into two bulks, in order. The first one is empty if there is only one document.
    pub(crate) fn halves(&self) -> [Self; 2] {
        let half = self.documents() / 2;
        [self.select(|index| index < half), self.select(|index| index >= half)]
    }

    /// Removes the first documents and frees their memory.
    pub(crate) fn remove_first(&mut self, documents: usize) {
        let documents = documents.min(self.documents());
        let removed = if documents == 0 { 0 } else { self.ends[documents - 1] };
        self.bytes.drain(..removed as usize);
        self.ends.drain(..documents);
        self.ends.iter_mut().for_each(|end| *end -= removed);
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// Copies the documents into bulks of at most `documents_max` documents and `bytes_max` bytes. A document that is longer
    /// gets a bulk of its own.
    pub(crate) fn portions(&self, documents_max: usize, bytes_max: usize) -> Vec<Self> {
        let (mut portions, mut from) = (Vec::new(), 0);
        while from < self.documents() {
            let start = self.span(from).start;
            let most = self.documents().min(from.saturating_add(documents_max));
            let fits = |end: &u32| *end as usize - start <= bytes_max;
            let until = from + self.ends[from..most].partition_point(fits).max(1);
            let ends = &self.ends[from..until];
            let text = &self.bytes[start..self.span(until - 1).end];
            let offset = u32::try_from(start).unwrap_or(u32::MAX);
            portions.push(Self { bytes: text.to_vec(), ends: ends.iter().map(|end| end - offset).collect() });
            from = until;
        }
        portions
    }

    /// Copies the documents and adds a `_type` to each, for servers that require one. `type_for` gets the index and the
    /// service name and returns the type. All three are JSON strings without their quotes.
    pub(crate) fn typed<'t>(&'t self, type_for: impl Fn(&'t [u8], &'t [u8]) -> &'t [u8]) -> Self {
        let mut typed = Self::default();
        typed.bytes.reserve_exact(self.bytes.len() + self.documents() * TYPE_BYTES);
        for document in 0..self.documents() {
            let (text, index, service_name) =
                (self.document(document), self.index_of(document), self.type_name_of(document));
            let Some(rest) = text.strip_prefix(INDEX).and_then(|rest| rest.get(index.len()..)) else {
                typed.push_whole(text);
                continue;
            };
            typed.bytes.extend_from_slice(INDEX);
            typed.bytes.extend_from_slice(index);
            typed.bytes.extend_from_slice(b"\",\"_type\":\"");
            typed.bytes.extend_from_slice(type_for(index, service_name));
            typed.bytes.extend_from_slice(rest);
            typed.close_document();
        }
        typed
    }

    /// The index in a document's action line.
    pub(crate) fn index_of(&self, document: usize) -> &[u8] {
        let index = self.document(document).strip_prefix(INDEX).unwrap_or_default();
        &index[..memmem::find(index, ID).unwrap_or(0)]
    }

    /// A document's service name, which is also its mapping type on servers with types. Empty if it has none.
    pub(crate) fn type_name_of(&self, document: usize) -> &[u8] {
        let text = self.document(document);
        let Some(at) = memmem::find(text, SERVICE_NAME) else { return &[] };
        let name = &text[at + SERVICE_NAME.len()..];
        let mut end = 0;
        while let Some(found) = name.get(end..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
            end += found;
            if name[end] == b'"' {
                break;
            }
            end += 2;
        }
        &name[..end.min(name.len())]
    }

    /// Reserves memory for `documents` of `document_bytes` each, but for at most `bytes_max` bytes in all.
    pub(crate) fn reserve_for(&mut self, documents: usize, document_bytes: usize, bytes_max: usize) {
        let bytes = documents.saturating_mul(document_bytes + ACTION_BYTES);
        self.reserve(bytes.min(bytes_max));
    }

    /// Reserves memory, at least a quarter of the present length. Doubling, as `Vec` does, would leave up to half of every
    /// bulk's memory unused.
    fn reserve(&mut self, bytes: usize) {
        if self.bytes.capacity() - self.bytes.len() < bytes {
            self.bytes.reserve_exact(bytes.max(self.bytes.len() / 4));
        }
    }

    /// Whether a document of this length fits in without an allocation.
    pub(crate) fn has_room_for(&self, document_bytes: usize) -> bool {
        self.bytes.capacity() - self.bytes.len() >= document_bytes + ACTION_BYTES
    }

    fn close_document(&mut self) {
        // The bounds in limits.rs are far below 4 GiB.
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
    }

    fn span(&self, index: usize) -> Range<usize> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        start..self.ends[index] as usize
    }

    pub(crate) fn documents(&self) -> usize {
        self.ends.len()
    }

    /// The `_bulk` body.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it is within these bounds, or cannot be split because it is a single document.
    pub(crate) fn is_within(&self, documents_max: usize, bytes_max: usize) -> bool {
        self.documents() <= 1 || self.documents() <= documents_max && self.bytes.len() <= bytes_max
    }

    /// Bytes of memory that are allocated, used or not.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Removes all documents, and keeps the memory for the next ones.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::time::Duration;

    fn key(ids: &mut IdSource) -> DocumentKey {
        DocumentKey { time: Timestamp::since_epoch(Duration::new(1_795_391_999, 999_999_999)), id: ids.next_id() }
    }

    #[test]
    fn a_bulk_is_what_the_server_expects() {
        let mut ids = IdSource::new([0xff; 9]);
        let mut action = ActionLine::new("metrics-%Y.%m.%d");
        let mut bulk = Bulk::default();
        bulk.push(&mut action, key(&mut ids), b"{\"a\":1}");
        bulk.push(&mut ActionLine::new("plain"), key(&mut ids), b"{}");
        let expected = "{\"create\":{\"_index\":\"metrics-2026.11.22\",\"_id\":\"____________AAAAAAAA\"}}\n{\"a\":1}\n\
                        {\"create\":{\"_index\":\"plain\",\"_id\":\"____________AAAAAAAB\"}}\n{}\n";
        assert_eq!(std::str::from_utf8(bulk.bytes()).unwrap(), expected);
        assert_eq!(bulk.documents(), 2);
    }

    #[test]
    fn documents_are_selected_and_appended_whole() {
        let mut ids = IdSource::new([0; 9]);
        let mut action = ActionLine::new("i");
        let mut bulk = Bulk::default();
        for n in 0..5 {
            bulk.push(&mut action, key(&mut ids), format!("{{\"n\":{n}}}").as_bytes());
        }
        let ends: Vec<usize> = (0..=bulk.bytes().len()).map(|bytes| bulk.whole_until(bytes).len()).collect();
        let one = bulk.document(0).len();
        let expected = (0..5).flat_map(|number| vec![(number + 1) * one; one]);
        assert_eq!(ends, [0].into_iter().chain(expected).collect::<Vec<_>>());
        let odd = bulk.select(|index| index % 2 == 1);
        let even = bulk.select(|index| index % 2 == 0);
        assert_eq!((odd.documents(), even.documents()), (2, 3));
        let mut joined = odd.select(|_| true);
        joined.reserve_exact(3, even.bytes().len());
        let room = joined.memory_bytes();
        for document in (0..3).map(|index| even.document(index)) {
            let (line, rest) = document.split_at(9);
            joined.push_pieces([line, rest].into_iter());
        }
        assert_eq!((joined.documents(), joined.memory_bytes()), (5, room));
        assert_eq!(joined.bytes().len(), bulk.bytes().len());
        let lines: Vec<&str> = std::str::from_utf8(joined.bytes()).unwrap().lines().collect();
        assert_eq!(
            lines.iter().skip(1).step_by(2).copied().collect::<String>(),
            "{\"n\":1}{\"n\":3}{\"n\":0}{\"n\":2}{\"n\":4}"
        );
        joined.clear();
        assert!(joined.is_empty() && joined.bytes().is_empty());
        for (documents_max, bytes_max, expected) in
            [(2, 1000, &[2, 2, 1][..]), (9, 2 * one + 1, &[2, 2, 1]), (1, 0, &[1, 1, 1, 1, 1]), (5, 5 * one, &[5])]
        {
            let portions = bulk.portions(documents_max, bytes_max);
            assert_eq!(portions.iter().map(Bulk::documents).collect::<Vec<_>>(), expected);
            let whole =
                portions.iter().flat_map(|portion| (0..portion.documents()).map(|index| portion.document(index)));
            assert_eq!(whole.collect::<Vec<_>>().concat(), bulk.bytes());
            assert!(portions.iter().all(|portion| portion.is_within(documents_max, bytes_max)));
        }
        for removed in 0..=5 {
            let mut rest = bulk.select(|_| true);
            rest.remove_first(removed);
            let expected = bulk.select(|index| index >= removed);
            assert_eq!((rest.bytes(), &rest.ends), (expected.bytes(), &expected.ends));
            assert_eq!(rest.memory_bytes(), expected.memory_bytes());
        }
    }

    #[test]
    fn ids_differ_within_and_across_processes() {
        let mut seen = HashSet::new();
        for process in [[1; 9], [2; 9]] {
            let mut ids = IdSource::new(process);
            for _ in 0..10_000 {
                let id = ids.next_id();
                assert!(id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)));
                assert!(seen.insert(id));
            }
        }
    }
}
