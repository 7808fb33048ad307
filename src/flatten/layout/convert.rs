//! Converts the values that a `map_file` names to other units: garbage collections from nanoseconds to microseconds,
//! bytes to kB, MB, GB.
//!
//! The numbers in lists are divided by moving the decimal point, so no digit is lost. Sizes are divided by a power of
//! two, which doubles do exactly up to 2^53 bytes.

use crate::bytes::json::{self, NULL};
use crate::bytes::scalar::is_blank;
use std::ops::Range;

/// What a `map_file` names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversions {
    /// Names of lists whose zeros are removed and whose numbers are divided by a thousand.
    pub gc_lists: Vec<String>,
    /// Names of sizes in bytes, and what they become.
    pub sizes: Vec<(String, Conversion)>,
}

/// What becomes of one variable's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversion {
    /// Shipped as it is.
    None,
    /// A list of nanoseconds: zeros removed, divided by a thousand.
    Microseconds,
    /// A number of bytes, shipped as it is.
    Bytes,
    /// A number of bytes, divided by 1024.
    Kilobytes,
    /// A number of bytes, divided by 1024².
    Megabytes,
    /// A number of bytes, divided by 1024³.
    Gigabytes,
}

impl Conversions {
    /// What becomes of the variable with this flat name. If the whole name is not in the file, its last segment counts.
    #[must_use]
    pub fn of(&self, name: &[u8]) -> Conversion {
        if self.gc_lists.is_empty() && self.sizes.is_empty() {
            return Conversion::None;
        }
        let leaf = &name[memchr::memrchr(b'.', name).map_or(0, |dot| dot + 1)..];
        self.named(name).or_else(|| self.named(leaf)).unwrap_or(Conversion::None)
    }

    fn named(&self, name: &[u8]) -> Option<Conversion> {
        let place = self.places(name).next()?;
        let size = place.checked_sub(self.gc_lists.len()).and_then(|place| self.sizes.get(place));
        Some(size.map_or(Conversion::Microseconds, |(_, conversion)| *conversion))
    }

    /// The names of the lists, then those of the sizes.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.gc_lists.iter().chain(self.sizes.iter().map(|(size, _)| size)).map(String::as_str)
    }

    /// Calls `visit` with the place of each of [`Self::names`] that is the name of this variable, or its last segment.
    pub(crate) fn each_of(&self, name: &[u8], visit: impl FnMut(usize)) {
        let leaf = &name[memchr::memrchr(b'.', name).map_or(0, |dot| dot + 1)..];
        self.places(name).chain(self.places(leaf)).for_each(visit);
    }

    /// The places of the names that are equal to `name`, in upper or lower case.
    fn places(&self, name: &[u8]) -> impl Iterator<Item = usize> {
        // A character has up to four bytes, and perhaps one in lower case. A name that is too long even for that is not
        // decoded, because a long path would then be decoded again for each member below it.
        let is_long = self.names().all(|other| name.len() > 4 * other.len());
        let name = if is_long { None } else { std::str::from_utf8(name).ok() };
        let is_equal = |other: &str, name: &str| {
            other.chars().flat_map(char::to_lowercase).eq(name.chars().flat_map(char::to_lowercase))
        };
        name.into_iter().flat_map(move |name| {
            self.names().enumerate().filter(move |(_, other)| is_equal(other, name)).map(|(place, _)| place)
        })
    }
}

impl Conversion {
    fn bytes_each(self) -> Option<f64> {
        match self {
            Self::None | Self::Microseconds | Self::Bytes => None,
            Self::Kilobytes => Some(1024.0),
            Self::Megabytes => Some(1024.0 * 1024.0),
            Self::Gigabytes => Some(1024.0 * 1024.0 * 1024.0),
        }
    }

    /// Converts the number at the end of `out`, which begins at `start`. True if it is a size.
    pub(crate) fn size(self, out: &mut Vec<u8>, start: usize) -> bool {
        if matches!(self, Self::None | Self::Microseconds) {
            return false;
        }
        let Some(bytes_each) = self.bytes_each() else { return true };
        let Some(bytes) = std::str::from_utf8(&out[start..]).ok().and_then(|text| text.parse::<f64>().ok()) else {
            return false;
        };
        out.truncate(start);
        json::write_double(out, bytes / bytes_each);
        true
    }

    /// Converts the array at the end of `out`, which begins at `start`, if it contains only numbers and `null`.
    pub(crate) fn list(self, out: &mut Vec<u8>, start: usize) {
        let end = out.len();
        let inside = start + 1..end - 1;
        if self != Self::Microseconds || !is_list_of_numbers(&out[inside.clone()]) {
            return;
        }
        out.push(b'[');
        let mut at = inside.start;
        while at < inside.end {
            let comma = memchr::memchr(b',', &out[at..inside.end]).map_or(inside.end, |found| at + found);
            let from = at + out[at..comma].iter().take_while(|byte| is_blank(**byte)).count();
            let to = comma - out[from..comma].iter().rev().take_while(|byte| is_blank(**byte)).count();
            if &out[from..to] == NULL {
                write_comma(out, end + 1);
                out.extend_from_slice(NULL);
            } else {
                write_thousandth(out, from..to, end + 1);
            }
            at = comma + 1;
        }
        out.push(b']');
        out.copy_within(end.., start);
        out.truncate(start + out.len() - end);
    }
}

/// Whether the text between the brackets of an array consists of numbers and `null`.
fn is_list_of_numbers(text: &[u8]) -> bool {
    let is_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    text.split(|byte| *byte == b',').all(|element| {
        let element = element.trim_ascii();
        element == NULL || element.iter().all(is_number)
    })
}

/// Appends a thousandth of the number at `number` in `out` to the list whose first element begins at `list`, unless it
/// is zero.
fn write_thousandth(out: &mut Vec<u8>, number: Range<usize>, list: usize) {
    let digits = out[number.clone()].strip_prefix(b"-").map_or(number.start, |_| number.start + 1)..number.end;
    if !out[digits.clone()].iter().all(u8::is_ascii_digit) {
        // It has a fraction or an exponent, so the result is as exact as a double.
        let value = std::str::from_utf8(&out[number]).ok().and_then(|text| text.parse::<f64>().ok());
        let thousandth = value.unwrap_or_default() / 1000.0;
        if thousandth != 0.0 {
            write_comma(out, list);
            json::write_double(out, thousandth);
        }
        return;
    }
    if out[digits.clone()].iter().all(|digit| *digit == b'0') {
        return;
    }
    write_comma(out, list);
    out.extend_from_within(number.start..digits.start);
    let whole = digits.end.saturating_sub(3).max(digits.start);
    if whole == digits.start {
        out.push(b'0');
    } else {
        out.extend_from_within(digits.start..whole);
    }
    out.push(b'.');
    let missing = 3 - (digits.end - whole);
    out.extend_from_slice(&b"000"[..missing]);
    out.extend_from_within(whole..digits.end);
    while out.ends_with(b"0") && !out.ends_with(b".0") {
        out.pop();
    }
}

fn write_comma(out: &mut Vec<u8>, list: usize) {
    if out.len() > list {
        out.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_or_leaf_and_of_any_case() {
        let sizes = vec![
            ("memstats.Alloc".to_owned(), Conversion::Gigabytes),
            ("stackinuse".to_owned(), Conversion::Megabytes),
            ("kk".to_owned(), Conversion::Bytes),
        ];
        let conversions = Conversions { gc_lists: vec!["PAUSENS".to_owned(), "Größe".to_owned()], sizes };
        for (name, conversion) in [
            ("memstats.Alloc", Conversion::Gigabytes),
            ("MEMSTATS.alloc", Conversion::Gigabytes),
            ("other.memstats.Alloc", Conversion::None),
            ("Alloc", Conversion::None),
            ("memstats.StackInuse", Conversion::Megabytes),
            ("StackInuse", Conversion::Megabytes),
            ("memstats.StackInuse.x", Conversion::None),
            ("memstats.PauseNs", Conversion::Microseconds),
            ("GRÖSSE", Conversion::None),
            ("GRÖßE", Conversion::Microseconds),
            // A letter of three bytes that is one of a single byte in lower case.
            ("\u{212a}\u{212a}", Conversion::Bytes),
            ("\u{212a}", Conversion::None),
            ("", Conversion::None),
        ] {
            assert_eq!(conversions.of(name.as_bytes()), conversion, "{name}");
        }
    }

    #[test]
    fn lists_lose_their_zeros_and_no_digit() {
        for (list, converted) in [
            (
                "[0,1,12,123,1234,0,152000,18446744073709551615]",
                "[0.001,0.012,0.123,1.234,152.0,18446744073709551.615]",
            ),
            ("[ 5 ,\t-1500, -0, 0.0, 0e5 ]", "[0.005,-1.5]"),
            ("[2.5e3,1e3]", "[2.5,1.0]"),
            ("[100000,1e300,1e-300]", "[100.0,1e297,1.0000000000000001e-303]"),
            // Less than a double can tell from zero, and a thousandth that is.
            ("[7,5e-400,5e-324,5e-320]", "[0.007,5e-323]"),
            ("[]", "[]"),
            ("[0]", "[]"),
            ("[[1000]]", "[[1000]]"),
            ("[1000,\"a\"]", "[1000,\"a\"]"),
            ("[1000, null,0,null ]", "[1.0,null,null]"),
            ("[null]", "[null]"),
            ("[1000,[null]]", "[1000,[null]]"),
        ] {
            let mut out = b"x".to_vec();
            out.extend_from_slice(list.as_bytes());
            Conversion::Microseconds.list(&mut out, 1);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{converted}"));
        }
    }

    #[test]
    fn sizes_are_divided() {
        for (conversion, number, converted) in [
            (Conversion::Bytes, "1e3", "1e3"),
            (Conversion::Kilobytes, "1", "0.0009765625"),
            (Conversion::Megabytes, "71893240", "68.56273651123047"),
            (Conversion::Gigabytes, "1073741824", "1.0"),
            (Conversion::Gigabytes, "1e-300", "9.3132257461548e-310"),
            (Conversion::Kilobytes, "1e300", "9.765625e296"),
            (Conversion::Kilobytes, "-0", "-0.0"),
            (Conversion::Kilobytes, "1.5e3", "1.46484375"),
        ] {
            let mut out = number.as_bytes().to_vec();
            assert!(conversion.size(&mut out, 0));
            assert_eq!(String::from_utf8(out).unwrap(), converted);
        }
        let mut list = b"12".to_vec();
        assert!(!Conversion::Microseconds.size(&mut list, 0) && !Conversion::None.size(&mut list, 0));
        assert_eq!(list, b"12");
    }
}
