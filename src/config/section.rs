//! One section of the file: its keys are taken by name and type, and what is wrong is collected, never thrown, so that a
//! person sees all of it at once.

use super::error::Problem;
use super::expand::expand;
use super::node::{self, Location, Node};
use super::suggest::nearest;
use super::values;
use crate::limits::{PATTERNS_MAX, PROBLEMS_BYTES_MAX, PROBLEMS_MAX};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Sections that hold secrets. Of `password: hun,ter2` within braces YAML makes a key `ter2`: no error repeats a key there that
/// is not near a known one.
const SECRET_SECTIONS: [&str; 2] = ["auth", "headers"];
const QUOTES: &str = "a secret with commas, colons or braces wants quotes";

/// All that is wrong with one file, and its text to find the places in.
pub(super) struct Problems<'t> {
    text: &'t str,
    /// Where the file is: other files that it names are looked for from there.
    folder: PathBuf,
    /// The file's name, as it stands before each.
    origin: String,
    found: RefCell<Vec<Problem>>,
    /// Bytes that they may still take.
    room: Cell<usize>,
    /// Problems beyond those that are shown.
    more: Cell<usize>,
    warnings: RefCell<Vec<Problem>>,
}

/// Where a node stands: its key path for people, its entry indices for [`node::locate`].
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    name: String,
    indices: Vec<usize>,
    /// Whether it is a section that holds secrets, or within one.
    holds_secrets: bool,
}

impl Place {
    /// The place of entry `index`, called `key`, within this one.
    pub(super) fn entry(&self, index: usize, key: &str) -> Self {
        // Of a reader or a recorder, which are called as the user likes.
        let holds_secrets = self.indices.len() == 2 && SECRET_SECTIONS.contains(&key);
        let key = super::shorten(key);
        let name = if self.name.is_empty() { key } else { format!("{}.{key}", self.name) };
        Self { name, holds_secrets: holds_secrets || self.holds_secrets, ..self.below(index) }
    }

    fn item(&self, index: usize) -> Self {
        Self { name: format!("{}[{index}]", self.name), ..self.below(index) }
    }

    /// The place of entry or item `index` under the name of this one: its key may be a part of a secret.
    fn below(&self, index: usize) -> Self {
        let indices = [&self.indices[..], &[index]].concat();
        Self { name: self.name.clone(), indices, holds_secrets: self.holds_secrets }
    }
}

impl<'t> Problems<'t> {
    /// `origin` is the file that `text` came from.
    pub(super) fn new(text: &'t str, origin: &Path) -> Self {
        let folder = origin.parent().map(Path::to_owned).unwrap_or_default();
        let origin = origin.display().to_string();
        let last = Problem::of_more(usize::MAX).line(&origin).len();
        Self {
            text,
            folder,
            origin,
            found: RefCell::default(),
            room: Cell::new(PROBLEMS_BYTES_MAX.saturating_sub(last)),
            more: Cell::new(0),
            warnings: RefCell::default(),
        }
    }

    /// Something is wrong with the value at `place`.
    pub(super) fn value(&self, place: &Place, message: impl Into<String>) {
        self.add(place, false, message.into());
    }

    /// Something is wrong with the key at `place`, or with the section that it opens.
    pub(super) fn key(&self, place: &Place, message: impl Into<String>) {
        self.add(place, true, message.into());
    }

    fn add(&self, place: &Place, at_key: bool, message: String) {
        let problem = (!self.is_full()).then(|| self.problem(place, at_key, message));
        // Two bytes part it from the next; the first is always shown.
        let fits = |problem: &Problem| {
            let room = self.room.get().checked_sub(problem.line(&self.origin).len() + 2);
            self.room.set(room.unwrap_or(0));
            room.is_some() || self.found.borrow().is_empty()
        };
        match problem.filter(fits) {
            Some(problem) => self.found.borrow_mut().push(problem),
            None => self.more.set(self.more.get() + 1),
        }
    }

    pub(super) fn has_any(&self) -> bool {
        !self.found.borrow().is_empty()
    }

    /// Whether further problems are only counted: what would be said of them need not be worked out.
    pub(super) fn is_full(&self) -> bool {
        self.more.get() > 0 || self.found.borrow().len() == PROBLEMS_MAX
    }

    /// The key at `place` works, but there is something to say about it.
    pub(super) fn warning(&self, place: &Place, message: impl Into<String>) {
        if self.warnings.borrow().len() < PROBLEMS_MAX {
            self.warnings.borrow_mut().push(self.problem(place, true, message.into()));
        }
    }

    /// Line of the key at `place`, to point at from elsewhere.
    pub(super) fn line(&self, place: &Place) -> usize {
        if self.is_full() {
            return 0;
        }
        node::locate(self.text, &place.indices, true).map_or(0, |at| at.line)
    }

    fn problem(&self, place: &Place, at_key: bool, message: String) -> Problem {
        let location = if place.indices.is_empty() {
            Some(Location { line: 1, column: 1 })
        } else {
            node::locate(self.text, &place.indices, at_key)
        };
        Problem::new(location, place.name.clone(), message)
    }

    /// What was found, in the order of the file, and how much more there is; then the warnings.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        let mut found = self.found.into_inner();
        found.sort_by_key(|problem| problem.location.map_or((0, 0), |at| (at.line, at.column)));
        if self.more.get() > 0 {
            found.push(Problem::of_more(self.more.get()));
        }
        (found, self.warnings.into_inner())
    }
}

/// Replaces `${NAME}` in every scalar below `node`, of which at most `room` bytes come.
pub(super) fn expand_all(
    node: &mut Node,
    place: &Place,
    variable: &dyn Fn(&str) -> Option<String>,
    room: &mut usize,
    problems: &Problems<'_>,
) {
    match node {
        Node::Text(text) => match expand(text, variable, *room) {
            Ok(None) => {}
            Ok(Some(text)) => {
                *room -= text.len();
                *node = Node::Text(text);
            }
            Err(message) => {
                problems.value(place, message);
                *node = Node::Invalid;
            }
        },
        Node::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand_all(item, &place.item(index), variable, room, problems);
            }
        }
        Node::Map(entries) => {
            for (index, (key, value)) in entries.iter_mut().enumerate() {
                let place = if place.holds_secrets { place.below(index) } else { place.entry(index, key) };
                expand_all(value, &place, variable, room, problems);
            }
        }
        Node::Null | Node::Bool(_) | Node::Number { .. } | Node::Invalid => {}
    }
}

/// The keys of one map.
pub(super) struct Section<'a, 't> {
    entries: &'a [(String, Node)],
    pub(super) place: Place,
    problems: &'a Problems<'t>,
    known: Vec<&'static str>,
}

impl<'a, 't> Section<'a, 't> {
    /// `node` as a section; nothing where it stands for none (`key:` with nothing behind it) is an empty one.
    pub(super) fn new(node: &'a Node, place: Place, problems: &'a Problems<'t>) -> Option<Self> {
        let entries: &[(String, Node)] = match node {
            Node::Map(entries) => entries,
            Node::Null | Node::Invalid => &[],
            other => {
                problems.value(&place, format!("expected a section of keys, found {}", other.describe()));
                return None;
            }
        };
        Some(Self { entries, place, problems, known: Vec::new() })
    }

    /// The value of `key`; a key that is given twice is a problem, which is told once, however often it is asked for.
    pub(super) fn node(&mut self, key: &'static str) -> Option<(&'a Node, Place)> {
        let is_told = self.known.contains(&key);
        if !is_told {
            self.known.push(key);
        }
        let mut found = None;
        for (index, (name, node)) in self.entries.iter().enumerate() {
            if name != key {
                continue;
            }
            let place = self.place.entry(index, key);
            match &found {
                None => found = Some((node, place)),
                Some(_) if is_told => {}
                Some((_, first)) => {
                    let line = self.problems.line(first);
                    self.problems.key(&place, format!("given twice, first in line {line}"));
                }
            }
        }
        found
    }

    /// Itself, unless `key` says by `word`, as the documentation shows it, or by false that it is not wanted: then it is as if
    /// the key were not there.
    pub(super) fn unless_off(&mut self, key: &'static str, word: &str) -> Option<&mut Self> {
        let node = self.node(key).map(|(node, _)| node);
        let is_off = matches!(node, Some(Node::Text(text)) if text == word) || matches!(node, Some(Node::Bool(false)));
        (!is_off).then_some(self)
    }

    /// The value of `key`, unless something is known to be wrong with it.
    fn sound_node(&mut self, key: &'static str) -> Option<(&'a Node, Place)> {
        self.node(key).filter(|(node, _)| **node != Node::Invalid)
    }

    /// The section below `key`.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Self> {
        let (node, place) = self.node(key)?;
        Self::new(node, place, self.problems)
    }

    /// The same for a section of secrets, which may be meant by whatever stands there: it is not repeated.
    pub(super) fn secret_section(&mut self, key: &'static str) -> Option<Self> {
        let (node, place) = self.node(key)?;
        match node {
            Node::Map(_) | Node::Null | Node::Invalid => Self::new(node, place, self.problems),
            _ => {
                self.problems.value(&place, format!("expected a section of keys below {key}"));
                None
            }
        }
    }

    /// The text of `key`, a secret or what stands in its place, read by `parser`. What is not text is not repeated.
    pub(super) fn secret_parse<T>(
        &mut self,
        key: &'static str,
        parser: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (node, place) = self.sound_node(key)?;
        let value = secret_text_of(node).and_then(parser);
        self.report(value, &place)
    }

    /// True or false.
    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let (node, place) = self.sound_node(key)?;
        let value = match node {
            Node::Bool(value) => Ok(*value),
            Node::Text(text) if text == "true" || text == "false" => Ok(text == "true"),
            other => Err(format!("expected true or false, found {}", other.describe())),
        };
        self.report(value, &place)
    }

    /// The text of `key`. A number is taken as the text that it is.
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        self.parse(key, |text| Ok(text.to_owned()))
    }

    /// The text of `key`, read by `parser`.
    pub(super) fn parse<T>(&mut self, key: &'static str, parser: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let (node, place) = self.sound_node(key)?;
        let value = text_of(node).and_then(|text| parser(&text));
        self.report(value, &place)
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.parse(key, values::duration)
    }

    /// A duration above zero.
    pub(super) fn positive_duration(&mut self, key: &'static str) -> Option<Duration> {
        self.duration_from(key, Duration::from_nanos(1))
    }

    /// A duration that is not shorter than `least`.
    pub(super) fn duration_from(&mut self, key: &'static str, least: Duration) -> Option<Duration> {
        self.parse(key, |text| {
            let duration = values::duration(text)?;
            values::at_least(least, duration).map_err(|problem| format!("{key} {problem}"))
        })
    }

    /// A size in bytes from `least` to `most`.
    pub(super) fn size(&mut self, key: &'static str, least: u64, most: u64) -> Option<u64> {
        let (node, place) = self.sound_node(key)?;
        let size = match node {
            Node::Number { whole: Some(bytes), .. } => Ok(*bytes),
            other => text_of(other).and_then(|text| values::size(&text)),
        };
        let within = size.and_then(|size| match size {
            size if (least..=most).contains(&size) => Ok(size),
            size => Err(format!("expected a size from {least} to {most} bytes, found {size}")),
        });
        self.report(within, &place)
    }

    /// A whole number from `least` to `most`.
    pub(super) fn number(&mut self, key: &'static str, least: u64, most: u64) -> Option<u64> {
        let (node, place) = self.sound_node(key)?;
        let number = match node {
            Node::Number { whole, .. } => *whole,
            Node::Text(text) => text.parse().ok(),
            _ => None,
        };
        let value = number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| format!("expected a whole number from {least} to {most}, found {}", node.describe()));
        self.report(value, &place)
    }

    /// A list of texts; a single text is a list of one.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<(String, Place)>> {
        let (node, place) = self.sound_node(key)?;
        let texts = self.texts_of(node, &place)?;
        if matches!(node, Node::List(items) if items.is_empty()) {
            self.problems.value(&place, "the list is empty, expected at least one name");
        }
        Some(texts)
    }

    /// A list of texts, which may be empty; a single text is a list of one.
    pub(super) fn texts_or_none(&mut self, key: &'static str) -> Option<Vec<(String, Place)>> {
        let (node, place) = self.sound_node(key)?;
        self.texts_of(node, &place)
    }

    fn texts_of(&self, node: &Node, place: &Place) -> Option<Vec<(String, Place)>> {
        let Node::List(items) = node else {
            let value = text_of(node).map_err(|_| format!("expected a list of names, found {}", node.describe()));
            return self.report(value, place).map(|text| vec![(text, place.clone())]);
        };
        let sound = items.iter().enumerate().filter(|(_, item)| **item != Node::Invalid);
        let texts = sound.filter_map(|(index, item)| {
            let place = place.item(index);
            self.report(text_of(item), &place).map(|text| (text, place))
        });
        Some(texts.collect())
    }

    /// The file that `key` names, loaded by `loader`; its path is taken from the folder of the configuration.
    pub(super) fn file<T>(&mut self, key: &'static str, loader: impl FnOnce(&Path) -> Result<T, String>) -> Option<T> {
        let folder = &self.problems.folder;
        self.parse(key, |text| loader(&folder.join(text)))
    }

    /// Every key of the section with its text, both read by `parser`: for sections whose keys are names of the user's. Of
    /// too many only some are read.
    pub(super) fn each<T>(self, parser: impl Fn(&str, &str) -> Result<T, String>) -> Vec<T> {
        let mut values = Vec::new();
        for (index, (key, node)) in self.entries.iter().enumerate().take(PATTERNS_MAX + 1) {
            let place = self.place.entry(index, key);
            if let Some(first) = self.entries[..index].iter().position(|(other, _)| other == key) {
                let line = self.problems.line(&self.place.entry(first, key));
                self.problems.key(&place, format!("given twice, first in line {line}"));
                continue;
            }
            if *node != Node::Invalid {
                values.extend(self.report(text_of(node).and_then(|text| parser(key, &text)), &place));
            }
        }
        values
    }

    /// The names of its keys, as the user has chosen them.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// Every key with its text, both read by `parser`: for sections whose keys are names of the user's and whose values are
    /// secrets.
    pub(super) fn each_secret<T>(self, parser: impl Fn(&str, &str) -> Result<T, String>) -> Vec<T> {
        let read = |(index, (key, node)): (usize, &(String, Node))| {
            if *node == Node::Invalid {
                return None;
            }
            let value = secret_text_of(node).and_then(|text| parser(key, text));
            self.report(value, &self.place.below(index))
        };
        self.entries.iter().enumerate().filter_map(read).collect()
    }

    /// The folder of the configuration: all other files are looked for from there.
    pub(super) fn folder(&self) -> PathBuf {
        self.problems.folder.clone()
    }

    /// What is wrong with the value at `place`.
    pub(super) fn wrong(&self, place: &Place, message: impl Into<String>) {
        self.problems.value(place, message);
    }

    fn report<T>(&self, value: Result<T, String>, place: &Place) -> Option<T> {
        value.map_err(|message| self.problems.value(place, message)).ok()
    }

    /// Something about the section as a whole, such as a key that it lacks.
    pub(super) fn lacks(&self, message: impl Into<String>) {
        self.problems.key(&self.place, message);
    }

    pub(super) fn warn(&self, place: &Place, message: impl Into<String>) {
        self.problems.warning(place, message);
    }

    /// Every key that was not asked for is unknown.
    pub(super) fn finish(self) {
        let keys = self.entries.iter().map(|(key, _)| key.as_str()).enumerate();
        let unknown: Vec<(usize, &str)> = keys.filter(|(_, key)| !self.known.contains(key)).collect();
        // The same with an endpoint: of `endpoint: u:hun,ter2@host` within braces there is a key `ter2@host`.
        let is_secret = self.place.holds_secrets || unknown.iter().any(|(_, key)| key.contains('@'));
        for (index, key) in unknown {
            if self.problems.is_full() {
                self.problems.key(&self.place, "");
                continue;
            }
            let near = nearest(key, self.known.iter().copied());
            let (place, found) = match near {
                None if is_secret && key != "<<" => (self.place.below(index), "an unknown key".to_owned()),
                _ => (self.place.entry(index, key), format!("unknown key {:?}", super::shorten(key))),
            };
            let hint = match near {
                Some(meant) => format!(", did you mean {meant:?}?"),
                None if key == "<<" => "; YAML merge keys are not supported: write the keys out".to_owned(),
                None if is_secret => format!(": {QUOTES}; known here: {}", self.known.join(", ")),
                None => format!("; known here: {}", self.known.join(", ")),
            };
            self.problems.key(&place, format!("{found}{hint}"));
        }
    }
}

fn secret_text_of(node: &Node) -> Result<&str, String> {
    match node {
        Node::Text(text) => Ok(text),
        Node::Number { .. } | Node::Bool(_) => Err("expected text: put it in quotes".to_owned()),
        Node::Null => Err(format!("expected text, found nothing; {QUOTES}")),
        Node::List(_) | Node::Map(_) | Node::Invalid => Err(format!("expected text, found {}", node.describe())),
    }
}

fn text_of(node: &Node) -> Result<String, String> {
    match node {
        Node::Text(text) | Node::Number { text, .. } => Ok(text.clone()),
        Node::Bool(_) => Err(format!("expected text, found {}: put it in quotes", node.describe())),
        Node::Null | Node::List(_) | Node::Map(_) | Node::Invalid => {
            Err(format!("expected text, found {}", node.describe()))
        }
    }
}
