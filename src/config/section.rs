//! One section of the file. Its keys are taken by name and type. Problems are collected and not returned, so that users
//! see all of them at once.

use super::node::Node;
use super::problems::{Place, Problems};
use super::values;
use crate::limits::PATTERNS_MAX;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const QUOTES: &str = "a secret with commas, colons or braces must be in quotes";

/// The keys of one map.
pub(super) struct Section<'a, 't> {
    entries: &'a [(String, Node)],
    pub(super) place: Place,
    problems: &'a Problems<'t>,
    /// The keys that have been asked for.
    known: Vec<&'static str>,
    /// Whether it is a part of `defaults`, so that what it lacks may be elsewhere.
    is_partial: bool,
    trial: Option<Trial<'a>>,
}

/// The defaults, tried as a reader or a recorder of this kind.
#[derive(Clone, Copy)]
pub(super) struct Trial<'a> {
    pub(super) kind: &'static str,
    /// Gets all keys that this kind knows.
    pub(super) known: &'a RefCell<Vec<&'static str>>,
}

impl<'a, 't> Section<'a, 't> {
    /// The section that `node` is; `key:` with nothing after it is an empty one.
    pub(super) fn new(node: &'a Node, place: Place, problems: &'a Problems<'t>) -> Option<Self> {
        let entries: &[(String, Node)] = match node {
            Node::Map(entries) => entries,
            Node::Null | Node::Invalid => &[],
            other => {
                problems.value(&place, format!("expected a mapping, found {}", other.describe()));
                return None;
            }
        };
        Some(Self { entries, place, problems, known: Vec::new(), is_partial: false, trial: None })
    }

    /// The section of defaults that `node` is, for a trial.
    pub(super) fn tried(node: &'a Node, place: Place, problems: &'a Problems<'t>, trial: Trial<'a>) -> Option<Self> {
        Self::new(node, place, problems).map(|section| Self { is_partial: true, trial: Some(trial), ..section })
    }

    /// Makes these keys known.
    pub(super) fn know(&mut self, keys: Vec<&'static str>) {
        for key in keys {
            // Also reports one that is given twice.
            self.node(key);
        }
    }

    /// Whether it is a part of `defaults`, so that what it lacks may be elsewhere.
    pub(super) fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// The kind as which the defaults are tried, if this is a trial.
    pub(super) fn tried_kind(&self) -> Option<&'static str> {
        self.trial.map(|trial| trial.kind)
    }

    /// Whether what is at this place applies to all entries, and is not written for this one.
    pub(super) fn is_general(&self, place: &Place) -> bool {
        self.is_partial || self.problems.is_default(place)
    }

    /// The value of `key`. A key that is given twice is a problem, which is reported once, however often the key is
    /// asked for.
    pub(super) fn node(&mut self, key: &'static str) -> Option<(&'a Node, Place)> {
        let is_reported = self.known.contains(&key);
        if !is_reported {
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
                Some(_) if is_reported => {}
                Some((_, first)) => self.problems.again(&place, "given twice", first),
            }
        }
        found
    }

    /// The section itself; none if the value of `key` is `word` or false, which means the same as leaving the key out.
    pub(super) fn unless_off(&mut self, key: &'static str, word: &str) -> Option<&mut Self> {
        let node = self.node(key).map(|(node, _)| node);
        let is_off = matches!(node, Some(Node::Text(text)) if text == word) || matches!(node, Some(Node::Bool(false)));
        (!is_off).then_some(self)
    }

    /// The value of `key`, unless a problem with it has been reported already.
    fn sound_node(&mut self, key: &'static str) -> Option<(&'a Node, Place)> {
        self.node(key).filter(|(node, _)| **node != Node::Invalid)
    }

    /// The section below `key`.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Self> {
        let (node, place) = self.node(key)?;
        self.within(node, place)
    }

    fn within(&self, node: &'a Node, place: Place) -> Option<Self> {
        let section = Self::new(node, place, self.problems)?;
        Some(Self { is_partial: self.is_partial, ..section })
    }

    /// The same for a section of secrets. Anything else in its place may be a secret, so errors do not repeat it.
    pub(super) fn secret_section(&mut self, key: &'static str) -> Option<Self> {
        let (node, place) = self.node(key)?;
        match node {
            Node::Map(_) | Node::Null | Node::Invalid => self.within(node, place),
            _ => {
                self.problems.value(&place, format!("expected a mapping below {key}"));
                None
            }
        }
    }

    /// The text of `key`, which is a secret, read by `parser`. Errors do not repeat what is there.
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
        let (mut parser, mut value) = (Some(parser), None);
        self.read_text(key, &mut |text| {
            value = parser.take().map(|parser| parser(text)).transpose()?;
            Ok(())
        })?;
        value
    }

    /// Gives the text of `key` to `read`, once. Nothing if that fails. There are forty parsers, so this is not generic.
    fn read_text(&mut self, key: &'static str, read: &mut dyn FnMut(&str) -> Result<(), String>) -> Option<()> {
        let (node, place) = self.sound_node(key)?;
        let result = match node {
            // The advice to use quotes helps only if the word in quotes is valid.
            Node::Bool(value) => match read(&value.to_string()) {
                Ok(()) => Err(format!("expected text, found {value}: put it in quotes")),
                Err(message) => Err(message),
            },
            _ => text_of(node).and_then(|text| read(&text)),
        };
        self.report(result, &place)
    }

    /// The same for a name of the user's choice. Here, true and false are mistaken for switches.
    pub(super) fn parse_name<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parser: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.node(key) {
            Some((Node::Bool(value), place)) => {
                self.problems.value(&place, format!("expected {expected}, found {value}"));
                None
            }
            _ => self.parse(key, parser),
        }
    }

    /// A duration.
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

    /// An integer from `least` to `most`.
    pub(super) fn number(&mut self, key: &'static str, least: u64, most: u64) -> Option<u64> {
        let (node, place) = self.sound_node(key)?;
        let number = match node {
            Node::Number { whole, .. } => *whole,
            Node::Text(text) => text.parse().ok(),
            _ => None,
        };
        let value = number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| format!("expected an integer from {least} to {most}, found {}", node.describe()));
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

    /// The file that `key` names, loaded by `loader`. Relative paths start from the folder of the file that names it.
    pub(super) fn file<T>(&mut self, key: &'static str, loader: impl FnOnce(&Path) -> Result<T, String>) -> Option<T> {
        let (_, place) = self.node(key)?;
        let problems = self.problems;
        self.parse_name(key, "a file", |text| loader(&path(problems, &place, text)))
    }

    /// The path that `text` is, which is the value of `key`. A relative one starts from the folder of the file that has it.
    pub(super) fn path(&mut self, key: &'static str, text: &str) -> PathBuf {
        let place = self.node(key).map_or_else(|| self.place.clone(), |(_, place)| place);
        path(self.problems, &place, text)
    }

    /// All keys of the section with their texts, read by `parser`: for sections whose keys are names of the user's
    /// choice. If there are too many, only some are read.
    pub(super) fn each<T>(self, parser: impl Fn(&str, &str) -> Result<T, String>) -> Vec<T> {
        let mut values = Vec::new();
        let mut firsts = BTreeMap::new();
        for (index, (key, node)) in self.entries.iter().enumerate().take(PATTERNS_MAX + 1) {
            let place = self.place.entry(index, key);
            let first = *firsts.entry(key.as_str()).or_insert(index);
            if first < index {
                self.problems.again(&place, "given twice", &self.place.entry(first, key));
                continue;
            }
            if *node != Node::Invalid {
                values.extend(self.report(text_of(node).and_then(|text| parser(key, &text)), &place));
            }
        }
        values
    }

    /// All of its keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// The same for a section whose values are secrets. `parser` also gets what makes a path of a value.
    pub(super) fn each_secret<T>(
        self,
        parser: impl Fn(&str, &str, &dyn Fn(&str) -> PathBuf) -> Result<T, String>,
    ) -> Vec<T> {
        let read = |(index, (key, node)): (usize, &(String, Node))| {
            if *node == Node::Invalid {
                return None;
            }
            let place = self.place.below(index);
            let value =
                secret_text_of(node).and_then(|text| parser(key, text, &|text| path(self.problems, &place, text)));
            self.report(value, &place)
        };
        self.entries.iter().enumerate().filter_map(read).collect()
    }

    /// Reports what is wrong with the value at `place`.
    pub(super) fn wrong(&self, place: &Place, message: impl Into<String>) {
        self.problems.value(place, message);
    }

    /// Reports the error, if it is one.
    fn report<T>(&self, value: Result<T, String>, place: &Place) -> Option<T> {
        value.map_err(|message| self.problems.value(place, message)).ok()
    }

    /// Reports something about the section as a whole, such as a key that it lacks.
    pub(super) fn lacks(&self, message: impl Into<String>) {
        if self.is_partial {
            return;
        }
        let mut message = message.into();
        if self.problems.is_default(&self.place) {
            // The key may be missing in the entry just as well.
            message = format!("{message} (for {})", self.place.entry_name());
        }
        self.problems.key(&self.place, message);
    }

    /// Reports a warning.
    pub(super) fn warn(&self, place: &Place, message: impl Into<String>) {
        self.problems.warning(place, message);
    }

    /// Whether an entry is a default of readers or recorders, for those of another kind.
    fn is_default_of_others(&self, index: usize, key: &str) -> bool {
        let place = self.place.entry(index, key);
        let is_general = self.place.indices.len() == 2 && self.problems.is_default(&place);
        if is_general {
            self.ignore(&place);
        }
        is_general
    }

    /// Notes that the default at `place` has no effect here.
    pub(super) fn ignore(&self, place: &Place) {
        if let Some(notes) = &self.problems.notes {
            notes.ignore(&place.indices);
        }
    }

    /// Reports the keys that nobody has asked for as unknown.
    pub(super) fn finish(self) {
        if let Some(Trial { known, .. }) = self.trial {
            known.borrow_mut().extend(self.known);
            return;
        }
        let keys = self.entries.iter().map(|(key, _)| key.as_str()).enumerate();
        let unknown: Vec<(usize, &str)> =
            keys.filter(|(index, key)| !self.known.contains(key) && !self.is_default_of_others(*index, key)).collect();
        // `endpoint: u:hun,ter2@host` in braces has a key `ter2@host`, which contains a part of a password.
        let is_secret = self.place.holds_secrets || unknown.iter().any(|(_, key)| key.contains('@'));
        for (index, key) in unknown {
            if self.problems.is_full() {
                self.problems.key(&self.place, "");
                continue;
            }
            let near = self.problems.suggestions.nearest(key, self.known.iter().copied());
            let (place, found) = match near {
                None if is_secret => (self.place.below(index), "an unknown key".to_owned()),
                _ => (self.place.entry(index, key), format!("unknown key {:?}", super::shorten(key))),
            };
            let hint = match near {
                Some(meant) => format!(", did you mean {meant:?}?"),
                None if is_secret => format!(": {QUOTES}; known keys: {}", self.known.join(", ")),
                None => format!("; known keys: {}", self.known.join(", ")),
            };
            self.problems.key(&place, format!("{found}{hint}"));
        }
    }
}

/// The path that the text at `place` is.
fn path(problems: &Problems<'_>, place: &Place, text: &str) -> PathBuf {
    let path = problems.folder(place).join(text);
    if let Some(notes) = &problems.notes {
        notes.path(&place.indices, path.clone());
    }
    path
}

/// The text of a secret. Errors do not repeat it.
fn secret_text_of(node: &Node) -> Result<&str, String> {
    match node {
        Node::Text(text) => Ok(text),
        Node::Number { .. } | Node::Bool(_) => Err("expected text: put it in quotes".to_owned()),
        Node::Null => Err(format!("expected text, found nothing; {QUOTES}")),
        Node::List(_) | Node::Map(_) | Node::Invalid => Err(format!("expected text, found {}", node.describe())),
    }
}

/// The text of a scalar.
fn text_of(node: &Node) -> Result<String, String> {
    match node {
        Node::Text(text) | Node::Number { text, .. } => Ok(text.clone()),
        Node::Bool(_) => Err(format!("expected text, found {}: put it in quotes", node.describe())),
        Node::Null | Node::List(_) | Node::Map(_) | Node::Invalid => {
            Err(format!("expected text, found {}", node.describe()))
        }
    }
}
