//! What is said of redirects: where they lead, and what to set.

use super::loopback::{Reply, Server};
use super::{app, has, test, with_recorder};

const FINAL: &str = "set `endpoint` to the final address";

fn moved(status: u16, to: &str) -> Server {
    let fields = if to.is_empty() { String::new() } else { format!("Location: {to}\r\n") };
    Server::bare(move |_| Reply::Full(status, fields.clone(), Vec::new()))
}

/// What is said of a reader at this server.
fn reader_line(server: &Server, keys: &str) -> (Option<i32>, String) {
    let config = format!(
        "recorders: {{out: {{type: file, path: out}}}}\nreaders:\n  app:\n    {{endpoint: \"{}/debug/vars\", type_name: \
         app{keys}}}\nroutes: {{r: {{readers: app, recorders: out}}}}\n",
        server.address
    );
    let (code, said) = test(&config);
    (code, said.lines().next().unwrap_or_default().replace(&server.address, "ADDRESS"))
}

#[test]
fn a_redirect_that_leads_to_a_document_is_a_hint() {
    let shop = app("{\"n\": 1}");
    for status in [301, 302, 303, 307, 308] {
        let (code, line) = reader_line(&moved(status, &format!("http://{}/vars", shop.address)), "");
        assert_eq!(code, Some(0), "{line}");
        let hint = format!("; the endpoint redirects to http://{}/vars: {FINAL}", shop.address);
        assert!(line.starts_with("✓ reader app: 200 in N ms, 8 bytes, 1 variable,") && line.ends_with(&hint), "{line}");
    }
}

#[test]
fn a_redirect_that_leads_to_no_document_says_where_it_leads() {
    let check = |server: &Server, keys: &str, expected: &str| {
        let (code, line) = reader_line(server, keys);
        let expected = format!("✗ reader app: {expected}");
        assert!(code == Some(1) && has(&line, &expected), "expected\n{expected}\nsaid\n{line}");
    };
    let page = Server::bare(|request| match request.target.as_str() {
        "/login" => {
            Reply::Full(200, "Content-Type: text/html\r\n".to_owned(), b"<html><title>Sign in</title>".to_vec())
        }
        _ => Reply::Full(302, "Location: /login\r\n".to_owned(), Vec::new()),
    });
    check(
        &page,
        "",
        "the body is not a JSON object (byte 0): it is HTML (Content-Type: text/html), and its title is \"Sign in\"; is a \
         login page or a proxy in front of it?; the endpoint redirects to http://ADDRESS/login: set `endpoint` to the final \
         address (conf.yml:4)",
    );
    // Credentials do not follow to another origin.
    let denied = Server::bare(|_| Reply::Full(401, String::new(), Vec::new()));
    check(
        &moved(307, &format!("http://{}/x", denied.address)),
        ", auth: {bearer: planted-token}",
        &format!(
            "status 401, expected 200; the endpoint redirects to http://{}/x, and credentials stay with their origin: \
             {FINAL} (conf.yml:4)",
            denied.address
        ),
    );
    let bare = "set endpoint to the final address (conf.yml:4)";
    // A server may repeat what it was sent.
    check(
        &moved(302, "/debug/vars?key=planted-token"),
        ", auth: {bearer: planted-token}",
        &format!("more than 5 redirects, the last one to http://ADDRESS/debug/vars?key=***; {bare}"),
    );
    check(&moved(302, ""), "", &format!("status 302, expected 200; it redirects without saying where to: {bare}"));
    check(
        &moved(302, "http://127.0.0.1:1/"),
        "",
        &format!("connection refused by 127.0.0.1:1 (after a redirect); {bare}"),
    );
    check(
        &moved(302, "ftp://h/"),
        "",
        &format!("redirected to \"ftp://h/\", which is neither http:// nor https://; {bare}"),
    );
}

#[test]
fn a_server_that_redirects_says_where_to() {
    let check = |server: &Server, expected: &str| {
        let (code, said) = test(&with_recorder(&format!("{{endpoint: \"{}\", index_name: shop}}", server.address)));
        let said = said.replace(&server.address, "ADDRESS");
        let expected = format!("✗ recorder es: ADDRESS: {expected} (conf.yml:5)");
        assert!(code == Some(1) && said.lines().any(|line| line == expected), "expected\n{expected}\nsaid\n{said}");
    };
    let to = |target: &str| format!("it redirects to {target}, and redirects are not followed: {FINAL}");
    for status in [301, 302, 307] {
        let secured = Server::bare(move |request| {
            Reply::Full(status, format!("Location: https://es.test{}\r\n", request.target), Vec::new())
        });
        check(&secured, &format!("/: status {status}; {}", to("https://es.test/")));
    }
    check(&moved(302, "/login"), &format!("/: status 302; {}", to("/login")));
    check(&moved(302, ""), "/_bulk: status 302; check the path of endpoint");
    // Only its first page is elsewhere.
    let app = Server::bare(|request| match request.target.as_str() {
        "/" => Reply::Full(302, "Location: /app\r\n".to_owned(), Vec::new()),
        "/_bulk" => Reply::Full(405, String::new(), Vec::new()),
        _ => Reply::Full(404, String::new(), Vec::new()),
    });
    let (code, said) = test(&with_recorder(&format!("{{endpoint: \"{}\", index_name: shop}}", app.address)));
    assert!(code == Some(0) && said.contains(&to("/app")), "{said}");
}
