//! The command line: arguments and their environment variables, subcommands, and exit codes.

mod arguments;
mod dashboards;
mod dead_letters;
mod flags;
mod health;
mod help;
mod loading;
mod man;
mod orders;
mod output;
mod sample;
mod shells;
mod spool;
mod table;
mod test;
mod usage;
mod watch;

use crate::config::{Config, ConfigError, LogLevel, Reader, Recorder, Settings, nearest, values};
use crate::descriptors;
use crate::engine::{self, EngineError, Order, Remote, Report};
use crate::event_loop;
use crate::http::{self, Http};
use crate::log::Log;
use crate::memory;
use crate::recorder::setup;
use crate::signals::Signals;
use crate::systemd::Supervisor;
use crate::watchdog::Watchdog;
use arguments::normalise;
use flags::Flags;
use loading::show_warnings;
use orders::Control;
use output::print;
use shells::Shell;
use smol::channel::{Receiver, Sender};
use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use usage::UsageError;
use watch::Watched;

/// Exit codes: done; wrong usage; bad configuration (both as in `sysexits.h`); anything else.
const DONE: u8 = 0;
const FAILED: u8 = 1;
const USAGE: u8 = 64;
const CONFIG: u8 = 78;

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
    flags: Flags,
    source: Source,
    log_level: Option<LogLevel>,
    /// With `dead-letters` and `dashboards`: the name of the only recorder to use.
    recorder: Option<String>,
    /// Where the status pages are served, whatever the configuration says.
    listen: Option<SocketAddr>,
    /// With `health`: what to ask.
    url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Run,
    Check,
    Once,
    Setup,
    Test,
    Spool(spool::Action),
    DeadLetters(dead_letters::Action),
    Dashboards,
    Health,
    /// Of one command, or of all.
    Help(Option<&'static str>),
    Version,
    Sample,
    Completions(Shell),
    Man,
}

/// Where the configuration comes from.
#[derive(Debug, PartialEq)]
enum Source {
    /// Files and folders.
    Files(Vec<PathBuf>),
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
        let name = subcommand(&mut arguments)?;
        let mut flags = Flags::take(&mut arguments)?;
        if flags.has("--help") {
            return Ok(Self::without_configuration(Command::Help(name), flags));
        }
        if flags.has("--version") {
            return Ok(Self::without_configuration(Command::Version, flags));
        }
        let command = Command::named(name, &mut arguments)?;
        let url = if command == Command::Health { arguments.subcommand().map_err(unparsed)? } else { None };
        let url = url.map(|url| health::page_at(&url)).transpose()?;
        if let Some(rest) = arguments.finish().first() {
            return Err(Failure::Usage(UsageError::UnexpectedArgument(rest.to_string_lossy().into_owned())));
        }
        if !command.needs_configuration() {
            return Ok(Self::without_configuration(command, flags));
        }
        let takes_name = matches!(command, Command::DeadLetters(_) | Command::Dashboards);
        let recorder = if takes_name { flags.take_recorder() } else { None };
        flags.check_visible()?;
        flags.complete(name.unwrap_or_default(), environment)?;
        let listen = flags.value("--listen", environment, values::listen_address)?;
        let source = match flags.source(environment) {
            _ if command == Command::Health && (url.is_some() || listen.is_some()) => Source::None,
            Err(Failure::Usage(UsageError::NothingToDo)) if command == Command::Health => {
                return Err(Failure::Usage(UsageError::NothingToAsk));
            }
            source => source?,
        };
        let log_level = flags.value("--loglevel", environment, values::log_level)?;
        Ok(Self { command, flags, source, log_level, recorder, listen, url })
    }

    fn without_configuration(command: Command, flags: Flags) -> Self {
        Self { command, flags, source: Source::None, log_level: None, recorder: None, listen: None, url: None }
    }

    /// Whether the command is only to show what it would do.
    fn only_shows(&self) -> bool {
        self.flags.has("--dry-run") || self.flags.has("--print")
    }

    fn execute(self) -> Result<u8, Failure> {
        match self.command {
            Command::Help(command) => Ok(print(&help::help(command))),
            Command::Version => Ok(print(concat!("expvastic ", env!("CARGO_PKG_VERSION"), "\n"))),
            Command::Sample => Ok(output::write(|stdout| sample::print(stdout))),
            Command::Completions(shell) => Ok(print(&shell.completions())),
            Command::Man => Ok(print(&man::page())),
            Command::Check if self.flags.has("--resolved") => self.show_resolved(),
            Command::Check => Ok(print(&self.load_and_warn()?.routes())),
            Command::Test => {
                let config = self.load_and_warn()?;
                let tested = test::run(&config, self.paths(), self.flags.has("--json"));
                tested.map_err(|error| Failure::Engine(EngineError::EventLoop(error)))
            }
            Command::Setup => {
                let config = self.load()?;
                show_warnings(&config);
                self.set_up(&config)
            }
            Command::Spool(action) => {
                let is_summary = self.flags.has("--summary");
                if is_summary && action != spool::Action::Ls {
                    return Err(Failure::Usage(UsageError::OtherCommand { flag: "--summary", commands: "spool ls" }));
                }
                let config = self.load()?;
                Ok(output::write(|stdout| action.run(&config, is_summary, stdout, &mut std::io::stderr())))
            }
            Command::DeadLetters(action) => self.dead_letters(action),
            Command::Dashboards => {
                let config = self.load()?;
                show_warnings(&config);
                dashboards::run(&config, self.recorder.as_deref(), &self.flags)
            }
            Command::Health => Ok(self.health()),
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
        if self.only_shows() {
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
            if self.only_shows() {
                log_printed(&report);
            } else {
                log_ledgers(&report);
            }
            return Ok(if report.all_taken() { DONE } else { FAILED });
        }
        let load = || self.load_again();
        let watched = RefCell::new(Watched::new(self.paths(), &config));
        let supervisor = Supervisor::of(&|name| std::env::var(name).ok()).map(Rc::new);
        run(config, watchdog, supervisor.clone(), |orders, ticks| {
            let supervisor = supervisor.as_deref();
            let control = Control { orders, ticks, log: &log, supervisor, load: &load, watched: &watched };
            orders::until_stopped(signals, Some(control))
        })
    }

    fn set_up(&self, config: &Config) -> Result<u8, Failure> {
        if self.only_shows() {
            return Ok(print(&setup::shown(config)));
        }
        let http =
            Http::new(config.recorders.iter().map(|recorder| recorder.hosts()).sum(), &|name| std::env::var(name).ok());
        let (text, is_good) = event_loop::block_on(setup::apply(config, &http))
            .map_err(|error| Failure::Engine(EngineError::EventLoop(error)))?;
        Ok(if is_good { print(&text) } else { print(&text).max(FAILED) })
    }
}

impl Command {
    /// The command with this name, and its action if it has several.
    fn named(name: Option<&'static str>, arguments: &mut pico_args::Arguments) -> Result<Self, Failure> {
        Ok(match name.unwrap_or_default() {
            "check" => Self::Check,
            "once" => Self::Once,
            "setup" => Self::Setup,
            "test" => Self::Test,
            "spool" => Self::Spool(spool::Action::named(&action_name(arguments)?)?),
            "dead-letters" => Self::DeadLetters(dead_letters::Action::named(&action_name(arguments)?)?),
            "dashboards" => Self::Dashboards,
            "health" => Self::Health,
            "help" => Self::Help(subcommand(arguments)?),
            "version" => Self::Version,
            "sample" => Self::Sample,
            "completions" => Self::Completions(Shell::named(&action_name(arguments)?)?),
            "man" => Self::Man,
            _ => Self::Run,
        })
    }

    fn needs_configuration(self) -> bool {
        !matches!(self, Self::Help(_) | Self::Version | Self::Sample | Self::Completions(_) | Self::Man)
    }
}

/// Runs until the future that `stop` gives completes, which also passes on orders. Then ships what waits until the next
/// future completes.
fn run<S>(
    config: Config,
    watchdog: Option<Watchdog>,
    supervisor: Option<Rc<Supervisor>>,
    stop: impl FnOnce(Sender<Order>, Receiver<()>) -> S,
) -> Result<u8, Failure>
where
    S: Future<Output: Future<Output = ()>>,
{
    let memory_bytes_max = memory::bytes_max(&config, http::has_proxies(&|name| std::env::var(name).ok()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), memory_bytes_max, "starting");
    for route in config.routes().lines() {
        tracing::info!(route, "{route}");
    }
    let (sender, orders) = smol::channel::bounded(1);
    let (tick_sender, ticks) = smol::channel::bounded(1);
    let control = Remote { orders, ticks: Some(tick_sender) };
    let report = engine::start_engines_with_orders(config, stop(sender, ticks), control, watchdog, supervisor)
        .map_err(Failure::Engine)?;
    log_ledgers(&report);
    // Documents that were dropped or refused before the end do not count: they are in the ledger.
    Ok(if report.given_up > 0 { FAILED } else { DONE })
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

/// The name of a command, if one comes next.
fn subcommand(arguments: &mut pico_args::Arguments) -> Result<Option<&'static str>, Failure> {
    let Some(name) = arguments.subcommand().map_err(unparsed)? else { return Ok(None) };
    if let Some(known) = table::commands().find(|known| *known == name) {
        return Ok(Some(known));
    }
    let meant = nearest(&name, table::commands());
    Err(Failure::Usage(UsageError::UnknownCommand { command: name, meant }))
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
