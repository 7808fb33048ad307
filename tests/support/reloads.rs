//! Configurations that are loaded again by SIGHUP, and what became of the documents.
#![allow(dead_code, reason = "each test takes what it needs of it")]

use super::loopback::{Store, wait_until};
use super::program::Program;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// A configuration with these lines and the reader `app`, which is the same in every configuration.
pub(crate) fn config(app: &str, readers: &str, recorders: &str, routes: &str) -> String {
    format!(
        "settings: {{shutdown_timeout: 300ms}}\n\
         readers:\n  app: {{type_name: app, endpoint: \"{app}\", interval: 10ms, timeout: 2s}}\n{readers}\
         recorders:\n{recorders}\nroutes: {{{routes}}}\n"
    )
}

/// A configuration with a single recorder, which has this name and these keys.
pub(crate) fn only(app: &str, name: &str, keys: &str) -> String {
    config(app, "", &format!("  {name}: {{{keys}}}"), &format!("r: {{readers: [app], recorders: [{name}]}}"))
}

pub(crate) fn loaded(program: &Program) -> usize {
    program.read("stderr").matches("configuration reloaded: ").count()
}

/// Loads another configuration, and returns the text of the log line about it.
pub(crate) fn reload(program: &Program, config: &str) -> String {
    std::fs::write(program.path("conf.yml"), config).expect("written");
    let before = loaded(program);
    program.signal("HUP");
    wait_until("it is loaded", || loaded(program) > before);
    let said = program.read("stderr");
    let line = said.lines().rfind(|line| line.contains("configuration reloaded: ")).expect("the line");
    line.split_once("reloaded: ").expect("what it says").1.to_owned()
}

pub(crate) fn sequence(store: &Mutex<Store>) -> BTreeSet<u64> {
    let store = store.lock().expect("the store");
    let numbers: Vec<u64> = store.documents.values().filter_map(|document| document["poll_seq"].as_u64()).collect();
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "no document twice");
    distinct
}

pub(crate) fn up_to(end: u64) -> BTreeSet<u64> {
    (0..end).collect()
}

/// The ledgers of this recorder in the order of the log: for each of them, the numbers behind these words.
pub(crate) fn ledgers(program: &Program, recorder: &str, words: &[&str]) -> Vec<Vec<u64>> {
    let said = program.read("stderr");
    let its = said.lines().filter(|line| line.contains("ledger: made ") && line.ends_with(&format!("={recorder}")));
    let number = |line: &str, word: &str| {
        let (_, behind) = line.split_once(&format!("{word} ")).expect("the word");
        behind.split([' ', ')']).next().and_then(|number| number.parse().ok()).expect("a number")
    };
    its.map(|line| words.iter().map(|word| number(line, word)).collect()).collect()
}

/// The number of documents in the last ledger of this recorder. Panics unless all of them were accepted.
pub(crate) fn all_taken(program: &Program, recorder: &str) -> u64 {
    let words = ["made", "acked", "duplicate", "dead_lettered", "dropped", "waiting"];
    let ledger = ledgers(program, recorder, &words).pop().expect("a ledger");
    assert_eq!(ledger[0], ledger[1] + ledger[2], "{}", program.read("stderr"));
    ledger[0]
}

pub(crate) fn stop(program: &mut Program) -> Option<i32> {
    program.signal("TERM");
    program.wait()
}
