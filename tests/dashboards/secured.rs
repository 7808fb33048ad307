//! Imports over TLS, with the certificates and the credentials of the recorder.

use super::front_end::objects;
use super::loopback::{Reply, Server, read_request, send};
use super::tls::{Authority, Certified, Clients, KeyForm, NAMES, TlsServer, VERSIONS, config, key_file};
use super::{PLAIN, Ran, SUCCESS, app, file_of, run_beside};
use rcgen::KeyPair;
use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// A front end that takes imports from `shipper` with `planted-secret`, and the files that it was sent.
fn front_end(certified: &Certified, clients: Clients<'_>) -> (TlsServer, Arc<Mutex<Vec<String>>>) {
    let files: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&files);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = TlsServer::talking(listener, config(certified, VERSIONS[0], clients), move |mut input, _| {
        while let Some(request) = read_request(&mut input) {
            let is_known = request.head.contains("authorization: basic c2hpchblcjpwbgfudgvklxnly3jlda==");
            let is_import = request.target.starts_with("/base/api/saved_objects/_import?");
            let reply = if is_known && is_import {
                noted.lock().expect("the files").push(file_of(&request));
                Reply::ok(SUCCESS)
            } else {
                Reply::Full(if is_known { 404 } else { 401 }, String::new(), b"{}".to_vec())
            };
            if !send(input.get_mut(), reply).unwrap_or(false) || input.get_mut().flush().is_err() {
                return;
            }
        }
    });
    (server, files)
}

/// Imports into the front end at this URL; the recorder has this section `tls`.
fn import(url: &str, tls: &str, files: &[(&str, &str)]) -> Ran {
    let app = app(PLAIN);
    let text = format!(
        "readers: {{shop: {{type_name: shop, endpoint: \"{}\", timeout: 20s}}}}\n\
         recorders: {{es: {{endpoint: \"https://127.0.0.1:1\", index_name: shop, timeout: 20s, auth: {{user: shipper, \
         password: planted-secret}}{tls}}}}}\nroutes: {{r: {{readers: [shop], recorders: [es]}}}}\n",
        app.address
    );
    // The trust of this machine is none of the test's.
    let ran = run_beside(files, &["--import", url], &[("SSL_CERT_FILE", "system.crt")], &text);
    assert!(!ran.stdout.contains("planted-") && !ran.stderr.contains("planted-"), "{ran:?}");
    ran
}

#[test]
fn an_import_has_the_certificates_and_credentials_of_the_recorder() {
    let ca = Authority::new("ca");
    let client = ca.issue();
    let key = key_file(&client.key, KeyForm::Pkcs8);
    let files =
        [("ca.crt", ca.pem.as_str()), ("system.crt", &ca.pem), ("client.crt", &client.pem), ("client.key", &key)];
    for (clients, tls) in [
        (Clients::NotAsked, ", tls: {ca_file: ca.crt}"),
        (Clients::NotAsked, ""),
        (Clients::Required(&ca), ", tls: {ca_file: ca.crt, cert_file: client.crt, key_file: client.key}"),
    ] {
        let (server, seen) = front_end(&ca.issue(), clients);
        let url = format!("https://localhost:{}/base", server.port);
        let ran = import(&url, tls, &files);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(0), format!("{url}: 9 objects imported\n").as_str()),
            "{ran:?}"
        );
        let seen = seen.lock().expect("the files");
        assert!(seen.len() == 1 && objects(&seen[0]).len() > 5, "{seen:?}");
    }
}

#[test]
fn a_front_end_that_is_not_trusted_gets_nothing_and_the_fix_is_told() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let issue = |names: &[&str]| ca.issue_as(KeyPair::generate().expect("a key"), names, |_| {});
    let expired = ca.issue_as(KeyPair::generate().expect("a key"), &NAMES, |of| {
        of.not_after = rcgen::date_time_ymd(2020, 2, 1);
    });
    let trusting = ", tls: {ca_file: ca.crt}";
    for (certified, trusted, tls, expected) in [
        (ca.issue(), &other, trusting, "it is not signed by a CA in ca.crt; set tls.ca_file to the CA that signed it"),
        (ca.issue(), &other, "", "it is not signed by a CA that the system trusts; set tls.ca_file to its CA"),
        (expired, &ca, trusting, "it expired at 2020-02-01T00:00:00Z; renew the certificate"),
        (
            issue(&["kibana.test"]),
            &ca,
            trusting,
            "it is for kibana.test, not for localhost; use a name that it is for in --import, or reissue it",
        ),
    ] {
        let (server, seen) = front_end(&certified, Clients::NotAsked);
        let address = format!("localhost:{}", server.port);
        let files = [("ca.crt", trusted.pem.as_str()), ("system.crt", &other.pem)];
        let ran = import(&format!("https://{address}/base"), tls, &files);
        let expected = format!("https://{address}/base: the certificate of {address} was rejected: {expected}\n");
        assert!(ran.code == Some(1) && ran.stdout.is_empty() && ran.stderr.ends_with(&expected), "{expected}: {ran:?}");
        assert!(seen.lock().expect("the files").is_empty());
    }
}

#[test]
fn a_front_end_without_tls_or_elsewhere_is_told() {
    let ca = Authority::new("ca");
    let files = [("ca.crt", ca.pem.as_str())];
    let plain = Server::bare(|_| Reply::ok(SUCCESS));
    let ran = import(&format!("https://{}", plain.address), ", tls: {ca_file: ca.crt}", &files);
    assert!(
        ran.code == Some(1) && ran.stderr.contains("does it speak TLS?; check the port of --import, or write http://"),
        "{ran:?}"
    );
    let moved = Server::bare(|request| {
        Reply::Full(302, format!("Location: https://kibana.test{}\r\n", request.target), Vec::new())
    });
    let ran = import(&format!("http://{}", moved.address), "", &files);
    let expected = "it redirects to https://kibana.test/api/saved_objects/_import?, and redirects are not followed; is this \
                    Kibana";
    assert!(ran.code == Some(1) && ran.stderr.contains(expected), "{ran:?}");
}
