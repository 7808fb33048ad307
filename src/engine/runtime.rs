//! The engines at work.
//!
//! The loop in [`Runtime::tick`] is the only one that waits for the time of a tick, and the only one that starts polls.
//! Readers whose ticks fall together are polled together; their documents leave in one bulk, sealed when the last of
//! them is in, or when the oldest has waited for `bulk.age`.
//!
//! Starting is following a first configuration. Invariant: what [`Runtime::follow`] replaces is borrowed within one turn,
//! never across an await.

use super::routing::{self, Changes, Origin, Plan, Predecessor};
use super::{EngineError, Order, Report};
use crate::calendar::Timestamp;
use crate::clock;
use crate::config::{Config, Reader, Routed, Settings, Target};
use crate::flatten::{FlattenError, Report as PayloadReport};
use crate::http::{Content, Http};
use crate::log::PartLevel;
use crate::metrics::{Metrics, ProcessUsage, Snapshot};
use crate::pages::{self, Page};
use crate::park;
use crate::reader::{ReadError, Reading};
use crate::recorder::Recording;
use crate::workbench::Workbench;
use smol::channel::{Receiver, Sender};
use smol::{LocalExecutor, Task};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Everything that the engines of one process share.
pub(super) struct Runtime {
    http: Http,
    engines: RefCell<Vec<Rc<Engine>>>,
    recorders: RefCell<Vec<Shipping>>,
    /// Recorders that no engine feeds any more: they ship what they have, and end.
    retiring: RefCell<Vec<Retiring>>,
    metrics: Rc<Metrics>,
    /// Where the own pages are served, and by whom.
    pages: RefCell<Option<(SocketAddr, Task<()>)>>,
    bench: RefCell<Workbench>,
    started: Instant,
    log_level: PartLevel,
    shutdown_timeout: Cell<Duration>,
    polls_max: Option<u64>,
    stopping: Cell<bool>,
    /// When a bulk is the first to have waited for long enough, as far as the tick loop knows.
    seal_by: Cell<Option<Instant>>,
    /// Wakes the tick loop before its time: another bulk than before is the first that is to be sealed, or none is, or an
    /// engine may have ended, or another configuration is to be followed.
    changed: (Sender<()>, Receiver<()>),
    ordered: Cell<Option<Box<Config>>>,
}

/// A reader at work and the recorders that it feeds.
struct Engine {
    reading: Reading,
    recordings: RefCell<Vec<Rc<Recording>>>,
    /// A poll that is still under way then gives no document.
    is_retired: Cell<bool>,
}

/// A recorder and the task that ships.
struct Shipping {
    recording: Rc<Recording>,
    task: Task<()>,
}

/// A recorder that is about to end; its task alone holds it, so that its memory and its folder are free as soon as it has.
struct Retiring {
    recording: Weak<Recording>,
    task: Task<()>,
}

/// The polls that began at one instant.
struct Instance {
    timestamp: Timestamp,
    /// The same since the start, by the clock that nobody sets.
    elapsed: Duration,
    under_way: Cell<usize>,
}

impl Runtime {
    pub(super) fn new(settings: &Settings, polls_max: Option<u64>) -> Result<Self, EngineError> {
        let mut process = [0_u8; 9];
        getrandom::fill(&mut process).map_err(|error| EngineError::System(format!("no random numbers: {error}")))?;
        Ok(Self {
            http: Http::new(0, &|name| std::env::var(name).ok()),
            engines: RefCell::default(),
            recorders: RefCell::default(),
            retiring: RefCell::default(),
            metrics: Rc::default(),
            pages: RefCell::default(),
            bench: RefCell::new(Workbench::new(process)),
            started: clock::now(),
            log_level: PartLevel::of_settings(settings.log_level),
            shutdown_timeout: Cell::new(settings.shutdown_timeout),
            polls_max,
            stopping: Cell::new(false),
            seal_by: Cell::default(),
            changed: smol::channel::bounded(1),
            ordered: Cell::default(),
        })
    }

    /// Polls and ships until `stop` completes, or there is nothing left to poll; then ships what waits until the time for
    /// that is over, or what `stop` has given completes.
    pub(super) async fn run<H: Future<Output = ()>>(self: &Rc<Self>, executor: &LocalExecutor<'_>, mut stop: Task<H>) {
        let ended = async {
            self.tick(executor).await;
            None
        };
        let hurry = smol::future::or(async { Some((&mut stop).await) }, ended).await;
        self.stopping.set(true);
        self.say_what_is_abandoned();
        for Shipping { recording, .. } in &*self.recorders.borrow() {
            recording.drain();
        }
        let hurried = async {
            match hurry {
                Some(hurry) => hurry.await,
                None => stop.await.await,
            }
        };
        let limit = self.shutdown_timeout.get();
        let ends_at = clock::now() + limit;
        let deadline = async {
            park::sleep_until(ends_at).await;
            tracing::warn!("shutdown_timeout ({limit:?}) is over: what no server has answered for by now is given up");
        };
        smol::future::or(self.drained(), smol::future::or(deadline, hurried)).await;
        // Of those that have retired in time all has been said.
        let unfinished = self.retiring.take().into_iter().filter_map(Retiring::unfinished);
        self.recorders.borrow_mut().extend(unfinished);
        for Shipping { recording, .. } in &*self.recorders.borrow() {
            recording.give_up();
        }
    }

    /// Completes when every recorder has ended. They stay where they are: pages show them until the end.
    async fn drained(&self) {
        std::future::poll_fn(|context| {
            let (mut shipping, mut retiring) = (self.recorders.borrow_mut(), self.retiring.borrow_mut());
            let shipping = shipping.iter_mut().map(|one| &mut one.task);
            let tasks = shipping.chain(retiring.iter_mut().map(|one| &mut one.task));
            let mut all = Poll::Ready(());
            for task in tasks.filter(|task| !task.is_finished()) {
                if Pin::new(task).poll(context).is_pending() {
                    all = Poll::Pending;
                }
            }
            all
        })
        .await;
    }

    /// A poll that is not waited for gives no document: who asked for a number of polls has to know.
    fn say_what_is_abandoned(&self) {
        let polls = self.abandoned_polls();
        if polls > 0 {
            tracing::warn!(polls, "stopped before all endpoints had answered: they give no document");
        }
    }

    /// Polls of a process that ends by itself that it was stopped before the end of.
    fn abandoned_polls(&self) -> u64 {
        if self.polls_max.is_some() { self.metrics.reads_under_way.get() } else { 0 }
    }

    pub(super) async fn obey(self: Rc<Self>, orders: Receiver<Order>) {
        while let Ok(order) = orders.recv().await {
            match order {
                Order::Flush => {
                    for Shipping { recording, .. } in &*self.recorders.borrow() {
                        recording.flush();
                    }
                }
                Order::Follow(config) => {
                    self.ordered.set(Some(config));
                    self.wake_up();
                }
            }
        }
    }

    /// Polls at each tick until no engine has anything left to do.
    async fn tick(self: &Rc<Self>, executor: &LocalExecutor<'_>) {
        loop {
            if let Some(config) = self.ordered.take() {
                self.follow_again(&config, executor);
            }
            if self.has_ended() {
                return;
            }
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
        self.engines.borrow().iter().all(|engine| engine.has_ended())
    }

    fn next_wake(&self) -> Option<Instant> {
        let engines = self.engines.borrow();
        let due = engines.iter().filter_map(|engine| engine.reading.schedule.borrow().due());
        let ticks = due.filter_map(|due| self.started.checked_add(due));
        ticks.chain(self.seal_by.get()).min()
    }

    /// Starts the polls whose tick is due: one instance.
    fn poll_due(self: &Rc<Self>, executor: &LocalExecutor<'_>) {
        let elapsed = self.elapsed();
        let engines = self.engines.borrow();
        let due: Vec<_> = engines.iter().filter(|engine| engine.reading.begin_tick(elapsed)).collect();
        if due.is_empty() {
            return;
        }
        let instance = Rc::new(Instance { timestamp: clock::timestamp(), elapsed, under_way: Cell::new(due.len()) });
        self.metrics.reads.add(due.len() as u64);
        self.metrics.reads_under_way.add(due.len() as u64);
        for engine in due {
            if engine.reading.is_own() {
                self.read_own(engine, &instance);
            } else {
                executor.spawn(Rc::clone(self).read(Rc::clone(engine), Rc::clone(&instance))).detach();
            }
        }
    }

    async fn read(self: Rc<Self>, engine: Rc<Engine>, instance: Rc<Instance>) {
        let mut body = Vec::new();
        let supply = || self.bench.borrow_mut().take_body();
        let polled = engine.reading.poll(&self.http, &supply, &mut body).await;
        if self.stopping.get() {
            return;
        }
        self.finish(&engine, polled.map_err(ReadError::Http), body, &instance);
    }

    fn read_own(&self, engine: &Engine, instance: &Instance) {
        let mut body = self.bench.borrow_mut().take_body();
        self.render(Page::Vars, &mut body);
        self.finish(engine, Ok(Content::default()), body, instance);
    }

    fn render(&self, page: Page, out: &mut Vec<u8>) {
        let (engines, recorders) = (self.engines.borrow(), self.recorders.borrow());
        let snapshot = Snapshot {
            metrics: &self.metrics,
            usage: ProcessUsage::now(self.elapsed()),
            readers: engines.iter().map(|engine| (engine.reading.name(), &engine.reading.counts)).collect(),
            recorders: recorders.iter().map(|one| (one.recording.name(), one.recording.ledger())).collect(),
        };
        page.render(snapshot, out);
    }

    /// Makes a document of the body, hands it to the recorders, and seals the bulks if it was the last of its instant.
    fn finish(&self, engine: &Engine, polled: Result<Content, ReadError>, mut body: Vec<u8>, instance: &Instance) {
        if !engine.is_retired.get() {
            self.record(engine, polled, &mut body, instance);
        }
        self.bench.borrow_mut().take_back(body);
        self.metrics.reads_under_way.subtract(1);
        instance.under_way.set(instance.under_way.get() - 1);
        if instance.under_way.get() == 0 {
            for Shipping { recording, .. } in &*self.recorders.borrow() {
                recording.seal();
            }
        }
        let seal_by = self.next_seal();
        if self.seal_by.replace(seal_by) != seal_by || engine.reading.schedule.borrow().due().is_none() {
            self.wake_up();
        }
    }

    fn record(&self, engine: &Engine, polled: Result<Content, ReadError>, body: &mut Vec<u8>, instance: &Instance) {
        let made = polled.and_then(|content| {
            let made = self.make_document(engine, body, instance);
            made.map_err(|error| engine.reading.refused(error, &content, body))
        });
        match made {
            Ok(report) => {
                engine.reading.succeeded(&report, body);
                engine.reading.took(self.elapsed().saturating_sub(instance.elapsed));
                self.metrics.count_payload(&report);
            }
            Err(error) => {
                if !matches!(error, ReadError::Http(_)) {
                    self.metrics.payloads_refused.add(1);
                }
                self.metrics.reads_failed.add(1);
                self.metrics.error_jobs.add(1);
                engine.reading.failed(&error, self.elapsed());
            }
        }
    }

    fn make_document(
        &self,
        engine: &Engine,
        body: &mut Vec<u8>,
        instance: &Instance,
    ) -> Result<PayloadReport, FlattenError> {
        let mut bench = self.bench.borrow_mut();
        let variables = &mut engine.reading.variables.borrow_mut();
        let own_members = engine.reading.own_members();
        let made = bench.document(variables, own_members, instance.timestamp, instance.elapsed, body);
        let (key, document, report) = made?;
        let now = clock::now();
        for recording in &*engine.recordings.borrow() {
            recording.add(key, document, now);
        }
        Ok(report)
    }

    fn seal_aged(&self) {
        let now = clock::now();
        for Shipping { recording, .. } in &*self.recorders.borrow() {
            if recording.seal_by().is_some_and(|at| at <= now) {
                recording.seal();
            }
        }
        self.seal_by.set(self.next_seal());
    }

    /// When a bulk is the first to have waited for long enough: the recorders' ages differ.
    fn next_seal(&self) -> Option<Instant> {
        self.recorders.borrow().iter().filter_map(|one| one.recording.seal_by()).min()
    }

    pub(super) fn report(&self) -> Report {
        let recorders = self.recorders.borrow();
        Report {
            ledgers: recorders.iter().map(|one| (one.recording.name().to_owned(), one.recording.ledger())).collect(),
            polls: self.metrics.reads.get(),
            failed_polls: self.metrics.reads_failed.get() + self.abandoned_polls(),
        }
    }

    fn elapsed(&self) -> Duration {
        clock::now().duration_since(self.started)
    }

    fn wake_up(&self) {
        // Full means that the loop is awake already.
        let _ = self.changed.0.try_send(());
    }
}

/// Following a configuration.
impl Runtime {
    /// Goes on by another configuration, and says what that changes.
    fn follow_again(self: &Rc<Self>, config: &Config, executor: &LocalExecutor<'_>) {
        let (readers, recorders) = self.follow(&config.engines, config.settings(), executor);
        tracing::info!("configuration loaded again: readers {readers}; recorders {recorders}");
    }

    /// Goes on with these engines: what is the same is left as it is, the rest ends, begins, or hands on what waits.
    pub(super) fn follow(
        self: &Rc<Self>,
        engines: &[Routed],
        settings: &Settings,
        executor: &LocalExecutor<'_>,
    ) -> (Changes, Changes) {
        let plan = Plan::of(engines, settings);
        self.log_level.change_settings(settings.log_level);
        self.shutdown_timeout.set(settings.shutdown_timeout);
        self.http.expect(plan.endpoints);
        let recorders = self.follow_recorders(&plan, executor);
        let readers = self.follow_readers(engines, &plan.routes);
        self.follow_pages(settings.listen, executor);
        (readers, recorders)
    }

    /// Nobody looks at the pages of a process that ends by itself.
    fn follow_pages(self: &Rc<Self>, listen: Option<SocketAddr>, executor: &LocalExecutor<'_>) {
        let listen = listen.filter(|_| self.polls_max.is_none());
        let mut pages = self.pages.borrow_mut();
        if pages.as_ref().map(|(at, _)| *at) != listen {
            let runtime = Rc::downgrade(self);
            let render = move |page, out: &mut Vec<u8>| {
                runtime.upgrade().inspect(|runtime| runtime.render(page, out));
            };
            let before = pages.take();
            let serve = |at| async move {
                // Another address may be on the same port: whoever has it goes first.
                if let Some((_, before)) = before {
                    before.cancel().await;
                }
                pages::serve(at, render).await;
            };
            *pages = listen.map(|at| (at, executor.spawn(serve(at))));
        }
    }

    fn follow_recorders(&self, plan: &Plan, executor: &LocalExecutor<'_>) -> Changes {
        let before = self.recorders.take();
        let names: Vec<String> = before.iter().map(|one| one.recording.name().to_owned()).collect();
        // One whose output was closed has nothing to hand on.
        let (gone, mut before): (Vec<_>, Vec<_>) = before.into_iter().partition(|one| one.recording.is_gone());
        let running = before.len();
        before.extend(self.retiring.take().into_iter().filter_map(Retiring::unfinished));
        let predecessor = |(place, one)| {
            let Shipping { recording, .. }: &Shipping = one;
            Predecessor { recorder: recording.config(), is_running: place < running }
        };
        let predecessors: Vec<_> = before.iter().enumerate().map(predecessor).collect();
        let origins = routing::origins(&predecessors, &plan.recorders);

        let mut before: Vec<Option<Shipping>> = before.into_iter().map(Some).collect();
        let memory_bytes_max = plan.memory_bytes_max;
        for ((config, feed), origin) in plan.recorders.iter().zip(&origins) {
            let shipping = match *origin {
                Origin::Same(place) => {
                    before[place].take().inspect(|one| one.recording.expect(*feed, memory_bytes_max))
                }
                Origin::Heir(place) => before[place].take().map(|one| {
                    let heir = one.recording.successor(Arc::clone(config), &self.log_level, *feed, memory_bytes_max);
                    self.succeed(one, heir, executor)
                }),
                Origin::New => None,
            };
            let new = || {
                let new = Recording::new(Arc::clone(config), &self.log_level, *feed, memory_bytes_max);
                self.begin(new, None, executor)
            };
            self.recorders.borrow_mut().push(shipping.unwrap_or_else(new));
        }
        let is_same = |origin: &Origin| matches!(origin, Origin::Same(_));
        let after = plan.recorders.iter().zip(&origins).map(|((config, _), origin)| (config.name(), is_same(origin)));
        let changes = Changes::between(&names, after);

        let retiring = before.split_off(running).into_iter().flatten().map(Retiring::from);
        let ending = before.into_iter().flatten().chain(gone).map(|one| self.retire(one, executor));
        self.retiring.replace(ending.chain(retiring).collect());
        changes
    }

    /// A recorder begins to ship, once the task before it has ended or its time is over.
    fn begin(
        &self,
        recording: Recording,
        before: Option<(Task<()>, Option<Instant>)>,
        executor: &LocalExecutor<'_>,
    ) -> Shipping {
        let recording = Rc::new(recording);
        let ship = Rc::clone(&recording).ship(before, self.http.clone(), Rc::clone(&self.metrics));
        Shipping { recording, task: executor.spawn(ship) }
    }

    /// Another recorder ships what waits, once the exchange that is under way has ended.
    fn succeed(&self, before: Shipping, heir: Recording, executor: &LocalExecutor<'_>) -> Shipping {
        // A document that is half written is written whole first, if others are to stand behind it.
        let is_same_file = matches!((&before.recording.config().target, &heir.config().target),
            (Target::File { path: old, .. }, Target::File { path: new, .. }) if old == new);
        let deadline = (!is_same_file).then(|| clock::now() + self.shutdown_timeout.get());
        self.begin(heir, Some((before.task, deadline)), executor)
    }

    /// Lets a recorder ship what it has, and end.
    fn retire(&self, Shipping { recording, task }: Shipping, executor: &LocalExecutor<'_>) -> Retiring {
        recording.drain();
        let deadline = clock::now() + self.shutdown_timeout.get();
        let weak = Rc::downgrade(&recording);
        let retire = recording.retire(task, deadline, Rc::clone(&self.metrics));
        Retiring { recording: weak, task: executor.spawn(retire) }
    }

    fn follow_readers(&self, engines: &[Routed], routes: &[Vec<usize>]) -> Changes {
        let before = self.engines.take();
        let readers: Vec<&Reader> = before.iter().map(|engine| engine.reading.config()).collect();
        let kept = routing::kept_readers(&readers, engines);
        let host_name = host_name();
        let recorders = self.recorders.borrow();
        let follow = |(at, routed): (usize, &Routed)| {
            let recordings = routes[at].iter().map(|&place| Rc::clone(&recorders[place].recording)).collect();
            if let Some(place) = kept[at] {
                before[place].recordings.replace(recordings);
                return Rc::clone(&before[place]);
            }
            let reader = Arc::clone(&routed.reader);
            let reading = Reading::new(reader, &self.log_level, &host_name, self.elapsed(), self.polls_max);
            Rc::new(Engine { reading, recordings: RefCell::new(recordings), is_retired: Cell::new(false) })
        };
        let after: Vec<Rc<Engine>> = engines.iter().enumerate().map(follow).collect();
        for (_, engine) in before.iter().enumerate().filter(|(place, _)| !kept.contains(&Some(*place))) {
            engine.is_retired.set(true);
            engine.recordings.take();
        }
        let names: Vec<String> = before.iter().map(|engine| engine.reading.name().to_owned()).collect();
        let stayed = after.iter().zip(&kept).map(|(engine, kept)| (engine.reading.name(), kept.is_some()));
        let changes = Changes::between(&names, stayed);
        self.engines.replace(after);
        changes
    }
}

impl Retiring {
    /// None if it has ended, and all has been said of it.
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

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
