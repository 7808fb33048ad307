//! One section of the file. Its keys are taken by name and type. Problems are collected and not returned, so that users
//! see all of them at once.

use super::node::Node;
use super::problems::{Place, Problems};
use super::values;
use crate::limits::PATTERNS_MAX;
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
        Some(Self { entries, place, problems, known: Vec::new() })
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
        Self::new(node, place, self.problems)
    }

    /// The same for a section of secrets. Anything else in its place may be a secret, so errors do not repeat it.
    pub(super) fn secret_section(&mut self, key: &'static str) -> Option<Self> {
        let (node, place) = self.node(key)?;
        match node {
            Node::Map(_) | Node::Null | Node::Invalid => Self::new(node, place, self.problems),
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

    /// The file that `key` names, loaded by `loader`. Relative paths start from the folder of the configuration.
    pub(super) fn file<T>(&mut self, key: &'static str, loader: impl FnOnce(&Path) -> Result<T, String>) -> Option<T> {
        let folder = self.problems.folder();
        self.parse_name(key, "a file", |text| loader(&folder.join(text)))
    }

    /// All keys of the section with their texts, read by `parser`: for sections whose keys are names of the user's
    /// choice. If there are too many, only some are read.
    pub(super) fn each<T>(self, parser: impl Fn(&str, &str) -> Result<T, String>) -> Vec<T> {
        self.each_node(|key, node| text_of(node).and_then(|text| parser(key, &text)))
    }

    /// The same for values that are not only texts.
    pub(super) fn each_node<T>(self, parser: impl Fn(&str, &Node) -> Result<T, String>) -> Vec<T> {
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
                values.extend(self.report(parser(key, node), &place));
            }
        }
        values
    }

    /// All of its keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// The same for a section whose values are secrets.
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

    /// The folder of the configuration, from which relative paths start.
    pub(super) fn folder(&self) -> PathBuf {
        self.problems.folder().to_owned()
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
        self.problems.key(&self.place, message);
    }

    /// Reports a warning.
    pub(super) fn warn(&self, place: &Place, message: impl Into<String>) {
        self.problems.warning(place, message);
    }

    /// Reports the keys that nobody has asked for as unknown.
    pub(super) fn finish(self) {
        let keys = self.entries.iter().map(|(key, _)| key.as_str()).enumerate();
        let unknown: Vec<(usize, &str)> = keys.filter(|(_, key)| !self.known.contains(key)).collect();
        // `endpoint: u:hun,ter2@host` in braces has a key `ter2@host`, which contains a part of a password.
        let is_secret = self.place.holds_secrets || unknown.iter().any(|(_, key)| key.contains('@'));
        for (index, key) in unknown {
            if self.problems.is_full() {
                self.problems.key(&self.place, "");
                continue;
            }
            let near = self.problems.suggestions.nearest(key, self.known.iter().copied());
            let (place, found) = match near {
                None if is_secret && key != "<<" => (self.place.below(index), "an unknown key".to_owned()),
                _ => (self.place.entry(index, key), format!("unknown key {:?}", super::shorten(key))),
            };
            let hint = match near {
                Some(meant) => format!(", did you mean {meant:?}?"),
                None if key == "<<" => "; YAML merge keys are not supported: write the keys out".to_owned(),
                None if is_secret => format!(": {QUOTES}; known keys: {}", self.known.join(", ")),
                None => format!("; known keys: {}", self.known.join(", ")),
            };
            self.problems.key(&place, format!("{found}{hint}"));
        }
    }
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
