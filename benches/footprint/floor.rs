//! The floor: the least that polling and shipping can cost. It uses blocking sockets that are kept open, reads answers to their
//! end and discards them, and sends the same bulk again and again. Names are resolved by `getaddrinfo`, on the one thread, and TLS
//! is spoken by bare rustls.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustls::ClientConfig;

use crate::{Outcome, http::Stream, tls};

/// Instead of a `ca_file`, on the command line.
pub(crate) const NO_FILE: &str = "-";

/// When the exchanges happen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// One wake-up, GET and POST per document, the readers spread evenly over the interval.
    Each,
    /// All GETs at the tick, then one POST.
    Same,
}

impl Pattern {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Each => "floor each",
            Self::Same => "floor same",
        }
    }
}

/// What a floor is told on its command line.
#[derive(Clone)]
pub(crate) struct Floor {
    pub(crate) pattern: Pattern,
    pub(crate) interval: Duration,
    /// Bytes of a document with its action line: as many as the program was seen to send.
    pub(crate) document_bytes: usize,
    /// Where all servers are.
    pub(crate) host: String,
    /// Whom to trust, for TLS.
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) sink: u16,
    pub(crate) readers: Vec<u16>,
}

impl Floor {
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut words = vec![
            "--floor".to_owned(),
            if self.pattern == Pattern::Each { "each" } else { "same" }.to_owned(),
            self.interval.as_millis().to_string(),
            self.document_bytes.to_string(),
            self.host.clone(),
            self.ca_file.as_ref().map_or_else(|| NO_FILE.to_owned(), |file| file.to_string_lossy().into_owned()),
            self.sink.to_string(),
        ];
        words.extend(self.readers.iter().map(u16::to_string));
        words
    }
}

/// Runs until it is killed or a server goes away.
pub(crate) fn run(floor: &Floor) -> Outcome<()> {
    let tls = floor.ca_file.as_deref().map(tls::client).transpose()?;
    let open = |port: u16| Peer::open(&floor.host, port, tls.as_ref());
    let mut sink = open(floor.sink)?;
    let mut readers = floor.readers.iter().map(|port| open(*port)).collect::<Outcome<Vec<_>>>()?;
    let gets: Vec<String> = floor
        .readers
        .iter()
        .map(|port| format!("GET /debug/vars HTTP/1.1\r\nHost: {}:{port}\r\n\r\n", floor.host))
        .collect();
    let mut answer = vec![0; 64 * 1024];
    let each = floor.pattern == Pattern::Each;
    let post = post(floor, if each { 1 } else { readers.len() });
    let slots = if each { u32::try_from(readers.len())? } else { 1 };
    let mut next = Instant::now();
    for turn in 0_usize.. {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        next += floor.interval / slots;
        if each {
            let which = turn % readers.len();
            readers[which].send(gets[which].as_bytes())?;
            readers[which].receive(&mut answer)?;
        } else {
            for (reader, get) in readers.iter_mut().zip(&gets) {
                reader.send(get.as_bytes())?;
            }
            for reader in &mut readers {
                reader.receive(&mut answer)?;
            }
        }
        // The sink closes its connections in some loads.
        if sink.send(post.as_bytes()).and_then(|()| sink.receive(&mut answer)).is_err() {
            sink = open(floor.sink)?;
            sink.send(post.as_bytes())?;
            sink.receive(&mut answer)?;
        }
    }
    Ok(())
}

struct Peer(Box<dyn Stream>);

impl Peer {
    fn open(host: &str, port: u16, tls: Option<&Arc<ClientConfig>>) -> Outcome<Self> {
        let stream = TcpStream::connect((host, port))?;
        stream.set_nodelay(true)?;
        match tls {
            Some(config) => Ok(Self(Box::new(tls::connect(config, host, stream)?))),
            None => Ok(Self(Box::new(stream))),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.0.write_all(bytes)?;
        Ok(self.0.flush()?)
    }

    /// Reads until the end of a chunked answer, which both servers give; that much has to be looked at.
    fn receive(&mut self, answer: &mut [u8]) -> Outcome<()> {
        let mut used = 0;
        while !answer[..used].ends_with(b"\r\n0\r\n\r\n") {
            match self.0.read(&mut answer[used..])? {
                0 => return Err("a server closed the connection".into()),
                count => used += count,
            }
        }
        Ok(())
    }
}

fn post(floor: &Floor, documents: usize) -> String {
    let action = r#"{"create":{"_index":"expvastic","_id":"0123456789abcdef"}}"#;
    let padding = "x".repeat(floor.document_bytes.saturating_sub(action.len() + 2 + r#"{"pad":""}"#.len()));
    let body = format!("{action}\n{{\"pad\":\"{padding}\"}}\n").repeat(documents);
    format!(
        "POST /_bulk?filter_path=errors,items.*.status,items.*.error HTTP/1.1\r\nHost: {}:{}\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{body}",
        floor.host,
        floor.sink,
        body.len()
    )
}
