//! A real server that is started for a test, and stopped in any case. Reads and checks the documents that are stored in it.
#![allow(dead_code, reason = "each test takes what it needs of it")]

use super::flatten_twin::Flat;
use super::http;
use super::processes::{Orphaned, Running, Workdir};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The time for the start of a server. The first start downloads and unpacks it.
const SERVER_TIME_MAX: Duration = Duration::from_secs(900);

/// The most documents that a search returns. Tests have far fewer.
const DOCUMENTS_MAX: usize = 10_000;
const PROBLEMS_SHOWN_MAX: usize = 30;
const VALUE_CHARS_MAX: usize = 300;

/// A server takes half a gigabyte, so there is never more than one.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE_SERVER: Mutex<()> = Mutex::new(());
    ONE_SERVER.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Server {
    _running: Running,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start(folder: &Workdir, engine: &str) -> Self {
        Self::start_with(folder, engine, &[])
    }

    /// Starts a server with further arguments for `serve`. Its data is in the subfolder `server`.
    pub(crate) fn start_with(folder: &Workdir, engine: &str, more: &[&str]) -> Self {
        let data = folder.join("server");
        let mut arguments = vec![engine, "--port", "0", "--data", data.to_str().expect("a plain path")];
        arguments.extend(more);
        let serve = tests_folder().join("servers/serve");
        let mut running = Running::start(folder, "serve", Orphaned::Terminate, serve, &arguments);
        let ready = running.wait_for_lines("ready ", 1, SERVER_TIME_MAX).remove(0);
        let url = ready.split(' ').find_map(|word| word.strip_prefix("http")).expect("a URL in the ready line");
        let address = url.trim_start_matches('s').trim_start_matches("://");
        Self { address: address.to_owned(), _running: running }
    }

    /// Every document that a search of the index can find, as it was sent. (A `filter_path` would make the server
    /// print each number anew.)
    pub(crate) fn documents(&self, index: &str) -> Vec<Flat> {
        http::post(&self.address, &format!("/{index}/_refresh"), "");
        let path = format!("/{index}/_search?size={DOCUMENTS_MAX}");
        let answer: Value = parsed(&http::get(&self.address, &path));
        let hits = answer["hits"]["hits"].as_array().cloned().unwrap_or_default();
        // (Not by `from_value`, which would read each number anew.)
        let source = |mut hit: Value| match hit["_source"].take() {
            Value::Object(members) => members.into_iter().collect(),
            other => panic!("no object: {other}"),
        };
        let documents: Vec<Flat> = hits.into_iter().map(source).collect();
        let count: Value = parsed(&http::get(&self.address, &format!("/{index}/_count")));
        assert_eq!(count["count"].as_u64(), u64::try_from(documents.len()).ok(), "_count and _search of {index}");
        documents
    }
}

/// The program as it is shipped.
pub(crate) fn release_binary() -> PathBuf {
    let debug = Path::new(env!("CARGO_BIN_EXE_expvastic"));
    let target = debug.parent().and_then(Path::parent).expect("the target folder");
    let release = target.join("release/expvastic");
    assert!(release.is_file(), "{} is not there: run `cargo build --release` first", release.display());
    release
}

/// Fails if there are problems, and shows the first of them.
pub(crate) fn assert_none(engine: &str, problems: &[String]) {
    let shown = problems.iter().take(PROBLEMS_SHOWN_MAX).cloned().collect::<Vec<_>>().join("\n");
    assert!(problems.is_empty(), "{engine}: {} problems\n{shown}", problems.len());
}

/// Compares name by name, with numbers as exact decimals.
pub(crate) fn differences(expected: &Flat, stored: &Flat) -> Vec<String> {
    let missing = expected.iter().filter(|(name, _)| !stored.contains_key(*name));
    let extra = stored.iter().filter(|(name, _)| !expected.contains_key(*name));
    let other = expected.iter().filter_map(|(name, value)| {
        let got = stored.get(name).filter(|&got| got != value)?;
        Some(format!("{name}: expected {}, stored {}", shortened(value), shortened(got)))
    });
    let missing = missing.map(|(name, value)| format!("{name}: {} is missing", shortened(value)));
    let extra = extra.map(|(name, value)| format!("{name}: {} is too much", shortened(value)));
    missing.chain(extra).chain(other).collect()
}

/// Shortens a text, because a ring of 256 numbers would hide the other problems.
fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    text.chars().take(VALUE_CHARS_MAX).chain("…".chars()).collect()
}

pub(crate) fn parsed(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(json)))
}

pub(crate) fn tests_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}
