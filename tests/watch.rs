//! `watch: true`: changed files are loaded without a signal. Runs the program with real files and real sockets.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;
#[path = "support/reloads.rs"]
mod reloads;

use loopback::{counting_app, storing_server, wait_until};
use program::Program;
use reloads::{config, loaded, stop};
use std::path::Path;

/// Makes these files the content of a folder as Kubernetes does it with a `ConfigMap`.
fn mount(folder: &Path, version: &str, files: &[(&str, &str)]) {
    let own = folder.join(version);
    std::fs::create_dir_all(&own).expect("created");
    for (name, text) in files {
        std::fs::write(own.join(name), text).expect("written");
        let link = folder.join(name);
        if std::fs::symlink_metadata(&link).is_err() {
            std::os::unix::fs::symlink(Path::new("..data").join(name), link).expect("linked");
        }
    }
    let swapped = folder.join("..data_tmp");
    std::os::unix::fs::symlink(version, &swapped).expect("linked");
    std::fs::rename(swapped, folder.join("..data")).expect("renamed");
}

fn refused(program: &Program) -> usize {
    program
        .read("stderr")
        .matches("the configuration has changed, invalid configuration: keeping the current one")
        .count()
}

#[test]
fn changed_files_are_loaded_without_a_signal_and_bad_ones_are_said_once() {
    let (app, other, (server, _stored)) = (counting_app(), counting_app(), storing_server());
    let es = format!("  es: {{endpoint: \"{}\"}}", server.address);
    let base = config(&app.address, "", &es, "r: {readers: [app], recorders: [es]}");
    let more = format!(
        "readers: {{other: {{type_name: other, endpoint: \"{}\", interval: 10ms, map_file: ../maps}}}}\n\
         routes: {{s: {{readers: other, recorders: es}}}}\n",
        other.address
    );
    let watch = ("watch.yml", "settings: {watch: true}\n");
    let mut program = Program::start_prepared_with(&[], &["-c", "conf.d"], &base, |folder| {
        mount(&folder.join("conf.d"), "..1", &[watch]);
        std::fs::write(folder.join("maps"), "memory_bytes: {a: mb}\n").expect("written");
    });
    let after = |count: usize, what: &str| wait_until(what, || loaded(&program) == count);
    wait_until("it polls", || app.request_count() > 2);

    // A file that the folder did not have before.
    mount(&program.path("conf.d"), "..2", &[watch, ("more.yml", &more)]);
    after(1, "the new reader is there");
    wait_until("it is polled", || other.request_count() > 2);

    // A file that somebody is writing, and completes later.
    std::fs::write(program.path("conf.yml"), "readers: [").expect("written");
    wait_until("it is refused", || refused(&program) == 1);
    let polled = app.request_count();
    wait_until("the readers go on", || app.request_count() > polled + 10);
    std::fs::write(program.path("conf.yml"), format!("{base}# complete\n")).expect("written");
    after(2, "the complete file is loaded");

    // A file that the configuration names.
    std::fs::write(program.path("maps"), "memory_bytes: {a: kb}\n").expect("written");
    after(3, "the other units are loaded");

    // SIGHUP works as ever, and what it has loaded is no change.
    program.signal("HUP");
    after(4, "it is loaded because of the signal");
    // A text that is as before is no change either.
    std::fs::write(program.path("maps"), "memory_bytes: {a: kb}\n").expect("written");
    let polled = app.request_count();
    mount(&program.path("conf.d"), "..3", &[("watch.yml", "settings: {watch: false}\n"), ("more.yml", &more)]);
    after(5, "the watch is turned off");
    assert!(app.request_count() > polled);
    assert_eq!(refused(&program), 1, "{}", program.read("stderr"));
    assert_eq!(stop(&mut program), Some(0));
}
