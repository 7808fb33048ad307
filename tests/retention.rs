//! `retention`: what servers are told, over real sockets. The servers here answer in the words of the documentation of
//! Elasticsearch and OpenSearch; of the real ones that the other tests start, only Elasticsearch 6 has ILM (`tests/every_server.rs`).

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Request, Server};
use program::Program;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A server that keeps what it is sent, and knows only the paths that begin with one of these words.
struct Kept {
    server: Server,
    stored: Arc<Mutex<BTreeMap<String, Value>>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Kept {
    fn start(root: &'static str, known: &'static [&'static str]) -> Self {
        let stored = Arc::new(Mutex::new(BTreeMap::<String, Value>::new()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (store, note) = (Arc::clone(&stored), Arc::clone(&seen));
        let server = Server::bare(move |request| {
            let path = request.target.split('?').next().unwrap_or_default();
            if path == "/" {
                return Reply::ok(root);
            }
            if path != "/_bulk" {
                note.lock().expect("the list").push(format!("{} {}", request.method, request.target));
            }
            if !known.iter().any(|word| path.starts_with(word)) {
                let text =
                    format!(r#"{{"error":"no handler found for uri [{path}] and method [{}]"}}"#, request.method);
                return Reply::Full(400, String::new(), text.into_bytes());
            }
            answer(request, path, &mut store.lock().expect("the store"))
        });
        Self { server, stored, seen }
    }

    fn stored(&self, path: &str) -> Value {
        self.stored.lock().expect("the store").get(path).cloned().unwrap_or_default()
    }

    fn put(&self, path: &str, value: Value) {
        self.stored.lock().expect("the store").insert(path.to_owned(), value);
    }

    /// The requests since the last call, but for `GET /` and bulks.
    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().expect("the list"))
    }

    /// The exit code and the output of a command with this recorder.
    fn run(&self, command: &[&str], recorder: &str) -> (Option<i32>, String) {
        let config = format!(
            "readers: {{a: {{type_name: a, endpoint: \"localhost:1\"}}}}\nrecorders: {{es: {{endpoint: \"{}\", {recorder}}}}}\n\
             routes: {{r: {{readers: a, recorders: es}}}}\n",
            self.server.address
        );
        let mut program = Program::start(command, &config);
        (program.wait(), program.read("stdout"))
    }

    fn setup(&self, recorder: &str) -> (Option<i32>, String) {
        self.run(&["setup"], recorder)
    }
}

fn answer(request: &Request, path: &str, store: &mut BTreeMap<String, Value>) -> Reply {
    let nothing = || {
        Reply::Full(404, String::new(), br#"{"error":{"type":"resource_not_found_exception"},"status":404}"#.to_vec())
    };
    if request.method == "PUT" {
        let sent: Value = serde_json::from_slice(&request.body).expect("JSON");
        if path.starts_with("/_data_stream/") {
            let stream = path.trim_end_matches("/_lifecycle");
            store.insert(stream.to_owned(), json!({"name": "s", "lifecycle": sent}));
        } else {
            store.insert(path.to_owned(), sent);
        }
        return Reply::ok(r#"{"acknowledged":true}"#);
    }
    let Some(stored) = store.get(path) else { return nothing() };
    let name = path.rsplit('/').next().unwrap_or_default();
    let answer = if path.starts_with("/_ilm/") {
        json!({name: {"version": 1, "modified_date": "2026-01-01T00:00:00.000Z", "policy": stored["policy"]}})
    } else if path.starts_with("/_plugins/") {
        json!({"_id": name, "_version": 1, "_seq_no": 7, "_primary_term": 2, "policy": stored["policy"]})
    } else if path.starts_with("/_data_stream/") {
        json!({"data_streams": [stored]})
    } else {
        json!({"index_templates": [{"name": name, "index_template": stored}]})
    };
    Reply::ok(answer.to_string())
}

const ELASTICSEARCH: &str = r#"{"version":{"number":"8.19.0"},"tagline":"You Know, for Search"}"#;
const OPENSEARCH: &str = r#"{"version":{"distribution":"opensearch","number":"2.19.0"}}"#;
const DATED: &str = "index_name: \"shop-%Y.%m.%d\"";
const TEMPLATE: &str = "/_index_template/expvastic-shop-y.m.d";

#[test]
fn elasticsearch_gets_a_policy_for_indices_with_dates() {
    let server = Kept::start(ELASTICSEARCH, &["/_ilm/", "/_index_template/"]);
    let (code, said) = server.setup(&format!("{DATED}, retention: 30d"));
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("created a policy that deletes indices, /_ilm/policy/expvastic-shop-y.m.d-30d after 31d"),
        "{said}"
    );
    let policy = server.stored("/_ilm/policy/expvastic-shop-y.m.d-30d");
    assert_eq!(policy, json!({"policy": {"phases": {"delete": {"min_age": "31d", "actions": {"delete": {}}}}}}));
    let name = &server.stored(TEMPLATE)["template"]["settings"]["index"]["lifecycle"]["name"];
    assert_eq!(name, "expvastic-shop-y.m.d-30d");
    // The same again changes nothing.
    server.seen();
    let (code, said) = server.setup(&format!("{DATED}, retention: 30d"));
    assert!(code == Some(0) && said.matches("is up to date").count() == 2, "{said}");
    assert!(server.seen().iter().all(|request| request.starts_with("GET ")));
    // Another time is another policy, and the old one stays for the indices that have it.
    let (code, said) = server.setup(&format!("{DATED}, retention: 36h"));
    assert!(code == Some(0) && said.contains("updated /_index_template/") && said.contains("after 60h"), "{said}");
    assert_eq!(
        server.stored(TEMPLATE)["template"]["settings"]["index"]["lifecycle"]["name"],
        "expvastic-shop-y.m.d-36h"
    );
    // What a person has made of it stays.
    let edited = json!({"policy": {"phases": {"delete": {"min_age": "90d", "actions": {"delete": {}}}}}});
    server.put("/_ilm/policy/expvastic-shop-y.m.d-36h", edited.clone());
    let (code, said) = server.setup(&format!("{DATED}, retention: 36h"));
    assert!(code == Some(1) && said.contains("was edited by hand, and is left unchanged"), "{said}");
    assert_eq!(server.stored("/_ilm/policy/expvastic-shop-y.m.d-36h"), edited);
}

#[test]
fn a_data_stream_has_its_own_life_cycle() {
    let server = Kept::start(ELASTICSEARCH, &["/_data_stream/", "/_index_template/"]);
    let recorder = "data_stream: metrics-shop, retention: 30d";
    let (code, said) = server.setup(recorder);
    assert!(code == Some(0) && said.contains("retention: the data stream keeps documents for 30d"), "{said}");
    let life_cycle = &server.stored("/_index_template/expvastic-metrics-shop")["template"]["lifecycle"];
    assert_eq!(*life_cycle, json!({"enabled": true, "data_retention": "30d"}));
    // One that exists already, without a life cycle, gets it.
    server.put("/_data_stream/metrics-shop", json!({"name": "metrics-shop"}));
    let (code, said) = server.setup(recorder);
    assert!(code == Some(0) && said.contains("which exists already, keeps documents for 30d from now on"), "{said}");
    assert_eq!(server.stored("/_data_stream/metrics-shop")["lifecycle"]["data_retention"], "30d");
    // What a person has set stays.
    server.put(
        "/_data_stream/metrics-shop",
        json!({"name": "metrics-shop", "lifecycle": {"enabled": true, "data_retention": "7d"}}),
    );
    let (code, said) = server.setup(recorder);
    assert!(code == Some(1) && said.contains("keeps documents for 7d, and is left unchanged"), "{said}");
}

#[test]
fn opensearch_gets_a_policy_that_names_the_indices() {
    let server = Kept::start(OPENSEARCH, &["/_plugins/_ism/", "/_index_template/"]);
    let path = "/_plugins/_ism/policies/expvastic-shop-y.m.d";
    let (code, said) = server.setup(&format!("{DATED}, retention: 30d"));
    assert!(
        code == Some(0) && said.contains(&format!("created a policy that deletes indices, {path} after 31d")),
        "{said}"
    );
    assert_eq!(server.stored(path)["policy"]["ism_template"][0]["index_patterns"][0], "shop-*.*.*");
    assert_eq!(server.stored(TEMPLATE)["template"]["settings"]["index"].get("lifecycle"), None);
    // Another time updates the policy that it has just read, and no other.
    server.seen();
    let (code, said) = server.setup(&format!("{DATED}, retention: 7d"));
    assert!(code == Some(0) && said.contains("updated the policy"), "{said}");
    assert!(server.seen().contains(&format!("PUT {path}?if_seq_no=7&if_primary_term=2")));
    let mut edited = server.stored(path);
    edited["policy"]["description"] = json!("ours");
    server.put(path, edited.clone());
    let (code, said) = server.setup(&format!("{DATED}, retention: 30d"));
    assert!(code == Some(1) && said.contains("is left unchanged"), "{said}");
    assert_eq!(server.stored(path), edited);
}

/// As the builds without x-pack, and without the plugin, answer.
#[test]
fn a_server_that_cannot_delete_says_so_and_gets_a_template_all_the_same() {
    for root in [ELASTICSEARCH, OPENSEARCH, r#"{"version":{"number":"7.6.0"}}"#, r#"{"version":{"number":"5.6.16"}}"#] {
        let server = Kept::start(root, &["/_index_template/", "/_template/"]);
        let (code, said) = server.setup(&format!("{DATED}, retention: 30d"));
        assert_eq!(code, Some(1), "{said}");
        let job = "curl -X DELETE \"http://127.0.0.1:";
        assert!(
            said.contains("created /_") && said.contains("cannot delete old documents by itself") && said.contains(job),
            "{said}"
        );
        assert!(said.contains("date -u -d '-744 hours' '+shop-%Y.%m.%d'"), "{said}");
        let stored = server.stored.lock().expect("the store").clone();
        assert!(stored.len() == 1 && !stored.values().any(|template| template.to_string().contains("lifecycle")));
        let (_, said) = server.run(&["test"], &format!("{DATED}, retention: 30d"));
        if root == ELASTICSEARCH {
            assert!(said.contains("cannot delete old documents by itself"), "{said}");
            assert!(said.contains("is up to date"), "the template is as it can be: {said}");
        }
    }
}

#[test]
fn a_policy_that_may_not_be_made_is_reported() {
    let server = Server::bare(|request| match request.target.as_str() {
        "/" => Reply::ok(ELASTICSEARCH),
        target if target.starts_with("/_ilm/") => {
            let refusal = br#"{"error":{"type":"security_exception","reason":"action [cluster:admin/ilm/get] is unauthorized"},"status":403}"#;
            Reply::Full(403, String::new(), refusal.to_vec())
        }
        _ if request.method == "PUT" => Reply::ok("{}"),
        _ => Reply::Full(404, String::new(), b"{}".to_vec()),
    });
    let kept = Kept { server, stored: Arc::default(), seen: Arc::default() };
    let (code, said) = kept.setup(&format!("{DATED}, retention: 30d"));
    assert!(
        code == Some(1) && said.contains("the server rejected /_ilm/policy/") && said.contains("status 403"),
        "{said}"
    );
}

/// A start puts it in place together with the template, and never later.
#[test]
fn a_start_does_what_it_does_for_the_template() {
    for (template, has_policy) in [("auto", true), ("off", false)] {
        let app = loopback::counting_app();
        let server = Kept::start(ELASTICSEARCH, &["/_ilm/", "/_index_template/", "/_bulk"]);
        let config = format!(
            "readers: {{a: {{type_name: a, endpoint: \"{}\"}}}}\n\
             recorders: {{es: {{endpoint: \"{}\", {DATED}, retention: 30d, template: {template}}}}}\n\
             routes: {{r: {{readers: a, recorders: es}}}}\nsettings: {{shutdown_timeout: 1s}}\n",
            app.address, server.server.address
        );
        Program::start(&["once"], &config).wait();
        let puts: Vec<String> = server.seen().into_iter().filter(|request| request.starts_with("PUT ")).collect();
        let expected = ["PUT /_ilm/policy/expvastic-shop-y.m.d-30d".to_owned(), format!("PUT {TEMPLATE}?create=true")];
        assert_eq!(puts, expected[..if has_policy { 2 } else { 0 }], "template: {template}");
    }
}

#[test]
fn each_kind_of_server_gets_its_requests_shown() {
    let server = Kept::start(ELASTICSEARCH, &[]);
    let (code, shown) = server.run(&["setup", "--print"], "data_stream: s, retention: 30d");
    assert_eq!(code, Some(0));
    for title in [
        "Elasticsearch from 8.11 on",
        "Elasticsearch from 8.3 to 8.10",
        "OpenSearch",
        "Elasticsearch 5, which deletes nothing",
    ] {
        assert!(shown.contains(&format!("# es: {title}\nPUT /")), "{title}: {shown}");
    }
    assert!(
        shown.contains("PUT /_ilm/policy/expvastic-s-30d\n{\n")
            && shown.contains("PUT /_plugins/_ism/policies/expvastic-s\n{\n")
    );
    assert_eq!(server.seen(), Vec::<String>::new());
}
