//! Engines: one for each reader, with the recorders that its routes give it. All of them run on one thread.
//!
//! The loop in [`Runtime::tick`] is the only one that waits for the time of a tick, and the only one that starts polls.
//! Readers whose ticks fall together are polled together; their documents leave in one bulk, sealed when the last of
//! them is in, or when the oldest has waited for `bulk.age`.

use crate::calendar::Timestamp;
use crate::clock;
use crate::config::{Config, Reader, Recorder, Routed, Settings};
use crate::flatten::Report as PayloadReport;
use crate::http::Http;
use crate::metrics::{Ledger, Metrics, ProcessUsage, Snapshot};
use crate::park;
use crate::reader::{ReadError, Reading};
use crate::recorder::{Feed, Recording};
use crate::workbench::Workbench;
use smol::LocalExecutor;
use smol::channel::{Receiver, Sender};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One reader and its recorders, ready to start.
#[derive(Debug, Clone)]
pub struct Engine {
    routed: Routed,
    settings: Settings,
    polls_max: Option<u64>,
}

/// Why an engine cannot be built or started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineError {
    /// No route of the configuration gives this reader a recorder, or there is no such reader.
    NoSuchReader(String),
    /// A reader without a recorder has nothing to do.
    NoRecorder,
    /// A recorder's name is empty, so that no counter and no log line could name it.
    EmptyRecorderName,
    /// Two recorders of one engine have the same name.
    DuplicateRecorderName(String),
    /// The system refuses something that every engine needs.
    System(String),
}

/// How engines ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Each recorder's name and what became of its documents.
    pub ledgers: Vec<(String, Ledger)>,
    /// Polls that were begun.
    pub polls: u64,
    /// Polls that gave no document.
    pub failed_polls: u64,
}

impl Engine {
    /// The engine of one reader of a configuration, with the recorders that the routes give it.
    ///
    /// # Errors
    /// [`EngineError::NoSuchReader`].
    pub fn with_config(config: &Config, reader: &str) -> Result<Self, EngineError> {
        let routed = config.engines.iter().find(|engine| engine.reader.name() == reader);
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

    /// Ends the reader, and with it the engine, after so many polls.
    #[must_use]
    pub fn polls(self, polls: u64) -> Self {
        Self { polls_max: Some(polls), ..self }
    }

    /// Runs on this thread until the reader has ended, every recorder has gone, or `stop` completes; then ships what
    /// waits.
    ///
    /// # Errors
    /// [`EngineError::System`].
    pub fn start(self, stop: impl Future<Output = ()>) -> Result<Report, EngineError> {
        run(&[self.routed], &self.settings, self.polls_max, stop, None)
    }
}

/// Runs all engines of a configuration on this thread until each has ended or `stop` completes; then ships what waits.
///
/// # Errors
/// [`EngineError::System`].
pub fn start_engines(config: &Config, stop: impl Future<Output = ()>) -> Result<Report, EngineError> {
    run(&config.engines, config.settings(), None, stop, None)
}

/// The same, and ships what waits at once for each message of `flush`.
pub(crate) fn start_engines_with_flush(
    config: &Config,
    stop: impl Future<Output = ()>,
    flush: Receiver<()>,
) -> Result<Report, EngineError> {
    run(&config.engines, config.settings(), None, stop, Some(flush))
}

/// One tick of every reader of a configuration; then ships what they gave.
///
/// # Errors
/// [`EngineError::System`].
pub fn tick_once(config: &Config, stop: impl Future<Output = ()>) -> Result<Report, EngineError> {
    run(&config.engines, config.settings(), Some(1), stop, None)
}

impl Report {
    /// Whether every poll gave a document and every document was taken.
    #[must_use]
    pub fn all_taken(&self) -> bool {
        self.failed_polls == 0 && self.ledgers.iter().all(|(_, ledger)| ledger.all_taken())
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchReader(name) => write!(f, "no route gives a recorder to a reader {name:?}"),
            Self::NoRecorder => f.write_str("an engine needs at least one recorder"),
            Self::EmptyRecorderName => f.write_str("a recorder needs a name, found an empty one"),
            Self::DuplicateRecorderName(name) => write!(f, "two recorders of one engine are called {name:?}"),
            Self::System(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for EngineError {}

fn run(
    engines: &[Routed],
    settings: &Settings,
    polls_max: Option<u64>,
    stop: impl Future<Output = ()>,
    flush: Option<Receiver<()>>,
) -> Result<Report, EngineError> {
    let runtime = Rc::new(Runtime::new(engines, settings, polls_max)?);
    let executor = LocalExecutor::new();
    // A task of its own: what it waits for is looked at when that wakes it, and not at every tick.
    let stop = executor.spawn(stop);
    if let Some(flush) = flush {
        executor.spawn(Rc::clone(&runtime).flush_when_told(flush)).detach();
    }
    park::block_on(executor.run(runtime.run(&executor, stop)))
        .map_err(|error| EngineError::System(format!("the main thread cannot wait: {error}")))?;
    // Tasks that are still under way end here, before the client that they use.
    drop(executor);
    Ok(runtime.report())
}

/// Everything that the engines of one process share.
struct Runtime {
    http: Http,
    engines: Vec<EngineState>,
    recordings: Vec<Rc<Recording>>,
    metrics: Rc<Metrics>,
    bench: RefCell<Workbench>,
    started: Instant,
    shutdown_timeout: Duration,
    stopping: Cell<bool>,
    /// Whether the tick loop waits for the age of a bulk, too.
    bulk_waits: Cell<bool>,
    /// Wakes the tick loop before its time: a bulk waits for others of its instant, or no longer does, or an engine may
    /// have ended.
    changed: (Sender<()>, Receiver<()>),
}

struct EngineState {
    reading: Reading,
    /// Indices of its recorders.
    recordings: Vec<usize>,
}

/// The polls that began at one instant.
struct Instance {
    timestamp: Timestamp,
    under_way: Cell<usize>,
}

impl Runtime {
    fn new(engines: &[Routed], settings: &Settings, polls_max: Option<u64>) -> Result<Self, EngineError> {
        let mut recorders: Vec<Arc<Recorder>> = Vec::new();
        let mut states = Vec::new();
        let host_name = host_name();
        for engine in engines {
            let mut recordings = Vec::new();
            for recorder in &engine.recorders {
                let known = recorders.iter().position(|known| Arc::ptr_eq(known, recorder));
                recordings.push(known.unwrap_or(recorders.len()));
                if known.is_none() {
                    recorders.push(Arc::clone(recorder));
                }
            }
            let reading = Reading::new(Arc::clone(&engine.reader), settings.log_level, &host_name, polls_max);
            states.push(EngineState { reading, recordings });
        }
        let share = settings.memory_limit_bytes / recorders.len().max(1) as u64;
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        let record = |(index, recorder)| {
            let feeders = states.iter().zip(engines).filter(|(state, _)| state.recordings.contains(&index));
            let feed = Feed::of(feeders.map(|(_, engine)| &*engine.reader));
            Rc::new(Recording::new(recorder, settings.log_level, feed, share))
        };
        let recordings: Vec<Rc<Recording>> = recorders.into_iter().enumerate().map(record).collect();
        let mut process = [0_u8; 9];
        getrandom::fill(&mut process).map_err(|error| EngineError::System(format!("no random numbers: {error}")))?;
        Ok(Self {
            http: Http::new(
                states.len() + recordings.iter().map(|recording| recording.hosts()).sum::<usize>(),
                &|name| std::env::var(name).ok(),
            ),
            engines: states,
            recordings,
            metrics: Rc::default(),
            bench: RefCell::new(Workbench::new(process)),
            started: clock::now(),
            shutdown_timeout: settings.shutdown_timeout,
            stopping: Cell::new(false),
            bulk_waits: Cell::new(false),
            changed: smol::channel::bounded(1),
        })
    }

    async fn run(self: &Rc<Self>, executor: &LocalExecutor<'_>, stop: impl Future<Output = ()>) {
        let shipping: Vec<_> = self
            .recordings
            .iter()
            .map(|recording| executor.spawn(Rc::clone(recording).ship(self.http.clone(), Rc::clone(&self.metrics))))
            .collect();
        smol::future::or(stop, self.tick(executor)).await;
        self.stopping.set(true);
        for recording in &self.recordings {
            recording.drain();
        }
        let drained = async {
            for task in shipping {
                task.await;
            }
        };
        let deadline = park::sleep_until(clock::now() + self.shutdown_timeout);
        smol::future::or(drained, deadline).await;
        for recording in &self.recordings {
            recording.give_up();
        }
    }

    async fn flush_when_told(self: Rc<Self>, flush: Receiver<()>) {
        while flush.recv().await.is_ok() {
            for recording in &self.recordings {
                recording.flush();
            }
        }
    }

    /// Polls at each tick until no engine has anything left to do.
    async fn tick(self: &Rc<Self>, executor: &LocalExecutor<'_>) {
        while !self.has_ended() {
            self.poll_due(executor);
            self.seal_aged();
            let changed = async { _ = self.changed.1.recv().await };
            match self.next_wake() {
                Some(at) => smol::future::or(park::sleep_until(at), changed).await,
                None => changed.await,
            }
        }
    }

    /// Every reader has ended and no poll is under way, or every recorder has gone.
    fn has_ended(&self) -> bool {
        let ended = |engine: &EngineState| {
            let reading = &engine.reading;
            let done = reading.schedule.borrow().due().is_none() && !reading.is_under_way();
            done || engine.recordings.iter().all(|&index| self.recordings[index].is_gone())
        };
        self.engines.iter().all(ended)
    }

    fn next_wake(&self) -> Option<Instant> {
        let due = self.engines.iter().filter_map(|engine| engine.reading.schedule.borrow().due());
        let ticks = due.filter_map(|due| self.started.checked_add(due));
        ticks.chain(self.recordings.iter().filter_map(|recording| recording.seal_by())).min()
    }

    /// Starts the polls whose tick is due: one instance.
    fn poll_due(self: &Rc<Self>, executor: &LocalExecutor<'_>) {
        let elapsed = clock::now().duration_since(self.started);
        let due = |engine: &EngineState| engine.reading.begin_tick(elapsed);
        let due: Vec<usize> = (0..self.engines.len()).filter(|&index| due(&self.engines[index])).collect();
        if due.is_empty() {
            return;
        }
        let instance = Rc::new(Instance { timestamp: clock::timestamp(), under_way: Cell::new(due.len()) });
        self.metrics.reads_under_way.add(due.len() as u64);
        for index in due {
            if self.engines[index].reading.is_own() {
                self.read_own(index, &instance);
            } else {
                executor.spawn(Rc::clone(self).read(index, Rc::clone(&instance))).detach();
            }
        }
    }

    async fn read(self: Rc<Self>, index: usize, instance: Rc<Instance>) {
        let mut body = Vec::new();
        let supply = || self.bench.borrow_mut().take_body();
        let polled = self.engines[index].reading.poll(&self.http, &supply, &mut body).await;
        if self.stopping.get() {
            return;
        }
        self.finish(index, polled.map_err(ReadError::Http), body, &instance);
    }

    fn read_own(&self, index: usize, instance: &Instance) {
        let mut body = self.bench.borrow_mut().take_body();
        let snapshot = Snapshot {
            metrics: &self.metrics,
            usage: ProcessUsage::now(clock::now().duration_since(self.started)),
            readers: self.engines.iter().map(|engine| (engine.reading.name(), &engine.reading.counts)).collect(),
            recorders: self.recordings.iter().map(|recording| (recording.name(), recording.ledger())).collect(),
        };
        snapshot.render(&mut body);
        self.finish(index, Ok(()), body, instance);
    }

    /// Makes a document of the body, hands it to the recorders, and seals the bulks if it was the last of its instant.
    fn finish(&self, index: usize, polled: Result<(), ReadError>, mut body: Vec<u8>, instance: &Instance) {
        let engine = &self.engines[index];
        let made = polled.and_then(|()| self.make_document(engine, &mut body, instance.timestamp));
        match made {
            Ok(report) => {
                engine.reading.succeeded(&report, &body);
                self.metrics.count_payload(&report);
            }
            Err(error) => {
                if matches!(error, ReadError::Payload(_)) {
                    self.metrics.payloads_refused.add(1);
                }
                self.metrics.error_jobs.add(1);
                engine.reading.failed(&error, clock::now().duration_since(self.started));
            }
        }
        self.bench.borrow_mut().take_back(body);
        self.metrics.reads_under_way.subtract(1);
        instance.under_way.set(instance.under_way.get() - 1);
        let last = instance.under_way.get() == 0;
        if last {
            for recording in &self.recordings {
                recording.seal();
            }
        }
        let waiting = self.recordings.iter().any(|recording| recording.seal_by().is_some());
        if self.bulk_waits.replace(waiting) != waiting || engine.reading.schedule.borrow().due().is_none() {
            // Full means that the loop is awake already.
            let _ = self.changed.0.try_send(());
        }
    }

    fn make_document(
        &self,
        engine: &EngineState,
        body: &mut Vec<u8>,
        timestamp: Timestamp,
    ) -> Result<PayloadReport, ReadError> {
        let mut bench = self.bench.borrow_mut();
        let variables = &mut engine.reading.variables.borrow_mut();
        let made = bench.document(variables, engine.reading.own_members(), timestamp, body);
        let (key, document, report) = made.map_err(ReadError::Payload)?;
        let now = clock::now();
        for &index in &engine.recordings {
            self.recordings[index].add(key, document, now);
        }
        Ok(report)
    }

    fn seal_aged(&self) {
        let now = clock::now();
        for recording in &self.recordings {
            if recording.seal_by().is_some_and(|at| at <= now) {
                recording.seal();
            }
        }
        self.bulk_waits.set(self.recordings.iter().any(|recording| recording.seal_by().is_some()));
    }

    fn report(&self) -> Report {
        let counts = || self.engines.iter().map(|engine| &engine.reading.counts);
        Report {
            ledgers: self
                .recordings
                .iter()
                .map(|recording| (recording.name().to_owned(), recording.ledger()))
                .collect(),
            polls: counts().map(|counts| counts.polls.get()).sum(),
            failed_polls: counts().map(|counts| counts.failures.get()).sum(),
        }
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
