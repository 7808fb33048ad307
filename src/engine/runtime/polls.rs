//! Polls. Those of one instant are a group, but not all of them are under way at the same time: they begin in portions of a few
//! hundred kilobytes of bodies. The tasks of a portion take the others, too, one after another. If they are held up, the next
//! portion begins after a short pause, so that readers that hang do not delay the others.

use super::{Engine, PollGroup, Runtime};
use crate::clock;
use crate::descriptors;
use crate::http::Content;
use crate::limits;
use crate::pages::Page;
use crate::reader::ReadError;
use smol::LocalExecutor;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

/// The polls that are due and have not begun, in their order.
#[derive(Default)]
pub(super) struct DuePolls {
    queue: RefCell<VecDeque<(Rc<Engine>, Rc<PollGroup>)>>,
    /// When the next portion of them begins, whatever has become of the last one.
    next: Cell<Option<Instant>>,
}

impl DuePolls {
    /// When more of them begin.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next.get().filter(|_| !self.queue.borrow().is_empty())
    }

    fn take(&self) -> Option<(Rc<Engine>, Rc<PollGroup>)> {
        let mut queue = self.queue.borrow_mut();
        let first = queue.pop_front();
        if queue.is_empty() {
            *queue = VecDeque::new();
        }
        first
    }
}

impl Runtime {
    /// Finds the polls that are due: one group.
    pub(super) fn poll_due(&self) {
        let elapsed = self.elapsed();
        let engines = self.engines.borrow();
        let due: Vec<_> = engines.iter().filter(|engine| engine.reading.begin_tick(elapsed)).collect();
        if due.is_empty() {
            return;
        }
        self.forget_unwatched(elapsed);
        self.watch.tick(elapsed);
        descriptors::spares::refill();
        let group = Rc::new(PollGroup { timestamp: clock::timestamp(), elapsed, under_way: Cell::new(due.len()) });
        self.metrics.reads.add(due.len() as u64);
        self.metrics.reads_under_way.add(due.len() as u64);
        for engine in due {
            if engine.reading.is_own() {
                self.read_counters(engine, &group);
            } else {
                self.due_polls.queue.borrow_mut().push_back((Rc::clone(engine), Rc::clone(&group)));
            }
        }
        self.due_polls.next.set(Some(clock::now()));
    }

    /// Begins a portion of the polls that are due, if it is time to.
    pub(super) fn begin_polls(self: &Rc<Self>, executor: &LocalExecutor<'_>) {
        let now = clock::now();
        if self.due_polls.next().is_none_or(|next| next > now) {
            return;
        }
        let mut bytes = 0;
        while bytes < limits::BODIES_IN_FLIGHT_BYTES_MAX
            && let Some((engine, group)) = self.due_polls.take()
        {
            bytes += engine.reading.expected_bytes();
            executor.spawn(Rc::clone(self).read_in_turn(engine, group)).detach();
        }
        self.due_polls.next.set(Some(now + limits::POLLS_PAUSE));
    }

    /// Polls an endpoint, and then others that are due.
    async fn read_in_turn(self: Rc<Self>, mut engine: Rc<Engine>, mut group: Rc<PollGroup>) {
        loop {
            let mut body = Vec::new();
            let polled = engine.reading.poll(&self.http, &self.buffers, &mut body).await;
            if self.stopping.get() {
                return;
            }
            self.finish(&engine, polled.map_err(ReadError::Http), body, &group);
            let Some(next) = self.due_polls.take() else { return };
            (engine, group) = next;
        }
    }

    /// Polls the program's own counters.
    fn read_counters(&self, engine: &Engine, group: &PollGroup) {
        let mut body = self.buffers.borrow_mut().take_body();
        self.render(&Page::Vars, &mut body);
        self.finish(engine, Ok(Content::default()), body, group);
    }
}
