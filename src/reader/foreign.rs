//! Describes an answer that is not expvar's JSON: what it is, how it begins, and what to do about it. Pure.

use crate::http::{Content, ContentKind, redirected_advice};
use crate::limits;
use crate::redact;
use std::fmt::Write;

/// The path of Go's own handler.
const VARS_PATH: &str = "/debug/vars";

/// What TLS servers answer to plain HTTP: Go, nginx, Apache.
const TLS_ANSWERS: [&[u8]; 3] = [
    b"Client sent an HTTP request to an HTTPS server",
    b"plain HTTP request was sent to HTTPS port",
    b"speaking plain HTTP to an SSL-enabled server port",
];

/// How compressed bodies begin, and the compression.
const COMPRESSED: [(&[u8], &str); 5] = [
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x78\x01", "deflate"),
    (b"\x78\x9c", "deflate"),
    (b"\x78\xda", "deflate"),
];

/// What a body is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Empty,
    /// Compressed with this coding: the server's own word for it, shortened, or what the first bytes show.
    Compressed(String),
    Utf16,
    Html,
    Xml,
    /// The text format of Prometheus, or `OpenMetrics`, which is derived from it.
    Prometheus,
    /// A call of a JavaScript function with JSON as its argument.
    Jsonp,
    JsonArray,
    JsonObject,
    OtherJson,
    Binary,
    Text,
}

impl Kind {
    pub(crate) fn of(content: &Content, body: &[u8]) -> Self {
        let named =
            |part: &str| matches!(&content.kind, ContentKind::Other(name) if name.to_ascii_lowercase().contains(part));
        if body.is_empty() {
            return Self::Empty;
        }
        if let Some(encoding) = &content.encoding {
            return Self::Compressed(shown(encoding.as_bytes()));
        }
        if let Some((_, coding)) = COMPRESSED.iter().find(|(begin, _)| body.starts_with(begin)) {
            return Self::Compressed((*coding).to_owned());
        }
        if utf16_order(body).is_some() {
            return Self::Utf16;
        }
        let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body).trim_ascii_start();
        let looked = &text[..text.len().min(limits::FOREIGN_LOOK_BYTES)];
        let lower = looked.to_ascii_lowercase();
        let holds = |part: &[u8]| memchr::memmem::find(&lower, part).is_some();
        let is_html = || [&b"<!doctype html"[..], b"<html", b"<head", b"<body", b"<title"].iter().any(|tag| holds(tag));
        match looked.first() {
            None => Self::Empty,
            Some(b'<') if is_html() || named("html") => Self::Html,
            Some(b'<') => Self::Xml,
            Some(b'{') => Self::JsonObject,
            Some(b'[') => Self::JsonArray,
            _ if named("openmetrics") || named("version=0.0.4") || is_prometheus(looked) => Self::Prometheus,
            _ if is_jsonp(looked) => Self::Jsonp,
            _ if looked.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()) => Self::Binary,
            _ if is_other_json(looked) => Self::OtherJson,
            _ => Self::Text,
        }
    }

    /// Whether it may be expvar's JSON, perhaps broken.
    pub(crate) fn may_be_expvar(&self) -> bool {
        *self == Self::JsonObject
    }

    /// Its name in messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Compressed(_) => "compressed",
            Self::Utf16 => "UTF-16",
            Self::Html => "HTML",
            Self::Xml => "XML",
            Self::Prometheus => "the Prometheus text format",
            Self::Jsonp => "JSONP",
            Self::JsonArray => "a JSON array",
            Self::JsonObject => "a JSON object",
            Self::OtherJson => "JSON, but not an object",
            Self::Binary => "binary",
            Self::Text => "plain text",
        }
    }
}

/// `is HTML (Content-Type: text/html), and begins "…"`, for a body of any kind.
pub(crate) fn described(kind: &Kind, content: &Content, body: &[u8]) -> String {
    let mut text = match kind {
        Kind::Compressed(coding) => format!("is compressed with {coding}, which was not requested"),
        _ => format!("is {}", kind.name()),
    };
    // Writing into memory does not fail.
    let _ = match &content.kind {
        ContentKind::Other(name) => write!(text, " (Content-Type: {})", shown(name.as_bytes())),
        ContentKind::Json => write!(text, " (Content-Type: application/json)"),
        ContentKind::Unknown => Ok(()),
    };
    let _ = match beginning(kind, body) {
        Some(Beginning::Title(title)) => write!(text, ", and its title is {title:?}"),
        Some(Beginning::Words(words)) => write!(text, ", and begins {words:?}"),
        None => Ok(()),
    };
    text
}

/// What the user can do about an answer from `url`; none if there is no good advice.
pub(crate) fn remedy(kind: &Kind, status: u16, body: &[u8], url: &str) -> Option<String> {
    if is_of_tls_port(body) && !url.starts_with("https://") {
        return Some("this port speaks TLS: write https://".to_owned());
    }
    let path = (!url.contains(VARS_PATH)).then(|| format!("Go's default path is {VARS_PATH}"));
    match kind {
        _ if !matches!(status, 200..=299 | 404) => None,
        Kind::Prometheus => Some(format!(
            "expvastic reads expvar, not Prometheus metrics: {}",
            path.unwrap_or_else(|| format!("is another program serving {VARS_PATH}?"))
        )),
        Kind::Compressed(_) => Some("send it uncompressed".to_owned()),
        Kind::Utf16 => Some("send it as UTF-8".to_owned()),
        Kind::Jsonp => Some("remove the JSONP callback parameter".to_owned()),
        Kind::Html if path.is_none() => Some("is a login page or a proxy in front of it?".to_owned()),
        _ if status == 404 && path.is_none() => {
            Some("is this the right port, and does the program serve the expvar handler there?".to_owned())
        }
        _ => path,
    }
}

/// The remedy where a redirect has led to another URL.
pub(crate) fn with_redirect(remedy: Option<String>, target: &str) -> String {
    remedy.map(|remedy| remedy + "; ").unwrap_or_default() + &redirected_advice(target, 200)
}

/// Whether this is what a TLS server answers to plain HTTP.
pub(crate) fn is_of_tls_port(body: &[u8]) -> bool {
    let looked = &body[..body.len().min(limits::FOREIGN_LOOK_BYTES)];
    TLS_ANSWERS.iter().any(|answer| memchr::memmem::find(looked, answer).is_some())
}

/// How a body begins.
enum Beginning {
    /// The title of an HTML page, shortened: the server's own words.
    Title(String),
    /// The first words of another text, shortened: the server's own words.
    Words(String),
}

/// The title of a page, or the first words of another text; none if there are no words.
fn beginning(kind: &Kind, body: &[u8]) -> Option<Beginning> {
    let looked = &body[..body.len().min(limits::FOREIGN_LOOK_BYTES)];
    if *kind == Kind::Html
        && let Some(title) = title(looked)
    {
        return Some(shown(title)).filter(|title| !title.is_empty()).map(Beginning::Title);
    }
    let words = match kind {
        Kind::Empty | Kind::Compressed(_) => return None,
        Kind::Utf16 => shown(decoded_utf16(looked).as_bytes()),
        _ => shown(looked),
    };
    Some(words).filter(|words| !words.is_empty()).map(Beginning::Words)
}

/// A text from outside: cut to a bounded length, on one line and without secrets.
fn shown(text: &[u8]) -> String {
    let quoted = redact::quote(text, limits::FOREIGN_WORDS_BYTES_MAX);
    quoted.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn title(page: &[u8]) -> Option<&[u8]> {
    let lower = page.to_ascii_lowercase();
    let tag = memchr::memmem::find(&lower, b"<title")?;
    let start = tag + memchr::memchr(b'>', &lower[tag..])? + 1;
    let end = start + memchr::memchr(b'<', &lower[start..])?;
    Some(page[start..end].trim_ascii()).filter(|title| !title.is_empty())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByteOrder {
    Little,
    Big,
}

/// The byte order, if it is UTF-16: it has a byte order mark, or many of its characters have a zero byte, always the
/// same one.
fn utf16_order(body: &[u8]) -> Option<ByteOrder> {
    match body {
        [0xff, 0xfe, ..] => return Some(ByteOrder::Little),
        [0xfe, 0xff, ..] => return Some(ByteOrder::Big),
        _ => {}
    }
    let pairs = body[..body.len().min(64)].chunks_exact(2);
    let count = pairs.len();
    let (big, little) = pairs.fold((0, 0), |(big, little), pair| {
        (big + usize::from(pair[0] == 0 && pair[1] != 0), little + usize::from(pair[1] == 0 && pair[0] != 0))
    });
    match (big, little) {
        (0, little) if little > 0 && little * 2 >= count => Some(ByteOrder::Little),
        (big, 0) if big > 0 && big * 2 >= count => Some(ByteOrder::Big),
        _ => None,
    }
}

fn decoded_utf16(body: &[u8]) -> String {
    let is_big = utf16_order(body) == Some(ByteOrder::Big);
    let units = body.chunks_exact(2).map(|pair| {
        let pair = [pair[0], pair[1]];
        if is_big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
    });
    let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    text.trim_start_matches('\u{feff}').to_owned()
}

/// Whether it begins with a comment of that format, or with a sample: a name, perhaps labels, and a number.
fn is_prometheus(text: &[u8]) -> bool {
    if [&b"# HELP "[..], b"# TYPE ", b"# UNIT ", b"# EOF"].iter().any(|begin| text.starts_with(begin)) {
        return true;
    }
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
    let is_name = |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    let name = line.iter().take_while(|byte| is_name(byte)).count();
    let behind = &line[name..];
    let behind = match memchr::memrchr(b'}', behind).filter(|_| behind.starts_with(b"{")) {
        Some(end) => &behind[end + 1..],
        None => behind,
    };
    let mut words = behind.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let value = words.next().and_then(|word| std::str::from_utf8(word).ok());
    let is_sample = behind.first().is_some_and(u8::is_ascii_whitespace) && words.count() < 2;
    let is_name = matches!(line[..name], [first, .., last] if !first.is_ascii_digit() && last != b':') || name == 1;
    is_name && is_sample && value.is_some_and(|value| value.parse::<f64>().is_ok())
}

fn is_jsonp(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"/**/").unwrap_or(text).trim_ascii_start();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.');
    let name = text.iter().take_while(|byte| is_name(byte)).count();
    let call = text[name..].trim_ascii_start().strip_prefix(b"(").map(<[u8]>::trim_ascii_start);
    name > 0 && call.is_some_and(|call| matches!(call.first(), Some(b'{' | b'[')))
}

fn is_other_json(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    matches!(text, b"null" | b"true" | b"false" | [b'"', .., b'"'])
        || std::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests;
