//! Recorded payloads of real programs, served as they were, through the program itself (`once --dry-run`, the way a person
//! checks it) and compared with a naive twin leaf by leaf.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/flatten_twin.rs"]
mod flatten_twin;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;
#[path = "support/recorded.rs"]
mod recorded;

use flatten_twin::expected_fields;
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

#[test]
fn every_strict_payload_comes_out_leaf_by_leaf_as_it_went_in() {
    let mut compared = 0;
    for (name, body) in payloads() {
        // Its names clash with each other and with ours; a document cannot hold them all as they are.
        if name.contains(".invalid.") || name.contains("odd-valid") {
            continue;
        }
        let payload: Value = serde_json::from_slice(&body).expect("strict JSON");
        let found = without_own_members(document(body));
        let expected = expected_fields(&payload);
        for (leaf, value) in &expected {
            assert_eq!(found.get(leaf), Some(value), "{name}: {leaf}");
        }
        assert_eq!(found.len(), expected.len(), "{name}: nothing is invented");
        compared += 1;
    }
    assert!(compared >= 20, "only {compared} payloads");
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
        assert!(found["memstats.PauseNs"].as_array().is_some_and(|pauses| pauses.len() == 256), "{name}");
        for broken in broken_names(&name) {
            assert!(!found.contains_key(*broken), "{name}: {broken}");
        }
        seen += 1;
    }
    assert!(seen >= 6, "only {seen} payloads");
}
