//! Why an exchange gave no body, as errors for people.

use super::Content;
use crate::limits;
use crate::redact;
use std::fmt;
use std::time::Duration;

/// Why an exchange gave no body.
#[derive(Debug)]
pub(crate) enum HttpError {
    /// No answer: nobody there, reset, cut off.
    Transport(String),
    /// No whole answer in time.
    Timeout(Duration),
    /// An answer that is no success; its page is in the buffer.
    Status(Refused),
    TooManyRedirects,
    /// The body is longer than these bytes.
    TooLong(u64),
}

/// An answer that is no success.
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

impl HttpError {
    /// The same of an endpoint that a redirect has led to: whoever sent it there has chosen the name of the host.
    pub(super) fn of_hop(self) -> Self {
        match self {
            Self::Transport(mut text) => {
                redact::hide(&mut text);
                Self::Transport(text)
            }
            other => other,
        }
    }

    /// The same for failures that are alike, whatever is in their text.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Transport(text) => text.clone(),
            Self::Timeout(_) => "timeout".to_owned(),
            Self::Status(refused) => refused.status.to_string(),
            Self::TooManyRedirects => "redirects".to_owned(),
            Self::TooLong(_) => "too long".to_owned(),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(text) => f.write_str(text),
            Self::Timeout(limit) => write!(f, "no complete response within {limit:?}"),
            Self::Status(Refused { status, page, advice, .. }) => {
                write!(f, "status {status}, expected 200")?;
                page.iter().try_for_each(|page| write!(f, "; the body {page}"))?;
                advice.iter().try_for_each(|advice| write!(f, "; {advice}"))
            }
            Self::TooManyRedirects => write!(f, "more than {} redirects", limits::REDIRECTS_MAX),
            Self::TooLong(bytes) => write!(f, "the body is longer than max_body ({bytes} bytes)"),
        }
    }
}
