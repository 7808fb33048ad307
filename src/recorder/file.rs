//! Appends bulks to a file or to standard output, in the form in which they would be sent: `curl --data-binary @file
//! …/_bulk` ships it.
//!
//! Invariants: a file holds complete documents only. An incomplete one that a crash has left is cut off when the file is
//! opened, and a bulk that could not be written completely is removed again. A file is rotated before it exceeds its
//! bound, and reopened when another process has moved or removed it. What was written to a stream cannot be removed. If
//! a write ends within a document, for whatever reason, the rest of the document is written first. A pipe is written to
//! only when it has room, so a process that does not read its end delays this recorder and nothing else.

mod torn;

use super::rotated::{self, Rotated, Rotation};
use crate::bulk::Bulk;
use crate::config::FileMode;
use crate::event_loop::{self, Interest};
use crate::limits;
use crate::stream::Stream as Unblocked;
use rustix::fs::OFlags;
use smol::lock::Mutex;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

/// The path that stands for standard output.
const STANDARD_OUTPUT: &str = "-";

/// The bulk that is being written to a stream. It is locked while a bulk is written, so that the lines of two recorders do
/// not mix.
type UnderWay = Arc<Mutex<Option<Begun>>>;

/// The state of standard output, which several recorders may share, and which a successor continues.
static TO_STANDARD_OUTPUT: LazyLock<UnderWay> = LazyLock::new(UnderWay::default);

/// A bulk that was written in part, because the write failed or its recorder has ended.
#[derive(Debug)]
struct Begun {
    bulk: Arc<Bulk>,
    written: usize,
}

/// A file recorder's output. It is opened by the first write, because its folder may be created later.
#[derive(Debug)]
pub(super) struct Appender {
    path: PathBuf,
    mode: FileMode,
    rotation: Rotation,
    output: Option<Output>,
}

impl Appender {
    /// The path `-` is standard output. A file is rotated before it grows over `bytes_max`, and `keep` old ones are kept.
    pub(super) fn new(path: PathBuf, mode: FileMode, bytes_max: u64, keep: u32) -> Self {
        Self { path, mode, rotation: Rotation { bytes_max, keep }, output: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends the whole bulk.
    ///
    /// # Errors
    /// The system's error. A file is then as it was before. A stream gets the rest when the same bulk is appended again.
    pub(super) async fn append(&mut self, bulk: &Arc<Bulk>) -> io::Result<()> {
        if let Some(output) = &self.output
            && !output.is_in_place(&self.path)?
        {
            self.output = None;
        }
        let output = match &mut self.output {
            Some(output) => output,
            none => none.insert(Output::open(&self.path, self.mode, self.rotation)?),
        };
        let appended = output.append(bulk).await;
        if appended.is_err() && matches!(output, Output::File(_)) {
            self.output = None;
        }
        appended
    }
}

#[derive(Debug)]
enum Output {
    File(Rotated),
    Stream(Stream),
}

impl Output {
    fn open(path: &Path, mode: FileMode, rotation: Rotation) -> io::Result<Self> {
        if path == Path::new(STANDARD_OUTPUT) {
            if stands_for_nothing(io::stdout()) {
                return Err(io::Error::new(io::ErrorKind::BrokenPipe, CLOSED));
            }
            let stdout = Unblocked::of_shared(io::stdout().as_fd())?;
            return Ok(Self::Stream(Stream::new(stdout, Arc::clone(&TO_STANDARD_OUTPUT))));
        }
        let file = rotated::open(path, mode)?;
        if !file.metadata()?.is_file() {
            return Ok(Self::Stream(Stream::new(Unblocked::of_own(file), UnderWay::default())));
        }
        Ok(Self::File(Rotated::new(file, path, mode, rotation, cut_torn_end)?))
    }

    /// Whether `path` still leads to the open file.
    fn is_in_place(&self, path: &Path) -> io::Result<bool> {
        let file = match self {
            Self::File(rotated) => rotated.file(),
            Self::Stream(stream) => stream.output.file(),
        };
        if path == Path::new(STANDARD_OUTPUT) { Ok(true) } else { rotated::is_at(path, file) }
    }

    async fn append(&mut self, bulk: &Arc<Bulk>) -> io::Result<()> {
        match self {
            Self::File(rotated) => rotated.append(bulk.bytes()),
            Self::Stream(stream) => stream.append(bulk).await,
        }
    }
}

pub(crate) const CLOSED: &str =
    "standard output was closed at start (to discard documents on purpose, redirect to /dev/null)";

/// Whether standard output was closed when the process was started. In that case Rust's runtime has opened `/dev/null` in its
/// place, for reading and writing, before `main`. Shells and systemd open `/dev/null` for writing only when the output is
/// discarded on purpose. Some programs (Python's `subprocess.DEVNULL`) open it for both, which looks the same as a closed
/// output; what is written there is lost, too.
pub(crate) fn stands_for_nothing(stdout: impl AsFd) -> bool {
    let is_null = match (rustix::fs::fstat(&stdout), rustix::fs::stat("/dev/null")) {
        (Ok(ours), Ok(null)) => (ours.st_mode, ours.st_rdev) == (null.st_mode, null.st_rdev),
        _ => false,
    };
    is_null && rustix::fs::fcntl_getfl(&stdout).is_ok_and(|flags| flags.contains(OFlags::RDWR))
}

/// Standard output, or a path to something else than a regular file. It can be neither truncated nor rotated.
#[derive(Debug)]
struct Stream {
    output: Rc<Unblocked>,
    under_way: UnderWay,
}

impl Stream {
    fn new(output: Unblocked, under_way: UnderWay) -> Self {
        Self { output: Rc::new(output), under_way }
    }

    /// Writes a bulk, or the rest of it if a part was written before. If a part of another bulk was written, its incomplete
    /// document is completed first. When that bulk is appended again, some of its documents are written twice, with the
    /// same ids.
    async fn append(&self, bulk: &Arc<Bulk>) -> io::Result<()> {
        let mut under_way = self.under_way.lock().await;
        if let Some(Begun { bulk: other, written }) = &mut *under_way
            && !Arc::ptr_eq(other, bulk)
        {
            self.write(other.whole_until(*written), written).await?;
            *under_way = None;
        }
        let Begun { bulk, written } = under_way.get_or_insert_with(|| Begun { bulk: Arc::clone(bulk), written: 0 });
        self.write(bulk.bytes(), written).await?;
        *under_way = None;
        Ok(())
    }

    /// Writes the rest of `bytes` after the first `written`. That number is correct at any time, even if this future is
    /// dropped.
    async fn write(&self, bytes: &[u8], written: &mut usize) -> io::Result<()> {
        if !self.output.has_reader() {
            return rotated::write_counted(self.output.file(), bytes, written);
        }
        while *written < bytes.len() {
            // Other tasks run before each piece. The result can be ignored: without a deadline there is no timeout.
            let _ = event_loop::ready(self.output.clone(), Interest::Write, None).await;
            let piece = &bytes[*written..bytes.len().min(*written + limits::PIPE_WRITE_BYTES)];
            match self.output.write(piece) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => *written += more,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Cuts off an incomplete document at the end of the file.
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
    use std::io::Read;
    use std::os::fd::OwnedFd;

    fn bulk(ids: &mut IdSource, documents: usize) -> Arc<Bulk> {
        let mut bulk = Bulk::default();
        for _ in 0..documents {
            let key = DocumentKey { time: Timestamp::EPOCH, id: ids.next_id() };
            bulk.push(&mut ActionLine::new("i"), key, b"{\"a\":1}");
        }
        Arc::new(bulk)
    }

    #[test]
    fn a_torn_end_is_cut_and_the_rest_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.ndjson");
        let whole = bulk(&mut IdSource::new([0; 9]), 2);
        for torn in ["", "{\"cre", "{\"create\":{}}\n", "{\"create\":{}}\n{\"a\":", "{\"index\":{}}\n"] {
            std::fs::write(&path, [whole.bytes(), torn.as_bytes()].concat()).unwrap();
            let mut output =
                Output::open(&path, FileMode::default(), Rotation { bytes_max: 1 << 20, keep: 1 }).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole.bytes(), "{torn}");
            event_loop::block_on(output.append(&whole)).unwrap().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), [whole.bytes(), whole.bytes()].concat());
        }
    }

    #[test]
    fn a_file_stays_within_its_bound_and_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut ids = IdSource::new([0; 9]);
        let bulks: Vec<Arc<Bulk>> = (0..7).map(|_| bulk(&mut ids, 3)).collect();
        let bytes_max = bulks[0].bytes().len() as u64 * 2;
        let mut output = Output::open(&path, FileMode::default(), Rotation { bytes_max, keep: 2 }).unwrap();
        for bulk in &bulks {
            event_loop::block_on(output.append(bulk)).unwrap().unwrap();
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
        let mut appender = Appender::new(path.clone(), FileMode::default(), one.bytes().len() as u64, 3);
        let mut append = || event_loop::block_on(appender.append(&one)).unwrap();
        let names = || {
            let entries = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
            let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        (0..3).for_each(|_| append().unwrap());
        assert_eq!(names(), ["out", "out.1", "out.2"]);
        // A program that ships rotated files may remove one. The others stay.
        for _ in 0..5 {
            std::fs::remove_file(&path).unwrap();
            append().unwrap();
            assert_eq!(names(), ["out", "out.1", "out.2"]);
        }
        std::fs::rename(&path, folder.path().join("moved")).unwrap();
        append().unwrap();
        // Another process replaces the file.
        std::fs::rename(&path, folder.path().join("moved too")).unwrap();
        std::fs::write(&path, "").unwrap();
        append().unwrap();
        for name in names() {
            assert_eq!(std::fs::read(folder.path().join(&name)).unwrap(), one.bytes(), "{name}");
        }
        assert_eq!(names(), ["moved", "moved too", "out", "out.1", "out.2"]);
        // Without its folder, appending fails; it continues once the folder is there.
        let elsewhere = tempfile::tempdir().unwrap();
        let (away, at) = (elsewhere.path().join("away"), folder.path().to_owned());
        std::fs::rename(&at, &away).unwrap();
        append().unwrap_err();
        std::fs::create_dir(&at).unwrap();
        append().unwrap();
        assert_eq!(names(), ["out"]);
    }

    /// A recorder ends in the middle of a bulk, as after a reload that removes it.
    #[test]
    fn what_is_half_written_to_a_pipe_is_ended_before_anything_else() {
        let mut ids = IdSource::new([0; 9]);
        let (first, other) = (bulk(&mut ids, 3000), bulk(&mut ids, 30));
        assert!(first.bytes().len() > 20_000 + (64 << 10), "more than a pipe takes");
        let (first_text, other_text) = (first.bytes(), other.bytes());
        for is_other_between in [false, true] {
            let (mut reader, writer) = io::pipe().unwrap();
            let under_way = UnderWay::default();
            let of = |end: OwnedFd| Stream::new(Unblocked::of_shared(end.as_fd()).unwrap(), Arc::clone(&under_way));
            let (ending, next) = (of(writer.try_clone().unwrap().into()), of(writer.into()));
            let (mut reader, beginning) = event_loop::block_on(async {
                let enough = smol::unblock(move || {
                    let mut read = vec![0; 20_000];
                    reader.read_exact(&mut read).map(|()| (reader, read))
                });
                let written = async { ending.append(&first).await.map(|()| unreachable!("nobody reads so much")) };
                smol::future::or(enough, written).await.unwrap()
            })
            .unwrap();
            drop(ending);
            let written = under_way.try_lock().unwrap().as_ref().unwrap().written;
            assert!(written >= 20_000 && first.whole_until(written).len() > written, "a document is half written");
            let rest = std::thread::scope(|scope| {
                let rest = scope.spawn(|| io::read_to_string(&mut reader).unwrap());
                if is_other_between {
                    event_loop::block_on(next.append(&other)).unwrap().unwrap();
                }
                event_loop::block_on(next.append(&first)).unwrap().unwrap();
                drop(next);
                rest.join().unwrap()
            });
            let all = [&beginning, rest.as_bytes()].concat();
            let expected = if is_other_between {
                [first.whole_until(written), other_text, first_text].concat()
            } else {
                first_text.to_vec()
            };
            assert!(all == expected, "{} bytes instead of {}", all.len(), expected.len());
            assert!(under_way.try_lock().unwrap().is_none(), "nothing is under way");
        }
    }
}
