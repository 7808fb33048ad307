//! The spool. Runs the program with real files and real sockets.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "threads of the test, not of the shipper")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Reserved, Server, Store, counting_app, overloaded_server, wait_until};
use program::Program;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

fn config(app: &str, server: &str, more: &str) -> String {
    format!(
        "settings: {{shutdown_timeout: 100ms}}\n\
         readers: {{app: {{type_name: app, endpoint: \"{app}\", interval: 20ms, timeout: 2s}}}}\n\
         recorders:\n  es: {{endpoint: \"{server}\", timeout: 2s, spool: {{path: spool, sync: 100ms}}{more}}}\n\
         routes: {{r: {{readers: [app], recorders: [es]}}}}\n"
    )
}

/// The number before `word` in the ledger that was printed last.
fn ledger(program: &Program, word: &str) -> u64 {
    let said = program.read("stderr");
    let line = said.lines().rfind(|line| line.contains("ledger: made ")).expect("a ledger").to_owned();
    let (_, behind) = line.split_once(&format!("{word} ")).expect("the word");
    behind.split([' ', ')']).next().and_then(|number| number.parse().ok()).expect("a number")
}

fn spooled_files(program: &Program, ending: &str) -> Vec<PathBuf> {
    let Ok(folder) = std::fs::read_dir(program.path("spool")) else { return Vec::new() };
    let paths = folder.map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    found.sort();
    found
}

fn output(output: &std::process::Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

fn sequence(store: &Mutex<Store>) -> BTreeSet<u64> {
    let store = store.lock().expect("the store");
    let numbers: BTreeSet<u64> =
        store.documents.values().map(|document| document["poll_seq"].as_u64().expect("a number")).collect();
    assert_eq!(numbers.len(), store.documents.len(), "no document twice");
    numbers
}

#[test]
fn what_waits_outlives_the_process_and_can_be_looked_at() {
    let (app, (server, store, well)) = (counting_app(), overloaded_server());
    let text = config(&app.address, &server.address, "");
    let mut program = Program::start(&[], &text);
    wait_until("documents on disk", || !spooled_files(&program, "ndjson").is_empty() && app.request_count() > 20);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0), "nothing is lost: {}", program.read("stderr"));
    let (made, waiting) = (ledger(&program, "made"), ledger(&program, "waiting"));
    assert_eq!(made, waiting);
    assert!(program.read("stderr").contains(&format!(
        "documents left in the spool: shipped when a recorder uses that folder again recorder=es documents={waiting}"
    )));

    let (listed, _, code) = output(&program.beside(&["spool", "ls"]));
    assert_eq!(code, Some(0));
    assert!(listed.contains(&format!("es: {waiting} documents waiting in spool, ")), "{listed}");
    let (summary, _, _) = output(&program.beside(&["spool", "ls", "--summary"]));
    assert!(listed.ends_with(&summary) && listed.len() > summary.len() && summary.lines().count() == 2, "{listed}");
    let total = summary.lines().last().expect("a total");
    assert!(total.starts_with(&format!("total: {waiting} documents waiting in 1 spool, ")), "{total}");
    // A machine that is busy makes them older.
    assert!(total.contains(", oldest ") && total.contains(", newest ") && !total.contains(" d "), "{total}");
    let (_, said, code) = output(&program.beside(&["spool", "drop", "--summary"]));
    assert!(said.contains("--summary works only with spool ls") && code == Some(64), "{said}");
    let (verified, _, code) = output(&program.beside(&["spool", "verify"]));
    assert_eq!((verified, code), (format!("es: {waiting} of {waiting} documents intact; no damage found\n"), Some(0)));
    let (dumped, _, _) = output(&program.beside(&["spool", "dump"]));
    let files: Vec<u8> =
        spooled_files(&program, "ndjson").iter().flat_map(|path| std::fs::read(path).expect("read")).collect();
    assert_eq!(dumped.as_bytes(), files, "the files are what would be sent");
    assert_eq!(loopback::bulk_documents(&files).len() as u64, waiting);

    well.store(true, Ordering::SeqCst);
    let mut program = program.start_again(&[], &text);
    wait_until("the backlog is delivered", || sequence(&store).len() as u64 > waiting);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    assert!(
        program.read("stderr").contains(&format!("documents recovered from the spool recorder=es documents={waiting}"))
    );
    assert_eq!(sequence(&store).len() as u64, ledger(&program, "made"), "each once");
    assert!(spooled_files(&program, "ndjson").is_empty() && spooled_files(&program, "sums").is_empty());
}

#[test]
fn a_damaged_spool_is_told_of_and_the_rest_is_delivered() {
    let (app, (server, store, well)) = (counting_app(), overloaded_server());
    let text = config(&app.address, &server.address, "");
    let mut program = Program::start(&[], &text);
    wait_until("documents on disk", || app.request_count() > 20 && !spooled_files(&program, "ndjson").is_empty());
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    let waiting = ledger(&program, "waiting");
    let file = &spooled_files(&program, "ndjson")[0];
    let mut bytes = std::fs::read(file).expect("read");
    bytes[100] ^= 4;
    std::fs::write(file, &bytes).expect("written");
    let (verified, _, code) = output(&program.beside(&["spool", "verify"]));
    assert!(verified.contains("1 document lost") && verified.contains("; damage found"), "{verified}");
    assert_eq!(code, Some(1));

    well.store(true, Ordering::SeqCst);
    let mut program = program.start_again(&[], &text);
    wait_until("the rest is delivered", || sequence(&store).len() as u64 >= waiting);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    assert_eq!(ledger(&program, "dropped"), 1);
    assert_eq!(ledger(&program, "made"), sequence(&store).len() as u64 + 1);
    let said = program.read("stderr");
    assert!(said.contains("documents in the spool were damaged"), "{said}");
    assert_eq!(spooled_files(&program, "damaged").len(), 1);
    let (dropped, _, code) = output(&program.beside(&["spool", "drop"]));
    assert_eq!((dropped.as_str(), code), ("es: dropped 0 documents\n", Some(0)));
    assert!(spooled_files(&program, "damaged").is_empty());
}

#[test]
fn what_a_blocked_index_refuses_keeps_nothing_else_on_disk() {
    let (app, (server, store, _)) = (counting_app(), overloaded_server());
    let text = config(&app.address, &server.address, "").replace("sync: 100ms", "sync: 100ms, bytes: 64KiB");
    let mut program = Program::start(&[], &text);
    wait_until("three segments on disk", || spooled_files(&program, "ndjson").len() >= 3);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
    let waiting = ledger(&program, "waiting");
    let oldest = std::fs::read(&spooled_files(&program, "ndjson")[0]).expect("read");
    let number = |source: &serde_json::Value| source["poll_seq"].as_u64().expect("a number");
    let blocked: BTreeSet<u64> =
        loopback::bulk_documents(&oldest).iter().map(|(_, _, source)| number(source)).collect();
    assert!(!blocked.is_empty());

    let (stored, is_blocked, refused) = (Arc::clone(&store), Arc::new(AtomicBool::new(true)), blocked.clone());
    let blocks = Arc::clone(&is_blocked);
    let server = Server::start(move |request| {
        let documents = loopback::bulk_documents(&request.body);
        let refuse = |at: usize| {
            let is_refused = blocks.load(Ordering::SeqCst) && refused.contains(&number(&documents[at].2));
            is_refused.then_some((403, "cluster_block_exception"))
        };
        stored.lock().expect("the store").take(&request.body, refuse)
    });
    let mut program = program.start_again(&[], &config(&app.address, &server.address, ""));
    wait_until("all but the oldest are delivered", || {
        let stored = sequence(&store);
        (0..waiting).all(|number| stored.contains(&number) != blocked.contains(&number))
    });
    is_blocked.store(false, Ordering::SeqCst);
    program.signal("USR1");
    wait_until("the rest is delivered", || sequence(&store).is_superset(&blocked));
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    assert_eq!((ledger(&program, "made"), ledger(&program, "dropped")), (sequence(&store).len() as u64, 0));
}

#[test]
fn a_folder_that_is_in_use_is_left_alone_and_documents_wait_in_memory() {
    let (app, (server, store, well)) = (counting_app(), overloaded_server());
    let text = config(&app.address, &server.address, "");
    let first = Program::start(&[], &text);
    wait_until("documents on disk", || !spooled_files(&first, "ndjson").is_empty());
    let folder = first.path("spool");
    let shared = text.replace("path: spool", &format!("path: \"{}\"", folder.display()));
    let second = Program::start(&[], &shared);
    wait_until("it says so", || second.read("stderr").contains("is in use by process"));
    let (_, said, code) = output(&first.beside(&["spool", "drop"]));
    let owner = format!("is in use by process {}, which ships it: stop that process first\n", first.id());
    assert!(said.contains("nothing dropped") && said.ends_with(&owner), "{said}");
    assert_eq!(code, Some(1));
    well.store(true, Ordering::SeqCst);
    let before = app.request_count();
    wait_until("both ship", || sequence(&store).len() > before + 20);
}

#[test]
fn a_hung_server_or_none_at_all_keeps_nothing_from_the_spool_at_the_end() {
    let hung = Server::start(|_| Reply::Hang(Vec::new()));
    let nobody = Reserved::new();
    for server in [&hung.address, &nobody.address] {
        let app = counting_app();
        let mut program = Program::start(&[], &config(&app.address, server, ""));
        wait_until("some polls", || app.request_count() > 10);
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
        let made = ledger(&program, "made");
        assert!(made >= 10 && ledger(&program, "waiting") == made, "{}", program.read("stderr"));
        let (listed, _, _) = output(&program.beside(&["spool", "ls"]));
        assert!(listed.contains(&format!("es: {made} documents waiting in spool, ")), "{listed}");
    }
}

#[test]
fn a_folder_that_cannot_be_is_no_reason_not_to_start() {
    let (app, (server, store)) = (counting_app(), loopback::storing_server());
    let text = config(&app.address, &server.address, "").replace("path: spool", "path: conf.yml/spool");
    let mut program = Program::start(&[], &text);
    wait_until("it ships", || sequence(&store).len() > 10);
    assert!(program.read("stderr").contains("cannot use the spool folder conf.yml/spool: "));
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    let (listed, said, code) = output(&program.beside(&["spool", "ls"]));
    assert!(said.contains("es: conf.yml/spool: ") && listed.is_empty() && code == Some(1), "{said}{listed}");
}

#[test]
fn a_server_is_left_alone_as_long_as_it_asks_until_sigusr1_ships_at_once() {
    // Both are longer than this test waits for anything.
    left_alone("Retry-After: 300\r\n");
    left_alone("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:54:37 GMT\r\n");
}

fn left_alone(asked: &'static str) {
    let (app, store, well) = (counting_app(), Arc::new(Mutex::new(Store::default())), Arc::new(AtomicBool::new(false)));
    let (stored, is_well) = (Arc::clone(&store), Arc::clone(&well));
    let server = Server::start(move |request| {
        if is_well.load(Ordering::SeqCst) {
            return stored.lock().expect("the store").take(&request.body, |_| None);
        }
        Reply::Full(503, asked.to_owned(), Vec::new())
    });
    let mut program = Program::start(&[], &config(&app.address, &server.address, ""));
    wait_until("it has been told to wait", || program.read("stderr").contains("shipping failed"));
    well.store(true, Ordering::SeqCst);
    let polled = app.request_count();
    wait_until("ten more documents", || app.request_count() > polled + 10);
    assert!(sequence(&store).is_empty(), "it waits as long as it was told");
    program.signal("USR1");
    wait_until("all are delivered", || sequence(&store).len() > polled);
    assert!(program.is_running());
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    assert_eq!(ledger(&program, "waiting"), 0);
}

#[test]
fn a_dead_letter_is_kept_with_the_servers_words() {
    let (app, store) = (counting_app(), Arc::new(Mutex::new(Store::default())));
    let stored = Arc::clone(&store);
    let server = Server::start(move |request| {
        let bad: Vec<bool> =
            loopback::bulk_documents(&request.body).iter().map(|(_, _, source)| source["poll_seq"] == 3).collect();
        let refuse = |at: usize| bad[at].then_some((400, "mapper_parsing_exception"));
        stored.lock().expect("the store").take(&request.body, refuse)
    });
    let mut program = Program::start(&[], &config(&app.address, &server.address, ", dead_letter: dead.ndjson"));
    wait_until("ten are stored", || sequence(&store).len() >= 10);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    let letters = program.read("dead.ndjson");
    let letter: serde_json::Value = serde_json::from_str(&letters).expect("one line of JSON");
    assert_eq!(letter["document"]["poll_seq"], 3);
    assert_eq!(
        (&letter["reason"], &letter["message"]),
        (&"mapper_parsing_exception".into(), &"as the test wants it".into())
    );
    let log = program.read("stderr");
    assert!(log.contains("the server rejected documents permanently") && log.contains("dead_lettered=1"), "{log}");
    assert_eq!((ledger(&program, "dead_lettered"), sequence(&store).contains(&3)), (1, false));
}

/// Waits until `more` documents beyond those so far are on disk.
fn wait_for_more_on_disk(program: &Program, more: usize) {
    let waiting = || -> usize {
        let (listed, _, _) = output(&program.beside(&["spool", "ls"]));
        let (_, behind) = listed.rsplit_once("es: ").expect("the sum");
        behind.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
    };
    let before = waiting();
    wait_until("more documents on disk", || waiting() >= before + more);
}

#[test]
fn what_others_do_to_the_folder_under_way_costs_at_most_what_cannot_be_read_any_more() {
    for how in ["the files", "the folder", "moved", "moved and made anew", "a link elsewhere"] {
        let (app, (server, store, well)) = (counting_app(), overloaded_server());
        let mut program = Program::start(&[], &config(&app.address, &server.address, ""));
        wait_until("documents on disk", || app.request_count() > 20 && !spooled_files(&program, "ndjson").is_empty());
        let (spool, away) = (program.path("spool"), program.path("away"));
        match how {
            "the files" => {
                let files = [spooled_files(&program, "ndjson"), spooled_files(&program, "sums")].concat();
                for file in files {
                    std::fs::remove_file(file).expect("removed");
                }
            }
            "the folder" => std::fs::remove_dir_all(&spool).expect("removed"),
            _ => std::fs::rename(&spool, &away).expect("moved"),
        }
        match how {
            "moved and made anew" => std::fs::create_dir(&spool).expect("made"),
            "a link elsewhere" => {
                std::fs::create_dir(program.path("elsewhere")).expect("made");
                std::os::unix::fs::symlink("elsewhere", &spool).expect("linked");
            }
            _ => {}
        }
        let removed_at = app.request_count() as u64;
        wait_until("it is noticed", || !spooled_files(&program, "ndjson").is_empty());
        wait_for_more_on_disk(&program, 20);
        // Whoever starts next finds all of it.
        program.kill();
        well.store(true, Ordering::SeqCst);
        let said = program.read("stderr");
        let mut program = program.start_again(&[], &config(&app.address, &server.address, ""));
        wait_until("the backlog is delivered", || sequence(&store).len() as u64 > removed_at);
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0), "{how}: {}", program.read("stderr"));
        let (stored, polled) = (sequence(&store), app.request_count() as u64);
        // Younger than `sync` when it was killed.
        let noticed = said
            .lines()
            .filter(|line| line.contains("another process removed") || line.contains("spool folder spool "));
        assert!((1..=3).contains(&noticed.count()), "{how}: {said}");
        let missing: Vec<u64> = (0..polled).filter(|number| !stored.contains(number)).collect();
        let early = missing.iter().filter(|number| **number < removed_at).count();
        assert!(missing.len() - early <= 30, "{how}: {missing:?} are missing, it was removed at {removed_at}");
        if how.starts_with("moved") || how.starts_with("a link") {
            assert_eq!(early, 0, "{how}: {missing:?}");
            assert!(!away.join("0000000000.ndjson").exists(), "they were taken along");
        }
    }
}

#[test]
fn whatever_becomes_of_the_lock_there_is_one_owner() {
    let (app, (server, store, well)) = (counting_app(), overloaded_server());
    let text = config(&app.address, &server.address, "");
    let mut first = Program::start(&[], &text);
    wait_until("documents on disk", || !spooled_files(&first, "ndjson").is_empty());
    let lock = first.path("spool/lock");
    let shared = text.replace("path: spool", &format!("path: \"{}\"", first.path("spool").display()));
    for how in ["removed", "a folder", "another file"] {
        let _ = std::fs::remove_dir(&lock);
        let _ = std::fs::remove_file(&lock);
        match how {
            "a folder" => _ = std::fs::create_dir(&lock),
            "another file" => std::fs::write(&lock, "1\n").expect("written"),
            _ => {}
        }
        let (_, said, code) = output(&first.beside(&["spool", "drop"]));
        assert!(said.contains("nothing dropped") && said.contains("is in use by "), "{how}: {said}");
        assert_eq!(code, Some(1));
        let mut second = Program::start(&[], &shared);
        wait_until("it says so", || second.read("stderr").contains("is in use by "));
        second.kill();
    }
    let _ = std::fs::remove_file(&lock);
    let number = format!("{}\n", first.id());
    wait_until("it is made anew", || std::fs::read_to_string(&lock).is_ok_and(|text| text == number));
    well.store(true, Ordering::SeqCst);
    wait_until("all is shipped", || sequence(&store).len() > 20 && spooled_files(&first, "ndjson").is_empty());
    first.signal("TERM");
    assert_eq!(first.wait(), Some(0));
    assert_eq!((ledger(&first, "made"), ledger(&first, "dropped")), (sequence(&store).len() as u64, 0));
}

#[test]
fn what_is_written_is_for_its_owner_only_and_check_tells_of_a_folder_that_is_not() {
    use std::os::unix::fs::PermissionsExt;
    let (app, (server, _, _)) = (counting_app(), overloaded_server());
    let text = config(&app.address, &server.address, "");
    let program = Program::start(&[], &text);
    wait_until("documents on disk", || !spooled_files(&program, "ndjson").is_empty());
    let mode = |name: &str| std::fs::metadata(program.path(name)).expect("it is there").permissions().mode() & 0o777;
    let files = [spooled_files(&program, "ndjson"), spooled_files(&program, "sums")].concat();
    for file in files.iter().chain([&program.path("spool/lock")]) {
        assert_eq!(mode(file.to_str().expect("UTF-8")), 0o600, "{}", file.display());
    }
    assert_eq!(mode("spool"), 0o700);
    assert_eq!(output(&program.beside(&["check"])).1, "");
    for (open, said) in [(0o750, "0750"), (0o701, "0701")] {
        std::fs::set_permissions(program.path("spool"), std::fs::Permissions::from_mode(open)).expect("set");
        let (_, warned, code) = output(&program.beside(&["check"]));
        let expected = format!(
            "conf.yml: recorders.es.spool: the folder spool is accessible to other users (mode {said}): chmod 700 spool\n"
        );
        assert_eq!((warned, code), (expected, Some(0)));
    }
}

/// What has a valid checksum, and is no document: written by whoever can write there.
#[test]
fn a_spool_file_of_another_shape_is_damage_like_any_other() {
    // CRC-64 of "a\nb\n", as in the list beside a segment.
    const SUM: &str = "accda0adb52c8e44\n";
    for version in ["5.6.16", "6.8.23", "9.0.0"] {
        let (store, app) = (Arc::new(Mutex::new(Store::default())), counting_app());
        let stored = Arc::clone(&store);
        let server = Server::bare(move |request| match request.target.as_str() {
            target if target.contains("_bulk") => {
                let text = String::from_utf8_lossy(&request.body).replace("\"_type\":\"app\",", "");
                stored.lock().expect("the store").take(text.as_bytes(), |_| None)
            }
            "/" => Reply::ok(format!("{{\"version\":{{\"number\":\"{version}\"}}}}")),
            _ => Reply::ok("{}"),
        });
        let mut program = Program::start_prepared(&config(&app.address, &server.address, ""), |folder| {
            std::fs::create_dir(folder.join("spool")).expect("made");
            std::fs::write(folder.join("spool/0000000007.ndjson"), "a\nb\n").expect("written");
            std::fs::write(folder.join("spool/0000000007.sums"), SUM).expect("written");
        });
        wait_until("it ships", || sequence(&store).len() > 5);
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0), "{version}: {}", program.read("stderr"));
        assert_eq!(ledger(&program, "dropped"), 1, "{version}");
        assert_eq!(program.read("spool/0000000007.damaged"), "a\nb\n");
    }
}
