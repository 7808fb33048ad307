//! The command line: arguments and their environment variables, subcommands, and exit codes.

mod arguments;
mod dead_letters;
mod flags;
mod orders;
mod output;
mod spool;
mod usage;

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
use usage::UsageError;

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

/// Runs the program with these arguments, which do not include its own name. Gives the exit code.
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

/// Why the program cannot do what it was asked for.
#[derive(Debug)]
enum Failure {
    /// The command line is wrong.
    Usage(UsageError),
    /// The configuration is invalid, or cannot be read.
    Config(ConfigError),
    /// The system refuses something that the program needs. Very unlikely.
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
            Self::Usage(error) => write!(f, "expvastic: {error}\nexpvastic -h shows the usage"),
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
    /// With `dead-letters`: the name of the only recorder to use.
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

/// Where the configuration comes from.
#[derive(Debug, PartialEq)]
enum Source {
    File(String),
    Flags(Box<SingleEngine>),
    /// Nowhere: the command needs none.
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
            Some("spool") => Command::Spool(spool::Action::named(&action_name(&mut arguments)?)?),
            Some("dead-letters") => Command::DeadLetters(dead_letters::Action::named(&action_name(&mut arguments)?)?),
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
            return Err(Failure::Usage(UsageError::UnexpectedArgument(rest.to_string_lossy().into_owned())));
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
        // A signal that comes while the file is read has to wait until then.
        let signals = Signals::catch();
        let watchdog = signals.as_ref().ok().map(|signals| Watchdog::new(signals.pending_stop()));
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
            Source::None => return Err(Failure::Usage(UsageError::NoConfiguration)),
        };
        self.overrule(&mut config);
        Ok(config)
    }

    /// Loads the file again; none if there is no file.
    fn load_again(&self) -> Option<Result<Config, ConfigError>> {
        let Source::File(path) = &self.source else { return None };
        let mut loaded = Config::load(path);
        if let Ok(config) = &mut loaded {
            self.overrule(config);
        }
        Some(loaded)
    }

    /// Applies the settings of the command line, which win.
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
            .map_err(|error| Failure::Engine(EngineError::EventLoop(error)))?;
        Ok(if is_good { print(&text) } else { print(&text).max(FAILED) })
    }
}

/// Whether the command is only to show what it would do: its switch, or the environment variable of that, is on.
fn only_shown(
    arguments: &mut pico_args::Arguments,
    command: Command,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<bool, Failure> {
    let mut only_shown = false;
    for (switch, variable, owner, name) in [
        ("--dry-run", "EXPVASTIC_DRY_RUN", Command::Once, "once"),
        ("--print", "EXPVASTIC_PRINT", Command::Setup, "setup"),
    ] {
        let is_given = arguments.contains(switch);
        if is_given && !matches!(command, Command::Help | Command::Version) && command != owner {
            return Err(Failure::Usage(UsageError::OtherCommand { switch, command: name }));
        }
        only_shown |= command == owner && (is_given || is_switched_on(variable, environment)?);
    }
    Ok(only_shown)
}

fn is_switched_on(variable: &'static str, environment: &dyn Fn(&str) -> Option<String>) -> Result<bool, Failure> {
    let value = environment(variable).unwrap_or_default();
    match value.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(Failure::Usage(UsageError::NotASwitch { variable, found: value })),
    }
}

/// Runs until the future that `stop` gives completes, which also passes on orders. Then ships what waits until the next
/// future completes.
fn run<S>(config: &Config, watchdog: Option<Watchdog>, stop: impl FnOnce(Sender<Order>) -> S) -> Result<u8, Failure>
where
    S: Future<Output: Future<Output = ()>>,
{
    let memory_bytes_max = memory::bytes_max(config);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), memory_bytes_max, "starting");
    for route in config.routes().lines() {
        tracing::info!(route, "{route}");
    }
    let (sender, orders) = smol::channel::bounded(1);
    let report = engine::start_engines_with_orders(config, stop(sender), orders, watchdog).map_err(Failure::Engine)?;
    log_ledgers(&report);
    // Documents that were dropped or refused before the end do not count: they are in the ledger.
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

/// The action of a command that has several.
fn action_name(arguments: &mut pico_args::Arguments) -> Result<String, Failure> {
    arguments.subcommand().map(Option::unwrap_or_default).map_err(unparsed)
}

/// Logs what has become of the documents of a dry run, none of which was sent.
fn log_printed(report: &Report) {
    for (recorder, ledger) in &report.ledgers {
        let (printed, made) = (ledger.acked, ledger.made);
        tracing::info!(recorder, "dry run: {printed} of {made} documents printed, none sent");
    }
}

fn subcommand(arguments: &mut pico_args::Arguments) -> Result<Option<String>, Failure> {
    let command = arguments.subcommand().map_err(unparsed)?;
    if let Some(unknown) = command.as_deref().filter(|command| !COMMANDS.contains(command)) {
        let meant = nearest(unknown, COMMANDS);
        return Err(Failure::Usage(UsageError::UnknownCommand { command: unknown.to_owned(), meant }));
    }
    Ok(command)
}

fn unparsed(error: pico_args::Error) -> Failure {
    Failure::Usage(UsageError::Unparsed { flag: None, error })
}

impl SingleEngine {
    fn config(&self) -> Result<Config, Failure> {
        let readers = Reader::expvars("reader", &self.type_name, &self.reader);
        let recorder = Recorder::elasticsearch("recorder", &self.recorder, &self.index);
        let usage = |error: ConfigError| Failure::Usage(UsageError::InvalidEngine(error));
        let paced = |reader: Reader| reader.interval(self.interval).timeout(self.timeout).backoff(self.backoff);
        let readers = readers.map_err(usage)?.into_iter().map(paced).collect();
        let recorder = recorder.map_err(usage)?.timeout(self.timeout).backoff(self.backoff);
        Ok(Config::single(readers, recorder, Settings::default()))
    }
}

#[cfg(test)]
mod tests;
