//! How long to wait after a failure: pure functions of the number of failures in a row and of a random draw.

use crate::limits;
use std::time::Duration;

/// The pause before the next try after `failures` in a row (1 or more), while the server does not count as down:
/// doubling, with the upper half of each pause drawn at random so that many shippers do not come back at once.
pub(crate) fn retry_delay(failures: u64, random: &mut fastrand::Rng) -> Duration {
    doubling(failures, limits::RETRY_DELAY_MAX, random)
}

/// How long one of several hosts rests after `failures` in a row, while the others do its work.
pub(crate) fn rest_delay(failures: u64, random: &mut fastrand::Rng) -> Duration {
    doubling(failures, limits::HOST_REST_MAX, random)
}

/// The pause between two probes of something that counts as down.
pub(crate) fn probe_delay(random: &mut fastrand::Rng) -> Duration {
    jittered(limits::PROBE_INTERVAL, 0.75, 1.25, random)
}

fn doubling(failures: u64, most: Duration, random: &mut fastrand::Rng) -> Duration {
    let doubled = limits::RETRY_DELAY_MIN.saturating_mul(1 << failures.saturating_sub(1).min(20));
    jittered(doubled.min(most), 0.5, 1.0, random)
}

fn jittered(delay: Duration, least: f64, most: f64, random: &mut fastrand::Rng) -> Duration {
    delay.mul_f64(least + (most - least) * random.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_are_never_equal() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut longest = limits::RETRY_DELAY_MIN;
        for failures in 1..=40 {
            let delays: Vec<Duration> = (0..50).map(|_| retry_delay(failures, &mut random)).collect();
            assert!(delays.iter().all(|delay| *delay >= longest / 2 && *delay <= longest), "{failures}: {longest:?}");
            assert!(delays.windows(2).any(|pair| pair[0] != pair[1]));
            longest = (longest * 2).min(limits::RETRY_DELAY_MAX);
        }
    }

    #[test]
    fn probes_come_at_the_slow_pace() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..1000 {
            let delay = probe_delay(&mut random);
            assert!(delay >= limits::PROBE_INTERVAL.mul_f64(0.75) && delay <= limits::PROBE_INTERVAL.mul_f64(1.25));
        }
    }
}
