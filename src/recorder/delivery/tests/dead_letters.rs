//! Documents that the server refuses for good wait for their dead letters as others wait for the server.

use super::*;
use std::path::PathBuf;

/// A file of dead letters that cannot be made at first: another file stands where its folder is to be.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::write(place.0.path().join("folder"), "").unwrap();
        place
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("folder/dead.ndjson")
    }

    fn make(&self) {
        std::fs::remove_file(self.0.path().join("folder")).unwrap();
    }

    fn numbers(&self) -> Vec<u64> {
        let text = std::fs::read_to_string(self.path()).unwrap_or_default();
        let letters = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        letters.map(|letter| letter["document"]["n"].as_u64().unwrap()).collect()
    }
}

/// Sends whatever is due for so long; each document has its status. Gives how often each was sent.
fn exchange_for(world: &mut World, time: Duration, status: impl Fn(u64) -> u16) -> Vec<u64> {
    let (until, mut sent) = (world.now + time, Vec::new());
    while world.now < until {
        let mut pause = seconds(0.1);
        match world.delivery.next(world.now) {
            Step::Send(bulk) => {
                let numbers = numbers(&bulk);
                drop(bulk);
                world.answer_items(&numbers.iter().map(|number| status(*number)).collect::<Vec<u16>>());
                sent.extend(numbers);
                continue;
            }
            Step::Wait(Some(at)) => pause = pause.min(at - world.now),
            Step::Wait(None) => {}
            Step::Ended => panic!("it has not been told to end"),
        }
        world.pass(pause.max(Duration::from_millis(1)));
    }
    sent
}

#[test]
fn what_cannot_be_written_is_not_counted_and_waits_for_another_try() {
    for spool in [false, true] {
        let place = Place::new();
        let recorder = if spool { with_spool(1 << 20) } else { recorder() }.dead_letter(place.path());
        let mut world = World::plain(&recorder);
        (0..4).for_each(|_| world.add());
        assert_eq!(world.send(), [0, 1, 2, 3]);
        world.answer_items(&[201, 400, 429, 400]);
        let ledger = world.delivery.ledger();
        assert_eq!((ledger.acked, ledger.dead_lettered, ledger.waiting), (1, 0, 3));
        // The others go on meanwhile, and these are not tried too often.
        let status = |number| if matches!(number, 1 | 3) { 400 } else { 201 };
        let sent = exchange_for(&mut world, seconds(2.0), status);
        assert_eq!(sent, [2], "spool {spool}");
        world.add();
        assert_eq!(world.send(), [4]);
        world.answer_items(&[201]);
        let sent = exchange_for(&mut world, seconds(60.0), status);
        assert!((2 * 4..=2 * 8).contains(&sent.len()), "about every ten seconds: {sent:?}");
        let ledger = world.delivery.ledger();
        assert_eq!((ledger.waiting, ledger.spooled), (2, if spool { 2 } else { 0 }), "{ledger}");
        place.make();
        exchange_for(&mut world, seconds(13.0), status);
        assert_eq!(place.numbers(), [1, 3]);
        let ledger = world.delivery.ledger();
        assert_eq!((ledger.acked, ledger.dead_lettered, ledger.waiting), (3, 2, 0), "{ledger}");
    }
}

#[test]
fn the_server_may_take_it_after_all_and_another_configuration_may_have_no_letters() {
    let place = Place::new();
    let with_letters = recorder().dead_letter(place.path());
    let refused = || {
        let mut world = World::plain(&with_letters);
        world.add();
        world.send();
        world.answer_items(&[400]);
        assert_eq!(world.delivery.ledger().waiting, 1);
        world
    };
    let mut world = refused();
    exchange_for(&mut world, seconds(13.0), |_| 201);
    assert!(world.delivery.ledger().all_taken(), "{}", world.delivery.ledger());
    let mut world = refused();
    reload(&mut world, &recorder(), 1 << 20, Files::System);
    assert_eq!(world.send(), [0], "at once");
    world.answer_items(&[400]);
    assert_eq!((world.delivery.ledger().dead_lettered, world.delivery.ledger().waiting), (1, 0));
}

#[test]
fn what_waits_for_its_letter_is_on_disk_in_time_and_outlives_a_crash() {
    let (place, disk) = (Place::new(), simulated::Disk::default());
    let recorder = with_spool(1 << 20).dead_letter(place.path());
    let mut world = World::new(&recorder, 1 << 20, Files::Simulated(disk.clone()));
    (0..3).for_each(|_| world.add());
    world.send();
    world.answer_items(&[400, 201, 400]);
    let due = world.delivery.save_due(world.now).unwrap();
    world.pass(due - world.now);
    assert_eq!(world.delivery.ledger().spooled, 2);
    disk.crash(&mut fastrand::Rng::with_seed(1));
    place.make();
    let mut world = World::new(&recorder, 1 << 20, Files::Simulated(disk));
    exchange_for(&mut world, seconds(1.0), |_| 400);
    assert_eq!(place.numbers(), [0, 2]);
    assert_eq!((world.delivery.ledger().dead_lettered, world.delivery.ledger().waiting), (2, 0));
}

#[test]
fn those_that_have_to_go_have_a_way_out_of_their_own() {
    let place = Place::new();
    // For want of memory, of room on disk, and at the end.
    for (spool, documents, spool_full) in [(false, 200, false), (true, 400, true), (false, 3, false)] {
        let recorder = if spool { with_spool(64 << 10) } else { recorder() }.dead_letter(place.path());
        let memory_bytes_max = if spool { 1 << 20 } else { 30_000 };
        let mut world = World::new(&recorder, memory_bytes_max, Files::Simulated(simulated::Disk::default()));
        for _ in 0..documents {
            world.add_sized(400);
            exchange_for(&mut world, seconds(0.3), |_| 400);
        }
        let ledger = world.delivery.ledger();
        let dropped = ledger.dropped;
        assert_eq!(dropped.dead_letter_unwritable > 0, documents > 3, "{ledger}");
        assert_eq!(dropped.total(), dropped.dead_letter_unwritable, "{dropped:?}");
        assert_eq!(spool_full, ledger.spooled > 0);
        world.delivery.drain(world.now);
        world.delivery.give_up(world.now);
        let ledger = world.delivery.ledger();
        assert_eq!((ledger.waiting, ledger.dropped.shutdown), (ledger.spooled, 0), "{ledger}");
        assert_eq!(ledger.dropped.total(), ledger.dropped.dead_letter_unwritable);
        assert_eq!((ledger.made, ledger.dead_lettered), (documents, 0));
    }
}

#[test]
fn a_flood_of_them_keeps_neither_others_that_were_refused_nor_the_backlog() {
    for spool in [false, true] {
        let place = Place::new();
        let recorder = if spool { with_spool(1 << 20) } else { recorder() }.dead_letter(place.path());
        let mut world = World::plain(&recorder);
        // Nine of ten are refused for good, the others for now.
        for _ in 0..300 {
            world.add();
            exchange_for(&mut world, seconds(0.1), |number| if number % 10 == 0 { 429 } else { 400 });
        }
        let sent = exchange_for(&mut world, seconds(40.0), |number| if number % 10 == 0 { 201 } else { 400 });
        let ledger = world.delivery.ledger();
        assert_eq!((ledger.acked, ledger.waiting), (30, 270), "spool {spool}: {ledger}");
        assert!(sent.len() < 30 + 270 * 10, "{} tries", sent.len());
        place.make();
        exchange_for(&mut world, seconds(60.0), |_| 400);
        assert_eq!(place.numbers().into_iter().collect::<BTreeSet<u64>>().len(), 270);
        assert_eq!((place.numbers().len(), world.delivery.ledger().waiting), (270, 0));
    }
}
