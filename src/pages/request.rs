//! Parses what a client requests, from the head of its request as it arrives. Pure.

use super::Page;
use crate::limits;

/// A request, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Page(Method, Target),
    MethodNotAllowed,
    /// It is no HTTP, or its head is too long.
    NotHttp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    /// As GET, without the body.
    Head,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Page(Page),
    /// Whether the one thread runs.
    Health,
    Unknown,
}

/// None if the head has not come to its end.
pub(super) fn parse(bytes: &[u8]) -> Option<Request> {
    let mut fields = [httparse::EMPTY_HEADER; limits::PAGE_REQUEST_FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if bytes.len() < limits::PAGE_REQUEST_BYTES_MAX => return None,
        Ok(httparse::Status::Partial) | Err(_) => return Some(Request::NotHttp),
    }
    let method = match request.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        _ => return Some(Request::MethodNotAllowed),
    };
    let path = request.path.unwrap_or_default();
    let target = match path.split(['?', '#']).next().unwrap_or_default() {
        "/" => Target::Page(Page::Overview),
        "/debug/vars" => Target::Page(Page::Vars),
        "/healthz" => Target::Health,
        _ => Target::Unknown,
    };
    Some(Request::Page(method, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_found_by_path_whatever_the_query() {
        for (line, expected) in [
            ("GET / HTTP/1.1", Request::Page(Method::Get, Target::Page(Page::Overview))),
            ("GET /?x=/debug/vars HTTP/1.0", Request::Page(Method::Get, Target::Page(Page::Overview))),
            ("HEAD /debug/vars HTTP/1.1", Request::Page(Method::Head, Target::Page(Page::Vars))),
            ("GET /healthz HTTP/1.1", Request::Page(Method::Get, Target::Health)),
            ("GET /debug/vars/ HTTP/1.1", Request::Page(Method::Get, Target::Unknown)),
            ("GET /../etc/passwd HTTP/1.1", Request::Page(Method::Get, Target::Unknown)),
            ("POST / HTTP/1.1", Request::MethodNotAllowed),
            ("GET / HTTP/3", Request::NotHttp),
            ("\u{16}\u{3}\u{1}", Request::NotHttp),
        ] {
            assert_eq!(parse(format!("{line}\r\nHost: x\r\n\r\n").as_bytes()), Some(expected), "{line:?}");
        }
    }

    #[test]
    fn a_head_may_come_byte_by_byte_but_not_for_ever() {
        let whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), None, "{end} bytes");
        }
        let mut endless = whole[..whole.len() - 2].to_vec();
        endless.extend_from_slice(b"A: ");
        endless.resize(limits::PAGE_REQUEST_BYTES_MAX - 1, b'a');
        assert_eq!(parse(&endless), None);
        endless.push(b'a');
        assert_eq!(parse(&endless), Some(Request::NotHttp));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(limits::PAGE_REQUEST_FIELDS_MAX + 1));
        assert_eq!(parse(many.as_bytes()), Some(Request::NotHttp));
    }
}
