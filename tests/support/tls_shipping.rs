//! The program with readers and recorders over TLS, what they are given, and what has to become of it.
#![allow(dead_code, reason = "each test takes what it needs of it")]

use super::loopback::{Reply, Request, Store, wait_until};
use super::program::Program;
use super::tls::{Authority, Certified, KeyForm, key_file};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub(crate) const TRUST: &str = "tls: {ca_file: ca.crt}";
pub(crate) const TRUST_AND_CLIENT: &str = "tls: {ca_file: ca.crt, cert_file: client.crt, key_file: client.key}";

/// A CA, and the certificate of a server that it has signed.
pub(crate) fn trusted() -> (Authority, Certified) {
    let ca = Authority::new("ca");
    let server = ca.issue();
    (ca, server)
}

/// A reader that does not slow down when it fails.
pub(crate) fn reader(port: u16, host: &str, more: &str) -> String {
    format!(
        "readers: {{app: {{type_name: app, endpoint: \"https://{host}:{port}\", interval: 20ms, timeout: 60s, \
         backoff: 1000000, {more}}}}}\n"
    )
}

pub(crate) fn to_file(reader: &str) -> String {
    format!(
        "{reader}recorders: {{out: {{type: file, path: out.ndjson, bulk: {{documents: 1}}}}}}\n\
         routes: {{r: {{readers: app, recorders: out}}}}\n"
    )
}

pub(crate) fn to_server(reader: &str, port: u16, host: &str, bulk: &str) -> String {
    format!(
        "{reader}recorders: {{es: {{endpoint: \"https://{host}:{port}\", index_name: i, timeout: 60s, \
         backoff: 1000000, {TRUST}, bulk: {{{bulk}}}}}}}\nroutes: {{r: {{readers: app, recorders: es}}}}\n"
    )
}

/// Starts the program with the files that [`TRUST`] names, or with those that [`TRUST_AND_CLIENT`] names.
pub(crate) fn start(config: &str, ca: &Authority, client: Option<(&Certified, KeyForm)>) -> Program {
    Program::start_prepared(config, |folder| {
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("written");
        write("ca.crt", &ca.pem);
        if let Some((client, form)) = client {
            write("client.crt", &client.pem);
            write("client.key", &key_file(&client.key, form));
        }
    })
}

/// What an expvar endpoint gives, in a form that the test chooses.
pub(crate) fn counting(reply: impl Fn(String) -> Reply + Send + Sync) -> impl Fn(&Request) -> Reply + Send + Sync {
    let polls = AtomicUsize::new(0);
    move |_| reply(counted(&polls))
}

pub(crate) fn counted(polls: &AtomicUsize) -> String {
    format!(r#"{{"poll_seq": {}, "large": 9007199254740993, "ü": "\"ß\""}}"#, polls.fetch_add(1, Ordering::SeqCst))
}

pub(crate) fn is_exact(document: &serde_json::Value) -> bool {
    document["large"].as_u64() == Some(9_007_199_254_740_993) && document["ü"] == "\"ß\""
}

/// A whole answer, after which the connection ends.
pub(crate) fn last(body: &str) -> Reply {
    Reply::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

pub(crate) fn store() -> (Arc<Mutex<Store>>, Arc<Mutex<Store>>) {
    let store = Arc::default();
    (Arc::clone(&store), store)
}

pub(crate) fn is_without_gap(numbers: &BTreeSet<u64>) -> bool {
    numbers.iter().copied().eq(0..numbers.len() as u64)
}

/// The documents in the file, from the first poll on.
pub(crate) fn file_is_without_gap(program: &Program) -> bool {
    let documents = program.documents("out.ndjson");
    is_without_gap(&documents.iter().map(|document| document["poll_seq"].as_u64().expect("a number")).collect())
}

pub(crate) fn has_documents(program: &Program, number: usize) {
    wait_until("documents in the file", || program.documents("out.ndjson").len() >= number);
}

pub(crate) fn assert_no_complaint(program: &Program) {
    let log = program.read("stderr");
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}
