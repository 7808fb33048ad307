//! A loopback HTTP/1.1 server with answers that the test chooses, including faults. It has one thread for each connection.
#![allow(dead_code, reason = "each test takes what it needs of it")]
#![allow(clippy::disallowed_methods, reason = "the other side of the socket has threads and a clock of its own")]

use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// What a long body is made of.
static PIECE: [u8; 1 << 16] = [b'x'; 1 << 16];

/// One request, whole.
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its query.
    pub(crate) target: String,
    /// In lower case, one field on each line.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Whether the body is compressed by gzip.
    pub(crate) fn is_packed(&self) -> bool {
        self.head.lines().any(|line| line.trim() == "content-encoding: gzip")
    }

    /// The body as it was before it was compressed.
    pub(crate) fn unpacked(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        if self.is_packed() {
            flate2::read::GzDecoder::new(&self.body[..]).read_to_end(&mut plain).expect("a whole gzip body");
        } else {
            plain.extend_from_slice(&self.body);
        }
        plain
    }
}

/// The answer to a request.
pub(crate) enum Reply {
    /// A status, further header fields (each ended by CR LF), a body with its length.
    Full(u16, String, Vec<u8>),
    /// Status 200 and the body in chunks, as Go does.
    Chunked(Vec<u8>),
    /// These bytes, then the connection is closed.
    Raw(Vec<u8>),
    /// These bytes, then nothing until the other side has gone.
    Hang(Vec<u8>),
    /// These bytes, one after the other with a pause between; then the connection stays open.
    Trickle(Vec<u8>, Duration),
    /// Status 200, and a string of this many bytes.
    Repeated(usize),
    /// A header, then these bytes over and over until the other side has gone.
    Endless(Vec<u8>),
}

impl Reply {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Full(200, "Content-Type: application/json\r\n".to_owned(), body.into())
    }
}

/// An address where nobody listens, kept from others for as long as this lives: the system gives a port that is bound to
/// nobody who asks for any. Connections are refused. The test, or a program that it starts, can listen there.
pub(crate) struct Reserved {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    _socket: OwnedFd,
}

impl Reserved {
    pub(crate) fn new() -> Self {
        Self::at(0).expect("a free port")
    }

    /// Any port if it is 0. None if somebody has it.
    pub(crate) fn at(port: u16) -> Option<Self> {
        let socket =
            net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket");
        // As listeners have it: sockets share an address if all of them are marked and none listened before.
        net::sockopt::set_socket_reuseaddr(&socket, true).expect("a setting");
        net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).ok()?;
        let address = SocketAddrV4::try_from(net::getsockname(&socket).expect("an address")).expect("IPv4").to_string();
        Some(Self { address, _socket: socket })
    }

    pub(crate) fn listen(&self) -> TcpListener {
        TcpListener::bind(&self.address).expect("nobody else has the port")
    }
}

/// Runs until the test process ends.
pub(crate) struct Server {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    pub(crate) requests: Arc<AtomicUsize>,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").expect("a free port"), handler)
    }

    /// A server whose handler answers all requests, including those by which the program identifies a server.
    pub(crate) fn bare(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::bare_on(TcpListener::bind("127.0.0.1:0").expect("a free port"), handler)
    }

    pub(crate) fn bare_on(listener: TcpListener, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve_on(listener, handler, |_| None)
    }

    pub(crate) fn start_on(listener: TcpListener, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve_on(listener, handler, small_answer)
    }

    fn serve_on(
        listener: TcpListener,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
        before: fn(&Request) -> Option<Reply>,
    ) -> Self {
        let address = listener.local_addr().expect("an address").to_string();
        let (requests, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, opened, handler) = (Arc::clone(&requests), Arc::clone(&connections), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                opened.fetch_add(1, Ordering::SeqCst);
                let (handler, counted) = (Arc::clone(&handler), Arc::clone(&counted));
                std::thread::spawn(move || serve(stream, &*handler, before, &counted));
            }
        });
        Self { address, requests, connections }
    }

    /// Resets the first `resets` connections before reading their requests, then answers like [`Server::start`]. It counts
    /// nothing.
    pub(crate) fn start_resetting(resets: usize, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let gate = listener.try_clone().expect("a second handle");
        let address = listener.local_addr().expect("an address").to_string();
        std::thread::spawn(move || {
            for mut stream in gate.incoming().flatten().take(resets) {
                // The system resets a connection that is closed with unread bytes.
                let _ = stream.read_exact(&mut [0; 10]);
            }
            Self::start_on(listener, handler);
        });
        Self { address, requests: Arc::default(), connections: Arc::default() }
    }

    pub(crate) fn request_count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(
    stream: TcpStream,
    handler: &(dyn Fn(&Request) -> Reply + Send + Sync),
    before: fn(&Request) -> Option<Reply>,
    counted: &AtomicUsize,
) {
    let mut output = stream.try_clone().expect("a second handle");
    let mut input = BufReader::new(stream);
    while let Some(request) = read_request(&mut input) {
        if let Some(reply) = before(&request) {
            let _ = send(&mut output, reply);
            continue;
        }
        let reply = handler(&request);
        counted.fetch_add(1, Ordering::SeqCst);
        if !send(&mut output, reply).unwrap_or(false) {
            return;
        }
    }
}

/// Answers the requests that the program sends before the first bulk, which do not matter for most tests: as a recent server
/// that has the template.
pub(crate) fn small_answer(request: &Request) -> Option<Reply> {
    match (request.method.as_str(), request.target.as_str()) {
        ("GET", "/") => Some(Reply::ok(r#"{"version":{"number":"9.0.4"}}"#)),
        ("GET", target) if target.starts_with("/_index_template/") => Some(Reply::ok("{}")),
        _ => None,
    }
}

/// The next request of a connection. None if it has ended.
pub(crate) fn read_request(input: &mut impl BufRead) -> Option<Request> {
    let (mut request, length) = read_head(input)?;
    request.body = vec![0; length];
    input.read_exact(&mut request.body).ok()?;
    Some(request)
}

/// The next request without its body, and the length of that.
pub(crate) fn read_head(input: &mut impl BufRead) -> Option<(Request, usize)> {
    let mut first = String::new();
    input.read_line(&mut first).ok().filter(|length| *length > 0)?;
    let mut words = first.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut head = String::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        if line == "\r\n" {
            break;
        }
        head += &line.to_ascii_lowercase();
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.trim().parse().expect("a length"));
    Some((Request { method, target, head, body: Vec::new() }, length))
}

/// Returns false if the connection is to be closed.
pub(crate) fn send(output: &mut (impl Read + Write), reply: Reply) -> std::io::Result<bool> {
    match reply {
        Reply::Full(status, fields, body) => {
            let head = format!("HTTP/1.1 {status} Status\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
            output.write_all(&[head.as_bytes(), &body].concat())?;
            Ok(true)
        }
        Reply::Chunked(body) => {
            output.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for chunk in body.chunks(2048) {
                output.write_all(format!("{:x}\r\n", chunk.len()).as_bytes())?;
                output.write_all(&[chunk, b"\r\n"].concat())?;
            }
            output.write_all(b"0\r\n\r\n")?;
            Ok(true)
        }
        Reply::Repeated(length) => {
            output
                .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{{\"s\":\"", length + 8).as_bytes())?;
            for _ in 0..length / PIECE.len() {
                output.write_all(&PIECE)?;
            }
            output.write_all(b"\"}").map(|()| true)
        }
        Reply::Raw(bytes) => output.write_all(&bytes).map(|()| false),
        Reply::Hang(bytes) => {
            output.write_all(&bytes)?;
            std::io::copy(output, &mut std::io::sink()).map(|_| false)
        }
        Reply::Trickle(bytes, pause) => {
            for byte in bytes {
                output.write_all(&[byte])?;
                std::thread::sleep(pause);
            }
            Ok(true)
        }
        Reply::Endless(bytes) => {
            output.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")?;
            loop {
                output.write_all(&bytes)?;
            }
        }
    }
}

/// Waits until the condition is true. The deadline only ends a test that has failed.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Where the status pages are, from the `nth` time that the program says it on the standard error that `read` reads.
pub(crate) fn pages_address(nth: usize, read: impl Fn() -> String) -> String {
    let said = || {
        let said = read();
        let line = said.lines().filter_map(|line| line.split_once("status pages at http://")).nth(nth - 1)?;
        Some(line.1.trim_end_matches('/').to_owned())
    };
    wait_until("the pages are served", || said().is_some());
    said().expect("it says where")
}

/// Completes when `condition` is true. A thread wakes the task to check it, because the engine may be idle in the meantime.
pub(crate) fn until(condition: impl Fn() -> bool + Send + 'static) -> impl Future<Output = ()> {
    let done = Arc::new((AtomicBool::new(false), Mutex::new(None::<Waker>)));
    let set = Arc::clone(&done);
    std::thread::spawn(move || {
        wait_until("the condition of the test", condition);
        set.0.store(true, Ordering::SeqCst);
        if let Some(waker) = set.1.lock().expect("the waker").take() {
            waker.wake();
        }
    });
    poll_fn(move |context| {
        *done.1.lock().expect("the waker") = Some(context.waker().clone());
        if done.0.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    })
}

/// The documents in a fake Elasticsearch by index and id. `create` never replaces a document.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) documents: BTreeMap<(String, String), Value>,
    /// The number of documents in each bulk that was answered.
    pub(crate) bulk_sizes: Vec<usize>,
}

/// The documents of a bulk: index, id, source.
pub(crate) fn bulk_documents(body: &[u8]) -> Vec<(String, String, Value)> {
    let text = std::str::from_utf8(body).expect("a bulk is UTF-8");
    assert!(text.ends_with('\n'), "a bulk ends with a line end");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len() % 2, 0, "an action line for each document");
    let pairs = lines.chunks(2).map(|pair| {
        let action: Value = serde_json::from_str(pair[0]).expect("an action line is JSON");
        let member = |name: &str| action["create"][name].as_str().expect("create with index and id").to_owned();
        let source: Value = serde_json::from_str(pair[1]).expect("a document is strict JSON");
        (member("_index"), member("_id"), source)
    });
    pairs.collect()
}

impl Store {
    /// Stores the documents of a bulk, and answers like Elasticsearch. `status` may refuse documents.
    pub(crate) fn take(&mut self, body: &[u8], mut status: impl FnMut(usize) -> Option<(u16, &'static str)>) -> Reply {
        let documents = bulk_documents(body);
        self.bulk_sizes.push(documents.len());
        let mut errors = false;
        let mut items = Vec::new();
        for (position, (index, id, source)) in documents.into_iter().enumerate() {
            let (status, error) = match status(position) {
                Some(refused) => refused,
                None if self.documents.contains_key(&(index.clone(), id.clone())) => {
                    (409, "version_conflict_engine_exception")
                }
                None => {
                    self.documents.insert((index, id), source);
                    (201, "")
                }
            };
            let mut item = json!({"status": status});
            if !error.is_empty() {
                errors = true;
                item["error"] = json!({"type": error, "reason": "as the test wants it"});
            }
            items.push(json!({"create": item}));
        }
        Reply::ok(json!({"took": 1, "errors": errors, "items": items}).to_string())
    }
}

/// The `poll_seq` of all stored documents. Panics if one occurs twice.
pub(crate) fn sequence(store: &Mutex<Store>) -> BTreeSet<u64> {
    let store = store.lock().expect("the store");
    let numbers: Vec<u64> =
        store.documents.values().map(|document| document["poll_seq"].as_u64().expect("a number")).collect();
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "no document twice");
    distinct
}

/// A server that stores the documents that it is sent.
pub(crate) fn storing_server() -> (Server, Arc<Mutex<Store>>) {
    let store = Arc::new(Mutex::new(Store::default()));
    let stored = Arc::clone(&store);
    let server = Server::start(move |request| stored.lock().expect("the store").take(&request.body, |_| None));
    (server, store)
}

/// The same, but overloaded until it is told not to be.
pub(crate) fn overloaded_server() -> (Server, Arc<Mutex<Store>>, Arc<AtomicBool>) {
    let (store, well) = (Arc::new(Mutex::new(Store::default())), Arc::new(AtomicBool::new(false)));
    let (stored, is_well) = (Arc::clone(&store), Arc::clone(&well));
    let server = Server::start(move |request| {
        if is_well.load(Ordering::SeqCst) {
            stored.lock().expect("the store").take(&request.body, |_| None)
        } else {
            Reply::Full(503, String::new(), Vec::new())
        }
    });
    (server, store, well)
}

/// An expvar endpoint that counts its polls in `poll_seq`.
pub(crate) fn counting_app() -> Server {
    let polls = AtomicUsize::new(0);
    Server::start(move |_| {
        let seq = polls.fetch_add(1, Ordering::SeqCst);
        Reply::Chunked(format!("{{\"poll_seq\": {seq}, \"memstats\": {{\"Alloc\": 1}}}}\n").into_bytes())
    })
}
