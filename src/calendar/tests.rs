//! Our calendar against that of jiff.

use super::*;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

const DIRECTIVES: [char; 19] =
    ['Y', 'C', 'y', 'q', 'm', 'd', 'j', 'H', 'I', 'M', 'S', 'u', 'w', 'U', 'W', 'V', 'G', 'g', 'F'];

/// The last second that jiff knows in every zone, 9999-12-30T22:00:00Z.
const JIFFS_LAST: u64 = 253_402_207_200;

/// Every fifth day of 230 years, each at another second; the first and the last instant that both know; leap days far ahead.
fn instants() -> impl Iterator<Item = Timestamp> {
    let days = (0..230 * 366).step_by(5).map(|day| Duration::new(day * 86_400 + day * 7_919 % 86_400, 123_456_789));
    let marks = [0, 86_399, 4_107_542_399, 4_107_542_400, 13_574_606_400, JIFFS_LAST - 86_400, JIFFS_LAST];
    days.chain(marks.map(Duration::from_secs)).map(Timestamp::since_epoch)
}

fn of_jiff(time: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::new(time.seconds.cast_signed(), time.nanos.cast_signed()).unwrap()
}

fn filled(time: Timestamp, pattern: &str) -> Result<String, UnknownDirective> {
    let mut out = Vec::new();
    time.fill(pattern, &mut out).map(|()| String::from_utf8(out).unwrap())
}

#[test]
fn an_instant_is_written_as_jiff_writes_it() {
    for time in instants() {
        let theirs = of_jiff(time);
        assert_eq!(format!("{time} {time:.3} {time:.6}"), format!("{theirs:.0} {theirs:.3} {theirs:.6}"));
        let mut micros = Vec::new();
        time.append_micros(&mut micros);
        assert_eq!(micros, format!("{theirs:.6}").as_bytes());
        let whole = Timestamp { nanos: 0, ..time };
        assert_eq!(Timestamp::parse(&micros), Some(whole), "{time}");
    }
}

#[test]
fn what_is_no_time_is_not_read_as_one() {
    for text in [
        "",
        "2026-11-22T23:59:5",
        "2026-13-22T23:59:59",
        "1969-12-31T23:59:59",
        "2026-11-00T00:00:00",
        "2026-11-2öT23:59:59",
    ] {
        assert_eq!(Timestamp::parse(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn each_directive_means_what_it_means_to_jiff() {
    let with_zeros = DIRECTIVES.map(|letter| format!("%{letter}")).join(" ");
    let bare = with_zeros.replace(" %F", "").replace('%', "%-");
    for time in instants() {
        let theirs = of_jiff(time).to_zoned(TimeZone::UTC);
        for pattern in [&with_zeros, &bare] {
            assert_eq!(filled(time, pattern).unwrap(), strtime::format(pattern, &theirs).unwrap());
        }
    }
}

#[test]
fn what_is_no_directive_stays_or_is_refused() {
    let time = Timestamp::since_epoch(Duration::from_secs(1_795_391_999));
    for (pattern, text) in [
        ("", ""),
        ("plain", "plain"),
        ("größe-%Y.%m.%d", "größe-2026.11.22"),
        ("%%Y%F-", "%Y2026-11-22-"),
        ("%H%-H", "2323"),
    ] {
        assert_eq!(filled(time, pattern).as_deref(), Ok(text));
    }
    for pattern in ["%", "x-%", "%-", "%-%", "%-F", "%A", "%ö", "%Q", "%3Y", "% d"] {
        assert_eq!(filled(time, pattern), Err(UnknownDirective), "{pattern}");
    }
}

#[test]
fn what_is_beyond_the_calendar_is_its_last_second() {
    assert_eq!(Timestamp::EPOCH.to_string(), "1970-01-01T00:00:00Z");
    for seconds in [LAST_SECOND, LAST_SECOND + 1, u64::MAX] {
        let time = Timestamp::since_epoch(Duration::from_secs(seconds));
        assert_eq!(time.to_string(), "9999-12-31T23:59:59Z");
    }
}
