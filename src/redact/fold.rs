//! Reads a text byte by byte in the form in which it is compared with secrets: as it stands, and with escapes decoded.
//! Pure, in linear time.

/// One byte of a text, or what an escape stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) byte: u8,
    /// Its place in the text, in bytes.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The longest escape that is decoded: a surrogate pair as `\ud83d\ude00`.
const ESCAPE_BYTES_MAX: usize = 12;
/// The longest escape with another one at its end, both without their ends.
pub(super) const TORN_BYTES_MAX: usize = 2 * ESCAPE_BYTES_MAX;

/// How often what is left of a text is decoded once more: JSON in JSON in a URL.
const DEPTH_MAX: usize = 3;

/// Named entities of HTML that stand for ASCII.
const ENTITIES: [(&[u8], char); 7] =
    [(b"amp", '&'), (b"lt", '<'), (b"gt", '>'), (b"quot", '"'), (b"apos", '\''), (b"sol", '/'), (b"nbsp", ' ')];

impl Unit {
    /// What two bytes that count as equal have in common: case does not count (hosts lose it), a plus may be a blank, and
    /// base64 has two alphabets. None if the byte does not count at all: backslashes stand before other characters, and
    /// zeros or line ends between them.
    pub(super) fn key(self) -> Option<u8> {
        match self.byte {
            b'\\' => None,
            byte if byte.is_ascii_control() => None,
            b'+' | b'-' => Some(b' '),
            b'_' => Some(b'/'),
            byte => Some(byte.to_ascii_lowercase()),
        }
    }

    /// Whether it is part of a word, so that what begins or ends beside it is no whole one.
    pub(super) fn is_in_word(self) -> bool {
        self.byte.is_ascii_alphanumeric() || self.byte == b'_'
    }
}

/// The text without its escapes.
pub(super) fn decoded_text(text: &[u8]) -> Vec<u8> {
    let units = plain(text);
    decoded(&units).unwrap_or(units).iter().map(|unit| unit.byte).collect()
}

/// The text as it stands.
fn plain(text: &[u8]) -> Vec<Unit> {
    text.iter().enumerate().map(|(at, &byte)| Unit { byte, start: at, end: at + 1 }).collect()
}

/// Gives the text as it stands, then with its escapes decoded once, twice and so on, as far as there are any.
pub(super) fn for_each_reading(text: &[u8], mut read: impl FnMut(&[Unit])) {
    let mut units = plain(text);
    read(&units);
    for _ in 0..DEPTH_MAX {
        let Some(decoded) = decoded(&units) else { return };
        units = decoded;
        read(&units);
    }
}

/// What each escape in these units stands for, be it one of JSON, of URLs, of HTML or of a programming language; none if
/// there is no escape. What is escaped twice takes a second call.
fn decoded(units: &[Unit]) -> Option<Vec<Unit>> {
    let mut left: Vec<Unit> = Vec::with_capacity(units.len());
    // Behind the last escape: what that stands for is no part of another one.
    let mut literal = 0;
    for unit in units {
        left.push(*unit);
        if replace_last(&mut left, literal) {
            literal = left.len();
        }
    }
    (literal > 0).then_some(left)
}

/// Replaces the escape that the units from `literal` on end with, if they do.
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

/// Whether this is an escape or a character of which the end was cut off, or dots that stand for more.
pub(super) fn is_torn(units: &[Unit]) -> bool {
    let Some((first, rest)) = units.split_first() else { return false };
    // What is left of an escape, and of one that its next character was to be.
    let is_left = |digits_max: usize, allowed: fn(u8) -> bool| {
        let digits = rest.iter().take_while(|unit| allowed(unit.byte)).count().min(digits_max);
        rest.len() == digits || is_torn(&rest[digits..])
    };
    match first.byte {
        b'%' => is_left(1, |byte| byte.is_ascii_hexdigit()),
        b'\\' => is_left(ESCAPE_BYTES_MAX, |byte| byte.is_ascii_hexdigit() || matches!(byte, b'u' | b'x' | b'{')),
        b'&' => is_left(ESCAPE_BYTES_MAX, |byte| byte.is_ascii_alphanumeric() || byte == b'#'),
        b'.' => is_left(ESCAPE_BYTES_MAX, |byte| byte == b'.'),
        // U+FFFD, by which a part of a character is shown.
        0xef => units.len() == 3,
        _ => false,
    }
}

enum Meant {
    Byte(u8),
    Char(char),
}

/// Length of the escape that these bytes end with, and what it stands for.
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

/// The first half of a character beyond 16 bits that these bytes end with.
fn high_surrogate(tail: &[u8]) -> Option<u32> {
    let [.., b'\\', b'u', a, b, c, d] = *tail else { return None };
    number(&[a, b, c, d], 16).filter(|code| (0xd800..0xdc00).contains(code))
}

fn byte_of(digits: &[u8]) -> Option<u8> {
    number(digits, 16).and_then(|number| u8::try_from(number).ok())
}

/// The number that these digits, and nothing else, stand for.
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits
        .iter()
        .try_fold(0_u32, |number, &digit| number.checked_mul(radix)?.checked_add(char::from(digit).to_digit(radix)?))
}
