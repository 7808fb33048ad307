//! What the running engines tell the supervisor of the process.

use super::Runtime;
use crate::clock;
use crate::event_loop;
use crate::limits;
use crate::metrics::Ledger;
use crate::plural::{counted, grouped};
use crate::systemd::Supervisor;
use smol::LocalExecutor;
use smol::channel::Receiver;
use std::rc::Rc;
use std::time::Instant;

impl Runtime {
    /// Tells the supervisor, if there is one, what happens from now on. The first configuration has been applied.
    pub(in crate::engine) fn start_supervision(self: &Rc<Self>, executor: &LocalExecutor<'_>) {
        if let Some(supervisor) = &self.supervisor {
            let (sender, settled) = smol::channel::bounded(1);
            let _ = self.metrics.settled.set(sender);
            // Tasks run in their order: what applying the configuration has started, such as the status pages, comes first.
            executor.spawn(Rc::clone(self).supervise(Rc::clone(supervisor), settled)).detach();
        }
    }

    /// Sends a status line when an exchange with a server has ended, which wakes the thread anyway, and signs of life when
    /// they are due.
    async fn supervise(self: Rc<Self>, supervisor: Rc<Supervisor>, settled: Receiver<()>) {
        supervisor.ready("started");
        let mut ping_at = supervisor.next_ping(clock::now()).inspect(|_| supervisor.ping());
        let mut status_at: Option<Instant> = None;
        loop {
            let is_settled = async { _ = settled.recv().await };
            match ping_at {
                Some(at) => smol::future::or(is_settled, event_loop::sleep_until(at)).await,
                None => is_settled.await,
            }
            supervisor.send_again();
            let now = clock::now();
            if ping_at.is_some_and(|at| at <= now) {
                supervisor.ping();
                ping_at = supervisor.next_ping(now);
            }
            if status_at.is_none_or(|at| at <= now) {
                supervisor.show(&self.status_line());
                status_at = now.checked_add(limits::STATUS_PERIOD);
            }
        }
    }

    /// What is shipped, what waits, and which recorders ship nothing.
    fn status_line(&self) -> String {
        let mut sum = Ledger::default();
        let (mut dropped, mut unreached) = (0, Vec::new());
        for one in &*self.recorders.borrow() {
            let ledger = one.recording.ledger();
            sum.acked += ledger.taken();
            sum.waiting += ledger.waiting;
            sum.dead_lettered += ledger.dead_lettered;
            dropped += ledger.dropped.total();
            if !one.recording.is_answering() {
                unreached.push(one.recording.name().to_owned());
            }
        }
        let mut line = format!("{} shipped, {} waiting", counted(sum.acked, "document"), grouped(sum.waiting));
        for (number, what) in [(sum.dead_lettered, "refused"), (dropped, "dropped")] {
            if number > 0 {
                line = format!("{line}, {} {what}", grouped(number));
            }
        }
        if !unreached.is_empty() {
            let more = unreached.len().saturating_sub(limits::STATUS_RECORDERS_MAX);
            unreached.truncate(limits::STATUS_RECORDERS_MAX);
            let names = unreached.join(", ");
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            line = format!("{line}; no answer for {names}{more}");
        }
        line
    }
}
