//! Describes the machine, for the head of a record.

use std::{fs, process::Command};

/// Date and architecture as a heading, then processor, kernel, load and compiler as a list, a line each.
pub(crate) fn heading() -> [String; 4] {
    [
        format!("## {}, {}", output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]), output("uname", &["-m"])),
        String::new(),
        format!("- {}, Linux {}, load {}", processor(), output("uname", &["-r"]), load()),
        format!("- {}", output("rustc", &["-V"])),
    ]
}

/// What a command prints, or a question mark: a missing tool is no reason to fail.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(|_| "?".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Boards call the line `Model` or have none at all.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = |name: &str| text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split(": ").nth(1));
    named("model name").or_else(|| named("Model")).or_else(|| named("CPU part")).unwrap_or("unknown CPU").to_owned()
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}
