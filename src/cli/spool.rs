//! `expvastic spool ls|verify|dump|drop`: inspects the documents that wait on disk. All but `drop` only read, so they
//! can be used while expvastic is running.

mod listing;

use super::Failure;
use super::usage::UsageError;
use crate::config::{Config, Recorder};
use crate::plural::counted;
use crate::recorder;
use crate::spool::disk::{self, OpenError, Survey};
use crate::spool::files::{Files, Folder};
use crate::spool::segment;
use listing::Listing;
use std::fmt;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// What to do with each spool folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Ls,
    Verify,
    Dump,
    Drop,
}

impl Action {
    pub(super) fn named(name: &str) -> Result<Self, Failure> {
        match name {
            "ls" => Ok(Self::Ls),
            "verify" => Ok(Self::Verify),
            "dump" => Ok(Self::Dump),
            "drop" => Ok(Self::Drop),
            _ => Err(Failure::Usage(UsageError::UnknownAction {
                command: "spool",
                actions: "ls, verify, dump or drop",
                found: name.to_owned(),
            })),
        }
    }

    /// Does it for every recorder that has a spool. If it `is_summary`, `ls` leaves out the segments. False if something
    /// is damaged or could not be done.
    ///
    /// # Errors
    /// What is written does not arrive.
    pub(super) fn run(
        self,
        config: &Config,
        is_summary: bool,
        out: &mut (impl Write + AsFd),
        err: &mut impl Write,
    ) -> io::Result<bool> {
        // Whoever dumps documents into nothing would believe to have them, and perhaps drop them next.
        if self == Self::Dump && recorder::stands_for_nothing(&*out) {
            return Err(io::Error::other(recorder::CLOSED));
        }
        let with_spool = config.recorders.iter().filter_map(|recorder| Some((recorder, recorder.spool.as_ref()?)));
        let mut all_well = true;
        let mut seen = false;
        let mut listing = Listing::new(is_summary);
        for (recorder, spool) in with_spool {
            seen = true;
            match self.one(recorder, &spool.path, spool.bytes_max, &mut listing, out) {
                Ok(well) => all_well &= well,
                Err(Failed::Output(error)) => return Err(error),
                Err(Failed::Folder(error)) => {
                    writeln!(err, "{}: {error}", recorder.name)?;
                    all_well = false;
                }
            }
        }
        if !seen {
            writeln!(err, "no recorder in this configuration has a spool")?;
        } else if self == Self::Ls {
            listing.end(out)?;
        }
        Ok(all_well)
    }

    fn one(
        self,
        recorder: &Recorder,
        path: &Path,
        bytes_max: u64,
        listing: &mut Listing,
        out: &mut impl Write,
    ) -> Result<bool, Failed> {
        let unreadable = |error| Failed::Folder(FolderError::Unusable { folder: path.to_owned(), error });
        let folder = match Files::System.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened.map_err(unreadable)?),
        };
        let Some(folder) = folder else {
            if self == Self::Ls {
                listing.add(recorder, path, bytes_max, None, out)?;
            }
            return Ok(self.nothing(recorder, out)?);
        };
        disk::check_format(&folder, path).map_err(|error| Failed::Folder(FolderError::Unopened(error)))?;
        if self == Self::Drop {
            disk::lock(&folder, path).map_err(|error| Failed::Folder(FolderError::NotDropped(error)))?;
        }
        let survey = Survey::of(&folder).map_err(unreadable)?;
        match self {
            Self::Ls => listing.add(recorder, path, bytes_max, Some((&folder, &survey)), out).map(|()| true),
            Self::Verify => verify(recorder, path, &folder, &survey, out),
            Self::Dump => dump(path, &folder, &survey, out),
            Self::Drop => {
                survey.remove_all(&folder).map_err(unreadable)?;
                writeln!(out, "{}: dropped {}", recorder.name, counted(documents(&survey), "document"))?;
                Ok(true)
            }
        }
    }

    /// The rest of it for a folder that does not exist.
    fn nothing(self, recorder: &Recorder, out: &mut impl Write) -> io::Result<bool> {
        match self {
            Self::Ls | Self::Dump => {}
            Self::Verify => writeln!(out, "{}: 0 of 0 documents intact; no damage found", recorder.name)?,
            Self::Drop => writeln!(out, "{}: dropped 0 documents", recorder.name)?,
        }
        Ok(true)
    }
}

/// Why a folder could not be handled.
enum Failed {
    /// Something is wrong with the folder. The others can still be handled.
    Folder(FolderError),
    /// What is written does not arrive.
    Output(io::Error),
}

/// What is wrong with a spool folder.
enum FolderError {
    /// It cannot be read, or its files cannot be removed. Likely if it belongs to another user.
    Unusable { folder: PathBuf, error: io::Error },
    /// It is not in a format that is understood here. Likely after a downgrade.
    Unopened(OpenError),
    /// It is not ours, so nothing was removed. Likely while expvastic is running.
    NotDropped(OpenError),
    /// Some of its segments cannot be read. Unlikely: a disk error.
    Unread(Vec<Unread>),
}

/// A segment that cannot be read.
struct Unread {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable { folder, error } => write!(f, "{}: {error}", folder.display()),
            Self::Unopened(error) => error.fmt(f),
            Self::NotDropped(error) => f.write_str(&not_dropped(error)),
            Self::Unread(segments) => {
                for (at, segment) in segments.iter().enumerate() {
                    let separator = if at > 0 { "\n" } else { "" };
                    write!(f, "{separator}{segment}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: cannot be read: {}", self.path.display(), self.error)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Why nothing was dropped, and what to do about it.
fn not_dropped(error: &OpenError) -> String {
    let OpenError::InUse(folder, process) = error else { return format!("nothing dropped: {error}") };
    let owner = match process {
        Some(number) if *number == std::process::id() => format!("process {number} in another container"),
        Some(number) => format!("process {number}"),
        None => "another process".to_owned(),
    };
    let folder = folder.display();
    format!("nothing dropped: the spool folder {folder} is in use by {owner}, which ships it: stop that process first")
}

fn documents(survey: &Survey) -> u64 {
    survey.segments.iter().map(|files| segment::listed(files.sums_bytes)).sum()
}

/// Writes all documents that can be read.
fn dump(path: &Path, folder: &Folder, survey: &Survey, out: &mut impl Write) -> Result<bool, Failed> {
    let mut unread = Vec::new();
    for &files in &survey.segments {
        match disk::read_segment(folder, files) {
            Ok((checked, _)) => out.write_all(checked.bulk.bytes())?,
            Err(error) => unread.push(Unread { path: disk::text_path(path, files.number), error }),
        }
    }
    if unread.is_empty() { Ok(true) } else { Err(Failed::Folder(FolderError::Unread(unread))) }
}

fn verify(
    recorder: &Recorder,
    path: &Path,
    folder: &Folder,
    survey: &Survey,
    out: &mut impl Write,
) -> Result<bool, Failed> {
    let (mut whole, mut known, mut all_well) = (0, 0, true);
    for &files in &survey.segments {
        let path = disk::text_path(path, files.number);
        match disk::read_segment(folder, files) {
            Ok((checked, _)) => {
                let documents = checked.bulk.documents() as u64;
                let listed = segment::listed(files.sums_bytes);
                let damaged = listed.saturating_sub(documents);
                (whole, known) = (whole + documents, known + listed);
                if damaged > 0 || !checked.damaged.is_empty() {
                    let bytes = checked.damaged.len();
                    writeln!(out, "{}: {} lost, {bytes} bytes damaged", path.display(), counted(damaged, "document"))?;
                    all_well = false;
                }
            }
            // A running expvastic has shipped its documents in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                writeln!(out, "{}", Unread { path, error })?;
                (known, all_well) = (known + segment::listed(files.sums_bytes), false);
            }
        }
    }
    let verdict = if all_well { "no damage found" } else { "damage found" };
    writeln!(out, "{}: {whole} of {} intact; {verdict}", recorder.name, counted(known, "document"))?;
    Ok(all_well)
}
