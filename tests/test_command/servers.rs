//! What is said of servers: what is wrong with them, and what is there already.

use super::loopback::{Reply, Reserved, Server, Store};
use super::program::Program;
use super::{ES_9, PRIVILEGES, has, table, test, with_recorder};
use serde_json::Value;
use std::sync::{Arc, Mutex};

const OPENSEARCH: (&str, u16, &str) = ("/", 200, r#"{"version":{"number":"3.6.0","distribution":"opensearch"}}"#);
const MAPPING: &str = "/shop/_mapping?filter_path=**.type";

/// What is said of the recorder at this server, with these further keys: the exit code, and the lines without the first.
fn recorder_lines(server: &Server, keys: &str) -> (Option<i32>, Vec<String>) {
    let keys = if keys.is_empty() { String::new() } else { format!(", {keys}") };
    let recorder = format!("{{endpoint: \"{}\", index_name: shop{keys}}}", server.address);
    let recorder = if keys.contains("data_stream") { recorder.replace("index_name: shop, ", "") } else { recorder };
    let (code, text) = test(&with_recorder(&recorder));
    let lines = text.lines().skip(1).map(|line| line.replace(&server.address, "ADDRESS")).collect();
    (code, lines)
}

#[test]
fn every_failure_of_a_server_is_told_with_what_to_do() {
    let check = |server: &Server, keys: &str, expected: &str| {
        let (code, lines) = recorder_lines(server, keys);
        assert_eq!(code, Some(1), "{lines:?}");
        assert!(lines.iter().any(|line| has(line, &format!("✗ recorder es: {expected}"))), "{expected}\n{lines:?}");
    };
    let status = |status: u16, fields: &'static str, body: &'static str| {
        Server::bare(move |_| Reply::Full(status, fields.to_owned(), body.as_bytes().to_vec()))
    };
    let denied = "ADDRESS: /: status 401: no; ";
    check(&status(401, "", "no"), "", &format!("{denied}the server requires credentials: set `auth` (conf.yml:4)"));
    let wrong = "check `auth`: the user \"shipper\" and the password (conf.yml:5)";
    check(&status(401, "", "no"), "auth: {user: shipper, password: hunter2}", &format!("{denied}{wrong}"));
    let path = "check the path of endpoint (conf.yml:5)";
    check(&status(404, "", "nothing"), "", &format!("ADDRESS: /_bulk: status 404: nothing; {path}"));
    check(
        &status(503, "", "busy"),
        "",
        "ADDRESS: /: status 503: busy; it is not ready, or overloaded: look at its log (conf.yml:5)",
    );
    let hung = Server::bare(|_| Reply::Hang(Vec::new()));
    check(
        &hung,
        "timeout: 50ms",
        "ADDRESS: no complete response within 50ms; is the server running, and not overloaded? Check endpoint, or raise \
         timeout (conf.yml:5)",
    );
    let (mut gone, absent) = (table(&[]), Reserved::new());
    gone.address.clone_from(&absent.address);
    check(&gone, "", "connection refused by ADDRESS; is the server running? Check endpoint (conf.yml:5)");

    let other_types = r#"{"shop":{"mappings":{"properties":{"load":{"type":"long"}}}}}"#;
    check(
        &table(&[ES_9, (MAPPING, 200, other_types)]),
        "",
        "shop exists already with other types for load (long), which truncate fractions or reject documents: write to \
         another index_name, roll over the data stream or alias, or reindex (conf.yml:5)",
    );
    check(
        &table(&[ES_9, (MAPPING, 200, "{}")]),
        "data_stream: shop",
        "shop is an index or an alias, not a data stream; choose another data_stream, or use index_name (conf.yml:5)",
    );
    check(
        &table(&[ES_9]),
        "pipeline: mine",
        "ingest pipeline mine does not exist; create it, or correct pipeline (conf.yml:5)",
    );
    let lacking = |cluster: &str, index: &str| {
        format!(
            r#"{{"username":"u","cluster":{{"manage_index_templates":{cluster}}},"index":{{"shop":{{"create_doc":{index},"auto_configure":false}}}}}}"#
        )
    };
    let answer = lacking("true", "false");
    check(
        &table(&[ES_9, (PRIVILEGES, 200, &answer)]),
        "",
        "user \"u\" lacks create_doc and auto_configure on shop; grant it to this user or API key (conf.yml:4)",
    );
    let answer = lacking("false", "true").replace("\"auto_configure\":false", "\"auto_configure\":true");
    check(
        &table(&[ES_9, (PRIVILEGES, 200, &answer)]),
        "",
        "user \"u\" lacks manage_index_templates on the cluster; grant it, or create the template once with expvastic setup \
         and another account (conf.yml:4)",
    );
}

/// The template for the newest servers.
fn printed_template(config: &str) -> Value {
    let mut program = Program::start(&["setup", "--print"], config);
    assert_eq!(program.wait(), Some(0));
    let printed = program.read("stdout");
    let text = printed.split_once("PUT /_index_template/expvastic-shop\n").expect("the first is for new servers").1;
    serde_json::from_str(text.split("\n\n").next().expect("its text")).expect("JSON")
}

/// Fails unless all is well and this is said.
fn check_good(server: &Server, keys: &str, expected: &str) {
    let (code, lines) = recorder_lines(server, keys);
    assert_eq!(code, Some(0), "{lines:?}");
    assert!(lines.iter().any(|line| has(line, &format!("✓ recorder es: {expected}"))), "{expected}\n{lines:?}");
}

const TEMPLATE: &str = "/_index_template/expvastic-shop";

/// The answer of a server that has this template.
fn with_template(text: &str) -> String {
    format!(r#"{{"index_templates":[{{"name":"expvastic-shop","index_template":{text}}}]}}"#)
}

#[test]
fn a_template_that_is_there_is_compared() {
    check_good(
        &table(&[ES_9, (TEMPLATE, 200, &with_template("{}"))]),
        "",
        "/_index_template/expvastic-shop was not created by expvastic and is left unchanged; use another index_name, or merge \
         the two by hand",
    );
    let ours = printed_template(&with_recorder("{endpoint: \"h:1\", index_name: shop}"));
    check_good(
        &table(&[ES_9, (TEMPLATE, 200, &with_template(&ours.to_string()))]),
        "",
        "/_index_template/expvastic-shop is up to date",
    );
    let mut edited = ours.clone();
    edited["priority"] = 7.into();
    check_good(
        &table(&[ES_9, (TEMPLATE, 200, &with_template(&edited.to_string()))]),
        "",
        "/_index_template/expvastic-shop was edited by hand and is left unchanged; delete it to get a new one",
    );
    let more = with_recorder("{endpoint: \"h:1\", index_name: shop}");
    let outdated = printed_template(&more.replace("type_name: own", "type_name: own, max_fields: 2000"));
    check_good(
        &table(&[ES_9, (TEMPLATE, 200, &with_template(&outdated.to_string()))]),
        "",
        "/_index_template/expvastic-shop is of another version, or for other settings; update it with expvastic setup",
    );
}

/// A server that has this template, and takes other ones and documents. All requests that change something are noted.
fn with_stored_template(text: &str) -> (Server, Arc<Mutex<Vec<String>>>) {
    let (template, changes) = (with_template(text), Arc::<Mutex<Vec<String>>>::default());
    let (noted, store) = (Arc::clone(&changes), Mutex::new(Store::default()));
    let server = Server::bare(move |request| match (request.method.as_str(), request.target.as_str()) {
        ("GET", "/") => Reply::ok(ES_9.2),
        ("GET", TEMPLATE) => Reply::ok(template.clone()),
        ("PUT", target) => {
            noted.lock().expect("the changes").push(target.to_owned());
            Reply::ok("{}")
        }
        ("POST", target) if target.starts_with("/_bulk") => {
            store.lock().expect("the store").take(&request.body, |_| None)
        }
        _ => Reply::Full(404, String::new(), Vec::new()),
    });
    (server, changes)
}

#[test]
fn a_template_that_makes_indices_is_no_good_for_a_data_stream() {
    let ours = printed_template(&with_recorder("{endpoint: \"h:1\", index_name: shop}"));
    let mut edited = ours.clone();
    edited["priority"] = 7.into();
    let stream = printed_template(&with_recorder("{endpoint: \"h:1\", data_stream: shop}"));
    let lacks = "/_index_template/expvastic-shop has no data_stream, so the first document creates an index instead of a \
                 data stream";
    let by_hand = "add \"data_stream\": {} to it, or delete it to get a new one";
    for (stored, advice, is_updated) in [
        (ours.to_string(), "update it with expvastic setup", true),
        (edited.to_string(), by_hand, false),
        ("{}".to_owned(), by_hand, false),
    ] {
        let (server, changes) = with_stored_template(&stored);
        let (code, lines) = recorder_lines(&server, "data_stream: shop");
        let expected = format!("✗ recorder es: {lacks}; {advice} (conf.yml:5)");
        assert!(code == Some(1) && lines.contains(&expected), "expected {expected}, said {lines:?}");
        let config = with_recorder(&format!("{{endpoint: \"{}\", data_stream: shop}}", server.address));
        // Documents are shipped all the same, with a warning.
        let mut once = Program::start(&["once"], &config);
        assert_eq!(once.wait(), Some(0), "{}", once.read("stderr"));
        let log = once.read("stderr");
        let warning = format!("index template: {lacks}; {advice}");
        assert!(log.lines().any(|line| line.contains("WARN") && line.contains(&warning)), "{log}");
        assert!(changes.lock().expect("the changes").is_empty(), "a start changes no template");
        let mut setup = Program::start(&["setup"], &config);
        let (code, said) = (setup.wait(), setup.read("stdout"));
        if is_updated {
            assert!(code == Some(0) && said.contains("updated /_index_template/expvastic-shop"), "{said}");
            assert_eq!(*changes.lock().expect("the changes"), [TEMPLATE]);
        } else {
            assert!(code == Some(1) && said.contains(&format!("{lacks}; {advice}")), "{said}{}", setup.read("stderr"));
            assert!(changes.lock().expect("the changes").is_empty());
        }
    }
    let (server, _) = with_stored_template(&stream.to_string());
    check_good(&server, "data_stream: shop", "/_index_template/expvastic-shop is up to date");
    check_good(
        &server,
        "",
        "/_index_template/expvastic-shop is of another version, or for other settings; update it with expvastic setup",
    );
}

#[test]
fn what_is_there_already_is_told() {
    let forbidden = Server::bare(|request| match request.target.as_str() {
        "/_bulk" => Reply::Full(405, String::new(), Vec::new()),
        _ => Reply::Full(403, String::new(), b"no".to_vec()),
    });
    check_good(
        &forbidden,
        "",
        "unidentified server at ADDRESS in N ms; the server denies access: check its access rules, or set `auth`",
    );
    check_good(
        &forbidden,
        "",
        "/_index_template/expvastic-shop cannot be looked at: status 403: no; create it once with expvastic setup and another account",
    );
    let answer = r#"{"username":"u","cluster":{"manage_index_templates":false},"index":{"shop":{"create_doc":true}}}"#;
    let refusal = r#"{"error":{"reason":"action [cluster:monitor/main] is unauthorized for user [u], this action is granted by the cluster privileges [monitor,manage,all]"}}"#;
    let without_monitor =
        table(&[("/", 403, refusal), ("/_bulk", 405, ""), (TEMPLATE, 403, "no"), (PRIVILEGES, 200, answer)]);
    check_good(&without_monitor, "", "user \"u\" lacks manage_index_templates on the cluster; …");
    check_good(&forbidden, "pipeline: mine", "ingest pipeline mine cannot be looked at with this account");
    let fitting = r#"{"shop":{"mappings":{"properties":{"load":{"type":"double"}}}}}"#;
    let settings = "/shop/_settings?filter_path=*.settings.index.lifecycle.name";
    let kept = r#"{"shop":{"settings":{"index":{"lifecycle":{"name":"month"}}}}}"#;
    let server = table(&[ES_9, (MAPPING, 200, fitting), (settings, 200, kept)]);
    check_good(&server, "", "shop exists already (its field types fit)");
    check_good(&server, "", "life cycle policy month");
    let none = "no life cycle policy: documents stay until somebody deletes them";
    check_good(&table(&[ES_9, (MAPPING, 200, fitting), (settings, 200, "{}")]), "", none);
    let explained = r#"{"shop":{"index.plugins.index_state_management.policy_id":"month"},"total_managed_indices":1}"#;
    let account = r#"{"user_name":"shipper","roles":["own_index","writer"]}"#;
    let server = table(&[
        OPENSEARCH,
        (MAPPING, 200, fitting),
        ("/_plugins/_ism/explain/shop", 200, explained),
        ("/_plugins/_security/authinfo", 200, account),
    ]);
    check_good(&server, "", "life cycle policy month");
    check_good(
        &server,
        "",
        "user \"shipper\" with the roles own_index, writer: OpenSearch does not tell what they permit",
    );
    let stream =
        r#"{"data_streams":[{"name":"shop","lifecycle":{"enabled":true,"data_retention":"7d"},"ilm_policy":"x"}]}"#;
    let server = table(&[ES_9, ("/_data_stream/shop", 200, stream), (MAPPING, 200, fitting)]);
    check_good(&server, "data_stream: shop", "data stream shop exists, documents are kept for 7d");
    check_good(
        &table(&[ES_9]),
        "data_stream: shop",
        "data stream shop does not exist yet: the first document creates it",
    );
    let keys = "template: off";
    let (_, lines) = recorder_lines(&table(&[ES_9]), keys);
    assert!(!lines.concat().contains("template"), "{lines:?}");
    check_good(
        &table(&[ES_9, (TEMPLATE, 200, &with_template("{}")), (PRIVILEGES, 200, answer)]),
        "",
        "user \"u\" lacks manage_index_templates on the cluster; …",
    );
}

#[test]
fn each_host_has_a_line_and_one_of_them_is_asked_for_the_rest() {
    let [first, second] = [table(&[ES_9]), table(&[ES_9])];
    let gone = Reserved::new();
    let hosts = format!("[\"{}\", \"{}\", \"{}\"]", first.address, gone.address, second.address);
    let (code, said) = test(&with_recorder(&format!("{{endpoint: {hosts}, index_name: shop}}")));
    assert_eq!(code, Some(1), "{said}");
    let count = |text: &str| said.lines().filter(|line| line.contains(text)).count();
    assert_eq!((count("✓ recorder es: Elasticsearch 9.0 at "), count("connection refused by")), (2, 1), "{said}");
    assert_eq!((count("index shop does not exist yet"), count("_index_template")), (1, 1), "{said}");
}
