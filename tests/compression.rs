//! Compressed bulks to real servers. Two relays in front of one server act as two hosts of a cluster. They look at what passes
//! through them, and one of them fails and comes back.
//!
//! Requires Maven and the JDKs that `tests/servers/serve` asks for; `.ci/run` installs them. Run it with
//! `cargo build --release && cargo test --test compression`: the test is a debug build, the program is not.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![allow(clippy::disallowed_methods, reason = "a test has deadlines of its own")]
#![allow(clippy::print_stderr, reason = "a failed test says where its logs are, a good one what it saw")]

#[path = "support/flatten_twin.rs"]
mod flatten_twin;
#[path = "support/http.rs"]
mod http;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/server.rs"]
mod server;

use loopback::Reply;
use processes::{Orphaned, Running, Workdir};
use server::{Server, release_binary};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const TIME_MAX: Duration = Duration::from_secs(60);

#[test]
fn elasticsearch_5() {
    check("elasticsearch-5");
}

#[test]
fn elasticsearch_9() {
    check("elasticsearch-9");
}

#[test]
fn opensearch_2() {
    check("opensearch-2");
}

/// A way to a server that can be cut.
struct Relay {
    address: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_cut: AtomicBool,
    /// The next bulk goes through, its answer does not, and the way is cut.
    is_armed: AtomicBool,
    bulks: AtomicUsize,
    packed: AtomicUsize,
}

impl Relay {
    fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (state, to) = (Arc::<State>::default(), to.to_owned());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // What is dropped is closed.
                if !shared.is_cut.load(Ordering::SeqCst) {
                    shared.join(&client, &TcpStream::connect(&to).expect("the server"));
                }
            }
        });
        Self { address, state }
    }

    /// Cuts the way between a bulk and its answer.
    fn cut(&self) {
        self.state.is_armed.store(true, Ordering::SeqCst);
        let is_cut = || self.state.is_cut.load(Ordering::SeqCst);
        assert!(processes::wait_until(TIME_MAX, is_cut), "no bulk comes this way");
    }

    fn mend(&self) {
        self.state.is_cut.store(false, Ordering::SeqCst);
    }

    fn bulks(&self) -> usize {
        self.state.bulks.load(Ordering::SeqCst)
    }

    fn wait_for(&self, more: usize) {
        let before = self.bulks();
        assert!(processes::wait_until(TIME_MAX, || self.bulks() >= before + more), "no bulks come this way");
    }
}

impl State {
    fn join(self: &Arc<Self>, client: &TcpStream, server: &TcpStream) {
        let again = |stream: &TcpStream| stream.try_clone().expect("a second handle");
        let (mut from, mut to, state) = (again(client), again(server), Arc::clone(self));
        std::thread::spawn(move || {
            let mut piece = vec![0; 1 << 16];
            while let Ok(bytes @ 1..) = from.read(&mut piece) {
                let is_last = state.look(&piece[..bytes]);
                if is_last {
                    let _ = from.shutdown(Shutdown::Both);
                }
                if to.write_all(&piece[..bytes]).is_err() || is_last {
                    break;
                }
            }
            if state.is_cut.load(Ordering::SeqCst) {
                // The server answers before it notices, to nobody.
                return;
            }
            let _ = to.shutdown(Shutdown::Both);
        });
        let (mut from, mut to) = (again(server), again(client));
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
    }

    /// A request begins with its head, which is in one piece. True if the way is cut behind it.
    fn look(&self, piece: &[u8]) -> bool {
        if piece.starts_with(b"POST ") {
            let head = String::from_utf8_lossy(&piece[..piece.len().min(1_000)]).to_ascii_lowercase();
            self.packed.fetch_add(usize::from(head.contains("\r\ncontent-encoding: gzip\r\n")), Ordering::SeqCst);
            self.bulks.fetch_add(1, Ordering::SeqCst);
            let is_armed = self.is_armed.swap(false, Ordering::SeqCst);
            self.is_cut.fetch_or(is_armed, Ordering::SeqCst);
            return is_armed;
        }
        false
    }
}

fn check(engine: &str) {
    let _alone = server::alone();
    let folder = Workdir::new(engine);
    let server = Server::start(&folder, engine);
    let (one, two) = (Relay::start(&server.address), Relay::start(&server.address));
    let polls = AtomicUsize::new(0);
    let app = loopback::Server::start(move |_| {
        let seq = polls.fetch_add(1, Ordering::SeqCst);
        Reply::Chunked(format!("{{\"poll_seq\":{seq},\"ballast\":\"{}\"}}", "größer ".repeat(200)).into_bytes())
    });
    let config = format!(
        "settings: {{log_level: debug, shutdown_timeout: 60s}}\n\
         readers: {{app: {{type_name: app, endpoint: \"{}\", interval: 10ms}}}}\n\
         recorders: {{es: {{endpoint: [\"{}\", \"{}\"], index_name: packed, compression: gzip, backoff: 1}}}}\n\
         routes: {{r: {{readers: app, recorders: es}}}}\n",
        app.address, one.address, two.address
    );
    let path = folder.join("conf.yml");
    fs::write(&path, config).expect("written");
    let arguments = ["-c", path.to_str().expect("a plain path")];
    let mut shipper = Running::start(&folder, "expvastic", Orphaned::Kill, release_binary(), &arguments);
    for _ in 0..3 {
        one.wait_for(5);
        two.wait_for(5);
        one.cut();
        two.wait_for(20);
        one.mend();
    }
    one.wait_for(5);
    let status = shipper.terminate(TIME_MAX).expect("expvastic ends after SIGTERM");
    let log = fs::read_to_string(folder.join("expvastic.err")).expect("the log");
    assert_eq!(status.code(), Some(0), "{log}");

    let documents = server.documents("packed");
    let numbers: BTreeSet<u64> =
        documents.iter().map(|document| document["poll_seq"].as_u64().expect("a number")).collect();
    assert_eq!(numbers.len(), documents.len(), "{engine}: no document twice");
    let ledger = log.lines().rfind(|line| line.contains("made")).expect("a ledger");
    assert!(ledger.contains(&format!("made {}", documents.len())), "{engine}: nothing is missing: {ledger}");
    assert!(!ledger.contains("duplicate 0"), "{engine}: a bulk that had arrived went to the other host: {ledger}");
    for words in ["down; retrying", "shipping failed", "does not accept compressed bulks"] {
        assert!(!log.contains(words), "{engine}: {log}");
    }
    let (bulks, packed) = (one.bulks() + two.bulks(), [&one, &two].map(|way| way.state.packed.load(Ordering::SeqCst)));
    assert_eq!(bulks, packed.iter().sum::<usize>(), "{engine}: every bulk was compressed");
    eprintln!("{engine}: {} documents in {bulks} compressed bulks, one way cut three times: {ledger}", documents.len());
}
