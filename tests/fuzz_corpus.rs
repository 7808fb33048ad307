//! Replays the committed inputs of the fuzz targets (`fuzz/corpus/TARGET`) with the checks of the targets, so that a fault that
//! was found once is found again without a fuzzer.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::duplicate_mod, reason = "each set of checks brings the strict reader of JSON that it wants")]
#![allow(clippy::print_stdout, reason = "the input is shown if its check fails")]

#[path = "support/answer_checks.rs"]
mod answer_checks;
#[path = "support/fuzz_checks.rs"]
mod fuzz_checks;
#[path = "support/spool_checks.rs"]
mod spool_checks;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

type Check = fn(&[u8]);

const TARGETS: [(&str, Check); 9] = [
    ("bulk_answer", answer_checks::bulk_answer),
    ("config", fuzz_checks::config),
    ("config_front", fuzz_checks::config_front),
    ("flatten_any", fuzz_checks::flatten_any),
    ("flatten_twin", fuzz_checks::flatten_twin),
    ("http_answer", answer_checks::http_answer),
    ("map_file", fuzz_checks::map_file),
    ("salvage", fuzz_checks::salvage),
    ("spool_folder", spool_checks::spool_folder),
];

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn replay(target: &str) {
    let (_, check) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target");
    let inputs = files(&format!("fuzz/corpus/{target}"));
    assert!(inputs.len() >= 20, "only {} inputs for {target}", inputs.len());
    for input in inputs {
        println!("{}", input.display());
        check(&std::fs::read(&input).expect("readable"));
    }
}

#[test]
fn bulk_answer() {
    replay("bulk_answer");
}

#[test]
fn http_answer() {
    replay("http_answer");
}

#[test]
fn config() {
    replay("config");
}

#[test]
fn config_front() {
    replay("config_front");
}

#[test]
fn flatten_any() {
    replay("flatten_any");
}

#[test]
fn flatten_twin() {
    replay("flatten_twin");
}

#[test]
fn map_file() {
    replay("map_file");
}

#[test]
fn salvage() {
    replay("salvage");
}

#[test]
fn spool_folder() {
    replay("spool_folder");
}

/// A target without a corpus, or a corpus without a target, would be forgotten.
#[test]
fn each_target_is_replayed() {
    let names = |folder: &str| -> BTreeSet<String> {
        let stem = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
        files(folder).iter().map(stem).collect()
    };
    let replayed: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz/fuzz_targets"), replayed);
    assert_eq!(names("fuzz/corpus"), replayed);
}
