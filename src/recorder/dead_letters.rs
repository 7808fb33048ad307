//! Documents that the server refused for good, kept for a person: one JSON object per line, bounded by rotation.
//! [`letter`] is such a line, [`files`] reads them, and [`retry`] sends them again.

mod error;
pub(crate) mod files;
pub(super) mod letter;
mod replacement;
pub(crate) mod retry;
mod summary;
pub(crate) mod survey;

use super::elasticsearch::verdict::DeadLetter;
use super::rotated::{self, Rotated, Rotation};
use crate::calendar::Timestamp;
use crate::config::{FileMode, Recorder};
use crate::limits;
use crate::spool::files::Files;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Old files that stay when there is a new one.
pub(super) const KEPT_FILES: u32 = 1;

/// A file of dead letters, opened when there is the first.
#[derive(Debug)]
pub(super) struct DeadLetters {
    path: PathBuf,
    mode: FileMode,
    bytes_max: u64,
    open: Option<Rotated>,
    line: Vec<u8>,
}

impl DeadLetters {
    /// Those of a recorder, if it keeps any.
    pub(super) fn of(config: &Recorder) -> Option<Self> {
        config.dead_letter.clone().map(|path| Self::new(path, config.file_mode))
    }

    fn new(path: PathBuf, mode: FileMode) -> Self {
        Self { path, mode, bytes_max: limits::DEAD_LETTER_BYTES_MAX, open: None, line: Vec::new() }
    }

    /// Whether these are what another configuration asks for, too.
    pub(super) fn suits(&self, config: &Recorder) -> bool {
        config.dead_letter.as_ref() == Some(&self.path) && config.file_mode == self.mode
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a letter with its document, which comes with its action line.
    ///
    /// # Errors
    /// What the system says; the file then holds whole lines only, as far as the system lets us see to it.
    pub(super) fn write(
        &mut self,
        recorder: &str,
        letter: &DeadLetter,
        document: &[u8],
        time: Timestamp,
    ) -> io::Result<()> {
        self.line.clear();
        letter::write(&mut self.line, recorder, letter, document, time);
        let written = self.append();
        self.line.shrink_to(limits::POOLED_BULK_BYTES_MAX);
        written
    }

    /// Appends the line. After an error the file is opened anew.
    fn append(&mut self) -> io::Result<()> {
        let mut file = self.open_locked()?;
        if file.make_room_for(self.line.len())? {
            file = self.open_locked()?;
        }
        file.append(&self.line)?;
        replacement::unlock(file.file());
        self.open = Some(file);
        Ok(())
    }

    /// The file that the path leads to, locked.
    fn open_locked(&mut self) -> io::Result<Rotated> {
        if let Some(open) = self.open.take()
            && self.lock(open.file())?
        {
            return Ok(open);
        }
        let rotation = Rotation { bytes_max: self.bytes_max, keep: KEPT_FILES };
        for _ in 0..limits::LETTER_OPEN_TRIES {
            let file = self.open_or_make()?;
            if self.lock(&file)? {
                return Rotated::new(file, &self.path, self.mode, rotation, end_torn_line);
            }
        }
        Err(io::Error::new(io::ErrorKind::WouldBlock, "others move it each time that it is opened"))
    }

    /// Locks a file if it is the one that the path leads to, and stays that.
    fn lock(&self, file: &File) -> io::Result<bool> {
        if !rotated::is_at(&self.path, file)? {
            return Ok(false);
        }
        replacement::lock_to_write(file)?;
        rotated::is_at(&self.path, file)
    }

    fn open_or_make(&self) -> io::Result<File> {
        rotated::open_regular(&self.path, self.mode).or_else(|error| match self.path.parent() {
            Some(folder) if error.kind() == io::ErrorKind::NotFound => {
                Files::System.make(folder)?;
                rotated::open_regular(&self.path, self.mode)
            }
            _ => Err(error),
        })
    }
}

/// A line that a crash has left torn is not to spoil the next.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 && file.seek(SeekFrom::End(-1)).is_ok() {
        file.read_exact(&mut last)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const DOCUMENT: &[u8] = b"{\"create\":{\"_index\":\"i\",\"_id\":\"x\"}}\n{\"n\":1,\"s\":\"a\\nb\"}\n";

    fn letter() -> DeadLetter {
        let message = "failed to parse\n\"n\"".to_owned();
        DeadLetter { index: 0, status: 400, reason: "mapper_parsing_exception".to_owned(), message }
    }

    #[test]
    fn a_letter_says_what_when_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        let time = Timestamp::since_epoch(Duration::from_secs(1_795_323_967));
        DeadLetters::new(path.clone(), FileMode::default()).write("a \"b\"", &letter(), DOCUMENT, time).unwrap();
        DeadLetters::new(path.clone(), FileMode::default()).write("es", &letter(), DOCUMENT, time).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected = serde_json::json!({
            "time": "2026-11-22T05:06:07.000000Z", "recorder": "a \"b\"", "status": 400,
            "reason": "mapper_parsing_exception", "message": "failed to parse\n\"n\"",
            "action": {"create": {"_index": "i", "_id": "x"}}, "document": {"n": 1, "s": "a\nb"},
        });
        assert_eq!((lines.len(), &lines[0], &lines[1]["recorder"]), (2, &expected, &"es".into()));
    }

    #[test]
    fn the_file_is_bounded_and_the_newest_letters_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        let mut letters = DeadLetters { bytes_max: 1000, ..DeadLetters::new(path.clone(), FileMode::default()) };
        for number in 0..100 {
            let letter = DeadLetter { status: number, ..letter() };
            letters.write("es", &letter, DOCUMENT, Timestamp::EPOCH).unwrap();
        }
        let texts =
            ["dead.ndjson.1", "dead.ndjson"].map(|name| std::fs::read_to_string(folder.path().join(name)).unwrap());
        assert!(texts.iter().all(|text| text.len() <= 1000) && texts[0].len() > 500);
        let statuses = texts
            .iter()
            .flat_map(|text| text.lines())
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["status"].as_u64().unwrap());
        let statuses: Vec<u64> = statuses.collect();
        let first = statuses[0];
        assert_eq!(statuses, (first..100).collect::<Vec<u64>>());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_line_that_a_crash_has_torn_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        std::fs::write(&path, "{\"time\":\"2026").unwrap();
        DeadLetters::new(path.clone(), FileMode::default()).write("es", &letter(), DOCUMENT, Timestamp::EPOCH).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(text.lines().nth(1).unwrap()).is_ok(), "{text}");
    }

    #[test]
    fn what_cannot_be_written_leaves_no_half_line() {
        let mut letters = DeadLetters::new(PathBuf::from("/dev/full"), FileMode::default());
        assert!(letters.write("es", &letter(), DOCUMENT, Timestamp::EPOCH).is_err());
    }
    #[test]
    fn letters_go_to_where_the_path_leads_when_others_have_moved_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        let mut letters = DeadLetters { bytes_max: 300, ..DeadLetters::new(path.clone(), FileMode::default()) };
        let mut write = || letters.write("es", &letter(), DOCUMENT, Timestamp::EPOCH).unwrap();
        write();
        let one = std::fs::read(&path).unwrap();
        assert!(one.len() > 150, "the second one does not fit");
        std::fs::remove_file(&path).unwrap();
        write();
        assert_eq!(std::fs::read(&path).unwrap(), one);
        std::fs::rename(&path, folder.path().join("theirs")).unwrap();
        write();
        write();
        for name in ["theirs", "dead.ndjson.1", "dead.ndjson"] {
            assert_eq!(std::fs::read(folder.path().join(name)).unwrap(), one, "{name}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
