//! What a released version has left behind is understood by this one, and what a later version may leave behind is left
//! alone. `tests/releases/VERSION` is what that version wrote: a spool folder, the documents of it that its server had
//! taken, and its index template.
//!
//! For each release, before its version is increased (in a namespace, so that no document has the name of a machine):
//!
//! ```sh
//! cargo test --test upgrades --no-run
//! unshare --uts sh -c 'hostname edge && cargo test --test upgrades -- --ignored keep_what_this_version_writes'
//! ```

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Server, Store, bulk_documents, counting_app, overloaded_server, storing_server, wait_until};
use program::Program;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

fn config(app: &str, server: &str) -> String {
    format!(
        "settings: {{shutdown_timeout: 100ms}}\n\
         readers: {{app: {{type_name: app, endpoint: \"{app}\", interval: 100ms, timeout: 2s}}}}\n\
         recorders: {{es: {{endpoint: \"{server}\", timeout: 2s, spool: {{path: spool, sync: 100ms}}}}}}\n\
         routes: {{r: {{readers: [app], recorders: [es]}}}}\n"
    )
}

/// One folder for each released version.
fn releases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/releases");
    let found = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let releases: Vec<PathBuf> = found.filter(|path| path.is_dir()).collect();
    assert!(!releases.is_empty());
    releases
}

/// The files of a folder, and what is in them.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry"));
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().expect("UTF-8");
    entries.map(|entry| (name(&entry), fs::read(entry.path()).expect("readable"))).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("made");
    for (name, bytes) in files(from) {
        fs::write(to.join(name), bytes).expect("written");
    }
}

/// The documents in a spool folder, by index and id.
fn spooled(folder: &Path) -> BTreeMap<(String, String), Value> {
    let texts =
        files(folder).into_iter().filter(|(name, _)| Path::new(name).extension().is_some_and(|e| e == "ndjson"));
    let documents = texts.flat_map(|(_, text)| bulk_documents(&text));
    documents.map(|(index, id, source)| ((index, id), source)).collect()
}

/// The ids of the documents that the server had taken.
fn acked(release: &Path) -> Vec<String> {
    let text = fs::read_to_string(release.join("acked.txt")).expect("readable");
    text.lines().map(str::to_owned).collect()
}

/// Each document of a released version is stored once, those included that its server had taken already.
#[test]
fn the_spool_of_each_release_is_delivered() {
    for release in releases() {
        let (documents, acked) = (spooled(&release.join("spool")), acked(&release));
        assert!(documents.len() > acked.len() && !acked.is_empty(), "{}", release.display());
        let (app, (server, store)) = (counting_app(), storing_server());
        let had = documents.iter().filter(|((_, id), _)| acked.contains(id));
        store.lock().expect("the store").documents.extend(had.map(|(key, source)| (key.clone(), source.clone())));
        let config = config(&app.address, &server.address);
        let mut program =
            Program::start_prepared(&config, |folder| copy(&release.join("spool"), &folder.join("spool")));
        wait_until("all are delivered", || {
            let store = store.lock().expect("the store");
            documents.iter().all(|(key, source)| store.documents.get(key) == Some(source))
        });
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0));
        let said = program.read("stderr");
        let found = documents.len();
        assert!(said.contains(&format!("documents recovered from the spool recorder=es documents={found}")), "{said}");
        let already = acked.len();
        assert!(said.contains(&format!(" + duplicate {already} + dead_lettered 0 + dropped 0 + waiting 0")), "{said}");
        assert!(!said.contains("damaged"), "{said}");
        assert!(spooled(&program.path("spool")).is_empty(), "nothing is left");
    }
}

#[test]
fn the_template_of_each_release_is_known_for_ours() {
    for release in releases() {
        let written: Value =
            serde_json::from_slice(&fs::read(release.join("template.json")).expect("readable")).expect("JSON");
        let puts = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&puts);
        let server = Server::bare(move |request| match (request.method.as_str(), request.target.as_str()) {
            ("GET", "/") => Reply::ok(r#"{"version":{"number":"9.0.4"}}"#),
            ("GET", target) if target.starts_with("/_index_template/") => {
                let list = [json!({"name": "expvastic", "index_template": written})];
                Reply::ok(json!({ "index_templates": list }).to_string())
            }
            ("PUT", _) => {
                *counted.lock().expect("the count") += 1;
                Reply::ok(r#"{"acknowledged":true}"#)
            }
            _ => Reply::Full(404, String::new(), Vec::new()),
        });
        let mut program = Program::start(&["setup"], &config("localhost:1", &server.address));
        assert_eq!(program.wait(), Some(0));
        let said = program.read("stdout");
        let outcome = ["is up to date", "updated /_index_template/"].map(|outcome| said.contains(outcome));
        let puts = *puts.lock().expect("the count");
        assert_eq!(outcome, [puts == 0, puts == 1], "{said}");
        assert!(outcome[0] || outcome[1], "neither foreign nor edited: {said}");
    }
}

#[test]
fn the_spool_of_a_later_version_is_told_of_and_left_untouched() {
    let release = releases().remove(0);
    for format in ["2\n", "zstd", ""] {
        let (app, store) = (counting_app(), Arc::new(Mutex::new(Store::default())));
        let stored = Arc::clone(&store);
        // `expvastic test` asks for more than bulks.
        let server = Server::start(move |request| {
            if request.target.contains("_bulk") {
                stored.lock().expect("the store").take(&request.body, |_| None)
            } else {
                Reply::Full(404, String::new(), b"{}".to_vec())
            }
        });
        let mut program = Program::start_prepared(&config(&app.address, &server.address), |folder| {
            copy(&release.join("spool"), &folder.join("spool"));
            fs::write(folder.join("spool/format"), format).expect("written");
        });
        let before = files(&program.path("spool"));
        let problem = format!(
            "the spool folder spool was written by a later version (format {:?}, this one reads 1) and is left untouched: \
             ship it with that version, or configure another folder",
            format.trim()
        );
        wait_until("it is told", || {
            program.read("stderr").contains(&format!("{problem}; keeping documents in memory only"))
        });
        wait_until("fresh documents are shipped", || store.lock().expect("the store").documents.len() > 3);
        for action in ["ls", "verify", "dump", "drop"] {
            let output = program.beside(&["spool", action]);
            let said = String::from_utf8(output.stderr).expect("UTF-8");
            assert_eq!((said, output.status.code()), (format!("es: {problem}\n"), Some(1)), "{action}");
        }
        let tested = String::from_utf8(program.beside(&["test"]).stdout).expect("UTF-8");
        assert!(tested.contains(&format!("✗ recorder es: {problem}")), "{tested}");
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0), "nothing is lost: {}", program.read("stderr"));
        assert_eq!(files(&program.path("spool")), before);
    }
}

/// Our own format, spelled out.
#[test]
fn a_spool_that_names_this_format_is_used() {
    let release = releases().remove(0);
    let (app, (server, store, _)) = (counting_app(), overloaded_server());
    let mut program = Program::start_prepared(&config(&app.address, &server.address), |folder| {
        copy(&release.join("spool"), &folder.join("spool"));
        fs::write(folder.join("spool/format"), "1\n").expect("written");
    });
    wait_until("it is used", || program.read("stderr").contains("documents recovered from the spool"));
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
    assert!(store.lock().expect("the store").documents.is_empty());
}

/// Which documents the server takes: those whose numbers are below this.
const ACKED_BELOW: u64 = 3;

/// The index template that a server was sent.
type Template = Arc<Mutex<Vec<u8>>>;

/// A server that takes only some documents, and refuses the others for now.
fn picky_server() -> (Server, Arc<Mutex<Store>>, Template) {
    let (store, template) = (Arc::new(Mutex::new(Store::default())), Template::default());
    let (stored, put) = (Arc::clone(&store), Arc::clone(&template));
    let server = Server::bare(move |request| match (request.method.as_str(), request.target.as_str()) {
        ("GET", "/") => Reply::ok(r#"{"version":{"number":"9.0.4"}}"#),
        ("PUT", target) if target.starts_with("/_index_template/") => {
            put.lock().expect("the template").clone_from(&request.body);
            Reply::ok(r#"{"acknowledged":true}"#)
        }
        ("GET", _) => Reply::Full(404, String::new(), b"{}".to_vec()),
        _ => {
            let numbers: Vec<u64> = bulk_documents(&request.body)
                .iter()
                .map(|(_, _, source)| source["poll_seq"].as_u64().expect("a number"))
                .collect();
            let refused = |at: usize| (numbers[at] >= ACKED_BELOW).then_some((429, "too_many_requests"));
            stored.lock().expect("the store").take(&request.body, refused)
        }
    });
    (server, store, template)
}

#[test]
#[ignore = "writes tests/releases, once for each release"]
fn keep_what_this_version_writes() {
    let release = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/releases").join(env!("CARGO_PKG_VERSION"));
    fs::create_dir_all(release.parent().expect("a parent")).expect("made");
    fs::create_dir(&release).expect("a release is kept once");
    let (app, (overloaded, _, _)) = (counting_app(), overloaded_server());
    let mut program = Program::start(&[], &config(&app.address, &overloaded.address));
    wait_until("ten polls", || app.request_count() >= 10);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));

    let (server, store, template) = picky_server();
    let mut program = program.start_again(&[], &config(&app.address, &server.address));
    let waits = |program: &Program| spooled(&program.path("spool")).len();
    let before = waits(&program);
    wait_until("some are taken, others are on disk", || {
        store.lock().expect("the store").documents.len() as u64 >= ACKED_BELOW && waits(&program) > before + 5
    });
    program.kill();
    fs::create_dir(release.join("spool")).expect("made");
    for (name, bytes) in files(&program.path("spool")).into_iter().filter(|(name, _)| name != "lock") {
        fs::write(release.join("spool").join(name), bytes).expect("written");
    }
    let taken: Vec<String> =
        store.lock().expect("the store").documents.keys().map(|(_, id)| format!("{id}\n")).collect();
    fs::write(release.join("acked.txt"), taken.concat()).expect("written");
    fs::write(release.join("template.json"), &*template.lock().expect("the template")).expect("written");
}
