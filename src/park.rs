//! The wait loop of the one thread. It runs what is ready, then sleeps in one system call until a socket that a task
//! waits for can be read or written, until the next deadline, or until another thread wakes it.
//!
//! The system is asked only about what tasks wait for: a connection that is merely kept open wakes nobody. Waking the
//! thread from itself sets one flag; only another thread's wake-up costs a byte through a pipe.

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
    /// Either of the two.
    Both,
}

/// The deadline passed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Late;

/// Runs `future` to its end on this thread.
///
/// # Errors
/// If the system gives no pipe.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let (mut hear, bell) = Bell::new()?;
    let waker = Waker::from(Arc::clone(&bell));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let mut unslept = 0;
    loop {
        // A wake-up from here on is noticed before the thread sleeps; earlier ones are served now.
        bell.state.store(AWAKE, Ordering::SeqCst);
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Ok(value);
        }
        sleep(&bell, &mut hear, &mut unslept);
        let mut next = 0;
        while let Some(waker) = WAITERS.with_borrow_mut(|waiters| waiters.take_waker(&mut next)) {
            waker.wake();
        }
    }
}

/// Completes at `deadline`, within [`block_on`].
pub(crate) async fn sleep_until(deadline: Instant) {
    if clock::now() < deadline {
        let _late = Wait { id: None, descriptor: None, deadline: Some(deadline) }.await;
    }
}

/// Completes after the thread has checked all sockets and deadlines that tasks wait for, within [`block_on`]. For long
/// work that is done in pieces: every task that is ready by then runs before the caller has done more than one further
/// piece. Yielding to the executor alone would run only tasks that are awake already, so hundreds of pieces could pass
/// before the thread checks.
pub(crate) async fn turn() {
    let _late = Wait { id: None, descriptor: None, deadline: Some(clock::now()) }.await;
}

/// Completes as soon as `descriptor` may be read or written as asked (or has failed, which the next attempt tells), within
/// [`block_on`].
///
/// # Errors
/// [`Late`] if that was not before `deadline`.
pub(crate) async fn ready(descriptor: Rc<dyn AsFd>, interest: Interest, deadline: Option<Instant>) -> Result<(), Late> {
    if deadline.is_some_and(|deadline| deadline <= clock::now()) {
        return Err(Late);
    }
    Wait { id: None, descriptor: Some((descriptor, interest)), deadline }.await
}

struct Waiters {
    next_id: u64,
    /// In the order of their ids.
    list: Vec<Waiter>,
}

struct Waiter {
    id: u64,
    descriptor: Option<(Rc<dyn AsFd>, Interest)>,
    deadline: Option<Instant>,
    /// How the wait ended, once it has.
    outcome: Cell<Option<Result<(), Late>>>,
    /// None once it has been woken.
    waker: Option<Waker>,
}

impl Waiters {
    fn position(&self, id: u64) -> Option<usize> {
        self.list.binary_search_by_key(&id, |waiter| waiter.id).ok()
    }

    /// The waker of the next waiter, from the `next`th on, that has an outcome and has not been woken.
    fn take_waker(&mut self, next: &mut usize) -> Option<Waker> {
        let unaware = |waiter: &Waiter| waiter.outcome.get().is_some() && waiter.waker.is_some();
        let found = self.list.iter().skip(*next).position(unaware)? + *next;
        *next = found + 1;
        self.list[found].waker.take()
    }

    /// Sleeps until one of the waiters has an outcome or the bell rings, or only checks; true if it has rung.
    fn sleep(&self, hear: &PipeReader, only_look: bool) -> bool {
        let waiting = || self.list.iter().filter(|waiter| waiter.outcome.get().is_none());
        let mut descriptors = Vec::with_capacity(1 + self.list.len());
        descriptors.push(PollFd::new(hear, PollFlags::IN));
        for (descriptor, interest) in waiting().filter_map(|waiter| waiter.descriptor.as_ref()) {
            descriptors.push(PollFd::from_borrowed_fd(descriptor.as_fd(), interest.flags()));
        }
        let deadline = waiting().filter_map(|waiter| waiter.deadline).min();
        let timeout = if only_look {
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
        let has_rung = happened.next() == Some(true);
        for waiter in waiting() {
            let is_ready = waiter.descriptor.is_some() && happened.next() == Some(true);
            let is_late = now.is_some_and(|now| waiter.deadline.is_some_and(|deadline| deadline <= now));
            waiter.outcome.set(if is_ready { Some(Ok(())) } else { is_late.then_some(Err(Late)) });
        }
        has_rung
    }
}

/// The same for more descriptors than the system accepts in one call. It checks all of them, and then sleeps only
/// briefly, because it cannot wait for all of them. False if it could not even check: the waiting tasks then find out
/// by trying.
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
    // The bell is the first of them.
    let first = part.min(descriptors.len());
    let is_known = matches!(poll(&mut descriptors[..first], Some(pause)), Ok(_) | Err(Errno::INTR));
    if !is_known {
        std::thread::sleep(limits::POLL_IN_PARTS_PAUSE);
    }
    is_known
}

/// Whether this can be written to, now or within `patience`; meanwhile the thread does nothing else.
pub(crate) fn has_room(descriptor: impl AsFd, patience: Duration) -> bool {
    let timeout = Timespec::try_from(patience).unwrap_or_default();
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

/// Sleeps. If the bell has rung since the thread was last awake, it does not even check the sockets, except once every
/// [`UNSLEPT_MAX`] times: a future that keeps waking itself must not starve the others.
fn sleep(bell: &Bell, hear: &mut PipeReader, unslept: &mut u32) {
    let rung = bell.state.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_err();
    if rung && *unslept < UNSLEPT_MAX {
        *unslept += 1;
        return;
    }
    *unslept = 0;
    let has_noise = WAITERS.with_borrow(|waiters| waiters.sleep(hear, rung));
    bell.state.store(AWAKE, Ordering::SeqCst);
    if has_noise {
        // There is one byte for each sleep that was cut short, so this mostly takes all of them.
        let _ = hear.read(&mut [0; 64]);
    }
}

/// Rounds of the loop without a check of what other tasks wait for.
const UNSLEPT_MAX: u32 = 16;
/// The thread runs, and the bell has not rung since it last checked.
const AWAKE: u8 = 0;
/// The thread sleeps, or is about to: the next ring has to wake it.
const ASLEEP: u8 = 1;
/// The bell has rung.
const RUNG: u8 = 2;

/// Wakes the thread, from itself or from another one.
struct Bell {
    state: AtomicU8,
    wire: PipeWriter,
}

impl Bell {
    fn new() -> io::Result<(PipeReader, Arc<Self>)> {
        let (hear, wire) = io::pipe()?;
        let hear = PipeReader::from(descriptors::out_of_the_way(hear.into()));
        let wire = PipeWriter::from(descriptors::out_of_the_way(wire.into()));
        rustix::io::ioctl_fionbio(&hear, true)?;
        rustix::io::ioctl_fionbio(&wire, true)?;
        Ok((hear, Arc::new(Self { state: AtomicU8::new(AWAKE), wire })))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(RUNG, Ordering::SeqCst) == ASLEEP {
            // It can only fail if the reading end is closed, or if the pipe is full, which wakes the thread as well.
            let _ = (&self.wire).write_all(&[0]);
        }
    }
}

/// See [`ready`], [`sleep_until`] and [`turn`].
struct Wait {
    id: Option<u64>,
    descriptor: Option<(Rc<dyn AsFd>, Interest)>,
    deadline: Option<Instant>,
}

impl Future for Wait {
    type Output = Result<(), Late>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Late>> {
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
            let gone = WAITERS.with_borrow_mut(|waiters| {
                let at = waiters.position(id)?;
                Some(waiters.list.remove(at))
            });
            // What it holds may itself be waiting for something, so it is dropped after the borrow of the list has
            // ended.
            drop(gone);
        }
    }
}

#[cfg(test)]
mod tests;
