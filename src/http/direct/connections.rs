//! The connections over plain sockets: how they are made, which are kept open for the next exchange, and which are closed
//! when file descriptors run out.

use super::super::error::TransportError;
use super::super::{Address, HttpError, Request};
use crate::descriptor_queue::DescriptorQueue;
use crate::descriptors::{self, Idle, Purpose, Reserve, spares};
use crate::event_loop::{self, Interest, TimedOut};
use crate::limits;
use rustix::io::{Errno, FdFlags};
use rustix::net::{self, AddressFamily, RecvFlags, SocketAddrUnix, SocketType};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::{Rc, Weak};
use std::time::Instant;

/// The connections that are kept open, and the limits for new ones.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) kept: Rc<Kept>,
    kept_max: Cell<usize>,
    reserve: Cell<Reserve>,
}

/// The idle connections, and the tasks that wait until a file descriptor is free.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Oldest first.
    pub(super) list: RefCell<VecDeque<Connection>>,
    queue: Rc<DescriptorQueue>,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) address: Address,
    pub(super) stream: Rc<OwnedFd>,
    /// Since when the connection was idle before this exchange, or `None` if it is new. The server may have closed an idle
    /// connection in the meantime, or a load balancer may have dropped it.
    pub(super) idle_since: Option<Instant>,
    pub(super) purpose: Purpose,
    /// The tasks to notify when the connection is closed, and its file descriptor is free.
    queue: Rc<DescriptorQueue>,
}

impl Connection {
    /// Whether the connection was used recently enough. Load balancers and NAT drop idle connections silently.
    fn is_trusted(&self, now: Instant) -> bool {
        self.idle_since.is_none_or(|since| now.saturating_duration_since(since) <= limits::IDLE_CONNECTION_TRUST)
    }

    /// Moves the connection to a higher descriptor if its current number is reserved for others. Returns false if no higher
    /// one is free; the connection then has to be closed.
    fn move_out_of_reserve(&mut self, reserve: Reserve) -> bool {
        if reserve.allows(self.purpose, self.stream.as_raw_fd()) {
            return true;
        }
        let moved = reserve.duplicate(self.purpose, &self.stream).ok();
        moved.map(|stream| self.stream = Rc::new(stream)).is_some()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The task that is notified runs later, when the descriptor has been closed.
        self.queue.notify_next();
    }
}

impl Idle for Kept {
    fn close_oldest(&self, purpose: Purpose) -> bool {
        // If the limit was lowered, closing a descriptor beyond the limit does not make another one available.
        let limit = descriptors::limit();
        let is_below_limit =
            |connection: &Connection| usize::try_from(connection.stream.as_raw_fd()).is_ok_and(|at| at < limit);
        let mut list = self.list.borrow_mut();
        let oldest = list.iter().position(|connection| connection.purpose == purpose && is_below_limit(connection));
        let closed = oldest.and_then(|oldest| list.remove(oldest));
        drop(list);
        closed.is_some()
    }
}

impl Connections {
    pub(super) fn new(kept_max: usize) -> Self {
        let kept: Rc<Kept> = Rc::default();
        let idle: Weak<Kept> = Rc::downgrade(&kept);
        descriptors::register(idle);
        Self { kept, kept_max: Cell::new(kept_max), reserve: Cell::default() }
    }

    /// Sets how many idle connections are kept open, and the descriptors that are left to others.
    pub(super) fn set_limits(&self, kept_max: usize, reserve: Reserve) {
        self.kept_max.set(kept_max);
        self.set_reserve(reserve);
    }

    /// Sets the descriptors that are left to others, and moves or closes the idle connections that occupy them.
    pub(super) fn set_reserve(&self, reserve: Reserve) {
        let kept_max = self.kept_max.get();
        self.reserve.set(reserve);
        let mut kept = self.kept.list.take();
        let beyond = kept.len().saturating_sub(kept_max);
        kept.drain(..beyond);
        kept.retain_mut(|connection| connection.move_out_of_reserve(reserve));
        self.kept.list.replace(kept);
    }

    /// Takes the newest idle connection to one of these addresses that can still be used. Newer ones that cannot be used are
    /// closed.
    pub(super) fn take_kept(&self, addresses: &[Address], purpose: Purpose, now: Instant) -> Option<Connection> {
        loop {
            let mut list = self.kept.list.borrow_mut();
            let newest = list.iter().rposition(|connection| addresses.contains(&connection.address))?;
            let mut connection = list.remove(newest)?;
            drop(list);
            if connection.is_trusted(now) && is_quiet(&connection.stream) {
                connection.purpose = purpose;
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next exchange, or closes it if its descriptor is reserved for others and cannot be moved.
    pub(super) fn keep(&self, mut connection: Connection, now: Instant) {
        if !connection.move_out_of_reserve(self.reserve.get()) {
            return;
        }
        connection.idle_since = Some(now);
        let mut list = self.kept.list.borrow_mut();
        let oldest = if list.len() >= self.kept_max.get() { list.pop_front() } else { None };
        list.push_back(connection);
        drop(list);
        drop(oldest);
        // A task that waits for a descriptor can use this connection, or close it to get its descriptor.
        self.kept.queue.notify_next();
    }

    /// Closes the idle connections to this address, because one of them was dead: whatever has dropped that one has probably
    /// dropped the others, too.
    pub(super) fn distrust(&self, address: &Address) {
        let mut kept = self.kept.list.take();
        kept.retain(|connection| connection.address != *address);
        self.kept.list.replace(kept);
    }

    /// Connects to the first address that accepts. Returns `None` if there is no file descriptor for the connection.
    pub(super) async fn connect(&self, request: &Request<'_>) -> Result<Option<Connection>, HttpError> {
        let mut first_error = None;
        for address in &request.endpoint.addresses {
            match self.connect_to(address, request).await {
                Ok(Ok(connection)) => return Ok(Some(connection)),
                Ok(Err(error)) if descriptors::are_exhausted(&error) => return Ok(None),
                Ok(Err(error)) => _ = first_error.get_or_insert(error),
                Err(TimedOut) => return Err(HttpError::Timeout(request.timeout)),
            }
        }
        Err(not_connected(first_error, request.endpoint.place().into_owned()).into())
    }

    async fn connect_to(&self, address: &Address, request: &Request<'_>) -> Result<io::Result<Connection>, TimedOut> {
        let (reserve, purpose) = (self.reserve.get(), request.purpose);
        let begun = loop {
            let begun = start_connecting(address, |socket| reserve.assign(purpose, socket));
            let is_exhausted = begun.as_ref().is_err_and(descriptors::are_exhausted);
            if !is_exhausted || !descriptors::close_idle_for(purpose) {
                break begun;
            }
        };
        // libcurl's name lookups may have taken even the descriptors that are reserved for shipping.
        let begun = match begun {
            Err(error) if has_released_spare(purpose, &error) => start_connecting(address, Ok),
            begun => begun,
        };
        let stream = match begun {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(error)),
        };
        let queue = Rc::clone(&self.kept.queue);
        let connection =
            Connection { address: address.clone(), stream: Rc::new(stream), idle_since: None, purpose, queue };
        Ok(connected(&connection.stream, request.deadline).await?.map(|()| connection))
    }

    /// Waits until a descriptor may be free.
    ///
    /// # Errors
    /// [`HttpError`] if that has not happened by the deadline of the request.
    pub(super) async fn wait(&self, request: &Request<'_>) -> Result<(), HttpError> {
        let turn = self.kept.queue.wait(request.purpose, request.deadline);
        turn.await.map_err(|TimedOut| TransportError::OutOfDescriptors.into())
    }
}

/// Closes a descriptor that is held in reserve, if the connection is for shipping and failed for lack of one. Returns
/// whether it has closed one.
fn has_released_spare(purpose: Purpose, error: &io::Error) -> bool {
    purpose == Purpose::Ship && descriptors::are_exhausted(error) && spares::release_to_ship()
}

/// Whether nothing has arrived since the last answer: neither the end of the connection, nor unexpected bytes, which would
/// be mistaken for the answer to the next request.
fn is_quiet(stream: &OwnedFd) -> bool {
    let peeked = net::recv(stream, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(peeked, Err(Errno::AGAIN))
}

fn not_connected(error: Option<io::Error>, place: String) -> TransportError {
    let Some(error) = error else { return TransportError::NoAddress { place } };
    match error.kind() {
        ErrorKind::ConnectionRefused => TransportError::ConnectionRefused { place },
        // Only Unix sockets fail in this way. For TCP, the system retries until the timeout.
        ErrorKind::WouldBlock => TransportError::BacklogFull { place },
        _ => TransportError::CannotConnect { place, error },
    }
}

/// Connects for another purpose than an HTTP exchange. The connection is not kept.
#[cfg(feature = "tls")]
pub(in crate::http) async fn connect_to(
    address: &Address,
    deadline: Instant,
) -> Result<io::Result<Rc<OwnedFd>>, TimedOut> {
    let stream = match descriptors::closing_idle(|| start_connecting(address, Ok)) {
        Ok(stream) => Rc::new(stream),
        Err(error) => return Ok(Err(error)),
    };
    Ok(connected(&stream, deadline).await?.map(|()| stream))
}

/// Waits until the connection is made, or the attempt has failed.
async fn connected(stream: &Rc<OwnedFd>, deadline: Instant) -> Result<io::Result<()>, TimedOut> {
    event_loop::ready(stream.clone(), Interest::Write, Some(deadline)).await?;
    Ok(match net::sockopt::socket_error(&**stream) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) | Err(error) => Err(error.into()),
    })
}

pub(super) fn start_connecting(
    address: &Address,
    assign: impl FnOnce(OwnedFd) -> io::Result<OwnedFd>,
) -> io::Result<OwnedFd> {
    let family = match address {
        Address::Net(SocketAddr::V4(_)) => AddressFamily::INET,
        Address::Net(SocketAddr::V6(_)) => AddressFamily::INET6,
        Address::Unix(_) => AddressFamily::UNIX,
    };
    let socket = assign(net::socket(family, SocketType::STREAM, None)?)?;
    rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    let begun = match address {
        Address::Net(address) => {
            // Without this, the last segment of a bulk would be held back until those before it are acknowledged.
            net::sockopt::set_tcp_nodelay(&socket, true)?;
            if !address.ip().is_loopback() {
                keep_alive(&socket)?;
            }
            net::connect(&socket, address)
        }
        Address::Unix(path) => net::connect(&socket, &SocketAddrUnix::new(&**path)?),
    };
    match begun {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Enables TCP keep-alive, by which the system notices a peer that is gone while an answer is awaited. It wakes no task.
fn keep_alive(socket: &OwnedFd) -> io::Result<()> {
    net::sockopt::set_socket_keepalive(socket, true)?;
    net::sockopt::set_tcp_keepidle(socket, limits::KEEPALIVE_IDLE)?;
    net::sockopt::set_tcp_keepintvl(socket, limits::KEEPALIVE_INTERVAL)?;
    Ok(net::sockopt::set_tcp_keepcnt(socket, limits::KEEPALIVE_PROBES)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn no_more_connections_are_kept_than_may_be() {
        let connections = Connections::new(2);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Net(listener.local_addr().unwrap());
        let connect = || {
            let stream: OwnedFd = TcpStream::connect(listener.local_addr().unwrap()).unwrap().into();
            Connection {
                address: address.clone(),
                stream: Rc::new(stream),
                idle_since: None,
                purpose: Purpose::Poll,
                queue: Rc::default(),
            }
        };
        let three = [connect(), connect(), connect()];
        let newest = Rc::clone(&three[2].stream);
        let now = clock::now();
        for connection in three {
            connections.keep(connection, now);
        }
        assert_eq!(connections.kept.list.borrow().len(), 2);
        let found = connections.take_kept(&[address], Purpose::Poll, now).unwrap();
        assert!(Rc::ptr_eq(&found.stream, &newest) && found.idle_since.is_some());
        connections.keep(found, now);
        // Connections move away from numbers that are reserved for others.
        connections.set_reserve(Reserve { files: descriptors::limit() / 2, shipping: 0 });
        let list = connections.kept.list.borrow();
        let numbers: Vec<_> = list.iter().map(|kept| usize::try_from(kept.stream.as_raw_fd()).unwrap()).collect();
        assert!(numbers.len() == 2 && numbers.iter().all(|number| *number >= descriptors::limit() / 2), "{numbers:?}");
    }

    #[test]
    fn a_connection_is_trusted_for_a_while_only() {
        let connections = Connections::new(9);
        let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = listeners.each_ref().map(|listener| Address::Net(listener.local_addr().unwrap()));
        let now = clock::now();
        let keep = |at: usize, since: Instant| {
            let stream: OwnedFd = TcpStream::connect(listeners[at].local_addr().unwrap()).unwrap().into();
            let (address, stream) = (addresses[at].clone(), Rc::new(stream));
            let queue = Rc::default();
            connections.keep(Connection { address, stream, idle_since: None, purpose: Purpose::Poll, queue }, since);
        };
        let take = |at: usize, now: Instant| connections.take_kept(&addresses[at..=at], Purpose::Ship, now).is_some();
        let trust = limits::IDLE_CONNECTION_TRUST;
        keep(0, now);
        keep(0, now);
        assert!(take(0, now + trust));
        assert!(!take(0, now + trust + std::time::Duration::from_millis(1)));
        assert!(connections.kept.list.borrow().is_empty(), "one that is too old is closed");
        keep(0, now);
        keep(1, now);
        keep(0, now);
        connections.distrust(&addresses[0]);
        assert!(!take(0, now) && take(1, now));
    }
}
