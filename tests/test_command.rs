//! The command `test` over real sockets: what it says of everything that can be well or wrong, and that it changes nothing.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "test_command/moved.rs"]
mod moved;
#[path = "support/program.rs"]
mod program;
#[cfg(feature = "tls")]
#[path = "test_command/secured.rs"]
mod secured;
#[path = "test_command/servers.rs"]
mod servers;
#[cfg(feature = "tls")]
#[path = "support/tls.rs"]
mod tls;

use loopback::{Reply, Request, Reserved, Server, wait_until};
use program::Program;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Barrier, Mutex};

/// Runs `expvastic test` with this configuration: its exit code, and what it printed. Times are replaced by `N ms`, and free
/// space by `N MiB free`.
fn test(config: &str) -> (Option<i32>, String) {
    test_with(&["test"], config)
}

fn test_with(arguments: &[&str], config: &str) -> (Option<i32>, String) {
    let mut program = Program::start(arguments, config);
    let code = program.wait();
    assert_eq!(program.read("stderr"), "", "warnings and errors");
    (code, without_figures(&program.read("stdout")))
}

fn without_figures(text: &str) -> String {
    let line = |line: &str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        for at in 1..words.len() {
            let is_free_space = words[at] == "MiB" && words.get(at + 1).is_some_and(|word| word.starts_with("free"));
            if is_free_space || words[at].trim_end_matches([',', ';']) == "ms" {
                words[at - 1] = "N";
            }
        }
        format!("{}\n", words.join(" "))
    };
    text.lines().map(line).collect()
}

/// A server that answers `GET` with what is in the table, by target; everything else is 404.
fn table(answers: &[(&str, u16, &str)]) -> Server {
    let answers: BTreeMap<String, (u16, String)> =
        answers.iter().map(|(target, status, body)| ((*target).to_owned(), (*status, (*body).to_owned()))).collect();
    Server::bare(move |request| match answers.get(&request.target) {
        Some((status, body)) => Reply::Full(*status, String::new(), body.clone().into_bytes()),
        None => Reply::Full(404, String::new(), b"{}".to_vec()),
    })
}

const ES_9: (&str, u16, &str) = ("/", 200, r#"{"version":{"number":"9.0.4"}}"#);
const PRIVILEGES: &str = "/_security/user/_has_privileges";

fn app(body: &'static str) -> Server {
    Server::start(move |_| Reply::Chunked(body.as_bytes().to_vec()))
}

/// A reader whose endpoint is well, and the recorder with these keys.
fn with_recorder(recorder: &str) -> String {
    format!(
        "readers:\n  own: {{type: self, type_name: own}}\nrecorders:\n  es:\n    {recorder}\n\
         routes: {{r: {{readers: own, recorders: es}}}}\n"
    )
}

#[test]
fn everything_is_well_and_nothing_is_changed() {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let server = Server::bare(move |request: &Request| {
        let asked = format!("{} {} {}", request.method, request.target, String::from_utf8_lossy(&request.body));
        seen.lock().expect("the requests").push(asked.trim_end().to_owned());
        match request.target.as_str() {
            "/" => Reply::ok(ES_9.2),
            "/_ingest/pipeline/mine?filter_path=*.version" => Reply::ok("{}"),
            PRIVILEGES => Reply::ok(
                r#"{"username":"shipper","has_all_requested":true,"cluster":{"monitor":true},"index":{"shop-*":{"create_doc":true}}}"#,
            ),
            _ => Reply::Full(404, String::new(), Vec::new()),
        }
    });
    let shop = app("{\n\"cmdline\": [\"x\"],\n\"memstats\": {\"Alloc\": 5},\n\"n\": 1\n}\n");
    let config = format!(
        "settings: {{listen: \"127.0.0.1:0\"}}\nreaders:\n  shop: {{type_name: shop, endpoint: \"{}\"}}\n\
         recorders:\n  es: {{endpoint: \"{}\", index_name: shop-x, pipeline: mine, spool: {{path: a/spool, bytes: 1MiB}}, \
         dead_letter: b/dead.ndjson}}\n  out: {{type: file, path: out.ndjson, bytes: 1MiB, keep: 1}}\n  screen: {{type: file, \
         path: \"-\"}}\nroutes: {{r: {{readers: shop, recorders: [es, out, screen]}}}}\n",
        shop.address, server.address
    );
    let mut program = Program::start(&["test"], &config);
    assert_eq!((program.wait(), program.read("stderr").as_str()), (Some(0), ""));
    let said = without_figures(&program.read("stdout"));
    let document_bytes = said.split("document ").nth(1).and_then(|rest| rest.split(' ').next()).expect("its size");
    let expected = format!(
        "✓ reader shop: 200 in N ms, 55 bytes, 2 variables, document {document_bytes} bytes\n\
         ✓ recorder es: Elasticsearch 9.0 at {} in N ms\n\
         ✓ recorder es: /_index_template/expvastic-shop-x does not exist yet: it is created before the first bulk\n\
         ✓ recorder es: index shop-x does not exist yet: the first document creates it\n\
         ✓ recorder es: ingest pipeline mine exists\n\
         ✓ recorder es: user \"shipper\" has all that is needed for shop-x\n\
         ✓ recorder es: spool folder a/spool can be created, N MiB free, up to 1 MiB needed\n\
         ✓ recorder es: dead-letter file b/dead.ndjson can be created, N MiB free, up to 32 MiB needed\n\
         ✓ recorder out: file out.ndjson can be created, N MiB free, up to 2 MiB needed\n\
         ✓ recorder screen: standard output\n\
         ✓ settings listen: 127.0.0.1:0 is free\n",
        server.address
    );
    assert_eq!(said, expected);
    let privileges = r#"{"cluster":["monitor","manage_index_templates"],"index":[{"names":["shop-x"],"privileges":["create_doc","auto_configure"]}]}"#;
    let expected = [
        "GET /".to_owned(),
        "GET /_index_template/expvastic-shop-x".to_owned(),
        "GET /shop-x/_mapping?filter_path=**.type".to_owned(),
        "GET /_ingest/pipeline/mine?filter_path=*.version".to_owned(),
        format!("POST {PRIVILEGES} {privileges}"),
    ];
    assert_eq!(*requests.lock().expect("the requests"), expected, "it only asks");
    let folder = program.path("");
    let mut names: Vec<_> =
        fs::read_dir(folder).expect("readable").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["conf.yml", "stderr", "stdout"], "it creates nothing");
}

/// What is wrong with an endpoint, and the line about it.
#[test]
fn every_failure_of_a_reader_is_told_with_what_to_do() {
    let refused = Reserved::new();
    let page = Server::start(|_| {
        Reply::Full(404, "Content-Type: text/html\r\n".to_owned(), b"<html><title>Oh</title>".to_vec())
    });
    let denied = Server::start(|_| Reply::Full(401, String::new(), Vec::new()));
    let hung = Server::start(|_| Reply::Hang(Vec::new()));
    let (text, empty, long) =
        (app("# HELP go_x y\n# TYPE go_x gauge\ngo_x 1\n"), app(""), app(r#"{"x": "0123456789"}"#));
    let (left, broken) = (app("{\"x\": 1}"), app("{\n\"x\": ,\n\"y\": NaN\n}\n"));
    for (server, keys, expected) in [
        (
            &refused.address,
            "",
            "connection refused by ADDRESS; is the application running? Check endpoint (conf.yml:4)",
        ),
        (
            &page.address,
            "",
            "status 404, expected 200; the body is HTML (Content-Type: text/html), and its title is \"Oh\"; is a login page or a proxy in front of it? (conf.yml:4)",
        ),
        (&denied.address, "", "status 401, expected 200; the server requires credentials: set `auth` (conf.yml:3)"),
        (
            &hung.address,
            ", timeout: 50ms",
            "no complete response within 50ms; is the application running, and not overloaded? Check endpoint, or raise \
             timeout (conf.yml:4)",
        ),
        (&text.address, "", "the body is not a JSON object (byte 0): it is the Prometheus text format, …"),
        (&empty.address, "", "the body is empty, expected a JSON object; …"),
        (
            &long.address,
            ", max_body: 9",
            "the body is longer than max_body (9 bytes); check endpoint, or raise max_body (conf.yml:4)",
        ),
        (&left.address, ", include: [nope]", "every variable in the payload is left out: …"),
        (
            &broken.address,
            "",
            "nothing in the payload is valid JSON: \"x\", \"y\"; correct what the application publishes (conf.yml:4)",
        ),
    ] {
        let config = format!(
            "recorders: {{out: {{type: file, path: out}}}}\nreaders:\n  app:\n    {{endpoint: \"{server}\", type_name: app{keys}}}\n\
             routes: {{r: {{readers: app, recorders: out}}}}\n"
        );
        let (code, said) = test(&config);
        let line = said.lines().next().unwrap_or_default().replace(server, "ADDRESS");
        assert_eq!(code, Some(1), "{line}");
        let expected = format!("✗ reader app: {expected}");
        assert!(has(&line, &expected), "expected\n{expected}\nsaid\n{line}");
    }
}

/// Whether it is this line; `…` stands for any rest.
fn has(line: &str, expected: &str) -> bool {
    expected.strip_suffix('…').map_or(line == expected, |begins| line.starts_with(begins))
}

#[test]
fn a_reader_tells_what_is_changed_left_out_and_matched_by_nothing() {
    let app = app("{\n\"_id\": 1,\n\"a\": 4,\n\"a\": 5,\n\"b\": ,\n\"text\": \"x\",\n\"half\": [\"\\ud83d\"]\n}\n");
    let config = format!(
        "recorders: {{out: {{type: file, path: out}}}}\nreaders:\n  app:\n    endpoint: \"{}\"\n    type_name: app\n    \
         include: [\"*\", \"nope.**\"]\n    rates: [requests]\nroutes: {{r: {{readers: app, recorders: out}}}}\n",
        app.address
    );
    let (code, said) = test(&config);
    let line = said.lines().next().unwrap_or_default();
    assert_eq!(code, Some(0), "{line}");
    let (begins, ends) = (
        "✓ reader app: 200 in N ms, 69 bytes, 5 variables, document ",
        " bytes, 2 names changed (1 reserved, 1 repeated): \"_id\" is shipped as \"vars._id\", \"a\" is shipped as \"a#2\", \
         1 half surrogate pair replaced by U+FFFD, the first in \"half\"; left out values that are not valid JSON, or not numbers that a \
         server can store: \"b\"; no variable in the first document matches these patterns in include: \"nope.**\"; are \
         they misspelt?; no variable in the first document matches these patterns in rates: \"requests\"; are they misspelt?",
    );
    assert!(line.starts_with(begins) && line.ends_with(ends), "{line}");
}

#[test]
fn many_changed_names_are_counted() {
    let app = app("{\"_id\": 1, \"_index\": 1, \"_type\": 1, \"_uid\": 1, \"_ttl\": 1, \"_size\": 1, \"_tier\": 1}");
    let config = format!(
        "recorders: {{out: {{type: file, path: out}}}}\nreaders: {{app: {{endpoint: \"{}\", type_name: app}}}}\n\
         routes: {{r: {{readers: app, recorders: out}}}}\n",
        app.address
    );
    let (_, said) = test(&config);
    let line = said.lines().next().unwrap_or_default();
    let changed = ", 7 names changed (7 reserved): \"_id\" is shipped as \"vars._id\", \"_index\" is shipped as \
                   \"vars._index\", \"_type\" is shipped as \"vars._type\", \"_uid\" is shipped as \"vars._uid\", \"_ttl\" is \
                   shipped as \"vars._ttl\" and 2 more";
    assert!(line.starts_with("✓") && line.ends_with(changed), "{line}");
}

/// Two readers that answer only when both have been asked.
#[test]
fn everything_is_tried_at_the_same_time() {
    let both = Arc::new(Barrier::new(3));
    let server = Server::bare(move |_| {
        both.wait();
        Reply::ok(r#"{"x":1,"version":{"number":"9.0.4"}}"#)
    });
    let config = format!(
        "readers: {{a: {{type_name: a, endpoint: \"{0}\"}}, b: {{type_name: b, endpoint: \"{0}\"}}}}\n\
         recorders: {{es: {{endpoint: \"{0}\", template: off, timeout: 1s}}}}\nroutes: {{r: {{readers: [a, b], recorders: es}}}}\n",
        server.address
    );
    let (_, said) = test(&config);
    assert_eq!(said.lines().take(3).filter(|line| line.starts_with('✓')).count(), 3, "{said}");
}

#[test]
fn places_on_disk_are_tried_without_writing() {
    let server = table(&[ES_9]);
    let config = |keys: &str| with_recorder(&format!("{{endpoint: \"{}\"{keys}}}", server.address));
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(folder.path().join("file"), "kept").expect("written");
    fs::create_dir(folder.path().join("folder")).expect("created");
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).expect("linked");
    fs::set_permissions(folder.path().join("folder"), fs::Permissions::from_mode(0o700)).expect("set");
    for (keys, is_good, expected) in [
        (format!(", dead_letter: {}", path("file")), true, "can be written to, N MiB free, up to 31 MiB needed"),
        (format!(", spool: {{path: {}}}", path("folder")), true, "can be written to, N MiB free, up to 255 MiB needed"),
        (format!(", spool: {{path: {}}}", path("a/b/c")), true, "can be created, N MiB free, up to 256 MiB needed"),
        (format!(", spool: {{path: {}}}", path("file")), false, "not a directory; check its permissions (conf.yml:5)"),
        (
            format!(", spool: {{path: {}}}", path("file/below")),
            false,
            "Not a directory (os error 20); check its permissions (conf.yml:5)",
        ),
        (
            format!(", dead_letter: {}", path("folder")),
            false,
            "it is a directory, not a regular file; check its permissions (conf.yml:5)",
        ),
        (
            format!(", dead_letter: {}", path("link")),
            false,
            "No such file or directory (os error 2); create its folder (conf.yml:5)",
        ),
        (
            format!(", spool: {{path: {}, bytes: 800000GB}}", path("folder")),
            false,
            "MiB needed; free disk space, or lower the limit (conf.yml:5)",
        ),
    ] {
        let (code, said) = test(&config(&keys));
        let line = said.lines().last().unwrap_or_default();
        assert_eq!(code, Some(i32::from(!is_good)), "{said}");
        assert!(line.ends_with(expected) && line.starts_with(if is_good { '✓' } else { '✗' }), "{keys}: {line}");
    }
    let missing = path("missing/out");
    let (code, said) = test(&with_recorder(&format!("{{type: file, path: {missing}}}")));
    let expected = format!(
        "✗ recorder es: file {missing} cannot be written to: No such file or directory (os error 2); create its folder (conf.yml:5)\n"
    );
    assert!(code == Some(1) && said.ends_with(&expected), "{said}");
    assert_eq!(fs::read_to_string(folder.path().join("file")).expect("readable"), "kept");
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 3, "nothing is created");
    assert_eq!(fs::read_dir(folder.path().join("folder")).expect("readable").count(), 0, "not even a lock");
}

#[test]
fn an_address_that_is_taken_is_told_unless_a_running_expvastic_has_it() {
    let other = Server::bare(|_| Reply::ok("{\"x\":1}"));
    let config =
        |address: &str| format!("settings: {{listen: \"{address}\"}}\n{}", with_recorder("{type: file, path: out}"));
    let (code, said) = test(&config(&other.address));
    let expected = format!(
        "✗ settings listen: {}: the address is already in use (choose another port in settings.listen) (conf.yml:1)\n",
        other.address
    );
    assert!(code == Some(1) && said.ends_with(&expected), "{said}");
    let reserved = Reserved::new();
    let address = &reserved.address;
    let running = Program::start(&[], &config(address));
    wait_until("the pages are served", || running.read("stderr").contains("status pages at"));
    let beside = running.beside(&["test"]);
    let said = String::from_utf8_lossy(&beside.stdout).into_owned();
    let expected = format!("✓ settings listen: {address} is in use by a running expvastic\n");
    assert!(beside.status.code() == Some(0) && said.ends_with(&expected), "{said}");
}

#[test]
fn scripts_get_an_object_for_each_line() {
    let server = table(&[ES_9]);
    let shop = app("{\"n\": 1}");
    let reserved = Reserved::new();
    let gone = &reserved.address;
    let config = format!(
        "readers:\n  shop: {{type_name: shop, endpoint: \"{}\"}}\n  away: {{type_name: away, endpoint: \"{gone}\"}}\n\
         recorders: {{es: {{endpoint: \"{}\", spool: {{path: spool}}}}}}\nroutes: {{r: {{readers: [shop, away], recorders: es}}}}\n",
        shop.address, server.address
    );
    let mut program = Program::start(&["test", "--json"], &config);
    assert_eq!(program.wait(), Some(1));
    let lines: Vec<Value> =
        program.read("stdout").lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let names = |line: &Value| (line["part"].clone(), line["name"].clone(), line["check"].clone(), line["ok"].clone());
    assert_eq!(names(&lines[0]), ("reader".into(), "shop".into(), "poll".into(), true.into()));
    for figure in ["ms", "document_bytes"] {
        assert!(lines[0][figure].is_u64(), "{}", lines[0]);
    }
    for (figure, value) in [("status", 200), ("bytes", 8), ("variables", 1), ("changed_names", 0), ("left_out", 0)] {
        assert_eq!(lines[0][figure], value, "{figure}");
    }
    assert_eq!(
        lines[1],
        json!({"part": "reader", "name": "away", "check": "poll", "ok": false, "at": "conf.yml:3",
            "text": format!("connection refused by {gone}"), "fix": "is the application running? Check endpoint"})
    );
    assert_eq!(names(&lines[2]), ("recorder".into(), "es".into(), "server".into(), true.into()));
    let spool = lines.last().expect("a line");
    assert!(spool["check"] == "spool" && spool["free_bytes"].is_u64() && spool["needed_bytes"] == 256 << 20, "{spool}");
}

/// A server repeats what it was sent, and names are terminal commands.
#[test]
fn lines_hold_no_secret_and_no_command_for_a_terminal_and_are_bounded() {
    let gossip = Server::bare(|request| {
        let credentials =
            request.head.lines().find(|line| line.starts_with("authorization")).unwrap_or_default().to_owned();
        Reply::Full(
            401,
            String::new(),
            format!("{credentials} planted-password \u{1b}[31m{}", "long ".repeat(3000)).into_bytes(),
        )
    });
    let config = format!(
        "readers: {{own: {{type: self, type_name: own}}}}\nrecorders: {{\"e\\e[1ms\": {{endpoint: \"{}\", auth: {{user: \
         shipper, password: planted-password}}}}}}\nroutes: {{r: {{readers: own, recorders: \"e\\e[1ms\"}}}}\n",
        gossip.address
    );
    for arguments in [&["test"][..], &["test", "--json"]] {
        let mut program = Program::start(arguments, &config);
        assert_eq!(program.wait(), Some(1));
        let said = program.read("stdout");
        let line = said.lines().nth(1).expect("the recorder's line");
        assert!(line.contains("status 401") && line.contains("***") && line.len() < 3000, "{line}");
        assert!(!said.contains('\u{1b}') && !said.contains("planted") && !said.contains("cGxhbnRlZ"), "{said}");
    }
}

#[test]
fn a_bad_configuration_and_wrong_usage_have_their_own_codes() {
    let mut program = Program::start(&["test"], "readers: {}\n");
    assert_eq!((program.wait(), program.read("stdout").as_str()), (Some(78), ""));
    let mut program = Program::start(&["check", "--json"], &with_recorder("{type: file, path: out}"));
    assert_eq!(program.wait(), Some(64));
    assert!(program.read("stderr").contains("--json works only with test"), "{}", program.read("stderr"));
    let (code, said) = test_with(&["test", "--loglevel", "debug"], &with_recorder("{type: file, path: out}"));
    assert!(code == Some(0) && said.starts_with("✓ reader own: the counters of expvastic itself\n"), "{said}");
}
