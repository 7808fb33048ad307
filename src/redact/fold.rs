//! Brings a text into the forms in which it is compared with secrets: unchanged, and with escapes decoded. Pure, in linear
//! time.

/// One byte of a text, or one that an escape stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) byte: u8,
    /// The range of the text that it comes from.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The longest escape that is decoded: a surrogate pair as `\ud83d\ude00`.
const ESCAPE_BYTES_MAX: usize = 12;
/// The longest incomplete escape at the end of a text, with another incomplete one within it.
pub(super) const TORN_BYTES_MAX: usize = 2 * ESCAPE_BYTES_MAX;

/// How many times a text is decoded. Three are enough for JSON within JSON within a URL.
const DEPTH_MAX: usize = 3;

/// HTML entities that stand for ASCII characters.
const ENTITIES: [(&[u8], char); 7] =
    [(b"amp", '&'), (b"lt", '<'), (b"gt", '>'), (b"quot", '"'), (b"apos", '\''), (b"sol", '/'), (b"nbsp", ' ')];

impl Unit {
    /// Maps bytes that are considered equal to the same key. Case is ignored (host names lose it), a plus may stand for a
    /// blank, and base64 has two alphabets. Backslashes and control characters have no key and are ignored, because they
    /// may be inserted before or between other characters.
    pub(super) fn key(self) -> Option<u8> {
        match self.byte {
            b'\\' => None,
            byte if byte.is_ascii_control() => None,
            b'+' | b'-' => Some(b' '),
            b'_' => Some(b'/'),
            byte => Some(byte.to_ascii_lowercase()),
        }
    }

    /// Whether the byte is part of a word. A text that begins or ends next to it is then only a part of that word.
    pub(super) fn is_in_word(self) -> bool {
        self.byte.is_ascii_alphanumeric() || self.byte == b'_'
    }
}

/// The text without its escapes.
pub(super) fn decoded_text(text: &[u8]) -> Vec<u8> {
    let units = plain(text);
    decoded(&units).unwrap_or(units).iter().map(|unit| unit.byte).collect()
}

/// The text without any decoding.
fn plain(text: &[u8]) -> Vec<Unit> {
    text.iter().enumerate().map(|(at, &byte)| Unit { byte, start: at, end: at + 1 }).collect()
}

/// Calls `read` with the text unchanged, then with its escapes decoded once, twice and so on, as long as there are any.
pub(super) fn for_each_reading(text: &[u8], mut read: impl FnMut(&[Unit])) {
    let mut units = plain(text);
    read(&units);
    for _ in 0..DEPTH_MAX {
        let Some(decoded) = decoded(&units) else { return };
        units = decoded;
        read(&units);
    }
}

/// Decodes each escape once, be it of JSON, of URLs, of HTML or of a programming language. Returns `None` if there is none.
fn decoded(units: &[Unit]) -> Option<Vec<Unit>> {
    let mut left: Vec<Unit> = Vec::with_capacity(units.len());
    // The end of the last decoded escape. What it stands for cannot be part of another escape.
    let mut literal = 0;
    for unit in units {
        left.push(*unit);
        if replace_last(&mut left, literal) {
            literal = left.len();
        }
    }
    (literal > 0).then_some(left)
}

/// If the units from `literal` on end with an escape, replaces it, and returns true.
fn replace_last(units: &mut Vec<Unit>, literal: usize) -> bool {
    let mut tail = [0_u8; ESCAPE_BYTES_MAX];
    let length = (units.len() - literal).min(ESCAPE_BYTES_MAX);
    let last = &units[units.len() - length..];
    for (byte, unit) in tail.iter_mut().zip(last) {
        *byte = unit.byte;
    }
    let Some((escape_bytes, meant)) = escape_at_end(&tail[..length]) else { return false };
    let (start, end) = (last[length - escape_bytes].start, last[length - 1].end);
    units.truncate(units.len() - escape_bytes);
    let push = |byte| units.push(Unit { byte, start, end });
    match meant {
        Meant::Byte(byte) => [byte].into_iter().for_each(push),
        Meant::Char(c) => c.encode_utf8(&mut [0; 4]).bytes().for_each(push),
    }
    true
}

/// Whether this is the beginning of an escape or of a character whose end was cut off, or dots that stand for an omission.
pub(super) fn is_torn(units: &[Unit]) -> bool {
    let Some((first, rest)) = units.split_first() else { return false };
    // An incomplete escape may be followed by another incomplete one, if its next character was escaped itself.
    let is_left = |digits_max: usize, allowed: fn(u8) -> bool| {
        let digits = rest.iter().take_while(|unit| allowed(unit.byte)).count().min(digits_max);
        rest.len() == digits || is_torn(&rest[digits..])
    };
    match first.byte {
        b'%' => is_left(1, |byte| byte.is_ascii_hexdigit()),
        b'\\' => is_left(ESCAPE_BYTES_MAX, |byte| byte.is_ascii_hexdigit() || matches!(byte, b'u' | b'x' | b'{')),
        b'&' => is_left(ESCAPE_BYTES_MAX, |byte| byte.is_ascii_alphanumeric() || byte == b'#'),
        b'.' => is_left(ESCAPE_BYTES_MAX, |byte| byte == b'.'),
        // U+FFFD, which replaces an incomplete character.
        0xef => units.len() == 3,
        _ => false,
    }
}

enum Meant {
    Byte(u8),
    Char(char),
}

/// If these bytes end with an escape, returns its length and what it stands for.
fn escape_at_end(tail: &[u8]) -> Option<(usize, Meant)> {
    let char_of = |code| char::from_u32(code).map(Meant::Char);
    match *tail {
        [.., b'\\', b'\\'] => Some((2, Meant::Byte(b'\\'))),
        [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'] => Some((2, Meant::Byte(b'\n'))),
        [.., b'%', a, b] => Some((3, Meant::Byte(byte_of(&[a, b])?))),
        [.., b'\\', b'x', a, b] if a.is_ascii_hexdigit() => Some((4, char_of(number(&[a, b], 16)?)?)),
        [.., b'\\', b'u', a, b, c, d] => {
            let low = number(&[a, b, c, d], 16)?;
            match high_surrogate(&tail[..tail.len() - 6]).filter(|_| (0xdc00..0xe000).contains(&low)) {
                Some(high) => Some((12, char_of(0x10000 + ((high & 0x3ff) << 10 | (low & 0x3ff)))?)),
                None => Some((6, char_of(low)?)),
            }
        }
        [.., b'}'] => {
            let start = tail.windows(3).rposition(|three| three == b"\\u{")?;
            Some((tail.len() - start, char_of(number(&tail[start + 3..tail.len() - 1], 16)?)?))
        }
        [.., b';'] => {
            let start = memchr::memrchr(b'&', tail)?;
            let c = match &tail[start + 1..tail.len() - 1] {
                [b'#', b'x' | b'X', digits @ ..] => char::from_u32(number(digits, 16)?)?,
                [b'#', digits @ ..] => char::from_u32(number(digits, 10)?)?,
                name => ENTITIES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?.1,
            };
            Some((tail.len() - start, Meant::Char(c)))
        }
        _ => None,
    }
}

/// If these bytes end with the escape of a high surrogate, returns that.
fn high_surrogate(tail: &[u8]) -> Option<u32> {
    let [.., b'\\', b'u', a, b, c, d] = *tail else { return None };
    number(&[a, b, c, d], 16).filter(|code| (0xd800..0xdc00).contains(code))
}

fn byte_of(digits: &[u8]) -> Option<u8> {
    number(digits, 16).and_then(|number| u8::try_from(number).ok())
}

/// Parses a number that consists of digits only.
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits
        .iter()
        .try_fold(0_u32, |number, &digit| number.checked_mul(radix)?.checked_add(char::from(digit).to_digit(radix)?))
}
