//! Faults of real servers: killed during shipping and started again, a write queue for one request, requests of at most 64 kB, a
//! blocked index, and a disk that is considered full. At the end, no document may be missing or stored twice.
//!
//! Requires what `tests/real_servers.rs` wants; run it with `cargo test --test real_faults`.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "a test has a clock, and threads")]
#![allow(clippy::format_push_string, reason = "a configuration is put together for reading, not for speed")]
#![allow(clippy::print_stderr, reason = "a test that takes long says what it has seen")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, wait_until};
use processes::{Orphaned, Running, Workdir};
use program::Program;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Unpacking a server for the first time downloads it.
const SERVER_TIME_MAX: Duration = Duration::from_secs(900);
const READERS: usize = 20;
/// A bulk goes to all of them, each of which wants a place in the write queue.
const SHARDS: usize = 5;
/// One recorder without a spool, one with it; each has an index of its name.
const RECORDERS: [&str; 2] = ["memory", "disk"];
/// More than there are documents.
const DOCUMENTS_MAX: usize = 100_000;

/// A server takes half a gigabyte, so there is never more than one.
static ONE_SERVER: Mutex<()> = Mutex::new(());

#[test]
fn elasticsearch_9_loses_and_doubles_nothing() {
    check_engine("elasticsearch-9");
}

#[test]
fn opensearch_2_loses_and_doubles_nothing() {
    check_engine("opensearch-2");
}

struct Node {
    _serve: Running,
    /// `127.0.0.1:PORT`.
    address: String,
    process: String,
}

impl Node {
    fn start(folder: &Workdir, engine: &str, port: &str) -> Self {
        let data = folder.join("server");
        let serve = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/serve");
        let arguments = [
            &[engine, "--port", port, "--data", data.to_str().expect("a plain path")][..],
            &["--set", "thread_pool.write.size=1", "--set", "thread_pool.write.queue_size=1"],
            &["--set", "node.processors=1", "--set", "http.max_content_length=64kb"],
        ]
        .concat();
        let mut serve = Running::start(folder, "serve", Orphaned::Terminate, serve, &arguments);
        let ready = serve.wait_for_lines("ready ", 1, SERVER_TIME_MAX).remove(0);
        let word = |prefix| ready.split(' ').find_map(|word: &str| word.strip_prefix(prefix)).expect("a word");
        let (address, process) = (word("http://").to_owned(), word("pid=").to_owned());
        Self { _serve: serve, address, process }
    }

    /// `kill -9`; gives the port.
    fn kill(self) -> String {
        let killed = Command::new("kill").args(["-KILL", &self.process]).status().expect("kill starts");
        assert!(killed.success());
        self.address.rsplit(':').next().expect("a port").to_owned()
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("http://{}{path}", self.address);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-X", method, &url]);
        if !body.is_null() {
            curl.args(["-H", "Content-Type: application/json", "-d", &body.to_string()]);
        }
        let answer = curl.output().expect("curl starts").stdout;
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert!(answer.get("error").is_none(), "{method} {path}: {answer}");
        answer
    }

    fn block(&self, block: &str, value: &Value) {
        self.ask("PUT", "/memory,disk/_settings", &json!({ format!("index.blocks.{block}"): value }));
    }

    /// How often each document is stored: by service and number.
    fn stored(&self, index: &str) -> BTreeMap<(String, u64), usize> {
        self.ask("POST", &format!("/{index}/_refresh"), &Value::Null);
        let query = json!({"size": DOCUMENTS_MAX, "_source": ["poll_seq", "service.name"]});
        let answer = self.ask("POST", &format!("/{index}/_search"), &query);
        let mut stored = BTreeMap::new();
        for hit in answer["hits"]["hits"].as_array().expect("hits") {
            let source = &hit["_source"];
            let service = source["service.name"].as_str().or_else(|| source["service"]["name"].as_str());
            let key = (service.expect("a service").to_owned(), source["poll_seq"].as_u64().expect("a number"));
            *stored.entry(key).or_insert(0) += 1;
        }
        stored
    }
}

struct App {
    server: loopback::Server,
    polls: Arc<AtomicU64>,
}

impl App {
    fn start() -> Self {
        let polls = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&polls);
        let server = loopback::Server::start(move |_| {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            Reply::ok(format!("{{\"poll_seq\":{number},\"ballast\":\"{}\"}}", "x".repeat(1000)))
        });
        Self { server, polls }
    }
}

fn config(apps: &[App], address: &str) -> String {
    let mut text = "settings: {memory_limit: 128MiB, shutdown_timeout: 60s, log_level: debug}\nreaders:\n".to_owned();
    for (number, app) in apps.iter().enumerate() {
        let endpoint = &app.server.address;
        text += &format!("  app_{number}: {{type_name: app_{number}, endpoint: \"{endpoint}\", interval: 500ms}}\n");
    }
    let names: Vec<String> = (0..apps.len()).map(|number| format!("app_{number}")).collect();
    text += &format!(
        "recorders:\n  memory: {{endpoint: \"{address}\", index_name: memory, timeout: 10s}}\n  \
         disk: {{endpoint: \"{address}\", index_name: disk, timeout: 10s, spool: {{path: spool}}}}\n\
         routes: {{r: {{readers: [{}], recorders: [memory, disk]}}}}\n",
        names.join(", ")
    );
    text
}

fn check_engine(engine: &str) {
    let _alone = ONE_SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Workdir::new(engine);
    let node = Node::start(&folder, engine, "0");
    let shards = json!({"settings": {"number_of_shards": SHARDS, "number_of_replicas": 0,
        "index.max_result_window": DOCUMENTS_MAX}});
    for index in RECORDERS {
        node.ask("PUT", &format!("/{index}"), &shards);
    }
    let apps: Vec<App> = (0..READERS).map(|_| App::start()).collect();
    let polls = || apps.iter().map(|app| app.polls.load(Ordering::SeqCst)).sum::<u64>();
    let more = |documents: u64| {
        let enough = polls() + documents;
        wait_until("more polls", || polls() >= enough);
    };
    let mut program = Program::start(&[], &config(&apps, &node.address));
    let said = |program: &Program, what: &str| {
        wait_until(what, || {
            let log = program.read("stderr");
            RECORDERS.iter().all(|recorder| {
                log.lines().any(|line| line.contains(what) && line.contains(&format!("recorder={recorder}")))
            })
        });
    };

    said(&program, "rejected_execution_exception");
    more(200);
    node.block("write", &json!(true));
    said(&program, "403: cluster_block_exception");
    more(200);
    node.block("write", &Value::Null);
    more(100);
    node.block("read_only_allow_delete", &json!(true));
    said(&program, "429: cluster_block_exception");
    more(100);
    node.block("read_only_allow_delete", &Value::Null);
    more(200);
    let port = node.kill();
    said(&program, "shipping failed");
    more(600);
    let node = Node::start(&folder, engine, &port);
    said(&program, "shipping recovered");
    // What has waited meanwhile makes requests that are too large.
    said(&program, "the bulk is too large for the server: splitting it in half");
    more(200);

    program.signal("TERM");
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
    let log = program.read("stderr");
    for recorder in RECORDERS {
        let ledger = log.lines().rfind(|line| line.contains("ledger: made") && line.contains(recorder));
        eprintln!("{engine}: {}", ledger.expect("a ledger"));
        let stored = node.stored(recorder);
        let twice: Vec<_> = stored.iter().filter(|(_, times)| **times != 1).collect();
        assert!(twice.is_empty(), "{recorder}: stored twice: {twice:?}");
        for (number, app) in apps.iter().enumerate() {
            // A poll that was under way at the end may have become no document.
            let polls = app.polls.load(Ordering::SeqCst).saturating_sub(1);
            let missing: Vec<u64> =
                (0..polls).filter(|seq| !stored.contains_key(&(format!("app_{number}"), *seq))).collect();
            assert!(missing.is_empty(), "{recorder}: of app_{number} are missing: {missing:?}");
        }
        assert!(ledger.is_some_and(|ledger| ledger.contains("dropped 0 + waiting 0")), "{ledger:?}");
    }
}
