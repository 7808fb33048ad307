//! Expvar endpoints that answer like those of Go: a recorded payload, chunked, and split into the same writes.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    Outcome,
    http::{self, Connection, Opening, Request},
};

/// A Go program's payload after 300 collections, so with a full ring of pauses.
const PAYLOAD: &str = include_str!("../payloads/goexpvar-1.26.8-base-300gc.json");
/// The counter that differs from poll to poll, by the name it has in the payload …
const COUNTER: &str = "\"Mallocs\":";
/// … and in the document.
pub(crate) const COUNTER_IN_DOCUMENT: &[u8] = b"\"memstats.Mallocs\":";
/// Counting begins here, so that each answer has the same length.
const COUNTER_START: u64 = 1_000_000_000;
/// A query that asks for an answer with its length, as programs give that are not Go's.
const SIZED: &str = "?sized";
/// The write buffer of a Go server's connection.
const GO_BUFFER_BYTES: usize = 4096;

/// One endpoint per reader, each on a port of its own as programs have it.
pub(crate) struct App {
    pub(crate) ports: Vec<u16>,
    served: Arc<Served>,
}

#[derive(Default)]
struct Served {
    polls: AtomicU64,
    connections: AtomicU64,
}

impl App {
    pub(crate) fn start(readers: usize, open: &Opening) -> Outcome<Self> {
        let served = Arc::new(Served::default());
        let listen = |_| Ok(http::listen(&served, open, serve)?.port);
        let ports = (0..readers).map(listen).collect::<Outcome<_>>()?;
        Ok(Self { ports, served })
    }

    pub(crate) fn polls(&self) -> u64 {
        self.served.polls.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.served.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn payload_bytes() -> usize {
        let (before, after) = halves();
        before.len() + after.len() + COUNTER_START.to_string().len()
    }
}

/// The payload before and behind the counter's value.
fn halves() -> (&'static str, &'static str) {
    let value = PAYLOAD.find(COUNTER).map_or(0, |at| at + COUNTER.len());
    let (before, after) = PAYLOAD.split_at(value);
    (before, after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

fn serve(served: &Served, mut connection: Connection) -> io::Result<()> {
    served.connections.fetch_add(1, Ordering::SeqCst);
    let (before, after) = halves();
    let mut request = Request::default();
    while connection.request(&mut request)? {
        if request.method != "GET" || !request.path.starts_with("/debug/vars") {
            connection.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        let counter = COUNTER_START + served.polls.fetch_add(1, Ordering::SeqCst);
        let size = App::payload_bytes();
        let is_sized = request.path.ends_with(SIZED);
        let framing = if is_sized {
            format!("Content-Length: {size}\r\n\r\n")
        } else {
            format!("Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n")
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n\
             Date: Sun, 22 Nov 2026 22:24:55 GMT\r\n{framing}{before}{counter}{after}"
        );
        // Go writes a full buffer, then the rest of the body past the buffer, then what ends the chunks.
        let (first, second) = answer.as_bytes().split_at(GO_BUFFER_BYTES.min(answer.len()));
        connection.write(first)?;
        connection.write(second)?;
        if !is_sized {
            connection.write(b"\r\n0\r\n\r\n")?;
        }
    }
    Ok(())
}
