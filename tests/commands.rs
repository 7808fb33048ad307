//! The command line as a person uses it: what is printed where, and the exit codes.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Server, bulk_documents, counting_app, storing_server, wait_until};
use program::Program;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn expvastic(arguments: &[&str]) -> Output {
    let mut command = program::expvastic();
    command.args(arguments).output().expect("expvastic starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

fn config(app: &str, server: &str) -> String {
    format!(
        "readers: {{app: {{type_name: app, endpoint: \"{app}\", interval: 50ms, timeout: 2s}}}}\n\
         recorders: {{es: {{endpoint: \"{server}\", timeout: 2s}}}}\nroutes: {{r: {{readers: [app], recorders: [es]}}}}\n"
    )
}

#[test]
fn help_and_version_go_to_standard_output() {
    for flag in ["-h", "--help", "-help", "help"] {
        let output = expvastic(&[flag]);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        assert!(text(&output.stdout).contains("expvastic once --dry-run -c conf.yml"));
    }
    for flag in ["-V", "--version", "version"] {
        let output = expvastic(&[flag]);
        assert_eq!(text(&output.stdout), concat!("expvastic ", env!("CARGO_PKG_VERSION"), "\n"));
    }
}

#[test]
fn the_sample_is_the_reference_configuration() {
    assert_eq!(text(&expvastic(&["sample"]).stdout), include_str!("../expvastic.reference.yml"));
}

#[test]
fn the_help_and_the_page_have_the_same_commands_and_flags() {
    let page = include_str!("../docs/operate.md");
    let help = expvastic(&["help"]);
    let lines = text(&help.stdout).lines();
    let (mut commands, mut flags) = (0, 0);
    for line in lines {
        if let Some(usage) = line.strip_prefix("  expvastic ") {
            let command = usage.split(' ').next().unwrap_or_default();
            let is_there = page.contains(&format!("`expvastic {command}"));
            assert!(is_there || command == "run" || command.starts_with('-'), "docs/operate.md lacks {command}");
            commands += 1;
        } else if let Some(flag) = line.split_whitespace().find(|word| word.starts_with("--")) {
            assert!(page.contains(&format!("`{flag}")), "docs/operate.md lacks {flag}");
            flags += 1;
        }
    }
    assert!(commands > 10 && flags > 10, "{commands} commands, {flags} flags");
    let spool = expvastic(&["help", "spool"]);
    assert!(text(&spool.stdout).contains("--summary") && !text(&spool.stdout).contains("--dry-run"));
}

#[test]
fn exit_codes_tell_usage_from_configuration() {
    for (arguments, code, said) in [
        (
            &["--confg=x"][..],
            64,
            "expvastic: unknown flag --confg, did you mean --config?\nexpvastic -h shows the usage\n",
        ),
        (&["-c", "/nowhere.yml"], 78, "/nowhere.yml: file not found\n"),
        (
            &["check", "-c", "/nowhere"],
            78,
            "/nowhere: file not found (looked for /nowhere, /nowhere.yml, /nowhere.yaml)\n",
        ),
        (
            &["--reader", "ftp://x"],
            64,
            "expvastic: reader reader: the endpoint has the scheme \"ftp\", expected http or https\nexpvastic -h shows the usage\n",
        ),
        (
            &["--reader", "h:1", "--recorder", "es:9200-9201"],
            64,
            "expvastic: recorder recorder: \"es:9200-9201\" has a port range, which only readers support: list each server as host:port\nexpvastic -h shows the usage\n",
        ),
    ] {
        let output = expvastic(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!((text(&output.stdout), text(&output.stderr)), ("", said), "{arguments:?}");
    }
}

#[test]
fn once_ends_with_0_only_if_every_document_was_taken() {
    let (server, store) = storing_server();
    let app = counting_app();
    let mut program = Program::start(&["once"], &config(&app.address, &server.address));
    assert_eq!(program.wait(), Some(0));
    assert_eq!(store.lock().expect("the store").documents.len(), 1);
    assert_eq!(app.request_count(), 1, "one tick");

    let refusing = Server::start(|_| Reply::ok(r#"{"items":[{"create":{"status":400,"error":{"type":"t"}}}]}"#));
    assert_eq!(Program::start(&["once"], &config(&app.address, &refusing.address)).wait(), Some(1));
    let broken = Server::start(|_| Reply::ok("no JSON"));
    assert_eq!(Program::start(&["once"], &config(&broken.address, &server.address)).wait(), Some(1));
}

#[test]
fn a_dry_run_prints_the_bulk_and_ships_nothing() {
    let (server, _) = storing_server();
    let app = counting_app();
    let mut program = Program::start(&["once", "--dry-run"], &config(&app.address, &server.address));
    assert_eq!(program.wait(), Some(0));
    let documents = bulk_documents(program.read("stdout").as_bytes());
    assert_eq!(documents.len(), 1);
    let (index, id, source) = &documents[0];
    assert_eq!((index.as_str(), id.len()), ("expvastic", 20));
    assert_eq!((&source["poll_seq"], &source["service.name"]), (&0.into(), &"app".into()));
    assert_eq!(server.request_count(), 0, "nothing is shipped");
    let said = program.read("stderr");
    assert!(said.contains("dry run: 1 of 1 documents printed, none sent") && !said.contains("acked"), "{said}");
}

#[test]
fn without_a_file_the_flags_and_the_environment_describe_the_engine() {
    let (server, store) = storing_server();
    let app = counting_app();
    let mut command = program::expvastic();
    command.args(["once", &format!("-reader={}/debug/vars", app.address), "--type", "my_app", "-index=metrics"]);
    command.env("EXPVASTIC_RECORDER", &server.address).env("EXPVASTIC_TYPE", "not this");
    assert!(command.status().expect("expvastic starts").success());
    let store = store.lock().expect("the store");
    let ((index, _), source) = store.documents.first_key_value().expect("a document");
    assert_eq!((index.as_str(), &source["service.name"]), ("metrics", &"my_app".into()));
}

#[test]
fn without_a_file_a_range_of_ports_is_a_reader_for_each() {
    let output = expvastic(&["check", "--reader", "localhost:9-10/x", "--recorder", "es:1"]);
    assert_eq!(text(&output.stdout), "reader:9 → recorder\nreader:10 → recorder\n");
}

#[test]
fn a_signal_ships_what_waits_and_prints_the_ledger() {
    for signal in ["INT", "TERM"] {
        let (server, store) = storing_server();
        let app = counting_app();
        let mut program = Program::start(&[], &config(&app.address, &server.address));
        wait_until("some documents are stored", || store.lock().expect("the store").documents.len() > 2);
        program.signal(signal);
        assert_eq!(program.wait(), Some(0));
        let stored = store.lock().expect("the store").documents.len();
        let log = program.read("stderr");
        assert!(log.contains("app → es"), "it says what it routes where: {log}");
        assert!(log.contains(&format!("ledger: made {stored} = acked {stored} + duplicate 0")), "{stored}: {log}");
        assert_eq!(program.read("stdout"), "");
    }
}

#[test]
fn what_cannot_be_shipped_in_time_is_counted_and_the_exit_code_says_so() {
    let hung = Server::start(|_| Reply::Hang(Vec::new()));
    let app = counting_app();
    let text = format!("settings: {{shutdown_timeout: 200ms}}\n{}", config(&app.address, &hung.address));
    let mut program = Program::start(&[], &text);
    wait_until("some polls", || app.request_count() > 2);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(1));
    let log = program.read("stderr");
    assert!(log.contains("documents lost") && log.contains("dropped.shutdown="), "{log}");
    assert!(log.contains("shutdown_timeout (200ms) expired"), "{log}");
}

/// What is left is where it would be if the time to ship were over.
#[test]
fn a_second_signal_ends_the_shipping_at_once() {
    for (arguments, spool, first, second, code, said) in [
        (&[][..], "", "TERM", "INT", 1, "documents lost"),
        (&[], "spool: {path: spool}, ", "INT", "INT", 0, "left in the spool"),
        // It ships without having been told to.
        (&["once"], "", "TERM", "TERM", 1, "documents lost"),
    ] {
        let hung = Server::start(|_| Reply::Hang(Vec::new()));
        let app = counting_app();
        let text = format!("settings: {{shutdown_timeout: 1h}}\n{}", config(&app.address, &hung.address));
        let text = text.replace("{es: {", &format!("{{es: {{{spool}"));
        let mut program = Program::start(arguments, &text);
        wait_until("a bulk is under way", || hung.connections.load(Ordering::SeqCst) > 0);
        program.signal(first);
        wait_until("it ships what waits", || program.read("stderr").contains("received (send it again"));
        program.signal("HUP");
        wait_until("it says that it ends", || program.read("stderr").contains("already shutting down"));
        assert!(program.is_running());
        assert_eq!(program.hurry(second), Some(code), "{arguments:?}{spool}");
        let log = program.read("stderr");
        assert!(log.contains(&format!("SIG{second} received again: exiting without flushing")), "{log}");
        assert!(log.contains("ledger: made ") && log.contains(said), "{log}");
    }
}

#[test]
fn once_that_is_stopped_before_the_endpoint_has_answered_has_not_done_it() {
    let (server, _) = storing_server();
    let hung = Server::start(|_| Reply::Hang(Vec::new()));
    let mut program = Program::start(&["once"], &config(&hung.address, &server.address).replace("2s", "1h"));
    wait_until("the poll is under way", || hung.connections.load(Ordering::SeqCst) > 0);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(1));
    let log = program.read("stderr");
    assert!(log.contains("stopped before every endpoint had answered: those polls give no document polls=1"), "{log}");
}

#[test]
fn the_first_command_of_the_readme_prints_documents_until_it_is_interrupted() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/expvastic.example.yml");
    let mut command = program::expvastic();
    let mut child =
        command.args(["-c", example]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let first: Vec<String> = lines.by_ref().take(4).map(|line| line.expect("a line")).collect();
    let documents = bulk_documents(format!("{}\n", first.join("\n")).as_bytes());
    assert_eq!(documents[1].2["Read Jobs"], 2);
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill starts");
    assert!(interrupt.success());
    let rest: Vec<String> = lines.map(|line| line.expect("a line")).collect();
    assert_eq!(rest.len() % 2, 0, "no half document");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_reader_of_standard_output_that_goes_away_ends_it() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/expvastic.example.yml");
    let mut command = program::expvastic();
    let mut child =
        command.args(["-c", example]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("recorder stopped"), "{}", text(&output.stderr));
}

#[test]
fn log_lines_can_be_json() {
    let app = counting_app();
    let (server, _) = storing_server();
    let config = format!("settings: {{log_format: json, log_level: debug}}\n{}", config(&app.address, &server.address));
    let mut program = Program::start(&["once"], &config);
    assert_eq!(program.wait(), Some(0));
    let log = program.read("stderr");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    for line in &lines {
        assert!(line["time"].is_string() && line["level"].is_string() && line["message"].is_string());
    }
    let line =
        |field: &str| lines.iter().find(|line| !line[field].is_null()).unwrap_or_else(|| panic!("{field}: {log}"));
    assert_eq!((&line("bytes")["reader"], line("bytes")["bytes"].is_u64()), (&"app".into(), true));
    assert_eq!((&line("acked")["recorder"], &line("acked")["acked"]), (&"es".into(), &1.into()));
    assert!(line("product")["product"].is_string() && line("product")["version"].is_string());
}

#[test]
fn a_log_in_json_names_routes_and_gives_durations_in_milliseconds() {
    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    let app = Server::start(move |_| {
        if down.load(Ordering::SeqCst) {
            return Reply::Full(503, String::new(), Vec::new());
        }
        Reply::ok(r#"{"x":1}"#)
    });
    let (server, _) = storing_server();
    let config = format!("settings: {{log_format: json}}\n{}", config(&app.address, &server.address));
    let mut program = Program::start(&[], &config);
    wait_until("a failure is told", || program.read("stderr").contains("poll failed"));
    is_down.store(false, Ordering::SeqCst);
    wait_until("it is told that it is over", || program.read("stderr").contains("polling recovered"));
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    let log = program.read("stderr");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert!(lines.iter().any(|line| line["route"] == "app \u{2192} es"), "{log}");
    assert!(lines.iter().any(|line| line["outage_ms"].is_u64() && line["failures"].is_u64()), "{log}");
}

/// What is an integer for sure has a type of its own in the template, unless a reader calls something else by such a name.
#[test]
fn no_template_takes_for_an_integer_what_is_renamed_to_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("conf.yml");
    for (rename, integers) in [
        ("{}", true),
        ("{memstats.Alloc: heap, memstats: go}", true),
        ("{load: memstats.Alloc}", false),
        ("{load: process}", false),
    ] {
        let reader = format!("{{type_name: app, endpoint: \"localhost:1\", rename: {rename}}}");
        let routes = "recorders: {es: {endpoint: \"localhost:1\"}}\nroutes: {r: {readers: app, recorders: es}}\n";
        std::fs::write(&path, format!("readers: {{app: {reader}}}\n{routes}")).expect("written");
        let output = expvastic(&["setup", "--print", "-c", path.to_str().expect("UTF-8")]);
        let said = text(&output.stdout);
        assert!(said.contains("\"whole_numbers\""), "{rename}: {}", text(&output.stderr));
        assert_eq!(said.contains("\"integers\""), integers, "{rename}");
    }
}
