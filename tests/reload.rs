//! SIGHUP: which readers and recorders continue, start or end, and where the documents are afterwards. Runs the program with real
//! files and real sockets.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;
#[path = "support/reloads.rs"]
mod reloads;

use loopback::{Reply, Server, Store, counting_app, overloaded_server, storing_server, wait_until};
use program::Program;
use reloads::{all_taken, config, ledgers, loaded, only, reload, sequence, stop, up_to};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

#[test]
fn readers_and_recorders_join_and_leave_and_the_others_do_not_notice() {
    // `a` is an object once, so that it is `a._value` from then on, as long as the reader goes on.
    let polls = AtomicUsize::new(0);
    let app = Server::start(move |_| match polls.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::ok("{\"poll_seq\":0,\"a\":{\"b\":1}}"),
        seq => Reply::ok(format!("{{\"poll_seq\":{seq},\"a\":1}}")),
    });
    let (other_app, (first, stored), (second, also_stored)) = (counting_app(), storing_server(), storing_server());
    let es = format!("  es: {{endpoint: \"{}\"}}", first.address);
    let own = "  me: {type: self, type_name: me, interval: 20ms}\n";
    let alone = config(&app.address, own, &es, "r: {readers: [app, me], recorders: [es]}");
    let mut program = Program::start(&[], &alone);
    wait_until("ten are stored", || sequence(&stored).len() >= 10);

    let more = config(
        &app.address,
        &format!("  other: {{type_name: other, endpoint: \"{}\", interval: 10ms}}\n{own}", other_app.address),
        &format!("{es}\n  two: {{endpoint: \"{}\"}}", second.address),
        "r: {readers: [app, me], recorders: [es, two]}, s: {readers: [other], recorders: [two]}",
    );
    let said = reload(&program, &more);
    assert_eq!(said, "readers 2 kept, 0 changed, 1 added, 0 removed; recorders 1 kept, 0 changed, 1 added, 0 removed");
    let names = |store: &Mutex<Store>| -> BTreeSet<String> {
        let store = store.lock().expect("the store");
        store.documents.values().map(|document| document["service.name"].to_string()).collect()
    };
    wait_until("all reach the new one", || names(&also_stored).len() == 3);

    let said = reload(&program, &alone);
    assert_eq!(said, "readers 2 kept, 0 changed, 0 added, 1 removed; recorders 1 kept, 0 changed, 0 added, 1 removed");
    wait_until("the one that left has said what it did", || !ledgers(&program, "two", &["made"]).is_empty());
    all_taken(&program, "two");
    let polled = app.request_count();
    wait_until("it goes on", || sequence(&stored).len() > polled + 10);
    assert_eq!(stop(&mut program), Some(0));

    let there = sequence(&stored);
    assert_eq!(there, up_to(there.len() as u64), "each poll of the reader that stayed is there");
    assert_eq!(all_taken(&program, "es"), stored.lock().expect("the store").documents.len() as u64);
    assert_eq!(names(&stored).len(), 2, "what is not routed there does not get there");
    for (server, what) in [(&app, "the endpoint"), (&first, "the server")] {
        assert_eq!(server.connections.load(Ordering::SeqCst), 1, "{what} sees one connection all the time");
    }
    let store = stored.lock().expect("the store");
    let of = |name: &'static str| store.documents.values().filter(move |document| document["service.name"] == name);
    assert!(of("app").all(|document| document["poll_seq"] == 0 || document["a._value"] == 1), "it knows what it knew");
    let own: Vec<[u64; 4]> = sorted(of("me"))
        .map(|document| {
            ["Readers", "Recorders", "Read Jobs", "readers.app.polls"].map(|name| document[name].as_u64().expect(name))
        })
        .collect();
    assert!(own.iter().any(|counts| counts[..2] == [3, 2]) && own.last().expect("some")[..2] == [2, 1], "{own:?}");
    assert!(own.is_sorted_by_key(|counts| (counts[2], counts[3])), "counters go on: {own:?}");
}

/// Documents in the order of their ticks.
fn sorted<'d>(documents: impl Iterator<Item = &'d Value>) -> impl Iterator<Item = &'d Value> {
    let mut documents: Vec<&Value> = documents.collect();
    documents.sort_by_key(|document| document["@timestamp"].to_string());
    documents.into_iter()
}

#[test]
fn a_recorder_that_stays_keeps_what_waits_and_the_exchange_that_is_under_way() {
    let (app, (other, _)) = (counting_app(), storing_server());
    let (store, gate) = (Arc::new(Mutex::new(Store::default())), Arc::new(AtomicBool::new(false)));
    let (stored, open, bulks) = (Arc::clone(&store), Arc::clone(&gate), AtomicUsize::new(0));
    let server = Server::start(move |request| match bulks.fetch_add(1, Ordering::SeqCst) {
        0 => {
            wait_until("the test opens the gate", || open.load(Ordering::SeqCst));
            stored.lock().expect("the store").take(&request.body, |_| None)
        }
        1..5 => Reply::Full(503, String::new(), Vec::new()),
        _ => stored.lock().expect("the store").take(&request.body, |_| None),
    });
    let es = format!("  es: {{endpoint: \"{}\", timeout: 1h}}", server.address);
    let mut program = Program::start(&[], &config(&app.address, "", &es, "r: {readers: [app], recorders: [es]}"));
    wait_until("some documents wait", || app.request_count() > 20);
    let more = format!("{es}\n  new: {{endpoint: \"{}\"}}", other.address);
    let more = config(&app.address, "", &more, "r: {readers: [app], recorders: [es, new]}");
    for kept in [1, 2, 2] {
        assert!(reload(&program, &more).contains(&format!("recorders {kept} kept, 0 changed")));
    }
    gate.store(true, Ordering::SeqCst);
    let polled = app.request_count();
    wait_until("all are delivered", || sequence(&store).len() > polled + 10);
    assert_eq!(stop(&mut program), Some(0));
    let made = all_taken(&program, "es");
    assert_eq!(sequence(&store), up_to(made));
    assert_eq!(ledgers(&program, "es", &["acked", "duplicate"]), [[made, 0]], "nothing was sent twice");
}

#[test]
fn what_waits_goes_to_where_the_recorder_leads_now() {
    let hung = Server::start(|_| Reply::Hang(Vec::new()));
    // This one asks for a long pause, but only when nobody wants anything of it any more.
    let (gate, open) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let is_open = Arc::clone(&gate);
    let late = Server::start(move |_| {
        wait_until("the test opens the gate", || is_open.load(Ordering::SeqCst));
        Reply::Full(503, "Retry-After: 300\r\n".to_owned(), Vec::new())
    });
    for (before, gate) in [(overloaded_server().0, &open), (hung, &open), (late, &gate)] {
        let (app, (server, store)) = (counting_app(), storing_server());
        let mut program = Program::start(&[], &only(&app.address, "es", &format!("endpoint: \"{}\"", before.address)));
        wait_until("some documents wait", || app.request_count() > 20);
        let keys = format!("endpoint: \"{}\", index_name: other, bulk: {{documents: 3}}", server.address);
        let said = reload(&program, &only(&app.address, "es", &keys));
        let expected = "readers 1 kept, 0 changed, 0 added, 0 removed; recorders 0 kept, 1 changed, 0 added, 0 removed";
        assert_eq!(said, expected);
        gate.store(true, Ordering::SeqCst);
        let polled = app.request_count();
        wait_until("all are delivered", || sequence(&store).len() > polled + 10);
        let said = reload(&program, &only(&app.address, "es", "type: file, path: out.ndjson"));
        assert!(said.ends_with("recorders 0 kept, 1 changed, 0 added, 0 removed"), "{said}");
        wait_until("the file gets the next ones", || program.documents("out.ndjson").len() > 10);
        assert_eq!(stop(&mut program), Some(0));

        let made = all_taken(&program, "es");
        let mut there = sequence(&store);
        assert_eq!(ledgers(&program, "es", &["duplicate"]), [[0]], "one ledger, and nothing twice");
        for document in program.documents("out.ndjson") {
            assert!(there.insert(document["poll_seq"].as_u64().expect("a number")), "no document twice");
        }
        assert_eq!(there, up_to(made));
        let store = store.lock().expect("the store");
        let largest = store.bulk_sizes.iter().max().copied();
        // The one that was under way goes as it was.
        let others = store.bulk_sizes.iter().filter(|size| **size > 3).count();
        assert!(others <= 1, "what waits is divided as the new bounds say: {largest:?}, {others}");
        let indices: BTreeSet<&str> = store.documents.keys().map(|(index, _)| index.as_str()).collect();
        assert_eq!(indices, ["expvastic", "other"].into(), "documents keep the index that they were made for");
    }
}

#[test]
fn a_recorder_that_goes_has_its_time_and_accounts_for_every_document() {
    let (app, (server, store), (down, ..)) = (counting_app(), storing_server(), overloaded_server());
    let good = format!("  es: {{endpoint: \"{}\"}}", server.address);
    let both = format!("{good}\n  gone: {{endpoint: \"{}\"}}", down.address);
    let mut program =
        Program::start(&[], &config(&app.address, "", &both, "r: {readers: [app], recorders: [es, gone]}"));
    wait_until("some documents", || sequence(&store).len() > 20);
    let alone = config(&app.address, "", &good, "r: {readers: [app], recorders: [es]}");
    let said = reload(&program, &alone);
    assert!(said.ends_with("recorders 1 kept, 0 changed, 0 added, 1 removed"), "{said}");
    let polled = app.request_count();
    wait_until("the other goes on", || sequence(&store).len() > polled + 5);
    wait_until("it has ended", || program.read("stderr").contains("documents lost"));
    let ledger = ledgers(&program, "gone", &["made", "dropped", "waiting"]);
    assert!(ledger.len() == 1 && ledger[0][0] > 20 && ledger[0][0] == ledger[0][1] && ledger[0][2] == 0, "{ledger:?}");
    let said = program.read("stderr");
    assert!(said.contains(&format!("dropped.shutdown={}", ledger[0][1])), "{said}");
    assert_eq!(stop(&mut program), Some(0));
    assert_eq!(sequence(&store), up_to(all_taken(&program, "es")));
}

#[test]
fn what_is_on_disk_goes_with_its_folder() {
    let (app, (server, store, well)) = (counting_app(), overloaded_server());
    let keys = |more: &str| format!("endpoint: \"{}\", spool: {{path: spool, sync: 50ms}}{more}", server.address);
    let mut program = Program::start(&[], &only(&app.address, "es", &keys("")));
    let on_disk = |program: &Program| {
        let files = std::fs::read_dir(program.path("spool")).into_iter().flatten().flatten();
        files.filter(|file| file.path().extension().is_some_and(|ending| ending == "ndjson")).count()
    };
    wait_until("documents on disk", || app.request_count() > 20 && on_disk(&program) > 0);
    let said = reload(&program, &only(&app.address, "es", &keys(", timeout: 3s, bulk: {documents: 7}")));
    assert!(said.ends_with("recorders 0 kept, 1 changed, 0 added, 0 removed"), "{said}");
    let said = reload(&program, &only(&app.address, "renamed", &keys("")));
    assert!(said.ends_with("recorders 0 kept, 0 changed, 1 added, 1 removed"), "{said}");
    assert!(ledgers(&program, "es", &["made"]).is_empty(), "its documents are with the other");

    // Without its folder it cannot go on with what is there; that waits until somebody has the folder again.
    let (file, polls) = (only(&app.address, "renamed", "type: file, path: out.ndjson"), app.request_count());
    reload(&program, &file);
    wait_until("it has ended", || program.read("stderr").contains("when a recorder uses that folder again"));
    let ledger = ledgers(&program, "renamed", &["made", "waiting", "dropped"]).remove(0);
    assert!(ledger[0] == ledger[1] && ledger[0] + 1 >= polls as u64 && ledger[2] == 0, "{ledger:?}");
    let lock = std::fs::File::open(program.path("spool/lock")).expect("its lock");
    let take = || rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok();
    wait_until("it has let go of the folder", take);
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::Unlock).expect("unlocked");
    well.store(true, Ordering::SeqCst);
    assert!(sequence(&store).is_empty());
    reload(&program, &only(&app.address, "es", &keys("")));
    let polled = app.request_count();
    let all = |program: &Program| {
        let mut there = sequence(&store);
        let filed = program.documents("out.ndjson");
        for document in &filed {
            assert!(there.insert(document["poll_seq"].as_u64().expect("a number")), "no document twice");
        }
        (there, filed.len() as u64)
    };
    wait_until("all are delivered", || all(&program).0.len() > polled + 10);
    assert_eq!(stop(&mut program), Some(0));
    let (there, filed) = all(&program);
    assert_eq!(there, up_to(there.len() as u64));
    assert_eq!(all_taken(&program, "es"), there.len() as u64 - filed);
    assert_eq!(on_disk(&program), 0);
    assert!(!program.read("stderr").contains("is in use"), "{}", program.read("stderr"));
}

/// A recorder that is taken out and put back while it still drains goes on as if nothing had been.
#[test]
fn one_that_is_about_to_end_can_come_back() {
    let (app, (server, store, well), (other, _)) = (counting_app(), overloaded_server(), storing_server());
    let text = |name: &str, endpoint: &str| {
        only(&app.address, name, &format!("endpoint: \"{endpoint}\"")).replace("300ms", "1h")
    };
    let mut program = Program::start(&[], &text("es", &server.address));
    wait_until("some documents wait", || app.request_count() > 20);
    reload(&program, &text("new", &other.address));
    reload(&program, &text("es", &server.address));
    well.store(true, Ordering::SeqCst);
    let polled = app.request_count();
    wait_until("all are delivered", || sequence(&store).last() > Some(&(polled as u64 + 10)));
    assert_eq!(stop(&mut program), Some(0));
    all_taken(&program, "new");
    assert_eq!(all_taken(&program, "es"), sequence(&store).len() as u64);
    assert!(sequence(&store).is_superset(&up_to(20)), "what waited before is there");
}

/// Two hosts of one cluster, each of which fails now and then in all the ways that there are.
fn failing_cluster(seed: u64, well: &Arc<AtomicBool>) -> ([Server; 2], Arc<Mutex<Store>>) {
    let store = Arc::new(Mutex::new(Store::default()));
    let host = |seed| {
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        let (stored, well) = (Arc::clone(&store), Arc::clone(well));
        Server::start(move |request| {
            let mut random = random.lock().expect("random");
            let mut store = stored.lock().expect("the store");
            if well.load(Ordering::SeqCst) {
                return store.take(&request.body, |_| None);
            }
            match random.u8(..8) {
                0 => Reply::Full(503, String::new(), Vec::new()),
                1 => Reply::Raw(Vec::new()),
                2 => Reply::Hang(Vec::new()),
                3 => {
                    store.take(&request.body, |_| None);
                    Reply::Raw(Vec::new())
                }
                4 => Reply::Full(429, "Retry-After: 300\r\n".to_owned(), Vec::new()),
                5 => store.take(&request.body, |at| (at % 3 == 0).then_some((429, "es_rejected_execution_exception"))),
                _ => store.take(&request.body, |_| None),
            }
        })
    };
    ([host(seed), host(seed + 1)], store)
}

#[test]
fn fifty_reloads_in_a_row_lose_nothing_and_store_nothing_twice() {
    std::thread::scope(|scope| {
        for (seed, spool) in [(1, ""), (2, ", spool: {path: spool, sync: 20ms}")] {
            scope.spawn(move || fifty_reloads(seed, spool));
        }
    });
}

fn fifty_reloads(seed: u64, spool: &str) {
    let well = Arc::new(AtomicBool::new(false));
    let (hosts, store) = failing_cluster(seed * 100, &well);
    let app = counting_app();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut text = || {
        let host = &hosts[random.usize(..2)].address;
        let (documents, timeout) = (random.usize(1..30), random.usize(50..200));
        // With a folder it may have any name.
        let name = if spool.is_empty() || random.bool() { "es" } else { "renamed" };
        let keys = format!("endpoint: \"{host}\", timeout: {timeout}ms, bulk: {{documents: {documents}}}{spool}");
        only(&app.address, name, &keys).replace("300ms", "100ms")
    };
    let mut program = Program::start(&[], &text());
    for _ in 0..50 {
        let polled = app.request_count();
        wait_until("a few polls", || app.request_count() > polled + 2);
        reload(&program, &text());
    }
    well.store(true, Ordering::SeqCst);
    let last = only(&app.address, "es", &format!("endpoint: \"{}\"{spool}", hosts[0].address)).replace("300ms", "1m");
    reload(&program, &last);
    let polled = app.request_count();
    wait_until("all are delivered", || sequence(&store).len() > polled + 10);
    assert_eq!(stop(&mut program), Some(0));
    let made = all_taken(&program, "es");
    assert_eq!(sequence(&store), up_to(made), "{}", program.read("stderr"));
    assert_eq!(loaded(&program), 51);
    assert_eq!(program.read("stderr").matches("ledger: made ").count(), 1, "one ledger from the first to the last");
    assert_eq!(app.connections.load(Ordering::SeqCst), 1, "the reader has not noticed");
}
