//! A proxy on loopback that passes bytes on to a server, and fails in the ways that networks and load balancers do.
#![allow(clippy::disallowed_methods, reason = "the other side of the socket has threads of its own")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A fault, which also affects connections that are already open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Connections are closed at once.
    Refuse,
    /// Half of the answers are cut off, are lost whole after the server has taken the request, or are a proxy's own page.
    CutAnswer,
    LoseAnswer,
    Page,
    /// Half of the answers are a 429 in place of the server's own.
    Busy,
    /// Some requests are cut off on their way.
    CutRequest,
    /// Everything is up to 1.5 s late.
    Slow,
    /// Answers come a few bytes at a time.
    Dribble,
    /// Nothing comes back while the fault lasts.
    Hang,
}

const FAULTS: [Fault; 10] = [
    Fault::None,
    Fault::Refuse,
    Fault::CutAnswer,
    Fault::LoseAnswer,
    Fault::Page,
    Fault::Busy,
    Fault::CutRequest,
    Fault::Slow,
    Fault::Dribble,
    Fault::Hang,
];

impl Fault {
    /// A random fault; often none.
    pub(crate) fn any(random: &mut fastrand::Rng) -> Self {
        FAULTS[random.usize(..FAULTS.len() + 2) % FAULTS.len()]
    }
}

/// Runs until the test process ends.
pub(crate) struct Proxy {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    state: Arc<State>,
}

struct State {
    server: String,
    /// Its place in [`FAULTS`].
    fault: AtomicUsize,
    random: Mutex<fastrand::Rng>,
}

impl Proxy {
    /// Passes on to `server` (`HOST:PORT`).
    pub(crate) fn start(server: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        let state = Arc::new(State { server: server.to_owned(), fault: AtomicUsize::new(0), random });
        let accepted = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&accepted);
                std::thread::spawn(move || state.connect(client));
            }
        });
        Self { address, state }
    }

    pub(crate) fn set(&self, fault: Fault) {
        let place = FAULTS.iter().position(|other| *other == fault).expect("it is in the list");
        self.state.fault.store(place, Ordering::SeqCst);
    }
}

impl State {
    fn fault(&self) -> Fault {
        FAULTS[self.fault.load(Ordering::SeqCst)]
    }

    fn happens(&self, probability: f64) -> bool {
        self.random.lock().expect("random").f64() < probability
    }

    fn connect(self: Arc<Self>, client: TcpStream) {
        if self.fault() == Fault::Refuse {
            return;
        }
        let Ok(server) = TcpStream::connect(&self.server) else { return };
        let (Ok(mut requests), Ok(mut sent)) = (client.try_clone(), server.try_clone()) else { return };
        let state = Arc::clone(&self);
        std::thread::spawn(move || state.pass_requests(&mut requests, &mut sent));
        let (mut answers, mut client) = (server, client);
        self.pass_answers(&mut answers, &mut client);
    }

    fn pass_requests(&self, client: &mut TcpStream, server: &mut TcpStream) {
        self.pass(client, server, |bytes, server| {
            if self.fault() == Fault::CutRequest && self.happens(0.3) {
                let _ = server.write_all(&bytes[..bytes.len() / 2]);
                return false;
            }
            server.write_all(bytes).is_ok()
        });
    }

    fn pass_answers(&self, server: &mut TcpStream, client: &mut TcpStream) {
        self.pass(server, client, |bytes, client| match self.fault() {
            Fault::CutAnswer if self.happens(0.5) => {
                let _ = client.write_all(&bytes[..bytes.len() / 2]);
                false
            }
            Fault::LoseAnswer if self.happens(0.5) => false,
            Fault::Page if self.happens(0.5) => {
                let status = if self.happens(0.5) { "200 OK" } else { "502 Bad Gateway" };
                let page = "<html><body>The upstream server is not available.</body></html>";
                let head =
                    format!("HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n", page.len());
                let _ = client.write_all((head + page).as_bytes());
                false
            }
            Fault::Busy if self.happens(0.5) => {
                let answer = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy";
                let _ = client.write_all(answer.as_bytes());
                false
            }
            Fault::Dribble => bytes.chunks(7).all(|piece| client.write_all(piece).is_ok()),
            Fault::Hang => {
                while self.fault() == Fault::Hang {
                    std::thread::sleep(Duration::from_millis(20));
                }
                false
            }
            _ => client.write_all(bytes).is_ok(),
        });
    }

    /// Passes on bytes until one side has closed the connection, or `pass_on` returns that it is over.
    fn pass(&self, from: &mut TcpStream, to: &mut TcpStream, pass_on: impl Fn(&[u8], &mut TcpStream) -> bool) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if self.fault() == Fault::Slow {
                let pause = self.random.lock().expect("random").u64(..1500);
                std::thread::sleep(Duration::from_millis(pause));
            }
            if !pass_on(&buffer[..length], to) {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
