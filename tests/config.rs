//! Configuration files: an invalid one gives exactly the message that a person sees, a valid one gives the routes.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/expvastic.rs"]
mod expvastic;

use ::expvastic::Config;
use std::path::{Path, PathBuf};
use std::process::Output;

fn check(config: &Path) -> Output {
    let folder = config.parent().expect("a folder");
    let mut command = expvastic::expvastic();
    command.current_dir(folder).args(["check", "-c"]).arg(config.file_name().expect("a file name"));
    command.output().expect("expvastic starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == ending));
    files.sort();
    files
}

/// Without TLS, `https://` is refused.
fn is_for_this_build(config: &Path) -> bool {
    cfg!(feature = "tls") || !std::fs::read_to_string(config).expect("a configuration").contains("https://")
}

#[test]
fn each_wrong_file_gives_its_message_and_nothing_else() {
    let wrong = files("tests/config/wrong", "yml");
    assert!(wrong.len() >= 40, "only {} files", wrong.len());
    for config in wrong {
        let output = check(&config);
        let expected = std::fs::read_to_string(config.with_extension("txt")).expect("a .txt beside the .yml");
        assert_eq!(stderr(&output), expected, "{}", config.display());
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(78), ""), "{}", config.display());
        assert!(!expected.contains("hunter2"), "a secret is repeated");
    }
}

#[test]
fn each_good_file_gives_its_routes() {
    let mut good = files("tests/config/good", "yml");
    if cfg!(feature = "tls") {
        good.extend(files("tests/config/good_tls", "yml"));
    }
    assert!(good.len() >= 4, "only {} files", good.len());
    for config in good {
        let output = check(&config);
        let expected = std::fs::read_to_string(config.with_extension("routes")).expect("a .routes beside the .yml");
        assert_eq!(stdout(&output), expected, "{}", config.display());
        let warnings = std::fs::read_to_string(config.with_extension("warnings")).unwrap_or_default();
        assert_eq!(stderr(&output), warnings, "{}", config.display());
        assert_eq!(output.status.code(), Some(0), "{}", config.display());
    }
}

/// What `check --resolved` prints has all defaults, merges and variables in place, and is the same configuration again.
#[test]
fn what_is_in_force_is_printed_without_secrets_and_loads_again() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a folder");
    let resolved = |file: &Path| {
        let mut command = expvastic::expvastic();
        let output = command.args(["check", "--resolved", "-c"]).arg(file).output().expect("expvastic starts");
        assert_eq!(output.status.code(), Some(0), "{}: {}", file.display(), stderr(&output));
        stdout(&output)
    };
    let mut all = files("tests/config/good", "yml");
    all.push(root.join("examples/fleet.yml"));
    all.retain(|path| is_for_this_build(path));
    assert!(all.len() >= 9, "only {} files", all.len());
    let (mut listed, mut compared) = (0, 0);
    for config in all {
        let printed = resolved(&config);
        assert!(!printed.contains("hunter2") && !printed.contains("<<"), "{}: {printed}", config.display());
        let again = folder.path().join("again.yml");
        std::fs::write(&again, &printed).expect("written");
        assert_eq!(resolved(&again), printed, "{}", config.display());
        if let Ok(expected) = std::fs::read_to_string(config.with_extension("resolved")) {
            let folder = config.parent().expect("a folder").display().to_string();
            assert_eq!(printed.replace(&folder, "FOLDER"), expected, "{}", config.display());
            listed += 1;
        }
        if !printed.contains("***") {
            let parts = |path: &Path| {
                let config = Config::load(path).expect("it is valid");
                format!("{:?} {}", config.settings(), config.routes())
            };
            assert_eq!(parts(&config), parts(&again), "{}", config.display());
            compared += 1;
        }
    }
    assert!(listed > 0 && compared > 2, "{listed} {compared}");
}

#[test]
fn each_shipped_example_is_valid() {
    let mut examples = files(".", "yml");
    examples.extend(files("examples", "yml"));
    examples.retain(|path| !path.ends_with("docker-compose.yml") && is_for_this_build(path));
    assert!(examples.iter().any(|path| path.ends_with("expvastic.example.yml")));
    for example in examples {
        let output = check(&example);
        assert_eq!(output.status.code(), Some(0), "{}: {}", example.display(), stderr(&output));
        assert!(stdout(&output).contains(" → "), "{}", example.display());
    }
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let in_folder = |name: &str| folder.path().join(name);
    let message = |path: &Path| {
        let output = check(path);
        assert_eq!(output.status.code(), Some(78));
        stderr(&output)
    };
    assert_eq!(message(&in_folder("no")), "no: file not found (looked for no, no.yml, no.yaml)\n");
    std::fs::create_dir(in_folder("folder")).expect("created");
    assert_eq!(message(&in_folder("folder")), "folder: the folder contains no *.yml or *.yaml file\n");
    let long = format!("# {}\n", "x".repeat(1 << 20));
    std::fs::write(in_folder("long.yml"), &long).expect("written");
    assert_eq!(
        message(&in_folder("long.yml")),
        format!("long.yml: is {} bytes long, the limit is 1048576\n", long.len())
    );
    assert_eq!(
        message(Path::new("/dev/zero")),
        "zero: is a device, not a regular file: it is read again on reload (SIGHUP), so save it to a file first\n"
    );
    std::os::unix::fs::symlink("loop.yml", in_folder("loop.yml")).expect("linked");
    let looped = message(&in_folder("loop.yml"));
    assert!(looped.starts_with("loop.yml: cannot be read: "), "{looped}");
}

/// What a small file can ask for without end is refused, with a line; of very many problems the first are shown.
#[test]
fn no_file_runs_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("conf.yml");
    let said = |text: &str| {
        std::fs::write(&config, text).expect("written");
        let mut command = expvastic::expvastic();
        command.current_dir(&folder).env("LONG", "x".repeat(100_000)).args(["check", "-c", "conf.yml"]);
        let output = command.output().expect("expvastic starts");
        assert_eq!(output.status.code(), Some(78), "{text}");
        stderr(&output)
    };
    let keys: Vec<String> = (0..2_000).map(|key| format!("    k{key}: 1\n")).collect();
    let unknown = said(&format!("readers:\n  a:\n{}", keys.concat()));
    assert_eq!(unknown.lines().count(), 101);
    assert!(unknown.ends_with("\nconf.yml: and 1904 more problems\n"), "{unknown}");
    let aliases = said(&format!("a: &a [{}]\nb: [{}]\n", "a,".repeat(2_000), "*a,".repeat(2_000)));
    assert!(aliases.ends_with(": aliases expand to too many values: write the values out\n"), "{aliases}");
    let all = |start: &str| (0..400).map(|n| format!("{start}{n}")).collect::<Vec<_>>();
    let entries = |start: &str, keys: &str| {
        all(start).iter().map(|name| format!("  {name}: {{type: {keys}}}\n")).collect::<Vec<_>>().concat()
    };
    let routes = said(&format!(
        "readers:\n{}recorders:\n{}routes:\n  r: {{readers: [{}], recorders: [{}]}}\n",
        entries("a", "self, type_name: a"),
        entries("b", "file, path: \"-\""),
        all("a").join(","),
        all("b").join(","),
    ));
    assert_eq!(routes, "conf.yml:803:1: routes: the routes form more than 100000 pairs of a reader and a recorder\n");
    let expanded = said(&format!("settings: {{log_level: \"{}\"}}\n", "${LONG}".repeat(700)));
    let message = "conf.yml:1:23: settings.log_level: the file is too long after expanding `${…}`: the value of a variable is too long\n";
    assert!(expanded.contains(message), "{expanded}");
    let wrong = "{type: \"${LONG}\", log_level: \"${LONG}\", interval: \"${LONG}\"}";
    let readers: Vec<String> = (0..50).map(|n| format!("  a{n}: {wrong}\n")).collect();
    let long = said(&format!("readers:\n{}", readers.concat()));
    assert!(long.len() <= (64 << 10) + 1 && long.len() > 63 << 10, "{} bytes", long.len());
    assert!(long.lines().last().is_some_and(|line| line.starts_with("conf.yml: and ")), "{long}");
    let rename =
        |pairs: &str| said(&format!("readers:\n  a:\n    type: self\n    type_name: a\n    rename: {{{pairs}}}\n"));
    let pairs: Vec<String> = (0..1_001).map(|n| format!("a{n}: b{n}")).collect();
    let message = "conf.yml:5:5: readers.a.rename: 1001 names, at most 1000 are allowed\n";
    assert!(rename(&pairs.join(", ")).contains(message));
    assert!(!rename(&pairs[1..].join(", ")).contains("rename"));
    assert!(
        rename(&format!("? {}\n: b", "x".repeat(1_025))).contains("a name of more than 1024 bytes cannot be renamed")
    );
    let reader = |name: usize, path: usize| {
        said(&format!(
            "readers: {{{}: {{type_name: a, endpoint: \"h:1-256/{}\"}}}}",
            "n".repeat(name),
            "p".repeat(path)
        ))
    };
    assert!(reader(513, 1).contains(": the name is longer than 512 bytes\n"));
    assert!(reader(1, 2_041).contains(".endpoint: the endpoint is longer than 2048 bytes\n"));
    assert!(!reader(512, 2_040).contains("longer"));
    let odd = said("\"a\\nb\\e[1m\": 1\n");
    assert!(odd.contains("\nconf.yml:1:1: a\\nb\\u{1b}[1m: unknown key"), "{odd}");
}

/// The documents are called as the recorder says, as with the first versions of the Go program.
#[test]
fn a_type_name_of_a_recorder_names_the_documents_of_its_readers() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "readers:\n  me: {type: self}\n  other: {type: self, type_name: its_own}\n\
                recorders: {es: {endpoint: \"localhost:9200\", type_name: from_its_recorder}}\n\
                routes: {r: {readers: [me, other], recorders: [es]}}\n";
    std::fs::write(folder.path().join("conf.yml"), text).expect("written");
    let mut command = expvastic::expvastic();
    let output = command.current_dir(&folder).args(["once", "--dry-run", "-c", "conf"]).output().expect("it starts");
    let documents = stdout(&output);
    let named = |name: &str| documents.matches(&format!("\"service.name\":\"{name}\"")).count();
    assert_eq!((named("from_its_recorder"), named("its_own"), documents.lines().count()), (1, 1, 4), "{documents}");
}

/// What two recorders would write to is found, however it is written.
#[test]
fn each_place_on_disk_has_one_recorder() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at("real/inner")).expect("created");
    std::fs::write(at("real/there.ndjson"), "").expect("written");
    std::fs::hard_link(at("real/there.ndjson"), at("hard.ndjson")).expect("linked");
    symlink("real", at("link")).expect("linked");
    symlink("real/not_yet.ndjson", at("dangling.ndjson")).expect("linked");
    symlink("dangling.ndjson", at("twice.ndjson")).expect("linked");
    symlink("nowhere/deeper", at("to_nothing")).expect("linked");
    symlink("loop", at("loop")).expect("linked");
    let check_both = |one: &str, two: &str| {
        let text = format!(
            "readers: {{a: {{type: self, type_name: a}}}}\nrecorders:\n  one: {{{one}}}\n  two: {{{two}}}\n\
             routes: {{r: {{readers: a, recorders: [one, two]}}}}\n"
        );
        std::fs::write(at("conf.yml"), text).expect("written");
        stderr(&check(&at("conf.yml")))
    };
    let file = |path: &str| format!("type: file, path: \"{path}\"");
    let spool = |path: &str| format!("endpoint: \"h:1\", spool: {{path: \"{path}\"}}");
    let letters = |path: &str| format!("endpoint: \"h:1\", dead_letter: \"{path}\"");
    let absolute = at("a.ndjson").display().to_string();
    for (one, two, said) in [
        (file("a.ndjson"), file("./a.ndjson"), "path is also the path of the recorder \"one\""),
        (file("a.ndjson"), file("real/../a.ndjson"), "is also the path of"),
        (file("a.ndjson"), file("not_there/../a.ndjson"), "is also the path of"),
        (file("a.ndjson"), file(&absolute), "is also the path of"),
        (file("real/there.ndjson"), file("link/there.ndjson"), "is also the path of"),
        (file("real/new.ndjson"), file("link/inner/../new.ndjson"), "is also the path of"),
        (file("real/there.ndjson"), file("hard.ndjson"), "is also the path of"),
        (file("real/not_yet.ndjson"), file("dangling.ndjson"), "is also the path of"),
        (file("twice.ndjson"), file("link/not_yet.ndjson"), "is also the path of"),
        (file("to_nothing/x"), file("nowhere/deeper/x"), "is also the path of"),
        (spool("sp"), spool("./sp/"), "spool is also the spool of the recorder \"one\""),
        (spool("real"), spool("link"), "is also the spool of"),
        (spool("to_nothing"), spool("nowhere/deeper"), "is also the spool of"),
        (letters("a.ndjson"), file("./a.ndjson"), "path is also the dead_letter of the recorder \"one\""),
        (file("hard.ndjson"), letters("link/there.ndjson"), "dead_letter is also the path of the recorder \"one\""),
        (spool("real"), letters("link/"), "dead_letter is also the spool of the recorder \"one\""),
        (file("a.ndjson"), file("link/../a.ndjson.2"), "path is the name of a rotated path of the recorder \"one\""),
        (letters("d.1"), letters("d"), "dead_letter is the name of a rotated dead_letter of the recorder \"two\""),
        (file("x"), file("./conf.yml"), "path is the configuration file itself"),
    ] {
        let found = check_both(&one, &two);
        assert!(found.contains(said) && found.lines().count() == 1, "{one} {two}: {found}");
    }
    for (one, two) in [
        (file("a.ndjson"), file("b.ndjson")),
        (file("real/a.ndjson"), file("a.ndjson")),
        (file("-"), file("-")),
        (file("loop"), file("loop/x")),
        (spool("sp"), letters("sp/dead.ndjson")),
        (spool("sp"), spool("sp.1")),
        (file("a.1"), file("b.1")),
    ] {
        assert_eq!(check_both(&one, &two), "", "{one} {two}");
    }
}

#[test]
fn a_map_file_may_hold_variables() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "readers:\n  a: {type: self, type_name: a, map_file: maps.yml}\n  b: {type: self, type_name: b, map_file: maps.yml}\n\
                recorders: {out: {type: file, path: \"-\"}}\nroutes: {r: {readers: [a, b], recorders: out}}\n";
    std::fs::write(folder.path().join("conf.yml"), text).expect("written");
    let said = |unit: &str| {
        std::fs::write(folder.path().join("maps.yml"), format!("memory_bytes:\n  Alloc: {unit}\n")).expect("written");
        let mut command = expvastic::expvastic();
        command.current_dir(&folder).env("UNIT", "mb").args(["check", "-c", "conf.yml"]);
        stderr(&command.output().expect("expvastic starts"))
    };
    assert_eq!(said("${UNIT}"), "");
    assert_eq!(
        said("${NO_SUCH_UNIT}"),
        "conf.yml:2:43: readers.a.map_file: maps.yml:2:10: memory_bytes.Alloc: the environment variable NO_SUCH_UNIT is not \
         set; set it, or write ${NO_SUCH_UNIT:-default}\n\
         conf.yml:3:43: readers.b.map_file: maps.yml: invalid, see above\n"
    );
}

#[test]
fn the_ending_may_be_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "readers: {a: {type: self, type_name: a}}\nrecorders: {b: {type: file, path: \"-\"}}\n\
                routes: {r: {readers: a, recorders: b}}\n";
    for (written, given) in [("one.yml", "one"), ("two.yaml", "two"), ("three.example.yml", "three.example")] {
        std::fs::write(folder.path().join(written), text).expect("written");
        assert_eq!(stdout(&check(&folder.path().join(given))), "a → b\n", "{given}");
    }
}

/// As editors of other systems write them.
#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("conf.yml");
    let text = "\u{feff}readers: {a: {type: self, type_name: a, map_file: maps.yml}}\n\
                recorders: {b: {type: file, path: \"-\"}}\nroutes: {r: {readers: a, recorders: b}}\n";
    std::fs::write(&config, text).expect("written");
    std::fs::write(folder.path().join("maps.yml"), "\u{feff}memory_bytes: {Alloc: mb}\n").expect("written");
    let output = check(&config);
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("a → b\n", ""));
    std::fs::write(&config, text.replace("type: self", "typ: self")).expect("written");
    let said = stderr(&check(&config));
    assert!(said.contains("conf.yml:1:15: readers.a.typ: unknown key"), "{said}");
}

#[test]
fn without_tls_an_https_endpoint_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("tls.yml");
    let text = "readers: {a: {type: self, type_name: a}}\nrecorders: {b: {endpoint: \"https://localhost:9200\"}}\n\
                routes: {r: {readers: a, recorders: b}}\n";
    std::fs::write(&config, text).expect("written");
    let output = check(&config);
    if cfg!(feature = "tls") {
        assert_eq!(stdout(&output), "a → b\n");
    } else {
        assert_eq!(output.status.code(), Some(78));
        let said = stderr(&output);
        assert!(said.contains("built without TLS") && said.starts_with("tls.yml:2:"), "{said}");
    }
}
