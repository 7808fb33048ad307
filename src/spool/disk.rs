//! Documents that wait on disk: a folder of segments, oldest first.
//!
//! A segment `0000000042.ndjson` is plain `_bulk` text, which curl can send; `0000000042.sums` beside it lists the
//! checksums of its documents (see [`segment`](super::segment)). Both are only appended to, and removed when all
//! documents of the segment are done.
//!
//! Invariants: what [`Disk::save`] has accepted is on the disk for good, or the call has failed and none of it counts.
//! The files take no more than `bytes_max`, in blocks; the oldest segments make room. A folder opens whatever is in it,
//! unless a later version has put the number of its format there. What others do to the folder and its files is noticed
//! before the next write (see [`moved`]).
//!
//! A segment that has been delivered in part stays whole until it is done: its documents carry lasting ids, so sending
//! some of them again after a crash does no harm. It is known which of them wait on disk alone (see [`residence`]), so any
//! of them can leave the memory at any time.

mod load;
mod moved;
mod residence;
mod save;
mod survey;
mod tried;

use super::files::{Files, Folder, Handle};
use super::segment;
use crate::limits;
use crate::sort::sorted;
use residence::{Places, Residence};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;
use survey::{DAMAGED, GONE, SUMS, SegmentFiles, TEXT, blocks, name};

pub(crate) use moved::Changes;
pub(crate) use save::SaveError;
pub(crate) use survey::{OpenError, Survey, check_format, damaged_path, lock, read_head, read_segment, text_path};
pub(crate) use tried::{Dropped, Tried};

/// An open spool folder.
#[derive(Debug)]
pub(crate) struct Disk {
    files: Files,
    path: PathBuf,
    bounds: Bounds,
    /// The folder that the path led to when it was last looked at. It is locked.
    home: Rc<Folder>,
    /// Oldest first, more or less.
    segments: VecDeque<Segment>,
    /// Whether the last one takes more documents.
    is_writing: bool,
    /// Damaged parts that were set aside: number and bytes.
    set_aside: BTreeMap<u64, u64>,
    next_number: u64,
    next_id: u64,
    next_turn: u64,
    used_bytes: u64,
    /// Documents that are not done.
    documents: u64,
    /// Documents that made room since this was last asked for.
    dropped: Dropped,
    changes: Changes,
    sums: Vec<u8>,
}

/// What bounds the folder and its segments.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_field_names, reason = "each says that it is a bound")]
pub(crate) struct Bounds {
    pub(crate) bytes_max: u64,
    /// A segment is closed before it grows over these.
    pub(crate) segment_bytes_max: u64,
    pub(crate) segment_documents_max: u64,
}

/// Names a segment for as long as the folder is open, whatever its number is by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentId(u64);

#[derive(Debug)]
struct Segment {
    id: SegmentId,
    /// Where its files are, and by which number.
    home: Rc<Folder>,
    number: u64,
    /// Its open files, while it is being written to. They stay open longer if no name leads to them any more.
    handles: Option<Handles>,
    /// Whether some of it was refused in this run. Refused segments come back after all others, in the order of `turn`.
    refused: bool,
    turn: u64,
    text_bytes: u64,
    sums_bytes: u64,
    /// Documents in it, and those of them that are not done.
    total: u64,
    left: u64,
    /// Those that are [`Tried::Rejected`], as far as they are not done.
    rejected: Places,
    /// Which documents wait on disk alone. None until the first of them is loaded: before that, all of them do.
    residence: Option<Residence>,
    /// When its oldest document came. None if that was before the folder was opened.
    since: Option<Instant>,
}

#[derive(Debug)]
struct Handles {
    text: Handle,
    sums: Handle,
}

impl Segment {
    fn used_bytes(&self) -> u64 {
        blocks(self.text_bytes).saturating_add(blocks(self.sums_bytes))
    }

    /// Whether there is something to load. A segment that has not been read yet counts as non-empty.
    fn waits(&self) -> bool {
        self.residence.as_ref().is_none_or(|residence| residence.waiting() > 0)
    }

    /// Documents of it that wait on disk alone.
    fn waiting(&self) -> u64 {
        self.residence.as_ref().map_or(self.left, Residence::waiting)
    }

    /// Whether some of its documents are in memory or under way.
    fn is_in_memory(&self) -> bool {
        self.residence.as_ref().is_some_and(|residence| residence.waiting() < self.left)
    }

    /// Whether its files still have their names in the folder, as far as that can be found out.
    fn is_in_place(&self) -> bool {
        let [text, sums] = [TEXT, SUMS].map(|kind| name(self.number, kind));
        match &self.handles {
            Some(handles) => self.home.names(&text, &handles.text) && self.home.names(&sums, &handles.sums),
            None => self.text_bytes == 0 || self.home.has(&text),
        }
    }

    /// Whether it can only be read because its files are open.
    fn is_nameless(&self) -> bool {
        self.handles.is_some() && !self.is_in_place()
    }

    fn remove_files(&self) {
        let Some(handles) = self.handles.as_ref().filter(|_| !self.is_in_place()) else {
            return self.home.remove_segment(self.number);
        };
        // Files that others have put under its names belong to them.
        for (kind, handle) in [(TEXT, &handles.text), (SUMS, &handles.sums)] {
            let name = name(self.number, kind);
            if self.home.names(&name, handle) {
                let _ = self.home.remove(&name);
            }
        }
    }
}

impl Disk {
    /// Opens a folder, which is made if it is not there. Nothing is read but the names and lengths of its files.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) fn open(files: Files, path: &Path, bounds: Bounds) -> Result<Self, OpenError> {
        let home = survey::open_locked(&files, path)?;
        let survey = Survey::of(&home).map_err(|error| OpenError::Io(path.to_owned(), error))?;
        let mut disk = Self {
            files,
            path: path.to_owned(),
            bounds,
            home: Rc::new(home),
            segments: VecDeque::new(),
            is_writing: false,
            set_aside: BTreeMap::new(),
            next_number: 0,
            next_id: 0,
            next_turn: 0,
            used_bytes: limits::DISK_BLOCK_BYTES,
            documents: 0,
            dropped: Dropped::default(),
            changes: Changes::default(),
            sums: Vec::new(),
        };
        disk.next_number = survey.last_number().map_or(0, |last| last + 1);
        disk.adopt(survey);
        // The bound may be smaller than the one with which the folder was filled.
        disk.drop_oldest(0);
        Ok(disk)
    }

    /// Adds the segments that were found in the folder. Returns the number of their documents.
    fn adopt(&mut self, survey: Survey) -> u64 {
        for &number in &survey.gone {
            self.home.remove_segment(number);
        }
        let before = self.documents;
        for SegmentFiles { number, text_bytes, sums_bytes } in survey.segments {
            if text_bytes == 0 && sums_bytes == 0 {
                self.home.remove_segment(number);
                continue;
            }
            let segment = self.new_segment(number, text_bytes, sums_bytes);
            self.used_bytes = self.used_bytes.saturating_add(segment.used_bytes());
            self.documents += segment.left;
            self.segments.push_back(segment);
        }
        for (number, bytes) in survey.set_aside {
            self.used_bytes = self.used_bytes.saturating_add(blocks(bytes));
            self.set_aside.insert(number, bytes);
        }
        self.documents - before
    }

    /// A segment in the folder, of which nothing has been loaded yet.
    fn new_segment(&mut self, number: u64, text_bytes: u64, sums_bytes: u64) -> Segment {
        let total = segment::listed(sums_bytes);
        let id = SegmentId(self.next_id);
        self.next_id += 1;
        let (home, turn) = (Rc::clone(&self.home), self.take_turn());
        let (handles, refused, left, rejected, residence, since) = (None, false, total, Places::default(), None, None);
        Segment {
            id,
            home,
            number,
            handles,
            refused,
            turn,
            text_bytes,
            sums_bytes,
            total,
            left,
            rejected,
            residence,
            since,
        }
    }

    /// Applies new bounds.
    pub(crate) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.drop_oldest(0);
    }

    /// Documents that are not done.
    pub(crate) fn documents(&self) -> u64 {
        self.documents
    }

    /// Whether there is something to load: of segments that were refused in this run, or of the others.
    pub(crate) fn has_backlog(&self, refused: bool) -> bool {
        self.segments.iter().any(|segment| segment.refused == refused && segment.waits())
    }

    /// Bytes of the folder's files, in blocks.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.segments.iter().map(Segment::used_bytes).sum()
    }

    /// The documents that were saved last came then, at the earliest.
    pub(crate) fn saved_since(&mut self, since: Instant) {
        if let Some(last) = self.segments.back_mut() {
            last.since = Some(last.since.map_or(since, |before| before.min(since)));
        }
    }

    /// When the oldest document came that was saved since the folder was opened, and whether there are others.
    pub(crate) fn oldest_since(&self) -> (Option<Instant>, bool) {
        let ages = self.segments.iter().map(|segment| segment.since);
        (ages.clone().flatten().min(), ages.clone().any(|since| since.is_none()))
    }

    /// Documents that can be loaded: of segments that were refused in this run, or of the others.
    pub(crate) fn waiting(&self, refused: bool) -> u64 {
        self.segments.iter().filter(|segment| segment.refused == refused).map(Segment::waiting).sum()
    }

    fn take_turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn - 1
    }

    /// A number for a segment.
    fn take_number(&mut self) -> u64 {
        if self.next_number == u64::MAX {
            // Somebody else has put a file there that has the last number: continue with the lowest free one.
            let segments = self.segments.iter().map(|segment| segment.number);
            let used: Vec<u64> = sorted(segments.chain(self.set_aside.keys().copied()).collect());
            self.next_number = (0..u64::MAX).find(|number| used.binary_search(number).is_err()).unwrap_or(0);
        }
        self.next_number += 1;
        self.next_number - 1
    }

    /// Documents that made room since [`Disk::take_dropped`].
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.documents
    }

    /// Documents that made room since this was last asked.
    pub(crate) fn take_dropped(&mut self) -> Dropped {
        std::mem::take(&mut self.dropped)
    }

    /// Drops the oldest segments until there is room for this many more bytes, or nothing is left to drop.
    fn drop_oldest(&mut self, bytes: u64) {
        while self.used_bytes.saturating_add(bytes) > self.bounds.bytes_max {
            if let Some((number, bytes)) = self.set_aside.pop_first() {
                let _ = self.home.remove(&name(number, DAMAGED));
                self.used_bytes = self.used_bytes.saturating_sub(blocks(bytes));
                continue;
            }
            let Some(at) = self.segments.iter().position(|segment| !segment.is_in_memory()) else { return };
            if let Some(segment) = self.take_out(at) {
                self.dropped.documents += segment.left;
                self.dropped.rejected += segment.rejected.count(segment.residence.as_ref());
                segment.remove_files();
            }
        }
    }

    /// Takes a segment out of the books. Its files are as they were.
    fn take_out(&mut self, at: usize) -> Option<Segment> {
        if at + 1 == self.segments.len() {
            self.is_writing = false;
        }
        let segment = self.segments.remove(at)?;
        self.documents -= segment.left;
        self.used_bytes = self.used_bytes.saturating_sub(segment.used_bytes());
        Some(segment)
    }

    fn position(&self, id: SegmentId) -> Option<usize> {
        self.segments.iter().position(|segment| segment.id == id)
    }
}

impl Folder {
    /// Removes the files of a segment. A crash in between must not look like a loss: the list goes first, by a step that
    /// is done or not, and its new name says that the text is to go.
    fn remove_segment(&self, number: u64) {
        let [text, sums, gone] = [TEXT, SUMS, GONE].map(|kind| name(number, kind));
        // What cannot be removed comes back at the next start and is sent once more, which does no harm.
        let _ = self.rename(&sums, &gone);
        let _ = self.remove(&text);
        let _ = self.remove(&gone);
    }
}

#[cfg(test)]
mod tests;
