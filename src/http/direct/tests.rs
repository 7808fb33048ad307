//! Tests over real sockets; the parsing of answers is tested in `response`.

mod scarce;

use super::super::endpoint::Address;
use super::super::incoming::tests::CountedBuffers;
use super::super::{Endpoint, Http, NewBuffers};
use super::*;
use crate::bulk::{ActionLine, Bulk, DocumentKey, IdSource};
use crate::calendar::Timestamp;
use crate::clock;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketType};
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const LONG: Duration = Duration::from_secs(60);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// The server's end of one connection.
struct Served {
    input: BufReader<TcpStream>,
    output: TcpStream,
}

impl Served {
    /// The head of the next request, or `None` if the client has closed the connection.
    fn head(&mut self) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.input.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        Some(head)
    }

    /// The next request with its body.
    fn request(&mut self) -> Option<(String, Vec<u8>)> {
        let head = self.head()?;
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.input.read_exact(&mut body).ok()?;
        Some((head, body))
    }

    fn answer(&mut self, bytes: &[u8]) -> bool {
        self.output.write_all(bytes).is_ok()
    }
}

/// Serves each connection with `serve`, which gets the connection's number. Returns the address, and the number of connections
/// so far.
fn server(serve: impl Fn(usize, Served) + Send + Sync + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (count, serve) = (Arc::new(AtomicUsize::new(0)), Arc::new(serve));
    let counted = Arc::clone(&count);
    #[allow(clippy::disallowed_methods, reason = "the other side of the socket")]
    let _detached = std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let (serve, output) = (Arc::clone(&serve), stream.try_clone().unwrap());
            output.set_nodelay(true).unwrap();
            std::thread::spawn(move || serve(number, Served { input: BufReader::new(stream), output }));
        }
    });
    (address, count)
}

fn client() -> Http {
    Http::new(1, &|_| None)
}

async fn get_within(http: &Http, address: &str, timeout: Duration) -> Result<String, HttpError> {
    let mut body = Vec::new();
    let endpoint = Endpoint::new(&format!("http://{address}/debug/vars?a=b"));
    http.get(&endpoint, timeout, 1 << 20, &NewBuffers(0), &mut body).await?;
    Ok(String::from_utf8(body).unwrap())
}

async fn get(http: &Http, address: &str) -> Result<String, HttpError> {
    get_within(http, address, LONG).await
}

fn payload(document_bytes: usize) -> Payload {
    let mut bulk = Bulk::default();
    let key = DocumentKey { time: Timestamp::EPOCH, id: IdSource::new([0; 9]).next_id() };
    bulk.push(&mut ActionLine::new("i"), key, &vec![b'x'; document_bytes]);
    Payload::Bulk(Arc::new(bulk))
}

async fn post(http: &Http, address: &str, payload: Payload) -> Result<super::super::Answer, HttpError> {
    http.ask(&Endpoint::new(&format!("http://{address}/_bulk")), LONG, Some(payload), 1 << 20).await
}

fn run<T>(future: impl Future<Output = T>) -> T {
    event_loop::block_on(future).unwrap()
}

#[test]
fn requests_are_what_a_server_expects_and_share_a_connection() {
    let (address, connections) = server(|_, mut served| {
        while let Some((head, body)) = served.request() {
            let answer = format!("{head}{}", String::from_utf8_lossy(&body));
            served.answer(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).as_bytes());
        }
    });
    let agent = format!("User-Agent: expvastic/{}", env!("CARGO_PKG_VERSION"));
    let http = client();
    run(async {
        for _ in 0..3 {
            let wanted = format!(
                "GET /debug/vars?a=b HTTP/1.1\r\nHost: {address}\r\n{agent}\r\nAccept: application/json\r\n\r\n"
            );
            assert_eq!(get(&http, &address).await.unwrap(), wanted);
            let payload = payload(1);
            let bytes = payload.bytes();
            let wanted = format!(
                "POST /_bulk HTTP/1.1\r\nHost: {address}\r\n{agent}\r\nContent-Type: application/x-ndjson\r\n\
                 Content-Length: {}\r\n\r\n{}",
                bytes.len(),
                String::from_utf8_lossy(bytes)
            );
            let answer = post(&http, &address, payload.clone()).await.unwrap();
            assert_eq!((answer.status, String::from_utf8(answer.body).unwrap()), (200, wanted));
        }
    });
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced_once() {
    // Each connection is closed after it has answered one request: the first one when the next request has arrived, the
    // others at once, which the client may notice at any time.
    let (address, connections) = server(|number, mut served| {
        // The fourth connection is closed without an answer.
        if served.request().is_some() && number < 3 {
            served.answer(OK);
        }
        if number == 0 {
            served.request();
        }
    });
    let http = client();
    run(async {
        assert_eq!(get(&http, &address).await.unwrap(), "{}");
        assert_eq!(get(&http, &address).await.unwrap(), "{}");
        assert_eq!(post(&http, &address, payload(2 << 20)).await.unwrap().status, 200);
        let error = get(&http, &address).await.unwrap_err().to_string();
        assert!(error.starts_with("the connection was closed before a response arrived"), "{error}");
    });
    assert_eq!(connections.load(Ordering::SeqCst), 4, "a new connection that gives nothing is not tried again");
}

#[test]
fn what_comes_over_a_kept_connection_is_no_answer_to_the_next_request() {
    // A second answer, an answer before a close, and a close alone.
    for (unasked, is_closed) in [(OK, false), (b"HTTP/1.1 408 Request Timeout\r\n\r\n", true), (b"", true)] {
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let gone = std::sync::Mutex::new(gone);
        let bulks = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&bulks);
        let (address, connections) = server(move |number, mut served| {
            while served.request().is_some() {
                counted.fetch_add(1, Ordering::SeqCst);
                let status = if number == 0 { "200 OK" } else { "201 Created" };
                served.answer(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}").as_bytes());
                if number == 0 {
                    gone.lock().unwrap().recv().unwrap();
                    served.answer(unasked);
                    if is_closed {
                        return;
                    }
                }
            }
        });
        let http = client();
        run(async {
            assert_eq!(post(&http, &address, payload(1)).await.unwrap().status, 200);
            let kept = Rc::clone(&http.transports.direct.connections.kept.list.borrow()[0].stream.socket);
            go.send(()).unwrap();
            event_loop::ready(kept, Interest::Read, None).await.unwrap();
            let answer = post(&http, &address, payload(1)).await.unwrap();
            assert_eq!(answer.status, 201, "it is the answer of the server that has read the request");
        });
        assert_eq!((bulks.load(Ordering::SeqCst), connections.load(Ordering::SeqCst)), (2, 2));
        assert_eq!(http.transports.direct.connections.kept.list.borrow().len(), 1, "the other one is not kept");
    }
}

#[test]
fn a_connection_is_not_used_again_after_an_answer_that_does_not_allow_it() {
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}surplus",
        "HTTP/1.1 500 Oh\r\nContent-Length: 99999999\r\n\r\n",
    ] {
        // The server leaves the connections open. It is the client that must not use them again.
        let (address, connections) =
            server(move |_, mut served| while served.request().is_some() && served.answer(answer.as_bytes()) {});
        let http = client();
        for _ in 0..2 {
            assert_eq!(run(get(&http, &address)).is_ok(), answer.contains("200 OK"), "{answer}");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 2, "{answer}");
    }
}

#[test]
fn a_large_bulk_arrives_whole_at_a_slow_server() {
    let (address, _) = server(|_, mut served| {
        while let Some((_, body)) = served.request() {
            let sum: u64 = body.iter().map(|&byte| u64::from(byte)).sum();
            let answer = format!("{} {sum}", body.len());
            served.answer(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).as_bytes());
        }
    });
    let payload = payload(20 << 20);
    let bytes = payload.bytes();
    let wanted = format!("{} {}", bytes.len(), bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>());
    let answer = run(post(&client(), &address, payload.clone())).unwrap();
    assert_eq!(String::from_utf8(answer.body).unwrap(), wanted);
}

#[test]
fn a_refusal_is_heard_while_the_bulk_is_still_being_sent() {
    // With and without a reset of the connection: the system resets one that is closed before all of it was read.
    for is_closed in [true, false] {
        let (address, connections) = server(move |_, mut served| {
            served.head();
            served.answer(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!");
            if !is_closed {
                let _ = served.input.read_to_end(&mut Vec::new());
            }
        });
        let http = client();
        for number in 1..=2 {
            let answer = run(post(&http, &address, payload(20 << 20))).unwrap();
            assert_eq!((answer.status, answer.body.as_slice()), (413, &b"no!"[..]));
            assert_eq!(connections.load(Ordering::SeqCst), number, "half a bulk is no place for another request");
        }
    }
}

#[test]
fn an_answer_may_trickle_and_the_others_go_on() {
    let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n";
    let (slow, _) = server(move |_, mut served| {
        served.request();
        for byte in text.as_bytes().chunks(1) {
            served.answer(byte);
        }
        // The connection stays open: the answer itself shows where it ends.
        served.request();
    });
    let (quick, _) = server(|_, mut served| while served.request().is_some() && served.answer(OK) {});
    let http = client();
    let (slowly, quickly) = run(smol::future::zip(get(&http, &slow), async {
        for _ in 0..50 {
            assert_eq!(get(&http, &quick).await.unwrap(), "{}");
        }
    }));
    assert_eq!((slowly.unwrap().as_str(), quickly), ("{\"a\":1}", ()));
}

#[test]
fn time_is_over_whatever_the_server_does_meanwhile() {
    type Serve = fn(&mut Served) -> bool;
    let table: [(&str, Serve); 4] = [
        ("nothing", |_| true),
        ("half a head", |served| served.answer(b"HTTP/1.1 200 OK\r\n")),
        ("half a body", |served| served.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")),
        ("no end of interim answers", |served| {
            while served.answer(b"HTTP/1.1 100 Continue\r\n\r\n") {}
            true
        }),
    ];
    for (name, serve) in table {
        let (address, _) = server(move |_, mut served| {
            served.request();
            serve(&mut served);
            served.request();
        });
        let timeout = Duration::from_millis(50);
        let start = clock::now();
        let error = run(get_within(&client(), &address, timeout)).unwrap_err();
        assert!(matches!(error, HttpError::Timeout(limit) if limit == timeout), "{name}: {error}");
        assert!(clock::now() >= start + timeout, "{name}");
    }
}

#[test]
fn an_exchange_that_waits_holds_no_buffer() {
    let (address, _) = server(|_, mut served| while served.request().is_some() {});
    let buffers = CountedBuffers::default();
    let mut body = Vec::new();
    let (endpoint, http) = (Endpoint::new(&format!("http://{address}")), client());
    let outcome = run(http.get(&endpoint, Duration::from_millis(50), 100, &buffers, &mut body));
    assert!(matches!(outcome, Err(HttpError::Timeout(_))));
    assert!(buffers.taken.get() == 0 && body.capacity() == 0);
}

#[test]
fn whoever_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = run(get(&client(), &address)).unwrap_err().to_string();
    assert_eq!(error, format!("connection refused by {address}"));
    let place = format!("localhost:{}", address.rsplit_once(':').unwrap().1);
    let error = run(get(&client(), &place)).unwrap_err().to_string();
    assert_eq!(error, format!("connection refused by {place}"));
}

#[test]
fn a_socket_in_the_file_system_is_a_server_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let url = format!("unix://{}:/debug/vars?a=b", socket.display());
    #[allow(clippy::disallowed_methods, reason = "the other side of the socket")]
    let server = std::thread::spawn(move || {
        // All requests come over one connection, which is kept, also for the redirect.
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut answer = |bytes: &[u8]| {
            let head: Vec<String> = lines.by_ref().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            stream.write_all(bytes).unwrap();
            head[..2].join("|")
        };
        let redirect = b"HTTP/1.1 302 There\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n";
        [answer(redirect), answer(OK), answer(OK)]
    });
    let (http, mut body) = (client(), Vec::new());
    let endpoint = Endpoint::new(&url);
    run(http.get(&endpoint, LONG, 100, &NewBuffers(0), &mut body)).unwrap();
    assert_eq!(body, b"{}");
    let absolute = endpoint.redirected("http://elsewhere/x").unwrap();
    assert_eq!(absolute, Endpoint::new("http://elsewhere/x"), "another origin is not behind the socket");
    run(http.get(&endpoint.redirected("/x").unwrap(), LONG, 100, &NewBuffers(0), &mut body)).unwrap();
    let host = "HTTP/1.1|Host: localhost";
    let expected = [format!("GET /debug/vars?a=b {host}"), format!("GET /there {host}"), format!("GET /x {host}")];
    assert_eq!(server.join().unwrap(), expected);
    let refused = run(client().get(&endpoint, LONG, 100, &NewBuffers(0), &mut body)).unwrap_err().to_string();
    assert_eq!(refused, format!("connection refused by {}", socket.display()));
    std::fs::remove_file(&socket).unwrap();
    let missing = run(client().get(&endpoint, LONG, 100, &NewBuffers(0), &mut body)).unwrap_err().to_string();
    assert!(missing.contains(&format!("cannot connect to {}: No such file", socket.display())), "{missing}");
}

#[test]
fn a_socket_in_the_file_system_with_a_full_queue_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    let listener = net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    net::bind(&listener, &SocketAddrUnix::new(&*socket).unwrap()).unwrap();
    net::listen(&listener, 1).unwrap();
    let address = Address::Unix(Rc::from(&*socket));
    let waiting: Vec<OwnedFd> = std::iter::from_fn(|| connecting::start_connecting(&address, Ok).ok()).collect();
    assert!(!waiting.is_empty());
    let endpoint = Endpoint::new(&format!("unix://{}:/debug/vars", socket.display()));
    let error = run(client().get(&endpoint, LONG, 100, &NewBuffers(0), &mut Vec::new())).unwrap_err().to_string();
    let busy = "is too busy to accept connections (its backlog is full)";
    assert_eq!(error, format!("{} {busy}", socket.display()));
}

#[test]
fn localhost_is_found_at_either_address() {
    for (place, has_to_be_there) in [("127.0.0.1:0", true), ("[::1]:0", false)] {
        let listener = match TcpListener::bind(place) {
            Ok(listener) => listener,
            Err(error) => {
                assert!(!has_to_be_there, "{error}");
                continue;
            }
        };
        let port = listener.local_addr().unwrap().port();
        #[allow(clippy::disallowed_methods, reason = "the other side of the socket")]
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut served = Served { input: BufReader::new(stream.try_clone().unwrap()), output: stream };
            served.head();
            served.answer(OK);
        });
        assert_eq!(run(get(&client(), &format!("localhost:{port}"))).unwrap(), "{}", "{place}");
        server.join().unwrap();
    }
}

#[test]
fn a_redirect_is_followed_to_another_server_with_nothing_but_the_request() {
    let (target, _) = server(|_, mut served| {
        let (head, _) = served.request().unwrap();
        let is_plain = head.starts_with("GET /there?x HTTP/1.1\r\n") && head.lines().count() == 5;
        served.answer(if is_plain { OK } else { b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n" });
    });
    for status in [301, 302, 303, 307, 308] {
        let answer =
            format!("HTTP/1.1 {status} There\r\nLocation: http://{target}/there?x#y\r\nContent-Length: 0\r\n\r\n");
        let (address, _) =
            server(move |_, mut served| while served.request().is_some() && served.answer(answer.as_bytes()) {});
        let http = client();
        assert_eq!(run(get(&http, &address)).unwrap(), "{}", "{status}");
        let answer = run(post(&http, &address, payload(1))).unwrap();
        assert_eq!(answer.status, status, "a bulk stays where it is");
    }
}

#[test]
fn redirects_come_to_an_end() {
    let (address, connections) = server(|_, mut served| {
        while served.request().is_some() {
            served.answer(b"HTTP/1.1 302 Found\r\nLocation: again\r\nContent-Length: 5\r\n\r\nthere");
        }
    });
    assert!(matches!(run(get(&client(), &address)), Err(HttpError::TooManyRedirects { .. })));
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}
