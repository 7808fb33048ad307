//! The way from a body to a sealed bulk, over every recorded payload: `cargo bench --bench hot_path`.
//!
//! The result is asserted in each round: a bulk that holds the document, and no less.

#![allow(missing_docs, reason = "made by criterion's macros")]
#![allow(clippy::expect_used, reason = "a bench that cannot run says why")]

#[path = "../tests/support/recorded.rs"]
mod recorded;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use expvastic::hot_path::HotPath;
use std::hint::black_box;

/// Those that are strict JSON.
fn payloads() -> Vec<(String, Vec<u8>)> {
    let mut payloads = recorded::payloads();
    payloads.retain(|(name, _)| !name.contains(".invalid."));
    assert!(payloads.len() >= 20, "only {} payloads", payloads.len());
    payloads
}

fn body_to_sealed_bulk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("body_to_sealed_bulk");
    for (name, mut body) in payloads() {
        let mut hot_path = HotPath::new("app", "expvastic").expect("a good index name");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                hot_path.tick(black_box(&mut body)).expect("a document");
                let mut bytes = 0;
                assert!(hot_path.deliver(|bulk| bytes = bulk.len()));
                assert!(bytes > 1_000, "the document is there");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, body_to_sealed_bulk);
criterion_main!(benches);
