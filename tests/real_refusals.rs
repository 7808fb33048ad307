//! Refusals of real servers that a person can fix cost no document. Each case is provoked and must be logged together with its
//! remedy. Then it is fixed, and every document must be stored exactly once.
//!
//! Requires what `tests/real_servers.rs` wants, and curl; run it with `cargo test --test real_refusals`.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "a test has a clock, and threads")]
#![allow(clippy::format_push_string, reason = "a configuration is put together for reading, not for speed")]
#![allow(clippy::print_stderr, reason = "a test that takes long says what it has seen")]

#[path = "support/flatten_twin.rs"]
mod flatten_twin;
#[path = "support/http.rs"]
mod http;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/program.rs"]
mod program;
#[path = "support/server.rs"]
mod server;

use loopback::{counting_app, wait_until};
use processes::Workdir;
use program::Program;
use serde_json::{Value, json};
use server::Server;
use std::process::Command;

macro_rules! tests_of_engines {
    ($($test:ident $check:ident $engine:literal)+) => {$(
        #[test]
        fn $test() {
            $check($engine);
        }
    )+};
}

tests_of_engines! {
    elasticsearch_5 check_without_passwords "elasticsearch-5"
    elasticsearch_6 check_without_passwords "elasticsearch-6"
    elasticsearch_7 check_without_passwords "elasticsearch-7"
    elasticsearch_8 check_without_passwords "elasticsearch-8"
    elasticsearch_9 check_without_passwords "elasticsearch-9"
    opensearch_2 check_without_passwords "opensearch-2"
    opensearch_3 check_without_passwords "opensearch-3"
    elasticsearch_7_with_passwords check_with_passwords "elasticsearch-7"
    elasticsearch_8_with_passwords check_with_passwords "elasticsearch-8"
    opensearch_2_with_passwords check_with_passwords "opensearch-2"
    opensearch_3_with_passwords check_with_passwords "opensearch-3"
}

/// Asks the server something; anything but a success is a panic that shows the answer.
fn ask(server: &Server, method: &str, path: &str, body: &Value) -> Value {
    let url = format!("http://{}{path}", server.address);
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-u", "shipper:changeme", "-X", method, &url]);
    if !body.is_null() {
        curl.args(["-H", "Content-Type: application/json", "-d", &body.to_string()]);
    }
    let answer = curl.output().expect("curl starts").stdout;
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    // The plugin of OpenSearch says it in another way.
    let is_refused = answer.get("error").is_some()
        || answer["status"].as_str().is_some_and(|status| status != "CREATED" && status != "OK");
    assert!(!is_refused || answer["cluster_name"].is_string(), "{method} {path}: {answer}");
    answer
}

fn settings(server: &Server, name: &str, value: &Value) {
    ask(server, "PUT", "/_cluster/settings", &json!({"persistent": {name: value}}));
}

/// A recorder that ships to an index of its name.
struct Case {
    name: &'static str,
    more: &'static str,
    /// What the log says, how documents wait, and what is to be done.
    said: [&'static str; 3],
}

const fn case(name: &'static str, more: &'static str, said: [&'static str; 3]) -> Case {
    Case { name, more, said }
}

const UNTIL_FIXED: &str = "rejects documents until this is fixed";

const NO_INDEX: Case =
    case("nocreate", "", ["item status 404: index_not_found_exception", UNTIL_FIXED, "create the index, or allow"]);
const CLOSED: Case = case("closed", "", ["index_closed_exception", UNTIL_FIXED, "_open"]);
const NO_PIPELINE: Case = case(
    "piped",
    ", pipeline: missing",
    ["pipeline with id [missing] does not exist", UNTIL_FIXED, "create the ingest pipeline"],
);
const ALIAS: Case = case("aliased", "", ["no write index is defined for alias", UNTIL_FIXED, "is_write_index"]);
/// These two refuse the whole request.
const ALIAS_OF_6: Case =
    case("aliased", "", ["no write index is defined", "shipping failed: status 400", "is_write_index"]);
const ALIAS_OF_5: Case =
    case("aliased", "", ["has more than one ind", "shipping failed: status 400", "a single index"]);
const LIMIT: Case = case("limited", "", ["this action would add", UNTIL_FIXED, "cluster.max_shards_per_node"]);
const SAID_OF_FORBIDDEN: [&str; 3] =
    ["item status 403: security_exception", UNTIL_FIXED, "create_doc and auto_configure"];
const FORBIDDEN: Case =
    case("forbidden", ", auth: {user: weak, password: Ebb-and-flow-of-42-tides}", SAID_OF_FORBIDDEN);
const FORBIDDEN_BY_FILE: Case = case("forbidden", ", auth: {user: weak, password: changeme}", SAID_OF_FORBIDDEN);

fn config(app: &str, address: &str, cases: &[Case]) -> String {
    let names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    let mut text = format!(
        "settings: {{shutdown_timeout: 60s}}\nreaders: {{app: {{type_name: app, endpoint: \"{app}\", interval: 100ms}}}}\n\
         routes: {{r: {{readers: app, recorders: [well, {}]}}}}\nrecorders:\n",
        names.join(", ")
    );
    let well = case("well", ", auth: {user: shipper, password: changeme}", [""; 3]);
    for Case { name, more, .. } in [&well].into_iter().chain(cases) {
        text += &format!(
            "  {name}: {{endpoint: \"http://{address}\", index_name: {name}, timeout: 20s, template: off, \
             dead_letter: dead-{name}.ndjson{more}}}\n"
        );
    }
    text
}

/// Ships, waits until each refusal is told, fixes it, and counts what is there at the end.
fn check(server: &Server, engine: &str, cases: &[Case], fix: impl FnOnce()) {
    let app = counting_app();
    let mut program = Program::start(&[], &config(&app.address, &server.address, cases));
    for Case { name, said, .. } in cases {
        let recorder = format!("recorder={name} ");
        let is_told = |line: &str| line.contains(&recorder) && said.iter().all(|said| line.contains(said));
        wait_until(&format!("{engine}: a line about {name}"), || program.read("stderr").lines().any(is_told));
    }
    fix();
    // Tried at once, where the slow pace would take its time.
    program.signal("USR1");
    for Case { name, .. } in cases {
        let count = || ask_count(server, name);
        wait_until(&format!("{engine}: documents in {name}"), || count() > 0);
    }
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0), "{engine}: {}", program.read("stderr"));
    let log = program.read("stderr");
    for name in cases.iter().map(|case| case.name).chain(["well"]) {
        let ledger =
            log.lines().rfind(|line| line.contains("ledger: made") && line.contains(&format!("recorder={name}")));
        let ledger = ledger.expect("a ledger");
        eprintln!("{engine}: {ledger}");
        let numbers: Vec<u64> = ledger.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert!(ledger.contains("duplicate 0 + dead_lettered 0 + dropped 0 + waiting 0"), "{ledger}");
        assert_eq!(numbers.first(), Some(&ask_count(server, name)), "{engine}: {ledger}");
        assert!(!program.path(&format!("dead-{name}.ndjson")).exists(), "{engine}: {name} has a dead letter");
    }
}

fn ask_count(server: &Server, index: &str) -> u64 {
    ask(server, "POST", &format!("/{index}/_refresh"), &Value::Null);
    ask(server, "GET", &format!("/{index}/_count"), &Value::Null)["count"].as_u64().expect("a number")
}

fn check_without_passwords(engine: &str) {
    let _alone = server::alone();
    let folder = Workdir::new(engine);
    let server = Server::start(&folder, engine);
    let is_before_limits = matches!(engine, "elasticsearch-5" | "elasticsearch-6");
    let one_shard = json!({"settings": {"number_of_shards": 1, "number_of_replicas": 0}});
    check_late_template(&server, engine);
    for index in ["well", "closed", "piped", "one", "two"] {
        ask(&server, "PUT", &format!("/{index}"), &one_shard);
        ask(&server, "GET", &format!("/_cluster/health/{index}?wait_for_status=yellow&timeout=60s"), &Value::Null);
    }
    let alias = match engine {
        "elasticsearch-5" => ALIAS_OF_5,
        "elasticsearch-6" => ALIAS_OF_6,
        _ => ALIAS,
    };
    let mut cases = vec![NO_INDEX, CLOSED, NO_PIPELINE, alias];
    ask(&server, "POST", "/closed/_close", &Value::Null);
    let add = |index: &str| json!({"add": {"index": index, "alias": "aliased"}});
    ask(&server, "POST", "/_aliases", &json!({"actions": [add("one"), add("two")]}));
    settings(&server, "action.auto_create_index", &json!("-nocreate,+*"));
    if !is_before_limits {
        cases.push(LIMIT);
        settings(&server, "cluster.max_shards_per_node", &json!(1));
    }
    check(&server, engine, &cases, || {
        if !is_before_limits {
            settings(&server, "cluster.max_shards_per_node", &json!(100));
        }
        settings(&server, "action.auto_create_index", &json!("true"));
        ask(&server, "POST", "/closed/_open", &Value::Null);
        ask(&server, "POST", "/_aliases", &json!({"actions": [{"remove": {"index": "two", "alias": "aliased"}}]}));
        ask(&server, "PUT", "/_ingest/pipeline/missing", &json!({"processors": []}));
    });
}

/// What the program says of a template that comes too late for an index with types that the server has guessed.
fn check_late_template(server: &Server, engine: &str) {
    let kind = if matches!(engine, "elasticsearch-5" | "elasticsearch-6") { "app" } else { "_doc" };
    ask(server, "POST", &format!("/late/{kind}"), &json!({"load": 1, "name": "a", "memstats": {"Alloc": 5}}));
    let app = counting_app();
    let config = format!(
        "readers: {{app: {{type_name: app, endpoint: \"{}\"}}}}\n\
         recorders: {{es: {{endpoint: \"{}\", index_name: late, timeout: 20s, auth: {{user: shipper, password: changeme}}}}}}\n\
         routes: {{r: {{readers: app, recorders: es}}}}\n",
        app.address, server.address
    );
    let mut program = Program::start(&["setup"], &config);
    assert_eq!(program.wait(), Some(0), "{engine}: {}", program.read("stderr"));
    let said = program.read("stdout");
    let expected = "late exists already with other types for load (long), name (text), which";
    assert!(said.contains("created /") && said.contains(expected), "{engine}: {said}");
}

/// A user who may read what the server is, and write nowhere.
fn check_with_passwords(engine: &str) {
    let _alone = server::alone();
    let folder = Workdir::new(&format!("{engine}-passwords"));
    let mut arguments = vec!["--auth", "shipper:changeme"];
    if engine.starts_with("opensearch") {
        arguments.extend(["--set", "plugins.security.restapi.roles_enabled=[all_access]"]);
    }
    let server = Server::start_with(&folder, engine, &arguments);
    for index in ["well", "forbidden"] {
        ask(&server, "PUT", &format!("/{index}"), &json!({"settings": {"number_of_replicas": 0}}));
    }
    if engine.starts_with("opensearch") {
        let api = "/_plugins/_security/api";
        let role = |actions: Value| {
            let index = json!({"index_patterns": ["forbidden"], "allowed_actions": actions});
            let cluster = ["cluster_monitor", "indices:data/write/bulk"];
            let role = json!({"cluster_permissions": cluster, "index_permissions": [index]});
            ask(&server, "PUT", &format!("{api}/roles/weak"), &role);
        };
        role(json!(["read"]));
        ask(&server, "PUT", &format!("{api}/internalusers/weak"), &json!({"password": "Ebb-and-flow-of-42-tides"}));
        ask(&server, "PUT", &format!("{api}/rolesmapping/weak"), &json!({"users": ["weak"]}));
        check(&server, engine, &[FORBIDDEN], || role(json!(["write", "create_index"])));
    } else {
        // The published archives cannot keep users in an index; those in files are read again every few seconds.
        let path = |name: &str| folder.join("server/config").join(name);
        let role = |privileges: &str| {
            // Who may write nowhere at all is refused by the request; who may write elsewhere, by the document.
            let role = format!(
                "weak:\n  cluster: [monitor]\n  indices:\n    - {{names: [elsewhere], privileges: [create_doc]}}\n    \
                 - {{names: [forbidden], privileges: [{privileges}]}}\n"
            );
            std::fs::write(path("roles.yml"), role).expect("written");
        };
        role("read");
        for name in ["users", "users_roles"] {
            let text = std::fs::read_to_string(path(name)).expect("readable");
            let weak = if name == "users" { text.replace("shipper", "weak") } else { "weak:weak\n".to_owned() };
            std::fs::write(path(name), text + &weak).expect("written");
        }
        check(&server, engine, &[FORBIDDEN_BY_FILE], || role("create_doc, auto_configure, read"));
    }
}
