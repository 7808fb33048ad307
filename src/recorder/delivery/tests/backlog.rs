//! What waits on disk, and what of it is in memory: whole segments come and go, and refused documents hold up no
//! others.

use super::*;
use std::path::Path;

/// Sends whatever is to be sent for so long, pauses included; each document has its status.
fn exchange_for(world: &mut World, time: Duration, status: impl Fn(u64) -> u16) -> BTreeSet<u64> {
    let (until, mut taken) = (world.now + time, BTreeSet::new());
    while world.now < until {
        let mut pause = seconds(0.2);
        match world.delivery.next(world.now) {
            Step::Send(bulk) => {
                let numbers = numbers(&bulk);
                drop(bulk);
                let statuses: Vec<u16> = numbers.iter().map(|number| status(*number)).collect();
                taken.extend(numbers.iter().filter(|number| status(**number) < 300));
                let error = r#""error":{"type":"cluster_block_exception","reason":"blocked"},"#;
                let item = |status: &u16| {
                    let error = if *status < 300 { "" } else { error };
                    format!("{{\"create\":{{{error}\"status\":{status}}}}}")
                };
                let items: Vec<String> = statuses.iter().map(item).collect();
                world.answer(200, None, &format!("{{\"items\":[{}]}}", items.join(",")), statuses.len());
                continue;
            }
            Step::Wait(Some(at)) => pause = pause.min(at - world.now),
            Step::Wait(None) => {}
            Step::Ended => panic!("it has not been told to end"),
        }
        world.pass(pause.max(Duration::from_millis(1)));
    }
    taken
}

fn with_backlog(documents: u64, memory_bytes_max: usize) -> World {
    with_backlog_on(&simulated::Disk::default(), documents, memory_bytes_max)
}

/// A recorder whose spool holds so many documents that an earlier process has left.
fn with_backlog_on(disk: &simulated::Disk, documents: u64, memory_bytes_max: usize) -> World {
    let (files, mut recorder) = (Files::Simulated(disk.clone()), with_spool(1 << 20));
    recorder.bulk.documents = 500;
    let mut earlier = World::new(&recorder, 1 << 20, files.clone());
    (0..documents).for_each(|_| earlier.add());
    earlier.delivery.drain(earlier.now);
    earlier.delivery.give_up(earlier.now);
    assert_eq!(earlier.delivery.ledger().spooled, documents);
    let mut world = World::new(&recorder, memory_bytes_max, files);
    (world.made, world.ids) = (documents, IdSource::new([6; 9]));
    assert_eq!(world.delivery.ledger().recovered, documents);
    world
}

#[test]
fn a_blocked_index_keeps_nothing_else_on_disk() {
    // Segments of 500 documents: the first is blocked, and every third document of the others.
    let mut world = with_backlog(2500, 1 << 20);
    let is_blocked = |number: u64| number < 500 || number.is_multiple_of(3);
    let taken = exchange_for(&mut world, seconds(60.0), |number| if is_blocked(number) { 403 } else { 201 });
    let expected: BTreeSet<u64> = (0..2500).filter(|number| !is_blocked(*number)).collect();
    assert!(taken == expected, "{} of {}", taken.len(), expected.len());
    let ledger = world.delivery.ledger();
    let blocked = 2500 - expected.len() as u64;
    assert_eq!((ledger.waiting, ledger.spooled, ledger.acked), (blocked, blocked, expected.len() as u64));
    let taken = exchange_for(&mut world, seconds(60.0), |_| 201);
    assert_eq!(taken.len() as u64, blocked);
    let ledger = world.delivery.ledger();
    assert_eq!((ledger.acked, ledger.duplicate, ledger.made), (2500, 0, 2500), "each once");
}

#[test]
fn documents_that_are_refused_in_memory_wait_beside_the_backlog_and_neither_keeps_the_other() {
    let mut world = with_backlog(1500, 1 << 20);
    world.add();
    let taken = exchange_for(&mut world, seconds(0.9), |number| if number == 1500 { 429 } else { 201 });
    assert_eq!(taken, (0..1500).collect(), "the one that is refused is younger");
    let taken = exchange_for(&mut world, seconds(0.9), |number| if number == 1500 { 201 } else { 429 });
    assert_eq!(taken, BTreeSet::from([1500]));
    assert!(world.delivery.ledger().all_taken());
}

#[test]
fn a_segment_that_cannot_be_read_keeps_nothing_else_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = recorder().spool(folder.path(), 1 << 20, Duration::from_secs(1));
    recorder.bulk.documents = 500;
    let mut earlier = World::new(&recorder, 1 << 20, Files::System);
    (0..1500).for_each(|_| earlier.add());
    earlier.delivery.drain(earlier.now);
    earlier.delivery.give_up(earlier.now);
    drop(earlier);
    let second = folder.path().join("0000000001.sums");
    std::fs::remove_file(&second).unwrap();
    std::fs::create_dir(&second).unwrap();
    let mut world = World::new(&recorder, 1 << 20, Files::System);
    // All that can be read is refused for a while, so that it waits behind what was never refused.
    exchange_for(&mut world, seconds(30.0), |_| 429);
    let taken = exchange_for(&mut world, 20 * limits::SPOOL_RETRY, |_| 201);
    let unreadable = std::fs::read_to_string(folder.path().join("0000000001.ndjson")).unwrap();
    let expected: BTreeSet<u64> =
        (0..1500).filter(|number| !unreadable.contains(&format!("{{\"n\":{number}}}"))).collect();
    assert!(taken == expected && expected.len() < 1500, "{} of {}", taken.len(), expected.len());
}

#[test]
fn while_all_is_refused_the_pauses_grow_whatever_is_on_disk() {
    let mut world = with_backlog(2000, 1 << 20);
    let mut tries = vec![0_u32; 2000];
    let until = world.now + seconds(600.0);
    while world.now < until {
        match world.delivery.next(world.now) {
            Step::Send(bulk) => {
                let sent = numbers(&bulk);
                drop(bulk);
                for number in &sent {
                    tries[usize::try_from(*number).unwrap()] += 1;
                }
                world.answer_items(&vec![429; sent.len()]);
            }
            Step::Wait(Some(until)) => world.pass(until - world.now),
            other => panic!("{other:?}"),
        }
    }
    // About every ten seconds in the end, each.
    assert!(
        tries.iter().all(|tries| (30..100).contains(tries)),
        "{:?} to {:?}",
        tries.iter().min(),
        tries.iter().max()
    );
    assert_eq!(world.delivery.ledger().spooled, 2000);
}

#[test]
fn less_memory_than_before_loses_nothing_that_is_on_disk() {
    for memory_bytes_max in [4_000, 10_000, 20_000] {
        // One segment, larger than some of these.
        let mut world = with_backlog(120, memory_bytes_max);
        let sent = world.send();
        world.answer_items(&vec![201; sent.len()]);
        // More come than fit, while some of the segment is in memory, is done, and is under way.
        for number in 0..300 {
            world.add();
            if number % 50 == 0 {
                let sent = world.send();
                world.answer_items(&vec![429; sent.len()]);
                world.pass(seconds(1.0));
            }
        }
        let ledger = world.delivery.ledger();
        assert_eq!(ledger.dropped.total(), 0, "{memory_bytes_max}: {ledger}");
        let taken = exchange_for(&mut world, seconds(60.0), |_| 201);
        assert_eq!(taken.len() + sent.len(), 420, "{memory_bytes_max}");
        let ledger = world.delivery.ledger();
        assert_eq!((ledger.acked, ledger.duplicate, ledger.waiting), (420, 0, 0), "{ledger}");
    }
}

#[test]
fn a_document_larger_than_the_disk_may_hold_costs_no_other_its_place() {
    let recorder = with_spool(64 << 10);
    let mut world = World::plain(&recorder);
    for number in 0..60 {
        if number == 30 {
            world.add_sized(100_000);
        } else {
            world.add();
        }
        world.fail_next();
        world.pass(seconds(0.5));
    }
    world.pass(seconds(1.0));
    let ledger = world.delivery.ledger();
    assert_eq!((ledger.waiting, ledger.spooled, ledger.dropped.total()), (60, 59, 0), "{ledger}");
    assert_eq!(world.delivery.save_due(world.now), None, "it is not tried again and again");
    reload(&mut world, &with_spool(1 << 20), 1 << 20, Files::Simulated(simulated::Disk::default()));
    world.pass(seconds(1.0));
    assert_eq!(world.delivery.ledger().spooled, 60, "there is room now");
    let taken = exchange_for(&mut world, seconds(60.0), |_| 201);
    assert_eq!(taken, (0..60).collect());
    assert!(world.delivery.ledger().all_taken());
}

#[test]
fn what_cannot_be_read_for_now_waits_and_comes_when_it_can() {
    let disk = simulated::Disk::default();
    let mut world = with_backlog_on(&disk, 1200, 1 << 20);
    disk.fail_reads(true);
    assert_eq!(world.pause(), limits::SPOOL_RETRY);
    world.add();
    assert_eq!(world.send(), [1200], "others go on");
    world.answer_items(&[201]);
    let ledger = world.delivery.ledger();
    assert_eq!((ledger.waiting, ledger.spooled, ledger.dropped.total()), (1200, 1200, 0), "{ledger}");
    world.pass(limits::SPOOL_RETRY);
    assert_eq!(world.pause(), limits::SPOOL_RETRY);
    disk.fail_reads(false);
    let taken = exchange_for(&mut world, limits::SPOOL_RETRY + seconds(1.0), |_| 201);
    assert_eq!(taken, (0..1200).collect());
    let ledger = world.delivery.ledger();
    assert_eq!((ledger.acked, ledger.made, ledger.recovered), (1201, 1201, 1200), "{ledger}");
}

#[test]
fn when_the_disk_is_full_the_oldest_go_whether_or_not_they_are_in_memory_too() {
    let recorder = with_spool(64 << 10);
    let mut world = World::plain(&recorder);
    let refuse = |world: &mut World| {
        while let Step::Send(bulk) = world.delivery.next(world.now) {
            let documents = bulk.documents();
            drop(bulk);
            world.answer_items(&vec![429; documents]);
        }
    };
    // The oldest are refused, wait on disk, and are in memory, as they are tried again now and then.
    for _ in 0..100 {
        world.add_sized(1_500);
        world.pass(seconds(0.5));
        refuse(&mut world);
    }
    let ledger = world.delivery.ledger();
    assert!(ledger.dropped.spool_full > 30 && ledger.dropped.total() == ledger.dropped.spool_full, "{ledger}");
    let taken = exchange_for(&mut world, seconds(60.0), |_| 201);
    assert_eq!(taken, (ledger.dropped.spool_full..100).collect(), "the newest are left");
}

#[test]
fn a_folder_full_of_damage_gives_others_their_turn() {
    let disk = simulated::Disk::default();
    let folder = Files::Simulated(disk.clone()).make(Path::new("spool")).unwrap();
    for number in 0..100 {
        folder.create(&format!("{number:010}.ndjson")).unwrap().append(b"no document\n").unwrap();
        folder.create(&format!("{number:010}.sums")).unwrap().append(b"0123456789abcdef\n").unwrap();
    }
    let mut world = World::new(&with_spool(1 << 20), 1 << 20, Files::Simulated(disk));
    world.add();
    assert_eq!(world.send(), [0]);
    world.answer_items(&[201]);
    let mut turns = 0;
    while let Step::Wait(Some(until)) = world.delivery.next(world.now) {
        assert_eq!(until, world.now, "it goes on at once");
        turns += 1;
    }
    assert!(turns >= 5, "{turns} turns");
    assert_eq!(world.delivery.ledger().dropped.damaged, 100);
}
