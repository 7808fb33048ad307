//! Tests with few file descriptors. All tests share the limit of their process, so each of these reserves all descriptors but
//! the last ones.

use super::*;
use crate::descriptors::limit;
use std::sync::Mutex;

/// Held by the test that uses the last descriptors.
static LAST_NUMBERS: Mutex<()> = Mutex::new(());

/// A client that has one descriptor for polls and one for shipping.
fn scarce_client() -> Http {
    let http = client();
    http.set_limits(10, Reserve { files: limit() - 2, shipping: 1 }, false);
    http
}

fn patient_server() -> (String, Arc<AtomicUsize>) {
    server(|_, mut served| while served.head().is_some() && served.answer(OK) {})
}

#[test]
fn an_idle_connection_makes_room_for_another_endpoint() {
    let _alone = LAST_NUMBERS.lock();
    let ((one, to_one), (other, to_other)) = (patient_server(), patient_server());
    let http = scarce_client();
    event_loop::block_on(async {
        for _ in 0..3 {
            assert_eq!(get(&http, &one).await.unwrap(), "{}");
            assert_eq!(get(&http, &one).await.unwrap(), "{}");
            assert_eq!(get(&http, &other).await.unwrap(), "{}");
        }
    })
    .unwrap();
    assert_eq!([to_one, to_other].map(|count| count.load(Ordering::SeqCst)), [3, 3]);
}

#[test]
fn polls_take_turns_and_none_is_lost() {
    let _alone = LAST_NUMBERS.lock();
    let servers: Vec<_> = (0..20).map(|_| patient_server()).collect();
    let http = scarce_client();
    let executor = smol::LocalExecutor::new();
    event_loop::block_on(executor.run(async {
        for _ in 0..3 {
            let polls: Vec<_> = servers.iter().map(|(address, _)| executor.spawn(get(&http, address))).collect();
            for poll in polls {
                assert_eq!(poll.await.unwrap(), "{}");
            }
        }
    }))
    .unwrap();
}

#[test]
fn a_poll_that_hangs_keeps_others_waiting_until_their_time_is_over_but_not_what_is_shipped() {
    let _alone = LAST_NUMBERS.lock();
    let (hung, polls) = server(|_, mut served| while served.head().is_some() {});
    let (address, connections) = server(|_, mut served| while served.request().is_some() && served.answer(OK) {});
    let polled = patient_server().0;
    let http = scarce_client();
    let executor = smol::LocalExecutor::new();
    event_loop::block_on(executor.run(async {
        let hangs = executor.spawn(get_within(&http, &hung, LONG));
        while polls.load(Ordering::SeqCst) == 0 {
            event_loop::yield_now().await;
        }
        let mut waits = executor.spawn(get(&http, &polled));
        assert!(smol::future::poll_once(&mut waits).await.is_none());
        for _ in 0..2 {
            let answer = http.ask(&Endpoint::new(&format!("http://{address}")), LONG, None, 1 << 10).await;
            assert_eq!(answer.unwrap().body, b"{}");
        }
        let late = get_within(&http, &polled, Duration::from_millis(20)).await.unwrap_err().to_string();
        assert!(late.starts_with(&format!("out of file descriptors (the limit is {}", limit())), "{late}");
        assert!(!waits.is_finished());
        hangs.cancel().await;
        assert_eq!(waits.await.unwrap(), "{}");
    }))
    .unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 1, "what was shipped shared a connection");
}
