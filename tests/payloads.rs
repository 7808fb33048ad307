//! Recorded payloads of real programs. The program polls them with `once --dry-run`, as a person would check it, and the
//! documents are compared with those of a naive twin, leaf by leaf.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/flatten_twin.rs"]
mod flatten_twin;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;
#[path = "support/recorded.rs"]
mod recorded;

use flatten_twin::Options;
use loopback::{Reply, Server, bulk_documents};
use program::Program;
use recorded::payloads;
use serde_json::Value;

/// The document that the program makes of a body.
fn document(body: Vec<u8>) -> Value {
    let server = Server::start(move |_| Reply::Chunked(body.clone()));
    let config = format!(
        "readers: {{app: {{type_name: app, endpoint: \"{}\", max_body: 4MiB}}}}\n\
         recorders: {{es: {{endpoint: \"localhost:1\"}}}}\nroutes: {{r: {{readers: [app], recorders: [es]}}}}\n",
        server.address
    );
    let mut program = Program::start(&["once", "--dry-run"], &config);
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
    let mut documents = bulk_documents(program.read("stdout").as_bytes());
    assert_eq!(documents.len(), 1);
    documents.remove(0).2
}

fn without_own_members(mut document: Value) -> flatten_twin::Flat {
    let members = document.as_object_mut().expect("an object");
    for own in ["@timestamp", "service.name", "host.name"] {
        assert!(members.remove(own).is_some(), "{own} is there");
    }
    members.clone().into_iter().collect()
}

/// All of them go through the sanitiser in `sanitiser.rs`; here the rest of the way is what counts.
#[test]
fn some_payloads_come_out_leaf_by_leaf_as_they_went_in() {
    let some = ["goexpvar-1.26.8-base-300gc", "goexpvar-1.26.8-escapes", "goexpvar-1.26.8-odd-valid", "etcd", "jaeger"];
    let mut compared = 0;
    for (name, body) in payloads().into_iter().filter(|(name, _)| some.iter().any(|some| name.starts_with(some))) {
        let payload = std::str::from_utf8(&body).expect("strict JSON").to_owned();
        let expected = flatten_twin::document(&Options::default(), &payload).expect("something to ship");
        let found = without_own_members(document(body));
        let expected = flatten_twin::flat(expected);
        for (leaf, value) in &expected {
            assert_eq!(found.get(leaf), Some(value), "{name}: {leaf}");
        }
        assert_eq!(found.len(), expected.len(), "{name}: nothing is invented");
        compared += 1;
    }
    assert_eq!(compared, 6);
}

#[test]
fn of_an_invalid_payload_only_the_broken_variables_are_missing() {
    let broken_names = |name: &str| -> &[&str] {
        match name {
            "goexpvar-1.26.8-func-nan.invalid.json" => &["cache"],
            "goexpvar-1.26.8-func-chan.invalid.json" => &["queue", "m.bad"],
            _ => &[],
        }
    };
    let mut seen = 0;
    for (name, body) in payloads().into_iter().filter(|(name, _)| name.contains(".invalid.")) {
        let found = without_own_members(document(body));
        assert!(found.contains_key("memstats.Alloc"), "{name}: the tick is not lost");
        assert_eq!(found["memstats.PauseNs"], Value::Array(Vec::new()), "{name}: what came before us is not new");
        for broken in broken_names(&name) {
            assert!(!found.contains_key(*broken), "{name}: {broken}");
        }
        seen += 1;
    }
    assert!(seen >= 6, "only {seen} payloads");
}
