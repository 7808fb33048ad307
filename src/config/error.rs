//! The errors of a configuration, as users see them.

use crate::limits::PROBLEM_CHARS_MAX;
use std::fmt;

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, or whatever the text came from.
    origin: String,
    problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Its file, if the configuration has several.
    pub(super) file: Option<String>,
    pub(super) location: Option<Location>,
    /// The names of the sections and the key, joined with dots; empty for the file as a whole.
    pub(super) key: String,
    pub(super) message: String,
}

/// A place in the file, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Problem {
    pub(super) fn new(location: Option<Location>, key: String, message: String) -> Self {
        Self { file: None, location, key: readable(key), message: readable(message) }
    }

    /// A problem of the text itself, before it has keys.
    pub(super) fn at(location: Location, message: String) -> Self {
        Self::new(Some(location), String::new(), message)
    }

    /// The line about those that are not shown.
    pub(super) fn of_more(count: usize) -> Self {
        let problems = if count == 1 { "problem" } else { "problems" };
        Self::new(None, String::new(), format!("and {count} more {problems}"))
    }

    /// The problem as one line; `origin` is the name of the only file.
    pub(super) fn line(&self, origin: &str) -> String {
        let origin = self.file.as_deref().unwrap_or(origin);
        let place = self.location.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
        let key = if self.key.is_empty() { String::new() } else { format!(": {}", self.key) };
        format!("{origin}{place}{key}: {}", self.message)
    }
}

impl ConfigError {
    pub(super) fn new(origin: &str, problems: Vec<Problem>) -> Self {
        Self { origin: origin.to_owned(), problems }
    }

    /// A single problem without a place.
    pub(crate) fn of(origin: &str, message: String) -> Self {
        Self { origin: origin.to_owned(), problems: vec![Problem::new(None, String::new(), message)] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(|problem| problem.line(&self.origin)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// Makes a text one line of bounded length without control characters, whatever a file contains.
pub(super) fn readable(text: String) -> String {
    if text.len() <= PROBLEM_CHARS_MAX && !text.contains(char::is_control) {
        return text;
    }
    let mut line = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == PROBLEM_CHARS_MAX {
            line.push_str("...");
            break;
        }
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// At most 60 characters of something that a user has written, for an error that repeats it.
pub(super) fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(57).chain("...".chars()).collect() }
}
