//! Proxies that demand credentials: SOCKS 5, and HTTP with basic authentication. All credentials here are planted, so each
//! program that ends has not written any.

use super::loopback::{Reply, Request, Server, counting_app, storing_server, wait_until};
use super::program::Program;
use super::socks::SocksProxy;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const USER: &str = "planted-user";
const PASSWORD: &str = "planted-p@ss/word";
/// As it is written in a URL.
const ENCODED: &str = "planted-p%40ss%2Fword";
/// `planted-user:planted-p@ss/word`
const BASE64: &str = "cGxhbnRlZC11c2VyOnBsYW50ZWQtcEBzcy93b3Jk";

/// Ships what is read at these hosts to a file; with a server, also to that.
fn config(hosts: &[&str], server: Option<&str>) -> String {
    let readers: Vec<String> = (0..)
        .zip(hosts)
        .map(|(number, host)| format!("r{number}: {{type_name: r{number}, endpoint: \"{host}\", interval: 100ms}}"))
        .collect();
    let names: Vec<String> = (0..hosts.len()).map(|number| format!("r{number}")).collect();
    let es = server.map_or(String::new(), |server| format!(", es: {{endpoint: \"{server}\", bulk: {{age: 20ms}}}}"));
    let to_es = server.map_or("", |_| ", es");
    format!(
        "readers: {{{}}}\nrecorders: {{out: {{type: file, path: out.ndjson, bulk: {{age: 20ms}}}}{es}}}\n\
         routes: {{r: {{readers: [{}], recorders: [out{to_es}]}}}}\nsettings: {{shutdown_timeout: 1s}}\n",
        readers.join(", "),
        names.join(", ")
    )
}

/// Waits until the log holds all of these texts. Returns the log after the program has ended.
fn log_with(mut program: Program, texts: &[&str]) -> String {
    for text in texts {
        wait_until(text, || program.read("stderr").contains(text));
    }
    program.signal("TERM");
    let code = program.wait();
    assert!(matches!(code, Some(0 | 1)), "{code:?}: {}", program.read("stderr"));
    program.read("stderr")
}

#[test]
fn socks_proxies_get_names_or_addresses_and_the_password() {
    let app = counting_app();
    for (variable, scheme, host) in
        [("all_proxy", "socks5h", "well.test:8080"), ("http_proxy", "socks5", "203.0.113.77:8080")]
    {
        let proxy = SocksProxy::start(&app.address, USER, PASSWORD);
        let url = |password: &str| format!("{scheme}://{USER}:{password}@{}", proxy.address);
        let config = config(&[host], None);
        let mut program = Program::start_with(&[(variable, &url(ENCODED)), ("no_proxy", "")], &[], &config);
        wait_until("there are documents", || program.documents("out.ndjson").len() >= 3);
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
        assert!(!program.read("stderr").contains("poll failed"), "{}", program.read("stderr"));
        let asked: BTreeSet<String> = proxy.asked.lock().expect("the list").drain(..).collect();
        assert_eq!(asked, BTreeSet::from([host.to_owned()]), "the proxy resolves names");

        for wrong in [url("planted-wrong"), format!("{scheme}://{}", proxy.address)] {
            let program = Program::start_with(&[(variable, &wrong), ("no_proxy", "")], &[], &config);
            let log = log_with(program, &["poll failed"]);
            let failed = log.lines().find(|line| line.contains("poll failed")).expect("the line");
            assert!(
                failed.contains(&format!("the proxy does not connect to {host}: check the credentials")),
                "{failed}"
            );
            assert!(failed.contains(&format!("(it is the proxy in the variable {variable})")), "{failed}");
        }
        assert!(proxy.asked.lock().expect("the list").is_empty());
    }
}

/// An HTTP proxy that demands basic authentication. It gives the requests of an application or a server that it passes on, and
/// refuses to make tunnels.
fn http_proxy(refused: &Arc<AtomicUsize>, pass_on: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    let (refused, right) = (Arc::clone(refused), format!("proxy-authorization: basic {}", BASE64.to_lowercase()));
    Server::bare(move |request| {
        if request.head.lines().any(|line| line == right) {
            return pass_on(request);
        }
        refused.fetch_add(1, Ordering::SeqCst);
        let page = b"<html>Proxy authentication required</html>".to_vec();
        Reply::Full(
            407,
            "Proxy-Authenticate: Basic realm=\"planted-realm\"\r\nContent-Type: text/html\r\n".into(),
            page,
        )
    })
}

#[test]
fn an_http_proxy_gets_the_credentials_and_a_407_says_that_it_wants_them() {
    let (_server, store) = storing_server();
    let refused = Arc::<AtomicUsize>::default();
    let stored = Arc::clone(&store);
    let proxy = http_proxy(&refused, move |request| match request.method.as_str() {
        "POST" => stored.lock().expect("the store").take(&request.unpacked(), |_| None),
        "GET" if request.target.ends_with("/debug/vars") => Reply::ok("{\"x\":1}"),
        "GET" if request.target == "http://es.test:9200/" => Reply::ok(r#"{"version":{"number":"9.0.4"}}"#),
        _ => Reply::ok("{}"),
    });
    let app = counting_app();
    let config = config(&["well.test:8080", &app.address], Some("es.test:9200"));
    let url = |credentials: &str| format!("http://{credentials}{}", proxy.address);
    let start = |url: &str| Program::start_with(&[("http_proxy", url), ("no_proxy", "")], &[], &config);

    let mut program = start(&url(&format!("{USER}:{ENCODED}@")));
    wait_until("documents are stored", || store.lock().expect("the store").documents.len() >= 3);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
    assert_eq!(refused.load(Ordering::SeqCst), 0, "they are sent without being asked for");

    for credentials in [String::new(), format!("{USER}:planted-wrong@")] {
        let log = log_with(start(&url(&credentials)), &["poll failed: status 407", "shipping failed: status 407"]);
        for failed in ["poll failed: status 407", "shipping failed: status 407"] {
            let line = log.lines().find(|line| line.contains(failed)).expect("the line");
            assert!(line.contains("; a proxy requires credentials: check those in its URL"), "{line}");
        }
        assert!(!log.contains(BASE64), "{log}");
    }
}

/// For `https://` the proxy makes a tunnel, or refuses to.
#[cfg(feature = "tls")]
#[test]
fn a_tunnel_that_an_http_proxy_refuses_for_lack_of_credentials_says_so() {
    let refused = Arc::<AtomicUsize>::default();
    let proxy = http_proxy(&refused, |_| Reply::Full(502, String::new(), Vec::new()));
    let config = config(&["https://well.test:8443"], None);
    for credentials in ["", "planted-user:planted-wrong@"] {
        let url = format!("http://{credentials}{}", proxy.address);
        let program = Program::start_with(&[("https_proxy", url.as_str()), ("no_proxy", "")], &[], &config);
        let log = log_with(program, &["poll failed"]);
        let failed = log.lines().find(|line| line.contains("poll failed")).expect("the line");
        let said = "cannot connect to well.test:8443: is a server listening there, and are the credentials in the proxy's URL right?";
        assert!(failed.contains(said) && failed.contains("in the variable https_proxy"), "{failed}");
    }
    assert!(refused.load(Ordering::SeqCst) >= 2);
}
