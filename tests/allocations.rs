//! Between the body of an answer and the sealed bulk, nothing is allocated once each kind of payload has been seen.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/recorded.rs"]
mod recorded;

use expvastic::Config;
use expvastic::hot_path::HotPath;

/// The largest body whose bulk's buffer is kept; what an outlier makes the buffers grow to is given back on purpose.
const KEPT_BODY_BYTES: usize = 128 << 10;

/// Texts that become numbers, some that do not, and arrays by key, some of whose elements have none.
const TEXTS: &str = r#"{"uptime":"72h3m0.5s","text":{"latency":"1.5\u00b5s","list":["1ms","2.5ms",["3h"]],"none":"1 day",
    "ratio":"007.250","size":"1.5 GB","mixed":["1s","x"]},"table":[{"t":"1s","n":"a"},{"t":"2s","n":"b"}],
    "Gauges":[{"Name":"consul.runtime.alloc_bytes","Value":4704344,"Labels":{}},{"Value":1,"Na\u006de":"x\u0079"},
    {"Name":"consul.runtime.alloc_bytes","Value":2},{"Value":3},4],"requests":"12",
    "memstats":{"Alloc":1234567,"Sys":7654321,"NumGC":3,"PauseTotalNs":6,"Mallocs":100}}"#;

/// Every recorded payload but the outlier, with room for the padding that the index wants.
fn payloads() -> Vec<(String, Vec<u8>)> {
    let mut payloads = recorded::payloads();
    let all = payloads.len();
    payloads.retain(|(_, body)| body.len() <= KEPT_BODY_BYTES);
    assert_eq!(all - payloads.len(), 1, "one payload of a megabyte is left out");
    assert!(payloads.len() > 20, "only {} payloads", payloads.len());
    // One that is not followed as it is.
    let plain = recorded::payloads().into_iter().find(|(name, _)| name.contains("-plain.")).expect("a plain payload").1;
    let plain = String::from_utf8(plain).expect("a payload is UTF-8");
    let tangled = plain.replacen("{\n", "{\n\"err\": unexpected } here: \"{\",\n\"price\": 1,234,\n", 1);
    assert!(tangled.len() > plain.len(), "it is written a variable a line");
    payloads.push(("tangled".to_owned(), tangled.into_bytes()));
    payloads.push(("texts".to_owned(), TEXTS.as_bytes().to_vec()));
    for (_, body) in &mut payloads {
        body.reserve(64);
    }
    payloads
}

/// A reader many of whose numbers are shipped with their change, too.
fn with_rates(pattern: &str) -> HotPath {
    let yaml = format!(
        "readers: {{app: {{type_name: app, endpoint: \"localhost:1\", rates: [\"{pattern}\", \"memstats.**\"], \
         max_fields: 100000}}}}\nrecorders: {{out: {{type: file, path: \"-\"}}}}\n\
         routes: {{r: {{readers: [app], recorders: [out]}}}}\n"
    );
    let config = Config::parse("test", &yaml, &|_| None).expect("a good configuration");
    HotPath::of_config(&config).expect("a good reader")
}

/// A reader with every key that changes what a document is made of. Its map file is in a folder that is removed again.
fn with_everything() -> HotPath {
    let folder = tempfile::tempdir().expect("a folder");
    let maps = folder.path().join("maps.yml");
    std::fs::write(&maps, "gc_types: [memstats.PauseNs]\nmemory_bytes: {Sys: mb, memstats.Alloc: kb}\n")
        .expect("a file");
    let yaml = format!(
        "readers:\n  app:\n    type_name: app\n    endpoint: \"localhost:1\"\n    include: [\"**\"]\n    \
         exclude: [cmdline, \"memstats.BySize.**\", \"**.nothing\"]\n    max_fields: 100000\n    dots: underscore\n    \
         gc_pauses: new\n    rates: [\"**req*\", \"memstats.**\", uptime]\n    labels: {{env: test, zone: eu}}\n    \
         rename: {{memstats.Alloc: heap, text.size: bytes}}\n    map_file: {}\n    host_name: here\n    \
         object_arrays: {{Gauges: Name, Counters: Name, Samples: Name}}\n    \
         convert: {{uptime: duration, \"**.ratio\": number, \"text.size\": size, requests: number, \"text.**\": {{unit: ms}}, \
         \"table.*\": duration, \"**.time\": {{unit: s}}}}\nrecorders: {{out: {{type: file, path: \"-\"}}}}\n\
         routes: {{r: {{readers: [app], recorders: [out]}}}}\n",
        maps.display()
    );
    let config = Config::parse("test", &yaml, &|_| None).expect("a good configuration");
    HotPath::of_config(&config).expect("a good reader")
}

/// Runs something on the way from body to sealed bulk. Returns its result, and how often it allocated or reallocated: on
/// this thread, as the test harness has one that allocates when a test takes long.
fn counted<T>(run: impl FnOnce() -> T) -> (T, u64) {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(run()));
    (result.expect("it has run"), info.count_total)
}

#[test]
fn a_reallocation_counts() {
    assert_eq!(counted(|| Vec::<u8>::with_capacity(10)).1, 1);
    let mut grown = vec![0_u8; 10];
    assert_eq!(counted(|| grown.reserve(1000)).1, 1);
}

/// One reader for each payload: its layout is learned once and then followed.
#[test]
fn following_a_layout_allocates_nothing() {
    let plain = || HotPath::new("app", "expvastic").expect("a good index name");
    for (mut path, (name, mut body)) in payloads().into_iter().flat_map(|payload| {
        [(plain(), payload.clone()), (with_rates("**req*"), payload.clone()), (with_everything(), payload)]
    }) {
        body.reserve(64);
        for tick in 0..8 {
            let (outcome, allocations) = counted(|| path.tick(&mut body));
            outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(path.deliver(|bulk| assert!(bulk.len() > 500)), "{name} was sealed");
            if tick >= 4 {
                assert_eq!(allocations, 0, "{name}");
            }
        }
    }
}

/// What the reader with everything makes of texts and of arrays by key: the test above would prove nothing otherwise.
#[test]
fn everything_that_is_configured_is_done() {
    let mut path = with_everything();
    let document = path.flatten(&mut TEXTS.as_bytes().to_vec()).expect("a document").to_vec();
    let document = String::from_utf8(document).expect("UTF-8");
    for part in [
        r#""uptime":259380500000000"#,
        r#""text.latency":0.0015,"text.list":[1.0,2.5,[10800000.0]],"text.none":"1 day","text.ratio":7.250,"bytes":1500000000"#,
        r#""text.mixed":["1s","x"]"#,
        r#""table.t":[1000000000,2000000000],"table.n":["a","b"]"#,
        r#""Gauges.consul_runtime_alloc_bytes.Value":4704344,"Gauges.xy.Value":1,"requests":12,"heap":1205.6"#,
    ] {
        assert!(document.contains(part), "{part} in {document}");
    }
}

/// One reader for all payloads in turn: each is learned anew.
#[test]
fn learning_a_layout_allocates_nothing() {
    let plain = |index_name| (index_name, HotPath::new("app", index_name).expect("a good index name"));
    let paths = [
        plain("expvastic"),
        plain("expvastic-%Y.%m.%d"),
        ("rates", with_rates("**req*")),
        ("everything", with_everything()),
    ];
    for (index_name, mut path) in paths {
        let mut payloads = payloads();
        let mut shipped_bytes = 0;
        let mut round = |count: bool| {
            for (name, body) in &mut payloads {
                let (outcome, allocations) = counted(|| path.tick(body));
                if count {
                    assert_eq!(allocations, 0, "{name} into {index_name}");
                }
                outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(path.deliver(|bulk| shipped_bytes += bulk.len()), "{name} was sealed");
            }
        };
        // The first rounds let the buffers grow: those of the pool take turns.
        for _ in 0..4 {
            round(false);
        }
        for _ in 0..3 {
            round(true);
        }
        assert!(shipped_bytes > 500_000, "something was shipped: {shipped_bytes} bytes");
    }
}

/// Each payload by a reader of its own, then by one for all; without a bulk, as with twice the names some would be outliers.
#[test]
fn comparing_every_number_allocates_nothing() {
    let mut one_for_all = with_rates("**");
    let mut shipped = 0;
    let mut measure = |path: &mut HotPath, body: &mut Vec<u8>, name: &str, count: bool| {
        let (outcome, allocations) = counted(|| path.flatten(body));
        let document = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        if count {
            shipped += memchr::memmem::find_iter(document, "_per_second\":").count();
            assert_eq!(allocations, 0, "{name}");
        }
    };
    let mut payloads = payloads();
    for (name, body) in &mut payloads {
        let mut alone = with_rates("**");
        (0..8).for_each(|tick| measure(&mut alone, body, name, tick >= 4));
    }
    for round in 0..7 {
        for (name, body) in &mut payloads {
            measure(&mut one_for_all, body, name, round >= 4);
        }
    }
    assert!(shipped > 10_000, "only {shipped} rates");
}
