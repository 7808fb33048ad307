//! Where the body of an answer goes: into a buffer as a whole, or piece by piece to a receiver.

use crate::limits;
use std::mem;

/// The buffers that bodies are read into. There are a few, which all exchanges use in turns: while an answer is awaited, only
/// what has arrived of it is kept.
pub(crate) trait Buffers {
    /// An empty buffer.
    fn take(&self) -> Vec<u8>;

    /// Takes back a buffer whose content is not needed any more.
    fn give_back(&self, buffer: Vec<u8>);
}

/// New buffers, with room for so many bytes.
pub(crate) struct NewBuffers(pub(crate) usize);

impl Buffers for NewBuffers {
    fn take(&self) -> Vec<u8> {
        Vec::with_capacity(self.0)
    }

    fn give_back(&self, _: Vec<u8>) {}
}

/// Reads the body of an answer as it comes.
pub(crate) trait Receiver {
    /// Takes the next bytes of the body of an answer with this status. False if no more of it is wanted.
    fn take(&mut self, status: u16, piece: &[u8]) -> bool;

    /// Forgets what has come so far: the request is sent again, and there will be another answer.
    fn restart(&mut self);
}

/// The body of an answer that is being received.
pub(super) struct Incoming<'b> {
    /// What has arrived and was not passed on; without memory until something arrives.
    pub(super) buffer: &'b mut Vec<u8>,
    receiver: Option<&'b mut dyn Receiver>,
    /// Whether the buffer holds what has arrived, and has no room for more.
    is_paused: bool,
}

impl<'b> Incoming<'b> {
    /// The whole body stays in the buffer.
    pub(super) fn buffered(buffer: &'b mut Vec<u8>) -> Self {
        Self { buffer, receiver: None, is_paused: false }
    }

    /// The body is passed to `receiver` as it arrives; the buffer holds no more than the last piece.
    pub(super) fn streamed(buffer: &'b mut Vec<u8>, receiver: &'b mut dyn Receiver) -> Self {
        Self { buffer, receiver: Some(receiver), is_paused: false }
    }

    /// Has a buffer with room, as more of the answer can be read now.
    pub(super) fn resume(&mut self, buffers: &dyn Buffers) {
        if self.is_paused || self.buffer.capacity() == 0 {
            let mut larger = buffers.take();
            larger.extend_from_slice(self.buffer);
            *self.buffer = larger;
            self.is_paused = false;
        }
    }

    /// Keeps no more memory than what has arrived, unless that is much, as more of the answer has to be awaited. Twenty servers
    /// that answer at the same time, each with its header first, then take a few kilobytes, and not twenty large buffers.
    pub(super) fn pause(&mut self, buffers: &dyn Buffers) {
        if !self.is_streamed() && self.buffer.len() <= limits::PAUSED_BODY_BYTES_MAX {
            let arrived = self.buffer.clone();
            buffers.give_back(mem::replace(self.buffer, arrived));
            self.is_paused = true;
        }
    }

    /// Whether it is passed to a receiver as it arrives.
    pub(super) fn is_streamed(&self) -> bool {
        self.receiver.is_some()
    }

    /// Passes the first bytes of the buffer to the receiver, and returns whether it wants more. None if there is no receiver,
    /// so that the bytes stay in the buffer.
    pub(super) fn pass_on(&mut self, status: u16, bytes: usize) -> Option<bool> {
        let receiver = self.receiver.as_mut()?;
        let is_wanted = bytes == 0 || receiver.take(status, &self.buffer[..bytes]);
        self.buffer.drain(..bytes);
        Some(is_wanted)
    }

    pub(super) fn restart(&mut self) {
        self.buffer.clear();
        if let Some(receiver) = &mut self.receiver {
            receiver.restart();
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{Endpoint, Http, Payload, Reply};
    use super::*;
    use crate::bulk::{ActionLine, Bulk, DocumentKey, IdSource};
    use crate::calendar::Timestamp;
    use crate::event_loop;
    use std::cell::Cell;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::time::Duration;

    /// Counts those that are in use.
    #[derive(Default)]
    pub(in crate::http) struct CountedBuffers {
        pub(in crate::http) taken: Cell<usize>,
        given_back: Cell<usize>,
    }

    impl Buffers for CountedBuffers {
        fn take(&self) -> Vec<u8> {
            self.taken.set(self.taken.get() + 1);
            Vec::new()
        }

        fn give_back(&self, buffer: Vec<u8>) {
            assert!(buffer.capacity() >= limits::READ_BYTES_MIN);
            self.given_back.set(self.given_back.get() + 1);
        }
    }

    /// Some servers send their header first, and the payload much later.
    #[test]
    fn what_has_arrived_is_kept_without_a_buffer_until_more_arrives() {
        for (pieces, given_back) in [(&[700, 700][..], 1), (&[2_000, 300, 20_000, 5_000], 2), (&[9_000, 10], 0)] {
            let body: Vec<u8> =
                (0..pieces.iter().sum()).map(|at: usize| b'a' + u8::try_from(at % 26).unwrap()).collect();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let endpoint = Endpoint::new(&format!("http://{}", listener.local_addr().unwrap()));
            let (buffers, http) = (CountedBuffers::default(), Http::new(1, &|_| None));
            let mut received = Vec::new();
            let minute = Duration::from_secs(60);
            event_loop::block_on(async {
                let mut get = Box::pin(http.get(&endpoint, minute, 1 << 20, &buffers, &mut received));
                // Polled by hand, so that each piece is read before the next one is sent.
                let mut reads_on = async |is_last: bool| {
                    let turns = async {
                        for _ in 0..if is_last { u32::MAX } else { 50 } {
                            event_loop::yield_now().await;
                        }
                        None
                    };
                    smol::future::or(async { Some(get.as_mut().await.map(|_| ())) }, turns).await
                };
                assert!(reads_on(false).await.is_none(), "it connects");
                let (mut peer, _) = listener.accept().unwrap();
                assert!(reads_on(false).await.is_none(), "it sends its request");
                let _ = peer.read(&mut [0; 4096]).unwrap();
                assert_eq!(buffers.taken.get(), 0);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let mut sent = 0;
                for (at, piece) in pieces.iter().enumerate() {
                    let head = if at == 0 { head.as_bytes() } else { b"" };
                    peer.write_all(&[head, &body[sent..sent + piece]].concat()).unwrap();
                    sent += piece;
                    let is_last = sent == body.len();
                    let outcome = reads_on(is_last).await;
                    assert_eq!(outcome.is_some_and(|outcome| outcome.is_ok()), is_last, "{pieces:?}, after {sent}");
                    if !is_last {
                        let in_use = buffers.taken.get() - buffers.given_back.get();
                        assert_eq!(
                            in_use,
                            usize::from(sent > limits::PAUSED_BODY_BYTES_MAX),
                            "{pieces:?}, after {sent}"
                        );
                    }
                }
            })
            .unwrap();
            assert!(received == body, "{pieces:?}");
            assert_eq!(buffers.given_back.get(), given_back, "{pieces:?}");
        }
    }

    /// Takes so many bytes, and counts them.
    #[derive(Default)]
    struct Counting {
        wanted: usize,
        taken: Vec<u8>,
        statuses: Vec<u16>,
        longest: usize,
    }

    impl Receiver for Counting {
        fn take(&mut self, status: u16, piece: &[u8]) -> bool {
            self.taken.extend_from_slice(piece);
            self.statuses.push(status);
            self.longest = self.longest.max(piece.len());
            self.taken.len() < self.wanted
        }

        fn restart(&mut self) {
            self.taken.clear();
        }
    }

    /// A server that answers with these bytes once it has seen the end of the request, and closes the connection.
    fn server(answer: Vec<u8>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        #[allow(clippy::disallowed_methods, reason = "the other side of the socket")]
        let _detached = std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = Vec::new();
                while !request.ends_with(b"}\n") {
                    let mut piece = [0; 4096];
                    let Ok(bytes @ 1..) = stream.read(&mut piece) else { break };
                    request.extend_from_slice(&piece[..bytes]);
                }
                let _ = stream.write_all(&answer);
            }
        });
        port
    }

    /// By our own sockets, and by libcurl, which resolves the name.
    fn both_ways(port: u16) -> [String; 2] {
        ["127.0.0.1", "es.localhost"].map(|host| format!("http://{host}:{port}/_bulk"))
    }

    fn post(url: &str, bytes_max: usize, receiver: &mut Counting) -> Result<Reply, String> {
        let mut bulk = Bulk::default();
        let key = DocumentKey { time: Timestamp::EPOCH, id: IdSource::new([0; 9]).next_id() };
        bulk.push(&mut ActionLine::new("i"), key, b"{}");
        let payload = Payload::Bulk(Arc::new(bulk));
        let (http, endpoint) = (Http::new(1, &|_| None), Endpoint::new(url));
        let sent = http.post(&endpoint, Duration::from_secs(60), payload, bytes_max, receiver);
        event_loop::block_on(sent).unwrap().map_err(|error| error.to_string())
    }

    fn body() -> Vec<u8> {
        (0..3_000_000_usize).map(|at| b'a' + u8::try_from(at % 26).unwrap()).collect()
    }

    fn answer(head: &str, body: &[u8]) -> Vec<u8> {
        [format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body]
            .concat()
    }

    #[test]
    fn a_long_body_comes_in_short_pieces() {
        let body = body();
        let chunks: Vec<u8> = body
            .chunks(50_000)
            .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
            .collect();
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for answer in [answer("200 OK", &body), [head.as_bytes(), &chunks, b"0\r\n\r\n"].concat()] {
            for url in both_ways(server(answer)) {
                let mut counting = Counting { wanted: usize::MAX, ..Counting::default() };
                let reply = post(&url, body.len(), &mut counting).unwrap();
                assert!(reply.is_whole && counting.taken == body, "{url}: {} bytes", counting.taken.len());
                assert!(counting.statuses.iter().all(|status| *status == 200), "{url}");
                assert!(counting.longest <= 20 << 10, "{url}: {} bytes at once", counting.longest);
            }
        }
    }

    #[test]
    fn no_more_is_read_than_is_wanted() {
        let body = body();
        for (status, cap, wanted) in
            [(200, 100_000, usize::MAX), (503, 100_000, usize::MAX), (200, usize::MAX >> 1, 50_000)]
        {
            for url in both_ways(server(answer(&format!("{status} S"), &body))) {
                let mut counting = Counting { wanted, ..Counting::default() };
                let reply = post(&url, cap, &mut counting).unwrap();
                assert_eq!((reply.status, reply.is_whole), (status, false), "{url}");
                // The beginning is read although the length that was announced is too much.
                let taken = counting.taken.len();
                assert!((50_000..=100_000).contains(&taken) && body.starts_with(&counting.taken), "{url}: {taken}");
            }
        }
    }

    #[test]
    fn a_refusal_says_by_its_status_what_it_has_to_say() {
        let whole = answer("413 Too Large", b"{\"error\":{\"type\":\"t\"}}");
        for url in both_ways(server(whole[..whole.len() - 5].to_vec())) {
            let mut counting = Counting { wanted: usize::MAX, ..Counting::default() };
            let reply = post(&url, 1000, &mut counting).unwrap();
            assert_eq!((reply.status, reply.is_whole), (413, false), "{url}");
            assert_eq!(counting.taken, b"{\"error\":{\"type\":");
        }
        let whole = answer("200 OK", b"{\"items\":[]}");
        for url in both_ways(server(whole[..whole.len() - 5].to_vec())) {
            let mut counting = Counting { wanted: usize::MAX, ..Counting::default() };
            let error = post(&url, 1000, &mut counting).unwrap_err();
            assert!(error.contains("cut off"), "{url}: {error}");
        }
    }
}
