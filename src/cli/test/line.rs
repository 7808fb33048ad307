//! A line of the output, for people or as JSON.

use crate::config::place_of;
use crate::finding::Finding;
use crate::json;
use crate::limits;
use crate::log::write_printable;
use crate::quote;
use crate::redact;
use std::path::PathBuf;

/// How lines are printed.
pub(super) struct Printer<'p> {
    /// The files whose lines are named.
    pub(super) files: &'p [PathBuf],
    pub(super) is_json: bool,
}

impl Printer<'_> {
    /// Appends the line about a part that is in this section of the configuration.
    pub(super) fn append(
        &self,
        out: &mut Vec<u8>,
        section: &str,
        name: &str,
        finding: Finding,
        places_left: &mut usize,
    ) {
        let Finding { check, is_good, mut text, mut fix, key, figures } = finding;
        let mut place = String::new();
        if !self.files.is_empty() && !is_good && !key.is_empty() && *places_left > 0 {
            *places_left -= 1;
            place = place_of(self.files, [section, name, key]).unwrap_or_default();
        }
        for text in [&mut text, &mut fix] {
            // They may repeat what servers say.
            redact::hide(text);
            quote::shorten(text, limits::TEST_TEXT_BYTES_MAX);
        }
        let part = section.strip_suffix("ers").map_or(section, |_| &section[..section.len() - 1]);
        if self.is_json {
            out.extend_from_slice(b"{\"part\":");
            json::write_string(out, part);
            let texts = [("name", name), ("check", check), ("text", &text), ("fix", &fix), ("at", &place)];
            for (key, value) in texts.into_iter().filter(|(_, value)| !value.is_empty()) {
                write_key(out, key);
                json::write_string(out, value);
            }
            write_key(out, "ok");
            out.extend_from_slice(if is_good { b"true" } else { b"false" });
            for (key, figure) in figures {
                write_key(out, key);
                json::write_u64(out, figure);
            }
            out.extend_from_slice(b"}\n");
            return;
        }
        let mark = if is_good { "✓ " } else { "✗ " };
        let before_fix = if fix.is_empty() { "" } else { "; " };
        let [before_place, behind_place] = if place.is_empty() { ["", ""] } else { [" (", ")"] };
        let words = [mark, part, " ", name, ": ", &text, before_fix, &fix, before_place, &place, behind_place];
        for word in words {
            write_printable(out, word);
        }
        out.push(b'\n');
    }
}

fn write_key(out: &mut Vec<u8>, key: &str) {
    out.push(b',');
    json::write_string(out, key);
    out.push(b':');
}
