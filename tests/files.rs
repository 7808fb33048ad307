//! Files that a recorder appends to, when the disk is full or others change them.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "threads of the test, not of the shipper")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Server, Store, bulk_documents, counting_app, wait_until};
use program::Program;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Output;

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
    program.make_room();
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
    wait_until("it goes on", || !program.documents("out.ndjson").is_empty());
    program.make_room();
    wait_until("there is more", || program.documents("out.ndjson").len() > 30);
    assert_each_poll_once(&(ours + &stop(program).read("out.ndjson")));
}

/// `expvastic ARGUMENTS` by a shell that redirects its output.
fn redirected(arguments: &str, redirection: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let config = "settings: {shutdown_timeout: 300ms}\nreaders: {own: {type: self, type_name: own, interval: 20ms}}\n\
                  recorders: {out: {type: file, path: \"-\"}}\nroutes: {r: {readers: own, recorders: out}}\n";
    std::fs::write(folder.path().join("conf.yml"), config).expect("written");
    let script = format!("\"$0\" {arguments} -c conf.yml {redirection}");
    let mut command = program::isolated("sh");
    command.current_dir(folder.path()).args(["-c", &script, program::BINARY]);
    command.output().expect("a shell")
}

#[test]
fn what_is_written_to_a_closed_standard_output_has_not_arrived() {
    const CLOSED: &str = "standard output was closed at start";
    let cases = [
        (">&-", CLOSED),
        ("<&- >&-", CLOSED),
        // As some programs open it that start others: it cannot be told apart.
        ("1<>/dev/null", CLOSED),
        (">/dev/full", "cannot write to -: No space left on device"),
    ];
    for arguments in ["once", "once --dry-run", "run"] {
        for (redirection, expected) in cases {
            if (arguments, redirection) == ("run", ">/dev/full") {
                // It waits for room until it is stopped.
                continue;
            }
            let output = redirected(arguments, redirection);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{arguments} {redirection}: {said}");
            assert!(said.contains(expected), "{arguments} {redirection}: {said}");
            let none_arrived =
                if arguments == "once --dry-run" { "dry run: 0 of 1 documents printed" } else { "= acked 0 + " };
            assert!(said.contains(none_arrived), "{arguments} {redirection}: {said}");
        }
    }
    let output = redirected("once", ">/dev/null");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("= acked 1 + "), "thrown away on purpose: {said}");
    let output = redirected("check", ">/dev/full");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output: No space left"));
}

#[test]
fn files_are_for_their_owner_unless_the_configuration_says_otherwise() {
    let (app, refused) = (counting_app(), std::sync::Mutex::new(Store::default()));
    let server = Server::start(move |request| {
        refused.lock().expect("the store").take(&request.body, |_| Some((400, "mapper_parsing_exception")))
    });
    for (mode, expected) in [("", 0o600), (", file_mode: 0644", 0o644), (", file_mode: \"0o660\"", 0o660)] {
        let config = format!(
            "readers: {{app: {{type_name: app, endpoint: \"{}\", interval: 5ms}}}}\nrecorders:\n  \
             out: {{type: file, path: out, bulk: {{age: 5ms}}, bytes: 64KiB{mode}}}\n  \
             es: {{endpoint: \"{}\", dead_letter: dead{mode}}}\n\
             routes: {{r: {{readers: [app], recorders: [out, es]}}}}\n",
            app.address, server.address
        );
        let program = Program::start(&[], &config);
        let mode =
            |name: &str| std::fs::metadata(program.path(name)).ok().map(|found| found.permissions().mode() & 0o777);
        wait_until("both are there", || mode("out").is_some() && mode("dead").is_some());
        // Its mode is set right behind its making.
        wait_until("it is as it is to be", || mode("out") == Some(expected) && mode("dead") == Some(expected));
        stop(program);
    }
}

/// Who can write into a folder must not be able to lead what is written there to another file.
#[test]
fn links_are_followed_to_what_is_there_and_never_those_of_another_user() {
    let app = counting_app();
    let own = Program::start_prepared(&config(&app.address, "link"), |folder| {
        File::create(folder.join("data.ndjson")).expect("made");
        symlink("data.ndjson", folder.join("link")).expect("linked");
    });
    wait_until("a link of one's own is followed", || own.documents("data.ndjson").len() > 3);
    stop(own);
    let dangling = Program::start_prepared(&config(&app.address, "link"), |folder| {
        symlink("nowhere", folder.join("link")).expect("linked");
    });
    wait_until("it says so", || dangling.read("stderr").contains("cannot write to link: No such file"));
    assert!(!dangling.path("nowhere").exists());
    let mut is_another_users = false;
    let others = Program::start_prepared(&config(&app.address, "link"), |folder| {
        File::create(folder.join("victim")).expect("made");
        symlink("victim", folder.join("link")).expect("linked");
        // Only root can give it away.
        is_another_users = std::os::unix::fs::lchown(folder.join("link"), Some(1), None).is_ok();
    });
    if is_another_users {
        wait_until("it says so", || others.read("stderr").contains("it is another user's symbolic link"));
        assert_eq!(others.read("victim"), "");
    }
}
