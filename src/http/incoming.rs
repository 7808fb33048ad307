//! Where the body of an answer goes: into a buffer as a whole, or piece by piece to a receiver.

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
}

impl<'b> Incoming<'b> {
    /// The whole body stays in the buffer.
    pub(super) fn buffered(buffer: &'b mut Vec<u8>) -> Self {
        Self { buffer, receiver: None }
    }

    /// The body is passed to `receiver` as it arrives; the buffer holds no more than the last piece.
    pub(super) fn streamed(buffer: &'b mut Vec<u8>, receiver: &'b mut dyn Receiver) -> Self {
        Self { buffer, receiver: Some(receiver) }
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
mod tests {
    use super::super::{Endpoint, Http, Payload, Reply};
    use super::*;
    use crate::bulk::{ActionLine, Bulk, DocumentKey, IdSource};
    use crate::calendar::Timestamp;
    use crate::event_loop;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::time::Duration;

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
