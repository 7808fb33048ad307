//! Follows the targets of readers: looks at their files, and resolves their names again, on ticks that happen anyway. What has
//! changed is applied like another configuration, so readers of targets that stay are not disturbed.

use super::super::routing::Changes;
use super::Runtime;
use crate::clock;
use crate::config::{Reader, Routed, Settings, Source, Targets, TargetsError};
use crate::file_stamp::FileStamp;
use crate::http::{Endpoint, HttpError};
use crate::limits;
use crate::log::FailureLog;
use crate::plural::counted;
use smol::LocalExecutor;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::mem;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// The engines that are running, and those of them that may be replaced. Empty if none may.
#[derive(Default)]
pub(super) struct Following {
    engines: Vec<Routed>,
    settings: Settings,
    groups: Vec<Group>,
    /// When the files were last looked at.
    looked_at: Option<Instant>,
}

/// A section whose targets are followed.
struct Group {
    /// What stands for them as long as there are none.
    stand_in: Routed,
    targets: Arc<Targets>,
    /// Whether the file was read.
    is_read: bool,
    /// The file when it was last read. None if there was none.
    seen: Option<FileStamp>,
    name: Name,
    failures: FailureLog,
}

/// How far a group's name is resolved.
struct Name {
    /// When it is to be looked up next.
    due: Option<Instant>,
    /// Whether a lookup is under way.
    is_looked_up: bool,
    /// What the lookup has given.
    outcome: Rc<Cell<Option<Lookup>>>,
}

/// What a lookup has given.
type Lookup = Result<Vec<IpAddr>, HttpError>;

/// A lookup has failed, which has been logged.
struct LookupFailed;

impl Following {
    /// Follows these groups from now on. Gives the engines to begin with: a group that is the same as before keeps the
    /// targets that it had, if it has none yet.
    fn replace(&mut self, engines: &[Routed], groups: &[Routed], settings: &Settings) -> Vec<Routed> {
        let before = mem::take(self);
        let mut engines = engines.to_vec();
        for group in groups {
            let is_same = |old: &&Group| old.stand_in.reader == group.reader;
            let has_none = engines.iter().any(|engine| Arc::ptr_eq(&engine.reader, &group.reader));
            if let Some(old) = before.groups.iter().find(is_same).filter(|_| has_none) {
                engines = Routed::regrouped(&engines, group, &before.readers_of(old));
            }
        }
        if !groups.is_empty() {
            let groups = groups.iter().filter_map(Group::new).collect();
            *self = Self { engines: engines.clone(), settings: settings.clone(), groups, looked_at: None };
        }
        engines
    }

    /// The targets of a group. Empty if something stands for them.
    fn readers_of(&self, group: &Group) -> Vec<Arc<Reader>> {
        let own = self.engines.iter().filter(|engine| engine.reader.group == group.stand_in.reader.group);
        let targets = own.filter(|engine| !matches!(engine.reader.source, Source::Targets(_)));
        targets.map(|engine| Arc::clone(&engine.reader)).collect()
    }

    /// Gives a group other targets, among them those readers of before that stay. False if they are the same, or too many.
    fn regroup(&mut self, place: usize, readers: &[Arc<Reader>]) -> bool {
        let group = &self.groups[place];
        let (name, before) = (group.stand_in.reader.name(), self.readers_of(group));
        let known: BTreeMap<&str, &Arc<Reader>> = before.iter().map(|reader| (reader.name(), reader)).collect();
        let is_kept = |reader: &Arc<Reader>| known.get(reader.name()).is_some_and(|old| Arc::ptr_eq(old, reader));
        if readers.len() == before.len() && readers.iter().zip(&before).all(|(new, old)| Arc::ptr_eq(new, old)) {
            return false;
        }
        let engines = Routed::regrouped(&self.engines, &group.stand_in, readers);
        if engines.len() > limits::SECTION_ENTRIES_MAX {
            let most = limits::SECTION_ENTRIES_MAX;
            tracing::warn!(reader = name, "more than {most} readers with the new targets: keeping the old ones");
            return false;
        }
        let names: Vec<String> = before.iter().map(|reader| reader.name().to_owned()).collect();
        let stayed = readers.iter().map(|reader| (reader.name(), is_kept(reader)));
        let changes = Changes::between(&names, stayed);
        tracing::info!(reader = name, "targets: {changes}");
        self.engines = engines;
        true
    }
}

impl Group {
    fn new(stand_in: &Routed) -> Option<Self> {
        let Source::Targets(targets) = &stand_in.reader.source else { return None };
        let name = Name { due: None, is_looked_up: false, outcome: Rc::default() };
        let (stand_in, targets) = (stand_in.clone(), Arc::clone(targets));
        Some(Self { stand_in, targets, is_read: false, seen: None, name, failures: FailureLog::default() })
    }

    /// The targets of the file, if it has changed and is valid.
    fn changed(&mut self, known: &[Arc<Reader>]) -> Option<Vec<Arc<Reader>>> {
        let path = self.targets.path()?;
        let stamp = FileStamp::of(path);
        if self.is_read && self.seen == stamp {
            return None;
        }
        let is_first = !mem::replace(&mut self.is_read, true);
        self.seen = stamp;
        match self.targets.in_file(&self.stand_in.reader, known) {
            Ok(readers) => Some(readers),
            // It was reported when the configuration was loaded.
            Err(TargetsError::Missing(_)) if is_first => None,
            Err(error) => {
                let known = counted(known.len() as u64, "target");
                tracing::warn!(reader = self.stand_in.reader.name(), "targets_file: {error}: keeping the {known}");
                None
            }
        }
    }

    /// The targets at the addresses that a lookup has given, if one has ended.
    fn resolved(&mut self, known: &[Arc<Reader>], now: Instant) -> Option<Result<Vec<Arc<Reader>>, LookupFailed>> {
        let outcome = self.name.outcome.take()?;
        self.name.is_looked_up = false;
        let pause = if known.is_empty() && outcome.is_err() { limits::TARGETS_RETRY } else { limits::NAME_AGE_MAX };
        self.name.due = Some(now + pause);
        let reader = self.stand_in.reader.name();
        Some(match outcome {
            Ok(addresses) => {
                if self.failures.recovered(now).is_some() {
                    tracing::info!(reader, "the name is resolved again");
                }
                Ok(self.targets.at_addresses(&self.stand_in.reader, known, &addresses))
            }
            Err(error) => {
                if let Some(count) = self.failures.failed(&error.kind(), now) {
                    let known = counted(known.len() as u64, "target");
                    tracing::warn!(reader, count, "{error}: keeping the {known}");
                }
                Err(LookupFailed)
            }
        })
    }
}

impl Runtime {
    /// Follows these groups from now on, and gives the engines to begin with.
    pub(super) fn follow(&self, engines: &[Routed], groups: &[Routed], settings: &Settings) -> Vec<Routed> {
        self.following.borrow_mut().replace(engines, groups, settings)
    }

    /// Whether a name is being looked up.
    pub(super) fn is_resolving(&self) -> bool {
        self.following.borrow().groups.iter().any(|group| group.name.is_looked_up)
    }

    /// Finds out which targets there are now, and applies what has changed.
    pub(super) fn follow_targets(self: &Rc<Self>, executor: &LocalExecutor<'_>) {
        let mut following = self.following.borrow_mut();
        if following.groups.is_empty() {
            return;
        }
        let now = clock::now();
        let looks = following.looked_at.is_none_or(|at| now >= at + limits::TARGETS_LOOK_INTERVAL);
        if looks {
            following.looked_at = Some(now);
        }
        let mut has_changed = false;
        for place in 0..following.groups.len() {
            let known = following.readers_of(&following.groups[place]);
            let group = &mut following.groups[place];
            let found = match group.resolved(&known, now) {
                Some(Ok(readers)) => Some(readers),
                Some(Err(LookupFailed)) => {
                    self.count_failed_lookup();
                    None
                }
                None if looks => group.changed(&known),
                None => None,
            };
            if let Some(readers) = found {
                has_changed |= following.regroup(place, &readers);
            }
            self.look_up(&mut following.groups[place], now, executor);
        }
        if has_changed {
            let (engines, settings) = (following.engines.clone(), following.settings.clone());
            drop(following);
            self.apply_engines(&engines, &settings, false, executor);
        }
    }

    /// A name without an address counts as a poll that has failed, if somebody waits for a number of polls.
    fn count_failed_lookup(&self) {
        if self.polls_max.is_some() {
            self.metrics.reads.add(1);
            self.metrics.reads_failed.add(1);
        }
    }

    /// Looks up the name of a group, if it is time to.
    fn look_up(self: &Rc<Self>, group: &mut Group, now: Instant, executor: &LocalExecutor<'_>) {
        let Some(url) = group.targets.named_url() else { return };
        let is_due = group.name.due.is_none_or(|due| now >= due);
        if !is_due || group.name.is_looked_up {
            return;
        }
        group.name.is_looked_up = true;
        let (runtime, outcome) = (Rc::clone(self), Rc::clone(&group.name.outcome));
        let (endpoint, timeout) = (Endpoint::with_identity(url, Rc::default()), group.stand_in.reader.timeout);
        let lookup = async move {
            outcome.set(Some(runtime.http.addresses(&endpoint, timeout).await));
            runtime.wake_up();
        };
        executor.spawn(lookup).detach();
    }
}
