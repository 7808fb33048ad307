//! The command line. It ignores the arguments that `cargo bench` adds for a test harness.

use std::{path::PathBuf, time::Duration};

use crate::{
    Outcome,
    floor::{Floor, NO_FILE, Pattern},
    load::{Load, Way},
    peers::{self, Peer},
    window::Scenario,
};

/// What this process was started for.
pub(crate) enum Mode {
    /// The floor, a child of the bench.
    Floor(Floor),
    /// A test runner asks what is in here.
    List,
    /// A test runner asks for something else.
    Skip,
    /// `cargo test`: seconds, no figures.
    Smoke,
    /// `cargo bench`.
    Bench(Options),
}

/// How long and how often to measure.
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    /// Further starts of each load, for its memory.
    pub(crate) starts: usize,
    pub(crate) idle_gaps: usize,
    pub(crate) record: Option<PathBuf>,
    pub(crate) binary: Option<PathBuf>,
    pub(crate) only: Option<String>,
    /// Other shippers to compare with, and their binaries.
    pub(crate) peers: Vec<(Peer, PathBuf)>,
    window: Option<Duration>,
}

impl Options {
    /// Reads the arguments that follow the program's name.
    pub(crate) fn parse(arguments: &[String]) -> Outcome<Mode> {
        if arguments.first().is_some_and(|first| first == "--floor") {
            return Ok(Mode::Floor(parse_floor(&arguments[1..])?));
        }
        let mut options = Self {
            quick: false,
            rounds: 3,
            starts: 8,
            idle_gaps: 4,
            record: None,
            binary: None,
            only: None,
            peers: Vec::new(),
            window: None,
        };
        let (mut benched, mut tested) = (false, false);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{argument} wants a value"));
            match argument.as_str() {
                "--bench" => benched = true,
                "--test" => tested = true,
                "--list" => return Ok(Mode::List),
                "--quick" => (options.quick, options.starts, options.idle_gaps) = (true, 0, 1),
                "--record" => options.record = Some(PathBuf::from(value()?)),
                "--binary" => options.binary = Some(PathBuf::from(value()?)),
                "--only" => options.only = Some(value()?.clone()),
                "--peer" => options.peers.push(peers::parse(value()?)?),
                "--rounds" => options.rounds = value()?.parse::<usize>()?.max(1),
                "--window" => {
                    options.window = Some(Duration::from_secs(value()?.parse::<u64>()?.max(1)));
                }
                // `cargo test NAME` and `cargo bench NAME` hand their filter to every target.
                name if !name.starts_with('-') && !"footprint".contains(name) => {
                    return Ok(Mode::Skip);
                }
                // Flags of the standard harness or of another bench of the same command.
                _ => {}
            }
        }
        Ok(if benched && !tested { Mode::Bench(options) } else { Mode::Smoke })
    }

    /// The loads, less those that `--only a` and the like leave out.
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        let seconds = |full| if self.quick { 4 } else { full };
        let window = |full| self.window.unwrap_or_else(|| Duration::from_secs(seconds(full)));
        let of = |name, readers, way, seconds| self.scenario(name, readers, Load::of(way), window(seconds));
        let gzip = Load { gzip: true, ..Load::of(Way::Tls) };
        self.chosen(vec![
            of("a: 1 reader, 1 s", 1, Way::Number, 30),
            of("b: 20 readers, 1 s", 20, Way::Number, 20),
            Scenario { interval: Duration::from_millis(100), ..of("c: 1 reader, 100 ms", 1, Way::Number, 20) },
            of("d: as a, by a proxy", 1, Way::Proxy, 30),
            of("e: as a, by name", 1, Way::Name, 30),
            of("f: as a, TLS", 1, Way::Tls, 30),
            of("g: as b, TLS", 20, Way::Tls, 20),
            // A bulk of one document is too short to be compressed.
            self.scenario("h: as g, gzip", 20, gzip, window(20)),
            Scenario { restarts: true, ..of("i: as f, restart", 1, Way::Tls, 30) },
            of("j: as f, system's CAs", 1, Way::SystemTls, 30),
            of("k: 800 readers, 1 s", 800, Way::Number, 10),
        ])
    }

    /// What the build without TLS is run with: only its memory is asked.
    pub(crate) fn short_scenarios(&self) -> Vec<Scenario> {
        let window = Duration::from_secs(if self.quick { 2 } else { 5 });
        let of = |name, readers| self.scenario(name, readers, Load::of(Way::Number), window);
        self.chosen(vec![of("a: 1 reader, 1 s", 1), of("b: 20 readers, 1 s", 20)])
    }

    /// What other shippers are compared under.
    pub(crate) fn peer_scenarios(&self) -> Vec<Scenario> {
        let window = self.window.unwrap_or(Duration::from_secs(20));
        let of = |name, readers, way| self.scenario(name, readers, Load::of(way), window);
        self.chosen(vec![
            of("a: plain by number, 1 reader", 1, Way::Number),
            of("b: plain by number, 20 readers", 20, Way::Number),
            of("f: TLS by name, 1 reader", 1, Way::Tls),
            of("g: TLS by name, 20 readers", 20, Way::Tls),
        ])
    }

    fn scenario(&self, name: &'static str, readers: usize, load: Load, window: Duration) -> Scenario {
        Scenario {
            name,
            readers,
            interval: Duration::from_secs(1),
            settle: Duration::from_secs(if self.quick { 1 } else { 3 }),
            window,
            load,
            restarts: false,
        }
    }

    fn chosen(&self, all: Vec<Scenario>) -> Vec<Scenario> {
        let wanted = |name: &str| self.only.as_deref().is_none_or(|only| only.chars().any(|c| name.starts_with(c)));
        all.into_iter().filter(|scenario| wanted(scenario.name)).collect()
    }

    /// The command that gives these figures again. The record's own place is of no interest to its reader.
    pub(crate) fn command(&self) -> String {
        let mut command = String::from("cargo bench --bench footprint");
        let mut flags = Vec::new();
        if self.quick {
            flags.push("--quick".to_owned());
        }
        if self.rounds != 3 {
            flags.push(format!("--rounds {}", self.rounds));
        }
        if let Some(window) = self.window {
            flags.push(format!("--window {}", window.as_secs()));
        }
        if let Some(only) = &self.only {
            flags.push(format!("--only {only}"));
        }
        if !flags.is_empty() {
            command.push_str(" -- ");
            command.push_str(&flags.join(" "));
        }
        command
    }
}

/// `--floor each|same INTERVAL_MS DOCUMENT_BYTES HOST CA_FILE SINK_PORT READER_PORT…`, as [`Floor::arguments`] writes it.
fn parse_floor(words: &[String]) -> Outcome<Floor> {
    let [pattern, interval_ms, document_bytes, host, ca_file, sink, readers @ ..] = words else {
        return Err("--floor wants a pattern, an interval, a size, a host, a file, and ports".into());
    };
    Ok(Floor {
        pattern: if pattern == "each" { Pattern::Each } else { Pattern::Same },
        interval: Duration::from_millis(interval_ms.parse()?),
        document_bytes: document_bytes.parse()?,
        host: host.clone(),
        ca_file: (ca_file != NO_FILE).then(|| PathBuf::from(ca_file)),
        sink: sink.parse()?,
        readers: readers.iter().map(|port| port.parse()).collect::<Result<_, _>>()?,
    })
}
