//! What waits when another configuration takes over.

use super::*;

#[test]
fn another_configuration_goes_on_with_what_waits_in_its_own_portions_and_at_once() {
    let mut world = World::plain(&recorder());
    for _ in 0..8 {
        world.add();
    }
    world.send();
    world.answer(503, Some(Duration::from_secs(300)), "", 8);
    let mut smaller = recorder();
    smaller.bulk.documents = 3;
    reload(&mut world, &smaller, 1 << 20, Files::System);
    for portion in [&[0, 1, 2][..], &[3, 4, 5], &[6, 7]] {
        assert_eq!(world.send(), portion, "the pause was another server's");
        world.answer_items(&vec![201; portion.len()]);
    }
    assert!(world.delivery.ledger().all_taken());
}

#[test]
fn what_was_under_way_when_the_configuration_changed_is_sent_again() {
    let mut world = World::plain(&recorder());
    world.add();
    assert_eq!(world.send(), [0]);
    reload(&mut world, &recorder(), 1 << 20, Files::System);
    world.add();
    assert!(world.delivery.cancel_sending(world.now) && !world.delivery.cancel_sending(world.now));
    assert_eq!(world.send(), [0, 1]);
    world.answer_items(&[409, 201]);
    let ledger = world.delivery.ledger();
    assert_eq!((ledger.made, ledger.acked, ledger.duplicate), (2, 1, 1));
}

#[test]
fn a_spool_that_is_new_takes_what_waits_and_less_memory_moves_it_there() {
    let disk = simulated::Disk::default();
    let mut world = World::new(&recorder(), 64 << 20, Files::System);
    for _ in 0..200 {
        world.add();
    }
    world.send();
    world.answer(503, None, "", 10);
    reload(&mut world, &with_spool(1 << 20), 4_000, Files::Simulated(disk.clone()));
    let ledger = world.delivery.ledger();
    assert_eq!((ledger.waiting, ledger.dropped.total()), (200, 0), "{ledger}");
    assert!(ledger.spooled > 100 && disk.used() > 0, "{ledger}");

    let mut world = World::new(&recorder(), 64 << 20, Files::System);
    for _ in 0..200 {
        world.add();
    }
    world.send();
    world.answer(503, None, "", 10);
    reload(&mut world, &recorder(), 4_000, Files::System);
    let ledger = world.delivery.ledger();
    assert!(ledger.dropped.memory_limit > 100 && ledger.waiting + ledger.dropped.memory_limit == 200, "{ledger}");
}

#[test]
fn one_that_was_about_to_end_goes_on() {
    let mut world = World::plain(&recorder());
    world.add();
    world.delivery.drain(world.now);
    reload(&mut world, &recorder(), 1 << 20, Files::System);
    assert_eq!(world.send(), [0]);
    world.answer_items(&[201]);
    assert!(matches!(world.delivery.next(world.now), Step::Wait(None)));
}
