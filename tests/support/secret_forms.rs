//! The forms in which whoever was sent a secret may repeat it, written by other code than that which takes them out again.
#![allow(dead_code, reason = "each test takes what it needs of it")]
#![allow(clippy::format_push_string, reason = "a text is put together for reading, not for speed")]

/// Where the choices come from that a form leaves open: a number below the one given.
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
