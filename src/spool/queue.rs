//! Documents that wait in memory, in the order in which they came, independent of the bulks they came in.
//!
//! They are copied into blocks of one size, each behind a short header, and a document may cross blocks. So what is
//! held is what the documents need: a header for each, and at most one more block at either end. Blocks of one size
//! also keep the heap from growing in pieces.

use crate::bulk::Bulk;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The length of a document, and when it came: milliseconds since the queue was last empty.
const HEADER_BYTES: usize = 8;

/// A queue of documents with their action lines and line ends.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Filled up to their capacity, but for the last.
    blocks: VecDeque<Vec<u8>>,
    /// Bytes of the first block that have been taken out.
    taken: usize,
    documents: usize,
    /// Bytes of all blocks.
    block_bytes: usize,
    /// What the headers count from.
    epoch: Option<Instant>,
    /// When the last document came.
    last: Option<Instant>,
    /// When the oldest came that was put in behind a younger one.
    misplaced: Option<Instant>,
}

/// A place in the bytes of the blocks.
#[derive(Clone, Copy)]
struct Place {
    block: usize,
    offset: usize,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.documents == 0
    }

    pub(crate) fn documents(&self) -> usize {
        self.documents
    }

    /// Bytes of memory that it holds on to.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.block_bytes + self.blocks.capacity() * size_of::<Vec<u8>>()
    }

    /// Bytes of its documents.
    pub(crate) fn document_bytes(&self) -> usize {
        self.blocks.iter().map(Vec::len).sum::<usize>() - self.taken - self.documents * HEADER_BYTES
    }

    /// When the oldest document arrived. If documents did not arrive in the order of their age, it may be that of one
    /// that has been taken out since.
    pub(crate) fn since(&self) -> Option<Instant> {
        let epoch = self.epoch.filter(|_| !self.is_empty())?;
        let (_, since) = self.header(self.first());
        let front = epoch + Duration::from_millis(since.into());
        Some(self.misplaced.map_or(front, |misplaced| misplaced.min(front)))
    }

    /// Appends all documents of a bulk. Blocks that are needed have `block_bytes`.
    pub(crate) fn append(&mut self, bulk: &Bulk, since: Instant, block_bytes: usize) {
        for index in 0..bulk.documents() {
            self.push(bulk.document(index), since, block_bytes);
        }
    }

    fn push(&mut self, document: &[u8], since: Instant, block_bytes: usize) {
        let epoch = *self.epoch.get_or_insert(since);
        if since < self.last.unwrap_or(epoch) {
            self.misplaced = Some(self.misplaced.map_or(since, |misplaced| misplaced.min(since)));
        } else {
            self.last = Some(since);
        }
        // Saturating makes it older than it is, which does no harm: it comes to the disk at once.
        let millis = u32::try_from(since.saturating_duration_since(epoch).as_millis()).unwrap_or(u32::MAX);
        let length = u32::try_from(document.len()).unwrap_or(u32::MAX);
        self.write(&length.to_le_bytes(), block_bytes);
        self.write(&millis.to_le_bytes(), block_bytes);
        self.write(document, block_bytes);
        self.documents += 1;
    }

    fn write(&mut self, mut bytes: &[u8], block_bytes: usize) {
        while !bytes.is_empty() {
            let room = |block: &Vec<u8>| block.capacity() - block.len();
            if self.blocks.back().is_none_or(|last| room(last) == 0) {
                let block = Vec::with_capacity(block_bytes.max(1));
                self.block_bytes += block.capacity();
                self.blocks.push_back(block);
            }
            if let Some(last) = self.blocks.back_mut() {
                let (fitting, rest) = bytes.split_at(bytes.len().min(room(last)));
                last.extend_from_slice(fitting);
                bytes = rest;
            }
        }
    }

    /// Moves documents from the front to the end of `bulk`, as long as the bulk then has at most this many documents
    /// and bytes. An empty bulk gets one document in any case.
    pub(crate) fn move_to(&mut self, bulk: &mut Bulk, documents_max: usize, bytes_max: usize) {
        let (mut documents, mut bytes, mut place) = (0, 0, self.first());
        while documents < self.documents {
            let (length, _) = self.header(place);
            let fits = bulk.documents() + documents < documents_max && bulk.bytes().len() + bytes + length <= bytes_max;
            if !fits && bulk.documents() + documents > 0 {
                break;
            }
            (documents, bytes) = (documents + 1, bytes + length);
            place = self.after(place, HEADER_BYTES + length);
        }
        bulk.reserve_exact(documents, bytes);
        for _ in 0..documents {
            let (length, _) = self.header(self.first());
            bulk.push_pieces(self.pieces(self.after(self.first(), HEADER_BYTES), length));
            self.remove_first();
        }
    }

    /// Drops the oldest documents until that has given a block back. Gives their number.
    pub(crate) fn drop_block(&mut self) -> usize {
        let (blocks, documents) = (self.blocks.len(), self.documents);
        while self.blocks.len() == blocks && !self.is_empty() {
            self.remove_first();
        }
        documents - self.documents
    }

    fn remove_first(&mut self) {
        let (length, _) = self.header(self.first());
        let behind = self.after(self.first(), HEADER_BYTES + length);
        self.documents -= 1;
        if self.is_empty() {
            *self = Self::default();
            return;
        }
        for block in self.blocks.drain(..behind.block) {
            self.block_bytes -= block.capacity();
        }
        self.taken = behind.offset;
    }

    fn first(&self) -> Place {
        Place { block: 0, offset: self.taken }
    }

    /// Length and age of the document that begins here.
    fn header(&self, place: Place) -> (usize, u32) {
        let (mut header, mut filled) = ([0; HEADER_BYTES], 0);
        for piece in self.pieces(place, HEADER_BYTES) {
            header[filled..filled + piece.len()].copy_from_slice(piece);
            filled += piece.len();
        }
        let [l0, l1, l2, l3, s0, s1, s2, s3] = header;
        (u32::from_le_bytes([l0, l1, l2, l3]) as usize, u32::from_le_bytes([s0, s1, s2, s3]))
    }

    /// The place this many bytes further on; never the end of a full block.
    fn after(&self, mut place: Place, bytes: usize) -> Place {
        place.offset += bytes;
        while let Some(block) = self.blocks.get(place.block).filter(|block| place.offset >= block.capacity()) {
            (place.block, place.offset) = (place.block + 1, place.offset - block.capacity());
        }
        place
    }

    /// So many bytes from a place on.
    fn pieces(&self, place: Place, bytes: usize) -> impl Iterator<Item = &[u8]> {
        let (mut offset, mut left) = (place.offset, bytes);
        self.blocks.range(place.block.min(self.blocks.len())..).map_while(move |block| {
            let piece = &block[offset..block.len().min(offset + left)];
            (offset, left) = (0, left - piece.len());
            Some(piece).filter(|piece| !piece.is_empty())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(texts: &[&str]) -> Bulk {
        let mut bulk = Bulk::default();
        for text in texts {
            bulk.push_whole(text.as_bytes());
        }
        bulk
    }

    fn texts(bulk: &Bulk) -> Vec<String> {
        (0..bulk.documents()).map(|index| String::from_utf8(bulk.document(index).to_vec()).unwrap()).collect()
    }

    #[allow(clippy::disallowed_methods, reason = "some instant to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn documents_come_out_as_they_went_in_whatever_the_blocks_are() {
        let mut random = fastrand::Rng::with_seed(1);
        for block_bytes in [1, 7, 8, 9, 100, 4096] {
            let (mut queue, start) = (Queue::default(), start());
            let (mut inside, mut next) = (VecDeque::new(), 0_u64);
            for step in 0..2000 {
                if random.u8(..5) < 2 {
                    let length = random.usize(..40);
                    let text = format!("{next}{}\n\n", "x".repeat(length));
                    queue.append(&bulk(&[&text]), start + Duration::from_millis(step), block_bytes);
                    inside.push_back((text, start + Duration::from_millis(step)));
                    next += 1;
                } else if random.u8(..20) == 0 {
                    let dropped = queue.drop_block();
                    assert!(dropped > 0 || inside.is_empty());
                    inside.drain(..dropped);
                } else {
                    let mut taken = Bulk::default();
                    let (documents_max, bytes_max) = (random.usize(1..4), random.usize(..100));
                    queue.move_to(&mut taken, documents_max, bytes_max);
                    assert_eq!(taken.is_empty(), inside.is_empty());
                    assert!(taken.is_within(documents_max, bytes_max));
                    let expected: Vec<String> = inside.drain(..taken.documents()).map(|(text, _)| text).collect();
                    assert_eq!(texts(&taken), expected);
                }
                assert_eq!(queue.documents(), inside.len());
                assert_eq!(queue.since(), inside.front().map(|(_, since)| *since));
                let needed: usize = inside.iter().map(|(text, _)| text.len() + HEADER_BYTES).sum();
                assert!(queue.block_bytes >= needed && queue.block_bytes <= needed + 2 * block_bytes);
            }
        }
    }

    #[test]
    fn what_is_moved_joins_what_is_there_within_the_bounds() {
        let mut queue = Queue::default();
        queue.append(&bulk(&["b\n\n", "c\n\n", "d\n\n"]), start(), 16);
        let mut joined = bulk(&["a\n\n"]);
        queue.move_to(&mut joined, 3, 100);
        assert_eq!(texts(&joined), ["a\n\n", "b\n\n", "c\n\n"]);
        queue.move_to(&mut joined, 9, 11);
        assert_eq!((joined.documents(), queue.documents()), (3, 1), "no room");
        assert_eq!((queue.drop_block(), queue.memory_bytes()), (1, 0));
    }

    #[test]
    fn an_older_document_behind_younger_ones_counts_until_the_queue_is_empty() {
        let (mut queue, start) = (Queue::default(), start());
        let at = |seconds| start + Duration::from_secs(seconds);
        queue.append(&bulk(&["a"]), at(5), 16);
        queue.append(&bulk(&["b"]), at(3), 16);
        queue.append(&bulk(&["c"]), at(7), 16);
        assert_eq!(queue.since(), Some(at(3)));
        queue.move_to(&mut Bulk::default(), 2, 100);
        assert_eq!((queue.documents(), queue.since()), (1, Some(at(3))), "rather too early than too late");
        queue.drop_block();
        queue.append(&bulk(&["d"]), at(9), 16);
        assert_eq!(queue.since(), Some(at(9)));
    }
}
