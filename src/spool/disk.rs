//! Documents that wait on disk: a folder of segments, oldest first.
//!
//! A segment `0000000042.ndjson` is plain `_bulk` text, which curl can send; `0000000042.sums` beside it lists the
//! checksums of its documents (see [`segment`](super::segment)). Both are only appended to, and removed when all
//! documents of the segment are done.
//!
//! Invariants: what [`Disk::save`] has taken is on the disk for good, or the call has failed and nothing of it counts; the
//! files take no more than `bytes_max`, in blocks, the oldest segments making room; whatever is in the folder, it opens.
//! A segment that has been delivered in part stays whole until it is done: its documents carry lasting ids, so sending
//! some of them again after a crash does no harm. Which of them wait on disk alone is known (see [`part`]), so that any of
//! them can leave the memory at any time.

mod part;

use super::files::{Files, Handle, Lock};
use super::segment::{self, Checked};
use crate::bulk::Bulk;
use crate::limits;
use part::Part;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An open spool folder.
#[derive(Debug)]
pub(crate) struct Disk {
    files: Files,
    folder: PathBuf,
    bounds: Bounds,
    /// Oldest first. If there is one being written, it is the last.
    segments: VecDeque<Segment>,
    writing: Option<Writing>,
    /// Damaged parts that were set aside: number and bytes.
    set_aside: VecDeque<(u64, u64)>,
    next_number: u64,
    next_turn: u64,
    used_bytes: u64,
    /// Documents that are not done.
    documents: u64,
    /// Documents that made room since this was last asked for.
    dropped: u64,
    sums: Vec<u8>,
    _lock: Lock,
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

/// Names a segment for as long as the folder is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentId(u64);

#[derive(Debug)]
struct Segment {
    number: u64,
    /// Those that were refused in this run come back behind the others, and then in this order.
    refused: bool,
    turn: u64,
    text_bytes: u64,
    sums_bytes: u64,
    /// Documents in it, and those of them that are not done.
    total: u64,
    left: u64,
    /// If some of it has been in memory. Else all of it waits on disk alone.
    part: Option<Part>,
}

#[derive(Debug)]
struct Writing {
    text: Handle,
    sums: Handle,
}

/// Documents of a segment, in memory.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) id: SegmentId,
    pub(crate) bulk: Bulk,
    /// Some of its documents were refused before, in this run.
    pub(crate) refused: bool,
    /// Documents of it that are lost, and as many of them as [`Disk::documents`] has counted so far.
    pub(crate) damaged: u64,
    pub(crate) counted: u64,
}

/// Why documents were not taken; nothing of them counts.
#[derive(Debug)]
pub(crate) enum SaveError {
    /// They are more than the folder may ever hold.
    TooLarge,
    Io(io::Error),
}

impl From<io::Error> for SaveError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why a folder cannot be used.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// Another process has it, or another recorder of this one; the number of the process.
    InUse(PathBuf, String),
    Io(PathBuf, io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(folder, process) if *process == std::process::id().to_string() => write!(
                f,
                "the spool folder {} is in use by process {process}, as this one is called: by a recorder that is about to \
                 end, or has the folder by another spelling of its path, or by an expvastic in another container",
                folder.display()
            ),
            Self::InUse(folder, process) => write!(
                f,
                "the spool folder {} is in use by process {process}: give each expvastic a folder of its own",
                folder.display()
            ),
            Self::Io(folder, error) => write!(f, "the spool folder {} cannot be used: {error}", folder.display()),
        }
    }
}

/// What a folder holds, without opening it.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Number, bytes of text, bytes of sums; oldest first.
    pub(crate) segments: Vec<(u64, u64, u64)>,
    /// Damaged parts: number and bytes.
    pub(crate) set_aside: Vec<(u64, u64)>,
    /// Segments whose removal a crash has cut short.
    gone: Vec<u64>,
}

impl Survey {
    /// Looks at a folder.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::NotFound`] if there is no folder.
    pub(crate) fn of(files: &Files, folder: &Path) -> io::Result<Self> {
        let mut survey = Self::default();
        for (name, bytes) in files.list(folder)? {
            let Some((stem, kind)) = name.split_once('.') else { continue };
            // What is not as it would be written is not ours, and no number is to be the last one.
            let ours = |number: &u64| *number < u64::MAX && format!("{number:010}") == stem;
            let Some(number) = stem.parse().ok().filter(ours) else { continue };
            match kind {
                TEXT => survey.segment(number).1 = bytes,
                SUMS => survey.segment(number).2 = bytes,
                DAMAGED => survey.set_aside.push((number, bytes)),
                GONE => survey.gone.push(number),
                _ => {}
            }
        }
        for number in &survey.gone {
            if let Ok(place) = survey.segments.binary_search_by_key(number, |segment| segment.0) {
                survey.segments.remove(place);
            }
        }
        survey.set_aside.sort_unstable();
        Ok(survey)
    }

    /// The segment `number`, found or made, in its order.
    fn segment(&mut self, number: u64) -> &mut (u64, u64, u64) {
        let found = self.segments.binary_search_by_key(&number, |segment| segment.0);
        let place = found.unwrap_or_else(|place| {
            self.segments.insert(place, (number, 0, 0));
            place
        });
        &mut self.segments[place]
    }

    /// Bytes that it all takes, in blocks, the lock included.
    pub(crate) fn used_bytes(&self) -> u64 {
        let segments = self.segments.iter().map(|&(_, text, sums)| blocks(text) + blocks(sums));
        let set_aside = self.set_aside.iter().map(|&(_, bytes)| blocks(bytes));
        limits::DISK_BLOCK_BYTES + segments.chain(set_aside).sum::<u64>()
    }

    /// Removes everything that is here, for good.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn remove_all(&self, files: &Files, folder: &Path) -> io::Result<()> {
        let segments = self.segments.iter().flat_map(|&(number, ..)| [(number, SUMS), (number, TEXT)]);
        let set_aside = self.set_aside.iter().map(|&(number, _)| (number, DAMAGED));
        let gone = self.gone.iter().flat_map(|&number| [(number, TEXT), (number, GONE)]);
        for (number, kind) in segments.chain(set_aside).chain(gone) {
            match files.remove(&path(folder, number, kind)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        match files.sync_folder(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced,
        }
    }
}

const TEXT: &str = "ndjson";
const SUMS: &str = "sums";
const DAMAGED: &str = "damaged";
const GONE: &str = "gone";

fn path(folder: &Path, number: u64, kind: &str) -> PathBuf {
    folder.join(format!("{number:010}.{kind}"))
}

/// The path of a segment's text.
pub(crate) fn text_path(folder: &Path, number: u64) -> PathBuf {
    path(folder, number, TEXT)
}

/// The path of what was set aside of a segment.
pub(crate) fn damaged_path(folder: &Path, number: u64) -> PathBuf {
    path(folder, number, DAMAGED)
}

/// Reads a segment, as far as it is known to go. A file that is missing counts as empty; gives also whether the list of
/// sums is empty.
///
/// # Errors
/// What the system says.
pub(crate) fn read_segment(
    files: &Files,
    folder: &Path,
    (number, text_bytes, sums_bytes): (u64, u64, u64),
) -> io::Result<(Checked, bool)> {
    let read =
        |kind, bytes: u64| match files.read(&path(folder, number, kind), bytes.min(limits::SEGMENT_READ_BYTES_MAX)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        };
    let (text, sums) = (read(TEXT, text_bytes)?, read(SUMS, sums_bytes)?);
    Ok((segment::check(text, &sums), sums.is_empty()))
}

/// Locks a folder for as long as the lock lives.
///
/// # Errors
/// [`OpenError`]; `InUse` tells the other's process number.
pub(crate) fn lock(files: &Files, folder: &Path) -> Result<Lock, OpenError> {
    let lock = folder.join("lock");
    files.lock(&lock).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            let process = files.read(&lock, 64).unwrap_or_default();
            OpenError::InUse(folder.to_owned(), String::from_utf8_lossy(&process).trim().to_owned())
        }
        _ => OpenError::Io(folder.to_owned(), error),
    })
}

/// Bytes that a file of this length takes on disk.
fn blocks(bytes: u64) -> u64 {
    bytes.next_multiple_of(limits::DISK_BLOCK_BYTES)
}

/// Bytes that a bulk takes on disk at most.
fn needed_bytes(bulk: &Bulk) -> u64 {
    blocks(bulk.bytes().len() as u64) + blocks((bulk.documents() * segment::SUM_BYTES) as u64)
}

impl Segment {
    /// One that nothing of has been in memory.
    fn new(number: u64, turn: u64, text_bytes: u64, sums_bytes: u64) -> Self {
        let total = segment::listed(sums_bytes);
        Self { number, refused: false, turn, text_bytes, sums_bytes, total, left: total, part: None }
    }

    fn used_bytes(&self) -> u64 {
        blocks(self.text_bytes) + blocks(self.sums_bytes)
    }

    /// Whether there is something to load.
    fn waits(&self) -> bool {
        self.part.as_ref().is_none_or(|part| part.waiting() > 0)
    }

    /// Whether some of its documents are in memory, or on their way.
    fn is_out(&self) -> bool {
        self.part.as_ref().is_some_and(|part| part.waiting() < self.left)
    }
}

impl Disk {
    /// Opens a folder, which is made if it is not there. Nothing is read but the names and lengths of its files.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) fn open(files: Files, folder: &Path, bounds: Bounds) -> Result<Self, OpenError> {
        let error = |error| OpenError::Io(folder.to_owned(), error);
        files.create_folder(folder).map_err(error)?;
        let lock = lock(&files, folder)?;
        let survey = Survey::of(&files, folder).map_err(error)?;
        let mut disk = Self {
            files,
            folder: folder.to_owned(),
            bounds,
            segments: VecDeque::new(),
            writing: None,
            set_aside: survey.set_aside.into(),
            next_number: 0,
            next_turn: 0,
            used_bytes: limits::DISK_BLOCK_BYTES,
            documents: 0,
            dropped: 0,
            sums: Vec::new(),
            _lock: lock,
        };
        for &number in &survey.gone {
            disk.remove(number);
        }
        for (number, text_bytes, sums_bytes) in survey.segments {
            disk.next_number = disk.next_number.max(number + 1);
            if text_bytes == 0 && sums_bytes == 0 {
                disk.remove(number);
                continue;
            }
            let segment = Segment::new(number, disk.take_turn(), text_bytes, sums_bytes);
            disk.used_bytes += segment.used_bytes();
            disk.documents += segment.left;
            disk.segments.push_back(segment);
        }
        for &(number, bytes) in &disk.set_aside {
            disk.next_number = disk.next_number.max(number + 1);
            disk.used_bytes += blocks(bytes);
        }
        // A smaller bound than the one that it was filled with.
        disk.drop_oldest(0);
        Ok(disk)
    }

    /// Goes on within other bounds.
    pub(crate) fn follow(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.drop_oldest(0);
    }

    /// Documents that are not done.
    pub(crate) fn documents(&self) -> u64 {
        self.documents
    }

    /// Whether there is something to load.
    pub(crate) fn has_backlog(&self) -> bool {
        self.segments.iter().any(Segment::waits)
    }

    fn take_turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn - 1
    }

    /// Documents that made room since [`Disk::take_dropped`].
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Documents that made room since this was last asked.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Takes all documents of a bulk, some of which were `refused`, or none.
    ///
    /// # Errors
    /// [`SaveError`].
    pub(crate) fn save(&mut self, bulk: &Bulk, refused: bool) -> Result<(), SaveError> {
        self.append(bulk)?;
        if let Some(segment) = self.segments.back_mut() {
            segment.refused |= refused;
        }
        Ok(())
    }

    /// Takes all documents of a bulk that stays in memory, in a segment of its own.
    ///
    /// # Errors
    /// As [`Disk::save`].
    pub(crate) fn save_apart(&mut self, bulk: &Bulk) -> Result<SegmentId, SaveError> {
        self.writing = None;
        let id = self.append(bulk)?;
        self.writing = None;
        if let Some(segment) = self.segments.back_mut() {
            segment.part = Some(Part::out_all(bulk));
        }
        Ok(id)
    }

    fn append(&mut self, bulk: &Bulk) -> Result<SegmentId, SaveError> {
        let (text_bytes, documents) = (bulk.bytes().len() as u64, bulk.documents() as u64);
        let sums_bytes = documents * segment::SUM_BYTES as u64;
        if self.writing.is_some()
            && let Some(last) = self.segments.back()
        {
            let full = last.text_bytes + text_bytes > self.bounds.segment_bytes_max
                || last.total + documents > self.bounds.segment_documents_max;
            if full {
                self.writing = None;
            }
        }
        self.make_room(needed_bytes(bulk))?;
        if self.writing.is_none() {
            self.begin_segment()?;
        }
        self.sums.clear();
        for index in 0..bulk.documents() {
            segment::write_sum(&mut self.sums, bulk.document(index));
        }
        let (Some(writing), Some(last)) = (&mut self.writing, self.segments.back_mut()) else {
            return Err(SaveError::Io(io::ErrorKind::Other.into()));
        };
        // The list first: of text that is there in part the whole documents are known.
        let written = writing
            .sums
            .append(&self.sums)
            .and_then(|()| writing.text.append(bulk.bytes()))
            .and_then(|()| writing.text.sync())
            .and_then(|()| writing.sums.sync());
        if let Err(error) = written {
            self.take_back();
            return Err(error.into());
        }
        let before = last.used_bytes();
        last.text_bytes += text_bytes;
        last.sums_bytes += sums_bytes;
        last.total += documents;
        last.left += documents;
        self.documents += documents;
        self.used_bytes = self.used_bytes + last.used_bytes() - before;
        Ok(SegmentId(last.number))
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let number = self.next_number;
        self.next_number = number.checked_add(1).ok_or_else(|| io::Error::other("no number is left for a segment"))?;
        let create = |kind| self.files.create(&path(&self.folder, number, kind));
        // A file that is there already is not ours.
        let text = create(TEXT)?;
        let sums = create(SUMS).inspect_err(|_| _ = self.files.remove(&path(&self.folder, number, TEXT)))?;
        self.files.sync_folder(&self.folder).inspect_err(|_| self.remove(number))?;
        self.writing = Some(Writing { text, sums });
        let empty = Segment::new(number, self.take_turn(), 0, 0);
        self.segments.push_back(empty);
        Ok(())
    }

    /// Undoes an [`append`](Self::append) that has failed half-way. The segment is not written to again: after an error
    /// nobody knows what the system has kept of it.
    fn take_back(&mut self) {
        let (Some(mut writing), Some(last)) = (self.writing.take(), self.segments.back()) else { return };
        if last.total == 0 {
            let number = last.number;
            self.segments.pop_back();
            self.remove(number);
        } else {
            // If that fails, too, a later start finds the documents twice, which does no harm.
            let _ = writing.text.truncate(last.text_bytes);
            let _ = writing.sums.truncate(last.sums_bytes);
        }
    }

    /// Whether a bulk has room here without anything being dropped for it.
    pub(crate) fn has_room(&self, bulk: &Bulk) -> bool {
        self.used_bytes + needed_bytes(bulk) <= self.bounds.bytes_max
    }

    /// Makes room for so many bytes more, by what is oldest; drops nothing if that would not do.
    fn make_room(&mut self, bytes: u64) -> Result<(), SaveError> {
        if limits::DISK_BLOCK_BYTES + bytes > self.bounds.bytes_max {
            return Err(SaveError::TooLarge);
        }
        let out = self.segments.iter().filter(|segment| segment.is_out()).map(Segment::used_bytes);
        if limits::DISK_BLOCK_BYTES + out.sum::<u64>() + bytes > self.bounds.bytes_max {
            return Err(SaveError::Io(io::Error::other(
                "documents that are under way leave no room within spool.bytes",
            )));
        }
        self.drop_oldest(bytes);
        Ok(())
    }

    /// Drops what is oldest until there is room for so many bytes more, or nothing is left to drop.
    fn drop_oldest(&mut self, bytes: u64) {
        while self.used_bytes + bytes > self.bounds.bytes_max {
            if let Some((number, bytes)) = self.set_aside.pop_front() {
                let _ = self.files.remove(&path(&self.folder, number, DAMAGED));
                self.used_bytes -= blocks(bytes);
                continue;
            }
            let Some(at) = self.segments.iter().position(|segment| !segment.is_out()) else { return };
            if at + 1 == self.segments.len() {
                self.writing = None;
            }
            if let Some(segment) = self.segments.remove(at) {
                self.dropped += segment.left;
                self.documents -= segment.left;
                self.used_bytes -= segment.used_bytes();
                self.remove(segment.number);
            }
        }
    }

    /// Removes the files of a segment. A crash in between must not look like a loss: the list goes first, by a step that
    /// is done or not, and its new name says that the text is to go.
    fn remove(&self, number: u64) {
        let [text, sums, gone] = [TEXT, SUMS, GONE].map(|kind| path(&self.folder, number, kind));
        // What cannot be removed comes back at the next start and is sent once more, which does no harm.
        let _ = self.files.rename(&sums, &gone);
        let _ = self.files.remove(&text);
        let _ = self.files.remove(&gone);
    }

    /// Documents of the segment whose turn it is, up to so many bytes but one at least; what is damaged is set aside. None if
    /// nothing waits here.
    ///
    /// # Errors
    /// What the system says. The segment waits as before, behind all others.
    pub(crate) fn load_next(&mut self, bytes_max: usize) -> io::Result<Option<Loaded>> {
        let waiting = self.segments.iter().enumerate().filter(|(_, segment)| segment.waits());
        let Some((at, _)) = waiting.min_by_key(|(_, segment)| (segment.refused, segment.turn)) else {
            return Ok(None);
        };
        if at + 1 == self.segments.len() {
            self.writing = None;
        }
        let Segment { number, text_bytes, sums_bytes, refused, .. } = self.segments[at];
        let id = SegmentId(number);
        let read = read_segment(&self.files, &self.folder, (number, text_bytes, sums_bytes));
        let (checked, unlisted) = read.inspect_err(|_| self.put_behind(id))?;
        // Without a list nothing can be checked: what looks like a document is one that is lost.
        let unlisted = if unlisted { segment::beginnings(&checked.damaged) } else { 0 };
        if !checked.damaged.is_empty() {
            self.set_aside(number, &checked.damaged);
        }
        let segment = &mut self.segments[at];
        let part = segment.part.get_or_insert_with(|| Part::waiting_all(segment.total));
        let counted = part.keep(&checked);
        let bulk = part.take(checked, bytes_max);
        segment.left -= counted;
        self.documents -= counted;
        if segment.left == 0 {
            self.used_bytes -= segment.used_bytes();
            self.segments.remove(at);
            self.remove(number);
        }
        Ok(Some(Loaded { id, bulk, refused, damaged: counted.max(unlisted), counted }))
    }

    /// Keeps what is damaged for whoever wants to look at it, if there is room.
    fn set_aside(&mut self, number: u64, bytes: &[u8]) {
        let length = bytes.len() as u64;
        let known = self.set_aside.iter().any(|(other, _)| *other == number);
        if known || self.used_bytes + blocks(length) > self.bounds.bytes_max {
            return;
        }
        let path = path(&self.folder, number, DAMAGED);
        let written = self.files.create(&path).and_then(|mut file| file.append(bytes));
        match written {
            Ok(()) => {
                self.set_aside.push_back((number, length));
                self.used_bytes += blocks(length);
            }
            Err(_) => _ = self.files.remove(&path),
        }
    }

    /// So many documents that were loaded are done. When all of a segment are, it goes.
    pub(crate) fn done(&mut self, id: SegmentId, documents: u64) {
        let Some(at) = self.position(id) else { return };
        let segment = &mut self.segments[at];
        let done = documents.min(segment.left);
        segment.left -= done;
        self.documents -= done;
        if segment.left == 0 {
            self.used_bytes -= segment.used_bytes();
            self.segments.remove(at);
            self.remove(id.0);
        } else if let Some(part) = segment.part.as_mut().filter(|part| part.waiting() == segment.left) {
            part.none_is_out();
        }
    }

    /// Lets documents that were loaded wait here alone again: they come next of their segment, unless they were refused.
    pub(crate) fn unload(&mut self, id: SegmentId, bulk: &Bulk, refused: bool) {
        let Some(at) = self.position(id) else { return };
        let segment = &mut self.segments[at];
        if let Some(part) = &mut segment.part {
            part.put_back(bulk, !refused);
            if part.waiting() == segment.left {
                part.none_is_out();
            }
        }
    }

    /// The rest of a segment that has been refused comes behind all others.
    pub(crate) fn put_behind(&mut self, id: SegmentId) {
        let turn = self.take_turn();
        if let Some(at) = self.position(id) {
            (self.segments[at].refused, self.segments[at].turn) = (true, turn);
        }
    }

    fn position(&self, id: SegmentId) -> Option<usize> {
        self.segments.iter().position(|segment| segment.number == id.0)
    }
}

#[cfg(test)]
mod tests;
