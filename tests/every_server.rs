//! Ships to every server that the program supports, one real server after the other: all recorded payloads, the field types that
//! result from the template, and what happens with templates, data streams and pipelines.
//!
//! Requires Maven, the JDKs that `tests/servers/serve` asks for, and curl; `.ci/run` installs them. Run it with
//! `cargo build --release && cargo test --test every_server`: the test is a debug build, the program is not.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![allow(clippy::disallowed_methods, reason = "a test has deadlines of its own")]
#![allow(clippy::print_stderr, reason = "a failed test says where its logs are, a good one what it saw")]
#![allow(clippy::format_push_string, reason = "a configuration is put together for reading, not for speed")]

#[path = "every_server/changing.rs"]
mod changing;
#[path = "support/flatten_twin.rs"]
mod flatten_twin;
#[path = "support/http.rs"]
mod http;
#[path = "every_server/keeping.rs"]
mod keeping;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/recorded.rs"]
mod recorded;
#[path = "support/server.rs"]
mod server;
#[path = "every_server/storing.rs"]
mod storing;
#[path = "every_server/templates.rs"]
mod templates;
#[path = "every_server/trying.rs"]
mod trying;
#[path = "support/values_and_objects.rs"]
mod values_and_objects;

use flatten_twin::{Flat, Options};
use loopback::Reply;
use processes::{Orphaned, Running, Workdir};
use server::{Server, differences, parsed, release_binary};
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

const TIME_MAX: Duration = Duration::from_secs(60);
const OWN_FIELDS: [&str; 3] = ["@timestamp", "service.name", "host.name"];

/// What is special about a server.
struct Engine {
    name: &'static str,
    /// Path of a template, before its name.
    templates: &'static str,
    /// Whether dotted names are kept flat.
    flat: bool,
    /// Whether this build of it has data streams.
    streams: bool,
}

#[rustfmt::skip]
const ENGINES: [Engine; 7] = [
    Engine { name: "elasticsearch-5", templates: "/_template", flat: false, streams: false },
    Engine { name: "elasticsearch-6", templates: "/_template", flat: false, streams: false },
    Engine { name: "elasticsearch-7", templates: "/_index_template", flat: false, streams: false },
    Engine { name: "elasticsearch-8", templates: "/_index_template", flat: true, streams: true },
    Engine { name: "elasticsearch-9", templates: "/_index_template", flat: true, streams: true },
    Engine { name: "opensearch-2", templates: "/_index_template", flat: false, streams: true },
    Engine { name: "opensearch-3", templates: "/_index_template", flat: false, streams: true },
];

macro_rules! tests_of_engines {
    ($($test:ident $index:literal)+) => {$(
        #[test]
        fn $test() {
            check(&ENGINES[$index]);
        }
    )+};
}

tests_of_engines! {
    elasticsearch_5 0
    elasticsearch_6 1
    elasticsearch_7 2
    elasticsearch_8 3
    elasticsearch_9 4
    opensearch_2 5
    opensearch_3 6
}

/// Everything, on one start of the server.
fn check(engine: &Engine) {
    let _alone = server::alone();
    let folder = Workdir::new(engine.name);
    let bench = Bench { engine, server: Server::start(&folder, engine.name), folder };
    let mut problems = bench.trying();
    problems.extend(bench.every_payload());
    problems.extend(bench.few_names_without_a_template());
    problems.extend(bench.changing_payloads());
    problems.extend(bench.rates_and_other_names());
    problems.extend(bench.values_and_objects());
    problems.extend(bench.storing());
    problems.extend(bench.templates());
    problems.extend(bench.data_streams());
    problems.extend(bench.keeping());
    problems.extend(bench.pipelines());
    let row = bench.row();
    eprintln!("{row}");
    // The table in the documentation is made of what is printed here.
    let is_told = include_str!("../docs/documents.md").lines().any(|line| line == row);
    problems.extend(unless(is_told, || format!("docs/documents.md lacks the row {row}")));
    server::assert_none(engine.name, &problems);
}

struct Bench<'e> {
    engine: &'e Engine,
    server: Server,
    folder: Workdir,
}

/// What is wrong unless it holds.
fn unless(holds: bool, problem: impl FnOnce() -> String) -> Option<String> {
    (!holds).then(problem)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Bench<'_> {
    /// Runs a command of the program to its end.
    fn expvastic(&self, arguments: &[&str], config: &str) -> Output {
        fs::write(self.folder.join("conf.yml"), config).expect("the configuration is written");
        let mut command = Command::new(release_binary());
        command.current_dir(self.folder.join("")).args(arguments).args(["-c", "conf.yml"]);
        command.output().expect("expvastic starts")
    }

    /// What there is to tell of this server, as a row of the table in `docs/documents.md`.
    fn row(&self) -> String {
        let about = parsed(&http::get(&self.server.address, "/"));
        let version = &about["version"];
        let product = if version["distribution"] == "opensearch" { "OpenSearch" } else { "Elasticsearch" };
        let count =
            |indices: &str| parsed(&http::get(&self.server.address, &format!("/{indices}/_count")))["count"].clone();
        let hit = parsed(&http::get(&self.server.address, "/changing-*/_search?size=1"))["hits"]["hits"][0].clone();
        let types = if matches!(hit["_type"].as_str(), None | Some("_doc")) { "none" } else { "`type_name`" };
        let names = if self.engine.flat { "flat" } else { "nested" };
        let streams = if self.engine.streams { "yes" } else { "not in this build" };
        format!(
            "| {product} {} | {} | {} | {types} | `{}` | {names} | {streams} |",
            version["number"].as_str().unwrap_or("?"),
            count("payload-*"),
            count("changing-*"),
            self.engine.templates,
        )
    }

    /// Each recorded payload as one document: taken, and stored as it was sent.
    fn every_payload(&self) -> Vec<String> {
        let payloads: BTreeMap<String, Vec<u8>> = recorded::payloads().into_iter().collect();
        assert!(payloads.len() >= 27, "only {} payloads", payloads.len());
        let bodies = payloads.clone();
        let app = loopback::Server::start(move |request| Reply::Chunked(bodies[&request.target[1..]].clone()));
        let (mut readers, mut recorders, mut routes) = (String::new(), String::new(), String::new());
        for (at, name) in payloads.keys().enumerate() {
            readers += &format!("  r{at}: {{type_name: {name}, endpoint: {}/{name}, max_body: 4MiB}}\n", app.address);
            // So many indices at once take a server on a busy disk a while.
            recorders +=
                &format!("  e{at}: {{endpoint: {}, index_name: payload-{at}, timeout: 10m}}\n", self.server.address);
            routes += &format!("  x{at}: {{readers: r{at}, recorders: [e{at}, sent]}}\n");
        }
        let config = format!(
            "settings: {{memory_limit: 64MiB, shutdown_timeout: 10m}}\nreaders:\n{readers}recorders:\n{recorders}  \
             sent: {{type: file, path: sent.ndjson, index_name: sent}}\nroutes:\n{routes}"
        );
        let output = self.expvastic(&["once"], &config);
        let log = text(&output.stderr);
        let mut problems: Vec<String> = log
            .lines()
            .filter(|line| line.contains("recorder=") && !line.contains(" INFO "))
            .map(str::to_owned)
            .collect();
        problems.extend(unless(output.status.code() == Some(0), || format!("once ended with {}", output.status)));
        let sent = fs::read_to_string(self.folder.join("sent.ndjson")).expect("what was sent");
        let sent: BTreeMap<String, Flat> = sent
            .lines()
            .skip(1)
            .step_by(2)
            .map(|line| {
                let document: Flat = serde_json::from_str(line).expect("strict JSON");
                (document["service.name"].as_str().expect("a name").to_owned(), document)
            })
            .collect();
        for (at, (name, payload)) in payloads.iter().enumerate() {
            let stored = self.server.documents(&format!("payload-{at}"));
            let [stored] = &stored[..] else {
                problems.push(format!("{name}: {} documents", stored.len()));
                continue;
            };
            let found = differences(&sent[name], stored).into_iter();
            problems.extend(found.map(|problem| format!("{name}: {problem}")));
            if let Some(expected) = twin(name, payload, stored) {
                problems.extend(
                    differences(&expected, stored).into_iter().map(|problem| format!("{name}, by the twin: {problem}")),
                );
            }
        }
        problems
    }

    /// Within the limit of fields that a server has by itself, `max_fields` keeps large payloads.
    fn few_names_without_a_template(&self) -> Vec<String> {
        let (payload, app) = one_payload("influxdb-1.6.7-loaded.json");
        let config = |fields: usize, index: &str| {
            format!(
                "readers: {{r: {{type_name: influx, endpoint: {}, max_fields: {fields}}}}}\n\
                 recorders: {{e: {{endpoint: {}, index_name: {index}, template: off}}}}\n\
                 routes: {{x: {{readers: r, recorders: e}}}}\n",
                app.address, self.server.address
            )
        };
        let few = self.expvastic(&["once"], &config(200, "few"));
        let many = self.expvastic(&["once"], &config(1_000, "many"));
        let stored = self.server.documents("few");
        let expected = twin_with(200, &payload, &stored[0]);
        let mut problems = differences(&expected, &stored[0]);
        problems
            .extend(unless(few.status.code() == Some(0), || format!("200 names are refused: {}", text(&few.stderr))));
        problems.extend(unless(many.status.code() == Some(1), || "1000 names need no template".to_owned()));
        problems
    }

    /// Runs the program until this holds, then ends it. What is wrong with that.
    fn ship_until(&self, config: &str, holds: impl FnMut() -> bool) -> Option<String> {
        let path = self.folder.join("conf.yml");
        fs::write(&path, config).expect("written");
        let arguments = ["-c", path.to_str().expect("a plain path")];
        let mut shipper = Running::start(&self.folder, "expvastic", Orphaned::Kill, release_binary(), &arguments);
        assert!(processes::wait_until(5 * TIME_MAX, holds), "not all was polled in time");
        let status = shipper.terminate(TIME_MAX).expect("expvastic ends after SIGTERM");
        unless(status.code() == Some(0), || format!("it ended with {status}"))
    }

    /// Whatever turns into what: the server has no reason to refuse it.
    fn values_and_objects(&self) -> Vec<String> {
        let file = self.folder.join("stories.ndjson").display().to_string();
        let ship_until = |config: &str, holds: &mut dyn FnMut() -> bool| self.ship_until(config, holds);
        values_and_objects::problems(&self.server.address, &file, ship_until, |index| self.server.documents(index))
    }
}

fn one_payload(name: &str) -> (Vec<u8>, loopback::Server) {
    let (_, payload) = recorded::payloads().into_iter().find(|(other, _)| other == name).expect("it is there");
    let body = payload.clone();
    (payload, loopback::Server::start(move |_| Reply::Chunked(body.clone())))
}

/// What the twin makes of a payload that is strict JSON, with the stored document's own fields.
fn twin(name: &str, payload: &[u8], stored: &Flat) -> Option<Flat> {
    (!name.contains(".invalid.")).then(|| twin_with(1_000, payload, stored))
}

fn twin_with(max_fields: usize, payload: &[u8], stored: &Flat) -> Flat {
    let options = Options { max_fields, ..Options::default() };
    let payload = std::str::from_utf8(payload).expect("strict JSON is UTF-8");
    let mut expected = flatten_twin::flat(flatten_twin::document(&options, payload).expect("something to ship"));
    expected.extend(OWN_FIELDS.map(|name| (name.to_owned(), stored.get(name).cloned().unwrap_or_default())));
    expected
}
