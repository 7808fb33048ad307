//! The transport without a proxy: HTTP/1.1 over plain sockets and TLS on the main thread, which never blocks on one of them.
//!
//! A connection is either in the list of idle ones, or part of one exchange. It returns to the list only after a complete
//! answer. It is used again only if nothing has arrived in the meantime, because such bytes would be mistaken for the
//! answer to the next request. While an exchange waits, it holds its connection but no buffer: the buffer for the body is
//! taken when the answer begins to arrive.

mod connecting;
mod connections;
mod stream;

use super::error::TransportError;
use super::incoming::Incoming;
use super::response::{AnswerError, Decoder, Progress};
#[cfg(feature = "tls")]
use super::tls::{ProtocolError, TlsError};
use super::{ACCEPTED, Endpoint, HttpError, Payload, Received, Request, USER_AGENT};
#[cfg(feature = "tls")]
use crate::access::pem;
#[cfg(feature = "tls")]
use crate::calendar::Timestamp;
use crate::clock;
use crate::descriptors::Reserve;
use crate::event_loop::{self, Interest, TimedOut};
use crate::flatten::PADDING_BYTES;
use crate::limits;
use connecting::Connector;
use connections::{Connection, Connections};
use std::io::{self, ErrorKind, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use stream::Stream;

/// The transport over sockets of our own.
#[derive(Debug)]
pub(super) struct Direct {
    connections: Connections,
    connector: Connector,
}

impl Direct {
    pub(super) fn new(kept_max: usize) -> Self {
        Self { connections: Connections::new(kept_max), connector: Connector::default() }
    }

    /// Sets how many idle connections are kept open, and the descriptors that are left to others.
    pub(super) fn set_limits(&self, kept_max: usize, reserve: Reserve) {
        self.connections.set_limits(kept_max, reserve);
    }

    /// Sets the descriptors that are left to others.
    #[cfg(feature = "proxy")]
    pub(super) fn set_reserve(&self, reserve: Reserve) {
        self.connections.set_reserve(reserve);
    }

    /// The addresses of the endpoint's name. Empty if it has none, or if they are not found out in time.
    pub(super) async fn addresses(&self, endpoint: &Endpoint, timeout: Duration, deadline: Instant) -> Vec<IpAddr> {
        self.connector.addresses(endpoint, timeout, deadline).await
    }

    /// The same without a bound on how many are tried.
    ///
    /// # Errors
    /// [`HttpError`]: why there are none.
    pub(super) async fn all_addresses(
        &self,
        endpoint: &Endpoint,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, HttpError> {
        self.connector.all_addresses(endpoint, timeout, deadline).await
    }

    /// When the certificate expires that the endpoint of this request shows. Nothing is sent to it but a handshake.
    #[cfg(feature = "tls")]
    pub(super) async fn certificate_expiry(&self, request: &Request<'_>) -> Option<Timestamp> {
        let connection = self.connector.connect(&self.connections, request).await.ok()??;
        pem::expiry(connection.stream.session()?.peer_certificate()?)
    }

    /// Sends the request and reads the answer.
    ///
    /// If a kept connection turns out to be closed, the request is sent once more over a new one. The server may then get a
    /// POST twice, as whenever an answer is lost. That does no harm, because documents keep their ids.
    ///
    /// # Errors
    /// [`HttpError`] if there is no complete answer.
    pub(super) async fn exchange(&self, request: &Request<'_>, body: &mut Incoming<'_>) -> Result<Received, HttpError> {
        loop {
            let (peer, purpose) = (&request.endpoint.peer, request.purpose);
            if let Some(kept) = self.connections.take_kept(peer, purpose, clock::now())
                && let Some(received) = self.attempt(kept, request, body).await?
            {
                return Ok(received);
            }
            // On the heap, because most exchanges need no new connection.
            if let Some(fresh) = Box::pin(self.connector.connect(&self.connections, request)).await? {
                let received = self.attempt(fresh, request, body).await?;
                return received.ok_or_else(|| AnswerError::Nothing.into());
            }
            // On the heap, so that this rare case does not make every exchange's future larger.
            Box::pin(self.connections.wait(request)).await?;
        }
    }

    /// Makes the exchange over this connection, and keeps the connection if it can be used again. Returns `None` if it was a
    /// kept connection that the server had closed in the meantime.
    async fn attempt(
        &self,
        mut connection: Connection,
        request: &Request<'_>,
        body: &mut Incoming<'_>,
    ) -> Result<Option<Received>, HttpError> {
        if let Some(leads_here) = connection.leads_here {
            request.endpoint.learn(leads_here);
        }
        let mut decoder = Decoder::new(request.caps, body.is_streamed());
        let ended = converse(&mut connection.stream, request, &mut decoder, body).await;
        let has_begun = decoder.has_begun();
        let failure = match (ended, decoder.into_head()) {
            (Ok(Ended { progress, is_sent }), Some(head)) => {
                if head.keep_alive && is_sent {
                    self.connections.keep(connection, clock::now());
                }
                return Ok(Some(Received { head, is_whole: progress == Progress::Whole }));
            }
            // A server that refuses a request while it is being sent may close the connection before its answer is complete.
            // The status suffices.
            (Err(_), Some(head)) if !head.is_success() => {
                return Ok(Some(Received { head, is_whole: false }));
            }
            (Err(failure), _) => failure,
            (Ok(_), None) => Failure::Answer(AnswerError::Nothing),
        };
        if connection.idle_since.is_some() && !has_begun {
            if failure.is_closed() {
                return Ok(None);
            }
            self.connections.distrust(&connection.address);
            // The name may have moved to another address.
            self.connector.distrust(request.endpoint);
        }
        Err(failure.into_error(has_begun, request))
    }
}

/// How an exchange ended: how much of the answer has arrived, and whether all of the request was sent.
struct Ended {
    progress: Progress,
    is_sent: bool,
}

/// Sends the request and reads the answer, both at the same time, because a server may refuse a bulk while it is still being
/// sent.
async fn converse(
    stream: &mut Stream,
    request: &Request<'_>,
    decoder: &mut Decoder,
    body: &mut Incoming<'_>,
) -> Result<Ended, Failure> {
    let mut unsent = Some(Unsent::new(request));
    let mut is_sent = false;
    loop {
        if let Some(rest) = &mut unsent {
            let sent = rest.send(stream);
            is_sent = matches!(sent, Ok(true));
            // If sending fails, the server may have sent the reason, so its answer is read nevertheless.
            unsent = unsent.filter(|_| matches!(sent, Ok(false)));
        }
        let interest = if unsent.is_some() { Interest::Both } else { Interest::Read };
        if stream.has_received() {
            event_loop::yield_now().await;
        } else {
            let ready = event_loop::ready(stream.socket.clone(), interest, Some(request.deadline)).await;
            ready.map_err(|TimedOut| Failure::TimedOut)?;
        }
        body.resume(request.buffers);
        match receive(stream, decoder, body)? {
            Progress::More => body.pause(request.buffers),
            progress => return Ok(Ended { progress, is_sent }),
        }
        if decoder.head().is_some_and(|head| !head.is_success()) {
            // The request has been refused, so sending the rest of it is pointless.
            unsent = None;
        }
    }
}

/// A request that has not been sent completely.
struct Unsent {
    head: Vec<u8>,
    payload: Option<Payload>,
    sent_bytes: usize,
}

impl Unsent {
    fn new(request: &Request<'_>) -> Self {
        Self { head: head(request), payload: request.payload.clone(), sent_bytes: 0 }
    }

    /// Sends as much as the system accepts now. Returns true if that was the rest of the request.
    fn send(&mut self, stream: &mut Stream) -> io::Result<bool> {
        let payload = self.payload.as_ref().map_or(&[][..], |payload| payload.bytes());
        let head = &self.head[self.sent_bytes.min(self.head.len())..];
        let payload = &payload[self.sent_bytes.saturating_sub(self.head.len())..];
        let bytes = stream.send([head, payload])?;
        let is_all = bytes == head.len() + payload.len();
        self.sent_bytes += bytes;
        Ok(is_all && !stream.is_sending())
    }
}

fn head(request: &Request<'_>) -> Vec<u8> {
    let (endpoint, payload) = (request.endpoint, request.payload.as_ref());
    let url = &endpoint.url;
    let mut head = Vec::with_capacity(256);
    let method = payload.map_or("GET", Payload::method);
    let (query_mark, query) = url.query().map_or(("", ""), |query| ("?", query));
    for text in [method, " ", url.path(), query_mark, query, " HTTP/1.1\r\nHost: ", endpoint.authority()] {
        head.extend_from_slice(text.as_bytes());
    }
    for text in ["\r\nUser-Agent: ", USER_AGENT] {
        head.extend_from_slice(text.as_bytes());
    }
    for (name, value) in &request.headers.fields {
        for text in ["\r\n", name, ": ", value.expose()] {
            head.extend_from_slice(text.as_bytes());
        }
    }
    // Writing to a `Vec` cannot fail.
    let _ = match payload {
        None => write!(head, "\r\nAccept: {ACCEPTED}\r\n\r\n"),
        Some(payload) => {
            let (content_type, length) = (payload.content_type(), payload.bytes().len());
            for text in payload.content_encoding().iter().flat_map(|encoding| ["\r\nContent-Encoding: ", encoding]) {
                head.extend_from_slice(text.as_bytes());
            }
            for text in payload.further_fields().iter().flat_map(|name| ["\r\n", name, ": x"]) {
                head.extend_from_slice(text.as_bytes());
            }
            write!(head, "\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n")
        }
    };
    head
}

/// Why an answer was not received completely.
enum Failure {
    TimedOut,
    System(io::Error),
    Answer(AnswerError),
    #[cfg(feature = "tls")]
    Tls(ProtocolError),
}

impl Failure {
    /// Whether the failure is the one that follows when the server has closed a kept connection.
    fn is_closed(&self) -> bool {
        match self {
            Self::TimedOut => false,
            #[cfg(feature = "tls")]
            Self::Tls(_) => false,
            Self::Answer(error) => *error == AnswerError::Nothing,
            Self::System(error) => matches!(
                error.kind(),
                // The last one is that of TLS, whose end was not announced.
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof
            ),
        }
    }

    /// `has_begun` says whether a part of the answer has arrived.
    fn into_error(self, has_begun: bool, request: &Request<'_>) -> HttpError {
        let error = match self {
            Self::TimedOut => return HttpError::Timeout(request.timeout),
            Self::Answer(error) => TransportError::Answer(error),
            #[cfg(feature = "tls")]
            Self::Tls(error) => TransportError::Tls(tls_error(&error, request.endpoint)),
            Self::System(error) => match (error.kind(), has_begun) {
                (ErrorKind::UnexpectedEof, false) => TransportError::Answer(AnswerError::Nothing),
                (ErrorKind::UnexpectedEof, true) => TransportError::Answer(AnswerError::CutOff),
                (ErrorKind::ConnectionReset, false) => TransportError::Reset,
                (ErrorKind::ConnectionReset, true) => TransportError::ResetWithin,
                (_, false) => TransportError::NoResponse(error),
                (_, true) => TransportError::CutOff(error),
            },
        };
        HttpError::Transport(error)
    }
}

/// What an error of TLS means that came after the handshake.
#[cfg(feature = "tls")]
fn tls_error(error: &ProtocolError, endpoint: &Endpoint) -> TlsError {
    let tls = &endpoint.identity.access().tls;
    TlsError::of_connection(error, endpoint.url.host().unwrap_or_default(), &endpoint.place(), tls)
}

/// Reads and decodes the bytes that have arrived.
fn receive(stream: &mut Stream, decoder: &mut Decoder, body: &mut Incoming<'_>) -> Result<Progress, Failure> {
    let mut received = 0;
    // A body that is passed on piece by piece needs little room, whatever its length.
    let room_max = if body.is_streamed() { limits::READ_BYTES_MIN } else { limits::READ_BYTES_MAX };
    loop {
        let buffer = &mut *body.buffer;
        make_room(buffer, decoder.bytes_to_come(), room_max);
        let room = buffer.capacity() - buffer.len();
        let Some(bytes) = stream.receive(buffer)? else { return Ok(Progress::More) };
        if bytes == 0 {
            decoder.end(buffer).map_err(Failure::Answer)?;
            return Ok(Progress::Whole);
        }
        received += bytes;
        let mut progress = decoder.decode(buffer).map_err(Failure::Answer)?;
        if body.is_streamed()
            && let Some((status, bytes)) = decoder.pass_on()
            && body.pass_on(status, bytes) == Some(false)
            && progress == Progress::More
        {
            progress = Progress::TooLong;
        }
        // If the bytes did not fill the buffer, nothing else has arrived, so another call would be wasted.
        let is_all = bytes < room && !stream.has_received();
        if progress != Progress::More || is_all || received >= limits::READ_TURN_BYTES {
            return Ok(progress);
        }
    }
}

/// Makes room for the bytes that were announced, or for a few if no length was announced, and for the padding that the
/// sanitiser needs behind a body.
fn make_room(body: &mut Vec<u8>, bytes_to_come: usize, room_max: usize) {
    let spare = body.capacity() - body.len();
    let needed = bytes_to_come.saturating_add(CHUNK_FRAME_BYTES).clamp(READ_BYTES_LEAST, room_max);
    if spare < needed + PADDING_BYTES {
        let growth = needed.max(limits::READ_BYTES_MIN).max(body.len() / 4);
        body.reserve_exact(growth + PADDING_BYTES);
    }
}

/// Bytes that may follow the last byte of a body: the end of its chunk, and the empty last chunk.
const CHUNK_FRAME_BYTES: usize = 16;
/// The least room that is worth a system call.
const READ_BYTES_LEAST: usize = 1 << 10;

#[cfg(test)]
mod tests;
