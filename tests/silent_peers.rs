//! Connections that a load balancer has dropped silently, so that everything that is sent over them is lost. The first documents
//! after a pause are delivered nevertheless, and without delay.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "the other side of the socket has threads of its own")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Server, Store, counting_app, sequence, wait_until};
use program::Program;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Passes bytes on, until it forgets the connections that it has. They stay open, and nothing comes through any more.
struct Forgetful {
    address: String,
    /// Connections that came before this one are forgotten.
    first_known: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
}

impl Forgetful {
    fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (first_known, accepted): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let (first, counted, server) = (Arc::clone(&first_known), Arc::clone(&accepted), server.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let server = TcpStream::connect(&server).expect("the server is there");
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().expect("a clone"), to.try_clone().expect("a clone"));
                    let first = Arc::clone(&first);
                    std::thread::spawn(move || pass_on(from, to, || number >= first.load(Ordering::SeqCst)));
                }
            }
        });
        Self { address, first_known, accepted }
    }

    fn forget(&self) {
        self.first_known.store(self.accepted.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, is_known: impl Fn() -> bool) {
    let mut buffer = [0; 4096];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        if is_known() && to.write_all(&buffer[..bytes]).is_err() {
            return;
        }
    }
}

/// The second document comes 6 s behind the first. Who waits for what was sent over a forgotten connection would wait for ten
/// minutes.
fn check(environment: impl Fn(&str) -> Vec<(&'static str, String)>, host: Option<&str>) {
    let app = counting_app();
    let store = Arc::new(Mutex::new(Store::default()));
    let stored = Arc::clone(&store);
    let server = Server::start(move |request| {
        if request.method == "POST" {
            return stored.lock().expect("the store").take(&request.unpacked(), |_| None);
        }
        loopback::Reply::ok("{}")
    });
    let (to_app, to_server) = (Forgetful::before(&app.address), Forgetful::before(&server.address));
    let config = format!(
        "settings: {{log_level: debug}}\nreaders: {{app: {{type_name: app, endpoint: \"{}\", interval: 6s, timeout: 10m}}}}\n\
         recorders: {{es: {{endpoint: \"{}\", index_name: i, timeout: 10m, template: off}}}}\n\
         routes: {{r: {{readers: app, recorders: es}}}}\n",
        to_app.address,
        host.unwrap_or(&to_server.address)
    );
    let environment = environment(&to_server.address);
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let program = Program::start_with(&environment, &[], &config);
    for documents in 1..=2 {
        // What is forgotten before the program has heard that the document is stored would be an answer.
        wait_until("another document", || program.read("stderr").matches("shipped recorder=es").count() >= documents);
        assert!(sequence(&store).len() >= documents);
        to_app.forget();
        to_server.forget();
    }
    assert!(to_server.accepted.load(Ordering::SeqCst) >= 2, "over a new connection");
}

#[test]
fn what_is_sent_by_our_own_sockets_after_a_pause_is_delivered() {
    check(|_| Vec::new(), None);
}

#[cfg(feature = "proxy")]
#[test]
fn what_is_sent_by_libcurl_after_a_pause_is_delivered() {
    let through = |address: &str| vec![("http_proxy", format!("http://{address}")), ("no_proxy", String::new())];
    check(through, Some("es.test:9200"));
}
