//! The queue of tasks that wait for a free file descriptor. Shipping goes first, then first come, first served.

use crate::clock;
use crate::descriptors::Purpose;
use crate::event_loop::{self, TimedOut};
use crate::limits;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// The waiting tasks.
#[derive(Debug, Default)]
pub(crate) struct DescriptorQueue {
    next_id: Cell<u64>,
    /// In the order in which they are served.
    waiting: RefCell<VecDeque<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    purpose: Purpose,
    waker: Waker,
    is_notified: bool,
}

impl DescriptorQueue {
    /// Completes when a descriptor may be free, though another task may take it first. Code that frees a descriptor without
    /// notifying this queue goes unnoticed, so this also completes every [`limits::DESCRIPTOR_RETRY`].
    ///
    /// # Errors
    /// [`TimedOut`] at the deadline.
    pub(crate) async fn wait(&self, purpose: Purpose, deadline: Instant) -> Result<(), TimedOut> {
        let now = clock::now();
        if now >= deadline {
            return Err(TimedOut);
        }
        let retry = event_loop::sleep_until(deadline.min(now + limits::DESCRIPTOR_RETRY));
        smol::future::or(Wait { queue: self, purpose, id: None }, retry).await;
        Ok(())
    }

    /// A descriptor is free: notifies the first waiting task.
    pub(crate) fn notify_next(&self) {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(next) = waiting.iter_mut().find(|waiting| !waiting.is_notified) {
            next.is_notified = true;
            next.waker.wake_by_ref();
        }
    }

    fn enter(&self, purpose: Purpose, waker: Waker) -> u64 {
        let id = self.next_id.replace(self.next_id.get() + 1);
        let mut waiting = self.waiting.borrow_mut();
        let at = waiting.iter().position(|other| other.purpose < purpose).unwrap_or(waiting.len());
        waiting.insert(at, Waiting { id, purpose, waker, is_notified: false });
        id
    }

    /// Removes a task. Returns whether it had been notified.
    fn leave(&self, id: u64) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        let at = waiting.iter().position(|waiting| waiting.id == id);
        at.and_then(|at| waiting.remove(at)).is_some_and(|left| left.is_notified)
    }
}

struct Wait<'q> {
    queue: &'q DescriptorQueue,
    purpose: Purpose,
    id: Option<u64>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(id) = self.id else {
            self.id = Some(self.queue.enter(self.purpose, context.waker().clone()));
            return Poll::Pending;
        };
        let mut waiting = self.queue.waiting.borrow_mut();
        match waiting.iter_mut().find(|waiting| waiting.id == id) {
            Some(own) if !own.is_notified => {
                own.waker.clone_from(context.waker());
                Poll::Pending
            }
            _ => {
                waiting.retain(|waiting| waiting.id != id);
                drop(waiting);
                self.id = None;
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        // A task that was notified and gives up passes the notification on.
        if let Some(id) = self.id
            && self.queue.leave(id)
        {
            self.queue.notify_next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn shipping_goes_first_then_whoever_came_first() {
        let (queue, served) = (DescriptorQueue::default(), RefCell::new(Vec::new()));
        let executor = smol::LocalExecutor::new();
        event_loop::block_on(executor.run(async {
            for (name, purpose) in [("a", Purpose::Poll), ("b", Purpose::Poll), ("s", Purpose::Ship)] {
                let (queue, served) = (&queue, &served);
                let wait = async move {
                    Wait { queue, purpose, id: None }.await;
                    served.borrow_mut().push(name);
                };
                executor.spawn(wait).detach();
                smol::future::yield_now().await;
            }
            while served.borrow().len() < 3 {
                let before = served.borrow().len();
                queue.notify_next();
                while served.borrow().len() == before {
                    smol::future::yield_now().await;
                }
            }
        }))
        .unwrap();
        assert_eq!(*served.borrow(), ["s", "a", "b"]);
    }

    #[test]
    fn one_that_is_called_and_gone_leaves_it_to_the_next_and_nobody_waits_beyond_the_deadline() {
        let queue = DescriptorQueue::default();
        let soon = clock::now() + Duration::from_millis(5);
        event_loop::block_on(async {
            while queue.wait(Purpose::Poll, soon).await != Err(TimedOut) {}
            assert!(clock::now() >= soon);
            let wait = || Box::pin(Wait { queue: &queue, purpose: Purpose::Poll, id: None });
            let (mut gone, mut next) = (wait(), wait());
            assert!(smol::future::poll_once(&mut gone).await.is_none());
            assert!(smol::future::poll_once(&mut next).await.is_none());
            queue.notify_next();
            drop(gone);
            next.await;
        })
        .unwrap();
        assert!(queue.waiting.borrow().is_empty());
    }
}
