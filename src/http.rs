//! The one HTTP client of the process: GET into a capped buffer, POST of documents from a shared one. Redirects of a
//! poll are followed.
//!
//! HTTP/1.1 over kept connections. No compression is requested; an answer to a poll that is compressed by gzip
//! nevertheless is inflated within the cap. The time of each exchange is bounded as a whole.
//!
//! From an [`Endpoint`] to an exchange: its host name is resolved ([`names`]), a socket is connected
//! (`direct/connecting.rs`) and secured ([`tls`]), the connection is kept for the next exchange
//! (`direct/connections.rs`), and [`direct`] sends the request and reads the answer ([`response`]). All of it happens on
//! the main thread. Only where the environment names a proxy for a host, libcurl makes the exchange ([`curl`]); it is
//! started when it is first needed.

#[cfg(feature = "proxy")]
mod curl;
mod direct;
mod endpoint;
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
#[cfg(feature = "tls")]
mod tls;
pub(crate) mod trial;
mod uri;

use crate::access::Headers;
use crate::clock;
use crate::descriptors::{Purpose, Reserve};
use crate::limits;
use crate::redact;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

#[cfg(not(feature = "proxy"))]
use error::TransportError;
use incoming::Incoming;
use proxies::{Proxies, Proxy};
use response::Caps;
use response::head::Head;

pub(crate) use endpoint::{Endpoint, UNIX_SCHEME, unix_parts};
pub(crate) use error::{HttpError, Refused, redirected_advice};
pub(crate) use identity::Identity;
pub(crate) use incoming::{Buffers, NewBuffers, Receiver};
pub(crate) use inflate::unpack;
pub(crate) use payload::{FORM_TYPE, Payload};
pub(crate) use reachability::Reachability;
pub(crate) use response::head::{Content, ContentKind};
#[cfg(feature = "tls")]
pub(crate) use tls::{pair_problem, store_problem};
pub(crate) use uri::Uri;

const USER_AGENT: &str = concat!("expvastic/", env!("CARGO_PKG_VERSION"));

/// Room for the answer to a bulk of one instant, header included; a longer one makes its buffer grow.
const ANSWER_BYTES_USUAL: usize = 2 << 10;

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
    #[cfg(feature = "proxy")]
    curl: curl::Curl,
    proxies: Proxies,
}

/// What exchanges need that is not a connection of our own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// A host name has to be looked up.
    pub(crate) lookups: bool,
    /// A proxy is used, and so libcurl.
    pub(crate) proxy: bool,
}

/// A server's answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The pause that the server asks for, counted from when the answer arrived.
    pub(crate) retry_after: Option<Duration>,
    /// Where it redirects to.
    pub(crate) location: Option<String>,
    /// The body, up to the cap.
    pub(crate) body: Vec<u8>,
}

/// An answer whose body was passed to a receiver.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// Where it redirects to.
    pub(crate) location: Option<String>,
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
    buffers: &'a dyn Buffers,
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
        let proxies = Proxies::new(environment);
        let kept = kept_max(endpoints);
        let transports = Transports {
            direct: direct::Direct::new(kept),
            #[cfg(feature = "proxy")]
            curl: curl::Curl::new(kept),
            proxies,
        };
        Self { transports: Rc::new(transports) }
    }

    /// Adapts to another number of endpoints, and leaves the descriptors of `reserve` to others from now on. `needs_proxy` says
    /// whether one of the endpoints is reached through a proxy.
    pub(crate) fn set_limits(&self, endpoints: usize, reserve: Reserve, needs_proxy: bool) {
        let kept = kept_max(endpoints);
        #[cfg(feature = "proxy")]
        let reserve = self.transports.curl.set_limits(kept, reserve, needs_proxy);
        #[cfg(not(feature = "proxy"))]
        let _ = needs_proxy;
        self.transports.direct.set_limits(kept, reserve);
    }

    /// All addresses of the endpoint's host.
    ///
    /// # Errors
    /// [`HttpError`]: none are known, or they are not found out in time.
    pub(crate) async fn addresses(&self, endpoint: &Endpoint, timeout: Duration) -> Result<Vec<IpAddr>, HttpError> {
        self.transports.direct.all_addresses(endpoint, timeout, clock::now() + timeout).await
    }

    /// What exchanges with these URLs need besides connections.
    pub(crate) fn needs<'u>(&self, urls: impl Iterator<Item = &'u str>) -> Needs {
        let mut needs = Needs::default();
        for url in urls {
            // Once for each URL: it reads the hosts file, and asks the system for a route.
            let endpoint = Endpoint::with_identity(url, Rc::default());
            needs.proxy |= self.proxy_for(&endpoint).is_some();
            needs.lookups |= endpoint.has_name();
        }
        needs
    }

    /// Gets what is at `endpoint` into `body`, which is replaced by one of `buffers` when the answer begins to arrive.
    ///
    /// # Errors
    /// [`HttpError`]; `body` then holds nothing of use but the page of a [`HttpError::Status`], up to a bound.
    pub(crate) async fn get(
        &self,
        endpoint: &Endpoint,
        timeout: Duration,
        bytes_max: u64,
        buffers: &dyn Buffers,
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
            let mut request = Request { endpoint, purpose, headers, payload: None, timeout, deadline, caps, buffers };
            let received = self.exchange(&mut request, &mut Incoming::buffered(body)).await;
            let received = received.map_err(|error| if hop.is_some() { error.after_redirect() } else { error })?;
            let Received { head: Head { status, location, mut content, .. }, is_whole } = received;
            content.redirected_to = hop.as_ref().map(|hop: &Endpoint| hop.url.to_string().into());
            hop = match (status, location) {
                (200..=299, _) if is_whole => {
                    if content.is_gzip() && inflate::is_gzip(body) {
                        let packed = std::mem::replace(body, buffers.take());
                        Box::pin(inflate::inflate(&packed, success, body)).await?;
                    }
                    return Ok(content);
                }
                (200..=299, _) => return Err(HttpError::TooLong(bytes_max)),
                (status, Some(location)) if is_redirect(status) => Some(endpoint.redirected(&location)?),
                (status, _) => {
                    let advice = match content.redirected_to.as_deref() {
                        None => endpoint.advice(status),
                        Some(target) => Some(redirected_advice(target, status)),
                    };
                    return Err(HttpError::Status(Refused { status, content, page: None, advice }));
                }
            };
        }
        let target = hop.map(|hop| hop.url.to_string()).unwrap_or_default();
        Err(HttpError::TooManyRedirects { target: redact::quote(target.as_bytes(), limits::QUOTED_BYTES_MAX) })
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
        let Reply { status, retry_after, location, .. } = sent?;
        Ok(Answer { status, retry_after, location, body })
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
            buffers: &NewBuffers(ANSWER_BYTES_USUAL),
        };
        let Received { head, is_whole } = self.exchange(&mut request, body).await?;
        let retry_after = head.retry_after.and_then(|asked| asked.pause(clock::timestamp()));
        let location = head.location.filter(|_| is_redirect(head.status));
        Ok(Reply { status: head.status, retry_after, location, is_whole })
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

    /// The proxy through which the endpoint is reached, if it is.
    fn proxy_for(&self, endpoint: &Endpoint) -> Option<&Proxy> {
        // A proxy would choose an address itself.
        let is_direct = endpoint.is_pinned || endpoint.is_neighbour();
        self.transports.proxies.for_url(&endpoint.url).filter(|_| !is_direct)
    }

    async fn exchange_once(&self, request: &Request<'_>, body: &mut Incoming<'_>) -> Result<Received, HttpError> {
        let Some(proxy) = self.proxy_for(request.endpoint) else {
            return self.transports.direct.exchange(request, body).await;
        };
        #[cfg(feature = "proxy")]
        {
            if let Some(reserve) = self.transports.curl.start()? {
                self.transports.direct.set_reserve(reserve);
            }
            // On the heap: this future is much larger than the other one, and most endpoints never need it.
            Box::pin(self.transports.curl.exchange(request, proxy, body)).await
        }
        #[cfg(not(feature = "proxy"))]
        Err(TransportError::NoProxies { place: request.endpoint.place().into_owned(), variable: proxy.variable }.into())
    }
}

/// Whether the environment, which gives the value of a variable, names a proxy.
pub(crate) fn has_proxies(environment: &dyn Fn(&str) -> Option<String>) -> bool {
    Proxies::new(environment).are_configured()
}

/// What a program that cannot use proxies says of those of these URLs for which the environment names one. The readers of a
/// range of ports are many, so not all are named.
#[cfg(not(feature = "proxy"))]
pub(crate) fn proxy_problems<'u>(
    urls: impl Iterator<Item = &'u str>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Vec<String> {
    let http = Http::new(0, environment);
    let problem = |url| {
        let endpoint = Endpoint::with_identity(url, Rc::default());
        let variable = http.proxy_for(&endpoint)?.variable;
        Some(TransportError::NoProxies { place: endpoint.place().into_owned(), variable }.to_string())
    };
    urls.filter_map(problem).take(limits::UNUSABLE_PROXIES_NAMED_MAX).collect()
}

/// Whether a status says that the answer is at another URL.
fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Connections that are kept open for so many endpoints.
fn kept_max(endpoints: usize) -> usize {
    endpoints + 4
}

#[cfg(test)]
mod tests;
