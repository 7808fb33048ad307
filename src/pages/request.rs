//! Parses what a client requests, from the head of its request as it arrives. Pure.

use super::Page;
use super::files::File;
use super::hosts;
use crate::config::percent_decoded;
use crate::limits;

/// A request, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Page(Asked),
    MethodNotAllowed,
    /// It is no HTTP, or its head is too long.
    NotHttp,
}

/// A request for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) target: Target,
    /// The name that the client has for this machine; none if it does not say.
    pub(super) host: Option<String>,
    /// Whether the client can read a compressed answer.
    pub(super) takes_gzip: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    /// As GET, without the body.
    Head,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Page(Page),
    File(File),
    /// All counters, for a collector, in chunks if it knows what those are.
    Metrics {
        is_chunked: bool,
    },
    /// Whether the one thread runs.
    Health,
    Unknown,
}

/// What is below this path are the last documents of readers, by name.
const DOCUMENTS: &str = "/api/documents/";

impl Target {
    /// What is at a path. A path that is added here needs a line in the message of `NOT_FOUND`.
    fn at(path: &str, is_chunked: bool) -> Self {
        match path {
            "/" => Self::File(File::Page),
            "/page.css" => Self::File(File::Style),
            "/page.js" => Self::File(File::Script),
            "/api/status" => Self::Page(Page::Status),
            "/debug/vars" => Self::Page(Page::Vars),
            "/metrics" => Self::Metrics { is_chunked },
            "/ready" => Self::Page(Page::Ready),
            "/healthz" => Self::Health,
            _ => match path.strip_prefix(DOCUMENTS).and_then(percent_decoded) {
                Some(reader) => Self::Page(Page::Document(reader)),
                None => Self::Unknown,
            },
        }
    }
}

impl Asked {
    /// Whether the client may have an answer: it names this machine in a way that is allowed, or it asks for what collectors
    /// and probes get by whatever name they come (of a service, a pod, a container), which has no values of documents.
    /// Browsers always say by which name they have come, so a request without one is from something else.
    pub(super) fn is_allowed(&self, names: &[String]) -> bool {
        let is_open = matches!(self.target, Target::Metrics { .. } | Target::Page(Page::Ready) | Target::Health);
        is_open || self.host.as_ref().is_none_or(|host| hosts::is_own(host, names))
    }
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
    let target = Target::at(path.split(['?', '#']).next().unwrap_or_default(), request.version == Some(1));
    let mut hosts = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("host"));
    let host = hosts.next().map(|field| String::from_utf8_lossy(field.value).into_owned());
    if hosts.next().is_some() {
        return Some(Request::NotHttp);
    }
    let mut encodings = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("accept-encoding"));
    let takes_gzip = encodings.any(|field| std::str::from_utf8(field.value).is_ok_and(names_gzip));
    Some(Request::Page(Asked { method, target, host, takes_gzip }))
}

/// Whether the value of an `Accept-Encoding` field allows gzip.
fn names_gzip(value: &str) -> bool {
    value.split(',').any(|encoding| {
        let mut parts = encoding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        // A weight of zero forbids it.
        let is_zero = |part: &str| part.strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0));
        is_gzip && !parts.any(is_zero)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, target: Target) -> Request {
        Request::Page(Asked { method, target, host: Some("x".to_owned()), takes_gzip: false })
    }

    #[test]
    fn the_pages_are_found_by_path_whatever_the_query() {
        let document = |name: &str| asked(Method::Get, Target::Page(Page::Document(name.to_owned())));
        for (line, expected) in [
            ("GET / HTTP/1.1", asked(Method::Get, Target::File(File::Page))),
            ("GET /?x=/debug/vars HTTP/1.0", asked(Method::Get, Target::File(File::Page))),
            ("GET /page.js HTTP/1.1", asked(Method::Get, Target::File(File::Script))),
            ("GET /page.css HTTP/1.1", asked(Method::Get, Target::File(File::Style))),
            ("HEAD /debug/vars HTTP/1.1", asked(Method::Head, Target::Page(Page::Vars))),
            ("GET /api/status?at=1 HTTP/1.1", asked(Method::Get, Target::Page(Page::Status))),
            ("GET /metrics HTTP/1.1", asked(Method::Get, Target::Metrics { is_chunked: true })),
            ("GET /metrics HTTP/1.0", asked(Method::Get, Target::Metrics { is_chunked: false })),
            ("HEAD /ready HTTP/1.1", asked(Method::Head, Target::Page(Page::Ready))),
            ("GET /api/documents/shop HTTP/1.1", document("shop")),
            ("GET /api/documents/a%2Fb%20%3Cscript%3e%25?x HTTP/1.1", document("a/b <script>%")),
            ("GET /api/documents/gr%C3%BC%C3%9Fe HTTP/1.1", document("grüße")),
            ("GET /api/documents/%ff HTTP/1.1", asked(Method::Get, Target::Unknown)),
            ("GET /api/documents/%4 HTTP/1.1", asked(Method::Get, Target::Unknown)),
            ("GET /api/documents/%+4 HTTP/1.1", asked(Method::Get, Target::Unknown)),
            ("GET /healthz HTTP/1.1", asked(Method::Get, Target::Health)),
            ("GET /debug/vars/ HTTP/1.1", asked(Method::Get, Target::Unknown)),
            ("GET /../etc/passwd HTTP/1.1", asked(Method::Get, Target::Unknown)),
            ("GET http://x/ HTTP/1.1", asked(Method::Get, Target::Unknown)),
            ("POST / HTTP/1.1", Request::MethodNotAllowed),
            ("GET / HTTP/3", Request::NotHttp),
            ("\u{16}\u{3}\u{1}", Request::NotHttp),
        ] {
            assert_eq!(parse(format!("{line}\r\nHost: x\r\n\r\n").as_bytes()), Some(expected), "{line:?}");
        }
    }

    #[test]
    fn a_client_without_a_host_is_no_browser_and_one_with_two_is_refused() {
        let parsed = |fields: &str| parse(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes());
        for (fields, is_allowed) in
            [("", true), ("hOST: localhost:1\r\n", true), ("Host: evil\r\n", false), ("Host:\r\n", false)]
        {
            let Some(Request::Page(asked)) = parsed(fields) else { panic!("{fields:?}") };
            assert_eq!(asked.is_allowed(&[]), is_allowed, "{fields:?}");
        }
        assert_eq!(parsed("Host: localhost\r\nHost: evil\r\n"), Some(Request::NotHttp));
        let health =
            Asked { method: Method::Get, target: Target::Health, host: Some("evil".to_owned()), takes_gzip: false };
        assert!(health.is_allowed(&[]));
    }

    #[test]
    fn who_takes_gzip_says_so() {
        for (value, takes_gzip) in [
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("*", true),
            ("deflate,gzip ; q=0.001", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000, br", false),
            ("identity", false),
            ("x-gzip", false),
            ("", false),
        ] {
            let head = format!("GET / HTTP/1.1\r\nAccept-Encoding: {value}\r\n\r\n");
            let Some(Request::Page(asked)) = parse(head.as_bytes()) else { panic!("{value:?}") };
            assert_eq!(asked.takes_gzip, takes_gzip, "{value:?}");
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
