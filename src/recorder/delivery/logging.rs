//! What is logged about a recorder's documents, and how long it pauses after a failure.

use super::Delivery;
use crate::limits;
use crate::log::{self, component_log};
use crate::metrics::Ledger;
use crate::recorder::elasticsearch::verdict::{DeadLetter, Refusal};
use crate::spool::Lane;
use std::fmt;
use std::time::{Duration, Instant};

impl Delivery {
    /// Logs which documents the server refused for good, at a bounded rate, after they were counted.
    pub(super) fn log_dead_letters(&mut self, letters: &[DeadLetter], now: Instant) {
        if let Some(DeadLetter { status, reason, message, .. }) = letters.first() {
            let reason = format!("item status {status}: {reason} {message}");
            self.log_loss("refused", &format!("the server rejected documents permanently: {reason}"), now);
        }
    }

    /// Gives the number of requests in a row that have failed.
    pub(super) fn request_failed(&mut self, refusal: &Refusal, now: Instant) -> u64 {
        let reason = refusal.to_string();
        self.note_error(&reason, now);
        let failed = self.requests.failed(refusal, false, now);
        self.paused_until = Some(now + failed.delay);
        let name = self.name.as_str();
        let Ledger { waiting, spooled, .. } = self.ledger;
        if let Some(times) = failed.unlogged {
            component_log!(
                self.log_level,
                Warn,
                recorder = name,
                count = times,
                waiting,
                spooled,
                "shipping failed: {reason}"
            );
        }
        if failed.goes_down {
            let interval = limits::PROBE_INTERVAL;
            component_log!(self.log_level, Warn, recorder = name, "down; retrying about every {interval:?}");
        }
        failed.in_a_row
    }

    pub(super) fn request_succeeded(&mut self, now: Instant) {
        self.is_well = true;
        self.has_answered = true;
        if let Some((failures, away)) = self.requests.recovered(now) {
            let Ledger { waiting, spooled, dropped, .. } = self.ledger;
            component_log!(
                self.log_level,
                Info,
                recorder = self.name,
                failures,
                waiting,
                spooled,
                dropped = dropped.total(),
                outage_ms = log::milliseconds(away),
                "shipping recovered after {:.1} s",
                away.as_secs_f64()
            );
        }
    }

    /// Logs why documents are sent again, at a bounded rate for each reason.
    pub(super) fn log_refusals(&mut self, refusals: &[Refusal], now: Instant) {
        for refusal in refusals {
            let reason = refusal.to_string();
            self.note_error(&reason, now);
            let Some(times) = self.items.count_for_log(&refusal.kind(), now) else { continue };
            let (name, waiting) = (self.name.as_str(), self.ledger.waiting);
            let until = if refusal.slow { "until this is fixed" } else { "temporarily" };
            component_log!(
                self.log_level,
                Warn,
                recorder = name,
                count = times,
                waiting,
                "the server rejects documents {until}: {reason}"
            );
        }
    }

    /// Gives the pause before the next try.
    pub(super) fn items_refused(&mut self, refusal: &Refusal, now: Instant) -> Duration {
        self.log_refusals(std::slice::from_ref(refusal), now);
        self.items.advance(refusal, false).delay
    }

    pub(super) fn items_accepted(&mut self, now: Instant) {
        if let Some((failures, away)) = self.items.recovered(now) {
            self.log_recovery("rejected documents are accepted again", failures, away);
        }
    }

    /// Logs that something works again, after so many failures and so long.
    fn log_recovery(&self, what: &str, failures: u64, away: Duration) {
        component_log!(
            self.log_level,
            Info,
            recorder = self.name,
            failures,
            waiting = self.ledger.waiting,
            outage_ms = log::milliseconds(away),
            "{what} after {:.1} s",
            away.as_secs_f64()
        );
    }

    /// Nothing is lost by it yet. Gives the pause before the next try.
    pub(super) fn letters_failed(&mut self, reason: &dyn fmt::Display, now: Instant) -> Duration {
        self.note_error(&reason.to_string(), now);
        let failed = self.letters.failed_slowly("dead letters", now);
        if let Some(times) = failed.unlogged {
            let waiting = self.ledger.waiting;
            component_log!(
                self.log_level,
                Warn,
                recorder = self.name,
                count = times,
                waiting,
                "cannot keep dead letters: {reason}; rejected documents wait and are retried"
            );
        }
        failed.delay
    }

    pub(super) fn letters_written(&mut self, now: Instant) {
        self.turns.end_pause(Lane::Rejected);
        if let Some((failures, away)) = self.letters.recovered(now) {
            self.log_recovery("keeping dead letters again", failures, away);
        }
    }

    /// Documents were lost: says so at a bounded rate, with the totals so far.
    pub(super) fn log_loss(&mut self, kind: &str, message: &str, now: Instant) {
        self.note_error(message, now);
        if self.losses.failed(kind, now).is_some() {
            let Ledger { dead_lettered, dropped, waiting, .. } = self.ledger;
            component_log!(
                self.log_level,
                Error,
                recorder = self.name,
                dead_lettered,
                dropped = dropped.total(),
                waiting,
                "{message}"
            );
        }
    }
}
