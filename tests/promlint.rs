//! `/metrics` before the checks of `promtool check metrics`. It wants Go: `ci/validate` runs it.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{counting_app, pages_address, storing_server, wait_until};
use program::Program;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What the checks say about a text.
fn checked(text: &str) -> Output {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promlint");
    let mut command = Command::new("go");
    command.args(["run", "."]).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("go starts");
    child.stdin.take().expect("its input").write_all(text.as_bytes()).expect("sent");
    child.wait_with_output().expect("its answer")
}

#[test]
fn promtools_checks_find_nothing() {
    let ((server, store), app) = (storing_server(), counting_app());
    let config = format!(
        "settings: {{listen: \"127.0.0.1:0\"}}\n\
         readers: {{\"a \\\"b\\\" \\\\ c\": {{type_name: app, interval: 20ms, endpoint: \"{}\"}}, own: {{type: self, type_name: o}}}}\n\
         recorders: {{es: {{endpoint: \"{}\", spool: {{path: spool}}}}, out: {{type: file, path: out}}}}\n\
         routes: {{r: {{readers: [\"a \\\"b\\\" \\\\ c\", own], recorders: [es, out]}}}}\n",
        app.address, server.address
    );
    let program = Program::start(&[], &config);
    wait_until("documents are stored", || store.lock().expect("the store").documents.len() > 3);
    let address = pages_address(1, || program.read("stderr"));
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the whole answer");
    let text = answer.split_once("\r\n\r\n").expect("a head").1;
    let Output { status, stderr, .. } = checked(text);
    assert!(status.success(), "{}\n{text}", String::from_utf8_lossy(&stderr));
    let wrong = checked("# HELP a b\n# TYPE a counter\na 1\n");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("a counter metrics should have \"_total\" suffix"));
    assert!(!wrong.status.success());
}
