//! Readers with several endpoints: lists, and targets in a file that changes while the program runs. Runs the program with real
//! files and real sockets.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::print_stderr, reason = "a test that takes long says what it has seen")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;
#[path = "support/reloads.rs"]
mod reloads;

use loopback::{Reply, Server, Store, counting_app, storing_server, wait_until};
use program::Program;
use reloads::{all_taken, stop};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Replaces the file in one step, as its writers should.
fn put(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("written");
    std::fs::rename(&new, path).expect("renamed");
}

fn config(reader: &str, server: &Server, settings: &str) -> String {
    format!(
        "settings: {{shutdown_timeout: 60s{settings}}}\nreaders: {{shop: {{type_name: shop, {reader}}}}}\n\
         recorders: {{es: {{endpoint: \"{}\"}}}}\nroutes: {{r: {{readers: shop, recorders: es}}}}\n",
        server.address
    )
}

/// The documents of one node, in the order of their numbers.
fn of_node(store: &Mutex<Store>, node: &str) -> Vec<Value> {
    let store = store.lock().expect("the store");
    let of_node = store.documents.values().filter(|document| document["service.node.name"] == node);
    let mut documents: Vec<Value> = of_node.cloned().collect();
    documents.sort_by_key(|document| document["poll_seq"].as_u64());
    documents
}

#[test]
fn each_endpoint_of_a_list_is_a_reader_of_its_own() {
    let (one, two, (server, stored)) = (counting_app(), counting_app(), storing_server());
    let reader = format!("endpoint: [\"{}\", \"http://{}/vars\"], interval: 20ms", one.address, two.address);
    let mut program = Program::start(&[], &config(&reader, &server, ""));
    for app in [&one, &two] {
        wait_until("documents of each", || of_node(&stored, &app.address).len() >= 3);
    }
    assert_eq!(stop(&mut program), Some(0));
    let routes = [&one, &two].map(|app| format!("shop:{} → es", app.address));
    let said = program.read("stderr");
    assert!(routes.iter().all(|route| said.contains(route.as_str())), "{said}");
    assert_eq!(all_taken(&program, "es"), stored.lock().expect("the store").documents.len() as u64);
}

#[test]
fn targets_join_and_leave_and_the_others_do_not_notice() {
    let (one, two, (server, stored)) = (counting_app(), counting_app(), storing_server());
    let reader = "targets_file: targets.yml, interval: 20ms, labels: {env: dev, zone: eu}, rates: [poll_seq]";
    let mut program = Program::start(&[], &config(reader, &server, ""));
    let file = program.path("targets.yml");
    wait_until("it waits for the file", || program.read("stderr").contains("there are no targets until it is there"));

    put(&file, &format!("- targets: [\"{}\"]\n  labels: {{env: prod, __internal: x}}\n", one.address));
    wait_until("the first is polled", || of_node(&stored, &one.address).len() >= 3);
    // In JSON, and with another target that is a process that does not run.
    let both = format!(
        "[{{\"targets\": [\"{0}\"], \"labels\": {{\"env\": \"prod\"}}}}, {{\"targets\": [\"{1}\", \"{1}\", \"127.0.0.1:1\"]}}]",
        one.address, two.address
    );
    put(&file, &both);
    wait_until("the second is polled", || of_node(&stored, &two.address).len() >= 3);

    // What is wrong with the file is said once, and nothing changes.
    for (text, said) in [
        ("[{\"targets\": [\"host:port\"]}]", "[0].targets[0]: the port of the endpoint is not a number"),
        ("", "expected a list such as [{\"targets\": [\"host:1234\"]}], or [] for no targets, found nothing"),
    ] {
        put(&file, text);
        wait_until(said, || program.read("stderr").contains(said));
    }
    std::fs::remove_file(&file).expect("removed");
    wait_until("it is missed", || program.read("stderr").contains("there is no such file: keeping the 3 targets"));
    let polled = two.request_count();
    wait_until("they are polled all the same", || two.request_count() > polled + 3);

    put(&file, &format!("[{{\"targets\": [\"{}\"]}}]", two.address));
    wait_until("two have ended", || program.read("stderr").contains("targets: 1 kept, 0 changed, 0 added, 2 removed"));
    let (ended, polled) = (one.request_count(), two.request_count());
    wait_until("the last one goes on", || two.request_count() > polled + 10);
    assert!(one.request_count() <= ended + 1, "one that has ended is not polled");
    put(&file, "[]");
    wait_until("it waits again", || program.read("stderr").contains("targets: 0 kept, 0 changed, 0 added, 1 removed"));
    assert_eq!(stop(&mut program), Some(0));

    let (of_one, of_two) = (of_node(&stored, &one.address), of_node(&stored, &two.address));
    assert!(of_one.iter().all(|document| document["env"] == "prod" && document["zone"] == "eu"));
    assert!(of_two.iter().all(|document| document["env"] == "dev" && document["zone"] == "eu"));
    for (documents, app) in [(&of_one, &one), (&of_two, &two)] {
        assert_eq!(app.connections.load(Ordering::SeqCst), 1, "one connection all the time");
        let numbers: Vec<u64> = documents.iter().filter_map(|document| document["poll_seq"].as_u64()).collect();
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "each poll is there");
        let rated = documents.iter().filter(|document| !document["poll_seq_per_second"].is_null()).count();
        assert_eq!(rated, documents.len() - 1, "each but the first has a rate: nothing began anew");
    }
    all_taken(&program, "es");
}

/// A thousand and more addresses at which one server listens, which counts the polls of each.
struct Fleet {
    port: u16,
    polls: Arc<AtomicUsize>,
    _server: Server,
}

impl Fleet {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (polls, of_each) = (Arc::<AtomicUsize>::default(), Mutex::<BTreeMap<String, u64>>::default());
        let counted = Arc::clone(&polls);
        let server = Server::start_on(listener, move |request| {
            let poll_seq = counted.fetch_add(1, Ordering::SeqCst);
            let host = request.head.lines().find_map(|line| line.trim().strip_prefix("host: ")).unwrap_or_default();
            let mut of_each = of_each.lock().expect("the counts");
            let of_host = of_each.entry(host.to_owned()).or_default();
            *of_host += 1;
            Reply::ok(format!("{{\"poll_seq\": {poll_seq}, \"of_node\": {of_host}, \"memstats\": {{\"Alloc\": 1}}}}"))
        });
        Self { port, polls, _server: server }
    }

    fn node(&self, number: usize) -> String {
        format!("127.0.{}.{}:{}", 1 + number / 250, 1 + number % 250, self.port)
    }

    /// A file with these nodes.
    fn file(&self, numbers: impl Iterator<Item = usize>) -> String {
        let nodes: Vec<String> = numbers.map(|number| format!("\"{}\"", self.node(number))).collect();
        format!("[{{\"targets\": [{}]}}]", nodes.join(", "))
    }
}

/// A server that is overloaded now and then, and sometimes stores a bulk but says that it has failed.
fn flapping_server() -> (Server, Arc<Mutex<Store>>) {
    let (store, requests) = (Arc::<Mutex<Store>>::default(), AtomicUsize::new(0));
    let stored = Arc::clone(&store);
    let server = Server::start(move |request| {
        let number = requests.fetch_add(1, Ordering::SeqCst);
        let failure = |status| Reply::Full(status, String::new(), Vec::new());
        if number % 3 == 1 {
            return failure(503);
        }
        let reply = stored.lock().expect("the store").take(&request.body, |_| None);
        if number % 7 == 2 { failure(502) } else { reply }
    });
    (server, store)
}

/// `EXPVASTIC_ENDURANCE=full` takes two minutes, and as many targets as a large service has.
fn size() -> (usize, usize) {
    if std::env::var("EXPVASTIC_ENDURANCE").is_ok_and(|value| value == "full") { (500, 60) } else { (100, 4) }
}

/// Lets the program poll so many targets through as many ticks; at each of them, a fifth is replaced if `changes`. Returns the
/// most memory that it took, kB.
fn peak_kb(changes: bool) -> u64 {
    let (targets, ticks) = size();
    let (fleet, (server, stored)) = (Fleet::start(), flapping_server());
    let own = "targets_file: targets.json";
    let mut program = Program::start_prepared(&config(own, &server, ""), |folder| {
        put(&folder.join("targets.json"), &fleet.file(0..targets));
    });
    let file = program.path("targets.json");
    let (staying, step) = (targets / 10, targets / 5);
    wait_until("all are polled", || fleet.polls.load(Ordering::SeqCst) >= targets);
    for tick in 1..=ticks {
        let polled = fleet.polls.load(Ordering::SeqCst);
        if changes {
            // The first tenth stays.
            let first = staying + (tick * step) % 1000;
            put(&file, &fleet.file((0..staying).chain(first..first + targets - staying)));
            wait_until("it has taken effect", || {
                program.read("stderr").matches(" removed reader=shop").count() == tick
            });
        }
        wait_until("all are polled", || fleet.polls.load(Ordering::SeqCst) >= polled + targets);
    }
    let peak = program.status("VmHWM");
    assert_eq!(stop(&mut program), Some(0), "{}", program.read("stderr"));
    let store = stored.lock().expect("the store");
    assert_eq!(all_taken(&program, "es"), store.documents.len() as u64, "each document is stored once");
    let polls: BTreeSet<u64> = store.documents.values().filter_map(|document| document["poll_seq"].as_u64()).collect();
    assert_eq!(polls.len(), store.documents.len(), "no poll is in two documents");
    for node in (0..staying).map(|number| fleet.node(number)) {
        let of_node = store.documents.values().filter(|document| document["service.node.name"] == node.as_str());
        let numbers: BTreeSet<u64> = of_node.filter_map(|document| document["of_node"].as_u64()).collect();
        assert!(numbers.len() >= ticks, "{node} is polled at each tick");
        assert_eq!(numbers, (1..=numbers.len() as u64).collect(), "each poll of {node} is there");
    }
    eprintln!("{} documents, {peak} kB", store.documents.len());
    peak
}

/// At each tick a fifth of the readers ends, and as many begin, while the server fails now and then.
#[test]
fn targets_that_come_and_go_lose_no_document_and_take_no_more_memory_than_those_that_stay() {
    let (staying, changing) = (peak_kb(false), peak_kb(true));
    assert!(changing <= staying + 1024, "{changing} kB, and {staying} kB if they stay");
}

/// More than begin together, and each of them hangs.
#[test]
fn hundreds_of_readers_that_hang_delay_nobody() {
    let silent = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let hung: Vec<String> = (0..150).map(|number| format!("\"127.0.1.{}:{port}\"", number + 1)).collect();
    let (app, (server, stored)) = (counting_app(), storing_server());
    let reader = format!("endpoint: [{}, \"{}\"], interval: 50ms, timeout: 10m", hung.join(", "), app.address);
    let mut program = Program::start(&[], &config(&reader, &server, ""));
    wait_until("the last one is polled at each tick", || of_node(&stored, &app.address).len() >= 10);
    assert_eq!(stop(&mut program), Some(0));
    drop(silent);
}
