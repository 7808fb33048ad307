//! Instants as text, for users and for servers, and the names of dated indices. All in UTC and by the Gregorian
//! calendar. Pure.

use std::fmt;
use std::time::Duration;

/// An instant in the years 1970 to 9999. Later ones become the last second of 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timestamp {
    /// Seconds since the beginning of 1970.
    seconds: u64,
    nanos: u32,
}

/// 9999-12-31T23:59:59.
const LAST_SECOND: u64 = 253_402_300_799;

/// From the first of March of year 0 to the beginning of 1970.
const DAYS_BEFORE_1970: u64 = 719_468;
const DAYS_IN_400_YEARS: u64 = 146_097;

/// A day.
struct Date {
    days_since_1970: u64,
    days_since_march: u64,
    year: u64,
    month: u64,
    day: u64,
}

/// A pattern holds a directive that [`Timestamp::fill`] does not know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownDirective;

impl Timestamp {
    /// The beginning of 1970.
    pub(crate) const EPOCH: Self = Self { seconds: 0, nanos: 0 };

    /// `time` is counted from the beginning of 1970.
    pub(crate) fn since_epoch(time: Duration) -> Self {
        Self { seconds: time.as_secs().min(LAST_SECOND), nanos: time.subsec_nanos() }
    }

    /// The time since the beginning of 1970.
    pub(crate) fn duration_since_epoch(self) -> Duration {
        Duration::new(self.seconds, self.nanos)
    }

    /// Appends it as in `2026-11-22T23:59:59.123456Z`.
    pub(crate) fn append_micros(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.text()[.."2026-11-22T23:59:59.123456".len()]);
        out.push(b'Z');
    }

    /// Reads what begins with a time as [`Self::append_micros`] writes it, to the second.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = text.get(.."2026-11-22T23:59:59".len())?;
        let number = |from: usize, to: usize| str::from_utf8(&text[from..to]).ok()?.parse::<u64>().ok();
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let is_date = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
        let time = hour * 3600 + minute * 60 + second;
        is_date.then(|| Self::since_epoch(Duration::from_secs(Date::days_before(year, month, day) * 24 * 3600 + time)))
    }

    /// `2026-11-22T23:59:59.123456789`.
    fn text(self) -> [u8; 29] {
        let mut text = *b"0000-00-00T00:00:00.000000000";
        let date = self.date();
        let second = self.seconds;
        put(&mut text[..4], date.year);
        put(&mut text[5..7], date.month);
        put(&mut text[8..10], date.day);
        put(&mut text[11..13], second / 3600 % 24);
        put(&mut text[14..16], second / 60 % 60);
        put(&mut text[17..19], second % 60);
        put(&mut text[20..], self.nanos.into());
        text
    }

    /// Appends `pattern` with its directives replaced: all of `strftime` that give numbers. `-` means without leading
    /// zeros, as in `%-d`.
    ///
    /// # Errors
    /// The pattern contains an unknown directive. A part of the text may have been appended.
    pub(crate) fn fill(self, pattern: &str, out: &mut Vec<u8>) -> Result<(), UnknownDirective> {
        let mut rest = pattern.as_bytes();
        while let Some(at) = memchr::memchr(b'%', rest) {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at + 1..];
            let bare = rest.strip_prefix(b"-");
            let (&letter, behind) = bare.unwrap_or(rest).split_first().ok_or(UnknownDirective)?;
            rest = behind;
            match letter {
                b'%' if bare.is_none() => out.push(b'%'),
                b'F' if bare.is_none() => out.extend_from_slice(&self.text()[.."2026-11-22".len()]),
                letter => {
                    let (value, width) = self.directive(letter).ok_or(UnknownDirective)?;
                    let mut digits = [0; 20];
                    put(&mut digits, value);
                    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
                    let kept = if bare.is_some() { 1 } else { width };
                    out.extend_from_slice(&digits[zeros.min(digits.len() - kept)..]);
                }
            }
        }
        out.extend_from_slice(rest);
        Ok(())
    }

    /// The value of a directive, and its minimum number of digits.
    fn directive(self, letter: u8) -> Option<(u64, usize)> {
        let date = self.date();
        let hour = self.seconds / 3600 % 24;
        // From 1 for Monday to 7 for Sunday.
        let weekday = date.weekday();
        Some(match letter {
            b'Y' => (date.year, 4),
            b'C' => (date.year / 100, 2),
            b'y' => (date.year % 100, 2),
            b'q' => (date.month.div_ceil(3), 1),
            b'm' => (date.month, 2),
            b'd' => (date.day, 2),
            b'j' => (date.day_of_year() + 1, 3),
            b'H' => (hour, 2),
            b'I' => ((hour + 11) % 12 + 1, 2),
            b'M' => (self.seconds / 60 % 60, 2),
            b'S' => (self.seconds % 60, 2),
            b'u' => (weekday, 1),
            b'w' => (weekday % 7, 1),
            // Weeks that begin on Sunday, and on Monday. Days before the first of them are in week 0.
            b'U' => ((date.day_of_year() + 7 - weekday % 7) / 7, 2),
            b'W' => ((date.day_of_year() + 8 - weekday) / 7, 2),
            // Weeks by ISO 8601, and the year that they belong to, which is that of their Thursday.
            b'V' => (date.thursday().day_of_year() / 7 + 1, 2),
            b'G' => (date.thursday().year, 4),
            b'g' => (date.thursday().year % 100, 2),
            _ => return None,
        })
    }

    fn date(self) -> Date {
        Date::of(self.seconds / (24 * 3600))
    }
}

impl Date {
    /// Years begin in March here, so that a leap day is the last day of a year and everything else is regular.
    fn of(days_since_1970: u64) -> Self {
        let days = days_since_1970 + DAYS_BEFORE_1970;
        let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
        let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let days_since_march = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Five months from March, or from August, have 153 days.
        let months_since_march = (5 * days_since_march + 2) / 153;
        let month = if months_since_march < 10 { months_since_march + 3 } else { months_since_march - 9 };
        Self {
            days_since_1970,
            days_since_march,
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: days_since_march - (153 * months_since_march + 2) / 5 + 1,
        }
    }

    /// Days from the beginning of 1970 to this date.
    fn days_before(year: u64, month: u64, day: u64) -> u64 {
        let year = year - u64::from(month <= 2);
        let (era, year_of_era) = (year / 400, year % 400);
        let days_since_march = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let days = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + days_since_march;
        era * DAYS_IN_400_YEARS + days - DAYS_BEFORE_1970
    }

    /// 1970 began on a Thursday. Monday is 1, Sunday 7.
    fn weekday(&self) -> u64 {
        (self.days_since_1970 + 3) % 7 + 1
    }

    /// 0 on the first of January.
    fn day_of_year(&self) -> u64 {
        let is_leap = self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        if self.month <= 2 { self.days_since_march - 306 } else { self.days_since_march + 59 + u64::from(is_leap) }
    }

    /// The Thursday of the same week.
    fn thursday(&self) -> Self {
        Self::of(self.days_since_1970 + 4 - self.weekday())
    }
}

/// Fills `digits` with the last digits of a number.
fn put(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789"[(value % 10) as usize];
        value /= 10;
    }
}

/// The precision of the format is the number of digits after the second: `{time:.3}`. By default there are none.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = f.precision().map_or(0, |digits| if digits == 0 { 0 } else { 1 + digits.min(9) });
        let text = self.text();
        f.write_str(str::from_utf8(&text[.."2026-11-22T23:59:59".len() + fraction]).unwrap_or_default())?;
        f.write_str("Z")
    }
}

#[cfg(test)]
mod tests;
