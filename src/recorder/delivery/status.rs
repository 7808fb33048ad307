//! How a recorder is doing, for the status pages.

use super::{Delivery, Stage};
use crate::metrics::{RecorderStatus, Said, State, Waiting};
use crate::recorder::retry_state::RetryState;
use crate::spool::Lane;
use crate::spool::disk::Disk;
use std::time::{Duration, Instant};

impl Delivery {
    /// Remembers what went wrong, in the buffer of what went wrong before.
    pub(super) fn note_error(&mut self, text: &str, now: Instant) {
        let (before, at) = self.error.get_or_insert_with(|| (String::new(), now));
        text.clone_into(before);
        *at = now;
    }

    /// `target` is what it ships to, in words; `elapsed` the time since the start of the process.
    pub(in crate::recorder) fn status<'n>(
        &self,
        name: &'n str,
        target: String,
        now: Instant,
        elapsed: Duration,
    ) -> RecorderStatus<'n> {
        let age = |since: Instant| now.saturating_duration_since(since);
        let requests = self.requests.in_a_row();
        let failing = self.failing();
        let state = match failing {
            _ if self.stage == Stage::Gone => State::Ended,
            // Documents that are refused one by one wait, and others go on.
            Some(_) if requests == 0 => State::Failing,
            _ => State::of(requests, self.requests.backoff(), self.is_well),
        };
        RecorderStatus {
            name,
            state,
            failing: failing.and_then(RetryState::since).map(age),
            failures: failing.map_or(0, RetryState::in_a_row),
            target,
            last_ack: self.last_ack.map(age),
            next: self.paused_until.filter(|until| now < *until).map(|until| until - now),
            waiting: self.waiting(now, elapsed),
            error: self.error.as_ref().map(|(text, at)| Said::new(text, *at, now)),
            ledger: self.ledger,
        }
    }

    /// Whether the last request as a whole has succeeded. Documents may have been refused one by one.
    pub(in crate::recorder) fn is_answering(&self) -> bool {
        self.has_answered && self.requests.in_a_row() == 0 && self.stage != Stage::Gone
    }

    /// What fails at present: requests as a whole, or else documents one by one, or their dead letters.
    fn failing(&self) -> Option<&RetryState> {
        let has_any = |lane| self.spool.has_any(lane) || self.storage.has_backlog(lane);
        if self.requests.in_a_row() > 0 {
            return Some(&self.requests);
        }
        if has_any(Lane::Refused) || has_any(Lane::RefusedBacklog) {
            return Some(&self.items);
        }
        has_any(Lane::Rejected).then_some(&self.letters)
    }

    fn waiting(&self, now: Instant, elapsed: Duration) -> Waiting {
        let (since, has_older) = self.storage.disk().map(Disk::oldest_since).unwrap_or_default();
        let oldest = self.spool.oldest_since().into_iter().chain(since).min();
        let oldest = oldest.map(|since| now.saturating_duration_since(since));
        Waiting {
            memory_bytes: self.spool.document_bytes() as u64,
            disk_bytes: self.storage.disk().map_or(0, Disk::used_bytes),
            oldest: if has_older { Some(elapsed) } else { oldest },
            has_older,
        }
    }
}
