//! Checks the grammar of JSON's scalars (RFC 8259) on the text as it stands.

use super::piece;
use crate::limits::NUMBER_BYTES_MAX;

/// Whether it is white space in JSON.
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Where the number that begins at `start` ends; none if there is no number: sign, digits without a leading zero,
/// fraction, exponent.
#[inline]
pub(crate) fn number_end(body: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    if byte(body, at) == b'-' {
        at += 1;
    }
    at = match byte(body, at) {
        b'0' => at + 1,
        b'1'..=b'9' => digits_end(body, at + 1),
        _ => return None,
    };
    if byte(body, at) == b'.' {
        at = some_digits_end(body, at + 1)?;
    }
    if matches!(byte(body, at), b'e' | b'E') {
        at += 1;
        if matches!(byte(body, at), b'+' | b'-') {
            at += 1;
        }
        at = some_digits_end(body, at)?;
    }
    Some(at)
}

/// Whether `body[start..end]` is an integer of at most 18 digits without a sign or a leading zero. Every such integer
/// is shipped unchanged. Also false near the end of the body, because digits are always read eight at a time.
#[allow(clippy::inline_always, reason = "a fifth of the instructions of a member")]
#[inline(always)]
pub(crate) fn is_short_integer(body: &[u8], start: usize, end: usize) -> bool {
    let len = end - start;
    let Some(first) = piece::eight(body, start) else { return false };
    let sound = match len {
        1..=8 => {
            // The shift removes the bytes after the number, and the digit 0 takes the place of each.
            let missing = 8 * (8 - len);
            all_digits((first << missing) | (ZEROS & !(u64::MAX << missing)))
        }
        9..=16 => all_digits(first) && piece::eight(body, end - 8).is_some_and(all_digits),
        17..=18 => {
            let digits = |at: usize| piece::eight(body, at).is_some_and(all_digits);
            all_digits(first) && digits(start + 8) && digits(end - 8)
        }
        _ => false,
    };
    sound && (first & 0xff != u64::from(b'0') || len == 1)
}

/// The digit 0, eight times.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The byte at `at`; a blank after the end.
fn byte(body: &[u8], at: usize) -> u8 {
    body.get(at).copied().unwrap_or(b' ')
}

/// Where the digits that begin at `start` end; none if there are none.
fn some_digits_end(body: &[u8], start: usize) -> Option<usize> {
    let end = digits_end(body, start);
    (end > start).then_some(end)
}

/// The same, but there may be none. Reads eight digits at a time: most of a Go payload is nanoseconds with 19 digits.
fn digits_end(body: &[u8], mut at: usize) -> usize {
    while piece::eight(body, at).is_some_and(all_digits) {
        at += 8;
    }
    while byte(body, at).is_ascii_digit() {
        at += 1;
    }
    at
}

/// Whether each byte is one of `0` to `9`: its upper four bits are 3, and remain 3 when 6 is added (for `:` to `?` they
/// would become 4).
fn all_digits(chunk: u64) -> bool {
    const HIGH_HALVES: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    const SIXES: u64 = 0x0606_0606_0606_0606;
    chunk & HIGH_HALVES == ZEROS && chunk.wrapping_add(SIXES) & HIGH_HALVES == ZEROS
}

/// Whether the escapes of a string are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// All of them are.
    Fine,
    /// The grammar allows them, but a `\u` escape stands for half a character.
    LoneSurrogate,
    /// There is `\x` or another escape that JSON does not have.
    Bad,
}

/// Checks the escapes of `text`, a string without its quotes.
pub(crate) fn escapes(text: &[u8]) -> Escapes {
    let mut verdict = Escapes::Fine;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &text[at..]) {
        at += found;
        match Escape::read(text, at) {
            None => return Escapes::Bad,
            Some(Escape { lone: true, len }) => {
                verdict = Escapes::LoneSurrogate;
                at += len;
            }
            Some(Escape { len, .. }) => at += len,
        }
    }
    verdict
}

/// Appends `text`, whose escapes must not be [`Escapes::Bad`], with U+FFFD for each lone surrogate. Gives their number.
pub(crate) fn write_mended(out: &mut Vec<u8>, text: &[u8]) -> u64 {
    let mut mended = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &text[at..]) {
        out.extend_from_slice(&text[at..at + found]);
        at += found;
        let Some(escape) = Escape::read(text, at) else { break };
        if escape.lone {
            out.extend_from_slice("\u{fffd}".as_bytes());
            mended += 1;
        } else {
            out.extend_from_slice(&text[at..at + escape.len]);
        }
        at += escape.len;
    }
    out.extend_from_slice(&text[at..]);
    mended
}

/// Decodes `text`, a string without its quotes whose escapes must not be [`Escapes::Bad`], and appends it as UTF-8.
pub(crate) fn decode(out: &mut Vec<u8>, text: &[u8]) {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &text[at..]) {
        out.extend_from_slice(&text[at..at + found]);
        at += found;
        let Some(escape) = Escape::read(text, at) else { break };
        let character = match text[at + 1] {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => escape.character(text, at),
            other => char::from(other),
        };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        at += escape.len;
    }
    out.extend_from_slice(&text[at..]);
}

/// The longest length up to `most` bytes at which `text`, which is UTF-8, can be cut without cutting a character.
pub(crate) fn character_boundary(text: &[u8], most: usize) -> usize {
    let mut end = most.min(text.len());
    while end > 0 && text.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    end
}

/// Whether no server can store a number: it is beyond the largest double, or longer than servers' parsers read.
#[inline]
pub(crate) fn is_out_of_range(number: &[u8]) -> bool {
    // That takes an exponent or hundreds of digits, so most numbers are not parsed.
    let suspicious = number.len() > 300 || number.iter().any(|byte| byte | 0x20 == b'e');
    suspicious && {
        let value = std::str::from_utf8(number).ok().and_then(|text| text.parse::<f64>().ok());
        number.len() > NUMBER_BYTES_MAX || value.is_none_or(f64::is_infinite)
    }
}

/// Whether `body[start..end]` is a number that servers accept as it is.
pub(crate) fn is_plain_number(body: &[u8], start: usize, end: usize) -> bool {
    let text = &body[start..end];
    number_end(body, start) == Some(end) && !is_out_of_range(text) && !is_beyond_i64(text)
}

/// Whether a scalar is an integer that does not fit into 64 bits with a sign.
#[inline]
pub(crate) fn is_beyond_i64(text: &[u8]) -> bool {
    let (digits, most): (_, &[u8]) = match text.strip_prefix(b"-") {
        Some(digits) => (digits, b"9223372036854775808"),
        None => (text, b"9223372036854775807"),
    };
    digits.len() >= most.len() && (digits.len() > most.len() || digits > most) && digits.iter().all(u8::is_ascii_digit)
}

/// The length of the escape at `at`, or of the two escapes of a surrogate pair. None if it is not valid JSON, or stands
/// for half a character.
pub(crate) fn escape_len(text: &[u8], at: usize) -> Option<usize> {
    Escape::read(text, at).filter(|escape| !escape.lone).map(|escape| escape.len)
}

/// One escape, or the two of a surrogate pair.
struct Escape {
    len: usize,
    /// Whether it is half of a surrogate pair without the other half.
    lone: bool,
}

impl Escape {
    /// What the `\u` escape at `at` stands for.
    fn character(&self, text: &[u8], at: usize) -> char {
        let first = code_unit(text, at).unwrap_or_default();
        let value = if self.len == 12 {
            let second = code_unit(text, at + 6).unwrap_or_default();
            0x1_0000 + ((first & 0x3ff) << 10) + (second & 0x3ff)
        } else {
            first
        };
        char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// The escape at `at`, if JSON has it.
    fn read(text: &[u8], at: usize) -> Option<Self> {
        match text.get(at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(Self { len: 2, lone: false }),
            b'u' => {
                let first = code_unit(text, at)?;
                let pair = matches!(first, 0xd800..=0xdbff)
                    && code_unit(text, at + 6).is_some_and(|second| matches!(second, 0xdc00..=0xdfff));
                let lone = matches!(first, 0xd800..=0xdfff) && !pair;
                Some(Self { len: if pair { 12 } else { 6 }, lone })
            }
            _ => None,
        }
    }
}

/// The value of `\uXXXX` at `at`.
fn code_unit(text: &[u8], at: usize) -> Option<u32> {
    let escape = text.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_a_strict_parser_takes() {
        let good = [
            "0",
            "-0",
            "7",
            "10",
            "-42",
            "1.5",
            "0.0",
            "1e5",
            "1E+21",
            "5e-324",
            "9223372036854775807",
            "18446744073709551616123456789",
            "-1.7976931348623157e+308",
            "12345678.12345678e12345678",
        ];
        for text in good {
            assert_eq!(number_end(text.as_bytes(), 0), Some(text.len()), "{text}");
            assert!(serde_json::from_str::<serde_json::Number>(text).is_ok(), "{text}");
        }
        let bad =
            ["", "-", "+1", ".5", "1.", "1e", "1e+", "01", "0x1", "1_0", "NaN", "-Inf", "152.295657ms", "1:", "1/2"];
        for text in bad {
            assert_ne!(number_end(text.as_bytes(), 0), Some(text.len()), "{text}");
            assert!(serde_json::from_str::<serde_json::Number>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn short_integers_are_integers() {
        for text in
            ["0", "7", "10", "12345678", "123456789", "1234567890123456", "12345678901234567", "123456789012345678"]
        {
            let body = format!("x{text},/:;<9999999999");
            assert!(is_short_integer(body.as_bytes(), 1, 1 + text.len()), "{text}");
            for at in 0..text.len() {
                for wrong in *b"/:;. e-\"p\xb1\xff" {
                    let mut body = body.clone().into_bytes();
                    body[1 + at] = wrong;
                    assert!(!is_short_integer(&body, 1, 1 + text.len()), "{wrong} at {at} of {text}");
                }
            }
        }
        for text in ["00", "01", "0123456789", "1234567890123456789", ""] {
            assert!(!is_short_integer(format!("{text},          ").as_bytes(), 0, text.len()), "{text}");
        }
        assert!(!is_short_integer(b"12", 0, 2), "too near to the end to be looked at");
    }

    #[test]
    fn eight_digits_at_a_time_know_their_neighbours() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let mut chunk = *b"12345678";
                chunk[place] = byte;
                assert_eq!(all_digits(u64::from_ne_bytes(chunk)), byte.is_ascii_digit(), "{byte} at {place}");
            }
        }
    }

    #[test]
    fn large_integers_are_told_from_large_numbers() {
        for (text, beyond) in [
            ("0", false),
            ("9223372036854775807", false),
            ("-9223372036854775808", false),
            ("9223372036854775808", true),
            ("-9223372036854775809", true),
            ("18446744073709551615", true),
            ("18446744073709551615.5", false),
            ("9223372036854775808e0", false),
            ("100000000000000000000", true),
            ("\"9999999999999999999\"", false),
        ] {
            assert_eq!(is_beyond_i64(text.as_bytes()), beyond, "{text}");
        }
    }

    #[test]
    fn escapes_are_judged_and_mended() {
        let verdict = |text: &str| escapes(text.as_bytes());
        assert_eq!(verdict(r#"\"\\\/\b\f\n\r\t\u0000\uD83D\ude80"#), Escapes::Fine);
        for text in [r"\xe9", r"\u12", r"\u12g4", r"\", r"\a", r"\U00001234"] {
            assert_eq!(verdict(text), Escapes::Bad, "{text}");
        }
        for (text, mended) in [
            (r"a\ud800b", "a\u{fffd}b"),
            (r"\udc00\ud800", "\u{fffd}\u{fffd}"),
            (r"\ud800\ud83d\ude80", "\u{fffd}\\ud83d\\ude80"),
            (r"\ud800\n", "\u{fffd}\\n"),
        ] {
            assert_eq!(verdict(text), Escapes::LoneSurrogate, "{text}");
            let mut out = Vec::new();
            assert!(write_mended(&mut out, text.as_bytes()) > 0);
            assert_eq!(String::from_utf8(out).unwrap(), mended);
        }
    }
}
