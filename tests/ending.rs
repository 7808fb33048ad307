//! Shutdown: the program ends in time whatever hangs, and not before it is asked to. Runs the program itself.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "a test has a clock")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Server, counting_app, storing_server, wait_until};
use program::Program;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn config(settings: &str, app: &str, server: &str) -> String {
    format!(
        "settings: {{log_level: debug, {settings}}}\n\
         readers: {{app: {{type_name: app, endpoint: \"{app}\", interval: 50ms, timeout: 2s}}}}\n\
         recorders: {{es: {{endpoint: \"{server}\", timeout: 1h}}}}\nroutes: {{r: {{readers: [app], recorders: [es]}}}}\n"
    )
}

#[test]
fn a_signal_within_a_second_of_the_first_is_the_same_one() {
    let hung = Server::start(|_| Reply::Hang(Vec::new()));
    let app = counting_app();
    let mut program = Program::start(&[], &config("shutdown_timeout: 1h", &app.address, &hung.address));
    wait_until("a bulk is under way", || hung.connections.load(Ordering::SeqCst) > 0);
    let first = Instant::now();
    // As GNU timeout does, and then in all kinds.
    program.signal("TERM");
    program.signal("TERM");
    wait_until("it has been heard", || program.read("stderr").contains("received (send it again"));
    program.signal("INT");
    program.signal("TERM");
    let ends = || program.read("stderr").contains("received again: exiting without flushing");
    wait_until("it is the same one", || ends() || program.read("stderr").contains("of the first: ignored"));
    assert!(!ends() || first.elapsed() >= Duration::from_secs(1), "it has ended after {:?}", first.elapsed());
    assert_eq!(program.hurry("TERM"), Some(1));
    assert!(first.elapsed() >= Duration::from_secs(1), "it has ended after {:?}", first.elapsed());
    let said = program.read("stderr");
    assert!(said.contains("received again: exiting without flushing") && said.contains("ledger: made"), "{said}");
}

/// As soon as signals are caught: SIGTERM is the fifteenth bit.
fn is_caught(program: &Program) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).expect("it runs");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("what is caught");
    u64::from_str_radix(caught.trim(), 16).expect("a mask") & (1 << 14) != 0
}

#[test]
fn a_signal_at_the_very_start_ends_it_well() {
    let app = counting_app();
    let (server, _) = storing_server();
    for _ in 0..10 {
        let mut program = Program::start(&[], &config("", &app.address, &server.address));
        wait_until("it is caught", || is_caught(&program));
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0));
        assert!(program.read("stderr").contains("ledger: made"));
    }
}

/// Opening a FIFO waits for somebody who writes to it.
#[cfg(feature = "tls")]
#[test]
fn certificates_that_are_a_fifo_are_not_waited_for() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    let (server, store) = storing_server();
    let app = counting_app();
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("certificates");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    let environment = [("SSL_CERT_FILE", fifo.to_str().expect("UTF-8"))];
    for arguments in [&[][..], &["once"]] {
        let text = config("shutdown_timeout: 1h", &app.address, &server.address);
        let secured = format!("tls: {{type_name: t, endpoint: \"https://{}\", timeout: 200ms}}", app.address);
        let text = text.replace("readers: {", &format!("readers: {{{secured}, ")).replace("[app]", "[app, tls]");
        let mut program = Program::start_with(&environment, arguments, &text);
        wait_until("documents are stored", || !store.lock().expect("the store").documents.is_empty());
        let unusable = "this system has no CA certificates";
        wait_until("it is told", || program.read("stderr").contains(unusable));
        if arguments.is_empty() {
            program.signal("TERM");
        }
        assert_eq!(program.wait(), Some(i32::from(!arguments.is_empty())), "a poll has failed");
        assert!(program.read("stderr").contains("ledger: made"));
    }
}
