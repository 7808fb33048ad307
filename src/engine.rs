//! Engines: one for each reader, with the recorders that its routes give it. All of them run on one thread. This module
//! is their public face; [`runtime`] runs them, and [`routing`] decides which of them continue when the configuration
//! changes.

mod routing;
mod runtime;

use crate::config::{Config, Reader, Recorder, Routed, Settings};
use crate::descriptors;
use crate::event_loop;
use crate::metrics::Ledger;
use crate::systemd::Supervisor;
use crate::watchdog::Watchdog;
use runtime::Runtime;
use smol::LocalExecutor;
use smol::channel::{Receiver, Sender};
use std::fmt;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// One reader and its recorders, ready to start.
#[derive(Debug, Clone)]
pub struct Engine {
    routed: Routed,
    settings: Settings,
    polls_max: Option<u64>,
}

/// Looks at engines from outside while they run, also from another thread. See [`observer`].
#[derive(Debug, Clone)]
pub struct Observer(Sender<Order>);

/// Lets engines be observed: given to those that start. See [`observer`].
#[derive(Debug)]
pub struct Observed(Receiver<Order>);

/// Why an engine cannot be built or started.
#[derive(Debug)]
#[non_exhaustive]
pub enum EngineError {
    /// No route of the configuration gives the reader with this name a recorder, or there is no such reader. The most
    /// likely one.
    NoSuchReader(String),
    /// The list of recorders is empty, so the reader would have nothing to do.
    NoRecorder,
    /// The name of a recorder is empty, so counters and log lines could not name it.
    EmptyRecorderName,
    /// Two recorders have this same name, so counters and log lines could not distinguish them.
    DuplicateRecorderName(String),
    /// The system gives no random bytes, which document ids need. Very unlikely: it takes a sandbox without `getrandom`
    /// and `/dev/urandom`.
    RandomBytes(getrandom::Error),
    /// The system gives no pipe, which the event loop needs. Very unlikely: the process has no file descriptors left.
    EventLoop(io::Error),
}

/// What the engines of a run have done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Each recorder's name and what became of its documents.
    pub ledgers: Vec<(String, Ledger)>,
    /// Polls that were started.
    pub polls: u64,
    /// Polls that gave no document. If the number of polls is limited, this includes those that were under way at the
    /// stop.
    pub failed_polls: u64,
    /// Documents that were still waiting at the end: neither accepted nor refused by the server, nor on disk.
    pub given_up: u64,
}

impl Engine {
    /// The engine of one reader of a configuration, with the recorders that the routes give it.
    ///
    /// # Errors
    /// [`EngineError::NoSuchReader`].
    pub fn with_config(config: &Config, reader: &str) -> Result<Self, EngineError> {
        let routed = config.groups.iter().chain(&config.engines).find(|engine| engine.reader.name() == reader);
        let routed = routed.ok_or_else(|| EngineError::NoSuchReader(reader.to_owned()))?.clone();
        Ok(Self { routed, settings: config.settings().clone(), polls_max: None })
    }

    /// An engine of a reader and recorders that were made by hand.
    ///
    /// # Errors
    /// [`EngineError::NoRecorder`], [`EngineError::EmptyRecorderName`], [`EngineError::DuplicateRecorderName`].
    pub fn with_reader_recorders(reader: Reader, recorders: Vec<Recorder>) -> Result<Self, EngineError> {
        if recorders.is_empty() {
            return Err(EngineError::NoRecorder);
        }
        for (index, recorder) in recorders.iter().enumerate() {
            if recorder.name().is_empty() {
                return Err(EngineError::EmptyRecorderName);
            }
            if recorders[..index].iter().any(|other| other.name() == recorder.name()) {
                return Err(EngineError::DuplicateRecorderName(recorder.name().to_owned()));
            }
        }
        let recorders = recorders.into_iter().map(Arc::new).collect();
        let routed = Routed { reader: Arc::new(reader), recorders };
        Ok(Self { routed, settings: Settings::default(), polls_max: None })
    }

    /// Runs with these settings instead of the defaults, or of those of the configuration.
    #[must_use]
    pub fn settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// Ends the reader, and with it the engine, after this many polls. A single poll happens at once, without the
    /// reader's jitter.
    #[must_use]
    pub fn polls(self, polls: u64) -> Self {
        Self { polls_max: Some(polls), ..self }
    }

    /// Runs on this thread until the reader has ended, all recorders have gone, or `stop` completes. Then ships what
    /// waits.
    ///
    /// # Errors
    /// [`EngineError::RandomBytes`], [`EngineError::EventLoop`].
    pub fn start(self, stop: impl Future<Output = ()>) -> Result<Report, EngineError> {
        self.start_with_orders(stop, None)
    }

    /// The same, and can be observed.
    ///
    /// # Errors
    /// [`EngineError::RandomBytes`], [`EngineError::EventLoop`].
    #[expect(clippy::needless_pass_by_value, reason = "engines that have ended are not observed any more")]
    pub fn start_observed(self, observed: Observed, stop: impl Future<Output = ()>) -> Result<Report, EngineError> {
        self.start_with_orders(stop, Some(observed.0.clone()))
    }

    fn start_with_orders(
        self,
        stop: impl Future<Output = ()>,
        orders: Option<Receiver<Order>>,
    ) -> Result<Report, EngineError> {
        let runtime = Runtime::new(&self.settings, self.polls_max, None, None)?;
        let engines = [self.routed];
        // It may stand for targets, which are followed then.
        run(runtime, (&engines, &engines), &self.settings, unhurried(stop), orders.map(Remote::of_orders))
    }
}

/// An observer of engines that are about to start, and what these are given.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = expvastic::Config::load("conf.yml")?;
/// let (observer, observed) = expvastic::observer();
/// let engines = std::thread::spawn(move || expvastic::start_engines_observed(&config, observed, std::future::pending()));
/// if let Some(report) = smol::block_on(observer.report()) {
///     println!("{} polls so far", report.polls);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn observer() -> (Observer, Observed) {
    let (sender, receiver) = smol::channel::bounded(1);
    (Observer(sender), Observed(receiver))
}

impl Drop for Observed {
    /// Questions that nobody will answer any more end without an answer.
    fn drop(&mut self) {
        self.0.close();
        while let Ok(order) = self.0.try_recv() {
            drop(order);
        }
    }
}

impl Observer {
    /// What the engines have done so far: the ledgers are those of one instant, and balance. Waits until the engines have
    /// started. None if they have ended, or will never start. Costs them nothing unless it is called.
    pub async fn report(&self) -> Option<Report> {
        let (sender, receiver) = smol::channel::bounded(1);
        self.0.send(Order::Report(sender)).await.ok()?;
        receiver.recv().await.ok()
    }
}

/// Runs all engines of a configuration on this thread, which it blocks, until each has ended or `stop` completes. Then ships
/// what waits.
///
/// # Errors
/// [`EngineError::RandomBytes`], [`EngineError::EventLoop`].
pub fn start_engines(config: &Config, stop: impl Future<Output = ()>) -> Result<Report, EngineError> {
    let runtime = Runtime::new(config.settings(), None, None, None)?;
    run(runtime, (&config.engines, &config.groups), config.settings(), unhurried(stop), None)
}

/// The same, and can be observed.
///
/// # Errors
/// [`EngineError::RandomBytes`], [`EngineError::EventLoop`].
#[expect(clippy::needless_pass_by_value, reason = "engines that have ended are not observed any more")]
pub fn start_engines_observed(
    config: &Config,
    observed: Observed,
    stop: impl Future<Output = ()>,
) -> Result<Report, EngineError> {
    let runtime = Runtime::new(config.settings(), None, None, None)?;
    let remote = Remote::of_orders(observed.0.clone());
    run(runtime, (&config.engines, &config.groups), config.settings(), unhurried(stop), Some(remote))
}

/// The same, and obeys a remote control meanwhile. The future that `stop` returns ends the final shipping early. `watchdog`
/// ends the process if the final shipping hangs; `supervisor` is told what happens.
pub(crate) fn start_engines_with_orders(
    config: Config,
    stop: impl Future<Output = impl Future<Output = ()>>,
    remote: Remote,
    watchdog: Option<Watchdog>,
    supervisor: Option<Rc<Supervisor>>,
) -> Result<Report, EngineError> {
    let runtime = Rc::new(Runtime::new(config.settings(), None, watchdog, supervisor)?);
    let executor = LocalExecutor::new();
    runtime.apply(&config.engines, &config.groups, config.settings(), &executor);
    // Targets and other configurations may replace all of it.
    drop(config);
    run_applied(&runtime, executor, stop, Some(remote))
}

/// Polls every reader of a configuration once, at once. Then ships the documents.
///
/// # Errors
/// [`EngineError::RandomBytes`], [`EngineError::EventLoop`].
pub fn tick_once(config: &Config, stop: impl Future<Output = ()>) -> Result<Report, EngineError> {
    tick_once_with_hurry(config, unhurried(stop), None)
}

/// The same. The future that `stop` returns ends the final shipping early. `watchdog` ends the process if the final
/// shipping hangs.
pub(crate) fn tick_once_with_hurry(
    config: &Config,
    stop: impl Future<Output = impl Future<Output = ()>>,
    watchdog: Option<Watchdog>,
) -> Result<Report, EngineError> {
    let runtime = Runtime::new(config.settings(), Some(1), watchdog, None)?;
    run(runtime, (&config.engines, &config.groups), config.settings(), stop, None)
}

impl Report {
    /// Whether every poll gave a document, and every document was accepted.
    #[must_use]
    pub fn all_taken(&self) -> bool {
        self.failed_polls == 0 && self.ledgers.iter().all(|(_, ledger)| ledger.all_taken())
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchReader(name) => write!(f, "no route connects the reader {name:?} to a recorder"),
            Self::NoRecorder => f.write_str("an engine needs at least one recorder"),
            Self::EmptyRecorderName => f.write_str("the name of a recorder is empty"),
            Self::DuplicateRecorderName(name) => write!(f, "two recorders of one engine have the name {name:?}"),
            Self::RandomBytes(error) => write!(f, "cannot get random bytes from the system: {error}"),
            Self::EventLoop(error) => write!(f, "cannot start the event loop: {error}"),
        }
    }
}

impl std::error::Error for EngineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::EventLoop(error) => Some(error),
            _ => None,
        }
    }
}

/// An order to the running engines.
#[derive(Debug)]
pub(crate) enum Order {
    /// Ship what waits, now.
    Flush,
    /// Apply another configuration.
    Reload(Box<Config>),
    /// Say what was done so far.
    Report(Sender<Report>),
}

/// What whoever runs the engines controls them with.
pub(crate) struct Remote {
    pub(crate) orders: Receiver<Order>,
    /// Is told about ticks, at most once per [`crate::limits::WATCH_PERIOD`], if `settings.watch` says so.
    pub(crate) ticks: Option<Sender<()>>,
}

impl Remote {
    /// One that only gives orders.
    fn of_orders(orders: Receiver<Order>) -> Self {
        Self { orders, ticks: None }
    }
}

/// A stop after which shipping has all of `shutdown_timeout`.
async fn unhurried(stop: impl Future<Output = ()>) -> impl Future<Output = ()> {
    stop.await;
    std::future::pending()
}

fn run(
    runtime: Runtime,
    (engines, groups): (&[Routed], &[Routed]),
    settings: &Settings,
    stop: impl Future<Output = impl Future<Output = ()>>,
    remote: Option<Remote>,
) -> Result<Report, EngineError> {
    let runtime = Rc::new(runtime);
    let executor = LocalExecutor::new();
    runtime.apply(engines, groups, settings, &executor);
    run_applied(&runtime, executor, stop, remote)
}

/// Runs the engines of a configuration that has been applied.
fn run_applied<'s>(
    runtime: &Rc<Runtime>,
    executor: LocalExecutor<'s>,
    stop: impl Future<Output = impl Future<Output = ()> + 's> + 's,
    remote: Option<Remote>,
) -> Result<Report, EngineError> {
    // In a task of its own it is polled only when something wakes it, and not at every tick.
    let stop = executor.spawn(stop);
    if let Some(Remote { orders, ticks }) = remote {
        if let Some(ticks) = ticks {
            runtime.watch.report_to(ticks);
        }
        executor.spawn(Rc::clone(runtime).obey(orders)).detach();
    }
    runtime.start_supervision(&executor);
    event_loop::block_on(executor.run(runtime.run(&executor, stop))).map_err(EngineError::EventLoop)?;
    // Tasks that are still under way end here, before the client that they use.
    drop(executor);
    descriptors::spares::hold(0);
    Ok(runtime.report())
}
