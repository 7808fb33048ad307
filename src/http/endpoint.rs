//! Where requests go: a URL, what is known of its addresses, and what identifies us there.

use super::error::{RedirectProblem, TransportError};
use super::{HttpError, Identity, Uri, neighbours};
use crate::access::Tls;
use crate::limits;
use crate::redact;
use std::borrow::Cow;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;

/// What the URL of a socket in the file system begins with.
pub(crate) const UNIX_SCHEME: &str = "unix://";

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(super) url: Uri,
    pub(super) peer: Rc<Peer>,
    /// Whether it is on this machine, as far as is known. A connection can correct this, for all copies of the endpoint.
    is_local: Rc<Cell<bool>>,
    /// What identifies us there.
    pub(super) identity: Rc<Identity>,
    /// Whether it is at one address of its name, so that nobody else may look the name up.
    pub(super) is_pinned: bool,
}

/// The other end of connections: a connection that was made to one peer can be used for an equal one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) place: Place,
    /// For `https://`.
    pub(super) tls: Option<TlsPeer>,
}

/// Where a peer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// At one of these addresses, in the order to try.
    Addresses(Vec<Address>),
    /// At an address that belongs to this host name.
    Name { host: String, port: u16 },
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Net(SocketAddr),
    /// A socket in the file system.
    Unix(Rc<Path>),
}

/// How a peer is verified that speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TlsPeer {
    /// The name or address that its certificate has to be for.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
}

impl Endpoint {
    /// An endpoint without authentication. `url` has been validated.
    #[cfg(test)]
    pub(crate) fn new(url: &str) -> Self {
        Self::with_identity(url, Rc::default())
    }

    /// `url` has been validated, and holds no credentials; `identity` is shared by all that is asked of one origin.
    pub(crate) fn with_identity(url: &str, identity: Rc<Identity>) -> Self {
        let Some((socket, target)) = unix_parts(url) else {
            return Self::from_url(url.parse().unwrap_or_default(), identity);
        };
        let url = format!("http://localhost{target}").parse().unwrap_or_default();
        let place = Place::Addresses(vec![Address::Unix(Path::new(socket).into())]);
        let (peer, is_local) = (Rc::new(Peer { place, tls: None }), Rc::new(Cell::new(true)));
        Self { url, peer, is_local, identity, is_pinned: false }
    }

    /// The same endpoint at this address of its host. The host remains what is asked for, and what its certificate is for.
    pub(crate) fn at(&self, address: IpAddr) -> Self {
        let place = Place::Addresses(vec![Address::Net((address, self.port()).into())]);
        let peer = Rc::new(Peer { place, tls: self.peer.tls.clone() });
        let is_local = Rc::new(Cell::new(neighbours::is_neighbour(&address.to_string())));
        Self { url: self.url.clone(), peer, is_local, identity: Rc::clone(&self.identity), is_pinned: true }
    }

    fn port(&self) -> u16 {
        let default = if self.url.scheme_str() == Some("https") { 443 } else { 80 };
        self.url.port_u16().unwrap_or(default)
    }

    fn from_url(url: Uri, identity: Rc<Identity>) -> Self {
        let host = without_brackets(url.host().unwrap_or_default()).to_owned();
        let is_tls = url.scheme_str() == Some("https");
        let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let is_local = neighbours::is_neighbour(&host);
        let tls = is_tls.then(|| TlsPeer { host: host.clone(), port, tls: identity.access().tls.clone() });
        let place = match neighbours::fixed_addresses(&host) {
            Some(addresses) => {
                Place::Addresses(addresses.iter().map(|address| Address::Net((*address, port).into())).collect())
            }
            None => Place::Name { host, port },
        };
        let (peer, is_local) = (Rc::new(Peer { place, tls }), Rc::new(Cell::new(is_local)));
        Self { url, peer, is_local, identity, is_pinned: false }
    }

    /// Where a redirect leads. Credentials, fields and client certificates belong to this endpoint alone and stay behind.
    pub(super) fn redirected(&self, location: &str) -> Result<Self, HttpError> {
        let wrong = |problem| {
            let location = redact::quote(location.as_bytes(), limits::QUOTED_BYTES_MAX);
            HttpError::Transport(TransportError::Redirect { location, problem })
        };
        let base = url::Url::parse(&self.url.to_string()).map_err(|_| wrong(RedirectProblem::BadBase))?;
        let mut target = base.join(location).map_err(|_| wrong(RedirectProblem::NoUrl))?;
        if !matches!(target.scheme(), "http" | "https") {
            return Err(wrong(RedirectProblem::OtherScheme));
        }
        if cfg!(not(feature = "tls")) && target.scheme() == "https" {
            return Err(wrong(RedirectProblem::NoTls));
        }
        target.set_fragment(None);
        // The server that answered must not choose our credentials.
        let is_anonymous = target.set_username("").and_then(|()| target.set_password(None)).is_ok();
        let url = target.as_str().parse().ok().filter(|_| is_anonymous).ok_or_else(|| wrong(RedirectProblem::NoUrl))?;
        if target.origin() != base.origin() {
            return Ok(Self::from_url(url, Rc::new(self.identity.anonymous())));
        }
        Ok(Self { url, ..self.clone() })
    }

    /// What a person should look at after an answer with this status.
    pub(crate) fn advice(&self, status: u16) -> Option<String> {
        self.identity.access().advice(status)
    }

    /// Whether it is on this machine: then it is never reached through a proxy of the environment.
    pub(crate) fn is_neighbour(&self) -> bool {
        self.is_local.get()
    }

    /// Whether a name server may have to be asked for its addresses.
    pub(crate) fn has_name(&self) -> bool {
        matches!(self.peer.place, Place::Name { .. })
    }

    /// Whether its connections are secured by TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.peer.tls.is_some()
    }

    /// Its host: a name, or an address without brackets. Empty for a socket in the file system.
    pub(crate) fn host(&self) -> &str {
        match &self.peer.place {
            Place::Name { host, .. } => host,
            Place::Addresses(_) => without_brackets(self.url.host().unwrap_or_default()),
        }
    }

    /// Learns from a connection whether it is on this machine.
    pub(crate) fn learn(&self, is_local: bool) {
        self.is_local.set(is_local);
    }

    /// Host and port, as people know them.
    pub(super) fn authority(&self) -> &str {
        self.url.authority().map_or("", |authority| authority.as_str())
    }

    /// The same, or the path of the socket.
    pub(super) fn place(&self) -> Cow<'_, str> {
        match &self.peer.place {
            Place::Addresses(addresses) => match &addresses[..] {
                [Address::Unix(socket)] => socket.to_string_lossy(),
                [Address::Net(address)] if self.is_pinned => format!("{address} ({})", self.authority()).into(),
                _ => self.authority().into(),
            },
            Place::Name { .. } => self.authority().into(),
        }
    }
}

/// A host of a URL without the brackets that an IPv6 address has there.
pub(super) fn without_brackets(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The socket's path and what is asked for over it, of a URL such as `unix:///run/app.sock:/debug/vars`.
pub(crate) fn unix_parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix(UNIX_SCHEME)?;
    let colon = rest.rfind(":/")?;
    Some((&rest[..colon], &rest[colon + 1..]))
}
