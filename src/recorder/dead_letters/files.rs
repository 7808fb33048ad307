//! Reads dead-letter files, to which a running expvastic may append at the same time.

use super::error::LetterFileError;
use crate::limits;
use crate::recorder::rotated;
use crate::regular_file;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes that are copied from file to file at a time.
const COPIED_BYTES: usize = 64 << 10;

/// Bytes at the beginning and at the end of a file that are compared to recognise it. They contain the time of the first
/// letter and the document of the last one.
const MARK_BYTES: u64 = 256;

/// An open dead-letter file. What is appended after it was opened is not part of it.
#[derive(Debug)]
pub(crate) struct LetterFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) bytes: u64,
    mark: Vec<u8>,
}

/// Opens those of a recorder's dead-letter files that exist, the one with the oldest letters first.
///
/// # Errors
/// [`LetterFileError::Unreadable`].
pub(crate) fn open_all(path: &Path) -> Result<Vec<LetterFile>, LetterFileError> {
    names(path).into_iter().filter_map(|path| LetterFile::open(path).transpose()).collect()
}

/// The paths of a recorder's dead-letter files. `FILE.0` exists only if a rotation has ended halfway.
pub(super) fn names(path: &Path) -> [PathBuf; 3] {
    [rotated::numbered(path, 1), rotated::numbered(path, 0), path.to_owned()]
}

impl LetterFile {
    fn open(path: PathBuf) -> Result<Option<Self>, LetterFileError> {
        let open = || {
            if std::fs::symlink_metadata(&path)?.is_symlink() {
                return Err(io::Error::other("it is a symbolic link, set dead_letter to the file itself"));
            }
            let file = OpenOptions::new().read(true).custom_flags(careful()).open(&path)?;
            let metadata = file.metadata()?;
            if let Some(kind) = regular_file::irregular_kind(metadata.file_type()) {
                return Err(io::Error::other(format!("it is {kind}, not a regular file")));
            }
            let mark = mark(&file, metadata.len())?;
            Ok((file, metadata.len(), mark))
        };
        match open() {
            Ok((file, bytes, mark)) => Ok(Some(Self { path, file, bytes, mark })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LetterFileError::unreadable(&path, error)),
        }
    }

    /// Adds the path to the error of a failed read.
    pub(crate) fn unreadable(&self, error: io::Error) -> LetterFileError {
        LetterFileError::unreadable(&self.path, error)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads its lines from the first one on.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn lines(&self) -> io::Result<Lines<'_>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        Ok(Lines { reader: BufReader::new(file.take(self.bytes)), number: 0, start: 0, text: Vec::new() })
    }

    /// Whether the file is the same as when it was opened, except for lines that were appended. The length alone does not
    /// tell, because a file that was emptied may have grown again.
    pub(super) fn is_continued(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() >= self.bytes && mark(&self.file, self.bytes)? == self.mark)
    }

    /// What was appended after the first `bytes`.
    pub(super) fn since(&self, bytes: u64) -> io::Result<Vec<u8>> {
        let more = self.file.metadata()?.len().saturating_sub(bytes);
        let mut appended = vec![0; usize::try_from(more).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut appended, bytes)?;
        Ok(appended)
    }

    pub(super) fn copy(&self, mut from: u64, until: u64, to: &mut impl Write) -> io::Result<()> {
        let mut piece = vec![0; COPIED_BYTES];
        while from < until {
            let wanted = usize::try_from(until - from).unwrap_or(usize::MAX).min(piece.len());
            let read = self.file.read_at(&mut piece[..wanted], from)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            to.write_all(&piece[..read])?;
            from += read as u64;
        }
        Ok(())
    }
}

/// The bytes by which a file of this length is recognised: the first and the last ones.
fn mark(file: &File, bytes: u64) -> io::Result<Vec<u8>> {
    let half = usize::try_from(MARK_BYTES.min(bytes)).unwrap_or(0);
    let mut mark = vec![0; 2 * half];
    let (first, last) = mark.split_at_mut(half);
    file.read_exact_at(first, 0)?;
    file.read_exact_at(last, bytes - half as u64)?;
    Ok(mark)
}

/// Goes through the lines of a file.
pub(crate) struct Lines<'f> {
    reader: BufReader<Take<&'f File>>,
    number: u64,
    /// Where the next line starts.
    start: u64,
    text: Vec<u8>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Line<'l> {
    /// From 1.
    pub(crate) number: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    /// The text without the line end. None if it is longer than a letter can be.
    pub(crate) text: Option<&'l [u8]>,
}

impl Lines<'_> {
    /// # Errors
    /// What the system says.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.text.clear();
        let most = limits::LETTER_LINE_BYTES_MAX as u64 + 1;
        let mut bytes = self.reader.by_ref().take(most).read_until(b'\n', &mut self.text)? as u64;
        if bytes == 0 {
            return Ok(None);
        }
        let is_whole = self.text.ends_with(b"\n") || bytes < most;
        let mut is_over = is_whole;
        while !is_over {
            let buffered = self.reader.fill_buf()?;
            let end = memchr::memchr(b'\n', buffered);
            is_over = end.is_some() || buffered.is_empty();
            let skipped = end.map_or(buffered.len(), |end| end + 1);
            self.reader.consume(skipped);
            bytes += skipped as u64;
        }
        let start = self.start;
        self.start += bytes;
        self.number += 1;
        let text = self.text.strip_suffix(b"\n").unwrap_or(&self.text);
        Ok(Some(Line { number: self.number, start, end: self.start, text: is_whole.then_some(text) }))
    }
}

/// Flags for opening a file without following a symbolic link, and without waiting if it is a FIFO.
pub(super) fn careful() -> i32 {
    OFlags::NOFOLLOW.bits().cast_signed() | regular_file::never_waiting()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::write;

    #[test]
    fn lines_are_told_apart_whatever_their_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        let long = "x".repeat(limits::LETTER_LINE_BYTES_MAX);
        for (text, expected) in [
            (String::new(), vec![]),
            ("a\n\nb".to_owned(), vec![Some(1), Some(0), Some(1)]),
            (format!("a\n{long}\nb\n"), vec![Some(1), Some(long.len()), Some(1)]),
            (format!("a\n{long}x\nb\n"), vec![Some(1), None, Some(1)]),
            (format!("{long}xxx"), vec![None]),
        ] {
            write(&path, &text).unwrap();
            let file = open_all(&path).unwrap().pop().unwrap();
            let (mut lines, mut lengths, mut end_before) = (file.lines().unwrap(), Vec::new(), 0);
            while let Some(line) = lines.next().unwrap() {
                assert_eq!((line.number, line.start), (lengths.len() as u64 + 1, end_before));
                end_before = line.end;
                lengths.push(line.text.map(<[u8]>::len));
            }
            assert_eq!((lengths, end_before), (expected, text.len() as u64));
        }
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        assert!(open_all(&path).unwrap().is_empty());
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        open_all(&path).unwrap_err();
        open_all(Path::new("/dev/zero")).unwrap_err();
        open_all(folder.path()).unwrap_err();
    }
}
