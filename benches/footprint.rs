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
//! With one reader, both floors are the same. Loads a to c use IP addresses, and load d a proxy, so libcurl. In loads e to j
//! all servers have a host name, which the system's resolver looks up (`footprint/names.rs` says how), and in f to j they speak
//! TLS; the floor then resolves the name, too, and speaks TLS with bare rustls. In load i the server closes all connections
//! half way through the window, so that the session is resumed. Load k has 800 readers. A figure is valid only if the
//! documents that arrived are those that were served, so this bench fails if they are not. It does not fail if a target is
//! missed.
//!
//! Memory is what the kernel counts, including mapped pages of the binary and of libc. Those of libc differ by 0.2 MB from
//! process to process, depending on where the system maps it, so memory is the median of several starts. Mapped pages also
//! depend on the page cache; the binary is measured in the state after a boot, when it is read from disk.
//!
//! `-- --quick` shortens the windows, `-- --record FILE` appends the tables to a file, and `-- --binary FILE` measures a
//! program that is built already. That must be a copy, because `cargo bench` replaces `target/release/expvastic` by a larger
//! binary with symbols. `-- --only fg` measures loads f and g only. `-- --peer telegraf=FILE` compares with another shipper
//! instead: `benches/peers/run` does that. Linux only, because everything is read from `/proc`; loads with TLS require openssl.

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
#[path = "footprint/load.rs"]
mod load;
#[path = "footprint/machine.rs"]
mod machine;
#[path = "footprint/names.rs"]
mod names;
#[path = "footprint/options.rs"]
mod options;
#[path = "footprint/peers.rs"]
mod peers;
#[path = "footprint/procfs.rs"]
mod procfs;
#[path = "footprint/report.rs"]
mod report;
#[path = "footprint/servers.rs"]
mod servers;
#[path = "footprint/sink.rs"]
mod sink;
#[path = "footprint/targets.rs"]
mod targets;
#[path = "footprint/tls.rs"]
mod tls;
#[path = "footprint/window.rs"]
mod window;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    error::Error,
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use crate::{
    app::App,
    binaries::Binaries,
    child::Subject,
    load::{Load, Way},
    names::Name,
    options::{Mode, Options},
    report::Report,
    servers::Loopback,
    targets::Findings,
    window::{Figures, Scenario},
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
    // Without `openssl` there are no certificates; who has no TLS cannot be asked for it.
    let has_openssl = Command::new("openssl").arg("version").output().is_ok_and(|output| output.status.success());
    let with_tls = cfg!(feature = "tls") && has_openssl;
    let smoke = |name, readers, way, restarts| Scenario {
        name,
        readers,
        interval: Duration::from_secs(1),
        settle: Duration::from_secs(1),
        window: Duration::from_secs(2),
        load: Load::of(way),
        restarts,
    };
    let plain = smoke("smoke", 20, Way::Number, false);
    // A test does not go into namespaces.
    let name = Name::without_lookup("in a test".to_owned());
    let loopback = Loopback::start(plain.readers, usize::from(with_tls), name)?;
    let binary = Path::new(env!("CARGO_BIN_EXE_expvastic"));
    for scenario in [plain].into_iter().chain(with_tls.then(|| smoke("smoke with TLS", 1, Way::Tls, true))) {
        let figures = Figures::collect(&loopback, binary, &scenario, 1, 0)?;
        for (name, windows) in figures.by_name() {
            let documents = windows.documents();
            println!("footprint: {}: {name}: {documents} documents, all accounted for", scenario.name);
        }
    }
    Ok(())
}

/// Starts the servers that these loads need. It may start the whole bench again, in namespaces of its own.
fn servers(scenarios: &[Scenario]) -> Outcome<Loopback> {
    let ways = || scenarios.iter().map(|scenario| scenario.load.way);
    let name = if ways().any(Way::has_name) {
        names::enter()?
    } else {
        Name::without_lookup("which no load here uses".to_owned())
    };
    allow_many_descriptors()?;
    let most = |is_tls: bool| {
        let those = scenarios.iter().filter(|scenario| scenario.load.way.is_tls() == is_tls);
        those.map(|scenario| scenario.readers).max().unwrap_or_default()
    };
    // How long an idle program sleeps is always measured by number.
    Loopback::start(most(false).max(1), most(true), name)
}

/// Raises the soft limit to the hard one, for the servers of hundreds of readers and for the floor.
fn allow_many_descriptors() -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

fn bench(options: &Options) -> Outcome<()> {
    if !procfs::is_here() {
        println!("footprint: skipped, there is no /proc with schedstat here");
        return Ok(());
    }
    if !options.peers.is_empty() {
        let scenarios = options.peer_scenarios();
        let loopback = servers(&scenarios)?;
        let binaries = Binaries::prepare(options.binary.as_deref())?;
        return peers::compare(options, &binaries.full, &scenarios, &loopback);
    }
    let scenarios = options.scenarios();
    let loopback = servers(&scenarios)?;
    let binaries = Binaries::prepare(options.binary.as_deref())?;
    let mut report = Report::begin(options, &binaries, &loopback.name, App::payload_bytes());
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
            let subject = Subject::Program { binary: binary.clone(), load: scenario.load };
            report.plain_row(&scenario, &window::measure(&loopback, &subject, &scenario)?);
        }
    }
    eprintln!("footprint: idle …");
    let has_tls = scenarios.iter().any(|scenario| scenario.load.way.is_tls());
    let mut idle = vec![idle::measure(&loopback, &binaries.full, Way::Number, options.idle_gaps)?];
    if has_tls {
        idle.push(idle::measure(&loopback, &binaries.full, Way::Tls, options.idle_gaps)?);
    }
    report.peaks(&figures);
    report.threads(&figures);
    report.handshakes(&figures);
    report.idle(&idle);
    report.ratios(&figures);
    report.targets(&targets::judge(&Findings { binaries: &binaries, figures: &figures, idle: &idle }));
    match &options.record {
        Some(file) => report.append_to(file),
        None => Ok(()),
    }
}
