//! Several hosts of one cluster, over real sockets and with one store behind all of them; and compressed bulks.

#![allow(clippy::disallowed_methods, reason = "the hosts of the test have clocks of their own")]
#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Request, Reserved, Server, Store, counting_app, wait_until};
use program::Program;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How a host behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Well,
    /// Takes a bulk in and dies before it has answered; whatever else it is asked, it hangs up.
    Dying,
    /// Answers questions, and takes a bulk in without ever answering it.
    Hung,
    /// Any of these, and pages that are no answer, drawn anew for each request.
    Moody(u64),
    /// Answers every bulk with this, and a `Retry-After` if it is not 0.
    Refusing(u16, u64),
}

/// One host of a cluster.
#[derive(Clone)]
struct Host {
    mode: Arc<Mutex<Mode>>,
    /// When bulks came, whatever became of them.
    bulks: Arc<Mutex<Vec<Instant>>>,
    /// Bulks that it has answered as taken.
    taken: Arc<AtomicUsize>,
    store: Arc<Mutex<Store>>,
}

impl Host {
    fn new(store: &Arc<Mutex<Store>>) -> Self {
        let mode = Arc::new(Mutex::new(Mode::Well));
        Self { mode, bulks: Arc::default(), taken: Arc::default(), store: Arc::clone(store) }
    }

    fn start(store: &Arc<Mutex<Store>>) -> (Self, Server) {
        let host = Self::new(store);
        let answering = host.clone();
        (host, Server::bare(move |request| answering.answer(request)))
    }

    fn answer(&self, request: &Request) -> Reply {
        let mode = self.mode();
        let is_bulk = request.method == "POST";
        if is_bulk {
            self.bulks.lock().expect("the list").push(Instant::now());
        }
        match (mode, is_bulk) {
            (Mode::Dying, false) => Reply::Raw(Vec::new()),
            (_, false) if request.target == "/" => Reply::ok(r#"{"version":{"number":"9.0.4"}}"#),
            (_, false) => Reply::ok("{}"),
            (Mode::Well, true) => {
                let reply = self.take(request);
                self.taken.fetch_add(1, Ordering::SeqCst);
                reply
            }
            (Mode::Dying, true) => {
                self.take(request);
                Reply::Raw(Vec::new())
            }
            (Mode::Hung, true) => {
                self.take(request);
                Reply::Hang(Vec::new())
            }
            (Mode::Refusing(200, _) | Mode::Moody(_), true) => Reply::ok("<html>OK</html>"),
            (Mode::Refusing(status, after), true) => {
                let pause = if after == 0 { String::new() } else { format!("Retry-After: {after}\r\n") };
                Reply::Full(status, pause, Vec::new())
            }
        }
    }

    fn mode(&self) -> Mode {
        let mut mode = self.mode.lock().expect("the mode");
        let Mode::Moody(seed) = &mut *mode else { return *mode };
        let mut random = fastrand::Rng::with_seed(*seed);
        *seed = random.u64(..);
        match random.u8(..20) {
            0..3 => Mode::Dying,
            3 => Mode::Hung,
            4..6 => Mode::Refusing(429, 0),
            6..8 => Mode::Refusing(503, 0),
            8..10 => Mode::Refusing(200, 0),
            _ => Mode::Well,
        }
    }

    fn take(&self, request: &Request) -> Reply {
        self.store.lock().expect("the store").take(&request.unpacked(), |_| None)
    }

    fn turn(&self, mode: Mode) {
        *self.mode.lock().expect("the mode") = mode;
    }

    fn bulks(&self) -> usize {
        self.bulks.lock().expect("the list").len()
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// Waits until it has taken so many more.
    fn wait_for(&self, more: usize) {
        let before = self.taken();
        wait_until("the host takes bulks", || self.taken() >= before + more);
    }
}

/// Ships what one application says to these hosts; `more` are further keys of the recorder.
fn start(hosts: &[&str], more: &str) -> (Program, Server) {
    let app = counting_app();
    let hosts: Vec<String> = hosts.iter().map(|host| format!("\"{host}\"")).collect();
    let config = format!(
        "settings: {{log_level: debug}}\n\
         readers: {{app: {{type_name: app, endpoint: \"{}\", interval: 10ms}}}}\n\
         recorders: {{es: {{endpoint: [{}], index_name: i, timeout: 500ms{more}}}}}\n\
         routes: {{r: {{readers: [app], recorders: [es]}}}}\n",
        app.address,
        hosts.join(", ")
    );
    (Program::start(&[], &config), app)
}

/// Ends it; gives the ledger line and the whole log. Each document must be in the store once, and none be missing.
fn finish(mut program: Program, store: &Mutex<Store>) -> String {
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    let log = program.read("stderr");
    let store = store.lock().expect("the store");
    let numbers: Vec<u64> =
        store.documents.values().map(|document| document["poll_seq"].as_u64().expect("a number")).collect();
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "no document twice");
    let count = |name: &str| ledger(&log, name);
    assert_eq!(count("made"), numbers.len() as u64, "nothing is missing");
    assert_eq!(count("made"), count("acked") + count("duplicate"), "the ledger balances");
    log
}

fn ledger(log: &str, name: &str) -> u64 {
    let line = log.lines().rfind(|line| line.contains("made")).expect("a ledger");
    let at = line.find(name).unwrap_or_else(|| panic!("{name} in {line}")) + name.len();
    let digits: String =
        line[at..].chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

#[test]
fn a_host_that_dies_and_comes_back_costs_nothing() {
    let store = Arc::default();
    let ((one, first), (two, second)) = (Host::start(&store), Host::start(&store));
    let (program, _app) = start(&[&first.address, &second.address], ", backoff: 1");
    one.wait_for(3);
    two.wait_for(3);
    let before = one.bulks();
    one.turn(Mode::Dying);
    wait_until("it has died with a bulk", || one.bulks() > before);
    two.wait_for(10);
    one.turn(Mode::Well);
    one.wait_for(3);
    let log = finish(program, &store);
    assert!(ledger(&log, "duplicate") > 0, "what died half-sent went to the other\n{log}");
    assert!(!log.contains("down; retrying") && !log.contains("shipping failed"), "{log}");
    assert!(log.contains(&format!("a host failed, shipping to the others: {}", first.address)), "{log}");
    assert!(log.contains(&format!("{} accepts bulks again after ", first.address)), "{log}");
}

#[test]
fn a_host_that_is_not_there_yet_is_found_when_it_comes() {
    let absent = Reserved::new();
    let store = Arc::default();
    let (one, first) = Host::start(&store);
    let two = Host::new(&store);
    let (program, _app) = start(&[&absent.address, &first.address], ", backoff: 1");
    one.wait_for(10);
    let answering = two.clone();
    let _late = Server::bare_on(absent.listen(), move |request| answering.answer(request));
    two.wait_for(3);
    let log = finish(program, &store);
    assert!(!log.contains("down; retrying") && !log.contains("shipping failed"), "{log}");
    assert!(log.contains(&format!("connection refused by {}", absent.address)), "{log}");
}

#[test]
fn all_hosts_may_go_and_come_back() {
    let store = Arc::default();
    let ((one, first), (two, second)) = (Host::start(&store), Host::start(&store));
    let (program, _app) = start(&[&first.address, &second.address], "");
    one.wait_for(1);
    two.wait_for(1);
    one.turn(Mode::Dying);
    two.turn(Mode::Dying);
    wait_until("the recorder has failed", || program.read("stderr").contains("shipping failed"));
    two.turn(Mode::Well);
    two.wait_for(3);
    one.turn(Mode::Well);
    one.wait_for(3);
    let log = finish(program, &store);
    assert!(log.contains("shipping recovered after"), "{log}");
}

#[test]
fn a_host_that_hangs_is_tried_seldom_while_the_other_works() {
    let store = Arc::default();
    let ((one, first), (two, second)) = (Host::start(&store), Host::start(&store));
    let (program, _app) = start(&[&first.address, &second.address], "");
    one.wait_for(1);
    one.turn(Mode::Hung);
    let before = one.bulks();
    wait_until("it has hung twice", || one.bulks() >= before + 2);
    two.wait_for(10);
    let log = finish(program, &store);
    assert!(!log.contains("shipping failed"), "{log}");
    // A bulk waits for half a second, then the host rests four times as long; the first may have been noticed late.
    let tried = one.bulks.lock().expect("the list")[before..].to_vec();
    for pair in tried.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(2300), "{:?}", pair[1] - pair[0]);
    }
}

#[test]
fn a_host_that_refuses_rests_while_the_other_takes_everything() {
    for (status, after) in [(429, 0), (503, 0), (503, 3600), (429, 3600)] {
        let store = Arc::default();
        let ((one, first), (two, second)) = (Host::start(&store), Host::start(&store));
        one.turn(Mode::Refusing(status, after));
        let (program, _app) = start(&[&first.address, &second.address], ", backoff: 1");
        wait_until("it has refused a bulk", || one.bulks() > 0);
        two.wait_for(20);
        let log = finish(program, &store);
        assert_eq!(one.taken(), 0);
        assert!(!log.contains("down; retrying") && !log.contains("shipping failed"), "{log}");
        if after > 0 {
            assert_eq!(one.bulks(), 1, "its pause is kept");
        }
        assert!(log.contains(&format!("{}: status {status}", first.address)), "{log}");
    }
}

/// Whatever two hosts do, each document is stored once.
#[test]
fn moody_hosts_lose_and_double_nothing() {
    std::thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || {
                let store = Arc::default();
                let ((one, first), (two, second)) = (Host::start(&store), Host::start(&store));
                one.turn(Mode::Moody(seed));
                two.turn(Mode::Moody(100 + seed));
                let (program, _app) = start(&[&first.address, &second.address], ", compression: gzip");
                one.wait_for(8);
                two.wait_for(8);
                one.turn(Mode::Well);
                two.turn(Mode::Well);
                one.wait_for(3);
                two.wait_for(3);
                finish(program, &store);
            });
        }
    });
}

#[test]
fn setup_asks_the_first_host_that_answers() {
    let store = Arc::default();
    let (_host, server) = Host::start(&store);
    let (gone, gone_too) = (Reserved::new(), Reserved::new());
    let said = |second: &str| {
        let config = format!(
            "readers: {{app: {{type: self, type_name: app}}}}\n\
             recorders: {{es: {{endpoint: [\"{}\", \"{second}\"]}}}}\n\
             routes: {{r: {{readers: app, recorders: es}}}}\n",
            gone.address
        );
        let mut program = Program::start(&["setup"], &config);
        (program.wait(), program.read("stdout") + &program.read("stderr"))
    };
    let (status, text) = said(&server.address);
    assert!(text.starts_with("es: Elasticsearch 9.0: "), "{text}");
    assert_eq!(status, Some(0), "{text}");
    let (status, text) = said(&gone_too.address);
    assert_eq!(status, Some(1), "{text}");
    for host in [&gone.address, &gone_too.address] {
        assert!(text.contains(&format!("connection refused by {host}")), "{text}");
    }
}

#[test]
fn bulks_are_compressed_where_the_configuration_says_so() {
    for (host, more, is_packed) in [
        ("127.0.0.1", "", false),
        ("127.0.0.1", ", compression: none", false),
        ("127.0.0.1", ", compression: gzip", true),
        // Names of this machine: one that is known, and one whose address only the connection tells.
        ("es.localhost", "", false),
        ("127.1", "", false),
    ] {
        let store = Arc::new(Mutex::new(Store::default()));
        let (stored, seen) = (Arc::clone(&store), Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&seen);
        let server = Server::start(move |request| {
            let plain = request.unpacked();
            kept.lock().expect("the list").push((request.is_packed(), request.body.len(), plain.len()));
            stored.lock().expect("the store").take(&plain, |_| None)
        });
        // The pages of one instant make a bulk that is long enough, after a first one that may be short.
        let program = start_many(&server.address.replace("127.0.0.1", host), more);
        wait_until("long bulks have come", || {
            seen.lock().expect("the list").iter().filter(|(_, _, plain)| *plain >= 1024).count() >= 3
        });
        finish(program.0, &store);
        let first_bulks = usize::from(host == "127.1");
        let seen = seen.lock().expect("the list");
        for &(packed, sent, plain) in seen.iter().filter(|(_, _, plain)| *plain > 0).skip(first_bulks) {
            assert_eq!(packed, is_packed && plain >= 1024, "{host}{more}: {sent} of {plain} bytes");
            assert!(if packed { sent * 3 < plain } else { sent == plain }, "{host}{more}: {sent} of {plain} bytes");
        }
    }
}

/// A server that refuses compressed bulks with a status, as `refuses` says by their number; and whether the bulks so far
/// were compressed.
#[allow(clippy::type_complexity, reason = "a server, what it stores, and which requests were compressed")]
fn unpacking(
    refuses: impl Fn(usize) -> Option<u16> + Send + Sync + 'static,
) -> (Server, Arc<Mutex<Store>>, Arc<Mutex<Vec<bool>>>) {
    let (store, bulks) = (Arc::new(Mutex::new(Store::default())), Arc::new(Mutex::new(Vec::new())));
    let (stored, seen) = (Arc::clone(&store), Arc::clone(&bulks));
    let server = Server::start(move |request| {
        let is_packed = request.is_packed();
        let mut seen = seen.lock().expect("the list");
        let number = seen.iter().filter(|packed| **packed).count();
        seen.push(is_packed);
        if let Some(status) = refuses(number).filter(|_| is_packed) {
            return Reply::Full(status, String::new(), b"Illegal character ((CTRL-CHAR, code 31))".to_vec());
        }
        stored.lock().expect("the store").take(&request.unpacked(), |_| None)
    });
    (server, store, bulks)
}

#[test]
fn a_server_that_takes_no_compressed_bulks_gets_them_as_they_are() {
    for (status, tries) in [(415, 1), (400, 2)] {
        let (server, store, bulks) = unpacking(move |_| Some(status));
        let program = start_many(&server.address, ", compression: gzip");
        wait_until("documents are stored", || store.lock().expect("the store").documents.len() > 40);
        let log = finish(program.0, &store);
        // Each that was refused went once more as it was. One alone may have been refused for something else.
        let bulks = bulks.lock().expect("the list");
        assert_eq!(bulks.iter().take(99).filter(|packed| **packed).count(), tries, "{status}: {bulks:?}");
        let lines = log.lines().filter(|line| line.contains("does not accept compressed bulks")).count();
        assert_eq!(lines, 1, "{log}");
        assert!(!log.contains("shipping failed"), "{log}");
    }
}

#[test]
fn one_400_does_not_end_compression() {
    let (server, store, bulks) = unpacking(|number| (number == 0).then_some(400));
    let program = start_many(&server.address, ", compression: gzip");
    wait_until("bulks are compressed all the same", || bulks.lock().expect("the list").len() > 20);
    let log = finish(program.0, &store);
    let bulks = bulks.lock().expect("the list");
    let plain = bulks.iter().filter(|packed| !**packed).count();
    assert!(plain <= 2, "the one that was refused, and perhaps a last short one: {bulks:?}");
    assert!(!log.contains("does not accept compressed bulks"), "{log}");
}

#[test]
fn a_server_that_has_learned_it_gets_compressed_bulks_again() {
    let (server, store, bulks) = unpacking(|number| (number < 2).then_some(400));
    let program = start_many(&server.address, ", compression: gzip");
    let packed = || bulks.lock().expect("the list").iter().filter(|packed| **packed).count();
    wait_until("it is tried again, and gone on with", || packed() > 5);
    let plain = bulks.lock().expect("the list").iter().filter(|packed| !**packed).count();
    assert!(plain >= 100, "it got {plain} as they are before");
    finish(program.0, &store);
}

/// Ships long documents to one server.
fn start_many(address: &str, more: &str) -> (Program, Server) {
    let polls = AtomicUsize::new(0);
    let app = Server::start(move |_| {
        let seq = polls.fetch_add(1, Ordering::SeqCst);
        Reply::ok(format!("{{\"poll_seq\":{seq},\"ballast\":\"{}\"}}", "x".repeat(2000)))
    });
    let config = format!(
        "settings: {{log_level: debug}}\n\
         readers: {{app: {{type_name: app, endpoint: \"{}\", interval: 10ms}}}}\n\
         recorders: {{es: {{endpoint: \"{address}\", index_name: i{more}}}}}\n\
         routes: {{r: {{readers: [app], recorders: [es]}}}}\n",
        app.address
    );
    (Program::start(&[], &config), app)
}
