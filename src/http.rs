//! The one HTTP client of the process: GET into a capped buffer, POST from a shared one. This module alone names isahc.
//!
//! HTTP/1.1 over kept connections. No decompression: what a body may inflate to could not be bounded. Each exchange is
//! bounded in time as a whole, by libcurl's own clock, so that no timer of ours has to wake up for it.

use crate::bulk::Bulk;
use crate::flatten::PADDING_BYTES;
use crate::limits;
use isahc::config::{Configurable, ExpectContinue, RedirectPolicy, VersionNegotiation};
use isahc::error::ErrorKind;
use isahc::http::header;
use isahc::{AsyncBody, HttpClient, Request, Response};
use smol::io::{AsyncRead, AsyncReadExt};
use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

pub(crate) use isahc::http::Uri;

/// Bytes that a body buffer grows by. Small, as twenty of them may be filled at once; what libcurl has handed over is
/// read in as many steps as it takes, without waiting in between.
const READ_BYTES: usize = 4 << 10;

const USER_AGENT: &str = concat!("expvastic/", env!("CARGO_PKG_VERSION"));

/// The client.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: HttpClient,
}

/// Why an exchange gave no body.
#[derive(Debug)]
pub(crate) enum HttpError {
    /// No answer: nobody there, reset, cut off.
    Transport(String),
    /// No whole answer in time.
    Timeout(Duration),
    /// An answer that is no success.
    Status(u16),
    TooManyRedirects,
    /// The body is longer than these bytes.
    TooLong(u64),
}

/// A server's answer to a bulk.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    /// The body, up to the cap.
    pub(crate) body: Vec<u8>,
}

impl Http {
    /// Starts the client and its thread. `endpoints` connections are kept open.
    ///
    /// # Errors
    /// What the system refuses.
    pub(crate) fn start(endpoints: usize) -> Result<Self, String> {
        let client = HttpClient::builder()
            .connection_cache_size(endpoints + 4)
            .version_negotiation(VersionNegotiation::http11())
            .automatic_decompression(false)
            .expect_continue(ExpectContinue::disabled())
            .default_header(header::USER_AGENT, USER_AGENT)
            .build();
        client.map(|client| Self { client }).map_err(|error| format!("the HTTP client cannot start: {error}"))
    }

    /// Gets `url` into `body`, which keeps its capacity from poll to poll.
    ///
    /// # Errors
    /// [`HttpError`]; `body` then holds nothing of use.
    pub(crate) async fn get(
        &self,
        url: &Uri,
        timeout: Duration,
        bytes_max: u64,
        body: &mut Vec<u8>,
    ) -> Result<(), HttpError> {
        body.clear();
        let request = direct(Request::get(url.clone()), url)
            .timeout(timeout)
            .redirect_policy(RedirectPolicy::Limit(limits::REDIRECTS_MAX))
            .header(header::ACCEPT, "application/json")
            .body(());
        let failed = |error: isahc::Error| HttpError::of(&error, timeout);
        let request = request.map_err(|error| HttpError::Transport(error.to_string()))?;
        let mut response = self.client.send_async(request).await.map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            // A short page is read to its end, so that the connection can be used again.
            let _ = read_capped(&mut response, limits::ERROR_PAGE_BYTES, body).await;
            return Err(HttpError::Status(status.as_u16()));
        }
        let cap = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        match read_capped(&mut response, cap, body).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(HttpError::TooLong(bytes_max)),
            Err(error) => Err(HttpError::of_io(&error, timeout)),
        }
    }

    /// Posts a bulk as NDJSON. The answer's body is read up to `answer_bytes_max`.
    ///
    /// # Errors
    /// [`HttpError`] if there was no answer: the bulk may have arrived or not.
    pub(crate) async fn post_bulk(
        &self,
        url: &Uri,
        timeout: Duration,
        bulk: Arc<Bulk>,
        answer_bytes_max: usize,
    ) -> Result<Answer, HttpError> {
        let length = bulk.bytes().len() as u64;
        let request = direct(Request::post(url.clone()), url)
            .timeout(timeout)
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .body(AsyncBody::from_reader_sized(BulkBody { bulk, sent: 0 }, length))
            .map_err(|error| HttpError::Transport(error.to_string()))?;
        self.answer(request, timeout, answer_bytes_max).await
    }

    /// Asks a server something small: `GET`, or `PUT` of a JSON text. Whatever the status, the answer is read up to
    /// `answer_bytes_max`; redirects are not followed.
    ///
    /// # Errors
    /// [`HttpError`] if there was no answer.
    pub(crate) async fn ask(
        &self,
        url: &Uri,
        timeout: Duration,
        put: Option<String>,
        answer_bytes_max: usize,
    ) -> Result<Answer, HttpError> {
        let request = match &put {
            None => Request::get(url.clone()),
            Some(_) => Request::put(url.clone()).header(header::CONTENT_TYPE, "application/json"),
        };
        let request = direct(request, url)
            .timeout(timeout)
            .header(header::ACCEPT, "application/json")
            .body(put.map_or_else(AsyncBody::empty, AsyncBody::from))
            .map_err(|error| HttpError::Transport(error.to_string()))?;
        self.answer(request, timeout, answer_bytes_max).await
    }

    async fn answer(
        &self,
        request: Request<AsyncBody>,
        timeout: Duration,
        answer_bytes_max: usize,
    ) -> Result<Answer, HttpError> {
        let failed = |error: isahc::Error| HttpError::of(&error, timeout);
        let mut response = self.client.send_async(request).await.map_err(failed)?;
        let mut body = Vec::new();
        read_capped(&mut response, answer_bytes_max, &mut body)
            .await
            .map_err(|error| HttpError::of_io(&error, timeout))?;
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        Ok(Answer { status: response.status().as_u16(), retry_after: retry_after.map(str::to_owned), body })
    }
}

/// libcurl's own words where the client has none.
fn describe(error: &isahc::Error) -> String {
    match error.source() {
        Some(source) if has_no_words(error) => source.to_string(),
        _ => error.to_string(),
    }
}

/// The client calls these an unknown error.
fn has_no_words(error: &isahc::Error) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Unknown)
}

/// Never through a proxy of the environment to a neighbour on the same machine.
fn direct(request: isahc::http::request::Builder, url: &Uri) -> isahc::http::request::Builder {
    if is_loopback(url.host().unwrap_or_default()) { request.proxy(None) } else { request }
}

/// Whether `host` is this machine, by name or by number.
fn is_loopback(host: &str) -> bool {
    let number = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || number.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Reads up to `cap` bytes; false if there is more.
async fn read_capped(response: &mut Response<AsyncBody>, cap: usize, body: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let filled = body.len();
        let room = (cap + 1 - filled).min(READ_BYTES);
        if body.capacity() - filled < room + PADDING_BYTES {
            body.reserve_exact((room + PADDING_BYTES).max(filled / 4));
        }
        body.resize(filled + room, 0);
        let read = response.body_mut().read(&mut body[filled..]).await;
        body.truncate(filled + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => return Ok(true),
            Ok(_) if body.len() > cap => {
                body.truncate(cap);
                return Ok(false);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A bulk as a request body, without a copy.
struct BulkBody {
    bulk: Arc<Bulk>,
    sent: usize,
}

impl AsyncRead for BulkBody {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let rest = &self.bulk.bytes()[self.sent..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.sent += length;
        Poll::Ready(Ok(length))
    }
}

impl HttpError {
    fn of(error: &isahc::Error, timeout: Duration) -> Self {
        match error.kind() {
            ErrorKind::Timeout => Self::Timeout(timeout),
            ErrorKind::TooManyRedirects => Self::TooManyRedirects,
            _ => Self::Transport(describe(error)),
        }
    }

    fn of_io(error: &io::Error, timeout: Duration) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<isahc::Error>()) {
            Some(inner) if has_no_words(inner) => {
                Self::Transport(format!("the answer was cut off: {}", describe(inner)))
            }
            Some(inner) => Self::of(inner, timeout),
            None if error.kind() == io::ErrorKind::TimedOut => Self::Timeout(timeout),
            None => Self::Transport(format!("the answer was cut off: {error}")),
        }
    }

    /// The same for failures that are alike, whatever is in their text.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Transport(text) => text.clone(),
            Self::Timeout(_) => "timeout".to_owned(),
            Self::Status(status) => status.to_string(),
            Self::TooManyRedirects => "redirects".to_owned(),
            Self::TooLong(_) => "too long".to_owned(),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(text) => f.write_str(text),
            Self::Timeout(limit) => write!(f, "no whole answer within {limit:?}"),
            Self::Status(status) => write!(f, "the answer has status {status}, expected 200"),
            Self::TooManyRedirects => write!(f, "more than {} redirects", limits::REDIRECTS_MAX),
            Self::TooLong(bytes) => write!(f, "the body is longer than max_body ({bytes} bytes)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_told_from_strangers() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "10.0.0.1", "localhost.example", "[fe80::1]", "es"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
