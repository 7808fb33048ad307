//! The worst possible answers of servers: the process stays within the memory that it announces, and its log stays short.

#![allow(clippy::disallowed_methods, reason = "threads of the test, not of the shipper")]
#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Request, Server, wait_until};
use program::Program;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What the program takes before anything happens, by `src/limits.rs`; a debug build, or one that was written just now, takes
/// more, which is no fault of the servers.
const PROGRAM_BYTES: u64 = 4_600_000;
/// What a debug build takes in addition once it does anything: its frames on the stack are several times as large, and it
/// writes to more of its tables of pointers. `packaging/release` runs this test with the release build, which gets none of it.
const DEBUG_BYTES: u64 = 2_000_000;
const LOG_LINE_BYTES_MAX: usize = 4096;

/// A text of so many bytes that no other answer has.
fn text(number: usize, bytes: usize) -> String {
    format!("{number}-{}", "\\u0001t".repeat(bytes / 7))
}

fn raw(head: &str, body: &str) -> Reply {
    Reply::Raw([head.as_bytes(), b"\r\n\r\n", body.as_bytes()].concat())
}

/// The worst answers to a bulk, one after the other.
fn worst(number: usize, documents: usize) -> Reply {
    let long = || text(number, 2 << 20);
    let items = |status: u16, item: &str| {
        let item = format!(r#"{{"create":{{"status":{status},"error":{{"type":"{item}","reason":"{item}"}}}}}}"#);
        Reply::Chunked(format!(r#"{{"errors":true,"items":[{}]}}"#, vec![item; documents].join(",")).into_bytes())
    };
    let status = |status, fields: String, body: String| Reply::Full(status, fields, body.into_bytes());
    match number % 16 {
        0 => status(503, String::new(), format!(r#"{{"error":{{"type":"{0}","reason":"{0}"}}}}"#, long())),
        1 => status(503, String::new(), format!(r#"{{"error":"{}"}}"#, long())),
        2 => items(429, &text(number, 32 << 10)),
        3 => items(400, &text(number, 32 << 10)),
        4 => Reply::Endless(vec![b' '; 64 << 10]),
        5 => Reply::Endless(b"<html>".repeat(10_000)),
        6 => raw("HTTP/1.1 200 OK", &format!(r#"{{"items":[{{"create":{{"x":"{}"#, long())),
        7 => raw("HTTP/1.1 200 OK", &format!(r#"{{"items":{}"#, "[".repeat(4 << 20))),
        8 => raw("HTTP/1.1 200 OK", &format!(r#"{{"items":[{}"#, "1,".repeat(2 << 20))),
        9 => raw("HTTP/1.1 200 OK", &format!(r#"{{"items":[{}"#, r#"{"create":{"status":400}},"#.repeat(200_000))),
        10 => raw(&format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(4 << 20)), ""),
        11 => raw(&format!("HTTP/1.1 200 OK{}", "\r\nX: y".repeat(100_000)), ""),
        12 => status(429, format!("Retry-After: {}\r\n", "9".repeat(15_000)), long()),
        13 => status(307, format!("Location: http://{}/\r\n", "x".repeat(15_000)), long()),
        14 => status(413, String::new(), long()),
        _ => status(403, format!("Content-Type: {}\r\n", "t/".repeat(7_000)), long()),
    }
}

/// Whether it is the question what the server is, also by a proxy.
fn is_root(request: &Request) -> bool {
    request.target.trim_start_matches("http://es.test").trim_start_matches(|c: char| c == ':' || c.is_ascii_digit())
        == "/"
}

/// The worst answers to the small questions.
fn worst_small(number: usize, request: &Request) -> Reply {
    let long = text(number, 1 << 20);
    match number % 5 {
        0 => Reply::ok(format!(r#"{{"version":{{"number":"9.{long}","distribution":"{long}"}},"name":"{long}"}}"#)),
        1 => Reply::Endless(b"1,".repeat(30_000)),
        2 => Reply::Full(503, String::new(), long.into_bytes()),
        3 if is_root(request) => Reply::ok(r#"{"version":{"number":"6.8.23"}}"#),
        _ => Reply::ok(format!("[{}", "1,".repeat(100_000))),
    }
}

/// Whether the program is a debug build.
fn is_debug() -> bool {
    cfg!(debug_assertions) && std::env::var_os(program::OTHER_BINARY).is_none()
}

/// What a debug build may take in addition. Its code has many times the size, and what handles errors has not run while only
/// `idle_code` bytes of it were in memory.
fn debug_bytes(program: &Program, idle_code: u64) -> u64 {
    if is_debug() { DEBUG_BYTES + program.status("RssFile") * 1024 - idle_code } else { 0 }
}

/// A server called `host` that turns against a configuration with the defaults, but for a `max_body` of so many MiB, while the
/// endpoint gives the largest payloads that there may be, at a high rate.
fn check(host: &str, format: &str, body_mib: usize) {
    let is_bad = Arc::new(AtomicBool::new(false));
    let (asked, bulks) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (turned, small, counted) = (Arc::clone(&is_bad), Arc::clone(&asked), Arc::clone(&bulks));
    let server = Server::bare(move |request| {
        let lines = |text: &[u8]| memchr::memchr_iter(b'\n', text).count();
        let documents = if request.method == "POST" { lines(&request.unpacked()) / 2 } else { 0 };
        let is_bad = turned.load(Ordering::SeqCst);
        match (documents, is_bad) {
            (0, false) if is_root(request) => Reply::ok(r#"{"version":{"number":"9.0.4"}}"#),
            (0, false) => Reply::ok("{}"),
            (0, true) => worst_small(small.fetch_add(1, Ordering::SeqCst), request),
            (documents, false) => {
                counted.fetch_add(1, Ordering::SeqCst);
                let items = vec![r#"{"create":{"status":201}}"#; documents].join(",");
                Reply::ok(format!(r#"{{"errors":false,"items":[{items}]}}"#))
            }
            (documents, true) => worst(counted.fetch_add(1, Ordering::SeqCst), documents),
        }
    });
    let (polls, turned) = (AtomicUsize::new(0), Arc::clone(&is_bad));
    let app = Server::start(move |_| {
        let number = polls.fetch_add(1, Ordering::SeqCst);
        match turned.load(Ordering::SeqCst) {
            false => Reply::ok(format!(r#"{{"n":{number}}}"#)),
            // Ones that have to be mended in a copy, too: too much of them for that, and just not too much.
            true if number % 4 == 1 => {
                let list =
                    if number % 8 == 1 { "[],".repeat(body_mib * 340_000) } else { "[11],".repeat(body_mib * 200_000) };
                Reply::ok(format!("{{\n\"n\":{number},\n\"broken\":[{{,\n\"l\":[{list}1]\n}}\n"))
            }
            true if number.is_multiple_of(4) => {
                Reply::ok(format!(r#"{{"n":{number},"l":[{}1]}}"#, "[],".repeat(body_mib * 340_000)))
            }
            true => Reply::ok(format!(r#"{{"n":{number},"s":"{}"}}"#, "x".repeat(body_mib * 300_000))),
        }
    });
    let port = server.address.rsplit(':').next().expect("a port");
    let config = format!(
        "settings: {{log_format: {format}}}\n\
         readers: {{app: {{type_name: app, endpoint: \"{}\", interval: 20ms, max_body: {body_mib}mib}}}}\n\
         recorders: {{es: {{endpoint: \"{host}:{port}\"}}}}\nroutes: {{r: {{readers: app, recorders: es}}}}\n",
        app.address
    );
    // What is elsewhere is reached by libcurl, here by a proxy, which is the server itself.
    let proxy = format!("http://{}", server.address.trim_start_matches("http://"));
    let mut program = Program::start_with(&[("http_proxy", proxy.as_str()), ("no_proxy", "")], &[], &config);
    wait_until("it ships", || bulks.load(Ordering::SeqCst) > 5);
    let log = program.read("stderr");
    let announced = log.split("memory_bytes_max").nth(1).expect("a figure").chars();
    let announced: String = announced.skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let announced: u64 = announced.parse().expect("a number");
    let idle = program.status("VmHWM") * 1024;
    let idle_code = program.status("RssFile") * 1024;

    is_bad.store(true, Ordering::SeqCst);
    let before = bulks.load(Ordering::SeqCst);
    // Each answer once, or twice where that is fast.
    for some in 0..if is_debug() { 17 } else { 34 } {
        wait_until("it has had the worst of it", || {
            // Without the pauses that a server earns.
            program.signal("USR1");
            bulks.load(Ordering::SeqCst) >= before + some
        });
    }
    assert!(asked.load(Ordering::SeqCst) > 8, "it asked anew what the server is");
    assert!(program.is_running(), "it has ended");
    let most = program.status("VmHWM") * 1024;
    let allowed = announced + idle.saturating_sub(PROGRAM_BYTES) + debug_bytes(&program, idle_code);
    assert!(most <= allowed, "{host}: {most} bytes, {announced} were announced, {idle} were taken at first");
    program.kill();
    let log = program.read("stderr");
    let longest = log.lines().map(str::len).max().unwrap_or_default();
    assert!(longest <= LOG_LINE_BYTES_MAX, "{host}: a line of {longest} bytes");
    assert!(log.len() < 500_000, "{host}: {} bytes of log", log.len());
}

#[test]
fn whatever_a_neighbour_answers_memory_and_log_are_bounded() {
    check("127.0.0.1", "text", 1);
}

#[cfg(feature = "proxy")]
#[test]
fn whatever_a_server_elsewhere_answers_memory_and_log_are_bounded() {
    check("es.test", "json", 1);
}

#[test]
fn whatever_a_neighbour_answers_memory_is_bounded_with_larger_payloads_too() {
    check("127.0.0.1", "text", 3);
}
