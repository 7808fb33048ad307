//! What expvastic costs: memory, CPU, bytes on the wire, threads, wake-ups, start-up time.
//!
//! `cargo bench --bench footprint` runs the stripped release binary against an expvar endpoint and a stand-in for
//! Elasticsearch, both on loopback inside this process. It takes turns with a *floor*: a process that makes the same
//! exchanges with bare blocking sockets, and discards the answers. If the machine becomes slower or faster, both figures
//! change, and their ratio still shows what the program adds.
//!
//! - `floor each`: one wake-up, one GET and one POST per document, with the readers spread evenly over the interval, as a
//!   simple shipper would do it.
//! - `floor same`: exactly the exchanges of expvastic, all GETs at the tick and one POST for all documents.
//!
//! With one reader, both floors are the same. The endpoints are IP addresses, except in load d: there the server has a
//! host name, and is reached through libcurl like a server with TLS. A figure is valid only if the documents that arrived
//! are those that were served, so this bench fails if they are not. It does not fail if a target is missed.
//!
//! Memory is what the kernel counts, including mapped pages of the binary and of libc. Those of libc differ by 0.2 MB from
//! process to process, depending on where the system maps it, so memory is the median of several starts. Mapped pages also
//! depend on the page cache; the binary is measured in the state after a boot, when it is read from disk.
//!
//! `-- --quick` shortens the windows, `-- --record FILE` appends the tables to a file, and `-- --binary FILE` measures a
//! program that is built already. That must be a copy, because `cargo bench` replaces `target/release/expvastic` by a larger
//! binary with symbols. Linux only, because everything is read from `/proc`.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::print_stderr, reason = "a bench says on standard error why it failed")]
#![allow(clippy::disallowed_methods, reason = "a bench is made of clocks and threads")]

#[path = "footprint/app.rs"]
mod app;
#[path = "footprint/binaries.rs"]
mod binaries;
#[path = "footprint/child.rs"]
mod child;
#[path = "footprint/floor.rs"]
mod floor;
#[path = "footprint/http.rs"]
mod http;
#[path = "footprint/idle.rs"]
mod idle;
#[path = "footprint/machine.rs"]
mod machine;
#[path = "footprint/options.rs"]
mod options;
#[path = "footprint/procfs.rs"]
mod procfs;
#[path = "footprint/report.rs"]
mod report;
#[path = "footprint/sink.rs"]
mod sink;
#[path = "footprint/targets.rs"]
mod targets;
#[path = "footprint/window.rs"]
mod window;

use std::{error::Error, path::Path, process::ExitCode, time::Duration};

use crate::{
    app::App,
    binaries::Binaries,
    child::Subject,
    options::{Mode, Options},
    report::Report,
    targets::Findings,
    window::{Figures, Loopback, Scenario},
};

/// Any error ends the bench with its text.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match Options::parse(&arguments) {
        Ok(Mode::Floor(floor)) => floor::run(&floor),
        Ok(Mode::List) => {
            println!("footprint: test");
            Ok(())
        }
        Ok(Mode::Skip) => Ok(()),
        Ok(Mode::Smoke) => smoke(),
        Ok(Mode::Bench(options)) => bench(&options),
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("footprint: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A short run of all servers, floors and checks with an existing binary, for `cargo test`.
fn smoke() -> Outcome<()> {
    if !procfs::is_here() {
        println!("footprint: skipped, there is no /proc with schedstat here");
        return Ok(());
    }
    let scenario = Scenario {
        name: "smoke",
        readers: 20,
        interval: Duration::from_secs(1),
        settle: Duration::from_secs(1),
        window: Duration::from_secs(2),
        by_name: false,
    };
    let loopback = Loopback::start(scenario.readers)?;
    let binary = Path::new(env!("CARGO_BIN_EXE_expvastic"));
    let figures = Figures::collect(&loopback, binary, &scenario, 1, 0)?;
    for (name, windows) in figures.by_name() {
        println!("footprint: {name}: {} documents, all accounted for", windows.documents());
    }
    Ok(())
}

fn bench(options: &Options) -> Outcome<()> {
    if !procfs::is_here() {
        println!("footprint: skipped, there is no /proc with schedstat here");
        return Ok(());
    }
    let binaries = Binaries::prepare(options.binary.as_deref())?;
    let scenarios = options.scenarios();
    let loopback = Loopback::start(scenarios.iter().map(|scenario| scenario.readers).max().unwrap_or(1))?;
    let mut report = Report::begin(options, &binaries, App::payload_bytes());
    let mut figures = Vec::new();
    for scenario in &scenarios {
        eprintln!("footprint: {}, {} rounds …", scenario.name, options.rounds);
        figures.push(Figures::collect(&loopback, &binaries.full, scenario, options.rounds, options.starts)?);
        // Printed at once, so that the figures are not lost if the run is interrupted.
        report.rows(figures.last());
    }
    if let Some(binary) = &binaries.plain {
        eprintln!("footprint: without TLS …");
        for scenario in options.short_scenarios() {
            let subject = Subject::Program { binary: binary.clone(), by_name: false };
            report.plain_row(&scenario, &window::measure(&loopback, &subject, &scenario)?);
        }
    }
    eprintln!("footprint: idle …");
    let gaps = idle::measure(&loopback, &binaries.full, options.idle_gaps)?;
    report.peaks(&figures);
    report.threads(&figures);
    report.idle(&gaps);
    report.ratios(&figures);
    report.targets(&targets::judge(&Findings { binaries: &binaries, figures: &figures, gaps: &gaps }));
    match &options.record {
        Some(file) => report.append_to(file),
        None => Ok(()),
    }
}
