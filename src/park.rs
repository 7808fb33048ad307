//! How the one thread waits: it runs what is ready, then sleeps in one system call until something that is waited for can
//! be read or written, until the next deadline, or until another thread wakes it.
//!
//! Only what is waited for is in the list that the system is asked about: a connection that is merely kept open wakes
//! nobody. Waking the thread from itself is one flag; only another thread's wake-up costs a byte through a pipe.

use crate::clock;
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

/// What is waited for of a socket or a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    Write,
    /// Either of the two.
    Both,
}

/// The deadline was first.
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
        // Whoever rings from here on is heard before the thread sleeps; who rang before is served now.
        bell.state.store(AWAKE, Ordering::SeqCst);
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Ok(value);
        }
        sleep(&bell, &mut hear, &mut unslept)?;
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

/// Completes once the thread has looked at what all wait for, within [`block_on`]: whose time has come, or whose socket is
/// ready by then, has its turn, too, before the caller has its next but one. For work that takes long, in pieces; to yield
/// to the executor alone would give those a turn that are awake already, and let hundreds of pieces go before a look.
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
    /// What has come of it, once it has.
    outcome: Cell<Option<Result<(), Late>>>,
    /// None once it has been woken.
    waker: Option<Waker>,
}

impl Waiters {
    fn position(&self, id: u64) -> Option<usize> {
        self.list.binary_search_by_key(&id, |waiter| waiter.id).ok()
    }

    /// The waker of the next waiter, from the `next`th on, that has not been told what has come of it.
    fn take_waker(&mut self, next: &mut usize) -> Option<Waker> {
        let unaware = |waiter: &Waiter| waiter.outcome.get().is_some() && waiter.waker.is_some();
        let found = self.list.iter().skip(*next).position(unaware)? + *next;
        *next = found + 1;
        self.list[found].waker.take()
    }

    /// Sleeps until one of the waiters has an outcome or the bell rings, or only looks; true if it has rung.
    fn sleep(&self, hear: &PipeReader, only_look: bool) -> io::Result<bool> {
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
        // What no system can count is for ever.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let now = deadline.map(|_| clock::now());
        let mut happened = descriptors.iter().map(|descriptor| !descriptor.revents().is_empty());
        let has_rung = happened.next() == Some(true);
        for waiter in waiting() {
            let is_ready = waiter.descriptor.is_some() && happened.next() == Some(true);
            let is_late = now.is_some_and(|now| waiter.deadline.is_some_and(|deadline| deadline <= now));
            waiter.outcome.set(if is_ready { Some(Ok(())) } else { is_late.then_some(Err(Late)) });
        }
        Ok(has_rung)
    }
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

/// Sleeps. If the bell has rung since the thread was last awake it does not even look, but for every so many times: a
/// future that keeps waking itself must not keep the others from theirs.
fn sleep(bell: &Bell, hear: &mut PipeReader, unslept: &mut u32) -> io::Result<()> {
    let rung = bell.state.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_err();
    if rung && *unslept < UNSLEPT_MAX {
        *unslept += 1;
        return Ok(());
    }
    *unslept = 0;
    let has_noise = WAITERS.with_borrow(|waiters| waiters.sleep(hear, rung))?;
    bell.state.store(AWAKE, Ordering::SeqCst);
    if has_noise {
        // There is one byte for each sleep that was cut short, so this takes all of them and never waits.
        let _ = hear.read(&mut [0; 64])?;
    }
    Ok(())
}

/// Turns without a look at what others wait for.
const UNSLEPT_MAX: u32 = 16;
/// The thread runs, and nobody has rung since it last looked.
const AWAKE: u8 = 0;
/// The thread sleeps, or is about to: the next one to ring has to wake it.
const ASLEEP: u8 = 1;
/// Somebody has rung.
const RUNG: u8 = 2;

/// Wakes the thread, from itself or from another one.
struct Bell {
    state: AtomicU8,
    wire: PipeWriter,
}

impl Bell {
    fn new() -> io::Result<(PipeReader, Arc<Self>)> {
        let (hear, wire) = io::pipe()?;
        Ok((hear, Arc::new(Self { state: AtomicU8::new(AWAKE), wire })))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(RUNG, Ordering::SeqCst) == ASLEEP {
            // It can only fail if nobody listens any more.
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
            // What it holds may itself wait for something: it ends when the list is free again.
            drop(gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn is_nobody_waiting() -> bool {
        WAITERS.with_borrow(|waiters| waiters.list.is_empty())
    }

    #[test]
    fn the_nearest_deadline_ends_the_sleep_and_not_before_its_time() {
        let start = clock::now();
        let sleeper = |deadline: Duration| async move {
            sleep_until(start + deadline).await;
            deadline
        };
        let (near, far) = (Duration::from_millis(20), Duration::from_secs(3600));
        for deadlines in [[near, far, far], [far, near, far], [far, far, near]] {
            let [first, second, third] = deadlines.map(sleeper);
            let ended = block_on(smol::future::or(first, smol::future::or(second, third))).unwrap();
            assert_eq!(ended, near);
            assert!(clock::now() >= start + near);
            assert!(is_nobody_waiting(), "a dropped sleeper leaves nothing behind");
        }
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
        assert_eq!(block_on(smol::future::or(async { receiver.recv().await.ok() }, slept)).unwrap(), Some(7));
        assert!(other.join().is_ok());
        assert!(is_nobody_waiting(), "a dropped sleeper leaves nothing behind");
    }

    #[test]
    fn a_thousand_wake_ups_from_another_thread_are_all_heard() {
        let (to, heard) = smol::channel::bounded(1);
        let (back, answers) = smol::channel::bounded(1);
        #[allow(clippy::disallowed_methods, reason = "somebody else has to wake us")]
        let other = std::thread::spawn(move || {
            for number in 0..1000 {
                to.send_blocking(number).unwrap();
                assert_eq!(answers.recv_blocking(), Ok(number));
            }
        });
        block_on(async {
            for number in 0..1000 {
                assert_eq!(heard.recv().await, Ok(number));
                back.send(number).await.unwrap();
            }
        })
        .unwrap();
        other.join().unwrap();
    }

    #[test]
    fn a_thread_that_wakes_itself_makes_no_noise() {
        let (hear, bell) = Bell::new().unwrap();
        for _ in 0..100 {
            Waker::from(Arc::clone(&bell)).wake();
        }
        rustix::io::ioctl_fionbio(&hear, true).unwrap();
        assert_eq!((&hear).read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        bell.state.store(ASLEEP, Ordering::SeqCst);
        Waker::from(Arc::clone(&bell)).wake();
        assert_eq!((&hear).read(&mut [0; 8]).unwrap(), 1);
    }

    #[test]
    fn a_socket_is_waited_for_until_it_can_be_read_or_the_time_is_over() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let ours: Rc<dyn AsFd> = Rc::new(ours);
        block_on(async {
            let soon = clock::now() + Duration::from_millis(5);
            assert_eq!(ready(Rc::clone(&ours), Interest::Read, Some(soon)).await, Err(Late));
            assert!(clock::now() >= soon);
            assert_eq!(ready(Rc::clone(&ours), Interest::Both, None).await, Ok(()), "it can be written to");
            theirs.write_all(b"x").unwrap();
            assert_eq!(ready(Rc::clone(&ours), Interest::Read, None).await, Ok(()));
            assert_eq!(
                ready(Rc::clone(&ours), Interest::Read, Some(soon)).await,
                Err(Late),
                "the time is over already"
            );
        })
        .unwrap();
        assert!(is_nobody_waiting());
    }

    #[test]
    fn between_two_turns_of_long_work_others_are_served() {
        let (served, starts) = (Cell::new(false), RefCell::new(Vec::new()));
        let executor = smol::LocalExecutor::new();
        // Three that work for long, until the others have been served.
        for _ in 0..3 {
            let (served, starts) = (&served, &starts);
            let work = async move {
                while !served.get() {
                    starts.borrow_mut().push(clock::now());
                    turn().await;
                }
            };
            executor.spawn(work).detach();
        }
        let turns_since = |at: Instant| starts.borrow().iter().filter(|start| **start >= at).count();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let ours = Rc::new(ours);
        block_on(executor.run(async {
            let due = clock::now() + Duration::from_millis(2);
            sleep_until(due).await;
            let turns = turns_since(due);
            assert!(turns <= 2 * 3, "{turns} turns while a timer was due");
            for _ in 0..50 {
                let waiting = executor.spawn(ready(ours.clone(), Interest::Read, None));
                smol::future::yield_now().await;
                (&theirs).write_all(b"x").unwrap();
                let written = clock::now();
                assert_eq!(waiting.await, Ok(()));
                let turns = turns_since(written);
                assert!(turns <= 2 * 3, "{turns} turns while a socket was ready");
                assert_eq!((&*ours).read(&mut [0; 8]).unwrap(), 1);
            }
            served.set(true);
        }))
        .unwrap();
        drop(executor);
        assert!(is_nobody_waiting());
    }

    #[test]
    fn one_look_serves_all_that_are_ready_and_leaves_the_others() {
        let pairs: Vec<_> = (0..20).map(|_| UnixStream::pair().unwrap()).collect();
        let done = RefCell::new(Vec::new());
        let executor = smol::LocalExecutor::new();
        for (number, (ours, _)) in pairs.iter().enumerate() {
            let (ours, done): (Rc<dyn AsFd>, _) = (Rc::new(ours.try_clone().unwrap()), &done);
            executor
                .spawn(async move {
                    assert_eq!(ready(ours, Interest::Read, None).await, Ok(()));
                    done.borrow_mut().push(number);
                })
                .detach();
        }
        for (_, theirs) in pairs.iter().skip(10) {
            (&*theirs).write_all(b"x").unwrap();
        }
        let all_ten = std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            if done.borrow().len() == 10 { Poll::Ready(()) } else { Poll::Pending }
        });
        block_on(executor.run(all_ten)).unwrap();
        assert_eq!(*done.borrow(), (10..20).collect::<Vec<_>>());
        drop(executor);
        assert!(is_nobody_waiting());
    }
}
