//! Prints a configuration as it is in force: files, merge keys, `defaults` and variables put together, without secrets. What is
//! printed is YAML, and is the same configuration if it is loaded (with the secrets in their places).

use super::compose::DEFAULTS;
use super::node::Node;
use super::notes::Notes;
use super::values;
use crate::json;
use crate::limits::CONFIG_SIMPLE_KEY_BYTES_MAX;
use crate::secret::HIDDEN;
use std::fmt::Write;

/// Keys of `settings` that have another name today.
const OLD_NAMES: [&str; 2] = ["debug_level", "debug_evel"];
/// In `auth`, what is no secret.
const SHOWN_IN_AUTH: [&str; 1] = ["user"];
/// What a key that names a file ends with.
const FILE: &str = "_file";

/// The state of printing.
struct Printer<'n> {
    notes: &'n Notes,
    text: String,
    /// The indices that lead to the current value.
    path: Vec<usize>,
    /// The key of each step.
    keys: Vec<&'n str>,
}

/// The text of the tree.
pub(super) fn print<'n>(root: &'n Node, notes: &'n Notes) -> String {
    let mut printer = Printer { notes, text: String::new(), path: Vec::new(), keys: Vec::new() };
    if let Node::Map(entries) = root {
        printer.entries(entries);
    }
    printer.text
}

impl<'n> Printer<'n> {
    fn entries(&mut self, entries: &'n [(String, Node)]) {
        for (index, (key, node)) in entries.iter().enumerate() {
            self.path.push(index);
            if !self.is_left_out(key, entries) {
                self.indent();
                self.key(self.name(key));
                self.keys.push(key);
                self.text.push(':');
                self.value(node);
                self.keys.pop();
            }
            self.path.pop();
        }
    }

    fn is_left_out(&self, key: &str, entries: &[(String, Node)]) -> bool {
        let is_default = self.path.len() == 1 && key == DEFAULTS;
        // Of several names of one key, the first that is there counts.
        let is_old = self.is_old(key);
        let has_new =
            || entries.iter().any(|(other, _)| other == "log_level" || other == "debug_evel" && key == "debug_level");
        is_default || is_old && has_new() || self.notes.ignored.borrow().contains(&self.path)
    }

    fn is_old(&self, key: &str) -> bool {
        self.keys == ["settings"] && OLD_NAMES.contains(&key)
    }

    /// The name of a key today.
    fn name<'k>(&self, key: &'k str) -> &'k str {
        if self.is_old(key) { "log_level" } else { key }
    }

    fn value(&mut self, node: &'n Node) {
        match node {
            Node::Map(entries) if !entries.is_empty() => {
                self.text.push('\n');
                self.entries(entries);
            }
            Node::List(items) if !items.is_empty() => {
                self.text.push('\n');
                self.items(items);
            }
            node => {
                self.text.push(' ');
                self.scalar(node);
                self.text.push('\n');
            }
        }
    }

    fn items(&mut self, items: &'n [Node]) {
        for (index, item) in items.iter().enumerate() {
            self.path.push(index);
            self.keys.push("");
            self.text.push_str(&"  ".repeat(self.path.len() - 2));
            self.text.push_str("  -");
            self.value(item);
            self.keys.pop();
            self.path.pop();
        }
    }

    fn indent(&mut self) {
        self.text.push_str(&"  ".repeat(self.path.len() - 1));
    }

    /// A key. A very long one has to be marked as one.
    fn key(&mut self, key: &str) {
        let start = self.text.len();
        self.quoted(key);
        if self.text.len() - start > CONFIG_SIMPLE_KEY_BYTES_MAX / 2 {
            self.text.insert_str(start, "? ");
            self.text.push('\n');
            self.indent();
        }
    }

    fn scalar(&mut self, node: &Node) {
        if let Some(path) = self.notes.paths.borrow().get(&self.path) {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            return self.quoted(&literal(&path.to_string_lossy()));
        }
        if self.is_secret() {
            return self.quoted(HIDDEN);
        }
        match node {
            Node::Null | Node::Invalid => self.text.push('~'),
            Node::Bool(value) => self.text.push_str(if *value { "true" } else { "false" }),
            Node::Number { text, .. } => self.text.push_str(text),
            Node::List(_) => self.text.push_str("[]"),
            Node::Map(_) => self.text.push_str("{}"),
            Node::Text(text) if self.is_endpoint() => self.quoted(&literal(&without_password(text))),
            Node::Text(text) => self.quoted(&literal(text)),
        }
    }

    /// Whether the current value is a secret: in `auth` or `headers` of a reader or a recorder, and no path.
    fn is_secret(&self) -> bool {
        match self.keys[..] {
            ["readers" | "recorders", _, "auth", key] => !SHOWN_IN_AUTH.contains(&key) && !key.ends_with(FILE),
            ["readers" | "recorders", _, "headers", key] => !key.ends_with(FILE),
            _ => false,
        }
    }

    fn is_endpoint(&self) -> bool {
        self.keys.len() > 2 && self.keys[2] == "endpoint"
    }

    /// A text. It is in quotes unless nothing else can be read in it.
    fn quoted(&mut self, text: &str) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-');
        let is_word = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/' || first == '_');
        let is_special = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
        let is_special = is_special.iter().any(|word| text.eq_ignore_ascii_case(word));
        if is_word && !is_special && text.bytes().all(is_plain) {
            self.text.push_str(text);
            return;
        }
        let mut quoted = Vec::new();
        json::write_string(&mut quoted, text);
        for character in String::from_utf8_lossy(&quoted).chars() {
            match character {
                // YAML takes these for ends of lines, or does not take them at all.
                '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                    // Writing to a string does not fail.
                    let _ = write!(self.text, "\\u{:04x}", u32::from(character));
                }
                character => self.text.push(character),
            }
        }
    }
}

/// A text in which `${` stands for itself.
fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// An endpoint whose password is hidden.
fn without_password(endpoint: &str) -> String {
    if !values::has_credentials(endpoint) {
        return endpoint.to_owned();
    }
    let start = endpoint.find("://").map_or(0, |at| at + 3);
    let authority = values::authority(endpoint);
    let (credentials, host) = authority.rsplit_once('@').unwrap_or_default();
    let user = credentials.split(':').next().unwrap_or_default();
    let behind = &endpoint[start + authority.len()..];
    format!("{}{user}:{HIDDEN}@{host}{behind}", &endpoint[..start])
}
