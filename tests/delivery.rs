//! What becomes of every document if the server is slow, unreachable or overloaded, or answers nonsense. Uses the library over
//! real sockets.

#![allow(clippy::format_push_string, reason = "a configuration is put together for reading, not for speed")]
#![allow(clippy::disallowed_methods, reason = "threads of the test, not of the shipper")]
#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;

use expvastic::{Config, Engine, Ledger, Reader, Recorder, Report, start_engines};
use loopback::{Reply, Request, Reserved, Server, Store, counting_app, sequence, storing_server, until, wait_until};
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const POLLS: usize = 30;

fn app_reader(app: &Server) -> Reader {
    Reader::expvar("app", "app", &app.address).expect("an address").interval(Duration::from_millis(10))
}

fn es_recorder(address: &str) -> Recorder {
    Recorder::elasticsearch("es", address, "i").expect("an address").timeout(Duration::from_millis(500))
}

/// Ships `POLLS` documents to a server at `address`; the ledger of its recorder.
fn ship(address: &str) -> Ledger {
    ship_by(es_recorder(address))
}

fn ship_by(recorder: Recorder) -> Ledger {
    let app = counting_app();
    let engine = Engine::with_reader_recorders(app_reader(&app), vec![recorder]).expect("an engine");
    only_ledger(&engine.polls(POLLS as u64).start(pending()).expect("it runs"))
}

fn only_ledger(report: &Report) -> Ledger {
    assert_eq!(report.ledgers.len(), 1);
    let ledger = report.ledgers[0].1;
    assert!(ledger.balances(), "{ledger}");
    ledger
}

/// A server that answers its first bulks as `script` says, and stores the rest.
fn scripted(
    script: impl Fn(usize, &Request, &mut Store) -> Option<Reply> + Send + Sync + 'static,
) -> (Server, Arc<Mutex<Store>>) {
    let store = Arc::new(Mutex::new(Store::default()));
    let (stored, bulks) = (Arc::clone(&store), AtomicUsize::new(0));
    let server = Server::start(move |request| {
        let mut store = stored.lock().expect("the store");
        let number = bulks.fetch_add(1, Ordering::SeqCst);
        script(number, request, &mut store).unwrap_or_else(|| store.take(&request.body, |_| None))
    });
    (server, store)
}

type Script = fn(usize, &Request, &mut Store) -> Option<Reply>;

fn status(status: u16) -> Reply {
    Reply::Full(status, String::new(), Vec::new())
}

/// Answers and takes in, but lets only half of the answer out.
fn half_an_answer(request: &Request, store: &mut Store) -> Reply {
    let Reply::Full(_, _, body) = store.take(&request.body, |_| None) else { panic!("an answer") };
    Reply::Full(200, String::new(), body[..body.len() / 2].to_vec())
}

fn trickled(request: &Request, store: &mut Store, pause: Duration) -> Reply {
    let Reply::Full(_, _, body) = store.take(&request.body, |_| None) else { panic!("an answer") };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    Reply::Trickle([head.into_bytes(), body].concat(), pause)
}

fn refuse_every_second(request: &Request, store: &mut Store, refusal: (u16, &'static str)) -> Reply {
    store.take(&request.body, |position| Some(refusal).filter(|_| position % 2 == 0))
}

/// What the first answers are; `None` is a good one.
const SCRIPTS: [(&str, Script); 20] = [
    ("well at once", |_, _, _| None),
    ("503 three times", |number, _, _| (number < 3).then(|| status(503))),
    ("429 for the whole request", |number, _, _| (number < 2).then(|| status(429))),
    ("429 with a time", |number, _, _| {
        (number < 1).then(|| Reply::Full(429, "Retry-After: 1\r\n".to_owned(), Vec::new()))
    }),
    ("429 with a date, by a clock of its own", |number, _, _| {
        (number < 1).then(|| {
            let fields = "Date: Sun, 06 Nov 1994 08:49:36 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
            Reply::Full(429, fields.to_owned(), Vec::new())
        })
    }),
    ("a proxy's page with 200", |number, _, _| (number < 2).then(|| Reply::ok("<html>OK</html>"))),
    ("an empty 200", |number, _, _| (number < 2).then(|| Reply::ok(""))),
    ("an answer to another bulk", |number, _, _| (number < 2).then(|| Reply::ok(r#"{"errors":false,"items":[]}"#))),
    ("closed before a response", |number, _, _| (number < 2).then(|| Reply::Raw(Vec::new()))),
    ("taken in, but the answer is lost", |number, request, store| {
        (number < 2).then(|| {
            store.take(&request.body, |_| None);
            Reply::Raw(Vec::new())
        })
    }),
    ("taken in, but the answer is cut off", |number, request, store| {
        (number < 2).then(|| half_an_answer(request, store))
    }),
    ("taken in, but the answer hangs half-way", |number, request, store| {
        (number < 1).then(|| {
            let Reply::Full(_, _, body) = half_an_answer(request, store) else { panic!("an answer") };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len() * 2);
            Reply::Hang([head.into_bytes(), body].concat())
        })
    }),
    ("a hang", |number, _, _| (number < 1).then(|| Reply::Hang(Vec::new()))),
    ("an answer that trickles in", |number, request, store| {
        (number < 2).then(|| trickled(request, store, Duration::from_millis(2)))
    }),
    ("taken in, but the answer trickles for too long", |number, request, store| {
        (number < 1).then(|| trickled(request, store, Duration::from_millis(50)))
    }),
    ("every second item gets 429", |number, request, store| {
        (number < 4).then(|| refuse_every_second(request, store, (429, "es_rejected_execution_exception")))
    }),
    ("every second item gets 503", |number, request, store| {
        (number < 4).then(|| refuse_every_second(request, store, (503, "unavailable_shards_exception")))
    }),
    ("every second item meets a blocked index", |number, request, store| {
        (number < 4).then(|| refuse_every_second(request, store, (403, "cluster_block_exception")))
    }),
    ("requests of more than two documents are too large", |_, request, _| {
        (loopback::bulk_documents(&request.body).len() > 2).then(|| status(413))
    }),
    ("one after the other", |number, request, store| match number {
        0 => Some(status(502)),
        1 => Some(refuse_every_second(request, store, (429, "es_rejected_execution_exception"))),
        2 => Some(half_an_answer(request, store)),
        3 => (loopback::bulk_documents(&request.body).len() > 1).then(|| status(413)),
        4 => Some(Reply::Raw(Vec::new())),
        _ => None,
    }),
];

/// Each script, without a spool and with one, all at the same time.
#[test]
fn each_document_arrives_once_whatever_the_first_answers_are() {
    std::thread::scope(|scope| {
        for (name, script) in SCRIPTS {
            scope.spawn(move || {
                check_script(name, script, |recorder| recorder);
                let folder = tempfile::tempdir().expect("a folder");
                let sync = Duration::from_millis(20);
                check_script(name, script, |recorder| recorder.spool(folder.path(), 1 << 20, sync));
                let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder").collect();
                assert_eq!(left.len(), 1, "{name}: nothing but the lock is left: {left:?}");
            });
        }
    });
}

fn check_script(name: &str, script: Script, with: impl FnOnce(Recorder) -> Recorder) {
    let (server, store) = scripted(script);
    let ledger = ship_by(with(es_recorder(&server.address)));
    assert_eq!(ledger.made, POLLS as u64, "{name}");
    assert!(ledger.all_taken(), "{name}: {ledger}");
    assert_eq!(sequence(&store), (0..POLLS as u64).collect(), "{name}");
    // What trickles in may take too long on a busy machine, and is then sent again.
    if !name.starts_with("one after") && name != "an answer that trickles in" {
        let repeated = name.starts_with("taken in");
        assert_eq!(ledger.duplicate > 0, repeated, "{name}: {ledger}");
    }
}

#[test]
fn what_a_person_has_to_mend_is_delivered_when_it_is_mended() {
    std::thread::scope(|scope| {
        for code in [401, 403, 404] {
            scope.spawn(move || {
                let (server, store) = scripted(move |number, _, _| (number < 1).then(|| status(code)));
                let app = counting_app();
                let recorder = es_recorder(&server.address);
                let engine = Engine::with_reader_recorders(app_reader(&app), vec![recorder]).expect("an engine");
                let stored = Arc::clone(&store);
                let mended = until(move || stored.lock().expect("the store").documents.len() >= POLLS);
                let ledger = only_ledger(&engine.start(mended).expect("it runs"));
                assert!(ledger.all_taken(), "{code}: {ledger}");
                assert_eq!(sequence(&store).len() as u64, ledger.made, "{code}");
            });
        }
    });
}

#[test]
fn a_reset_before_the_request_is_read_costs_nothing() {
    let store = Arc::new(Mutex::new(Store::default()));
    let stored = Arc::clone(&store);
    let server =
        Server::start_resetting(3, move |request| stored.lock().expect("the store").take(&request.body, |_| None));
    let ledger = ship(&server.address);
    assert!(ledger.all_taken() && ledger.duplicate == 0, "{ledger}");
    assert_eq!(sequence(&store), (0..POLLS as u64).collect());
}

/// Random scripts over real sockets. Their thousands, without sockets, are in `src/recorder/delivery/tests/scripts.rs`.
#[test]
fn each_document_arrives_once_whatever_the_answers_are_in_whatever_order() {
    let cases = std::env::var("EXPVASTIC_SOCKET_SCRIPTS").map_or(24, |number| number.parse().expect("a number"));
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::SeqCst));
                seeds.take_while(|seed| *seed < cases).for_each(random_script);
            });
        }
    });
}

fn random_script(seed: usize) {
    let random = Mutex::new(fastrand::Rng::with_seed(seed as u64));
    let failing = random.lock().expect("random").usize(1..8);
    let documents_max = random.lock().expect("random").usize(1..40);
    let (server, store) = scripted(move |number, request, store| {
        let mut random = random.lock().expect("random");
        if loopback::bulk_documents(&request.body).len() > documents_max {
            return Some(status(413));
        }
        if number >= failing {
            return None;
        }
        Some(match random.u8(..11) {
            0 => status(*random.choice(&[429, 500, 503]).expect("one")),
            1 => Reply::ok("<html>OK</html>"),
            2 => Reply::ok(""),
            3 => Reply::Raw(Vec::new()),
            4 => Reply::Hang(Vec::new()),
            5 => half_an_answer(request, store),
            6 => trickled(request, store, Duration::from_millis(random.u64(..4))),
            7 => {
                store.take(&request.body, |_| None);
                Reply::Raw(Vec::new())
            }
            _ => store.take(&request.body, |_| match random.u8(..6) {
                0 => Some((429, "es_rejected_execution_exception")),
                1 => Some((503, "unavailable_shards_exception")),
                2 => Some((403, "cluster_block_exception")),
                _ => None,
            }),
        })
    });
    let folder = tempfile::tempdir().expect("a folder");
    let mut recorder = es_recorder(&server.address);
    if seed.is_multiple_of(2) {
        recorder = recorder.spool(folder.path(), 1 << 20, Duration::from_millis(20));
    }
    let app = counting_app();
    let engine = Engine::with_reader_recorders(app_reader(&app), vec![recorder]).expect("an engine");
    let stored = Arc::clone(&store);
    let enough = until(move || (0..POLLS as u64).all(|number| sequence(&stored).contains(&number)));
    let ledger = only_ledger(&engine.start(enough).expect("it runs"));
    assert!(ledger.all_taken(), "script {seed}: {ledger}");
    assert_eq!(sequence(&store).len() as u64, ledger.made, "script {seed}: {ledger}");
}

#[test]
fn a_poisoned_document_is_refused_alone() {
    let (server, store) = scripted(|_, request, store| {
        let bad: Vec<bool> =
            loopback::bulk_documents(&request.body).iter().map(|(_, _, source)| source["poll_seq"] == 7).collect();
        Some(store.take(&request.body, |position| bad[position].then_some((400, "mapper_parsing_exception"))))
    });
    let ledger = ship(&server.address);
    assert_eq!((ledger.acked, ledger.dead_lettered), (POLLS as u64 - 1, 1), "{ledger}");
    let mut expected: BTreeSet<u64> = (0..POLLS as u64).collect();
    expected.remove(&7);
    assert_eq!(sequence(&store), expected);
}

#[test]
fn a_bulk_that_is_too_large_is_halved() {
    // While the first bulk waits for its answer the others gather into one.
    let gathered = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&gathered);
    let (server, store) = scripted(move |number, request, store| {
        let documents = loopback::bulk_documents(&request.body).len();
        if number == 0 {
            return Some(Reply::Hang(Vec::new()));
        }
        seen.fetch_or(documents > 4, Ordering::SeqCst);
        (documents > 4)
            .then(|| Reply::Full(413, String::new(), Vec::new()))
            .or_else(|| Some(store.take(&request.body, |_| None)))
    });
    let ledger = ship(&server.address);
    assert!(gathered.load(Ordering::SeqCst), "there was a bulk to halve");
    assert!(ledger.all_taken(), "{ledger}");
    assert_eq!(sequence(&store).len(), POLLS);
    assert!(store.lock().expect("the store").bulk_sizes.iter().all(|size| *size <= 4));
}

#[test]
fn documents_wait_for_a_server_that_comes_later() {
    let absent = Reserved::new();
    let address = absent.address.clone();
    let app = counting_app();
    let store = Arc::new(Mutex::new(Store::default()));
    let (polls, stored) = (Arc::clone(&app.requests), Arc::clone(&store));
    let late = std::thread::spawn(move || {
        wait_until("ten polls", || polls.load(Ordering::SeqCst) >= 10);
        Server::start_on(absent.listen(), move |request| {
            stored.lock().expect("the store").take(&request.body, |_| None)
        })
    });
    let engine = Engine::with_reader_recorders(app_reader(&app), vec![es_recorder(&address)]).expect("an engine");
    let ledger = only_ledger(&engine.polls(POLLS as u64).start(pending()).expect("it runs"));
    late.join().expect("the server came");
    assert!(ledger.all_taken(), "{ledger}");
    assert_eq!(sequence(&store), (0..POLLS as u64).collect());
}

#[test]
fn a_hung_recorder_delays_no_other_and_no_reader() {
    let hung = Server::start(|_| Reply::Hang(Vec::new()));
    let (server, store) = storing_server();
    let app = counting_app();
    let hanging = Recorder::elasticsearch("hung", &hung.address, "i").expect("an address");
    let recorders = vec![hanging, es_recorder(&server.address)];
    let engine = Engine::with_reader_recorders(app_reader(&app), recorders).expect("an engine");
    let stored = Arc::clone(&store);
    let all_there = until(move || stored.lock().expect("the store").documents.len() >= POLLS);
    let report = engine.start(all_there).expect("it runs");
    for (name, ledger) in &report.ledgers {
        assert!(ledger.balances(), "{name}: {ledger}");
        assert_eq!(ledger.all_taken(), name == "es", "{name}: {ledger}");
    }
    let hung_ledger = report.ledgers.iter().find(|(name, _)| name == "hung").expect("its ledger").1;
    assert_eq!(hung_ledger.dropped.shutdown, hung_ledger.made, "what could not be shipped in time is counted");
}

#[test]
fn what_waits_stays_within_its_memory_and_the_oldest_go_first() {
    let held = Arc::new(AtomicBool::new(true));
    let store = Arc::new(Mutex::new(Store::default()));
    let (closed, stored) = (Arc::clone(&held), Arc::clone(&store));
    let server = Server::start(move |request| {
        if closed.load(Ordering::SeqCst) {
            return Reply::Full(503, String::new(), Vec::new());
        }
        stored.lock().expect("the store").take(&request.body, |_| None)
    });
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    let app = Server::start(move |_| {
        let seq = counted.fetch_add(1, Ordering::SeqCst);
        if seq == 400 {
            held.store(false, Ordering::SeqCst);
        }
        Reply::ok(format!("{{\"poll_seq\":{seq},\"ballast\":\"{}\"}}", "x".repeat(1000)))
    });
    let text = format!(
        "settings: {{memory_limit: 128KiB, log_level: error}}\n\
         readers: {{app: {{type_name: app, endpoint: \"{}\", interval: 2ms}}}}\n\
         recorders: {{es: {{endpoint: \"{}\", backoff: 100000}}}}\nroutes: {{r: {{readers: [app], recorders: [es]}}}}\n",
        app.address, server.address
    );
    let config = Config::parse("test", &text, &|_| None).expect("a good configuration");
    let stored = Arc::clone(&store);
    let report = start_engines(&config, until(move || sequence(&stored).last() > Some(&450))).expect("it runs");
    let ledger = only_ledger(&report);
    assert!(ledger.dropped.memory_limit > 0, "{ledger}");
    assert_eq!(ledger.made, ledger.acked + ledger.dropped.memory_limit, "{ledger}");
    let kept = sequence(&store);
    assert_eq!(kept.len() as u64, ledger.acked);
    let first = *kept.first().expect("some were kept");
    assert!(first > 200, "the oldest made room for newer ones: {first}");
    assert!(kept.len() > 40, "what fits is kept: {}", kept.len());
}

#[test]
fn readers_whose_ticks_fall_together_share_a_bulk() {
    let (server, store) = storing_server();
    let apps: Vec<Server> = (0..10).map(|_| counting_app()).collect();
    let mut text = "settings: {log_level: error}\nreaders:\n".to_owned();
    for (number, app) in apps.iter().enumerate() {
        text +=
            &format!("  app_{number}: {{type_name: app_{number}, endpoint: \"{}\", interval: 200ms}}\n", app.address);
    }
    // One that never answers: the others' documents wait for it no longer than `age`.
    let hung = Server::start(|_| Reply::Hang(Vec::new()));
    text += &format!("  hung: {{type_name: hung, endpoint: \"{}\", interval: 200ms}}\n", hung.address);
    let names: Vec<String> = (0..10).map(|number| format!("app_{number}")).collect();
    text += &format!(
        "recorders: {{es: {{endpoint: \"{}\", bulk: {{age: 50ms}}}}}}\nroutes: {{r: {{readers: [hung, {}], recorders: [es]}}}}\n",
        server.address,
        names.join(", ")
    );
    let config = Config::parse("test", &text, &|_| None).expect("a good configuration");
    let stored = Arc::clone(&store);
    let report = start_engines(&config, until(move || stored.lock().expect("the store").documents.len() >= 50));
    let ledger = only_ledger(&report.expect("it runs"));
    assert!(ledger.all_taken(), "{ledger}");
    let sizes = store.lock().expect("the store").bulk_sizes.clone();
    let whole = sizes.iter().filter(|size| **size == 10).count();
    assert!(whole * 2 > sizes.len(), "most bulks hold the documents of all ten readers: {sizes:?}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 1, "one connection is used again and again");
    assert!(apps.iter().all(|app| app.connections.load(Ordering::SeqCst) == 1));
}

/// The patient recorder's bulk opens first: that of the other one is sealed at its time all the same.
#[test]
fn each_recorder_seals_at_its_own_age() {
    let ((server, store), (patient, patiently)) = (storing_server(), storing_server());
    let (app, hung) = (counting_app(), Server::start(|_| Reply::Hang(Vec::new())));
    let text = format!(
        "settings: {{log_level: error}}\nreaders:\n  me: {{type: self, type_name: me, interval: 1h}}\n  \
         app: {{type_name: app, endpoint: \"{}\", interval: 1h}}\n  \
         hung: {{type_name: hung, endpoint: \"{}\", interval: 1h, timeout: 20s}}\n\
         recorders:\n  patient: {{endpoint: \"{}\", bulk: {{age: 1h}}}}\n  es: {{endpoint: \"{}\", bulk: {{age: 30ms}}}}\n\
         routes: {{r: {{readers: [me, hung], recorders: [patient]}}, s: {{readers: [app, hung], recorders: [es]}}}}\n",
        app.address, hung.address, patient.address, server.address
    );
    let config = Config::parse("test", &text, &|_| None).expect("a good configuration");
    let stored = Arc::clone(&store);
    let sealed = until(move || !stored.lock().expect("the store").documents.is_empty());
    let report = start_engines(&config, sealed).expect("it runs");
    assert_eq!(report.failed_polls, 0, "it did not wait until the hung one had failed");
    assert_eq!(sequence(&store), BTreeSet::from([0]));
    // The other one's document went when the program ended, as it would not have been sealed before.
    assert_eq!(patiently.lock().expect("the store").bulk_sizes, [1]);
    assert!(report.all_taken(), "{report:?}");
}

#[test]
fn when_a_recorder_fails_the_engine_goes_on_with_the_others() {
    let (server, store) = storing_server();
    let app = counting_app();
    let gone = Recorder::file("full", "/dev/full", "i").expect("a name");
    let engine = Engine::with_reader_recorders(app_reader(&app), vec![gone, es_recorder(&server.address)]);
    let report = engine.expect("an engine").polls(5).start(pending()).expect("it runs");
    assert_eq!(sequence(&store).len(), 5);
    for (name, ledger) in &report.ledgers {
        assert!(ledger.balances(), "{name}: {ledger}");
        assert_eq!(ledger.all_taken(), name == "es", "{name}: {ledger}");
    }
}
