//! Peers that misuse TLS: the program stays within the memory that it announces, gives them up when their time is over, and goes on
//! polling others.
#![cfg(feature = "tls")]
#![allow(clippy::disallowed_methods, reason = "threads of the test, not of the shipper")]
#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;
#[path = "support/tls.rs"]
mod tls;

use loopback::{Reply, Server, counting_app, read_request, send, wait_until};
use program::Program;
use rustls::ContentType;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tls::{Authority, Clients, Ending, RecordWriter, TlsServer, VERSIONS, config, config_of_chain, ticket_message};

/// What the program takes before anything happens, by `src/limits.rs`. A debug build takes more.
const PROGRAM_BYTES: u64 = 4_600_000;

/// The program with a reader of a good endpoint and one of a hostile peer.
struct Beset {
    program: Program,
    good: Server,
    announced_bytes: u64,
    idle_bytes: u64,
    idle_code_bytes: u64,
}

impl Beset {
    /// Starts it with a timeout of `timeout` for the hostile peer at this port of `localhost`.
    fn start(port: u16, ca: &Authority, timeout: &str) -> Self {
        let good = counting_app();
        let config = format!(
            "readers:\n  \
             good: {{type_name: good, endpoint: \"{}\", interval: 10ms, timeout: 60s}}\n  \
             bad: {{type_name: bad, endpoint: \"https://localhost:{port}\", interval: 20ms, timeout: {timeout}, \
             backoff: 1000000, tls: {{ca_file: ca.crt}}}}\n\
             recorders: {{out: {{type: file, path: out.ndjson}}}}\n\
             routes: {{r: {{readers: [good, bad], recorders: out}}}}\n",
            good.address
        );
        let pem = ca.pem.clone();
        let program = Program::start_prepared(&config, |folder| {
            std::fs::write(folder.join("ca.crt"), pem).expect("written");
        });
        wait_until("it polls", || good.request_count() > 0);
        let log = program.read("stderr");
        let announced = log.split("memory_bytes_max").nth(1).expect("a figure").chars();
        let announced: String =
            announced.skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        let (idle_bytes, idle_code_bytes) = (program.status("VmRSS") * 1024, program.status("RssFile") * 1024);
        Self { program, good, announced_bytes: announced.parse().expect("a number"), idle_bytes, idle_code_bytes }
    }

    /// The good endpoint is polled while the hostile peer does its worst so many times.
    fn assert_goes_on(&mut self, what: &str, times: usize, done: impl Fn() -> usize) {
        let (polls, before) = (self.good.request_count(), done());
        wait_until(&format!("{what}: the good endpoint is polled"), || self.good.request_count() >= polls + 10);
        wait_until(&format!("{what}: the time of the hostile peer is over"), || done() >= before + times);
        assert!(self.program.is_running(), "{what}");
        let most = self.program.status("VmHWM") * 1024;
        // The code of a debug build has many times the size.
        let code = (self.program.status("RssFile") * 1024).saturating_sub(self.idle_code_bytes);
        let code = if cfg!(debug_assertions) { code } else { 0 };
        let allowed = self.announced_bytes + self.idle_bytes.saturating_sub(PROGRAM_BYTES) + code;
        assert!(most <= allowed, "{what}: {most} bytes of {allowed}, {} were announced", self.announced_bytes);
    }

    fn says(&self, what: &str) {
        wait_until(&format!("it says: {what}"), || self.program.read("stderr").contains(what));
    }
}

/// What is said when the time for an exchange is over.
const IN_VAIN: &str = "no complete response within 300ms";

type Serve = fn(&mut TcpStream) -> std::io::Result<()>;

/// The head of a record, or of the message in it, that promises more than comes.
const SERVER_HELLO_BEGINS: [u8; 9] = [0x16, 3, 3, 0x3f, 0xff, 2, 0, 0x3f, 0xfb];

/// What hostile peers do instead of a handshake, and what is said. `PLACE` is host and port.
const INSTEAD_OF_A_HANDSHAKE: [(&str, &str, Serve); 9] = [
    ("silence", IN_VAIN, |stream| std::io::copy(stream, &mut std::io::sink()).map(|_| ())),
    ("half a head", IN_VAIN, |stream| {
        stream.write_all(&SERVER_HELLO_BEGINS[..3])?;
        std::io::copy(stream, &mut std::io::sink()).map(|_| ())
    }),
    ("drops", IN_VAIN, |stream| {
        stream.write_all(&SERVER_HELLO_BEGINS)?;
        loop {
            stream.write_all(&[3])?;
            std::thread::sleep(Duration::from_millis(5));
        }
    }),
    ("the end", "the TLS handshake with PLACE failed", |_| Ok(())),
    ("a greeting", "the TLS handshake with PLACE failed: does it speak TLS?", |stream| {
        stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n")?;
        std::io::copy(stream, &mut std::io::sink()).map(|_| ())
    }),
    ("garbage without end", "the TLS handshake with PLACE failed: does it speak TLS?", |stream| {
        loop {
            stream.write_all(&[0xa5; 1 << 16])?;
        }
    }),
    ("empty records without end", "the TLS handshake with PLACE failed: does it speak TLS?", |stream| {
        loop {
            stream.write_all(&[0x16, 3, 3, 0, 0].repeat(10_000))?;
        }
    }),
    ("HTTP", "the TLS handshake with PLACE failed: it speaks plain HTTP; write http://", |stream| {
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    }),
    ("HTTP without end", "the TLS handshake with PLACE failed: it speaks plain HTTP; write http://", |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            stream.write_all(&[b' '; 1 << 16])?;
        }
    }),
];

#[test]
fn whatever_comes_instead_of_a_handshake_is_given_up_in_time_and_costs_little() {
    let ca = Authority::new("ca");
    for (name, expected, serve) in INSTEAD_OF_A_HANDSHAKE {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let ended = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&ended);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || {
                    let _ = serve(&mut stream);
                    counted.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        let mut beset = Beset::start(port, &ca, "300ms");
        beset.assert_goes_on(name, 3, || ended.load(Ordering::SeqCst));
        beset.says(&expected.replace("PLACE", &format!("localhost:{port}")));
    }
}

#[test]
fn a_chain_of_a_megabyte_is_refused_and_costs_little() {
    let ca = Authority::new("ca");
    let certified = ca.issue();
    let mut chain = vec![certified.der.clone()];
    while chain.iter().map(|der| der.len()).sum::<usize>() < 1 << 20 {
        chain.push(ca.der.clone());
    }
    for version in VERSIONS {
        let settings = config_of_chain(chain.clone(), &certified.key, version, Clients::NotAsked);
        let server = TlsServer::start(settings, Ending::Announced, |_| Reply::ok("{}"));
        let mut beset = Beset::start(server.port, &ca, "60s");
        beset.assert_goes_on("a long chain", 3, || server.connection_count());
        beset.says(&format!("the TLS handshake with localhost:{} failed", server.port));
        assert_eq!(server.request_count(), 0);
    }
}

/// A server that makes a good handshake, and then sends these records without end, before or behind its answer.
fn check_flood(what: &str, content: ContentType, records: &[Vec<u8>], expected: &str) {
    let ca = Authority::new("ca");
    let certified = ca.issue();
    for is_behind_answer in [false, true] {
        let mut settings = config(&certified, VERSIONS[0], Clients::NotAsked);
        settings.enable_secret_extraction = true;
        let (records, ended) = (records.to_vec(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&ended);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = TlsServer::talking(listener, settings, move |mut input, _| {
            if read_request(&mut input).is_none() || is_behind_answer && send(input.get_mut(), Reply::ok("{}")).is_err()
            {
                return;
            }
            RecordWriter::behind(input).flood(content, &records);
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let mut beset = Beset::start(server.port, &ca, "300ms");
        let what = format!("{what}, behind an answer: {is_behind_answer}");
        beset.assert_goes_on(&what, 3, || ended.load(Ordering::SeqCst));
        if !is_behind_answer {
            beset.says(expected);
        }
    }
}

#[test]
fn empty_records_without_end_hold_up_nobody_else() {
    // The TLS library counts them.
    check_flood("empty records", ContentType::ApplicationData, &[Vec::new()], "the TLS connection failed");
}

#[test]
fn tickets_without_end_hold_up_nobody_else() {
    check_flood("small tickets", ContentType::Handshake, &ticket_message(100), IN_VAIN);
}

#[test]
fn large_tickets_without_end_take_no_more_memory_than_is_announced() {
    check_flood("large tickets", ContentType::Handshake, &ticket_message(60_000), IN_VAIN);
}
