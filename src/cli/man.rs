//! The man page, from the same table as the help. Pure.

use super::help::explanation;
use super::table::{ABOUT, FLAGS, NOTES, USAGES};

/// The man page, in the macros of `man(7)`.
pub(super) fn page() -> String {
    let mut out = String::with_capacity(8 << 10);
    out.push_str(concat!(".TH EXPVASTIC 1 \"\" \"expvastic ", env!("CARGO_PKG_VERSION"), "\" \"User Commands\"\n"));
    out.push_str(".SH NAME\nexpvastic \\- ");
    escape(&mut out, ABOUT);
    out.push_str("\n.SH SYNOPSIS\n.B expvastic\n[\\fICOMMAND\\fR] [\\fIOPTION\\fR]...\n.SH COMMANDS\n");
    for usage in USAGES {
        out.push_str(".TP\n\\fBexpvastic");
        for part in [usage.command, usage.arguments].into_iter().filter(|part| !part.is_empty()) {
            out.push(' ');
            escape(&mut out, part);
        }
        out.push_str("\\fR\n");
        paragraph(&mut out, usage.about);
    }
    out.push_str(".SH OPTIONS\nAn option beats its environment variable.\n");
    for flag in FLAGS {
        out.push_str(".TP\n\\fB");
        if !flag.letter.is_empty() {
            escape(&mut out, &["-", flag.letter, "\\fR, \\fB"].concat());
        }
        escape(&mut out, flag.name);
        out.push_str("\\fR");
        if !flag.is_switch() {
            out.push_str(" \\fI");
            escape(&mut out, flag.value);
            out.push_str("\\fR");
        }
        out.push('\n');
        paragraph(&mut out, &explanation(flag));
    }
    for (title, text) in NOTES {
        out.push_str(".SH ");
        out.push_str(&title.to_ascii_uppercase());
        out.push('\n');
        paragraph(&mut out, text);
    }
    out
}

/// A paragraph, which begins with a capital letter and ends with a full stop.
fn paragraph(out: &mut String, text: &str) {
    let start = out.len();
    escape(out, text);
    if let Some(first) = out.get_mut(start..=start) {
        first.make_ascii_uppercase();
    }
    if !out.ends_with('.') {
        out.push('.');
    }
    out.push('\n');
}

/// Text as it is to be printed. The macros take a hyphen for one where a line may be broken.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        if c == '-' {
            out.push('\\');
        }
        out.push(c);
    }
}
