//! A file that is appended to until it reaches its bound, and is then rotated.
//!
//! Invariants: an append is either complete or undone, unless the system fails silently. What other processes append is
//! kept. A rotation that fails loses nothing, and the next one continues where it stopped.

use crate::config::FileMode;
use crate::descriptors;
use crate::regular_file;
use rustix::fs::OFlags;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Repairs the end of a file, which a crash may have left incomplete.
type Mend = fn(&mut File) -> io::Result<()>;

/// When a file is rotated, and how many old ones are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rotation {
    /// The file is rotated before it grows over this.
    pub(super) bytes_max: u64,
    /// The number of rotated files that are kept.
    pub(super) keep: u32,
}

/// An open file. After an error it has to be reopened, which repairs what could not be undone.
#[derive(Debug)]
pub(super) struct Rotated {
    file: File,
    path: PathBuf,
    mode: FileMode,
    bytes_max: u64,
    keep: u32,
    mend: Mend,
}

/// Opens a file for appending, or creates it. A new file is accessible by its owner only, unless `mode` says otherwise.
///
/// Any user who can write to the folder (such as `/tmp`) could put a symbolic link to one of our files there. So only links
/// of root (`/dev/stdout` is one) and of this process's user are followed, and never to create a file.
pub(super) fn open(path: &Path, mode: FileMode) -> io::Result<File> {
    let mut options = appending();
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // If another process creates the file at this moment, this is an error, and the next attempt finds it.
            options.create_new(true).mode(mode.of_new());
            let file = descriptors::freeing(|| options.open(path))?;
            mode.apply(&file)?;
            return Ok(file);
        }
        found => found?,
    };
    open_existing(path, &found)
}

/// Opens a file that exists, for appending. `found` is what is at `path`; a link is not followed to get it.
pub(super) fn open_existing(path: &Path, found: &Metadata) -> io::Result<File> {
    let mut options = appending();
    if !found.is_symlink() {
        // A symbolic link that is put there at this moment is not followed either.
        options.custom_flags(regular_file::never_waiting() | OFlags::NOFOLLOW.bits().cast_signed());
        return descriptors::freeing(|| options.open(path));
    }
    if found.uid() != 0 && found.uid() != rustix::process::geteuid().as_raw() {
        let message = "it is another user's symbolic link, which is not followed: remove it";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    descriptors::freeing(|| options.open(path))
}

fn appending() -> OpenOptions {
    let mut options = OpenOptions::new();
    // Opening a FIFO must not wait for a reader.
    options.read(true).append(true).custom_flags(regular_file::never_waiting());
    options
}

/// Like [`open`], but fails unless it is a regular file. Others cannot be read again, truncated and rotated.
pub(super) fn open_regular(path: &Path, mode: FileMode) -> io::Result<File> {
    // Opening a device may have side effects, so the type is checked before. It is checked again after opening, because the
    // path may have been replaced in between.
    check_regular(std::fs::metadata(path))?;
    let file = open(path, mode)?;
    check_regular(file.metadata())?;
    Ok(file)
}

pub(super) fn check_regular(found: io::Result<Metadata>) -> io::Result<()> {
    match found.map(|found| regular_file::irregular_kind(found.file_type())) {
        Ok(Some(kind)) => {
            let message = format!("it is {kind}, not a regular file");
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether `path` still leads to the open file. If another process has moved or removed the file, what is written to it
/// would be lost.
pub(super) fn is_at(path: &Path, file: &File) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(there) => {
            let open = file.metadata()?;
            Ok((there.dev(), there.ino()) == (open.dev(), open.ino()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes the rest of `bytes` after the first `written`, which is updated even if a write fails.
pub(super) fn write_counted(mut file: &File, bytes: &[u8], written: &mut usize) -> io::Result<()> {
    while *written < bytes.len() {
        match file.write(&bytes[*written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => *written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Rotated {
    /// Repairs an open file, so that it can be appended to.
    pub(super) fn new(
        mut file: File,
        path: &Path,
        mode: FileMode,
        Rotation { bytes_max, keep }: Rotation,
        mend: Mend,
    ) -> io::Result<Self> {
        mend(&mut file)?;
        Ok(Self { file, path: path.to_owned(), mode, bytes_max, keep, mend })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    fn is_full(&self, before: u64, bytes: usize) -> bool {
        before > 0 && before + bytes as u64 > self.bytes_max
    }

    /// Rotates the file if `bytes` more do not fit. Returns whether it did; then the path no longer leads to the open file.
    pub(super) fn make_room_for(&self, bytes: usize) -> io::Result<bool> {
        let is_full = self.is_full(self.file.metadata()?.len(), bytes);
        if is_full {
            rotate(&self.path, self.keep)?;
        }
        Ok(is_full)
    }

    /// Appends to the file, which is rotated first if necessary.
    ///
    /// # Errors
    /// The system's error. The file is then as it was before, unless another process has written to it in the meantime.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // The length is read each time, because other processes may append to the file or empty it.
        let mut before = self.file.metadata()?.len();
        if self.is_full(before, bytes.len()) {
            rotate(&self.path, self.keep)?;
            self.file = open(&self.path, self.mode)?;
            (self.mend)(&mut self.file)?;
            before = self.file.metadata()?.len();
        }
        let mut written = 0;
        let done = write_counted(&self.file, bytes, &mut written);
        // An incomplete write is undone only if no other process has appended something after it.
        let is_last = || self.file.metadata().is_ok_and(|now| now.len() == before + written as u64);
        if done.is_err() && written > 0 && is_last() {
            self.file.set_len(before)?;
        }
        done
    }
}

/// Renames `path` to `path.1`, `path.1` to `path.2` and so on; files beyond `keep` are removed. `path` is first renamed to
/// `path.0`, so that no old file is removed unless that has succeeded.
fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    if keep == 0 {
        return unless_gone(std::fs::remove_file(path));
    }
    // An earlier rotation may have failed halfway.
    make_room(path, keep)?;
    unless_gone(std::fs::rename(path, numbered(path, 0)))?;
    make_room(path, keep)
}

/// If there is a `path.0`, increases its number and those of the following files by one, up to the first gap. Only if there
/// is no gap is the last file replaced.
fn make_room(path: &Path, keep: u32) -> io::Result<()> {
    let mut gap = 0;
    while gap < keep && numbered(path, gap).try_exists()? {
        gap += 1;
    }
    (0..gap)
        .rev()
        .try_for_each(|number| unless_gone(std::fs::rename(numbered(path, number), numbered(path, number + 1))))
}

pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// Ignores that a file is missing: another process has removed it.
fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// The files of a folder in the order of their names, each with its text.
    fn files(folder: &Path) -> Vec<(String, String)> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut files: Vec<_> = entries
            .filter(|path| path.is_file())
            .map(|path| (name(&path), fs::read_to_string(path).unwrap()))
            .collect();
        files.sort();
        files
    }

    fn strings<const N: usize>(files: [(&str, &str); N]) -> Vec<(String, String)> {
        files.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec()
    }

    #[test]
    fn a_file_that_has_gone_meanwhile_takes_no_other_with_it() {
        for keep in [0, 1, 3] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("out");
            for number in 1..=3 {
                fs::write(numbered(&path, number), number.to_string()).unwrap();
            }
            let there = files(folder.path());
            for _ in 0..5 {
                rotate(&path, keep).unwrap();
                assert_eq!(files(folder.path()), there, "keep {keep}");
            }
        }
    }

    #[test]
    fn a_rotation_that_fails_loses_nothing_and_is_ended_by_a_later_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        for (name, text) in [("out", "new"), ("out.1", "1"), ("out.2", "2")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        // No file can be moved to where a folder is.
        fs::create_dir(numbered(&path, 3)).unwrap();
        let mode = FileMode::default();
        let append = |text: &str| {
            Rotated::new(open(&path, mode)?, &path, mode, Rotation { bytes_max: 3, keep: 3 }, |_| Ok(()))?
                .append(text.as_bytes())
        };
        append("one").unwrap_err();
        append("two").unwrap();
        for _ in 0..3 {
            append("six").unwrap_err();
            let all = [("out", "two"), ("out.0", "new"), ("out.1", "1"), ("out.2", "2")];
            assert_eq!(files(folder.path()), strings(all));
        }
        fs::remove_dir(numbered(&path, 3)).unwrap();
        append("six").unwrap();
        let newest = [("out", "six"), ("out.1", "two"), ("out.2", "new"), ("out.3", "1")];
        assert_eq!(files(folder.path()), strings(newest));
    }

    #[test]
    fn what_others_append_counts_and_what_they_take_away_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mode = FileMode::default();
        let mut rotated =
            Rotated::new(open(&path, mode).unwrap(), &path, mode, Rotation { bytes_max: 10, keep: 1 }, |_| Ok(()))
                .unwrap();
        rotated.append(b"ours ").unwrap();
        (&open(&path, mode).unwrap()).write_all(b"theirs").unwrap();
        rotated.append(b"ours").unwrap();
        assert_eq!(files(folder.path()), strings([("out", "ours"), ("out.1", "ours theirs")]));
        fs::write(&path, "").unwrap();
        rotated.append(b"ours again").unwrap();
        assert_eq!(files(folder.path()), strings([("out", "ours again"), ("out.1", "ours theirs")]));
    }
}
