//! The completion scripts in real shells, and the man page in the programs that show it. It wants bash, zsh, fish, man and
//! groff: `ci/validate` runs it.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs a program that finds ours by its name.
fn run(program: &str, arguments: &[&str]) -> Output {
    let folder = Path::new(env!("CARGO_BIN_EXE_expvastic")).parent().expect("a folder");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path).env("TERM", "vt100").stdin(Stdio::null());
    command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// What it prints, if it has nothing to complain about.
fn printed(program: &str, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = run(program, arguments);
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success() && stderr.is_empty(), "{program} {arguments:?}: {status}: {stderr}");
    String::from_utf8(stdout).expect("UTF-8")
}

/// The words that bash offers for the last of these.
fn offered_by_bash(words: &[&str]) -> Vec<String> {
    let script = "source <(expvastic completions bash); COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _expvastic; \
                  printf '%s\\n' \"${COMPREPLY[@]}\"";
    let offered = printed("bash", &[&["--norc", "-c", script, "bash", "expvastic"], words].concat());
    offered.lines().map(str::to_owned).collect()
}

/// The words that fish offers for the end of this line.
fn offered_by_fish(line: &str) -> Vec<String> {
    let script = "expvastic completions fish | source; complete -C $argv[1]";
    let offered = printed("fish", &["--no-config", "-c", script, line]);
    offered.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_actions_flags_and_levels() {
    for (words, expected) in [
        (&["sp"][..], &["spool"][..]),
        (&["spool", ""], &["ls", "verify", "dump", "drop"]),
        (&["spool", "ls", "--s"], &["--summary"]),
        (&["once", "--d"], &["--dry-run"]),
        (&["completions", "z"], &["zsh"]),
        (&["help", "dead"], &["dead-letters"]),
        (&["check", "--loglevel", "w"], &["warn"]),
        (&["check", "--loglevel", "=", "w"], &["warn"]),
    ] {
        let offered = offered_by_bash(words);
        assert!(expected.iter().all(|word| offered.iter().any(|other| other == word)), "{words:?}: {offered:?}");
    }
    assert_eq!(offered_by_bash(&["once", "--d"]), ["--dry-run"]);
    assert_eq!(offered_by_bash(&["check", "--d"]), [""], "it has no --dry-run");
    assert_eq!(offered_by_bash(&["check", "--config", ""]), [""], "bash itself offers files");
}

#[test]
fn fish_completes_commands_actions_flags_levels_and_files() {
    for (line, expected) in [
        ("expvastic sp", &["spool"][..]),
        ("expvastic spool ", &["drop", "dump", "ls", "verify"]),
        ("expvastic once --dr", &["--dry-run"]),
        ("expvastic check --dr", &[]),
        ("expvastic --loglevel w", &["warn"]),
        ("expvastic -c Cargo.to", &["Cargo.toml"]),
    ] {
        assert_eq!(offered_by_fish(line), expected, "{line}");
    }
}

/// Zsh completes only for a terminal, so one zsh runs another in one.
const IN_A_TERMINAL: &str = r#"
zmodload zsh/zpty
zpty -b terminal zsh -f -i
seen=
wait_for() {
  local piece tries
  for (( tries = 0; tries < 3000; tries++ )); do
    while zpty -r -t terminal piece; do seen+=$piece; done
    [[ $seen == *$1* ]] && { seen=; return }
    sleep 0.02
  done
  print -r -- "no $1 after $typed: ${(V)seen}" >&2
  exit 1
}
zpty -w terminal 'PROMPT=; autoload -Uz compinit; compinit -u -D; source <(expvastic completions zsh); print re""ady'
typed=start wait_for ready
for typed expected in 'sp' 'ool' 'spool du' 'mp' 'once --d' 'ry-run' '--loglevel=wa' 'rn' 'help dea' 'd-letters'; do
  zpty -w -n terminal $'\x15'"expvastic $typed"$'\t'
  wait_for $expected
done
zpty -d terminal
"#;

#[test]
fn zsh_completes_commands_actions_flags_and_levels() {
    assert_eq!(printed("zsh", &["-f", "-c", IN_A_TERMINAL]), "");
}

#[test]
fn each_script_is_in_the_language_of_its_shell() {
    let folder = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "zsh", "fish"] {
        let path = folder.path().join(shell);
        std::fs::write(&path, printed("expvastic", &["completions", shell])).expect("written");
        assert_eq!(printed(shell, &["-n", path.to_str().expect("UTF-8")]), "");
    }
}

#[test]
fn the_man_page_is_shown_without_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("expvastic.1");
    std::fs::write(&path, printed("expvastic", &["man"])).expect("written");
    let path = path.to_str().expect("UTF-8");
    printed("groff", &["-man", "-ww", "-z", path]);
    let shown = printed("man", &["--warnings", "-l", path]);
    for text in ["expvastic spool ls|verify|dump|drop -c conf.yml", "-c, --config FILE", "EXIT STATUS"] {
        assert!(shown.contains(text), "no {text} in {shown}");
    }
}
