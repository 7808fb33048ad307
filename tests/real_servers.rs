//! From end to end with nothing faked: a Go program with real expvars, the release binary, and a real server. Also whether
//! the panels of dashboards show what was shipped.
//!
//! Requires Maven, the JDKs that `tests/servers/serve` asks for, curl and Go; `.ci/run` installs them. Run it with
//! `cargo build --release && cargo test --test real_servers`: the test is a debug build, the program is not.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![allow(clippy::disallowed_methods, reason = "a test has deadlines of its own")]
#![allow(clippy::print_stderr, reason = "a failed test says where its logs are")]

#[path = "real_servers/dashboards.rs"]
mod dashboards;
#[path = "support/flatten_twin.rs"]
mod flatten_twin;
#[path = "support/front_end.rs"]
mod front_end;
#[path = "support/http.rs"]
mod http;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use flatten_twin::Flat;
use processes::{Orphaned, Running, Workdir};
use serde_json::Value;
use server::{Server, differences, parsed, release_binary, tests_folder};

/// Polls of each reader before the program is told to end.
const POLLS_MIN: u64 = 100;
const POLLS_TIME_MAX: Duration = Duration::from_secs(60);
const APP_TIME_MAX: Duration = Duration::from_secs(10);
const EXIT_TIME_MAX: Duration = Duration::from_secs(20);

const MAIN_INDEX: &str = "expvastic_main";
const OTHER_INDEX: &str = "expvastic_other";
const FIRST_APP: &str = "my_app1";
const SOME_APPLICATION: &str = "SomeApplication";
/// The servers that the front ends of today work with.
const DASHBOARD_SERVERS: [&str; 5] =
    ["elasticsearch-7", "elasticsearch-8", "elasticsearch-9", "opensearch-2", "opensearch-3"];
/// The fields of a document that no payload has.
const OWN_FIELDS: [&str; 3] = ["@timestamp", "service.name", "host.name"];

#[test]
fn elasticsearch_9_stores_each_poll_once_and_exactly() {
    check_engine("elasticsearch-9");
}

#[test]
fn elasticsearch_8_stores_each_poll_once_and_exactly() {
    check_engine("elasticsearch-8");
}

#[test]
fn elasticsearch_7_stores_each_poll_once_and_exactly() {
    check_engine("elasticsearch-7");
}

#[test]
fn elasticsearch_6_stores_each_poll_once_and_exactly() {
    check_engine("elasticsearch-6");
}

#[test]
fn elasticsearch_5_stores_each_poll_once_and_exactly() {
    check_engine("elasticsearch-5");
}

#[test]
fn opensearch_3_stores_each_poll_once_and_exactly() {
    check_engine("opensearch-3");
}

#[test]
fn opensearch_2_stores_each_poll_once_and_exactly() {
    check_engine("opensearch-2");
}

fn check_engine(engine: &str) {
    let _alone = server::alone();
    let folder = Workdir::new(engine);
    let server = Server::start(&folder, engine);
    let apps = Apps::start(&folder);
    let _shows_its_log_on_failure = ship_some_polls(&folder, &apps, &server);

    let [first_app, some_application] = apps.addresses.each_ref().map(|address| served_bodies(address));
    let main = check_index(&server, MAIN_INDEX, &[(FIRST_APP, &first_app), (SOME_APPLICATION, &some_application)]);
    let other = check_index(&server, OTHER_INDEX, &[(SOME_APPLICATION, &some_application)]);
    server::assert_none(engine, &[main, other].concat());
    if DASHBOARD_SERVERS.contains(&engine) {
        server::assert_none(engine, &dashboards::each_panel_shows_what_was_shipped(&server, &folder));
    }
}

/// Runs the program until every reader has polled often enough, then ends it as an init system would.
fn ship_some_polls(folder: &Workdir, apps: &Apps, server: &Server) -> Running {
    let config = folder.join("conf.yml");
    fs::write(&config, config_text(&apps.addresses, &server.address)).expect("the configuration is written");
    let arguments = ["-c", config.to_str().expect("a plain path")];
    let binary = release_binary();
    let mut shipper = Running::start(folder, "expvastic", Orphaned::Kill, binary, &arguments);

    wait_for_stat(&mut shipper, apps, "polls", POLLS_MIN);
    // A body that is on its way at the end may be given up; but who asks again has read the one before.
    for address in &apps.addresses {
        http::get(address, "/_app/refuse");
    }
    wait_for_stat(&mut shipper, apps, "refused", 1);

    let status = shipper.terminate(EXIT_TIME_MAX).expect("expvastic ends after SIGTERM");
    assert_eq!(status.code(), Some(0), "the exit code after SIGTERM ({status})");
    shipper
}

/// Waits until this count of the application is high enough at both of its addresses.
fn wait_for_stat(shipper: &mut Running, apps: &Apps, name: &str, stat_min: u64) {
    let mut ended = None;
    let enough = processes::wait_until(POLLS_TIME_MAX, || {
        ended = shipper.status();
        ended.is_some() || apps.addresses.iter().all(|address| stat(address, name) >= stat_min)
    });
    let stats = apps.addresses.each_ref().map(|address| stat(address, name));
    assert!(ended.is_none(), "expvastic ended too soon: {ended:?}");
    assert!(enough, "{name} is {stats:?} and not {stat_min} after {POLLS_TIME_MAX:?}");
}

/// The configuration that the documentation shows, with other endpoints and one index for each recorder.
fn config_text([first_app, some_application]: &[String; 2], server: &str) -> String {
    format!(
        "\
settings:
  log_level: info
readers:
  FirstApp:
    type: expvar
    type_name: {FIRST_APP}
    endpoint: {first_app}
    routepath: /debug/vars
    gc_pauses: all
    interval: 100ms
    timeout: 3s
    log_level: debug
    backoff: 10
  SomeApplication:
    type: expvar
    type_name: {SOME_APPLICATION}
    endpoint: {some_application}
    routepath: /debug/vars
    gc_pauses: all
    interval: 100ms
    timeout: 13s
    log_level: debug
    backoff: 10
recorders:
  main_elasticsearch:
    type: elasticsearch
    endpoint: {server}
    index_name: {MAIN_INDEX}
    timeout: 8s
    backoff: 10
  the_other_elasticsearch:
    type: elasticsearch
    endpoint: {server}
    index_name: {OTHER_INDEX}
    timeout: 18s
    backoff: 10
routes:
  route1: {{readers: [FirstApp], recorders: [main_elasticsearch]}}
  route2: {{readers: [FirstApp, SomeApplication], recorders: [main_elasticsearch]}}
  route3: {{readers: [SomeApplication], recorders: [main_elasticsearch, the_other_elasticsearch]}}
"
    )
}

/// What is wrong with the documents of an index that must hold each body of these services once, and nothing else.
fn check_index(server: &Server, index: &str, services: &[(&str, &Bodies)]) -> Vec<String> {
    let documents = server.documents(index);
    let mut problems = Vec::new();
    let expected: usize = services.iter().map(|(_, bodies)| bodies.len()).sum();
    if documents.len() != expected {
        problems.push(format!("{index}: {} documents instead of {expected}", documents.len()));
    }
    for (service, bodies) in services {
        let of_service: Vec<&Flat> = documents.iter().filter(|document| document["service.name"] == *service).collect();
        problems.extend(check_sequence(index, service, bodies, &of_service));
        for document in of_service {
            problems.extend(check_document(document, bodies));
        }
    }
    problems
}

/// Each poll must have given one document.
fn check_sequence(index: &str, service: &str, bodies: &Bodies, documents: &[&Flat]) -> Vec<String> {
    let mut found: BTreeMap<u64, usize> = bodies.keys().map(|&seq| (seq, 0)).collect();
    for document in documents {
        *found.entry(poll_seq(document)).or_default() += 1;
    }
    found.retain(|_, times| *times != 1);
    let last = bodies.len();
    let problem = |(seq, times)| format!("{index}: poll {seq} (of 1 to {last}) of {service} has {times} documents");
    found.into_iter().map(problem).collect()
}

/// The stored document, leaf by leaf, against the naive flattening of what the application answered to this poll.
fn check_document(document: &Flat, bodies: &Bodies) -> Vec<String> {
    let seq = poll_seq(document);
    let Some(body) = bodies.get(&seq) else {
        return vec![format!("no body was served with poll_seq {seq}")];
    };
    let mut expected = flatten_twin::expected_fields(body);
    for name in OWN_FIELDS {
        let text = document.get(name).and_then(Value::as_str).unwrap_or_default();
        if text.is_empty() {
            return vec![format!("poll {seq}: no {name}")];
        }
        expected.insert(name.to_owned(), Value::from(text));
    }
    differences(&expected, document).into_iter().map(|problem| format!("poll {seq}: {problem}")).collect()
}

fn poll_seq(document: &Flat) -> u64 {
    document.get("poll_seq").and_then(Value::as_u64).unwrap_or_default()
}

/// One program that publishes at two addresses.
struct Apps {
    _running: Running,
    addresses: [String; 2],
}

impl Apps {
    fn start(folder: &Workdir) -> Self {
        let binary = folder.join("expvarapp");
        let source = tests_folder().join("expvarapp");
        processes::run(&source, "go", &["build", "-o", binary.to_str().expect("a plain path"), "."]);
        let mut running = Running::start(folder, "app", Orphaned::Kill, binary, &["-n", "2"]);
        let addresses = running.wait_for_lines("listening ", 2, APP_TIME_MAX);
        Self { addresses: addresses.try_into().expect("two addresses"), _running: running }
    }
}

/// What the application at an address answered, by `poll_seq`, which counts from 1.
type Bodies = BTreeMap<u64, Value>;

fn served_bodies(address: &str) -> Bodies {
    let body = |seq| (seq, parsed(&http::get(address, &format!("/_app/body?seq={seq}"))));
    (1..=stat(address, "polls")).map(body).collect()
}

fn stat(address: &str, name: &str) -> u64 {
    parsed(&http::get(address, "/_app/stats"))[name].as_u64().expect("a count")
}
