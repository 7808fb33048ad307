//! A server in front of another one, to which it passes on what it is asked over TLS, as a load balancer does.
#![allow(clippy::disallowed_methods, reason = "the other side of the socket has threads of its own")]

use super::http;
use super::loopback::{Reply, Request, read_request, send};
use super::tls::{Certified, Clients, Ending, TlsServer, VERSIONS, config, end};
use std::io::Write;
use std::net::TcpListener;

/// What is passed on of a request and of an answer. The rest is about one of the two connections.
const PASSED_ON: [&str; 6] =
    ["accept", "content-encoding", "content-type", "retry-after", "warning", "x-elastic-product"];

/// Starts it in front of `server` (`HOST:PORT`), with every version of TLS, until the test process ends.
pub(crate) fn start(server: &str, certified: &Certified) -> TlsServer {
    let server = server.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let config = config(certified, &VERSIONS.concat(), Clients::NotAsked);
    TlsServer::talking(listener, config, move |mut input, _| {
        while let Some(request) = read_request(&mut input) {
            let output = input.get_mut();
            let answered = passed_on(&server, &request).is_some_and(|reply| send(output, reply).is_ok());
            if !answered || output.flush().is_err() {
                return end(output, Ending::Bare);
            }
        }
    })
}

fn passed_on(server: &str, request: &Request) -> Option<Reply> {
    let fields = fields_of(&request.head);
    let raw = http::exchange(server, &request.method, &request.target, &fields, &request.body).ok()?;
    let answer = http::parse(&raw).ok()?;
    let head_length = raw.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&raw[..head_length]);
    Some(Reply::Full(answer.status, fields_of(&head), answer.body))
}

/// Those of the fields of this head that are passed on, each ended by CR LF.
fn fields_of(head: &str) -> String {
    let is_passed_on = |line: &&str| {
        line.split_once(':').is_some_and(|(name, _)| PASSED_ON.contains(&name.to_ascii_lowercase().as_str()))
    };
    head.lines().filter(is_passed_on).flat_map(|line| [line, "\r\n"]).collect()
}
