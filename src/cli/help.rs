//! The help: of everything, or of one command. Pure.

use super::table::{ABOUT, FLAGS, Flag, NOTES, USAGES};

/// Columns of a line.
const WIDTH: usize = 112;
/// Where explanations begin.
const USAGE_COLUMN: usize = 40;
const FLAG_COLUMN: usize = 24;

/// The help of one command, or of all.
pub(super) fn help(command: Option<&str>) -> String {
    let mut out = String::with_capacity(4 << 10);
    let is_shown = |other: &str| command.is_none_or(|command| command == other);
    if command.is_none() {
        out.push_str("expvastic ");
        out.push_str(ABOUT);
        out.push_str(".\n\n");
    }
    out.push_str("Usage:\n");
    for usage in USAGES.iter().filter(|usage| is_shown(usage.command)) {
        let mut head = "  expvastic".to_owned();
        for part in [usage.command, usage.arguments].into_iter().filter(|part| !part.is_empty()) {
            head.push(' ');
            head.push_str(part);
        }
        entry(&mut out, &head, USAGE_COLUMN, usage.about);
    }
    out.push_str("\nOptions (an option beats its environment variable):\n");
    for flag in FLAGS.iter().filter(|flag| command.is_none_or(|command| flag.belongs_to(command))) {
        let mut head = if flag.letter.is_empty() { "     ".to_owned() } else { ["  -", flag.letter, ","].concat() };
        for part in [flag.name, flag.value] {
            head.push(' ');
            head.push_str(part);
        }
        entry(&mut out, &head, FLAG_COLUMN, &explanation(flag));
    }
    if command.is_none() {
        out.push('\n');
        for (title, text) in NOTES {
            entry(&mut out, &[title, ":"].concat(), FLAG_COLUMN, text);
        }
    }
    out
}

/// What a flag does, with the commands that have it and its environment variable.
pub(super) fn explanation(flag: &Flag) -> String {
    let mut text = String::new();
    if !flag.commands.is_empty() {
        text = ["with ", &flag.commands.replace('|', " or "), ": "].concat();
    }
    text.push_str(flag.about);
    if !flag.variable.is_empty() {
        text.push_str(" (");
        text.push_str(flag.variable);
        text.push(')');
    }
    text
}

/// A line that begins with `head`, and the text from `column` on, wrapped.
fn entry(out: &mut String, head: &str, column: usize, text: &str) {
    out.push_str(head);
    let mut at = head.len();
    if at + 2 > column {
        out.push('\n');
        at = 0;
    }
    for word in text.split(' ') {
        if at + 1 + word.len() > WIDTH {
            out.push('\n');
            at = 0;
        }
        let gap = if at < column { column - at } else { 1 };
        out.extend(std::iter::repeat_n(' ', gap));
        out.push_str(word);
        at += gap + word.len();
    }
    out.push('\n');
}
