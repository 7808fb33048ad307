//! What a spool folder contains: its file names, what can be read of the files, and why a folder cannot be used.

use crate::limits;
use crate::sort::sorted;
use crate::spool::files::{Files, Folder, LockError};
use crate::spool::segment::{self, Checked};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub(super) const TEXT: &str = "ndjson";
pub(super) const SUMS: &str = "sums";
pub(super) const DAMAGED: &str = "damaged";
pub(super) const GONE: &str = "gone";

/// The file that holds the number of the format, if that is not the first one. A version that gives other files or another
/// meaning to files writes it before anything else, so that earlier versions leave the folder alone.
const FORMAT_FILE: &str = "format";
/// The format that is written and read here: segments of `_bulk` text with lists of checksums.
const FORMAT: &str = "1";

/// The name of a file of a segment.
pub(super) fn name(number: u64, kind: &str) -> String {
    format!("{number:010}.{kind}")
}

/// The number and the kind of a file, going by its name.
fn number_and_kind(name: &str) -> Option<(u64, &str)> {
    let (stem, kind) = name.split_once('.')?;
    // What is not as it would be written is not ours, and no number is to be the last one.
    let ours = |number: &u64| *number < u64::MAX && format!("{number:010}") == stem;
    let number = stem.parse().ok().filter(ours)?;
    [TEXT, SUMS, DAMAGED, GONE].contains(&kind).then_some((number, kind))
}

/// The path of a segment's text.
pub(crate) fn text_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(name(number, TEXT))
}

/// The path of what was set aside of a segment.
pub(crate) fn damaged_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(name(number, DAMAGED))
}

/// Why a folder cannot be used.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// Another process has it, or another recorder of this one; the number of the process, if it is known. Likely after a
    /// configuration was copied, or while an earlier process is still shutting down.
    InUse(PathBuf, Option<u32>),
    /// A later version has written it; what it says of its format. Likely after a downgrade.
    OtherFormat(PathBuf, String),
    /// It cannot be made, opened, locked or listed. The usual cause is that this user has no permission.
    Io(PathBuf, io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(folder, Some(process)) if *process == std::process::id() => write!(
                f,
                "the spool folder {} is in use by process {process}, which is this process's id: by a recorder that \
                 is shutting down, by one with another path to the same folder, or by an expvastic in another \
                 container",
                folder.display()
            ),
            Self::InUse(folder, process) => {
                let process =
                    process.map_or_else(|| "another process".to_owned(), |number| format!("process {number}"));
                write!(
                    f,
                    "the spool folder {} is in use by {process}: give each expvastic its own folder",
                    folder.display()
                )
            }
            Self::OtherFormat(folder, format) => write!(
                f,
                "the spool folder {} was written by a later version (format {format:?}, this one reads {FORMAT}) and is left \
                 untouched: ship it with that version, or configure another folder",
                folder.display()
            ),
            Self::Io(folder, error) => write!(f, "cannot use the spool folder {}: {error}", folder.display()),
        }
    }
}

/// Opens a folder, which is made if it is not there, and locks it.
///
/// # Errors
/// [`OpenError`].
pub(crate) fn open_locked(files: &Files, path: &Path) -> Result<Folder, OpenError> {
    let folder = files.make(path).map_err(|error| OpenError::Io(path.to_owned(), error))?;
    // Before the lock, which writes to the folder.
    check_format(&folder, path)?;
    lock(&folder, path)?;
    Ok(folder)
}

/// Checks that a folder is in a format that is understood here.
///
/// # Errors
/// [`OpenError`].
pub(crate) fn check_format(folder: &Folder, path: &Path) -> Result<(), OpenError> {
    // The first format has no such file, and a folder whose files cannot be read for now can be opened.
    if !folder.has(FORMAT_FILE) {
        return Ok(());
    }
    match folder.read(FORMAT_FILE, limits::SPOOL_FORMAT_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(OpenError::Io(path.to_owned(), error)),
        Ok(found) if found.trim_ascii() == FORMAT.as_bytes() => Ok(()),
        Ok(found) => {
            let found = String::from_utf8_lossy(&found).trim().to_owned();
            Err(OpenError::OtherFormat(path.to_owned(), found))
        }
    }
}

/// Locks a folder for as long as it is open.
///
/// # Errors
/// [`OpenError`].
pub(crate) fn lock(folder: &Folder, path: &Path) -> Result<(), OpenError> {
    folder.lock().map_err(|error| match error {
        LockError::InUse(process) => OpenError::InUse(path.to_owned(), process),
        LockError::Io(error) => OpenError::Io(path.to_owned(), error),
    })
}

/// The two files of a segment, as a listing of the folder shows them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentFiles {
    pub(crate) number: u64,
    pub(crate) text_bytes: u64,
    /// 0 if the list of checksums is missing.
    pub(crate) sums_bytes: u64,
}

/// What a folder holds, without reading any of it.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Oldest first.
    pub(crate) segments: Vec<SegmentFiles>,
    /// Damaged data that was set aside: the number of the segment that it was in, and its bytes.
    pub(crate) set_aside: Vec<(u64, u64)>,
    /// Segments whose removal a crash has cut short.
    pub(super) gone: Vec<u64>,
}

impl Survey {
    /// Looks at a folder.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn of(folder: &Folder) -> io::Result<Self> {
        let mut segments: BTreeMap<u64, SegmentFiles> = BTreeMap::new();
        let empty = |number| SegmentFiles { number, text_bytes: 0, sums_bytes: 0 };
        let (mut set_aside, mut gone) = (Vec::new(), HashSet::new());
        for (name, bytes) in folder.list(&|name| number_and_kind(name).is_some())? {
            let bytes = bytes.min(limits::SPOOL_BYTES_MAX);
            match number_and_kind(&name) {
                Some((number, TEXT)) => segments.entry(number).or_insert_with(|| empty(number)).text_bytes = bytes,
                Some((number, SUMS)) => segments.entry(number).or_insert_with(|| empty(number)).sums_bytes = bytes,
                Some((number, DAMAGED)) => set_aside.push((number, bytes)),
                Some((number, _)) => _ = gone.insert(number),
                None => {}
            }
        }
        let segments = segments.into_values().filter(|segment| !gone.contains(&segment.number));
        Ok(Self { segments: segments.collect(), set_aside: sorted(set_aside), gone: gone.into_iter().collect() })
    }

    /// Bytes that it all takes, in blocks, the lock included.
    pub(crate) fn used_bytes(&self) -> u64 {
        let segments = self.segments.iter();
        let segments = segments.map(|segment| blocks(segment.text_bytes).saturating_add(blocks(segment.sums_bytes)));
        let set_aside = self.set_aside.iter().map(|&(_, bytes)| blocks(bytes));
        segments.chain(set_aside).fold(limits::DISK_BLOCK_BYTES, u64::saturating_add)
    }

    /// The highest number of a file.
    pub(super) fn last_number(&self) -> Option<u64> {
        let segments = self.segments.last().map(|segment| segment.number);
        segments.max(self.set_aside.last().map(|(number, _)| *number))
    }

    /// Removes everything that is here, for good.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn remove_all(&self, folder: &Folder) -> io::Result<()> {
        let segments = self.segments.iter().flat_map(|segment| [(segment.number, SUMS), (segment.number, TEXT)]);
        let set_aside = self.set_aside.iter().map(|&(number, _)| (number, DAMAGED));
        let gone = self.gone.iter().flat_map(|&number| [(number, SUMS), (number, TEXT), (number, GONE)]);
        for (number, kind) in segments.chain(set_aside).chain(gone) {
            match folder.remove(&name(number, kind)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        folder.sync()
    }
}

/// Reads a segment, as far as it is known to go. A list that is missing counts as empty; gives also whether it is.
///
/// # Errors
/// What the system says; [`io::ErrorKind::NotFound`] if there is no text any more.
pub(crate) fn read_segment(
    folder: &Folder,
    SegmentFiles { number, text_bytes, sums_bytes }: SegmentFiles,
) -> io::Result<(Checked, bool)> {
    // A crash may have left a list alone.
    let text = match text_bytes.min(limits::SEGMENT_READ_BYTES_MAX) {
        0 => Vec::new(),
        bytes => folder.read(&name(number, TEXT), bytes)?,
    };
    let sums = match folder.read(&name(number, SUMS), sums_bytes.min(segment::SUMS_BYTES_MAX)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    Ok((segment::check(text, &sums), sums.is_empty()))
}

/// The first bytes of a segment's text.
///
/// # Errors
/// What the system says.
pub(crate) fn read_head(folder: &Folder, number: u64, bytes_max: u64) -> io::Result<Vec<u8>> {
    folder.read(&name(number, TEXT), bytes_max)
}

/// Bytes that a file of this length takes on disk.
pub(super) fn blocks(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(limits::DISK_BLOCK_BYTES).unwrap_or(u64::MAX)
}
