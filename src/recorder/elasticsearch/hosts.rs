//! Which of a cluster's hosts gets the next bulk. Pure: time and randomness are arguments.
//!
//! Healthy hosts get bulks in turn. A host that fails rests, each time longer, and always for a few times as long as the
//! failure delayed documents. Once it has answered a probe it gets bulks again, but its next rest is short again only
//! after it has accepted one. A resting host is not tried, unless all hosts rest: then the recorder's own back-off
//! decides when.

use crate::backoff;
use crate::limits;
use crate::sort::sorted;
use std::time::{Duration, Instant};

/// The hosts of one cluster, identified by their indices in the configured list.
#[derive(Debug)]
pub(super) struct Hosts {
    list: Vec<Host>,
    /// The host that gets the next bulk, if it is healthy.
    next: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Host {
    /// Failures since it last accepted a bulk.
    failures: u64,
    rest: Option<Rest>,
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    /// The end of the pause that the host itself asked for (`Retry-After`), if it did.
    asked_until: Instant,
}

/// What determines the length of a rest after a failure.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Failure {
    /// How long documents waited for the host in vain.
    pub(super) cost: Duration,
    /// The host asked for this pause.
    pub(super) asked: Option<Duration>,
    /// A person has to fix the cause, so there is no use in trying again soon.
    pub(super) slow: bool,
}

impl Hosts {
    /// All hosts are healthy at first. The first one is chosen at random, so that many processes with the same list do not
    /// all begin with the same host.
    pub(super) fn new(count: usize, random: &mut fastrand::Rng) -> Self {
        Self { list: vec![Host::default(); count], next: random.usize(..count.max(1)) }
    }

    /// The hosts to try with a bulk, in order. These are the healthy ones. If there are none, they are the hosts that did
    /// not ask for a pause, ordered by the end of their rest. If all have asked for one, it is the host whose pause ends
    /// first.
    pub(super) fn candidates(&mut self, now: Instant) -> Vec<usize> {
        let count = self.list.len();
        let mut found: Vec<usize> =
            (0..count).map(|step| (self.next + step) % count).filter(|&at| self.list[at].rest.is_none()).collect();
        if let Some(first) = found.first() {
            self.next = (first + 1) % count;
            return found;
        }
        let key_of = |(at, host): (usize, &Host)| host.rest.map(|rest| (rest.asked_until.max(now), rest.until, at));
        let resting = sorted(self.list.iter().enumerate().filter_map(key_of).collect());
        let free = resting.iter().filter(|(asked_until, _, _)| *asked_until <= now).count().max(1);
        found.extend(resting.iter().take(free).map(|(_, _, at)| *at));
        found
    }

    /// Records a failure, and returns the end of the host's rest, when it is to be probed.
    pub(super) fn failed(&mut self, at: usize, failure: Failure, now: Instant, random: &mut fastrand::Rng) -> Instant {
        let host = &mut self.list[at];
        host.failures += 1;
        let grown = backoff::rest_delay(host.failures, random);
        let own = if failure.slow { grown.max(backoff::probe_delay(random)) } else { grown };
        let own = own.max(failure.cost.saturating_mul(limits::REST_PER_COST));
        let asked = failure.asked.unwrap_or_default();
        let rest = Rest { until: now + own.max(asked), asked_until: now + asked };
        host.rest = Some(rest);
        rest.until
    }

    /// Records that the host has accepted a bulk. Returns whether it had failed since the last one.
    pub(super) fn worked(&mut self, at: usize) -> bool {
        let before = std::mem::take(&mut self.list[at]);
        before.failures > 0
    }

    /// Records that the host has answered a probe, so that it gets bulks again.
    pub(super) fn returned(&mut self, at: usize) {
        self.list[at].rest = None;
    }

    /// The shortest of the pauses that the hosts have asked for. None if there is a host that has not asked for one.
    pub(super) fn asked_pause(&self, now: Instant) -> Option<Duration> {
        let asked = |host: &Host| host.rest.map(|rest| rest.asked_until.saturating_duration_since(now));
        let pauses = self.list.iter().map(|host| asked(host).unwrap_or_default());
        pauses.min().filter(|pause| !pause.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> (Instant, fastrand::Rng) {
        #[allow(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        (now, fastrand::Rng::with_seed(7))
    }

    #[test]
    fn bulks_go_round_the_healthy_hosts() {
        let (now, mut random) = start();
        let mut hosts = Hosts::new(3, &mut random);
        let mut taken = [0; 3];
        for _ in 0..30 {
            taken[hosts.candidates(now)[0]] += 1;
        }
        assert_eq!(taken, [10, 10, 10]);
        hosts.failed(1, Failure::default(), now, &mut random);
        let mut taken = [0; 3];
        for _ in 0..30 {
            let candidates = hosts.candidates(now);
            assert_eq!(candidates.len(), 2, "{candidates:?}");
            taken[candidates[0]] += 1;
        }
        assert_eq!(taken, [15, 0, 15]);
        hosts.returned(1);
        let firsts: Vec<usize> = (0..3).map(|_| hosts.candidates(now)[0]).collect();
        assert!(firsts.contains(&1), "{firsts:?}");
    }

    #[test]
    fn shippers_do_not_all_begin_with_the_same_host() {
        let (now, mut random) = start();
        let firsts: std::collections::BTreeSet<usize> =
            (0..50).map(|_| Hosts::new(3, &mut random).candidates(now)[0]).collect();
        assert_eq!(firsts.len(), 3);
    }

    #[test]
    fn rests_grow_until_a_bulk_is_taken() {
        let (now, mut random) = start();
        let mut hosts = Hosts::new(2, &mut random);
        let mut longest = limits::RETRY_DELAY_MIN;
        for round in 0..20 {
            let rest = hosts.failed(0, Failure::default(), now, &mut random) - now;
            assert!(rest >= longest / 2 && rest <= longest, "{round}: {rest:?}");
            // An answer to a probe alone does not make the next rest short.
            hosts.returned(0);
            longest = (longest * 2).min(limits::HOST_REST_MAX);
        }
        assert!(hosts.worked(0), "it had failed");
        assert!(!hosts.worked(0));
        assert!(hosts.failed(0, Failure::default(), now, &mut random) - now <= limits::RETRY_DELAY_MIN);
    }

    #[test]
    fn a_rest_is_worth_what_the_failure_cost() {
        let (now, mut random) = start();
        let mut hosts = Hosts::new(2, &mut random);
        let cost = Duration::from_secs(30);
        let rest = hosts.failed(0, Failure { cost, ..Failure::default() }, now, &mut random) - now;
        assert_eq!(rest, cost * limits::REST_PER_COST);
        let slow = hosts.failed(1, Failure { slow: true, ..Failure::default() }, now, &mut random) - now;
        assert!(slow >= limits::PROBE_INTERVAL.mul_f64(0.75), "{slow:?}");
        let asked = Duration::from_secs(200);
        let failure = Failure { asked: Some(asked), ..Failure::default() };
        assert_eq!(hosts.failed(1, failure, now, &mut random) - now, asked);
    }

    #[test]
    fn when_all_rest_those_that_asked_for_it_are_left_alone() {
        let (now, mut random) = start();
        let mut hosts = Hosts::new(3, &mut random);
        let asked = |seconds| Failure { asked: Some(Duration::from_secs(seconds)), ..Failure::default() };
        hosts.failed(0, asked(9), now, &mut random);
        hosts.failed(1, Failure { cost: Duration::from_secs(1), ..Failure::default() }, now, &mut random);
        hosts.failed(2, Failure::default(), now, &mut random);
        assert_eq!(hosts.candidates(now), [2, 1]);
        assert_eq!(hosts.asked_pause(now), None);
        hosts.failed(1, asked(5), now, &mut random);
        hosts.failed(2, asked(7), now, &mut random);
        assert_eq!(hosts.asked_pause(now), Some(Duration::from_secs(5)));
        assert_eq!(hosts.candidates(now), [1], "whoever asks us to flush is obeyed");
        let later = now + Duration::from_secs(8);
        assert_eq!(hosts.candidates(later), [1, 2]);
        assert_eq!(hosts.asked_pause(later), None);
    }
}
