//! Exit codes. `once` returns 0 only if every document was accepted. A run that is stopped returns 0 if all documents that were
//! waiting were shipped or spooled, even if others were lost or refused before.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Server, Store, counting_app, overloaded_server, storing_server, wait_until};
use program::Program;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

fn config(settings: &str, app: &str, server: &str, more: &str) -> String {
    format!(
        "settings: {{{settings}}}\n\
         readers: {{app: {{type_name: app, endpoint: \"{app}\", interval: 10ms, timeout: 2s}}}}\n\
         recorders: {{es: {{endpoint: \"{server}\", timeout: 2s{more}}}}}\nroutes: {{r: {{readers: [app], recorders: [es]}}}}\n"
    )
}

/// A server that judges each document of its first `bulks` bulks like this, and takes the rest.
fn judging_server(bulks: usize, status: u16, error: &'static str) -> Server {
    let (store, seen) = (Mutex::new(Store::default()), AtomicUsize::new(0));
    Server::start(move |request| {
        let judgement = Some((status, error)).filter(|_| seen.fetch_add(1, Ordering::SeqCst) < bulks);
        store.lock().expect("the store").take(&request.body, |_| judgement)
    })
}

/// Documents of so many bytes and some more.
fn talkative_app(bytes: usize) -> Server {
    Server::start(move |_| Reply::ok(format!("{{\"text\": \"{}\"}}", "x".repeat(bytes))))
}

#[test]
fn once_is_0_only_if_every_document_was_taken() {
    let (app, talkative) = (counting_app(), talkative_app(100_000));
    let away = "127.0.0.1:1";
    for (case, app, server, settings, more, code) in [
        ("taken", &app, &storing_server().0.address, "", "", 0),
        ("taken earlier", &app, &judging_server(1, 409, "version_conflict_engine_exception").address, "", "", 0),
        (
            "taken at the second try",
            &app,
            &judging_server(1, 429, "es_rejected_execution_exception").address,
            "",
            "",
            0,
        ),
        ("refused for good", &app, &judging_server(1, 400, "mapper_parsing_exception").address, "", "", 1),
        (
            "refused, and kept",
            &app,
            &judging_server(1, 400, "mapper_parsing_exception").address,
            "",
            ", dead_letter: dead.ndjson",
            1,
        ),
        ("not taken in time", &app, &away.to_owned(), "shutdown_timeout: 100ms", "", 1),
        ("in a spool", &app, &away.to_owned(), "shutdown_timeout: 100ms", ", spool: {path: spool}", 1),
        ("no room in memory", &talkative, &storing_server().0.address, "memory_limit: 64KiB", "", 1),
        ("no document", &Server::start(|_| Reply::ok("no JSON")), &storing_server().0.address, "", "", 1),
    ] {
        let mut program = Program::start(&["once"], &config(settings, &app.address, server, more));
        assert_eq!(program.wait(), Some(code), "{case}: {}", program.read("stderr"));
    }
}

/// The spool holds what an earlier one has left.
#[test]
fn once_is_not_0_if_a_document_that_it_found_in_the_spool_is_refused() {
    let (server, store, well) = overloaded_server();
    let (app, spool) = (counting_app(), ", spool: {path: spool}");
    let text = config("shutdown_timeout: 100ms", &app.address, &server.address, spool);
    let mut program = Program::start(&["once"], &text);
    assert_eq!(program.wait(), Some(1));
    well.store(true, Ordering::SeqCst);
    let refusing = judging_server(1, 400, "mapper_parsing_exception");
    let text = config("", &app.address, &refusing.address, &format!("{spool}, bulk: {{documents: 1}}"));
    let mut program = program.start_again(&["once"], &text);
    assert_eq!(program.wait(), Some(1), "{}", program.read("stderr"));
    let mut program = program.start_again(&["once"], &config("", &app.address, &server.address, spool));
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
    assert!(!store.lock().expect("the store").documents.is_empty());
}

#[test]
fn what_was_refused_before_a_signal_is_in_the_ledger_only() {
    for signal in ["INT", "TERM"] {
        let (app, server) = (counting_app(), judging_server(3, 400, "mapper_parsing_exception"));
        let mut program = Program::start(&[], &config("", &app.address, &server.address, ""));
        wait_until("some are taken", || server.request_count() > 5);
        program.signal(signal);
        assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
        assert!(
            program.read("stderr").contains(" dead_lettered 3 + dropped 0 + waiting 0"),
            "{}",
            program.read("stderr")
        );
    }
}

#[test]
fn what_was_dropped_before_a_signal_is_in_the_ledger_only() {
    let (app, (server, store, well)) = (talkative_app(100_000), overloaded_server());
    let text = config("memory_limit: 1MiB", &app.address, &server.address, "");
    let mut program = Program::start(&[], &text);
    wait_until("more than there is room for", || app.request_count() > 20);
    well.store(true, Ordering::SeqCst);
    wait_until("the rest is shipped", || !store.lock().expect("the store").documents.is_empty());
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
    let log = program.read("stderr");
    assert!(log.contains("documents lost") && !log.contains("dropped.memory_limit=0 "), "{log}");
}

/// To keep the newest, the spool drops the oldest.
#[test]
fn what_waits_at_a_signal_and_finds_no_room_in_the_spool_is_lost() {
    let hung = Server::start(|_| Reply::Hang(Vec::new()));
    for (bytes, code) in [("16MiB", 0), ("64KiB", 1)] {
        let app = talkative_app(2_000);
        let more = format!(", spool: {{path: spool, bytes: {bytes}, sync: 1h}}");
        let mut program = Program::start(&[], &config("shutdown_timeout: 0s", &app.address, &hung.address, &more));
        wait_until("more wait than have room there", || app.request_count() > 60);
        program.signal("TERM");
        assert_eq!(program.wait(), Some(code), "{}", program.read("stderr"));
        let log = program.read("stderr");
        assert_eq!(log.contains("documents lost"), code == 1, "{log}");
        assert!(code == 0 || log.contains("dropped.shutdown=0 "), "{log}");
    }
}

/// A recorder that the configuration is without has some time to ship what it has.
#[test]
fn what_a_recorder_has_left_that_is_about_to_end_counts_too() {
    let (app, hung, (server, _)) = (counting_app(), Server::start(|_| Reply::Hang(Vec::new())), storing_server());
    // It ends before the others do, or with them.
    for timeouts in [["3s", "1h"], ["1h", "200ms"]] {
        let text = |timeout: &str, more: &str, named: &str| {
            format!(
                "settings: {{shutdown_timeout: {timeout}}}\n\
                 readers: {{app: {{type_name: app, endpoint: \"{}\", interval: 10ms}}}}\n\
                 recorders: {{es: {{endpoint: \"{}\"}}{more}}}\nroutes: {{r: {{readers: [app], recorders: [es{named}]}}}}\n",
                app.address, server.address
            )
        };
        let both = format!(", gone: {{endpoint: \"{}\"}}", hung.address);
        let mut program = Program::start(&[], &text(timeouts[0], &both, ", gone"));
        let before = hung.connections.load(Ordering::SeqCst);
        wait_until("a bulk is under way", || hung.connections.load(Ordering::SeqCst) > before);
        std::fs::write(program.path("conf.yml"), text(timeouts[0], "", "")).expect("written");
        program.signal("HUP");
        wait_until("it is loaded", || program.read("stderr").contains("configuration reloaded"));
        // How long the end may take is told only now.
        std::fs::write(program.path("conf.yml"), text(timeouts[1], "", "")).expect("written");
        program.signal("HUP");
        wait_until("it is loaded", || program.read("stderr").matches("configuration reloaded").count() == 2);
        program.signal("TERM");
        let code = program.wait();
        let log = program.read("stderr");
        let at = |said: &str| log.find(said).unwrap_or_else(|| panic!("{said}: {log}"));
        // On a very busy machine it may have ended before the signal, which is another matter.
        let is_earlier = at("documents lost") < at("SIGTERM received");
        assert_eq!(code, Some(i32::from(!is_earlier)), "{log}");
    }
}

#[test]
fn an_output_that_nobody_reads_any_more_is_a_loss_before_a_signal_and_an_end_without_another_recorder() {
    let (app, (server, store)) = (counting_app(), storing_server());
    for (recorders, code) in [("screen", 1), ("screen, es", 0)] {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            "readers: {{app: {{type_name: app, endpoint: \"{}\", interval: 10ms}}}}\n\
             recorders: {{es: {{endpoint: \"{}\"}}, screen: {{type: file, path: \"-\"}}}}\n\
             routes: {{r: {{readers: [app], recorders: [{recorders}]}}}}\n",
            app.address, server.address
        );
        let path = folder.path().join("conf.yml");
        std::fs::write(&path, text).expect("written");
        let mut command = program::expvastic();
        let mut child =
            command.arg("-c").arg(&path).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        drop(child.stdout.take());
        if code == 0 {
            wait_until("others are shipped", || store.lock().expect("the store").documents.len() > 10);
            let stop = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            assert!(stop.expect("kill starts").success());
        }
        assert_eq!(child.wait().expect("it ends").code(), Some(code), "{recorders}");
    }
}
