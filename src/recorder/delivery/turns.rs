//! Which lane is next. Pure: `now` is an argument.
//!
//! Fresh documents go first, but of four bulks in a row at least one is from another lane, if one is due; those lanes
//! take turns. A lane in which documents were refused pauses; the others do not.

use crate::limits;
use crate::spool::Lane;
use std::time::{Duration, Instant};

/// The lanes beside the fresh one, in the order of their turns.
const OTHERS: [Lane; 5] = [Lane::Refused, Lane::Backlog, Lane::RefusedBacklog, Lane::Aside, Lane::Rejected];

/// Whose turn it is, and who pauses.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Bulks of fresh documents since the last one of another lane.
    fresh_in_a_row: u32,
    /// Place in [`OTHERS`] of the one that comes first.
    next_other: usize,
    pauses: [Pause; Lane::ALL.len()],
}

/// The pause of a lane in which documents were refused.
#[derive(Debug, Clone, Copy, Default)]
struct Pause {
    until: Option<Instant>,
    /// Documents in the lane that have not been tried since the last long pause began.
    untried: u64,
}

impl Turns {
    /// All lanes, in the order in which they are asked for documents now.
    pub(super) fn order(&self) -> impl Iterator<Item = Lane> + use<> {
        let is_first = self.fresh_in_a_row < limits::FRESH_IN_A_ROW_MAX;
        let others = OTHERS.into_iter().cycle().skip(self.next_other).take(OTHERS.len());
        let fresh = |wanted| Some(Lane::Fresh).filter(|_| wanted);
        fresh(is_first).into_iter().chain(others).chain(fresh(!is_first))
    }

    /// This many documents of a lane are being sent.
    pub(super) fn sent(&mut self, lane: Lane, documents: u64) {
        let pause = &mut self.pauses[lane as usize];
        pause.untried = pause.untried.saturating_sub(documents);
        match OTHERS.iter().position(|other| *other == lane) {
            Some(place) => (self.fresh_in_a_row, self.next_other) = (0, (place + 1) % OTHERS.len()),
            None => self.fresh_in_a_row = self.fresh_in_a_row.saturating_add(1),
        }
    }

    /// A lane's documents could not be read: other lanes with documents on disk must not wait for it.
    pub(super) fn unreadable(&mut self, lane: Lane) {
        if let Some(place) = OTHERS.iter().position(|other| *other == lane) {
            self.next_other = (place + 1) % OTHERS.len();
        }
    }

    /// When the pause of a lane ends.
    pub(super) fn paused_until(&self, lane: Lane, now: Instant) -> Option<Instant> {
        self.pauses[lane as usize].until.filter(|until| now < *until)
    }

    /// Documents that were refused in another lane have moved into this one: it pauses, unless it is pausing already.
    pub(super) fn begin_pause(&mut self, lane: Lane, delay: Duration, now: Instant) {
        let pause = &mut self.pauses[lane as usize];
        if pause.until.is_none_or(|until| until <= now) {
            pause.until = Some(now + delay);
        }
    }

    /// Documents of a lane were refused, in which `waiting` documents wait: it pauses. The pause is short as long as
    /// some of them have not been tried since the last long pause.
    pub(super) fn pause(&mut self, lane: Lane, delay: Duration, waiting: u64, now: Instant) {
        let pause = &mut self.pauses[lane as usize];
        let is_round_over = pause.untried == 0;
        if is_round_over {
            pause.untried = waiting;
        }
        pause.until = Some(now + if is_round_over { delay } else { delay.min(limits::BACKLOG_DELAY_MAX) });
    }

    /// Documents move from one lane to another, which was empty: the pause moves along.
    pub(super) fn carry_pause(&mut self, from: Lane, to: Lane) {
        self.pauses[to as usize].until = self.pauses[from as usize].until;
    }

    pub(super) fn end_pause(&mut self, lane: Lane) {
        self.pauses[lane as usize].until = None;
    }

    /// No lane pauses any more.
    pub(super) fn end_pauses(&mut self) {
        self.pauses = Default::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent if these lanes are due all the time.
    fn sequence(turns: &mut Turns, due: &[Lane], bulks: usize) -> Vec<Lane> {
        let mut next = || {
            let lane = turns.order().find(|lane| due.contains(lane)).unwrap();
            turns.sent(lane, 1);
            lane
        };
        (0..bulks).map(|_| next()).collect()
    }

    #[test]
    fn one_bulk_in_four_is_of_another_lane_and_those_take_turns() {
        use Lane::{Aside, Backlog, Fresh, Refused, RefusedBacklog, Rejected};
        let mut turns = Turns::default();
        let sent = sequence(&mut turns, &[Fresh, Backlog], 8);
        assert_eq!(sent, [Fresh, Fresh, Fresh, Backlog, Fresh, Fresh, Fresh, Backlog]);
        let sent = sequence(&mut turns, &Lane::ALL, 20);
        let others: Vec<Lane> = sent.into_iter().filter(|lane| *lane != Fresh).collect();
        assert_eq!(others, [RefusedBacklog, Aside, Rejected, Refused, Backlog]);
        assert_eq!(sequence(&mut turns, &[Refused, Backlog], 4), [Refused, Backlog, Refused, Backlog]);
        sequence(&mut turns, &[Fresh], 100);
        assert_eq!(sequence(&mut turns, &[Fresh, Rejected], 3), [Rejected, Fresh, Fresh], "it has waited for its turn");
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "some instant to count from")]
    fn a_long_pause_comes_once_all_of_a_lane_have_been_tried() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        let long = Duration::from_secs(10);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            turns.sent(Lane::Refused, 10);
            turns.pause(Lane::Refused, long, 30, now);
            pauses.push(turns.paused_until(Lane::Refused, now).unwrap() - now);
        }
        let short = limits::BACKLOG_DELAY_MAX;
        assert_eq!(pauses, [long, short, short, long, short, short, long]);
        assert_eq!(turns.paused_until(Lane::Backlog, now), None, "the others go on");
        turns.begin_pause(Lane::Refused, short, now);
        assert_eq!(turns.paused_until(Lane::Refused, now), Some(now + long));
        assert_eq!(turns.paused_until(Lane::Refused, now + long), None);
        turns.end_pauses();
        assert_eq!(turns.paused_until(Lane::Refused, now), None);
    }
}
