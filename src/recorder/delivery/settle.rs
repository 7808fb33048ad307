//! What becomes of documents after they were sent: they are booked as done, written as dead letters, or put where they
//! wait for another try.

use super::Delivery;
use crate::bulk::Bulk;
use crate::clock;
use crate::limits;
use crate::log::component_log;
use crate::recorder::elasticsearch::verdict::{DeadLetter, Fate, Judgement, Refusal, Verdict};
use crate::spool::disk::Tried;
use crate::spool::{Lane, Waiting};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A dead letter that could not be written: usually because the disk is full or the file cannot be opened.
struct UnwrittenLetter {
    /// Place of its document in the bulk.
    index: usize,
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for UnwrittenLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write to {}: {}", self.path.display(), self.error)
    }
}

impl Delivery {
    /// Books what became of the bulk that was under way. False if something failed.
    pub(in crate::recorder) fn settle(&mut self, verdict: Verdict, now: Instant) -> bool {
        let Some((lane, sent)) = self.spool.take_sent() else { return true };
        let went_well = match verdict {
            Verdict::Judged(judgement) => {
                self.request_succeeded(now);
                self.settle_items(lane, sent, &judgement, now)
            }
            Verdict::Split(reason) => {
                self.request_succeeded(now);
                self.split(lane, sent, reason);
                true
            }
            Verdict::Again(refusal) => self.settle_failed(lane, sent, &refusal, now),
        };
        // Copies of documents that wait again may exceed the memory together with the buffer that they came from.
        self.make_room(now);
        went_well
    }

    fn settle_items(&mut self, lane: Lane, sent: Waiting, judgement: &Judgement, now: Instant) -> bool {
        let fates = &judgement.fates;
        // Dead letters are written before the documents count as done on disk.
        let written = self.write_dead_letters(&sent.bulk, &judgement.dead_letters);
        let unwritten_from = written.as_ref().err().map_or(usize::MAX, |failure| failure.index);
        let is_dead = |index: &usize| fates[*index] == Fate::DeadLetter && *index < unwritten_from;
        let number = |fate| fates.iter().filter(|other| **other == fate).count() as u64;
        let (acked, duplicate) = (number(Fate::Acked), number(Fate::Duplicate));
        let dead = (0..fates.len()).filter(is_dead).count() as u64;
        if let Some(id) = sent.saved {
            self.storage.done(id, acked + duplicate + dead);
        }
        self.update(|ledger| {
            ledger.waiting -= acked + duplicate + dead;
            ledger.acked += acked;
            ledger.duplicate += duplicate;
            ledger.dead_lettered += dead;
        });
        if acked + duplicate > 0 {
            self.last_ack = Some(now);
        }
        self.log_dead_letters(&judgement.dead_letters, now);
        let name = self.name.as_str();
        component_log!(self.log_level, Debug, recorder = name, acked, duplicate, dead_lettered = dead, "shipped");
        let in_part = acked + duplicate + dead > 0;
        match written {
            Err(failure) => {
                let rejected = sent.bulk.select(|index| fates[index] == Fate::DeadLetter && index >= unwritten_from);
                self.reject(lane, &sent, rejected, &failure, now);
            }
            Ok(()) if dead > 0 => self.letters_written(now),
            Ok(()) => {}
        }
        if let Some(pace) = judgement.decisive_refusal() {
            let again = sent.bulk.select(|index| fates[index].is_again());
            self.log_refusals(&judgement.refusals, now);
            self.refuse(lane, &sent, again, pace, in_part, now);
        } else if lane != Lane::Fresh && !self.waits_in(Lane::Refused) && !self.waits_in(Lane::RefusedBacklog) {
            self.items_accepted(now);
        }
        self.spool.recycle(sent.bulk);
        judgement.refusals.is_empty() && unwritten_from == usize::MAX
    }

    /// Writes a dead letter for each document that the server refused for good, if the recorder has a file for them.
    ///
    /// # Errors
    /// The first letter that could not be written. Those after it were not tried.
    fn write_dead_letters(&mut self, bulk: &Bulk, letters: &[DeadLetter]) -> Result<(), UnwrittenLetter> {
        let Some(file) = &mut self.dead_letters else { return Ok(()) };
        let time = clock::timestamp();
        for letter in letters {
            let written = file.write(&self.name, letter, bulk.document(letter.index), time);
            written.map_err(|error| UnwrittenLetter { index: letter.index, path: file.path().to_owned(), error })?;
        }
        Ok(())
    }

    /// Lets documents that the server refused for now wait for another try.
    fn refuse(&mut self, lane: Lane, sent: &Waiting, documents: Bulk, refusal: &Refusal, in_part: bool, now: Instant) {
        let home = home_of(sent, Lane::Refused);
        let others_wait = self.waits_in(home);
        self.wait_again(sent, documents, in_part, Lane::Refused, Tried::Refused, now);
        // Fresh documents that join others in the lane do not count as another failure of those.
        if lane == Lane::Fresh && others_wait {
            return;
        }
        let delay = self.items.advance(refusal, in_part).delay;
        self.pause(lane, home, others_wait, delay, now);
        if lane == Lane::Backlog {
            self.turns.begin_pause(lane, delay.min(limits::BACKLOG_DELAY_MAX), now);
        }
    }

    /// Lets documents that the server refused for good wait until their dead letters can be written.
    fn reject(&mut self, lane: Lane, sent: &Waiting, documents: Bulk, failed: &UnwrittenLetter, now: Instant) {
        let home = home_of(sent, Lane::Rejected);
        let others_wait = self.waits_in(home);
        self.wait_again(sent, documents, true, Lane::Rejected, Tried::Rejected, now);
        let delay = self.letters_failed(failed, now);
        self.pause(lane, home, others_wait, delay, now);
    }

    /// Lets documents of a bulk that was sent wait again: on disk alone if they are on disk, otherwise in this lane.
    fn wait_again(&mut self, sent: &Waiting, documents: Bulk, in_part: bool, lane: Lane, tried: Tried, now: Instant) {
        let too_large = sent.too_large && !in_part;
        let waiting = Waiting { too_large, saved: sent.saved, ..Waiting::new(Arc::new(documents), sent.since) };
        match sent.saved {
            Some(id) => _ = self.unload(lane, id, waiting, tried, now),
            None => self.spool.append(lane, waiting),
        }
    }

    /// Pauses the lane that documents have come from, or come back to.
    pub(super) fn pause(&mut self, lane: Lane, home: Lane, others_wait: bool, delay: Duration, now: Instant) {
        let comes_again = matches!(lane, Lane::Refused | Lane::RefusedBacklog | Lane::Aside | Lane::Rejected);
        if comes_again {
            let waiting = self.spool.documents(lane) as u64 + self.storage.waiting(lane);
            self.turns.pause(lane, delay, waiting, now);
        }
        if lane != home && !others_wait {
            self.turns.begin_pause(home, delay, now);
        }
    }
}

/// Where documents of a bulk wait that were refused: in this lane, unless they are on disk.
pub(super) fn home_of(sent: &Waiting, in_memory: Lane) -> Lane {
    if sent.saved.is_some() { Lane::RefusedBacklog } else { in_memory }
}
