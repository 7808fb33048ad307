//! The command line: arguments and their environment variables, the subcommands, exit codes.

mod arguments;
mod dead_letters;
mod flags;
mod orders;
mod output;
mod spool;

use crate::config::{Config, ConfigError, LogLevel, Reader, Recorder, Settings, nearest, values};
use crate::descriptors;
use crate::engine::{self, EngineError, Order, Report};
use crate::event_loop;
use crate::http::Http;
use crate::log::Log;
use crate::memory;
use crate::recorder::setup;
use crate::signals::Signals;
use crate::watchdog::Watchdog;
use arguments::normalise;
use flags::Flags;
use orders::Control;
use output::print;
use smol::channel::Sender;
use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::time::Duration;

/// Exit codes: done; wrong usage; bad configuration (both as in `sysexits.h`); anything else.
const DONE: u8 = 0;
const FAILED: u8 = 1;
const USAGE: u8 = 64;
const CONFIG: u8 = 78;

const HELP: &str = "\
expvastic polls Go expvar endpoints and ships flat documents to Elasticsearch or OpenSearch.

Usage:
  expvastic -c conf.yml                 run until stopped
  expvastic --reader localhost:1234/debug/vars --recorder localhost:9200
                                        run without a file
  expvastic check -c conf.yml           validate the configuration and print the routes
  expvastic once -c conf.yml            poll every reader once, ship, exit (0: every document was accepted)
  expvastic once --dry-run -c conf.yml  the same, but print the bulk text instead of sending it
  expvastic setup -c conf.yml           create or update the index templates
  expvastic setup --print -c conf.yml   only print them, for each kind of server
  expvastic spool ls -c conf.yml        list the documents waiting on disk; also verify (1: damage found), dump
                                        (print the bulk text) and drop (delete everything)
  expvastic dead-letters ls -c conf.yml list the documents that the server rejected, and why
  expvastic dead-letters retry -c conf.yml
                                        send them again unchanged (0: all of them were accepted)

Options, each also as an environment variable (a flag wins):
  -c, --config FILE    configuration; .yml or .yaml may be omitted             EXPVASTIC_CONFIG
      --reader URL     endpoint to poll        [localhost:1234/debug/vars]     EXPVASTIC_READER
      --recorder URL   server to ship to       [localhost:9200]                EXPVASTIC_RECORDER
                       with dead-letters: name of the one recorder to use
      --index NAME     index to write to       [expvastic]                     EXPVASTIC_INDEX
      --type NAME      service.name of the documents [expvastic]               EXPVASTIC_TYPE
      --int TIME       interval between polls  [1s]                            EXPVASTIC_INT
      --timeout TIME   limit for each request  [30s]                           EXPVASTIC_TIMEOUT
      --backoff N      consecutive failures until an endpoint is down [15]     EXPVASTIC_BACKOFF
      --loglevel L     error, warn, info, debug or trace [info]                EXPVASTIC_LOGLEVEL
      --dry-run        with once: send nothing                                 EXPVASTIC_DRY_RUN
      --print          with setup: change nothing                              EXPVASTIC_PRINT
  -h, --help           show this help (also: expvastic help)
  -V, --version        show the version (also: expvastic version)

Put passwords and keys in the file (auth): a command line is visible to every user of the machine.
Single dashes (-reader=…) work too.
SIGINT or SIGTERM: ship what is waiting, log the ledger, exit; again after a second: exit without flushing.
SIGHUP: reload the configuration. SIGUSR1: ship what is waiting now.
Exit codes: 0 success, 64 usage error, 78 invalid configuration, 1 any other failure. once: 0 only if every document was
accepted. After SIGINT or SIGTERM: 0 if everything still waiting was shipped or spooled; see the ledger for the rest.
";

const COMMANDS: [&str; 8] = ["check", "once", "setup", "spool", "dead-letters", "run", "help", "version"];

/// Runs the program with these arguments (without its own name) and gives the exit code.
#[must_use]
pub fn main(arguments: Vec<OsString>) -> u8 {
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let outcome = Invocation::parse(arguments, &environment).and_then(Invocation::execute);
    outcome.unwrap_or_else(|failure| {
        let mut stderr = std::io::stderr();
        let _ = writeln!(stderr, "{failure}");
        failure.code()
    })
}

/// What keeps the program from its work.
#[derive(Debug)]
enum Failure {
    Usage(String),
    Config(ConfigError),
    Engine(EngineError),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Config(_) => CONFIG,
            Self::Engine(_) => FAILED,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) => write!(f, "expvastic: {message}\nexpvastic -h shows the usage"),
            Self::Config(error) => error.fmt(f),
            Self::Engine(error) => write!(f, "expvastic: {error}"),
        }
    }
}

/// A command and where its configuration comes from.
#[derive(Debug, PartialEq)]
struct Invocation {
    command: Command,
    /// `--dry-run` or `--print`.
    only_shown: bool,
    source: Source,
    log_level: Option<LogLevel>,
    /// The only recorder whose dead letters are meant.
    recorder: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Run,
    Check,
    Once,
    Setup,
    Spool(spool::Action),
    DeadLetters(dead_letters::Action),
    Help,
    Version,
}

#[derive(Debug, PartialEq)]
enum Source {
    File(String),
    Flags(Box<SingleEngine>),
    /// For the commands that need none.
    None,
}

/// The engine that the flags describe.
#[derive(Debug, PartialEq)]
struct SingleEngine {
    reader: String,
    recorder: String,
    index: String,
    type_name: String,
    interval: Duration,
    timeout: Duration,
    backoff: u32,
}

impl Invocation {
    fn parse(arguments: Vec<OsString>, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let arguments = normalise(arguments)?;
        let mut arguments = pico_args::Arguments::from_vec(arguments.into_iter().map(OsString::from).collect());
        let mut command = match subcommand(&mut arguments)?.as_deref() {
            Some("check") => Command::Check,
            Some("once") => Command::Once,
            Some("setup") => Command::Setup,
            Some("spool") => Command::Spool(spool::Action::named(&word(&mut arguments)?)?),
            Some("dead-letters") => Command::DeadLetters(dead_letters::Action::named(&word(&mut arguments)?)?),
            Some("help") => Command::Help,
            Some("version") => Command::Version,
            _ => Command::Run,
        };
        if arguments.contains(["-h", "--help"]) {
            command = Command::Help;
        } else if arguments.contains(["-V", "--version"]) {
            command = Command::Version;
        }
        let only_shown = only_shown(&mut arguments, command, environment)?;
        let mut flags = Flags::take(&mut arguments)?;
        if let Some(rest) = arguments.finish().first() {
            return Err(Failure::Usage(format!("unexpected argument {:?}", rest.to_string_lossy())));
        }
        if matches!(command, Command::Help | Command::Version) {
            return Ok(Self { command, only_shown, source: Source::None, log_level: None, recorder: None });
        }
        let recorder = if matches!(command, Command::DeadLetters(_)) { flags.take_recorder() } else { None };
        let source = flags.source(environment)?;
        let log_level = flags.value("--loglevel", environment, values::log_level)?;
        Ok(Self { command, only_shown, source, log_level, recorder })
    }

    fn execute(self) -> Result<u8, Failure> {
        match self.command {
            Command::Help => Ok(print(HELP)),
            Command::Version => Ok(print(concat!("expvastic ", env!("CARGO_PKG_VERSION"), "\n"))),
            Command::Check => {
                let config = self.load()?;
                show_warnings(&config);
                #[cfg(feature = "tls")]
                if config.relies_on_system_trust()
                    && let Some(problem) = crate::http::store_problem()
                {
                    let _ = writeln!(std::io::stderr(), "{problem}");
                }
                Ok(print(&config.routes()))
            }
            Command::Setup => {
                let config = self.load()?;
                show_warnings(&config);
                self.set_up(&config)
            }
            Command::Spool(action) => {
                let config = self.load()?;
                Ok(output::write(|stdout| action.run(&config, stdout, &mut std::io::stderr())))
            }
            Command::DeadLetters(action) => self.dead_letters(action),
            Command::Run | Command::Once => self.work(),
        }
    }

    fn dead_letters(&self, action: dead_letters::Action) -> Result<u8, Failure> {
        let signals = Signals::catch();
        let config = self.load()?;
        let chosen = dead_letters::choose(&config, self.recorder.as_deref())?;
        let mut stderr = std::io::stderr();
        if chosen.is_empty() {
            let _ = writeln!(stderr, "no recorder in this configuration has a dead_letter file");
        }
        Ok(match action {
            dead_letters::Action::Ls => output::write(|stdout| dead_letters::ls(&chosen, stdout, &mut stderr)),
            dead_letters::Action::Retry => {
                let _log = Log::start(config.logged());
                output::write(|stdout| dead_letters::retry(&config, &chosen, signals, stdout, &mut stderr))
            }
        })
    }

    /// Polls and ships.
    fn work(self) -> Result<u8, Failure> {
        // One that comes while the file is read waits until it has been.
        let signals = Signals::catch();
        let watchdog = signals.as_ref().ok().map(|signals| Watchdog::new(signals.unheard()));
        let (before, after) = descriptors::raise_limit();
        let mut config = self.load()?;
        if self.only_shown {
            config.ship_to_standard_output();
        }
        let log = Log::start(config.logged());
        tracing::debug!(before = ?before.current, after = ?after.current, "file descriptor limit");
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        if self.command == Command::Once {
            let stop = orders::until_stopped(signals, None);
            let report = engine::tick_once_with_hurry(&config, stop, watchdog).map_err(Failure::Engine)?;
            if self.only_shown {
                log_printed(&report);
            } else {
                log_ledgers(&report);
            }
            return Ok(if report.all_taken() { DONE } else { FAILED });
        }
        let load = || self.load_again();
        run(&config, watchdog, |orders| {
            orders::until_stopped(signals, Some(Control { orders, log: &log, load: &load }))
        })
    }

    fn load(&self) -> Result<Config, Failure> {
        let mut config = match &self.source {
            Source::File(path) => Config::load(path).map_err(Failure::Config)?,
            Source::Flags(single) => single.config()?,
            Source::None => return Err(Failure::Usage("no configuration given".to_owned())),
        };
        self.overrule(&mut config);
        Ok(config)
    }

    /// The file once more; none if there is no file.
    fn load_again(&self) -> Option<Result<Config, ConfigError>> {
        let Source::File(path) = &self.source else { return None };
        let mut loaded = Config::load(path);
        if let Ok(config) = &mut loaded {
            self.overrule(config);
        }
        Some(loaded)
    }

    /// What the command line says of a configuration's settings.
    fn overrule(&self, config: &mut Config) {
        if let Some(level) = self.log_level {
            config.settings.log_level = level;
        }
    }

    fn set_up(&self, config: &Config) -> Result<u8, Failure> {
        if self.only_shown {
            return Ok(print(&setup::shown(config)));
        }
        let http =
            Http::new(config.recorders.iter().map(|recorder| recorder.hosts()).sum(), &|name| std::env::var(name).ok());
        let (text, is_good) = event_loop::block_on(setup::apply(config, &http))
            .map_err(|error| Failure::Engine(EngineError::System(format!("cannot start the event loop: {error}"))))?;
        Ok(if is_good { print(&text) } else { print(&text).max(FAILED) })
    }
}

/// Whether the switch was given, or its variable set, with which a command changes nothing.
fn only_shown(
    arguments: &mut pico_args::Arguments,
    command: Command,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<bool, Failure> {
    let mut only_shown = false;
    for (switch, variable, owner, line) in [
        ("--dry-run", "EXPVASTIC_DRY_RUN", Command::Once, "--dry-run works only with once: expvastic once --dry-run"),
        ("--print", "EXPVASTIC_PRINT", Command::Setup, "--print works only with setup: expvastic setup --print"),
    ] {
        let is_given = arguments.contains(switch);
        if is_given && !matches!(command, Command::Help | Command::Version) && command != owner {
            return Err(Failure::Usage(line.to_owned()));
        }
        only_shown |= command == owner && (is_given || is_switched_on(variable, environment)?);
    }
    Ok(only_shown)
}

fn is_switched_on(variable: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<bool, Failure> {
    let value = environment(variable).unwrap_or_default();
    match value.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(Failure::Usage(format!("{variable}: expected true or false, found {value:?}"))),
    }
}

/// Runs until `stop`, which passes on what else is asked for, completes, and ships until what it gives does.
fn run<S>(config: &Config, watchdog: Option<Watchdog>, stop: impl FnOnce(Sender<Order>) -> S) -> Result<u8, Failure>
where
    S: Future<Output: Future<Output = ()>>,
{
    let memory_bytes_max = memory::bytes_max(config);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), memory_bytes_max, "starting");
    for route in config.routes().lines() {
        tracing::info!(route, "{route}");
    }
    let (orders, obeyed) = smol::channel::bounded(1);
    let report = engine::start_engines_with_orders(config, stop(orders), obeyed, watchdog).map_err(Failure::Engine)?;
    log_ledgers(&report);
    // What was dropped or refused earlier is in the ledger.
    Ok(if report.given_up > 0 { FAILED } else { DONE })
}

fn show_warnings(config: &Config) {
    for warning in &config.warnings {
        let _ = writeln!(std::io::stderr(), "{warning}");
    }
}

fn log_ledgers(report: &Report) {
    for (recorder, ledger) in &report.ledgers {
        ledger.log(recorder);
    }
}

/// What a command is to do, if it is one that does several things.
fn word(arguments: &mut pico_args::Arguments) -> Result<String, Failure> {
    arguments.subcommand().map(Option::unwrap_or_default).map_err(|error| Failure::Usage(error.to_string()))
}

/// What became of a dry run's documents: no server has any of them.
fn log_printed(report: &Report) {
    for (recorder, ledger) in &report.ledgers {
        let (printed, made) = (ledger.acked, ledger.made);
        tracing::info!(recorder, "dry run: {printed} of {made} documents printed, none sent");
    }
}

fn subcommand(arguments: &mut pico_args::Arguments) -> Result<Option<String>, Failure> {
    let command = arguments.subcommand().map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some(unknown) = command.as_deref().filter(|command| !COMMANDS.contains(command)) {
        let hint = nearest(unknown, COMMANDS).map(|name| format!(", did you mean {name}?")).unwrap_or_default();
        return Err(Failure::Usage(format!("unknown command {unknown:?}{hint}")));
    }
    Ok(command)
}

impl SingleEngine {
    fn config(&self) -> Result<Config, Failure> {
        let readers = Reader::expvars("reader", &self.type_name, &self.reader);
        let recorder = Recorder::elasticsearch("recorder", &self.recorder, &self.index);
        let usage = |error: ConfigError| Failure::Usage(error.to_string());
        let paced = |reader: Reader| reader.interval(self.interval).timeout(self.timeout).backoff(self.backoff);
        let readers = readers.map_err(usage)?.into_iter().map(paced).collect();
        let recorder = recorder.map_err(usage)?.timeout(self.timeout).backoff(self.backoff);
        Ok(Config::single(readers, recorder, Settings::default()))
    }
}

#[cfg(test)]
mod tests;
