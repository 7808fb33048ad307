//! The transport through proxies. It uses isahc, which runs libcurl on a thread of its own: libcurl knows most about proxies.
//! Only this module and [`prepared`] use isahc.
//!
//! The first exchange that needs libcurl starts it. libcurl enforces the timeouts by its own clock.

mod prepared;

use super::error::TransportError;
use super::error::libcurl::LibcurlError;
use super::incoming::Incoming;
use super::proxies::Proxy;
use super::response::AnswerError;
use super::response::head::{self, Framing, Head};
#[cfg(feature = "tls")]
use super::tls::{CertificateProblem, TlsError, store_problem};
use super::{Endpoint, HttpError, Received, Request, USER_AGENT};
#[cfg(feature = "tls")]
use crate::access::ClientCertificate;
use crate::descriptor_queue::DescriptorQueue;
use crate::descriptors::{self, Purpose, Reserve};
use crate::event_loop::{self, TimedOut};
use crate::flatten::PADDING_BYTES;
use crate::limits;
use crate::redact;
use isahc::config::{Configurable, ExpectContinue, VersionNegotiation};
use isahc::error::ErrorKind;
use isahc::http::{Version, header};
use isahc::{AsyncBody, HttpClient, Response};
use smol::io::AsyncReadExt;
use std::cell::{Cell, OnceCell};
use std::error::Error;
use std::io;
use std::mem::ManuallyDrop;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;

/// The number of bytes by which a body buffer grows. If libcurl has handed over more, it is read in several steps, without
/// waiting in between.
const READ_BYTES: usize = 4 << 10;

/// The transport. It has no client until one is needed.
#[derive(Debug)]
pub(super) struct Curl {
    client: OnceCell<Client>,
    /// Whether an endpoint of the configuration will need the client.
    is_expected: Cell<bool>,
    kept_connections: Cell<usize>,
    reserve: Cell<Reserve>,
    /// Whether the last bulk could not be sent, perhaps because there was no file descriptor for its connection.
    may_lack_descriptor: Cell<bool>,
    /// The number of polls under way. It is limited, because libcurl queues transfers that exceed its own limit, and bulks
    /// must not wait behind polls in that queue.
    polls: Cell<usize>,
    waiting: DescriptorQueue,
}

#[derive(Debug)]
struct Client {
    /// `None` while it is being dropped.
    client: Option<HttpClient>,
    connections_max: usize,
}

impl Drop for Client {
    /// Dropping the client blocks until libcurl's thread has ended, and that waits for name lookups, which may take until
    /// they time out. So a separate thread drops the client. If that thread cannot be started, the client is leaked.
    fn drop(&mut self) {
        let client = ManuallyDrop::new(self.client.take());
        let dropper = std::thread::Builder::new().name("end of libcurl".to_owned());
        let _ = dropper.spawn(move || drop(ManuallyDrop::into_inner(client)));
    }
}

/// Counts a poll as under way until it is dropped.
struct PollUnderWay<'c>(&'c Curl);

impl Drop for PollUnderWay<'_> {
    fn drop(&mut self) {
        self.0.polls.set(self.0.polls.get() - 1);
        self.0.waiting.notify_next();
    }
}

impl Curl {
    pub(super) fn new(kept_connections: usize) -> Self {
        Self {
            client: OnceCell::new(),
            is_expected: Cell::default(),
            may_lack_descriptor: Cell::default(),
            kept_connections: Cell::new(kept_connections),
            reserve: Cell::default(),
            polls: Cell::default(),
            waiting: DescriptorQueue::default(),
        }
    }

    /// Sets how many idle connections are kept open, which has no effect once the client is started, and how many file
    /// descriptors are left to others. Returns the reserve that the other transport has to respect.
    pub(super) fn set_limits(&self, kept_connections: usize, reserve: Reserve, is_expected: bool) -> Reserve {
        self.is_expected.set(is_expected);
        self.kept_connections.set(kept_connections);
        self.reserve.set(reserve);
        self.reserve_for_direct()
    }

    /// Starts the client, unless it is started already. If it starts it, returns the reserve that the other transport has to
    /// respect from now on.
    ///
    /// # Errors
    /// [`HttpError`] if the system has no resources for it, such as file descriptors or a thread.
    pub(super) fn start(&self) -> Result<Option<Reserve>, HttpError> {
        if self.client.get().is_some() {
            return Ok(None);
        }
        // Without enough descriptors libcurl would abort the process.
        if !descriptors::are_free(limits::LIBCURL_START_DESCRIPTORS) {
            return Err(TransportError::OutOfDescriptors.into());
        }
        let (kept, connections_max) = (self.kept_connections.get(), self.connections_max());
        let client = HttpClient::builder()
            .connection_cache_size(kept.min(connections_max))
            .max_connections(connections_max)
            .connection_cache_ttl(limits::IDLE_CONNECTION_TRUST)
            .tcp_keepalive(limits::KEEPALIVE_IDLE)
            .version_negotiation(VersionNegotiation::http11())
            .automatic_decompression(false)
            .expect_continue(ExpectContinue::disabled())
            .default_header(header::USER_AGENT, USER_AGENT)
            .build();
        let client = client.map_err(|error| LibcurlError::Start { words: words(&error) })?;
        self.client.get_or_init(|| Client { client: Some(client), connections_max });
        Ok(Some(self.reserve_for_direct()))
    }

    /// The reserve that the other transport has to respect. It includes the file descriptors that libcurl needs.
    fn reserve_for_direct(&self) -> Reserve {
        let Reserve { files, shipping } = self.reserve.get();
        if self.client.get().is_none() && !self.is_expected.get() {
            return Reserve { files, shipping };
        }
        let lookups = limits::LIBCURL_LOOKUP_DESCRIPTORS.min(descriptors::limit() / 8);
        Reserve { files: files + limits::LIBCURL_DESCRIPTORS + lookups + self.connections_max(), shipping }
    }

    /// The most connections that the client may have, idle ones included.
    fn connections_max(&self) -> usize {
        let fitting = || self.reserve.get().for_libcurl().min(2 * self.kept_connections.get());
        self.client.get().map_or_else(fitting, |client| client.connections_max)
    }

    /// Waits until the request may begin. Returns `None` for a bulk, which never waits here.
    async fn admit(&self, request: &Request<'_>) -> Result<Option<PollUnderWay<'_>>, HttpError> {
        if request.purpose == Purpose::Ship {
            if self.may_lack_descriptor.take() && !descriptors::are_free(limits::LOOKUP_EXCHANGE_DESCRIPTORS) {
                (0..limits::LOOKUP_EXCHANGE_DESCRIPTORS).for_each(|_| _ = descriptors::spares::release_to_ship());
            }
            return Ok(None);
        }
        while self.polls.get() >= self.polls_max() {
            let turn = self.waiting.wait(request.purpose, request.deadline).await;
            turn.map_err(|TimedOut| TransportError::OutOfDescriptors)?;
        }
        self.polls.set(self.polls.get() + 1);
        Ok(Some(PollUnderWay(self)))
    }

    fn polls_max(&self) -> usize {
        let reserve = self.reserve.get();
        self.connections_max().min(reserve.for_libcurl()).saturating_sub(reserve.shipping).max(1)
    }

    /// Sends the request and reads the answer.
    ///
    /// # Errors
    /// [`HttpError`] if there is no complete answer.
    pub(super) async fn exchange(
        &self,
        request: &Request<'_>,
        proxy: &Proxy,
        body: &mut Incoming<'_>,
    ) -> Result<Received, HttpError> {
        // libcurl enforces the timeout, but its thread may hang: it opens files, which may be on a disk that hangs.
        let hangs = async {
            event_loop::sleep_until(request.deadline + limits::LIBCURL_LATE).await;
            Err(HttpError::Timeout(request.timeout))
        };
        smol::future::or(self.transfer(request, proxy, body), hangs).await
    }

    async fn transfer(
        &self,
        request: &Request<'_>,
        proxy: &Proxy,
        body: &mut Incoming<'_>,
    ) -> Result<Received, HttpError> {
        let _under_way = self.admit(request).await?;
        // A program that uses this library may subscribe to all tracing events. isahc would show it every header field,
        // including credentials.
        let sent = self.client()?.send_async(prepared::prepared(request, proxy)?).with_subscriber(Dispatch::none());
        let mut response = match sent.await {
            Ok(response) => response,
            Err(error) => {
                self.may_lack_descriptor.set(self.may_lack_descriptor.get() || request.purpose == Purpose::Ship);
                return Err(with_proxy(request_error(&error, request), proxy));
            }
        };
        let (head, framing) = head(&response)?;
        let cap = if head.is_success() { request.caps.success } else { request.caps.other };
        let is_within_cap = !matches!(framing, Framing::Length(length) if length > cap as u64);
        if !is_within_cap && request.payload.is_none() {
            // According to the head, the body is too long, so reading it is pointless.
            return Ok(Received { head, is_whole: false });
        }
        *body.buffer = request.buffers.take();
        match read_capped(&mut response, head.status, cap, body).await {
            Ok(is_whole) => Ok(Received { head, is_whole: is_whole && is_within_cap }),
            // A server that refuses a request while it is being sent may close the connection before its answer is complete.
            // The status suffices.
            Err(_) if !head.is_success() => Ok(Received { head, is_whole: false }),
            Err(error) => Err(read_error(error, request)),
        }
    }

    fn client(&self) -> Result<&HttpClient, HttpError> {
        let client = self.client.get().and_then(|started| started.client.as_ref());
        client.ok_or_else(|| LibcurlError::NotStarted.into())
    }
}

/// Adds the proxy to the error, because libcurl does not say whether the proxy or the server failed.
fn with_proxy(error: HttpError, proxy: &Proxy) -> HttpError {
    match error {
        HttpError::Transport(TransportError::Libcurl(error)) => {
            HttpError::Transport(TransportError::ThroughProxy { error, variable: proxy.variable })
        }
        error => error,
    }
}

/// The head that libcurl has read, checked by our own rules, which are stricter.
fn head(response: &Response<AsyncBody>) -> Result<(Head, Framing), AnswerError> {
    let is_http_1_1 = match response.version() {
        Version::HTTP_11 => true,
        Version::HTTP_10 => false,
        _ => return Err(AnswerError::NotHttp),
    };
    let fields = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    head::head_of(response.status().as_u16(), is_http_1_1, fields)
}

/// Reads the body, up to `cap` bytes or until the receiver wants no more. Returns false if there is more of it.
async fn read_capped(
    response: &mut Response<AsyncBody>,
    status: u16,
    cap: usize,
    body: &mut Incoming<'_>,
) -> io::Result<bool> {
    let mut passed = 0;
    loop {
        let buffer = &mut *body.buffer;
        let filled = buffer.len();
        let room = (cap + 1 - passed - filled).min(READ_BYTES);
        if buffer.capacity() - filled < room + PADDING_BYTES {
            buffer.reserve_exact((room + PADDING_BYTES).max(filled / 4));
        }
        buffer.resize(filled + room, 0);
        let read = response.body_mut().read(&mut buffer[filled..]).await;
        buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => return Ok(true),
            Ok(_) => {
                let is_beyond = passed + buffer.len() > cap;
                buffer.truncate(cap - passed);
                let bytes = buffer.len();
                let is_wanted = body.pass_on(status, bytes);
                passed += is_wanted.map_or(0, |_| bytes);
                if is_beyond || is_wanted == Some(false) {
                    return Ok(false);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether the TLS handshake failed after a connection had been made.
fn is_handshake(error: &isahc::Error) -> bool {
    *error.kind() == ErrorKind::ConnectionFailed && number(error) == Some(35)
}

fn request_error(error: &isahc::Error, request: &Request<'_>) -> HttpError {
    if *error.kind() == ErrorKind::Timeout {
        return HttpError::Timeout(request.timeout);
    }
    let known = answer_error(error).or_else(|| endpoint_error(error, request.endpoint)).or_else(|| end_error(error));
    known.unwrap_or_else(|| LibcurlError::Other { words: words(error) }).into()
}

/// Translates an error that occurred while the body was read.
fn read_error(error: io::Error, request: &Request<'_>) -> HttpError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<isahc::Error>()) {
        Some(inner) if has_no_words(inner) => {
            let known = answer_error(inner).or_else(|| end_error(inner));
            known.unwrap_or_else(|| LibcurlError::CutOff { words: words(inner) }).into()
        }
        Some(inner) => request_error(inner, request),
        None if error.kind() == io::ErrorKind::TimedOut => HttpError::Timeout(request.timeout),
        None => TransportError::CutOff(error).into(),
    }
}

/// The errors that mean that the answer is invalid. libcurl's own messages for them are misleading, because they speak of
/// files and disks.
fn answer_error(error: &isahc::Error) -> Option<LibcurlError> {
    Some(match number(error)? {
        1 | 8 => LibcurlError::BadAnswer,
        18 => LibcurlError::Answer(AnswerError::CutOff),
        23 => LibcurlError::BadFraming,
        61 => LibcurlError::Answer(AnswerError::UnknownCoding),
        100 => LibcurlError::Answer(AnswerError::HeadTooLong),
        _ => return None,
    })
}

/// The errors that mean that the connection has ended. They apply only if nothing more specific is known.
fn end_error(error: &isahc::Error) -> Option<LibcurlError> {
    Some(match number(error)? {
        52 => LibcurlError::Answer(AnswerError::Nothing),
        56 => LibcurlError::Receive,
        _ => return None,
    })
}

/// The error code of libcurl (`CURLE_…`). isahc puts it in brackets at the beginning of the source error's text.
fn number(error: &isahc::Error) -> Option<u32> {
    error.source()?.to_string().strip_prefix('[')?.split_once(']')?.0.parse().ok()
}

/// The errors that a person can do something about, and for which libcurl's message says too little.
fn endpoint_error(error: &isahc::Error, endpoint: &Endpoint) -> Option<LibcurlError> {
    let place = endpoint.authority().to_owned();
    Some(match error.kind() {
        _ if number(error) == Some(97) => LibcurlError::RefusedByProxy { place },
        ErrorKind::ConnectionFailed if number(error) == Some(7) && endpoint.is_tls() => {
            LibcurlError::NoTunnel { place }
        }
        ErrorKind::ConnectionFailed if !is_handshake(error) => LibcurlError::NotConnected { place },
        ErrorKind::NameResolution => LibcurlError::NoHost { place },
        #[cfg(feature = "tls")]
        _ => return tls_error(error, endpoint).map(LibcurlError::Tls),
        #[cfg(not(feature = "tls"))]
        _ => return None,
    })
}

#[cfg(feature = "tls")]
fn tls_error(error: &isahc::Error, endpoint: &Endpoint) -> Option<TlsError> {
    let place = endpoint.authority().to_owned();
    let tls = &endpoint.identity.access().tls;
    Some(match error.kind() {
        ErrorKind::BadServerCertificate => TlsError::Certificate { place, problem: CertificateProblem::Unknown },
        ErrorKind::BadClientCertificate => {
            let ClientCertificate { cert_file, key_file } = tls.client.clone()?;
            TlsError::ClientCertificate { cert_file, key_file }
        }
        ErrorKind::InvalidTlsConfiguration => match &tls.ca_file {
            Some(path) => TlsError::CaFile { path: path.clone() },
            None => TlsError::NoCaStore { advice: store_problem()? },
        },
        _ if is_handshake(error) => TlsError::NotTls { place },
        ErrorKind::Io if endpoint.is_tls() => {
            TlsError::RefusedByPeer { place, has_client_certificate: tls.client.is_some() }
        }
        _ => return None,
    })
}

/// The message of isahc, or that of libcurl if isahc has none. It may contain text from the server, so secrets are removed.
fn words(error: &isahc::Error) -> String {
    let words = match error.source() {
        Some(source) if has_no_words(error) => source.to_string(),
        _ => error.to_string(),
    };
    redact::quote(words.as_bytes(), limits::QUOTED_BYTES_MAX)
}

/// Whether isahc has no better message than "unknown error".
fn has_no_words(error: &isahc::Error) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Unknown)
}
