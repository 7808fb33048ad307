//! The transport to neighbours: HTTP/1.1 over plain sockets on the main thread, which never blocks on one of them.
//!
//! A connection is either in the list of kept ones or in one exchange. It goes back to the list only after a complete
//! answer, and is used again only if nothing has arrived on it since, because an answer belongs to the request before
//! it. An exchange that waits holds its connection and next to nothing else: the body's buffer is requested when there
//! is something to put into it.

mod connections;

use super::error::TransportError;
use super::incoming::Incoming;
use super::response::{AnswerError, Decoder, Progress};
use super::{ACCEPTED, HttpError, Payload, Received, Request, USER_AGENT};
use crate::clock;
use crate::descriptors::Reserve;
use crate::event_loop::{self, Interest, TimedOut};
use crate::flatten::PADDING_BYTES;
use crate::limits;
use crate::nonblocking;
use connections::{Connection, Connections};
use rustix::buffer::spare_capacity;
use rustix::net::{self, RecvFlags, SendAncillaryBuffer, SendFlags};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

#[cfg(feature = "tls")]
pub(super) use connections::connect_to;

/// Exchanges over our own sockets.
#[derive(Debug)]
pub(super) struct Direct {
    connections: Connections,
}

impl Direct {
    pub(super) fn new(kept_max: usize) -> Self {
        Self { connections: Connections::new(kept_max) }
    }

    /// Keeps so many connections open, and leaves the descriptors of `reserve` to others, from now on.
    pub(super) fn set_limits(&self, kept_max: usize, reserve: Reserve) {
        self.connections.set_limits(kept_max, reserve);
    }

    /// Leaves the descriptors of `reserve` to others from now on.
    pub(super) fn set_reserve(&self, reserve: Reserve) {
        self.connections.set_reserve(reserve);
    }

    /// Sends the request and reads the answer's body.
    ///
    /// A kept connection over which not a byte came back is replaced by a new one, once. A POST may then go twice, as it
    /// may whenever an answer is lost: documents have lasting ids.
    ///
    /// # Errors
    /// [`HttpError`] if there is no whole answer.
    pub(super) async fn exchange(&self, request: &Request<'_>, body: &mut Incoming<'_>) -> Result<Received, HttpError> {
        loop {
            let (addresses, purpose) = (&request.endpoint.addresses, request.purpose);
            if let Some(kept) = self.connections.take_kept(addresses, purpose, clock::now())
                && let Some(received) = self.attempt(kept, request, body).await?
            {
                return Ok(received);
            }
            if let Some(fresh) = self.connections.connect(request).await? {
                let received = self.attempt(fresh, request, body).await?;
                return received.ok_or_else(|| AnswerError::Nothing.into());
            }
            // On the heap, because it hardly ever happens.
            Box::pin(self.connections.wait(request)).await?;
        }
    }

    /// Makes the exchange over this connection, and keeps the connection if it can be used again. None if it was a kept one
    /// that the server had closed before.
    async fn attempt(
        &self,
        connection: Connection,
        request: &Request<'_>,
        body: &mut Incoming<'_>,
    ) -> Result<Option<Received>, HttpError> {
        let mut decoder = Decoder::new(request.caps, body.is_streamed());
        let ended = converse(&connection, request, &mut decoder, body).await;
        let has_begun = decoder.has_begun();
        let failure = match (ended, decoder.into_head()) {
            (Ok(Ended { progress, is_sent }), Some(head)) => {
                if head.keep_alive && is_sent {
                    self.connections.keep(connection, clock::now());
                }
                return Ok(Some(Received { head, is_whole: progress == Progress::Whole }));
            }
            // A server that refuses a request while it is being sent may close the connection before its page is complete.
            // The status is enough.
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
        }
        Err(failure.into_error(has_begun, request.timeout))
    }
}

/// How a conversation ended: how much of the answer there is, and whether the server has taken all of the request.
struct Ended {
    progress: Progress,
    is_sent: bool,
}

/// Sends and receives until the answer is over. Both at once: a server may refuse a bulk while it is still being sent.
async fn converse(
    connection: &Connection,
    request: &Request<'_>,
    decoder: &mut Decoder,
    body: &mut Incoming<'_>,
) -> Result<Ended, Failure> {
    let mut unsent = Some(Unsent::new(request));
    let mut is_sent = false;
    loop {
        if let Some(rest) = &mut unsent {
            let sent = rest.send(&connection.stream);
            is_sent = matches!(sent, Ok(true));
            // If sending fails, the server may have answered why, so its answer is read all the same.
            unsent = unsent.filter(|_| matches!(sent, Ok(false)));
        }
        let interest = if unsent.is_some() { Interest::Both } else { Interest::Read };
        let ready = event_loop::ready(connection.stream.clone(), interest, Some(request.deadline)).await;
        ready.map_err(|TimedOut| Failure::TimedOut)?;
        if body.buffer.capacity() == 0 {
            *body.buffer = (request.take_buffer)();
        }
        match receive(&connection.stream, decoder, body)? {
            Progress::More => {}
            progress => return Ok(Ended { progress, is_sent }),
        }
        if decoder.head().is_some_and(|head| !head.is_success()) {
            // The request has been refused: there is no use in sending the rest.
            unsent = None;
        }
    }
}

/// A request that has not been sent to its end.
struct Unsent {
    head: Vec<u8>,
    payload: Option<Payload>,
    sent_bytes: usize,
}

impl Unsent {
    fn new(request: &Request<'_>) -> Self {
        Self { head: head(request), payload: request.payload.clone(), sent_bytes: 0 }
    }

    /// Sends as much as the system takes now. True if that was the rest of the request.
    fn send(&mut self, stream: &OwnedFd) -> io::Result<bool> {
        let payload = self.payload.as_ref().map_or(&[][..], |payload| payload.bytes());
        let head = &self.head[self.sent_bytes.min(self.head.len())..];
        let payload = &payload[self.sent_bytes.saturating_sub(self.head.len())..];
        let pieces = [IoSlice::new(head), IoSlice::new(payload)];
        let bytes = nonblocking::attempt(|| {
            // A server that has gone is an error here, not a signal to the process.
            Ok(net::sendmsg(stream, &pieces, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?)
        })?;
        let is_all = bytes == Some(head.len() + payload.len());
        self.sent_bytes += bytes.unwrap_or_default();
        Ok(is_all)
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
            write!(head, "\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n")
        }
    };
    head
}

/// Why an answer was not received to its end.
enum Failure {
    TimedOut,
    System(io::Error),
    Answer(AnswerError),
}

impl Failure {
    /// Whether this is what a server's end of a kept connection looks like.
    fn is_closed(&self) -> bool {
        match self {
            Self::TimedOut => false,
            Self::Answer(error) => *error == AnswerError::Nothing,
            Self::System(error) => matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        }
    }

    /// `has_begun` says whether a part of the answer has come.
    fn into_error(self, has_begun: bool, timeout: Duration) -> HttpError {
        let error = match self {
            Self::TimedOut => return HttpError::Timeout(timeout),
            Self::Answer(error) => TransportError::Answer(error),
            Self::System(error) => match (error.kind(), has_begun) {
                (ErrorKind::ConnectionReset, false) => TransportError::Reset,
                (ErrorKind::ConnectionReset, true) => TransportError::ResetWithin,
                (_, false) => TransportError::NoResponse(error),
                (_, true) => TransportError::CutOff(error),
            },
        };
        HttpError::Transport(error)
    }
}

/// Reads and decodes what has arrived, and returns how far the answer is.
fn receive(stream: &OwnedFd, decoder: &mut Decoder, body: &mut Incoming<'_>) -> Result<Progress, Failure> {
    let mut received = 0;
    // A body that is passed on piece by piece needs little room, however long it is.
    let room_max = if body.is_streamed() { limits::READ_BYTES_MIN } else { limits::READ_BYTES_MAX };
    loop {
        let buffer = &mut *body.buffer;
        make_room(buffer, decoder.bytes_to_come(), room_max);
        let room = buffer.capacity() - buffer.len();
        let arrived = nonblocking::attempt(|| {
            let (bytes, _) = net::recv(stream, spare_capacity(buffer), RecvFlags::empty())?;
            Ok(bytes)
        });
        let Some(bytes) = arrived.map_err(Failure::System)? else { return Ok(Progress::More) };
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
        // If there is room left, that was all that has arrived: no need to ask the system once more.
        if progress != Progress::More || bytes < room || received >= limits::READ_TURN_BYTES {
            return Ok(progress);
        }
    }
}

/// Makes room for the bytes that are certain to come, or for a few if that is not known, and for the padding that the
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
/// Less room than this is not worth a call.
const READ_BYTES_LEAST: usize = 1 << 10;

#[cfg(test)]
mod tests;
