//! The naive twin's texts that become numbers. Its arithmetic moves decimal points in texts, so it only knows texts of at most
//! [`CHARACTERS_MAX`] characters and the units of [`shift`].

use super::strict_json::Json;

/// Longer texts may need more digits than the model has.
pub(crate) const CHARACTERS_MAX: usize = 20;

/// The value with all of its texts as numbers of the unit, or, if one of them is none, as it was.
pub(crate) fn converted(value: Json, unit: &str) -> Json {
    all(&value, unit).unwrap_or(value)
}

fn all(value: &Json, unit: &str) -> Option<Json> {
    match value {
        Json::String(text) => number(text, unit).map(Json::Number),
        Json::Array(elements) => {
            elements.iter().map(|element| all(element, unit)).collect::<Option<_>>().map(Json::Array)
        }
        other => Some(other.clone()),
    }
}

fn number(text: &str, unit: &str) -> Option<String> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let minus = if text.starts_with('-') { "-" } else { "" };
    if unit == "number" {
        return plain(unsigned).map(|number| format!("{minus}{number}"));
    }
    let (digits, places) = if let "ns" | "us" | "ms" | "s" = unit { duration(unsigned)? } else { size(unsigned)? };
    let (digits, places) = shift(digits, places, unit);
    let minus = if digits == 0 { "" } else { minus };
    let text = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = text.split_at(text.len() - places);
    match fraction.trim_end_matches('0') {
        "" if matches!(unit, "ns" | "B") => Some(format!("{minus}{whole}")),
        "" => Some(format!("{minus}{whole}.0")),
        fraction => Some(format!("{minus}{whole}.{fraction}")),
    }
}

/// A decimal number without a sign, as JSON writes it.
fn plain(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_at(text.find(['e', 'E']).unwrap_or(text.len()));
    let power = exponent.get(1..).unwrap_or("0");
    let power = power.strip_prefix(['+', '-']).unwrap_or(power);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let are_digits = |text: &str| text.chars().all(|char| char.is_ascii_digit());
    if power.is_empty()
        || (whole.len() + fraction.len() == 0)
        || ![whole, fraction, power].map(are_digits).iter().all(|&is| is)
    {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let number = format!("{whole}{point}{fraction}{exponent}");
    number.parse::<f64>().is_ok_and(f64::is_finite).then_some(number)
}

/// The digits in front of a text as an integer, the number of decimal places, and the rest.
fn decimal(text: &str) -> Option<(u128, usize, &str)> {
    let end = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    // A second point belongs to what follows.
    let second = number.match_indices('.').nth(1).map_or(number.len(), |(at, _)| at);
    let (number, rest) = if second < number.len() { text.split_at(second) } else { (number, rest) };
    let places = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    number.replace('.', "").parse().ok().map(|digits| (digits, places, rest))
}

/// Nanoseconds: digits, and how many of them are decimal places.
fn duration(text: &str) -> Option<(u128, usize)> {
    if text == "0" {
        return Some((0, 0));
    }
    // All parts are written with as many places as the part that has the most.
    let parts = text.split(|char: char| !char.is_ascii_digit() && char != '.');
    let most = parts.map(|part| part.split_once('.').map_or(0, |(_, fraction)| fraction.len())).max().unwrap_or(0);
    let (mut sum, mut rest) = (0, text);
    while !rest.is_empty() || text.is_empty() {
        let (digits, places, behind) = decimal(rest)?;
        let end = behind.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(behind.len());
        let each: u128 = match &behind[..end] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        sum += digits * each * 10_u128.pow(u32::try_from(most - places).expect("short"));
        rest = &behind[end..];
    }
    Some((sum, most))
}

/// The same for bytes.
fn size(text: &str) -> Option<(u128, usize)> {
    let (digits, places, rest) = decimal(text)?;
    let unit = match rest.strip_prefix(' ') {
        Some("") => return None,
        Some(unit) => unit,
        None => rest,
    };
    let unit = if unit == "KB" { "kB" } else { unit };
    let unit = if unit == "kiB" { "KiB" } else { unit };
    let power = |letters: &str, suffix: &str| {
        letters
            .chars()
            .position(|letter| unit == format!("{letter}{suffix}"))
            .map(|at| u32::try_from(at + 1).expect("few"))
    };
    let each = match (power("kMGTPE", "B"), power("KMGTPE", "iB").or_else(|| power("KMGTPE", "i"))) {
        (Some(power), _) => 1_000_u128.pow(power),
        (None, Some(power)) => 1_024_u128.pow(power),
        (None, None) if unit.is_empty() || unit == "B" => 1,
        (None, None) => return None,
    };
    Some((digits * each, places))
}

/// From the smallest unit to this one.
fn shift(mut digits: u128, places: usize, unit: &str) -> (u128, usize) {
    let mut halvings = 0;
    let further = match unit {
        "us" | "kB" => 3,
        "ms" | "MB" => 6,
        "s" | "GB" => 9,
        "MiB" => {
            halvings = 20;
            0
        }
        "ns" | "B" => 0,
        other => panic!("the model does not know {other}"),
    };
    let mut places = places + further;
    for _ in 0..halvings {
        if digits.is_multiple_of(2) {
            digits /= 2;
        } else {
            (digits, places) = (digits * 5, places + 1);
        }
    }
    (digits, places)
}
