//! Reads the head of an HTTP/1.1 answer: the fields that the program uses, and the rules that they must obey. Pure.

use super::AnswerError;
use crate::http::retry_after_header::RetryAfter;
use crate::limits;
use std::mem::MaybeUninit;

/// The parts of an answer's head that the program uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Head {
    pub(in crate::http) status: u16,
    pub(in crate::http) location: Option<String>,
    pub(in crate::http) retry_after: Option<RetryAfter>,
    pub(in crate::http) content: Content,
    /// Whether the connection can be used for another exchange after this answer.
    pub(in crate::http) keep_alive: bool,
}

/// What the head says about the body. For uncompressed JSON, the usual case, this takes no memory on the heap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// The status of the answer.
    pub(crate) status: u16,
    pub(crate) kind: ContentKind,
    /// The `Content-Encoding`, if the body is encoded. Unusual, because no encoding is requested.
    pub(crate) encoding: Option<Box<str>>,
    /// The URL of the answer, if redirects have led there.
    pub(crate) redirected_to: Option<Box<str>>,
}

/// `Content-Type`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum ContentKind {
    #[default]
    Unknown,
    Json,
    Other(Box<str>),
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Framing {
    /// The body has this number of bytes.
    Length(u64),
    Chunks,
    UntilClose,
}

impl Head {
    pub(in crate::http) fn is_success(&self) -> bool {
        (200..=299).contains(&self.status)
    }
}

impl Content {
    /// Whether the body is said to be compressed by gzip, and by nothing else.
    pub(in crate::http) fn is_gzip(&self) -> bool {
        let names = ["gzip", "x-gzip"];
        self.encoding.as_deref().is_some_and(|encoding| names.iter().any(|name| encoding.eq_ignore_ascii_case(name)))
    }
}

impl ContentKind {
    fn of(value: &[u8]) -> Self {
        let media = value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        if value.is_empty() {
            Self::Unknown
        } else if media.eq_ignore_ascii_case(b"application/json") {
            Self::Json
        } else {
            Self::Other(String::from_utf8_lossy(value).into())
        }
    }
}

/// The fields of a head that the program uses.
#[derive(Default)]
pub(super) struct Fields {
    is_http_1_1: bool,
    length: Option<u64>,
    chunked: bool,
    /// The `Connection` field: false for `close`, true for `keep-alive`.
    connection: Option<bool>,
    location: Option<String>,
    retry_after: Option<RetryAfter>,
    content: Content,
}

/// Parses a head. Returns its length in bytes, its status and its fields, or `None` if its end has not arrived.
pub(super) fn parse_head(raw: &[u8]) -> Result<Option<(usize, u16, Fields)>, AnswerError> {
    let mut places = [const { MaybeUninit::uninit() }; limits::HEAD_FIELDS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut response, raw, &mut places) {
        Ok(httparse::Status::Complete(length)) if length <= limits::HEAD_BYTES_MAX => length,
        Ok(httparse::Status::Complete(_)) => return Err(AnswerError::HeadTooLong),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(AnswerError::TooManyFields),
        Err(_) if matches!(raw, [TLS_ALERT | TLS_HANDSHAKE, 3, ..]) => return Err(AnswerError::Tls),
        Err(_) => return Err(AnswerError::NotHttp),
    };
    let fields = response.headers.iter().map(|field| (field.name, field.value));
    let fields = Fields::of(response.version == Some(1), fields)?;
    Ok(Some((length, response.code.unwrap_or_default(), fields)))
}

/// The first byte of a TLS record. The version follows, which begins with a 3.
const TLS_ALERT: u8 = 21;
const TLS_HANDSHAKE: u8 = 22;

/// Makes a head from fields that libcurl has parsed, and says how the body is framed. Both transports follow the same
/// rules.
///
/// # Errors
/// The fields break one of the rules.
#[cfg(feature = "proxy")]
pub(in crate::http) fn head_of<'f>(
    status: u16,
    is_http_1_1: bool,
    fields: impl Iterator<Item = (&'f str, &'f [u8])>,
) -> Result<(Head, Framing), AnswerError> {
    let (mut count, mut bytes) = (0, 0);
    let counted = fields.inspect(|(name, value)| {
        count += 1;
        bytes += name.len() + value.len() + FIELD_FRAME_BYTES;
    });
    let fields = Fields::of(is_http_1_1, counted)?;
    if count > limits::HEAD_FIELDS_MAX {
        return Err(AnswerError::TooManyFields);
    }
    if bytes > limits::HEAD_BYTES_MAX {
        return Err(AnswerError::HeadTooLong);
    }
    Ok(fields.into_head(status))
}

/// The bytes that a field has in addition to its name and value: colon, space and line end.
#[cfg(feature = "proxy")]
const FIELD_FRAME_BYTES: usize = 4;

impl Fields {
    fn of<'f>(is_http_1_1: bool, all: impl Iterator<Item = (&'f str, &'f [u8])>) -> Result<Self, AnswerError> {
        let mut fields = Self { is_http_1_1, ..Self::default() };
        let mut date = None;
        for (name, value) in all {
            fields.take(name, value)?;
            if name.eq_ignore_ascii_case("date") {
                date.get_or_insert(value);
            }
        }
        if let Some(retry_after) = &mut fields.retry_after {
            retry_after.date = date.map(|date| String::from_utf8_lossy(date).into_owned());
        }
        Ok(fields)
    }

    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), AnswerError> {
        let text = || Some(String::from_utf8_lossy(value).into_owned());
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("content-length") {
            let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
            let length = digits.and_then(|digits| digits.parse().ok()).ok_or(AnswerError::BadLength)?;
            if self.length.is_some_and(|other| other != length) {
                return Err(AnswerError::BadLength);
            }
            self.length = Some(length);
        } else if is("transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(AnswerError::UnknownCoding);
            }
            self.chunked = true;
        } else if is("connection") {
            for token in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                if token.eq_ignore_ascii_case(b"close") {
                    self.connection = Some(false);
                } else if token.eq_ignore_ascii_case(b"keep-alive") {
                    self.connection.get_or_insert(true);
                }
            }
        } else if is("content-type") {
            self.content.kind = ContentKind::of(value);
        } else if is("content-encoding") {
            let is_plain = value.is_empty() || value.eq_ignore_ascii_case(b"identity");
            self.content.encoding = if is_plain { None } else { text().map(String::into_boxed_str) };
        } else if is("location") {
            self.location = text();
        } else if is("retry-after") {
            self.retry_after = text().map(|asked| RetryAfter { asked, date: None });
        }
        Ok(())
    }

    pub(super) fn into_head(self, status: u16) -> (Head, Framing) {
        let framing = match self.length {
            _ if matches!(status, 204 | 304) => Framing::Length(0),
            _ if self.chunked => Framing::Chunks,
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        };
        // With both a length and chunks, it is uncertain where the answer ends, so the connection is not used again.
        let is_doubtful = self.chunked && self.length.is_some();
        let is_kept = self.connection.unwrap_or(self.is_http_1_1);
        let keep_alive = is_kept && !is_doubtful && framing != Framing::UntilClose;
        let Self { location, retry_after, mut content, .. } = self;
        content.status = status;
        (Head { status, location, retry_after, content, keep_alive }, framing)
    }
}
