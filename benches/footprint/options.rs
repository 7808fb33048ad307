//! The command line. It ignores the arguments that `cargo bench` adds for a test harness.

use std::{path::PathBuf, time::Duration};

use crate::{
    Outcome,
    floor::{Floor, Pattern},
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
        self.chosen([
            ("a: 1 reader, 1 s", 1, 1000, window(30), false),
            ("b: 20 readers, 1 s", 20, 1000, window(20), false),
            ("c: 1 reader, 100 ms", 1, 100, window(20), false),
            ("d: as a, by name", 1, 1000, window(30), true),
        ])
    }

    /// What the build without TLS is run with: only its memory is asked.
    pub(crate) fn short_scenarios(&self) -> Vec<Scenario> {
        let window = Duration::from_secs(if self.quick { 2 } else { 5 });
        self.chosen([("a: 1 reader, 1 s", 1, 1000, window, false), ("b: 20 readers, 1 s", 20, 1000, window, false)])
    }

    fn chosen<const N: usize>(&self, all: [(&'static str, usize, u64, Duration, bool); N]) -> Vec<Scenario> {
        let wanted = |name: &str| self.only.as_deref().is_none_or(|only| only.chars().any(|c| name.starts_with(c)));
        all.into_iter()
            .filter(|(name, ..)| wanted(name))
            .map(|(name, readers, interval_ms, window, by_name)| Scenario {
                name,
                readers,
                interval: Duration::from_millis(interval_ms),
                settle: Duration::from_secs(if self.quick { 1 } else { 3 }),
                window,
                by_name,
            })
            .collect()
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

/// `--floor each|same INTERVAL_MS DOCUMENT_BYTES SINK_PORT READER_PORT…`, as [`Floor::arguments`] writes it.
fn parse_floor(words: &[String]) -> Outcome<Floor> {
    let [pattern, interval_ms, document_bytes, sink, readers @ ..] = words else {
        return Err("--floor wants a pattern, an interval, a size, and ports".into());
    };
    Ok(Floor {
        pattern: if pattern == "each" { Pattern::Each } else { Pattern::Same },
        interval: Duration::from_millis(interval_ms.parse()?),
        document_bytes: document_bytes.parse()?,
        sink: sink.parse()?,
        readers: readers.iter().map(|port| port.parse()).collect::<Result<_, _>>()?,
    })
}
