//! Appends bulks to a file or to standard output, as they would be sent: `curl --data-binary @file …/_bulk` ships it.
//!
//! Invariants: a file holds whole documents only (one that a crash has torn is cut back when the file is opened, one that
//! could not be written whole is taken back); it is rotated before it grows over its bound, and opened anew when others
//! have moved or removed it. A pipe is written to only when it has room, so that a reader that has stopped reading holds up
//! this recorder and nothing else.

mod torn;

use super::rotated::{self, Rotated};
use crate::bulk::Bulk;
use crate::limits;
use async_io::Async;
use smol::lock::Mutex;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// The path of standard output.
const STANDARD_OUTPUT: &str = "-";

/// Held while a bulk is written to a stream: two recorders may share standard output, and their lines must not mix.
static STREAM: Mutex<()> = Mutex::new(());

/// A file recorder's output, opened when it is first written to: what is not there yet may come later.
#[derive(Debug)]
pub(super) struct Appender {
    path: PathBuf,
    bytes_max: u64,
    keep: u32,
    output: Option<Output>,
}

impl Appender {
    /// `-` is standard output; a file is rotated before it grows over `bytes_max`, and `keep` old ones stay.
    pub(super) fn new(path: PathBuf, bytes_max: u64, keep: u32) -> Self {
        Self { path, bytes_max, keep, output: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends the whole bulk.
    ///
    /// # Errors
    /// What the system says; then a file is as it was.
    pub(super) async fn append(&mut self, bulk: &Bulk) -> io::Result<()> {
        if let Some(output) = &self.output
            && !output.is_in_place(&self.path)?
        {
            self.output = None;
        }
        let output = match &mut self.output {
            Some(output) => output,
            none => none.insert(Output::open(&self.path, self.bytes_max, self.keep)?),
        };
        let appended = output.append(bulk).await;
        if appended.is_err() && matches!(output, Output::File(_)) {
            self.output = None;
        }
        appended
    }
}

/// An open file, or standard output.
#[derive(Debug)]
enum Output {
    /// Something that the system can say of whether it has room: a pipe, a terminal, a socket.
    Stream {
        ready: Async<File>,
        file: File,
    },
    /// Standard output that is a file, or a device that takes everything: it never blocks and is not ours to rotate.
    Redirected(File),
    File(Rotated),
}

impl Output {
    fn open(path: &Path, bytes_max: u64, keep: u32) -> io::Result<Self> {
        if path == Path::new(STANDARD_OUTPUT) {
            let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            return Self::stream(stdout);
        }
        let file = rotated::open(path)?;
        if !file.metadata()?.is_file() {
            return Self::stream(file);
        }
        Ok(Self::File(Rotated::new(file, path, bytes_max, keep, cut_torn_end)?))
    }

    /// It is not set to non-blocking: that would reach every other process that shares it, such as the shell.
    fn stream(file: File) -> io::Result<Self> {
        if file.metadata()?.is_file() {
            return Ok(Self::Redirected(file));
        }
        // What the system cannot wait for, such as /dev/null, never keeps anybody waiting.
        match Async::new_nonblocking(file.try_clone()?) {
            Ok(ready) => Ok(Self::Stream { ready, file }),
            Err(_) => Ok(Self::Redirected(file)),
        }
    }

    /// Whether what is open is still what `path` stands for.
    fn is_in_place(&self, path: &Path) -> io::Result<bool> {
        let file = match self {
            Self::Stream { file, .. } | Self::Redirected(file) => file,
            Self::File(rotated) => rotated.file(),
        };
        if path == Path::new(STANDARD_OUTPUT) { Ok(true) } else { rotated::is_at(path, file) }
    }

    async fn append(&mut self, bulk: &Bulk) -> io::Result<()> {
        match self {
            Self::Stream { ready, file } => {
                let _whole = STREAM.lock().await;
                for piece in bulk.bytes().chunks(limits::PIPE_WRITE_BYTES) {
                    ready.writable().await?;
                    file.write_all(piece)?;
                }
                Ok(())
            }
            Self::Redirected(file) => file.write_all(bulk.bytes()),
            Self::File(rotated) => rotated.append(bulk.bytes()),
        }
    }
}

/// Cuts back to the last whole document.
fn cut_torn_end(file: &mut File) -> io::Result<()> {
    let whole = torn::whole_bytes(file)?;
    if whole < file.metadata()?.len() {
        file.set_len(whole)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::{ActionLine, DocumentKey, IdSource};
    use crate::calendar::Timestamp;

    fn bulk(ids: &mut IdSource, documents: usize) -> Bulk {
        let mut bulk = Bulk::default();
        for _ in 0..documents {
            let key = DocumentKey { time: Timestamp::EPOCH, id: ids.next_id() };
            bulk.push(&mut ActionLine::new("i"), key, b"{\"a\":1}");
        }
        bulk
    }

    #[test]
    fn a_torn_end_is_cut_and_the_rest_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.ndjson");
        let whole = bulk(&mut IdSource::new([0; 9]), 2);
        for torn in ["", "{\"cre", "{\"create\":{}}\n", "{\"create\":{}}\n{\"a\":", "{\"index\":{}}\n"] {
            std::fs::write(&path, [whole.bytes(), torn.as_bytes()].concat()).unwrap();
            let mut output = Output::open(&path, 1 << 20, 1).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole.bytes(), "{torn}");
            smol::block_on(output.append(&whole)).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), [whole.bytes(), whole.bytes()].concat());
        }
    }

    #[test]
    fn a_file_stays_within_its_bound_and_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut ids = IdSource::new([0; 9]);
        let bulks: Vec<Bulk> = (0..7).map(|_| bulk(&mut ids, 3)).collect();
        let bytes_max = bulks[0].bytes().len() as u64 * 2;
        let mut output = Output::open(&path, bytes_max, 2).unwrap();
        for bulk in &bulks {
            smol::block_on(output.append(bulk)).unwrap();
        }
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read("out"), bulks[6].bytes());
        assert_eq!(read("out.1"), [bulks[4].bytes(), bulks[5].bytes()].concat());
        assert_eq!(read("out.2"), [bulks[2].bytes(), bulks[3].bytes()].concat());
        assert!(!folder.path().join("out.3").exists());
    }
    #[test]
    fn a_file_that_others_move_or_remove_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let one = bulk(&mut IdSource::new([0; 9]), 2);
        let mut appender = Appender::new(path.clone(), one.bytes().len() as u64, 3);
        let mut append = || smol::block_on(appender.append(&one));
        let names = || {
            let entries = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
            let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        (0..3).for_each(|_| append().unwrap());
        assert_eq!(names(), ["out", "out.1", "out.2"]);
        // Whoever ships it removes it; at the bound or not, the others stay.
        for _ in 0..5 {
            std::fs::remove_file(&path).unwrap();
            append().unwrap();
            assert_eq!(names(), ["out", "out.1", "out.2"]);
        }
        std::fs::rename(&path, folder.path().join("moved")).unwrap();
        append().unwrap();
        // Others put another one there.
        std::fs::rename(&path, folder.path().join("moved too")).unwrap();
        std::fs::write(&path, "").unwrap();
        append().unwrap();
        for name in names() {
            assert_eq!(std::fs::read(folder.path().join(&name)).unwrap(), one.bytes(), "{name}");
        }
        assert_eq!(names(), ["moved", "moved too", "out", "out.1", "out.2"]);
        // While there is no folder it fails, and then goes on.
        let elsewhere = tempfile::tempdir().unwrap();
        let (away, at) = (elsewhere.path().join("away"), folder.path().to_owned());
        std::fs::rename(&at, &away).unwrap();
        append().unwrap_err();
        std::fs::create_dir(&at).unwrap();
        append().unwrap();
        assert_eq!(names(), ["out"]);
    }
}
