//! Applies a configuration: the first one of a process, or another one while the engines run.

use super::super::Routed;
use super::super::routing::{self, Changes, Origin, Plan, Predecessor};
use super::{Engine, Retiring, Runtime, Shipping};
use crate::clock;
use crate::config::{Config, Reader, Settings, Target};
use crate::descriptors::{self, Reserve};
use crate::http::Needs;
use crate::limits;
use crate::pages;
use crate::reader::Reading;
use crate::recorder::Recording;
use smol::{LocalExecutor, Task};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

impl Runtime {
    /// Applies another configuration, and logs what has changed.
    pub(super) fn reload(self: &Rc<Self>, config: &Config, executor: &LocalExecutor<'_>) {
        let (readers, recorders) = self.apply(&config.engines, &config.groups, config.settings(), executor);
        tracing::info!("configuration reloaded: readers {readers}; recorders {recorders}");
        if let Some(supervisor) = &self.supervisor {
            supervisor.ready("configuration reloaded");
        }
    }

    /// Makes these the running engines. The readers of `groups` have targets, which are followed from now on.
    pub(in crate::engine) fn apply(
        self: &Rc<Self>,
        engines: &[Routed],
        groups: &[Routed],
        settings: &Settings,
        executor: &LocalExecutor<'_>,
    ) -> (Changes, Changes) {
        let engines = self.follow(engines, groups, settings);
        self.warned.clear();
        self.apply_engines(&engines, settings, true, executor)
    }

    /// Makes these the running engines. What is unchanged goes on; everything else ends, begins, or takes over what
    /// waits. `is_other_configuration` is false if only the targets of some readers have changed.
    pub(super) fn apply_engines(
        self: &Rc<Self>,
        engines: &[Routed],
        settings: &Settings,
        is_other_configuration: bool,
        executor: &LocalExecutor<'_>,
    ) -> (Changes, Changes) {
        let plan = Plan::of(engines, settings);
        self.log_level.change_settings(settings.log_level);
        self.shutdown_timeout.set(settings.shutdown_timeout);
        self.watch.set(settings.watch);
        let kept = self.kept_readers(engines);
        let needs = self.needs_of(&plan, engines, if is_other_configuration { &[] } else { &kept });
        // Both use descriptors on other threads.
        let needs_threads = needs.lookups || needs.proxy;
        let spares = if needs_threads { plan.spares.min(descriptors::limit() / 4) } else { 0 };
        let lookups = if needs_threads { limits::LOOKUP_DESCRIPTORS.min(descriptors::limit() / 8) } else { 0 };
        descriptors::spares::hold(spares);
        let pages = settings.listen.map_or(0, |_| pages::descriptors_max());
        let reserve = Reserve { files: plan.reserve.files + spares + lookups + pages, ..plan.reserve };
        self.http.set_limits(plan.endpoints, reserve, needs.proxy);
        let recorders = self.apply_recorders(&plan, executor);
        let readers = self.apply_readers(engines, &kept, &plan.routes);
        self.apply_pages(settings, executor);
        (readers, recorders)
    }

    /// For each engine, the place of the running reader that goes on.
    fn kept_readers(&self, engines: &[Routed]) -> Vec<Option<usize>> {
        let before = self.engines.borrow();
        let readers: Vec<&Reader> = before.iter().map(|engine| engine.reading.config()).collect();
        routing::kept_readers(&readers, engines)
    }

    /// What exchanges need besides connections. To find that out costs system calls, so it is not done again for readers that
    /// are kept.
    fn needs_of(&self, plan: &Plan, engines: &[Routed], kept: &[Option<usize>]) -> Needs {
        let is_known = |place: usize| kept.get(place).is_some_and(Option::is_some);
        let new = engines.iter().enumerate().filter(|(place, _)| !is_known(*place)).map(|(_, engine)| engine);
        let needs = self.http.needs(plan.urls(new));
        let before = if kept.is_empty() { Needs::default() } else { self.needs.get() };
        let needs = Needs { lookups: needs.lookups || before.lookups, proxy: needs.proxy || before.proxy };
        self.needs.set(needs);
        needs
    }

    /// Keeps, replaces, starts and retires recorders.
    fn apply_recorders(&self, plan: &Plan, executor: &LocalExecutor<'_>) -> Changes {
        let before = self.recorders.take();
        let names: Vec<String> = before.iter().map(|one| one.recording.name().to_owned()).collect();
        // A recorder whose output was closed has nothing to pass on.
        let (gone, mut before): (Vec<_>, Vec<_>) = before.into_iter().partition(|one| one.recording.is_gone());
        let running = before.len();
        before.extend(self.retiring.take().into_iter().filter_map(Retiring::unfinished));
        let predecessor = |(place, one)| {
            let Shipping { recording, .. }: &Shipping = one;
            Predecessor { recorder: recording.config(), is_running: place < running }
        };
        let predecessors: Vec<_> = before.iter().enumerate().map(predecessor).collect();
        let origins = routing::origins(&predecessors, &plan.recorders);

        let mut before: Vec<Option<Shipping>> = before.into_iter().map(Some).collect();
        let memory_bytes_max = plan.memory_bytes_max;
        for ((config, feed), origin) in plan.recorders.iter().zip(&origins) {
            let shipping = match *origin {
                Origin::Same(place) => {
                    before[place].take().inspect(|one| one.recording.set_feed(*feed, memory_bytes_max))
                }
                Origin::Heir(place) => before[place].take().map(|one| {
                    let heir = one.recording.successor(Arc::clone(config), &self.log_level, *feed, memory_bytes_max);
                    self.succeed(one, heir, executor)
                }),
                Origin::New => None,
            };
            let new = || {
                let new = Recording::new(Arc::clone(config), &self.log_level, *feed, memory_bytes_max);
                self.begin(new, None, executor)
            };
            self.recorders.borrow_mut().push(shipping.unwrap_or_else(new));
        }
        let is_same = |origin: &Origin| matches!(origin, Origin::Same(_));
        let after = plan.recorders.iter().zip(&origins).map(|((config, _), origin)| (config.name(), is_same(origin)));
        let changes = Changes::between(&names, after);

        let retiring = before.split_off(running).into_iter().flatten().map(Retiring::from);
        let ending = before.into_iter().flatten().chain(gone).map(|one| self.retire(one, executor));
        self.retiring.replace(ending.chain(retiring).collect());
        changes
    }

    /// Starts a recorder. It begins to ship when its predecessor's task has ended, or has run out of time.
    fn begin(
        &self,
        recording: Recording,
        before: Option<(Task<()>, Option<Instant>)>,
        executor: &LocalExecutor<'_>,
    ) -> Shipping {
        let recording = Rc::new(recording);
        let ship = Rc::clone(&recording).ship(before, self.http.clone(), Rc::clone(&self.metrics));
        Shipping { recording, task: executor.spawn(ship) }
    }

    /// Starts the successor of a recorder. It takes over when the exchange that is under way has ended.
    fn succeed(&self, before: Shipping, heir: Recording, executor: &LocalExecutor<'_>) -> Shipping {
        // In the same file, a document that is half written has to be completed before others are written.
        let is_same_file = matches!((&before.recording.config().target, &heir.config().target),
            (Target::File { path: old, .. }, Target::File { path: new, .. }) if old == new);
        let deadline = (!is_same_file).then(|| clock::now() + self.shutdown_timeout.get());
        self.begin(heir, Some((before.task, deadline)), executor)
    }

    /// Makes a recorder ship what it has, and end.
    fn retire(&self, Shipping { recording, task }: Shipping, executor: &LocalExecutor<'_>) -> Retiring {
        recording.drain();
        let deadline = clock::now() + self.shutdown_timeout.get();
        let weak = Rc::downgrade(&recording);
        let retire = recording.retire(task, deadline, Rc::clone(&self.metrics));
        Retiring { recording: weak, task: executor.spawn(retire) }
    }

    /// Keeps, starts and retires readers.
    fn apply_readers(&self, engines: &[Routed], kept: &[Option<usize>], routes: &[Vec<usize>]) -> Changes {
        let before = self.engines.take();
        let host_name = host_name();
        let recorders = self.recorders.borrow();
        let engine = |(at, routed): (usize, &Routed)| {
            let recordings = routes[at].iter().map(|&place| Rc::clone(&recorders[place].recording)).collect();
            if let Some(place) = kept[at] {
                before[place].recordings.replace(recordings);
                return Rc::clone(&before[place]);
            }
            let reader = Arc::clone(&routed.reader);
            let reading = Reading::new(reader, &self.log_level, &host_name, self.elapsed(), self.polls_max);
            Rc::new(Engine { reading, recordings: RefCell::new(recordings), is_retired: Cell::new(false) })
        };
        let after: Vec<Rc<Engine>> = engines.iter().enumerate().map(engine).collect();
        let lasting: BTreeSet<usize> = kept.iter().copied().flatten().collect();
        for (_, engine) in before.iter().enumerate().filter(|(place, _)| !lasting.contains(place)) {
            engine.is_retired.set(true);
            engine.recordings.take();
        }
        let names: Vec<String> = before.iter().map(|engine| engine.reading.name().to_owned()).collect();
        let stayed = after.iter().zip(kept).map(|(engine, kept)| (engine.reading.name(), kept.is_some()));
        let changes = Changes::between(&names, stayed);
        self.engines.replace(after);
        changes
    }
}

pub(super) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
