//! One TLS connection over a socket that never waits.
//!
//! rustls keeps what is to be sent, encrypted, and what has arrived, decrypted. Both are bounded: nothing is accepted while
//! the last record has not been sent, and nothing is read while decrypted bytes wait.

use super::HandshakeError;
use crate::event_loop::{self, Interest, TimedOut};
use crate::limits;
use crate::nonblocking;
use rustix::net::{self, RecvFlags, SendAncillaryBuffer, SendFlags};
use rustls::ClientConnection;
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::io::{self, BufRead, ErrorKind, IoSlice, Read, Write};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

/// The most that is encrypted at once: one record.
const RECORD_BYTES: usize = 16 << 10;
/// The beginning of an answer in plain HTTP.
const PLAIN_BEGINNING: &[u8] = b"HTTP/";

/// One TLS connection, without its socket.
pub(in crate::http) struct Session {
    connection: ClientConnection,
}

/// Why nothing more can be sent or received.
#[derive(Debug)]
pub(in crate::http) enum SessionError {
    System(io::Error),
    Tls(rustls::Error),
}

impl Session {
    pub(super) fn new(connection: ClientConnection) -> Self {
        Self { connection }
    }

    /// Makes the handshake.
    ///
    /// # Errors
    /// [`HandshakeError`]
    pub(in crate::http) async fn shake_hands(
        &mut self,
        socket: &Rc<OwnedFd>,
        deadline: Instant,
    ) -> Result<(), HandshakeError> {
        let mut has_answered = false;
        loop {
            let is_flushed = self.flush(socket).map_err(HandshakeError::System)?;
            if is_flushed && !self.connection.is_handshaking() {
                return Ok(());
            }
            let interest = if is_flushed { Interest::Read } else { Interest::Both };
            let ready = event_loop::ready(socket.clone(), interest, Some(deadline)).await;
            ready.map_err(|TimedOut| HandshakeError::TimedOut)?;
            let mut beginning = [0; PLAIN_BEGINNING.len()];
            if !has_answered
                && net::recv(socket, &mut beginning, RecvFlags::PEEK | RecvFlags::DONTWAIT).is_ok()
                && beginning == PLAIN_BEGINNING
            {
                return Err(HandshakeError::PlainHttp);
            }
            match nonblocking::attempt(|| self.connection.read_tls(&mut Socket(socket))) {
                Ok(Some(0)) => return Err(HandshakeError::Closed),
                Ok(Some(_)) => has_answered = true,
                Ok(None) => continue,
                Err(error) => return Err(HandshakeError::System(error)),
            }
            if let Err(error) = self.connection.process_new_packets() {
                // Tells the server why, if that is possible.
                let _ = self.flush(socket);
                return Err(HandshakeError::Tls(error));
            }
        }
    }

    /// Sends what is still to be sent. Returns false if the system does not accept all of it now.
    fn flush(&mut self, socket: &OwnedFd) -> io::Result<bool> {
        while self.connection.wants_write() {
            if nonblocking::attempt(|| self.connection.write_tls(&mut Socket(socket)))?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether something that was accepted by [`Session::send`] has not been sent yet.
    pub(in crate::http) fn is_sending(&self) -> bool {
        self.connection.wants_write()
    }

    /// Accepts as much of these pieces as the system takes now, and at most one record more. Returns the number of bytes.
    pub(in crate::http) fn send(&mut self, socket: &OwnedFd, pieces: [&[u8]; 2]) -> io::Result<usize> {
        let mut accepted = 0;
        for piece in pieces {
            for record in piece.chunks(RECORD_BYTES) {
                if !self.flush(socket)? {
                    return Ok(accepted);
                }
                self.connection.writer().write_all(record)?;
                accepted += record.len();
            }
        }
        self.flush(socket)?;
        Ok(accepted)
    }

    /// Appends what has arrived to `buffer`, as far as there is room without an allocation. Returns the number of bytes: 0 if
    /// the server has ended the connection. `None` if nothing is there, or nothing but records without content so far: a
    /// server can send those faster than they are read, and others have to have their turn.
    pub(in crate::http) fn receive(
        &mut self,
        socket: &OwnedFd,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<usize>, SessionError> {
        let mut reads = 0;
        loop {
            let mut reader = self.connection.reader();
            match reader.fill_buf() {
                Ok(arrived) => {
                    let bytes = arrived.len().min(buffer.capacity() - buffer.len());
                    buffer.extend_from_slice(&arrived[..bytes]);
                    reader.consume(bytes);
                    return Ok(Some(bytes));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(SessionError::System(error)),
            }
            if reads == limits::TLS_EMPTY_READS_MAX || !self.read(socket)? {
                return Ok(None);
            }
            reads += 1;
        }
    }

    /// Reads and decrypts what has arrived, at most a few kilobytes. Returns false if nothing has.
    fn read(&mut self, socket: &OwnedFd) -> Result<bool, SessionError> {
        let read = nonblocking::attempt(|| self.connection.read_tls(&mut Socket(socket)));
        if read.map_err(SessionError::System)?.is_none() {
            return Ok(false);
        }
        let processed = self.connection.process_new_packets();
        // Answers of the protocol itself, such as a new key. If they cannot be sent, the next request fails.
        let _ = self.flush(socket);
        processed.map_err(SessionError::Tls)?;
        Ok(true)
    }

    /// Whether decrypted bytes or the end of the connection wait: then the socket may not become readable.
    pub(in crate::http) fn has_received(&mut self) -> bool {
        self.connection.reader().fill_buf().is_ok()
    }

    /// Whether nothing has arrived that would be taken for the answer to the next request, nor the end of the connection.
    /// Tickets to resume the session with may have, but no end of them.
    pub(in crate::http) fn is_quiet(&mut self, socket: &OwnedFd) -> bool {
        for _ in 0..limits::TLS_EMPTY_READS_MAX {
            match self.connection.reader().fill_buf() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => return false,
            }
            match self.read(socket) {
                Ok(true) => {}
                Ok(false) => return true,
                Err(_) => return false,
            }
        }
        false
    }

    /// The certificate that the server has shown.
    pub(in crate::http) fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.connection.peer_certificates()?.first()
    }

    /// Tells the server that the connection ends, if the system accepts that now.
    pub(in crate::http) fn close(&mut self, socket: &OwnedFd) {
        self.connection.send_close_notify();
        let _ = self.flush(socket);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// A socket as rustls reads from it and writes to it.
struct Socket<'s>(&'s OwnedFd);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (_, bytes) = net::recv(self.0, buffer, RecvFlags::empty())?;
        Ok(bytes)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        // If the server is gone, the system must return an error, instead of sending SIGPIPE.
        Ok(net::sendmsg(self.0, pieces, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
