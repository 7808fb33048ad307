//! A program that uses the library and subscribes to all tracing events, those of dependencies included, sees no secret.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;

use expvastic::{Engine, Reader, Recorder};
use loopback::{Reply, Request, Server, Store};
use std::fmt::{self, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps every event and every span, at any level.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<String>>);

struct Fields<'t>(&'t mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Heard {
    fn keep(&self, target: &str, record: impl FnOnce(&mut Fields<'_>)) {
        let mut text = self.0.lock().expect("the text");
        let _ = write!(text, "\n{target}:");
        record(&mut Fields(&mut text));
    }
}

impl Subscriber for Heard {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.keep(span.metadata().target(), |fields| span.record(fields));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.keep("span", |fields| values.record(fields));
    }

    fn event(&self, event: &Event<'_>) {
        self.keep(event.metadata().target(), |fields| event.record(fields));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The address of the server, in the process that listens.
const SERVER: &str = "EXPVASTIC_TEST_SERVER";

/// libcurl is used only where the environment of the process names a proxy, so a process of its own listens.
#[test]
fn nobody_who_listens_hears_a_secret() {
    if let Ok(address) = std::env::var(SERVER) {
        return listen(&address);
    }
    let (store, heads) = <(Arc<Mutex<Store>>, Arc<Mutex<Vec<String>>>)>::default();
    let (stored, kept) = (Arc::clone(&store), Arc::clone(&heads));
    let server = Server::bare(move |request: &Request| {
        kept.lock().expect("the list").push(request.head.clone());
        let target = request.target.trim_start_matches("http://es.test");
        match target.trim_start_matches(|c: char| c == ':' || c.is_ascii_digit()) {
            "/" => Reply::ok(r#"{"version":{"number":"9.0.4"}}"#),
            target if target.starts_with("/_bulk") => stored.lock().expect("the store").take(&request.body, |_| None),
            _ => Reply::ok(r#"{"x": 1}"#),
        }
    });
    let status = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "nobody_who_listens_hears_a_secret", "--nocapture"])
        .env(SERVER, &server.address)
        .env("http_proxy", &server.address)
        .env("no_proxy", "")
        .status();
    assert!(status.expect("it starts").success());
    let heads = heads.lock().expect("the list");
    assert!(heads.len() >= 5, "{heads:?}");
    assert!(heads.iter().all(|head| head.contains("authorization: basic bwu6cgxhbnrlzc1wyxnzd29yza==")), "{heads:?}");
}

fn listen(address: &str) {
    let heard = Heard::default();
    tracing::subscriber::set_global_default(heard.clone()).expect("the only one");
    let port = address.rsplit_once(':').expect("a port").1;
    // By both ways out: directly and through the proxy, which is the server itself.
    let hosts = if cfg!(feature = "proxy") { &["127.0.0.1", "es.test"][..] } else { &["127.0.0.1"] };
    for host in hosts {
        let endpoint = format!("me:planted-password@{host}:{port}");
        let reader = Reader::expvar("app", "app", &format!("{endpoint}/debug/vars")).expect("good");
        let recorder = Recorder::elasticsearch("es", &endpoint, "metrics").expect("good");
        for shown in [format!("{reader:?}"), format!("{recorder:?}")] {
            assert!(shown.contains("***") && !shown.contains("planted-password"), "{shown}");
        }
        let engine = Engine::with_reader_recorders(reader.interval(Duration::from_millis(10)), vec![recorder]);
        let report = engine.expect("good").polls(2).start(std::future::pending()).expect("it runs");
        assert!(report.all_taken(), "{report:?}");
    }
    let heard = heard.0.lock().expect("the text").to_ascii_lowercase();
    assert_eq!(heard.contains("isahc::agent"), cfg!(feature = "proxy"), "it hears the client, too: {heard}");
    for secret in ["planted-password", "bwu6cgxhbnrlzc1wyxnzd29yza"] {
        assert!(!heard.contains(secret), "{heard}");
    }
}
