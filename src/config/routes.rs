//! Routes join readers to recorders. They are merged, in order and without duplicates, into one engine for each reader.

use super::node::Node;
use super::problems::{Place, Problems};
use super::section::Section;
use super::{Config, Named, Reader, Recorder, Routed};
use crate::limits;
use crate::sort::sorted;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

/// Merges the routes. If two routes of a file have the same name, both count.
pub(super) fn merge(
    root: &mut Section<'_, '_>,
    readers: &Named<Reader>,
    recorders: &Named<Recorder>,
    problems: &Problems<'_>,
) -> Vec<Routed> {
    let Some((node, place)) = root.node("routes") else {
        root.lacks("the section \"routes\" is missing: nothing would be polled and shipped");
        return Vec::new();
    };
    let Node::Map(map) = node else {
        problems.value(
            &place,
            format!("expected a route's name with its readers and recorders, found {}", node.describe()),
        );
        return Vec::new();
    };
    if map.len() > limits::SECTION_ENTRIES_MAX {
        problems.key(&place, format!("{} entries, at most {} are allowed", map.len(), limits::SECTION_ENTRIES_MAX));
        return Vec::new();
    }
    let reader_names = Names::of(readers, |reader| &reader.name);
    let recorder_names = Names::of(recorders, |recorder| &recorder.name);
    let mut pairs = 0;
    let mut seen = BTreeSet::new();
    // For each reader, in the order of the file: the indices of its recorders, in the order of the routes.
    let mut joined: Vec<Vec<usize>> = vec![Vec::new(); reader_names.count];
    let mut firsts = BTreeMap::new();
    for (index, (name, node)) in map.iter().enumerate() {
        let route = place.entry(index, name);
        let first = place.entry(*firsts.entry(name.as_str()).or_insert(index), name);
        if !problems.are_in_one_file(&first, &route) {
            problems.again(&route, format!("the route {name:?} is defined twice"), &first);
        }
        let Some(mut route) = Section::new(node, route, problems) else { continue };
        let from = members(&mut route, "readers", &reader_names, problems);
        let to = members(&mut route, "recorders", &recorder_names, problems);
        route.finish();
        pairs += from.len().saturating_mul(to.len());
        if pairs > limits::ROUTED_PAIRS_MAX {
            let most = limits::ROUTED_PAIRS_MAX;
            problems.key(&place, format!("the routes form more than {most} pairs of a reader and a recorder"));
            return Vec::new();
        }
        for reader in from {
            for &recorder in &to {
                if seen.insert((reader, recorder)) {
                    joined[reader].push(recorder);
                }
            }
        }
    }
    if joined.iter().all(Vec::is_empty) && !problems.has_any() {
        problems.key(&place, "no route connects a reader to a recorder: nothing would be polled and shipped");
    }
    engines(&joined, readers, recorders)
}

fn engines(joined: &[Vec<usize>], readers: &Named<Reader>, recorders: &Named<Recorder>) -> Vec<Routed> {
    let all: Vec<&Arc<Recorder>> = recorders.iter().flat_map(|(_, recorders)| recorders).collect();
    let readers = readers.iter().flat_map(|(_, readers)| readers);
    let routed = |(reader, to): (&Arc<Reader>, &Vec<usize>)| Routed {
        reader: Arc::clone(reader),
        recorders: to.iter().map(|&index| Arc::clone(all[index])).collect(),
    };
    readers.zip(joined).filter(|(_, to)| !to.is_empty()).map(routed).collect()
}

/// The names that routes may contain.
struct Names<'n> {
    /// In the order of the file.
    all: Vec<&'n str>,
    /// What each name stands for: indices among all readers, or all recorders.
    places: BTreeMap<&'n str, Range<usize>>,
    count: usize,
}

impl<'n> Names<'n> {
    /// `name_of` gives the name of a reader or a recorder. An entry with a port range stands for several readers, each
    /// of which also has a name of its own.
    fn of<T>(named: &'n Named<T>, name_of: impl Fn(&'n T) -> &'n str) -> Self {
        let mut known = Self { all: Vec::new(), places: BTreeMap::new(), count: 0 };
        for (name, members) in named {
            let first = known.count;
            known.count += members.len();
            known.add(name, first..known.count);
            for (place, member) in (first..).zip(members).filter(|(_, member)| name_of(member) != name) {
                known.add(name_of(member), place..place + 1);
            }
        }
        known
    }

    fn add(&mut self, name: &'n str, places: Range<usize>) {
        self.all.push(name);
        self.places.insert(name, places);
    }
}

/// The indices of the readers, or the recorders, that a route names.
fn members(route: &mut Section<'_, '_>, key: &'static str, known: &Names<'_>, problems: &Problems<'_>) -> Vec<usize> {
    let kind = &key[..key.len() - 1];
    let Some(names) = route.texts(key) else {
        if route.node(key).is_none() {
            route.lacks(format!("{key} is missing: a route needs at least one {kind}"));
        }
        return Vec::new();
    };
    names.iter().filter_map(|(name, place)| find(name, place, kind, known, problems)).flatten().collect()
}

/// The indices that a name stands for. Reports a name that does not exist.
fn find(name: &str, place: &Place, kind: &str, known: &Names<'_>, problems: &Problems<'_>) -> Option<Range<usize>> {
    let found = known.places.get(name).cloned();
    // Not if there are no names at all, or if the name may be that of a port of a range with a problem: those are
    // reported.
    let is_wrong = |(range, _)| known.places.get(range).is_some_and(Range::is_empty);
    if found.is_none() && !known.all.is_empty() && !name.rsplit_once(':').is_some_and(is_wrong) {
        let near = || problems.suggestions.nearest(name, known.all.iter().copied());
        let near = if problems.is_full() { None } else { near() };
        let hint = near.map(|meant| format!(", did you mean {meant:?}?")).unwrap_or_default();
        problems.value(place, format!("there is no {kind} {:?}{hint}", super::shorten(name)));
    }
    found
}

/// What `check` prints.
pub(super) fn render(config: &Config) -> String {
    let mut text = String::new();
    for engine in &config.engines {
        let recorders: Vec<&str> = engine.recorders.iter().map(|recorder| recorder.name.as_str()).collect();
        let _ = writeln!(text, "{} → {}", engine.reader.name, recorders.join(", "));
    }
    // Engines and readers are both in the order of the file.
    let mut engines = config.engines.iter().peekable();
    for reader in &config.readers {
        if engines.next_if(|engine| Arc::ptr_eq(&engine.reader, reader)).is_none() {
            let _ = writeln!(text, "no route names the reader {}", reader.name);
        }
    }
    let routed = config.engines.iter().flat_map(|engine| &engine.recorders).map(Arc::as_ptr);
    let routed: Vec<*const Recorder> = sorted(routed.collect());
    for recorder in config.recorders.iter().filter(|recorder| routed.binary_search(&Arc::as_ptr(recorder)).is_err()) {
        let _ = writeln!(text, "no route names the recorder {}", recorder.name);
    }
    text
}
