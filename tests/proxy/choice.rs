//! Which requests go through a proxy, and what is said about those that fail.

#![allow(clippy::format_push_string, reason = "a configuration is put together for reading, not for speed")]

use super::loopback::{Reply, Request, Reserved, Server, Store, counting_app, wait_until};
use super::program::Program;
use std::sync::{Arc, Mutex};

/// Reader, the host that it asks, and what the log says of it; nothing if all is well.
const READERS: [(&str, &str, &str); 9] = [
    ("well", "well.test", ""),
    ("by-number", "203.0.113.77", ""),
    ("to-a-neighbour", "moved.test", ""),
    ("from-a-neighbour", "NEIGHBOUR", ""),
    ("hung", "hung.test", "no complete response within 300ms"),
    ("half", "half.test", "the response was cut off"),
    ("endless", "endless.test", "the body is longer than max_body (1048576 bytes)"),
    ("missing", "missing.test", "status 404, expected 200"),
    ("circle", "circle.test", "more than 5 redirects"),
];

fn redirect(to: &str) -> Reply {
    Reply::Full(302, format!("Location: {to}\r\n"), Vec::new())
}

/// What the hosts behind the proxy answer; what was asked of it is kept.
fn proxy(neighbour: &str, asked: &Arc<Mutex<Vec<String>>>, store: &Arc<Mutex<Store>>) -> Server {
    let (asked, store) = (Arc::clone(asked), Arc::clone(store));
    let moved_to = format!("http://{neighbour}/debug/vars");
    Server::start(move |request: &Request| {
        asked.lock().expect("the list").push(request.target.clone());
        let host = request.target.strip_prefix("http://").and_then(|rest| rest.split(['/', ':']).next());
        match host.expect("a proxy is asked for a whole URL") {
            "well.test" | "203.0.113.77" => {
                Reply::Chunked(format!("{{\"x\":1,\"ballast\":\"{}\"}}", "x".repeat(2000)).into_bytes())
            }
            "moved.test" => redirect(&moved_to),
            "circle.test" => redirect("/debug/vars"),
            "hung.test" => Reply::Hang(Vec::new()),
            "half.test" => Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"x\":".to_vec()),
            "endless.test" => Reply::Endless(vec![b' '; 65536]),
            // Asked what it is, it does not say.
            "es.test" if request.method == "POST" => {
                let plain = request.unpacked();
                // A host somewhere else gets them compressed, unless they are short.
                assert_eq!(request.is_packed(), plain.len() >= 1024, "{} bytes", plain.len());
                store.lock().expect("the store").take(&plain, |_| None)
            }
            _ => Reply::Full(404, String::new(), Vec::new()),
        }
    })
}

fn config(neighbour: &str) -> String {
    let mut text = "readers:\n".to_owned();
    for (reader, host, _) in READERS {
        let host = if host == "NEIGHBOUR" { neighbour } else { host };
        let timeout = if reader == "hung" { "300ms" } else { "30s" };
        text += &format!(
            "  {reader}: {{type_name: {reader}, endpoint: \"{host}\", interval: 100ms, timeout: {timeout}}}\n"
        );
    }
    let names = READERS.map(|(reader, ..)| reader).join(", ");
    text + &format!(
        "recorders:\n  es: {{endpoint: es.test:9200, bulk: {{age: 50ms}}}}\nroutes:\n  all: {{readers: [{names}], recorders: [es]}}\n"
    )
}

#[test]
fn names_go_through_the_proxy_and_neighbours_do_not() {
    let app = counting_app();
    let moving = Server::start(|_| redirect("http://well.test/debug/vars?from=neighbour"));
    let (asked, store) = <(Arc<Mutex<Vec<String>>>, Arc<Mutex<Store>>)>::default();
    let proxy = proxy(&app.address, &asked, &store);
    let address = format!("http://{}", proxy.address);
    let mut program = Program::start_with(&[("http_proxy", &address), ("no_proxy", "")], &[], &config(&moving.address));

    let good = || READERS.iter().filter(|(.., cause)| cause.is_empty());
    wait_until("each good reader's documents are stored", || {
        let store = store.lock().expect("the store");
        let of = |service| store.documents.values().filter(|document| document["service.name"] == service).count();
        good().all(|(reader, ..)| of(*reader) >= 3)
    });
    wait_until("each failure is logged", || {
        let log = program.read("stderr");
        READERS.iter().filter(|(.., cause)| !cause.is_empty()).all(|(reader, _, cause)| {
            log.lines().any(|line| line.contains(&format!("reader={reader} ")) && line.contains(cause))
        })
    });
    assert!(program.status("Threads") <= 2, "the client's own and no other");
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));

    let log = program.read("stderr");
    for (reader, ..) in good() {
        // But for a machine that is busy.
        let mut lines = log.lines().filter(|line| !line.contains("slower than its interval"));
        assert!(!lines.any(|line| line.contains(&format!("reader={reader} "))), "{log}");
    }
    let services: Vec<String> =
        store.lock().expect("the store").documents.values().map(|d| d["service.name"].to_string()).collect();
    assert!(
        services.iter().all(|service| good().any(|(reader, ..)| service == &format!("\"{reader}\""))),
        "{services:?}"
    );
    let asked = asked.lock().expect("the list");
    assert!(asked.iter().any(|url| url == "http://well.test/debug/vars?from=neighbour"), "a neighbour's redirect");
    assert!(asked.iter().all(|url| !url.contains("127.0.0.1")), "neighbours are not asked for: {asked:?}");
    assert!(app.request_count() >= 3, "a redirect to a neighbour");
}

#[test]
fn a_proxy_that_is_not_there_is_named_where_one_is_used() {
    let absent = Reserved::new();
    let proxy = format!("http://{}", absent.address);
    for (variable, exempt, is_blamed) in
        [("http_proxy", "", true), ("HTTP_PROXY", "other.test", true), ("http_proxy", "localhost, .localhost", false)]
    {
        // Nobody listens there, either; and who is on this machine is reached without a proxy in any case.
        let host = if is_blamed { "well.test".to_owned() } else { absent.address.replace("127.0.0.1", "127.1") };
        let exempt = if is_blamed { exempt.to_owned() } else { format!("{exempt}, 127.1") };
        let config = format!(
            "readers: {{app: {{type_name: app, endpoint: \"{host}\", interval: 100ms}}}}\n\
             recorders: {{out: {{type: file, path: out.ndjson}}}}\nroutes: {{r: {{readers: app, recorders: out}}}}\n"
        );
        let environment = [(variable, proxy.as_str()), ("no_proxy", exempt.as_str())];
        let mut program = Program::start_with(&environment, &[], &config);
        let said = if is_blamed {
            format!("cannot connect to {host}: is a server listening there?")
        } else {
            format!("connection refused by {host}")
        };
        wait_until("the failure is told", || program.read("stderr").contains(&said));
        let blamed = format!("{said} (through the proxy in the variable {variable}: is it the");
        let log = program.read("stderr");
        assert_eq!((log.contains(&blamed), log.contains("through the proxy")), (is_blamed, is_blamed), "{log}");
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
    }
}
