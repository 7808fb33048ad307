//! `rates` over a socket: an application that counts, fails, restarts, and has a variable that comes and goes.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "a test may look at how long something takes")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Server, wait_until};
use program::Program;
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};

/// What `count` grows by from one poll to the next.
const STEP: u64 = 1_000;
/// Polls from which on the application is another process.
const RESTART: u64 = 20;
const POLLS: usize = 45;

/// Go's count of garbage collections, of 1 ns each.
fn memstats(collections: u64) -> String {
    let ring: Vec<&str> = (0..256).map(|at| if at < collections { "1" } else { "0" }).collect();
    format!(r#""memstats":{{"NumGC":{collections},"PauseTotalNs":{collections},"PauseNs":[{}]}}"#, ring.join(","))
}

fn counting_app() -> Server {
    let polls = AtomicU64::new(0);
    Server::start(move |_| {
        let poll = polls.fetch_add(1, Ordering::SeqCst);
        if poll % 10 == 7 {
            return Reply::Full(500, String::new(), b"not now".to_vec());
        }
        let collections = if poll < RESTART { 100 + poll } else { poll - RESTART };
        let guest = if poll % 5 == 2 { String::new() } else { format!(r#""guest":{poll},"#) };
        let fall = if poll < RESTART { 2 * poll } else { poll - RESTART };
        let body =
            format!(r#"{{"poll":{poll},"count":{},{guest}"fall":{fall},{}}}"#, poll * STEP, memstats(collections));
        Reply::Chunked(body.into_bytes())
    })
}

fn microseconds(document: &Value) -> f64 {
    let text = document["@timestamp"].as_str().expect("a time");
    let time: jiff::Timestamp = text.parse().expect("RFC 3339");
    let microseconds = i32::try_from(time.as_microsecond() % 1_000_000_000).expect("small");
    f64::from(microseconds)
}

fn number(document: &Value, name: &str) -> Option<f64> {
    document.get(name).map(|value| value.to_string().parse().expect("a number"))
}

#[test]
fn rates_are_the_change_over_the_time_between_two_documents() {
    let app = counting_app();
    let mut program = Program::start(
        &[],
        &format!(
            "readers:\n  app: {{type_name: app, endpoint: \"{}\", interval: 50ms, rates: [count, guest, fall]}}\n  \
             own: {{type: self, type_name: own, interval: 50ms, rates: [\"readers.*.polls\"]}}\n\
             recorders: {{out: {{type: file, path: out.ndjson}}, own: {{type: file, path: own.ndjson}}}}\n\
             routes: {{app: {{readers: app, recorders: out}}, own: {{readers: own, recorders: own}}}}\n",
            app.address
        ),
    );
    wait_until("enough documents", || program.documents("out.ndjson").len() >= POLLS);
    wait_until("own documents", || program.documents("own.ndjson").len() >= 10);
    let own = program.documents("own.ndjson");
    program.kill();
    assert!(own[0].get("readers.app.polls_per_second").is_none());
    assert!(own[1..].iter().all(|document| number(document, "readers.app.polls_per_second") >= Some(0.0)));
    assert!(own[1..].iter().any(|document| number(document, "readers.own.polls_per_second") > Some(0.0)));

    let documents = program.documents("out.ndjson");
    let poll = |document: &Value| document["poll"].as_u64().expect("its number");
    let (mut by_rates, mut by_clock, mut close, mut longer) = (0.0, 0.0, 0, 0);
    let mut after_restart = 0;
    assert!(documents[0].as_object().expect("an object").keys().all(|name| !name.ends_with("_per_second")));
    for pair in documents.windows(2) {
        let [before, now] = pair else { unreachable!("pairs") };
        let (first, second) = (poll(before), poll(now));
        let restarted = first < RESTART && second >= RESTART;
        assert_eq!(now.get("expvastic.restarted").is_some(), restarted, "{now}");
        let both = now.get("guest").is_some() && before.get("guest").is_some();
        assert_eq!(now.get("guest_per_second").is_some(), both && !restarted, "{now}");
        assert_eq!(now.get("fall_per_second").is_some(), !restarted, "{now}");
        let Some(rate) = number(now, "count_per_second") else {
            assert!(restarted, "{now}");
            after_restart += 1;
            continue;
        };
        let change = f64::from(u32::try_from((second - first) * STEP).expect("small"));
        longer += u32::from(second - first > 1);
        // The time that the rate was divided by, and that which a reader of the documents sees. The wall clock wraps here once
        // in a quarter of an hour.
        let (divided, seen) = (change / rate, (microseconds(now) - microseconds(before)) / 1e6);
        let seen = if seen < 0.0 { seen + 1_000.0 } else { seen };
        (by_rates, by_clock) = (by_rates + divided, by_clock + seen);
        close += usize::from((divided - seen).abs() <= 0.02 * seen);
        // Both clocks are read one right behind the other, unless the process has to wait for its turn just then: that moves
        // one document and not those behind it, so the sums stay together.
        assert!((by_rates - by_clock).abs() < 0.5, "{by_rates} s by rates, {by_clock} s by the clock");
    }
    assert_eq!(after_restart, 1);
    assert!(longer >= 3, "polls that gave no document: the next rates are over a longer time");
    assert!(close > documents.len() / 2, "only {close} of {} rates are within 2 %", documents.len());
}
