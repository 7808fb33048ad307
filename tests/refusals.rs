//! Refusals that a person can fix: each kind is logged together with its remedy, other documents are shipped in the meantime, and
//! once the cause is fixed no document is missing. Runs the program itself.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Server, Store, bulk_documents, counting_app, sequence, wait_until};
use program::Program;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What the server has against a document, by its number.
const FAULTS: [Option<(u16, &str)>; 5] = [
    None,
    Some((403, "security_exception")),
    Some((404, "index_not_found_exception")),
    Some((400, "index_closed_exception")),
    Some((400, "mapper_parsing_exception")),
];

#[test]
fn only_what_is_wrong_with_the_document_itself_is_a_dead_letter() {
    let app = counting_app();
    let store = Arc::new(Mutex::new(Store::default()));
    let is_fixed = Arc::new(AtomicBool::new(false));
    let (stored, fixed) = (Arc::clone(&store), Arc::clone(&is_fixed));
    let server = Server::start(move |request| {
        let documents = bulk_documents(&request.body);
        let fault = |at: usize| {
            let number = documents[at].2["poll_seq"].as_u64().expect("a number");
            let fault = FAULTS[usize::try_from(number % 5).expect("small")];
            fault.filter(|(_, kind)| *kind == "mapper_parsing_exception" || !fixed.load(Ordering::SeqCst))
        };
        stored.lock().expect("the store").take(&request.body, fault)
    });
    let config = format!(
        "settings: {{shutdown_timeout: 60s}}\n\
         readers: {{app: {{type_name: app, endpoint: \"{}\", interval: 20ms}}}}\n\
         recorders: {{es: {{endpoint: \"{}\", index_name: i, dead_letter: dead.ndjson}}}}\n\
         routes: {{r: {{readers: app, recorders: es}}}}\n",
        app.address, server.address
    );
    let mut program = Program::start(&[], &config);
    for (kind, remedy) in [
        ("item status 403: security_exception", "create_doc and auto_configure"),
        ("item status 404: index_not_found_exception", "create the index"),
        ("item status 400: index_closed_exception", "_open"),
    ] {
        let is_it = |line: &str| line.contains("until this is fixed") && line.contains(kind) && line.contains(remedy);
        wait_until(kind, || program.read("stderr").lines().any(is_it));
    }
    let good = |store: &Mutex<Store>| sequence(store).iter().filter(|number| *number % 5 == 0).count();
    let before = good(&store);
    wait_until("more documents that nothing is wrong with", || good(&store) > before + 10);
    assert!(sequence(&store).iter().all(|number| number % 5 == 0));
    is_fixed.store(true, Ordering::SeqCst);
    program.signal("USR1");
    wait_until("a document that was refused before", || sequence(&store).contains(&1));
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
    let (stored, log) = (sequence(&store), program.read("stderr"));
    let last = stored.last().copied().expect("documents");
    let missing: Vec<u64> = (0..last).filter(|number| number % 5 != 4 && !stored.contains(number)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let letters = program.read("dead.ndjson");
    assert!(letters.lines().all(|line| line.contains("mapper_parsing_exception")), "{letters}");
    assert!(log.contains("dropped 0 + waiting 0"), "{log}");
    // Said once each, however often it happened.
    let said = log.lines().filter(|line| line.contains("until this is fixed")).count();
    assert_eq!(said, 3, "{log}");
}

#[test]
fn a_server_that_redirects_bulks_is_told_with_its_target() {
    let app = counting_app();
    let server = Server::start(|request| {
        Reply::Full(308, format!("Location: https://es.test{}\r\n", request.target), Vec::new())
    });
    let config = format!(
        "settings: {{shutdown_timeout: 10ms}}\n\
         readers: {{app: {{type_name: app, endpoint: \"{}\", interval: 20ms}}}}\n\
         recorders: {{es: {{endpoint: \"{}\", index_name: i}}}}\nroutes: {{r: {{readers: app, recorders: es}}}}\n",
        app.address, server.address
    );
    let program = Program::start(&[], &config);
    let expected = "status 308 (redirects are not followed when shipping: set `endpoint` to the final address); it redirects to \
                    https://es.test/_bulk?";
    wait_until("it is told", || program.read("stderr").contains(expected));
}
