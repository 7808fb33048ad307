//! Payloads that change from poll to poll: no document is missing or stored twice, and every number is right.

use super::flatten_twin::{self, Flat, Options};
use super::loopback::{self, Reply};
use super::server::{differences, parsed};
use super::{Bench, OWN_FIELDS, http, recorded, text, unless};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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
    pub(super) fn changing_payloads(&self) -> Vec<String> {
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
        let flat = mapping.contains(r#""web.requests./api/v1.2":{"type":"double""#);
        problems.extend(unless(flat == self.engine.flat, || "dotted names are mapped in another way".to_owned()));
        let alloc = if self.engine.flat { r#""memstats.Alloc":{"type":"long""# } else { r#""Alloc":{"type":"long""# };
        problems.extend(unless(mapping.contains(alloc), || "memstats.Alloc is no long".to_owned()));
        let states = answer["aggregations"]["state"]["buckets"].as_array().map_or(0, Vec::len);
        problems.extend(unless(states == 2, || format!("{states} states: strings are no keywords")));
        problems
    }

    /// Rates and names that were given to variables are stored as they were sent, and each rate with its fraction, the first
    /// one being none.
    pub(super) fn rates_and_other_names(&self) -> Vec<String> {
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
}
