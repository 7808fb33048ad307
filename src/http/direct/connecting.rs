//! How connections are made: a name is resolved, its addresses are tried, and TLS makes its handshake.
//!
//! Addresses are tried in their order. The next one is tried as soon as one has failed, or is taking its time (the idea of
//! RFC 8305), and the first that accepts is used.

use super::super::endpoint::{Address, Endpoint, Place};
use super::super::error::TransportError;
use super::super::names::{Names, Resolved};
use super::super::neighbours::{fixed_addresses, is_same_machine};
#[cfg(feature = "tls")]
use super::super::tls::{self, HandshakeError, TlsError};
use super::super::{HttpError, Request};
use super::connections::{Connection, Connections};
use super::stream::Stream;
use crate::clock;
use crate::descriptors::{self, Purpose, spares};
use crate::event_loop::{self, Interest, TimedOut};
use crate::limits;
use rustix::io::{Errno, FdFlags};
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketType};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Makes connections.
#[derive(Debug, Default)]
pub(in crate::http) struct Connector {
    names: Names,
    #[cfg(feature = "tls")]
    tls: tls::Settings,
}

/// Why no address could be connected to.
enum Unconnected {
    TimedOut,
    /// There is no file descriptor for it.
    NoDescriptor,
    /// What the first address has failed with, if there was one.
    Failed(Option<io::Error>),
}

/// A socket that is connected to one of the addresses.
type Connected = (Address, Rc<OwnedFd>);

impl Connector {
    /// Connects to the endpoint of the request. Returns `None` if there is no file descriptor for the connection.
    pub(super) async fn connect(
        &self,
        connections: &Connections,
        request: &Request<'_>,
    ) -> Result<Option<Connection>, HttpError> {
        let endpoint = request.endpoint;
        let (address, socket) = match self.reach(connections, request).await {
            Ok(connected) => connected,
            Err(Ok(Unconnected::NoDescriptor)) => return Ok(None),
            Err(Ok(Unconnected::TimedOut)) => return Err(HttpError::Timeout(request.timeout)),
            Err(Ok(Unconnected::Failed(error))) => {
                return Err(not_connected(error, endpoint.place().into_owned()).into());
            }
            Err(Err(error)) => return Err(error),
        };
        let leads_here = if endpoint.has_name() { leads_here(&socket) } else { None };
        let stream = self.secure(socket, request).await?;
        Ok(Some(connections.adopt(Rc::clone(&endpoint.peer), address, stream, leads_here, request.purpose)))
    }

    /// Connects to one of the addresses of the endpoint. If those that are known of its name cannot be reached, the name is
    /// resolved again.
    async fn reach(
        &self,
        connections: &Connections,
        request: &Request<'_>,
    ) -> Result<Connected, Result<Unconnected, HttpError>> {
        let (host, port) = match &request.endpoint.peer.place {
            Place::Addresses(addresses) => return race(connections, addresses, request).await.map_err(Ok),
            Place::Name { host, port } => (host, *port),
        };
        let with_port = |resolved: &Resolved| -> Vec<Address> {
            let tried = resolved.addresses.iter().take(limits::NAME_ADDRESSES_MAX);
            tried.map(|address| Address::Net((*address, port).into())).collect()
        };
        let resolved = self.resolve(host, request.timeout, request.deadline).await.map_err(Err)?;
        let failed = match race(connections, &with_port(&resolved), request).await {
            Ok(connected) => {
                if let Address::Net(address) = connected.0 {
                    self.names.prefer(host, address.ip());
                }
                return Ok(connected);
            }
            Err(Unconnected::NoDescriptor) => return Err(Ok(Unconnected::NoDescriptor)),
            Err(failed) => failed,
        };
        self.names.forget(host);
        if resolved.is_fresh || matches!(failed, Unconnected::TimedOut) {
            return Err(Ok(failed));
        }
        let again = self.resolve(host, request.timeout, request.deadline).await.map_err(Err)?;
        if again.addresses == resolved.addresses {
            return Err(Ok(failed));
        }
        race(connections, &with_port(&again), request).await.map_err(Ok)
    }

    async fn resolve(&self, host: &str, timeout: Duration, deadline: Instant) -> Result<Resolved, HttpError> {
        let resolved = self.names.resolve(host, timeout, deadline).await;
        resolved.map_err(|error| TransportError::Name { host: host.to_owned(), error }.into())
    }

    /// The addresses of the endpoint's name. Empty if it has none, or if they are not found out in time.
    pub(super) async fn addresses(&self, endpoint: &Endpoint, timeout: Duration, deadline: Instant) -> Vec<IpAddr> {
        let host = endpoint.url.host().unwrap_or_default();
        match &endpoint.peer.place {
            Place::Name { host, .. } => {
                let resolved = self.resolve(host, timeout, deadline).await;
                resolved.map_or_else(|_| Vec::new(), |resolved| resolved.addresses)
            }
            Place::Addresses(_) if endpoint.is_pinned => Vec::new(),
            Place::Addresses(_) => {
                fixed_addresses(host).filter(|_| host.parse::<IpAddr>().is_err()).unwrap_or_default()
            }
        }
    }

    /// All addresses of the endpoint's host, however many there are.
    pub(super) async fn all_addresses(
        &self,
        endpoint: &Endpoint,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, HttpError> {
        let host = endpoint.host();
        match &endpoint.peer.place {
            Place::Name { host, .. } => Ok(self.resolve(host, timeout, deadline).await?.addresses),
            Place::Addresses(_) => Ok(fixed_addresses(host).unwrap_or_default()),
        }
    }

    /// Resolves the name of the endpoint again before the next connection is made.
    pub(super) fn distrust(&self, endpoint: &Endpoint) {
        if let Place::Name { host, .. } = &endpoint.peer.place {
            self.names.forget(host);
        }
    }

    #[cfg(feature = "tls")]
    async fn secure(&self, socket: Rc<OwnedFd>, request: &Request<'_>) -> Result<Stream, HttpError> {
        let endpoint = request.endpoint;
        let Some(peer) = &endpoint.peer.tls else { return Ok(Stream::plain(socket)) };
        let mut session = Box::new(self.tls.session(&peer.host, peer.port, &peer.tls).map_err(TransportError::Tls)?);
        let place = || endpoint.place().into_owned();
        let error = match session.shake_hands(&socket, request.deadline).await {
            Ok(()) => return Ok(Stream::secured(socket, session)),
            Err(HandshakeError::TimedOut) => return Err(HttpError::Timeout(request.timeout)),
            Err(HandshakeError::System(error)) => TransportError::NoHandshake { place: place(), error },
            Err(HandshakeError::Closed) => TransportError::Tls(TlsError::ClosedInHandshake { place: place() }),
            Err(HandshakeError::PlainHttp) => TransportError::Tls(TlsError::PlainHttp { place: place() }),
            Err(HandshakeError::Tls(error)) => {
                TransportError::Tls(tls::explained(&error, &peer.host, &place(), &peer.tls))
            }
        };
        Err(error.into())
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_async, reason = "there is no handshake")]
    async fn secure(&self, socket: Rc<OwnedFd>, _: &Request<'_>) -> Result<Stream, HttpError> {
        Ok(Stream::plain(socket))
    }
}

/// Whether the other end of a connection is on this machine. None if the system does not say.
fn leads_here(socket: &OwnedFd) -> Option<bool> {
    let (local, remote) = (net::getsockname(socket).ok()?, net::getpeername(socket).ok()??);
    let (local, remote) = (SocketAddr::try_from(local).ok()?, SocketAddr::try_from(remote).ok()?);
    Some(is_same_machine(local.ip(), remote.ip()))
}

/// Connects to the first address that accepts.
async fn race(
    connections: &Connections,
    addresses: &[Address],
    request: &Request<'_>,
) -> Result<Connected, Unconnected> {
    if let [address] = addresses {
        return match connect_to(connections, address, request).await {
            Ok(Ok(socket)) => Ok((address.clone(), socket)),
            Ok(Err(error)) => Err(unconnected(Some(error))),
            Err(TimedOut) => Err(Unconnected::TimedOut),
        };
    }
    let mut rest = addresses.iter();
    let mut attempts: Vec<Attempt<'_>> = Vec::with_capacity(addresses.len());
    let mut first_error = None;
    loop {
        if let Some(address) = rest.next() {
            attempts.push(Box::pin(async move { (address, connect_to(connections, address, request).await) }));
        }
        if attempts.is_empty() {
            return Err(unconnected(first_error));
        }
        let next_at = (!rest.as_slice().is_empty()).then(|| clock::now() + limits::ADDRESS_HEAD_START);
        match first_of(&mut attempts, next_at).await {
            None => {}
            Some((address, Ok(Ok(socket)))) => return Ok((address.clone(), socket)),
            Some((_, Ok(Err(error)))) if descriptors::are_exhausted(&error) => return Err(Unconnected::NoDescriptor),
            Some((_, Ok(Err(error)))) => _ = first_error.get_or_insert(error),
            Some((_, Err(TimedOut))) => return Err(Unconnected::TimedOut),
        }
    }
}

type Attempt<'a> = Pin<Box<dyn Future<Output = (&'a Address, Result<io::Result<Rc<OwnedFd>>, TimedOut>)> + 'a>>;

/// The outcome of the first attempt that ends, which is removed. None if none has ended by `until`.
async fn first_of<'a>(
    attempts: &mut Vec<Attempt<'a>>,
    until: Option<Instant>,
) -> Option<(&'a Address, Result<io::Result<Rc<OwnedFd>>, TimedOut>)> {
    let ended = poll_fn(|context| {
        for at in 0..attempts.len() {
            if let Poll::Ready(outcome) = attempts[at].as_mut().poll(context) {
                drop(attempts.swap_remove(at));
                return Poll::Ready(Some(outcome));
            }
        }
        Poll::Pending
    });
    match until {
        None => ended.await,
        Some(until) => {
            let late = async {
                event_loop::sleep_until(until).await;
                None
            };
            smol::future::or(ended, late).await
        }
    }
}

fn unconnected(error: Option<io::Error>) -> Unconnected {
    match error {
        Some(error) if descriptors::are_exhausted(&error) => Unconnected::NoDescriptor,
        error => Unconnected::Failed(error),
    }
}

async fn connect_to(
    connections: &Connections,
    address: &Address,
    request: &Request<'_>,
) -> Result<io::Result<Rc<OwnedFd>>, TimedOut> {
    let (reserve, purpose) = (connections.reserve(), request.purpose);
    let begun = loop {
        let begun = start_connecting(address, |socket| reserve.assign(purpose, socket));
        let is_exhausted = begun.as_ref().is_err_and(descriptors::are_exhausted);
        if !is_exhausted || !descriptors::close_idle_for(purpose) {
            break begun;
        }
    };
    // Name lookups may have taken even the descriptors that are reserved for shipping.
    let begun = match begun {
        Err(error) if has_released_spare(purpose, &error) => start_connecting(address, Ok),
        begun => begun,
    };
    let socket = match begun {
        Ok(socket) => Rc::new(socket),
        Err(error) => return Ok(Err(error)),
    };
    Ok(connected(&socket, request.deadline).await?.map(|()| socket))
}

/// Closes a descriptor that is held in reserve, if the connection is for shipping and failed for lack of one. Returns
/// whether it has closed one.
fn has_released_spare(purpose: Purpose, error: &io::Error) -> bool {
    purpose == Purpose::Ship && descriptors::are_exhausted(error) && spares::release_to_ship()
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

/// Waits until the connection is made, or the attempt has failed.
async fn connected(socket: &Rc<OwnedFd>, deadline: Instant) -> Result<io::Result<()>, TimedOut> {
    event_loop::ready(socket.clone(), Interest::Write, Some(deadline)).await?;
    Ok(match net::sockopt::socket_error(&**socket) {
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
