//! Recognising servers: guesses that are wrong, servers that do not identify themselves, upgrades while the program runs, and
//! templates that the user may not install. Over real sockets, with recorded answers of real servers.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use expvastic::{Engine, Ledger, Reader, Recorder};
use loopback::{Reply, Request, Server, Store, counting_app};
use program::Program;
use serde_json::{Value, json};
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a server does about types.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// 5 and 6.
    Wants,
    /// 7.
    TakesItsOwn,
    /// 8, 9 and OpenSearch.
    Refuses,
}

const MISSING: &str = r#"{"error":{"root_cause":[{"type":"action_request_validation_exception","reason":"Validation Failed: 1: type is missing;"}],"type":"action_request_validation_exception","reason":"Validation Failed: 1: type is missing;"},"status":400}"#;
const UNKNOWN: &str = r#"{"error":{"root_cause":[{"type":"illegal_argument_exception","reason":"Action/metadata line [1] contains an unknown parameter [_type]"}],"type":"illegal_argument_exception","reason":"Action/metadata line [1] contains an unknown parameter [_type]"},"status":400}"#;
const INVALID: &str = r#"{"took":379,"errors":true,"items":[{"create":{"status":400,"error":{"type":"illegal_argument_exception","reason":"Invalid type: expecting [_doc] but got [app]"}}}]}"#;

fn says(version: &str) -> Reply {
    Reply::ok(format!(r#"{{"name":"n","version":{{"number":"{version}"}},"tagline":"You Know, for Search"}}"#))
}

/// Takes a bulk as a server of this kind does; each bulk has one document here.
fn take(kind: Kind, request: &Request, store: &mut Store) -> Reply {
    let body = String::from_utf8_lossy(&request.body);
    let is_typed = body.contains("\",\"_type\":\"app\",\"_id\":\"");
    assert_eq!(is_typed, body.contains("_type"), "{body}");
    match (kind, is_typed) {
        (Kind::Wants, false) => Reply::Full(400, String::new(), MISSING.into()),
        (Kind::Refuses, true) => Reply::Full(400, String::new(), UNKNOWN.into()),
        (Kind::TakesItsOwn, true) => Reply::ok(INVALID),
        _ => store.take(&request.body, |_| None),
    }
}

/// Ships this many documents, one in a bulk.
fn ship(server: &Server, documents: u64) -> Ledger {
    let app = counting_app();
    let reader = Reader::expvar("app", "app", &app.address).expect("an address").interval(Duration::from_millis(300));
    let recorder = Recorder::elasticsearch("es", &server.address, "i").expect("an address");
    let engine = Engine::with_reader_recorders(reader, vec![recorder]).expect("an engine").polls(documents);
    engine.start(pending()).expect("it runs").ledgers[0].1
}

fn is_root(request: &Request) -> bool {
    request.method == "GET" && request.target == "/"
}

fn is_bulk(request: &Request) -> bool {
    request.target.starts_with("/_bulk?")
}

#[test]
fn a_guess_that_is_wrong_corrects_itself() {
    type Root = fn() -> Reply;
    let roots: [(&str, Root); 6] = [
        ("forbidden", || Reply::Full(403, String::new(), b"no".to_vec())),
        ("not there", || Reply::Full(404, String::new(), Vec::new())),
        ("a page", || Reply::ok("<html>It works</html>")),
        ("5", || says("5.6.16")),
        ("7", || says("7.17.29")),
        ("9", || says("9.0.4")),
    ];
    for (what, root) in roots {
        for kind in [Kind::Wants, Kind::TakesItsOwn, Kind::Refuses] {
            let store = Arc::new(Mutex::new(Store::default()));
            let stored = Arc::clone(&store);
            let server = Server::bare(move |request| match request.method.as_str() {
                "GET" if request.target == "/" => root(),
                "GET" => Reply::ok("{}"),
                _ => take(kind, request, &mut stored.lock().expect("the store")),
            });
            let ledger = ship(&server, 2);
            assert_eq!(
                (ledger.acked, ledger.dead_lettered),
                (2, 0),
                "GET / is {what}, the server is {kind:?}: {ledger}"
            );
            assert_eq!(store.lock().expect("the store").documents.len(), 2);
        }
    }
}

/// Elasticsearch 5 and 6 name the index behind an alias, and not the alias that the document was sent to.
#[test]
fn an_index_behind_an_alias_has_a_type_of_its_own() {
    for theirs in ["doc", "line\nend \"quoted\""] {
        let store = Arc::new(Mutex::new(Store::default()));
        let (stored, refused) = (Arc::clone(&store), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&refused);
        let server = Server::bare(move |request| {
            if is_root(request) {
                return says("6.8.23");
            }
            if !is_bulk(request) {
                return Reply::ok("{}");
            }
            let first = String::from_utf8_lossy(&request.body).lines().next().map(str::to_owned).expect("an action");
            let action: Value = serde_json::from_str(&first).expect("an action line is JSON");
            if action["create"]["_type"] == theirs {
                return stored.lock().expect("the store").take(&request.body, |_| None);
            }
            counted.fetch_add(1, Ordering::SeqCst);
            let mine = action["create"]["_type"].as_str().expect("a type");
            let reason = format!(
                "Rejecting mapping update to [i-000001] as the final mapping would have more than 1 type: [{mine}, {theirs}]"
            );
            let error = json!({"type": "illegal_argument_exception", "reason": reason});
            Reply::ok(json!({"errors": true, "items": [{"create": {"status": 400, "error": error}}]}).to_string())
        });
        let ledger = ship(&server, 3);
        assert_eq!((ledger.acked, ledger.dead_lettered), (3, 0), "{theirs}: {ledger}");
        assert_eq!(refused.load(Ordering::SeqCst), 1, "{theirs}: it is learned once");
        assert!(store.lock().expect("the store").documents.keys().all(|(index, _)| index == "i"), "the alias");
    }
}

#[test]
fn an_upgrade_under_way_is_noticed() {
    for (before, after, kinds) in [
        ("6.8.23", "7.17.29", [Kind::Wants, Kind::TakesItsOwn]),
        ("6.8.23", "8.19.21", [Kind::Wants, Kind::Refuses]),
        // And back, with an old snapshot.
        ("9.0.4", "6.8.23", [Kind::Refuses, Kind::Wants]),
    ] {
        let store = Arc::new(Mutex::new(Store::default()));
        let stored = Arc::clone(&store);
        let asked = Arc::new(AtomicUsize::new(0));
        let roots = Arc::clone(&asked);
        let server = Server::bare(move |request| {
            let mut store = stored.lock().expect("the store");
            let is_new = store.documents.len() >= 2;
            if is_root(request) {
                roots.fetch_add(1, Ordering::SeqCst);
                return says(if is_new { after } else { before });
            }
            if !is_bulk(request) {
                return Reply::ok("{}");
            }
            take(kinds[usize::from(is_new)], request, &mut store)
        });
        let ledger = ship(&server, 4);
        assert_eq!((ledger.acked, ledger.dead_lettered), (4, 0), "{before} to {after}: {ledger}");
        assert_eq!(asked.load(Ordering::SeqCst), 2, "asked at the start, and again");
    }
}

/// The requests that a server gets, without the names of templates.
fn requests(
    template: &str,
    answer: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
) -> (Vec<String>, String) {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let (noted, store) = (Arc::clone(&seen), Mutex::new(Store::default()));
    let server = Server::bare(move |request| {
        let path = request.target.split('?').next().unwrap_or_default();
        noted.lock().expect("the requests").push(format!("{} {path}", request.method));
        let usual = || match request.method.as_str() {
            "GET" if is_root(request) => says("9.0.4"),
            "GET" => Reply::Full(404, String::new(), b"{}".to_vec()),
            "PUT" => Reply::ok(r#"{"acknowledged":true}"#),
            _ => store.lock().expect("the store").take(&request.body, |_| None),
        };
        answer(request).unwrap_or_else(usual)
    });
    let app = counting_app();
    let config = format!(
        "readers: {{app: {{type_name: app, endpoint: \"{}\"}}}}\n\
         recorders: {{es: {{endpoint: \"{}\", index_name: shop, template: {template}}}}}\n\
         routes: {{r: {{readers: [app], recorders: [es]}}}}\nsettings: {{shutdown_timeout: 30s}}\n",
        app.address, server.address
    );
    let mut program = Program::start(&["once"], &config);
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
    let seen = seen.lock().expect("the requests").clone();
    (seen, program.read("stderr"))
}

#[test]
fn the_template_is_there_before_the_first_bulk() {
    let name = "/_index_template/expvastic-shop";
    let (seen, log) = requests("auto", |_| None);
    let (get, put) = (format!("GET {name}"), format!("PUT {name}"));
    assert_eq!(seen, ["GET /", &get, &put, "GET /shop/_mapping", "POST /_bulk"]);
    assert!(log.contains("index template: created /_index_template/expvastic-shop recorder=es"), "{log}");
    assert!(!log.contains("exists already"), "{log}");

    // An index that is there keeps the types that it has.
    let mapping = r#"{"shop":{"mappings":{"properties":{"load":{"type":"long"},"name":{"type":"text"}}}}}"#;
    let (_, log) =
        requests("auto", move |request| request.target.starts_with("/shop/_mapping?").then(|| Reply::ok(mapping)));
    let expected = "index template: created /_index_template/expvastic-shop; it applies to new indices only, and shop exists already with other types for load (long), name (text), which";
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains(expected)), "{log}");

    let there = |request: &Request| request.target.starts_with("/_index_template").then(|| Reply::ok("{}"));
    let (seen, log) = requests("auto", there);
    assert_eq!(seen, ["GET /", &format!("GET {name}"), "POST /_bulk"]);
    assert!(!log.contains("index template"), "{log}");

    let (seen, log) = requests("off", |_| None);
    assert_eq!(seen, ["GET /", "POST /_bulk"]);
    assert!(!log.contains("index template"), "{log}");
}

#[test]
fn without_the_right_to_a_template_there_is_one_warning() {
    const REFUSAL: &str = r#"{"error":{"type":"security_exception","reason":"action [indices:admin/index_template/put] is unauthorized"},"status":403}"#;
    for method in ["GET", "PUT"] {
        let bulks = AtomicUsize::new(0);
        let (seen, log) = requests("auto", move |request| {
            if is_bulk(request) {
                // A connection that breaks makes it ask again; one that was kept is replaced once before that.
                return (bulks.fetch_add(1, Ordering::SeqCst) < 4).then(|| Reply::Raw(Vec::new()));
            }
            let refused = request.method == method && !is_root(request);
            refused.then(|| Reply::Full(403, String::new(), REFUSAL.into()))
        });
        assert_eq!(seen.iter().filter(|request| *request == "GET /").count(), 3, "{seen:?}");
        let warnings =
            log.lines().filter(|line| line.contains("no index template, the server guesses field types")).count();
        assert_eq!(warnings, 1, "{log}");
        assert!(log.contains("status 403") && log.contains("is unauthorized"), "{log}");
    }
}

#[test]
fn a_server_that_never_says_what_it_is_gets_its_documents() {
    let busy = |request: &Request| is_root(request).then(|| Reply::Full(503, String::new(), Vec::new()));
    let (seen, log) = requests("auto", busy);
    let said = "cannot identify the server, shipping to it anyway: /: status 503";
    assert_eq!(log.lines().filter(|line| line.contains(said)).count(), 1, "{log}");
    assert_eq!(seen.last().map(String::as_str), Some("POST /_bulk"));
    assert_eq!(seen.len(), 6, "{seen:?}");
}

#[test]
fn a_server_that_comes_later_gets_the_template_first() {
    let asked = AtomicUsize::new(0);
    let away = move |request: &Request| {
        (is_root(request) && asked.fetch_add(1, Ordering::SeqCst) < 5).then(|| Reply::Raw(Vec::new()))
    };
    let (seen, log) = requests("auto", away);
    let name = "/_index_template/expvastic-shop";
    assert_eq!(seen[..5], ["GET /"; 5]);
    assert_eq!(
        seen[5..],
        ["GET /", &format!("GET {name}"), &format!("PUT {name}"), "GET /shop/_mapping", "POST /_bulk"]
    );
    assert!(!log.contains("shipping to it anyway"), "{log}");
}

#[test]
fn setup_shows_the_template_of_each_kind_of_server() {
    let config = "readers: {a: {type_name: a, endpoint: \"localhost:1\"}}\n\
                  recorders: {es: {endpoint: \"localhost:1\", index_name: \"shop-%Y.%m.%d\"}, any: {endpoint: \"localhost:1\", index_name: \"%Y\"}, \
                  unrouted: {endpoint: \"localhost:1\"}, disk: {type: file, path: x}}\n\
                  routes: {r: {readers: a, recorders: [es, any, disk]}}\n";
    let mut program = Program::start(&["setup", "--print"], config);
    assert_eq!(program.wait(), Some(0));
    let shown = program.read("stdout");
    let titles: Vec<&str> = shown.lines().filter(|line| line.starts_with("# es: ")).collect();
    let expected = [
        "# es: Elasticsearch from 8.3 on",
        "# es: OpenSearch",
        "# es: Elasticsearch from 7.8 to 8.2",
        "# es: Elasticsearch from 7.0 to 7.7",
        "# es: Elasticsearch 6",
        "# es: Elasticsearch 5",
    ];
    assert_eq!(titles, expected);
    let bodies: Vec<Value> = shown
        .split("# es: ")
        .skip(1)
        .map(|part| {
            let part = part.split("# any").next().expect("the rest");
            let (_, request) = part.split_once("\nPUT ").expect("a request");
            let (path, body) = request.split_once('\n').expect("a body");
            assert!(path.ends_with("template/expvastic-shop-y.m.d"), "{path}");
            serde_json::from_str(body).expect("JSON")
        })
        .collect();
    assert_eq!(bodies[0]["template"]["mappings"]["subobjects"], false);
    assert_eq!(bodies[5]["template"], "shop-*.*.*");
    assert!(shown.contains("# any: Elasticsearch 6: no template: index_name consists of patterns only"), "{shown}");
    assert!(!shown.contains("unrouted") && !shown.contains("disk"), "{shown}");
    assert_eq!(program.read("stderr"), "");
}

#[test]
fn setup_says_what_it_could_not_do() {
    let config = |recorder: &str| {
        format!(
            "readers: {{a: {{type_name: a, endpoint: \"localhost:1\"}}}}\nrecorders: {{es: {recorder}}}\n\
             routes: {{r: {{readers: a, recorders: es}}}}\n"
        )
    };
    let setup = |config: &str| {
        let mut program = Program::start(&["setup"], config);
        (program.wait(), program.read("stdout"))
    };
    let server = Server::bare(|request| match request.method.as_str() {
        "GET" if is_root(request) => says("9.0.4"),
        _ => Reply::Full(401, String::new(), b"Unauthorized".to_vec()),
    });
    let (code, said) = setup(&config(&format!("{{endpoint: \"{}\"}}", server.address)));
    assert_eq!(
        (code, &*said),
        (
            Some(1),
            "es: Elasticsearch 9.0: the server rejected it: status 401: Unauthorized; the server requires credentials: set `auth`\n"
        )
    );
    let (code, said) = setup(&config("{endpoint: \"127.0.0.1:1\"}"));
    assert!(code == Some(1) && said.starts_with("es: ") && said.lines().count() == 1, "{said}");
    let (code, said) = setup(&config("{type: file, path: x}"));
    assert_eq!((code, &*said), (Some(0), "no route has an elasticsearch recorder: nothing to set up\n"));
}
