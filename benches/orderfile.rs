//! Writes `build/orderfile.txt`: the functions of a release that run while it ships documents. `build.rs` makes the linker place
//! them side by side.
//!
//! When code runs, Linux maps the 64 kB around it, and counts them as memory of the process. Only a fifth of the code runs; spread
//! over the binary, it would cause nearly two thirds of the binary to be mapped.
//!
//! `cargo bench --profile dev --bench orderfile -- --write` builds a release with symbols, runs it under callgrind beside the servers of
//! `benches/footprint`, and lists the functions that ran: first those for a server with an IP address, then the additional ones
//! for a host name, then those for TLS. Run it again after dependencies have changed, or if `cargo bench --bench footprint` shows
//! more memory. A function that is missing in the list, or a line without a function, only costs a little memory. Requires
//! valgrind and openssl.

#![cfg_attr(not(feature = "tls"), allow(unused, reason = "the list is made of a build with TLS"))]
#![allow(clippy::print_stdout, reason = "a bench prints what it does")]
#![allow(clippy::print_stderr, reason = "a bench says on standard error why it failed")]
#![allow(clippy::disallowed_methods, reason = "a bench is made of clocks and threads")]

#[path = "footprint/app.rs"]
#[allow(dead_code, reason = "the footprint takes the rest")]
mod app;
#[path = "footprint/http.rs"]
#[allow(dead_code, reason = "the footprint takes the rest")]
mod http;
#[path = "footprint/sink.rs"]
#[allow(dead_code, reason = "the footprint takes the rest")]
mod sink;
#[cfg(feature = "tls")]
#[path = "footprint/tls.rs"]
#[allow(dead_code, reason = "the footprint takes the rest")]
mod tls;

use crate::{app::App, sink::Sink};
use std::{
    collections::{BTreeSet, HashSet},
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode},
    time::Duration,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Under callgrind everything takes fifty times as long.
const PATIENCE: Duration = Duration::from_secs(120);
/// Enough documents for everything that happens regularly to have happened.
const DOCUMENTS: u64 = 100;
/// Further readers, because some code runs only if there are many.
const MORE_READERS: usize = 20;

/// How the configuration names the server: by an IP address, by a host name, or by `https://`.
#[derive(Debug, Clone, Copy)]
enum Way {
    Number,
    Name,
    Tls,
}

fn main() -> ExitCode {
    // This changes a file of the project, so a plain `cargo bench` must not do it.
    let is_wanted = std::env::args().any(|word| word == "--write");
    match if is_wanted { write() } else { Ok(()) } {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orderfile: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(feature = "tls"))]
fn write() -> Outcome<()> {
    Err("the list is made of a build with TLS".into())
}

#[cfg(feature = "tls")]
fn write() -> Outcome<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let binary = build(root)?;
    let bytes = fs::read(&binary)?;
    // The symbol names in a binary are separated by zeros.
    let symbols: HashSet<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    let (mut text, mut listed) = (String::from(HEAD), BTreeSet::new());
    for way in [Way::Number, Way::Name, Way::Tls] {
        let found: BTreeSet<String> = run(&binary, way)?
            .iter()
            .filter(|name| symbols.contains(name.as_bytes()))
            .map(|name| pattern(name))
            .collect();
        let new: Vec<&String> = found.difference(&listed).collect();
        println!("orderfile: {way:?}: {} functions, {} of them new", found.len(), new.len());
        writeln!(text, "# {way:?}")?;
        for name in new {
            writeln!(text, "{name}")?;
        }
        listed.extend(found);
    }
    let file = root.join("build/orderfile.txt");
    fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()).into())
}

const HEAD: &str = "# Functions that run while documents are shipped; `*` stands for what differs from build to build.\n\
                    # Written by `cargo bench --profile dev --bench orderfile -- --write`, read by build.rs.\n";

/// Builds a release with symbols, and returns its path.
fn build(root: &Path) -> Outcome<PathBuf> {
    let folder = root.join("target/orderfile");
    let status = Command::new(env!("CARGO"))
        .current_dir(root)
        .env("CARGO_PROFILE_RELEASE_STRIP", "none")
        .args(["build", "--release", "--bin", "expvastic", "--target-dir"])
        .arg(&folder)
        .status()?;
    if !status.success() {
        return Err(format!("cargo build: {status}").into());
    }
    Ok(folder.join("release/expvastic"))
}

/// Runs the program under callgrind until it has shipped some documents. Returns callgrind's names of the functions that ran.
#[cfg(feature = "tls")]
fn run(binary: &Path, way: Way) -> Outcome<BTreeSet<String>> {
    let folder = tempfile::tempdir()?;
    let app = App::start(1, &http::plain())?;
    let (sink, recorder) = match way {
        Way::Number | Way::Name => (Sink::start(&http::plain())?, String::new()),
        Way::Tls => {
            let tls = tls::Tls::start(folder.path())?;
            let recorder = format!(", tls: {{ca_file: \"{}\"}}", tls.ca_file.display());
            (Sink::start(&tls.opening())?, recorder)
        }
    };
    let (scheme, server) = match way {
        Way::Number => ("http", "127.0.0.1"),
        // No address as we read one, so the system's resolver is asked, which takes it for 127.0.0.1 on any machine.
        Way::Name => ("http", "127.1"),
        Way::Tls => ("https", "localhost"),
    };
    let configuration = folder.path().join("conf.yml");
    fs::write(&configuration, configured(&app, &format!("{scheme}://{server}:{}", sink.port), &recorder))?;
    let profile = folder.path().join("profile");
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind", "--demangle=no"]);
    command.arg(format!("--callgrind-out-file={}", profile.display()));
    command.arg(binary).args(["-c", "conf.yml"]).current_dir(folder.path());
    let mut child = command.spawn().map_err(|error| format!("valgrind: {error}"))?;
    let have_come = sink.wait_beyond(DOCUMENTS, PATIENCE);
    let ended = end(&mut child);
    if !have_come {
        return Err(format!("{way:?}: no documents").into());
    }
    ended?;
    Ok(functions(&fs::read_to_string(profile)?))
}

/// A configuration in the usual style, so that the usual parts of its parser run. The answers to the second reader have a
/// `Content-Length`, and there are enough readers for a list of timers with several levels.
#[cfg(feature = "tls")]
fn configured(app: &App, server: &str, recorder: &str) -> String {
    let port = app.ports[0];
    let (mut more, mut routed) = (String::new(), String::new());
    for number in 1..MORE_READERS {
        // Writing to a string cannot fail.
        let _ = writeln!(more, "  more_{number}: {{type_name: app, endpoint: \"127.0.0.1:{port}/debug/vars\"}}");
        let _ = writeln!(routed, "      - more_{number}");
    }
    format!(
        "settings:\n  log_level: info\n\n\
         readers:\n  app:\n    type: expvar\n    type_name: app\n    endpoint: 127.0.0.1:{port}/debug/vars\n    \
         interval: 1s\n    timeout: 500ms\n    labels:\n      env: prod\n  \
         sized: {{type_name: sized, endpoint: \"http://127.0.0.1:{port}/debug/vars?sized\", interval: 1s}}\n{more}\
         recorders:\n  es: {{type: elasticsearch, endpoint: \"{server}\", index_name: expvastic, timeout: 60s, \
         bulk: {{documents: 500}}{recorder}}}\n\
         routes:\n  all:\n    readers:\n      - app\n      - sized\n{routed}    recorders: [es]\n"
    )
}

/// Ends a process with SIGTERM, as systemd does.
fn end(child: &mut Child) -> Outcome<()> {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("the program ended: {status}").into()) }
}

/// Names in a profile of callgrind: `fn=(12) name`, `cfn=(12) name'2`.
fn functions(profile: &str) -> BTreeSet<String> {
    let names = profile.lines().filter_map(|line| {
        let named = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn="))?;
        let (_, name) = named.split_once(") ")?;
        // Callgrind appends the depth of a recursion.
        Some(name.split('\'').next().unwrap_or(name).to_owned())
    });
    names.collect()
}

/// Removes the parts of a name that differ from build to build: `17h0123456789abcdefE` with the compiler's suffixes after it,
/// and `Cs1a2B3c_` before the name of a crate.
fn pattern(name: &str) -> String {
    if name.starts_with("_ZN") {
        return match name.rsplit_once("17h") {
            Some((path, hash)) if hash.len() > 16 && hash.as_bytes()[16] == b'E' => format!("{path}17h*"),
            _ => name.to_owned(),
        };
    }
    if !name.starts_with("_R") {
        return name.to_owned();
    }
    let mut parts = name.split("Cs");
    let mut pattern = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let behind = part.trim_start_matches(|character: char| character.is_ascii_alphanumeric());
        let is_hash = behind.starts_with('_') && behind.len() < part.len();
        pattern.push_str(if is_hash { "Cs*" } else { "Cs" });
        pattern.push_str(if is_hash { behind } else { part });
    }
    pattern
}
