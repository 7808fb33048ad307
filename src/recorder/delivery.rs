//! What becomes of one recorder's documents: they are filled into bulks, kept within their bounds, handed out to be
//! sent, and booked when the answer has arrived. Sockets and clocks are elsewhere; `now` is an argument.
//!
//! Invariants: each document is in memory, on disk, under way, or in one of the ledger's final counters, and the ledger
//! balances after every change. Fresh documents go first, and the other lanes get their turns. Whatever has waited for
//! `spool.sync` is on disk, if there is one.

mod aside;
mod loading;
mod logging;
mod saving;
mod settle;
mod status;
mod storage;
mod turns;

use super::dead_letters::DeadLetters;
use super::retry_state::RetryState;
use crate::bulk::{ActionLine, Bulk, DocumentKey};
use crate::config::Recorder;
use crate::limits;
use crate::log::{ComponentLevel, FailureLog, component_log};
use crate::metrics::Ledger;
use crate::spool::files::Files;
use crate::spool::{Bounds, Lane, Spool};
use std::io;
use std::sync::Arc;
use std::time::Instant;
use storage::Storage;
use turns::Turns;

/// One recorder's documents.
#[derive(Debug)]
pub(super) struct Delivery {
    name: String,
    log_level: ComponentLevel,
    ledger: Ledger,
    spool: Spool,
    storage: Storage,
    dead_letters: Option<DeadLetters>,
    stage: Stage,
    /// For requests that fail as a whole; nothing is sent before the pause is over.
    requests: RetryState,
    paused_until: Option<Instant>,
    turns: Turns,
    /// For documents that are refused one by one.
    items: RetryState,
    /// For dead letters that cannot be written.
    letters: RetryState,
    /// The last request succeeded. If the next one fails, its content may be the cause.
    is_well: bool,
    /// A request has succeeded since the recorder got its configuration.
    has_answered: bool,
    /// When a loss is worth a log line.
    losses: FailureLog,
    /// What went wrong last, and when.
    error: Option<(String, Instant)>,
    /// When documents were last accepted.
    last_ack: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// No more documents come; ships what waits, then ends.
    Draining,
    /// It has ended and takes no more documents.
    Gone,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Step {
    /// Send this, then [`Delivery::settle`].
    Send(Arc<Bulk>),
    /// Wait until then, or until something has changed.
    Wait(Option<Instant>),
    /// Nothing more: it has ended.
    Ended,
}

impl Delivery {
    /// `feeders` readers give it documents; `memory_bytes_max` is its share of `settings.memory_limit`. Opens the spool
    /// folder, if there is to be one.
    pub(super) fn new(
        config: &Recorder,
        log_level: ComponentLevel,
        feeders: usize,
        memory_bytes_max: usize,
        files: Files,
        now: Instant,
        random: &mut fastrand::Rng,
    ) -> Self {
        let bounds = bounds(config, memory_bytes_max);
        let mut delivery = Self {
            name: config.name.clone(),
            log_level,
            ledger: Ledger::default(),
            spool: Spool::new(ActionLine::new(&config.index_name), bounds, feeders),
            storage: Storage::new(config, bounds, files, now),
            dead_letters: DeadLetters::of(config),
            stage: Stage::Running,
            requests: RetryState::new(config.backoff, random.fork()),
            paused_until: None,
            turns: Turns::default(),
            items: RetryState::new(config.backoff, random.fork()),
            letters: RetryState::new(config.backoff, random.fork()),
            is_well: false,
            has_answered: false,
            losses: FailureLog::default(),
            error: None,
            last_ack: None,
        };
        delivery.save_due(now);
        delivery
    }

    /// Applies another configuration to everything that waits, and retries at once. If it was about to end, it runs
    /// again.
    pub(super) fn apply_config(&mut self, config: &Recorder, log_level: ComponentLevel, random: &mut fastrand::Rng) {
        self.name.clone_from(&config.name);
        self.log_level = log_level;
        self.spool.set_action_line(ActionLine::new(&config.index_name));
        if !self.dead_letters.as_ref().is_some_and(|letters| letters.suits(config)) {
            self.dead_letters = DeadLetters::of(config);
        }
        // Failures so far say nothing about the new target.
        self.requests = RetryState::new(config.backoff, random.fork());
        self.items = RetryState::new(config.backoff, random.fork());
        self.letters = RetryState::new(config.backoff, random.fork());
        self.has_answered = false;
        self.paused_until = None;
        self.turns.end_pauses();
        if self.stage == Stage::Draining {
            self.stage = Stage::Running;
        }
    }

    /// Applies another number of readers and other bounds. What exceeds them is saved, or the oldest documents are
    /// dropped.
    pub(super) fn fit(
        &mut self,
        config: &Recorder,
        feeders: usize,
        memory_bytes_max: usize,
        files: Files,
        now: Instant,
    ) {
        let bounds = bounds(config, memory_bytes_max);
        self.spool.fit(bounds, feeders);
        self.storage.apply_config(config, bounds, files, now);
        self.save_due(now);
        self.make_room(now);
        self.count_dropped(now);
    }

    pub(super) fn log_level(&self) -> ComponentLevel {
        self.log_level.clone()
    }

    pub(super) fn ledger(&self) -> Ledger {
        self.ledger
    }

    pub(super) fn is_gone(&self) -> bool {
        self.stage == Stage::Gone
    }

    /// When the oldest document of the open bulk came.
    pub(super) fn open_since(&self) -> Option<Instant> {
        self.spool.open_since()
    }

    /// Copies a document into the open bulk. True if there is something new to send.
    pub(super) fn add(&mut self, key: DocumentKey, document: &[u8], now: Instant) -> bool {
        self.update(|ledger| {
            ledger.made += 1;
            ledger.waiting += 1;
        });
        if self.is_gone() {
            self.drop_documents(1, |ledger| &mut ledger.dropped.recorder_gone);
            return false;
        }
        if document.len() > self.spool.bounds().memory_bytes_max / 2 {
            self.drop_documents(1, |ledger| &mut ledger.dropped.memory_limit);
            self.log_loss("large", "dropped a document larger than half of settings.memory_limit", now);
            return false;
        }
        let growth = self.spool.growth_for(document.len());
        if growth > 0 {
            self.make_room_for(growth, now);
        }
        let sealed = self.spool.push(key, document, now);
        self.make_room(now);
        sealed
    }

    /// Closes the open bulk. True if there is something new to send.
    pub(super) fn seal(&mut self, now: Instant) -> bool {
        let sealed = self.spool.seal();
        if sealed {
            self.make_room(now);
        }
        sealed
    }

    /// Tries everything again at once.
    pub(super) fn flush(&mut self, now: Instant) {
        self.seal(now);
        self.paused_until = None;
        self.turns.end_pauses();
    }

    /// No more documents come.
    pub(super) fn drain(&mut self, now: Instant) {
        self.flush(now);
        if self.stage == Stage::Running {
            self.stage = Stage::Draining;
        }
    }

    /// The time to drain is over: what still waits goes to the disk, or is dropped.
    pub(super) fn give_up(&mut self, now: Instant) {
        if self.stage == Stage::Gone {
            return;
        }
        self.seal(now);
        self.save_at_last(now);
        let lost = self.ledger.waiting - self.ledger.spooled;
        let rejected = self.spool.rejected_in_memory() as u64;
        self.drop_documents(rejected, |ledger| &mut ledger.dropped.dead_letter_unwritable);
        self.drop_documents(lost - rejected, |ledger| &mut ledger.dropped.shutdown);
        self.stage = Stage::Gone;
    }

    /// Ends at once because the output was closed: all documents in memory are dropped, and no more are accepted.
    pub(super) fn abandon(&mut self, why: &io::Error) {
        self.stage = Stage::Gone;
        let waiting = self.ledger.waiting - self.ledger.spooled;
        self.drop_documents(waiting, |ledger| &mut ledger.dropped.recorder_gone);
        self.spool.forget();
        component_log!(
            self.log_level,
            Error,
            recorder = self.name,
            dropped = waiting,
            "recorder stopped: its output was closed: {why}"
        );
    }

    /// Sets whether bulks are sent from a copy, which then counts as memory of the documents.
    pub(super) fn set_sends_copies(&mut self, sends_copies: bool) {
        self.spool.set_sends_copies(sends_copies);
    }

    /// What to do next. Called only while nothing is under way.
    pub(super) fn next(&mut self, now: Instant) -> Step {
        if self.stage == Stage::Gone {
            return Step::Ended;
        }
        if let Some(until) = self.paused_until.filter(|until| now < *until) {
            return Step::Wait(Some(until));
        }
        self.paused_until = None;
        let mut goes_on = false;
        for lane in self.turns.order() {
            if self.turns.paused_until(lane, now).is_some() {
                continue;
            }
            goes_on |= self.load(lane, now);
            if let Some(bulk) = self.spool.send(lane) {
                self.turns.sent(lane, bulk.documents() as u64);
                self.make_room(now);
                return Step::Send(bulk);
            }
        }
        if goes_on {
            return Step::Wait(Some(now));
        }
        let (mut waits, mut until) = (false, None::<Instant>);
        for lane in Lane::ALL.into_iter().filter(|lane| self.waits_in(*lane)) {
            waits = true;
            let unreadable = self.storage.unreadable_until(now).filter(|_| lane.is_from_disk());
            let next_turn = self.turns.paused_until(lane, now).or(unreadable);
            until = until.into_iter().chain(next_turn).min();
        }
        if self.stage == Stage::Draining && !waits && self.spool.open_since().is_none() {
            return Step::Ended;
        }
        Step::Wait(until)
    }

    /// Whether documents wait in a lane, or on disk for their turn in it.
    fn waits_in(&self, lane: Lane) -> bool {
        !self.spool.is_lane_empty(lane) || self.storage.has_backlog(lane)
    }

    fn drop_documents(&mut self, documents: u64, reason: impl Fn(&mut Ledger) -> &mut u64) {
        self.update(|ledger| {
            ledger.waiting -= documents;
            *reason(ledger) += documents;
        });
    }

    fn update(&mut self, change: impl FnOnce(&mut Ledger)) {
        change(&mut self.ledger);
        self.refresh_spooled();
    }

    /// Books how many documents are on disk now.
    fn refresh_spooled(&mut self) {
        self.ledger.spooled = self.storage.documents();
        debug_assert!(self.ledger.balances(), "{:?}", self.ledger);
    }
}

fn bounds(config: &Recorder, memory_bytes_max: usize) -> Bounds {
    // An eighth each for the bulk under way and the open one leaves most for those that wait.
    let spool_bytes = config.spool.as_ref().map_or(u64::MAX, |spool| spool.bytes_max / limits::SEGMENTS_MIN);
    let bytes_max = usize::try_from(config.bulk.bytes.min(spool_bytes)).unwrap_or(usize::MAX);
    let bytes_max = bytes_max.min(memory_bytes_max / 8);
    let reserved_bytes = config.spool.as_ref().map_or(0, |_| memory_bytes_max / limits::MEMORY_COPIED_PART);
    Bounds { documents_max: config.bulk.documents as usize, bytes_max, memory_bytes_max, reserved_bytes }
}

#[cfg(test)]
mod tests;
