//! Appends bulks to a file or to standard output, as they would be sent: `curl --data-binary @file …/_bulk` ships it.
//!
//! Invariants: a file holds whole documents only (one that a crash has torn is cut back when the file is opened, one that
//! could not be written whole is taken back); it is rotated before it grows over its bound. A pipe is written to only when
//! it has room, so that a reader that has stopped reading holds up this recorder and nothing else.

use crate::bulk::Bulk;
use crate::limits;
use async_io::Async;
use smol::lock::Mutex;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

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
        let output = match &mut self.output {
            Some(output) => output,
            none => none.insert(Output::open(&self.path, self.bytes_max, self.keep)?),
        };
        output.append(bulk).await
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
    File {
        file: File,
        path: PathBuf,
        length: u64,
        bytes_max: u64,
        keep: u32,
    },
}

impl Output {
    fn open(path: &Path, bytes_max: u64, keep: u32) -> io::Result<Self> {
        if path == Path::new("-") {
            let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            return Self::stream(stdout);
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        if !file.metadata()?.is_file() {
            return Self::stream(file);
        }
        let length = cut_torn_end(&mut file)?;
        Ok(Self::File { file, path: path.to_owned(), length, bytes_max, keep })
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
            Self::File { file, path, length, bytes_max, keep } => {
                let bytes = bulk.bytes();
                if *length > 0 && *length + bytes.len() as u64 > *bytes_max {
                    *file = rotate(path, *keep)?;
                    *length = 0;
                }
                if let Err(error) = file.write_all(bytes) {
                    file.set_len(*length)?;
                    return Err(error);
                }
                *length += bytes.len() as u64;
                Ok(())
            }
        }
    }
}

/// `path` becomes `path.1`, `path.1` becomes `path.2` and so on; beyond `keep` they go.
pub(super) fn rotate(path: &Path, keep: u32) -> io::Result<File> {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    if keep == 0 {
        std::fs::remove_file(path)?;
    } else {
        for number in (1..keep).rev() {
            match std::fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(path, numbered(1))?;
    }
    OpenOptions::new().read(true).append(true).create(true).open(path)
}

/// Cuts back to the last whole document (two lines); gives the length that is left.
fn cut_torn_end(file: &mut File) -> io::Result<u64> {
    let mut buffer = [0_u8; 8192];
    let (mut read, mut lines, mut whole) = (0_u64, 0_u64, 0_u64);
    file.seek(SeekFrom::Start(0))?;
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        for end in memchr::memchr_iter(b'\n', &buffer[..length]) {
            lines += 1;
            if lines % 2 == 0 {
                whole = read + end as u64 + 1;
            }
        }
        read += length as u64;
    }
    if whole < read {
        file.set_len(whole)?;
    }
    Ok(whole)
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
        for torn in ["", "{\"cre", "{\"create\":{}}\n", "{\"create\":{}}\n{\"a\":"] {
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
}
