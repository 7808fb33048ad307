//! Texts that are quantities: numbers, durations as Go writes them, and sizes. They become JSON numbers of a unit, exactly.
//!
//! A quantity is held as a fraction of two integers of 128 bits, and its digits come from a long division, so no digit
//! is lost or invented. A text that this cannot hold (more than 38 digits) is no quantity. Each unit that a value can be
//! given in divides every other one of its kind by powers of two and ten only, so the division always ends; minutes and
//! hours would not (100 s are 1.666… minutes) and are therefore only read, never written.

use super::json;
use super::scalar;
use crate::limits::QUANTITY_BYTES_MAX;
use std::num::NonZeroU8;
use std::ops::Range;

/// What a text is turned into: a number, or a number of some unit. One byte, so that it costs a layout nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextUnit(NonZeroU8);

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grammar {
    /// A decimal number, as Go's `strconv.ParseFloat` reads it.
    Number,
    /// As Go's `time.ParseDuration` reads it.
    Duration,
    /// A number of bytes with a unit behind it.
    Size,
}

use Grammar::{Duration, Number, Size};

/// The units that can be asked for: the name, how texts are read, and how many of the smallest unit it is.
const UNITS: [(&str, Grammar, u64); 18] = [
    ("number", Number, 1),
    ("ns", Duration, 1),
    ("us", Duration, 1_000),
    ("ms", Duration, 1_000_000),
    ("s", Duration, 1_000_000_000),
    ("B", Size, 1),
    ("kB", Size, 1_000),
    ("MB", Size, 1_000_000),
    ("GB", Size, 1_000_000_000),
    ("TB", Size, 1_000_000_000_000),
    ("PB", Size, 1_000_000_000_000_000),
    ("EB", Size, 1_000_000_000_000_000_000),
    ("KiB", Size, 1 << 10),
    ("MiB", Size, 1 << 20),
    ("GiB", Size, 1 << 30),
    ("TiB", Size, 1 << 40),
    ("PiB", Size, 1 << 50),
    ("EiB", Size, 1 << 60),
];

/// Other spellings of the units above in texts, and units that are only read.
const OTHER_DURATIONS: [(&str, u64); 4] =
    [("\u{b5}s", 1_000), ("\u{3bc}s", 1_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];
const OTHER_SIZES: [(&str, u64); 9] = [
    ("", 1),
    ("KB", 1_000),
    ("kiB", 1 << 10),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
];

/// A quantity: `numerator / denominator` of the smallest unit.
struct Quantity {
    is_negative: bool,
    numerator: u128,
    denominator: u128,
}

impl TextUnit {
    /// The unit with this name: `number`, `ns`, `us`, `ms`, `s`, `B`, `kB`, `KiB` and so on.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let place = UNITS.iter().position(|(unit, ..)| *unit == name)?;
        NonZeroU8::new(u8::try_from(place + 1).ok()?).map(Self)
    }

    /// The names of all units.
    pub fn names() -> impl Iterator<Item = &'static str> {
        UNITS.iter().map(|(name, ..)| *name)
    }

    /// Replaces the string at the end of `out`, which begins at `start` with its quote, by a number of this unit. If the
    /// text is no quantity, nothing is changed and it gives false.
    pub(crate) fn replace(self, out: &mut Vec<u8>, start: usize) -> bool {
        let end = out.len();
        let mut buffer = [0; QUANTITY_BYTES_MAX];
        let Some(text) = out.get(start + 1..end - 1) else { return false };
        let copy = if memchr::memchr(b'\\', text).is_none() {
            copied(text, &mut buffer)
        } else {
            decoded(out, start + 1..end - 1, &mut buffer)
        };
        let Some(text) = copy else { return false };
        if !self.write(text, out) {
            out.truncate(end);
            return false;
        }
        out.copy_within(end.., start);
        out.truncate(start + out.len() - end);
        true
    }

    /// Appends what `text` is in this unit. False if it is no quantity; something may have been appended then.
    fn write(self, text: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(&(_, grammar, unit)) = UNITS.get(usize::from(self.0.get()) - 1) else { return false };
        let quantity = match grammar {
            Number => return write_number(text, out),
            Duration => duration(text),
            Size => size(text),
        };
        quantity.is_some_and(|quantity| quantity.write(unit, out))
    }
}

/// A copy of a text, if the buffer has room for it.
fn copied<'b, const BYTES: usize>(text: &[u8], buffer: &'b mut [u8; BYTES]) -> Option<&'b [u8]> {
    let copy = buffer.get_mut(..text.len())?;
    copy.copy_from_slice(text);
    Some(copy)
}

/// The text in this part of `out`, which contains escapes, if the buffer has room for it.
#[cold]
fn decoded<'b>(out: &mut Vec<u8>, text: Range<usize>, buffer: &'b mut [u8; QUANTITY_BYTES_MAX]) -> Option<&'b [u8]> {
    // An escape has at most six bytes for each that it stands for.
    let mut raw = [0; 6 * QUANTITY_BYTES_MAX];
    let raw = copied(&out[text], &mut raw)?;
    let end = out.len();
    scalar::decode(out, raw);
    let copy = copied(&out[end..], buffer);
    out.truncate(end);
    copy
}

/// Splits the sign off.
fn signed(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

/// Splits a text into the digits before and after a decimal point, of which there must be some, and the rest.
fn decimal(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix(b".").map_or((&[][..], rest), digits);
    (!whole.is_empty() || !fraction.is_empty()).then_some((whole, fraction, rest))
}

/// Appends a number in JSON's notation: without `+`, leading zeros, or a point that lacks digits on one side.
fn write_number(text: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let (is_negative, text) = signed(text);
    let Some((whole, fraction, exponent)) = decimal(text) else { return false };
    if is_negative {
        out.push(b'-');
    }
    let zeros = whole.iter().take_while(|digit| **digit == b'0').count();
    let whole = &whole[zeros..];
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
    out.extend_from_slice(exponent);
    // Only a sound exponent can be left over.
    scalar::number_end(out, start) == Some(out.len()) && !scalar::is_out_of_range(&out[start..])
}

fn duration(text: &[u8]) -> Option<Quantity> {
    let (is_negative, mut rest) = signed(text);
    let mut sum = Quantity { is_negative, numerator: 0, denominator: 1 };
    // The only duration without a unit.
    if rest == b"0" {
        return Some(sum);
    }
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (whole, fraction, behind) = decimal(rest)?;
        let name_bytes = behind.iter().take_while(|byte| !matches!(byte, b'.' | b'0'..=b'9')).count();
        let (name, behind) = behind.split_at(name_bytes);
        sum.add(whole, fraction, unit_of(name, Duration, &OTHER_DURATIONS)?)?;
        rest = behind;
    }
    Some(sum)
}

fn size(text: &[u8]) -> Option<Quantity> {
    let (is_negative, text) = signed(text);
    let (whole, fraction, rest) = decimal(text)?;
    // One blank may stand before the unit, but not without one.
    let unit = rest.strip_prefix(b" ").unwrap_or(rest);
    if unit.is_empty() && !rest.is_empty() {
        return None;
    }
    let mut size = Quantity { is_negative, numerator: 0, denominator: 1 };
    size.add(whole, fraction, unit_of(unit, Size, &OTHER_SIZES)?)?;
    Some(size)
}

/// How many of the smallest unit the unit with this name is, in a text.
fn unit_of(name: &[u8], grammar: Grammar, others: &[(&str, u64)]) -> Option<u64> {
    let own = UNITS.iter().filter(|(_, of, _)| *of == grammar).map(|(unit, _, count)| (*unit, *count));
    own.chain(others.iter().copied()).find(|(unit, _)| unit.as_bytes() == name).map(|(_, count)| count)
}

impl Quantity {
    /// Adds `whole.fraction` of a unit; none if it becomes too long.
    fn add(&mut self, whole: &[u8], fraction: &[u8], unit: u64) -> Option<()> {
        let mut value: u128 = 0;
        for digit in whole.iter().chain(fraction) {
            value = value.checked_mul(10)?.checked_add(u128::from(digit - b'0'))?;
        }
        let mut denominator = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let mut value = value.checked_mul(unit.into())?;
        // Both denominators are powers of ten.
        while denominator < self.denominator {
            (value, denominator) = (value.checked_mul(10)?, denominator.checked_mul(10)?);
        }
        while self.denominator < denominator {
            self.numerator = self.numerator.checked_mul(10)?;
            self.denominator = self.denominator.checked_mul(10)?;
        }
        self.numerator = self.numerator.checked_add(value)?;
        Some(())
    }

    /// Appends it as a number of a unit. In all but the smallest unit, it has a decimal point even if it is whole, so that
    /// a server that sees it first does not map the field to integers. False if it is too long.
    fn write(&self, unit: u64, out: &mut Vec<u8>) -> bool {
        let Some(denominator) = self.denominator.checked_mul(unit.into()).filter(|all| *all < u128::MAX / 10) else {
            return false;
        };
        if self.is_negative && self.numerator > 0 {
            out.push(b'-');
        }
        write_whole(self.numerator / denominator, out);
        let mut rest = self.numerator % denominator;
        if rest == 0 && unit == 1 {
            return true;
        }
        out.push(b'.');
        loop {
            rest *= 10;
            // Below ten.
            json::write_u64(out, u64::try_from(rest / denominator).unwrap_or_default());
            rest %= denominator;
            if rest == 0 {
                return true;
            }
        }
    }
}

/// Appends the digits of an integer.
fn write_whole(value: u128, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 39];
    let (mut value, mut at) = (value, digits.len());
    while value > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests;
