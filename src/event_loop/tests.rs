//! Deadlines, wake-ups and sockets, on the thread of the test.

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
fn a_thread_that_wakes_itself_writes_nothing_into_the_pipe() {
    let (wake_ups, thread_waker) = ThreadWaker::new().unwrap();
    for _ in 0..100 {
        Waker::from(Arc::clone(&thread_waker)).wake();
    }
    assert_eq!((&wake_ups).read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    thread_waker.state.store(SLEEPING, Ordering::SeqCst);
    Waker::from(Arc::clone(&thread_waker)).wake();
    assert_eq!((&wake_ups).read(&mut [0; 8]).unwrap(), 1);
}

#[test]
fn a_socket_is_waited_for_until_it_can_be_read_or_the_time_is_over() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let ours: Rc<dyn AsFd> = Rc::new(ours);
    block_on(async {
        let soon = clock::now() + Duration::from_millis(5);
        assert_eq!(ready(Rc::clone(&ours), Interest::Read, Some(soon)).await, Err(TimedOut));
        assert!(clock::now() >= soon);
        assert_eq!(ready(Rc::clone(&ours), Interest::Both, None).await, Ok(()), "it can be written to");
        theirs.write_all(b"x").unwrap();
        assert_eq!(ready(Rc::clone(&ours), Interest::Read, None).await, Ok(()));
        assert_eq!(
            ready(Rc::clone(&ours), Interest::Read, Some(soon)).await,
            Err(TimedOut),
            "the time is over already"
        );
    })
    .unwrap();
    assert!(is_nobody_waiting());
}

#[test]
fn between_two_pieces_of_long_work_others_are_served() {
    let (served, starts) = (Cell::new(false), RefCell::new(Vec::new()));
    let executor = smol::LocalExecutor::new();
    // Three that work for long, until the others have been served.
    for _ in 0..3 {
        let (served, starts) = (&served, &starts);
        let work = async move {
            while !served.get() {
                starts.borrow_mut().push(clock::now());
                yield_now().await;
            }
        };
        executor.spawn(work).detach();
    }
    let pieces_since = |at: Instant| starts.borrow().iter().filter(|start| **start >= at).count();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let ours = Rc::new(ours);
    block_on(executor.run(async {
        let due = clock::now() + Duration::from_millis(2);
        sleep_until(due).await;
        let pieces = pieces_since(due);
        assert!(pieces <= 2 * 3, "{pieces} pieces while a timer was due");
        for _ in 0..50 {
            let waiting = executor.spawn(ready(ours.clone(), Interest::Read, None));
            smol::future::yield_now().await;
            (&theirs).write_all(b"x").unwrap();
            let written = clock::now();
            assert_eq!(waiting.await, Ok(()));
            let pieces = pieces_since(written);
            assert!(pieces <= 2 * 3, "{pieces} pieces while a socket was ready");
            assert_eq!((&*ours).read(&mut [0; 8]).unwrap(), 1);
        }
        served.set(true);
    }))
    .unwrap();
    drop(executor);
    assert!(is_nobody_waiting());
}

#[test]
fn one_poll_serves_all_that_are_ready_and_leaves_the_others() {
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
