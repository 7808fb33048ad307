//! Ranges of ports, by which one line of the configuration makes many readers, and `jitter`, which spreads their polls. Runs the
//! program over real sockets.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Reserved, Server, wait_until};
use program::Program;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};

/// Three listeners and a socket that is bound but hears nothing, on four consecutive ports of which it has the third.
fn four_in_a_row() -> (Vec<TcpListener>, Reserved, u16) {
    let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
    let found = (0..1000).find_map(|_| {
        let one = listen(0)?;
        let first = one.local_addr().expect("an address").port();
        let last = first.checked_add(3)?;
        Some((vec![one, listen(first + 1)?, listen(last)?], Reserved::at(first + 2)?, first))
    });
    found.expect("four free ports in a row")
}

fn text<'d>(document: &'d Value, name: &str) -> &'d str {
    document[name].as_str().expect("a text")
}

#[test]
fn each_port_of_a_range_is_a_reader_of_its_own() {
    let (listeners, _deaf, first) = four_in_a_row();
    for listener in listeners {
        let port = listener.local_addr().expect("an address").port();
        Server::start_on(listener, move |_| Reply::ok(format!("{{\"port\": {port}}}")));
    }
    let config = |last| {
        format!(
            "readers:\n  app: {{type_name: app, endpoint: \"127.0.0.1:{first}-{last}\", routepath: /x, interval: 20ms, \
             labels: {{zone: eu}}}}\n  own: {{type: self, type_name: own, interval: 20ms}}\n\
             recorders: {{out: {{type: file, path: out.ndjson}}}}\nroutes: {{r: {{readers: [app, own], recorders: [out]}}}}\n"
        )
    };
    let program = Program::start(&[], &config(first + 3));
    let of = |port: u16| -> Vec<Value> {
        let documents = program.documents("out.ndjson").into_iter();
        documents.filter(|document| document["service.node.name"] == format!("127.0.0.1:{port}")).collect()
    };
    for port in [first, first + 1, first + 3] {
        wait_until("documents of a port that answers", || of(port).len() > 2);
        for document in of(port) {
            assert_eq!((&document["port"], text(&document, "zone")), (&port.into(), "eu"));
        }
    }
    let own = || program.documents("out.ndjson").into_iter().rfind(|document| document["service.name"] == "own");
    let count = |port: u16, name: &str| {
        own().map_or(0, |own| own[format!("readers.app:{port}.{name}")].as_u64().expect("a count"))
    };
    wait_until("failures of the one that does not", || count(first + 2, "failures") > 2);
    for port in [first, first + 1, first + 3] {
        assert_eq!(count(port, "failures"), 0, "nobody else fails");
    }
    assert!(of(first + 2).is_empty());

    // Those that are in the range of another configuration, too, go on.
    std::fs::write(program.path("conf.yml"), config(first + 1)).expect("written");
    program.signal("HUP");
    wait_until("it is loaded", || {
        program.read("stderr").contains("reloaded: readers 3 kept, 0 changed, 0 added, 2 removed")
    });
}

#[test]
fn a_pattern_that_matches_nothing_is_told_once_for_all_readers_that_share_it() {
    let apps = [0; 3].map(|_| Server::start(|_| Reply::ok("{\"x\": 1}")));
    let [first, second, third] = apps.each_ref().map(|app| &app.address);
    let config = format!(
        "settings: {{log_level: debug}}\n\
         defaults: {{readers: {{type_name: app, interval: 20ms, exclude: [missing.*]}}}}\n\
         readers:\n  quiet: {{endpoint: \"{first}\", log_level: error}}\n  one: {{endpoint: \"{first}\"}}\n  other: {{endpoint: \"{first}\", exclude: [absent]}}\n  \
         several: {{endpoint: [\"{first}\", \"{second}\", \"{third}\"]}}\n\
         recorders: {{out: {{type: file, path: out.ndjson}}}}\nroutes: {{r: {{readers: [quiet, one, several, other], recorders: out}}}}\n"
    );
    let program = Program::start(&[], &config);
    let told = || -> Vec<String> {
        let log = program.read("stderr");
        log.lines()
            .filter(|line| line.contains("no variable in the first document matches"))
            .map(str::to_owned)
            .collect()
    };
    wait_until("each reader has looked for it", || told().len() >= 5);
    let warnings: Vec<String> = told().into_iter().filter(|line| line.contains(" WARN ")).collect();
    let count = |pattern: &str| warnings.iter().filter(|line| line.contains(pattern)).count();
    assert_eq!((warnings.len(), count("\"missing.*\""), count("\"absent\"")), (2, 1, 1), "{warnings:?}");
}

/// Readers, of which half have jitter.
fn twenty(prefix: [&str; 2], keys: &str) -> String {
    let reader = |name: String, jitter| format!("  {name}: {{type: self, type_name: {name}, {keys}{jitter}}}\n");
    let pair = |n| reader(format!("{}{n}", prefix[0]), ", jitter: 900ms") + &reader(format!("{}{n}", prefix[1]), "");
    let readers: String = (0..10).map(pair).collect();
    let names: Vec<String> = (0..10).flat_map(|n| prefix.map(|prefix| format!("{prefix}{n}"))).collect();
    format!(
        "readers:\n{readers}recorders: {{out: {{type: file, path: out.ndjson}}}}\n\
         routes: {{r: {{readers: [{}], recorders: [out]}}}}\n",
        names.join(", ")
    )
}

/// The instants of the first documents of the readers whose names begin like this; none before there is one of each.
fn first_instants(documents: &[Value], prefix: &str) -> Option<BTreeSet<String>> {
    let first = |n| documents.iter().find(|document| document["service.name"] == format!("{prefix}{n}"));
    (0..10).map(|n| first(n).map(|document| text(document, "@timestamp").to_owned())).collect()
}

#[test]
fn readers_with_jitter_begin_at_different_instants() {
    let program = Program::start(&[], &twenty(["spread", "plain"], "interval: 1s"));
    let instants = |prefix| first_instants(&program.documents("out.ndjson"), prefix);
    wait_until("a document of each", || instants("spread").is_some() && instants("plain").is_some());
    let (spread, plain) = (instants("spread").expect("all"), instants("plain").expect("all"));
    assert_eq!(plain.len(), 1, "without jitter they fall together: {plain:?}");
    assert!(spread.len() > 1, "with jitter they do not: {spread:?}");
    assert!(spread.first() >= plain.first(), "nobody is polled before the tick");
}

#[test]
fn once_waits_for_no_jitter() {
    let mut program = Program::start(&["once"], &twenty(["spread", "plain"], "interval: 1s"));
    assert_eq!(program.wait(), Some(0));
    let documents = program.documents("out.ndjson");
    assert_eq!(documents.len(), 20);
    assert_eq!(first_instants(&documents, "spread"), first_instants(&documents, "plain"), "all in one instant");
}
