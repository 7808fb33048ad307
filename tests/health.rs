//! `expvastic health` and `--listen`, as probes and images use them. Runs the program and uses real sockets.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "a test has a deadline")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Reserved, Server, counting_app, pages_address, storing_server};
use program::Program;
use std::time::{Duration, Instant};

/// The exit code of `expvastic health ARGUMENTS`, and what it says on standard error.
fn health(environment: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = program::expvastic();
    let output = command.arg("health").args(arguments).envs(environment.iter().copied()).output().expect("it starts");
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

fn config(settings: &str, app: &str, server: &str) -> String {
    format!(
        "settings: {{{settings}}}\nreaders: {{app: {{type_name: app, endpoint: \"{app}\", interval: 20ms, timeout: 2s}}}}\n\
         recorders: {{es: {{endpoint: \"{server}\", timeout: 2s}}}}\nroutes: {{r: {{readers: [app], recorders: [es]}}}}\n"
    )
}

#[test]
fn a_running_program_is_healthy_where_the_flag_or_its_variable_says() {
    let (app, (server, _store)) = (counting_app(), storing_server());
    let config = config("listen: \"256.0.0.1\"", &app.address, &server.address).replace("256.0.0.1", "127.0.0.1:1");
    for (environment, arguments) in [
        (&[][..], &["--listen", "127.0.0.1:0"][..]),
        (&[("EXPVASTIC_LISTEN", "localhost:0")], &[]),
        (&[("EXPVASTIC_LISTEN", "nonsense")], &["-listen=:0"]),
    ] {
        let program = Program::start_with(environment, arguments, &config);
        let address = pages_address(1, || program.read("stderr"));
        let port = address.rsplit_once(':').expect("a port").1;
        let everywhere = format!(":{port}");
        // Nobody listens at the proxy.
        let proxy = [("http_proxy", "http://127.0.0.1:1"), ("EXPVASTIC_RECORDER", "localhost:9")];
        for arguments in [
            &[address.as_str()][..],
            &[&format!("http://127.0.0.1:{port}/")],
            &[&format!("localhost:{port}/healthz")],
            &["--listen", &everywhere],
        ] {
            assert_eq!(health(&proxy, arguments), (Some(0), String::new()), "{arguments:?}");
        }
        assert_eq!(health(&[("EXPVASTIC_LISTEN", &everywhere)], &[]), (Some(0), String::new()));
        let (code, said) = health(&[], &[&format!("127.0.0.1:{port}/nowhere")]);
        assert_eq!(code, Some(1));
        assert!(said.contains("/nowhere answered 404: not found: try /") && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn the_configuration_says_where_to_ask() {
    let running = Server::bare(|request| match request.target.as_str() {
        "/healthz" => Reply::ok("ok\n"),
        _ => Reply::Full(404, String::new(), Vec::new()),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("conf.yml");
    let path = file.to_str().expect("UTF-8");
    let write = |settings: &str| std::fs::write(&file, config(settings, "h:1", "h:2")).expect("written");
    write(&format!("listen: \"{}\"", running.address));
    assert_eq!(health(&[], &["-c", path]), (Some(0), String::new()));
    assert_eq!(health(&[("EXPVASTIC_CONFIG", path)], &[]), (Some(0), String::new()));
    let elsewhere = Reserved::new();
    assert_eq!(health(&[("EXPVASTIC_LISTEN", &elsewhere.address)], &["-c", path]).0, Some(1), "the variable wins");
    for (settings, problem) in [
        ("", "no status pages: set settings.listen, or --listen"),
        ("listen: \":0\"", "the system chooses the port (port 0): give the URL that the log shows"),
        ("listn: off", "(give the URL instead)"),
    ] {
        write(settings);
        let (code, said) = health(&[], &["-c", path]);
        assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.starts_with("expvastic health: ") && said.contains(problem), "{said}");
    }
}

#[test]
fn what_is_wrong_is_told_on_one_line() {
    let not_ready = Server::bare(|_| Reply::Full(503, String::new(), b"recorder es: failing\x1b[0m\nmore".to_vec()));
    let hung = Server::bare(|_| Reply::Hang(Vec::new()));
    let nobody = Reserved::new();
    let start = Instant::now();
    for (url, problem) in [
        (format!("{}/ready", not_ready.address), "/ready answered 503: recorder es: failing\\u{1b}[0m\n"),
        (hung.address.clone(), "is expvastic running, with settings.listen or --listen at this address?"),
        (nobody.address.clone(), "connection refused by"),
    ] {
        let (code, said) = health(&[], &[&url]);
        assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.contains(problem), "{said}");
    }
    assert!(start.elapsed() < Duration::from_secs(60), "it does not wait for ever");
    for (arguments, problem) in [
        (&[][..], "health: no address to ask: give a URL (expvastic health http://127.0.0.1:9102), --listen, or -c"),
        (&["ftp://h"], "health: the endpoint has the scheme \"ftp\", expected http or https"),
        (&["user:secret@h"], "health: credentials in an endpoint are not supported"),
        (&["--listen", "here"], "--listen: expected a local address and port"),
        (&["h:1", "h:2"], "unexpected argument \"h:2\""),
    ] {
        let (code, said) = health(&[], arguments);
        assert_eq!(code, Some(64), "{said}");
        assert!(said.contains(problem) && !said.contains("secret"), "{said}");
    }
}
