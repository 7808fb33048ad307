//! The change of counters per second, from one document of a reader to the next.
//!
//! The last value of a counter is remembered under a hash of its name in the payload and of its position among counters
//! with the same name, so it is still known when the layout changes. Invariant: what is remembered changes only when a
//! payload becomes a document, and then all of it does.

use super::by_hash::{ByHash, NoRoom};
use super::by_hash::{FNV_OFFSET, fnv};
use super::{Kind, Layout};
use crate::bytes::json;
use crate::limits::DEPTH_MAX;
use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use std::time::Duration;

/// A number in a payload, exact if it is an integer of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Whole(u64),
    Negative(i64),
    /// It has a fraction or an exponent, or does not fit into 64 bits.
    Double(f64),
}

/// The value of one counter in the last document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    key: u64,
    /// None if it was not shipped, or not a number.
    number: Option<Number>,
}

/// What is remembered about the counters of the last document.
#[derive(Debug, Default)]
pub(crate) struct LastValues {
    /// First the counters of the layout, in its order. Until that layout has given a document, those that it does not
    /// have follow.
    samples: Vec<Sample>,
    /// When its payload was polled; none if there has been no document.
    polled: Option<Duration>,
}

/// The counters of the current payload, which follows the layout.
pub(crate) struct Rates<'r> {
    before: &'r [Sample],
    now: &'r mut Vec<Option<Number>>,
    /// Time since the last document; none if no rate is to be shipped.
    seconds: Option<f64>,
    /// How many counters the walk has passed.
    pub(crate) passed: usize,
}

impl Number {
    /// The number that is written as `text` in the payload.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let whole = text.parse().map(Self::Whole).ok();
        whole.or_else(|| text.parse().map(Self::Negative).ok()).or_else(|| text.parse().map(Self::Double).ok())
    }

    fn integer(self) -> Option<i128> {
        match self {
            Self::Whole(number) => Some(number.into()),
            Self::Negative(number) => Some(number.into()),
            Self::Double(_) => None,
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate is a double")]
    fn double(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Negative(number) => number as f64,
            Self::Double(number) => number,
        }
    }

    /// The change per second since `before`, which was `seconds` ago. None if the number has become smaller, or if a
    /// double cannot hold the rate.
    #[allow(clippy::cast_precision_loss, reason = "a rate is a double")]
    fn per_second(self, before: Self, seconds: f64) -> Option<f64> {
        let change = match (self.integer(), before.integer()) {
            (Some(now), Some(before)) => (now - before) as f64,
            _ => self.double() - before.double(),
        };
        let rate = change / seconds;
        // No change may be a negative zero.
        (change >= 0.0 && rate.is_finite()).then_some(rate.abs())
    }
}

impl LastValues {
    /// Seconds from the last document to a poll at `polled`. None if there has been no document, or no time has passed.
    pub(crate) fn seconds_until(&self, polled: Duration) -> Option<f64> {
        let passed = polled.checked_sub(self.polled?)?;
        (!passed.is_zero()).then_some(passed.as_secs_f64())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The rates of a payload that has `counters` counters, in the order of the last [`Self::align`]. `seconds` is the
    /// time since the last document; none if no rate is to be shipped. `now` is a buffer.
    pub(crate) fn for_payload<'r>(
        &'r self,
        counters: usize,
        seconds: Option<f64>,
        now: &'r mut Vec<Option<Number>>,
    ) -> Rates<'r> {
        now.clear();
        now.resize(counters, None);
        Rates { before: &self.samples, now, seconds, passed: 0 }
    }

    /// The layout has changed, and has these counters now. What is remembered stays the same, in another order.
    pub(crate) fn align(&mut self, counters: &[u64], arena: &Bump, spare: &mut Vec<Sample>) -> Result<(), NoRoom> {
        spare.clear();
        spare.extend(self.samples.iter().filter(|sample| sample.number.is_some()));
        // Places count from 1: the table gives 0 for what it does not contain.
        let mut places = ByHash::<usize>::new(spare.len(), arena)?;
        for (place, sample) in (1..).zip(spare.iter()) {
            *places.get_mut(sample.key)? = place;
        }
        self.samples.clear();
        for &key in counters {
            let sample = places.get(key).checked_sub(1).and_then(|place| spare.get_mut(place));
            self.samples.push(Sample { key, number: sample.and_then(|sample| sample.number.take()) });
        }
        self.samples.extend(spare.iter().filter(|sample| sample.number.is_some()));
        Ok(())
    }

    /// The payload that was polled at `polled` has become a document: its counters are remembered.
    pub(crate) fn commit(&mut self, counters: &[u64], now: &[Option<Number>], polled: Duration) {
        self.polled = Some(polled);
        self.samples.clear();
        self.samples.extend(counters.iter().zip(now).map(|(&key, &number)| Sample { key, number }));
    }
}

/// Whether a walk has written rates that mean nothing, and has to be repeated without them: the target has restarted,
/// so its counters have begun anew. That is known only at the end of the payload.
pub(crate) fn are_void(has_restarted: bool, layout: &Layout) -> bool {
    has_restarted && !layout.counters.is_empty()
}

impl Rates<'_> {
    /// The value of the counter that was passed last is `number`. Appends `name` and its rate; false if there is none.
    pub(crate) fn add(&mut self, number: Number, name: &[u8], out: &mut Vec<u8>) -> bool {
        let place = self.passed - 1;
        self.now[place] = Some(number);
        let before = self.before.get(place).and_then(|sample| sample.number);
        let rate = before.zip(self.seconds).and_then(|(before, seconds)| number.per_second(before, seconds));
        let Some(rate) = rate else { return false };
        out.extend_from_slice(name);
        json::write_double(out, rate);
        true
    }
}

/// How many members with one name there are, and how many of them have been passed.
#[derive(Debug, Default, Clone, Copy)]
struct Namesakes {
    all: u32,
    passed: u32,
}

/// Turns each counter's hash, which is that of its name, into one that identifies the counter. If other members have
/// the same name, it also depends on how many there are and how many come before it; likewise for each object that the
/// counter is in. So if one of two equal names disappears, the other one is not mistaken for it. `members` are the
/// hashes of all members' names.
pub(crate) fn tell_apart(layout: &mut Layout, members: &[u64], arena: &Bump) -> Result<(), NoRoom> {
    let Layout { nodes, counters, .. } = layout;
    if counters.is_empty() {
        return Ok(());
    }
    let mut namesakes = ByHash::<Namesakes>::new(members.len(), arena)?;
    for &member in members {
        namesakes.get_mut(member)?.all += 1;
    }
    let mut around = ArenaVec::new_in(arena);
    around.try_reserve(DEPTH_MAX + 1).map_err(|_| NoRoom)?;
    let mut members = members.iter();
    let mut counters = counters.iter_mut();
    let (mut place, mut in_columns) = (FNV_OFFSET, false);
    // Those of the last member.
    let (mut name, mut own_place) = (0, FNV_OFFSET);
    for node in nodes.iter() {
        match node.kind {
            Kind::End => {
                place = around.pop().unwrap_or(FNV_OFFSET);
                in_columns = false;
                continue;
            }
            Kind::Rate => {
                if let Some(counter) = counters.next() {
                    *counter = fnv(name, &own_place.to_le_bytes());
                }
                continue;
            }
            // The columns of an array are not members of the payload.
            _ if in_columns => continue,
            _ => {}
        }
        name = members.next().copied().unwrap_or_default();
        let namesakes = namesakes.get_mut(name)?;
        own_place = namesakes.place_within(place, name);
        if matches!(node.kind, Kind::Object | Kind::Columns) {
            around.push(place);
            place = own_place;
            in_columns = node.kind == Kind::Columns;
        }
    }
    Ok(())
}

impl Namesakes {
    /// A hash for the place of the next of these members, which is in an object with the place `place`.
    fn place_within(&mut self, place: u64, name: u64) -> u64 {
        self.passed += 1;
        if self.all == 1 {
            return place;
        }
        [name, self.passed.into(), self.all.into()].iter().fold(place, |place, part| fnv(place, &part.to_le_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(before: &str, now: &str, seconds: f64) -> Option<f64> {
        let number = |text: &str| Number::of(text.as_bytes()).unwrap();
        number(now).per_second(number(before), seconds)
    }

    #[test]
    fn integers_are_subtracted_exactly() {
        for (before, now, seconds, expected) in [
            ("0", "5", 1.0, 5.0),
            ("5", "5", 0.5, 0.0),
            ("9007199254740993", "9007199254740994", 1.0, 1.0),
            ("18446744073709551614", "18446744073709551615", 2.0, 0.5),
            ("-9223372036854775808", "18446744073709551615", 1.0, 27_670_116_110_564_327_423.0),
            ("-0", "0", 1.0, 0.0),
            ("0.0", "-0.0", 1.0, 0.0),
            ("1.5", "2", 0.25, 2.0),
            ("1e2", "101", 1.0, 1.0),
            ("18446744073709551616", "18446744073709551616", 1.0, 0.0),
            ("5e-324", "1e-323", 1.0, 5e-324),
        ] {
            assert_eq!(rate(before, now, seconds).map(f64::to_bits), Some(f64::to_bits(expected)), "{before} {now}");
        }
        for (before, now, seconds) in [
            ("5", "4", 1.0),
            ("0", "-1", 1.0),
            ("1.5", "1.25", 1.0),
            ("-1.7e308", "1.7e308", 1.0),
            ("0", "1e308", 0.001),
        ] {
            assert_eq!(rate(before, now, seconds), None, "{before} {now}");
        }
    }

    #[test]
    fn a_rate_reads_back_as_the_same_double() {
        let mut random = 1_u64;
        for _ in 0..100_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(random >> 1);
            if !value.is_finite() {
                continue;
            }
            let (mut now, mut out) = (vec![None], Vec::new());
            let before = [Sample { key: 0, number: Some(Number::Whole(0)) }];
            let mut rates = Rates { before: &before, now: &mut now, seconds: Some(1.0), passed: 1 };
            assert!(rates.add(Number::Double(value), b"", &mut out));
            assert!(serde_json::from_slice::<f64>(&out).is_ok(), "{value} is no JSON");
            assert_eq!(std::str::from_utf8(&out).unwrap().parse(), Ok(value));
            assert!(out.iter().any(|byte| matches!(byte, b'.' | b'e')), "{value} could be taken for an integer");
        }
    }
}
