//! How the engines end: what waits is shipped while there is time, and what is left then is counted.

use super::{Retiring, Runtime, Shipping};
use crate::clock;
use crate::park;
use crate::plural::counted;
use crate::recorder::Recording;
use smol::Task;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

impl Runtime {
    /// Ships what waits until the time for that is over, or what `stop` gives completes. `hurry` is that, if `stop` has
    /// completed; else all engines have ended by themselves.
    pub(super) async fn end<H: Future<Output = ()>>(&self, hurry: Option<H>, stop: Task<H>) {
        self.stopping.set(true);
        let limit = self.shutdown_timeout.get();
        self.watchdog.iter().for_each(|watchdog| watchdog.begin(limit, self.ledgers()));
        self.say_what_is_abandoned();
        let dropped_so_far = self.dropped_so_far(hurry.is_none());
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
            park::sleep_until(ends_at).await;
            tracing::warn!("shutdown_timeout ({limit:?}) expired: spooling or dropping the documents still waiting");
        };
        smol::future::or(self.drained(), smol::future::or(deadline, hurried)).await;
        // Of those that have retired in time all has been said.
        let unfinished = self.retiring.take().into_iter().filter_map(Retiring::unfinished);
        self.recorders.borrow_mut().extend(unfinished);
        for Shipping { recording, .. } in &*self.recorders.borrow() {
            recording.give_up();
        }
        self.watchdog.iter().for_each(|watchdog| watchdog.note(self.ledgers()));
        let given_up = dropped_so_far.iter().map(|(recording, before)| recording.ledger().dropped.total() - before);
        self.given_up.set(given_up.sum());
    }

    /// Each recorder that may have documents that wait, and how many it has dropped. If none takes any more, which is an end of
    /// its own, what that has cost belongs to it.
    fn dropped_so_far(&self, is_own_end: bool) -> Vec<(Rc<Recording>, u64)> {
        let (recorders, retiring) = (self.recorders.borrow(), self.retiring.borrow());
        let running = recorders.iter().map(|one| Rc::clone(&one.recording));
        let all = running.chain(retiring.iter().filter_map(|one| one.recording.upgrade()));
        let dropped = |recording: Rc<Recording>| {
            let dropped = recording.ledger().dropped;
            (recording, dropped.total() - if is_own_end { dropped.recorder_gone } else { 0 })
        };
        all.map(dropped).collect()
    }

    /// Completes when every recorder has ended. They stay where they are: pages show them until the end.
    async fn drained(&self) {
        std::future::poll_fn(|context| {
            self.watchdog.iter().for_each(|watchdog| watchdog.note(self.ledgers()));
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

    /// A poll that is not waited for gives no document: who asked for a number of polls has to know.
    fn say_what_is_abandoned(&self) {
        let polls = self.abandoned_polls();
        if polls > 0 {
            tracing::warn!(polls, "stopped before every endpoint had answered: those polls give no document");
        }
    }

    /// Polls of a process that ends by itself that it was stopped before the end of.
    pub(super) fn abandoned_polls(&self) -> u64 {
        if self.polls_max.is_some() { self.metrics.reads_under_way.get() } else { 0 }
    }
}
