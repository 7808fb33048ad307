//! Each kind of text, and durations against a slow model that counts picoseconds.

use super::*;
use std::fmt::Write as _;

/// What a text becomes; the text itself in quotes if it is no quantity.
fn converted(text: &str, unit: &str) -> String {
    let unit = TextUnit::named(unit).unwrap();
    let quoted = format!("\"{text}\"");
    let mut out = format!("x{quoted}").into_bytes();
    let is_converted = unit.replace(&mut out, 1);
    let found = String::from_utf8(out).unwrap();
    assert_eq!(&found[..1], "x");
    assert_eq!(is_converted, found[1..] != quoted, "{text}");
    found[1..].to_owned()
}

/// Checks what texts become; `-` for those that stay as they are.
fn check(unit: &str, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let found = converted(text, unit);
        let expected = if *expected == "-" { format!("\"{text}\"") } else { (*expected).to_owned() };
        assert_eq!(found, expected, "{text} in {unit}");
        let parsed: serde_json::Value = serde_json::from_str(&found).unwrap();
        assert_eq!(parsed.is_number(), !found.starts_with('"'), "{found}");
    }
}

#[test]
fn texts_that_are_numbers_in_full_become_numbers() {
    let long = "9".repeat(QUANTITY_BYTES_MAX);
    check(
        "number",
        &[
            ("1.1", "1.1"),
            ("0", "0"),
            ("-0", "-0"),
            ("+1", "1"),
            ("007", "7"),
            ("-00.50", "-0.50"),
            ("1.", "1"),
            (".5", "0.5"),
            ("1e3", "1e3"),
            ("1E+05", "1E+05"),
            (".5e-3", "0.5e-3"),
            (r"\u0031\u002e5", "1.5"),
            (&long, &long),
            (&format!("1{long}"), "-"),
            (&r"\u0039".repeat(QUANTITY_BYTES_MAX), &long),
            (&r"\u0039".repeat(QUANTITY_BYTES_MAX + 1), "-"),
            ("12345678901234567890.12345678901234567890", "12345678901234567890.12345678901234567890"),
        ],
    );
    for text in [
        "", "-", "+", ".", "-.", "e3", "1e", "1e+", "1e999", "0x10", "0b1", "1_000", "1,234", "NaN", "Inf", "-inf",
        " 1", "1 ", r"1\n", "1s", "--1", "+-1", "1.2.3", "1 000", "true", "null", "١", r"1\u0000",
    ] {
        check("number", &[(text, "-")]);
    }
}

#[test]
fn durations_are_read_as_go_reads_them() {
    check(
        "ns",
        &[
            ("72h3m0.5s", "259380500000000"),
            ("1.5µs", "1500"),
            ("1.5\u{3bc}s", "1500"),
            (r"1.5\u00b5s", "1500"),
            ("1.5us", "1500"),
            ("-3m", "-180000000000"),
            ("+5s", "5000000000"),
            ("0", "0"),
            ("-0", "0"),
            ("+0", "0"),
            ("-0s", "0"),
            ("0.5ns", "0.5"),
            (".5s", "500000000"),
            ("5.s", "5000000000"),
            ("1h1h", "7200000000000"),
            ("3ms2s", "2003000000"),
            ("00012ns", "12"),
            ("9223372036854775808ns", "9223372036854775808"),
            // Go's own texts of the longest durations.
            ("2562047h47m16.854775807s", "9223372036854775807"),
            ("-2562047h47m16.854775808s", "-9223372036854775808"),
            ("0.1h0.01m0.001s0.0001ms", "360601000100"),
        ],
    );
    for text in [
        "", "3", "-", "s", ".", ".s", "+.s", "1d", "1w", "1 s", "1s ", " 1s", "1S", "1H", "1.2.3s", "1s-1s", "1,5s",
        "1h:5m", "3 days", "1e3s", "0x1s", "00", "0.0", "1\u{b5}", "m3", "1h5", "--1s", "infs",
    ] {
        check("ns", &[(text, "-")]);
    }
    // Too many digits for an exact result.
    check("ns", &[(&format!("{}h", "9".repeat(30)), "-"), (&format!("0.{}1s", "0".repeat(50)), "-")]);
}

#[test]
fn durations_of_other_units_have_a_point() {
    check(
        "s",
        &[("72h3m0.5s", "259380.5"), ("1ns", "0.000000001"), ("3m", "180.0"), ("-1.25s", "-1.25"), ("0", "0.0")],
    );
    check("ms", &[("1h", "3600000.0"), ("1.5µs", "0.0015"), ("2.000001ms", "2.000001"), ("-0s", "0.0")]);
    check("us", &[("1ms", "1000.0"), ("1ns", "0.001")]);
    for unit in ["m", "h", "d", "µs", "Ms", ""] {
        assert_eq!(TextUnit::named(unit), None, "{unit}");
    }
}

#[test]
fn sizes_are_exact() {
    check(
        "B",
        &[
            ("512MiB", "536870912"),
            ("1.5 GB", "1500000000"),
            ("10kB", "10000"),
            ("10KB", "10000"),
            ("10 KiB", "10240"),
            ("1kiB", "1024"),
            ("128Mi", "134217728"),
            ("1024", "1024"),
            ("0B", "0"),
            ("-5MB", "-5000000"),
            ("0.1B", "0.1"),
            ("16EiB", "18446744073709551616"),
        ],
    );
    for text in ["", " ", "MB", "1 ", "1  MB", "1MB ", "1mb", "1M", "1K", "1G", "1b", "1e3B", "1,5 GB", "1.5GBs", "NaN"]
    {
        check("B", &[(text, "-")]);
    }
    check("MiB", &[("512MiB", "512.0"), ("1B", "0.00000095367431640625"), ("1.5 GB", "1430.511474609375")]);
    check("kB", &[("1KiB", "1.024"), ("10kB", "10.0"), ("1", "0.001")]);
    check(
        "EiB",
        &[
            ("1B", "0.000000000000000000867361737988403547205962240695953369140625"),
            ("1EB", "0.867361737988403547205962240695953369140625"),
        ],
    );
}

/// A generator of numbers that needs no crate.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// The model counts picoseconds, and writes nanoseconds with three decimal places.
#[test]
fn durations_agree_with_a_count_of_picoseconds() {
    let units: [(&str, i128); 8] = [
        ("ns", 1_000),
        ("us", 1_000_000),
        ("µs", 1_000_000),
        ("μs", 1_000_000),
        ("ms", 1_000_000_000),
        ("s", 1_000_000_000_000),
        ("m", 60_000_000_000_000),
        ("h", 3_600_000_000_000_000),
    ];
    let mut dice = Dice(7);
    for _ in 0..20_000 {
        let mut text = ["", "-", "+"][usize::try_from(dice.below(3)).unwrap()].to_owned();
        let is_negative = text == "-";
        let mut picoseconds: i128 = 0;
        for _ in 0..=dice.below(4) {
            let (unit, each) = units[usize::try_from(dice.below(8)).unwrap()];
            let (whole, thousandths) = (dice.below(100_000), dice.below(1_000));
            match dice.below(3) {
                0 => write!(text, "{whole}{unit}"),
                1 => write!(text, "{whole}.{thousandths:03}{unit}"),
                _ => write!(text, ".{thousandths:03}000{unit}"),
            }
            .unwrap();
            let form = text.rsplit(|char: char| char.is_alphabetic()).find(|part| !part.is_empty()).unwrap();
            picoseconds += match form.trim_start_matches(['+', '-']).split_once('.') {
                None => i128::from(whole) * each,
                Some(("", _)) => i128::from(thousandths) * each / 1_000,
                Some(_) => (i128::from(whole) * 1_000 + i128::from(thousandths)) * each / 1_000,
            };
        }
        let sign = if is_negative && picoseconds > 0 { "-" } else { "" };
        let expected = format!("{sign}{}.{:03}", picoseconds / 1_000, picoseconds % 1_000);
        assert_eq!(converted(&text, "ns"), expected.trim_end_matches('0').trim_end_matches('.'), "{text}");
    }
}

/// Nothing that bytes can say makes it panic, and what it writes is one number.
#[test]
fn any_text_gives_a_number_or_stays() {
    let pieces =
        ["1", "0", "9999999999", ".", "-", "+", "e", "h", "m", "s", "µ", "n", "u", "k", "B", "i", "M", " ", "E"];
    let mut dice = Dice(11);
    for _ in 0..50_000 {
        let count = dice.below(9);
        let text: String = (0..count).map(|_| pieces[usize::try_from(dice.below(19)).unwrap()]).collect();
        for unit in TextUnit::names() {
            let found = converted(&text, unit);
            let value: serde_json::Value = serde_json::from_str(&found).unwrap();
            assert_eq!(value.is_string(), found.starts_with('"'), "{text} in {unit}");
        }
    }
}
