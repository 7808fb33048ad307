//! The end of the engines: what waits is shipped as long as there is time, and the rest is spooled or counted.

use super::{Retiring, Runtime, Shipping};
use crate::clock;
use crate::event_loop;
use crate::limits;
use crate::plural::counted;
use crate::recorder::Recording;
use smol::Task;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

impl Runtime {
    /// Ships what waits until `shutdown_timeout` is over, or until the future that `stop` returns completes. `hurry` is
    /// that future if `stop` has completed; otherwise all engines have ended by themselves.
    pub(super) async fn end<H: Future<Output = ()>>(&self, hurry: Option<H>, stop: Task<H>) {
        self.stopping.set(true);
        let limit = self.shutdown_timeout.get();
        self.watchdog.iter().for_each(|watchdog| watchdog.begin(limit, self.ledgers()));
        self.warn_about_abandoned_polls();
        let dropped_so_far = self.dropped_so_far(hurry.is_none());
        if let Some(supervisor) = &self.supervisor {
            supervisor.stopping(limit.saturating_add(limits::SHUTDOWN_GRACE), "shipping what waits");
        }
        if hurry.is_some() {
            let waiting = dropped_so_far.iter().map(|(recording, _)| recording.ledger().waiting).sum();
            tracing::info!("shutting down: flushing {}", counted(waiting, "document"));
        }
        for Shipping { recording, .. } in &*self.recorders.borrow() {
            recording.drain();
        }
        let hurried = async {
            match hurry {
                Some(hurry) => hurry.await,
                None => stop.await.await,
            }
        };
        let ends_at = clock::now() + limit;
        let deadline = async {
            event_loop::sleep_until(ends_at).await;
            tracing::warn!("shutdown_timeout ({limit:?}) expired: spooling or dropping the documents still waiting");
        };
        smol::future::or(self.drained(), smol::future::or(deadline, hurried)).await;
        // Recorders that have retired in time have logged their results already.
        let unfinished = self.retiring.take().into_iter().filter_map(Retiring::unfinished);
        self.recorders.borrow_mut().extend(unfinished);
        for Shipping { recording, .. } in &*self.recorders.borrow() {
            recording.give_up();
        }
        self.watchdog.iter().for_each(|watchdog| watchdog.update(self.ledgers()));
        let given_up = dropped_so_far.iter().map(|(recording, before)| recording.ledger().dropped.total() - before);
        self.given_up.set(given_up.sum());
    }

    /// All recorders that may have waiting documents, each with the number of documents that it has dropped so far. If
    /// the engines end by themselves because every recorder's output was closed, documents dropped for that reason are
    /// left out, so that they count as given up.
    fn dropped_so_far(&self, ended_by_themselves: bool) -> Vec<(Rc<Recording>, u64)> {
        let (recorders, retiring) = (self.recorders.borrow(), self.retiring.borrow());
        let running = recorders.iter().map(|one| Rc::clone(&one.recording));
        let all = running.chain(retiring.iter().filter_map(|one| one.recording.upgrade()));
        let dropped = |recording: Rc<Recording>| {
            let dropped = recording.ledger().dropped;
            (recording, dropped.total() - if ended_by_themselves { dropped.recorder_gone } else { 0 })
        };
        all.map(dropped).collect()
    }

    /// Completes when every recorder has ended. They remain in the lists, so that the status pages show them until the
    /// end.
    async fn drained(&self) {
        std::future::poll_fn(|context| {
            self.watchdog.iter().for_each(|watchdog| watchdog.update(self.ledgers()));
            let (mut shipping, mut retiring) = (self.recorders.borrow_mut(), self.retiring.borrow_mut());
            let shipping = shipping.iter_mut().map(|one| &mut one.task);
            let tasks = shipping.chain(retiring.iter_mut().map(|one| &mut one.task));
            let mut all = Poll::Ready(());
            for task in tasks.filter(|task| !task.is_finished()) {
                if Pin::new(task).poll(context).is_pending() {
                    all = Poll::Pending;
                }
            }
            all
        })
        .await;
    }

    /// Warns about polls that are not waited for if the user has asked for a number of polls.
    fn warn_about_abandoned_polls(&self) {
        let polls = self.abandoned_polls();
        if polls > 0 {
            tracing::warn!(polls, "stopped before every endpoint had answered: those polls give no document");
        }
    }

    /// Polls that were still under way when a process with a limited number of polls was stopped.
    pub(super) fn abandoned_polls(&self) -> u64 {
        if self.polls_max.is_some() { self.metrics.reads_under_way.get() } else { 0 }
    }
}
