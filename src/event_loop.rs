//! The event loop of the one thread. It runs the tasks that are ready, then sleeps in one system call until a socket that
//! a task waits for can be read or written, until the next deadline, or until another thread wakes it.
//!
//! The system is asked only about what tasks wait for: a connection that is merely kept open wakes nobody. When the
//! thread wakes itself, that sets one flag; only a wake-up from another thread costs a byte through a pipe.

use crate::clock;
use crate::descriptors;
use crate::limits;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

thread_local! {
    /// What the tasks of this thread wait for: one entry for each exchange under way and for each pause.
    static WAITERS: RefCell<Waiters> = const { RefCell::new(Waiters { next_id: 0, list: Vec::new() }) };
}

/// What a task waits for on a socket or a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    Write,
    /// Reading or writing, whichever is possible first.
    Both,
}

/// The deadline passed before the socket or pipe was ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimedOut;

/// Runs `future` to its end on this thread.
///
/// # Errors
/// If the system gives no pipe.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let (mut wake_ups, thread_waker) = ThreadWaker::new()?;
    let waker = Waker::from(Arc::clone(&thread_waker));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let mut skipped_polls = 0;
    loop {
        // A wake-up from here on is noticed before the thread sleeps; earlier ones are served now.
        thread_waker.state.store(RUNNING, Ordering::SeqCst);
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Ok(value);
        }
        wait_for_events(&thread_waker, &mut wake_ups, &mut skipped_polls);
        let mut next = 0;
        while let Some(waker) = WAITERS.with_borrow_mut(|waiters| waiters.take_waker(&mut next)) {
            waker.wake();
        }
    }
}

/// Completes at `deadline`, within [`block_on`].
pub(crate) async fn sleep_until(deadline: Instant) {
    if clock::now() < deadline {
        let _timed_out = Wait { id: None, descriptor: None, deadline: Some(deadline) }.await;
    }
}

/// Lets other tasks run, those included that are ready only because of a socket or a deadline; within [`block_on`].
///
/// This is for long work that is done in pieces. Every task that is ready at the time of the call runs before the
/// caller has done more than one further piece. Yielding to the executor alone (`smol::future::yield_now`) would run
/// only tasks that have been woken already, and hundreds of pieces could pass before the thread checks the sockets.
pub(crate) async fn yield_now() {
    let _timed_out = Wait { id: None, descriptor: None, deadline: Some(clock::now()) }.await;
}

/// Completes as soon as `descriptor` can be read or written as `interest` says, within [`block_on`]. It also completes
/// if the descriptor has failed: the next attempt to read or write then gives the error.
///
/// # Errors
/// [`TimedOut`] if `deadline` passes first.
pub(crate) async fn ready(
    descriptor: Rc<dyn AsFd>,
    interest: Interest,
    deadline: Option<Instant>,
) -> Result<(), TimedOut> {
    if deadline.is_some_and(|deadline| deadline <= clock::now()) {
        return Err(TimedOut);
    }
    Wait { id: None, descriptor: Some((descriptor, interest)), deadline }.await
}

struct Waiters {
    next_id: u64,
    /// In the order of their ids.
    list: Vec<Waiter>,
}

/// One [`Wait`] that has been polled and is not over.
struct Waiter {
    id: u64,
    descriptor: Option<(Rc<dyn AsFd>, Interest)>,
    deadline: Option<Instant>,
    /// How the wait ended, once it has.
    outcome: Cell<Option<Result<(), TimedOut>>>,
    /// None once it has been woken.
    waker: Option<Waker>,
}

impl Waiters {
    fn position(&self, id: u64) -> Option<usize> {
        self.list.binary_search_by_key(&id, |waiter| waiter.id).ok()
    }

    /// The waker of the next waiter, from the `next`th on, that has an outcome and has not been woken.
    fn take_waker(&mut self, next: &mut usize) -> Option<Waker> {
        let has_to_be_woken = |waiter: &Waiter| waiter.outcome.get().is_some() && waiter.waker.is_some();
        let found = self.list.iter().skip(*next).position(has_to_be_woken)? + *next;
        *next = found + 1;
        self.list[found].waker.take()
    }

    /// Sets the outcome of each waiter that has one by now. Unless `only_check`, sleeps until there is one, or until
    /// something arrives on `wake_ups`. Returns whether something has arrived there.
    fn poll_all(&self, wake_ups: &PipeReader, only_check: bool) -> bool {
        let waiting = || self.list.iter().filter(|waiter| waiter.outcome.get().is_none());
        let mut descriptors = Vec::with_capacity(1 + self.list.len());
        descriptors.push(PollFd::new(wake_ups, PollFlags::IN));
        for (descriptor, interest) in waiting().filter_map(|waiter| waiter.descriptor.as_ref()) {
            descriptors.push(PollFd::from_borrowed_fd(descriptor.as_fd(), interest.flags()));
        }
        let deadline = waiting().filter_map(|waiter| waiter.deadline).min();
        let timeout = if only_check {
            Some(Duration::ZERO)
        } else {
            deadline.map(|deadline| deadline.saturating_duration_since(clock::now()))
        };
        // A timeout that the system cannot represent means for ever.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let is_known = match poll(&mut descriptors, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => true,
            // There are more descriptors than the limit of the process allows by now, or the system is out of memory.
            Err(_) => poll_in_parts(&mut descriptors, timeout.as_ref()),
        };
        let now = deadline.map(|_| clock::now());
        let mut happened = descriptors.iter().map(|descriptor| !is_known || !descriptor.revents().is_empty());
        let has_wake_ups = happened.next() == Some(true);
        for waiter in waiting() {
            let is_ready = waiter.descriptor.is_some() && happened.next() == Some(true);
            let is_timed_out = now.is_some_and(|now| waiter.deadline.is_some_and(|deadline| deadline <= now));
            waiter.outcome.set(if is_ready { Some(Ok(())) } else { is_timed_out.then_some(Err(TimedOut)) });
        }
        has_wake_ups
    }
}

/// Polls more descriptors than the system accepts in one call. It checks all of them. If none is ready it sleeps only
/// briefly, because it cannot wait for all of them at once. False if not even that was possible: then each waiting task
/// has to find out by trying.
fn poll_in_parts(descriptors: &mut [PollFd<'_>], timeout: Option<&Timespec>) -> bool {
    let pause = Timespec { tv_sec: 0, tv_nsec: limits::POLL_IN_PARTS_PAUSE.subsec_nanos().into() };
    let pause = timeout.filter(|timeout| **timeout < pause).unwrap_or(&pause);
    let part = descriptors::limit().clamp(1, limits::POLL_PART_DESCRIPTORS);
    let mut ready = 0;
    for part in descriptors.chunks_mut(part) {
        ready += poll(part, Some(&Timespec::default())).unwrap_or(0);
    }
    if ready > 0 {
        return true;
    }
    // The pipe of the wake-ups is the first of them.
    let first = part.min(descriptors.len());
    let is_known = matches!(poll(&mut descriptors[..first], Some(pause)), Ok(_) | Err(Errno::INTR));
    if !is_known {
        std::thread::sleep(limits::POLL_IN_PARTS_PAUSE);
    }
    is_known
}

/// Blocks the thread until `descriptor` can be written to, at most for `timeout`. False if it still cannot be.
pub(crate) fn block_until_writable(descriptor: impl AsFd, timeout: Duration) -> bool {
    let timeout = Timespec::try_from(timeout).unwrap_or_default();
    let mut descriptors = [PollFd::new(&descriptor, PollFlags::OUT)];
    poll(&mut descriptors, Some(&timeout)).is_ok_and(|ready| ready > 0)
}

impl Interest {
    fn flags(self) -> PollFlags {
        match self {
            Self::Read => PollFlags::IN,
            Self::Write => PollFlags::OUT,
            Self::Both => PollFlags::IN | PollFlags::OUT,
        }
    }
}

/// Sleeps until there is something to do. If a task has been woken since the thread last checked, does not sleep, and
/// does not even check the sockets, except once in [`SKIPPED_POLLS_MAX`] rounds: a future that keeps waking itself must
/// not starve the others.
fn wait_for_events(thread_waker: &ThreadWaker, wake_ups: &mut PipeReader, skipped_polls: &mut u32) {
    let state = &thread_waker.state;
    let is_woken = state.compare_exchange(RUNNING, SLEEPING, Ordering::SeqCst, Ordering::SeqCst).is_err();
    if is_woken && *skipped_polls < SKIPPED_POLLS_MAX {
        *skipped_polls += 1;
        return;
    }
    *skipped_polls = 0;
    let has_wake_ups = WAITERS.with_borrow(|waiters| waiters.poll_all(wake_ups, is_woken));
    state.store(RUNNING, Ordering::SeqCst);
    if has_wake_ups {
        // There is one byte for each sleep that was cut short, so this mostly takes all of them.
        let _ = wake_ups.read(&mut [0; 64]);
    }
}

/// Rounds of the loop without a check of what other tasks wait for.
const SKIPPED_POLLS_MAX: u32 = 16;

/// The thread runs, and no task has been woken since it last checked.
const RUNNING: u8 = 0;
/// The thread sleeps, or is about to: the next wake-up needs a byte through the pipe.
const SLEEPING: u8 = 1;
/// A task has been woken.
const WOKEN: u8 = 2;

/// The waker of the thread, for use by itself and by other threads.
struct ThreadWaker {
    /// [`RUNNING`], [`SLEEPING`] or [`WOKEN`].
    state: AtomicU8,
    pipe: PipeWriter,
}

impl ThreadWaker {
    /// The waker, and the end of its pipe that the thread polls.
    fn new() -> io::Result<(PipeReader, Arc<Self>)> {
        let (wake_ups, pipe) = io::pipe()?;
        let wake_ups = PipeReader::from(descriptors::with_high_number(wake_ups.into()));
        let pipe = PipeWriter::from(descriptors::with_high_number(pipe.into()));
        rustix::io::ioctl_fionbio(&wake_ups, true)?;
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok((wake_ups, Arc::new(Self { state: AtomicU8::new(RUNNING), pipe })))
    }
}

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::SeqCst) == SLEEPING {
            // It can only fail if the reading end is closed, or if the pipe is full, which wakes the thread as well.
            let _ = (&self.pipe).write_all(&[0]);
        }
    }
}

/// The future behind [`ready`], [`sleep_until`] and [`yield_now`].
struct Wait {
    id: Option<u64>,
    descriptor: Option<(Rc<dyn AsFd>, Interest)>,
    deadline: Option<Instant>,
}

impl Future for Wait {
    type Output = Result<(), TimedOut>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), TimedOut>> {
        let known = self.id;
        WAITERS.with_borrow_mut(|waiters| {
            let Some(at) = known.and_then(|id| waiters.position(id)) else {
                let id = waiters.next_id;
                waiters.next_id += 1;
                self.id = Some(id);
                let (descriptor, deadline) = (self.descriptor.take(), self.deadline);
                let waker = Some(context.waker().clone());
                waiters.list.push(Waiter { id, descriptor, deadline, outcome: Cell::new(None), waker });
                return Poll::Pending;
            };
            let waiter = &mut waiters.list[at];
            if let Some(outcome) = waiter.outcome.get() {
                waiters.list.remove(at);
                self.id = None;
                return Poll::Ready(outcome);
            }
            if !waiter.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                waiter.waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let removed = WAITERS.with_borrow_mut(|waiters| {
                let at = waiters.position(id)?;
                Some(waiters.list.remove(at))
            });
            // The drop of its waker may drop a task that has a `Wait` of its own, which needs the list.
            drop(removed);
        }
    }
}

#[cfg(test)]
mod tests;
