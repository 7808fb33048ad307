//! `expvastic spool ls|verify|dump|drop`: looks at what waits on disk. All but `drop` only read, so that they can be used
//! beside a running expvastic.

use crate::config::{Config, Recorder};
use crate::spool::disk::{self, OpenError, Survey};
use crate::spool::files::Files;
use crate::spool::segment;
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

    fn one(self, recorder: &Recorder, folder: &Path, bytes_max: u64, out: &mut impl Write) -> Result<bool, Failed> {
        let files = Files::System;
        let unreadable = |error: io::Error| Failed::Folder(format!("{}: {error}", folder.display()));
        let survey = match Survey::of(&files, folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Survey::default(),
            survey => survey.map_err(unreadable)?,
        };
        match self {
            Self::Ls => ls(recorder, folder, bytes_max, &survey, out),
            Self::Verify => verify(recorder, folder, &survey, out),
            Self::Dump => {
                for &segment in &survey.segments {
                    let (checked, _) = disk::read_segment(&files, folder, segment).map_err(unreadable)?;
                    out.write_all(checked.bulk.bytes())?;
                }
                Ok(true)
            }
            Self::Drop => {
                let _lock = match disk::lock(&files, folder) {
                    Err(OpenError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => None,
                    lock => Some(lock.map_err(|error| Failed::Folder(format!("nothing is dropped: {error}")))?),
                };
                survey.remove_all(&files, folder).map_err(unreadable)?;
                writeln!(out, "{}: dropped {} documents", recorder.name, documents(&survey))?;
                Ok(true)
            }
        }
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

fn verify(recorder: &Recorder, folder: &Path, survey: &Survey, out: &mut impl Write) -> Result<bool, Failed> {
    let (mut whole, mut all_well) = (0, true);
    for &found in &survey.segments {
        let path = disk::text_path(folder, found.0);
        match disk::read_segment(&Files::System, folder, found) {
            Ok((checked, _)) => {
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
