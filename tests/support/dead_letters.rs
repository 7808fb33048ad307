//! Files of dead letters, the commands for them, and servers that accept or refuse each document.

use super::loopback::{Reply, Request, Server, Store, bulk_documents};
use super::program::Program;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;
use std::sync::{Arc, Mutex};

pub(crate) const LS: [&str; 2] = ["dead-letters", "ls"];
pub(crate) const RETRY: [&str; 2] = ["dead-letters", "retry"];

pub(crate) fn config(app: &str, server: &str, more: &str) -> String {
    format!(
        "settings: {{shutdown_timeout: 300ms}}\n\
         readers: {{app: {{type_name: app, endpoint: \"{app}\", interval: 5ms, timeout: 2s}}}}\n\
         recorders:\n  es: {{endpoint: \"{server}\", timeout: 20s, dead_letter: dead.ndjson{more}}}\n\
         routes: {{r: {{readers: [app], recorders: [es]}}}}\n"
    )
}

/// A letter as expvastic 0.1 wrote it.
pub(crate) fn letter(id: &str, document: &str) -> String {
    format!(
        "{{\"time\":\"2026-11-22T05:06:07.000000Z\",\"recorder\":\"es\",\"status\":400,\"reason\":\"mapper_parsing_exception\",\
         \"message\":\"failed to parse [n]\",\"action\":{},\"document\":{document}}}\n",
        action(id)
    )
}

pub(crate) fn action(id: &str) -> String {
    format!("{{\"create\":{{\"_index\":\"i\",\"_id\":\"{id}\"}}}}")
}

/// Adds a line.
pub(crate) fn line(text: String, line: impl AsRef<str>) -> String {
    text + line.as_ref() + "\n"
}

/// A program that has ended, with these files in its folder. Its reader's endpoint does not exist.
pub(crate) fn with_files(server: &str, more: &str, files: &[(&str, &str)]) -> (Program, String) {
    let config = config("localhost:1", server, more);
    let mut program = Program::start(&["check"], &config);
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
    for (name, text) in files {
        std::fs::write(program.path(name), text).expect("written");
    }
    (program, config)
}

pub(crate) fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The files of dead letters, and all other files whose names begin like theirs.
pub(crate) fn files(program: &Program) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(program.path("")).expect("the folder").map(|entry| entry.expect("an entry"));
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("dead.ndjson")).map(|name| (name.clone(), program.read(&name))).collect()
}

/// The ids of the letters in the files. Each line has to be a letter.
pub(crate) fn ids(program: &Program) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, text) in files(program).iter().filter(|(name, _)| !name.ends_with(".retrying")) {
        for line in text.lines() {
            let letter: serde_json::Value = serde_json::from_str(line).expect("a whole letter");
            found.insert(letter["action"]["create"]["_id"].as_str().expect("an id").to_owned());
        }
    }
    found
}

/// A server that stores documents, and permanently refuses those for whose id `is_refused` returns true.
pub(crate) fn judging_server(is_refused: impl Fn(&str) -> bool + Send + Sync + 'static) -> (Server, Arc<Mutex<Store>>) {
    let store = Arc::new(Mutex::new(Store::default()));
    let stored = Arc::clone(&store);
    let server = Server::start(move |request| judge(request, &stored, &is_refused));
    (server, store)
}

pub(crate) fn judge(request: &Request, store: &Mutex<Store>, is_refused: &dyn Fn(&str) -> bool) -> Reply {
    let ids: Vec<String> = bulk_documents(&request.body).into_iter().map(|(_, id, _)| id).collect();
    let refusal = |position: usize| is_refused(&ids[position]).then_some((400, "strict_dynamic_mapping_exception"));
    store.lock().expect("the store").take(&request.body, refusal)
}
