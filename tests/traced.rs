//! A program that uses the library and subscribes to all tracing events, those of dependencies included, sees no secret.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;

use expvastic::{Engine, Reader, Recorder};
use loopback::{Reply, Request, Server, Store};
use std::fmt::{self, Write};
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

#[test]
fn nobody_who_listens_hears_a_secret() {
    let heard = Heard::default();
    tracing::subscriber::set_global_default(heard.clone()).expect("the only one");
    let (store, heads) = <(Arc<Mutex<Store>>, Arc<Mutex<Vec<String>>>)>::default();
    let (stored, kept) = (Arc::clone(&store), Arc::clone(&heads));
    let server = Server::bare(move |request: &Request| {
        kept.lock().expect("the list").push(request.head.clone());
        match request.target.as_str() {
            "/" => Reply::ok(r#"{"version":{"number":"9.0.4"}}"#),
            target if target.starts_with("/_bulk") => stored.lock().expect("the store").take(&request.body, |_| None),
            _ => Reply::ok(r#"{"x": 1}"#),
        }
    });
    let port = server.address.rsplit_once(':').expect("a port").1;
    // Once by each way out: what is no whole number has to be resolved.
    for host in ["127.0.0.1", "127.1"] {
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
    let heads = heads.lock().expect("the list");
    assert!(heads.len() >= 10, "{heads:?}");
    assert!(heads.iter().all(|head| head.contains("authorization: basic bwu6cgxhbnrlzc1wyxnzd29yza==")), "{heads:?}");
    let heard = heard.0.lock().expect("the text").to_ascii_lowercase();
    assert!(heard.contains("isahc::agent"), "it hears the client, too: {heard}");
    for secret in ["planted-password", "bwu6cgxhbnrlzc1wyxnzd29yza"] {
        assert!(!heard.contains(secret), "{heard}");
    }
}
