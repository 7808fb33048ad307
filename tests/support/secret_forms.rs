//! The forms in which a server may repeat a secret. This code is independent of the code that redacts them.
#![allow(dead_code, reason = "each test takes what it needs of it")]
#![allow(clippy::format_push_string, reason = "a text is put together for reading, not for speed")]

use std::collections::HashMap;

/// Makes a choice that a form leaves open: returns a number below the given one.
pub(crate) type Draw<'d> = &'d mut dyn FnMut(usize) -> usize;

/// Number of forms in which [`repeated`] repeats a secret.
pub(crate) const FORMS: usize = 15;

/// The secret in one of the forms.
pub(crate) fn repeated(secret: &str, form: usize, draw: Draw<'_>) -> String {
    match form {
        0 => secret.to_owned(),
        1 => json(secret, draw),
        2 => percent(secret, draw),
        3 => html(secret, draw),
        4 => format!("{secret:?}"),
        5 => {
            let once = json(secret, draw);
            json(&once, draw)
        }
        6 => {
            let once = percent(secret, draw);
            percent(&once, draw)
        }
        7 => {
            let once = percent(secret, draw);
            json(&once, draw)
        }
        8 => {
            let once = json(secret, draw);
            html(&once, draw)
        }
        9 => secret.to_ascii_lowercase(),
        10 => basic(secret, draw),
        11 => basic(secret, draw).trim_end_matches('=').to_owned(),
        12 => basic(secret, draw).replace('+', "-").replace('/', "_"),
        13 => basic(secret, draw).to_ascii_lowercase(),
        _ => secret.chars().flat_map(|c| [c, '\0']).collect(),
    }
}

/// The credentials of a user with this password, as they are sent.
fn basic(secret: &str, draw: Draw<'_>) -> String {
    base64(format!("{}:{secret}", &"user"[..draw(5)]).as_bytes())
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect::<Vec<_>>().concat();
    let digit = |six: &[u8]| {
        let six = format!("{:0<6}", String::from_utf8_lossy(six));
        let value = u8::from_str_radix(&six, 2).expect("six bits");
        char::from(match value {
            0..=25 => b'A' + value,
            26..=51 => b'a' + value - 26,
            52..=61 => b'0' + value - 52,
            62 => b'+',
            _ => b'/',
        })
    };
    let digits: String = bits.as_bytes().chunks(6).map(digit).collect();
    format!("{digits}{}", "=".repeat((3 - bytes.len() % 3) % 3))
}

pub(crate) fn json(text: &str, draw: Draw<'_>) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match (draw(4), c) {
            (0, _) => {
                for half in c.encode_utf16(&mut [0; 2]) {
                    escaped += "\\u";
                    escaped += &hex(u32::from(*half), 4, draw);
                }
            }
            (_, '"' | '\\') | (1, '/') => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}

pub(crate) fn percent(text: &str, draw: Draw<'_>) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' if draw(2) == 0 => escaped.push('+'),
            byte if byte.is_ascii_graphic() && !b"%+&".contains(&byte) && draw(2) == 0 => escaped.push(byte.into()),
            byte => {
                escaped.push('%');
                escaped += &hex(byte.into(), 2, draw);
            }
        }
    }
    escaped
}

pub(crate) fn html(text: &str, draw: Draw<'_>) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match (c, draw(3)) {
            ('&', 0) => escaped += "&amp;",
            ('<', 0) => escaped += "&lt;",
            ('"', 0) => escaped += "&quot;",
            ('&', _) | (_, 1) => escaped += &format!("&#{};", u32::from(c)),
            (_, 2) => escaped += &format!("&#x{};", hex(u32::from(c), 1, draw)),
            _ => escaped.push(c),
        }
    }
    escaped
}

fn hex(value: u32, width: usize, draw: Draw<'_>) -> String {
    if draw(2) == 0 { format!("{value:0width$x}") } else { format!("{value:0width$X}") }
}

/// What reveals a secret: eight consecutive characters, or three fifths of a shorter one, in plain text or in base64.
#[derive(Default)]
pub(crate) struct Telltales(HashMap<usize, HashMap<String, String>>);

impl Telltales {
    pub(crate) fn of<'s>(secrets: impl IntoIterator<Item = &'s String>) -> Self {
        let mut telltales = Self::default();
        for secret in secrets {
            let characters = (secret.chars().count() * 3).div_ceil(5).min(8);
            telltales.add(secret, characters, secret);
            for skipped in 0..3 {
                let text = base64(&secret.as_bytes()[skipped..]);
                // The last of them are made of what follows, too.
                let whole = &text[..(secret.len() - skipped) / 3 * 4];
                telltales.add(whole, characters * 4 / 3, secret);
                telltales.add(&whole.replace('+', "-").replace('/', "_"), characters * 4 / 3, secret);
            }
        }
        telltales
    }

    fn add(&mut self, form: &str, characters: usize, secret: &str) {
        let form: Vec<char> = form.to_ascii_lowercase().chars().collect();
        let parts = form.windows(characters).map(|part| (part.iter().collect(), secret.to_owned()));
        self.0.entry(characters).or_default().extend(parts);
    }

    /// The part of a secret that can be read in the text, and the secret.
    pub(crate) fn find(&self, text: &str) -> Option<(String, String)> {
        for reading in readings(text) {
            let ends: Vec<usize> = reading.char_indices().map(|(at, _)| at).chain([reading.len()]).collect();
            for (&characters, parts) in &self.0 {
                let mut windows = ends.windows(characters + 1).map(|ends| &reading[ends[0]..ends[characters]]);
                if let Some(part) = windows.find(|part| parts.contains_key(*part)) {
                    return Some((part.to_owned(), parts[part].clone()));
                }
            }
        }
        None
    }
}

/// The forms in which a person can read a text by decoding its escapes, one layer after the other. In lower case.
fn readings(text: &str) -> Vec<String> {
    let mut readings = vec![text.to_owned(), text.replace(char::is_control, "")];
    for _ in 0..4 {
        let last = readings.last().map(|last| undone(last)).unwrap_or_default();
        readings.push(last);
    }
    for text in &mut readings {
        text.make_ascii_lowercase();
    }
    readings.dedup();
    readings
}

/// What is left when each escape in a text is replaced by what it stands for.
fn undone(text: &str) -> String {
    let number = |digits: Option<&str>, radix: u32| u32::from_str_radix(digits?, radix).ok();
    let (mut bytes, mut halves) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let entity = || rest.strip_prefix('&')?.split_once(';').map(|(name, _)| name).filter(|name| name.len() < 9);
        let braced = || rest.strip_prefix("\\u{")?.split_once('}').map(|(digits, _)| digits);
        let (length, code) = if let Some(byte) = rest.strip_prefix('%').and_then(|digits| number(digits.get(..2), 16)) {
            bytes.push(u8::try_from(byte).expect("two digits"));
            rest = &rest[3..];
            continue;
        } else if let Some(half) = rest.strip_prefix("\\u").and_then(|digits| number(digits.get(..4), 16)) {
            (6, half)
        } else if let Some(digits) = braced() {
            (digits.len() + 4, number(Some(digits), 16).unwrap_or(0))
        } else if c == '\\' && rest.len() > 1 {
            let next = rest.chars().nth(1).expect("there is one");
            (1 + next.len_utf8(), if "nrtbf".contains(next) { 10 } else { u32::from(next) })
        } else if let Some(digits) = entity().and_then(|name| name.strip_prefix("#x")) {
            (digits.len() + 4, number(Some(digits), 16).unwrap_or(0))
        } else if let Some(digits) = entity().and_then(|name| name.strip_prefix('#')) {
            (digits.len() + 3, number(Some(digits), 10).unwrap_or(0))
        } else if let Some((name, c)) =
            [("&amp;", '&'), ("&lt;", '<'), ("&quot;", '"')].into_iter().find(|(name, _)| rest.starts_with(name))
        {
            (name.len(), u32::from(c))
        } else {
            (c.len_utf8(), u32::from(c))
        };
        rest = &rest[length..];
        halves.push(u16::try_from(code).unwrap_or_default());
        if let [.., high, low] = halves[..]
            && let Ok(c) = String::from_utf16(&[high, low])
            && c.chars().count() == 1
        {
            bytes.extend_from_slice(c.as_bytes());
        } else {
            let c = char::from_u32(code).unwrap_or_default();
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    String::from_utf8_lossy(&bytes).replace(char::is_control, "")
}
