//! A running recorder: [`delivery`] decides what is sent and what waits, [`sink`] sends it, and the task here waits in
//! between.
//!
//! Invariants: nothing here delays the caller of [`Recording::add`]. Documents that are due are saved to disk whatever
//! the shipping task is waiting for, even while its predecessor finishes an exchange ([`Recording::save_when_due`]).

pub(crate) mod dead_letters;
mod delivery;
mod elasticsearch;
mod file;
pub(crate) mod inspection;
mod retry_state;
mod rotated;
pub(crate) mod setup;
mod sink;
mod spool_trial;

pub(crate) use file::{CLOSED, stands_for_nothing};
pub use spool_trial::{FolderLoad, FolderTrial};

use crate::bulk::DocumentKey;
use crate::clock;
use crate::config::{Reader, Recorder, Target};
use crate::event_loop;
use crate::http::Http;
use crate::log::ComponentLevel;
use crate::metrics::{Ledger, Metrics, RecorderStatus};
use crate::spool::files::Files;
use delivery::{Delivery, Step};
use elasticsearch::Product;
pub(crate) use elasticsearch::index_pattern;
use elasticsearch::verdict::{Judgement, Verdict};
pub use elasticsearch::{BulkOutcome, BulkTrial};
use sink::Sink;
use smol::Task;
use smol::channel::{Receiver, Sender};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One recorder at work, shared by the engines that feed it and the task that ships.
pub(crate) struct Recording {
    config: Arc<Recorder>,
    /// Passed on to the successor of this recording.
    delivery: Rc<RefCell<Delivery>>,
    is_succeeded: Cell<bool>,
    /// The open bulk is sealed when its oldest document has waited for this long.
    age_max: Duration,
    /// There is something to ship, or the stage has changed.
    wake_shipping: Notify,
    /// The next document that has to be saved may be due earlier than before.
    wake_saving: Notify,
    feed: Cell<Feed>,
    /// What the server was at the last exchange, if it is known.
    product: Cell<Option<Product>>,
}

/// Wakes a task: a channel that holds one message. A notification while the task is not waiting is not lost: its next
/// wait ends at once.
struct Notify {
    sender: Sender<()>,
    receiver: Receiver<()>,
}

impl Notify {
    fn new() -> Self {
        let (sender, receiver) = smol::channel::bounded(1);
        Self { sender, receiver }
    }

    fn notify(&self) {
        // If the channel is full, the task has been notified already.
        let _ = self.sender.try_send(());
    }

    /// Waits for a notification, at most until `deadline`.
    async fn notified(&self, deadline: Option<Instant>) {
        let notified = async { _ = self.receiver.recv().await };
        match deadline {
            Some(deadline) => smol::future::or(notified, event_loop::sleep_until(deadline)).await,
            None => notified.await,
        }
    }
}

/// What a recorder is given by its readers together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Feed {
    /// Documents in one instant.
    pub(crate) readers: usize,
    /// Names that they may have.
    pub(crate) fields_max: usize,
    /// Whether a reader converts numbers, or renames others to names that are known for integers. Then a value that is
    /// usually an integer may have a fraction.
    pub(crate) converts: bool,
}

impl Feed {
    pub(crate) fn of<'r>(readers: impl Iterator<Item = &'r Reader>) -> Self {
        readers.fold(Self::default(), |feed, reader| Self {
            readers: feed.readers + 1,
            fields_max: feed.fields_max.saturating_add(reader.variables.fields_max),
            converts: feed.converts
                || reader.variables.converts()
                || reader.variables.renames.targets().any(elasticsearch::meets_integers),
        })
    }
}

impl Recording {
    /// `memory_bytes_max` is its share of `settings.memory_limit`.
    pub(crate) fn new(
        config: Arc<Recorder>,
        settings_level: &ComponentLevel,
        feed: Feed,
        memory_bytes_max: usize,
    ) -> Self {
        let mut random = fastrand::Rng::new();
        let (files, now, log_level) = (Files::System, clock::now(), settings_level.with(config.log_level));
        let delivery = Delivery::new(&config, log_level, feed.readers, memory_bytes_max, files, now, &mut random);
        Self::of(config, Rc::new(RefCell::new(delivery)), feed)
    }

    /// The successor of this recording under another configuration: it takes over what waits. This one only finishes
    /// the exchange that is under way.
    pub(crate) fn successor(
        &self,
        config: Arc<Recorder>,
        settings_level: &ComponentLevel,
        feed: Feed,
        memory_bytes_max: usize,
    ) -> Self {
        self.is_succeeded.set(true);
        self.wake_up();
        let log_level = settings_level.with(config.log_level);
        self.delivery.borrow_mut().apply_config(&config, log_level, &mut fastrand::Rng::new());
        let successor = Self::of(config, Rc::clone(&self.delivery), feed);
        successor.set_feed(feed, memory_bytes_max);
        successor
    }

    fn of(config: Arc<Recorder>, delivery: Rc<RefCell<Delivery>>, feed: Feed) -> Self {
        // What waits has to be on disk after `sync`: half of it is left for the exchange that makes that unnecessary.
        let age_max = config.spool.as_ref().map_or(config.bulk.age, |spool| config.bulk.age.min(spool.sync / 2));
        let (wake_shipping, wake_saving) = (Notify::new(), Notify::new());
        Self {
            config,
            delivery,
            is_succeeded: Cell::new(false),
            age_max,
            wake_shipping,
            wake_saving,
            feed: Cell::new(feed),
            product: Cell::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    pub(crate) fn config(&self) -> &Recorder {
        &self.config
    }

    /// Applies another feed and another share of the memory.
    pub(crate) fn set_feed(&self, feed: Feed, memory_bytes_max: usize) {
        self.feed.set(feed);
        let (files, now) = (Files::System, clock::now());
        self.delivery.borrow_mut().fit(&self.config, feed.readers, memory_bytes_max, files, now);
        self.wake_up();
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.delivery.borrow().ledger()
    }

    /// How it is doing.
    pub(crate) fn status(&self, now: Instant, elapsed: Duration) -> RecorderStatus<'_> {
        let target = match &self.config.target {
            Target::Elasticsearch(_) => self.product.get().map_or_else(String::new, |product| product.to_string()),
            Target::File { path, .. } if path.as_os_str() == "-" => "standard output".to_owned(),
            Target::File { .. } => "file".to_owned(),
        };
        self.delivery.borrow().status(self.name(), target, now, elapsed)
    }

    /// Whether its server has answered, and the last request as a whole has succeeded.
    pub(crate) fn is_answering(&self) -> bool {
        self.delivery.borrow().is_answering()
    }

    /// Whether it has ended for good and takes nothing more.
    pub(crate) fn is_gone(&self) -> bool {
        self.delivery.borrow().is_gone()
    }

    /// When the open bulk is to be sealed at the latest.
    pub(crate) fn seal_by(&self) -> Option<Instant> {
        self.delivery.borrow().open_since().map(|since| since + self.age_max)
    }

    /// Copies a document into the open bulk.
    pub(crate) fn add(&self, key: DocumentKey, document: &[u8], now: Instant) {
        if self.delivery.borrow_mut().add(key, document, now) {
            self.wake_up();
        }
    }

    /// Hands the open bulk over to be shipped.
    pub(crate) fn seal(&self) {
        if self.delivery.borrow_mut().seal(clock::now()) {
            self.wake_up();
        }
    }

    /// Ships what waits now, whatever pause there is.
    pub(crate) fn flush(&self) {
        self.delivery.borrow_mut().flush(clock::now());
        self.wake_up();
    }

    /// No more documents come: ship what waits, at once, then end.
    pub(crate) fn drain(&self) {
        self.delivery.borrow_mut().drain(clock::now());
        self.wake_up();
    }

    /// What still waits goes to the disk, or counts as dropped: the time to drain is over.
    pub(crate) fn give_up(&self) {
        self.delivery.borrow_mut().give_up(clock::now());
    }

    /// Whether a successor has taken over what waits.
    pub(crate) fn is_succeeded(&self) -> bool {
        self.is_succeeded.get()
    }

    /// Ships what waits until `deadline`; what is left then goes to the disk, or counts as dropped.
    pub(crate) async fn retire(self: Rc<Self>, shipping: Task<()>, deadline: Instant, metrics: Rc<Metrics>) {
        self.end(shipping, Some(deadline), &metrics).await;
        if !self.is_succeeded() {
            self.give_up();
            self.ledger().log(self.name());
        }
    }

    /// Waits until `shipping` has ended, or cancels it at the deadline. What it was sending waits again.
    async fn end(&self, mut shipping: Task<()>, deadline: Option<Instant>, metrics: &Metrics) {
        match deadline {
            Some(deadline) => smol::future::or(&mut shipping, event_loop::sleep_until(deadline)).await,
            None => (&mut shipping).await,
        }
        shipping.cancel().await;
        if self.delivery.borrow_mut().cancel_sending(clock::now()) {
            metrics.records_under_way.subtract(1);
        }
    }

    /// Ships until it has drained, is gone, or has a successor. It starts when the task `before` it has ended, at the
    /// latest at that task's deadline.
    pub(crate) async fn ship(
        self: Rc<Self>,
        before: Option<(Task<()>, Option<Instant>)>,
        http: Http,
        metrics: Rc<Metrics>,
    ) {
        smol::future::or(self.ship_after(before, &http, &metrics), self.save_when_due()).await;
    }

    async fn ship_after(&self, before: Option<(Task<()>, Option<Instant>)>, http: &Http, metrics: &Metrics) {
        if let Some((shipping, deadline)) = before {
            self.end(shipping, deadline, metrics).await;
            // A server that is no longer asked may have asked for a pause.
            self.flush();
        }
        let log_level = self.delivery.borrow().log_level();
        let mut feed = self.feed.get();
        let mut sink = Sink::new(&self.config, feed, log_level);
        while !self.is_succeeded() {
            if feed != self.feed.get() {
                feed = self.feed.get();
                sink.set_feed(feed);
            }
            let step = {
                let mut delivery = self.delivery.borrow_mut();
                delivery.set_sends_copies(sink.sends_copies());
                delivery.next(clock::now())
            };
            match step {
                Step::Send(bulk) => {
                    metrics.records_sent.add(1);
                    metrics.records_under_way.add(1);
                    let outcome = sink.ship(http, &bulk).await;
                    self.product.set(sink.product());
                    metrics.records_under_way.subtract(1);
                    drop(bulk);
                    match outcome {
                        Ok(verdict) => self.settle(verdict, metrics),
                        Err(why) => return self.sink_is_gone(&why),
                    }
                }
                Step::Wait(Some(until)) if until <= clock::now() => event_loop::yield_now().await,
                Step::Wait(until) => smol::future::or(self.wake_shipping.notified(until), sink.attend()).await,
                Step::Ended => return,
            }
        }
    }

    fn settle(&self, verdict: Verdict, metrics: &Metrics) {
        let taken = self.ledger().taken();
        if !self.delivery.borrow_mut().settle(verdict, clock::now()) {
            metrics.error_jobs.add(1);
        }
        metrics.documents_taken.add(self.ledger().taken() - taken);
        metrics.tell_settled();
        // What was under way may have been the next document that had to be saved.
        self.wake_saving.notify();
    }

    /// The output was closed. A successor may write to another one.
    fn sink_is_gone(&self, why: &io::Error) {
        let mut delivery = self.delivery.borrow_mut();
        if self.is_succeeded() {
            delivery.cancel_sending(clock::now());
        } else {
            delivery.abandon(why);
        }
    }

    /// Passes the oldest sealed bulk to `receive` and counts it as delivered. False if there is none.
    pub(crate) fn deliver_next(&self, receive: impl FnOnce(&[u8])) -> bool {
        let mut delivery = self.delivery.borrow_mut();
        let Step::Send(bulk) = delivery.next(clock::now()) else { return false };
        receive(bulk.bytes());
        let verdict = Verdict::Judged(Judgement::all_acked(bulk.documents()));
        drop(bulk);
        delivery.settle(verdict, clock::now())
    }

    /// Saves the documents that are due, as long as no successor does so.
    async fn save_when_due(&self) {
        if self.config.spool.is_none() {
            return std::future::pending().await;
        }
        loop {
            let due = if self.is_succeeded() { None } else { self.delivery.borrow_mut().save_due(clock::now()) };
            self.wake_saving.notified(due).await;
        }
    }

    fn wake_up(&self) {
        self.wake_shipping.notify();
        self.wake_saving.notify();
    }
}
