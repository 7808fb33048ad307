//! `expvastic spool ls|verify|dump|drop`: looks at what waits on disk. All but `drop` only read, so that they can be used
//! beside a running expvastic.

use crate::config::{Config, Recorder};
use crate::spool::disk::{self, Survey};
use crate::spool::files::{Files, Folder};
use crate::spool::segment::{self, Checked};
use std::io::{self, Write};
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
    pub(super) const NAMES: [&str; 4] = ["ls", "verify", "dump", "drop"];

    pub(super) fn named(name: &str) -> Option<Self> {
        let actions = [Self::Ls, Self::Verify, Self::Dump, Self::Drop];
        Self::NAMES.iter().position(|known| *known == name).map(|at| actions[at])
    }

    /// Does it for every recorder that has a spool. False if something is damaged or could not be done.
    ///
    /// # Errors
    /// If nobody reads what is written.
    pub(super) fn run(self, config: &Config, out: &mut impl Write, err: &mut impl Write) -> io::Result<bool> {
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
            writeln!(err, "no recorder of this configuration has a spool")?;
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
            disk::lock(&folder, path).map_err(|error| Failed::Folder(format!("nothing is dropped: {error}")))?;
        }
        let survey = Survey::of(&folder).map_err(unreadable)?;
        match self {
            Self::Ls => ls(recorder, path, bytes_max, &survey, out),
            Self::Verify => verify(recorder, path, &folder, &survey, out),
            Self::Dump => dump(path, &folder, &survey, out),
            Self::Drop => {
                survey.remove_all(&folder).map_err(unreadable)?;
                writeln!(out, "{}: dropped {} documents", recorder.name, documents(&survey))?;
                Ok(true)
            }
        }
    }

    /// What is said of a folder that is not there.
    fn nothing(self, recorder: &Recorder, path: &Path, bytes_max: u64, out: &mut impl Write) -> Result<bool, Failed> {
        match self {
            Self::Ls => return ls(recorder, path, bytes_max, &Survey::default(), out),
            Self::Verify => writeln!(out, "{}: 0 of 0 documents are whole; nothing is damaged", recorder.name)?,
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

fn documents(survey: &Survey) -> u64 {
    survey.segments.iter().map(|&(_, _, sums_bytes)| segment::listed(sums_bytes)).sum()
}

fn ls(
    recorder: &Recorder,
    folder: &Path,
    bytes_max: u64,
    survey: &Survey,
    out: &mut impl Write,
) -> Result<bool, Failed> {
    for &(number, text_bytes, sums_bytes) in &survey.segments {
        let path = disk::text_path(folder, number);
        writeln!(out, "{}: {} documents, {text_bytes} bytes", path.display(), segment::listed(sums_bytes))?;
    }
    for &(number, bytes) in &survey.set_aside {
        writeln!(out, "{}: damaged, set aside, {bytes} bytes", disk::damaged_path(folder, number).display())?;
    }
    let (waiting, bytes) = (documents(survey), survey.used_bytes());
    writeln!(out, "{}: {waiting} documents wait in {}, {bytes} of {bytes_max} bytes", recorder.name, folder.display())?;
    Ok(true)
}

/// A segment as it can be read. One without its text is one that holds nothing.
fn read(folder: &Folder, segment: (u64, u64, u64)) -> io::Result<Checked> {
    match disk::read_segment(folder, segment) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Checked::default()),
        read => read.map(|(checked, _)| checked),
    }
}

/// What cannot be read is said, and the rest is printed.
fn dump(path: &Path, folder: &Folder, survey: &Survey, out: &mut impl Write) -> Result<bool, Failed> {
    let mut unread = Vec::new();
    for &segment in &survey.segments {
        match read(folder, segment) {
            Ok(checked) => out.write_all(checked.bulk.bytes())?,
            Err(error) => {
                unread.push(format!("{}: cannot be read: {error}", disk::text_path(path, segment.0).display()))
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
    let (mut whole, mut all_well) = (0, true);
    for &found in &survey.segments {
        let path = disk::text_path(path, found.0);
        match read(folder, found) {
            Ok(checked) => {
                let documents = checked.bulk.documents() as u64;
                let damaged = segment::listed(found.2).saturating_sub(documents);
                whole += documents;
                if damaged > 0 || !checked.damaged.is_empty() {
                    let bytes = checked.damaged.len();
                    writeln!(out, "{}: {damaged} documents are lost, {bytes} bytes are no document", path.display())?;
                    all_well = false;
                }
            }
            Err(error) => {
                writeln!(out, "{}: cannot be read: {error}", path.display())?;
                all_well = false;
            }
        }
    }
    let verdict = if all_well { "nothing is damaged" } else { "the rest is damaged" };
    writeln!(out, "{}: {whole} of {} documents are whole; {verdict}", recorder.name, documents(survey))?;
    Ok(all_well)
}
