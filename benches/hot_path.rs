//! The way from a body to a sealed bulk, over every recorded payload: `cargo bench --bench hot_path`.
//!
//! The result is asserted in each round: a bulk that holds the document, and no less.

#![allow(missing_docs, reason = "made by criterion's macros")]
#![allow(clippy::expect_used, reason = "a bench that cannot run says why")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use expvastic::hot_path::HotPath;
use std::hint::black_box;
use std::path::{Path, PathBuf};

fn payloads() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/payloads");
    let entries = std::fs::read_dir(folder).expect("the payloads are there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| !path.to_string_lossy().contains(".invalid."));
    paths.sort();
    assert!(paths.len() >= 20, "only {} payloads", paths.len());
    paths
}

fn body_to_sealed_bulk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("body_to_sealed_bulk");
    for path in payloads() {
        let mut body = std::fs::read(&path).expect("readable");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
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
