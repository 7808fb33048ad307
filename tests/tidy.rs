//! Checks the statements of ARCHITECTURE.md about the code that no lint checks.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/imports.rs"]
mod imports;

use imports::Imports;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Each source file below `src`: its name from there, and its text without comments and tests.
fn code() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    assert!(paths.len() > 25, "only {} files", paths.len());
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("readable");
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = product.lines().filter(|line| !line.trim_start().starts_with("//"));
        let name = path.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
        (name, lines.collect::<Vec<_>>().join("\n"))
    };
    let is_product = |(name, _): &(String, String)| !name.ends_with("tests.rs") && !name.contains("/tests/");
    paths.iter().map(read).filter(is_product).collect()
}

#[test]
fn each_library_has_its_place() {
    for (library, places) in [
        ("isahc::", &["http/curl.rs", "http/curl/prepared.rs"][..]),
        ("rustls::", &["http/tls.rs", "http/tls/error.rs", "http/tls/session.rs", "http/tls/trust.rs"]),
        ("openssl_probe::", &["http/tls/trust.rs"]),
        ("flate2::", &["cli/sample.rs", "http/inflate.rs", "recorder/elasticsearch/gzip.rs"]),
        ("httparse::", &["http/response.rs", "http/response/head.rs", "pages/request.rs"]),
        ("httpdate::", &["http/retry_after_header.rs"]),
        ("signal_hook::", &["signals.rs"]),
        (
            "rustix::net",
            &["http/direct/connecting.rs", "http/direct/stream.rs", "http/tls/session.rs", "pages.rs", "stream.rs"],
        ),
        ("rustix::event", &["event_loop.rs"]),
        ("serde_yaml::", &["config/node.rs", "config/node/places.rs"]),
        ("pico_args::", &["cli.rs", "cli/flags.rs", "cli/usage.rs"]),
        (
            "bumpalo::",
            &[
                "flatten/lib.rs",
                "flatten/walk.rs",
                "flatten/walk/columns.rs",
                "flatten/walk/fit.rs",
                "flatten/walk/texts.rs",
                "flatten/layout/by_hash.rs",
                "flatten/layout/names.rs",
                "flatten/layout/rates.rs",
                "flatten/variables.rs",
            ],
        ),
        ("hashbrown::", &["flatten/layout/by_hash.rs"]),
        (
            "simd_json::",
            &[
                "flatten/bytes/index.rs",
                "dashboards/fields.rs",
                "dashboards/import.rs",
                "recorder/elasticsearch/existing.rs",
                "recorder/elasticsearch/inspection.rs",
                "recorder/elasticsearch/retention.rs",
                "recorder/elasticsearch/server.rs",
                "recorder/elasticsearch/template.rs",
                "recorder/elasticsearch/template/checksum.rs",
            ],
        ),
    ] {
        let code = code();
        let users: Vec<&str> =
            code.iter().filter(|(_, text)| text.contains(library)).map(|(name, _)| name.as_str()).collect();
        assert!(!users.is_empty(), "{library} is not used at all");
        for user in users {
            assert!(places.contains(&user), "{user} names {library}");
        }
    }
}

/// Where an `Instant` is a value that comes as an argument.
const TIMED: [&str; 8] = [
    "spool.rs",
    "spool/lane.rs",
    "spool/line.rs",
    "spool/queue.rs",
    "spool/segment.rs",
    "recorder/retry_state.rs",
    "recorder/delivery/turns.rs",
    "recorder/elasticsearch/hosts.rs",
];

#[test]
fn what_computes_knows_no_outside() {
    let pure = [
        "flatten",
        "bulk",
        "document.rs",
        "spool/disk/residence.rs",
        "recorder/elasticsearch/server.rs",
        "recorder/elasticsearch/template",
        "recorder/elasticsearch/mapping_types.rs",
        "http/response",
        "redact/",
        "secret/base64.rs",
        "access/pem.rs",
        "recorder/elasticsearch/existing.rs",
        "recorder/elasticsearch/reason.rs",
        "recorder/elasticsearch/refusals",
        "pages/files.rs",
        "dashboards/classic.rs",
        "dashboards/fields.rs",
        "dashboards/panel.rs",
        "dashboards/panels.rs",
        "pages/request.rs",
        "metrics/prometheus.rs",
        "http/retry_after_header.rs",
        "engine/routing.rs",
        "recorder/elasticsearch/verdict.rs",
        "backoff.rs",
        "reader/foreign.rs",
        "reader/schedule.rs",
        "reader/slowness.rs",
        "finding.rs",
        "plural.rs",
        "cli/table.rs",
        "cli/help.rs",
        "cli/man.rs",
        "cli/shells.rs",
        "sort.rs",
        "config/ports.rs",
        "config/scan",
        "calendar",
    ];
    let mut seen = 0;
    for (name, text) in code().iter().filter(|(name, _)| pure.iter().any(|pure| name.starts_with(pure))) {
        for outside in [
            "async ",
            ".await",
            "std::fs",
            "std::net",
            "std::env",
            "clock::",
            "SystemTime",
            "Instant",
            "smol",
            "event_loop::",
        ] {
            assert!(!text.contains(outside), "{name} knows {outside}");
        }
        seen += 1;
    }
    // Time comes as an argument here: an `Instant` is a value, and only the clock makes one.
    for (name, text) in code().iter().filter(|(name, _)| TIMED.contains(&name.as_str())) {
        for outside in
            ["async ", ".await", "std::fs", "std::net", "std::env", "clock::", "SystemTime", "smol", "event_loop::"]
        {
            assert!(!text.contains(outside), "{name} knows {outside}");
        }
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} files");
}

/// Lines of the longest source file.
const FILE_LINES_MAX: usize = 450;

#[test]
fn no_source_file_is_too_long() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("build.rs")];
    for folder in ["src", "tests", "benches", "fuzz"] {
        sources(&root.join(folder), &mut paths);
    }
    paths.retain(|path| path.strip_prefix(root).is_ok_and(|path| !path.iter().any(|part| part == "target")));
    assert!(paths.len() > 200, "only {} files", paths.len());
    for path in paths {
        let lines = std::fs::read_to_string(&path).expect("readable").lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines: split it by duty", path.display());
    }
}

#[test]
fn the_map_names_each_module() {
    let map = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).expect("readable");
    for (name, _) in code().iter().filter(|(name, _)| !name.contains('/')) {
        assert!(map.contains(&format!("`{name}`")), "ARCHITECTURE.md does not speak of {name}");
    }
}

/// The files that a text names as code: `a.rs`, or `a/{b,c}.rs` for several.
fn named_files(text: &str) -> Vec<String> {
    let spans = text.split('`').skip(1).step_by(2).filter(|span| is_rust(span) && !span.contains(['…', ' ']));
    let files = |span: &str| match span.split_once('{').zip(span.split_once('}')) {
        Some(((before, _), (names, after))) => {
            let names = &names[before.len() + 1..];
            names.split(',').map(|name| format!("{before}{name}{after}")).collect()
        }
        None => vec![span.to_owned()],
    };
    spans.flat_map(files).collect()
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

#[test]
fn the_map_names_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("readable");
    let files = named_files(&map);
    assert!(files.len() > 150, "only {} files are named", files.len());
    let is_there = |file: &String| root.join("src").join(file).exists() || root.join(file).exists();
    let missing: Vec<_> = files.into_iter().filter(|file| !is_there(file)).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md speaks of {missing:?}");
    assert_eq!(named_files("`a.rs` b.rs `c/{d,e}.rs` `f`"), ["a.rs", "c/d.rs", "c/e.rs"]);
}

/// The modules of a source file below `src`: `flatten` is a crate of its own.
fn module(name: &str) -> Vec<String> {
    let (root, path) = match name.strip_prefix("flatten/") {
        Some(path) => ("expvastic_flatten", path),
        None => ("expvastic", name),
    };
    let path = path.strip_suffix(".rs").expect("a source file");
    let path = path.split('/').filter(|part| *part != "lib");
    std::iter::once(root).chain(path).map(str::to_owned).collect()
}

fn imports() -> Imports {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |(name, _): (String, String)| {
        let text = std::fs::read_to_string(root.join(&name)).expect("readable");
        (module(&name), name, text)
    };
    Imports::of(&code().into_iter().map(read).collect::<Vec<_>>())
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let imports = imports();
    let seen = imports.pairs().count();
    assert!(seen > 300, "only {seen} imports are seen");
    let circles = imports.circles();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

/// The floors of the sanitiser, from below, and what stands beside the lowest.
const FLOORS: [&str; 3] = ["bytes", "layout", "walk"];
const GROUND: [&str; 2] = ["error", "limits"];

#[test]
fn the_floors_of_the_sanitiser_import_downwards_only() {
    let part = |name: &str| {
        let part = name.strip_prefix("flatten/")?.split('/').next()?;
        Some(part.strip_suffix(".rs").unwrap_or(part).to_owned())
    };
    let floor = |name: &str| FLOORS.iter().position(|floor| part(name).as_deref() == Some(*floor));
    let mut seen = [0; FLOORS.len()];
    for (from, to) in imports().pairs() {
        let Some(own) = floor(from) else { continue };
        let is_ground = part(to).is_some_and(|part| GROUND.contains(&part.as_str()));
        assert!(is_ground || floor(to).is_some_and(|other| other <= own), "{from} imports {to}");
        seen[own] += 1;
    }
    assert!(seen.iter().all(|seen| *seen > 5), "{seen:?} imports are seen");
}

/// The circles among the modules `a`, `a/b` and `c` of these texts.
fn circles(root: &str, a: &str, b: &str, c: &str) -> Vec<String> {
    let source = |name: &str, text: &str| (module(name), name.to_owned(), text.to_owned());
    let sources = [source("lib.rs", root), source("a.rs", a), source("a/b.rs", b), source("c.rs", c)];
    Imports::of(&sources).circles()
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let found = ["a/b.rs imports c.rs", "c.rs imports a.rs"];
    for (root, a, b, c) in [
        ("", "", "use crate::c::C;", "use crate::a::A;"),
        ("", "", "use super::super::c::{D, self};", "use super::{a::{self, A as B}, x};"),
        ("", "", "fn f() -> crate::c::C { crate::c::C }", "fn f(a: &'static crate::a::A) {}"),
        ("pub use a::A; use c::C;", "", "use crate::C;", "use crate::A;"),
        ("", "pub(crate) use super::c as d;", "use super::d::C;", "use super::a; fn f() { a::f(); }"),
        (
            "",
            "",
            "const C: char = '\"'; use crate::c; // '",
            "const Q: &str = r#\"\"#; use crate::a::A; const R: char = '\\'';",
        ),
        ("", "", "#[cfg(test)] mod t { fn f() {} } use crate::c;", "#[cfg(test)] use crate::x; use crate::a;"),
    ] {
        let own = circles(root, a, b, c);
        assert!(found.iter().all(|line| own.iter().any(|own| own == line)), "{root:?} {a:?} {b:?} {c:?}: {own:?}");
    }
    let through_a_child = circles("", "pub use b::B;", "use crate::c;", "use crate::a::B;");
    assert_eq!(through_a_child, ["a/b.rs imports c.rs", "c.rs imports a/b.rs"]);
}

#[test]
fn what_is_no_circle_is_not_taken_for_one() {
    for (root, a, b, c) in [
        ("", "mod b; use b::B; use crate::c;", "use super::A; use crate::A as R; use super::super::c;", ""),
        ("use a::A; struct R;", "use crate::R;", "use crate::R;", "use crate::A;"),
        ("", "", "use crate::c;", "// use crate::a::A;\n#[cfg(test)]\nmod tests { use crate::a::A; fn f() {} }"),
        ("", "", "use crate::c;", "fn f<'a>(text: &'a str) -> &'a str { \"use crate::a::A; \\\" crate::a\" }"),
        ("", "", "use crate::c;", "use a::A; use std::a;"),
    ] {
        assert_eq!(circles(root, a, b, c), [""; 0], "{root:?} {a:?} {b:?} {c:?}");
    }
}

/// The first module of a mangled name: `_ZN9expvastic6engine3run…` is of `engine`. None if what is there is no module.
fn first_module<'n>(name: &'n str, of_crate: &str) -> Option<&'n str> {
    let path = name.strip_prefix(of_crate)?;
    let digits = path.bytes().take_while(u8::is_ascii_digit).count();
    let length: usize = path[..digits].parse().ok()?;
    path.get(digits..digits + length).filter(|module| module.starts_with(|first: char| first.is_ascii_lowercase()))
}

/// After a move of modules it has to be written again: see `benches/orderfile.rs`.
#[test]
fn the_order_file_names_modules_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = std::fs::read_to_string(root.join("build/orderfile.txt")).expect("readable");
    for (of_crate, folder) in [("_ZN9expvastic", "src"), ("_ZN17expvastic_flatten", "src/flatten")] {
        let modules: Vec<&str> = list.lines().filter_map(|line| first_module(line, of_crate)).collect();
        assert!(modules.len() > 20, "{folder}: only {} functions", modules.len());
        for module in modules {
            let file = root.join(folder).join(format!("{module}.rs"));
            assert!(file.exists(), "build/orderfile.txt speaks of {}", file.display());
        }
    }
}

/// Else a proxy or CA certificates that this machine's environment names would change what a test sees.
#[test]
fn tests_start_the_program_without_the_environment_of_this_machine() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let variable = concat!("CARGO_BIN_EXE", "_expvastic");
    let names_it = |path: &PathBuf| std::fs::read_to_string(path).expect("readable").contains(variable);
    let mut found: Vec<_> = paths.iter().filter(|path| names_it(path)).collect();
    found.sort();
    // Beside the one place: those that want its folder only.
    let places = ["shells.rs", "support/expvastic.rs", "support/server.rs"].map(|place| root.join(place));
    assert_eq!(found, places.iter().collect::<Vec<_>>());
}
