//! Why a bulk, a small request or some documents of a bulk were not accepted: each cause with its data, and its text for
//! the log. Pure.

use crate::http::HttpError;
use crate::limits;
use crate::redact;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why something was not accepted. The texts in it that come from a server are bounded, and secrets were removed from them
/// before they were cut.
#[derive(Debug)]
pub(crate) enum Reason {
    /// There was no whole answer. By far the most common one: the server is stopped, is restarted, or takes too long.
    NoAnswer(HttpError),
    /// The server refused the bulk as a whole. Common: it is overloaded (429) or a part of it is away (503), or it wants
    /// other credentials (401, 403).
    Refused { status: u16, said: Said, hint: Option<Hint>, remedy: Option<Remedy> },
    /// The server refused some documents, but may accept them later. Common: its queue is full (429), its disk is full, or a
    /// shard is away.
    Documents { status: u64, kind: String, reason: String, remedy: Option<Remedy> },
    /// The server refused a small request to this path, because it is busy or has failed itself. Occasional: it is
    /// starting.
    SmallRequest { path: String, rejection: Rejection },
    /// The status is one of success, but the body, which begins with `page`, is not the answer to the bulk. Rare.
    Mismatch { status: u16, mismatch: Mismatch, page: String },
    /// Documents were sent with another mapping type than that of their index, and are sent again with the right one.
    /// Rare: once for each index whose type is not known yet, before Elasticsearch 8.
    MappingType,
    /// The file or stream cannot be written. Rare: the disk is full, or the file belongs to another user.
    File { path: PathBuf, error: io::Error },
    /// There was no host to try. Should not happen: a recorder has at least one, and resting ones are tried if all rest.
    NoHost,
}

/// What a server says when it refuses a bulk.
#[derive(Debug)]
pub(crate) enum Said {
    /// Its error, with `type` and `reason`. Both may be empty, but not at once. The likelier of the two.
    Error { kind: String, reason: String },
    /// The beginning of a body without an error in it, which may be empty. It comes from a proxy in most cases.
    Page(String),
}

/// What a status says about the configuration, so that a person knows where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    /// The answer is that of a TLS port to plain HTTP. Likely only while a configuration is new, as all of these.
    UseTls,
    /// A redirect, mostly from `http://` to `https://` or to a path with a slash at its end.
    Redirect,
    /// 403: a privilege is missing.
    Privileges,
    /// 404: `endpoint` is not the address of the server itself.
    NoBulkThere,
}

/// What a person can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The answer is that of a TLS port to plain HTTP. Likely only while a configuration is new.
    UseTls,
    /// The credentials are missing or wrong (401), or lack a privilege (403). The likeliest one. The text is that of
    /// [`Access::advice`](crate::access::Access::advice).
    Authenticate(String),
    /// A redirect, whose target the text names. Occasional: `http://` for `https://`, or a proxy with a login page.
    Moved(String),
    /// What the table in [`super::refusals`] says about this error: an index, an alias, a pipeline or a limit is to be
    /// changed. Occasional.
    Known(&'static str),
}

/// An answer by which the server refuses a small request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(super) status: u16,
    /// The beginning of the body: the server's own words, without secrets.
    pub(super) page: String,
    pub(super) remedy: Option<Remedy>,
}

/// Why the body of a success is not the answer to the bulk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// It is not JSON, has another structure, or ends too early. The likelier of the two: a page of a proxy or of another
    /// program.
    NotABulkResponse,
    /// It has more or fewer items than the bulk has documents. Rare: a proxy has returned the answer to another request.
    ItemCount,
}

impl Reason {
    /// A text that is the same for refusals of the same kind.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::NoAnswer(error) => error.kind(),
            Self::Refused { status, said: Said::Page(_), .. } => format!("status {status}"),
            Self::Refused { status, said: Said::Error { kind, .. }, hint, .. } => {
                format!("status {status}{}: {kind}", Hint::text(*hint))
            }
            Self::Documents { status, kind, .. } => format!("item status {status}: {kind}"),
            Self::SmallRequest { path, rejection } => format!("{path}: status {}", rejection.status),
            Self::Mismatch { status, mismatch, .. } => format!("status {status} but {}", mismatch.text()),
            Self::MappingType => "documents had a different mapping type than their index".to_owned(),
            Self::File { path, error } => format!("cannot write to {}: {error}", path.display()),
            Self::NoHost => "no host".to_owned(),
        }
    }

    /// The whole text. In most cases it is the kind and what belongs to this one refusal.
    pub(super) fn text(&self) -> String {
        let mut text = match self {
            Self::NoAnswer(error) => return error.to_string(),
            Self::SmallRequest { path, rejection } => return format!("{path}: {rejection}"),
            _ => self.kind(),
        };
        let (join, details) = match self {
            Self::Refused { said: Said::Page(page), hint, .. } => {
                text.push_str(Hint::text(*hint));
                (if page.is_empty() { "" } else { ": " }, page.as_str())
            }
            Self::Refused { said: Said::Error { reason, .. }, .. } | Self::Documents { reason, .. } => {
                (" ", reason.as_str())
            }
            Self::Mismatch { page, .. } => (": ", page.as_str()),
            Self::NoHost => (" ", "to try"),
            Self::NoAnswer(_) | Self::SmallRequest { .. } | Self::MappingType | Self::File { .. } => ("", ""),
        };
        text.push_str(join);
        text.push_str(details);
        if let Self::Refused { remedy: Some(remedy), .. } | Self::Documents { remedy: Some(remedy), .. } = self {
            text.truncate(text.trim_end_matches(['.', ';', ' ']).len());
            text.push_str("; ");
            text.push_str(remedy.text());
        }
        text
    }

    /// Every text in it that a server has written.
    pub(super) fn for_each_text(&mut self, mut change: impl FnMut(&mut String)) {
        match self {
            Self::Refused { said: Said::Error { kind, reason }, .. } | Self::Documents { kind, reason, .. } => {
                change(kind);
                change(reason);
            }
            Self::Refused { said: Said::Page(page), .. }
            | Self::Mismatch { page, .. }
            | Self::SmallRequest { rejection: Rejection { page, .. }, .. } => change(page),
            Self::NoAnswer(_) | Self::MappingType | Self::File { .. } | Self::NoHost => {}
        }
    }
}

impl Hint {
    fn text(hint: Option<Self>) -> &'static str {
        match hint {
            Some(Self::UseTls) => " (this port speaks TLS: write https://)",
            Some(Self::Redirect) => " (redirects are not followed when shipping: set `endpoint` to the final address)",
            Some(Self::Privileges) => " (requires the privileges create_doc and auto_configure for the index)",
            Some(Self::NoBulkThere) => " (no `_bulk` there: check the path of `endpoint`)",
            None => "",
        }
    }
}

impl Remedy {
    /// For an answer that redirects to `location`. `advice` follows.
    pub(super) fn of_redirect(location: &str, advice: &str) -> Self {
        let location = redact::quote(location.as_bytes(), limits::QUOTED_BYTES_MAX);
        Self::Moved(format!("it redirects to {location}{advice}"))
    }

    fn text(&self) -> &str {
        match self {
            Self::UseTls => "this port speaks TLS: write https://",
            Self::Authenticate(text) | Self::Moved(text) => text,
            Self::Known(remedy) => remedy,
        }
    }
}

impl Mismatch {
    fn text(self) -> &'static str {
        match self {
            Self::NotABulkResponse => "the body is not a bulk response",
            Self::ItemCount => "the body has a different number of items",
        }
    }
}

impl Rejection {
    /// The reason without the remedy, and the remedy.
    pub(super) fn into_parts(mut self) -> (String, String) {
        let remedy = self.remedy.take().map(|remedy| remedy.text().to_owned());
        (self.to_string(), remedy.unwrap_or_default())
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}{}{}", self.status, if self.page.is_empty() { "" } else { ": " }, self.page)?;
        self.remedy.iter().try_for_each(|remedy| write!(f, "; {}", remedy.text()))
    }
}
