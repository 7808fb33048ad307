//! New garbage collections: which entries of Go's ring buffers `PauseNs` and `PauseEnd` came since the last document.
//!
//! The runtime writes the j-th collection (from 1) to entry `(j + 255) % 256` and adds its pause to `PauseTotalNs`
//! (`runtime.MemStats`), so what `NumGC` says can be checked to the nanosecond. Collections count from 0 here.

use crate::layout::convert::Conversion;
use std::ops::Range;

/// Entries of a ring.
pub(crate) const RING: usize = 256;

/// The runtime counts collections in 32 bits (`runtime.MemStats.NumGC`).
const COUNT_WRAPS_AT: u64 = 1 << 32;

/// The two running totals of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(super) collections: u64,
    pub(super) pause_ns: u64,
}

/// What is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fresh {
    /// Numbers of the collections whose entries are new and still there, oldest first.
    pub(super) collections: Range<u64>,
    /// Collections that were overwritten before anyone saw them.
    pub(super) missed: u64,
    /// The target is another process than before.
    pub(super) restarted: bool,
    /// The totals contradict each other or the ring: nothing is known to be new.
    pub(super) doubtful: bool,
}

/// What has been met of the count of garbage collections.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Pauses {
    pub(super) pause_ns: Option<Ring>,
    pub(super) pause_end: Option<Ring>,
    pub(super) collections: Option<u64>,
    pub(super) pause_total_ns: Option<u64>,
}

/// An array of [`RING`] scalars, which is written when the totals are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ring {
    /// The token of its bracket.
    pub(super) token: usize,
    /// Where in `out` its text is missing; none if it is not shipped.
    pub(super) hole: Option<usize>,
    pub(super) conversion: Conversion,
}

/// Entry of the ring that the collection `number` was written to.
pub(crate) fn entry(number: u64) -> usize {
    // The low byte: a ring has 256 entries.
    usize::from(number.to_le_bytes()[0])
}

/// Compares with the last document; `pause` gives an entry of `PauseNs`.
pub(super) fn fresh(before: Option<Totals>, now: Totals, pause: impl Fn(usize) -> u64) -> Fresh {
    let nothing = |doubtful| Fresh { collections: 0..0, missed: 0, restarted: false, doubtful };
    let Some(before) = before else { return nothing(false) };
    // Of no more collections than a ring has entries: what a target says of itself may be anything.
    let sum_of = |numbers: Range<u64>| numbers.map(|n| u128::from(pause(entry(n)))).sum::<u128>();
    let since = |first: u64, end: u64, restarted| {
        let kept = first.max(end.saturating_sub(RING as u64));
        Fresh { collections: kept..end, missed: kept - first, restarted, doubtful: false }
    };
    let end = now.collections + if has_wrapped(before, now) { COUNT_WRAPS_AT } else { 0 };
    let fell = end < before.collections || now.pause_ns < before.pause_ns;
    // Asked only where it matters: it adds up to a whole ring.
    let since_its_start = || now.collections <= RING as u64 && sum_of(0..now.collections) == u128::from(now.pause_ns);
    if !fell {
        let new = end - before.collections;
        // Too many to be added up: the count goes on, unless it fell and is explained by a new process.
        let goes_on = new > RING as u64 && (end == now.collections || !since_its_start());
        if goes_on
            || (new <= RING as u64 && sum_of(before.collections..end) == u128::from(now.pause_ns - before.pause_ns))
        {
            return since(before.collections, end, false);
        }
    }
    if fell || since_its_start() { since(0, now.collections, true) } else { nothing(true) }
}

/// Whether the count of collections fell because 32 bits are full: the pauses have gone on, and it is not further ahead than
/// behind.
fn has_wrapped(before: Totals, now: Totals) -> bool {
    now.collections < before.collections
        && before.collections < COUNT_WRAPS_AT
        && now.pause_ns >= before.pause_ns
        && now.collections + COUNT_WRAPS_AT - before.collections < COUNT_WRAPS_AT / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target that pauses n µs in its n-th collection, from 1.
    fn totals(collections: u64) -> Totals {
        Totals { collections, pause_ns: (1..=collections).map(|n| n * 1000).sum() }
    }

    fn ring_of(collections: u64) -> impl Fn(usize) -> u64 {
        move |at| (0..collections).rev().find(|&n| entry(n) == at).map_or(0, |n| (n + 1) * 1000)
    }

    fn seen(before: Option<u64>, now: u64) -> (Vec<u64>, u64, bool, bool) {
        let fresh = fresh(before.map(totals), totals(now), ring_of(now));
        (fresh.collections.collect(), fresh.missed, fresh.restarted, fresh.doubtful)
    }

    #[test]
    fn the_new_ones_come_in_order() {
        assert_eq!(seen(None, 7), (vec![], 0, false, false));
        assert_eq!(seen(Some(7), 7), (vec![], 0, false, false));
        assert_eq!(seen(Some(7), 10), (vec![7, 8, 9], 0, false, false));
        assert_eq!(seen(Some(254), 258), (vec![254, 255, 256, 257], 0, false, false));
        assert_eq!(seen(Some(0), 256), ((0..256).collect(), 0, false, false));
        assert_eq!(seen(Some(10), 400), ((144..400).collect(), 134, false, false));
        assert_eq!((entry(0), entry(255), entry(256)), (0, 255, 0));
    }

    #[test]
    fn a_restart_is_seen_by_the_fall_or_by_the_sum() {
        assert_eq!(seen(Some(50), 3), (vec![0, 1, 2], 0, true, false));
        assert_eq!(seen(Some(50), 0), (vec![], 0, true, false));
        // The new process has made more collections than the old one had.
        let before = Totals { collections: 2, pause_ns: 77 };
        let fresh = fresh(Some(before), totals(5), ring_of(5));
        assert_eq!((fresh.collections, fresh.restarted), (0..5, true));
    }

    #[test]
    fn a_count_that_is_full_goes_on_from_zero() {
        let pauses = |total| move |at: usize| if total { 10 + at as u64 } else { 0 };
        let sum = |from: u64, to: u64| (from..to).map(|n| 10 + entry(n) as u64).sum::<u64>();
        let full = COUNT_WRAPS_AT;
        for (before, new, missed) in
            [(full - 3, 5, 0), (full - 1, 1, 0), (full - 256, 256, 0), (full - 100, 1_000, 744)]
        {
            let total = 1 << 50;
            let now = Totals { collections: before + new - full, pause_ns: total + sum(before, before + new) };
            let fresh = fresh(Some(Totals { collections: before, pause_ns: total }), now, pauses(true));
            assert_eq!(fresh.collections, before + missed..before + new, "{before} and {new}");
            assert_eq!((fresh.missed, fresh.restarted, fresh.doubtful), (missed, false, false));
        }
        // A new process whose pauses add up, or are fewer; and one that would have made two billion collections meanwhile.
        let restarted = |before: u64, pause_ns: u64, collections: u64, total: u64| {
            let now = Totals { collections, pause_ns: total };
            fresh(Some(Totals { collections: before, pause_ns }), now, pauses(true)).restarted
        };
        assert!(restarted(full - 3, 7, 200, sum(0, 200)) && restarted(full - 3, 7, 300, 6));
        assert!(restarted(1_000, 7, 500, 1 << 40));
        // What counts further than the runtime can has not wrapped.
        assert!(restarted(full + 3, 7, 2, 1 << 40));
    }

    #[test]
    fn a_target_that_says_the_most_possible_costs_no_more_than_others() {
        let most = Totals { collections: u64::MAX, pause_ns: u64::MAX };
        let before = |collections| Some(Totals { collections, pause_ns: u64::MAX });
        for (before, new) in [(before(u64::MAX), 0), (before(u64::MAX - 1), 1), (before(0), 256), (None, 0)] {
            let looked_at = std::cell::Cell::new(0);
            let count = |_| {
                looked_at.set(looked_at.get() + 1);
                0
            };
            let fresh = fresh(before, most, count);
            assert_eq!((fresh.collections.count(), fresh.doubtful), (new, false), "{before:?}");
            assert!(looked_at.get() <= RING);
        }
    }

    #[test]
    fn totals_that_contradict_each_other_give_nothing() {
        let now = Totals { collections: 12, pause_ns: 1 << 40 };
        let doubtful = fresh(Some(totals(10)), now, ring_of(12));
        assert!(doubtful.doubtful && doubtful.collections.is_empty() && !doubtful.restarted);
        // Two pauses that would sum to nothing in 64 bits.
        let still = Totals { collections: 12, ..totals(10) };
        assert!(fresh(Some(totals(10)), still, |_| 1 << 63).doubtful);
    }
}
