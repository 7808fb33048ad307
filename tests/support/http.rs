//! The smallest HTTP/1.1 client that a test needs: one request, one connection, one whole answer.
#![allow(dead_code, reason = "each test takes what it needs of it")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A server that sends nothing for this long is broken.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A complete answer; the body is without its chunk framing.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// `GET path` from `address` (`HOST:PORT`); anything but a 200 is a panic that shows the answer.
pub(crate) fn get(address: &str, path: &str) -> Vec<u8> {
    expect_success(address, "GET", path, "")
}

/// `POST path` with a JSON text, or nothing; anything but a 200 is a panic that shows the answer.
pub(crate) fn post(address: &str, path: &str, json: &str) -> Vec<u8> {
    expect_success(address, "POST", path, json)
}

/// `PUT path` with a JSON text; anything but a 200 is a panic that shows the answer.
pub(crate) fn put(address: &str, path: &str, json: &str) -> Vec<u8> {
    expect_success(address, "PUT", path, json)
}

fn expect_success(address: &str, method: &str, path: &str, json: &str) -> Vec<u8> {
    let kind = if json.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let raw = exchange(address, method, path, kind, json.as_bytes());
    let answer = raw.map_err(|error| error.to_string()).and_then(|raw| parse(&raw));
    let answer = answer.unwrap_or_else(|error| panic!("{method} http://{address}{path}: {error}"));
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 200, "{method} http://{address}{path} answered {text}");
    answer.body
}

/// Sends one request with these fields, each ended by CR LF. The server closes the connection after its answer, so the answer
/// ends with the end of file.
pub(crate) fn exchange(address: &str, method: &str, path: &str, fields: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{fields}");
    stream.write_all(&[format!("{head}Content-Length: {length}\r\n\r\n").as_bytes(), body].concat())?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw)?;
    Ok(raw)
}

/// What the bytes of an answer say.
pub(crate) fn parse(raw: &[u8]) -> Result<Answer, String> {
    let (head, rest) = split_at(raw, b"\r\n\r\n").ok_or("no end of the header")?;
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| format!("not a status line: {status_line}"))?;
    let fields: Vec<(&str, &str)> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())).collect();
    let field = |wanted: &str| fields.iter().find(|(name, _)| *name == wanted).map(|&(_, value)| value);
    let body = if field("transfer-encoding") == Some("chunked") {
        join_chunks(rest)?
    } else if let Some(length) = field("content-length").and_then(|length| length.parse().ok()) {
        rest.get(..length).ok_or("the body is cut off")?.to_vec()
    } else {
        rest.to_vec()
    };
    Ok(Answer { status, body })
}

fn join_chunks(mut rest: &[u8]) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        let (size_line, behind) = split_at(rest, b"\r\n").ok_or("no chunk size")?;
        let size_text = String::from_utf8_lossy(size_line);
        let hex = size_text.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(hex, 16).map_err(|_| format!("not a chunk size: {size_text}"))?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(behind.get(..size).ok_or("a chunk is cut off")?);
        rest = behind[size..].strip_prefix(b"\r\n").ok_or("no line end behind a chunk")?;
    }
}

fn split_at<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    Some((&bytes[..at], &bytes[at + mark.len()..]))
}

#[test]
fn answers_are_read_whole_or_refused() {
    let body = |text: &str| Ok(Answer { status: 200, body: text.as_bytes().to_vec() });
    let cut = |text: &str| Err(text.to_owned());
    let table = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", body("hi")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", cut("the body is cut off")),
        ("HTTP/1.0 200 OK\r\n\r\nto the end", body("to the end")),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nA;x=y\r\n, chunked!\r\n0\r\n\r\n",
            body("hi, chunked!"),
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi", cut("a chunk is cut off")),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", cut("no chunk size")),
        ("HTTP/1.1 200 OK\r\n", cut("no end of the header")),
    ];
    for (raw, expected) in table {
        assert_eq!(parse(raw.as_bytes()), expected, "{raw:?}");
    }
}
