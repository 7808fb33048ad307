//! Answers to bulks that are too long, cut off, or belong to something else: every document is accounted for nevertheless, and
//! none blocks others. Uses the library over real sockets.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;

use expvastic::{Engine, Ledger, Reader, Recorder};
use loopback::{Reply, Request, Server, Store, bulk_documents, counting_app, sequence, until};
use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The document that a server has something against.
const POISON: u64 = 7;

/// Ships the documents of one application until `stop`; the ledger of its recorder.
fn ship(server: &Server, polls: u64, stop: impl Future<Output = ()>) -> Ledger {
    let app = counting_app();
    let reader = Reader::expvar("app", "app", &app.address).expect("an address").interval(Duration::from_millis(10));
    let recorder = Recorder::elasticsearch("es", &server.address, "i").expect("an address");
    let recorder = recorder.timeout(Duration::from_secs(20)).backoff(100);
    let engine = Engine::with_reader_recorders(reader, vec![recorder]).expect("an engine").polls(polls);
    let ledger = engine.start(stop).expect("it runs").ledgers[0].1;
    assert!(ledger.balances(), "{ledger}");
    ledger
}

/// A server that answers bulks as `answer` says, and stores those of which it says nothing.
fn server(
    answer: impl Fn(&Request, &mut Store) -> Option<Reply> + Send + Sync + 'static,
) -> (Server, Arc<Mutex<Store>>) {
    let store = Arc::new(Mutex::new(Store::default()));
    let stored = Arc::clone(&store);
    let server = Server::start(move |request| {
        let mut store = stored.lock().expect("the store");
        answer(request, &mut store).unwrap_or_else(|| store.take(&request.body, |_| None))
    });
    (server, store)
}

fn numbers(request: &Request) -> Vec<u64> {
    let documents = bulk_documents(&request.body);
    documents.iter().map(|(_, _, source)| source["poll_seq"].as_u64().expect("a number")).collect()
}

fn body_of(reply: Reply) -> Vec<u8> {
    let Reply::Full(_, _, body) = reply else { panic!("an answer") };
    body
}

#[test]
fn an_error_that_quotes_a_long_text_is_an_error_like_any_other() {
    for quoted_bytes in [5_000, 100_000, 3_000_000] {
        let (server, store) = server(move |request, store| {
            let numbers = numbers(request);
            let is_bad = |at: usize| numbers[at].is_multiple_of(3);
            let body = body_of(store.take(&request.body, |at| is_bad(at).then_some((400, "mapper_parsing_exception"))));
            let text = String::from_utf8(body).expect("text");
            // Below 64 KiB for each document the answer is judged, whatever the length of one; beyond that in halves.
            Some(Reply::Chunked(text.replace("as the test wants it", &"v".repeat(quoted_bytes)).into_bytes()))
        });
        let ledger = ship(&server, 30, pending());
        assert_eq!((ledger.made, ledger.dead_lettered, ledger.waiting), (30, 10, 0), "{quoted_bytes}: {ledger}");
        assert_eq!(ledger.acked + ledger.duplicate, 20, "{quoted_bytes}: {ledger}");
        assert_eq!(sequence(&store), (0..30_u64).filter(|number| !number.is_multiple_of(3)).collect());
    }
}

#[test]
fn an_answer_without_end_costs_the_document_that_it_is_about() {
    let (server, store) = server(|request, store| {
        let numbers = numbers(request);
        if !numbers.contains(&POISON) {
            return None;
        }
        // The others are taken in.
        let body = body_of(store.take(&request.body, |at| (numbers[at] == POISON).then_some((400, "t"))));
        let text = String::from_utf8(body).expect("text").replace("as the test wants it", &"v".repeat(16 << 20));
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
        Some(Reply::Raw([head.as_bytes(), text.as_bytes()].concat()))
    });
    let ledger = ship(&server, 30, pending());
    assert_eq!((ledger.made, ledger.dead_lettered, ledger.waiting), (30, 1, 0), "{ledger}");
    assert_eq!(sequence(&store), (0..30).filter(|number| *number != POISON).collect());
}

type Fault = fn(&Request, &mut Store) -> Reply;

/// What a server may do whenever it is sent one certain document. In some cases it takes in what it is sent.
const FAULTS: [(&str, Fault); 6] = [
    ("its answer is cut off at the same byte", |request, store| {
        let body = body_of(store.take(&request.body, |_| None));
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        Reply::Raw([head.as_bytes(), &body[..30]].concat())
    }),
    ("its answer is whole, and half of one", |request, store| {
        let body = body_of(store.take(&request.body, |_| None));
        Reply::ok(&body[..body.len() / 2])
    }),
    ("it answers with a page", |_, _| Reply::ok("<html>OK</html>")),
    ("it speaks of other documents", |_, _| Reply::ok(r#"{"errors":false,"items":[]}"#)),
    ("it gives bytes that are no text", |_, _| {
        Reply::ok(b"{\"items\":[{\"create\":{\"status\":201,\"x\":\"\xff\"}}]}")
    }),
    ("it has a fault of its own", |_, _| Reply::Full(500, String::new(), b"null pointer".to_vec())),
];

/// The document that it is about waits until the server has been mended; the others do not.
#[test]
fn a_bulk_that_fails_again_and_again_delays_no_other() {
    std::thread::scope(|scope| {
        for (name, fault) in FAULTS {
            scope.spawn(move || {
                let mended = Arc::new(AtomicBool::new(false));
                let is_mended = Arc::clone(&mended);
                let (server, store) = server(move |request, store| {
                    let is_hit = numbers(request).contains(&POISON) && !is_mended.load(Ordering::SeqCst);
                    is_hit.then(|| fault(request, store))
                });
                let stored = Arc::clone(&store);
                let others_are_there = until(move || {
                    let sequence = sequence(&stored);
                    let is_done = (0..40).all(|number| number == POISON || sequence.contains(&number));
                    mended.fetch_or(is_done, Ordering::SeqCst);
                    is_done
                });
                let ledger = ship(&server, 1_000_000, others_are_there);
                assert!(ledger.all_taken(), "{name}: {ledger}");
                assert_eq!(sequence(&store).len() as u64, ledger.made, "{name}: {ledger}");
            });
        }
    });
}

#[test]
fn a_page_for_every_bulk_is_no_fault_of_the_documents() {
    for page in ["<html>OK</html>", "", "{\"items\":["] {
        let bulks = AtomicUsize::new(0);
        let (server, store) = server(move |_, _| (bulks.fetch_add(1, Ordering::SeqCst) < 5).then(|| Reply::ok(page)));
        let stored = Arc::clone(&store);
        let ledger = ship(&server, 1_000_000, until(move || sequence(&stored).len() > 40));
        assert!(ledger.all_taken() && ledger.dead_lettered == 0, "{page}: {ledger}");
    }
}

#[test]
fn an_answer_with_more_items_than_the_bulk_aborts_nothing() {
    let items: Vec<String> = (0..50)
        .map(|_| {
            r#"{"create":{"status":400,"error":{"type":"t","reason":"Invalid type: expecting [_doc] but got [a]"}}}"#
                .to_owned()
        })
        .collect();
    let body = format!("{{\"errors\":true,\"items\":[{}]}}", items.join(","));
    std::thread::scope(|scope| {
        for status in [200, 201, 307, 400, 413, 415, 429, 500, 503] {
            let body = body.clone();
            scope.spawn(move || {
                let bulks = AtomicUsize::new(0);
                let (server, store) = server(move |_, _| {
                    let is_first = bulks.fetch_add(1, Ordering::SeqCst) < 2;
                    is_first.then(|| Reply::Full(status, String::new(), body.clone().into_bytes()))
                });
                let stored = Arc::clone(&store);
                let ledger = ship(&server, 1_000_000, until(move || sequence(&stored).len() > 10));
                // A document that is alone is too large by the word of the server.
                assert_eq!(ledger.made, ledger.acked + ledger.dead_lettered, "{status}: {ledger}");
                assert!(ledger.dead_lettered == 0 || status == 413, "{status}: {ledger}");
                let distinct: BTreeSet<u64> = sequence(&store);
                assert_eq!(distinct.len() as u64, ledger.acked, "{status}");
            });
        }
    });
}
