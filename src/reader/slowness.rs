//! When to log that an endpoint is slower than its interval: once, and not if the machine was only busy for a moment.
//! Pure.

use crate::limits;
use std::time::Duration;

/// How slow an endpoint has been lately.
#[derive(Debug, Default)]
pub(super) struct Slowness {
    /// Polls in a row that took longer than the interval.
    polls: u32,
    /// How long these polls took together.
    time: Duration,
    was_logged: bool,
}

impl Slowness {
    /// Records how long a poll took. True if that should be logged now.
    pub(super) fn is_to_be_logged(&mut self, time: Duration, interval: Duration) -> bool {
        if time <= interval {
            (self.polls, self.time) = (0, Duration::ZERO);
            return false;
        }
        self.polls = self.polls.saturating_add(1);
        self.time = self.time.saturating_add(time);
        let lasts = self.polls >= limits::SLOW_POLLS_MIN && self.time >= limits::SLOW_TIME_MIN;
        lasts && !std::mem::replace(&mut self.was_logged, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the polls, each of which took so many milliseconds, are told of.
    fn told(interval_ms: u64, polls_ms: &[u64]) -> Vec<usize> {
        let mut slowness = Slowness::default();
        let interval = Duration::from_millis(interval_ms);
        let mut is_told = |ms: &u64| slowness.is_to_be_logged(Duration::from_millis(*ms), interval);
        (0..polls_ms.len()).filter(|&at| is_told(&polls_ms[at])).collect()
    }

    #[test]
    fn what_is_slow_for_long_is_told_once() {
        assert_eq!(told(1000, &[1500; 100]), [3]);
        assert_eq!(told(100, &[300; 100]), [16]);
        assert_eq!(told(20, &[50; 300]), [99]);
    }

    #[test]
    fn a_moment_is_no_reason() {
        assert_eq!(told(1000, &[1000; 100]), Vec::<usize>::new());
        assert_eq!(told(1000, &[4000, 4000, 10, 4000, 4000, 10].repeat(10)), Vec::<usize>::new());
        assert_eq!(told(20, &[[1500, 1500, 1500].as_slice(), &[5; 100]].concat()), Vec::<usize>::new());
    }
}
