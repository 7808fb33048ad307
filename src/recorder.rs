//! A recorder at work: fills bulks, keeps those that wait within their share of memory, ships them one after the other.
//!
//! Invariants: every document that [`Recording::add`] was given is in the open bulk, in the queue, under way, or in one of
//! the ledger's ways out; waiting bulks stay within `memory_bytes_max`, the oldest making room; nothing that goes on here
//! delays whoever calls `add`.

mod elasticsearch;
mod file;
pub(crate) mod setup;

use crate::backoff;
use crate::bulk::{ActionLine, Bulk, DocumentKey};
use crate::clock;
use crate::config::{LogLevel, Reader, Recorder, Target};
use crate::http::Http;
use crate::limits;
use crate::log::{FailureLog, part_log};
use crate::metrics::{Ledger, Metrics};
use crate::park;
use elasticsearch::Elasticsearch;
use elasticsearch::verdict::{DeadLetter, Fate, Judgement, Refusal, Verdict};
use smol::channel::{Receiver, Sender};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One recorder at work, shared by the engines that feed it and the task that ships.
pub(crate) struct Recording {
    config: Arc<Recorder>,
    log_level: LogLevel,
    ledger: Cell<Ledger>,
    bulks: RefCell<Bulks>,
    stage: Cell<Stage>,
    /// When a loss is worth a line.
    losses: RefCell<FailureLog>,
    /// Wakes the shipping task: there is something to ship, or the stage has changed.
    wake: (Sender<()>, Receiver<()>),
    feed: Feed,
}

/// What a recorder is given by its readers together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Feed {
    /// Documents in one instant.
    pub(crate) readers: usize,
    /// Names that they may have.
    pub(crate) fields_max: usize,
    /// Whether a reader changes numbers: what was an integer may have a fraction.
    pub(crate) converts: bool,
}

impl Feed {
    pub(crate) fn of<'r>(readers: impl Iterator<Item = &'r Reader>) -> Self {
        readers.fold(Self::default(), |feed, reader| Self {
            readers: feed.readers + 1,
            fields_max: feed.fields_max.saturating_add(reader.variables.fields_max),
            converts: feed.converts || reader.variables.converts(),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// No more documents come; ships what waits, then ends.
    Draining,
    /// Nothing can be recorded any more.
    Gone,
}

/// The documents that wait.
struct Bulks {
    action: ActionLine,
    /// Being filled; nobody else holds it.
    open: Arc<Bulk>,
    /// When the oldest document of `open` came.
    open_since: Option<Instant>,
    /// Sealed, oldest first.
    queue: VecDeque<Arc<Bulk>>,
    queued_bytes: usize,
    /// Under way.
    sending: Option<Arc<Bulk>>,
    /// Emptied buffers; nobody else holds them.
    pool: Vec<Arc<Bulk>>,
    /// Documents that come in one instant: bulks are made large enough for them at once.
    feeders: usize,
    documents_max: usize,
    bytes_max: usize,
    memory_bytes_max: usize,
}

impl Recording {
    /// `memory_bytes_max` is its share of `settings.memory_limit`.
    pub(crate) fn new(
        config: Arc<Recorder>,
        settings_log_level: LogLevel,
        feed: Feed,
        memory_bytes_max: usize,
    ) -> Self {
        // A quarter each for the bulk under way and the open one leaves half for the queue.
        let bytes_max = usize::try_from(config.bulk.bytes).unwrap_or(usize::MAX).min(memory_bytes_max / 4);
        let bulks = Bulks {
            action: ActionLine::new(&config.index_name),
            open: Arc::default(),
            open_since: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            sending: None,
            pool: Vec::with_capacity(limits::POOLED_BULKS_MAX),
            feeders: feed.readers,
            documents_max: config.bulk.documents as usize,
            bytes_max,
            memory_bytes_max,
        };
        Self {
            log_level: config.log_level.unwrap_or(settings_log_level),
            config,
            ledger: Cell::default(),
            bulks: RefCell::new(bulks),
            stage: Cell::new(Stage::Running),
            losses: RefCell::default(),
            wake: smol::channel::bounded(1),
            feed,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.ledger.get()
    }

    /// Whether it has ended for good and takes nothing more.
    pub(crate) fn is_gone(&self) -> bool {
        self.stage.get() == Stage::Gone
    }

    /// When the open bulk is to be sealed at the latest.
    pub(crate) fn seal_by(&self) -> Option<Instant> {
        self.bulks.borrow().open_since.map(|since| since + self.config.bulk.age)
    }

    /// Copies a document into the open bulk.
    pub(crate) fn add(&self, key: DocumentKey, document: &[u8], now: Instant) {
        self.update(|ledger| {
            ledger.made += 1;
            ledger.waiting += 1;
        });
        let mut bulks = self.bulks.borrow_mut();
        if self.is_gone() {
            self.drop_documents(1, |ledger| &mut ledger.dropped.recorder_gone);
        } else if document.len() > bulks.memory_bytes_max / 2 {
            self.drop_documents(1, |ledger| &mut ledger.dropped.memory_limit);
        } else {
            let sealed = bulks.push(key, document, now);
            self.make_room(&mut bulks);
            drop(bulks);
            if sealed {
                self.wake_up();
            }
        }
    }

    /// Hands the open bulk over to be shipped.
    pub(crate) fn seal(&self) {
        let mut bulks = self.bulks.borrow_mut();
        if bulks.seal() {
            self.make_room(&mut bulks);
            drop(bulks);
            self.wake_up();
        }
    }

    /// No more documents come: ship what waits, at once, then end.
    pub(crate) fn drain(&self) {
        self.seal();
        if self.stage.get() == Stage::Running {
            self.stage.set(Stage::Draining);
        }
        self.wake_up();
    }

    /// Counts what still waits as dropped: the time to drain is over.
    pub(crate) fn give_up(&self) {
        let waiting = self.ledger.get().waiting;
        self.drop_documents(waiting, |ledger| &mut ledger.dropped.shutdown);
        self.stage.set(Stage::Gone);
    }

    /// Ships until it has drained or is gone.
    pub(crate) async fn ship(self: Rc<Self>, http: Http, metrics: Rc<Metrics>) {
        let mut sink = Sink::new(&self.config, self.feed, self.log_level);
        let mut pace = Pace::new(self.config.backoff);
        while let Some(bulk) = self.next_bulk().await {
            metrics.records_sent.add(1);
            metrics.records_under_way.add(1);
            let outcome = sink.ship(&http, &bulk).await;
            metrics.records_under_way.subtract(1);
            let Some(outcome) = outcome else {
                self.go();
                return;
            };
            let refusal = self.settle(bulk, outcome);
            match refusal {
                None => self.recovered(&mut pace),
                Some(refusal) => {
                    metrics.error_jobs.add(1);
                    self.failed(&mut pace, &refusal);
                    self.pause(pace.delay(&refusal)).await;
                }
            }
        }
    }

    /// Takes the oldest sealed bulk for delivered once `receive` has seen it. False if there is none.
    pub(crate) fn deliver_next(&self, receive: impl FnOnce(&[u8])) -> bool {
        let Some(bulk) = self.bulks.borrow_mut().take() else { return false };
        receive(bulk.bytes());
        let verdict = Verdict::Judged(Judgement::all_acked(bulk.documents()));
        self.settle(bulk, verdict).is_none()
    }

    async fn next_bulk(&self) -> Option<Arc<Bulk>> {
        loop {
            if let Some(bulk) = self.bulks.borrow_mut().take() {
                return Some(bulk);
            }
            if self.stage.get() != Stage::Running {
                return None;
            }
            let _ = self.wake.1.recv().await;
        }
    }

    /// Books what became of a bulk, and puts back what has to go again. Gives why, if anything has.
    fn settle(&self, bulk: Arc<Bulk>, verdict: Verdict) -> Option<Refusal> {
        match verdict {
            Verdict::Judged(judgement) => self.settle_items(bulk, judgement),
            Verdict::Split => {
                let half = bulk.documents() / 2;
                let halves = [bulk.select(|index| index < half), bulk.select(|index| index >= half)];
                self.bulks.borrow_mut().put_back(halves.into_iter().map(Arc::new), bulk);
                None
            }
            Verdict::Again(refusal) => {
                let again = Arc::clone(&bulk);
                self.bulks.borrow_mut().put_back([again].into_iter(), bulk);
                Some(refusal)
            }
        }
    }

    fn settle_items(&self, bulk: Arc<Bulk>, judgement: Judgement) -> Option<Refusal> {
        let number = |fate| judgement.fates.iter().filter(|other| **other == fate).count() as u64;
        let (acked, duplicate, dead) = (number(Fate::Acked), number(Fate::Duplicate), number(Fate::DeadLetter));
        self.update(|ledger| {
            ledger.waiting -= acked + duplicate + dead;
            ledger.acked += acked;
            ledger.duplicate += duplicate;
            ledger.dead_lettered += dead;
        });
        part_log!(
            self.log_level,
            Debug,
            debug,
            recorder = self.name(),
            acked,
            duplicate,
            dead_lettered = dead,
            "shipped"
        );
        if let Some(DeadLetter { status, reason, message, .. }) = judgement.dead_letters.first() {
            let reason = format!("item status {status}: {reason} {message}");
            self.lost("refused", &format!("the server refused documents for good: {reason}"));
        }
        let again = bulk.select(|index| judgement.fates[index] == Fate::Retry);
        let again = (!again.is_empty()).then(|| Arc::new(again));
        self.bulks.borrow_mut().put_back(again.into_iter(), bulk);
        judgement.retry
    }

    fn failed(&self, pace: &mut Pace, refusal: &Refusal) {
        if let Some(times) = pace.log.failed(&refusal.kind, clock::now()) {
            let waiting = self.ledger.get().waiting;
            part_log!(
                self.log_level,
                Warn,
                warn,
                recorder = self.name(),
                times,
                waiting,
                "shipping failed: {}",
                refusal.reason
            );
        }
        if pace.log.in_a_row() == pace.backoff {
            part_log!(
                self.log_level,
                Warn,
                warn,
                recorder = self.name(),
                "counts as down after {} failures in a row; tried about every {:?} from now on",
                pace.backoff,
                limits::PROBE_INTERVAL
            );
        }
    }

    fn recovered(&self, pace: &mut Pace) {
        if let Some((failures, away)) = pace.log.recovered(clock::now()) {
            part_log!(
                self.log_level,
                Info,
                info,
                recorder = self.name(),
                failures,
                waiting = self.ledger.get().waiting,
                "shipping again after {:.1} s",
                away.as_secs_f64()
            );
        }
    }

    /// Waits for `delay`, less if it begins to drain meanwhile.
    async fn pause(&self, delay: Duration) {
        let draining = self.stage.get() == Stage::Draining;
        let deadline = park::sleep_until(clock::now() + delay);
        let begun = async {
            while draining || self.stage.get() == Stage::Running {
                if self.wake.1.recv().await.is_err() {
                    break;
                }
            }
        };
        smol::future::or(deadline, begun).await;
    }

    /// Nobody reads what is written: everything that waits is dropped, and nothing more is taken.
    fn go(&self) {
        self.stage.set(Stage::Gone);
        let waiting = self.ledger.get().waiting;
        self.drop_documents(waiting, |ledger| &mut ledger.dropped.recorder_gone);
        self.bulks.borrow_mut().forget();
        part_log!(
            self.log_level,
            Error,
            error,
            recorder = self.name(),
            dropped = waiting,
            "the recorder has gone: its output was closed"
        );
    }

    /// Drops the oldest until the rest fits.
    fn make_room(&self, bulks: &mut Bulks) {
        let mut dropped = 0;
        while bulks.memory_bytes() > bulks.memory_bytes_max {
            let Some(oldest) = bulks.queue.pop_front() else { break };
            bulks.queued_bytes -= oldest.memory_bytes();
            dropped += oldest.documents() as u64;
        }
        if dropped > 0 {
            self.drop_documents(dropped, |ledger| &mut ledger.dropped.memory_limit);
            self.lost("dropped", "settings.memory_limit is reached: the oldest documents make room");
        }
    }

    /// Documents were lost: says so at a bounded rate, with the totals so far.
    fn lost(&self, kind: &str, message: &str) {
        if self.losses.borrow_mut().failed(kind, clock::now()).is_some() {
            let Ledger { dead_lettered, dropped, waiting, .. } = self.ledger.get();
            part_log!(
                self.log_level,
                Error,
                error,
                recorder = self.name(),
                dead_lettered,
                dropped = dropped.total(),
                waiting,
                "{message}"
            );
        }
    }

    fn drop_documents(&self, documents: u64, reason: impl Fn(&mut Ledger) -> &mut u64) {
        self.update(|ledger| {
            ledger.waiting -= documents;
            *reason(ledger) += documents;
        });
    }

    fn update(&self, change: impl FnOnce(&mut Ledger)) {
        let mut ledger = self.ledger.get();
        change(&mut ledger);
        debug_assert!(ledger.balances(), "{ledger:?}");
        self.ledger.set(ledger);
    }

    fn wake_up(&self) {
        // Full means that a wake-up is already on its way.
        let _ = self.wake.0.try_send(());
    }
}

impl Bulks {
    /// True if that sealed a bulk.
    fn push(&mut self, key: DocumentKey, document: &[u8], now: Instant) -> bool {
        let mut sealed = false;
        if self.open.bytes().len() + document.len() > self.bytes_max {
            sealed = self.seal();
        }
        if let Some(open) = Arc::get_mut(&mut self.open) {
            if open.is_empty() {
                open.expect(self.feeders, document.len(), self.bytes_max);
            }
            open.push(&mut self.action, key, document);
        }
        self.open_since.get_or_insert(now);
        if self.open.documents() >= self.documents_max || self.open.bytes().len() >= self.bytes_max {
            sealed |= self.seal();
        }
        sealed
    }

    /// Moves the open bulk to the end of the queue, into the last waiting one if it has room. False if it was empty.
    fn seal(&mut self) -> bool {
        self.open_since = None;
        if self.open.is_empty() {
            return false;
        }
        let fresh = self.pool.pop().unwrap_or_default();
        let mut sealed = std::mem::replace(&mut self.open, fresh);
        if let Some(last) = self.queue.back_mut().and_then(Arc::get_mut) {
            let documents = last.documents() + sealed.documents();
            if documents <= self.documents_max && last.bytes().len() + sealed.bytes().len() <= self.bytes_max {
                self.queued_bytes -= last.memory_bytes();
                last.append(&sealed);
                self.queued_bytes += last.memory_bytes();
                self.recycle(sealed);
                return true;
            }
        }
        if self.sending.is_some()
            && let Some(waiting) = Arc::get_mut(&mut sealed)
        {
            waiting.shrink();
        }
        self.queued_bytes += sealed.memory_bytes();
        self.queue.push_back(sealed);
        true
    }

    /// The oldest bulk, to be sent.
    fn take(&mut self) -> Option<Arc<Bulk>> {
        let bulk = self.queue.pop_front()?;
        self.queued_bytes -= bulk.memory_bytes();
        self.sending = Some(Arc::clone(&bulk));
        Some(bulk)
    }

    /// Ends a try with `sent`; `again` has to go before everything else.
    fn put_back(&mut self, again: impl DoubleEndedIterator<Item = Arc<Bulk>>, sent: Arc<Bulk>) {
        self.sending = None;
        for bulk in again.rev() {
            self.queued_bytes += bulk.memory_bytes();
            self.queue.push_front(bulk);
        }
        self.recycle(sent);
    }

    /// Keeps an emptied buffer for the next bulk, if nobody else holds it.
    fn recycle(&mut self, mut bulk: Arc<Bulk>) {
        let Some(emptied) = Arc::get_mut(&mut bulk) else { return };
        emptied.clear(limits::POOLED_BULK_BYTES_MAX);
        if self.open.memory_bytes() == 0 {
            // It was never used, as nothing has come since: one buffer is enough as long as answers come in time.
            std::mem::swap(&mut self.open, &mut bulk);
        }
        if self.pool.len() < limits::POOLED_BULKS_MAX {
            self.pool.push(bulk);
        }
    }

    fn memory_bytes(&self) -> usize {
        self.queued_bytes + self.open.memory_bytes() + self.sending.as_ref().map_or(0, |bulk| bulk.memory_bytes())
    }

    fn forget(&mut self) {
        self.open = Arc::default();
        self.open_since = None;
        self.queue.clear();
        self.queued_bytes = 0;
        self.sending = None;
    }
}

/// Where bulks go.
enum Sink {
    Elasticsearch(Box<Elasticsearch>),
    File(file::Appender),
}

impl Sink {
    fn new(config: &Recorder, feed: Feed, log_level: LogLevel) -> Self {
        match &config.target {
            Target::Elasticsearch(server) => {
                Self::Elasticsearch(Box::new(Elasticsearch::new(config, server, feed, log_level)))
            }
            Target::File { path, bytes_max, keep } => Self::File(file::Appender::new(path.clone(), *bytes_max, *keep)),
        }
    }

    /// None if there is no use in ever trying again.
    async fn ship(&mut self, http: &Http, bulk: &Arc<Bulk>) -> Option<Verdict> {
        match self {
            Self::Elasticsearch(server) => Some(server.ship(http, bulk).await),
            Self::File(appender) => match appender.append(bulk).await {
                Ok(()) => Some(Verdict::Judged(Judgement::all_acked(bulk.documents()))),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
                Err(error) => {
                    let reason = format!("cannot write to {}: {error}", appender.path().display());
                    let kind = reason.clone();
                    Some(Verdict::Again(Refusal { kind, reason, after: None, slow: false }))
                }
            },
        }
    }
}

/// How often a server that fails is tried.
struct Pace {
    /// Failures in a row after which it counts as down.
    backoff: u64,
    log: FailureLog,
    random: fastrand::Rng,
}

impl Pace {
    fn new(backoff: u32) -> Self {
        Self { backoff: backoff.into(), log: FailureLog::default(), random: fastrand::Rng::new() }
    }

    fn delay(&mut self, refusal: &Refusal) -> Duration {
        let in_a_row = self.log.in_a_row();
        let own = if refusal.slow || in_a_row >= self.backoff {
            backoff::probe_delay(&mut self.random)
        } else {
            backoff::retry_delay(in_a_row, &mut self.random)
        };
        refusal.after.map_or(own, |asked| asked.max(own))
    }
}
