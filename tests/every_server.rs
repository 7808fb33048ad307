//! Every server that the program promises to ship into, real and one after the other: all recorded payloads, the types
//! that the template makes, what is done with templates, data streams and pipelines.
//!
//! Wants Maven, the JDKs that `tests/servers/serve` asks for, and curl; `.ci/run` installs them. Run it with
//! `cargo build --release && cargo test --test every_server`: the test is a debug build, the program is not.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![allow(clippy::disallowed_methods, reason = "a test has deadlines of its own")]
#![allow(clippy::print_stderr, reason = "a failed test says where its logs are, a good one what it saw")]
#![allow(clippy::format_push_string, reason = "a configuration is put together for reading, not for speed")]

#[path = "support/flatten_twin.rs"]
mod flatten_twin;
#[path = "support/http.rs"]
mod http;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/recorded.rs"]
mod recorded;
#[path = "support/server.rs"]
mod server;
#[path = "support/values_and_objects.rs"]
mod values_and_objects;

use flatten_twin::{Flat, Options};
use loopback::Reply;
use processes::{Orphaned, Running, Workdir};
use serde_json::Value;
use server::{Server, differences, parsed, release_binary};
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
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
    let mut problems = bench.every_payload();
    problems.extend(bench.few_names_without_a_template());
    problems.extend(bench.changing_payloads());
    problems.extend(bench.rates_and_other_names());
    problems.extend(bench.values_and_objects());
    problems.extend(bench.templates());
    problems.extend(bench.data_streams());
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
            recorders += &format!("  e{at}: {{endpoint: {}, index_name: payload-{at}}}\n", self.server.address);
            routes += &format!("  x{at}: {{readers: r{at}, recorders: [e{at}, sent]}}\n");
        }
        let config = format!(
            "settings: {{memory_limit: 64MiB, shutdown_timeout: 60s}}\nreaders:\n{readers}recorders:\n{recorders}  \
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

/// Documents of each reader; 200 in all.
const CHANGING: [(&str, u64); 3] = [("shop", 180), ("influxd", 10), ("jaeger", 10)];

/// The fraction of the poll `seq`; the first one looks like an integer.
fn fraction(seq: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "small")]
    let seq = seq as f64;
    seq * 0.000_012_345_678_912_3
}

/// What the shop answers to the poll `seq`: a Go payload that changes.
fn shop(seq: u64) -> String {
    format!(
        r#"{{"cmdline":["shop"],"poll_seq":{seq},"big":{},"max":18446744073709551615,"a":{seq},"a.b":{seq},"web.requests":{{"/":{seq},"/api/v1.2":1}},
        "state":"{}","mixed":[{seq},"two"],"memstats":{{"Alloc":{},"NextGC":18446744073709551615,"NumGC":{seq},"GCCPUFraction":{},"EnableGC":true}}}}"#,
        9_007_199_254_740_993 + seq,
        if seq.is_multiple_of(2) { "even" } else { "odd" },
        1_000_000 + seq,
        fraction(seq),
    )
}

impl Bench<'_> {
    /// Three readers of different type names into one index: nothing missing, nothing doubled, every number right.
    fn changing_payloads(&self) -> Vec<String> {
        let bodies: BTreeMap<&str, Vec<Vec<u8>>> = [("influxd", "influxdb-1.6.7"), ("jaeger", "jaeger-1.57.0")]
            .into_iter()
            .map(|(name, files)| {
                let of_program = recorded::payloads().into_iter().filter(|(file, _)| file.starts_with(files));
                (name, of_program.map(|(_, body)| body).collect())
            })
            .collect();
        let served: Mutex<BTreeMap<String, Vec<Vec<u8>>>> = Mutex::default();
        let served: &'static Mutex<_> = Box::leak(Box::new(served));
        let app = loopback::Server::start(move |request| {
            let name = &request.target[1..];
            let mut served = served.lock().expect("what was served");
            let of_reader = served.entry(name.to_owned()).or_default();
            let seq = of_reader.len() as u64;
            // One more than is needed tells that the one before was read.
            if CHANGING.iter().any(|(other, polls)| *other == name && seq >= *polls) {
                of_reader.push(Vec::new());
                return Reply::Full(503, String::new(), Vec::new());
            }
            let body = match bodies.get(name) {
                Some(bodies) => bodies[of_reader.len() % bodies.len()].clone(),
                None => shop(seq).into_bytes(),
            };
            of_reader.push(body.clone());
            Reply::Chunked(body)
        });
        let address = &app.address;
        let config = format!(
            "readers:\n  shop: {{type_name: shop, endpoint: {address}/shop, interval: 20ms, gc_pauses: all}}\n  \
             influxd: {{type_name: influxd, endpoint: {address}/influxd, interval: 200ms, gc_pauses: all}}\n  \
             jaeger: {{type_name: jaeger, endpoint: {address}/jaeger, interval: 200ms, gc_pauses: all}}\n\
             recorders: {{es: {{endpoint: {}, index_name: \"changing-%Y\", timeout: 20s}}}}\n\
             routes: {{r: {{readers: [shop, influxd, jaeger], recorders: es}}}}\nsettings: {{shutdown_timeout: 60s}}\n",
            self.server.address
        );
        let all_served = || {
            let served = served.lock().expect("what was served");
            CHANGING.iter().all(|(name, polls)| served.get(*name).is_some_and(|bodies| bodies.len() as u64 > *polls))
        };
        let mut problems: Vec<String> = self.ship_until(&config, all_served).into_iter().collect();
        problems.extend(self.check_changing(&served.lock().expect("what was served")));
        problems
    }

    /// Runs the program until this holds, then ends it. What is wrong with that.
    fn ship_until(&self, config: &str, holds: impl FnMut() -> bool) -> Option<String> {
        let path = self.folder.join("conf.yml");
        fs::write(&path, config).expect("written");
        let arguments = ["-c", path.to_str().expect("a plain path")];
        let mut shipper = Running::start(&self.folder, "expvastic", Orphaned::Kill, release_binary(), &arguments);
        assert!(processes::wait_until(TIME_MAX, holds), "not all was polled in time");
        let status = shipper.terminate(TIME_MAX).expect("expvastic ends after SIGTERM");
        unless(status.code() == Some(0), || format!("it ended with {status}"))
    }

    fn check_changing(&self, served: &BTreeMap<String, Vec<Vec<u8>>>) -> Vec<String> {
        let documents = self.server.documents("changing-*");
        let mut problems: Vec<String> =
            unless(documents.len() == 200, || format!("{} documents instead of 200", documents.len()))
                .into_iter()
                .collect();
        for (name, polls) in CHANGING {
            let mut of_reader: Vec<&Flat> =
                documents.iter().filter(|document| document["service.name"] == name).collect();
            of_reader.sort_by_key(|document| document["@timestamp"].as_str().map(str::to_owned));
            problems
                .extend(unless(of_reader.len() as u64 == polls, || format!("{} documents of {name}", of_reader.len())));
            let mut reader =
                flatten_twin::Reader::new(Options { gc_pauses: flatten_twin::GcPauses::All, ..Options::default() });
            for (document, body) in of_reader.into_iter().zip(&served[name]) {
                let body = std::str::from_utf8(body).expect("strict JSON is UTF-8");
                let mut expected = flatten_twin::flat(reader.document(body).expect("something to ship"));
                expected
                    .extend(OWN_FIELDS.map(|name| (name.to_owned(), document.get(name).cloned().unwrap_or_default())));
                problems
                    .extend(differences(&expected, document).into_iter().map(|problem| format!("{name}: {problem}")));
            }
        }
        problems.extend(self.check_types());
        problems
    }

    /// Rates and names that were given to variables are stored as they were sent, and each rate with its fraction, the first
    /// one being none.
    fn rates_and_other_names(&self) -> Vec<String> {
        let polls = AtomicU64::new(0);
        let polls: &'static AtomicU64 = Box::leak(Box::new(polls));
        let app = loopback::Server::start(move |_| {
            let seq = polls.fetch_add(1, Relaxed);
            Reply::Chunked(format!(r#"{{"still":7,"app":{{"requests":{}}}}}"#, 7 * seq.saturating_sub(1)).into_bytes())
        });
        let sent = self.folder.join("rates.ndjson");
        let config = format!(
            "readers: {{r: {{type_name: app, endpoint: {}, interval: 50ms, rates: [\"**\"], rename: {{app: http}}}}}}\n\
             recorders: {{es: {{endpoint: {}, index_name: rates}}, sent: {{type: file, path: \"{}\", index_name: sent}}}}\n\
             routes: {{x: {{readers: r, recorders: [es, sent]}}}}\nsettings: {{shutdown_timeout: 60s}}\n",
            app.address,
            self.server.address,
            sent.display()
        );
        let mut problems: Vec<String> = self.ship_until(&config, || polls.load(Relaxed) > 10).into_iter().collect();
        let sent = fs::read_to_string(sent).expect("what was sent");
        let sent = sent.lines().skip(1).step_by(2).map(|line| serde_json::from_str::<Flat>(line).expect("strict JSON"));
        let stored = self.server.documents("rates");
        let time = |document: &Flat| document["@timestamp"].as_str().map(str::to_owned);
        let mut stored: BTreeMap<_, _> = stored.iter().map(|document| (time(document), document)).collect();
        let mut sum = 0.0;
        for sent in sent {
            sum += sent.get("http.requests_per_second").and_then(Value::as_f64).unwrap_or_default();
            match stored.remove(&time(&sent)) {
                Some(stored) => problems.extend(differences(&sent, stored)),
                None => problems.push(format!("{sent:?} is not stored")),
            }
        }
        problems.extend(unless(stored.is_empty(), || format!("nobody sent {stored:?}")));
        let query = r#"{"size":0,"aggs":{"sum":{"sum":{"field":"http.requests_per_second"}}}}"#;
        let answer = parsed(&http::post(&self.server.address, "/rates/_search", query));
        let summed = answer["aggregations"]["sum"]["value"].as_f64().unwrap_or(f64::NAN);
        let off = ((summed - sum) / sum).abs();
        problems.extend(unless(off < 1e-12, || format!("the rates sum to {summed}, expected {sum}")));
        problems
    }

    /// Whatever turns into what: the server has no reason to refuse it.
    fn values_and_objects(&self) -> Vec<String> {
        let file = self.folder.join("stories.ndjson").display().to_string();
        let ship_until = |config: &str, holds: &mut dyn FnMut() -> bool| self.ship_until(config, holds);
        values_and_objects::problems(&self.server.address, &file, ship_until, |index| self.server.documents(index))
    }

    /// What the mapping makes of numbers and names.
    fn check_types(&self) -> Vec<String> {
        let query = r#"{"size":0,"query":{"term":{"service.name":"shop"}},"aggs":{"f":{"avg":{"field":"memstats.GCCPUFraction"}},"alloc":{"max":{"field":"memstats.Alloc"}},"state":{"terms":{"field":"state"}}}}"#;
        let answer = parsed(&http::post(&self.server.address, "/changing-*/_search", query));
        let average = answer["aggregations"]["f"]["value"].as_f64().unwrap_or(f64::NAN);
        let polls = CHANGING[0].1;
        #[allow(clippy::cast_precision_loss, reason = "small")]
        let expected = (0..polls).map(fraction).sum::<f64>() / polls as f64;
        let off = ((average - expected) / expected).abs();
        eprintln!("{}: average fraction {average}, expected {expected}, off by {off:e}", self.engine.name);
        let mut problems: Vec<String> =
            unless(off < 1e-12, || format!("the average is {average}, expected {expected}")).into_iter().collect();
        let mapping = text(&http::get(&self.server.address, "/changing-*/_mapping"));
        let flat = mapping.contains(r#""web.requests./api/v1.2":{"type":"double"}"#);
        problems.extend(unless(flat == self.engine.flat, || format!("dotted names are mapped as {mapping}")));
        let alloc = if self.engine.flat { r#""memstats.Alloc":{"type":"long"}"# } else { r#""Alloc":{"type":"long"}"# };
        problems.extend(unless(mapping.contains(alloc), || "memstats.Alloc is no long".to_owned()));
        let states = answer["aggregations"]["state"]["buckets"].as_array().map_or(0, Vec::len);
        problems.extend(unless(states == 2, || format!("{states} states: strings are no keywords")));
        problems
    }

    fn template(&self, name: &str) -> Value {
        parsed(&http::get(&self.server.address, &format!("{}/{name}", self.engine.templates)))
    }

    /// A template is put in place once, is brought up to date on demand, and belongs to whoever has changed it.
    fn templates(&self) -> Vec<String> {
        let (_, app) = one_payload("goexpvar-1.26.8-plain.json");
        let config = |fields: usize| {
            format!(
                "readers: {{r: {{type_name: app, endpoint: {}, max_fields: {fields}}}}}\n\
                 recorders: {{e: {{endpoint: {}, index_name: \"mine-%Y.%m.%d\"}}}}\n\
                 routes: {{x: {{readers: r, recorders: e}}}}\n",
                app.address, self.server.address
            )
        };
        let name = "expvastic-mine-y.m.d";
        let mut problems = Vec::new();
        let mut setup = |fields: usize, code: i32, said: &str| {
            let output = self.expvastic(&["setup"], &config(fields));
            let out = text(&output.stdout);
            let is_so = out.contains(said) && output.status.code() == Some(code);
            problems.extend(unless(is_so, || format!("setup said {out}{}instead of {said}", text(&output.stderr))));
        };
        setup(1_000, 0, "created ");
        let created = self.template(name);
        setup(1_000, 0, " is up to date");
        let once = self.expvastic(&["once"], &config(3_000));
        let started = self.template(name) == created && once.status.code() == Some(0);
        setup(2_000, 0, "updated ");
        let updated = self.template(name);
        setup(2_000, 0, " is up to date");

        // A person's change, and nothing else.
        let stored = if self.engine.templates == "/_template" {
            &updated[name]
        } else {
            &updated["index_templates"][0]["index_template"]
        };
        let by_hand = stored.to_string().replace("1024", "2048");
        http::put(&self.server.address, &format!("{}/{name}", self.engine.templates), &by_hand);
        let changed = self.template(name);
        setup(2_000, 0, "was edited by hand and is left unchanged");
        setup(1_000, 0, "was edited by hand and is left unchanged");
        let _ = self.expvastic(&["once"], &config(2_000));
        let kept = self.template(name) == changed;

        if self.engine.name == "elasticsearch-7" {
            self.put_printed("Elasticsearch from 7.0 to 7.7", &config(1_000));
        }
        problems.extend(unless(started, || format!("a start changes the template, or says: {}", text(&once.stderr))));
        problems.extend(unless(updated != created && changed != updated, || "the template does not change".to_owned()));
        problems.extend(unless(kept, || "a changed template does not stay".to_owned()));
        problems
    }

    /// The template that `setup --print` shows for servers that are not among ours, put by hand into one that takes it.
    fn put_printed(&self, servers: &str, config: &str) {
        let shown = text(&self.expvastic(&["setup", "--print"], config).stdout);
        let (_, request) = shown.split_once(&format!("# e: {servers}\nPUT ")).expect("it is shown");
        let (path, rest) = request.split_once('\n').expect("a body");
        let body = rest.split("\n\n").next().expect("a body");
        http::put(&self.server.address, path, body);
        let stored = parsed(&http::get(&self.server.address, path));
        let (_, stored) = stored.as_object().expect("an object").iter().next().expect("a template");
        assert_eq!(stored["mappings"], parsed(body.as_bytes())["mappings"]);
    }

    fn data_streams(&self) -> Vec<String> {
        let (_, app) = one_payload("goexpvar-1.26.8-plain.json");
        let config = format!(
            "readers: {{r: {{type_name: app, endpoint: {}}}}}\n\
             recorders: {{e: {{endpoint: {}, data_stream: metrics-expvar-test}}}}\n\
             routes: {{x: {{readers: r, recorders: e}}}}\n",
            app.address, self.server.address
        );
        let codes = [0, 1].map(|_| self.expvastic(&["once"], &config).status.code());
        let stored = self.server.documents("metrics-expvar-test");
        let found = parsed(&http::get(&self.server.address, "/metrics-expvar-test/_search"));
        let index = found["hits"]["hits"][0]["_index"].as_str().unwrap_or_default().to_owned();
        let mut problems = Vec::new();
        problems.extend(unless(codes == [Some(0); 2] && stored.len() == 2, || {
            format!("data stream: {} documents", stored.len())
        }));
        problems.extend(unless(index.starts_with(".ds-") == self.engine.streams, || format!("the index is {index}")));
        problems
    }

    fn pipelines(&self) -> Vec<String> {
        let (_, app) = one_payload("goexpvar-1.26.8-plain.json");
        let config = |pipeline: &str| {
            format!(
                "readers: {{r: {{type_name: app, endpoint: {}}}}}\n\
                 recorders: {{e: {{endpoint: {}, index_name: piped, pipeline: {pipeline}}}}}\n\
                 routes: {{x: {{readers: r, recorders: e}}}}\n",
                app.address, self.server.address
            )
        };
        http::put(&self.server.address, "/_ingest/pipeline/the%20one", r#"{"processors":[]}"#);
        let there = self.expvastic(&["once"], &config("the one"));
        let missing = self.expvastic(&["once"], &config("another"));
        let log = text(&missing.stderr);
        let mut problems = Vec::new();
        problems.extend(unless(there.status.code() == Some(0), || format!("pipeline: {}", text(&there.stderr))));
        problems.extend(unless(missing.status.code() == Some(1) && log.contains("another"), || {
            format!("no pipeline: {log}")
        }));
        problems.extend(unless(self.server.documents("piped").len() == 1, || {
            "not one document by the pipeline".to_owned()
        }));
        problems
    }
}
