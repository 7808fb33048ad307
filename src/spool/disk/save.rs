//! Writes documents to the disk.

use super::survey::{SUMS, TEXT, blocks, name};
use super::{Disk, Handles, Residence, SegmentId, Tried};
use crate::bulk::Bulk;
use crate::limits;
use crate::spool::segment;
use std::io;

/// Why documents were not saved. None of them counts as saved.
#[derive(Debug)]
pub(crate) enum SaveError {
    /// They are larger than `spool.bytes` allows the whole folder to be. Rare: the bound is at least 64 KiB, and 256 MiB by
    /// default. Trying again does not help.
    TooLarge,
    /// The disk could not be written to, or the folder cannot be used. The usual cause is a full disk; it is tried again
    /// after [`SPOOL_RETRY`](limits::SPOOL_RETRY).
    Io(io::Error),
}

impl From<io::Error> for SaveError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Bytes that a bulk takes on disk at most.
fn needed_bytes(bulk: &Bulk) -> u64 {
    blocks(bulk.bytes().len() as u64) + blocks((bulk.documents() * segment::SUM_BYTES) as u64)
}

impl Disk {
    /// Saves all documents of a bulk.
    ///
    /// # Errors
    /// [`SaveError`].
    pub(crate) fn save(&mut self, bulk: &Bulk, tried: Tried) -> Result<(), SaveError> {
        self.look()?;
        self.append(bulk)?;
        if let Some(segment) = self.segments.back_mut() {
            segment.refused |= tried != Tried::No;
            let places = segment.total - bulk.documents() as u64..segment.total;
            let places = places.filter_map(|place| u32::try_from(place).ok()).filter(|_| tried == Tried::Rejected);
            places.for_each(|place| segment.rejected.insert(place));
        }
        Ok(())
    }

    /// Saves a copy of a bulk that stays in memory as well, in a segment of its own.
    ///
    /// # Errors
    /// As [`Disk::save`].
    pub(crate) fn save_copy(&mut self, bulk: &Bulk) -> Result<SegmentId, SaveError> {
        self.look()?;
        self.close();
        let id = self.append(bulk)?;
        self.close();
        if let Some(segment) = self.segments.back_mut() {
            segment.residence = Some(Residence::all_in_memory(bulk));
        }
        Ok(id)
    }

    /// The last segment is not written to any more. Names lead to its files.
    pub(super) fn close(&mut self) {
        if std::mem::take(&mut self.is_writing)
            && let Some(last) = self.segments.back_mut()
        {
            last.handles = None;
        }
    }

    pub(super) fn append(&mut self, bulk: &Bulk) -> Result<SegmentId, SaveError> {
        let (text_bytes, documents) = (bulk.bytes().len() as u64, bulk.documents() as u64);
        let sums_bytes = documents * segment::SUM_BYTES as u64;
        if self.is_writing
            && let Some(last) = self.segments.back()
        {
            let full = last.text_bytes + text_bytes > self.bounds.segment_bytes_max
                || last.total + documents > self.bounds.segment_documents_max;
            if full {
                self.close();
            }
        }
        self.make_room(needed_bytes(bulk))?;
        if !self.is_writing {
            self.begin_segment()?;
        }
        self.sums.clear();
        for index in 0..bulk.documents() {
            segment::write_sum(&mut self.sums, bulk.document(index));
        }
        let last = self.segments.back_mut();
        let Some((last, handles)) = last.and_then(|last| last.handles.take().map(|handles| (last, handles))) else {
            return Err(SaveError::Io(io::ErrorKind::Other.into()));
        };
        let Handles { text, sums } = last.handles.insert(handles);
        // The list is written first, so that in a text that was written in part the whole documents can be found.
        let written = sums
            .append(&self.sums)
            .and_then(|()| text.append(bulk.bytes()))
            .and_then(|()| text.sync())
            .and_then(|()| sums.sync());
        if let Err(error) = written {
            self.undo_append();
            return Err(error.into());
        }
        let before = last.used_bytes();
        last.text_bytes += text_bytes;
        last.sums_bytes += sums_bytes;
        last.total += documents;
        last.left += documents;
        self.documents += documents;
        self.used_bytes = self.used_bytes.saturating_add(last.used_bytes() - before);
        Ok(last.id)
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let mut tries = 0;
        let (number, text, sums) = loop {
            let number = self.take_number();
            let create = |kind| self.home.create(&name(number, kind));
            let created = create(TEXT).and_then(|text| {
                let sums = create(SUMS).inspect_err(|_| _ = self.home.remove(&name(number, TEXT)));
                sums.map(|sums| (text, sums))
            });
            tries += 1;
            match created {
                Ok((text, sums)) => break (number, text, sums),
                // A file that is there already is not ours.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < limits::SEGMENT_NUMBERS_TRIED => {
                }
                Err(error) => return Err(error),
            }
        };
        self.home.sync().inspect_err(|_| self.home.remove_segment(number))?;
        let mut segment = self.new_segment(number, 0, 0);
        segment.handles = Some(Handles { text, sums });
        self.segments.push_back(segment);
        self.is_writing = true;
        Ok(())
    }

    /// Undoes an [`append`](Self::append) that has failed half-way. The segment is not written to again: after an error
    /// it is unknown what the system has kept.
    fn undo_append(&mut self) {
        self.is_writing = false;
        let Some(last) = self.segments.back_mut() else { return };
        let Some(mut handles) = last.handles.take() else { return };
        if last.total == 0 {
            last.home.remove_segment(last.number);
            self.segments.pop_back();
        } else {
            // If that fails, too, a later start finds the documents twice, which does no harm.
            let _ = handles.text.truncate(last.text_bytes);
            let _ = handles.sums.truncate(last.sums_bytes);
        }
    }

    /// Whether a bulk fits without older documents being dropped to make room.
    pub(crate) fn has_room(&self, bulk: &Bulk) -> bool {
        self.used_bytes.saturating_add(needed_bytes(bulk)) <= self.bounds.bytes_max
    }

    /// Makes room for this many more bytes by dropping the oldest segments; drops nothing if that would not be enough.
    fn make_room(&mut self, bytes: u64) -> Result<(), SaveError> {
        if limits::DISK_BLOCK_BYTES + bytes > self.bounds.bytes_max {
            return Err(SaveError::TooLarge);
        }
        let out = self.segments.iter().filter(|segment| segment.is_in_memory()).map(super::Segment::used_bytes);
        if out.fold(limits::DISK_BLOCK_BYTES + bytes, u64::saturating_add) > self.bounds.bytes_max {
            return Err(SaveError::Io(io::Error::other("documents being sent leave no room within spool.bytes")));
        }
        self.drop_oldest(bytes);
        Ok(())
    }
}
