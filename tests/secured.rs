//! Servers that require authentication, and endpoints with TLS: which certificates the program accepts, and what it logs about
//! the others.
//!
//! Requires Maven, the JDKs that `tests/servers/serve` asks for, curl and openssl; `.ci/run` installs them. Run it with
//! `cargo test --test secured`.
#![forbid(unsafe_code)]
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![allow(clippy::disallowed_methods, reason = "a test has deadlines of its own")]
#![allow(clippy::print_stderr, reason = "a failed test says where its logs are")]

#[path = "support/expvastic.rs"]
mod expvastic;
#[path = "support/flatten_twin.rs"]
mod flatten_twin;
#[path = "support/http.rs"]
mod http;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/server.rs"]
mod server;

use processes::{Orphaned, Running, Workdir};
use server::Server;
use std::fs;
use std::io::{Read, Write};
use std::time::Duration;

const TIME_MAX: Duration = Duration::from_secs(60);

/// Runs `expvastic COMMAND -c conf.yml` in the folder: whether it went well, and all that it said.
fn expvastic(folder: &Workdir, command: &str, config: &str) -> (bool, String) {
    fs::write(folder.join("conf.yml"), config).expect("written");
    let mut expvastic = expvastic::expvastic();
    expvastic.current_dir(folder.join("")).args([command, "-c", "conf.yml"]).env("EXPVASTIC_LOGLEVEL", "trace");
    let output = expvastic.output().expect("expvastic starts");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn openssl(folder: &Workdir, arguments: &str) {
    processes::run(&folder.join(""), "openssl", &arguments.split_whitespace().collect::<Vec<_>>());
}

/// A key, and a certificate that signs itself.
fn self_signed(folder: &Workdir, name: &str, extensions: &str) {
    openssl(
        folder,
        &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN={name} -keyout {name}.key \
             -out {name}.crt {extensions}"
        ),
    );
}

/// A key, and a certificate that `ca` signs for these dates.
fn signed(folder: &Workdir, name: &str, extensions: &str, dates: &str) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(folder, &format!("req {key} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
    let settings = "[ca]\ndefault_ca = test\n[test]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\n\
                    default_md = sha256\npolicy = any\ncertificate = ca.crt\nprivate_key = ca.key\n\
                    [any]\ncommonName = supplied\n";
    fs::write(folder.join("ca.conf"), settings).expect("written");
    fs::write(folder.join("index"), "").expect("written");
    fs::write(folder.join("extensions"), format!("basicConstraints = critical,CA:FALSE\n{extensions}\n"))
        .expect("written");
    openssl(
        folder,
        &format!("ca -batch -notext -config ca.conf -extfile extensions -in {name}.csr -out {name}.crt {dates}"),
    );
}

/// An endpoint that shows the certificate NAME; `{x: 1}` is at `/vars`.
fn endpoint(folder: &Workdir, name: &str, more: &[&str]) -> (Running, String) {
    let (certificate, key) = (folder.join(&format!("{name}.crt")), folder.join(&format!("{name}.key")));
    let paths = [&certificate, &key].map(|path| path.to_str().expect("a plain path"));
    let script = "cd \"$0\" && exec openssl s_server -HTTP -accept 127.0.0.1:0 \"$@\"";
    let in_folder = folder.join("");
    let mut arguments =
        vec!["-c", script, in_folder.to_str().expect("a plain path"), "-cert", paths[0], "-key", paths[1]];
    arguments.extend(more);
    let mut running = Running::start(folder, "s_server", Orphaned::Kill, "sh", &arguments);
    let address = running.wait_for_lines("ACCEPT ", 1, TIME_MAX).remove(0);
    let port = address.rsplit_once(':').expect("a port").1.to_owned();
    (running, port)
}

/// Certificate of the endpoint, arguments of it, how it is asked (`PORT` is its port), and what is said; nothing if all is
/// well.
#[rustfmt::skip]
const CERTIFICATES: [(&str, &[&str], &str, &str); 20] = [
    ("good", &[], "https://localhost:PORT/vars\", tls: {ca_file: ca.crt}", ""),
    ("good", &[], "https://127.0.0.1:PORT/vars\", tls: {ca_file: ca.crt}", ""),
    ("good", &[], "https://localhost:PORT/vars\", tls: {verify: false}", ""),
    ("good", &[], "https://localhost:PORT/vars\"", "the certificate of localhost:PORT was rejected: it is not signed by a CA that the system trusts; set tls.ca_file to its CA"),
    ("good", &[], "https://localhost:PORT/vars\", tls: {ca_file: other.crt}", "the certificate of localhost:PORT was rejected: it is not signed by a CA in other.crt"),
    ("expired", &[], "https://localhost:PORT/vars\", tls: {ca_file: ca.crt}", "the certificate of localhost:PORT was rejected: it expired at 2020-02-01T00:00:00Z"),
    ("expired", &[], "https://localhost:PORT/vars\", tls: {verify: false}", ""),
    ("elsewhere", &[], "https://localhost:PORT/vars\", tls: {ca_file: ca.crt}", "the certificate of localhost:PORT was rejected: it is for elsewhere.test, not for localhost"),
    ("elsewhere", &[], "https://localhost:PORT/vars\", tls: {verify: false}", ""),
    ("self", &[], "https://localhost:PORT/vars\"", "the certificate of localhost:PORT was rejected: it is not signed by a CA that the system trusts; set tls.ca_file to its CA"),
    ("self", &[], "https://localhost:PORT/vars\", tls: {verify: false}", ""),
    ("self", &[], "https://localhost:PORT/vars\", tls: {ca_file: self.crt}", ""),
    ("ca", &[], "https://localhost:PORT/vars\", tls: {ca_file: ca.crt}", "the certificate of localhost:PORT was rejected: it is a CA certificate (CA:TRUE), not a server certificate; give the server one of its own"),
    ("good", CLIENTS, "https://localhost:PORT/vars\", tls: {ca_file: ca.crt, cert_file: client.crt, key_file: client.key}", ""),
    ("good", CLIENTS, "https://localhost:PORT/vars\", tls: {ca_file: ca.crt}", "localhost:PORT closed the connection: if it requires a client certificate, set tls.cert_file and tls.key_file"),
    ("good", CLIENTS, "https://localhost:PORT/vars\", tls: {ca_file: ca.crt, cert_file: self.crt, key_file: self.key}", "localhost:PORT closed the connection: does it accept the certificate in tls.cert_file?"),
    ("good", CLIENTS, "https://localhost:PORT/vars\", tls: {ca_file: ca.crt, cert_file: client.crt, key_file: self.key}", "the certificate in client.crt and the key in self.key cannot be used: do they belong together?"),
    ("old", &[], "https://localhost:PORT/vars\", tls: {ca_file: ca.crt}", "the certificate of localhost:PORT was rejected: it is X.509 version 1: reissue it as version 3, with extensions"),
    ("good", &[], "http://localhost:PORT/vars\"", "the connection was closed before a response arrived (if this port speaks TLS, write https://)"),
    ("good", &[], "https://localhost:1/vars\"", "connection refused by localhost:1"),
];

const CLIENTS: &[&str] = &["-CAfile", "ca.crt", "-Verify", "1", "-verify_return_error"];

#[test]
fn certificates_are_checked_and_what_is_wrong_with_them_is_said() {
    let folder = Workdir::new("certificates");
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    for ca in ["ca", "other"] {
        self_signed(&folder, ca, &format!("-addext {names}"));
    }
    self_signed(&folder, "self", &format!("-addext {names} -addext basicConstraints=critical,CA:FALSE"));
    signed(&folder, "good", names, "-days 30");
    signed(&folder, "expired", names, "-startdate 20200101000000Z -enddate 20200201000000Z");
    signed(&folder, "elsewhere", "subjectAltName=DNS:elsewhere.test", "-days 30");
    signed(&folder, "client", "", "-days 30");
    openssl(
        &folder,
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout old.key -out old.csr",
    );
    openssl(&folder, "x509 -req -in old.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out old.crt");
    fs::write(folder.join("vars"), "HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\n{\"x\": 1}").expect("written");
    let mut problems = Vec::new();
    for (name, more, asked, expected) in CERTIFICATES {
        let (_running, port) = endpoint(&folder, name, more);
        let asked = asked.replace("PORT", &port);
        let config = format!(
            "readers: {{app: {{type_name: app, timeout: 20s, endpoint: \"{asked}}}}}\n\
             recorders: {{out: {{type: file, path: \"-\"}}}}\nroutes: {{r: {{readers: app, recorders: out}}}}\n"
        );
        let (is_good, said) = expvastic(&folder, "once", &config);
        let expected = expected.replace("PORT", &port);
        let is_read = said.contains("\"x\":1");
        let is_warned = said.contains("verify is false: the certificate is not checked");
        let is_right =
            if expected.is_empty() { is_good && is_read } else { !is_good && !is_read && has(&said, &expected) };
        if !is_right || is_warned != asked.contains("verify: false") {
            problems.push(format!("{name}, {asked}: expected {expected:?}, said\n{said}"));
        }
    }
    server::assert_none("certificates", &problems);
}

/// A server on another port of the same host has a certificate of the same private CA. It is trusted as the first one is,
/// and is not shown the client certificate, without which the first one says nothing.
#[test]
fn trust_follows_a_redirect_and_the_client_certificate_stays_behind() {
    let folder = Workdir::new("redirected");
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    for ca in ["ca", "other"] {
        self_signed(&folder, ca, &format!("-addext {names}"));
    }
    signed(&folder, "good", names, "-days 30");
    signed(&folder, "client", "", "-days 30");
    self_signed(&folder, "self", &format!("-addext {names} -addext basicConstraints=critical,CA:FALSE"));
    let not_trusted = "was rejected: it is not signed by a CA in ca.crt";
    let no_client = "closed the connection: if it requires a client certificate";
    for (target, more, host, expected) in [
        ("good", &["-CAfile", "ca.crt", "-verify", "1"][..], "localhost", ""),
        ("good", &[][..], "127.0.0.1", ""),
        ("good", CLIENTS, "localhost", no_client),
        ("self", &[][..], "localhost", not_trusted),
    ] {
        fs::write(folder.join("vars"), "HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\n{\"x\": 1}").expect("written");
        let (_target, target_port) = endpoint(&folder, target, more);
        let location = format!("https://{host}:{target_port}/vars");
        let page = format!("HTTP/1.0 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        fs::write(folder.join("moved"), page).expect("written");
        let (_first, port) = endpoint(&folder, "good", CLIENTS);
        let tls = "tls: {ca_file: ca.crt, cert_file: client.crt, key_file: client.key}";
        let config = format!(
            "readers: {{app: {{type_name: app, timeout: 20s, endpoint: \"https://localhost:{port}/moved\", {tls}}}}}\n\
             recorders: {{out: {{type: file, path: \"-\"}}}}\nroutes: {{r: {{readers: app, recorders: out}}}}\n"
        );
        let (is_good, said) = expvastic(&folder, "once", &config);
        let is_read = said.contains("\"x\":1");
        assert_eq!((is_good, is_read), (expected.is_empty(), expected.is_empty()), "{target} {more:?}: {said}");
        assert!(said.contains(expected), "{target} {more:?}: expected {expected:?}, said\n{said}");
    }
}

#[test]
fn tls_to_a_port_without_it_is_told() {
    let folder = Workdir::new("no-tls");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    let config = format!(
        "readers: {{app: {{type_name: app, timeout: 20s, endpoint: \"https://localhost:{port}/vars\"}}}}\n\
         recorders: {{out: {{type: file, path: \"-\"}}}}\nroutes: {{r: {{readers: app, recorders: out}}}}\n"
    );
    let (is_good, said) = expvastic(&folder, "once", &config);
    let expected = format!("the TLS handshake with localhost:{port} failed: it speaks plain HTTP; write http://");
    assert!(!is_good && said.contains(&expected), "{said}");
}

/// Only who spoke plain HTTP is said to.
#[test]
fn what_is_neither_tls_nor_http_is_not_taken_for_either() {
    let folder = Workdir::new("neither");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n");
            let _ = stream.read(&mut [0; 1024]);
        }
    });
    let config = format!(
        "readers: {{app: {{type_name: app, timeout: 20s, endpoint: \"https://localhost:{port}/vars\"}}}}\n\
         recorders: {{out: {{type: file, path: \"-\"}}}}\nroutes: {{r: {{readers: app, recorders: out}}}}\n"
    );
    let (is_good, said) = expvastic(&folder, "once", &config);
    let expected = format!("the TLS handshake with localhost:{port} failed: does it speak TLS?");
    assert!(!is_good && said.contains(&expected) && !said.contains("write http://"), "{said}");
}

/// Files that libraries take without a word, or refuse without a reason: `check` says what is wrong with them.
#[test]
fn files_that_are_of_no_use_are_told_by_check() {
    let folder = Workdir::new("files");
    for name in ["ca", "client", "other"] {
        self_signed(&folder, name, "");
    }
    openssl(
        &folder,
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=old -keyout old.key -out old.csr",
    );
    openssl(&folder, "x509 -req -in old.csr -signkey old.key -days 30 -out old.crt");
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("readable");
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("written");
    write("bom.crt", format!("\u{feff}{}", read("ca.crt")));
    write("joined.crt", format!("{}{}", read("ca.crt").trim_end(), read("other.crt")));
    write("cut.crt", read("ca.crt").replace("-----END CERTIFICATE-----", ""));
    write("good.crt", format!("{}\n{}", read("ca.crt"), read("other.crt")));
    for (tls, is_good, expected) in [
        ("ca_file: good.crt, cert_file: client.crt, key_file: client.key", true, ""),
        ("ca_file: ca.crt, cert_file: client.crt, key_file: other.key", false, "do they belong together?"),
        ("ca_file: bom.crt", false, "bom.crt: begins with a byte order mark"),
        ("ca_file: joined.crt", false, "were files joined without a newline between them?"),
        ("ca_file: cut.crt", false, "cut.crt: the CERTIFICATE that begins on line 1 has no END"),
        ("ca_file: old.crt", true, "contains an X.509 version 1 certificate"),
        ("ca_file: ca.crt, cert_file: old.crt, key_file: old.key", false, "is X.509 version 1, which is not accepted"),
    ] {
        let config = format!(
            "readers: {{app: {{type_name: app, endpoint: \"https://localhost:1/vars\", tls: {{{tls}}}}}}}\n\
             recorders: {{out: {{type: file, path: \"-\"}}}}\nroutes: {{r: {{readers: app, recorders: out}}}}\n"
        );
        let (found, said) = expvastic(&folder, "check", &config);
        assert_eq!((found, said.contains(expected)), (is_good, true), "{tls}: expected {expected:?}, said\n{said}");
    }
}

#[test]
fn a_machine_that_trusts_nobody_is_told_so() {
    let folder = Workdir::new("no-store");
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    self_signed(&folder, "ca", &format!("-addext {names}"));
    signed(&folder, "good", names, "-days 30");
    let (_running, port) = endpoint(&folder, "good", &[]);
    for (tls, expected) in [("", "this system has no CA certificates: install them"), (", tls: {ca_file: ca.crt}", "")]
    {
        let config = format!(
            "readers: {{app: {{type_name: app, timeout: 20s, endpoint: \"https://localhost:{port}/vars\"{tls}}}}}\n\
             recorders: {{out: {{type: file, path: \"-\"}}}}\nroutes: {{r: {{readers: app, recorders: out}}}}\n"
        );
        fs::write(folder.join("conf.yml"), config).expect("written");
        for command in ["check", "once"] {
            let mut expvastic = expvastic::expvastic();
            expvastic.current_dir(folder.join("")).args([command, "-c", "conf.yml"]);
            expvastic.env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere");
            let output = expvastic.output().expect("expvastic starts");
            let said = String::from_utf8_lossy(&output.stderr);
            let is_said = said.contains("this system has no CA certificates");
            assert!(said.contains(expected) && is_said != expected.is_empty(), "{command}{tls}: {said}");
        }
    }
}

/// Whether a line has all of this; `…` stands for whatever a server says.
fn has(said: &str, expected: &str) -> bool {
    let (begins, ends) = expected.split_once('…').unwrap_or((expected, ""));
    said.lines().any(|line| line.split_once(begins).is_some_and(|(_, behind)| behind.contains(ends)))
}

/// How a server with TLS and passwords is asked, and what is said; nothing if all is well. `ADDRESS` is the server's.
#[rustfmt::skip]
const SERVERS: [(&str, &str); 9] = [
    ("https://ADDRESS\", tls: {ca_file: server/ca.crt}, auth: {user: shipper, password: changeme}", ""),
    ("https://shipper:changeme@ADDRESS\", tls: {ca_file: server/ca.crt}", ""),
    ("https://ADDRESS\", tls: {verify: false}, auth: {user: shipper, password_file: password}", ""),
    ("https://ADDRESS\", tls: {ca_file: server/ca.crt}, auth: {user: shipper, password: hunter2}", "status 401: …; check `auth`: the user \"shipper\" and the password"),
    ("https://ADDRESS\", tls: {ca_file: server/ca.crt}, auth: {bearer: hunter2}", "status 401: …; check `auth`: the bearer token, which may be wrong or expired"),
    ("https://ADDRESS\", tls: {ca_file: server/ca.crt}", "status 401: …; the server requires credentials: set `auth`"),
    ("https://ADDRESS\", auth: {user: shipper, password: changeme}", "the certificate of ADDRESS was rejected: it is not signed by a CA that the system trusts; set tls.ca_file to its CA"),
    ("https://ADDRESS\", tls: {ca_file: other.crt}, auth: {user: shipper, password: changeme}", "the certificate of ADDRESS was rejected: it is not signed by a CA in other.crt"),
    ("http://ADDRESS\", auth: {user: shipper, password: changeme}", "the connection was closed before a response arrived (if this port speaks TLS, write https://)"),
];

macro_rules! tests_of_engines {
    ($($test:ident $engine:literal)+) => {$(
        #[test]
        fn $test() {
            check($engine);
        }
    )+};
}

tests_of_engines! {
    elasticsearch_7 "elasticsearch-7"
    elasticsearch_8 "elasticsearch-8"
    opensearch_2 "opensearch-2"
    opensearch_3 "opensearch-3"
}

fn config(recorder: &str) -> String {
    format!(
        "settings: {{shutdown_timeout: 20s}}\nreaders: {{own: {{type: self, type_name: own}}}}\n\
         recorders: {{es: {{timeout: 20s, endpoint: \"{recorder}}}}}\nroutes: {{r: {{readers: own, recorders: es}}}}\n"
    )
}

fn check(engine: &str) {
    let _alone = server::alone();
    let folder = Workdir::new(engine);
    self_signed(&folder, "other", "");
    fs::write(folder.join("password"), "changeme\n").expect("written");
    let mut problems = Vec::new();
    let server = Server::start_with(&folder, engine, &["--auth", "shipper:changeme", "--tls"]);
    for (asked, expected) in SERVERS {
        let asked = asked.replace("ADDRESS", &server.address);
        let expected = expected.replace("ADDRESS", &server.address);
        // `setup` asks once, where shipping would go on trying until its time is over.
        for command in ["setup", "once"].iter().take(if expected.is_empty() { 2 } else { 1 }) {
            let (is_good, said) = expvastic(&folder, command, &config(&asked));
            let is_right = if expected.is_empty() { is_good } else { !is_good && has(&said, &expected) };
            if !is_right || said.contains("changeme") || said.contains("hunter2") {
                problems.push(format!("{command}, {asked}: expected {expected:?}, said\n{said}"));
            }
        }
    }
    drop(server);
    server::assert_none(engine, &problems);
}
