//! Finds out whether the files of a configuration have changed.
//!
//! A look costs one `stat` for each file. Only if that shows a change, or a file was written so recently that its time may not
//! show a further one, the texts are read and compared. So a file that was only touched is no change, and a file that is being
//! written is seen again when it is complete.

use crate::clock;
use crate::config::{Config, FileRead, list_files};
use crate::limits;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The files of a configuration, as they were when they were last read.
pub(super) struct Watched {
    /// The files and folders of the command line.
    paths: Vec<PathBuf>,
    /// The digest of each file's text.
    texts: BTreeMap<PathBuf, u64>,
    /// What the system said about the files.
    stamps: Vec<Option<Stamp>>,
    /// Whether a file may change without another stamp.
    is_recent: bool,
}

/// What distinguishes a file from another one in its place, and from itself before it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    bytes: u64,
    /// Seconds and nanoseconds since 1970.
    written: (i64, i64),
}

impl Watched {
    /// The files of this configuration, which has been loaded from these files and folders.
    pub(super) fn new(paths: &[PathBuf], config: &Config) -> Self {
        let mut watched = Self { paths: paths.to_vec(), texts: BTreeMap::new(), stamps: Vec::new(), is_recent: true };
        watched.follow(config);
        watched
    }

    /// Takes the files for those that this configuration was loaded from.
    pub(super) fn follow(&mut self, config: &Config) {
        self.texts = config.files.iter().map(|file| (file.path.clone(), file.digest)).collect();
        // They may have changed since.
        self.is_recent = true;
    }

    /// Looks at the files. Whether a text has changed since the last look.
    pub(super) fn look(&mut self) -> bool {
        // A folder without files is a change as well, which is reported when it is loaded.
        let files = list_files(&self.paths).unwrap_or_default();
        let others: Vec<PathBuf> = self.texts.keys().filter(|path| !files.contains(path)).cloned().collect();
        let all = || files.iter().chain(&others);
        let stamps: Vec<Option<Stamp>> = all().map(|path| Stamp::of(path)).collect();
        if stamps == self.stamps && !self.is_recent {
            return false;
        }
        let now = clock::timestamp().duration_since_epoch();
        let newest = stamps.iter().flatten().map(|stamp| stamp.written.0).max().unwrap_or_default();
        let newest = Duration::from_secs(u64::try_from(newest).unwrap_or_default());
        self.is_recent = now.saturating_sub(newest) < limits::WATCH_CLOCK;
        self.stamps = stamps;
        let read = all().map(|path| FileRead::again(path));
        let texts: BTreeMap<PathBuf, u64> = read.map(|file| (file.path, file.digest)).collect();
        let has_changed = texts != self.texts;
        self.texts = texts;
        has_changed
    }
}

impl Stamp {
    /// None if there is no file.
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        let (file, written) = ((found.dev(), found.ino()), (found.mtime(), found.mtime_nsec()));
        Some(Self { file, bytes: found.len(), written })
    }
}
