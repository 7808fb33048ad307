//! Files that a recorder appends to: what a full disk and other hands make of them.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "threads of the test, not of the shipper")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{bulk_documents, counting_app, wait_until};
use program::Program;
use std::fs::{File, OpenOptions};
use std::io::Write;

/// No file grows beyond this: a number that no document ends at.
const FILE_BYTES_MAX: usize = 11 * 512;

fn config(app: &str, path: &str) -> String {
    format!(
        "readers: {{app: {{type_name: app, endpoint: \"{app}\", interval: 5ms}}}}\n\
         recorders: {{out: {{type: file, path: \"{path}\", bulk: {{age: 50ms}}}}}}\n\
         routes: {{r: {{readers: [app], recorders: [out]}}}}\n"
    )
}

/// Strict `_bulk` text that holds each poll once, in their order.
fn assert_each_poll_once(text: &str) {
    let documents = bulk_documents(text.as_bytes());
    let polls: Vec<u64> = documents.iter().map(|(.., source)| source["poll_seq"].as_u64().expect("a number")).collect();
    assert!(polls.len() > 50, "{}", polls.len());
    assert_eq!(polls, (0..polls.len() as u64).collect::<Vec<_>>());
}

fn stop(mut program: Program) -> Program {
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    program
}

#[test]
fn standard_output_goes_on_from_where_the_disk_was_full() {
    let app = counting_app();
    let program = Program::start_within(FILE_BYTES_MAX, &config(&app.address, "-"));
    let (mut written, mut torn) = (String::new(), 0);
    for _ in 0..4 {
        wait_until("the disk is full", || program.read("stdout").len() == FILE_BYTES_MAX);
        wait_until("it says so", || program.read("stderr").contains("cannot write to -: File too large"));
        let part = program.read("stdout");
        torn += usize::from(!part.ends_with('\n'));
        written += &part;
        File::create(program.path("stdout")).expect("emptied");
    }
    assert!(torn > 0, "a line was cut in two");
    assert_each_poll_once(&(written + &stop(program).read("stdout")));
}

#[test]
fn a_file_on_a_full_disk_holds_whole_documents_and_those_of_others_and_goes_on_when_it_is_moved() {
    const THEIRS: &str = "{\"create\":{\"_index\":\"i\",\"_id\":\"theirs\"}}\n{\"theirs\":1}\n";
    let app = counting_app();
    let program = Program::start_within(FILE_BYTES_MAX, &config(&app.address, "out.ndjson"));
    wait_until("some documents", || program.documents("out.ndjson").len() > 3);
    let mut other = OpenOptions::new().append(true).open(program.path("out.ndjson")).expect("it is there");
    other.write_all(THEIRS.as_bytes()).expect("appended");
    let is_full = || program.read("stderr").contains("cannot write to out.ndjson: File too large");
    wait_until("the disk is full", is_full);
    std::fs::rename(program.path("out.ndjson"), program.path("shipped.ndjson")).expect("moved");
    let shipped = program.read("shipped.ndjson");
    assert!((FILE_BYTES_MAX / 2..FILE_BYTES_MAX).contains(&shipped.len()), "{}", shipped.len());
    let ours = shipped.replacen(THEIRS, "", 1);
    assert_eq!(ours.len() + THEIRS.len(), shipped.len(), "what others have appended is still there");
    wait_until("it goes on", || program.documents("out.ndjson").len() > 30);
    assert_each_poll_once(&(ours + &stop(program).read("out.ndjson")));
}
