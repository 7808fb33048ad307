//! `settings.memory_limit`: how many documents fit, and how much memory the process takes with them. Runs the program itself.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "a test has threads")]
#![allow(clippy::print_stderr, reason = "a test that measures says what it has seen")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Reserved, Server, wait_until};
use program::Program;

const MEMORY_LIMIT: usize = 4 << 20;
/// A portion that is copied, the bodies that arrive, and what the heap takes beside what it was asked for.
const SLACK_KB: u64 = (MEMORY_LIMIT >> 10) as u64 / 16 + 512;

/// So many documents wait when it is looked at what the process takes without them.
const POLLS_AT_FIRST: usize = 20;

/// Ten readers of one endpoint, whose documents have so much padding.
fn config(app: &str, server: &str, bulk: &str) -> String {
    let readers: Vec<String> = (0..10)
        .map(|number| format!("  app{number}: {{type_name: app, endpoint: \"{app}\", interval: 2ms, timeout: 2s}}\n"))
        .collect();
    let readers = readers.concat();
    let names: Vec<String> = (0..10).map(|number| format!("app{number}")).collect();
    format!(
        "settings: {{memory_limit: {MEMORY_LIMIT}, shutdown_timeout: 100ms}}\nreaders:\n{readers}\
         recorders: {{es: {{endpoint: \"{server}\", backoff: 1000, bulk: {{{bulk}}}}}}}\n\
         routes: {{r: {{readers: [{}], recorders: [es]}}}}\n",
        names.join(", ")
    )
}

/// The number behind a field's name in the first line that says that memory is full.
fn when_full(program: &Program, field: &str) -> usize {
    let said = program.read("stderr");
    let line = said.lines().find(|line| line.contains("settings.memory_limit reached")).expect("it is full");
    let (_, behind) = line.split_once(&format!("{field}=")).expect("the field");
    behind.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn it_is_full_of_documents_before_the_first_is_dropped_and_the_process_takes_no_more() {
    let nobody = Reserved::new();
    for (padding, bulk) in [
        (300, "documents: 1"),
        (300, "documents: 500"),
        (4_000, "documents: 10"),
        (4_000, "documents: 500, bytes: 16KiB"),
        (40_000, "documents: 500"),
        (40_000, "documents: 1, bytes: 50KiB"),
    ] {
        let body = format!("{{\"padding\":\"{}\"}}", "x".repeat(padding));
        let app = Server::start(move |_| Reply::ok(body.clone()));
        let mut program = Program::start(&[], &config(&app.address, &nobody.address, bulk));
        wait_until("it polls", || app.request_count() > POLLS_AT_FIRST);
        let (at_first_kb, code_at_first_kb) = (program.status("VmHWM"), program.status("RssFile"));
        let document = program.beside(&["once", "--dry-run"]).stdout.len() / 10;
        wait_until("memory is full", || program.read("stderr").contains("settings.memory_limit reached"));
        let held = (when_full(&program, "waiting") + when_full(&program, "dropped")) * document;
        let polled = app.request_count();
        wait_until("as many again", || app.request_count() > polled + MEMORY_LIMIT / document);
        // Code that has not run before is no memory for documents. A debug build has a lot of it.
        let peak_kb = program.status("VmHWM") - (program.status("RssFile") - code_at_first_kb);
        program.signal("TERM");
        program.wait();
        let percent = held * 100 / MEMORY_LIMIT;
        let more_kb = peak_kb - at_first_kb + (POLLS_AT_FIRST * document / 1024) as u64;
        eprintln!("{bulk}, {document} bytes each: {percent} % are documents; {more_kb} kB more than at first");
        assert!((85..=100).contains(&percent), "{percent} %");
        assert!(more_kb <= (MEMORY_LIMIT >> 10) as u64 + SLACK_KB, "{more_kb} kB");
    }
}
