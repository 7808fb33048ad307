//! `expvastic dead-letters ls|retry`: lists the documents that the server refused for good, and sends them again. Both
//! can be used while expvastic is running.

use super::usage::UsageError;
use super::{Failure, orders};
use crate::config::{Config, Recorder, Target, nearest};
use crate::event_loop;
use crate::http::Http;
use crate::plural::counted;
use crate::recorder::dead_letters::files;
use crate::recorder::dead_letters::retry::{self, Retried};
use crate::recorder::dead_letters::survey::Survey;
use crate::recorder::setup;
use crate::signals::Signals;
use std::io::{self, Write};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

/// What to do with the dead letters of each recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Ls,
    Retry,
}

/// A recorder and its file of dead letters.
type Chosen<'c> = (&'c Arc<Recorder>, &'c Path);

impl Action {
    pub(super) fn named(name: &str) -> Result<Self, Failure> {
        match name {
            "ls" => Ok(Self::Ls),
            "retry" => Ok(Self::Retry),
            _ => Err(Failure::Usage(UsageError::UnknownAction {
                command: "dead-letters",
                actions: "ls or retry",
                found: name.to_owned(),
            })),
        }
    }
}

/// All recorders that have dead letters, or only the one with the name `name`.
pub(super) fn choose<'c>(config: &'c Config, name: Option<&str>) -> Result<Vec<Chosen<'c>>, Failure> {
    let with_file = |recorder: &'c Arc<Recorder>| Some((recorder, recorder.dead_letter.as_deref()?));
    let Some(name) = name else {
        return Ok(config.recorders.iter().filter_map(with_file).collect());
    };
    let Some(recorder) = config.recorders.iter().find(|recorder| recorder.name == name) else {
        let meant = nearest(name, config.recorders.iter().map(|recorder| recorder.name())).map(str::to_owned);
        return Err(Failure::Usage(UsageError::UnknownRecorder { name: name.to_owned(), meant }));
    };
    let chosen = with_file(recorder);
    chosen.map(|one| vec![one]).ok_or_else(|| Failure::Usage(UsageError::NoDeadLetters { recorder: name.to_owned() }))
}

/// Writes what is in the files. False if a file cannot be read.
///
/// # Errors
/// What is written does not arrive.
pub(super) fn ls(chosen: &[Chosen<'_>], out: &mut impl Write, err: &mut impl Write) -> io::Result<bool> {
    let mut all_well = true;
    for (recorder, path) in chosen {
        let files = match files::open_all(path) {
            Ok(files) => files,
            Err(why) => {
                writeln!(err, "{}: {why}", recorder.name)?;
                all_well = false;
                continue;
            }
        };
        let mut letters = 0;
        for file in &files {
            match Survey::of(file) {
                Ok(survey) => {
                    letters += survey.letters;
                    let bytes = file.bytes();
                    write!(out, "{}: {}, {bytes} bytes", file.path().display(), counted(survey.letters, "letter"))?;
                    if !survey.first.is_empty() {
                        write!(out, ", {} to {}", survey.first, survey.last)?;
                    }
                    writeln!(out)?;
                    write!(out, "{}", survey.kinds)?;
                    write_broken(out, survey.broken_lines, &survey.broken)?;
                }
                Err(error) => {
                    writeln!(err, "{}: {}", recorder.name, file.unreadable(error))?;
                    all_well = false;
                }
            }
        }
        writeln!(out, "{}: {} in {}", recorder.name, counted(letters, "dead letter"), path.display())?;
    }
    Ok(all_well)
}

/// Sends the letters again, and writes what became of them. False if any are left.
///
/// # Errors
/// What is written does not arrive.
pub(super) fn retry(
    config: &Config,
    chosen: &[Chosen<'_>],
    signals: io::Result<Signals>,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<bool> {
    let hosts = chosen.iter().map(|(recorder, _)| recorder.hosts()).sum();
    let http = Http::new(hosts, &|name| std::env::var(name).ok());
    let work = async {
        let mut stop = pin!(orders::next_stop(signals));
        let mut is_all_taken = true;
        for (recorder, path) in chosen {
            let feed = setup::feed(config, recorder);
            let recorder = if feed.readers == 0 { without_template(recorder) } else { Arc::clone(recorder) };
            let retried = retry::retry(&recorder, path, feed, config.settings(), &http, stop.as_mut()).await;
            is_all_taken &= retried.is_all_taken();
            write_retried(out, &recorder.name, path, &retried)?;
            if retried.is_stopped {
                return Ok(false);
            }
        }
        Ok(is_all_taken)
    };
    match event_loop::block_on(work) {
        Ok(done) => done,
        Err(error) => writeln!(err, "expvastic: cannot start the event loop: {error}").map(|()| false),
    }
}

/// The same recorder without a template, for one that no route names: it is not known which documents a template would
/// have to fit.
fn without_template(recorder: &Recorder) -> Arc<Recorder> {
    let mut recorder = recorder.clone();
    if let Target::Elasticsearch(server) = &mut recorder.target {
        server.template = false;
    }
    Arc::new(recorder)
}

fn write_retried(out: &mut impl Write, name: &str, path: &Path, retried: &Retried) -> io::Result<()> {
    let Retried { letters, stored, duplicate, refused, not_now, left, .. } = retried;
    if *letters > 0 || (retried.broken_lines == 0 && retried.problems.is_empty()) {
        writeln!(
            out,
            "{name}: {}: {stored} stored, {duplicate} already stored, {} rejected again, {} not accepted for now",
            counted(*letters, "dead letter"),
            refused.documents(),
            not_now.documents()
        )?;
    }
    for (title, summary) in [("rejected again", refused), ("not accepted for now", not_now)] {
        if summary.documents() > 0 {
            write!(out, "{name}: {title}:\n{summary}")?;
        }
    }
    for problem in &retried.problems {
        writeln!(out, "{name}: {problem}")?;
    }
    write_broken(out, retried.broken_lines, &retried.broken)?;
    if *left > 0 {
        writeln!(out, "{name}: {} left in {}", counted(*left, "dead letter"), path.display())?;
    }
    Ok(())
}

fn write_broken(out: &mut impl Write, lines: u64, shown: &[String]) -> io::Result<()> {
    for line in shown {
        writeln!(out, "  not a dead letter, left unchanged: {line}")?;
    }
    match lines.saturating_sub(shown.len() as u64) {
        0 => Ok(()),
        more => writeln!(out, "  and {} more that are not dead letters", counted(more, "line")),
    }
}
