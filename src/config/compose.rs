//! Puts the tree of a configuration together: the sections of several files, merge keys (`<<`), and `defaults`.
//!
//! - The sections of all files are joined, entry by entry. A name that two files have stays there twice, and is reported later.
//! - `<<` is shallow: a section gets the entries of others that it lacks. Of several, the first one wins.
//! - `defaults` are deep: sections within sections are joined, too. `null` keeps a default away.
//!
//! The tree that results has none of it any more, except the section `defaults`. [`Origins`] records where each part is from.

use super::alternatives;
use super::node::Node;
use super::origins::{Origin, Origins, Sources, Via};
use super::problems::Problems;
use super::step::Step;
use crate::limits::CONFIG_DEFAULTS_BYTES_MAX;
use std::collections::{BTreeMap, BTreeSet};

/// YAML's merge key.
const MERGE: &str = "<<";
/// Sections at the root that begin with this are places for anchors. They are not read.
pub(super) const ANCHORS: &str = "x-";
pub(super) const DEFAULTS: &str = "defaults";
/// The sections that several files may have.
const SECTIONS: [&str; 5] = ["settings", DEFAULTS, "readers", "recorders", "routes"];

type Entries = Vec<(String, Node)>;

/// A part of the tree that has not been put into its place.
struct Part {
    node: Node,
    origin: Origin,
}

/// The entries of a section, and where they come from.
#[derive(Default)]
struct Collected {
    entries: Entries,
    sources: Sources,
}

/// The defaults for a section: a section of the tree, and the way to it.
struct Defaults<'d> {
    entries: &'d [(String, Node)],
    path: Vec<usize>,
}

/// The state of the work.
struct Composer<'p, 't> {
    problems: &'p Problems<'t>,
    origins: Origins,
    /// Whether some text has a merge key.
    has_merges: bool,
    /// How many more bytes may be added.
    room: usize,
}

/// Makes one tree of those of all files.
pub(super) fn compose(roots: Vec<Node>, problems: &Problems<'_>) -> (Node, Origins) {
    let mut composer = Composer {
        has_merges: problems.mentions(MERGE),
        problems,
        origins: Origins::default(),
        room: CONFIG_DEFAULTS_BYTES_MAX,
    };
    let mut roots = roots;
    let root = match &roots[..] {
        [Node::Map(_)] | [_, _, ..] => composer.root(roots),
        // What is wrong with it is reported by whoever reads it.
        _ => roots.pop().unwrap_or(Node::Null),
    };
    (root, composer.origins)
}

/// The same for a file without the sections of a configuration: only merge keys.
pub(super) fn merge_keys(root: Node, problems: &Problems<'_>) -> (Node, Origins) {
    let mut composer =
        Composer { has_merges: problems.mentions(MERGE), problems, origins: Origins::default(), room: 0 };
    let root = composer.settle(Part { node: root, origin: Origin::default() }, &Step::Root, None);
    (root, composer.origins)
}

impl Composer<'_, '_> {
    fn root(&mut self, roots: Vec<Node>) -> Node {
        let part = |(file, node)| Part { node, origin: Origin::of_file(file) };
        let Some(all) = self.collect_all(roots.into_iter().enumerate().map(part), &Step::Root) else {
            return Node::Null;
        };
        let mut groups = group(all, |key| SECTIONS.contains(&key));
        groups.retain(|(key, _)| !key.starts_with(ANCHORS));
        let mut sources = Sources::default();
        for (_, parts) in &groups {
            sources.push(parts[0].origin.clone());
        }
        self.origins.record(Vec::new(), sources);
        // The others need the defaults, which must have got their own place before.
        let place = groups.iter().position(|(key, _)| key == DEFAULTS);
        let defaults = place.map(|index| {
            let step = Step::Entry { within: &Step::Root, index, key: DEFAULTS };
            self.defaults(std::mem::take(&mut groups[index].1), &step)
        });
        let mut root = Vec::new();
        for (index, (key, parts)) in groups.into_iter().enumerate() {
            let of_kind = place
                .zip(defaults.as_ref())
                .and_then(|(place, node)| Defaults { entries: map(node)?, path: vec![place] }.below(&key));
            let step = Step::Entry { within: &Step::Root, index, key: &key };
            let node = if parts.is_empty() { Node::Null } else { self.section(parts, &step, of_kind.as_ref()) };
            root.push((key, node));
        }
        if let (Some(place), Some(node)) = (place, defaults) {
            root[place].1 = node;
        }
        Node::Map(root)
    }

    /// The section `defaults`, whose own sections are joined as well.
    fn defaults(&mut self, mut parts: Vec<Part>, step: &Step<'_>) -> Node {
        if parts.len() == 1 {
            let part = parts.remove(0);
            return self.settle(part, step, None);
        }
        let Some(all) = self.collect_all(parts.into_iter(), step) else { return Node::Null };
        let groups = group(all, |_| true);
        let (mut sources, mut entries) = (Sources::default(), Vec::new());
        for (index, (key, parts)) in groups.into_iter().enumerate() {
            sources.push(parts[0].origin.clone());
            let node = self.section(parts, &Step::Entry { within: step, index, key: &key }, None);
            entries.push((key, node));
        }
        self.origins.record(step.indices(), sources);
        Node::Map(entries)
    }

    /// A section that several files may have, with the defaults for each of its entries.
    fn section(&mut self, mut parts: Vec<Part>, step: &Step<'_>, defaults: Option<&Defaults<'_>>) -> Node {
        let joined = if parts.len() == 1 {
            let Part { node, origin } = parts.remove(0);
            match node {
                Node::Map(map) if self.has_merges || defaults.is_some() => self.collect(map, &origin, step),
                node => return self.settle(Part { node, origin }, step, None),
            }
        } else {
            let Some(all) = self.collect_all(parts.into_iter(), step) else { return Node::Null };
            all
        };
        let Collected { mut entries, sources } = joined;
        for (index, (key, node)) in entries.iter_mut().enumerate() {
            let part = Part { node: std::mem::replace(node, Node::Null), origin: sources.of(index) };
            *node = self.settle(part, &Step::Entry { within: step, index, key }, defaults);
        }
        self.origins.record(step.indices(), sources);
        Node::Map(entries)
    }

    /// The entries of several sections, one after the other. None if all of them are empty.
    fn collect_all(&mut self, parts: impl Iterator<Item = Part>, step: &Step<'_>) -> Option<Collected> {
        let mut all = None;
        for Part { node, origin } in parts {
            match node {
                Node::Map(map) => {
                    let one = self.collect(map, &origin, step);
                    let all = all.get_or_insert_with(Collected::default);
                    all.entries.extend(one.entries);
                    all.sources.append(one.sources);
                }
                Node::Null | Node::Invalid => {}
                node => {
                    let message = format!("expected a mapping, found {}", node.describe());
                    self.problems.of_text(&origin, false, &step.place().name, message);
                    all.get_or_insert_with(Collected::default);
                }
            }
        }
        all
    }

    /// The entries of a section, with those that its merge keys give it.
    fn collect(&mut self, map: Entries, origin: &Origin, step: &Step<'_>) -> Collected {
        let mut all = Collected::default();
        all.sources.sections.push(origin.clone());
        let mut merges = Vec::new();
        for (index, (key, node)) in map.into_iter().enumerate() {
            if self.has_merges && key == MERGE {
                merges.push((index, node));
            } else {
                all.entries.push((key, node));
                all.sources.entries.push((0, index));
            }
        }
        if let Some((second, _)) = merges.get(1) {
            self.wrong_merge(&origin.below(*second), true, step, "given twice: write one list, `<<: [*a, *b]`");
        }
        for (index, node) in merges {
            let at =
                Origin { via: if origin.via == Via::Own { Via::Merge } else { origin.via }, ..origin.below(index) };
            match node {
                Node::List(items) => {
                    for (index, item) in items.into_iter().enumerate() {
                        self.merge(item, &at.below(index), step, &mut all);
                    }
                }
                node => self.merge(node, &at, step, &mut all),
            }
        }
        all
    }

    /// Adds what a merge key gives, unless it is there.
    fn merge(&mut self, node: Node, origin: &Origin, step: &Step<'_>, all: &mut Collected) {
        let map = match node {
            Node::Map(map) => map,
            Node::Null | Node::Invalid => return,
            node => {
                let found = if step.place().holds_secrets { "something else".to_owned() } else { node.describe() };
                let message =
                    format!("expected a section to merge, or a list of sections, such as *base, found {found}");
                return self.wrong_merge(origin, false, step, &message);
            }
        };
        let Collected { entries, sources } = self.collect(map, origin, step);
        let there: BTreeSet<&str> = all.entries.iter().map(|(key, _)| key.as_str()).collect();
        let is_new: Vec<bool> = entries.iter().map(|(key, _)| !there.contains(key.as_str())).collect();
        for (index, entry) in entries.into_iter().enumerate().filter(|(index, _)| is_new[*index]) {
            all.entries.push(entry);
            all.sources.push(sources.of(index));
        }
    }

    fn wrong_merge(&self, origin: &Origin, at_key: bool, step: &Step<'_>, message: &str) {
        let name = step.place().name;
        let name = if name.is_empty() { MERGE.to_owned() } else { format!("{name}.{MERGE}") };
        self.problems.of_text(origin, at_key, &name, message.to_owned());
    }

    /// Gives a part its merged entries and its defaults, and everything in it as well.
    fn settle(&mut self, part: Part, step: &Step<'_>, defaults: Option<&Defaults<'_>>) -> Node {
        if !self.has_merges && defaults.is_none() {
            return part.node;
        }
        let Part { node, origin } = part;
        let map = match node {
            Node::Map(map) => map,
            Node::Null if defaults.is_some() => Vec::new(),
            Node::List(items) if self.has_merges => {
                let item = |(index, node)| {
                    let part = Part { node, origin: origin.below(index) };
                    self.settle(part, &Step::Item { within: step, index }, None)
                };
                return Node::List(items.into_iter().enumerate().map(item).collect());
            }
            node => return node,
        };
        let mut all = self.collect(map, &origin, step);
        let pairs = defaults.map(|defaults| self.fill(&mut all, defaults, step)).unwrap_or_default();
        let Collected { mut entries, sources } = all;
        for (index, (key, node)) in entries.iter_mut().enumerate() {
            let below = defaults.zip(pairs.get(&index)).and_then(|(defaults, default)| defaults.at(*default));
            let part = Part { node: std::mem::replace(node, Node::Null), origin: sources.of(index) };
            *node = self.settle(part, &Step::Entry { within: step, index, key }, below.as_ref());
        }
        self.origins.record(step.indices(), sources);
        Node::Map(entries)
    }

    /// Adds the defaults that a section lacks, and removes the nulls that keep one away. Returns which of its own entries are
    /// to be joined with which default.
    fn fill(&mut self, all: &mut Collected, defaults: &Defaults<'_>, step: &Step<'_>) -> BTreeMap<usize, usize> {
        let (mut nulls, mut pairs, mut added) = (BTreeSet::new(), Vec::new(), Vec::new());
        let indices: BTreeMap<&str, usize> =
            all.entries.iter().enumerate().rev().map(|(index, (key, _))| (key.as_str(), index)).collect();
        let own: BTreeMap<&str, &Node> = all.entries.iter().map(|(key, node)| (key.as_str(), node)).collect();
        let mut seen = BTreeSet::new();
        for (place, (key, default)) in defaults.entries.iter().enumerate() {
            if !seen.insert(key.as_str()) {
                continue;
            }
            match indices.get(key.as_str()).map(|&index| (index, &all.entries[index].1)) {
                Some((index, Node::Null)) => _ = nulls.insert(index),
                Some((index, Node::Map(_))) if matches!(default, Node::Map(_)) => pairs.push((index, place)),
                Some(_) => {}
                None if *default == Node::Null || alternatives::is_superseded(key, &own, step) => {}
                None => added.push(place),
            }
        }
        let kept: Vec<bool> = (0..all.entries.len()).map(|index| !nulls.contains(&index)).collect();
        keep(&mut all.entries, &kept);
        keep(&mut all.sources.entries, &kept);
        for place in added {
            let (key, node) = &defaults.entries[place];
            let bytes = key.len() + bytes_of(node);
            let path = [&defaults.path[..], &[place]].concat();
            let origin = Origin { via: Via::Defaults, ..self.origins.find(&path) };
            let Some(room) = self.room.checked_sub(bytes) else {
                if std::mem::take(&mut self.room) > 0 {
                    let message = "the defaults are repeated by too many entries: shorten them, or use port ranges";
                    self.problems.of_text(&origin, false, DEFAULTS, message.to_owned());
                }
                break;
            };
            self.room = room;
            all.entries.push((key.clone(), node.clone()));
            all.sources.push(origin);
        }
        let moved = |index: usize| index - nulls.range(..index).count();
        pairs.into_iter().map(|(index, place)| (moved(index), place)).collect()
    }
}

impl Defaults<'_> {
    /// Those in the section `key`.
    fn below(&self, key: &str) -> Option<Self> {
        self.at(self.entries.iter().position(|(name, _)| name == key)?)
    }

    /// Those in the section that is the entry `index`. None if it is no section.
    fn at(&self, index: usize) -> Option<Self> {
        Some(Self { entries: map(&self.entries[index].1)?, path: [&self.path[..], &[index]].concat() })
    }
}

fn map(node: &Node) -> Option<&[(String, Node)]> {
    if let Node::Map(entries) = node { Some(entries) } else { None }
}

/// Puts the entries with the same key together that are from different files, if `is_joined` says so of their key. Those of one
/// file stay apart, so that they are reported.
fn group(all: Collected, is_joined: impl Fn(&str) -> bool) -> Vec<(String, Vec<Part>)> {
    let Collected { entries, sources } = all;
    let mut groups: Vec<(String, Vec<Part>)> = Vec::new();
    let mut firsts: BTreeMap<String, usize> = BTreeMap::new();
    for (index, (key, node)) in entries.into_iter().enumerate() {
        let part = Part { node, origin: sources.of(index) };
        let first = firsts.get(&key).copied().filter(|_| is_joined(&key));
        match first.map(|first| &mut groups[first].1) {
            Some(parts) if parts.iter().all(|other| other.origin.file != part.origin.file) => parts.push(part),
            _ => {
                firsts.entry(key.clone()).or_insert(groups.len());
                groups.push((key, vec![part]));
            }
        }
    }
    groups
}

fn keep<T>(list: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    list.retain(|_| kept.next().copied().unwrap_or(true));
}

/// The bytes that a copy takes.
fn bytes_of(node: &Node) -> usize {
    size_of::<(String, Node)>()
        + match node {
            Node::Text(text) | Node::Number { text, .. } => text.len(),
            Node::List(items) => items.iter().map(bytes_of).sum(),
            Node::Map(entries) => entries.iter().map(|(key, node)| key.len() + bytes_of(node)).sum(),
            Node::Null | Node::Bool(_) | Node::Invalid => 0,
        }
}
