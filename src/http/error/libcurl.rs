//! Why an exchange through libcurl failed. libcurl's own words are kept only where there is nothing better to say; they
//! have been cut, and secrets have been removed from them.

use crate::http::response::{AnswerError, write_cut_off};
#[cfg(feature = "tls")]
use crate::http::tls::TlsError;
use std::fmt;

/// Why an exchange through libcurl failed. A `place` is host and port.
#[derive(Debug)]
pub(crate) enum LibcurlError {
    /// libcurl or its thread cannot be started. Rare: the system gives no thread or no memory.
    Start { words: String },
    /// It is used before it was started. Should not happen.
    NotStarted,
    /// The value of this header field cannot be sent. Should not happen: the configuration is checked.
    HeaderField { name: String },
    /// The client does not take the request. Should not happen, for the same reason.
    Request { words: String },
    /// The host has no address. Common: a wrong name, or no network.
    NoHost { place: String },
    /// Nothing listens there, or it cannot be reached. The most common one.
    NotConnected { place: String },
    /// The same where the proxy makes a tunnel for TLS. libcurl does not say whether the proxy was reached and has refused to.
    NoTunnel { place: String },
    /// A SOCKS proxy was reached, and does not connect to this place. Likely while setting up: wrong credentials, or its rules.
    RefusedByProxy { place: String },
    /// TLS with the server failed, or cannot begin.
    #[cfg(feature = "tls")]
    Tls(TlsError),
    /// What came is no answer, by the rules that both transports share.
    Answer(AnswerError),
    /// libcurl does not take the answer's first line or its length. Rare: a wrong port.
    BadAnswer,
    /// The same of a header or a chunk. Rare.
    BadFraming,
    /// The connection failed within the answer, or what came is no HTTP. Occasional: the process was killed.
    Receive,
    /// The connection failed within the answer, in libcurl's words. Rare.
    CutOff { words: String },
    /// Anything else, in libcurl's words. Rare.
    Other { words: String },
}

impl fmt::Display for LibcurlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { words } => write!(f, "cannot start the HTTP client: {words}"),
            Self::NotStarted => f.write_str("the HTTP client is not started"),
            Self::HeaderField { name } => write!(f, "the header field {name} cannot be sent"),
            Self::Request { words } | Self::Other { words } => f.write_str(words),
            Self::NoHost { place } => write!(f, "cannot resolve the host name of {place}"),
            Self::NotConnected { place } => write!(f, "cannot connect to {place}: is a server listening there?"),
            Self::NoTunnel { place } => write!(
                f,
                "cannot connect to {place}: is a server listening there, and are the credentials in the proxy's URL right?"
            ),
            Self::RefusedByProxy { place } => write!(
                f,
                "the proxy does not connect to {place}: check the credentials in its URL, and what it permits"
            ),
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.fmt(f),
            Self::Answer(error) => error.fmt(f),
            Self::BadAnswer => f.write_str("the response is not HTTP/1.1, or has an invalid Content-Length"),
            Self::BadFraming => f.write_str("the response is not HTTP/1.1: malformed header or chunk"),
            Self::Receive => f.write_str("the response was cut off or is not valid HTTP/1.1"),
            Self::CutOff { words } => write_cut_off(f, words),
        }
    }
}
