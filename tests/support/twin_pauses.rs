//! The twin's rings of pauses of the garbage collector, and restarts of the program.

use super::strict_json::Json;
use super::{GcPauses, Reader};

impl Reader {
    /// Replaces the rings of pauses by the pauses to ship. Returns true if the program was restarted. Of several members with the
    /// same name, the first one that has the right form counts.
    pub(super) fn mend_pauses(&mut self, root: &mut [(String, Json)]) -> bool {
        if self.options.gc_pauses == GcPauses::Off {
            memstats(root).for_each(|members| members.retain(|(key, _)| key != "PauseNs" && key != "PauseEnd"));
            return false;
        }
        let mut count = |name| memstats_values(root, name).find_map(|value| value.as_u64());
        let (Some(n1), Some(t1)) = (count("NumGC"), count("PauseTotalNs")) else { return false };
        let before = self.collections.replace((n1, t1));
        let Some(pauses) = memstats_values(root, "PauseNs").find_map(|value| ring(value).cloned()) else {
            return false;
        };
        let slot = |collection: u64| usize::try_from(collection % 256).expect("small");
        // Collections are numbered from 0 here. Entries that are not integers are ignored.
        let add_up = |from: u64, end: u64, total: u64| {
            let sum = (from..end).map(|at| u128::from(pauses[slot(at)].as_u64().unwrap_or_default())).sum::<u128>();
            sum == u128::from(total)
        };
        let is_new = n1 <= 256 && add_up(0, n1, t1);
        // The runtime counts in 32 bits.
        let full = 1 << 32;
        let goes_on = |n0: u64, t0: u64| n1 < n0 && n0 < full && t1 >= t0 && n1 + full - n0 < full / 2;
        let (from, end, restarted) = match before {
            Some((n0, t0)) if n1 >= n0 && t1 >= t0 && (n1 - n0 > 256 || add_up(n0, n1, t1 - t0)) => (n0, n1, false),
            Some((n0, t0)) if goes_on(n0, t0) && n1 + full - n0 > 256 && !is_new => (n0, n1 + full, false),
            Some((n0, t0)) if goes_on(n0, t0) && n1 + full - n0 <= 256 && add_up(n0, n1 + full, t1 - t0) => {
                (n0, n1 + full, false)
            }
            Some((n0, t0)) if (n1 < n0 && !goes_on(n0, t0)) || t1 < t0 || is_new => (0, n1, true),
            // In the first payload there is nothing to compare with. Otherwise the counts are contradictory.
            None | Some(_) => (n1, n1, false),
        };
        if self.options.gc_pauses == GcPauses::All {
            return false;
        }
        for name in ["PauseNs", "PauseEnd"] {
            if let Some(ring) = memstats_values(root, name).find_map(ring) {
                let new = (from.max(end.saturating_sub(256))..end).map(|at| ring[slot(at)].clone());
                *ring = new.filter(|entry| entry.as_u64().is_some()).collect();
            }
        }
        restarted
    }
}

/// The members of each object of this name at the root.
fn memstats(root: &mut [(String, Json)]) -> impl Iterator<Item = &mut Vec<(String, Json)>> {
    root.iter_mut().filter_map(|member| match member {
        (key, Json::Object(members)) if key == "memstats" => Some(members),
        _ => None,
    })
}

fn memstats_values<'r>(root: &'r mut [(String, Json)], name: &'static str) -> impl Iterator<Item = &'r mut Json> {
    memstats(root).flatten().filter(move |(key, _)| key == name).map(|(_, value)| value)
}

/// An array of 256 values that are neither arrays nor objects.
fn ring(value: &mut Json) -> Option<&mut Vec<Json>> {
    let Json::Array(ring) = value else { return None };
    let scalars = ring.iter().all(|scalar| !matches!(scalar, Json::Array(_) | Json::Object(_)));
    (scalars && ring.len() == 256).then_some(ring)
}
