//! What becomes of one recorder's documents: filled into bulks, kept within their bounds, handed out to be sent, and booked
//! when the answer is there. Sockets and clocks are elsewhere; `now` is an argument.
//!
//! Invariants: each document is in memory, on disk, under way, or in one of the ledger's ways out, and the ledger
//! balances after every change; fresh documents go before held ones and the backlog on disk; whatever has waited for
//! `spool.sync` is on disk, if there is a disk.

mod aside;
mod keep;

use super::dead_letters::DeadLetters;
use super::elasticsearch::verdict::{DeadLetter, Fate, Judgement, Refusal, Verdict};
use super::pace::Pace;
use crate::bulk::{ActionLine, Bulk, DocumentKey};
use crate::clock;
use crate::config::Recorder;
use crate::limits;
use crate::log::{FailureLog, PartLevel, part_log};
use crate::metrics::Ledger;
use crate::spool::files::Files;
use crate::spool::{Bounds, Lane, Refused, Spool, Waiting};
use keep::Storage;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// One recorder's documents.
#[derive(Debug)]
pub(super) struct Delivery {
    name: String,
    log_level: PartLevel,
    ledger: Ledger,
    spool: Spool,
    storage: Storage,
    dead_letters: Option<DeadLetters>,
    stage: Stage,
    /// Of whole requests; nothing is sent before the pause is over.
    requests: Pace,
    paused_until: Option<Instant>,
    /// Of documents that are refused one by one; the held lane and the backlog wait for it.
    items: Pace,
    held_until: Option<Instant>,
    /// The last request was answered well: if the next one fails, that may be due to what is in it.
    is_well: bool,
    /// When a loss is worth a line.
    losses: FailureLog,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// No more documents come; ships what waits, then ends.
    Draining,
    /// Nothing can be recorded any more.
    Gone,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Step {
    /// Send this, then [`Delivery::settle`].
    Send(Arc<Bulk>),
    /// Nothing until then, or until something has changed.
    Wait(Option<Instant>),
    /// Nothing ever.
    Ended,
}

impl Delivery {
    /// `feeders` readers give it documents; `memory_bytes_max` is its share of `settings.memory_limit`. Opens the spool
    /// folder, if there is to be one.
    pub(super) fn new(
        config: &Recorder,
        log_level: PartLevel,
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
            requests: Pace::new(config.backoff, random.fork()),
            paused_until: None,
            items: Pace::new(config.backoff, random.fork()),
            held_until: None,
            is_well: false,
            losses: FailureLog::default(),
        };
        delivery.keep(now);
        delivery
    }

    /// Goes on by another configuration with all that waits, and at once, if it was about to end.
    pub(super) fn follow(&mut self, config: &Recorder, log_level: PartLevel, random: &mut fastrand::Rng) {
        self.name.clone_from(&config.name);
        self.log_level = log_level;
        self.spool.follow(ActionLine::new(&config.index_name));
        if !self.dead_letters.as_ref().is_some_and(|letters| letters.suits(config)) {
            self.dead_letters = DeadLetters::of(config);
        }
        // What has failed so far says nothing of what is to come.
        self.requests = Pace::new(config.backoff, random.fork());
        self.items = Pace::new(config.backoff, random.fork());
        (self.paused_until, self.held_until) = (None, None);
        if self.stage == Stage::Draining {
            self.stage = Stage::Running;
        }
    }

    /// Goes on with so many readers, and within other bounds: what is beyond them goes to the disk, or the oldest go.
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
        self.storage.follow(config, bounds, files, now);
        self.keep(now);
        self.make_room(now);
        self.count_dropped(now);
    }

    pub(super) fn log_level(&self) -> PartLevel {
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
            self.lost("large", "a document is larger than half of settings.memory_limit", now);
            return false;
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
        self.held_until = None;
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
        if self.stage != Stage::Gone {
            self.seal(now);
            self.save_at_last(now);
        }
        let lost = self.ledger.waiting - self.ledger.spooled;
        self.drop_documents(lost, |ledger| &mut ledger.dropped.shutdown);
        self.stage = Stage::Gone;
    }

    /// Nobody reads what is written: everything that waits in memory is dropped, and nothing more is taken.
    pub(super) fn go(&mut self, why: &io::Error) {
        self.stage = Stage::Gone;
        let waiting = self.ledger.waiting - self.ledger.spooled;
        self.drop_documents(waiting, |ledger| &mut ledger.dropped.recorder_gone);
        self.spool.forget();
        part_log!(
            self.log_level,
            Error,
            error,
            recorder = self.name,
            dropped = waiting,
            "the recorder has gone: its output was closed: {why}"
        );
    }

    /// What to do now; nothing is under way.
    pub(super) fn next(&mut self, now: Instant) -> Step {
        if self.stage == Stage::Gone {
            return Step::Ended;
        }
        if let Some(until) = self.paused_until.filter(|until| now < *until) {
            return Step::Wait(Some(until));
        }
        self.paused_until = None;
        if let Some(bulk) = self.spool.send(Lane::Fresh) {
            return Step::Send(bulk);
        }
        let held_until = self.held_until.filter(|until| now < *until);
        if held_until.is_none() {
            self.held_until = None;
            let goes_on = self.load_backlog(now);
            if let Some(bulk) = self.spool.send(Lane::Held) {
                return Step::Send(bulk);
            }
            if goes_on {
                return Step::Wait(Some(now));
            }
        }
        let waits = !self.spool.is_lane_empty(Lane::Held) || self.storage.has_backlog();
        if self.stage == Stage::Draining && !waits && self.spool.open_since().is_none() {
            return Step::Ended;
        }
        Step::Wait(held_until.or_else(|| self.storage.unreadable_until(now)).filter(|_| waits))
    }

    /// Books what became of the bulk that was under way. False if something failed.
    pub(super) fn settle(&mut self, verdict: Verdict, now: Instant) -> bool {
        let Some((lane, sent)) = self.spool.take_sent() else { return true };
        match verdict {
            Verdict::Judged(judgement) => {
                self.requests_work(now);
                self.settle_items(lane, sent, &judgement, now)
            }
            Verdict::Split(reason) => {
                self.requests_work(now);
                self.halve(lane, sent, reason);
                true
            }
            Verdict::Again(refusal) => self.settle_failed(lane, sent, &refusal, now),
        }
    }

    fn settle_items(&mut self, lane: Lane, sent: Waiting, judgement: &Judgement, now: Instant) -> bool {
        let number = |fate| judgement.fates.iter().filter(|other| **other == fate).count() as u64;
        let (acked, duplicate, dead) = (number(Fate::Acked), number(Fate::Duplicate), number(Fate::DeadLetter));
        // Before they are done with on disk.
        let buried = self.bury(&sent.bulk, &judgement.dead_letters);
        self.finish_documents(sent.saved, acked + duplicate + dead);
        self.update(|ledger| {
            ledger.waiting -= acked + duplicate + dead;
            ledger.acked += acked;
            ledger.duplicate += duplicate;
            ledger.dead_lettered += dead;
        });
        self.say_refused(&judgement.dead_letters, buried, now);
        let name = self.name.as_str();
        part_log!(self.log_level, Debug, debug, recorder = name, acked, duplicate, dead_lettered = dead, "shipped");
        let Some(refusal) = &judgement.retry else {
            self.spool.recycle(sent.bulk);
            if lane == Lane::Held && self.spool.is_lane_empty(Lane::Held) {
                self.items_work(now);
            }
            return true;
        };
        let again = sent.bulk.select(|index| judgement.fates[index] == Fate::Retry);
        // The first that is refused, or those that were tried once more: others add nothing to how often it has failed.
        let counts = lane == Lane::Held || self.spool.is_lane_empty(Lane::Held);
        // Others from the disk wait behind those that are tried for the first time.
        let is_backlog = sent.saved.is_some() && sent.refused == Refused::Never;
        let in_part = acked + duplicate + dead > 0;
        let too_large = sent.too_large && !in_part;
        let again = Waiting { bulk: Arc::new(again), refused: Refused::Lately, too_large, ..sent };
        self.spool.append(Lane::Held, again);
        self.spool.recycle(sent.bulk);
        if counts {
            self.items_fail(refusal, in_part, now);
            let soon = now + limits::BACKLOG_DELAY_MAX;
            self.held_until = self.held_until.map(|until| if is_backlog { until.min(soon) } else { until });
        }
        false
    }

    /// Keeps the dead letters.
    ///
    /// # Errors
    /// Why some are not kept, in words.
    fn bury(&mut self, bulk: &Bulk, letters: &[DeadLetter]) -> Result<(), String> {
        let Some(file) = &mut self.dead_letters else { return Ok(()) };
        let time = clock::timestamp();
        for letter in letters {
            file.write(&self.name, letter, bulk.document(letter.index), time)
                .map_err(|error| format!("cannot write dead letters to {}: {error}", file.path().display()))?;
        }
        Ok(())
    }

    /// Says which documents the server does not want, at a bounded rate, once they are counted.
    fn say_refused(&mut self, letters: &[DeadLetter], buried: Result<(), String>, now: Instant) {
        if let Err(failed) = buried {
            self.lost("dead letters", &failed, now);
        }
        if let Some(DeadLetter { status, reason, message, .. }) = letters.first() {
            let reason = format!("item status {status}: {reason} {message}");
            self.lost("refused", &format!("the server refused documents for good: {reason}"), now);
        }
    }

    /// Gives the number of requests in a row that have failed.
    fn requests_fail(&mut self, refusal: &Refusal, now: Instant) -> u64 {
        let failed = self.requests.failed(refusal, false, now);
        self.paused_until = Some(now + failed.delay);
        let name = self.name.as_str();
        let Ledger { waiting, spooled, .. } = self.ledger;
        if let Some(times) = failed.unsaid {
            let reason = &refusal.reason;
            part_log!(
                self.log_level,
                Warn,
                warn,
                recorder = name,
                times,
                waiting,
                spooled,
                "shipping failed: {reason}"
            );
        }
        if failed.goes_down {
            let interval = limits::PROBE_INTERVAL;
            part_log!(
                self.log_level,
                Warn,
                warn,
                recorder = name,
                "counts as down; tried about every {interval:?} from now on"
            );
        }
        failed.in_a_row
    }

    fn requests_work(&mut self, now: Instant) {
        self.is_well = true;
        if let Some((failures, away)) = self.requests.recovered(now) {
            let Ledger { waiting, spooled, dropped, .. } = self.ledger;
            part_log!(
                self.log_level,
                Info,
                info,
                recorder = self.name,
                failures,
                waiting,
                spooled,
                dropped = dropped.total(),
                "shipping again after {:.1} s",
                away.as_secs_f64()
            );
        }
    }

    fn items_fail(&mut self, refusal: &Refusal, in_part: bool, now: Instant) {
        let failed = self.items.failed(refusal, in_part, now);
        self.held_until = Some(now + failed.delay);
        if let Some(times) = failed.unsaid {
            let reason = &refusal.reason;
            let waiting = self.ledger.waiting;
            part_log!(
                self.log_level,
                Warn,
                warn,
                recorder = self.name,
                times,
                waiting,
                "the server refuses documents for now: {reason}"
            );
        }
    }

    fn items_work(&mut self, now: Instant) {
        if let Some((failures, away)) = self.items.recovered(now) {
            part_log!(
                self.log_level,
                Info,
                info,
                recorder = self.name,
                failures,
                waiting = self.ledger.waiting,
                "refused documents are taken again after {:.1} s",
                away.as_secs_f64()
            );
        }
    }

    /// Documents were lost: says so at a bounded rate, with the totals so far.
    fn lost(&mut self, kind: &str, message: &str, now: Instant) {
        if self.losses.failed(kind, now).is_some() {
            let Ledger { dead_lettered, dropped, waiting, .. } = self.ledger;
            part_log!(
                self.log_level,
                Error,
                error,
                recorder = self.name,
                dead_lettered,
                dropped = dropped.total(),
                waiting,
                "{message}"
            );
        }
    }

    fn drop_documents(&mut self, documents: u64, reason: impl Fn(&mut Ledger) -> &mut u64) {
        self.update(|ledger| {
            ledger.waiting -= documents;
            *reason(ledger) += documents;
        });
    }

    fn update(&mut self, change: impl FnOnce(&mut Ledger)) {
        change(&mut self.ledger);
        self.ledger.spooled = self.storage.documents();
        debug_assert!(self.ledger.balances(), "{:?}", self.ledger);
    }
}

fn bounds(config: &Recorder, memory_bytes_max: usize) -> Bounds {
    // An eighth each for the bulk under way, the open one and a spare buffer leaves most for the lanes.
    let spool_bytes = config.spool.as_ref().map_or(u64::MAX, |spool| spool.bytes_max / limits::SEGMENTS_MIN);
    let bytes_max = usize::try_from(config.bulk.bytes.min(spool_bytes)).unwrap_or(usize::MAX);
    let bytes_max = bytes_max.min(memory_bytes_max / 8);
    Bounds { documents_max: config.bulk.documents as usize, bytes_max, memory_bytes_max }
}

#[cfg(test)]
mod tests;
