//! The one HTTP client of the process: GET into a capped buffer, POST of documents from a shared one. Redirects of a
//! poll are followed.
//!
//! HTTP/1.1 over kept connections. No compression is requested; an answer to a poll that is compressed by gzip
//! nevertheless is inflated within the cap. The time of each exchange is bounded as a whole.
//!
//! There are two transports. Plain `http://` to an IP address, to `localhost`, to a name that the hosts file gives to
//! this machine, or to a `unix://` socket goes through [`direct`]: sockets on the main thread, no hand-over, next to no
//! memory. These are a sidecar's neighbours. Everything else (`https://`, names that must be resolved, proxies) goes
//! through [`curl`], which is started only when it is needed.

#[cfg(feature = "tls")]
mod certificate;
mod curl;
mod direct;
mod error;
mod identity;
mod incoming;
mod inflate;
mod names;
mod neighbours;
mod payload;
mod proxies;
mod reachability;
mod response;
mod retry_after_header;
pub(crate) mod trial;
mod uri;

use crate::access::Headers;
use crate::clock;
use crate::descriptors::{Purpose, Reserve};
use crate::limits;
use crate::redact;
use std::borrow::Cow;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use error::{RedirectProblem, TransportError};
use incoming::Incoming;
use proxies::Proxies;
use response::Caps;
use response::head::Head;

#[cfg(feature = "tls")]
pub(crate) use certificate::{pair_problem, store_problem};
pub(crate) use error::{HttpError, Refused};
pub(crate) use identity::Identity;
pub(crate) use incoming::Receiver;
pub(crate) use inflate::unpack;
pub(crate) use payload::{FORM_TYPE, Payload};
pub(crate) use reachability::Reachability;
pub(crate) use response::head::{Content, ContentKind};
pub(crate) use uri::Uri;

const USER_AGENT: &str = concat!("expvastic/", env!("CARGO_PKG_VERSION"));

/// Room for the answer to a bulk of one instant, header included; a longer one makes its buffer grow.
const ANSWER_BYTES_USUAL: usize = 2 << 10;

/// What the URL of a socket in the file system begins with.
pub(crate) const UNIX_SCHEME: &str = "unix://";

/// What a GET asks for.
const ACCEPTED: &str = "application/json";

/// The client. Clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    transports: Rc<Transports>,
}

#[derive(Debug)]
struct Transports {
    direct: direct::Direct,
    curl: curl::Curl,
    proxies: Rc<Proxies>,
}

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    url: Uri,
    /// Its addresses, in the order to try; empty if the name has to be resolved.
    addresses: Vec<Address>,
    /// Whether it is on this machine, as far as is known. A connection can correct this, for all copies of the endpoint.
    is_local: Rc<Cell<bool>>,
    /// What identifies us there.
    identity: Rc<Identity>,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Net(SocketAddr),
    /// A socket in the file system.
    Unix(Rc<Path>),
}

/// A server's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The pause that the server asks for, counted from when the answer arrived.
    pub(crate) retry_after: Option<Duration>,
    /// The body, up to the cap.
    pub(crate) body: Vec<u8>,
}

/// An answer whose body was passed to a receiver.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// False if there was more of the body.
    pub(crate) is_whole: bool,
}

/// One exchange to be made.
struct Request<'a> {
    endpoint: &'a Endpoint,
    purpose: Purpose,
    /// The header fields that the configuration asks for.
    headers: Rc<Headers>,
    /// None for a GET.
    payload: Option<Payload>,
    timeout: Duration,
    deadline: Instant,
    caps: Caps,
    /// Gives an empty buffer for the body. It is called when an answer begins to arrive: exchanges that wait hold none.
    take_buffer: &'a dyn Fn() -> Vec<u8>,
}

/// An answer whose body is in the buffer, or was passed to a receiver.
struct Received {
    head: Head,
    /// Whether all of the body was read: it is within its cap, and was wanted to its end.
    is_whole: bool,
}

impl Http {
    /// A client that keeps connections to so many endpoints open. `environment` gives the value of a variable.
    pub(crate) fn new(endpoints: usize, environment: &dyn Fn(&str) -> Option<String>) -> Self {
        let proxies = Rc::new(Proxies::new(environment));
        let kept = kept_max(endpoints);
        let (direct, curl) = (direct::Direct::new(kept), curl::Curl::new(kept, Rc::clone(&proxies)));
        Self { transports: Rc::new(Transports { direct, curl, proxies }) }
    }

    /// Adapts to another number of endpoints, and leaves the descriptors of `reserve` to others from now on. `needs_libcurl`
    /// says whether one of the endpoints does.
    pub(crate) fn set_limits(&self, endpoints: usize, reserve: Reserve, needs_libcurl: bool) {
        let kept = kept_max(endpoints);
        self.transports.direct.set_limits(kept, self.transports.curl.set_limits(kept, reserve, needs_libcurl));
    }

    /// Whether the endpoint at this URL cannot be reached over plain sockets.
    pub(crate) fn needs_libcurl(&self, url: &str) -> bool {
        !self.is_direct(&Endpoint::with_identity(url, Rc::default()))
    }

    /// Gets what is at `endpoint` into `body`, which is replaced by a buffer from `take_buffer` when the answer begins to
    /// arrive.
    ///
    /// # Errors
    /// [`HttpError`]; `body` then holds nothing of use but the page of a [`HttpError::Status`], up to a bound.
    pub(crate) async fn get(
        &self,
        endpoint: &Endpoint,
        timeout: Duration,
        bytes_max: u64,
        take_buffer: &dyn Fn() -> Vec<u8>,
        body: &mut Vec<u8>,
    ) -> Result<Content, HttpError> {
        let deadline = clock::now() + timeout;
        let success = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        // A short page is read to its end, so that the connection can be used again.
        let caps = Caps { success, other: limits::ERROR_PAGE_BYTES };
        let mut hop = None;
        for _ in 0..=limits::REDIRECTS_MAX {
            let endpoint = hop.as_ref().unwrap_or(endpoint);
            body.clear();
            let headers = endpoint.identity.headers(clock::now())?;
            let purpose = Purpose::Poll;
            let mut request =
                Request { endpoint, purpose, headers, payload: None, timeout, deadline, caps, take_buffer };
            let received = self.exchange(&mut request, &mut Incoming::buffered(body)).await;
            let received = received.map_err(|error| if hop.is_some() { error.after_redirect() } else { error })?;
            let Received { head: Head { status, location, content, .. }, is_whole } = received;
            hop = match (status, location) {
                (200..=299, _) if is_whole => {
                    if content.is_gzip() && inflate::is_gzip(body) {
                        let packed = std::mem::replace(body, take_buffer());
                        Box::pin(inflate::inflate(&packed, success, body)).await?;
                    }
                    return Ok(content);
                }
                (200..=299, _) => return Err(HttpError::TooLong(bytes_max)),
                (301 | 302 | 303 | 307 | 308, Some(location)) => Some(endpoint.redirected(&location)?),
                (status, _) => {
                    let advice = endpoint.advice(status);
                    return Err(HttpError::Status(Refused { status, content, page: None, advice }));
                }
            };
        }
        Err(HttpError::TooManyRedirects)
    }

    /// Sends a small request: a GET, or a PUT of a small text. Whatever the status is, the answer's body is read up to
    /// `answer_bytes_max`; a redirect is an answer like any other.
    ///
    /// # Errors
    /// [`HttpError`] if there was no answer: the text may have arrived or not.
    pub(crate) async fn ask(
        &self,
        endpoint: &Endpoint,
        timeout: Duration,
        payload: Option<Payload>,
        answer_bytes_max: usize,
    ) -> Result<Answer, HttpError> {
        let mut body = Vec::new();
        let sent = self.send(endpoint, timeout, payload, answer_bytes_max, &mut Incoming::buffered(&mut body)).await;
        let Reply { status, retry_after, .. } = sent?;
        Ok(Answer { status, retry_after, body })
    }

    /// Sends `payload`. Whatever the status, `receiver` reads the answer's body as it comes, up to `answer_bytes_max`, and
    /// as long as it wants more.
    ///
    /// # Errors
    /// [`HttpError`] if there was no whole answer: the payload may have arrived or not.
    pub(crate) async fn post(
        &self,
        endpoint: &Endpoint,
        timeout: Duration,
        payload: Payload,
        answer_bytes_max: usize,
        receiver: &mut dyn Receiver,
    ) -> Result<Reply, HttpError> {
        let mut buffer = Vec::new();
        let mut body = Incoming::streamed(&mut buffer, receiver);
        self.send(endpoint, timeout, Some(payload), answer_bytes_max, &mut body).await
    }

    async fn send(
        &self,
        endpoint: &Endpoint,
        timeout: Duration,
        payload: Option<Payload>,
        answer_bytes_max: usize,
        body: &mut Incoming<'_>,
    ) -> Result<Reply, HttpError> {
        let now = clock::now();
        let mut request = Request {
            endpoint,
            purpose: Purpose::Ship,
            headers: endpoint.identity.headers(now)?,
            payload,
            timeout,
            deadline: now + timeout,
            caps: Caps { success: answer_bytes_max, other: answer_bytes_max },
            take_buffer: &|| Vec::with_capacity(ANSWER_BYTES_USUAL),
        };
        let Received { head, is_whole } = self.exchange(&mut request, body).await?;
        let retry_after = head.retry_after.and_then(|asked| asked.pause(clock::timestamp()));
        Ok(Reply { status: head.status, retry_after, is_whole })
    }

    /// Makes one exchange, and a second one if the answer is 401 and the credentials on disk have changed.
    async fn exchange(&self, request: &mut Request<'_>, body: &mut Incoming<'_>) -> Result<Received, HttpError> {
        let received = self.exchange_once(request, body).await?;
        let now = clock::now();
        if received.head.status != 401 || !request.endpoint.identity.reload(now) {
            return Ok(received);
        }
        request.headers = request.endpoint.identity.headers(now)?;
        body.restart();
        self.exchange_once(request, body).await
    }

    fn is_direct(&self, endpoint: &Endpoint) -> bool {
        endpoint.is_direct(self.transports.proxies.for_url(&endpoint.url).is_some())
    }

    async fn exchange_once(&self, request: &Request<'_>, body: &mut Incoming<'_>) -> Result<Received, HttpError> {
        if self.is_direct(request.endpoint) {
            self.transports.direct.exchange(request, body).await
        } else {
            if let Some(reserve) = self.transports.curl.start()? {
                self.transports.direct.set_reserve(reserve);
            }
            // On the heap: this future is much larger than the other one, and most endpoints never need it.
            Box::pin(self.transports.curl.exchange(request, body)).await
        }
    }
}

/// Connections that are kept open for so many endpoints.
fn kept_max(endpoints: usize) -> usize {
    endpoints + 4
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
        let addresses = vec![Address::Unix(Path::new(socket).into())];
        Self { url, addresses, is_local: Rc::new(Cell::new(true)), identity }
    }

    fn from_url(url: Uri, identity: Rc<Identity>) -> Self {
        let host = url.host().unwrap_or_default();
        let default_port = if url.scheme_str() == Some("https") { 443 } else { 80 };
        let port = url.port_u16().unwrap_or(default_port);
        let neighbours::Host { addresses, is_local } = neighbours::look_up(host);
        let addresses = addresses.into_iter().map(|address| Address::Net((address, port).into())).collect();
        Self { url, addresses, is_local: Rc::new(Cell::new(is_local)), identity }
    }

    /// Where a redirect leads. Credentials, fields and client certificates belong to this endpoint alone and stay behind.
    fn redirected(&self, location: &str) -> Result<Self, HttpError> {
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

    /// Whether it is reached over plain sockets.
    fn is_direct(&self, has_proxy: bool) -> bool {
        let is_plain = self.url.scheme_str() == Some("http");
        is_plain && !self.addresses.is_empty() && (self.is_neighbour() || !has_proxy)
    }

    /// Learns whether it is on this machine from both ends of a connection, which must not lead through a proxy.
    fn learn_from(&self, local: IpAddr, remote: IpAddr) {
        self.is_local.set(neighbours::is_same_machine(local, remote));
    }

    /// Host and port, as people know them.
    fn authority(&self) -> &str {
        self.url.authority().map_or("", |authority| authority.as_str())
    }

    /// The same, or the path of the socket.
    fn place(&self) -> Cow<'_, str> {
        match &self.addresses[..] {
            [Address::Unix(socket)] => socket.to_string_lossy(),
            _ => self.authority().into(),
        }
    }
}

/// A host of a URL without the brackets that an IPv6 address has there.
fn without_brackets(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The socket's path and what is asked for over it, of a URL such as `unix:///run/app.sock:/debug/vars`.
pub(crate) fn unix_parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix(UNIX_SCHEME)?;
    let colon = rest.rfind(":/")?;
    Some((&rest[..colon], &rest[colon + 1..]))
}

#[cfg(test)]
mod tests;
