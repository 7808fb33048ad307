//! Completion scripts for shells, from the same table as the help. Pure.

use super::Failure;
use super::table::{self, FLAGS, Flag, USAGES};
use super::usage::UsageError;

/// A shell that completions are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

const LEVELS: &str = "error warn info debug trace";

/// An `=` is a word of its own in `COMP_WORDS`.
const BASH_BEGINS: &str = r#"# Completions of expvastic for bash: source <(expvastic completions bash)
_expvastic() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= words= actions=
  COMPREPLY=()
  if [ "$cur" = = ]; then
    cur=
  elif [ "$prev" = = ]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  fi
  [ "$COMP_CWORD" -gt 1 ] && command=${COMP_WORDS[1]}
  case $command in
"#;

const BASH_VALUES: &str = "  esac\n  case $prev in\n";

const BASH_ENDS: &str = r#"    *) [ "$COMP_CWORD" -gt 2 ] || words="$actions $words" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _expvastic expvastic
"#;

const ZSH_BEGINS: &str = r"#compdef expvastic
# Completions of expvastic for zsh: source <(expvastic completions zsh)
_expvastic() {
  local -a commands options
  if (( CURRENT == 2 )); then
    commands=(
";

const ZSH_COMMANDS_END: &str = r"    )
    _describe command commands
  fi
  case $words[2] in
";

const ZSH_ENDS: &str = r#"    $options '*: :'
}
if [ "$funcstack[1]" = _expvastic ]; then
  _expvastic "$@"
else
  compdef _expvastic expvastic
fi
"#;

const FISH_BEGINS: &str =
    "# Completions of expvastic for fish: expvastic completions fish | source\ncomplete -c expvastic -f\n";

impl Shell {
    pub(super) fn named(name: &str) -> Result<Self, Failure> {
        match name {
            "bash" => Ok(Self::Bash),
            "zsh" => Ok(Self::Zsh),
            "fish" => Ok(Self::Fish),
            _ => Err(Failure::Usage(UsageError::UnknownAction {
                command: "completions",
                actions: "bash, zsh or fish",
                found: name.to_owned(),
            })),
        }
    }

    /// The script to source.
    pub(super) fn completions(self) -> String {
        let mut out = String::with_capacity(8 << 10);
        match self {
            Self::Bash => bash(&mut out),
            Self::Zsh => zsh(&mut out),
            Self::Fish => fish(&mut out),
        }
        out
    }
}

fn push(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
}

/// Names of commands, actions or flags, with a space behind each.
fn words(out: &mut String, words: impl Iterator<Item = &'static str>) {
    for word in words {
        push(out, &[word, " "]);
    }
}

/// What comes after the name of a command.
fn actions(command: &str) -> impl Iterator<Item = &'static str> {
    let all_commands = table::commands().filter(move |_| command == "help");
    USAGES.iter().filter(move |usage| usage.command == command).flat_map(table::Usage::actions).chain(all_commands)
}

/// What a flag does, without what shells treat specially.
fn about(flag: &Flag) -> &'static str {
    flag.about.split(" [").next().unwrap_or_default()
}

fn bash(out: &mut String) {
    out.push_str(BASH_BEGINS);
    for command in table::commands().chain([""]) {
        push(out, &["    ", if command.is_empty() { "*" } else { command }, ") actions='"]);
        if command.is_empty() {
            words(out, table::commands());
        }
        words(out, actions(command));
        out.push_str("' words='");
        words(out, FLAGS.iter().filter(|flag| flag.belongs_to(command)).map(|flag| flag.name));
        out.push_str("' ;;\n");
    }
    out.push_str(BASH_VALUES);
    for flag in FLAGS.iter().filter(|flag| !flag.is_switch()) {
        out.push_str("    ");
        if !flag.letter.is_empty() {
            push(out, &["-", flag.letter, "|"]);
        }
        push(out, &[flag.name, ") "]);
        match flag.value {
            "FILE" => out.push_str("compopt -o default 2>/dev/null; return"),
            "LEVEL" => push(out, &["words='", LEVELS, "'"]),
            _ => out.push_str("return"),
        }
        out.push_str(" ;;\n");
    }
    out.push_str(BASH_ENDS);
}

fn zsh(out: &mut String) {
    out.push_str(ZSH_BEGINS);
    for command in table::commands() {
        let usage = USAGES.iter().find(|usage| usage.command == command);
        push(out, &["      '", command, ":", usage.map_or("", |usage| usage.about), "'\n"]);
    }
    out.push_str(ZSH_COMMANDS_END);
    for command in table::commands() {
        push(out, &["    ", command, ")\n"]);
        if actions(command).next().is_some() {
            out.push_str("      (( CURRENT == 3 )) && compadd -- ");
            words(out, actions(command));
            out.push('\n');
        }
        for flag in FLAGS.iter().filter(|flag| !flag.commands.is_empty() && flag.belongs_to(command)) {
            out.push_str("      options+=(");
            zsh_flag(out, flag);
            out.push_str(")\n");
        }
        out.push_str("      ;;\n");
    }
    out.push_str("  esac\n  _arguments \\\n");
    for flag in FLAGS.iter().filter(|flag| flag.commands.is_empty()) {
        out.push_str("    ");
        zsh_flag(out, flag);
        out.push_str(" \\\n");
    }
    out.push_str(ZSH_ENDS);
}

fn zsh_flag(out: &mut String, flag: &Flag) {
    let Flag { name, letter, value, .. } = *flag;
    let is_value = if flag.is_switch() { "" } else { "=" };
    if letter.is_empty() {
        push(out, &["'", name, is_value]);
    } else {
        push(out, &["'(-", letter, " ", name, ")'{-", letter, ",", name, is_value, "}'"]);
    }
    push(out, &["[", about(flag), "]"]);
    match value {
        "" => {}
        "FILE" => out.push_str(":FILE:_files"),
        "LEVEL" => push(out, &[":LEVEL:(", LEVELS, ")"]),
        _ => push(out, &[":", value, ": "]),
    }
    out.push('\'');
}

fn fish(out: &mut String) {
    out.push_str(FISH_BEGINS);
    for command in table::commands() {
        let usage = USAGES.iter().find(|usage| usage.command == command);
        let about = usage.map_or("", |usage| usage.about);
        push(out, &["complete -c expvastic -n __fish_use_subcommand -a ", command, " -d '", about, "'\n"]);
        if actions(command).next().is_some() {
            fish_only_with(out, command);
            out.push_str(" -a '");
            words(out, actions(command));
            out.push_str("'\n");
        }
    }
    for flag in FLAGS {
        fish_only_with(out, flag.commands);
        if !flag.letter.is_empty() {
            push(out, &[" -s ", flag.letter]);
        }
        push(out, &[" -l ", &flag.name[2..]]);
        match flag.value {
            "" => {}
            "FILE" => out.push_str(" -r -F"),
            "LEVEL" => push(out, &[" -x -a '", LEVELS, "'"]),
            _ => out.push_str(" -x"),
        }
        push(out, &[" -d '", about(flag), "'\n"]);
    }
}

/// Begins a line that counts only with these commands, or with all if there are none.
fn fish_only_with(out: &mut String, commands: &str) {
    out.push_str("complete -c expvastic");
    if !commands.is_empty() {
        push(out, &[" -n '__fish_seen_subcommand_from ", &commands.replace('|', " "), "'"]);
    }
}
