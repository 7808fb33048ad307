//! TLS over our own sockets: what is shipped, which sessions and certificates are used, and how answers may arrive and end. The
//! program itself talks to a server in this process.
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

use loopback::{Reply, Server, sequence, wait_until};
use program::Program;
use rcgen::KeyPair;
use rustls::HandshakeKind;
use rustls::crypto::ring::Ticketer;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tls::{Authority, Clients, Ending, KeyForm, NAMES, TlsServer, VERSIONS, config};
use tls_shipping::{
    TRUST, TRUST_AND_CLIENT, assert_no_complaint, counting, file_is_without_gap, has_documents, is_exact,
    is_without_gap, last, reader, start, store, to_file, to_server, trusted,
};

#[test]
fn documents_are_exact_and_one_thread_over_a_kept_connection_suffices() {
    for version in VERSIONS {
        for host in NAMES {
            let (ca, certified) = trusted();
            let app = TlsServer::start(
                config(&certified, version, Clients::NotAsked),
                Ending::Announced,
                counting(|body| Reply::Chunked(body.into_bytes())),
            );
            let (store, stored) = store();
            let server =
                TlsServer::start(config(&certified, version, Clients::NotAsked), Ending::Announced, move |request| {
                    stored.lock().expect("the store").take(&request.unpacked(), |_| None)
                });
            let config = to_server(&reader(app.port, host, TRUST), server.port, host, "documents: 2");
            let program = start(&config, &ca, None);
            wait_until("it ships", || store.lock().expect("the store").bulk_sizes.len() >= 20);
            assert_eq!(program.status("Threads"), 1, "{host}");
            assert!(is_without_gap(&sequence(&store)));
            assert!(store.lock().expect("the store").documents.values().all(is_exact));
            for server in [&app, &server] {
                // One connection, unless this machine was too busy for seconds.
                let (connections, requests) = (server.connection_count(), server.request_count());
                assert!(connections * 4 <= requests, "{host}: {connections} connections for {requests} requests");
            }
            assert_no_complaint(&program);
        }
    }
}

#[test]
fn a_session_is_resumed_also_after_a_restart_of_the_server() {
    for version in VERSIONS {
        let (ca, certified) = trusted();
        let with = |ticketer| {
            let mut config = config(&certified, version, Clients::NotAsked);
            config.ticketer = ticketer;
            config
        };
        let ticketer = Ticketer::new().expect("a ticketer");
        let app = TlsServer::start(with(Arc::clone(&ticketer)), Ending::Announced, counting(|body| last(&body)));
        let program = start(&to_file(&reader(app.port, "localhost", TRUST)), &ca, None);
        let further = |number: usize| {
            let before = app.handshakes().len();
            wait_until("further connections", || app.handshakes().len() >= before + number);
        };
        let full = || app.handshakes().iter().filter(|kind| **kind != HandshakeKind::Resumed).count();
        further(8);
        app.configure(with(ticketer));
        further(8);
        assert_eq!(full(), 1, "{:?}", app.handshakes());
        app.configure(with(Ticketer::new().expect("a ticketer")));
        further(8);
        assert_eq!(full(), 2, "{:?}", app.handshakes());
        assert!(file_is_without_gap(&program));
        assert_no_complaint(&program);
    }
}

#[test]
fn client_certificates_are_shown_whatever_the_format_of_their_key() {
    let (ca, certified) = trusted();
    let clients = Authority::new("clients");
    for version in VERSIONS {
        for (form, is_rsa) in
            [(KeyForm::Pkcs8, false), (KeyForm::Pkcs8, true), (KeyForm::Pkcs1, true), (KeyForm::Sec1, false)]
        {
            let key = if is_rsa { tls::rsa_key() } else { KeyPair::generate().expect("a key") };
            let client = clients.issue_as(key, &[], |_| {});
            let app = TlsServer::start(
                config(&certified, version, Clients::Required(&clients)),
                Ending::Announced,
                counting(Reply::ok),
            );
            let program = start(&to_file(&reader(app.port, "localhost", TRUST_AND_CLIENT)), &ca, Some((&client, form)));
            has_documents(&program, 2);
            assert_eq!(*app.seen.clients.lock().expect("the clients"), [Some(client.der)], "{form:?}");
            assert_no_complaint(&program);
        }
    }
}

#[test]
fn a_client_certificate_that_is_replaced_is_shown_to_the_next_connection() {
    let (ca, certified) = trusted();
    let clients = Authority::new("clients");
    let [first, second] =
        [clients.issue_as(tls::rsa_key(), &[], |_| {}), clients.issue_as(tls::rsa_key(), &[], |_| {})];
    let config = config(&certified, VERSIONS[0], Clients::Required(&clients));
    let app = TlsServer::start(config, Ending::Announced, counting(|body| last(&body)));
    let config = to_file(&reader(app.port, "localhost", TRUST_AND_CLIENT));
    let program = start(&config, &ca, Some((&first, KeyForm::Pkcs8)));
    let newest = || app.seen.clients.lock().expect("the clients").last().cloned().flatten();
    wait_until("the first certificate", || newest().as_ref() == Some(&first.der));
    tls::replace(&program.path("client.crt"), &second.pem);
    wait_until("the second certificate", || newest().as_ref() == Some(&second.der));
    has_documents(&program, program.documents("out.ndjson").len() + 3);
    assert!(file_is_without_gap(&program));
    assert_no_complaint(&program);
}

#[test]
fn a_ca_file_that_is_replaced_is_used_for_the_next_connection() {
    let (ca, certified) = trusted();
    let (later_ca, later) = trusted();
    let app = TlsServer::start(
        config(&certified, VERSIONS[0], Clients::NotAsked),
        Ending::Announced,
        counting(|body| last(&body)),
    );
    let program = start(&to_file(&reader(app.port, "localhost", TRUST)), &ca, None);
    has_documents(&program, 2);
    app.configure(config(&later, VERSIONS[0], Clients::NotAsked));
    wait_until("it says why", || program.read("stderr").contains("it is not signed by a CA in ca.crt"));
    let before = program.documents("out.ndjson").len();
    tls::replace(&program.path("ca.crt"), &later_ca.pem);
    has_documents(&program, before + 2);
    assert!(file_is_without_gap(&program));
}

#[test]
fn answers_in_the_smallest_records_are_whole() {
    for version in VERSIONS {
        let (ca, certified) = trusted();
        let crumbled = || {
            let mut config = config(&certified, version, Clients::NotAsked);
            config.max_fragment_size = Some(32);
            config
        };
        let long = "x".repeat(5_000);
        let app = TlsServer::start(crumbled(), Ending::Announced, {
            let polls = AtomicUsize::new(0);
            move |_| {
                let number = polls.fetch_add(1, Ordering::SeqCst);
                let body = format!(r#"{{"poll_seq":{number},"long":"{long}"}}"#);
                if number.is_multiple_of(2) { Reply::ok(body) } else { Reply::Chunked(body.into_bytes()) }
            }
        });
        let (store, stored) = store();
        let server = TlsServer::start(crumbled(), Ending::Announced, move |request| {
            stored.lock().expect("the store").take(&request.unpacked(), |_| None)
        });
        let config = to_server(&reader(app.port, "localhost", TRUST), server.port, "localhost", "documents: 10");
        let program = start(&config, &ca, None);
        wait_until("it ships", || sequence(&store).len() >= 20);
        assert!(is_without_gap(&sequence(&store)));
        let store = store.lock().expect("the store");
        assert!(store.documents.values().all(|document| document["long"].as_str().map(str::len) == Some(5_000)));
        assert_no_complaint(&program);
    }
}

/// How the program asks a server with which certificate, and what it says; nothing if all is well. `PORT` is the server's.
const CERTIFICATES: [(&str, &str, &str, &str); 9] = [
    ("good", "localhost", TRUST, ""),
    ("good", "localhost", "tls: {ca_file: other.crt}", "it is not signed by a CA in other.crt"),
    ("good", "localhost", "tls: {verify: false}", ""),
    ("expired", "localhost", TRUST, "it expired at 2020-02-01T00:00:00Z"),
    ("expired", "127.0.0.1", "tls: {verify: false}", ""),
    ("elsewhere", "localhost", TRUST, "it is for elsewhere.test, not for localhost"),
    ("elsewhere", "127.0.0.1", TRUST, "it is for elsewhere.test, not for 127.0.0.1"),
    ("elsewhere", "localhost", "tls: {verify: false}", ""),
    ("later", "localhost", TRUST, "it is not valid before 2126-01-01T00:00:00Z; is the clock right?"),
];

#[test]
fn a_server_with_a_wrong_certificate_gets_no_request() {
    let (ca, other) = (Authority::new("ca"), Authority::new("ca"));
    let new_key = || KeyPair::generate().expect("a key");
    let certificates = [
        ("good", ca.issue()),
        ("expired", ca.issue_as(new_key(), &NAMES, |of| of.not_after = rcgen::date_time_ymd(2020, 2, 1))),
        ("later", ca.issue_as(new_key(), &NAMES, |of| of.not_before = rcgen::date_time_ymd(2126, 1, 1))),
        ("elsewhere", ca.issue_as(new_key(), &["elsewhere.test"], |_| {})),
    ];
    let certificate = |wanted: &str| certificates.iter().find(|(name, _)| *name == wanted).map(|(_, found)| found);
    for version in VERSIONS {
        for (name, host, asked, expected) in CERTIFICATES {
            let config = config(certificate(name).expect("it is there"), version, Clients::NotAsked);
            let app = TlsServer::start(config, Ending::Announced, counting(Reply::ok));
            let config = to_file(&reader(app.port, host, &format!("auth: {{bearer: planted-token}}, {asked}")));
            let program = Program::start_prepared(&config, |folder| {
                std::fs::write(folder.join("ca.crt"), &ca.pem).expect("written");
                std::fs::write(folder.join("other.crt"), &other.pem).expect("written");
            });
            if expected.is_empty() {
                has_documents(&program, 2);
                let is_warned = program.read("stderr").contains("verify is false: the certificate is not checked");
                assert_eq!(is_warned, asked.contains("verify"), "{name} {asked}");
                continue;
            }
            let expected = format!("the certificate of {host}:{} was rejected: {expected}", app.port);
            // It goes on trying: no later attempt is more careless than the first.
            wait_until(&expected, || program.read("stderr").contains(&expected) && app.connection_count() >= 5);
            assert_eq!((app.request_count(), app.handshakes().len()), (0, 0), "{name} {host} {asked}");
        }
    }
}

/// A redirect to another port, from plain HTTP and from TLS. The second server asks for a client certificate.
#[test]
fn credentials_and_client_certificate_stay_behind_when_a_redirect_leads_elsewhere() {
    let (ca, certified) = trusted();
    let client = ca.issue_as(KeyPair::generate().expect("a key"), &[], |_| {});
    for is_tls in [false, true] {
        let heads = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (noted, answer) = (Arc::clone(&heads), counting(Reply::ok));
        let settings = || config(&certified, VERSIONS[0], Clients::Asked(&ca));
        let target = TlsServer::start(settings(), Ending::Announced, move |request| {
            noted.lock().expect("the heads").push(request.head.clone());
            answer(request)
        });
        let location = format!("Location: https://localhost:{}/vars\r\n", target.port);
        let redirect = move |request: &loopback::Request| {
            let is_known = ["authorization: ", "x-key: "].iter().all(|field| request.head.contains(field));
            Reply::Full(if is_known { 302 } else { 400 }, location.clone(), Vec::new())
        };
        let more = format!(
            "{TRUST_AND_CLIENT}, auth: {{user: me, password: planted-password}}, headers: {{X-Key: planted-key}}"
        );
        let program = if is_tls {
            let first = TlsServer::start(settings(), Ending::Announced, redirect);
            let program =
                start(&to_file(&reader(first.port, "localhost", &more)), &ca, Some((&client, KeyForm::Pkcs8)));
            has_documents(&program, 2);
            let shown = first.seen.clients.lock().expect("the clients");
            assert!(shown.iter().all(|shown| shown.as_ref() == Some(&client.der)), "the first one is shown it");
            drop(shown);
            program
        } else {
            let first = Server::start(redirect);
            let config = to_file(&reader(0, "localhost", &more)).replace("https://localhost:0", &first.address);
            let program = start(&config, &ca, Some((&client, KeyForm::Pkcs8)));
            has_documents(&program, 2);
            program
        };
        let shown = target.seen.clients.lock().expect("the clients");
        assert!(shown.iter().all(Option::is_none) && !shown.is_empty(), "TLS first: {is_tls}");
        let heads = heads.lock().expect("the heads");
        assert!(heads.iter().all(|head| !head.contains("authorization") && !head.contains("x-key")), "{heads:?}");
        drop(program);
    }
}
