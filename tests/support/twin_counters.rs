//! The naive twin's counters: how they are recognised from one payload to the next, and their rates.

use super::strict_json::Json;
use std::collections::HashMap;
use std::time::Duration;

/// The change per second between two numbers, which are given as text.
pub(crate) fn rate(before: &str, now: &str, pause_ns: u64) -> Option<f64> {
    let integer = |text: &str| {
        let number: i128 = text.parse().ok()?;
        (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number).then_some(number)
    };
    let double = |text: &str| text.parse::<f64>().expect("a number");
    #[allow(clippy::cast_precision_loss, reason = "a rate is a double")]
    let change = match (integer(before), integer(now)) {
        (Some(before), Some(now)) => (now - before) as f64,
        _ => double(now) - double(before),
    };
    let rate = change / Duration::from_nanos(pause_ns).as_secs_f64();
    match change {
        _ if pause_ns == 0 || change < 0.0 || !rate.is_finite() => None,
        0.0 => Some(0.0),
        _ => Some(rate),
    }
}

/// A counter: its raw name, and for itself and each object around it that shares its name with others, the position among these
/// and their number.
pub(crate) type Counter = (String, Vec<(String, usize, usize)>);

/// For each raw name in a payload, the number of members that have it.
pub(crate) type Namesakes = HashMap<String, usize>;

pub(crate) fn count_namesakes(around: &str, members: &[(String, Json)], counts: &mut Namesakes) {
    for (key, value) in members {
        let raw = format!("{around}{key}");
        if let Json::Object(members) = value {
            count_namesakes(&format!("{raw}."), members, counts);
        }
        *counts.entry(raw).or_default() += 1;
    }
}

/// The counters of all members but objects and arrays of objects, in their order.
pub(crate) fn counters(
    around: &Counter,
    members: &[(String, Json)],
    all: &Namesakes,
    seen: &mut Namesakes,
) -> Vec<Counter> {
    let mut found = Vec::new();
    for (key, value) in members {
        let (prefix, mut places) = around.clone();
        let raw = format!("{prefix}{key}");
        let place = *seen.entry(raw.clone()).and_modify(|count| *count += 1).or_insert(1);
        if all[&raw] > 1 {
            places.push((raw.clone(), place, all[&raw]));
        }
        match value {
            Json::Object(members) => found.extend(counters(&(format!("{raw}."), places), members, all, seen)),
            // Its columns are not counters, whatever their names are.
            Json::Array(_) if value.has_object() => {}
            _ => found.push((raw, places)),
        }
    }
    found
}
