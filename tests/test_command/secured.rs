//! What is said of applications and servers with TLS and passwords: over real sockets, with certificates made for the test.
#![allow(clippy::disallowed_methods, reason = "certificates are made for some days from now")]

use super::loopback::{Reply, Request, Server, read_request, send};
use super::program::Program;
use super::tls::{Authority, Certified, Clients, KeyForm, NAMES, TlsServer, VERSIONS, config, key_file};
use super::{ES_9, PRIVILEGES, without_figures};
use rcgen::KeyPair;
use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const TRUST: &str = "\n    tls: {ca_file: ca.crt}";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// An application at `/vars` and Elasticsearch, which both say 401 to a wrong password.
fn answer(request: &Request) -> Reply {
    // `shipper:planted-secret`; heads are in lower case.
    if !request.head.contains("authorization: basic c2hpchblcjpwbgfudgvklxnly3jlda==") {
        return Reply::Full(401, String::new(), Vec::new());
    }
    match request.target.as_str() {
        "/vars" => Reply::ok("{\"x\":1}"),
        "/" => Reply::ok(ES_9.2),
        PRIVILEGES => {
            Reply::ok(r#"{"username":"shipper","cluster":{"monitor":true},"index":{"shop":{"create_doc":true}}}"#)
        }
        _ => Reply::Full(404, String::new(), Vec::new()),
    }
}

fn start(
    certified: &Certified,
    clients: Clients<'_>,
    answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> TlsServer {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    TlsServer::talking(listener, config(certified, VERSIONS[0], clients), move |mut input, _| {
        while let Some(request) = read_request(&mut input) {
            let output = input.get_mut();
            if !send(output, answer(&request)).unwrap_or(false) || output.flush().is_err() {
                return;
            }
        }
    })
}

/// Both at the same host and port, with this section `tls`.
fn both(origin: &str, tls: &str) -> String {
    let auth = "auth: {user: shipper, password_file: password}";
    format!(
        "readers:\n  app:\n    endpoint: \"{origin}/vars\"\n    type_name: app\n    timeout: 20s\n    {auth}{tls}\n\
         recorders:\n  es:\n    endpoint: \"{origin}\"\n    index_name: shop\n    timeout: 20s\n    {auth}{tls}\n\
         routes: {{r: {{readers: app, recorders: es}}}}\n"
    )
}

/// Where the keys of [`both`] are, if there is a section `tls`: those of the reader, and of the recorder.
const ENDPOINT: [u32; 2] = [3, 10];
const AUTH: [u32; 2] = [6, 13];
const TLS: [u32; 2] = [7, 14];
/// Where the sections themselves are, without `tls`.
const SECTION: [u32; 2] = [2, 8];

/// Runs `expvastic test` beside these files: its exit code, and its lines.
fn test(files: &[(&str, &str)], config: &str) -> (Option<i32>, Vec<String>) {
    let write = |folder: &std::path::Path| {
        for (name, text) in files {
            std::fs::write(folder.join(name), text).expect("written");
        }
    };
    // The trust of this machine is none of the test's.
    let environment = &[("SSL_CERT_FILE", "system.crt")];
    let mut program = Program::start_prepared_with(environment, &["test"], config, write);
    let code = program.wait();
    assert_eq!(program.read("stderr"), "", "warnings and errors");
    let said = without_figures(&program.read("stdout"));
    (code, said.lines().map(str::to_owned).collect())
}

fn after(time: Duration) -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970") + time
}

/// A certificate that expires then.
fn valid_for(ca: &Authority, time: Duration) -> Certified {
    let end = rcgen::date_time_ymd(1970, 1, 1) + after(time + DAY / 24);
    ca.issue_as(KeyPair::generate().expect("a key"), &NAMES, |of| of.not_after = end)
}

#[test]
fn certificates_are_told_with_their_end_and_files_by_name() {
    let ca = Authority::new("ca");
    for (days, hint) in [(200, ""), (10, "; renew the certificate")] {
        let server = start(&valid_for(&ca, days * DAY), Clients::NotAsked, answer);
        let address = format!("localhost:{}", server.port);
        let files = [("ca.crt", ca.pem.as_str()), ("password", "planted-secret\n")];
        let (code, lines) = test(&files, &both(&format!("https://{address}"), TRUST));
        assert_eq!(code, Some(0), "{lines:?}");
        let until = format!(" ({days} days){hint}");
        let begins = [
            "✓ reader app: 200 in N ms, 7 bytes, 1 variable, document ".to_owned(),
            format!("✓ recorder es: Elasticsearch 9.0 at {address} in N ms"),
        ];
        for begin in begins {
            let line =
                lines.iter().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("{begin}: {lines:?}"));
            assert!(line.contains(", certificate until 20") && line.ends_with(&until), "{line}");
        }
        for line in [
            "✓ reader app: password file password can be read",
            "✓ reader app: CA file ca.crt can be read",
            "✓ recorder es: password file password can be read",
            "✓ recorder es: CA file ca.crt can be read",
            "✓ recorder es: user \"shipper\" has all that is needed for shop",
        ] {
            assert_eq!(lines.iter().filter(|said| *said == line).count(), 1, "{line}: {lines:?}");
        }
    }
}

/// Fails unless the reader and the recorder are at fault, for this reason, at these lines of the file.
fn check_both((code, lines): (Option<i32>, Vec<String>), expected: [&str; 2], places: [u32; 2]) {
    assert_eq!(code, Some(1), "{lines:?}");
    for ((part, expected), place) in ["reader app", "recorder es"].iter().zip(expected).zip(places) {
        let expected = format!("✗ {part}: {expected} (conf.yml:{place})");
        assert!(lines.contains(&expected), "expected\n{expected}\nsaid\n{}", lines.join("\n"));
    }
    assert!(!lines.concat().contains("planted-"), "{lines:?}");
}

#[test]
fn wrong_passwords_and_missing_privileges_are_told_with_what_to_do() {
    let ca = Authority::new("ca");
    let server = start(&ca.issue(), Clients::NotAsked, answer);
    let origin = format!("https://localhost:{}", server.port);
    let files = |password: &'static str| [("ca.crt", ca.pem.as_str()), ("password", password)];
    let said = test(&files("planted-wrong"), &both(&origin, TRUST));
    let advice = "check `auth`: the user \"shipper\" and the password in password";
    let reader = format!("status 401, expected 200; {advice}");
    let recorder = format!("localhost:{}: /: status 401; {advice}", server.port);
    check_both(said, [&reader, &recorder], AUTH);

    let server = start(&ca.issue(), Clients::NotAsked, |request| match request.target.as_str() {
        PRIVILEGES => Reply::ok(r#"{"username":"shipper","cluster":{},"index":{"shop":{"create_doc":false}}}"#),
        "/" => Reply::Full(403, String::new(), b"this action is granted by the cluster privileges [monitor]".to_vec()),
        _ => Reply::Full(403, String::new(), Vec::new()),
    });
    let origin = format!("https://localhost:{}", server.port);
    let said = test(&files("planted-secret"), &both(&origin, TRUST));
    let reader =
        "status 403, expected 200; check the privileges of `auth`: the user \"shipper\" and the password in password";
    let recorder = "user \"shipper\" lacks create_doc on shop; grant it to this user or API key";
    check_both(said, [reader, recorder], AUTH);
}

#[test]
fn certificates_that_are_not_accepted_are_told_with_what_to_do() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let issue = |names: &[&str]| ca.issue_as(KeyPair::generate().expect("a key"), names, |_| {});
    let expired = ca.issue_as(KeyPair::generate().expect("a key"), &NAMES, |of| {
        of.not_after = rcgen::date_time_ymd(2020, 2, 1);
    });
    for (certified, host, trusted, tls, problem, places) in [
        (
            ca.issue(),
            "localhost",
            &other,
            TRUST,
            "it is not signed by a CA in ca.crt; set tls.ca_file to the CA that signed it",
            TLS,
        ),
        (
            ca.issue(),
            "localhost",
            &ca,
            "",
            "it is not signed by a CA that the system trusts; set tls.ca_file to its CA",
            SECTION,
        ),
        (expired, "localhost", &ca, TRUST, "it expired at 2020-02-01T00:00:00Z; renew the certificate", TLS),
        (
            issue(&["elsewhere.test"]),
            "localhost",
            &ca,
            TRUST,
            "it is for elsewhere.test, not for localhost; use a name that it is for in endpoint, or reissue it",
            TLS,
        ),
        (
            issue(&["localhost"]),
            "127.0.0.1",
            &ca,
            TRUST,
            "it is for localhost, not for 127.0.0.1; use a name that it is for in endpoint, or reissue it",
            TLS,
        ),
    ] {
        let server = start(&certified, Clients::NotAsked, answer);
        let address = format!("{host}:{}", server.port);
        let files = [("ca.crt", trusted.pem.as_str()), ("system.crt", &other.pem), ("password", "planted-secret")];
        let said = test(&files, &both(&format!("https://{address}"), tls));
        let problem = format!("the certificate of {address} was rejected: {problem}");
        check_both(said, [&problem, &problem], places);
    }
}

#[test]
fn tls_to_a_port_without_it_is_told() {
    let (ca, server) = (Authority::new("ca"), Server::bare(answer));
    let files = [("ca.crt", ca.pem.as_str()), ("password", "planted-secret")];
    let said = test(&files, &both(&format!("https://{}", server.address), TRUST));
    let problem = format!(
        "the TLS handshake with {} failed: does it speak TLS?; check the port of endpoint, or write http://",
        server.address
    );
    check_both(said, [&problem, &problem], ENDPOINT);
}

#[test]
fn client_certificates_are_told_with_their_end() {
    let ca = Authority::new("ca");
    let server = start(&ca.issue(), Clients::Required(&ca), answer);
    let client = valid_for(&ca, 5 * DAY);
    let (key, tls) = (
        key_file(&client.key, KeyForm::Pkcs8),
        "\n    tls: {ca_file: ca.crt, cert_file: client.crt, key_file: client.key}",
    );
    let files = [
        ("ca.crt", ca.pem.as_str()),
        ("client.crt", &client.pem),
        ("client.key", &key),
        ("password", "planted-secret"),
    ];
    let (code, lines) = test(&files, &both(&format!("https://localhost:{}", server.port), tls));
    assert_eq!(code, Some(0), "{lines:?}");
    for part in ["reader app", "recorder es"] {
        let begin = format!("✓ {part}: client certificate file client.crt can be read, certificate until 20");
        let line = lines.iter().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("{begin}: {lines:?}"));
        assert!(line.ends_with(" (5 days); renew the certificate"), "{line}");
        assert!(lines.contains(&format!("✓ {part}: private key file client.key can be read")), "{lines:?}");
    }
}
