//! Documents that have waited for `spool.sync` are on disk in every state of a recorder: while it starts, hands over to its
//! successor after a reload, ends without a successor, or drains. Runs the program beside a server that never answers.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "threads of the test, not of the shipper")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Server, Store, counting_app, storing_server, wait_until};
use program::Program;
use std::collections::BTreeSet;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// It takes each request, and answers none.
fn hung_server() -> Server {
    Server::start(|_| Reply::Hang(Vec::new()))
}

/// An endpoint whose first twenty documents are more than a pipe holds.
fn large_app() -> Server {
    let polls = AtomicUsize::new(0);
    Server::start(move |_| {
        let number = polls.fetch_add(1, Ordering::SeqCst);
        let padding = "x".repeat(if number < 20 { 8 << 10 } else { 0 });
        Reply::ok(format!("{{\"poll_seq\":{number},\"padding\":\"{padding}\"}}"))
    })
}

/// A reader `app` with these recorders, all of which get its documents. Nothing ends for want of time.
fn config(app: &str, recorders: &[(&str, String)]) -> String {
    let names: Vec<&str> = recorders.iter().map(|(name, _)| *name).collect();
    let recorders: Vec<String> = recorders.iter().map(|(name, keys)| format!("  {name}: {{{keys}}}\n")).collect();
    let recorders = recorders.concat();
    format!(
        "settings: {{shutdown_timeout: 1h}}\n\
         readers: {{app: {{type_name: app, endpoint: \"{app}\", interval: 10ms, timeout: 2s}}}}\n\
         recorders:\n{recorders}routes: {{r: {{readers: [app], recorders: [{}]}}}}\n",
        names.join(", ")
    )
}

/// A recorder's keys.
fn keys(server: &Server, more: &str) -> String {
    format!("endpoint: \"{}\", timeout: 1h{more}", server.address)
}

const SPOOL: &str = ", spool: {path: spool, sync: 50ms}";

fn reload(program: &Program, config: &str) {
    std::fs::write(program.path("conf.yml"), config).expect("written");
    let loaded = |program: &Program| program.read("stderr").matches("configuration reloaded: ").count();
    let before = loaded(program);
    program.signal("HUP");
    wait_until("it is loaded", || loaded(program) > before);
}

/// The numbers of the polls whose documents are in the folder `spool`.
fn on_disk(program: &Program) -> BTreeSet<u64> {
    let Ok(folder) = std::fs::read_dir(program.path("spool")) else { return BTreeSet::new() };
    let paths = folder.map(|entry| entry.expect("an entry").path());
    let texts = paths.filter(|path| path.extension().is_some_and(|kind| kind == "ndjson"));
    let text: String = texts.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect();
    let numbers = text.split("\"poll_seq\":").skip(1);
    numbers.filter_map(|rest| rest.split([',', '}']).next()?.parse().ok()).collect()
}

fn sequence(store: &Mutex<Store>) -> BTreeSet<u64> {
    let store = store.lock().expect("the store");
    store.documents.values().map(|document| document["poll_seq"].as_u64().expect("a number")).collect()
}

/// Twenty documents that come from now on, and all before them, are on disk in a while.
fn wait_for_twenty_more(program: &Program, app: &Server) {
    let polled = app.request_count() as u64;
    wait_until("what has come is on disk", || (0..polled + 20).all(|number| on_disk(program).contains(&number)));
}

/// Kills it; what was on disk is stored by the next one.
fn kill_and_deliver(mut program: Program, app: &Server) {
    program.kill();
    let there = on_disk(&program);
    let (server, store) = storing_server();
    let program = program.start_again(&[], &config(&app.address, &[("es", keys(&server, SPOOL))]));
    wait_until("all that was on disk is stored", || sequence(&store).is_superset(&there));
    drop(program);
}

#[test]
fn one_that_changes_goes_on_with_its_spool_while_the_old_exchange_hangs() {
    let (app, server) = (counting_app(), hung_server());
    let text = |more: &str| config(&app.address, &[("es", keys(&server, &format!("{SPOOL}{more}")))]);
    let program = Program::start(&[], &text(""));
    wait_for_twenty_more(&program, &app);
    // Whatever changes, and the same again: each has another one before it that waits for the first exchange.
    for more in [", backoff: 3", ", backoff: 4, bulk: {documents: 7}", ", backoff: 4, bulk: {documents: 7}", ""] {
        reload(&program, &text(more));
        wait_for_twenty_more(&program, &app);
    }
    assert_eq!(server.request_count(), 1, "the first exchange is still under way");
    kill_and_deliver(program, &app);
}

#[test]
fn a_spool_that_is_new_takes_what_waits_at_once_and_what_is_under_way() {
    let (app, server) = (counting_app(), hung_server());
    let program = Program::start(&[], &config(&app.address, &[("es", keys(&server, ""))]));
    wait_until("some documents wait", || app.request_count() > 20);
    reload(&program, &config(&app.address, &[("es", keys(&server, SPOOL))]));
    wait_for_twenty_more(&program, &app);
    kill_and_deliver(program, &app);
}

#[test]
fn one_whose_file_hangs_goes_on_elsewhere_with_a_spool() {
    let (app, server) = (large_app(), hung_server());
    let pipe = tempfile::tempdir().expect("a folder");
    let pipe = pipe.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts").success());
    // Nobody reads.
    let file = format!("type: file, path: \"{}\"", pipe.display());
    let program = Program::start(&[], &config(&app.address, &[("es", file)]));
    wait_until("the pipe is full", || app.request_count() > 20);
    reload(&program, &config(&app.address, &[("es", keys(&server, SPOOL))]));
    let polled = app.request_count() as u64;
    wait_until("what waits is on disk", || (15..polled + 20).all(|number| on_disk(&program).contains(&number)));
    kill_and_deliver(program, &app);
}

#[test]
fn one_that_is_to_end_or_to_hand_its_folder_over_saves_what_it_has() {
    let (server, (other, _)) = (hung_server(), storing_server());
    let slow = ", spool: {path: spool, sync: 2s}";
    for after in [("other", keys(&other, "")), ("es", keys(&other, ", spool: {path: elsewhere, sync: 50ms}"))] {
        // A new one each time: else it may count the last poll of a program that was killed.
        let app = counting_app();
        let program = Program::start(&[], &config(&app.address, &[("es", keys(&server, slow))]));
        let polled = app.request_count() as u64;
        wait_until("some documents wait", || app.request_count() as u64 > polled + 20);
        reload(&program, &config(&app.address, &[after]));
        wait_until("they are on disk", || (polled..polled + 20).all(|number| on_disk(&program).contains(&number)));
        kill_and_deliver(program, &app);
    }
}

#[test]
fn while_it_drains_what_it_has_is_on_disk_before_its_time_is_over() {
    let server = hung_server();
    let slow = ", spool: {path: spool, sync: 2s}";
    for hands_over in [false, true] {
        let app = counting_app();
        let text = |more: &str| config(&app.address, &[("es", keys(&server, &format!("{slow}{more}")))]);
        let program = Program::start(&[], &text(""));
        let polled = app.request_count() as u64;
        wait_until("some documents wait", || app.request_count() as u64 > polled + 20);
        if hands_over {
            reload(&program, &text(", backoff: 3"));
        }
        program.signal("TERM");
        // Another configuration now changes nothing.
        program.signal("HUP");
        wait_until("they are on disk", || (polled..polled + 20).all(|number| on_disk(&program).contains(&number)));
        kill_and_deliver(program, &app);
    }
}

#[test]
fn a_folder_that_cannot_be_opened_at_first_is_used_as_soon_as_it_can_whoever_has_the_recorder() {
    let (app, server) = (counting_app(), hung_server());
    let text = |more: &str| config(&app.address, &[("es", keys(&server, &format!("{SPOOL}{more}")))]);
    let folder = tempfile::tempdir().expect("a folder");
    let text = |more: &str| {
        text(more).replace("path: spool", &format!("path: \"{}\"", folder.path().join("spool/in").display()))
    };
    std::fs::write(folder.path().join("spool"), "in the way").expect("written");
    let program = Program::start(&[], &text(""));
    wait_until("it says so", || program.read("stderr").contains("cannot use the spool folder"));
    reload(&program, &text(", backoff: 3"));
    std::fs::remove_file(folder.path().join("spool")).expect("removed");
    wait_until("some are on disk", || {
        let files = std::fs::read_dir(folder.path().join("spool/in")).into_iter().flatten();
        files.flatten().any(|entry| entry.path().extension().is_some_and(|kind| kind == "ndjson"))
    });
}

/// What its predecessor had under way cannot be written any more, which is nothing to the one that goes on.
#[test]
fn a_pipe_that_is_closed_takes_no_document_of_the_next_one_with_it() {
    let (app, (server, store)) = (large_app(), storing_server());
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let said = || std::fs::read_to_string(path("stderr")).unwrap_or_default();
    let screen = config(&app.address, &[("es", "type: file, path: \"-\"".to_owned())]);
    std::fs::write(path("conf.yml"), screen).expect("written");
    let mut command = program::expvastic();
    command.current_dir(folder.path()).args(["-c", "conf.yml"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.stderr(std::fs::File::create(path("stderr")).expect("created")).spawn().expect("it starts");
    let id = child.id().to_string();
    let signal = |name: &str| {
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(sent.expect("kill starts").success());
    };
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut [0; 100]).expect("something");
    wait_until("the pipe is full", || app.request_count() > 20);
    std::fs::write(path("conf.yml"), config(&app.address, &[("es", keys(&server, ""))])).expect("written");
    signal("HUP");
    wait_until("it is loaded", || said().contains("configuration reloaded: "));
    drop(stdout);
    let polled = app.request_count() as u64;
    wait_until("the others are stored", || (15..polled + 10).all(|number| sequence(&store).contains(&number)));
    signal("TERM");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{}", said());
    assert!(!said().contains("recorder stopped"), "{}", said());
}
