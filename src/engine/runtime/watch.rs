//! `settings.watch`: tells whoever loaded the configuration about ticks, so that it can look for changes of the files then.
//! Nothing is woken for it that would sleep without it.

use crate::limits::WATCH_PERIOD;
use smol::channel::Sender;
use std::cell::{Cell, RefCell};
use std::time::Duration;

/// Who is told about ticks, and when.
pub(in crate::engine) struct Watch {
    is_on: Cell<bool>,
    /// When it is told again, as the time since the start.
    next: Cell<Duration>,
    sender: RefCell<Option<Sender<()>>>,
}

impl Watch {
    pub(super) fn new(is_on: bool) -> Self {
        Self { is_on: Cell::new(is_on), next: Cell::default(), sender: RefCell::default() }
    }

    /// Tells `sender` about ticks from now on.
    pub(in crate::engine) fn report_to(&self, sender: Sender<()>) {
        self.sender.replace(Some(sender));
    }

    /// Turns it on or off.
    pub(super) fn set(&self, is_on: bool) {
        self.is_on.set(is_on);
    }

    /// Tells about a tick at `elapsed`, unless it has told about one shortly before.
    pub(super) fn tick(&self, elapsed: Duration) {
        if !self.is_on.get() || elapsed < self.next.get() {
            return;
        }
        self.next.set(elapsed + WATCH_PERIOD);
        if let Some(sender) = &*self.sender.borrow() {
            // If the channel is full, the last tick has not been dealt with.
            let _ = sender.try_send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_told_once_a_second_and_only_if_somebody_wants_them() {
        let (sender, told) = smol::channel::bounded(1);
        let watch = Watch::new(false);
        watch.report_to(sender);
        let at = |milliseconds| {
            watch.tick(Duration::from_millis(milliseconds));
            told.try_recv().is_ok()
        };
        assert!(!at(0) && !at(5_000));
        watch.set(true);
        assert_eq!([5_100, 5_200, 6_000, 6_100, 6_101, 9_000].map(at), [true, false, false, true, false, true]);
    }
}
