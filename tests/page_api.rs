//! What programs read of the status pages, as JSON, and who may read it: by the program itself, over real sockets.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use flate2::read::GzDecoder;
use loopback::{Reply, Server, counting_app, overloaded_server, pages_address, storing_server, wait_until};
use program::Program;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Numbers that no double holds, a value that is not JSON, a number that no server stores, and names that are changed.
const ODD: &str = "{\n\"big\": 9223372036854775807,\n\"exact\": 0.10000000000000000555,\n\"whole\": 1.0,\n\
                   \"cache\": ,\n\"ratio\": NaN,\n\"huge\": 1e999,\n\"_id\": 7,\n\"a\": 1,\n\"a\": 2,\n\
                   \"<b>\": \"<script>alert(1)</script>\",\n\"list\": [1, 2.50]\n}\n";

/// A configuration with one reader of this name and one recorder.
fn config(settings: &str, reader: &str, app: &Server, server: &Server) -> String {
    let reader = json!(reader);
    format!(
        "settings: {{{settings}}}\n\
         readers: {{{reader}: {{type_name: app, interval: 20ms, timeout: 2s, backoff: 5, \
         endpoint: \"http://user:planted-password@{}/debug/vars\"}}}}\n\
         recorders: {{es: {{endpoint: \"{}\", timeout: 2s, backoff: 5}}}}\n\
         routes: {{r: {{readers: [{reader}], recorders: [es]}}}}\n",
        app.address, server.address
    )
}

const LISTEN: &str = "listen: \"127.0.0.1:0\"";

/// Where the pages are.
fn address(program: &Program) -> String {
    pages_address(1, || program.read("stderr"))
}

/// Head and body of the answer to a request with these fields.
fn ask(address: &str, path: &str, fields: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{fields}\r\n").as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the whole answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// The JSON at a path.
fn json_at(address: &str, path: &str) -> Value {
    let (head, body) = ask(address, path, &format!("Host: {address}\r\n"));
    assert!(head.contains("Content-Type: application/json"), "{head}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn status(address: &str) -> Value {
    json_at(address, "/api/status")
}

/// An endpoint that always answers this.
fn app_of(body: &'static str) -> Server {
    Server::start(move |_| Reply::Chunked(body.as_bytes().to_vec()))
}

#[test]
fn the_status_has_each_reader_and_each_recorder() {
    let ((server, store), app) = (storing_server(), counting_app());
    let program = Program::start(&[], &config(LISTEN, "app", &app, &server));
    let address = address(&program);
    wait_until("documents are stored", || store.lock().expect("the store").documents.len() > 3);
    wait_until("the recorder has heard of it", || status(&address)["recorders"][0]["state"] == "up");
    let status = status(&address);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["host"].is_string() && status["documents"] == true, "{status}");
    for name in ["uptime_seconds", "cpu_seconds", "resident_bytes"] {
        assert!(status[name].as_f64() > Some(0.0), "{name}: {status}");
    }
    let reader = &status["readers"][0];
    assert_eq!((&reader["name"], &reader["state"]), (&json!("app"), &json!("up")), "{status}");
    assert_eq!(reader["recorders"], json!(["es"]));
    assert_eq!(reader["interval_seconds"].as_f64(), Some(0.02));
    for name in ["last_poll_age_seconds", "last_poll_seconds", "body_bytes", "document_bytes", "next_poll_seconds"] {
        assert!(reader[name].is_number(), "{name}: {status}");
    }
    assert!(reader["counts"]["polls"].as_u64() > Some(3) && reader["counts"].get("failures").is_none(), "{status}");
    assert!(reader.get("error").is_none() && reader.get("failing_seconds").is_none(), "{status}");
    let recorder = &status["recorders"][0];
    assert_eq!((&recorder["name"], &recorder["target"]), (&json!("es"), &json!("Elasticsearch 9.0")), "{status}");
    let ledger = |name: &str| recorder["ledger"][name].as_u64().expect("a count");
    assert_eq!(ledger("made"), ledger("acked") + ledger("duplicate") + ledger("waiting"));
    assert!(recorder["last_ack_age_seconds"].is_number() && recorder["waiting_disk_bytes"] == 0, "{status}");
    assert!(!status.to_string().contains(&app.address), "no URL: {status}");
}

#[test]
fn states_follow_failures_and_recoveries() {
    let ((server, _store, is_well), polls) = (overloaded_server(), AtomicUsize::new(0));
    let app = Server::start(move |_| match polls.fetch_add(1, Ordering::SeqCst) {
        0..3 | 30.. => Reply::Chunked(b"{\"a\": 1}".to_vec()),
        _ => Reply::Full(500, String::new(), b"planted-password".to_vec()),
    });
    let folder = "spool: {path: spool, sync: 10ms}, timeout";
    let config = config(LISTEN, "app", &app, &server).replacen("timeout", folder, 2).replacen(folder, "timeout", 1);
    let program = Program::start(&[], &config);
    let address = address(&program);
    let is = |kind: &str, state: &str| status(&address)[kind][0]["state"] == state;
    wait_until("the reader fails", || is("readers", "failing") || is("readers", "down"));
    wait_until("the reader is down", || is("readers", "down"));
    let reader = status(&address)["readers"][0].clone();
    assert!(reader["failing_seconds"].is_number() && reader["failures_in_a_row"].as_u64() >= Some(5), "{reader}");
    let error = reader["error"].as_str().expect("why");
    assert!(error.starts_with("status 500, expected 200") && !error.contains("planted-"), "{error}");
    wait_until("the recorder is down", || is("recorders", "down"));
    let recorder = status(&address)["recorders"][0].clone();
    assert!(recorder["error"].as_str().is_some_and(|error| error.contains("503")), "{recorder}");
    assert!(recorder["next_attempt_seconds"].is_number() && recorder["failing_seconds"].is_number(), "{recorder}");
    assert!(recorder["oldest_age_seconds"].as_f64() > Some(0.0), "{recorder}");
    let waiting = |name: &str| recorder[name].as_u64().expect("bytes");
    assert!(waiting("waiting_memory_bytes") + waiting("waiting_disk_bytes") > 0, "{recorder}");
    wait_until("it waits on disk", || status(&address)["recorders"][0]["waiting_disk_bytes"].as_u64() > Some(0));
    is_well.store(true, Ordering::SeqCst);
    program.signal("USR1");
    wait_until("the recorder is up", || is("recorders", "up"));
    let recorder = status(&address)["recorders"][0].clone();
    assert!(
        recorder.get("failing_seconds").is_none() && recorder["error"].is_string(),
        "the last error stays: {recorder}"
    );
}

#[test]
fn the_last_document_is_shown_with_every_digit_and_what_it_lacks() {
    let ((server, _store), app) = (storing_server(), app_of(ODD));
    let name = "a/b <script>?#%";
    let program = Program::start(&[], &config(LISTEN, name, &app, &server));
    let address = address(&program);
    let path = "/api/documents/a%2Fb%20%3Cscript%3E%3F%23%25";
    wait_until("there is a document", || json_at(&address, path).get("document").is_some());
    let (head, text) = ask(&address, path, "Host: localhost\r\n");
    assert!(head.contains("nosniff") && head.contains("Cache-Control: no-store"), "{head}");
    for exact in [
        r#""big":9223372036854775807,"#,
        r#""exact":0.10000000000000000555,"#,
        r#""whole":1.0,"#,
        r#""list":[1, 2.50]"#,
    ] {
        assert!(text.contains(exact), "no {exact} in {text}");
    }
    let shown: Value = serde_json::from_str(&text).expect("strict JSON");
    assert_eq!(shown["reader"], name);
    assert_eq!(shown["document"]["service.name"], "app");
    assert_eq!(shown["left_out"], json!({"broken": ["cache", "ratio", "huge"]}), "{text}");
    assert_eq!(shown["counts"], json!({"broken_values": 2, "out_of_range_numbers": 1}), "{text}");
    assert_eq!(shown["mended_names"], json!({"reserved": 1, "repeated": 1}), "{text}");
    assert!(shown["age_seconds"].is_number() && !text.contains("planted-"), "{text}");
    let (head, body) = ask(&address, "/api/documents/nobody", "");
    assert!(head.starts_with("HTTP/1.1 404 ") && body.contains("there is no reader of this name"), "{head} {body}");
}

#[test]
fn values_are_not_shown_if_the_configuration_says_so() {
    let ((server, _store), app) = (storing_server(), app_of(ODD));
    let listen = "listen: {address: \"127.0.0.1:0\", documents: false}";
    let program = Program::start(&[], &config(listen, "app", &app, &server));
    let address = address(&program);
    wait_until("it polls", || status(&address)["readers"][0]["state"] == "up");
    assert_eq!(status(&address)["documents"], false);
    let (head, body) = ask(&address, "/api/documents/app", "");
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let said: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(said["error"], "documents are not shown: settings.listen has documents: false");
    assert!(said.get("document").is_none());
}

#[test]
fn only_own_names_are_answered_so_that_other_sites_cannot_read() {
    let ((server, _store), app) = (storing_server(), counting_app());
    let settings = format!("{LISTEN}, listen_hosts: [Shop.example.com]");
    let program = Program::start(&[], &config(&settings, "app", &app, &server));
    let address = address(&program);
    let machine = Command::new("uname").arg("-n").output().expect("a name").stdout;
    let machine = String::from_utf8(machine).expect("UTF-8");
    let paths = ["/", "/api/status", "/api/documents/app", "/debug/vars", "/nothing"];
    for host in [&address, "localhost", "127.0.0.1:1", "[::1]:9102", "[fe80::1]", machine.trim(), "shop.example.com:80"]
    {
        for path in paths {
            let (head, _) = ask(&address, path, &format!("Host: {host}\r\n"));
            assert!(!head.starts_with("HTTP/1.1 403 "), "{host} {path}: {head}");
        }
    }
    for host in ["attacker.example", "127.0.0.1.attacker.example:80", "localhost.attacker.example", "", "<script>"] {
        for path in paths {
            let (head, body) = ask(&address, path, &format!("Host: {host}\r\n"));
            assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain"), "{host} {path}: {head}");
            assert!(body.contains(&format!("{host:?} is not a known name")), "{body}");
            assert!(body.contains("settings.listen_hosts") && !body.contains("polls"), "{body}");
        }
        let (head, body) = ask(&address, "/healthz", &format!("Host: {host}\r\n"));
        assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok\n", "a probe tells nothing: {head}");
    }
    let (head, _) = ask(&address, "/api/status", "");
    assert!(head.starts_with("HTTP/1.1 200 "), "what has no Host is no browser: {head}");
    let (head, _) = ask(&address, "/api/status", "Host: localhost\r\nHost: attacker.example\r\n");
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
}

#[test]
fn the_page_is_compressed_and_browsers_may_only_ask_this_program() {
    let ((server, _store), app) = (storing_server(), counting_app());
    let program = Program::start(&[], &config(LISTEN, "app", &app, &server));
    let address = address(&program);
    for (path, kind) in [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")] {
        let (head, plain) = ask(&address, path, "Accept-Encoding: gzip;q=0\r\n");
        assert!(head.contains(&format!("Content-Type: {kind}; charset=utf-8\r\n")), "{head}");
        assert!(!head.contains("Content-Encoding"), "{head}");
        let policy =
            "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; ";
        assert!(head.contains(policy) && !head.contains("unsafe"), "{head}");
        assert!(head.contains("frame-ancestors 'none'") && head.contains("nosniff"), "{head}");
        let mut stream = TcpStream::connect(&address).expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip, br\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the whole answer");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        assert!(head.contains("Content-Encoding: gzip\r\n") && head.contains("Vary: Accept-Encoding"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}\r\n", answer.len() - end)), "{head}");
        let mut text = String::new();
        GzDecoder::new(&answer[end..]).read_to_string(&mut text).expect("gzip");
        assert_eq!(text, plain, "{path}");
    }
}

#[test]
fn no_more_documents_are_kept_than_people_can_look_at() {
    let ((server, _store), app) = (storing_server(), counting_app());
    let endpoint = format!("type_name: app, interval: 20ms, endpoint: \"{}\"", app.address);
    let readers: Vec<String> = (0..5).map(|number| format!("r{number}: {{{endpoint}}}")).collect();
    let names: Vec<String> = (0..5).map(|number| format!("r{number}")).collect();
    let config = format!(
        "settings: {{{LISTEN}}}\nreaders: {{{}}}\nrecorders: {{es: {{endpoint: \"{}\"}}}}\n\
         routes: {{r: {{readers: {names:?}, recorders: [es]}}}}\n",
        readers.join(", "),
        server.address
    );
    let program = Program::start(&[], &config);
    let address = address(&program);
    let has_document = |name: &str| json_at(&address, &format!("/api/documents/{name}")).get("document").is_some();
    for name in &names[..4] {
        assert!(!has_document(name), "nothing is kept before somebody asks");
        wait_until("there is a document", || has_document(name));
    }
    for name in &names[..4] {
        assert!(has_document(name), "four are kept: {name}");
    }
    assert!(!has_document("r4"));
    assert!(!has_document("r0"), "the one that was asked for longest ago has made room");
    wait_until("there is a document again", || has_document("r0"));
}

#[test]
fn nothing_wakes_the_program_while_nobody_looks() {
    let ((server, store), app) = (storing_server(), counting_app());
    let config = config(LISTEN, "app", &app, &server).replace("interval: 20ms", "interval: 1h");
    let program = Program::start(&[], &config);
    let address = address(&program);
    wait_until("a document is stored", || !store.lock().expect("the store").documents.is_empty());
    let _ = (status(&address), json_at(&address, "/api/documents/app"));
    // The thread blocks once for whatever wakes it.
    let wakes = || program.status("voluntary_ctxt_switches");
    let is_idle = || {
        let before = wakes();
        std::thread::sleep(Duration::from_secs(1));
        before == wakes()
    };
    assert!((0..20).any(|_| is_idle()), "it is woken again and again");
}
