//! SIGHUP: when the configuration is loaded again, and what is logged about it. Runs the program with real files and real
//! sockets.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;
#[path = "support/reloads.rs"]
mod reloads;

use loopback::{Reply, Server, Store, counting_app, storing_server, wait_until};
use program::Program;
use reloads::{all_taken, loaded, only, reload, sequence, stop, up_to};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_bad_file_changes_nothing_and_is_told_as_check_tells_it() {
    let (app, (server, store)) = (counting_app(), storing_server());
    let good = only(&app.address, "es", &format!("endpoint: \"{}\"", server.address));
    let mut program = Program::start(&[], &good);
    let path = program.path("conf.yml");
    let heading = "SIGHUP received, invalid configuration: keeping the current one";
    let headings = |program: &Program| program.read("stderr").matches(heading).count();
    let refused = |program: &Program, what: &str| {
        let before = headings(program);
        let beside = program.beside(&["check"]);
        assert_eq!(beside.status.code(), Some(78));
        program.signal("HUP");
        wait_until(what, || headings(program) > before);
        let lines = String::from_utf8(beside.stderr).expect("UTF-8");
        let polled = app.request_count();
        wait_until("it goes on", || sequence(&store).len() > polled + 5);
        let said = program.read("stderr");
        let (_, behind) = said.rsplit_once(heading).expect("the heading");
        let behind: Vec<&str> = behind.lines().skip(1).filter(|line| line.contains(" ERROR ")).collect();
        assert_eq!(behind.len(), lines.lines().count(), "{said}");
        for (said, line) in behind.iter().zip(lines.lines()) {
            assert!(said.ends_with(&format!(" ERROR {line}")), "{said}\n{line}");
        }
        behind.len()
    };
    wait_until("ten are stored", || sequence(&store).len() >= 10);
    std::fs::write(&path, good.replace("interval", "intervall").replace("endpoint: \"127", "endpoint: \"ftp://127"))
        .expect("written");
    assert!(refused(&program, "it refuses wrong keys") >= 3, "all that is wrong, at once");
    std::fs::write(&path, "readers: [").expect("written");
    refused(&program, "it refuses what is no YAML");
    std::fs::remove_file(&path).expect("removed");
    refused(&program, "it refuses a file that is not there");
    std::fs::create_dir(&path).expect("made");
    refused(&program, "it refuses a folder");
    std::fs::remove_dir(&path).expect("removed");
    std::fs::write(&path, good.split("routes").next().expect("text").to_owned() + "routes: {}\n").expect("written");
    program.signal("HUP");
    wait_until("it refuses", || program.read("stderr").contains("no route connects a reader to a recorder"));

    let said = reload(&program, &good);
    assert_eq!(said, "readers 1 kept, 0 changed, 0 added, 0 removed; recorders 1 kept, 0 changed, 0 added, 0 removed");
    assert_eq!(stop(&mut program), Some(0));
    assert_eq!(sequence(&store), up_to(all_taken(&program, "es")));
    assert_eq!((app.connections.load(Ordering::SeqCst), server.connections.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn settings_apply_and_a_reader_is_another_one_if_what_it_includes_is() {
    let (app, (server, store)) = (counting_app(), storing_server());
    let folder = tempfile::tempdir().expect("a folder");
    let maps = folder.path().join("maps.yml");
    let text = |settings: &str| {
        let text = only(&app.address, "es", &format!("endpoint: \"{}\"", server.address));
        let reader = format!("timeout: 2s, map_file: \"{}\"}}", maps.display());
        text.replace("timeout: 2s}", &reader).replace("300ms", &format!("300ms{settings}"))
    };
    std::fs::write(&maps, "memory_bytes: {alloc: b}").expect("written");
    let mut program = Program::start(&[], &text(""));
    wait_until("a document", || !sequence(&store).is_empty());
    assert!(!program.read("stderr").contains("DEBUG"));

    std::fs::write(&maps, "memory_bytes: {alloc: kb}").expect("written");
    let said = reload(&program, &text(", log_level: debug, log_format: json"));
    let again = "readers 0 kept, 1 changed, 0 added, 0 removed; recorders 1 kept, 0 changed, 0 added, 0 removed";
    assert!(said.starts_with(again) && said.ends_with("\"}"), "{said}");
    let read = "\"level\":\"debug\",\"message\":\"polled\",\"reader\":\"app\"";
    wait_until("it tells more", || program.read("stderr").contains(read));
    let converted = |store: &Store| store.documents.values().any(|document| document["memstats.Alloc"] != 1);
    wait_until("the other unit", || converted(&store.lock().expect("the store")));

    std::fs::write(program.path("conf.yml"), text(", log_level: error")).expect("written");
    program.signal("HUP");
    let mut length = program.read("stderr").len();
    let polled = std::cell::Cell::new(app.request_count());
    wait_until("it tells nothing more", || {
        let before = std::mem::replace(&mut length, program.read("stderr").len());
        if before != length {
            polled.set(app.request_count());
        }
        app.request_count() > polled.get() + 10
    });
    assert_eq!(stop(&mut program), Some(0));
    assert_eq!(loaded(&program), 1, "that it was loaded is told at a level that was switched off");
}

/// Ends with the test, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn without_a_file_there_is_nothing_to_load_and_it_runs_on() {
    let (app, (server, store)) = (counting_app(), storing_server());
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let mut command = program::expvastic();
    command.args(["--reader", &app.address, "--recorder", &server.address, "--int", "10ms"]).stdin(Stdio::null());
    let child = command.stderr(std::fs::File::create(&log).expect("created")).spawn();
    let mut child = Ended(child.expect("it starts"));
    let pid = child.0.id().to_string();
    let signal = |name: &str| {
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.expect("kill starts").success());
    };
    wait_until("a document", || !sequence(&store).is_empty());
    signal("HUP");
    let said = || std::fs::read_to_string(&log).expect("read");
    wait_until("it says so", || said().contains("SIGHUP received, no configuration file to reload"));
    let polled = app.request_count();
    wait_until("it runs on", || sequence(&store).len() > polled + 5);
    signal("TERM");
    assert_eq!(child.0.wait().expect("it ends").code(), Some(0));
}

#[test]
fn once_is_not_disturbed() {
    let gate = Arc::new(AtomicBool::new(false));
    let (open, asked) = (Arc::clone(&gate), Arc::new(AtomicBool::new(false)));
    let is_asked = Arc::clone(&asked);
    let app = Server::start(move |_| {
        is_asked.store(true, Ordering::SeqCst);
        wait_until("the test opens the gate", || open.load(Ordering::SeqCst));
        Reply::ok("{\"poll_seq\":0}")
    });
    let (server, store) = storing_server();
    let text =
        only(&app.address, "es", &format!("endpoint: \"{}\"", server.address)).replace("timeout: 2s", "timeout: 1m");
    let mut program = Program::start(&["once"], &text);
    wait_until("the poll is under way", || asked.load(Ordering::SeqCst));
    program.signal("HUP");
    wait_until("it says so", || program.read("stderr").contains("ignoring SIGHUP or SIGUSR1"));
    gate.store(true, Ordering::SeqCst);
    assert_eq!(program.wait(), Some(0));
    assert_eq!(sequence(&store), up_to(1));
}

#[test]
fn a_signal_that_comes_while_the_file_is_read_waits_until_it_has_been() {
    let (server, store) = storing_server();
    let app = counting_app();
    // It takes a while to read so much.
    let comments = format!("# {}\n", "x".repeat(1_000)).repeat(500);
    let config = only(&app.address, "es", &format!("endpoint: \"{}\"", server.address)) + &comments;
    let mut program = Program::start(&[], &config);
    // As soon as it is caught: SIGHUP is the first bit.
    wait_until("signals are caught", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).expect("it runs");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("what is caught");
        u64::from_str_radix(caught.trim(), 16).expect("a mask") & 1 != 0
    });
    program.signal("HUP");
    wait_until("documents are stored", || !store.lock().expect("the store").documents.is_empty());
    wait_until("it is loaded again", || program.read("stderr").contains("configuration reloaded: readers 1 kept"));
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
}
