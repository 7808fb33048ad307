//! Bulks that fail as a whole, again and again. None of them holds up others for ever, whatever the server has against
//! it.
//!
//! A bulk that fails is first tried again where it is, because the server may be to blame. After a few tries in a row
//! it is set aside, and others get their turn. If the server accepts those and then fails on the same bulk once more,
//! the cause is in the bulk: it continues in halves, until the document that the server fails on is alone. That
//! document waits with pauses of its own. It is not given up, because the server has not said that it will never accept
//! it.

use super::Delivery;
use super::settle::home_of;
use crate::limits;
use crate::log::component_log;
use crate::recorder::elasticsearch::verdict::{Refusal, SplitReason};
use crate::spool::disk::Tried;
use crate::spool::{Lane, Waiting};
use std::sync::Arc;
use std::time::Instant;

/// Why a bulk continues in halves.
#[derive(Debug, Clone, Copy)]
enum HalvingReason {
    /// The server accepts others, and has failed on this one again. Rare: a document makes a proxy or the server fail.
    OnlyThisFails,
    /// The server has failed on it several times in a row, and there is no other bulk to compare it with. Occasional: a
    /// recorder with few documents, whose server answers that it has failed.
    NoOther,
    /// The verdict says so: the bulk or the answer to it is too large. The likeliest one.
    Server(SplitReason),
}

impl HalvingReason {
    fn text(self) -> &'static str {
        match self {
            Self::OnlyThisFails => "the server fails on this bulk only",
            Self::NoOther => "the server fails on this bulk",
            Self::Server(reason) => reason.text(),
        }
    }
}

impl Delivery {
    /// Ends a try that has failed as a whole.
    pub(super) fn settle_failed(&mut self, lane: Lane, sent: Waiting, refusal: &Refusal, now: Instant) -> bool {
        let was_well = std::mem::take(&mut self.is_well);
        let has_failed_before = !matches!(lane, Lane::Fresh | Lane::Backlog);
        if was_well && has_failed_before && refusal.after.is_none() {
            // Only documents that were refused before pause because of it.
            let home = if sent.bulk.documents() > 1 { Lane::Aside } else { home_of(&sent, Lane::Aside) };
            let others_wait = self.waits_in(home);
            let delay = self.items_refused(refusal, now);
            self.set_aside(sent, HalvingReason::OnlyThisFails, now);
            self.pause(lane, home, others_wait, delay, now);
            return false;
        }
        let in_a_row = self.request_failed(refusal, now);
        let tries = if refusal.is_odd { 0 } else { self.requests.backoff() }.max(limits::TRIES_IN_A_ROW);
        if !in_a_row.is_multiple_of(tries) {
            if lane == Lane::Aside {
                // On disk, a half would be merged with the rest of its segment again.
                self.spool.put_front(lane, sent);
            } else {
                self.put_back(lane, sent, now);
            }
        } else if Lane::ALL.into_iter().any(|other| self.waits_in(other)) {
            self.put_behind(sent, now);
        } else {
            // There is no other bulk to compare it with, so it is compared with its own halves.
            self.set_aside(sent, HalvingReason::NoOther, now);
        }
        false
    }

    /// Splits a bulk in halves, or puts a single document behind the others.
    fn set_aside(&mut self, sent: Waiting, reason: HalvingReason, now: Instant) {
        if sent.bulk.documents() > 1 {
            self.halve(Lane::Aside, sent, reason);
        } else {
            self.put_behind(sent, now);
        }
    }

    /// Puts a bulk behind the others. If it is not on disk, it is not merged with them.
    fn put_behind(&mut self, sent: Waiting, now: Instant) {
        match sent.saved {
            Some(id) => _ = self.unload(Lane::Aside, id, sent, Tried::Refused, now),
            None => self.spool.append(Lane::Aside, Waiting { never_merged: true, ..sent }),
        }
    }

    /// Splits a bulk that is too large for the server.
    pub(super) fn split(&mut self, lane: Lane, sent: Waiting, reason: SplitReason) {
        self.halve(lane, sent, HalvingReason::Server(reason));
    }

    /// Puts the halves of a bulk at the front of a lane.
    fn halve(&mut self, lane: Lane, sent: Waiting, reason: HalvingReason) {
        for half in sent.bulk.halves().into_iter().rev().filter(|half| !half.is_empty()) {
            let half = Waiting { bulk: Arc::new(half), too_large: false, never_merged: true, ..sent };
            self.spool.put_front(lane, half);
        }
        let (documents, reason) = (sent.bulk.documents(), reason.text());
        component_log!(self.log_level, Debug, recorder = self.name, documents, "{reason}: splitting it in half");
        self.spool.recycle(sent.bulk);
    }
}
