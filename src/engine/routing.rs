//! Decides which readers and recorders continue when the configuration changes, and what new recorders take over. Pure.

use super::Routed;
use crate::config::{Reader, Recorder, Settings, Target};
use crate::descriptors::Reserve;
use crate::limits;
use crate::recorder::Feed;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// The recorders of all engines and what they may use. A recorder that several engines have is in it once.
pub(super) struct Plan {
    /// Each recorder with what its readers give it.
    pub(super) recorders: Vec<(Arc<Recorder>, Feed)>,
    /// For each engine, the places of its recorders in that list.
    pub(super) routes: Vec<Vec<usize>>,
    /// Each recorder's share of `settings.memory_limit`.
    pub(super) memory_bytes_max: usize,
    /// How many endpoints and hosts there are.
    pub(super) endpoints: usize,
    /// File descriptors that polls have to leave free, without those for the status pages.
    pub(super) reserve: Reserve,
    /// File descriptors to hold in reserve, so that libcurl does not take them.
    pub(super) spares: usize,
}

impl Plan {
    pub(super) fn of(engines: &[Routed], settings: &Settings) -> Self {
        let mut recorders: Vec<Arc<Recorder>> = Vec::new();
        let mut routes = Vec::new();
        for engine in engines {
            let mut route = Vec::new();
            for recorder in &engine.recorders {
                let known = recorders.iter().position(|known| Arc::ptr_eq(known, recorder));
                route.push(known.unwrap_or(recorders.len()));
                if known.is_none() {
                    recorders.push(Arc::clone(recorder));
                }
            }
            routes.push(route);
        }
        let feed = |(place, recorder)| {
            let feeders = routes.iter().zip(engines).filter(|(route, _)| route.contains(&place));
            (recorder, Feed::of(feeders.map(|(_, engine)| &*engine.reader)))
        };
        let recorders: Vec<_> = recorders.into_iter().enumerate().map(feed).collect();
        let share = settings.memory_limit_bytes / recorders.len().max(1) as u64;
        let hosts: usize = recorders.iter().map(|(recorder, _)| recorder.hosts()).sum();
        let files = recorders.iter().map(|(recorder, _)| files_of(recorder)).sum::<usize>();
        Self {
            spares: files + limits::LOOKUP_EXCHANGE_DESCRIPTORS,
            // One for each host: while one of them gets bulks, those that rest may be probed.
            reserve: Reserve { files: limits::DESCRIPTORS_BASE + files, shipping: hosts + recorders.len() },
            endpoints: engines.len() + hosts,
            memory_bytes_max: usize::try_from(share).unwrap_or(usize::MAX),
            recorders,
            routes,
        }
    }

    /// The URLs that bulks, and the polls of these engines, are sent to.
    pub(super) fn urls<'p>(&'p self, engines: impl Iterator<Item = &'p Routed>) -> impl Iterator<Item = &'p str> {
        let hosts = self.recorders.iter().flat_map(|(recorder, _)| match &recorder.target {
            Target::Elasticsearch(server) => &server.hosts[..],
            Target::File { .. } => &[],
        });
        let polled = engines.filter_map(|engine| engine.reader.source.url());
        hosts.map(|host| host.url.as_str()).chain(polled)
    }
}

/// How many files a recorder may have open at the same time.
fn files_of(recorder: &Recorder) -> usize {
    let rotated = [recorder.dead_letter.is_some(), matches!(recorder.target, Target::File { .. })];
    let rotated = rotated.into_iter().filter(|is_there| *is_there).count();
    let spool = recorder.spool.as_ref().map_or(0, |_| limits::DESCRIPTORS_PER_SPOOL);
    spool + rotated * limits::DESCRIPTORS_PER_ROTATED_FILE
}

/// A recorder of the previous configuration. It may continue, or another recorder may take over what waits in it.
#[derive(Clone, Copy)]
pub(super) struct Predecessor<'r> {
    pub(super) recorder: &'r Recorder,
    /// False if it is about to end already.
    pub(super) is_running: bool,
}

/// What a recorder of the new configuration continues. The numbers are places in the list of predecessors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// This recorder, which is unchanged and goes on.
    Same(usize),
    /// This recorder, which ends: the new one takes over what waits in it.
    Heir(usize),
    /// Nothing.
    New,
}

/// Why a recorder continues another one. The strongest reason comes first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kinship {
    /// They are equal.
    Same,
    /// They have the same spool folder, whatever their names are.
    Folder,
    /// They have the same name, and the old one has no spool folder, in which documents could be left behind.
    Name,
}

impl Kinship {
    fn between(old: &Predecessor<'_>, new: &Recorder) -> Option<Self> {
        let folder_of = |recorder: &Recorder| recorder.spool.as_ref().map(|spool| spool.path.clone());
        match folder_of(old.recorder) {
            _ if old.is_running && old.recorder == new => Some(Self::Same),
            None => (old.recorder.name == new.name).then_some(Self::Name),
            folder => (folder == folder_of(new)).then_some(Self::Folder),
        }
    }
}

/// What each recorder continues. Each predecessor is continued by at most one recorder.
pub(super) fn origins(before: &[Predecessor<'_>], recorders: &[(Arc<Recorder>, Feed)]) -> Vec<Origin> {
    let mut origins = vec![Origin::New; recorders.len()];
    let mut is_taken = vec![false; before.len()];
    for kinship in [Kinship::Same, Kinship::Folder, Kinship::Name] {
        for ((recorder, _), origin) in recorders.iter().zip(&mut origins).filter(|(_, origin)| **origin == Origin::New)
        {
            let is_kin =
                |&place: &usize| !is_taken[place] && Kinship::between(&before[place], recorder) == Some(kinship);
            if let Some(place) = (0..before.len()).find(is_kin) {
                *origin = if kinship == Kinship::Same { Origin::Same(place) } else { Origin::Heir(place) };
                is_taken[place] = true;
            }
        }
    }
    origins
}

/// For each engine, the place of the running reader that is equal to its own and goes on with everything that it
/// remembers.
pub(super) fn kept_readers(before: &[&Reader], engines: &[Routed]) -> Vec<Option<usize>> {
    let places: BTreeMap<&str, usize> = before.iter().enumerate().map(|(place, old)| (old.name(), place)).collect();
    let kept = |engine: &Routed| {
        let place = *places.get(engine.reader.name())?;
        (*before[place] == *engine.reader).then_some(place)
    };
    engines.iter().map(kept).collect()
}

/// How many readers, or recorders, a new configuration keeps, changes, adds and removes. For a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Changes {
    kept: usize,
    changed: usize,
    new: usize,
    gone: usize,
}

impl Changes {
    /// From the names before, and the names after, each with whether it is unchanged.
    pub(super) fn between<'n>(before: &[String], after: impl Iterator<Item = (&'n str, bool)>) -> Self {
        let mut changes = Self { kept: 0, changed: 0, new: 0, gone: 0 };
        let mut lasting = 0;
        let known: BTreeSet<&str> = before.iter().map(String::as_str).collect();
        for (name, is_kept) in after {
            let is_known = known.contains(name);
            lasting += usize::from(is_known);
            match (is_kept, is_known) {
                (true, _) => changes.kept += 1,
                (false, true) => changes.changed += 1,
                (false, false) => changes.new += 1,
            }
        }
        changes.gone = before.len() - lasting;
        changes
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, changed, new, gone } = self;
        write!(f, "{kept} kept, {changed} changed, {new} added, {gone} removed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn recorder(name: &str, endpoint: &str, folder: Option<&str>) -> Recorder {
        let recorder = Recorder::elasticsearch(name, endpoint, "i").unwrap();
        match folder {
            Some(folder) => recorder.spool(folder, 1 << 20, Duration::from_secs(1)),
            None => recorder,
        }
    }

    fn found(before: &[(Recorder, bool)], after: &[Recorder]) -> Vec<Origin> {
        let before: Vec<_> =
            before.iter().map(|(recorder, is_running)| Predecessor { recorder, is_running: *is_running }).collect();
        let after: Vec<_> = after.iter().map(|new| (Arc::new(new.clone()), Feed::default())).collect();
        origins(&before, &after)
    }

    #[test]
    fn the_same_recorder_goes_on_whatever_its_place() {
        let [a, b] = [recorder("a", "h:1", None), recorder("b", "h:2", Some("s"))];
        let before = [(a.clone(), true), (b.clone(), true)];
        assert_eq!(found(&before, &[b, a]), [Origin::Same(1), Origin::Same(0)]);
        assert_eq!(found(&before, &[recorder("c", "h:1", None)]), [Origin::New]);
    }

    #[test]
    fn what_waits_goes_with_the_folder_else_with_the_name() {
        let before = [(recorder("a", "h:1", None), true), (recorder("b", "h:2", Some("s")), true)];
        for (new, origin, why) in [
            (recorder("a", "h:9", None), Origin::Heir(0), "another endpoint"),
            (recorder("a", "h:1", Some("new")), Origin::Heir(0), "a spool where there was none"),
            (recorder("c", "h:2", Some("s")), Origin::Heir(1), "another name"),
            (recorder("b", "h:2", Some("other")), Origin::New, "another folder"),
            (recorder("b", "h:2", None), Origin::New, "no folder any more"),
        ] {
            assert_eq!(found(&before, &[new]), [origin], "{why}");
        }
        let swapped = [recorder("a", "h:1", Some("s")), recorder("b", "h:2", None)];
        assert_eq!(found(&before, &swapped), [Origin::Heir(1), Origin::New], "a folder has one recorder");
    }

    #[test]
    fn one_that_is_about_to_end_hands_on_what_it_still_has() {
        let b = recorder("b", "h:2", Some("s"));
        assert_eq!(found(&[(b.clone(), false)], &[b]), [Origin::Heir(0)]);
        let a = recorder("a", "h:1", None);
        assert_eq!(found(&[(a.clone(), false), (a.clone(), true)], &[a]), [Origin::Same(1)], "the running one first");
    }

    #[test]
    fn changes_are_counted_by_name() {
        let after = [("a", true), ("b", false), ("d", false)];
        let changes = Changes::between(&["a", "b", "c"].map(str::to_owned), after.into_iter());
        assert_eq!(changes.to_string(), "1 kept, 1 changed, 1 added, 1 removed");
    }
}
