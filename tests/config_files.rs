//! Several files and folders as one configuration, and files that are watched. Runs the program with real files.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/expvastic.rs"]
mod expvastic;

use std::path::Path;
use std::process::Output;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        std::fs::write(path, text).expect("written");
    }
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    expvastic::expvastic().current_dir(folder).args(arguments).output().expect("expvastic starts")
}

/// What it prints: the routes, or what is wrong.
fn check(folder: &Path, paths: &[&str]) -> String {
    let mut arguments = vec!["check"];
    for path in paths {
        arguments.extend(["-c", path]);
    }
    let output = run(folder, &arguments);
    let is_good = output.status.code() == Some(0);
    let text = if is_good { output.stdout } else { output.stderr };
    String::from_utf8(text).expect("UTF-8")
}

const READERS: &str = "readers: {a: {endpoint: \"h:1\"}, b: {endpoint: \"h:2\"}}\n";
const DEFAULTS: &str = "defaults: {readers: {type_name: t}, recorders: {endpoint: \"h:9200\"}}\n";
const RECORDERS: &str = "recorders: {es: }\nroutes: {r: {readers: [a, b, c], recorders: es}}\n";

/// Files and folders are one configuration: `defaults` of any file apply to all.
#[test]
fn several_files_are_one_configuration() {
    let more = "readers: {c: {endpoint: \"h:3\"}}\nsettings: {log_level: warn}\ndefaults: {readers: {interval: 5s}}\n";
    let folder = folder(&[
        ("conf.d/10-readers.yml", READERS),
        ("conf.d/20-more.yaml", more),
        ("conf.d/30-recorders.yml", RECORDERS),
        ("conf.d/defaults.yml", DEFAULTS),
        // None of these is read.
        ("conf.d/.hidden.yml", "- ["),
        ("conf.d/notes.txt", "- ["),
        ("conf.d/sub/other.yml", "- ["),
        ("conf.d/sub.yml/other.yml", "- ["),
        ("one/readers.yml", READERS),
        ("one/rest.yml", RECORDERS),
        ("two/more.yml", more),
        ("empty/notes.txt", ""),
        ("defaults.yml", DEFAULTS),
    ]);
    let (root, routes) = (folder.path(), "a → es\nb → es\nc → es\n");
    assert_eq!(check(root, &["conf.d"]), routes);
    assert_eq!(check(&root.join("conf.d"), &["."]), routes);
    assert_eq!(check(root, &["one", "two/more", "defaults.yml"]), routes);
    // The order of the files is that of the readers.
    assert_eq!(check(root, &["two", "defaults", "one"]), "c → es\na → es\nb → es\n");
    // A file that is found twice counts once.
    assert_eq!(check(root, &["conf.d", "conf.d/10-readers", "conf.d/../conf.d/20-more.yaml"]), routes);
    let variable = expvastic::expvastic().current_dir(root).env("EXPVASTIC_CONFIG", "conf.d").arg("check").output();
    assert_eq!(String::from_utf8(variable.expect("expvastic starts").stdout).expect("UTF-8"), routes);
    let resolved = run(root, &["check", "--resolved", "-c", "conf.d"]);
    let resolved = String::from_utf8(resolved.stdout).expect("UTF-8");
    assert_eq!(resolved.matches("interval: \"5s\"").count(), 3, "{resolved}");
    assert_eq!(check(root, &["empty"]), "empty: the folder contains no *.yml or *.yaml file\n");
    assert_eq!(
        check(root, &["conf.d", "nowhere"]),
        "nowhere: file not found (looked for nowhere, nowhere.yml, nowhere.yaml)\n"
    );
}

/// Kubernetes mounts a `ConfigMap` as links through a hidden folder.
#[test]
fn a_config_map_is_a_folder() {
    let folder = folder(&[("conf/..1/a.yml", READERS), ("conf/..1/b.yml", &[DEFAULTS, RECORDERS].concat())]);
    let link =
        |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.path().join("conf").join(name)).expect("linked");
    link("..1", "..data");
    link("..data/a.yml", "a.yml");
    link("..data/b.yml", "b.yml");
    std::fs::write(folder.path().join("conf/c.yml"), "readers: {c: {endpoint: \"h:3\"}}").expect("written");
    assert_eq!(check(folder.path(), &["conf"]), "a → es\nb → es\nc → es\n");
}

/// Each mistake names its own file, and what is there twice names both.
#[test]
fn mistakes_name_their_file() {
    let folder = folder(&[
        (
            "conf/a.yml",
            "settings: {log_level: info}\nreaders:\n  a: {endpoint: \"h:1\"}\n  b: {endpoint: \"h:x\"}\ndefaults:\n  readers: {type_name: t, map_file: maps}\n\
             routes:\n  r: {readers: [a, b, c], recorders: [es]}\n",
        ),
        (
            "conf/b.yml",
            "settings: {log_level: warn}\nreaders:\n  a: {endpoint: \"h:2\"}\n  c: {endpoint: \"h:2\", backof: 1}\ndefaults:\n  readers: {type_name: u}\n  \
             recorders: {spool: {path: s}, endpoint: \"h:9\"}\nrecorders:\n  es:\n  other:\nroutes:\n  r: {readers: [d], recorders: [es]}\n",
        ),
        ("broken/a.yml", "a: ["),
        ("broken/b.yml", "a: 1\nb"),
        ("list/a.yml", "- a"),
        ("list/b.yml", READERS),
    ]);
    let said = check(folder.path(), &["conf"]);
    let expected = "\
conf/a.yml:4:17: readers.b.endpoint: the port of the endpoint is not a number from 1 to 65535
conf/a.yml:6:37: defaults.readers.map_file: conf/maps: file not found (looked for conf/maps, conf/maps.yml, conf/maps.yaml)
conf/b.yml:1:12: settings.log_level: given twice, first at conf/a.yml:1
conf/b.yml:3:3: readers.a: the reader \"a\" is defined twice, first at conf/a.yml:3
conf/b.yml:4:24: readers.c.backof: unknown key \"backof\", did you mean \"backoff\"?
conf/b.yml:6:13: defaults.readers.type_name: given twice, first at conf/a.yml:6
conf/b.yml:10:3: recorders.other: spool is also the spool of the recorder \"es\": each needs its own
conf/b.yml:12:3: routes.r: the route \"r\" is defined twice, first at conf/a.yml:8
conf/b.yml:12:17: routes.r.readers[0]: there is no reader \"d\", did you mean \"a\"?
";
    assert_eq!(said, expected);
    let broken = check(folder.path(), &["broken"]);
    assert!(broken.starts_with("broken/a.yml:") && broken.contains("\nbroken/b.yml:"), "{broken}");
    let list = check(folder.path(), &["list"]);
    assert!(list.contains("list/a.yml:1:1: expected a mapping, found a list\n"), "{list}");
}

/// A relative path starts from the folder of the file that has it, also in `defaults`.
#[test]
fn paths_start_from_the_file_that_has_them() {
    let folder = folder(&[
        ("one/maps.yml", "memory_bytes: {a: mb}"),
        ("one/conf.yml", "defaults: {readers: {map_file: maps.yml, type_name: t}}"),
        ("two/key", "a-long-secret"),
        ("two/conf.yml", "readers: {a: {endpoint: \"h:1\", headers: {X-Key_file: key}}}"),
        ("three/conf.yml", "recorders: {f: {type: file, path: out}}\nroutes: {r: {readers: a, recorders: f}}"),
    ]);
    let paths = ["one/conf.yml", "two", "three/conf"];
    assert_eq!(check(folder.path(), &paths), "a → f\n");
    let arguments: Vec<&str> =
        ["check", "--resolved"].into_iter().chain(paths.iter().flat_map(|path| ["-c", path])).collect();
    let resolved = String::from_utf8(run(folder.path(), &arguments).stdout).expect("UTF-8");
    let root = folder.path().canonicalize().expect("there").display().to_string();
    for path in ["map_file: ROOT/one/maps.yml", "X-Key_file: ROOT/two/key", "path: ROOT/three/out"] {
        assert!(resolved.contains(&path.replace("ROOT", &root)), "{path}: {resolved}");
    }
}

/// What defaults and merges repeat is bounded, and so are the files.
#[test]
fn nothing_is_repeated_without_end() {
    let long =
        format!("defaults: {{readers: {{type_name: a, labels: {{b: \"{0}\", c: \"{0}\"}}}}}}\n", "x".repeat(1_000));
    let readers: Vec<String> = (0..10_000).map(|n| format!("  r{n}: {{endpoint: \"h:1\"}}\n")).collect();
    let rest = "recorders: {f: {type: file, path: \"-\"}}\nroutes: {r: {readers: r0, recorders: f}}\n";
    let folder = folder(&[
        ("short.yml", &format!("defaults: {{readers: {{type_name: a}}}}\nreaders:\n{}{rest}", readers.concat())),
        ("twice.yml", &format!("{long}readers:\n{}{rest}", readers.concat())),
    ]);
    assert!(check(folder.path(), &["short"]).starts_with("r0 → f\n"));
    let said = check(folder.path(), &["twice"]);
    assert!(said.contains(": defaults: the defaults are repeated by too many entries"), "{said:.2000}");
    std::fs::create_dir(folder.path().join("many")).expect("created");
    for number in 0..257 {
        std::fs::write(folder.path().join(format!("many/{number}.yml")), "x-a: 1").expect("written");
    }
    assert!(check(folder.path(), &["many"]).contains("more than 256 files"));
    std::fs::write(folder.path().join("half.yml"), format!("# {}\n", "x".repeat(600 << 10))).expect("written");
    std::fs::write(folder.path().join("other.yml"), format!("# {}\n", "x".repeat(600 << 10))).expect("written");
    assert_eq!(
        check(folder.path(), &["half", "other"]),
        "other.yml: the files of the configuration together are longer than 1048576 bytes\n"
    );
}
