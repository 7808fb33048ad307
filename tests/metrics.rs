//! `/metrics` and `/ready`, as collectors and probes see them: by the program itself, over real sockets.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Request, Server, counting_app, pages_address, storing_server, wait_until};
use program::Program;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LISTEN: &str = "settings: {listen: \"127.0.0.1:0\"}\n";

fn address(program: &Program) -> String {
    pages_address(1, || program.read("stderr"))
}

/// Head and body of the answer. Collectors and kubelets come by any name.
fn get(address: &str, path: &str) -> (String, String) {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: some.other.name.example:80\r\n\r\n"))
}

fn exchange(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the whole answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let body = if head.contains("Transfer-Encoding: chunked") { whole(body) } else { body.to_owned() };
    (head.to_owned(), body)
}

/// The text that comes in these chunks; the last one is there.
fn whole(mut chunks: &str) -> String {
    let mut whole = String::new();
    loop {
        let (bytes, rest) = chunks.split_once("\r\n").expect("a chunk");
        let bytes = usize::from_str_radix(bytes, 16).expect("its length");
        whole.push_str(&rest[..bytes]);
        chunks = rest[bytes..].strip_prefix("\r\n").expect("its end");
        if bytes == 0 {
            assert_eq!(chunks, "");
            return whole;
        }
    }
}

fn metrics(address: &str) -> String {
    let (head, body) = get(address, "/metrics");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    body
}

/// The value of a sample.
fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in {text}")).parse().expect("a number")
}

/// The samples of each family. All of one stand together, behind its HELP and TYPE, and counters end in `_total`.
fn families(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut families: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut lines, mut current) = (text.lines(), String::new());
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a help");
            let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE ")?.strip_prefix(name));
            assert!(matches!(kind, Some(" counter" | " gauge")) && !help.is_empty(), "{line}");
            assert_eq!(kind == Some(" counter"), name.ends_with("_total"), "{name}");
            name.clone_into(&mut current);
            assert!(families.insert(current.clone(), Vec::new()).is_none(), "{name} comes twice");
        } else {
            let name = line.split(['{', ' ']).next().expect("a name");
            assert_eq!(name, current, "it stands with others of its family");
            let (series, value) = line.rsplit_once(' ').expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            families.get_mut(name).expect("begun").push(series.to_owned());
        }
    }
    for samples in families.values() {
        assert_eq!(samples.iter().collect::<BTreeSet<_>>().len(), samples.len(), "{samples:?}");
    }
    families
}

/// A name with all that has to be escaped.
const ODD: &str = "a\"b\\c\u{e9} {}";

#[test]
fn every_counter_is_there_whatever_the_names() {
    let ((server, store), app) = (storing_server(), counting_app());
    let odd = json!(ODD);
    let config = format!(
        "{LISTEN}readers: {{{odd}: {{type_name: app, interval: 20ms, endpoint: \"http://u:planted-pw@{}/debug/vars?t=planted\"}}}}\n\
         recorders: {{es: {{endpoint: \"{}\", spool: {{path: spool, bytes: 16MiB}}}}, {odd}: {{type: file, path: out}}}}\n\
         routes: {{r: {{readers: [{odd}], recorders: [es, {odd}]}}}}\n",
        app.address, server.address
    );
    let program = Program::start(&[], &config);
    let address = address(&program);
    wait_until("documents are stored", || store.lock().expect("the store").documents.len() > 3);
    let text = metrics(&address);
    let families = families(&text);
    let escaped = "a\\\"b\\\\c\u{e9} {}";
    assert!(value(&text, &format!("expvastic_reader_polls_total{{reader=\"{escaped}\"}}")) > 3.0);
    assert!(value(&text, &format!("expvastic_reader_body_bytes_total{{reader=\"{escaped}\"}}")) > 30.0);
    assert!(value(&text, &format!("expvastic_reader_up{{reader=\"{escaped}\"}}")) > 0.0);
    for recorder in ["es", escaped] {
        let made = value(&text, &format!("expvastic_recorder_made_documents_total{{recorder=\"{recorder}\"}}"));
        let waiting = value(&text, &format!("expvastic_recorder_waiting_documents{{recorder=\"{recorder}\"}}"));
        let fates = families["expvastic_recorder_documents_total"].iter();
        let fates = fates.filter(|sample| sample.contains(&format!("recorder=\"{recorder}\"")));
        let done: f64 = fates.map(|sample| value(&text, sample)).sum();
        assert!((made - waiting - done).abs() < 0.5 && made > 3.0, "{text}");
    }
    assert!(value(&text, "expvastic_recorder_spool_limit_bytes{recorder=\"es\"}") > 1e6);
    assert!(value(&text, "process_resident_memory_bytes") > 1e6 && value(&text, "process_open_fds") > 3.0);
    // After 2020.
    assert!(value(&text, "process_start_time_seconds") > 1.577e9 && value(&text, "process_cpu_seconds_total") > 0.0);
    let started = |text: &str| value(text, "process_start_time_seconds").to_bits();
    assert_eq!(started(&text), started(&metrics(&address)), "a collector would take another one for a restart");
    let page = include_str!("../docs/operate.md");
    let unknown: Vec<_> = families.keys().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(unknown.is_empty(), "docs/operate.md does not explain {unknown:?}");
    assert!(!text.contains("planted") && !text.contains(&app.address), "{text}");
    let old = exchange(&address, "GET /metrics HTTP/1.0\r\n\r\n");
    assert!(!old.0.contains("chunked") && old.1.starts_with("# HELP ") && old.1.ends_with('\n'), "{old:?}");
    assert_eq!(exchange(&address, "HEAD /metrics HTTP/1.0\r\n\r\n").1, "");
}

#[test]
fn a_thousand_readers_take_little_memory() {
    let range = |range: u16| {
        let first = 20_000 + 250 * range;
        let last = first + 249;
        format!("  r{range}: {{type_name: app, interval: 1h, endpoint: \"127.0.0.1:{first}-{last}/x\"}}\n")
    };
    let readers = [0, 1, 2, 3].map(range).concat();
    let config = format!(
        "{LISTEN}readers:\n{readers}recorders: {{out: {{type: file, path: out}}}}\n\
         routes: {{r: {{readers: [r0, r1, r2, r3], recorders: [out]}}}}\n"
    );
    let program = Program::start(&[], &config);
    let address = address(&program);
    let failures = |text: &str| -> f64 {
        let values = text.lines().filter(|line| line.starts_with("expvastic_reader_failures_total{"));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    wait_until("nearly all were polled", || failures(&metrics(&address)) > 990.0);
    let text = metrics(&address);
    assert!(text.len() > 1_000_000, "{} bytes", text.len());
    for (name, samples) in families(&text) {
        let expected = match name.as_str() {
            "expvastic_reader_mended_names_total" => 7_000,
            name if name.starts_with("expvastic_reader_") => 1_000,
            _ => continue,
        };
        assert_eq!(samples.len(), expected, "{name}");
    }
    let before = program.status("VmHWM");
    let clients: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(&address).expect("it listens")).collect();
    for mut client in &clients {
        // None of them reads its answer so far.
        client.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").expect("sent");
    }
    assert_eq!(get(&address, "/healthz").1, "ok\n");
    for mut client in clients {
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("all of it");
        assert!(answer.len() > text.len() && answer.ends_with(b"\r\n0\r\n\r\n"), "{} bytes", answer.len());
    }
    let grown = program.status("VmHWM") - before;
    assert!(grown < 3_000, "{grown} kB for eight answers of {} bytes", text.len());
}

/// Waits until `/ready` has this status and these lines. Meanwhile the process is alive.
fn wait_for_ready(address: &str, status: &str, lines: &[&str]) {
    let is_so = || {
        let (head, body) = get(address, "/ready");
        let is_like = |(line, expected): (&str, &&str)| match expected.split_once('*') {
            Some((start, end)) => line.starts_with(start) && line.ends_with(end),
            None => line == *expected,
        };
        let has_lines = body.lines().count() == lines.len() && body.lines().zip(lines).all(is_like);
        head.starts_with(&format!("HTTP/1.1 {status}\r\n")) && has_lines
    };
    wait_until(&format!("{status} {lines:?}"), is_so);
    assert_eq!(get(address, "/healthz").1, "ok\n");
}

/// An endpoint that answers as soon as it is let.
fn patient_app(may_answer: &Arc<AtomicBool>) -> Server {
    let may_answer = Arc::clone(may_answer);
    Server::start(move |_| {
        while !may_answer.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Reply::ok("{\"a\": 1}")
    })
}

#[test]
fn it_is_ready_when_each_reader_was_polled_and_each_server_answers() {
    let (first_may, second_may) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (first, second) = (patient_app(&first_may), patient_app(&second_may));
    let is_well = Arc::new(AtomicBool::new(true));
    let server_is_well = Arc::clone(&is_well);
    let server = Server::start(move |request: &Request| {
        if server_is_well.load(Ordering::SeqCst) {
            let documents = loopback::bulk_documents(&request.unpacked()).len();
            let items = vec!["{\"create\":{\"status\":201}}"; documents].join(",");
            Reply::ok(format!("{{\"errors\":false,\"items\":[{items}]}}"))
        } else {
            Reply::Full(503, String::new(), b"planted\nin the way".to_vec())
        }
    });
    let config = |readers: &[(&str, &Server)]| {
        let names: Vec<&str> = readers.iter().map(|(name, _)| *name).collect();
        let readers = readers.iter().map(|(name, app)| {
            format!("  {name}: {{type_name: a, interval: 20ms, timeout: 60s, endpoint: \"{}\"}}\n", app.address)
        });
        format!(
            "{LISTEN}readers:\n{}recorders: {{es: {{endpoint: \"{}\", timeout: 2s}}, out: {{type: file, path: out}}}}\n\
             routes: {{r: {{readers: [{}], recorders: [es, out]}}}}\n",
            readers.collect::<String>(),
            server.address,
            names.join(", ")
        )
    };
    let program = Program::start(&[], &config(&[("shop", &first)]));
    let address = address(&program);
    let nothing_yet = [
        "reader shop: not polled yet",
        "recorder es: no answer from its server yet",
        "recorder out: nothing written yet",
    ];
    wait_for_ready(&address, "503 Service Unavailable", &nothing_yet);
    first_may.store(true, Ordering::SeqCst);
    wait_for_ready(&address, "200 OK", &["ready"]);
    is_well.store(false, Ordering::SeqCst);
    wait_for_ready(&address, "503 Service Unavailable", &["recorder es: failing for *"]);
    assert!((value(&metrics(&address), "expvastic_recorder_up{recorder=\"es\"}") - 0.0).abs() < 0.5);
    is_well.store(true, Ordering::SeqCst);
    wait_for_ready(&address, "200 OK", &["ready"]);
    std::fs::write(program.path("conf.yml"), config(&[("shop", &first), ("cart", &second)])).expect("written");
    program.signal("HUP");
    wait_for_ready(&address, "503 Service Unavailable", &["reader cart: not polled yet"]);
    second_may.store(true, Ordering::SeqCst);
    wait_for_ready(&address, "200 OK", &["ready"]);
    assert!((value(&metrics(&address), "expvastic_recorder_up{recorder=\"es\"}") - 1.0).abs() < 0.5);
    // Afterwards nothing may be under way.
    drop(program);
}
