//! The connections that are kept open for the next exchange, and which of them are closed when file descriptors run out.

use super::super::endpoint::{Address, Peer, Place};
use super::super::error::TransportError;
use super::super::{HttpError, Request};
use super::stream::Stream;
use crate::descriptor_queue::DescriptorQueue;
use crate::descriptors::{self, Idle, Purpose, Reserve};
use crate::event_loop::TimedOut;
use crate::limits;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::AsRawFd;
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
    pub(super) peer: Rc<Peer>,
    pub(super) address: Address,
    pub(super) stream: Stream,
    /// Since when the connection was idle before this exchange, or `None` if it is new. The server may have closed an idle
    /// connection in the meantime, or a load balancer may have dropped it.
    pub(super) idle_since: Option<Instant>,
    pub(super) purpose: Purpose,
    /// Whether it leads to this machine, if that was not known before.
    pub(super) leads_here: Option<bool>,
    /// The tasks to notify when the connection is closed, and its file descriptor is free.
    queue: Rc<DescriptorQueue>,
}

impl Connection {
    /// Whether it can be used for this peer.
    fn leads_to(&self, peer: &Rc<Peer>) -> bool {
        if Rc::ptr_eq(&self.peer, peer) {
            return true;
        }
        let has_address = match &peer.place {
            Place::Addresses(addresses) => addresses.contains(&self.address),
            Place::Name { .. } => self.peer.place == peer.place,
        };
        has_address && self.peer.tls == peer.tls
    }

    /// Whether the connection was used recently enough. Load balancers and NAT drop idle connections silently.
    fn is_trusted(&self, now: Instant) -> bool {
        self.idle_since.is_none_or(|since| now.saturating_duration_since(since) <= limits::IDLE_CONNECTION_TRUST)
    }

    /// Moves the connection to a higher descriptor if its current number is reserved for others. Returns false if no higher
    /// one is free; the connection then has to be closed.
    fn move_out_of_reserve(&mut self, reserve: Reserve) -> bool {
        if reserve.allows(self.purpose, self.stream.socket.as_raw_fd()) {
            return true;
        }
        let moved = reserve.duplicate(self.purpose, &self.stream.socket).ok();
        moved.map(|socket| self.stream.socket = Rc::new(socket)).is_some()
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
            |connection: &Connection| usize::try_from(connection.stream.socket.as_raw_fd()).is_ok_and(|at| at < limit);
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

    /// Sets how many idle connections are kept open, and the descriptors that are left to others. Connections to endpoints that
    /// are not polled any more are closed.
    pub(super) fn set_limits(&self, kept_max: usize, reserve: Reserve) {
        self.kept_max.set(kept_max);
        let mut kept = self.kept.list.take();
        // Each endpoint that is polled has its peer as well. A server has several endpoints with equal peers.
        kept.retain(|connection| connection.purpose != Purpose::Poll || Rc::strong_count(&connection.peer) > 1);
        self.kept.list.replace(kept);
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

    /// Takes the newest idle connection to this peer that can still be used. Newer ones that cannot be used are closed.
    pub(super) fn take_kept(&self, peer: &Rc<Peer>, purpose: Purpose, now: Instant) -> Option<Connection> {
        loop {
            let mut list = self.kept.list.borrow_mut();
            let newest = list.iter().rposition(|connection| connection.leads_to(peer))?;
            let mut connection = list.remove(newest)?;
            drop(list);
            if connection.is_trusted(now) && connection.stream.is_quiet() {
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
        connection.stream.rest();
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

    /// The descriptors that are left to others.
    pub(super) fn reserve(&self) -> Reserve {
        self.reserve.get()
    }

    /// A new connection. `stream` is connected.
    pub(super) fn adopt(
        &self,
        peer: Rc<Peer>,
        address: Address,
        stream: Stream,
        leads_here: Option<bool>,
        purpose: Purpose,
    ) -> Connection {
        Connection { peer, address, stream, idle_since: None, purpose, leads_here, queue: Rc::clone(&self.kept.queue) }
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

#[cfg(test)]
mod tests {
    use super::super::super::endpoint::TlsPeer;
    use super::*;
    use crate::access::Tls;
    use crate::clock;
    use std::net::{TcpListener, TcpStream};

    fn peer_at(address: &Address) -> Rc<Peer> {
        Rc::new(Peer { place: Place::Addresses(vec![address.clone()]), tls: None })
    }

    #[test]
    fn connections_are_used_again_only_for_the_same_peer() {
        let connections = Connections::new(9);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let name = |host: &str| Place::Name { host: host.to_owned(), port };
        let secured = |host: &str, verify| {
            let tls = Tls { verify, ..Default::default() };
            Some(TlsPeer { host: host.to_owned(), port, tls })
        };
        let peers = [
            Peer { place: name("app"), tls: None },
            Peer { place: name("other"), tls: None },
            Peer { place: Place::Addresses(vec![Address::Net(listener.local_addr().unwrap())]), tls: None },
            Peer { place: name("app"), tls: secured("app", true) },
            Peer { place: name("app"), tls: secured("app", false) },
        ];
        for (at, peer) in peers.iter().enumerate() {
            let socket = Rc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap().into());
            let address = Address::Net(listener.local_addr().unwrap());
            let made = connections.adopt(Rc::new(peer.clone()), address, Stream::plain(socket), None, Purpose::Poll);
            connections.keep(made, clock::now());
            let suits = |other: &Peer| connections.kept.list.borrow()[0].leads_to(&Rc::new(other.clone()));
            let suiting: Vec<usize> = (0..peers.len()).filter(|other| suits(&peers[*other])).collect();
            // A plain connection to an address can also serve an endpoint that has this address in its URL.
            let expected = if at < 2 { vec![at, 2] } else { vec![at] };
            assert_eq!(suiting, expected);
            connections.kept.list.borrow_mut().clear();
        }
    }

    #[test]
    fn no_more_connections_are_kept_than_may_be() {
        let connections = Connections::new(2);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Net(listener.local_addr().unwrap());
        let peer = peer_at(&address);
        let connect = || {
            let socket = Rc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap().into());
            connections.adopt(Rc::clone(&peer), address.clone(), Stream::plain(socket), None, Purpose::Poll)
        };
        let three = [connect(), connect(), connect()];
        let newest = Rc::clone(&three[2].stream.socket);
        let now = clock::now();
        for connection in three {
            connections.keep(connection, now);
        }
        assert_eq!(connections.kept.list.borrow().len(), 2);
        let found = connections.take_kept(&peer, Purpose::Poll, now).unwrap();
        assert!(Rc::ptr_eq(&found.stream.socket, &newest) && found.idle_since.is_some());
        connections.keep(found, now);
        // Connections move away from numbers that are reserved for others.
        connections.set_reserve(Reserve { files: descriptors::limit() / 2, shipping: 0 });
        let list = connections.kept.list.borrow();
        let numbers: Vec<_> =
            list.iter().map(|kept| usize::try_from(kept.stream.socket.as_raw_fd()).unwrap()).collect();
        assert!(numbers.len() == 2 && numbers.iter().all(|number| *number >= descriptors::limit() / 2), "{numbers:?}");
    }

    #[test]
    fn a_connection_is_trusted_for_a_while_only() {
        let connections = Connections::new(9);
        let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = listeners.each_ref().map(|listener| Address::Net(listener.local_addr().unwrap()));
        let now = clock::now();
        let keep = |at: usize, since: Instant| {
            let socket = Rc::new(TcpStream::connect(listeners[at].local_addr().unwrap()).unwrap().into());
            let (address, stream) = (addresses[at].clone(), Stream::plain(socket));
            connections.keep(connections.adopt(peer_at(&address), address, stream, None, Purpose::Poll), since);
        };
        let take =
            |at: usize, now: Instant| connections.take_kept(&peer_at(&addresses[at]), Purpose::Ship, now).is_some();
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
