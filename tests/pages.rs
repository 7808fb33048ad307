//! The status pages, as all kinds of clients see them. Runs the program and uses real sockets.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Server, Store, counting_app, pages_address, storing_server, wait_until};
use program::Program;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The program with pages, and what it polls and fills.
struct Served {
    program: Program,
    address: String,
    server: Server,
    store: Arc<Mutex<Store>>,
    app: Server,
}

fn config(listen: &str, app: &Server, server: &Server) -> String {
    format!(
        "settings: {{{listen}}}\nreaders: {{app: {{type_name: app, interval: 20ms, timeout: 2s, \
         endpoint: \"http://user:planted-password@{}/debug/vars?token=planted-token\"}}}}\n\
         recorders: {{es: {{endpoint: \"{}\", timeout: 2s}}}}\nroutes: {{r: {{readers: [app], recorders: [es]}}}}\n",
        app.address, server.address
    )
}

impl Served {
    fn start() -> Self {
        let (server, store) = storing_server();
        let app = counting_app();
        let program = Program::start(&[], &config("listen: \"127.0.0.1:0\"", &app, &server));
        let address = page_address(&program, 1);
        Self { program, address, server, store, app }
    }

    fn stored(&self) -> usize {
        self.store.lock().expect("the store").documents.len()
    }

    /// Documents keep coming.
    fn goes_on(&self) {
        let before = self.stored();
        wait_until("more documents are stored", || self.stored() > before + 3);
    }
}

/// Where the pages are, from the `nth` time that the program says it.
fn page_address(program: &Program, nth: usize) -> String {
    pages_address(nth, || program.read("stderr"))
}

/// All that comes back for these bytes.
fn answer(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(request).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the whole answer, and its end");
    answer
}

fn get(address: &str, path: &str) -> (String, String) {
    let answer = answer(address, format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("its length");
    assert_eq!(length.parse(), Ok(body.len()), "{head}");
    (head.to_owned(), body.to_owned())
}

#[test]
fn the_counters_are_there_as_the_self_reader_reads_them_and_for_people() {
    let served = Served::start();
    served.goes_on();
    let (head, body) = get(&served.address, "/debug/vars");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("application/json"), "{head}");
    let vars: Value = serde_json::from_str(&body).expect("strict JSON");
    let count = |pointer: &str| vars.pointer(pointer).and_then(Value::as_u64).expect("a count");
    assert!(count("/readers/app/polls") >= 4, "{body}");
    let ways_out: u64 = ["acked", "duplicate", "dead_lettered", "waiting"]
        .map(|way| count(&format!("/recorders/es/{way}")))
        .iter()
        .sum();
    assert_eq!(count("/recorders/es/made"), ways_out);

    let (head, page) = get(&served.address, "/");
    assert!(head.contains("text/html; charset=utf-8") && !head.contains("Content-Encoding"), "{head}");
    assert!(page.contains("<script src=\"page.js\">"), "{page}");
    let (head, body) = get(&served.address, "/healthz");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == "ok\n", "{head}");
    // A busy machine makes an endpoint slow, which is told with its URL.
    let log = served.program.read("stderr");
    let log: String = log.lines().filter(|line| !line.contains("slower than its interval")).collect();
    for page in [page, vars.to_string(), log] {
        assert!(!page.contains("planted-") && !page.contains(&served.app.address), "no URL, no secret: {page}");
    }
}

#[test]
fn an_expvastic_can_be_polled_by_another() {
    let polled = Served::start();
    let (server, store) = storing_server();
    let other = format!(
        "readers: {{other: {{type_name: other, endpoint: \"{}\", interval: 20ms}}}}\n\
         recorders: {{es: {{endpoint: \"{}\"}}}}\nroutes: {{r: {{readers: [other], recorders: [es]}}}}\n",
        polled.address, server.address
    );
    assert_eq!(Program::start(&["once"], &other).wait(), Some(0));
    let store = store.lock().expect("the store");
    let document = store.documents.values().next().expect("a document");
    assert!(document["recorders.es.made"].is_u64() && document["process.uptime_seconds"].is_f64(), "{document}");
}

#[test]
fn what_is_no_page_gets_a_clear_answer() {
    let served = Served::start();
    for (request, status, said) in [
        (
            "GET /nothing HTTP/1.1\r\n\r\n",
            "404 Not Found",
            "not found: try /, /api/status, /api/documents/READER, /debug/vars, /metrics, /ready or /healthz\n",
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "405 Method Not Allowed",
            "method not allowed: use GET or HEAD\n",
        ),
        ("\u{16}\u{3}\u{1} hello\r\n\r\n", "400 Bad Request", "bad request: not HTTP\n"),
    ] {
        let answer = answer(&served.address, request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")) && answer.ends_with(said), "{answer}");
    }
    let head = answer(&served.address, b"HEAD /healthz HTTP/1.1\r\n\r\n");
    assert!(head.contains("Content-Length: 3\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let endless = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &[b'a'; 8 << 10]].concat();
    assert!(answer(&served.address, &endless).starts_with("HTTP/1.1 400 "));
}

/// Asks for nothing, for half a page, or for a page that it does not read, again as soon as it is sent away.
fn hang(address: &str, kind: usize, is_over: &AtomicBool) {
    while !is_over.load(Ordering::SeqCst) {
        let Ok(mut client) = TcpStream::connect(address) else { continue };
        let sent = match kind % 3 {
            0 => Ok(()),
            1 => client.write_all(b"GET / HTTP/1.1\r\nHos"),
            _ => client.write_all(b"GET / HTTP/1.1\r\n\r\n"),
        };
        let mut ended = [0; 16];
        if sent.is_ok() && kind % 3 < 2 {
            // It waits until the connection is closed.
            let _ = client.read(&mut ended);
        } else {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_probe_is_answered_while_others_hold_every_connection() {
    let served = Served::start();
    let (address, is_over) = (served.address.clone(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for kind in 0..100 {
            let (address, is_over) = (&address, &is_over);
            scope.spawn(move || hang(address, kind, is_over));
        }
        for _ in 0..20 {
            let answer = get(&served.address, "/healthz");
            assert!(answer.0.starts_with("HTTP/1.1 200 ") && answer.1 == "ok\n", "{answer:?}");
        }
        served.goes_on();
        is_over.store(true, Ordering::SeqCst);
        // Those that still wait are let go by and by.
        drop(served);
    });
}

#[test]
fn a_client_that_hangs_is_let_go() {
    let served = Served::start();
    let mut client = TcpStream::connect(&served.address).expect("it listens");
    client.write_all(b"GET / HTTP/1.1\r\nHos").expect("sent");
    assert_eq!(client.read(&mut [0; 16]).expect("closed"), 0, "its time is over");
    // One that goes at once.
    TcpStream::connect(&served.address).and_then(|client| client.shutdown(Shutdown::Both)).expect("gone");
    served.goes_on();
}

#[test]
fn what_is_being_shipped_at_the_end_is_still_shown() {
    let hung = Server::start(|_| Reply::Hang(Vec::new()));
    let app = counting_app();
    let text = config("listen: \"127.0.0.1:0\", shutdown_timeout: 1h", &app, &hung);
    let mut program = Program::start(&[], &text);
    let address = page_address(&program, 1);
    wait_until("a bulk is under way", || hung.connections.load(Ordering::SeqCst) > 0);
    program.signal("TERM");
    wait_until("it ships what waits", || program.read("stderr").contains("received (send it again"));
    let body = get(&address, "/debug/vars").1;
    let vars: Value = serde_json::from_str(&body).expect("strict JSON");
    assert!(vars["recorders"]["es"]["waiting"].as_u64() > Some(0), "{body}");
    assert_eq!(program.hurry("TERM"), Some(1));
}

#[test]
fn an_address_that_is_taken_is_no_reason_not_to_ship_and_is_tried_again() {
    let (server, store) = storing_server();
    let app = counting_app();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = format!("listen: \"{}\"", taken.local_addr().expect("its address"));
    let mut program = Program::start(&[], &config(&listen, &app, &server));
    wait_until("documents are stored", || store.lock().expect("the store").documents.len() > 3);
    let said = program.read("stderr");
    assert!(said.contains("the address is already in use (choose another port in settings.listen)"), "{said}");
    drop(taken);
    let address = page_address(&program, 1);
    assert!(get(&address, "/healthz").0.starts_with("HTTP/1.1 200 "));
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
}

#[test]
fn a_configuration_that_is_loaded_again_moves_the_pages() {
    let mut served = Served::start();
    let rewrite = |listen: &str| {
        let config = config(listen, &served.app, &served.server);
        std::fs::write(served.program.path("conf.yml"), config).expect("written");
        served.program.signal("HUP");
    };
    rewrite("listen: \"[::1]:0\"");
    let moved = page_address(&served.program, 2);
    assert!(moved.starts_with("[::1]:"), "{moved}");
    assert!(get(&moved, "/healthz").0.starts_with("HTTP/1.1 200 "));
    wait_until("the old place is closed", || TcpStream::connect(&served.address).is_err());
    // Another address on the port that the pages are at.
    let port = moved.rsplit_once(':').expect("a port").1;
    rewrite(&format!("listen: \"[::]:{port}\""));
    assert_eq!(page_address(&served.program, 3), format!("[::]:{port}"));
    assert!(!served.program.read("stderr").contains("cannot serve the status pages"));
    rewrite("");
    wait_until("the new place is closed", || TcpStream::connect(&moved).is_err());
    served.goes_on();
    served.program.signal("TERM");
    assert_eq!(served.program.wait(), Some(0));
}
