//! A stand-in for Elasticsearch. It accepts every document, answers item by item, and counts.

use std::{
    collections::HashSet,
    io::{self, Read as _},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;

use crate::{
    Outcome,
    app::COUNTER_IN_DOCUMENT,
    http::{self, Connection, Listening, Opening, Request},
};

const ROOT: &str = concat!(
    r#"{"name":"node-1","cluster_name":"bench","cluster_uuid":"E4nQpDcERH6_6SPIU3ciMQ","#,
    r#""version":{"number":"8.19.21","build_flavor":"default","build_type":"zip","lucene_version":"9.12.2","#,
    r#""minimum_wire_compatibility_version":"7.17.0","minimum_index_compatibility_version":"7.0.0"},"#,
    r#""tagline":"You Know, for Search"}"#,
);

/// The answer to a document that came alone.
const STORED: &str = concat!(
    r#"{"_index":"expvastic","_type":"app","_id":"1","_version":1,"result":"created","#,
    r#""_shards":{"total":1,"successful":1,"failed":0},"_seq_no":1,"_primary_term":1}"#,
);

/// The server, for the life of the bench.
pub(crate) struct Sink {
    pub(crate) port: u16,
    listening: Listening,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    tally: Mutex<Tally>,
    arrived: Condvar,
    /// Where the server listens, once it does.
    port: OnceLock<u16>,
}

/// All that one client did since the last [`Sink::reset`].
#[derive(Clone, Default)]
pub(crate) struct Tally {
    pub(crate) documents: u64,
    pub(crate) bulks: u64,
    /// Those of them that were compressed.
    pub(crate) compressed: u64,
    pub(crate) bulk_body_bytes: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) connections: u64,
    /// When the first bulk had been read.
    pub(crate) first: Option<Instant>,
    pub(crate) first_body: Vec<u8>,
    /// Values of the counter seen in documents: each poll has its own.
    pub(crate) counters: HashSet<u64>,
    /// Documents whose counter had been seen before.
    pub(crate) repeated: u64,
    /// What a server would have refused.
    pub(crate) problems: Vec<String>,
}

impl Sink {
    pub(crate) fn start(open: &Opening) -> Outcome<Self> {
        let shared = Arc::new(Shared::default());
        let listening = http::listen(&shared, open, serve)?;
        // No one else sets it.
        let _ = shared.port.set(listening.port);
        Ok(Self { port: listening.port, listening, shared })
    }

    /// Closes all connections, as a server does that is started again.
    pub(crate) fn hang_up(&self) {
        self.listening.sockets.close();
    }

    pub(crate) fn reset(&self) {
        *self.shared.lock() = Tally::default();
    }

    pub(crate) fn tally(&self) -> Tally {
        self.shared.lock().clone()
    }

    pub(crate) fn documents(&self) -> u64 {
        self.shared.lock().documents
    }

    /// Waits until more than `seen` documents have come; `false` if they do not within `limit`.
    pub(crate) fn wait_beyond(&self, seen: u64, limit: Duration) -> bool {
        let tally = self.shared.lock();
        let (_tally, waited) = self
            .shared
            .arrived
            .wait_timeout_while(tally, limit, |tally| tally.documents <= seen)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    /// Takes in a document that came alone, as the Go program of 2017 sends them.
    fn take_one(&mut self, request: &Request) {
        self.first.get_or_insert_with(Instant::now);
        self.documents += 1;
        self.bulks += 1;
        self.bulk_body_bytes += request.body.len() as u64;
    }

    /// Takes a bulk in and gives the number of its documents.
    fn take(&mut self, request: &Request) -> u64 {
        let mut inflated = Vec::new();
        let body = match request.encoding.as_str() {
            "" => &request.body,
            "gzip" if GzDecoder::new(&request.body[..]).read_to_end(&mut inflated).is_ok() => {
                self.compressed += 1;
                &inflated
            }
            encoding => {
                self.problems.push(format!("a bulk came with Content-Encoding {encoding} that cannot be read"));
                &request.body
            }
        };
        if self.first.is_none() {
            self.first = Some(Instant::now());
            self.first_body.clone_from(body);
        }
        if body.last() != Some(&b'\n') {
            self.problems.push("a bulk did not end with a newline".to_owned());
        }
        let mut lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut documents = 0;
        while let (Some(action), Some(document)) = (lines.next(), lines.next()) {
            if !action.starts_with(b"{\"create\"") {
                self.problems.push(format!("not an action: {}", String::from_utf8_lossy(action)));
            }
            if counter_of(document).is_some_and(|counter| !self.counters.insert(counter)) {
                self.repeated += 1;
            }
            documents += 1;
        }
        self.documents += documents;
        self.bulks += 1;
        self.bulk_body_bytes += request.body.len() as u64;
        documents
    }
}

/// The value that the endpoint counted up, if the document has it.
fn counter_of(document: &[u8]) -> Option<u64> {
    let at = document.windows(COUNTER_IN_DOCUMENT.len()).position(|window| window == COUNTER_IN_DOCUMENT)?;
    let digits = document[at + COUNTER_IN_DOCUMENT.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

fn serve(shared: &Shared, mut connection: Connection) -> io::Result<()> {
    shared.lock().connections += 1;
    let mut request = Request::default();
    while connection.request(&mut request)? {
        let path = request.path.split('?').next().unwrap_or_default();
        let mut tally = shared.lock();
        let answer = match (request.method.as_str(), path) {
            ("POST" | "PUT", path) if path.ends_with("/_bulk") => {
                let documents = tally.take(&request);
                chunked(&verdicts(&request.path, documents))
            }
            ("POST", path) if is_index_and_type(path) => {
                tally.take_one(&request);
                sized("201 Created", STORED)
            }
            ("GET", "/_nodes/http") => sized("200 OK", &nodes(shared.port.get().copied().unwrap_or_default())),
            ("GET", "/") => sized("200 OK", ROOT),
            ("HEAD", "/") => sized("200 OK", ""),
            ("PUT" | "POST", _) => sized("200 OK", r#"{"acknowledged":true}"#),
            // So that the client puts its template in place once, as on a new cluster.
            ("GET", _) => sized("404 Not Found", r#"{"error":"not here","status":404}"#),
            _ => sized("404 Not Found", ""),
        };
        tally.bytes_received += request.wire_bytes;
        tally.bytes_sent += answer.len() as u64;
        drop(tally);
        shared.arrived.notify_all();
        connection.write(answer.as_bytes())?;
    }
    Ok(())
}

/// The nodes of the cluster, for which the Go program asks at its start.
fn nodes(port: u16) -> String {
    format!(
        r#"{{"cluster_name":"bench","nodes":{{"node-1":{{"name":"node-1","http":{{"publish_address":"127.0.0.1:{port}"}}}}}}}}"#
    )
}

/// Where a document is sent that comes alone: `/expvastic/app/`.
fn is_index_and_type(path: &str) -> bool {
    let words: Vec<&str> = path.trim_matches('/').split('/').collect();
    words.len() == 2 && words.iter().all(|word| !word.is_empty() && !word.starts_with('_'))
}

/// What Elasticsearch leaves of its answer under the `filter_path` that was asked for.
fn verdicts(path: &str, documents: u64) -> String {
    if path.contains("filter_path") && !path.contains("status") {
        return r#"{"errors":false}"#.to_owned();
    }
    let items: Vec<&str> = (0..documents).map(|_| r#"{"create":{"status":201}}"#).collect();
    format!(r#"{{"errors":false,"items":[{}]}}"#, items.join(","))
}

fn sized(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nX-elastic-product: Elasticsearch\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// Elasticsearch answers a bulk in chunks.
fn chunked(body: &str) -> String {
    let size = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\ncontent-type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{body}\r\n0\r\n\r\n"
    )
}
