//! What ARCHITECTURE.md says of the code and no lint checks.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

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
        ("rustls::", &["http/certificate.rs"]),
        ("rustls_platform_verifier::", &["http/certificate.rs"]),
        ("flate2::", &["http/inflate.rs", "recorder/elasticsearch/gzip.rs"]),
        ("httparse::", &["http/response.rs", "http/response/head.rs", "pages/request.rs"]),
        ("httpdate::", &["http/retry_after.rs"]),
        ("signal_hook::", &["signals.rs"]),
        ("rustix::net", &["http/direct.rs", "http/direct/connections.rs", "pages.rs", "stream.rs"]),
        ("rustix::event", &["park.rs"]),
        ("serde_yaml::", &["config/node.rs", "config/node/places.rs"]),
        ("pico_args::", &["cli.rs", "cli/flags.rs"]),
        (
            "bumpalo::",
            &[
                "flatten/lib.rs",
                "flatten/walk.rs",
                "flatten/walk/columns.rs",
                "flatten/walk/fit.rs",
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
                "recorder/elasticsearch/existing.rs",
                "recorder/elasticsearch/server.rs",
                "recorder/elasticsearch/template.rs",
                "recorder/elasticsearch/types.rs",
                "recorder/elasticsearch/verdict.rs",
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
const TIMED: [&str; 7] = [
    "spool.rs",
    "spool/line.rs",
    "spool/queue.rs",
    "spool/segment.rs",
    "recorder/pace.rs",
    "recorder/delivery/turns.rs",
    "recorder/elasticsearch/hosts.rs",
];

#[test]
fn what_computes_knows_no_outside() {
    let pure = [
        "flatten",
        "bulk",
        "spool/disk/part.rs",
        "recorder/elasticsearch/server.rs",
        "recorder/elasticsearch/template.rs",
        "recorder/elasticsearch/types.rs",
        "http/response",
        "redact/",
        "access/base64.rs",
        "access/pem.rs",
        "recorder/elasticsearch/existing.rs",
        "recorder/elasticsearch/refusals",
        "pages/html.rs",
        "pages/request.rs",
        "http/retry_after.rs",
        "engine/routing.rs",
        "recorder/elasticsearch/verdict.rs",
        "backoff.rs",
        "reader/foreign.rs",
        "reader/schedule.rs",
        "reader/slowness.rs",
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
            "park::",
        ] {
            assert!(!text.contains(outside), "{name} knows {outside}");
        }
        seen += 1;
    }
    // Time comes as an argument here: an `Instant` is a value, and only the clock makes one.
    for (name, text) in code().iter().filter(|(name, _)| TIMED.contains(&name.as_str())) {
        for outside in
            ["async ", ".await", "std::fs", "std::net", "std::env", "clock::", "SystemTime", "smol", "park::"]
        {
            assert!(!text.contains(outside), "{name} knows {outside}");
        }
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} files");
}

#[test]
fn the_map_names_each_module() {
    let map = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).expect("readable");
    for (name, _) in code().iter().filter(|(name, _)| !name.contains('/')) {
        assert!(map.contains(&format!("`{name}`")), "ARCHITECTURE.md does not speak of {name}");
    }
}
