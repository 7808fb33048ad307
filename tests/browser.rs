//! The status page in headless Chromium, which shows it as a person would see it. Requires Chromium, so `ci/validate` runs this
//! test.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{counting_app, storing_server, wait_until};
use program::Program;
use std::path::Path;
use std::process::{Command, Stdio};

/// The document as the browser has it once it has loaded the page. It runs in a machine that is thrown away, maybe as
/// root, so without a sandbox, and asks nobody else.
fn dom(url: &str, profile: &Path) -> String {
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--timeout=20000"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--dump-dom", url])
        .stdin(Stdio::null())
        .output()
        .expect("chromium is there (bash .ci/run installs it)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The texts between these tags, in their order.
fn texts<'d>(dom: &'d str, tag: &str) -> Vec<&'d str> {
    let (begin, end) = (format!("<{tag}>"), format!("</{tag}>"));
    let cells = dom.split(begin.as_str()).skip(1);
    cells.filter_map(|rest| rest.split(end.as_str()).next()).map(str::trim).collect()
}

#[test]
fn a_person_sees_each_reader_and_each_recorder_with_its_ledger() {
    let (server, store) = storing_server();
    let app = counting_app();
    let config = format!(
        "settings: {{listen: \"127.0.0.1:0\"}}\n\
         readers: {{\"<script>alert(1)</script>&amp\": {{type_name: app, endpoint: \"{}\", interval: 20ms}}}}\n\
         recorders: {{search: {{endpoint: \"{}\"}}}}\n\
         routes: {{r: {{readers: [\"<script>alert(1)</script>&amp\"], recorders: [search]}}}}\n",
        app.address, server.address
    );
    let program = Program::start(&[], &config);
    wait_until("documents are stored", || store.lock().expect("the store").documents.len() > 3);
    let said = program.read("stderr");
    let url = said.lines().find_map(|line| Some(line.split_once("status pages at ")?.1)).expect("it says where");
    let profile = tempfile::tempdir().expect("a folder");
    let dom = dom(url, profile.path());

    assert_eq!(texts(&dom, "h2"), ["Readers", "Recorders"]);
    let (heads, cells) = (texts(&dom, "th"), texts(&dom, "td"));
    assert_eq!(heads.len(), cells.len(), "one reader, one recorder, and a cell for each column: {dom}");
    assert_eq!(cells[0], "&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp", "a name is text");
    assert!(!dom.contains("<script>"), "{dom}");
    let count = |head: &str| {
        let place = heads.iter().position(|other| *other == head).expect("the column");
        cells[place].parse::<u64>().expect("a count")
    };
    assert!(count("polls") > 3 && count("made") > 3, "{dom}");
    let ways_out = ["= acked", "+ duplicate", "+ dead-lettered", "+ dropped", "+ waiting"];
    assert_eq!(count("made"), ways_out.map(count).iter().sum::<u64>());
}
