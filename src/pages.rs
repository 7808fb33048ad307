//! The status pages (`settings.listen`): the state of the process, for people, probes and other collectors.
//!
//! Pages are rendered only when they are requested, and only a request wakes the thread. Invariants: a client holds one
//! of at most [`limits::PAGE_CONNECTIONS_MAX`] connections, for at most [`limits::PAGE_TIME`], and loses it earlier if
//! others are waiting. Whatever a client sends, polls and bulks go on. Pages show names, counters, values of documents
//! unless that is switched off, and errors without their secrets. A web page of somebody else cannot read them
//! ([`hosts`]).

mod clients;
mod files;
mod hosts;
mod pieces;
mod request;

use crate::clock;
use crate::descriptors;
use crate::event_loop::{self, Interest, TimedOut};
use crate::http::{Endpoint, Http, unpack};
use crate::limits;
use crate::log::FailureLog;
use crate::nonblocking;
use crate::quote;
use clients::{Clients, Stage};
use request::{Asked, Method, Request, Target};
use rustix::net::{AddressFamily, SocketType};
use smol::LocalExecutor;
use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Instant;

/// A page that wants the process's figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Page {
    /// The own counters as an expvar payload, as the `self` reader reads them.
    Vars,
    /// How each reader and each recorder is doing.
    Status,
    /// The last document of the reader with this name.
    Document(String),
    /// A piece of all counters in the format of Prometheus.
    Metrics(usize),
    /// Whether all readers and recorders have begun to work.
    Ready,
}

impl Page {
    fn content_type(&self) -> &'static str {
        match self {
            Self::Vars | Self::Status | Self::Document(_) => "application/json; charset=utf-8",
            Self::Metrics(_) | Self::Ready => PLAIN,
        }
    }
}

/// How an answer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    Forbidden,
    NotFound,
    Unavailable,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::Forbidden => "403 Forbidden",
            Self::NotFound => "404 Not Found",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

/// What is served, and to whom.
struct Site<R> {
    hosts: Vec<String>,
    render: R,
}

/// Descriptors that the pages may take.
pub(crate) fn descriptors_max() -> usize {
    clients::clients_max(descriptors::limit()) + 1
}

/// Serves the pages at `address` until it is dropped; `render` appends the text of a page, and `hosts` are names in
/// lower case by which browsers may come, besides addresses and `localhost`. If the address is not available it is tried again: shipping does not
/// depend on it.
pub(crate) async fn serve(address: SocketAddr, hosts: Vec<String>, render: impl Fn(&Page, &mut Vec<u8>) -> Status) {
    let site = Site { hosts, render };
    let mut failures = FailureLog::default();
    loop {
        match listen(address) {
            Ok(listener) => {
                let _ = failures.recovered(clock::now());
                let at = listener.local_addr().unwrap_or(address);
                tracing::info!("status pages at http://{at}/");
                let error = accept_all(Rc::new(listener), &site).await;
                tracing::warn!(listen = %at, "the status pages cannot accept connections: {error}");
            }
            Err(error) => {
                if let Some(times) = failures.failed(&error.kind().to_string(), clock::now()) {
                    tracing::warn!(
                        listen = %address,
                        count = times,
                        "cannot serve the status pages: {}; retrying every {:?}",
                        explain(&error),
                        limits::PAGE_RETRY
                    );
                }
            }
        }
        event_loop::sleep_until(clock::now() + limits::PAGE_RETRY).await;
    }
}

/// Tries whether the address can be bound, without listening on it.
///
/// # Errors
/// Why it cannot be, in words.
pub(crate) fn try_address(address: SocketAddr) -> Result<(), String> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let bound = rustix::net::socket(family, SocketType::STREAM, None).and_then(|socket| {
        rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &address)
    });
    bound.map_err(|error| explain(&error.into()))
}

/// What the text of [`Page::Vars`] begins with.
const VARS_BEGINNING: &[u8] = b"{\"Readers\":";

/// Whether status pages are served at this address.
pub(crate) async fn are_at(address: SocketAddr, http: &Http) -> bool {
    let endpoint = Endpoint::with_identity(&format!("http://{address}/debug/vars"), Rc::default());
    let answer = http.ask(&endpoint, limits::PAGE_TIME, None, limits::SMALL_ANSWER_BYTES_MAX).await;
    answer.is_ok_and(|answer| answer.body.starts_with(VARS_BEGINNING))
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => "the address is already in use (choose another port in settings.listen)".to_owned(),
        ErrorKind::AddrNotAvailable => "this machine does not have this address (check settings.listen)".to_owned(),
        ErrorKind::PermissionDenied => "permission denied for this port (choose one from 1024 up)".to_owned(),
        _ => error.to_string(),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    // Clients that have to wait do so in this backlog, and none is refused.
    rustix::net::listen(&listener, limits::PAGE_BACKLOG)?;
    Ok(listener)
}

/// Answers each connection independently of the others, until accepting fails.
async fn accept_all(listener: Rc<TcpListener>, site: &Site<impl Fn(&Page, &mut Vec<u8>) -> Status>) -> io::Error {
    let clients = Clients::default();
    let executor = LocalExecutor::new();
    let accept = async {
        let mut failures = FailureLog::default();
        loop {
            let _ = event_loop::ready(listener.clone(), Interest::Read, None).await;
            clients.make_room().await;
            match descriptors::closing_idle(|| listener.accept()) {
                Ok((stream, _)) => {
                    let _ = failures.recovered(clock::now());
                    let answered = |stage: Rc<Cell<Stage>>| async move {
                        // A client that has gone, or is too slow, gets no answer.
                        let _ = answer(stream, &stage, site).await;
                        stage.set(Stage::Gone);
                    };
                    clients.enter(clock::now(), |stage| executor.spawn(answered(stage)));
                }
                Err(error) if is_temporary(error.kind()) => {}
                Err(error) if descriptors::are_exhausted(&error) => {
                    if let Some(times) = failures.failed("exhausted", clock::now()) {
                        tracing::warn!(
                            count = times,
                            "a client of the status pages has to wait: {}",
                            descriptors::advice()
                        );
                    }
                    // The client is still waiting to be accepted: trying again at once would loop for ever.
                    clients.close_one(clock::now());
                    event_loop::sleep_until(clock::now() + limits::PAGE_ACCEPT_PAUSE).await;
                }
                Err(error) => return error,
            }
        }
    };
    executor.run(accept).await
}

/// Whether accepting may simply be tried again: the call was interrupted, or the client has gone.
fn is_temporary(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}

/// One request, one answer.
async fn answer(
    stream: TcpStream,
    stage: &Cell<Stage>,
    site: &Site<impl Fn(&Page, &mut Vec<u8>) -> Status>,
) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let stream = Rc::new(stream);
    let deadline = clock::now() + limits::PAGE_TIME;
    let request = read_request(&stream, deadline).await?;
    stage.set(Stage::Answered);
    match request {
        Request::Page(Asked { method, target: Target::Metrics { is_chunked }, .. }) => {
            pieces::send(&stream, method, is_chunked, &site.render, deadline).await?;
        }
        request => write_all(&stream, &site.reply(&request), deadline).await?,
    }
    stage.set(Stage::Leaving);
    // Closing with unread data would reset the connection, and the client would lose the answer.
    stream.shutdown(Shutdown::Write)?;
    let mut rest = [0; 512];
    for _ in 0..limits::PAGE_REQUEST_BYTES_MAX / rest.len() {
        if read(&stream, &mut rest, deadline).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn read_request(stream: &Rc<TcpStream>, deadline: Instant) -> io::Result<Request> {
    let mut head = Vec::new();
    loop {
        let mut piece = [0; 512];
        let bytes = read(stream, &mut piece, deadline).await?;
        if bytes == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&piece[..bytes]);
        if let Some(request) = request::parse(&head) {
            return Ok(request);
        }
    }
}

async fn read(stream: &Rc<TcpStream>, into: &mut [u8], deadline: Instant) -> io::Result<usize> {
    loop {
        if let Some(bytes) = nonblocking::attempt(|| (&**stream).read(into))? {
            return Ok(bytes);
        }
        wait(stream, Interest::Read, deadline).await?;
    }
}

async fn write_all(stream: &Rc<TcpStream>, mut text: &[u8], deadline: Instant) -> io::Result<()> {
    while !text.is_empty() {
        match nonblocking::attempt(|| (&**stream).write(text))? {
            Some(bytes) => text = &text[bytes..],
            None => wait(stream, Interest::Write, deadline).await?,
        }
    }
    Ok(())
}

async fn wait(stream: &Rc<TcpStream>, interest: Interest, deadline: Instant) -> io::Result<()> {
    event_loop::ready(stream.clone(), interest, Some(deadline)).await.map_err(|TimedOut| ErrorKind::TimedOut.into())
}

const PLAIN: &str = "text/plain; charset=utf-8";

const NOT_FOUND: &[u8] =
    b"not found: try /, /api/status, /api/documents/READER, /debug/vars, /metrics, /ready or /healthz\n";

impl<R: Fn(&Page, &mut Vec<u8>) -> Status> Site<R> {
    /// The whole answer, head and body.
    fn reply(&self, request: &Request) -> Vec<u8> {
        let (mut body, mut packed) = (Vec::new(), None);
        let (status, content_type) = match request {
            Request::Page(asked) if !asked.is_allowed(&self.hosts) => {
                let host = asked.host.as_deref().unwrap_or_default();
                write_host_is_refused(host, &mut body);
                (Status::Forbidden.line(), PLAIN)
            }
            Request::Page(Asked { target: Target::Page(page), .. }) => {
                ((self.render)(page, &mut body).line(), page.content_type())
            }
            Request::Page(Asked { target: Target::File(file), takes_gzip, .. }) => {
                if *takes_gzip {
                    packed = Some(file.packed());
                } else {
                    unpack(file.packed(), &mut body);
                }
                (Status::Ok.line(), file.content_type())
            }
            Request::Page(Asked { target: Target::Health, .. }) => {
                body.extend_from_slice(b"ok\n");
                (Status::Ok.line(), PLAIN)
            }
            Request::Page(Asked { target: Target::Metrics { .. } | Target::Unknown, .. }) => {
                body.extend_from_slice(NOT_FOUND);
                (Status::NotFound.line(), PLAIN)
            }
            Request::MethodNotAllowed => {
                body.extend_from_slice(b"method not allowed: use GET or HEAD\n");
                ("405 Method Not Allowed\r\nAllow: GET, HEAD", PLAIN)
            }
            Request::NotHttp => {
                body.extend_from_slice(b"bad request: not HTTP\n");
                ("400 Bad Request", PLAIN)
            }
        };
        let has_body = !matches!(request, Request::Page(Asked { method: Method::Head, .. }));
        with_head(status, content_type, packed.ok_or(&body), has_body)
    }
}

/// Says why a host name is refused, and how to allow it.
fn write_host_is_refused(host: &str, body: &mut Vec<u8>) {
    let mut host = host.to_owned();
    quote::shorten(&mut host, limits::HOST_NAME_BYTES_MAX);
    // Writing into memory does not fail.
    let _ = write!(
        body,
        "forbidden: {host:?} is not a known name of this machine. Use an address or localhost, or add the name to \
         settings.listen_hosts.\nThis keeps other web sites from reading this page (DNS rebinding).\n"
    );
}

/// What a browser may do with the page: run its script and ask this process, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The answer with this body, which is `Ok` if it is compressed.
fn with_head(status: &str, content_type: &str, body: Result<&[u8], &Vec<u8>>, has_body: bool) -> Vec<u8> {
    let (body, encoding) = match body {
        Ok(packed) => (packed, "Content-Encoding: gzip\r\n"),
        Err(plain) => (&**plain, ""),
    };
    let mut reply = Vec::with_capacity(1024 + body.len());
    write_head(status, content_type, &format_args!("{encoding}Content-Length: {}\r\n", body.len()), &mut reply);
    if has_body {
        reply.extend_from_slice(body);
    }
    reply
}

/// Writes a head; `framing` are the fields that tell how the body is written and where it ends.
fn write_head(status: &str, content_type: &str, framing: &dyn fmt::Display, out: &mut Vec<u8>) {
    let _ = write!(
        out,
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{framing}Connection: close\r\n\
         Cache-Control: no-store\r\nVary: Accept-Encoding\r\nX-Content-Type-Options: nosniff\r\n\
         Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n\
         Content-Security-Policy: {POLICY}\r\n\r\n",
    );
}
