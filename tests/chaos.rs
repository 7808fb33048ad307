//! Real servers behind a proxy that fails in every way a network can, while the program is killed, stopped and made to
//! reload changed configurations at random moments. At the end, every document that must not be lost is stored exactly once.
//!
//! One of the two ways to each server is plain, by number; the other one is TLS, by name.
//!
//! Requires what `tests/real_servers.rs` wants. `EXPVASTIC_CHAOS_SECONDS` says how long each server is tried (30 by default;
//! `ci/validate` sets ten minutes); run it with `cargo test --test chaos -- --nocapture`.
#![forbid(unsafe_code)]
#![cfg(feature = "tls")]
#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "a test has a clock, and threads")]
#![allow(clippy::print_stderr, reason = "a test that takes long says what it has seen")]

#[path = "support/flatten_twin.rs"]
mod flatten_twin;
#[path = "support/http.rs"]
mod http;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/polled_app.rs"]
mod polled_app;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/program.rs"]
mod program;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/server.rs"]
mod server;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/tls_front.rs"]
mod tls_front;

use loopback::wait_until;
use polled_app::{App, Doubt};
use processes::Workdir;
use program::Program;
use proxy::{Fault, Proxy};
use rustls::HandshakeKind;
use serde_json::{Value, json};
use server::Server;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tls::{Authority, TlsServer};

const SYNC: Duration = Duration::from_millis(100);
/// Polls in which the program, whose one thread does both, has to save what is due: half a second, if nothing holds it up.
const POLLS_TO_SAVE: usize = 25;
/// How long a changed configuration may take to be in force.
const RELOAD_MAX: Duration = Duration::from_secs(3);
/// Documents of one index that are looked at, more than there are.
const DOCUMENTS_MAX: usize = 300_000;
/// Recorders that exist in each configuration, and one that comes and goes. Each has an index and a spool of its name.
const LASTING: [&str; 2] = ["one", "two"];
const PASSING: &str = "passing";
const TRUST: &str = "tls: {ca_file: ca.crt}";
const READERS: [&str; 2] = ["a", "b"];

#[test]
fn opensearch_2_stores_each_poll_once_through_kills_and_reloads() {
    Chaos::start("opensearch-2", 1).run();
}

#[test]
fn elasticsearch_9_stores_each_poll_once_through_kills_and_reloads() {
    Chaos::start("elasticsearch-9", 2).run();
}

fn duration() -> Duration {
    let seconds = std::env::var("EXPVASTIC_CHAOS_SECONDS").map_or(30, |text| text.parse().expect("seconds"));
    Duration::from_secs(seconds)
}

struct Chaos {
    engine: &'static str,
    _folder: Workdir,
    server: Server,
    ca: Authority,
    /// In front of the server.
    secured: TlsServer,
    /// In front of the server, and in front of that one.
    proxies: [Proxy; 2],
    /// The endpoints of the readers `a` and `b`.
    apps: [App; 2],
    random: fastrand::Rng,
    /// The number of the configuration, which decides what it says.
    version: usize,
    /// The number of the process.
    run: usize,
    doubts: [Vec<Doubt>; 2],
    seen: Seen,
}

/// How often what was done.
#[derive(Debug, Default)]
struct Seen {
    kills: usize,
    stops: usize,
    reloads: usize,
    /// Processes that found documents on disk when they started.
    recoveries: usize,
    memory_kb_max: u64,
}

impl Chaos {
    fn start(engine: &'static str, seed: u64) -> Self {
        let folder = Workdir::new(engine);
        let server = Server::start(&folder, engine);
        let settings = json!({"settings": {"number_of_replicas": 0, "index.max_result_window": DOCUMENTS_MAX}});
        for index in LASTING.iter().chain([&PASSING]) {
            http::put(&server.address, &format!("/{index}"), &settings.to_string());
        }
        let ca = Authority::new("ca");
        let secured = tls_front::start(&server.address, &ca.issue());
        let secured_address = format!("127.0.0.1:{}", secured.port);
        let proxies = [Proxy::start(&server.address, 2 * seed), Proxy::start(&secured_address, 2 * seed + 1)];
        Self {
            engine,
            _folder: folder,
            server,
            ca,
            secured,
            proxies,
            apps: [App::start(), App::start()],
            random: fastrand::Rng::with_seed(seed),
            version: 0,
            run: 0,
            doubts: [Vec::new(), Vec::new()],
            seen: Seen::default(),
        }
    }

    /// Each version changes recorders that have documents under way; every third one is without the recorder [`PASSING`].
    fn config(&self) -> String {
        let (version, run) = (self.version, self.run);
        let [a, b] = [0, 1].map(|at| format!("{}/?run={run}", self.apps[at].server.address));
        let first = self.proxies[0].address.as_str();
        let second = self.proxies[1].address.replace("127.0.0.1", "https://localhost");
        let spool = |name: &str| format!("timeout: 5s, spool: {{path: {name}, sync: {}ms}}", SYNC.as_millis());
        let passing = if version % 3 == 0 {
            (String::new(), "")
        } else {
            (
                format!("\n  passing: {{endpoint: \"{second}\", index_name: passing, {TRUST}, {}}}", spool(PASSING)),
                ", passing",
            )
        };
        format!(
            "settings: {{shutdown_timeout: 5s}}\n\
             readers:\n  a: {{type_name: a, endpoint: \"{a}\", interval: 20ms, timeout: 2s}}\n  \
               b: {{type_name: b, endpoint: \"{b}\", interval: {}ms, timeout: 2s}}\n\
             recorders:\n  one: {{endpoint: \"{first}\", index_name: one, backoff: {}, dead_letter: dead.ndjson, {}}}\n  \
               two: {{endpoint: [\"{first}\", \"{second}\"], index_name: two, {TRUST}, compression: {}, {}}}\n  \
               file: {{type: file, path: out.ndjson, index_name: file, bytes: 1GiB}}{}\n\
             routes: {{r: {{readers: [a, b], recorders: [one, two, file{}]}}}}\n",
            30 + version % 3,
            1000 + version % 2,
            spool("one"),
            if version % 2 == 0 { "none" } else { "gzip" },
            spool("two"),
            passing.0,
            passing.1,
        )
    }

    fn run(mut self) {
        let mut program = self.begun(Program::start_prepared(&self.config(), |folder| {
            std::fs::write(folder.join("ca.crt"), &self.ca.pem).expect("written");
        }));
        let end = Instant::now() + duration();
        while Instant::now() < end {
            self.proxies.iter().for_each(|proxy| proxy.set(Fault::any(&mut self.random)));
            // What is tried is a moment: the pause waits for nothing.
            std::thread::sleep(Duration::from_millis(self.random.u64(20..1500)));
            assert!(program.is_running(), "it ended by itself: {}", program.read("stderr"));
            self.seen.memory_kb_max = self.seen.memory_kb_max.max(program.status("VmHWM"));
            program = match self.random.u8(..20) {
                0..3 => self.kill(program),
                3..5 => self.stop(program),
                5..12 => self.reload(program),
                _ => program,
            };
        }
        self.proxies.iter().for_each(|proxy| proxy.set(Fault::None));
        // The last configuration has every recorder, so that each spool is emptied.
        self.version = 1;
        program = self.reload(program);
        // Else a busy machine has documents on their way at any moment.
        self.apps.iter().for_each(App::end);
        let is_empty = |program: &Program, name: &str| {
            let Ok(files) = std::fs::read_dir(program.path(name)) else { return true };
            files.flatten().all(|file| file.path().extension().is_none_or(|kind| kind != "ndjson"))
        };
        let names: Vec<&str> = LASTING.iter().copied().chain([PASSING]).collect();
        wait_until("what waits is delivered", || names.iter().all(|name| is_empty(&program, name)));
        self.doubt(Duration::ZERO, 0);
        let log = ended(&mut program);
        self.seen.recoveries += usize::from(log.contains("recovered from the spool"));
        assert!(log.lines().filter(|line| line.contains("ledger: ")).all(|line| line.contains("waiting 0")), "{log}");
        self.check(&program);
    }

    /// What is polled from now on may have made no document, and what was polled `before` that with fewer than `polls` behind it.
    fn doubt(&mut self, before: Duration, polls: usize) {
        let doubt = Doubt { run: self.run, at: Instant::now(), before, polls, after: None };
        self.doubts.iter_mut().for_each(|doubts| doubts.push(doubt));
    }

    fn kill(&mut self, mut program: Program) -> Program {
        self.doubt(SYNC, POLLS_TO_SAVE);
        program.kill();
        self.seen.kills += 1;
        self.start_again(program)
    }

    fn stop(&mut self, mut program: Program) -> Program {
        self.doubt(Duration::ZERO, 0);
        ended(&mut program);
        self.seen.stops += 1;
        self.start_again(program)
    }

    fn start_again(&mut self, program: Program) -> Program {
        let log = program.read("stderr");
        assert!(!log.contains("panicked"), "{log}");
        self.seen.recoveries += usize::from(log.contains("recovered from the spool"));
        self.run += 1;
        let program = program.start_again(&[], &self.config());
        self.begun(program)
    }

    /// Waits until the program polls: before it catches signals, SIGHUP would end it.
    fn begun(&self, program: Program) -> Program {
        wait_until("it polls", || self.apps.iter().all(|app| app.polls_of(self.run) > 0));
        program
    }

    /// Up to four signals for one change, as impatient people send them.
    fn reload(&mut self, program: Program) -> Program {
        self.version += 1;
        std::fs::write(program.path("conf.yml"), self.config()).expect("written");
        // The reader `b` changes, and a poll of it that is under way then makes no document.
        let doubt =
            Doubt { run: self.run, at: Instant::now(), before: Duration::ZERO, polls: 0, after: Some(RELOAD_MAX) };
        self.doubts[1].push(doubt);
        for _ in 0..self.random.u8(1..5) {
            program.signal("HUP");
        }
        self.seen.reloads += 1;
        program
    }

    /// What is stored: each poll by its reader and number, with how often.
    fn stored(&self, index: &str) -> BTreeMap<(String, u64), usize> {
        let address = &self.server.address;
        http::post(address, &format!("/{index}/_refresh"), "");
        let query = json!({"size": DOCUMENTS_MAX, "_source": ["poll_seq", "service.name"]});
        let answer = server::parsed(&http::post(address, &format!("/{index}/_search"), &query.to_string()));
        let mut stored = BTreeMap::new();
        for hit in answer["hits"]["hits"].as_array().expect("hits") {
            *stored.entry(poll_of(&hit["_source"])).or_insert(0) += 1;
        }
        stored
    }

    fn check(&self, program: &Program) {
        let polls: Vec<u64> = self.apps.iter().map(App::polls).collect();
        let doubtful: Vec<BTreeSet<u64>> =
            self.apps.iter().zip(&self.doubts).map(|(app, doubts)| app.doubtful(doubts)).collect();
        let mut lost = Vec::new();
        for index in LASTING.iter().chain([&PASSING]) {
            let stored = self.stored(index);
            let twice: Vec<_> = stored.iter().filter(|(_, times)| **times != 1).take(20).collect();
            assert!(twice.is_empty(), "{}: {index}: polls stored twice: {twice:?}", self.engine);
            if *index == PASSING {
                continue;
            }
            for (at, reader) in READERS.iter().enumerate() {
                let absent = (0..polls[at]).filter(|number| !stored.contains_key(&((*reader).to_owned(), *number)));
                let absent: Vec<u64> = absent.collect();
                let missing: Vec<u64> =
                    absent.iter().copied().filter(|number| !doubtful[at].contains(number)).collect();
                assert!(missing.is_empty(), "{}: {index}: of {reader} are missing: {missing:?}", self.engine);
                lost.push(absent.len());
            }
        }
        let text = program.read("out.ndjson");
        let mut in_file = BTreeSet::new();
        for document in program.documents("out.ndjson") {
            let poll = poll_of(&document);
            assert!(in_file.insert(poll.clone()), "{}: {poll:?} is in the file twice", self.engine);
        }
        assert!(text.ends_with('\n') && !in_file.is_empty(), "{}: the file ends with a whole line", self.engine);
        let Self { engine, seen, .. } = self;
        let required: Vec<usize> =
            (0..2).map(|at| usize::try_from(polls[at]).expect("small") - doubtful[at].len()).collect();
        let handshakes = self.secured.handshakes();
        let resumed = handshakes.iter().filter(|kind| **kind == HandshakeKind::Resumed).count();
        assert!(!handshakes.is_empty(), "{engine}: nothing was shipped over TLS");
        let tls = format!("{} handshakes, {resumed} of them resumed", handshakes.len());
        eprintln!("{engine}: {seen:?}; {tls}; polls {polls:?}, required {required:?}, absent {lost:?}");
        assert!(required[0] > usize::try_from(polls[0] / 4).expect("small"), "most polls are doubtful");
    }
}

fn poll_of(document: &Value) -> (String, u64) {
    let service = document["service.name"].as_str().or_else(|| document["service"]["name"].as_str());
    (service.expect("a service").to_owned(), document["poll_seq"].as_u64().expect("a number"))
}

/// Stops the program, which must leave nothing behind that is in no spool; gives its log.
fn ended(program: &mut Program) -> String {
    program.signal("TERM");
    let code = program.wait();
    let log = program.read("stderr");
    assert_eq!(code, Some(0), "{log}");
    let ledgers: Vec<&str> = log.lines().filter(|line| line.contains("ledger: made ")).collect();
    assert!(ledgers.len() >= LASTING.len(), "{log}");
    for ledger in ledgers {
        let sum = ledger.split_once("ledger: ").expect("a ledger").1;
        let number = |name: &str| -> u64 {
            let rest = sum.split_once(&format!("{name} ")).unwrap_or_else(|| panic!("no {name} in {sum}")).1;
            rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
        };
        let ways = ["acked", "duplicate", "dead_lettered", "dropped", "waiting"].map(number);
        assert_eq!(number("made"), ways.iter().sum::<u64>(), "{sum}");
        assert_eq!(ways[2] + ways[3], 0, "nothing is dropped or refused for good: {sum}\n{log}");
    }
    log
}
