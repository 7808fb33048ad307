//! Sections of readers that stand for several: their names, and the readers of targets in the place of the section's own.

use super::node::Node;
use super::problems::Problems;
use super::section::Section;
use super::{Named, Reader, Routed, Source};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The readers of a section with several endpoints have names that begin with its own. Checks that no other reader has such a
/// name.
pub(super) fn check_names(root: &mut Section<'_, '_>, readers: &Named<Reader>, problems: &Problems<'_>) {
    let Some((Node::Map(map), place)) = root.node("readers") else { return };
    let entries = readers.iter().enumerate();
    let made = entries.flat_map(|(place, (_, made))| made.iter().map(move |reader| (reader, place)));
    let mut parts: BTreeMap<&str, usize> = BTreeMap::new();
    parts.extend(
        made.filter(|(reader, place)| reader.name != readers[*place].0).map(|(reader, place)| (&*reader.name, place)),
    );
    let is_group =
        |name: &str| readers.iter().any(|(entry, made)| entry == name && made.iter().any(|it| it.group.is_some()));
    for (index, (name, _)) in map.iter().enumerate() {
        if let Some(entry) = parts.get(name.as_str()).map(|place| &readers[*place].0) {
            let message = format!("one of the endpoints of the reader {entry:?} has this name: choose another");
            problems.key(&place.entry(index, name), message);
        }
        // Which targets there will be is not known.
        let mut starts = name.match_indices(':').map(|(at, _)| &name[..at]);
        if let Some(entry) = starts.find(|start| is_group(start)) {
            let message = format!("a target of the reader {entry:?} may get this name: choose another");
            problems.key(&place.entry(index, name), message);
        }
    }
}

/// Puts readers of the targets that are in files now in the place of those that stand for them. Gives what stands for targets,
/// with its recorders.
pub(super) fn expand(readers: &mut Vec<Arc<Reader>>, engines: &mut Vec<Routed>) -> Vec<Routed> {
    let stands = |engine: &&Routed| matches!(engine.reader.source, Source::Targets(_));
    let groups: Vec<Routed> = engines.iter().filter(stands).cloned().collect();
    for group in &groups {
        let Source::Targets(targets) = &group.reader.source else { continue };
        // What is wrong with the file has been reported already, or it has changed since a moment ago.
        let found = targets.in_file(&group.reader, &[]).unwrap_or_default();
        if found.is_empty() {
            continue;
        }
        let place = readers.iter().position(|reader| Arc::ptr_eq(reader, &group.reader));
        if let Some(place) = place {
            readers.splice(place..=place, found.iter().cloned());
        }
        *engines = Routed::regrouped(engines, group, &found);
    }
    groups
}

impl Routed {
    /// The engines with others in the place of those of `group`: one for each of these readers, or the group itself if there
    /// are none.
    pub(crate) fn regrouped(engines: &[Self], group: &Self, readers: &[Arc<Reader>]) -> Vec<Self> {
        let mut all = Vec::with_capacity(engines.len() + readers.len());
        let mut is_there = false;
        for engine in engines {
            if engine.reader.group != group.reader.group {
                all.push(engine.clone());
            } else if !std::mem::replace(&mut is_there, true) {
                let routed =
                    |reader: &Arc<Reader>| Self { reader: Arc::clone(reader), recorders: group.recorders.clone() };
                all.extend(readers.iter().map(routed));
                all.extend(readers.is_empty().then(|| group.clone()));
            }
        }
        all
    }
}
