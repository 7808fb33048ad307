//! Every kind of wrong answer that an endpoint can give, over real sockets. Each must lead to a clear log line and a counter, to
//! no document, to no delay of other readers, and to a document again as soon as the endpoint recovers.

#![allow(clippy::format_push_string, reason = "a configuration is put together for reading, not for speed")]
#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use flate2::Compression;
use flate2::bufread::GzEncoder;
use loopback::{Reply, Reserved, Server, counting_app, wait_until};
use program::Program;
use serde_json::Value;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Peak memory of the program in this test: the idle process (a debug build) and the bodies under way, two of which are too
/// long (`max_body` each). A fraction of what it is offered.
const PEAK_MEMORY_KB: u64 = 32_000;

struct Fault {
    name: &'static str,
    reply: fn() -> Reply,
    /// What the log says of it.
    cause: &'static str,
}

/// `{"a":1}`.
const UTF_16: [u8; 14] = *b"{\0\"\0a\0\"\0:\x001\0}\0";

fn foreign(content_type: &str, body: &[u8]) -> Reply {
    Reply::Full(200, format!("Content-Type: {content_type}\r\n"), body.to_vec())
}

const GZIP: &str = "Content-Encoding: gzip\r\n";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    GzEncoder::new(text, Compression::new(6)).read_to_end(&mut packed).expect("memory");
    packed
}

const FAULTS: [Fault; 26] = [
    Fault {
        name: "404",
        reply: || Reply::Full(404, String::new(), b"not found".to_vec()),
        cause: r#"status 404, expected 200; the body is plain text, and begins "not found"; is this the right port"#,
    },
    Fault {
        name: "500-json",
        reply: || Reply::Full(500, String::new(), br#"{"error":"boom","code":500}"#.to_vec()),
        cause: "status 500, expected 200; the body is a JSON object, and begins",
    },
    Fault {
        name: "redirect-loop",
        reply: || Reply::Full(302, "Location: /debug/vars\r\n".to_owned(), Vec::new()),
        cause: "more than 5 redirects",
    },
    Fault {
        name: "half-a-body",
        reply: || Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{\"a\":1,\"half\":[1,2,".to_vec()),
        cause: "the response was cut off",
    },
    Fault {
        name: "half-a-chunk",
        reply: || Reply::Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n{\"a\":1,".to_vec()),
        cause: "the response was cut off",
    },
    Fault {
        name: "half-the-json",
        reply: || Reply::ok(r#"{"a":1,"half":[1,2,"#),
        cause: "the JSON is truncated (byte 19)",
    },
    Fault {
        name: "endless",
        reply: || Reply::Endless(vec![b' '; 65536]),
        cause: "the body is longer than max_body (1048576 bytes)",
    },
    Fault {
        name: "100-mb",
        reply: || Reply::Repeated(100 << 20),
        cause: "the body is longer than max_body (1048576 bytes)",
    },
    Fault { name: "no-answer", reply: || Reply::Hang(Vec::new()), cause: "no complete response within 400ms" },
    Fault {
        name: "no-body",
        reply: || Reply::Hang(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n".to_vec()),
        cause: "no complete response within 400ms",
    },
    Fault {
        name: "html",
        reply: || foreign("text/html", b"<html><title>It works!</title><body>"),
        cause: r#"the body is not a JSON object (byte 0): it is HTML (Content-Type: text/html), and its title is "It works!"; is a login page or a proxy in front of it?"#,
    },
    Fault {
        name: "prometheus",
        reply: || foreign("text/plain; version=0.0.4", b"# HELP up Is it?\nup 1\n"),
        cause: r##": it is the Prometheus text format (Content-Type: text/plain; version=0.0.4), and begins "# HELP up Is it? up 1"; expvastic reads expvar, not Prometheus metrics"##,
    },
    Fault {
        name: "jsonp",
        reply: || foreign("application/javascript", b"take({\"a\":1});"),
        cause: "it is JSONP (Content-Type: application/javascript)",
    },
    Fault {
        name: "utf-16",
        reply: || foreign("application/json", &UTF_16),
        cause: r#"it is UTF-16 (Content-Type: application/json), and begins "{\"a\":1}"; send it as UTF-8"#,
    },
    Fault {
        name: "xml",
        reply: || foreign("text/xml", b"<?xml version='1.0'?><a/>"),
        cause: r#"it is XML (Content-Type: text/xml), and begins "<?xml version='1.0'?><a/>""#,
    },
    Fault {
        name: "plain-text",
        reply: || foreign("text/plain", b"hello\nyou\n"),
        cause: r#"it is plain text (Content-Type: text/plain), and begins "hello you""#,
    },
    Fault {
        name: "tls-port",
        reply: || Reply::Full(400, String::new(), b"Client sent an HTTP request to an HTTPS server.\n".to_vec()),
        cause: "status 400, expected 200; the body is plain text, and begins \"Client sent an HTTP request to an HTTPS server.\"; this port speaks TLS: write https://",
    },
    Fault {
        name: "brotli",
        reply: || Reply::Full(200, "Content-Encoding: br\r\n".to_owned(), b"\x8b\x03\x80".to_vec()),
        cause: "it is compressed with br, which was not requested",
    },
    Fault {
        name: "no-http",
        reply: || Reply::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        cause: "the response is not HTTP/1.1: is this the right port?",
    },
    Fault { name: "empty-object", reply: || Reply::ok("{}"), cause: "the payload contains no variables" },
    Fault {
        name: "array",
        reply: || Reply::ok("[1,2,3]"),
        cause: r#"the body is not a JSON object (byte 0): it is a JSON array (Content-Type: application/json), and begins "[1,2,3]""#,
    },
    Fault { name: "empty-body", reply: || Reply::ok(""), cause: "the body is empty, expected a JSON object" },
    Fault {
        name: "100000-nested",
        reply: || Reply::ok(format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000))),
        cause: "the JSON is nested deeper than 64 levels",
    },
    Fault {
        name: "gzip-cut-off",
        reply: || Reply::Full(200, GZIP.to_owned(), b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec()),
        cause: "the body is compressed with gzip, which was not requested, and is cut off",
    },
    Fault {
        name: "gzip-bomb",
        reply: || Reply::Full(200, GZIP.to_owned(), gzip(&vec![b' '; 20 << 20])),
        cause: "the body is longer than max_body (1048576 bytes)",
    },
    Fault {
        name: "gzip-unsaid",
        reply: || Reply::ok(gzip(br#"{"a":1}"#)),
        cause: "it is compressed with gzip, which was not requested (Content-Type: application/json); send it uncompressed",
    },
];

/// An endpoint with this fault, until `mended`.
fn faulty_app(fault: &'static Fault, mended: &Arc<AtomicBool>) -> Server {
    let mended = Arc::clone(mended);
    Server::start(move |request| {
        assert_eq!(request.method, "GET");
        assert!(!request.head.contains("accept-encoding"), "no compression is asked for: {}", request.head);
        if mended.load(Ordering::SeqCst) { Reply::ok(r#"{"well":"again"}"#) } else { (fault.reply)() }
    })
}

fn config(good: &Server, faulty: &[Server]) -> String {
    let reader = |name: &str, address: &str| {
        // Only who never answers is given up: a busy machine is no reason.
        let timeout = if ["bad-no-answer", "bad-no-body"].contains(&name) { "400ms" } else { "30s" };
        format!(
            "  {name}: {{type_name: {name}, endpoint: \"{address}/debug/vars?r=x\", interval: 100ms, timeout: {timeout}, backoff: 1000}}\n"
        )
    };
    let mut text =
        format!("readers:\n  own: {{type: self, type_name: own, interval: 100ms}}\n{}", reader("good", &good.address));
    let mut names = "own, good".to_owned();
    for (fault, server) in FAULTS.iter().zip(faulty) {
        text += &reader(&format!("bad-{}", fault.name), &server.address);
        names += &format!(", bad-{}", fault.name);
    }
    let recorder = "recorders:\n  out: {type: file, path: out.ndjson, bulk: {age: 50ms}}\n";
    format!("{text}{recorder}routes:\n  all: {{readers: [{names}], recorders: [out]}}\n")
}

fn of<'d>(documents: &'d [Value], service: &str) -> Vec<&'d Value> {
    documents.iter().filter(|document| document["service.name"] == service).collect()
}

/// What is warned of, but for endpoints that a busy machine makes slow.
fn warnings(log: &str) -> impl Iterator<Item = &str> {
    log.lines().filter(|line| line.contains(" WARN ") && !line.contains("slower than its interval"))
}

#[test]
fn whatever_an_endpoint_answers_only_its_own_document_is_missing() {
    let mended = Arc::new(AtomicBool::new(false));
    let good = counting_app();
    let faulty: Vec<Server> = FAULTS.iter().map(|fault| faulty_app(fault, &mended)).collect();
    let mut program = Program::start(&[], &config(&good, &faulty));
    wait_until("each fault has been polled three times", || faulty.iter().all(|server| server.request_count() >= 3));
    wait_until("each fault has been counted three times", || {
        let documents = program.documents("out.ndjson");
        let last = of(&documents, "own").pop().cloned().unwrap_or_default();
        FAULTS.iter().all(|fault| last[format!("readers.bad-{}.failures", fault.name)].as_u64() >= Some(3))
    });
    let documents = program.documents("out.ndjson");
    for fault in &FAULTS {
        assert!(of(&documents, &format!("bad-{}", fault.name)).is_empty(), "a document was made of {}", fault.name);
    }
    let peak_kb = program.status("VmHWM");
    assert!(peak_kb < PEAK_MEMORY_KB, "{peak_kb} kB");
    assert_eq!(program.status("Threads"), 1, "neighbours need nobody else");
    // A hung poll takes four intervals. If it delayed the others, at most one of theirs would begin meanwhile.
    wait_until("another endpoint is polled twice while one poll hangs", || {
        let documents = program.documents("out.ndjson");
        let polls = |own: &Value, reader: &str| own[format!("readers.{reader}.polls")].as_u64().unwrap_or_default();
        let own = of(&documents, "own");
        own.chunk_by(|one, next| polls(one, "bad-no-answer") == polls(next, "bad-no-answer"))
            .any(|hung| polls(hung[hung.len() - 1], "good") >= polls(hung[0], "good") + 2)
    });

    mended.store(true, Ordering::SeqCst);
    wait_until("each endpoint gives documents again", || {
        let documents = program.documents("out.ndjson");
        FAULTS.iter().all(|fault| !of(&documents, &format!("bad-{}", fault.name)).is_empty())
    });
    let documents = program.documents("out.ndjson");
    let own = of(&documents, "own").pop().expect("the last of its own documents");
    let count = |reader: &str, counter: &str| own[format!("readers.{reader}.{counter}")].as_u64().expect("a counter");
    assert_eq!(count("good", "failures"), 0);
    assert!(count("bad-no-answer", "late_ticks") > 0, "ticks during a hung poll are counted");
    assert_eq!(own["Readers"], FAULTS.len() + 2);

    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    let log = program.read("stderr");
    for (fault, server) in FAULTS.iter().zip(&faulty) {
        let url = format!("url=\"http://{}/debug/vars?r=x\"", server.address);
        let reader = format!("reader=bad-{} ", fault.name);
        let line = log.lines().find(|line| line.contains(&reader) && line.contains(" WARN "));
        let line = line.unwrap_or_else(|| panic!("no line about {} in\n{log}", fault.name));
        assert!(line.contains(&url), "{line}");
        assert!(line.contains(fault.cause), "{}: {line}", fault.name);
        let recovered = log.lines().any(|line| line.contains(&reader) && line.contains("polling recovered"));
        assert!(recovered, "{} came back", fault.name);
    }
    let lines = warnings(&log).count();
    assert!(lines <= 2 * FAULTS.len(), "{lines} warnings: the same failure is logged once a period");
    assert!(log.contains("ledger: made "), "the ledger is printed");
}

#[test]
fn a_broken_variable_is_named_once_and_costs_no_other() {
    let app = Server::start(|_| Reply::ok(r#"{"before":1,"app":{"cache": ,"rate":NaN,"hits":2},"after":3}"#));
    let config = format!(
        "readers:\n  app: {{type_name: app, endpoint: \"{}\", interval: 20ms}}\n\
         recorders:\n  out: {{type: file, path: out.ndjson}}\nroutes:\n  r: {{readers: [app], recorders: [out]}}\n",
        app.address
    );
    let mut program = Program::start(&[], &config);
    wait_until("there are some documents", || program.documents("out.ndjson").len() > 5);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    for document in program.documents("out.ndjson") {
        let variables =
            ["before", "app.hits", "after", "app.cache", "app.rate"].map(|name| document.get(name).cloned());
        assert_eq!(variables, [Some(1.into()), Some(2.into()), Some(3.into()), None, None]);
    }
    let log = program.read("stderr");
    let lines: Vec<&str> = warnings(&log).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains(r#": "app.cache", "app.rate" "#), "{log}");
    assert!(lines[0].contains("values=2"), "{log}");
}

#[cfg(feature = "proxy")]
#[test]
fn an_answer_that_came_compressed_is_inflated() {
    let app = Server::start(|request| match request.target.as_str() {
        "/lie" => Reply::Full(200, GZIP.to_owned(), br#"{"x":"plain"}"#.to_vec()),
        _ => Reply::Full(200, GZIP.replace("gzip", "X-GZip"), gzip(br#"{"x":"packed"}"#)),
    });
    let config = format!(
        "readers:\n  gzip: {{type_name: a, endpoint: \"{0}\"}}\n  lie: {{type_name: b, endpoint: \"{0}/lie\"}}\n  name: {{type_name: c, endpoint: \"http://app.test/\"}}\n\
         recorders:\n  out: {{type: file, path: out.ndjson}}\nroutes:\n  r: {{readers: [gzip, lie, name], recorders: [out]}}\n",
        app.address
    );
    let proxy = format!("http://{}", app.address);
    let mut program = Program::start_with(&[("http_proxy", &proxy), ("no_proxy", "")], &["once"], &config);
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
    let documents = program.documents("out.ndjson");
    for (service, value) in [("a", "packed"), ("b", "plain"), ("c", "packed")] {
        assert_eq!(of(&documents, service)[0]["x"], value);
    }
}

#[test]
fn an_endpoint_that_is_slower_than_its_interval_is_told_of_once() {
    let slow = Server::start(|_| {
        std::thread::sleep(Duration::from_millis(120));
        Reply::ok(r#"{"x":1}"#)
    });
    let quick = counting_app();
    let config = format!(
        "readers:\n  slow: {{type_name: slow, endpoint: \"{}\", interval: 30ms}}\n  quick: {{type_name: quick, endpoint: \"{}\", interval: 10m}}\n\
         recorders:\n  out: {{type: file, path: out.ndjson}}\nroutes:\n  r: {{readers: [slow, quick], recorders: [out]}}\n",
        slow.address, quick.address
    );
    let mut program = Program::start(&[], &config);
    let slow_documents = |program: &Program| of(&program.documents("out.ndjson"), "slow").len();
    wait_until("it is told", || program.read("stderr").contains("slower than its interval"));
    let before = slow_documents(&program);
    wait_until("there are more slow documents", || slow_documents(&program) > before + 10);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    let log = program.read("stderr");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("slower than its interval")).collect();
    let [line] = lines[..] else { panic!("one line: {log}") };
    let took = line.split("the response took ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a figure");
    assert!(took.parse::<f64>().expect("seconds") >= 0.12, "{line}");
    assert!(line.contains(" WARN ") && line.contains("interval is 30ms") && line.ends_with("reader=slow"), "{line}");
}

#[test]
fn nobody_there_at_the_start_is_no_reason_not_to_start() {
    let absent = Reserved::new();
    let address = &absent.address;
    let (store_server, store) = loopback::storing_server();
    let config = format!(
        "readers:\n  app: {{type_name: app, endpoint: \"{address}\", interval: 50ms, backoff: 100000}}\n\
         recorders:\n  es: {{endpoint: \"{}\"}}\nroutes:\n  r: {{readers: [app], recorders: [es]}}\n",
        store_server.address
    );
    let mut program = Program::start(&[], &config);
    let nobody = format!("connection refused by {address}");
    wait_until("it says that nobody is there", || program.read("stderr").contains(&nobody));
    assert!(program.is_running());
    let _app = Server::start_on(absent.listen(), |request| {
        assert_eq!(request.target, "/debug/vars", "Go's default path is the default");
        Reply::ok(r#"{"up":true}"#)
    });
    wait_until("documents arrive", || store.lock().expect("the store").documents.len() > 3);
    program.signal("INT");
    assert_eq!(program.wait(), Some(0));
}

/// The program, polling an app that answers these bodies one after the other, the last again and again; with more keys of the
/// reader; until there are so many documents.
fn polled(bodies: &'static [&'static str], keys: &str, documents: usize) -> (Vec<Value>, String) {
    let polls = AtomicUsize::new(0);
    let app = Server::start(move |_| {
        let poll = polls.fetch_add(1, Ordering::SeqCst);
        Reply::ok(bodies[poll.min(bodies.len() - 1)])
    });
    let config = format!(
        "readers:\n  app: {{type_name: app, endpoint: \"{}\", interval: 20ms{keys}}}\n\
         recorders:\n  out: {{type: file, path: out.ndjson}}\nroutes:\n  r: {{readers: [app], recorders: [out]}}\n",
        app.address
    );
    let mut program = Program::start(&[], &config);
    wait_until("each body has been polled", || app.request_count() > bodies.len() + 1);
    wait_until("there are some documents", || program.documents("out.ndjson").len() >= documents);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    (program.documents("out.ndjson"), program.read("stderr"))
}

/// A `String` method that prints anything at all, in a body that Go's handler writes.
#[test]
fn brackets_and_quotes_in_a_variable_cost_no_other() {
    let bodies = &[
        "{\n\"b4\": 1,\n\"err\": unexpected } here,\n\"map\": map[{1 2}:3 \"x],\n\"disk\": 5\" disk,\n\"after\": 2,\n\"z\": {\"y\":3}\n}\n",
        "{\n\"b4\": 1,\n\"err\": {\"a\": 1,\n\"map\": map[],\n\"price\": 1,234,\n\"after\": 2,\n\"z\": {\"y\":1,2, \"k\": 3}\n}\n",
    ];
    let (documents, log) = polled(bodies, "", 4);
    let own = |document: &Value| ["b4", "after", "z.y", "z.k"].map(|name| document[name].as_u64());
    assert_eq!(own(&documents[0]), [Some(1), Some(2), Some(3), None]);
    assert_eq!(own(&documents[1]), [Some(1), Some(2), None, Some(3)]);
    for document in &documents {
        let lost = ["err", "map", "disk", "price"].map(|name| document.get(name).is_none());
        assert_eq!(lost, [true; 4], "{document}");
    }
    let lines: Vec<&str> = warnings(&log).collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].contains(r#": "err", "map", "disk" "#) && lines[0].contains("values=3"), "{log}");
    assert!(lines[1].contains(r#": "price", "z.y" "#), "those that are lost later: {log}");
}

#[test]
fn a_broken_body_in_one_line_is_refused_with_the_name_of_the_variable() {
    let (_, log) = polled(&[r#"{"b4":1,"uri":"/s.php?q="cat","len":5,"after":2}"#], "", 0);
    let lines: Vec<&str> = warnings(&log).filter(|line| line.contains("poll failed")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains(r#"the variable "uri" is not valid JSON"#) && !lines[0].contains("truncated"), "{log}");
    let (_, log) = polled(&[r#"{"up":1 2,"m":{"down":[1] 2}}"#], "", 0);
    assert!(log.contains(r#"nothing in the payload is valid JSON: "up", "m.down""#), "{log}");
    let (_, log) = polled(&[r#"{"b4":1,"uri":"/s.php"#], "", 0);
    assert!(log.contains("the JSON is truncated"), "{log}");
}

#[test]
fn a_few_names_at_a_time_are_told_of_what_is_left_out() {
    let (_, log) = polled(&[r#"{"a":1,"b":,"c":,"d":,"e":,"f":,"g":,"h":[1,]}"#], "", 4);
    let lines: Vec<&str> = warnings(&log).collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].contains(r#": "b", "c", "d", "e", "f" and 1 more "#), "{log}");
    assert!(lines[1].contains(r#": "g" "#), "{log}");
    let bodies = &[r#"{"a":1,"b":2,"c":{"d":3},"e":4}"#, r#"{"a":1,"b":2,"c":{"d":3},"e":4,"late":5}"#];
    let (documents, log) = polled(bodies, ", max_fields: 2", 4);
    assert!(documents.iter().all(|document| document.get("e").is_none()), "{documents:?}");
    let lines: Vec<&str> = warnings(&log).collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].contains("more than max_fields (2)") && lines[0].contains(r#"left out "c.d", "e";"#), "{log}");
    assert!(lines[1].contains(r#"left out "late";"#), "{log}");
}

#[test]
fn patterns_that_match_nothing_are_told_once() {
    let keys = ", include: [\"**\", hits, hitz], exclude: [cmdline], rates: [\"m.*\", m.hitz], rename: {a: b, aa: c}";
    let (_, log) = polled(&[r#"{"a":1,"hits":2,"m":{"hits":3}}"#, r#"{"a":1,"hits":2,"m":{"hits":3},"x":4}"#], keys, 4);
    let lines: Vec<&str> = warnings(&log).collect();
    assert_eq!(lines.len(), 3, "{log}");
    for (line, found) in lines.iter().zip([r#"in include: "hitz";"#, r#"in rates: "m.hitz";"#, r#"in rename: "aa";"#]) {
        assert!(line.contains("no variable in the first document matches") && line.contains(found), "{log}");
    }
    let (_, log) = polled(&[r#"{"a":1}"#], "", 4);
    assert_eq!(warnings(&log).count(), 0, "the defaults need not match: {log}");
}
