//! Removes letters from their file while a running expvastic may append to it.
//!
//! A process that writes to `FILE`, or renames it, locks it meanwhile, and checks that it is still at its path. A retry
//! reads the files in their places, and writes the letters that are kept to `FILE.retrying`. Then it adds what was appended
//! to `FILE` in the meantime, and replaces the old file in one step. So whenever a process ends, for whatever reason, each
//! letter is in a file that the next process reads.

use super::error::LetterFileError;
use super::files::{LetterFile, Line, careful, names};
use crate::clock;
use crate::event_loop;
use crate::limits;
use crate::recorder::rotated;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// The suffix of the file that replaces another one.
const REPLACEMENT: &str = ".retrying";

/// The lines of a file that are no longer needed, by number.
#[derive(Debug, Default)]
pub(super) struct Done(Vec<bool>);

impl Done {
    pub(super) fn is(&self, number: u64) -> bool {
        usize::try_from(number).ok().and_then(|at| self.0.get(at)).copied().unwrap_or(false)
    }

    pub(super) fn set(&mut self, number: u64) {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        if self.0.len() <= at {
            self.0.resize(at + 1, false);
        }
        self.0[at] = true;
    }

    fn has_any(&self) -> bool {
        !self.0.is_empty()
    }
}

/// The replacement of a file while it is written. It is locked, so that there is only one. What an earlier retry has left
/// behind is discarded.
#[derive(Debug)]
pub(super) struct Replacement {
    path: PathBuf,
    file: File,
    is_placed: bool,
}

impl Replacement {
    /// # Errors
    /// [`LetterFileError::InUse`], or [`LetterFileError::Unwritable`].
    pub(super) fn begin(of: &LetterFile) -> Result<Self, LetterFileError> {
        let mut name = of.path.as_os_str().to_owned();
        name.push(REPLACEMENT);
        let path = PathBuf::from(name);
        Self::open(&path, of).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => LetterFileError::InUse { path: path.clone() },
            _ => LetterFileError::unwritable(&path, error),
        })
    }

    fn open(path: &Path, of: &LetterFile) -> io::Result<Self> {
        let file = loop {
            let file = create(path)?;
            if !file.metadata()?.is_file() {
                return Err(io::Error::other("it is not a regular file"));
            }
            flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            // Another retry may have renamed it before it released the lock.
            if rotated::is_at(path, &file)? {
                break file;
            }
        };
        file.set_len(0)?;
        // The owner of the old file must be able to write to the new one, whichever user runs the command.
        let (ours, theirs) = (file.metadata()?, of.file.metadata()?);
        if (ours.uid(), ours.gid()) != (theirs.uid(), theirs.gid()) {
            fchown(&file, Some(theirs.uid()), Some(theirs.gid())).map_err(|error| {
                io::Error::other(format!("cannot give it the owner of {} ({error})", of.path.display()))
            })?;
        }
        file.set_permissions(Permissions::from_mode(theirs.mode() & 0o777))?;
        Ok(Self { path: path.to_owned(), file, is_placed: false })
    }

    /// Adds lines.
    ///
    /// # Errors
    /// [`LetterFileError::Unwritable`].
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), LetterFileError> {
        self.file.write_all(lines).map_err(|error| LetterFileError::unwritable(&self.path, error))
    }

    /// Adds those lines of the file that are not done, and replaces the file. `path` is the one that the recorder writes to.
    ///
    /// # Errors
    /// Why the file was not replaced.
    pub(super) async fn take_place(mut self, of: &LetterFile, done: &Done, path: &Path) -> Result<(), LetterFileError> {
        if !done.has_any() {
            return Ok(());
        }
        let mut copied = of.bytes;
        let copied_all = self.copy_rest(of, done).and_then(|()| self.catch_up(of, &mut copied));
        copied_all.map_err(|error| LetterFileError::unwritable(&self.path, error))?;
        let locked = LockedFile::of(path).await?;
        self.swap(of, copied, path)?;
        // A recorder that waits to write a letter can go on from here.
        unlock(&self.file);
        drop(locked);
        // Without this sync, a power failure may bring back the old file.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
        Ok(())
    }

    fn copy_rest(&mut self, of: &LetterFile, done: &Done) -> io::Result<()> {
        let mut lines = of.lines()?;
        let (mut from, mut until) = (0, 0);
        while let Some(Line { number, start, end, .. }) = lines.next()? {
            if !done.is(number) {
                if start != until {
                    of.copy(from, until, &mut self.file)?;
                    from = start;
                }
                until = end;
            }
        }
        of.copy(from, until, &mut self.file)
    }

    /// Syncs the replacement, and copies and syncs what was appended to the file in the meantime, so that little is left to
    /// do under the lock.
    fn catch_up(&mut self, of: &LetterFile, copied: &mut u64) -> io::Result<()> {
        let mut synced = 0;
        for _ in 0..limits::LETTER_SYNCS_MAX {
            if synced == *copied {
                break;
            }
            self.file.sync_data()?;
            synced = *copied;
            self.copy_appended(of, copied, true)?;
        }
        if synced < *copied { self.file.sync_data() } else { Ok(()) }
    }

    /// Replaces the file, under the lock. Only programs that ignore the lock can write to the files meanwhile.
    fn swap(&mut self, of: &LetterFile, mut copied: u64, path: &Path) -> Result<(), LetterFileError> {
        let place = names(path).into_iter().find(|name| rotated::is_at(name, &of.file).unwrap_or(false));
        let place = place
            .filter(|_| of.is_continued().unwrap_or(false))
            .ok_or_else(|| LetterFileError::Changed { path: of.path.clone() })?;
        let failed = |error: io::Error| LetterFileError::NotReplaced { path: place.clone(), error };
        let synced = copied;
        self.copy_appended(of, &mut copied, false).map_err(failed)?;
        if copied > synced {
            self.file.sync_data().map_err(failed)?;
        }
        std::fs::rename(&self.path, &place).map_err(failed)?;
        self.is_placed = true;
        self.copy_appended(of, &mut copied, false).map_err(failed)?;
        if self.file.metadata().map_err(failed)?.len() == 0 {
            std::fs::remove_file(&place).map_err(failed)?;
        }
        Ok(())
    }

    /// Copies what was appended to the file. With `whole_lines`, an incomplete last line is left for later, because it may
    /// still be in the course of being written.
    fn copy_appended(&mut self, of: &LetterFile, copied: &mut u64, whole_lines: bool) -> io::Result<()> {
        let mut appended = of.since(*copied)?;
        if whole_lines {
            appended.truncate(memchr::memrchr(b'\n', &appended).map_or(0, |end| end + 1));
        }
        if appended.is_empty() {
            return Ok(());
        }
        *copied += appended.len() as u64;
        if !ends_line(&self.file)? {
            self.file.write_all(b"\n")?;
        }
        self.file.write_all(&appended)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.is_placed {
            // If it cannot be removed, the next retry discards it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A dead-letter file that is locked. No expvastic writes to it or renames it meanwhile.
#[derive(Debug)]
pub(super) struct LockedFile {
    path: PathBuf,
    file: File,
    is_new: bool,
}

impl LockedFile {
    /// Locks the file, and waits for the lock for at most [`LETTER_LOCK_TIME`](limits::LETTER_LOCK_TIME).
    ///
    /// # Errors
    /// [`LetterFileError::Locked`], or [`LetterFileError::NotLockable`].
    pub(super) async fn of(path: &Path) -> Result<Self, LetterFileError> {
        let give_up_at = clock::now() + limits::LETTER_LOCK_TIME;
        loop {
            match Self::try_once(path) {
                Ok(Some(locked)) => return Ok(locked),
                Ok(None) if clock::now() < give_up_at => {}
                Ok(None) => return Err(LetterFileError::Locked { path: path.to_owned() }),
                Err(error) => return Err(LetterFileError::NotLockable { path: path.to_owned(), error }),
            }
            event_loop::sleep_until(clock::now() + limits::LETTER_LOCK_INTERVAL).await;
        }
    }

    fn try_once(path: &Path) -> io::Result<Option<Self>> {
        let is_new = !path.try_exists()?;
        let file = create(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            locked => locked?,
        }
        Ok(rotated::is_at(path, &file)?.then(|| Self { path: path.to_owned(), file, is_new }))
    }
}

impl Drop for LockedFile {
    /// Removes the file if it was created only to be locked.
    fn drop(&mut self) {
        let is_ours = self.is_new && rotated::is_at(&self.path, &self.file).unwrap_or(false);
        if is_ours && self.file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Locks a file to write to it, without blocking. A retry holds the lock for microseconds, so the processor is yielded to it
/// a few times. A file system without locks is no error here, because a retry refuses to work there.
pub(super) fn lock_to_write(file: &File) -> io::Result<()> {
    for _ in 0..limits::LETTER_LOCK_TRIES {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => std::thread::yield_now(),
            _ => return Ok(()),
        }
    }
    let message = "it is locked by `dead-letters retry` or another process";
    Err(io::Error::new(io::ErrorKind::WouldBlock, message))
}

pub(super) fn unlock(file: &File) {
    // If this fails, closing the file unlocks it.
    let _ = flock(file, FlockOperation::Unlock);
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).custom_flags(careful()).open(path)
}

fn ends_line(file: &File) -> io::Result<bool> {
    let (length, mut last) = (file.metadata()?.len(), [b'\n']);
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::super::files::open_all;
    use super::*;
    use std::fs::{read_to_string, rename, write};

    /// Makes a file of four lines, of which the first and the third are done.
    fn begun(path: &Path) -> (LetterFile, Done, Replacement) {
        write(path, "one\ntwo\nthree\nfour\n").unwrap();
        let file = open_all(path).unwrap().pop().unwrap();
        let mut done = Done::default();
        for number in [1, 3] {
            done.set(number);
        }
        let replacement = Replacement::begin(&file).unwrap();
        (file, done, replacement)
    }

    fn append(path: &Path, text: &str) {
        File::options().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn placed(begun: (LetterFile, Done, Replacement), path: &Path) -> Result<(), LetterFileError> {
        let (file, done, replacement) = begun;
        event_loop::block_on(replacement.take_place(&file, &done, path)).unwrap()
    }

    fn names_in(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_done_goes_and_what_others_append_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        let mut one = begun(&path);
        one.2.append(b"again\n").unwrap();
        append(&path, "five\n");
        placed(one, &path).unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "again\ntwo\nfour\nfive\n");

        // The file may have been rotated in the meantime.
        let one = begun(&path);
        rename(&path, folder.path().join("dead.1")).unwrap();
        write(&path, "new\n").unwrap();
        placed(one, &path).unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "new\n");
        assert_eq!(read_to_string(folder.path().join("dead.1")).unwrap(), "two\nfour\n");
        assert_eq!(names_in(folder.path()), ["dead", "dead.1"]);
    }

    #[test]
    fn a_line_that_is_being_written_meanwhile_is_not_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        let (file, done, mut replacement) = begun(&path);
        let mut copied = file.bytes();
        append(&path, "five\nsi");
        replacement.copy_rest(&file, &done).unwrap();
        replacement.catch_up(&file, &mut copied).unwrap();
        append(&path, "x\n");
        replacement.swap(&file, copied, &path).unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "two\nfour\nfive\nsix\n");
    }

    #[test]
    fn a_file_of_which_all_is_done_goes_unless_something_was_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        for (appended, left) in [("", &[][..]), ("five\n", &["dead"])] {
            let mut one = begun(&path);
            for number in [2, 4] {
                one.1.set(number);
            }
            append(&path, appended);
            placed(one, &path).unwrap();
            assert_eq!(names_in(folder.path()), left);
        }
        assert_eq!(read_to_string(&path).unwrap(), "five\n");
        let (file, _, replacement) = begun(&path);
        placed((file, Done::default(), replacement), &path).unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "one\ntwo\nthree\nfour\n", "nothing is done");
        assert_eq!(names_in(folder.path()), ["dead"]);
    }

    #[test]
    fn what_others_have_moved_or_emptied_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        let changes: [(&str, &dyn Fn()); 4] = [
            ("moved", &|| rename(&path, folder.path().join("theirs")).unwrap()),
            ("emptied", &|| write(&path, "").unwrap()),
            ("emptied, and grown again", &|| write(&path, "six\nseven\neight\nnine\n").unwrap()),
            ("replaced", &|| {
                write(folder.path().join("other"), "one\ntwo\nthree\nfour\n").unwrap();
                rename(folder.path().join("other"), &path).unwrap();
            }),
        ];
        for (what, change) in changes {
            let one = begun(&path);
            change();
            let before: Vec<_> = names_in(folder.path()).into_iter().filter(|name| name != "dead.retrying").collect();
            let text = read_to_string(&path).ok();
            placed(one, &path).expect_err(what);
            assert_eq!((names_in(folder.path()), read_to_string(&path).ok()), (before, text), "{what}");
        }
    }

    #[test]
    fn while_one_retry_is_at_work_there_is_no_other_and_what_one_has_left_is_of_no_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        let leftover = folder.path().join("dead.retrying");
        write(&leftover, "something\n").unwrap();
        let one = begun(&path);
        assert!(Replacement::begin(&one.0).unwrap_err().to_string().contains("is in use"));
        placed(one, &path).unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "two\nfour\n");
        std::os::unix::fs::symlink(&path, &leftover).unwrap();
        Replacement::begin(&open_all(&path).unwrap()[0]).unwrap_err();
        assert_eq!(read_to_string(&path).unwrap(), "two\nfour\n", "nothing is written through a link");
    }

    #[test]
    fn a_file_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        write(&path, "").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        placed(begun(&path), &path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn while_it_is_held_nobody_writes_to_it_and_it_is_not_held_while_somebody_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead");
        let locked = event_loop::block_on(LockedFile::of(&path)).unwrap().unwrap();
        let file = create(&path).unwrap();
        assert_eq!(lock_to_write(&file).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(locked);
        assert_eq!(names_in(folder.path()), [""; 0], "it was not there");
        let file = create(&path).unwrap();
        lock_to_write(&file).unwrap();
        assert!(LockedFile::try_once(&path).unwrap().is_none());
        unlock(&file);
        assert!(LockedFile::try_once(&path).unwrap().is_some());
        assert_eq!(names_in(folder.path()), ["dead"]);
    }
}
