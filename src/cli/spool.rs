//! `expvastic spool ls|verify|dump|drop`: inspects the documents that wait on disk. All but `drop` only read, so they
//! can be used while expvastic is running.

use super::Failure;
use crate::config::{Config, Recorder};
use crate::plural::counted;
use crate::recorder;
use crate::spool::disk::{self, OpenError, Survey};
use crate::spool::files::{Files, Folder};
use crate::spool::segment;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

/// What is done with each spool folder.
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
            _ => Err(Failure::Usage(format!(
                "spool: expected ls, verify, dump or drop, found {name:?}: try expvastic spool ls -c conf.yml"
            ))),
        }
    }

    /// Does it for every recorder that has a spool. False if something is damaged or could not be done.
    ///
    /// # Errors
    /// What is written does not arrive.
    pub(super) fn run(self, config: &Config, out: &mut (impl Write + AsFd), err: &mut impl Write) -> io::Result<bool> {
        // Whoever drops the documents next believes to have them.
        if self == Self::Dump && recorder::stands_for_nothing(&*out) {
            return Err(io::Error::other(recorder::CLOSED));
        }
        let with_spool = config.recorders.iter().filter_map(|recorder| Some((recorder, recorder.spool.as_ref()?)));
        let mut all_well = true;
        let mut seen = false;
        for (recorder, spool) in with_spool {
            seen = true;
            match self.one(recorder, &spool.path, spool.bytes_max, out) {
                Ok(well) => all_well &= well,
                Err(Failed::Output(error)) => return Err(error),
                Err(Failed::Folder(message)) => {
                    writeln!(err, "{}: {message}", recorder.name)?;
                    all_well = false;
                }
            }
        }
        if !seen {
            writeln!(err, "no recorder in this configuration has a spool")?;
        }
        Ok(all_well)
    }

    fn one(self, recorder: &Recorder, path: &Path, bytes_max: u64, out: &mut impl Write) -> Result<bool, Failed> {
        let unreadable = |error: io::Error| Failed::Folder(format!("{}: {error}", path.display()));
        let folder = match Files::System.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened.map_err(unreadable)?),
        };
        let Some(folder) = folder else { return self.nothing(recorder, path, bytes_max, out) };
        if self == Self::Drop {
            disk::lock(&folder, path).map_err(|error| Failed::Folder(not_dropped(&error)))?;
        }
        let survey = Survey::of(&folder).map_err(unreadable)?;
        match self {
            Self::Ls => ls(recorder, path, bytes_max, &survey, out),
            Self::Verify => verify(recorder, path, &folder, &survey, out),
            Self::Dump => dump(path, &folder, &survey, out),
            Self::Drop => {
                survey.remove_all(&folder).map_err(unreadable)?;
                writeln!(out, "{}: dropped {}", recorder.name, counted(documents(&survey), "document"))?;
                Ok(true)
            }
        }
    }

    /// What is said of a folder that is not there.
    fn nothing(self, recorder: &Recorder, path: &Path, bytes_max: u64, out: &mut impl Write) -> Result<bool, Failed> {
        match self {
            Self::Ls => return ls(recorder, path, bytes_max, &Survey::default(), out),
            Self::Verify => writeln!(out, "{}: 0 of 0 documents intact; no damage found", recorder.name)?,
            Self::Dump => {}
            Self::Drop => writeln!(out, "{}: dropped 0 documents", recorder.name)?,
        }
        Ok(true)
    }
}

enum Failed {
    /// Of the folder, for a person.
    Folder(String),
    Output(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Why a folder keeps what is in it.
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

fn ls(
    recorder: &Recorder,
    folder: &Path,
    bytes_max: u64,
    survey: &Survey,
    out: &mut impl Write,
) -> Result<bool, Failed> {
    for files in &survey.segments {
        let path = disk::text_path(folder, files.number);
        let documents = counted(segment::listed(files.sums_bytes), "document");
        writeln!(out, "{}: {documents}, {} bytes", path.display(), files.text_bytes)?;
    }
    for &(number, bytes) in &survey.set_aside {
        writeln!(out, "{}: damaged, set aside, {bytes} bytes", disk::damaged_path(folder, number).display())?;
    }
    let (waiting, bytes) = (counted(documents(survey), "document"), survey.used_bytes());
    writeln!(out, "{}: {waiting} waiting in {}, {bytes} of {bytes_max} bytes", recorder.name, folder.display())?;
    Ok(true)
}

/// What cannot be read is said, and the rest is printed.
fn dump(path: &Path, folder: &Folder, survey: &Survey, out: &mut impl Write) -> Result<bool, Failed> {
    let mut unread = Vec::new();
    for &files in &survey.segments {
        match disk::read_segment(folder, files) {
            Ok((checked, _)) => out.write_all(checked.bulk.bytes())?,
            Err(error) => {
                unread.push(format!("{}: cannot be read: {error}", disk::text_path(path, files.number).display()));
            }
        }
    }
    if unread.is_empty() { Ok(true) } else { Err(Failed::Folder(unread.join("\n"))) }
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
            // A running expvastic is done with it by now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                writeln!(out, "{}: cannot be read: {error}", path.display())?;
                (known, all_well) = (known + segment::listed(files.sums_bytes), false);
            }
        }
    }
    let verdict = if all_well { "no damage found" } else { "damage found" };
    writeln!(out, "{}: {whole} of {} intact; {verdict}", recorder.name, counted(known, "document"))?;
    Ok(all_well)
}
