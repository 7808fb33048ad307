//! How many bytes documents take in an index with the lean template, in one with `lean: false` and in one with `index_numbers:
//! false`, and that queries of every kind find the same in all of them.

use super::loopback::{self, Reply};
use super::processes::wait_until;
use super::server::parsed;
use super::{Bench, TIME_MAX, http, recorded, unless};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Mutex;

const DOCUMENTS: u64 = 1_500;
const INDICES: [&str; 3] = ["stored-full", "stored-lean", "stored-leanest"];

/// A Go program whose numbers change as those of a real one do.
struct Program {
    payload: Map<String, Value>,
    random: fastrand::Rng,
    polls: u64,
    /// Requests, errors and bytes of each handler.
    counts: [[u64; 3]; 20],
}

impl Program {
    fn new() -> Self {
        let payloads = recorded::payloads();
        let (_, plain) = payloads.iter().find(|(name, _)| name == "goexpvar-1.26.8-plain.json").expect("it is there");
        let Value::Object(payload) = parsed(plain) else { panic!("an object") };
        Self { payload, random: fastrand::Rng::with_seed(1), polls: 0, counts: [[0; 3]; 20] }
    }

    /// The payload of the next poll.
    fn poll(&mut self) -> Vec<u8> {
        self.polls += 1;
        let memstats = self.payload["memstats"].as_object_mut().expect("memstats");
        let mut add = |name: &str, more: u64| {
            let sum = memstats[name].as_u64().expect("an integer") + more;
            memstats[name] = sum.into();
            sum
        };
        let allocated = self.random.u64(10_000..200_000);
        add("TotalAlloc", allocated);
        add("Mallocs", allocated / 50);
        add("Frees", allocated / 60);
        if self.polls.is_multiple_of(4) {
            let (pause, number) = (self.random.u64(20_000..900_000), add("NumGC", 1));
            add("PauseTotalNs", pause);
            add("LastGC", 4_000_000_000);
            let at = usize::try_from((number + 255) % 256).expect("small");
            memstats["PauseNs"].as_array_mut().expect("a ring")[at] = pause.into();
        }
        for (name, least) in [("Alloc", 4_000_000), ("HeapAlloc", 4_000_000), ("HeapInuse", 6_000_000)] {
            memstats[name] = (least + self.random.u64(..4_000_000)).into();
        }
        memstats["HeapIdle"] = (8_000_000 - self.random.u64(..4_000_000)).into();
        memstats["HeapObjects"] = self.random.u64(20_000..60_000).into();
        memstats["GCCPUFraction"] = json!(self.random.f64() / 100.0);
        self.payload.insert("poll_seq".to_owned(), self.polls.into());
        self.payload.insert("requests".to_owned(), json!({"ok": self.polls * 7, "failed": self.polls / 100}));
        self.add_own_variables();
        serde_json::to_vec(&self.payload).expect("JSON")
    }
}

impl Program {
    /// Counters and averages of twenty handlers, as programs publish them: some are busy, most do little.
    fn add_own_variables(&mut self) {
        let mut handlers = Map::new();
        for at in 0..20_u64 {
            let busy = if at < 5 { 200 } else { 3 };
            let count = &mut self.counts[usize::try_from(at).expect("small")];
            count[0] += self.random.u64(..=busy);
            count[1] += u64::from(self.random.u64(..50) == 0);
            count[2] += self.random.u64(..=busy) * 1_300;
            let values = json!({
                "requests_total": count[0], "errors_total": count[1], "bytes_sent_total": count[2],
                "latency_ms_mean": f64::from(self.random.u16(..20_000)) / 1_000.0, "in_flight": self.random.u64(..=busy / 3),
            });
            handlers.insert(format!("/api/v1/resource-{at:02}"), values);
        }
        self.payload.insert("handlers".to_owned(), handlers.into());
    }
}

impl Bench<'_> {
    pub(super) fn storing(&self) -> Vec<String> {
        let program: &'static Mutex<Program> = Box::leak(Box::new(Mutex::new(Program::new())));
        let app = loopback::Server::start(move |_| Reply::Chunked(program.lock().expect("the program").poll()));
        let server = &self.server.address;
        let config = format!(
            "settings: {{shutdown_timeout: 60s}}\n\
             readers: {{r: {{type_name: shop, endpoint: {}, interval: 2ms}}}}\n\
             defaults: {{recorders: {{endpoint: {server}, index_settings: {{number_of_shards: 1}}}}}}\n\
             recorders:\n  full: {{index_name: stored-full, template: {{lean: false}}}}\n  lean: {{index_name: stored-lean}}\n  \
             leanest: {{index_name: stored-leanest, template: {{index_numbers: false}}}}\n\
             routes: {{x: {{readers: r, recorders: [full, lean, leanest]}}}}\n",
            app.address
        );
        let is_polled = || program.lock().expect("the program").polls > DOCUMENTS;
        let mut problems: Vec<String> = self.ship_until(&config, is_polled).into_iter().collect();
        let [full, lean, leanest] = INDICES.map(|index| self.bytes_a_document(index));
        let ratios = [lean / full, leanest / full];
        let [of_lean, of_leanest] = ratios;
        eprintln!("| {} | {full:.0} | {lean:.0} | {of_lean:.2} | {leanest:.0} | {of_leanest:.2} |", self.engine.name);
        let most = match self.engine.name {
            "elasticsearch-8" | "elasticsearch-9" => [0.45; 2],
            // Compression alone, unless something else is asked for.
            "opensearch-2" | "opensearch-3" => [0.75, 0.5],
            _ => [1.0; 2],
        };
        problems.extend(unless(of_lean <= most[0] && of_leanest <= most[1], || format!("ratios {ratios:?}")));
        problems.extend(self.queries());
        problems
    }

    /// Merges the index to one segment, and divides its size by the number of documents.
    fn bytes_a_document(&self, index: &str) -> f64 {
        let server = &self.server.address;
        let stats = || {
            http::post(server, &format!("/{index}/_forcemerge?max_num_segments=1&flush=true"), "");
            // An index that nobody searches keeps the old segments until it is refreshed.
            http::post(server, &format!("/{index}/_refresh"), "");
            parsed(&http::get(server, &format!("/{index}/_stats/store,segments,docs")))["_all"]["primaries"].clone()
        };
        assert!(wait_until(TIME_MAX, || stats()["segments"]["count"] == 1), "{index} is merged");
        let stats = stats();
        let number = |pointer: &str| stats.pointer(pointer).and_then(Value::as_f64).expect("a number");
        number("/store/size_in_bytes") / number("/docs/count")
    }

    /// Every kind of query that people make of numbers, texts and times.
    fn queries(&self) -> Vec<String> {
        let one = self.search(INDICES[0], &json!({"query": {"term": {"poll_seq": 700}}, "size": 1}));
        let source = &one["hits"]["hits"][0]["_source"];
        let [heap, fraction] = ["HeapAlloc", "GCCPUFraction"].map(|name| source[&format!("memstats.{name}")].clone());
        let at = source["@timestamp"].clone();
        let queries = [
            json!({"term": {"memstats.HeapAlloc": heap}}),
            json!({"terms": {"poll_seq": [3, 700, 1_200]}}),
            json!({"range": {"memstats.HeapAlloc": {"gte": heap, "lt": heap.as_u64().expect("an integer") + 500_000}}}),
            json!({"range": {"memstats.GCCPUFraction": {"lte": fraction}}}),
            json!({"range": {"@timestamp": {"lte": at}}}),
            json!({"exists": {"field": "memstats.PauseNs"}}),
            json!({"bool": {"must_not": {"exists": {"field": "memstats.PauseNs"}}}}),
            json!({"query_string": {"query": format!("memstats.HeapAlloc:{heap}")}}),
            json!({"query_string": {"query": "poll_seq:[100 TO 120] AND service.name:shop"}}),
            json!({"query_string": {"query": "poll_seq:>1400 OR requests.ok:70"}}),
            json!({"term": {"service.name": "shop"}}),
            json!({"prefix": {"service.name": "sh"}}),
            json!({"wildcard": {"service.name": "*op"}}),
            json!({"bool": {"filter": [{"range": {"poll_seq": {"gt": 5}}}, {"range": {"requests.failed": {"gte": 10}}}]}}),
        ];
        let found = |index: &str, query: &Value| -> BTreeSet<String> {
            let answer = self.search(index, &json!({"query": query, "size": 10_000, "_source": false}));
            let hits = answer["hits"]["hits"].as_array().cloned().unwrap_or_default();
            hits.iter().map(|hit| hit["_id"].as_str().expect("an id").to_owned()).collect()
        };
        let mut problems = Vec::new();
        for query in &queries {
            let [full, lean, leanest] = INDICES.map(|index| found(index, query));
            let is_so = lean == full && leanest == full && !full.is_empty();
            let counts = [full.len(), lean.len(), leanest.len()];
            problems.extend(unless(is_so, || format!("{query}: {counts:?} documents")));
        }
        let aggregations = json!({
            "largest": {"max": {"field": "memstats.HeapAlloc"}},
            "sum": {"sum": {"field": "poll_seq"}},
            "shares": {"histogram": {"field": "memstats.HeapObjects", "interval": 10_000}},
            "services": {"terms": {"field": "service.name"}},
            "pauses": {"value_count": {"field": "memstats.PauseNs"}},
        });
        let sorted = json!({"size": 20, "sort": [{"memstats.HeapAlloc": "desc"}, {"poll_seq": "asc"}], "_source": false, "aggs": aggregations});
        let [full, lean, leanest] = INDICES.map(|index| {
            let mut answer = self.search(index, &sorted);
            let hits = answer["hits"]["hits"].as_array().expect("hits");
            let ids: Vec<Value> = hits.iter().map(|hit| hit["_id"].clone()).collect();
            (ids, answer["aggregations"].take())
        });
        let is_so = lean == full && leanest == full && full.0.len() == 20;
        problems.extend(unless(is_so, || format!("sorted: {full:?}, {lean:?} and {leanest:?}")));
        problems
    }

    fn search(&self, index: &str, body: &Value) -> Value {
        parsed(&http::post(&self.server.address, &format!("/{index}/_search"), &body.to_string()))
    }
}
