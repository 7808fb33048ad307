//! When a reader's ticks are due: multiples of its interval since the start of the process, so that they never drift and
//! those of all readers fall together. Pure; time is the duration since the start.

use std::time::Duration;

/// The ticks of one reader.
#[derive(Debug)]
pub(crate) struct Schedule {
    interval_ns: u64,
    /// Number of the next tick; 0 is at the start.
    next: u64,
    polls_left: Option<u64>,
}

impl Schedule {
    /// Its first tick is at `elapsed`, the others on the grid; `polls_max` ends the schedule after so many polls.
    pub(crate) fn new(interval: Duration, elapsed: Duration, polls_max: Option<u64>) -> Self {
        let interval_ns = nanos(interval).max(1);
        Self { interval_ns, next: nanos(elapsed) / interval_ns, polls_left: polls_max }
    }

    /// When the next tick is due, if there is one.
    pub(crate) fn due(&self) -> Option<Duration> {
        if self.polls_left == Some(0) {
            return None;
        }
        Some(Duration::from_nanos(self.next.saturating_mul(self.interval_ns)))
    }

    /// Takes the tick that is due at `elapsed`, if one is. Gives the number of ticks before it that are past as well.
    pub(crate) fn take(&mut self, elapsed: Duration) -> Option<u64> {
        if self.due()? > elapsed {
            return None;
        }
        let current = nanos(elapsed) / self.interval_ns;
        let late = current - self.next;
        self.next = current + 1;
        Some(late)
    }

    /// A poll has begun: one less is left.
    pub(crate) fn polled(&mut self) {
        if let Some(left) = &mut self.polls_left {
            *left = left.saturating_sub(1);
        }
    }

    /// Leaves out the ticks before `until`; gives their number.
    pub(crate) fn postpone(&mut self, until: Duration) -> u64 {
        let first = nanos(until).div_ceil(self.interval_ns);
        let skipped = first.saturating_sub(self.next);
        self.next += skipped;
        skipped
    }
}

/// 64 bits of nanoseconds are 584 years, and to divide by them takes no routine of the compiler's library.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_tick_is_at_once_and_the_grid_never_drifts() {
        let mut schedule = Schedule::new(ms(500), ms(0), None);
        assert_eq!(schedule.take(ms(0)), Some(0));
        assert_eq!(schedule.take(ms(0)), None);
        // Each wake-up comes a little late; the next tick is due on the grid all the same.
        for tick in 1..=1000 {
            assert_eq!(schedule.due(), Some(ms(tick * 500)));
            assert_eq!(schedule.take(ms(tick * 500 - 1)), None);
            assert_eq!(schedule.take(ms(tick * 500 + 499)), Some(0));
        }
    }

    #[test]
    fn ticks_that_were_slept_through_are_counted_not_piled_up() {
        let mut schedule = Schedule::new(ms(100), ms(0), None);
        assert_eq!(schedule.take(ms(1050)), Some(10));
        assert_eq!(schedule.due(), Some(ms(1100)));
        assert_eq!(schedule.take(ms(1050)), None);
    }

    #[test]
    fn readers_of_one_interval_fall_together_after_any_pause() {
        let mut slow = Schedule::new(ms(1000), ms(0), None);
        assert_eq!(slow.postpone(ms(10_400)), 11);
        assert_eq!(slow.due(), Some(ms(11_000)));
        assert_eq!(slow.postpone(ms(5_000)), 0);
        assert_eq!(slow.take(ms(11_001)), Some(0));
    }

    #[test]
    fn one_that_comes_later_begins_at_once_and_joins_the_grid() {
        let mut schedule = Schedule::new(ms(100), ms(1050), None);
        assert_eq!(schedule.take(ms(1050)), Some(0), "nothing was missed before it came");
        assert_eq!(schedule.due(), Some(ms(1100)));
    }

    #[test]
    fn a_schedule_may_end() {
        let mut schedule = Schedule::new(ms(100), ms(0), Some(2));
        assert_eq!(schedule.take(ms(0)), Some(0));
        schedule.polled();
        assert_eq!(schedule.take(ms(100)), Some(0));
        // The poll before is still under way: this tick does not count.
        assert_eq!(schedule.take(ms(200)), Some(0));
        schedule.polled();
        assert_eq!((schedule.due(), schedule.take(ms(300))), (None, None));
    }
}
