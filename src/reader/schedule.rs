//! When a reader's ticks are due: at multiples of its interval since the start of the process. So they never drift, and
//! the ticks of all readers fall together. With jitter, each tick is due a random time after its place on that grid;
//! the grid itself does not move. Pure: the time, as the duration since the start, and the source of random numbers are
//! arguments.

use std::time::Duration;

/// The ticks of one reader.
#[derive(Debug)]
pub(crate) struct Schedule {
    interval_ns: u64,
    /// Shorter than the interval.
    jitter_ns: u64,
    /// The number of the next tick; that at the start is 0.
    next: u64,
    /// How long after its place on the grid the next tick is due.
    delay_ns: u64,
    polls_left: Option<u64>,
}

impl Schedule {
    /// The first tick is at `elapsed`, and the others are on the grid, each up to `jitter` later. The schedule ends
    /// after `polls_max` polls, if that is given. A single poll has no jitter: there is nothing to spread, and somebody
    /// is waiting.
    pub(crate) fn new(
        (interval, jitter): (Duration, Duration),
        elapsed: Duration,
        polls_max: Option<u64>,
        random: &mut fastrand::Rng,
    ) -> Self {
        let (interval_ns, elapsed_ns) = (nanos(interval).max(1), nanos(elapsed));
        let jitter_ns = if polls_max == Some(1) { 0 } else { nanos(jitter) };
        debug_assert!(jitter_ns < interval_ns, "ticks do not overtake one another");
        let (next, begun_ns) = (elapsed_ns / interval_ns, elapsed_ns % interval_ns);
        // Many readers may start together between two ticks. Their first polls are spread over the time until the
        // second tick.
        let room_ns = jitter_ns.min(interval_ns - begun_ns);
        let delay_ns = if jitter_ns == 0 { 0 } else { begun_ns + draw(room_ns, random) };
        Self { interval_ns, jitter_ns, next, delay_ns, polls_left: polls_max }
    }

    /// When the next tick is due, if there is one.
    pub(crate) fn due(&self) -> Option<Duration> {
        if self.polls_left == Some(0) {
            return None;
        }
        let place_ns = self.next.saturating_mul(self.interval_ns);
        Some(Duration::from_nanos(place_ns.saturating_add(self.delay_ns)))
    }

    /// Takes the tick that is due at `elapsed`, if there is one. Gives the number of ticks before it that have been
    /// missed.
    pub(crate) fn take(&mut self, elapsed: Duration, random: &mut fastrand::Rng) -> Option<u64> {
        if self.due()? > elapsed {
            return None;
        }
        // Only the delay after the due time counts: jitter does not make a tick late.
        let current = (nanos(elapsed) - self.delay_ns) / self.interval_ns;
        let late = current - self.next;
        self.next = current + 1;
        self.delay_ns = draw(self.jitter_ns, random);
        Some(late)
    }

    /// Counts a poll that has begun.
    pub(crate) fn polled(&mut self) {
        if let Some(left) = &mut self.polls_left {
            *left = left.saturating_sub(1);
        }
    }

    /// Skips the ticks before `until`. Gives their number.
    pub(crate) fn postpone(&mut self, until: Duration) -> u64 {
        let first = nanos(until).div_ceil(self.interval_ns);
        let skipped = first.saturating_sub(self.next);
        self.next += skipped;
        skipped
    }
}

/// A random number below `end`; 0 if that is 0.
fn draw(end: u64, random: &mut fastrand::Rng) -> u64 {
    if end == 0 { 0 } else { random.u64(..end) }
}

/// 64 bits are enough for 584 years, and unlike 128 bits they can be divided without a library routine.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn plain(interval: Duration, elapsed: Duration, polls_max: Option<u64>) -> Schedule {
        Schedule::new((interval, Duration::ZERO), elapsed, polls_max, &mut fastrand::Rng::with_seed(1))
    }

    #[test]
    fn the_first_tick_is_at_once_and_the_grid_never_drifts() {
        let random = &mut fastrand::Rng::with_seed(1);
        let mut schedule = plain(ms(500), ms(0), None);
        assert_eq!(schedule.take(ms(0), random), Some(0));
        assert_eq!(schedule.take(ms(0), random), None);
        // Each wake-up comes a little late; the next tick is due on the grid all the same.
        for tick in 1..=1000 {
            assert_eq!(schedule.due(), Some(ms(tick * 500)));
            assert_eq!(schedule.take(ms(tick * 500 - 1), random), None);
            assert_eq!(schedule.take(ms(tick * 500 + 499), random), Some(0));
        }
    }

    #[test]
    fn ticks_that_were_slept_through_are_counted_not_piled_up() {
        let random = &mut fastrand::Rng::with_seed(1);
        let mut schedule = plain(ms(100), ms(0), None);
        assert_eq!(schedule.take(ms(1050), random), Some(10));
        assert_eq!(schedule.due(), Some(ms(1100)));
        assert_eq!(schedule.take(ms(1050), random), None);
    }

    #[test]
    fn readers_of_one_interval_fall_together_after_any_pause() {
        let random = &mut fastrand::Rng::with_seed(1);
        let mut slow = plain(ms(1000), ms(0), None);
        assert_eq!(slow.postpone(ms(10_400)), 11);
        assert_eq!(slow.due(), Some(ms(11_000)));
        assert_eq!(slow.postpone(ms(5_000)), 0);
        assert_eq!(slow.take(ms(11_001), random), Some(0));
    }

    #[test]
    fn one_that_comes_later_begins_at_once_and_joins_the_grid() {
        let random = &mut fastrand::Rng::with_seed(1);
        let mut schedule = plain(ms(100), ms(1050), None);
        assert_eq!(schedule.take(ms(1050), random), Some(0), "nothing was missed before it came");
        assert_eq!(schedule.due(), Some(ms(1100)));
    }

    #[test]
    fn a_schedule_may_end() {
        let random = &mut fastrand::Rng::with_seed(1);
        let mut schedule = plain(ms(100), ms(0), Some(2));
        assert_eq!(schedule.take(ms(0), random), Some(0));
        schedule.polled();
        assert_eq!(schedule.take(ms(100), random), Some(0));
        // The poll before is still under way: this tick does not count.
        assert_eq!(schedule.take(ms(200), random), Some(0));
        schedule.polled();
        assert_eq!((schedule.due(), schedule.take(ms(300), random)), (None, None));
    }

    #[test]
    fn with_jitter_a_million_ticks_do_not_drift_and_are_spread_evenly() {
        let random = &mut fastrand::Rng::with_seed(7);
        let (interval, jitter) = (ms(1000), ms(900));
        let mut schedule = Schedule::new((interval, jitter), ms(0), None, random);
        let mut tenths = [0_u32; 10];
        for tick in 0..1_000_000_u32 {
            let due = schedule.due().expect("it goes on");
            let delay = due.checked_sub(interval * tick).expect("not before its place on the grid");
            assert!(delay < jitter, "tick {tick} is {delay:?} after its place");
            tenths[usize::try_from(delay.as_nanos() * 10 / jitter.as_nanos()).expect("below ten")] += 1;
            assert_eq!(schedule.take(due.saturating_sub(Duration::from_nanos(1)), random), None);
            assert_eq!(schedule.take(due, random), Some(0));
        }
        // 100,000 each, with a standard deviation of 300.
        assert!(tenths.iter().all(|count| (98_000..102_000).contains(count)), "{tenths:?}");
    }

    #[test]
    fn a_single_poll_is_at_once_and_who_comes_between_two_ticks_is_before_the_second() {
        let random = &mut fastrand::Rng::with_seed(7);
        let mut single = Schedule::new((ms(1000), ms(900)), ms(0), Some(1), random);
        assert_eq!((single.due(), single.take(ms(0), random)), (Some(ms(0)), Some(0)));
        let mut dues = Vec::new();
        for _ in 0..1000 {
            let mut schedule = Schedule::new((ms(1000), ms(900)), ms(3700), Some(2), random);
            let due = schedule.due().expect("it begins");
            assert!(due >= ms(3700) && due < ms(4000), "{due:?}");
            assert_eq!(schedule.take(due, random), Some(0), "nothing was missed before it came");
            assert!(schedule.due().is_some_and(|due| due >= ms(4000) && due < ms(4900)));
            dues.push(due);
        }
        dues.dedup();
        assert!(dues.len() > 900, "they are spread");
    }

    /// What happens to a schedule: it is woken up so many nanoseconds after the next tick is due, or too early, or is
    /// to leave out what comes before so many nanoseconds after that.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Woken(u64),
        TooEarly(u64),
        Postponed(u64),
    }

    fn steps(most: u64) -> impl Strategy<Value = Vec<Step>> {
        let punctual = (0..=most / 100).prop_map(Step::Woken);
        let late = (0..=most * 4).prop_map(Step::Woken);
        let early = (1..=most).prop_map(Step::TooEarly);
        let step = prop_oneof![4 => punctual, 2 => late, 1 => early, 1 => (0..=most * 4).prop_map(Step::Postponed)];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        #[test]
        fn each_tick_is_polled_once_within_its_jitter_or_counted(
            (interval, jitter, steps) in (1_u64..5_000_000_000)
                .prop_flat_map(|interval| (Just(interval), 0..interval, steps(interval))),
            begin in 0_u64..20_000_000_000,
            seed in any::<u64>(),
        ) {
            let random = &mut fastrand::Rng::with_seed(seed);
            let ns = Duration::from_nanos;
            let mut schedule = Schedule::new((ns(interval), ns(jitter)), ns(begin), None, random);
            // The tick that has its turn: each before it is polled or counted.
            let mut tick = begin / interval;
            let mut now = begin;
            let mut is_first = true;
            for step in steps {
                let due = nanos(schedule.due().expect("it goes on"));
                let delay = due.checked_sub(tick * interval).expect("not before its place on the grid");
                if is_first {
                    prop_assert!(delay == 0 || jitter > 0 && due >= begin && delay < interval && due - begin < jitter);
                } else {
                    prop_assert!(delay < jitter.max(1));
                }
                match step {
                    Step::TooEarly(by) => {
                        prop_assert!(due < by || schedule.take(ns(due - by), random).is_none());
                    }
                    Step::Woken(late) => {
                        now = now.max(due + late);
                        // As many ticks are past as without jitter: those that this one is late by.
                        let past = (now - due) / interval;
                        prop_assert_eq!(schedule.take(ns(now), random), Some(past));
                        tick += past + 1;
                        is_first = false;
                    }
                    // What puts ticks off is a poll that has failed.
                    Step::Postponed(_) if is_first => {}
                    Step::Postponed(by) => {
                        let until = due + by;
                        let first = until.div_ceil(interval).max(tick);
                        prop_assert_eq!(schedule.postpone(ns(until)), first - tick);
                        tick = first;
                    }
                }
            }
        }
    }
}
