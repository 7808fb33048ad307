//! Bulks that fail as a whole, again and again: none stands in the way of others for ever, whatever it is that the server
//! has against it.
//!
//! A bulk that fails is tried again where it is, as the server may be to blame. After a few tries in a row it is set aside,
//! and others have their turn. If the server takes those, and then fails with the one that was set aside once more, it is
//! due to what is in the bulk: it goes on in halves, until what the server fails with is alone. That waits among what is
//! refused one by one, with their pauses, and is not given up: nobody has said that it will never be taken.

use super::Delivery;
use crate::limits;
use crate::log::part_log;
use crate::recorder::elasticsearch::verdict::Refusal;
use crate::spool::{Lane, Refused, Waiting};
use std::sync::Arc;
use std::time::Instant;

impl Delivery {
    /// Ends a try that has failed as a whole.
    pub(super) fn settle_failed(&mut self, lane: Lane, sent: Waiting, refusal: &Refusal, now: Instant) -> bool {
        let was_well = std::mem::take(&mut self.is_well);
        if was_well && sent.refused != Refused::Never && refusal.after.is_none() {
            // Only those that are refused one by one wait for it.
            self.items_fail(refusal, false, now);
            self.set_aside(sent, "the server fails with it, and with no other");
            return false;
        }
        let in_a_row = self.requests_fail(refusal, now);
        let tries = if refusal.is_odd { 0 } else { self.requests.backoff() }.max(limits::TRIES_IN_A_ROW);
        if !in_a_row.is_multiple_of(tries) {
            match sent.refused {
                // A half would come back from the disk as a part of the whole.
                Refused::Before => self.spool.put_front(lane, sent),
                Refused::Never | Refused::Lately => self.put_back(lane, sent, now),
            }
        } else if self.spool.is_lane_empty(Lane::Fresh) && self.spool.is_lane_empty(Lane::Held) {
            // There is no other to compare it with but its own halves.
            self.set_aside(sent, "the server fails with it");
        } else {
            self.spool.append(Lane::Held, Waiting { refused: Refused::Lately, ..sent });
        }
        false
    }

    /// Behind what is fresh, in halves if it is not alone; else behind everything.
    fn set_aside(&mut self, sent: Waiting, reason: &str) {
        if sent.bulk.documents() > 1 {
            // They are tried, each by itself, before others from the disk take their place.
            self.halve(Lane::Held, Waiting { refused: Refused::Before, ..sent }, reason);
        } else {
            self.spool.append(Lane::Held, Waiting { refused: Refused::Lately, ..sent });
        }
    }

    /// At the front of a lane in halves.
    pub(super) fn halve(&mut self, lane: Lane, sent: Waiting, reason: &str) {
        for half in sent.bulk.halves().into_iter().rev() {
            self.spool.put_front(lane, Waiting { bulk: Arc::new(half), too_large: false, ..sent });
        }
        let documents = sent.bulk.documents();
        part_log!(self.log_level, Debug, debug, recorder = self.name, documents, "{reason}: sent in halves");
        self.spool.recycle(sent.bulk);
    }
}
