use super::*;
use crate::redact::Hidden;

const HERE: &str = "http://localhost:1234/debug/vars";
const ELSEWHERE: &str = "http://localhost:1234/metrics";

fn content(kind: &str, encoding: &str) -> Content {
    let kind = match kind {
        "" => ContentKind::Unknown,
        "application/json" => ContentKind::Json,
        other => ContentKind::Other(other.into()),
    };
    Content { kind, encoding: (!encoding.is_empty()).then(|| encoding.into()), ..Content::default() }
}

/// All that is said of an answer with this status, Content-Type and Content-Encoding.
fn said(status: u16, content: &Content, body: &[u8], url: &str) -> String {
    let kind = Kind::of(content, body);
    let remedy = remedy(&kind, status, body, url).map(|remedy| format!("; {remedy}")).unwrap_or_default();
    described(&kind, content, body) + &remedy
}

fn utf16(text: &str, mark: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    format!("{mark}{text}").encode_utf16().flat_map(order).collect()
}

#[test]
fn each_kind_is_named_with_its_first_words_and_a_remedy() {
    let own = "; Go's default path is /debug/vars";
    for (kind, body, url, expected) in [
        ("text/html", &b"<!DOCTYPE html>\n<html><head><title> Sign\n in </title>"[..], ELSEWHERE, format!(r#"is HTML (Content-Type: text/html), and its title is "Sign in"{own}"#)),
        ("", b"<html><body>It works!</body></html>", ELSEWHERE, format!(r#"is HTML, and begins "<html><body>It works!</body></html>"{own}"#)),
        ("text/html", b"<p>hello", HERE, r#"is HTML (Content-Type: text/html), and begins "<p>hello"; is a login page or a proxy in front of it?"#.to_owned()),
        ("application/xml", b"<?xml version=\"1.0\"?><a/>", HERE, r#"is XML (Content-Type: application/xml), and begins "<?xml version=\"1.0\"?><a/>""#.to_owned()),
        ("text/plain; version=0.0.4", b"go_goroutines 8\n", ELSEWHERE, r#"is the Prometheus text format (Content-Type: text/plain; version=0.0.4), and begins "go_goroutines 8"; expvastic reads expvar, not Prometheus metrics: Go's default path is /debug/vars"#.to_owned()),
        ("", b"# HELP up Whether it is.\n# TYPE up gauge\nup 1\n", HERE, r##"is the Prometheus text format, and begins "# HELP up Whether it is. # TYPE up gauge up 1"; expvastic reads expvar, not Prometheus metrics: is another program serving /debug/vars?"##.to_owned()),
        ("application/json", b" [{\"a\": 1}]", ELSEWHERE, format!(r#"is a JSON array (Content-Type: application/json), and begins "[{{\"a\": 1}}]"{own}"#)),
        ("", b"\"text\"", HERE, r#"is JSON, but not an object, and begins "\"text\"""#.to_owned()),
        ("", b"null", HERE, r#"is JSON, but not an object, and begins "null""#.to_owned()),
        ("", b"-1.5e3\n", HERE, r#"is JSON, but not an object, and begins "-1.5e3""#.to_owned()),
        ("application/javascript", b"/**/ app.take({\"a\":1});", HERE, r#"is JSONP (Content-Type: application/javascript), and begins "/**/ app.take({\"a\":1});"; remove the JSONP callback parameter"#.to_owned()),
        ("text/plain", b"panic(it is broken)\n", ELSEWHERE, format!(r#"is plain text (Content-Type: text/plain), and begins "panic(it is broken)"{own}"#)),
        ("", b"\x08\x96\x01 protobuf", HERE, r#"is binary, and begins "\u{8}�\u{1} protobuf""#.to_owned()),
        ("", b"", ELSEWHERE, format!("is empty{own}")),
        ("text/html", b" \r\n", HERE, "is empty (Content-Type: text/html)".to_owned()),
        ("", b"\x1f\x8b\x08\0\0", HERE, "is compressed with gzip, which was not requested; send it uncompressed".to_owned()),
        ("", b"\x28\xb5\x2f\xfd\x04", HERE, "is compressed with zstd, which was not requested; send it uncompressed".to_owned()),
    ] {
        assert_eq!(said(200, &content(kind, ""), body, url), expected);
    }
    let text = said(200, &content("application/json", "br"), b"\x8b\x03", HERE);
    assert_eq!(
        text,
        "is compressed with br, which was not requested (Content-Type: application/json); send it uncompressed"
    );
}

#[test]
fn utf_16_is_seen_by_its_mark_and_by_its_zeros() {
    let little = |text, mark| utf16(text, mark, u16::to_le_bytes);
    let big = |text, mark| utf16(text, mark, u16::to_be_bytes);
    for body in [
        little("{\"a\": 1}", "\u{feff}"),
        big("{\"a\": 1}", "\u{feff}"),
        little("{\"a\": 1}", ""),
        big("{\"a\": 1}", ""),
    ] {
        assert_eq!(
            said(200, &Content::default(), &body, HERE),
            r#"is UTF-16, and begins "{\"a\": 1}"; send it as UTF-8"#
        );
    }
    for body in [&b"{\"a\": 1}"[..], b"", b"\0", b"a\0", b"{\"a\": \"\0\"}", b"\0\0\0\0"] {
        assert!(Kind::of(&Content::default(), body) != Kind::Utf16 || body == b"a\0", "{body:?}");
    }
}

#[test]
fn what_may_be_a_payload_is_left_to_whoever_reads_it() {
    for body in [&b"{"[..], b"{\"a\": }", b"\xef\xbb\xbf \n{\"a\":1", b"{\"a\":\"\xff\"}", b"{\xff\xfe"] {
        assert!(Kind::of(&Content::default(), body).may_be_expvar(), "{body:?}");
    }
}

#[test]
fn samples_are_told_from_other_texts() {
    for line in ["up 1", "up{job=\"a b\"} 1.5e9", "a:b_c{x=\"}\"}  +Inf 1700000000", "m NaN", "# TYPE m counter"] {
        assert!(is_prometheus(line.as_bytes()), "{line}");
    }
    for line in ["", "404 page not found", "up", "up one", "up 1 2 3", "# a comment", "42", "a,b", "error: 5"] {
        assert!(!is_prometheus(line.as_bytes()), "{line}");
    }
}

#[test]
fn pages_of_refusals_say_what_they_are() {
    let plain = content("text/plain; charset=utf-8", "");
    let tls = "; this port speaks TLS: write https://";
    for body in [
        "Client sent an HTTP request to an HTTPS server.\n",
        "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>",
        "<p>Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
    ] {
        assert!(said(400, &plain, body.as_bytes(), ELSEWHERE).ends_with(tls), "{body}");
        assert!(!said(400, &plain, body.as_bytes(), "https://localhost/metrics").contains("TLS:"), "{body}");
    }
    let page = b"404 page not found\n";
    let begins = r#"is plain text (Content-Type: text/plain; charset=utf-8), and begins "404 page not found""#;
    assert_eq!(said(404, &plain, page, ELSEWHERE), format!("{begins}; Go's default path is /debug/vars"));
    assert_eq!(
        said(404, &plain, page, HERE),
        format!("{begins}; is this the right port, and does the program serve the expvar handler there?")
    );
    let broken = said(500, &content("application/json", ""), br#"{"error":"boom"}"#, ELSEWHERE);
    assert_eq!(broken, r#"is a JSON object (Content-Type: application/json), and begins "{\"error\":\"boom\"}""#);
}

#[test]
fn what_is_shown_is_bounded_and_tells_no_secret() {
    let _hidden = Hidden::new(vec![crate::secret::Secret::of("hunter2-correct-horse")]);
    let long = "x".repeat(limits::FOREIGN_WORDS_BYTES_MAX - 5);
    let secret = format!("{long}hunter2-correct-horse");
    let utf16 = utf16(&format!("{long} hunter2-correct-horse"), "", u16::to_le_bytes);
    let title = format!("<html><title>{secret}</title>");
    for body in [secret.as_bytes(), title.as_bytes(), &utf16] {
        let said =
            said(200, &content(&secret, &secret), body, ELSEWHERE) + &said(200, &content(&secret, ""), body, ELSEWHERE);
        assert!(!said.contains("hunt") && said.contains("**") && said.len() < 1000, "{said}");
    }
    let escapes = said(200, &Content::default(), b"\x1b[31mred\r\nnext", HERE);
    assert!(escapes.contains(r#""\u{1b}[31mred next""#), "{escapes}");
}
