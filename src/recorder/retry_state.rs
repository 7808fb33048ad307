//! Failures in a row: how long to wait before the next try, and when a failure is worth a log line.

use crate::backoff;
use crate::log::FailureLog;
use crate::recorder::elasticsearch::verdict::Refusal;
use std::time::{Duration, Instant};

/// The failures in a row of one recorder: of its requests, or of documents that are refused one by one.
#[derive(Debug)]
pub(super) struct RetryState {
    /// Failures in a row after which it counts as down.
    backoff: u64,
    log: FailureLog,
    in_a_row: u64,
    random: fastrand::Rng,
}

/// What follows from one more failure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    /// How long to wait before the next try.
    pub(super) delay: Duration,
    /// If it is time for a log line: how many failures of this kind have not been logged, this one included.
    pub(super) unlogged: Option<u64>,
    /// It counts as down from now on.
    pub(super) goes_down: bool,
    pub(super) in_a_row: u64,
}

impl RetryState {
    pub(super) fn new(backoff: u32, random: fastrand::Rng) -> Self {
        Self { backoff: backoff.into(), log: FailureLog::default(), in_a_row: 0, random }
    }

    /// Failures in a row after which it counts as down.
    pub(super) fn backoff(&self) -> u64 {
        self.backoff
    }

    /// Failures in a row.
    pub(super) fn in_a_row(&self) -> u64 {
        self.in_a_row
    }

    /// When the first of the failures was, if it fails.
    pub(super) fn since(&self) -> Option<Instant> {
        self.log.since()
    }

    /// A try has failed. If it was accepted `in_part`, the pauses start again with short ones.
    pub(super) fn failed(&mut self, refusal: &Refusal, in_part: bool, now: Instant) -> Failed {
        let unlogged = self.count_for_log(&refusal.kind(), now);
        Failed { unlogged, ..self.advance(refusal, in_part) }
    }

    /// The same for a failure of this kind that a person has to fix.
    pub(super) fn failed_slowly(&mut self, kind: &str, now: Instant) -> Failed {
        let unlogged = self.count_for_log(kind, now);
        Failed { unlogged, ..self.next(None, true, false) }
    }

    /// Counts a failure of this kind for the log. Returns how many have not been logged, if it is time for a log line.
    pub(super) fn count_for_log(&mut self, kind: &str, now: Instant) -> Option<u64> {
        self.log.failed(kind, now)
    }

    /// As [`Self::failed`], for a failure that [`Self::count_for_log`] has counted already.
    pub(super) fn advance(&mut self, refusal: &Refusal, in_part: bool) -> Failed {
        self.next(refusal.after, refusal.slow, in_part)
    }

    fn next(&mut self, after: Option<Duration>, slow: bool, in_part: bool) -> Failed {
        self.in_a_row = if in_part { 1 } else { self.in_a_row + 1 };
        let in_a_row = self.in_a_row;
        let own = if slow || in_a_row >= self.backoff {
            backoff::probe_delay(&mut self.random)
        } else {
            backoff::retry_delay(in_a_row, &mut self.random)
        };
        let delay = after.map_or(own, |asked| asked.max(own));
        Failed { delay, unlogged: None, goes_down: in_a_row == self.backoff, in_a_row }
    }

    /// It works again. Returns the number of failures and how long they lasted, if there were any.
    pub(super) fn recovered(&mut self, now: Instant) -> Option<(u64, Duration)> {
        self.in_a_row = 0;
        self.log.recovered(now)
    }
}
