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

    /// Keeps so many connections open from now on, and leaves these descriptors to others.
    pub(super) fn expect(&self, kept_max: usize, reserve: Reserve) {
        self.connections.expect(kept_max, reserve);
    }

    /// Leaves these descriptors to others.
    pub(super) fn leave(&self, reserve: Reserve) {
        self.connections.leave(reserve);
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
            // On the heap: hardly anybody ever waits here.
            Box::pin(self.connections.wait(request)).await?;
        }
    }

    /// One try over this connection, which is kept if that can be. None if the server had closed it before.
    async fn attempt(
        &self,
        connection: Connection,
        request: &Request<'_>,
        body: &mut Incoming<'_>,
    ) -> Result<Option<Received>, HttpError> {
        let mut decoder = Decoder::new(request.caps, body.is_passed_on());
        let ended = converse(&connection, request, &mut decoder, body).await;
        let has_begun = decoder.has_begun();
        let failure = match (ended, decoder.into_head()) {
            (Ok(Ended { progress, is_sent }), Some(head)) => {
                if head.keep_alive && is_sent {
                    self.connections.keep(connection, clock::now());
                }
                return Ok(Some(Received { head, is_whole: progress == Progress::Whole }));
            }
            // A page that is no answer says what it has to say by its status: a server that refuses a request while it is
            // being sent may break off behind that.
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
            // A server that takes no more may have said why: that is to be read.
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
            // It is refused already: nobody wants the rest.
            unsent = None;
        }
    }
}

/// A request, as far as it is not sent.
struct Unsent {
    head: Vec<u8>,
    payload: Option<Payload>,
    sent_bytes: usize,
}

impl Unsent {
    fn new(request: &Request<'_>) -> Self {
        Self { head: head(request), payload: request.payload.clone(), sent_bytes: 0 }
    }

    /// Sends what the system takes; true if that was the end of it.
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
    for (name, value) in &request.sent.fields {
        for text in ["\r\n", name, ": ", value.expose()] {
            head.extend_from_slice(text.as_bytes());
        }
    }
    // Writing into memory does not fail.
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

/// Takes in what has arrived; says how far the answer is.
fn receive(stream: &OwnedFd, decoder: &mut Decoder, body: &mut Incoming<'_>) -> Result<Progress, Failure> {
    let mut received = 0;
    // What is passed on needs no room for all of it.
    let room_max = if body.is_passed_on() { limits::READ_BYTES_MIN } else { limits::READ_BYTES_MAX };
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
        if body.is_passed_on()
            && let Some((status, bytes)) = decoder.pass_on()
            && body.pass_on(status, bytes) == Some(false)
            && progress == Progress::More
        {
            progress = Progress::TooLong;
        }
        // What leaves room was all there is: no need to ask the system once more.
        if progress != Progress::More || bytes < room || received >= limits::READ_TURN_BYTES {
            return Ok(progress);
        }
    }
}

/// Room for what is certain to come, or for a little if nobody knows, and behind it what the sanitiser wants.
fn make_room(body: &mut Vec<u8>, bytes_to_come: usize, room_max: usize) {
    let spare = body.capacity() - body.len();
    let needed = bytes_to_come.saturating_add(CHUNK_FRAME_BYTES).clamp(READ_BYTES_LEAST, room_max);
    if spare < needed + PADDING_BYTES {
        let growth = needed.max(limits::READ_BYTES_MIN).max(body.len() / 4);
        body.reserve_exact(growth + PADDING_BYTES);
    }
}

/// What may stand behind the last byte of a body: the end of its chunk, and the last chunk.
const CHUNK_FRAME_BYTES: usize = 16;
/// Less room than this is not worth a call.
const READ_BYTES_LEAST: usize = 1 << 10;

#[cfg(test)]
mod tests;
