//! The status pages (`settings.listen`): the state of the process, for people, probes and other collectors.
//!
//! Pages are rendered only when they are requested, and only a request wakes the thread. Invariants: a client holds one
//! of at most [`limits::PAGE_CONNECTIONS_MAX`] connections, for at most [`limits::PAGE_TIME`], and loses it earlier if
//! others are waiting. Whatever a client sends, polls and bulks go on. Pages show counters and names, never secrets of
//! the configuration, and no URL.

mod clients;
mod html;
mod request;

use crate::clock;
use crate::descriptors;
use crate::event_loop::{self, Interest, TimedOut};
use crate::limits;
use crate::log::FailureLog;
use crate::metrics::Snapshot;
use crate::nonblocking;
use clients::{Clients, Stage};
use request::{Method, Request, Target};
use smol::LocalExecutor;
use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Instant;

/// A page that wants the process's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// For people.
    Overview,
    /// The own counters as an expvar payload, as the `self` reader reads them.
    Vars,
}

impl Page {
    /// Appends its text.
    pub(crate) fn render(self, snapshot: Snapshot<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Overview => html::overview(&snapshot, out),
            Self::Vars => snapshot.render(out),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Overview => "text/html; charset=utf-8",
            Self::Vars => "application/json; charset=utf-8",
        }
    }
}

/// Descriptors that the pages may take.
pub(crate) fn descriptors_max() -> usize {
    clients::clients_max(descriptors::limit()) + 1
}

/// Serves the pages at `address` until it is dropped; `render` appends the text of a page. If the address is not
/// available it is tried again: shipping does not depend on it.
pub(crate) async fn serve(address: SocketAddr, render: impl Fn(Page, &mut Vec<u8>)) {
    let mut failures = FailureLog::default();
    loop {
        match listen(address) {
            Ok(listener) => {
                let _ = failures.recovered(clock::now());
                let at = listener.local_addr().unwrap_or(address);
                tracing::info!("status pages at http://{at}/");
                let error = accept_all(Rc::new(listener), &render).await;
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
async fn accept_all(listener: Rc<TcpListener>, render: &impl Fn(Page, &mut Vec<u8>)) -> io::Error {
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
                        let _ = answer(stream, &stage, render).await;
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
async fn answer(stream: TcpStream, stage: &Cell<Stage>, render: &impl Fn(Page, &mut Vec<u8>)) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let stream = Rc::new(stream);
    let deadline = clock::now() + limits::PAGE_TIME;
    let request = read_request(&stream, deadline).await?;
    stage.set(Stage::Answered);
    write_all(&stream, &reply(request, render), deadline).await?;
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

/// The whole answer, head and body.
fn reply(request: Request, render: &impl Fn(Page, &mut Vec<u8>)) -> Vec<u8> {
    let mut body = Vec::new();
    let plain = "text/plain; charset=utf-8";
    let (status, content_type) = match request {
        Request::Page(_, Target::Page(page)) => {
            render(page, &mut body);
            ("200 OK", page.content_type())
        }
        Request::Page(_, Target::Health) => {
            body.extend_from_slice(b"ok\n");
            ("200 OK", plain)
        }
        Request::Page(_, Target::Unknown) => {
            body.extend_from_slice(b"not found: try /, /debug/vars or /healthz\n");
            ("404 Not Found", plain)
        }
        Request::MethodNotAllowed => {
            body.extend_from_slice(b"method not allowed: use GET or HEAD\n");
            ("405 Method Not Allowed\r\nAllow: GET, HEAD", plain)
        }
        Request::NotHttp => {
            body.extend_from_slice(b"bad request: not HTTP\n");
            ("400 Bad Request", plain)
        }
    };
    let mut reply = Vec::with_capacity(256 + body.len());
    // Writing into memory does not fail.
    let _ = write!(
        reply,
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n\r\n",
        body.len()
    );
    if !matches!(request, Request::Page(Method::Head, _)) {
        reply.extend_from_slice(&body);
    }
    reply
}
