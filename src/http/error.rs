//! Why an exchange gave no body. Each error holds what is known of it, and its `Display` is the text for people.

#[cfg(feature = "proxy")]
pub(super) mod libcurl;
mod remedy;

use super::Content;
use super::names::NameError;
use super::response::{AnswerError, write_cut_off};
#[cfg(feature = "tls")]
use super::tls::TlsError;
use crate::descriptors;
use crate::limits;
use crate::redact;
use crate::secret::SecretFileError;
#[cfg(feature = "proxy")]
use libcurl::LibcurlError;
use std::fmt;
use std::io;
use std::time::Duration;

/// Why an exchange gave no body.
#[derive(Debug)]
pub(crate) enum HttpError {
    /// There is no whole answer. Common: it happens whenever the other process is restarted.
    Transport(TransportError),
    /// The same at an endpoint that a redirect has led to. The server that sent the redirect has chosen the name of that
    /// host, and could have put a secret into it, so secrets are hidden in the text. Rare.
    AfterRedirect(TransportError),
    /// There was no whole answer within this time. Common with an endpoint that is overloaded, or a host that is down.
    Timeout(Duration),
    /// An answer whose status is no success; its page is in the buffer. Common: a wrong path or wrong credentials, or a
    /// server that is starting.
    Status(Refused),
    /// The endpoint keeps redirecting. Rare: mostly a redirect to itself because a cookie or a login is missing.
    /// `target` is where the last one leads; it is short and holds no secrets.
    TooManyRedirects { target: String },
    /// The body is longer than these bytes, which are `max_body`. Rare: mostly the address of something else.
    TooLong(u64),
}

/// An answer whose status is no success.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    /// What its head says of its page.
    pub(crate) content: Content,
    /// What its page says, if somebody has looked at that.
    pub(crate) page: Option<String>,
    /// What to do about it, if that is known.
    pub(crate) advice: Option<String>,
}

/// Why there is no whole answer. A `place` is what people know the endpoint by: host and port, or the path of a socket.
#[derive(Debug)]
pub(crate) enum TransportError {
    /// Nobody listens there. By far the most common one: the process is not running, or is being restarted.
    ConnectionRefused { place: String },
    /// The backlog of a Unix socket is full. Rare: its process hangs.
    BacklogFull { place: String },
    /// The system cannot connect for another reason. Occasional: no route to the host, or no file of a Unix socket.
    CannotConnect { place: String, error: io::Error },
    /// The name of the host cannot be resolved. Common: a wrong name, no network, or a service that does not exist yet.
    Name { host: String, error: NameError },
    /// There is no address to try. Should not happen: a name without one is the error above.
    NoAddress { place: String },
    /// The process or the system has no file descriptor left. Rare: the limit is too low for the configuration.
    OutOfDescriptors,
    /// The connection was reset before the first byte of an answer. Occasional: the process was killed.
    Reset,
    /// The system reported another error before the first byte. Rare.
    NoResponse(io::Error),
    /// The connection was reset within the answer. Occasional, for the same reason.
    ResetWithin,
    /// The answer ended too early because of this error of the system. Rare.
    CutOff(io::Error),
    /// What came is no answer in HTTP/1.1, or not a whole one. Occasional: a wrong port, or a proxy in between.
    Answer(AnswerError),
    /// The body is compressed, and cannot be inflated. Rare: we do not ask for compression.
    Gzip(GzipError),
    /// A redirect leads where no request can go. `location` is short and holds no secrets. Rare.
    Redirect { location: String, problem: RedirectProblem },
    /// There is nothing to authenticate with yet. Occasional at the start: the file is mounted or written later.
    Secret(SecretFileError),
    /// TLS failed, or cannot begin. Common while setting up.
    #[cfg(feature = "tls")]
    Tls(TlsError),
    /// The connection failed within the TLS handshake. Occasional: a server that is ending.
    #[cfg(feature = "tls")]
    NoHandshake { place: String, error: io::Error },
    /// An exchange through libcurl failed.
    #[cfg(feature = "proxy")]
    Libcurl(LibcurlError),
    /// The same through the proxy that this environment variable names. Occasional.
    #[cfg(feature = "proxy")]
    ThroughProxy { error: LibcurlError, variable: &'static str },
    /// This environment variable names a proxy for the endpoint, and the program cannot use any. Likely in such a program.
    #[cfg(not(feature = "proxy"))]
    NoProxies { place: String, variable: &'static str },
}

/// What is wrong with a body that is compressed by gzip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GzipError {
    /// It ends too early. The likeliest of the three: the sender stopped while it was compressing.
    CutOff,
    /// It is not what was compressed, by its own checksum, or is not gzip at all.
    Damaged,
    /// There is more behind its end.
    TrailingData,
}

/// Why the target of a redirect is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedirectProblem {
    /// The URL that the target is relative to is not valid. Should not happen: it has been asked already.
    BadBase,
    /// It is no URL. Rare: a broken server.
    NoUrl,
    /// It has another scheme, such as `ftp`. Rare.
    OtherScheme,
    /// It is `https://`, in a program without TLS. Likely in such a program: servers often redirect to TLS.
    NoTls,
}

impl HttpError {
    /// The same error of an endpoint that a redirect has led to.
    pub(super) fn after_redirect(self) -> Self {
        match self {
            Self::Transport(error) => Self::AfterRedirect(error),
            other => other,
        }
    }

    /// A text that is the same for failures that are alike, whatever bytes and durations they are about.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Transport(_) | Self::AfterRedirect(_) => self.to_string(),
            Self::Timeout(_) => "timeout".to_owned(),
            Self::Status(refused) => refused.status.to_string(),
            Self::TooManyRedirects { .. } => "redirects".to_owned(),
            Self::TooLong(_) => "too long".to_owned(),
        }
    }
}

/// What to do about an answer with this status from a URL that redirects have led to.
pub(crate) fn redirected_advice(target: &str, status: u16) -> String {
    let target = redact::quote(target.as_bytes(), limits::QUOTED_BYTES_MAX);
    let credentials = match status {
        401 | 403 => ", and credentials stay with their origin",
        _ => "",
    };
    format!("the endpoint redirects to {target}{credentials}: set `endpoint` to the final address")
}

impl From<TransportError> for HttpError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl From<AnswerError> for HttpError {
    fn from(error: AnswerError) -> Self {
        Self::Transport(TransportError::Answer(error))
    }
}

#[cfg(feature = "proxy")]
impl From<LibcurlError> for HttpError {
    fn from(error: LibcurlError) -> Self {
        Self::Transport(TransportError::Libcurl(error))
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::AfterRedirect(error) => {
                let mut text = format!("{error} (after a redirect)");
                redact::hide(&mut text);
                f.write_str(&text)
            }
            Self::Timeout(limit) => write!(f, "no complete response within {limit:?}"),
            Self::Status(Refused { status, page, advice, .. }) => {
                write!(f, "status {status}, expected 200")?;
                page.iter().try_for_each(|page| write!(f, "; the body {page}"))?;
                advice.iter().try_for_each(|advice| write!(f, "; {advice}"))
            }
            Self::TooManyRedirects { target } => {
                write!(f, "more than {} redirects, the last one to {target}", limits::REDIRECTS_MAX)
            }
            Self::TooLong(bytes) => write!(f, "the body is longer than max_body ({bytes} bytes)"),
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectionRefused { place } => write!(f, "connection refused by {place}"),
            Self::BacklogFull { place } => {
                write!(f, "{place} is too busy to accept connections (its backlog is full)")
            }
            Self::CannotConnect { place, error } => write!(f, "cannot connect to {place}: {error}"),
            Self::Name { host, error } => write!(f, "cannot resolve {host}: {error}"),
            Self::NoAddress { place } => write!(f, "no address found for {place}"),
            Self::OutOfDescriptors => f.write_str(&descriptors::advice()),
            Self::Reset => f.write_str("the connection was reset before a response arrived"),
            Self::NoResponse(error) => write!(f, "no response: {error}"),
            Self::ResetWithin => write_cut_off(f, &"the connection was reset"),
            Self::CutOff(error) => write_cut_off(f, error),
            Self::Answer(error) => error.fmt(f),
            Self::Gzip(error) => {
                write!(f, "the body is compressed with gzip, which was not requested, and {}", error.text())
            }
            Self::Redirect { location, problem } => {
                write!(f, "redirected to {location:?}, which is {}", problem.text())
            }
            Self::Secret(error) => error.fmt(f),
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.fmt(f),
            #[cfg(feature = "tls")]
            Self::NoHandshake { place, error } => write!(f, "the TLS handshake with {place} failed: {error}"),
            #[cfg(feature = "proxy")]
            Self::Libcurl(error) => error.fmt(f),
            #[cfg(feature = "proxy")]
            Self::ThroughProxy { error: error @ LibcurlError::RefusedByProxy { .. }, variable } => {
                write!(f, "{error} (it is the proxy in the variable {variable})")
            }
            #[cfg(feature = "proxy")]
            Self::ThroughProxy { error, variable } => {
                write!(f, "{error} (through the proxy in the variable {variable}: is it the cause?)")
            }
            #[cfg(not(feature = "proxy"))]
            Self::NoProxies { place, variable } => write!(
                f,
                "the variable {variable} names a proxy for {place}, but this expvastic was built without proxies: \
                 list the host in no_proxy, or use a build with the feature `proxy`"
            ),
        }
    }
}

impl GzipError {
    fn text(self) -> &'static str {
        match self {
            Self::CutOff => "is cut off",
            Self::Damaged => "is damaged",
            Self::TrailingData => "has trailing data",
        }
    }
}

impl RedirectProblem {
    fn text(self) -> &'static str {
        match self {
            Self::BadBase => "not a valid URL",
            Self::NoUrl => "no URL",
            Self::OtherScheme => "neither http:// nor https://",
            Self::NoTls => "https://: this expvastic was built without TLS",
        }
    }
}
