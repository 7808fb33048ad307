//! Dead letters on a disk that is full or read-only. Runs the program with real files.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "threads of the test, not of the shipper")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Server, Store, bulk_documents, counting_app, wait_until};
use program::Program;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// No file grows beyond this: a number that no letter ends at.
const FILE_BYTES_MAX: usize = 33 * 512;

/// A server that refuses every second document for good, until it is told to take all.
fn picky_server() -> (Server, Arc<Mutex<Store>>, Arc<AtomicBool>) {
    let (store, takes_all) = (Arc::new(Mutex::new(Store::default())), Arc::new(AtomicBool::new(false)));
    let (stored, takes) = (Arc::clone(&store), Arc::clone(&takes_all));
    let server = Server::start(move |request| {
        let documents = bulk_documents(&request.body);
        let is_refused = |at: usize| documents[at].2["poll_seq"].as_u64().is_some_and(|number| number % 2 == 0);
        let refuses = |at: usize| !takes.load(Ordering::SeqCst) && is_refused(at);
        let reply = |at: usize| refuses(at).then_some((400, "mapper_parsing_exception"));
        stored.lock().expect("the store").take(&request.body, reply)
    });
    (server, store, takes_all)
}

fn config(app: &str, server: &str, more: &str) -> String {
    format!(
        "settings: {{shutdown_timeout: 1m}}\n\
         readers: {{app: {{type_name: app, endpoint: \"{app}\", interval: 10ms, timeout: 2s}}}}\n\
         recorders:\n  es: {{endpoint: \"{server}\", dead_letter: letters/dead.ndjson{more}}}\n\
         routes: {{r: {{readers: [app], recorders: [es]}}}}\n"
    )
}

/// A file stands where the folder of the dead letters is to be.
fn unwritable(config: &str) -> String {
    config.replace("letters/dead.ndjson", "conf.yml/dead.ndjson")
}

fn stored(store: &Mutex<Store>) -> BTreeSet<u64> {
    let store = store.lock().expect("the store");
    store.documents.values().map(|document| document["poll_seq"].as_u64().expect("a number")).collect()
}

/// The numbers of the documents in files of dead letters, none of them twice. A line that is being written, or taken back,
/// does not count.
fn letters(program: &Program, names: &[String]) -> BTreeSet<u64> {
    let mut all = BTreeSet::new();
    for text in names.iter().map(|name| program.read(name)) {
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let letter: serde_json::Value = serde_json::from_str(line).expect("a whole line");
            assert!(all.insert(letter["document"]["poll_seq"].as_u64().expect("a number")), "a letter twice: {line}");
        }
    }
    all
}

/// The number behind `word` in the last ledger.
fn ledger(program: &Program, word: &str) -> u64 {
    let said = program.read("stderr");
    let line = said.lines().rfind(|line| line.contains("ledger: made ")).expect("a ledger").to_owned();
    let (_, behind) = line.split_once(&format!("{word} ")).expect("the word");
    behind.split([' ', ')']).next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn on_a_full_disk_those_that_are_counted_are_in_the_file_and_the_others_wait() {
    let (app, (server, store, takes_all)) = (counting_app(), picky_server());
    let program = Program::start_within(FILE_BYTES_MAX, &config(&app.address, &server.address, ""));
    let path = program.path("letters/dead.ndjson");
    let mut names = Vec::new();
    for number in 0..3 {
        let length = || path.metadata().map_or(0, |file| usize::try_from(file.len()).expect("short"));
        // As long as a letter is, or a little less.
        wait_until("the disk is full", || length() > FILE_BYTES_MAX - 500);
        wait_until("it says so", || program.read("stderr").contains("cannot keep dead letters: cannot write to "));
        let polled = app.request_count() as u64;
        wait_until("others go on", || stored(&store).last() > Some(&(polled + 20)));
        names.push(format!("letters/{number}"));
        std::fs::rename(&path, program.path(&names[number])).expect("moved");
    }
    wait_until("there is room", || program.read("stderr").contains("keeping dead letters again"));
    takes_all.store(true, Ordering::SeqCst);
    let polled = app.request_count() as u64;
    names.push("letters/dead.ndjson".to_owned());
    let is_out = |program: &Program| {
        let (stored, letters) = (stored(&store), letters(program, &names));
        assert!(stored.is_disjoint(&letters), "what is stored has no letter");
        (0..polled).all(|number| stored.contains(&number) || letters.contains(&number))
    };
    wait_until("all are stored or have their letters", || is_out(&program));
    let mut program = program;
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
    assert_eq!(letters(&program, &names).len() as u64, ledger(&program, "dead_lettered"));
    assert_eq!((ledger(&program, "dropped"), ledger(&program, "waiting")), (0, 0));
    assert!(names[..3].iter().all(|name| program.read(name).lines().count() > 20), "whole files");
}

#[test]
fn with_a_spool_they_wait_there_and_outlive_a_kill() {
    let (app, (server, store, _)) = (counting_app(), picky_server());
    let writable = config(&app.address, &server.address, ", spool: {path: spool, sync: 50ms}");
    let mut program = Program::start(&[], &unwritable(&writable));
    let on_disk = |program: &Program| {
        let files = std::fs::read_dir(program.path("spool")).into_iter().flatten().flatten().map(|entry| entry.path());
        let texts = files.filter(|path| path.extension().is_some_and(|kind| kind == "ndjson"));
        let text: String = texts.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect();
        let numbers = text.split("\"poll_seq\":").skip(1);
        numbers.filter_map(|rest| rest.split([',', '}']).next()?.parse().ok()).collect::<BTreeSet<u64>>()
    };
    wait_until("some wait on disk", || (0..40).step_by(2).all(|number| on_disk(&program).contains(&number)));
    program.kill();
    let program = program.start_again(&[], &writable);
    let names = ["letters/dead.ndjson".to_owned()];
    wait_until("they have their letters", || {
        let letters = letters(&program, &names);
        (0..40).step_by(2).all(|number| letters.contains(&number))
    });
    assert!(letters(&program, &names).is_disjoint(&stored(&store)));
}

#[test]
fn those_that_have_to_go_are_counted_as_what_they_are() {
    let (app, (server, ..)) = (counting_app(), picky_server());
    let text = config(&app.address, &server.address, "").replace("1m", "100ms");
    let mut program = Program::start(&[], &unwritable(&text));
    wait_until("some wait", || app.request_count() > 30);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(1), "documents lost: {}", program.read("stderr"));
    let dropped = ledger(&program, "dropped");
    assert!(dropped >= 15 && ledger(&program, "dead_lettered") == 0, "{}", program.read("stderr"));
    assert!(program.read("stderr").contains(&format!("dropped.dead_letter_unwritable={dropped}")));
}
