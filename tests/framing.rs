//! The framing of answers: plain sockets and libcurl accept the same answers, and explain what is wrong with the others.

#![cfg(feature = "proxy")]
#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Server, wait_until};
use program::Program;

/// What stands behind `HTTP/1.1 200 OK`, and what both ways say of it: nothing if it makes a document.
const ANSWERS: [(&str, &str, &str); 19] = [
    ("plain", "Content-Length: 8\r\n\r\n{\"ok\":1}", ""),
    ("until-close", "\r\n{\"ok\":1}", ""),
    ("chunks", "Transfer-Encoding: chunked\r\n\r\n8\r\n{\"ok\":1}\r\n0\r\n\r\n", ""),
    ("same-twice", "Content-Length: 8\r\nContent-Length: 8\r\n\r\n{\"ok\":1}", ""),
    ("length-and-chunks", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"ok\":1}\r\n0\r\n\r\n", ""),
    ("two-lengths", "Content-Length: 8\r\nContent-Length: 3\r\n\r\n{\"ok\":1}", LENGTH),
    ("list", "Content-Length: 8, 8\r\n\r\n{\"ok\":1}", LENGTH),
    ("negative", "Content-Length: -8\r\n\r\n{\"ok\":1}", LENGTH),
    ("plus", "Content-Length: +8\r\n\r\n{\"ok\":1}", LENGTH),
    ("no-digits", "Content-Length: \r\n\r\n{\"ok\":1}", LENGTH),
    ("beyond-64-bits", "Content-Length: 99999999999999999999\r\n\r\n{\"ok\":1}", LENGTH),
    ("beyond-63-bits", "Content-Length: 18446744073709551615\r\n\r\n{\"ok\":1}", "longer than max_body"),
    ("longer-than-max", "Content-Length: 1048577\r\n\r\n{\"ok\":1}", "longer than max_body"),
    ("identity", "Transfer-Encoding: identity\r\nContent-Length: 8\r\n\r\n{\"ok\":1}", CODING),
    ("gzip-chunks", "Transfer-Encoding: gzip, chunked\r\n\r\n8\r\n{\"ok\":1}\r\n0\r\n\r\n", CODING),
    (
        "chunks-twice",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"ok\":1}\r\n0\r\n\r\n",
        CODING,
    ),
    ("cut-off", "Content-Length: 80\r\n\r\n{\"ok\":1}", "the response was cut off"),
    ("no-chunk", "Transfer-Encoding: chunked\r\n\r\n0x8\r\n{\"ok\":1}\r\n0\r\n\r\n", "the response is not HTTP/1.1"),
    ("blank-in-a-name", "Content-Length : 8\r\n\r\n{\"ok\":1}", "the response is not HTTP/1.1"),
];

const LENGTH: &str = "invalid Content-Length";
const CODING: &str = "the response has a Transfer-Encoding other than chunked";

/// Those that are too long to be written down.
fn long_answers() -> [(&'static str, String, &'static str); 2] {
    let fields = format!("{}Content-Length: 8\r\n\r\n{{\"ok\":1}}", "X: y\r\n".repeat(101));
    let bytes = format!("X: {}\r\nContent-Length: 8\r\n\r\n{{\"ok\":1}}", "y".repeat(20_000));
    [
        ("many-fields", fields, "the response header has more than 100 fields"),
        ("long-field", bytes, "the response header is longer than 16384 bytes"),
    ]
}

#[test]
fn both_ways_out_take_the_same_answers() {
    let answers: Vec<(&str, String, &str)> =
        ANSWERS.iter().map(|(name, text, cause)| (*name, (*text).to_owned(), *cause)).chain(long_answers()).collect();
    let known = answers.clone();
    let server = Server::bare(move |request| {
        let name = request.target.rsplit('/').next().unwrap_or_default();
        let (_, answer, _) = known.iter().find(|(known, ..)| *known == name).expect("a known answer");
        Reply::Raw(format!("HTTP/1.1 200 OK\r\n{answer}").into_bytes())
    });
    let (mut readers, mut names) = (String::new(), Vec::new());
    for (name, ..) in &answers {
        // A name is resolved by the proxy, which is the same server.
        for (way, host) in [("own", server.address.as_str()), ("libcurl", "app.test")] {
            readers =
                format!("{readers}  {way}-{name}: {{type_name: {way}-{name}, endpoint: \"http://{host}/{name}\"}}\n");
            names.push(format!("{way}-{name}"));
        }
    }
    let config = format!(
        "readers:\n{readers}recorders: {{out: {{type: file, path: out.ndjson, bulk: {{age: 50ms}}}}}}\nroutes: {{r: {{readers: [{}], recorders: out}}}}\n",
        names.join(", ")
    );
    let proxy = format!("http://{}", server.address);
    let mut program = Program::start_with(&[("http_proxy", &proxy), ("no_proxy", "")], &[], &config);
    let warnings = |program: &Program, name: &str| -> Vec<String> {
        let log = program.read("stderr");
        let lines = log.lines().filter(|line| line.contains(" WARN ") && line.contains(&format!("reader={name} ")));
        lines.map(str::to_owned).collect()
    };
    let is_shipped = |program: &Program, name: &str| {
        program.documents("out.ndjson").iter().any(|document| document["service.name"] == name)
    };
    // The server closes each connection. libcurl may notice while it sends, and the next poll shows what is to be seen.
    wait_until("each reader has succeeded or failed, as it should", || {
        answers.iter().all(|(name, _, cause)| {
            ["own", "libcurl"].map(|way| format!("{way}-{name}")).iter().all(|name| match *cause {
                "" => is_shipped(&program, name),
                cause => warnings(&program, name).iter().any(|line| line.contains(cause)),
            })
        })
    });
    program.kill();
    for (name, _, cause) in &answers {
        for name in ["own", "libcurl"].map(|way| format!("{way}-{name}")) {
            let lines = warnings(&program, &name);
            assert_eq!(is_shipped(&program, &name), cause.is_empty(), "{name}: {lines:?}");
        }
    }
}
