//! The hot path over every recorded payload: `cargo bench --bench hot_path`.
//!
//! - One group for each payload: our `flatten`, compared with a copy of the body, with simd-json's parse alone, with a
//!   `serde_json` tree and a recursion over it, and with a plain scanner that was written by hand. See `rivals/`.
//! - `body_to_sealed_bulk`: everything from a body to a bulk that is ready to be sent.
//! - At the end, a table of the ratios to simd-json's parse, and their targets. `-- --ratios` prints only this table, in half
//!   a minute, and `--record FILE` appends it to a file.
//!
//! Each round asserts that a document resulted.

#![allow(clippy::expect_used, reason = "a bench that cannot run says why")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

#[path = "rivals/contender.rs"]
mod contender;
#[path = "footprint/machine.rs"]
mod machine;
#[path = "rivals/ours.rs"]
mod ours;
#[path = "rivals/ratios.rs"]
mod ratios;
#[path = "../tests/support/recorded.rs"]
mod recorded;
#[path = "rivals/scanner.rs"]
mod scanner;
#[path = "rivals/tree.rs"]
mod tree;

use criterion::{Criterion, Throughput};
use expvastic::hot_path::HotPath;
use std::{error::Error, hint::black_box, path::Path, time::Duration};

/// Any error ends the bench with its text.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let is_given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // Checked before criterion parses the arguments, because it refuses unknown flags.
    if is_given("--ratios") {
        let record = arguments.iter().position(|argument| argument == "--record");
        return ratios::run(record.and_then(|at| arguments.get(at + 1)).map(Path::new));
    }
    let mut criterion = Criterion::default().configure_from_args();
    rivals(&mut criterion);
    body_to_sealed_bulk(&mut criterion);
    criterion.final_summary();
    if is_given("--bench") && !is_given("--test") && !is_given("--list") {
        ratios::run(None)?;
    }
    Ok(())
}

fn rivals(criterion: &mut Criterion) {
    for (name, body) in contender::payloads() {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(30);
        let mut kept = Vec::new();
        group.bench_function("memcpy", |bencher| {
            bencher.iter(|| {
                kept.clear();
                kept.extend_from_slice(black_box(&body));
                assert_eq!(black_box(&kept).len(), body.len());
            });
        });
        for mut contender in contender::all(&body) {
            group.bench_function(contender.name, |bencher| {
                bencher.iter_custom(|calls| (0..calls).map(|_| contender.time()).sum());
            });
        }
        group.finish();
    }
}

fn body_to_sealed_bulk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("body_to_sealed_bulk");
    for (name, mut body) in contender::payloads() {
        let mut hot_path = HotPath::new("app", "expvastic").expect("a good index name");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                hot_path.tick(black_box(&mut body)).expect("a document");
                let mut bytes = 0;
                assert!(hot_path.deliver(|bulk| bytes = bulk.len()));
                // The same body has no new garbage collections, so the shortest document has only some 800 bytes.
                assert!(bytes > 500, "the document is there");
            });
        });
    }
    group.finish();
}
