//! Credentials: which ones the program sends to which server. Servers on loopback check each header, and everything that the
//! program writes is searched for secrets.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Request, Server, Store, counting_app, wait_until};
use program::Program;
use std::process::Command;
use std::sync::{Arc, Mutex};

/// Everything that must be seen by nobody but the endpoint; each in a shape of its own.
const SECRETS: [&str; 8] = [
    "planted-password",
    "planted-in-a-url",
    "planted-in-a-file",
    "planted-later",
    "planted-api-key",
    "planted-bearer",
    "planted-header",
    "planted-from-the-environment",
];

/// `me:planted-password` and `me:planted-in-a-url`, as they are sent.
const ENCODED: [&str; 2] = ["bWU6cGxhbnRlZC1wYXNzd29yZA==", "bWU6cGxhbnRlZC1pbi1hLXVybA=="];

/// `Basic` with these, as the tests' servers see it: they read headers in lower case.
fn basic(user_and_password: &str) -> String {
    let encoded =
        Command::new("base64").arg("-w0").stdin(pipe(user_and_password)).output().expect("base64 runs").stdout;
    format!("authorization: basic {}", String::from_utf8_lossy(&encoded).to_ascii_lowercase())
}

fn pipe(text: &str) -> std::process::Stdio {
    use std::io::{Seek, Write};
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(text.as_bytes()).and_then(|()| file.rewind()).expect("written");
    file.into()
}

/// Fails if a planted secret, or what it becomes in base64, is in something that the program wrote.
fn assert_nothing_is_told(place: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{place} tells {secret}:\n{text}");
    }
    for user_and_password in ["me:planted-password", "me:planted-in-a-url", "me:planted-in-a-file", "me:planted-later"]
    {
        let encoded = basic(user_and_password);
        let encoded = encoded.rsplit(' ').next().expect("a word");
        assert!(!text.to_ascii_lowercase().contains(encoded), "{place} tells {user_and_password} in base64:\n{text}");
    }
}

/// Those of them that [`what_a_server_repeats_is_not_passed_on`] gives the program.
const REPEATED: [&str; 5] =
    ["planted-password", "planted-in-a-url", "planted-api-key", "planted-bearer", "planted-header"];

/// Says no to everybody, and repeats all that anybody was sent, over and over.
fn echo(status: u16) -> Server {
    Server::bare(move |request: &Request| {
        let said = format!("{} {}{} {}", request.target, request.head, ENCODED.join(" "), REPEATED.join(" "));
        let body = serde_json::json!({"error": {"type": said, "reason": said}});
        Reply::Full(status, format!("Location: ftp://{}/\r\n", REPEATED.join("/")), body.to_string().into_bytes())
    })
}

type Heads = Arc<Mutex<Vec<String>>>;

/// A server that keeps the head of each request, and stores bulks.
fn listening() -> (Server, Heads, Arc<Mutex<Store>>) {
    let (heads, store) = <(Heads, Arc<Mutex<Store>>)>::default();
    let (kept, stored) = (Arc::clone(&heads), Arc::clone(&store));
    let server = Server::bare(move |request: &Request| {
        kept.lock().expect("the list").push(format!("{} {}\r\n{}", request.method, request.target, request.head));
        match request.target.as_str() {
            "/" => Reply::ok(r#"{"version":{"number":"9.0.4"}}"#),
            target if target.starts_with("/_bulk") => stored.lock().expect("the store").take(&request.body, |_| None),
            _ => Reply::ok(r#"{"x": 1}"#),
        }
    });
    (server, heads, store)
}

#[test]
fn each_kind_of_credentials_goes_with_every_request() {
    let servers: Vec<_> = (0..6).map(|_| listening()).collect();
    let at = |index: usize| &servers[index].0.address;
    let config = format!(
        "readers:\n\
         \x20 own: {{type: self, type_name: own, interval: 50ms}}\n\
         \x20 headers: {{type_name: a, endpoint: \"{}\", interval: 50ms, headers: {{X-Key: planted-header, X-Tenant: \"a b\"}}}}\n\
         \x20 url: {{type_name: a, endpoint: \"me:planted-in-a-url@{}\", interval: 50ms}}\n\
         recorders:\n\
         \x20 basic: {{endpoint: [\"me:planted-password@{}\"], bulk: {{age: 50ms}}}}\n\
         \x20 key: {{endpoint: \"{}\", auth: {{api_key: planted-api-key}}, bulk: {{age: 50ms}}}}\n\
         \x20 bearer: {{endpoint: \"{}\", auth: {{bearer: \"${{TOKEN}}\"}}, bulk: {{age: 50ms}}}}\n\
         \x20 none: {{endpoint: \"{}\", bulk: {{age: 50ms}}}}\n\
         routes:\n  all: {{readers: [own, headers, url], recorders: [basic, key, bearer, none]}}\n",
        at(0),
        at(1),
        at(2),
        at(3),
        at(4),
        at(5)
    );
    let environment = [("TOKEN", "planted-from-the-environment")];
    let mut program = Program::start_with(&environment, &["--loglevel=trace"], &config);
    let heads = |index: usize| servers[index].1.lock().expect("the list").clone();
    wait_until("everybody was asked", || (0..6).all(|index| heads(index).len() >= 4));
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    let expected = [
        vec!["x-key: planted-header".to_owned(), "x-tenant: a b".to_owned()],
        vec![basic("me:planted-in-a-url")],
        vec![basic("me:planted-password")],
        vec!["authorization: apikey planted-api-key".to_owned()],
        vec!["authorization: bearer planted-from-the-environment".to_owned()],
        vec![],
    ];
    for (index, expected) in expected.iter().enumerate() {
        for head in heads(index) {
            let found = |line: &&str| line.starts_with("authorization:") || line.starts_with("x-");
            assert_eq!(head.lines().filter(found).collect::<Vec<_>>(), *expected, "{head}");
        }
    }
    assert_nothing_is_told("the log", &program.read("stderr"));
    assert_nothing_is_told("standard output", &program.read("stdout"));
    for (_, _, store) in &servers {
        for document in store.lock().expect("the store").documents.values() {
            assert_nothing_is_told("a document", &document.to_string());
        }
    }
    let check = program::expvastic()
        .args(["check", "-c", "conf.yml"])
        .envs(environment)
        .current_dir(program.path(""))
        .output()
        .expect("expvastic starts");
    assert_eq!(check.status.code(), Some(0));
    assert_nothing_is_told("check", &format!("{check:?}"));
}

#[test]
fn a_password_that_is_changed_under_way_is_taken_up() {
    let wanted = Arc::new(Mutex::new(basic("me:planted-in-a-file")));
    let store = Arc::new(Mutex::new(Store::default()));
    let (asked_for, stored) = (Arc::clone(&wanted), Arc::clone(&store));
    let server = Server::bare(move |request: &Request| {
        if !request.head.lines().any(|line| line == *asked_for.lock().expect("the wish")) {
            return Reply::Full(401, String::new(), b"who are you?".to_vec());
        }
        match request.target.as_str() {
            "/" => Reply::ok(r#"{"version":{"number":"9.0.4"}}"#),
            target if target.starts_with("/_bulk") => stored.lock().expect("the store").take(&request.body, |_| None),
            _ => Reply::ok("{}"),
        }
    });
    let app = counting_app();
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    // Of the same length, so that no size tells them apart.
    std::fs::write(&secret, "planted-in-a-file\n").expect("written");
    let config = format!(
        "readers: {{app: {{type_name: app, endpoint: \"{}\", interval: 50ms}}}}\n\
         recorders: {{es: {{endpoint: \"{}\", auth: {{user: me, password_file: \"{}\"}}, bulk: {{age: 50ms}}}}}}\n\
         routes: {{r: {{readers: app, recorders: es}}}}\n",
        app.address,
        server.address,
        secret.display()
    );
    let mut program = Program::start(&["--loglevel=trace"], &config);
    let count = || store.lock().expect("the store").documents.len();
    wait_until("documents arrive with the first password", || count() >= 3);
    std::fs::write(&secret, "planted-later\n").expect("written");
    *wanted.lock().expect("the wish") = basic("me:planted-later");
    let before = count();
    wait_until("documents arrive with the second", || count() >= before + 3);
    // A file that is away for a moment leaves what was in it.
    std::fs::remove_file(&secret).expect("removed");
    let before = count();
    wait_until("documents arrive without the file", || count() >= before + 40);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    let log = program.read("stderr");
    assert!(!log.contains("failed"), "nobody was troubled: {log}");
    assert_nothing_is_told("the log", &log);
}

#[test]
fn a_redirect_takes_nothing_to_another_origin() {
    let (stranger, stranger_heads, _) = listening();
    let to = format!("http://{}/elsewhere", stranger.address);
    let own_heads = Heads::default();
    let kept = Arc::clone(&own_heads);
    let server = Server::bare(move |request: &Request| {
        kept.lock().expect("the list").push(request.head.clone());
        let location = if request.target == "/hop" { to.clone() } else { "/hop".to_owned() };
        Reply::Full(302, format!("Location: {location}\r\n"), Vec::new())
    });
    let config = format!(
        "readers: {{app: {{type_name: app, endpoint: \"http://me:planted-in-a-url@{}/x\", interval: 50ms, headers: {{X-Key: planted-header}}}}}}\n\
         recorders: {{out: {{type: file, path: \"-\"}}}}\nroutes: {{r: {{readers: app, recorders: out}}}}\n",
        server.address,
    );
    let mut program = Program::start(&["--loglevel=trace"], &config);
    let seen = || stranger_heads.lock().expect("the list").clone();
    wait_until("the stranger is asked", || seen().len() >= 3);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    for head in seen() {
        assert!(!head.contains("authorization") && !head.contains("x-key"), "{head}");
    }
    let own = own_heads.lock().expect("the list").clone();
    assert!(own.len() >= 6, "{own:?}");
    for head in own {
        assert!(head.contains(&basic("me:planted-in-a-url")) && head.contains("x-key: planted-header"), "{head}");
    }
    assert_nothing_is_told("the log", &program.read("stderr"));
}

/// The same by the other way out, which names that must be resolved take: a proxy stands for the world.
#[cfg(feature = "proxy")]
#[test]
fn names_are_told_who_asks_and_their_redirects_are_not() {
    let heads = Heads::default();
    let kept = Arc::clone(&heads);
    let proxy = Server::bare(move |request: &Request| {
        kept.lock().expect("the list").push(format!("{}\r\n{}", request.target, request.head));
        match request.target.as_str() {
            "http://app.test/vars" => Reply::Full(302, "Location: /again\r\n".to_owned(), Vec::new()),
            "http://app.test/again" => Reply::Full(302, "Location: http://app.test:81/\r\n".to_owned(), Vec::new()),
            _ => Reply::ok(r#"{"x": 1}"#),
        }
    });
    let config = "readers: {app: {type_name: app, endpoint: \"http://me:planted-in-a-url@app.test/vars\", headers: {X-Key: planted-header}}}\n\
                  recorders: {out: {type: file, path: out}}\nroutes: {r: {readers: app, recorders: out}}\n";
    let address = format!("http://{}", proxy.address);
    let environment = [("http_proxy", address.as_str()), ("no_proxy", "")];
    let mut program = Program::start_with(&environment, &["once", "--loglevel=trace"], config);
    assert_eq!(program.wait(), Some(0), "{}", program.read("stderr"));
    let heads = heads.lock().expect("the list");
    let targets: Vec<&str> = heads.iter().filter_map(|head| head.lines().next()).collect();
    assert_eq!(targets, ["http://app.test/vars", "http://app.test/again", "http://app.test:81/"]);
    for (head, is_own) in heads.iter().zip([true, true, false]) {
        assert_eq!(head.contains(&basic("me:planted-in-a-url")), is_own, "{head}");
        assert_eq!(head.contains("x-key: planted-header"), is_own, "{head}");
    }
    assert_nothing_is_told("the log", &program.read("stderr"));
}

/// Servers that repeat whatever they were sent get none of it into the log, or anywhere else.
#[test]
fn what_a_server_repeats_is_not_passed_on() {
    for status in [200, 302, 400, 401, 403, 500] {
        let server = echo(status);
        let config = format!(
            "settings: {{shutdown_timeout: 100ms}}\n\
             readers:\n\
             \x20 own: {{type: self, type_name: own, interval: 50ms}}\n\
             \x20 app: {{type_name: a, endpoint: \"{0}\", interval: 50ms, max_body: 64kB, auth: {{user: me, password: planted-password}}, headers: {{X-Key: planted-header}}}}\n\
             recorders:\n\
             \x20 basic: {{endpoint: \"{0}\", auth: {{user: me, password: planted-password}}}}\n\
             \x20 url: {{endpoint: \"me:planted-in-a-url@{0}\", dead_letter: dead}}\n\
             \x20 key: {{endpoint: \"{0}\", auth: {{api_key: planted-api-key}}}}\n\
             \x20 bearer: {{endpoint: \"{0}\", auth: {{bearer: planted-bearer}}}}\n\
             \x20 out: {{type: file, path: out}}\n\
             routes:\n  all: {{readers: [own], recorders: [basic, url, key, bearer, out]}}\n  app: {{readers: app, recorders: basic}}\n",
            server.address
        );
        let mut program = Program::start(&["--loglevel=trace"], &config);
        wait_until("each recorder was refused", || {
            let log = program.read("stderr");
            ["basic", "url", "key", "bearer"]
                .iter()
                .all(|recorder| log.lines().any(|line| line.contains(&format!("recorder={recorder} "))))
        });
        wait_until("there are own documents", || program.documents("out").len() >= 2);
        let set_up = program.beside(&["setup"]);
        program.signal("TERM");
        program.wait();
        let log = program.read("stderr");
        assert!(log.contains("***"), "status {status}: {log}");
        assert_nothing_is_told("the log", &log);
        assert_nothing_is_told("setup", &String::from_utf8_lossy(&set_up.stdout));
        assert_nothing_is_told("dead letters", &program.read("dead"));
        assert_nothing_is_told("own documents", &program.read("out"));
    }
}

/// A host that a redirect names, and a proxy with a password: both are in the texts of failures.
#[cfg(feature = "proxy")]
#[test]
fn hosts_and_proxies_tell_no_secret_either() {
    let hop = Server::bare(|_| Reply::Full(302, "Location: http://PLANTED-bearer.test/\r\n".to_owned(), Vec::new()));
    let proxy = Server::bare(|request: &Request| {
        let is_hop = request.target.contains("planted-bearer");
        let page = format!("{} planted-in-a-url", request.head);
        if is_hop {
            Reply::Raw(b"planted-bearer planted-in-a-url".to_vec())
        } else {
            Reply::Full(407, String::new(), page.into())
        }
    });
    let config = format!(
        "readers:\n  own: {{type: self, type_name: own}}\n  hop: {{type_name: a, endpoint: \"{}\", auth: {{bearer: planted-bearer}}}}\n\
         recorders: {{es: {{endpoint: \"http://es.test\"}}, out: {{type: file, path: out.ndjson}}}}\n\
         routes: {{a: {{readers: own, recorders: es}}, b: {{readers: hop, recorders: out}}}}\n",
        hop.address
    );
    let address = format!("http://me:planted-in-a-url@{}", proxy.address);
    let environment = [("http_proxy", address.as_str()), ("no_proxy", "")];
    let mut program = Program::start_with(&environment, &["--loglevel=trace"], &config);
    wait_until("both have failed", || {
        let log = program.read("stderr");
        let has_failed = |part: &str| log.lines().any(|line| line.contains(" WARN ") && line.contains(part));
        has_failed("reader=hop ") && has_failed("recorder=es ")
    });
    program.kill();
    let log = program.read("stderr");
    assert!(log.contains("basic ***"), "the proxy was told who asks, and says so: {log}");
    assert_nothing_is_told("the log", &log.to_lowercase());
}

/// Status of the server, `auth` of the recorder, and what the log says to look at.
const ADVICE: [(u16, &str, &str); 7] = [
    (401, "", "; the server requires credentials: set `auth`"),
    (401, "auth: {user: me, password: planted-password}", "; check `auth`: the user \"me\" and the password"),
    (401, "auth: {user: me, password_file: secret}", "; check `auth`: the user \"me\" and the password in secret"),
    (401, "auth: {api_key: planted-api-key}", "; check `auth`: the API key, which may be wrong, expired or revoked"),
    (401, "auth: {bearer: planted-bearer}", "; check `auth`: the bearer token, which may be wrong or expired"),
    (403, "", "; the server denies access: check its access rules, or set `auth`"),
    (
        403,
        "auth: {user: me, password: planted-password}",
        "; check the privileges of `auth`: the user \"me\" and the password",
    ),
];

#[test]
fn a_refusal_says_what_to_look_at() {
    for (status, auth, advice) in ADVICE {
        let server = Server::bare(move |_| Reply::Full(status, String::new(), b"no".to_vec()));
        let comma = if auth.is_empty() { "" } else { ", " };
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret"), "planted-in-a-file").expect("written");
        let config = format!(
            "readers: {{app: {{type_name: app, endpoint: \"{0}\"{comma}{auth}}}}}\n\
             recorders: {{es: {{endpoint: \"{0}\"{comma}{auth}}}}}\nroutes: {{r: {{readers: app, recorders: es}}}}\n",
            server.address
        );
        std::fs::write(folder.path().join("conf.yml"), config).expect("written");
        let run = |command: &str| {
            let mut expvastic = program::expvastic();
            let output = expvastic.current_dir(folder.path()).args([command, "-c", "conf.yml"]).output();
            let output = output.expect("expvastic starts");
            assert_eq!(output.status.code(), Some(1));
            String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8")
        };
        for (command, line) in [("once", "reader=app "), ("setup", "es: ")] {
            let said = run(command);
            assert!(said.lines().any(|found| found.contains(line) && found.contains(advice)), "{advice}: {said}");
            assert_nothing_is_told(command, &said);
        }
    }
}
