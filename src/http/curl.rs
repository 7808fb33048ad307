//! The way out by isahc, which is libcurl and a thread of its own: TLS, names that must be resolved, proxies. This module
//! alone names isahc.
//!
//! It is started by the first exchange that needs it. The time that an exchange may take is kept by libcurl's own clock.

#[cfg(feature = "tls")]
use super::certificate;
use super::response::AnswerError;
use super::response::head::{self, Framing, Head};
use super::{ACCEPTED, Endpoint, HttpError, Payload, Proxies, Received, Request, USER_AGENT};
use crate::access::ClientCertificate;
#[cfg(feature = "tls")]
use crate::access::Tls;
use crate::clock;
use crate::flatten::PADDING_BYTES;
use crate::limits;
use crate::redact;
use isahc::config::{Configurable, ExpectContinue, VersionNegotiation};
use isahc::error::ErrorKind;
use isahc::http::{Version, header};
#[cfg(feature = "tls")]
use isahc::tls::{Identity, PrivateKey, TlsConfig, TrustStore};
use isahc::{AsyncBody, HttpClient, Response};
use smol::io::{AsyncRead, AsyncReadExt};
use std::cell::{Cell, OnceCell};
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;

pub(crate) use isahc::http::Uri;

/// Bytes that a body buffer grows by: what libcurl has handed over is read in as many steps as it takes, without waiting
/// in between.
const READ_BYTES: usize = 4 << 10;

/// The client, once it is needed.
#[derive(Debug)]
pub(super) struct Curl {
    client: OnceCell<HttpClient>,
    kept_connections: Cell<usize>,
    proxies: Proxies,
}

impl Curl {
    pub(super) fn new(kept_connections: usize, proxies: Proxies) -> Self {
        Self { client: OnceCell::new(), kept_connections: Cell::new(kept_connections), proxies }
    }

    /// Keeps so many connections open, if it is not started yet.
    pub(super) fn keep_at_most(&self, kept_connections: usize) {
        self.kept_connections.set(kept_connections);
    }

    /// Sends the request and reads the answer into `body`.
    ///
    /// # Errors
    /// [`HttpError`] if there is no whole answer.
    pub(super) async fn exchange(&self, request: &Request<'_>, body: &mut Vec<u8>) -> Result<Received, HttpError> {
        // Whoever uses the library may listen to all that is traced; isahc would tell them each header field.
        let sent = self.client()?.send_async(prepared(request)?).with_subscriber(Dispatch::none());
        let mut response = match sent.await {
            Ok(response) => response,
            Err(error) => return Err(self.with_proxy(explained(&error, request).await, request.endpoint)),
        };
        let (head, framing) = head(&response).map_err(|error| HttpError::Transport(error.to_string()))?;
        let cap = if head.is_success() { request.caps.success } else { request.caps.other };
        let is_short = !matches!(framing, Framing::Length(length) if length > cap as u64);
        if !is_short && request.payload.is_none() {
            // A length that is announced is believed: why read what will be refused?
            return Ok(Received { head, is_whole: false });
        }
        *body = (request.supply)();
        match read_capped(&mut response, cap, body).await {
            Ok(is_whole) => Ok(Received { head, is_whole: is_whole && is_short }),
            // A page that is no answer says what it has to say by its status.
            Err(_) if !head.is_success() && request.payload.is_none() => Ok(Received { head, is_whole: false }),
            Err(error) => Err(of_io(&error, request)),
        }
    }

    /// Names the proxy that may be to blame: libcurl does not tell who it was that failed.
    fn with_proxy(&self, error: HttpError, endpoint: &Endpoint) -> HttpError {
        let is_tls = endpoint.url.scheme_str() == Some("https");
        let variable = if is_tls { self.proxies.https } else { self.proxies.http };
        match (error, variable.filter(|_| !endpoint.is_neighbour())) {
            (HttpError::Transport(said), Some(variable)) => {
                HttpError::Transport(format!("{said} (the variable {variable} names a proxy: is it the one to blame?)"))
            }
            (error, _) => error,
        }
    }

    fn client(&self) -> Result<&HttpClient, HttpError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = HttpClient::builder()
            .connection_cache_size(self.kept_connections.get())
            .version_negotiation(VersionNegotiation::http11())
            .automatic_decompression(false)
            .expect_continue(ExpectContinue::disabled())
            .default_header(header::USER_AGENT, USER_AGENT)
            .build();
        let client = client
            .map_err(|error| HttpError::Transport(format!("the HTTP client cannot start: {}", describe(&error))))?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// What the client has read of the head, by the rules of our own: libcurl takes more than they do.
fn head(response: &Response<AsyncBody>) -> Result<(Head, Framing), AnswerError> {
    let is_http_1_1 = match response.version() {
        Version::HTTP_11 => true,
        Version::HTTP_10 => false,
        _ => return Err(AnswerError::NotHttp),
    };
    let fields = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    head::head_of(response.status().as_u16(), is_http_1_1, fields)
}

fn prepared(request: &Request<'_>) -> Result<isahc::Request<AsyncBody>, HttpError> {
    let url = request.endpoint.url.clone();
    let left = request.deadline.saturating_duration_since(clock::now());
    if left.is_zero() {
        return Err(HttpError::Timeout(request.timeout));
    }
    // libcurl counts milliseconds, and takes none for no bound.
    let left = left.max(Duration::from_millis(1));
    let mut builder = isahc::Request::builder().uri(url).timeout(left);
    if request.endpoint.is_neighbour() {
        builder = builder.proxy(None);
    }
    #[cfg(feature = "tls")]
    if request.endpoint.url.scheme_str() == Some("https") {
        builder = builder.tls_config(tls_config(&request.endpoint.identity.access().tls));
    }
    for (name, value) in &request.sent.fields {
        let mut value = header::HeaderValue::from_str(value.expose())
            .map_err(|_| HttpError::Transport(format!("the header field {name} cannot be sent")))?;
        value.set_sensitive(true);
        builder = builder.header(name, value);
    }
    let built = match &request.payload {
        None => builder.method("GET").header(header::ACCEPT, ACCEPTED).body(AsyncBody::empty()),
        Some(payload) => {
            let length = payload.bytes().len() as u64;
            let body = AsyncBody::from_reader_sized(PayloadBody { payload: payload.clone(), sent: 0 }, length);
            if let Some(encoding) = payload.content_encoding() {
                builder = builder.header(header::CONTENT_ENCODING, encoding);
            }
            builder.method(payload.method()).header(header::CONTENT_TYPE, payload.content_type()).body(body)
        }
    };
    built.map_err(|error| HttpError::Transport(error.to_string()))
}

/// Files are read by libcurl whenever it connects: certificates may be replaced under way.
#[cfg(feature = "tls")]
fn tls_config(tls: &Tls) -> TlsConfig {
    let mut config = TlsConfig::builder().danger_accept_invalid_certs(!tls.verify);
    if let Some(path) = &tls.ca_file {
        config = config.trust_store(TrustStore::from_file(path));
    }
    if let Some(ClientCertificate { cert_file, key_file }) = &tls.client {
        let key = PrivateKey::from_pem_file(key_file, None);
        config = config.identity(Identity::from_pem_file(cert_file, Some(key)));
    }
    config.build()
}

/// A payload as a request body, without a copy.
struct PayloadBody {
    payload: Payload,
    sent: usize,
}

impl AsyncRead for PayloadBody {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let rest = &self.payload.bytes()[self.sent..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.sent += length;
        Poll::Ready(Ok(length))
    }
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

/// The error, and for a certificate what is wrong with it.
#[cfg_attr(not(feature = "tls"), allow(clippy::unused_async, reason = "there are no certificates to look at"))]
async fn explained(error: &isahc::Error, request: &Request<'_>) -> HttpError {
    #[cfg(feature = "tls")]
    if *error.kind() == ErrorKind::BadServerCertificate
        && let Some(problem) = certificate::problem(request.endpoint, request.deadline).await
    {
        let place = request.endpoint.authority();
        return HttpError::Transport(format!("the certificate of {place} is not accepted: {problem}"));
    }
    of_error(error, request)
}

fn of_error(error: &isahc::Error, request: &Request<'_>) -> HttpError {
    match error.kind() {
        ErrorKind::Timeout => HttpError::Timeout(request.timeout),
        _ => HttpError::Transport(
            of_answer(error)
                .or_else(|| of_place(error, request.endpoint))
                .or_else(|| of_end(error))
                .unwrap_or_else(|| describe(error)),
        ),
    }
}

fn of_io(error: &io::Error, request: &Request<'_>) -> HttpError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<isahc::Error>()) {
        Some(inner) if has_no_words(inner) => {
            let said = of_answer(inner).or_else(|| of_end(inner));
            HttpError::Transport(said.unwrap_or_else(|| format!("the answer was cut off: {}", describe(inner))))
        }
        Some(inner) => of_error(inner, request),
        None if error.kind() == io::ErrorKind::TimedOut => HttpError::Timeout(request.timeout),
        None => HttpError::Transport(format!("the answer was cut off: {error}")),
    }
}

/// What is wrong with an answer, where libcurl's own words speak of disks.
fn of_answer(error: &isahc::Error) -> Option<String> {
    Some(match number(error)? {
        1 | 8 => "the answer is not HTTP/1.1, or its Content-Length is not one number".to_owned(),
        18 => AnswerError::CutOff.to_string(),
        23 => "the answer is not HTTP/1.1: a field of its header, or a chunk, is not framed as one".to_owned(),
        61 => AnswerError::UnknownCoding.to_string(),
        100 => AnswerError::HeadTooLong.to_string(),
        _ => return None,
    })
}

/// The same for a connection that came to an end, if nothing better is known of it.
fn of_end(error: &isahc::Error) -> Option<String> {
    Some(match number(error)? {
        52 => AnswerError::Nothing.to_string(),
        56 => "the answer was cut off, or is not framed as HTTP/1.1 has it".to_owned(),
        _ => return None,
    })
}

/// libcurl's number for what went wrong.
fn number(error: &isahc::Error) -> Option<u32> {
    error.source()?.to_string().strip_prefix('[')?.split_once(']')?.0.parse().ok()
}

/// What a person can do about it, where libcurl's words are too few.
fn of_place(error: &isahc::Error, endpoint: &Endpoint) -> Option<String> {
    let place = endpoint.authority();
    let tls = &endpoint.identity.access().tls;
    let is_tls = endpoint.url.scheme_str() == Some("https");
    Some(match error.kind() {
        ErrorKind::BadServerCertificate => {
            format!("the certificate of {place} is not accepted: it may be untrusted, expired, or for another name")
        }
        ErrorKind::BadClientCertificate => {
            let ClientCertificate { cert_file, key_file } = tls.client.as_ref()?;
            let (cert_file, key_file) = (cert_file.display(), key_file.display());
            format!("the certificate in {cert_file} and the key in {key_file} cannot be used: do they belong together?")
        }
        ErrorKind::InvalidTlsConfiguration => {
            let path = tls.ca_file.as_ref()?.display();
            format!("the certificates in {path} cannot be used")
        }
        ErrorKind::ConnectionFailed if number(error) == Some(35) => {
            format!("no TLS comes about with {place}: does this port speak TLS? If not, write http://")
        }
        ErrorKind::ConnectionFailed => format!("cannot connect to {place}: does anybody listen there?"),
        ErrorKind::NameResolution => format!("the name of {place} cannot be resolved"),
        ErrorKind::Io if is_tls && tls.client.is_none() => format!(
            "the connection with {place} was broken off: if the server wants a client certificate, give tls.cert_file \
             and tls.key_file"
        ),
        ErrorKind::Io if is_tls => {
            format!("the connection with {place} was broken off: does it accept the certificate in tls.cert_file?")
        }
        _ => return None,
    })
}

/// libcurl's own words where the client has none. They may repeat what it was told by others.
fn describe(error: &isahc::Error) -> String {
    let said = match error.source() {
        Some(source) if has_no_words(error) => source.to_string(),
        _ => error.to_string(),
    };
    redact::quote(said.as_bytes(), limits::QUOTED_BYTES_MAX)
}

/// The client calls these an unknown error.
fn has_no_words(error: &isahc::Error) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Unknown)
}
