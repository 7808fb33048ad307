//! Other shippers under the same loads, with the same servers and the same figures. `benches/peers/run` builds them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Outcome,
    child::Subject,
    load::Places,
    machine,
    options::Options,
    servers::Loopback,
    window::{self, Scenario, Windows, float},
};

/// What a user would pick instead.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Telegraf,
    /// The Go program of 2017.
    Original,
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Telegraf => "Telegraf",
            Self::Original => "the Go program",
        }
    }

    /// What starts it with a configuration of its own in this folder.
    pub(crate) fn command(self, binary: &Path, folder: &Path, places: &Places<'_>) -> Outcome<Command> {
        let mut command = Command::new(binary);
        match self {
            Self::Telegraf => {
                fs::write(folder.join("telegraf.conf"), places.telegraf())?;
                command.args(["--config", "telegraf.conf"]);
            }
            Self::Original => {
                fs::write(folder.join("conf.yml"), places.original())?;
                command.args(["-c", "conf"]);
            }
        }
        Ok(command)
    }
}

/// `telegraf=FILE` or `original=FILE`.
pub(crate) fn parse(word: &str) -> Outcome<(Peer, PathBuf)> {
    match word.split_once('=') {
        Some(("telegraf", file)) => Ok((Peer::Telegraf, fs::canonicalize(file)?)),
        Some(("original", file)) => Ok((Peer::Original, fs::canonicalize(file)?)),
        _ => Err(format!("--peer wants telegraf=FILE or original=FILE, not {word}").into()),
    }
}

/// Prints a table of what the program and the others cost.
pub(crate) fn compare(options: &Options, program: &Path, scenarios: &[Scenario], loopback: &Loopback) -> Outcome<()> {
    for line in machine::heading() {
        println!("{line}");
    }
    println!("- names: `{}`, {}", loopback.name.host, loopback.name.resolved);
    println!("- one document per reader and second; medians of {} runs\n", options.rounds);
    println!(
        "| load | who | binary MB | VmHWM MB | CPU ms per document | threads | bytes per document | first document ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for scenario in scenarios {
        let own = Subject::Program { binary: program.to_owned(), load: scenario.load };
        let mut subjects = vec![("expvastic", program, own)];
        for (peer, binary) in &options.peers {
            let subject = Subject::Peer { peer: *peer, binary: binary.clone(), load: scenario.load };
            subjects.push((peer.name(), binary, subject));
        }
        for (who, binary, subject) in subjects {
            eprintln!("peers: {}, {who} …", scenario.name);
            // One that cannot do this load is a result, too.
            match measure(loopback, &subject, scenario, options.rounds) {
                Ok(windows) => row(scenario.name, who, fs::metadata(binary)?.len(), &windows),
                Err(error) => {
                    eprintln!("peers: {who}: {error}");
                    println!("| {} | {who} | failed | | | | | |", scenario.name);
                }
            }
        }
    }
    Ok(())
}

fn measure(loopback: &Loopback, subject: &Subject, scenario: &Scenario, rounds: usize) -> Outcome<Windows> {
    let windows = (0..rounds).map(|_| window::measure(loopback, subject, scenario));
    Ok(Windows(windows.collect::<Outcome<_>>()?))
}

fn row(load: &str, who: &str, binary_bytes: u64, windows: &Windows) {
    let megabytes = |bytes: f64| bytes / 1e6;
    println!(
        "| {load} | {who} | {:.1} | {:.2} | {:.3} | {:.0} | {:.0} | {:.0} |",
        megabytes(float(binary_bytes)),
        megabytes(windows.median(|window| float(window.peak_kb * 1024))),
        windows.cpu_ms(),
        windows.median(|window| float(window.threads as u64)),
        windows.median(|window| window.per_document(float(window.bytes_received))),
        windows.median(|window| window.first_document.as_secs_f64() * 1e3),
    );
}
