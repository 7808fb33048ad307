//! Tests of the whole of delivery with a simulated time and disk: pauses, order, bounds, log lines. [`scripts`] runs
//! thousands of random ones.

mod aside;
mod backlog;
mod dead_letters;
mod log_lines;
mod memory;
mod refusals;
mod reload;
mod scripts;
mod shares;

use super::*;
use crate::bulk::IdSource;
use crate::calendar::Timestamp;
use crate::config::LogLevel;
use crate::http::Answer;
use crate::recorder::elasticsearch::verdict;
use crate::spool::files::simulated;
use std::collections::BTreeSet;
use std::time::Duration;

/// A recorder, its clock, and what its server has.
struct World {
    start: Instant,
    now: Instant,
    delivery: Delivery,
    ids: IdSource,
    made: u64,
}

fn recorder() -> Recorder {
    let mut recorder = Recorder::elasticsearch("es", "localhost:9200", "i").unwrap();
    recorder.bulk.documents = 10;
    recorder
}

fn with_spool(bytes_max: u64) -> Recorder {
    recorder().spool("spool", bytes_max, Duration::from_secs(1))
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

impl World {
    #[allow(clippy::disallowed_methods, reason = "some instant to count from")]
    fn new(recorder: &Recorder, memory_bytes_max: usize, files: Files) -> Self {
        let start = Instant::now();
        let mut random = fastrand::Rng::with_seed(1);
        let delivery = Delivery::new(
            recorder,
            ComponentLevel::of_settings(LogLevel::Trace),
            1,
            memory_bytes_max,
            files,
            start,
            &mut random,
        );
        Self { start, now: start, delivery, ids: IdSource::new([5; 9]), made: 0 }
    }

    fn plain(recorder: &Recorder) -> Self {
        Self::new(recorder, 1 << 20, Files::Simulated(simulated::Disk::default()))
    }

    fn add(&mut self) {
        self.add_sized(0);
    }

    /// A document that is sealed at once, with so many bytes more.
    fn add_sized(&mut self, bytes: usize) {
        let key = DocumentKey { time: Timestamp::EPOCH, id: self.ids.next_id() };
        let document = format!("{{\"n\":{}{}}}", self.made, " ".repeat(bytes));
        self.made += 1;
        self.delivery.add(key, document.as_bytes(), self.now);
        self.delivery.seal(self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.delivery.save_due(self.now);
        assert!(self.delivery.ledger().balances(), "{}", self.delivery.ledger());
    }

    /// The numbers of the documents that are sent now.
    fn send(&mut self) -> Vec<u64> {
        match self.delivery.next(self.now) {
            Step::Send(bulk) => numbers(&bulk),
            other => panic!("{other:?}"),
        }
    }

    /// Sends what is due, if anything is, to a server that is overloaded.
    fn fail_next(&mut self) {
        if let Step::Send(bulk) = self.delivery.next(self.now) {
            let documents = bulk.documents();
            drop(bulk);
            self.answer(503, None, "", documents);
        }
    }

    fn answer(&mut self, status: u16, retry_after: Option<Duration>, body: &str, documents: usize) {
        let body = body.as_bytes().to_vec();
        let answer = Answer { status, retry_after, location: None, body };
        self.delivery.settle(verdict::judge(answer, documents), self.now);
        assert!(self.delivery.ledger().balances(), "{}", self.delivery.ledger());
    }

    fn answer_items(&mut self, statuses: &[u16]) {
        let items: Vec<String> =
            statuses.iter().map(|status| format!("{{\"create\":{{\"status\":{status}}}}}")).collect();
        self.answer(200, None, &format!("{{\"items\":[{}]}}", items.join(",")), statuses.len());
    }

    /// The pause that is asked for.
    fn pause(&mut self) -> Duration {
        match self.delivery.next(self.now) {
            Step::Wait(Some(until)) => until - self.now,
            other => panic!("{other:?}"),
        }
    }
}

fn numbers(bulk: &Bulk) -> Vec<u64> {
    let number = |index| {
        let document = bulk.document(index);
        let at = memchr::memmem::find(document, b"\n{\"n\":").unwrap() + 6;
        let digits = document[at..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
    };
    (0..bulk.documents()).map(number).collect()
}

/// Follows another configuration.
fn reload(world: &mut World, recorder: &Recorder, memory_bytes_max: usize, files: Files) {
    let level = ComponentLevel::of_settings(LogLevel::Trace);
    world.delivery.apply_config(recorder, level, &mut fastrand::Rng::with_seed(2));
    world.delivery.fit(recorder, 1, memory_bytes_max, files, world.now);
    assert!(world.delivery.ledger().balances(), "{}", world.delivery.ledger());
}

#[test]
fn pauses_grow_with_failures_until_it_is_probed_slowly_and_one_success_ends_them() {
    let mut world = World::plain(&Recorder { backoff: 6, ..recorder() });
    world.add();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert_eq!(world.send(), [0]);
        world.answer(503, None, "", 1);
        pauses.push(world.pause());
        let pause = world.pause();
        world.pass(pause);
    }
    for (failures, pause) in pauses.iter().enumerate() {
        let (least, most) = if failures >= 5 {
            (limits::PROBE_INTERVAL.mul_f64(0.75), limits::PROBE_INTERVAL.mul_f64(1.25))
        } else {
            let doubled = limits::RETRY_DELAY_MIN * (1 << failures);
            (doubled / 2, doubled)
        };
        assert!((least..=most).contains(pause), "{failures}: {pause:?}");
    }
    assert_eq!(world.send(), [0]);
    world.answer_items(&[201]);
    world.add();
    assert_eq!(world.send(), [1], "no pause is left");
    world.answer(503, None, "", 1);
    assert!(world.pause() <= limits::RETRY_DELAY_MIN, "it begins anew");
}

#[test]
fn what_a_person_has_to_mend_is_tried_slowly_at_once_and_retry_after_is_honoured() {
    for status in [401, 403, 404] {
        let mut world = World::plain(&recorder());
        world.add();
        world.send();
        world.answer(status, None, "", 1);
        let pause = world.pause();
        assert!(pause >= limits::PROBE_INTERVAL.mul_f64(0.75), "{status}: {pause:?}");
        world.pass(pause);
        assert_eq!(world.send(), [0]);
        world.answer_items(&[201]);
        assert!(world.delivery.ledger().all_taken(), "{status}");
    }
    let mut world = World::plain(&recorder());
    world.add();
    world.send();
    world.answer(429, Some(Duration::from_secs(37)), "", 1);
    assert_eq!(world.pause(), Duration::from_secs(37));
    world.delivery.flush(world.now);
    assert_eq!(world.send(), [0], "a flush waits for nothing");
}

#[test]
fn only_what_was_refused_is_sent_again_and_the_others_do_not_wait_for_it() {
    let mut world = World::plain(&recorder());
    world.add();
    world.add();
    world.add();
    assert_eq!(world.send(), [0, 1, 2]);
    world.answer_items(&[201, 429, 201]);
    let pause = world.pause();
    world.add();
    assert_eq!(world.send(), [3], "before the pause is over");
    world.answer_items(&[201]);
    world.pass(pause);
    assert_eq!(world.send(), [1]);
    world.answer_items(&[409]);
    let ledger = world.delivery.ledger();
    assert_eq!((ledger.acked, ledger.duplicate, ledger.waiting), (3, 1, 0));
}

#[test]
fn a_server_that_takes_a_part_each_time_gets_the_rest_soon() {
    let mut world = World::plain(&Recorder { backoff: 3, ..recorder() });
    (0..10).for_each(|_| world.add());
    let mut left: Vec<u64> = (0..10).collect();
    assert_eq!(world.send(), left);
    while left.len() > 1 {
        let statuses: Vec<u16> = left.iter().map(|number| if *number == left[0] { 201 } else { 429 }).collect();
        world.answer_items(&statuses);
        left.remove(0);
        let pause = world.pause();
        assert!(pause <= limits::RETRY_DELAY_MIN, "it is not down: {pause:?}");
        world.pass(pause);
        assert_eq!(world.send(), left);
    }
    for _ in 0..3 {
        world.answer_items(&[429]);
        let pause = world.pause();
        world.pass(pause);
        assert_eq!(world.send(), left);
    }
    world.answer_items(&[429]);
    assert!(world.pause() > limits::RETRY_DELAY_MAX.mul_f64(0.75), "nothing is taken any more");
}

#[test]
fn a_server_that_is_well_never_makes_the_disk_be_written_to() {
    let disk = simulated::Disk::default();
    let mut world = World::new(&with_spool(1 << 20), 1 << 20, Files::Simulated(disk.clone()));
    let opened = disk.steps();
    for _ in 0..1000 {
        world.add();
        world.send();
        world.pass(seconds(0.4));
        world.answer_items(&[201]);
        assert_eq!(world.delivery.save_due(world.now), None, "no deadline, no wake-up");
        world.pass(seconds(0.6));
    }
    assert_eq!(disk.steps(), opened);
}

#[test]
fn what_waits_for_a_hung_server_is_on_disk_within_sync() {
    let disk = simulated::Disk::default();
    let files = Files::Simulated(disk.clone());
    let recorder = with_spool(1 << 20);
    let mut world = World::new(&recorder, 1 << 20, files.clone());
    world.add();
    assert_eq!(world.send(), [0]);
    world.pass(seconds(0.5));
    world.add();
    let due = world.delivery.save_due(world.now).unwrap();
    assert_eq!(due - world.start, Duration::from_secs(1), "the oldest is on disk after `sync`");
    world.pass(due - world.now);
    assert_eq!(world.delivery.ledger().spooled, 2, "with all that wait besides");
    assert_eq!(world.delivery.save_due(world.now), None);
    disk.crash(&mut fastrand::Rng::with_seed(1));
    let mut next = World::new(&recorder, 1 << 20, files);
    assert_eq!(next.delivery.ledger().recovered, 2);
    assert_eq!(next.send(), [0]);
    next.answer_items(&[201]);
    assert_eq!(next.send(), [1]);
    next.answer_items(&[201]);
    assert!(next.delivery.ledger().all_taken());
}

#[test]
fn what_is_refused_again_and_again_is_on_disk_in_time_too() {
    let mut recorder = with_spool(1 << 20);
    recorder.bulk.documents = 2;
    let mut world = World::plain(&recorder);
    world.add();
    world.add();
    assert_eq!(world.send(), [0, 1]);
    world.answer_items(&[429, 429]);
    world.pass(seconds(0.6));
    world.add();
    assert_eq!(world.send(), [2]);
    world.answer_items(&[429]);
    assert_eq!(world.send(), [0, 1]);
    world.answer_items(&[201, 429]);
    // The older one has joined the younger one, and counts.
    let due = world.delivery.save_due(world.now).unwrap();
    assert_eq!(due - world.start, Duration::from_secs(1));
    world.pass(due - world.now);
    assert_eq!(world.delivery.ledger().spooled, 2);
}

#[test]
fn fresh_documents_go_first_while_the_backlog_drains_from_its_oldest() {
    let mut world = World::plain(&with_spool(1 << 20));
    for _ in 0..30 {
        world.add();
        world.fail_next();
        world.pass(seconds(1.0));
    }
    world.pass(seconds(20.0));
    let ledger = world.delivery.ledger();
    assert_eq!((ledger.waiting, ledger.spooled), (30, 30));
    world.add();
    assert_eq!(world.send(), [30], "the one that is fresh");
    world.answer_items(&[201]);
    let mut drained = Vec::new();
    while drained.len() < 20 {
        let sent = world.send();
        world.answer_items(&vec![201; sent.len()]);
        drained.extend(sent);
    }
    world.add();
    assert_eq!(world.send(), [31], "before what is left of the backlog");
    world.answer_items(&[201]);
    while let Step::Send(bulk) = world.delivery.next(world.now) {
        drained.extend(numbers(&bulk));
        let documents = bulk.documents();
        drop(bulk);
        world.answer_items(&vec![201; documents]);
    }
    assert_eq!(drained, (0..30).collect::<Vec<u64>>(), "in order");
    assert!(world.delivery.ledger().all_taken());
}

#[test]
fn one_poison_document_among_a_thousand_is_buried_alone_without_a_request_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.ndjson");
    let mut recorder = recorder().dead_letter(&path);
    recorder.bulk.documents = 1000;
    let mut world = World::new(&recorder, 16 << 20, Files::System);
    for _ in 0..1000 {
        world.add();
    }
    assert_eq!(world.send().len(), 1000);
    let items: Vec<String> = (0..1000)
        .map(|number| match number {
            700 => r#"{"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"no \"n\""}}}"#,
            _ => r#"{"create":{"status":201}}"#,
        })
        .map(str::to_owned)
        .collect();
    world.answer(200, None, &format!("{{\"items\":[{}]}}", items.join(",")), 1000);
    assert!(matches!(world.delivery.next(world.now), Step::Wait(None)), "nothing is left");
    let ledger = world.delivery.ledger();
    assert_eq!((ledger.acked, ledger.dead_lettered, ledger.waiting), (999, 1, 0));
    let letters = std::fs::read_to_string(path).unwrap();
    assert_eq!(letters.lines().count(), 1);
    let letter: serde_json::Value = serde_json::from_str(&letters).unwrap();
    assert_eq!((letter["document"]["n"].as_u64(), letter["message"].as_str()), (Some(700), Some("no \"n\"")));
}

#[test]
fn a_full_or_broken_disk_leaves_memory_and_its_return_is_noticed() {
    let disk = simulated::Disk::default();
    let mut world = World::new(&with_spool(1 << 20), 20_000, Files::Simulated(disk.clone()));
    disk.fail_from(Some(0));
    for _ in 0..500 {
        world.add();
        world.pass(seconds(0.1));
    }
    let ledger = world.delivery.ledger();
    assert!(ledger.dropped.memory_limit > 0 && ledger.spooled == 0, "{ledger}");
    disk.fail_from(None);
    let before = ledger.dropped.total();
    world.pass(limits::SPOOL_RETRY);
    for _ in 0..500 {
        world.add();
        world.pass(seconds(0.1));
    }
    let ledger = world.delivery.ledger();
    assert_eq!(ledger.dropped.total(), before, "{ledger}");
    assert!(ledger.spooled > 500, "{ledger}");
}

#[test]
fn a_folder_that_cannot_be_opened_is_no_reason_not_to_start_and_is_tried_again() {
    let disk = simulated::Disk::default();
    let files = Files::Simulated(disk.clone());
    {
        let mut earlier = World::new(&with_spool(1 << 20), 1 << 20, files.clone());
        earlier.add();
        earlier.delivery.drain(earlier.now);
        earlier.delivery.give_up(earlier.now);
        assert_eq!(earlier.delivery.ledger().spooled, 1);
    }
    disk.fail_from(Some(0));
    let mut world = World::new(&with_spool(1 << 20), 1 << 20, files);
    assert_eq!(world.delivery.ledger().made, 0);
    let retry = world.delivery.save_due(world.now).unwrap();
    disk.fail_from(None);
    world.pass(retry - world.now);
    assert_eq!((world.delivery.ledger().made, world.delivery.ledger().recovered), (1, 1));
    assert_eq!(world.send(), [0]);
}

#[test]
fn what_waits_when_the_time_to_drain_is_over_is_spooled_or_counted() {
    for (recorder, spooled, dropped) in [(recorder(), 0, 3), (with_spool(1 << 20), 3, 0)] {
        let mut world = World::plain(&recorder);
        world.add();
        world.send();
        world.add();
        let key = DocumentKey { time: Timestamp::EPOCH, id: world.ids.next_id() };
        world.delivery.add(key, b"{}", world.now);
        world.delivery.drain(world.now);
        world.delivery.give_up(world.now);
        let ledger = world.delivery.ledger();
        assert_eq!((ledger.waiting, ledger.spooled, ledger.dropped.shutdown), (spooled, spooled, dropped));
        assert!(ledger.balances());
    }
}
