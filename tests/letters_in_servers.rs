//! Dead letters of real servers, sent again after the cause is gone: a document has more fields than the index allows.
//!
//! Requires what `tests/every_server.rs` wants; run it with `cargo test --test letters_in_servers`.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "a test has deadlines of its own")]
#![allow(clippy::print_stderr, reason = "a failed test says where its logs are, a good one what it saw")]

#[path = "support/flatten_twin.rs"]
mod flatten_twin;
#[path = "support/http.rs"]
mod http;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/program.rs"]
mod program;
#[path = "support/server.rs"]
mod server;

use loopback::Reply;
use processes::Workdir;
use program::Program;
use server::{Server, parsed};
use std::process::Output;

macro_rules! tests_of_engines {
    ($($test:ident $engine:literal)+) => {$(
        #[test]
        fn $test() {
            check($engine);
        }
    )+};
}

tests_of_engines! {
    elasticsearch_5 "elasticsearch-5"
    elasticsearch_6 "elasticsearch-6"
    elasticsearch_7 "elasticsearch-7"
    elasticsearch_8 "elasticsearch-8"
    elasticsearch_9 "elasticsearch-9"
    opensearch_2 "opensearch-2"
    opensearch_3 "opensearch-3"
}

/// Beyond the digits of a double, and names that an index of five fields has no room for.
const PAYLOAD: &str = r#"{"big":9007199254740993,"most":18446744073709551614,"f":0.1000000000000000055511151231257827,
"text":"a\",\"document\":{\"x\":1}}","g":1.0,"h":-1E-7,"i":1,"j":2,"k":3}"#;

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned())
}

fn check(engine: &str) {
    let _alone = server::alone();
    let folder = Workdir::new(&format!("letters-{engine}"));
    let server = Server::start(&folder, engine);
    let settings = |limit: usize| format!("{{\"index.mapping.total_fields.limit\":{limit}}}");
    http::put(&server.address, "/letters", &format!("{{\"settings\":{}}}", settings(5)));

    let app = loopback::Server::start(|_| Reply::ok(PAYLOAD));
    let config = format!(
        "readers: {{shop: {{type_name: shop, endpoint: \"{}\"}}}}\n\
         recorders: {{es: {{endpoint: \"{}\", index_name: letters, template: off, dead_letter: kept/dead.ndjson}}}}\n\
         routes: {{r: {{readers: shop, recorders: es}}}}\n",
        app.address, server.address
    );
    let mut program = Program::start(&["once"], &config);
    assert_eq!(program.wait(), Some(1), "a dead letter is not taken: {}", program.read("stderr"));
    let letter = program.read("kept/dead.ndjson");
    let (_, document) = letter.trim_end().split_once(",\"document\":{\"@timestamp\"").expect("a letter");
    let document = format!("{{\"@timestamp\"{}", document.strip_suffix('}').expect("a whole line"));

    let (code, out) = said(&program.beside(&["dead-letters", "ls"]));
    assert!(code == Some(0) && out.contains("  1 × status 400 "), "{out}");
    let (code, out) = said(&program.beside(&["dead-letters", "retry"]));
    assert!(code == Some(1) && out.contains(" 1 rejected again"), "{out}");
    let newer = program.read("kept/dead.ndjson");
    assert!(newer != letter && newer.lines().count() == 1 && newer.contains(&document), "{newer}");

    http::put(&server.address, "/letters/_settings", &settings(100));
    let (code, out) = said(&program.beside(&["dead-letters", "retry"]));
    assert!(code == Some(0) && out.starts_with("es: 1 dead letter: 1 stored"), "{out}");
    assert!(!program.path("kept/dead.ndjson").exists());
    std::fs::write(program.path("kept/dead.ndjson"), &letter).expect("written");
    let (code, out) = said(&program.beside(&["dead-letters", "retry"]));
    assert!(code == Some(0) && out.starts_with("es: 1 dead letter: 0 stored, 1 already stored"), "{out}");

    http::post(&server.address, "/letters/_refresh", "");
    let found = http::get(&server.address, "/letters/_search");
    let text = String::from_utf8_lossy(&found);
    let hits = parsed(&found)["hits"]["hits"].as_array().map_or(0, Vec::len);
    assert!(hits == 1 && text.contains(&format!("\"_source\":{document}")), "{document}\n{text}");
    eprintln!("{engine}: sent again as it was, once");
}
