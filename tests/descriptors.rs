//! File descriptors run out: shipping has precedence over polling, and the spool and dead letters have precedence over both.
//! Runs the program with a low limit.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Server, Store, counting_app, overloaded_server, pages_address, storing_server, wait_until};
use program::Program;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::collections::BTreeSet;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Readers `r0`, `r1` … of one endpoint, an interval of 100 ms, and one recorder.
fn config(readers: usize, app: &str, keys: &str, recorder: &str) -> String {
    let names: Vec<String> = (0..readers).map(|number| format!("r{number}")).collect();
    let reader =
        |name: &String| format!("  {name}: {{type_name: {name}, endpoint: \"{app}\", interval: 100ms{keys}}}\n");
    format!(
        "settings: {{shutdown_timeout: 500ms, log_level: debug}}\nreaders:\n{}recorders: {{es: {{{recorder}, timeout: 2s}}}}\n\
         routes: {{r: {{readers: [{}], recorders: [es]}}}}\n",
        names.iter().map(reader).collect::<String>(),
        names.join(", ")
    )
}

fn services(store: &Mutex<Store>) -> BTreeSet<String> {
    let store = store.lock().expect("the store");
    let name = |document: &serde_json::Value| document["service.name"].as_str().expect("a name").to_owned();
    store.documents.values().map(name).collect()
}

fn open_descriptors(program: &Program) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", program.id())).expect("it runs").count()
}

/// Documents in the plain files of a folder.
fn documents_in(folder: &Path, ending: &str) -> usize {
    let paths = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let texts = paths.filter(|path| path.to_string_lossy().ends_with(ending));
    texts.map(|path| std::fs::read_to_string(path).expect("readable").matches("\"_id\"").count()).sum()
}

/// An endpoint that answers the first polls and lets all others hang.
fn app_that_comes_to_hang(answered: usize) -> Server {
    let polls = AtomicUsize::new(0);
    Server::start(move |_| match polls.fetch_add(1, Ordering::SeqCst) {
        number if number < answered => Reply::ok(format!("{{\"n\": {number}}}")),
        _ => Reply::Hang(Vec::new()),
    })
}

#[test]
fn the_limit_is_raised_as_far_as_it_can_be() {
    let app = counting_app();
    let (server, store) = storing_server();
    let text = config(1, &app.address, "", &format!("endpoint: \"{}\"", server.address));
    let program = Program::start_after("ulimit -S -n 32", &[], &text);
    wait_until("it ships", || !store.lock().expect("the store").documents.is_empty());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", program.id())).expect("it runs");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the limit");
    let numbers: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{line}");
    assert_ne!(numbers[0], "32", "{line}");
}

#[test]
fn more_readers_than_descriptors_deliver_all_they_have() {
    let app = counting_app();
    let (server, store) = storing_server();
    let text = config(120, &app.address, ", timeout: 30s", &format!("endpoint: \"{}\"", server.address));
    let mut program = Program::start_after("ulimit -n 48", &[], &text);
    wait_until("each reader has delivered", || services(&store).len() == 120);
    assert!(open_descriptors(&program) <= 48);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    let said = program.read("stderr");
    assert!(!said.contains("poll failed") && !said.contains("shipping failed"), "{said}");
}

/// What goes by libcurl, which opens what it wants by itself; a proxy stands for the world.
#[cfg(feature = "proxy")]
#[test]
fn the_same_by_way_of_libcurl() {
    let app = counting_app();
    let (server, store) = storing_server();
    let text =
        config(120, "http://app.test/debug/vars", ", timeout: 30s", &format!("endpoint: \"{}\"", server.address));
    let proxy = format!("http://{}", app.address);
    let mut program = Program::start_after("ulimit -n 64", &[("http_proxy", &proxy)], &text);
    wait_until("each reader has delivered", || services(&store).len() == 120);
    assert!(open_descriptors(&program) <= 64);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    let said = program.read("stderr");
    assert!(!said.contains("poll failed") && !said.contains("shipping failed"), "{said}");
}

#[test]
fn what_waits_is_on_disk_and_what_is_refused_is_in_its_file_while_polls_hold_every_descriptor() {
    for refuses in [false, true] {
        let app = app_that_comes_to_hang(60);
        let (away, _, _) = overloaded_server();
        let refused = |_| Some((400, "mapper_parsing_exception"));
        let refusing = Server::start(move |request| Store::default().take(&request.body, refused));
        let server = if refuses { &refusing } else { &away };
        let keys = "spool: {path: spool, sync: 300ms}, dead_letter: dead.ndjson";
        let text = config(60, &app.address, ", timeout: 1h", &format!("endpoint: \"{}\", {keys}", server.address));
        let mut program = Program::start_after("ulimit -n 40", &[], &text);
        wait_until("polls hang", || app.request_count() >= 60);
        let folder = program.path("spool");
        if refuses {
            wait_until("the refused are in their file", || program.read("dead.ndjson").lines().count() >= 60);
        } else {
            wait_until("all that was polled is on disk", || documents_in(&folder, ".ndjson") >= 60);
        }
        program.kill();
    }
}

/// Nobody may have one, and then somebody takes away those that are there.
#[test]
fn a_limit_that_is_lowered_below_what_is_open_ends_nothing() {
    for limit in [0, 1, 8, 16, 24] {
        let app = counting_app();
        let hung = Server::start(|_| Reply::Hang(Vec::new()));
        let (server, store, well) = overloaded_server();
        let keys = "spool: {path: spool, sync: 100ms}";
        let text = config(1, &app.address, "", &format!("endpoint: \"{}\", {keys}", server.address));
        let reader =
            |n| format!("  h{n}: {{type_name: h, endpoint: \"{}\", interval: 1h, timeout: 1h}}\n", hung.address);
        let hanging = (0..20).map(reader).collect::<Vec<_>>().concat();
        let names = (0..20).map(|n| format!("h{n}")).collect::<Vec<_>>().join(", ");
        let text = text.replace("recorders: {es", &format!("{hanging}recorders: {{es"));
        let text = text.replace("[r0", &format!("[{names}, r0"));
        let mut program = Program::start(&[], &text);
        wait_until("polls hang", || hung.connections.load(Ordering::SeqCst) >= 20);
        wait_until("documents are on disk", || documents_in(&program.path("spool"), ".ndjson") > 0);
        let pid = Pid::from_raw(i32::try_from(program.id()).expect("a number"));
        let low = Rlimit { current: Some(limit), maximum: Some(limit) };
        prlimit(pid, Resource::Nofile, low).expect("lowered");
        let polls = app.request_count();
        wait_until("it goes on polling", || app.request_count() > polls + 10);
        // The connections that it has are of use.
        well.store(true, Ordering::SeqCst);
        wait_until("it ships", || store.lock().expect("the store").documents.len() > 10);
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0), "{limit}");
        let said = program.read("stderr");
        assert!(said.contains("ledger: made ") && !said.contains("documents lost"), "{limit}: {said}");
    }
}

#[test]
fn probes_are_answered_while_polls_hold_every_descriptor() {
    let app = app_that_comes_to_hang(0);
    let (server, _) = storing_server();
    let text = config(60, &app.address, ", timeout: 1h", &format!("endpoint: \"{}\"", server.address));
    let text = text.replace("settings: {", "settings: {listen: \"127.0.0.1:0\", ");
    let program = Program::start_after("ulimit -n 48", &[], &text);
    let address = pages_address(1, || program.read("stderr"));
    wait_until("polls hang", || app.connections.load(Ordering::SeqCst) >= 20);
    for _ in 0..50 {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        let mut answer = String::new();
        std::io::Write::write_all(&mut stream, b"GET /healthz HTTP/1.1\r\n\r\n").expect("sent");
        std::io::Read::read_to_string(&mut stream, &mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok\n"), "{answer}");
    }
}
