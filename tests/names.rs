//! Host names: each test runs the program itself in a network namespace, where the test is the name server.

#![cfg(target_os = "linux")]
#![allow(clippy::format_push_string, reason = "a configuration is put together for reading, not for speed")]
#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "the other side of the socket has threads of its own")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/name_server.rs"]
mod name_server;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/program.rs"]
mod program;

use loopback::{Server, Store, wait_until};
use name_server::NameServer;
use namespace::{Machine, shell};
use program::Program;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const NAME_SERVER: &str = "127.0.0.53";

/// Longer than any test: the system's resolver waits for this name server as long as it can.
const PATIENT: &str = "nameserver 127.0.0.53\noptions timeout:30 attempts:2\n";

/// An application that can be stopped: then nobody listens at its address, and its connections are closed.
struct App {
    address: String,
    polls: Arc<AtomicUsize>,
    is_stopped: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    listening: std::thread::JoinHandle<()>,
}

impl App {
    /// Listens on this address, with a port. `connection` is what it says of connections: `keep-alive` or `close`.
    fn start(address: &str, connection: &'static str) -> Self {
        let listener = TcpListener::bind(address).expect("an address of the namespace");
        let (polls, is_stopped) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let open = Arc::<Mutex<Vec<TcpStream>>>::default();
        let (counted, stopped, opened) = (Arc::clone(&polls), Arc::clone(&is_stopped), Arc::clone(&open));
        let listening = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                opened.lock().expect("the list").push(stream.try_clone().expect("a second handle"));
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || serve(stream, connection, &counted));
            }
        });
        Self { address: address.to_owned(), polls, is_stopped, open, listening }
    }

    fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    fn stop(self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
        self.listening.join().expect("it has ended");
        for stream in self.open.lock().expect("the list").iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn serve(mut stream: TcpStream, connection: &str, counted: &AtomicUsize) {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        request.extend_from_slice(&piece[..length]);
        if request.ends_with(b"\r\n\r\n") {
            request.clear();
            let body = format!("{{\"seq\":{}}}", counted.fetch_add(1, Ordering::SeqCst));
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n");
            if stream.write_all((head + &body).as_bytes()).is_err() || connection == "close" {
                return;
            }
        }
    }
}

/// Ships what these readers read to a file and to these recorders.
fn config(readers: &[(&str, &str)], settings: &str, recorders: &str) -> String {
    let mut text = "settings: {shutdown_timeout: 1s}\nreaders:\n".to_owned();
    for (name, endpoint) in readers {
        text += &format!("  {name}: {{type_name: {name}, endpoint: \"{endpoint}\", backoff: 1000, {settings}}}\n");
    }
    let names: Vec<&str> = readers.iter().map(|(name, _)| *name).collect();
    text += &format!("recorders:\n  out: {{type: file, path: out.ndjson, bulk: {{age: 20ms}}}}\n{recorders}");
    let targets: Vec<&str> =
        recorders.lines().filter_map(|line| line.split(':').next().map(str::trim)).chain(["out"]).collect();
    text + &format!("routes: {{all: {{readers: [{}], recorders: [{}]}}}}\n", names.join(", "), targets.join(", "))
}

/// How many polls have failed in all, according to the lines of the log that say that a reader has recovered.
fn failures(log: &str) -> usize {
    let recovered = log.lines().filter(|line| line.contains("polling recovered"));
    let number = |line: &str| -> Option<usize> {
        line.split_once("failures=").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
    };
    recovered.map(|line| number(line).unwrap_or_else(|| panic!("no number: {line}"))).sum()
}

fn end(program: &mut Program) -> String {
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
    program.read("stderr")
}

#[test]
fn a_name_that_appears_after_the_start_gives_a_document_at_the_next_tick() {
    let test = "a_name_that_appears_after_the_start_gives_a_document_at_the_next_tick";
    let Some(_machine) = Machine::enter(test, PATIENT) else { return };
    let names = NameServer::start(NAME_SERVER);
    let app = App::start("10.9.0.2:8080", "keep-alive");
    let settings = "interval: 200ms, timeout: 1h";
    let mut program = Program::start(&[], &config(&[("app", "app.test:8080")], settings, ""));
    wait_until("some ticks have failed", || names.lookups("app.test").0 >= 4);
    assert!(program.read("stderr").contains("cannot resolve app.test: the name has no address"));
    names.set("app.test", &["10.9.0.2"]);
    wait_until("there are documents", || program.documents("out.ndjson").len() >= 3);
    // The first lookup after that has sufficed, and its thread is gone.
    let (without, with) = names.lookups("app.test");
    assert_eq!(with, 1);
    wait_until("there is one thread", || program.status("Threads") == 1);
    let log = end(&mut program);
    // Each tick has asked anew: no failure was remembered.
    assert_eq!(failures(&log), without, "{log}");
    assert!(app.polls() >= 3);
}

#[test]
fn an_application_that_moves_loses_at_most_two_ticks() {
    let Some(_machine) = Machine::enter("an_application_that_moves_loses_at_most_two_ticks", PATIENT) else { return };
    let names = NameServer::start(NAME_SERVER);
    let (first, second) = (App::start("10.9.0.2:8080", "keep-alive"), App::start("10.9.1.2:8080", "keep-alive"));
    names.set("app.test", &["10.9.0.2"]);
    let settings = "interval: 2s, timeout: 2s";
    let mut program = Program::start(&[], &config(&[("app", "app.test:8080")], settings, ""));
    wait_until("it is polled", || first.polls() >= 2);

    // It is started elsewhere, and then stopped where it was.
    names.set("app.test", &["10.9.1.2"]);
    first.stop();
    wait_until("it is polled there", || second.polls() >= 2);
    let after_first = failures(&program.read("stderr"));
    assert!(after_first <= 2, "{after_first} ticks");

    // Its machine vanishes: its address is silent, also on the connection that is open.
    let third = App::start("10.9.0.3:8080", "keep-alive");
    names.set("app.test", &["10.9.0.3"]);
    shell("ip route del local 10.9.1.2/32 dev lo");
    wait_until("it is polled there", || third.polls() >= 2);
    wait_until("the recovery is logged", || failures(&program.read("stderr")) > after_first);
    let log = end(&mut program);
    assert!(failures(&log) - after_first <= 2, "{log}");
    assert_eq!(names.lookups("app.test").1, 3, "one lookup for each of its addresses");
}

#[test]
fn a_name_server_that_is_silent_delays_neither_others_nor_the_end() {
    let test = "a_name_server_that_is_silent_delays_neither_others_nor_the_end";
    let Some(machine) = Machine::enter(test, PATIENT) else { return };
    let names = NameServer::start(NAME_SERVER);
    names.silence("app.test");
    names.silence("es.test");
    let _app = App::start("10.9.0.2:8080", "keep-alive");
    let store = Arc::<Mutex<Store>>::default();
    let stored = Arc::clone(&store);
    let server = Server::start_on(TcpListener::bind("10.9.0.2:9200").expect("an address"), move |request| {
        stored.lock().expect("the store").take(&request.unpacked(), |_| None)
    });
    let readers = [("dead", "app.test:8080"), ("by-number", "10.9.0.2:8080"), ("by-file", "listed:8080")];
    let recorders = format!(
        "  lost: {{endpoint: \"es.test:9200\", timeout: 1h}}\n  number: {{endpoint: \"{}\"}}\n  \
         file: {{endpoint: \"listed:9200\"}}\n",
        server.address
    );
    // The first reader is the dead one.
    let config = config(&readers, "interval: 100ms, timeout: 1h", &recorders).replacen("1h", "300ms", 1);

    // To the second name server, packets are lost.
    let nowhere = "nameserver 10.66.0.53\noptions timeout:30 attempts:2\n";
    for (resolv_conf, arguments) in [(PATIENT, &[][..]), (nowhere, &[]), (nowhere, &["once"])] {
        machine.write("resolv.conf", resolv_conf);
        store.lock().expect("the store").documents.clear();
        let mut program = Program::start(arguments, &config);
        let said = "cannot resolve app.test: no answer from the name server within 300ms";
        wait_until("the reader says why", || program.read("stderr").contains(said));
        let wanted = if arguments.is_empty() { 3 } else { 1 };
        for reader in ["by-number", "by-file"] {
            wait_until("the others go on", || {
                let of = |store: &Store| store.documents.values().filter(|it| it["service.name"] == reader).count();
                let in_file = program.documents("out.ndjson").iter().filter(|it| it["service.name"] == reader).count();
                of(&store.lock().expect("the store")) >= wanted && in_file >= wanted
            });
        }
        wait_until("the recorder has asked for its name", || names.lookups("es.test").0 == 1);
        if arguments.is_empty() {
            program.signal("TERM");
        }
        // The documents of the recorder without a server are given up.
        assert_eq!(program.wait(), Some(1), "{}", program.read("stderr"));
        let log = program.read("stderr");
        assert!(log.contains("shutdown_timeout (1s) expired"), "{log}");
        assert_eq!(log.lines().filter(|line| line.contains("ledger: made")).count(), 4, "{log}");
        // The resolver would ask once more after 30 s: nothing has waited for it, and no second lookup was begun.
        assert_eq!((names.lookups("app.test").0, names.lookups("es.test").0), (1, 1), "{log}");
    }
}

#[test]
fn a_second_signal_and_commands_do_not_wait_for_the_resolver() {
    let test = "a_second_signal_and_commands_do_not_wait_for_the_resolver";
    let Some(_machine) = Machine::enter(test, PATIENT) else { return };
    let names = NameServer::start(NAME_SERVER);
    names.silence("app.test");
    names.silence("es.test");
    let lost = "  lost: {endpoint: \"es.test:9200\", timeout: 300ms}\n";
    let _app = App::start("10.9.0.2:8080", "keep-alive");
    let readers = [("dead", "app.test:8080"), ("well", "10.9.0.2:8080")];
    let config = config(&readers, "interval: 100ms, timeout: 300ms", lost);
    let mut program = Program::start(&[], &config.replace("shutdown_timeout: 1s", "shutdown_timeout: 1h"));
    wait_until("both names are being looked up", || {
        names.lookups("app.test").0 == 1 && names.lookups("es.test").0 == 1
    });
    let tested = program.beside(&["test"]);
    let shown = String::from_utf8_lossy(&tested.stdout);
    assert_eq!(tested.status.code(), Some(1), "{shown}");
    for name in ["app.test", "es.test"] {
        assert!(shown.contains(&format!("cannot resolve {name}: no answer from the name server within")), "{shown}");
    }
    program.hurry("TERM");
    let log = program.read("stderr");
    assert_eq!(log.lines().filter(|line| line.contains("ledger: made")).count(), 2, "{log}");
    // One lookup of each process: the resolver would repeat its question after 30 s.
    assert_eq!((names.lookups("app.test").0, names.lookups("es.test").0), (2, 2), "{log}");
}

#[test]
fn as_many_lookups_as_may_hang_keep_out_no_name_of_the_hosts_file() {
    let test = "as_many_lookups_as_may_hang_keep_out_no_name_of_the_hosts_file";
    let Some(_machine) = Machine::enter(test, PATIENT) else { return };
    let names = NameServer::start(NAME_SERVER);
    let _app = App::start("10.9.0.2:8080", "close");
    let dead: Vec<(String, String)> = (1..=17).map(|n| (format!("dead{n}"), format!("dead{n}.test:8080"))).collect();
    (1..=17).for_each(|number| names.silence(&format!("dead{number}.test")));
    let mut readers: Vec<(&str, &str)> = dead.iter().map(|(name, host)| (name.as_str(), host.as_str())).collect();
    readers.push(("by-file", "listed:8080"));
    let mut program = Program::start(&[], &config(&readers, "interval: 200ms, timeout: 5s", ""));
    wait_until("there are documents", || program.documents("out.ndjson").len() >= 3);
    wait_until("one lookup was too many", || program.read("stderr").contains("16 other lookups have not ended"));
    let log = end(&mut program);
    assert!(!log.lines().any(|line| line.contains("poll failed") && line.contains("reader=by-file")), "{log}");
}

#[test]
fn more_names_than_may_be_looked_up_at_once_have_their_turns() {
    let test = "more_names_than_may_be_looked_up_at_once_have_their_turns";
    let Some(_machine) = Machine::enter(test, PATIENT) else { return };
    let names = NameServer::start(NAME_SERVER);
    let _app = App::start("10.9.0.2:8080", "close");
    let apps: Vec<(String, String)> = (1..=40).map(|n| (format!("app{n}"), format!("app{n}.test:8080"))).collect();
    (1..=40).for_each(|number| names.set(&format!("app{number}.test"), &["10.9.0.2"]));
    let readers: Vec<(&str, &str)> = apps.iter().map(|(name, host)| (name.as_str(), host.as_str())).collect();
    let mut program = Program::start(&[], &config(&readers, "interval: 500ms, timeout: 1h", ""));
    wait_until("each has a document", || {
        let documents = program.documents("out.ndjson");
        readers.iter().all(|(reader, _)| documents.iter().any(|document| document["service.name"] == *reader))
    });
    let log = end(&mut program);
    assert!(!log.contains("poll failed"), "{log}");
}

#[test]
fn what_cannot_be_resolved_says_why() {
    let quick = format!("nameserver {NAME_SERVER}\noptions timeout:1 attempts:1\n");
    let Some(machine) = Machine::enter("what_cannot_be_resolved_says_why", &quick) else { return };
    let names = NameServer::start(NAME_SERVER);
    names.silence("silent.test");
    names.set("empty.test", &[]);
    let readers = [("silent", "silent.test:8080"), ("unknown", "unknown.test"), ("empty", "empty.test")];
    let expected = [
        "cannot resolve silent.test: no answer from the name server",
        "cannot resolve unknown.test: the name has no address",
        "cannot resolve empty.test: the name has no address",
    ];
    let no_server = ["silent", "unknown", "empty"]
        .map(|name| format!("cannot resolve {name}.test: no answer from the name server"));
    let expected = expected.map(str::to_owned);
    for (resolv_conf, expected) in [(quick.as_str(), expected), ("nameserver 127.0.0.54\n", no_server)] {
        machine.write("resolv.conf", resolv_conf);
        let mut program = Program::start(&[], &config(&readers, "interval: 200ms, timeout: 1h", ""));
        for said in &expected {
            wait_until("each says why", || program.read("stderr").contains(said));
        }
        let log = end(&mut program);
        assert!(!log.contains("within"), "{log}");
    }
}

#[test]
fn all_addresses_are_tried_and_search_domains_and_hosts_files_apply() {
    let test = "all_addresses_are_tried_and_search_domains_and_hosts_files_apply";
    let Some(_machine) = Machine::enter(test, &format!("{PATIENT}search elsewhere.test corp.test\n")) else { return };
    let names = NameServer::start(NAME_SERVER);
    // Each poll makes a new connection.
    let four = App::start("10.9.0.2:8080", "close");
    let six = App::start("[fd09::2]:8080", "close");
    // At 10.9.0.9 and fd09::9 nobody listens; 10.66.0.1, 10.66.0.2 and fd66::1 swallow packets.
    let hosts: [(&str, &[&str]); 8] = [
        ("refused-first.test", &["10.9.0.9", "10.9.0.2"]),
        ("refused-last.test", &["10.9.0.2", "10.9.0.9"]),
        ("silent-first.test", &["10.66.0.1", "10.66.0.2", "10.9.0.2"]),
        ("silent-last.test", &["10.9.0.2", "10.66.0.1"]),
        ("six.test", &["fd09::2"]),
        ("six-refuses.test", &["fd09::9", "10.9.0.2"]),
        ("six-is-silent.test", &["fd66::1", "fd66::2", "10.9.0.2"]),
        ("four-is-dead.test", &["10.66.0.1", "10.9.0.9", "fd09::2"]),
    ];
    for (name, addresses) in hosts {
        names.set(name, addresses);
    }
    names.set("app.corp.test", &["10.9.0.2"]);
    names.set("es.test", &["10.9.0.9", "10.66.0.1", "fd66::1", "10.9.0.2"]);
    let store = Arc::<Mutex<Store>>::default();
    let stored = Arc::clone(&store);
    let _server = Server::start_on(TcpListener::bind("10.9.0.2:9200").expect("an address"), move |request| {
        stored.lock().expect("the store").take(&request.unpacked(), |_| None)
    });

    let of_names: Vec<(String, String)> =
        hosts.iter().map(|(name, _)| (name.trim_end_matches(".test").to_owned(), format!("{name}:8080"))).collect();
    let mut readers: Vec<(&str, &str)> = of_names.iter().map(|(name, host)| (name.as_str(), host.as_str())).collect();
    readers.extend([("by-domain", "app:8080"), ("by-file", "listed:8080")]);
    let config = config(&readers, "interval: 500ms, timeout: 1h", "  es: {endpoint: \"es.test:9200\"}\n");
    let mut program = Program::start(&[], &config);
    for (reader, _) in &readers {
        wait_until("each reader's documents are stored", || {
            let store = store.lock().expect("the store");
            store.documents.values().filter(|document| document["service.name"] == *reader).count() >= 3
        });
    }
    wait_until("there is one thread", || program.status("Threads") == 1);
    let log = end(&mut program);
    assert!(!log.contains("poll failed") && !log.contains("cannot"), "{log}");
    assert!(four.polls() > 0 && six.polls() >= 6);
    assert_eq!(names.lookups("app.elsewhere.test"), (1, 0), "search domains have their turns");
    assert_eq!(names.lookups("listed"), (0, 0), "the hosts file suffices");
}

/// A headless service, whose pods come and go. The name is resolved again every 30 s.
#[test]
fn each_address_of_a_name_is_polled_and_a_lookup_that_fails_changes_nothing() {
    let test = "each_address_of_a_name_is_polled_and_a_lookup_that_fails_changes_nothing";
    let Some(_machine) = Machine::enter(test, PATIENT) else { return };
    let names = NameServer::start(NAME_SERVER);
    let apps = ["10.9.0.2:8080", "10.9.1.2:8080", "10.9.0.3:8080"].map(|address| App::start(address, "keep-alive"));
    names.set("app.test", &["10.9.0.2", "10.9.1.2"]);
    let config = config(&[("app", "dns+http://app.test:8080/x")], "interval: 100ms", "");
    let mut program = Program::start(&[], &config);
    wait_until("two are polled", || apps[..2].iter().all(|app| app.polls() >= 2));
    assert_eq!(names.lookups("app.test").1, 1);

    names.set("app.test", &["10.9.1.2", "10.9.0.3"]);
    wait_until("the third is polled", || apps[2].polls() >= 2);
    let ended = apps[0].polls();
    names.set("app.test", &[]);
    wait_until("the failure is logged", || program.read("stderr").contains("no address: keeping the 2 targets"));
    let polled = apps[2].polls();
    wait_until("it is polled all the same", || apps[2].polls() > polled + 2);
    assert!(apps[0].polls() <= ended + 1, "the first has ended");
    let log = end(&mut program);
    assert!(log.contains("targets: 1 kept, 0 changed, 1 added, 1 removed"), "{log}");
    for node in ["10.9.0.2:8080", "10.9.1.2:8080", "10.9.0.3:8080"] {
        let mut documents = program.documents("out.ndjson").into_iter();
        assert!(documents.any(|document| document["service.node.name"] == node), "{node}");
    }
}
