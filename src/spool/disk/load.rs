//! Brings documents back from the disk, and removes segments that are done.

use super::survey::{DAMAGED, SegmentFiles, blocks, name, read_segment};
use super::{Disk, Residence, Segment, SegmentId, Tried};
use crate::bulk::{self, Bulk};
use crate::limits;
use crate::spool::segment::{self, Checked};
use std::io;

/// Documents of a segment, in memory.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) id: SegmentId,
    pub(crate) bulk: Bulk,
    /// Its damaged documents, and how many of those [`Disk::documents`] had counted so far.
    pub(crate) damaged: u64,
    pub(crate) counted: u64,
    /// Bytes that were read to find them.
    pub(crate) read_bytes: u64,
}

impl Segment {
    /// All of it that can be read, and whether its list of sums is empty.
    pub(super) fn read(&self) -> io::Result<(Checked, bool)> {
        let Some(handles) = &self.handles else {
            let Self { number, text_bytes, sums_bytes, .. } = *self;
            return read_segment(&self.home, SegmentFiles { number, text_bytes, sums_bytes });
        };
        let text = handles.text.read_back(self.text_bytes.min(limits::SEGMENT_READ_BYTES_MAX))?;
        let sums = handles.sums.read_back(self.sums_bytes.min(segment::SUMS_BYTES_MAX))?;
        Ok((segment::check(text, &sums), sums.is_empty()))
    }
}

impl Disk {
    /// Loads documents of the next segment, from those that were `refused` in this run or from the others: up to this
    /// many bytes, but at least one. Damaged data is set aside. None if no such segment waits.
    ///
    /// # Errors
    /// What the system says. The segment waits as before, behind all others.
    pub(crate) fn load_next(&mut self, bytes_max: usize, refused: bool) -> io::Result<Option<Loaded>> {
        let is_wanted = |segment: &Segment| segment.refused == refused && segment.waits();
        let waiting = self.segments.iter().enumerate().filter(|(_, segment)| is_wanted(segment));
        let Some((at, segment)) = waiting.min_by_key(|(_, segment)| segment.turn) else { return Ok(None) };
        let (id, read_bytes) = (segment.id, segment.text_bytes);
        let (checked, unlisted) = match segment.read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.lose(at);
                self.forget_what_others_removed();
                return Ok(Some(Loaded { id, bulk: Bulk::default(), damaged: 0, counted: 0, read_bytes: 0 }));
            }
            Err(error) => {
                self.segments[at].turn = self.take_turn();
                return Err(error);
            }
            Ok(read) => read,
        };
        // Without a list nothing can be checked: whatever looks like a document counts as lost.
        let unlisted = if unlisted { bulk::beginning().find_iter(&checked.damaged).count() as u64 } else { 0 };
        if at + 1 == self.segments.len() {
            self.is_writing = false;
        }
        let segment = &mut self.segments[at];
        if segment.is_in_place() {
            segment.handles = None;
        }
        let number = segment.number;
        if !checked.damaged.is_empty() {
            self.set_aside(number, &checked.damaged);
        }
        let segment = &mut self.segments[at];
        let residence = segment.residence.get_or_insert_with(|| Residence::all_on_disk(segment.total));
        let counted = residence.retain_whole(&checked);
        let bulk = residence.take(checked, bytes_max);
        segment.left -= counted;
        self.documents -= counted;
        self.end_if_done(at);
        Ok(Some(Loaded { id, bulk, damaged: counted.max(unlisted), counted, read_bytes }))
    }

    /// Keeps damaged data in a file for a person to look at, if there is room.
    fn set_aside(&mut self, number: u64, bytes: &[u8]) {
        let length = bytes.len() as u64;
        let used_bytes = self.used_bytes.saturating_add(blocks(length));
        if self.set_aside.contains_key(&number) || used_bytes > self.bounds.bytes_max {
            return;
        }
        let name = name(number, DAMAGED);
        let Ok(mut file) = self.home.create(&name) else { return };
        if file.append(bytes).is_ok() {
            self.set_aside.insert(number, length);
            self.used_bytes = used_bytes;
        } else {
            let _ = self.home.remove(&name);
        }
    }

    /// This many of the documents that were loaded are done. When all of a segment are done, it is removed.
    pub(crate) fn done(&mut self, id: SegmentId, documents: u64) {
        let Some(at) = self.position(id) else { return };
        let segment = &mut self.segments[at];
        let done = documents.min(segment.left);
        segment.left -= done;
        self.documents -= done;
        self.end_if_done(at);
    }

    fn end_if_done(&mut self, at: usize) {
        let segment = &mut self.segments[at];
        if segment.left > 0 {
            if let Some(residence) = segment.residence.as_mut().filter(|residence| residence.waiting() == segment.left)
            {
                residence.forget_loaded();
            }
        } else if let Some(segment) = self.take_out(at) {
            segment.remove_files();
        }
    }

    /// Documents that were loaded wait on disk alone again, as the next of their segment. Once some documents of a
    /// segment are refused, the rest of it comes after all other segments. False if others have removed the segment, so
    /// that the documents are in memory only.
    pub(crate) fn unload(&mut self, id: SegmentId, bulk: &Bulk, tried: Tried) -> bool {
        let turn = self.take_turn();
        let Some(at) = self.position(id) else { return false };
        let segment = &mut self.segments[at];
        if segment.handles.is_none() && !segment.is_in_place() {
            self.lose(at);
            self.forget_what_others_removed();
            return false;
        }
        if let Some(residence) = &mut segment.residence {
            let rejected = &mut segment.rejected;
            residence.put_back(bulk, tried == Tried::No, |place| match tried {
                Tried::No => {}
                Tried::Refused => rejected.remove(place),
                Tried::Rejected => rejected.insert(place),
            });
            if residence.waiting() == segment.left {
                residence.forget_loaded();
            }
        }
        if tried != Tried::No {
            (segment.refused, segment.turn) = (true, turn);
        }
        true
    }
}
