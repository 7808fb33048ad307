//! How the one thread waits: it runs what is ready, then sleeps until the next deadline or until somebody wakes it.
//!
//! async-io's own `block_on` would sleep within its reactor, under a lock that its helper thread wakes up for at each
//! tick: six context switches a tick more. Here timers are deadlines in a short list, and sleeping is one system call.
//! The reactor only serves what really is a file descriptor: signals, and pipes that are written to.

use crate::clock;
use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

thread_local! {
    /// Deadlines of this thread's sleeping tasks. There are as many as readers that wait for a retry, plus recorders.
    static SLEEPERS: RefCell<Vec<Sleeper>> = const { RefCell::new(Vec::new()) };
}

struct Sleeper {
    id: u64,
    deadline: Instant,
    waker: Waker,
}

/// Runs `future` to its end on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let (parker, unparker) = parking::pair();
    let waker = Waker::from(unparker);
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        if let Some(deadline) = wake_expired() {
            parker.park_deadline(deadline);
        } else {
            parker.park();
        }
        wake_expired();
    }
}

/// Wakes the sleepers whose deadline is over; gives the next one.
fn wake_expired() -> Option<Instant> {
    SLEEPERS.with_borrow_mut(|sleepers| {
        if sleepers.is_empty() {
            return None;
        }
        let now = clock::now();
        sleepers.retain(|sleeper| {
            let asleep = sleeper.deadline > now;
            if !asleep {
                sleeper.waker.wake_by_ref();
            }
            asleep
        });
        sleepers.iter().map(|sleeper| sleeper.deadline).min()
    })
}

/// Completes at `deadline`, within [`block_on`].
pub(crate) fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { id: None, deadline }
}

/// See [`sleep_until`].
pub(crate) struct Sleep {
    id: Option<u64>,
    deadline: Instant,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if clock::now() >= self.deadline {
            return Poll::Ready(());
        }
        SLEEPERS.with_borrow_mut(|sleepers| {
            if let Some(known) = sleepers.iter_mut().find(|sleeper| Some(sleeper.id) == self.id) {
                known.waker.clone_from(context.waker());
                return;
            }
            let id = sleepers.iter().map(|sleeper| sleeper.id).max().map_or(0, |id| id + 1);
            self.id = Some(id);
            sleepers.push(Sleeper { id, deadline: self.deadline, waker: context.waker().clone() });
        });
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            SLEEPERS.with_borrow_mut(|sleepers| sleepers.retain(|sleeper| sleeper.id != id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn sleepers_end_in_the_order_of_their_deadlines() {
        let start = clock::now();
        let order = RefCell::new(Vec::new());
        let sleeper = |millis: u64| {
            let order = &order;
            async move {
                sleep_until(start + Duration::from_millis(millis)).await;
                order.borrow_mut().push(millis);
            }
        };
        block_on(async {
            smol::future::zip(smol::future::zip(sleeper(30), sleeper(10)), smol::future::zip(sleeper(20), sleeper(0)))
                .await
        });
        assert_eq!(order.into_inner(), [0, 10, 20, 30]);
        assert!(clock::now() >= start + Duration::from_millis(30));
    }

    #[test]
    fn what_another_thread_wakes_does_not_wait_for_a_deadline() {
        let (sender, receiver) = smol::channel::bounded(1);
        let far = clock::now() + Duration::from_secs(3600);
        #[allow(clippy::disallowed_methods, reason = "somebody else has to wake us")]
        let other = std::thread::spawn(move || sender.send_blocking(7));
        let slept = async {
            sleep_until(far).await;
            None
        };
        assert_eq!(block_on(smol::future::or(async { receiver.recv().await.ok() }, slept)), Some(7));
        assert!(other.join().is_ok());
        SLEEPERS.with_borrow(|sleepers| assert!(sleepers.is_empty(), "a dropped sleeper leaves nothing behind"));
    }
}
