//! A connection's bytes: over a plain socket, or over TLS.

use super::Failure;
#[cfg(feature = "tls")]
use crate::http::tls::{Session, SessionError};
use crate::nonblocking;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendAncillaryBuffer, SendFlags};
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// A connected socket, with what TLS needs to know.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) socket: Rc<OwnedFd>,
    #[cfg(feature = "tls")]
    session: Option<Box<Session>>,
}

impl Stream {
    pub(super) fn plain(socket: Rc<OwnedFd>) -> Self {
        Self {
            socket,
            #[cfg(feature = "tls")]
            session: None,
        }
    }

    /// `session` has made its handshake over this socket.
    #[cfg(feature = "tls")]
    pub(super) fn secured(socket: Rc<OwnedFd>, session: Box<Session>) -> Self {
        Self { socket, session: Some(session) }
    }

    #[cfg(feature = "tls")]
    pub(super) fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// Sends as much of these pieces as the system accepts now. Returns the number of bytes.
    pub(super) fn send(&mut self, pieces: [&[u8]; 2]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(session) = &mut self.session {
            return session.send(&self.socket, pieces);
        }
        let pieces = pieces.map(IoSlice::new);
        let sent = nonblocking::attempt(|| {
            // If the server is gone, the system must return an error, instead of sending SIGPIPE.
            Ok(net::sendmsg(&self.socket, &pieces, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?)
        })?;
        Ok(sent.unwrap_or_default())
    }

    /// Whether something that [`Stream::send`] has accepted is still to be sent.
    #[cfg_attr(not(feature = "tls"), allow(clippy::unused_self, reason = "a plain socket keeps nothing"))]
    pub(super) fn is_sending(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(session) = &self.session {
            return session.is_sending();
        }
        false
    }

    /// Appends what has arrived to `buffer`, as far as it has room. Returns the number of bytes: 0 if the connection has
    /// ended. `None` if nothing is there.
    pub(super) fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<Option<usize>, Failure> {
        #[cfg(feature = "tls")]
        if let Some(session) = &mut self.session {
            return session.receive(&self.socket, buffer).map_err(|error| match error {
                SessionError::System(error) => Failure::System(error),
                SessionError::Tls(error) => Failure::Tls(error),
            });
        }
        let received = nonblocking::attempt(|| {
            let (bytes, _) = net::recv(&self.socket, spare_capacity(buffer), RecvFlags::empty())?;
            Ok(bytes)
        });
        received.map_err(Failure::System)
    }

    /// Whether something has arrived that the socket does not show any more.
    #[cfg_attr(not(feature = "tls"), allow(clippy::unused_self, reason = "a plain socket keeps nothing"))]
    pub(super) fn has_received(&mut self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(session) = &mut self.session {
            return session.has_received();
        }
        false
    }

    /// Frees what was needed for the last answer, before the connection is idle.
    #[cfg_attr(not(feature = "tls"), allow(clippy::unused_self, reason = "a plain socket keeps nothing"))]
    pub(super) fn rest(&mut self) {
        #[cfg(feature = "tls")]
        if let Some(session) = &mut self.session {
            // rustls makes its buffer small again when it reads and nothing is there. Otherwise it keeps 30 kB.
            let _ = session.is_quiet(&self.socket);
        }
    }

    /// Whether nothing has arrived since the last answer: neither the end of the connection, nor unexpected bytes, which
    /// would be mistaken for the answer to the next request.
    pub(super) fn is_quiet(&mut self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(session) = &mut self.session {
            return session.is_quiet(&self.socket);
        }
        let peeked = net::recv(&self.socket, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Err(Errno::AGAIN))
    }
}

#[cfg(feature = "tls")]
impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(session) = &mut self.session {
            session.close(&self.socket);
        }
    }
}
