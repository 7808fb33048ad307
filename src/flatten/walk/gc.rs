//! Finds new garbage collections: the entries that have been added to Go's ring buffers `PauseNs` and `PauseEnd` since
//! the last document.
//!
//! The runtime writes the j-th collection (from 1) to entry `(j + 255) % 256` and adds its pause to `PauseTotalNs` (see
//! `runtime.MemStats`). So `NumGC` can be verified to the nanosecond: the new entries must add up to the growth of
//! `PauseTotalNs`. In this module, collections count from 0.

use crate::layout::convert::Conversion;
use std::ops::Range;

/// The number of entries in a ring buffer.
pub(crate) const RING: usize = 256;

/// The runtime counts collections in 32 bits (`runtime.MemStats.NumGC`).
const COUNT_WRAPS_AT: u64 = 1 << 32;

/// The two running totals of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(super) collections: u64,
    pub(super) pause_ns: u64,
}

/// What is new since the last document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fresh {
    /// The numbers of the new collections that the ring buffers still contain, oldest first.
    pub(super) collections: Range<u64>,
    /// How many new collections have been overwritten before they were seen.
    pub(super) missed: u64,
    /// Whether the target has restarted.
    pub(super) restarted: bool,
    /// Whether the totals contradict each other or the ring buffer. Nothing is known to be new then.
    pub(super) doubtful: bool,
}

/// What the walk has found about garbage collections so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Pauses {
    pub(super) pause_ns: Option<Ring>,
    pub(super) pause_end: Option<Ring>,
    pub(super) collections: Option<u64>,
    pub(super) pause_total_ns: Option<u64>,
}

/// A ring buffer: an array of [`RING`] scalars. It is written at the end of the walk, when the totals are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ring {
    /// The token of its opening bracket.
    pub(super) token: usize,
    /// Where in the output its text has to be inserted; none if it is not shipped.
    pub(super) hole: Option<usize>,
    pub(super) conversion: Conversion,
}

/// The entry of the ring buffer that the collection `number` is written to.
pub(crate) fn entry(number: u64) -> usize {
    // A ring buffer has 256 entries, so this is the low byte.
    usize::from(number.to_le_bytes()[0])
}

/// Compares the totals with those of the last document. `pause` gives an entry of `PauseNs`.
pub(super) fn fresh(before: Option<Totals>, now: Totals, pause: impl Fn(usize) -> u64) -> Fresh {
    let nothing = |doubtful| Fresh { collections: 0..0, missed: 0, restarted: false, doubtful };
    let Some(before) = before else { return nothing(false) };
    // Never for more collections than the ring buffer has entries, as the totals of a payload may be any numbers.
    let sum_of = |numbers: Range<u64>| numbers.map(|n| u128::from(pause(entry(n)))).sum::<u128>();
    let since = |first: u64, end: u64, restarted| {
        let kept = first.max(end.saturating_sub(RING as u64));
        Fresh { collections: kept..end, missed: kept - first, restarted, doubtful: false }
    };
    let end = now.collections + if has_wrapped(before, now) { COUNT_WRAPS_AT } else { 0 };
    let fell = end < before.collections || now.pause_ns < before.pause_ns;
    // A closure, because it may add up a whole ring buffer, and mostly is not needed.
    let since_its_start = || now.collections <= RING as u64 && sum_of(0..now.collections) == u128::from(now.pause_ns);
    if !fell {
        let new = end - before.collections;
        // Too many new collections to add up: believe the count, unless it has wrapped and a restart explains it
        // better.
        let goes_on = new > RING as u64 && (end == now.collections || !since_its_start());
        if goes_on
            || (new <= RING as u64 && sum_of(before.collections..end) == u128::from(now.pause_ns - before.pause_ns))
        {
            return since(before.collections, end, false);
        }
    }
    if fell || since_its_start() { since(0, now.collections, true) } else { nothing(true) }
}

/// Whether the count of collections has become smaller because it has exceeded 32 bits: the sum of pauses has not
/// become smaller, and counted that way fewer than half of all possible collections are new.
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
        // A new process whose pauses add up, or are fewer; and one that would have made two billion collections
        // meanwhile.
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
