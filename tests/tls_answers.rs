//! Answers over TLS: heard while a bulk is still being sent, cut off, ended in one way or another, and what becomes of connections
//! that the server closes between two requests.
#![cfg(feature = "tls")]
#![allow(clippy::disallowed_methods, reason = "threads of the test, not of the shipper")]
#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/tls_shipping.rs"]
mod tls_shipping;

use loopback::{Reply, Store, read_head, read_request, send, sequence, small_answer, wait_until};
use std::io::Read;
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tls::{Clients, Ending, TlsServer, VERSIONS, config};
use tls_shipping::{
    TRUST, assert_no_complaint, counting, has_documents, is_exact, is_without_gap, reader, start, store, to_file,
    to_server, trusted,
};

/// Documents of 900 kB, and a server that reads no more than the head of a bulk that it refuses.
fn check_refusal(
    status: u16,
    bulk_bytes_min: usize,
    is_refused: impl Fn(usize, usize) -> bool + Send + Sync + 'static,
) {
    let (ca, certified) = trusted();
    let long: Vec<String> = (0..900).map(|at| format!(r#","long{at}":"{}""#, "x".repeat(1_000))).collect();
    let long = long.concat();
    let polls = Arc::new(AtomicUsize::new(0));
    let polled = Arc::clone(&polls);
    let app = TlsServer::start(config(&certified, VERSIONS[0], Clients::NotAsked), Ending::Announced, move |_| {
        let number = polled.fetch_add(1, Ordering::SeqCst);
        // There is an end of them, so that what is refused does not displace others.
        let long = if number < 12 { long.as_str() } else { "" };
        Reply::ok(format!(r#"{{"poll_seq":{number}{long}}}"#))
    });
    let (store, stored) = store();
    let (refused, largest) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, longest) = (Arc::clone(&refused), Arc::clone(&largest));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    // Little of a bulk is on its way while nobody reads it.
    rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 4096).expect("a small buffer");
    let server_config = config(&certified, VERSIONS[0], Clients::NotAsked);
    let server = TlsServer::talking(listener, server_config, move |mut input, _| {
        while let Some((request, length)) = read_head(&mut input) {
            if length > 0 && is_refused(length, counted.load(Ordering::SeqCst)) {
                counted.fetch_add(1, Ordering::SeqCst);
                longest.fetch_max(length, Ordering::SeqCst);
                let close = "Connection: close\r\n".to_owned();
                let _ = send(input.get_mut(), Reply::Full(status, close, b"no!".to_vec()));
                // The connection stays open, and nobody reads from it.
                std::mem::forget(input);
                return;
            }
            let mut body = vec![0; length];
            if input.read_exact(&mut body).is_err() {
                return;
            }
            if length > 0 {
                // The next bulk is a large one.
                wait_until("documents wait", || polls.load(Ordering::SeqCst) > 14);
            }
            let store = || stored.lock().expect("the store").take(&body, |_| None);
            let _ = send(input.get_mut(), small_answer(&request).unwrap_or_else(store));
        }
    });
    let config = to_server(&reader(app.port, "localhost", TRUST), server.port, "localhost", "bytes: 9MB");
    let config = format!("settings: {{memory_limit: 64MiB}}\n{config}");
    let program = start(&config, &ca, None);
    wait_until("it ships all", || (0..30).all(|number| sequence(&store).contains(&number)));
    assert!(refused.load(Ordering::SeqCst) > 0);
    let largest = largest.load(Ordering::SeqCst);
    assert!(largest >= bulk_bytes_min, "a bulk of {largest} bytes");
    assert!(is_without_gap(&sequence(&store)));
    drop(program);
}

#[test]
fn a_bulk_that_is_too_large_is_refused_while_it_is_being_sent() {
    check_refusal(413, 8_000_000, |length, _| length > 2_000_000);
}

#[test]
fn an_overloaded_server_is_heard_while_a_bulk_is_being_sent() {
    check_refusal(429, 8_000_000, |length, refused| length > 2_000_000 && refused < 3);
}

/// What a server does with its first bulks; it takes in none of them.
fn check_bulk_answers(ending: Ending, is_delivered: bool, spoilt: fn(&str) -> String) {
    let (ca, certified) = trusted();
    let settings = || config(&certified, VERSIONS[0], Clients::NotAsked);
    let app = TlsServer::start(settings(), Ending::Announced, counting(Reply::ok));
    let (store, stored) = store();
    let bulks = AtomicUsize::new(0);
    let server = TlsServer::start(settings(), ending, move |request| {
        let mut store = stored.lock().expect("the store");
        let is_first = bulks.fetch_add(1, Ordering::SeqCst) < 5;
        let mut aside = Store::default();
        let reply = if is_first && !is_delivered { &mut aside } else { &mut store }.take(&request.body, |_| None);
        match reply {
            Reply::Full(_, _, body) if is_first => Reply::Raw(spoilt(&String::from_utf8_lossy(&body)).into_bytes()),
            reply => reply,
        }
    });
    let config = to_server(&reader(app.port, "localhost", TRUST), server.port, "localhost", "documents: 3");
    let program = start(&config, &ca, None);
    wait_until("it ships", || server.request_count() >= 15);
    assert!(is_without_gap(&sequence(&store)), "{ending:?}");
    let store = store.lock().expect("the store");
    if is_delivered {
        assert_eq!(store.bulk_sizes.iter().sum::<usize>(), store.documents.len(), "nothing is sent twice");
        assert_no_complaint(&program);
    } else {
        assert!(program.read("stderr").contains("the response was cut off"), "{ending:?}: it says so");
    }
}

#[test]
fn a_bulk_whose_answer_is_cut_off_is_not_delivered() {
    for ending in [Ending::Announced, Ending::Bare] {
        check_bulk_answers(ending, false, |body| {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body.len(), &body[..body.len() - 1])
        });
    }
}

#[test]
fn a_bulk_is_delivered_if_the_end_of_an_answer_of_unknown_length_is_announced() {
    for ending in [Ending::Announced, Ending::AnnouncedAndOpen] {
        check_bulk_answers(ending, true, |body| format!("HTTP/1.1 200 OK\r\n\r\n{body}"));
    }
}

#[test]
fn a_bulk_is_not_delivered_if_an_answer_of_unknown_length_just_stops() {
    check_bulk_answers(Ending::Bare, false, |body| format!("HTTP/1.1 200 OK\r\n\r\n{body}"));
}

#[test]
fn a_payload_of_unknown_length_is_a_document_only_if_its_end_is_announced() {
    let (ca, certified) = trusted();
    for version in VERSIONS {
        for ending in [Ending::Announced, Ending::AnnouncedAndOpen, Ending::Bare] {
            let app = TlsServer::start(
                config(&certified, version, Clients::NotAsked),
                ending,
                counting(|body| Reply::Raw(format!("HTTP/1.1 200 OK\r\n\r\n{body}").into_bytes())),
            );
            let program = start(&to_file(&reader(app.port, "localhost", TRUST)), &ca, None);
            wait_until("polls", || app.request_count() >= 8);
            if ending == Ending::Bare {
                wait_until("it says so", || program.read("stderr").contains("the response was cut off"));
                assert!(program.documents("out.ndjson").is_empty());
            } else {
                has_documents(&program, 5);
                assert!(program.documents("out.ndjson").iter().all(is_exact));
                assert_no_complaint(&program);
            }
        }
    }
}

/// How a server closes a kept connection between two requests.
#[derive(Debug, Clone, Copy)]
enum Closing {
    /// Behind its answer, without a word in it.
    AfterAnswer(Ending),
    /// When it has read the next request, which it does not answer.
    AfterRequest(Ending),
    /// With a reset, as the system does if it has not read the next request.
    Reset,
}

/// A server that closes each connection after one answer, or two for those that close it only then.
fn closing_server(
    settings: rustls::ServerConfig,
    closing: Closing,
    answer: impl Fn(&loopback::Request) -> Reply + Send + Sync + 'static,
) -> TlsServer {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    TlsServer::talking(listener, settings, move |mut input, seen| {
        let Some(request) = read_request(&mut input) else { return };
        let small = small_answer(&request);
        seen.requests.fetch_add(usize::from(small.is_none()), Ordering::SeqCst);
        let reply = small.unwrap_or_else(|| answer(&request));
        if send(input.get_mut(), reply).is_err() {
            return;
        }
        match closing {
            Closing::AfterAnswer(ending) => tls::end(input.get_mut(), ending),
            Closing::AfterRequest(ending) => {
                if read_request(&mut input).is_some() {
                    tls::end(input.get_mut(), ending);
                }
            }
            Closing::Reset => {
                // The next request has begun to arrive. What is unread then makes the system send a reset.
                let _ = input.get_ref().sock.peek(&mut [0]);
                let _ = input.get_ref().sock.shutdown(Shutdown::Read);
            }
        }
    })
}

#[test]
fn a_kept_connection_that_the_server_closes_costs_no_document_and_no_error() {
    for version in VERSIONS {
        for closing in [
            Closing::AfterAnswer(Ending::Announced),
            Closing::AfterAnswer(Ending::AnnouncedAndOpen),
            Closing::AfterAnswer(Ending::Bare),
            Closing::AfterRequest(Ending::Announced),
            Closing::AfterRequest(Ending::AnnouncedAndOpen),
            Closing::AfterRequest(Ending::Bare),
            Closing::Reset,
        ] {
            let (ca, certified) = trusted();
            let settings = || config(&certified, version, Clients::NotAsked);
            let app = closing_server(settings(), closing, counting(Reply::ok));
            let (store, stored) = store();
            let server = closing_server(settings(), closing, move |request| {
                stored.lock().expect("the store").take(&request.body, |_| None)
            });
            let config = to_server(&reader(app.port, "localhost", TRUST), server.port, "localhost", "documents: 2");
            let program = start(&config, &ca, None);
            wait_until("it ships", || server.request_count() >= 10);
            assert!(is_without_gap(&sequence(&store)), "{closing:?}");
            assert_no_complaint(&program);
        }
    }
}
