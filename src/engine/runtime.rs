//! The running engines.
//!
//! The loop in [`Runtime::tick`] is the only one that waits for the time of a tick, and the only one that starts polls.
//! Readers whose ticks fall together are polled together. Their documents leave in one bulk, which is sealed when the
//! last of them has arrived, or when the oldest has waited for `bulk.age`.
//!
//! To start is to apply a first configuration. Invariant: what [`Runtime::apply`] replaces is never borrowed across an
//! await.

mod apply;
mod end;
mod pages;
mod polls;
mod probes;
mod supervised;
mod targets;
mod watch;

use super::{EngineError, Order, Report};
use crate::calendar::Timestamp;
use crate::clock;
use crate::config::{Config, Settings};
use crate::document_buffers::DocumentBuffers;
use crate::event_loop;
use crate::flatten::{FlattenError, Report as PayloadReport};
use crate::http::{Content, Http, Needs};
use crate::log::ComponentLevel;
use crate::metrics::{Ledger, Metrics};
use crate::reader::{ReadError, Reading, Warned};
use crate::recorder::Recording;
use crate::systemd::Supervisor;
use crate::watchdog::Watchdog;
use pages::{Listen, shown};
use polls::DuePolls;
use smol::channel::{Receiver, Sender};
use smol::{LocalExecutor, Task};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};
use targets::Following;
use watch::Watch;

/// Everything that the engines of one process share.
pub(super) struct Runtime {
    http: Http,
    engines: RefCell<Vec<Rc<Engine>>>,
    recorders: RefCell<Vec<Shipping>>,
    /// Recorders that no engine feeds any more. They ship what they have, and end.
    retiring: RefCell<Vec<Retiring>>,
    metrics: Rc<Metrics>,
    /// The status pages, and the task that serves them.
    pages: RefCell<Option<(Listen, Task<()>)>>,
    /// Whether the last documents of some readers are kept, because somebody looks at them.
    is_watched: Cell<bool>,
    buffers: RefCell<DocumentBuffers>,
    started: Instant,
    /// The same instant, for collectors.
    started_at: Timestamp,
    log_level: ComponentLevel,
    shutdown_timeout: Cell<Duration>,
    polls_max: Option<u64>,
    /// Ends the process if it hangs while it ends.
    watchdog: Option<Watchdog>,
    /// Is told what the process does.
    supervisor: Option<Rc<Supervisor>>,
    stopping: Cell<bool>,
    given_up: Cell<u64>,
    /// When the next bulk has to be sealed because of its age. The tick loop sleeps no longer than that.
    seal_by: Cell<Option<Instant>>,
    /// Wakes the tick loop early: `seal_by` has changed, an engine may have ended, or another configuration has
    /// arrived.
    wake_sender: Sender<()>,
    wake_receiver: Receiver<()>,
    /// Tells somebody about ticks, who looks for changes of the configuration.
    pub(super) watch: Watch,
    /// A configuration that the tick loop is to apply.
    ordered: Cell<Option<Box<Config>>>,
    /// The polls that are due and have not begun.
    due_polls: DuePolls,
    /// The readers whose targets may change.
    following: RefCell<Following>,
    /// What exchanges need besides connections.
    needs: Cell<Needs>,
    /// What readers have warned of.
    warned: Warned,
}

/// A reader at work and the recorders that it feeds.
struct Engine {
    reading: Reading,
    recordings: RefCell<Vec<Rc<Recording>>>,
    /// Whether the configuration no longer has it. A poll that is still under way then gives no document.
    is_retired: Cell<bool>,
}

/// A recorder and the task that ships its documents.
struct Shipping {
    recording: Rc<Recording>,
    task: Task<()>,
}

/// A recorder that is about to end. Only its task owns it, so its memory and its spool folder are released as soon as
/// the task has ended.
struct Retiring {
    recording: Weak<Recording>,
    task: Task<()>,
}

/// The polls that began at one instant.
struct PollGroup {
    timestamp: Timestamp,
    /// The same instant as the time since the start, by the monotonic clock.
    elapsed: Duration,
    /// How many of the polls have not ended.
    under_way: Cell<usize>,
}

impl Runtime {
    pub(super) fn new(
        settings: &Settings,
        polls_max: Option<u64>,
        watchdog: Option<Watchdog>,
        supervisor: Option<Rc<Supervisor>>,
    ) -> Result<Self, EngineError> {
        let mut process_id = [0_u8; 9];
        getrandom::fill(&mut process_id).map_err(EngineError::RandomBytes)?;
        let (wake_sender, wake_receiver) = smol::channel::bounded(1);
        Ok(Self {
            http: Http::new(0, &|name| std::env::var(name).ok()),
            engines: RefCell::default(),
            recorders: RefCell::default(),
            retiring: RefCell::default(),
            metrics: Rc::default(),
            pages: RefCell::default(),
            is_watched: Cell::default(),
            buffers: RefCell::new(DocumentBuffers::new(process_id)),
            started: clock::now(),
            started_at: clock::timestamp(),
            log_level: ComponentLevel::of_settings(settings.log_level),
            shutdown_timeout: Cell::new(settings.shutdown_timeout),
            polls_max,
            watchdog,
            supervisor,
            stopping: Cell::new(false),
            given_up: Cell::new(0),
            seal_by: Cell::default(),
            wake_sender,
            wake_receiver,
            watch: Watch::new(settings.watch),
            ordered: Cell::default(),
            due_polls: DuePolls::default(),
            following: RefCell::default(),
            needs: Cell::default(),
            warned: Warned::default(),
        })
    }

    /// Polls and ships until `stop` completes, or there is nothing left to poll. Then ships what waits until
    /// `shutdown_timeout` is over, or until the future that `stop` returned completes.
    pub(super) async fn run<H: Future<Output = ()>>(self: &Rc<Self>, executor: &LocalExecutor<'_>, mut stop: Task<H>) {
        let ended = async {
            self.tick(executor).await;
            None
        };
        let hurry = smol::future::or(async { Some((&mut stop).await) }, ended).await;
        self.end(hurry, stop).await;
    }

    /// Carries out orders as long as any may come.
    pub(super) async fn obey(self: Rc<Self>, orders: Receiver<Order>) {
        while let Ok(order) = orders.recv().await {
            match order {
                Order::Flush => {
                    for Shipping { recording, .. } in &*self.recorders.borrow() {
                        recording.flush();
                    }
                }
                Order::Reload(config) => {
                    self.ordered.set(Some(config));
                    self.wake_up();
                }
                // Whoever has asked may have gone.
                Order::Report(to) => drop(to.try_send(self.report())),
            }
        }
    }

    /// Polls at each tick until no engine has anything left to do.
    async fn tick(self: &Rc<Self>, executor: &LocalExecutor<'_>) {
        loop {
            if let Some(config) = self.ordered.take() {
                self.reload(&config, executor);
            }
            self.follow_targets(executor);
            if self.has_ended() {
                return;
            }
            self.poll_due();
            self.begin_polls(executor);
            self.seal_aged();
            let woken = async { _ = self.wake_receiver.recv().await };
            match self.next_wake() {
                Some(at) => smol::future::or(event_loop::sleep_until(at), woken).await,
                None => woken.await,
            }
        }
    }

    /// Whether nothing is left to do: for each engine, its reader has ended and no poll is under way, or all its
    /// recorders have gone. A name that is being looked up may become more engines.
    fn has_ended(&self) -> bool {
        !self.is_resolving() && self.engines.borrow().iter().all(|engine| engine.has_ended())
    }

    /// When the next tick is due, a bulk has to be sealed, or more polls may begin.
    fn next_wake(&self) -> Option<Instant> {
        let engines = self.engines.borrow();
        let due = engines.iter().filter_map(|engine| engine.reading.schedule.borrow().due());
        let ticks = due.filter_map(|due| self.started.checked_add(due));
        ticks.chain(self.seal_by.get()).chain(self.due_polls.next()).min()
    }

    /// Turns the body into a document, passes it to the recorders, and seals the bulks if this was the last poll of its
    /// group.
    fn finish(&self, engine: &Engine, polled: Result<Content, ReadError>, mut body: Vec<u8>, group: &PollGroup) {
        if !engine.is_retired.get() {
            self.record(engine, polled, &mut body, group);
        }
        self.buffers.borrow_mut().recycle(body);
        self.metrics.reads_under_way.subtract(1);
        group.under_way.set(group.under_way.get() - 1);
        if group.under_way.get() == 0 {
            for Shipping { recording, .. } in &*self.recorders.borrow() {
                recording.seal();
            }
        }
        let seal_by = self.next_seal();
        if self.seal_by.replace(seal_by) != seal_by || engine.reading.schedule.borrow().due().is_none() {
            self.wake_up();
        }
    }

    /// Turns the body into a document, and counts and logs the outcome.
    fn record(&self, engine: &Engine, polled: Result<Content, ReadError>, body: &mut Vec<u8>, group: &PollGroup) {
        let made = polled.and_then(|content| {
            let made = self.make_document(engine, body, group);
            made.map_err(|error| engine.reading.refused(error, &content, body))
        });
        let ended = self.elapsed();
        let took = ended.saturating_sub(group.elapsed);
        let sizes = made.as_ref().ok().map(|(_, document_bytes)| (body.len(), *document_bytes));
        engine.reading.watch.polled(ended, took, sizes);
        match made {
            Ok((report, _)) => {
                engine.reading.succeeded(&report, body, &self.warned);
                engine.reading.took(took);
                self.metrics.count_payload(&report);
            }
            Err(error) => {
                if !matches!(error, ReadError::Http(_)) {
                    self.metrics.payloads_refused.add(1);
                }
                self.metrics.reads_failed.add(1);
                self.metrics.error_jobs.add(1);
                engine.reading.failed(&error, ended);
            }
        }
    }

    /// Turns the body into a document and passes it to the recorders. Also gives the length of the document.
    fn make_document(
        &self,
        engine: &Engine,
        body: &mut Vec<u8>,
        group: &PollGroup,
    ) -> Result<(PayloadReport, usize), FlattenError> {
        let mut buffers = self.buffers.borrow_mut();
        let variables = &mut engine.reading.variables.borrow_mut();
        let own_members = engine.reading.own_members();
        let made = buffers.document(variables, &own_members, group.timestamp, group.elapsed, body);
        let (key, document, report) = made?;
        let now = clock::now();
        for recording in &*engine.recordings.borrow() {
            recording.add(key, document, now);
        }
        let document_bytes = document.len();
        if engine.reading.watch.is_on(group.elapsed) {
            let document = shown(document);
            engine.reading.keep(document, &report, group.elapsed, &mut buffers, body);
        }
        Ok((report, document_bytes))
    }

    /// Seals the bulks whose age has come.
    fn seal_aged(&self) {
        let now = clock::now();
        for Shipping { recording, .. } in &*self.recorders.borrow() {
            if recording.seal_by().is_some_and(|at| at <= now) {
                recording.seal();
            }
        }
        self.seal_by.set(self.next_seal());
    }

    /// When the next bulk has to be sealed because of its age. Recorders may have different ages.
    fn next_seal(&self) -> Option<Instant> {
        self.recorders.borrow().iter().filter_map(|one| one.recording.seal_by()).min()
    }

    fn ledgers(&self) -> Vec<(String, Ledger)> {
        let recorders = self.recorders.borrow();
        recorders.iter().map(|one| (one.recording.name().to_owned(), one.recording.ledger())).collect()
    }

    pub(super) fn report(&self) -> Report {
        Report {
            ledgers: self.ledgers(),
            polls: self.metrics.reads.get(),
            failed_polls: self.metrics.reads_failed.get() + self.abandoned_polls(),
            given_up: self.given_up.get(),
        }
    }

    fn elapsed(&self) -> Duration {
        clock::now().duration_since(self.started)
    }

    fn wake_up(&self) {
        // If the channel is full, the loop has been woken already.
        let _ = self.wake_sender.try_send(());
    }
}

impl Retiring {
    /// None if it has ended; its results have then been logged.
    fn unfinished(self) -> Option<Shipping> {
        let recording = self.recording.upgrade().filter(|_| !self.task.is_finished())?;
        Some(Shipping { recording, task: self.task })
    }
}

impl From<Shipping> for Retiring {
    fn from(Shipping { recording, task }: Shipping) -> Self {
        Self { recording: Rc::downgrade(&recording), task }
    }
}

impl Engine {
    fn has_ended(&self) -> bool {
        let done = self.reading.schedule.borrow().due().is_none() && !self.reading.is_under_way();
        done || self.recordings.borrow().iter().all(|recording| recording.is_gone())
    }
}
