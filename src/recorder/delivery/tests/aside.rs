//! Bulks that fail as a whole, again and again.

use super::*;

/// Lets time pass until something can be sent; its numbers.
fn next(world: &mut World) -> Vec<u64> {
    for _ in 0..100 {
        match world.delivery.next(world.now) {
            Step::Send(bulk) => return numbers(&bulk),
            Step::Wait(Some(until)) => world.pass(until - world.now),
            other => panic!("{other:?}"),
        }
    }
    panic!("nothing is ever sent")
}

/// A server fails with each bulk that holds `poison`, as `status` and `body` say, and takes the others. The documents that it
/// has after some exchanges, a second each; others come meanwhile.
fn taken(world: &mut World, poison: u64, status: u16, body: &str, exchanges: usize) -> BTreeSet<u64> {
    let mut taken = BTreeSet::new();
    for exchange in 0..exchanges {
        let sent = next(world);
        if sent.contains(&poison) {
            world.answer(status, None, body, sent.len());
        } else {
            taken.extend(&sent);
            world.answer_items(&vec![201; sent.len()]);
        }
        if exchange % 2 == 0 {
            world.add();
        }
        world.pass(seconds(1.0));
    }
    taken
}

#[test]
fn what_a_server_fails_with_waits_alone_and_the_others_are_taken() {
    for (status, body) in
        [(200, "<html>"), (200, ""), (500, ""), (400, ""), (403, ""), (429, ""), (503, ""), (200, "{\"items\":[")]
    {
        for spool in [None, Some(1 << 20)] {
            let mut recorder = spool.map_or_else(recorder, with_spool);
            recorder.backoff = 5;
            let mut world = World::plain(&recorder);
            // A whole bulk, of which one document is poison.
            (0..8).for_each(|_| world.add());
            let taken = taken(&mut world, 3, status, body, 80);
            let ledger = world.delivery.ledger();
            let expected: Vec<u64> = (0..world.made).filter(|number| *number != 3).collect();
            let missing: Vec<&u64> = expected.iter().take(20).filter(|number| !taken.contains(number)).collect();
            assert!(missing.is_empty(), "{status} {body:?} {spool:?}: {missing:?} are missing, {ledger}");
            assert_eq!(ledger.dead_lettered + ledger.dropped.total(), 0, "nobody said that it will never be taken");
            assert!(!taken.contains(&3) && ledger.waiting > 0);
            // It is taken when the server has been mended.
            for _ in 0..20 {
                let sent = next(&mut world);
                world.answer_items(&vec![201; sent.len()]);
                if world.delivery.ledger().waiting == 0 {
                    break;
                }
            }
            assert!(world.delivery.ledger().all_taken(), "{status} {body:?}: {}", world.delivery.ledger());
        }
    }
}

#[test]
fn a_bulk_that_is_alone_is_halved_when_it_fails_again_and_again() {
    let mut world = World::plain(&recorder());
    (0..8).for_each(|_| world.add());
    let mut taken = BTreeSet::new();
    for _ in 0..40 {
        let sent = next(&mut world);
        if sent.contains(&3) {
            world.answer(500, None, "", sent.len());
        } else {
            taken.extend(&sent);
            world.answer_items(&vec![201; sent.len()]);
        }
    }
    assert_eq!(taken, BTreeSet::from([0, 1, 2, 4, 5, 6, 7]));
}

#[test]
fn a_page_for_everything_takes_no_document_and_few_requests() {
    let mut world = World::plain(&recorder());
    world.add();
    let (mut exchanges, hour) = (0, world.start + seconds(3600.0));
    while world.now < hour {
        let sent = next(&mut world);
        world.answer(200, None, "<html>", sent.len());
        exchanges += 1;
        if exchanges % 20 == 0 {
            world.add();
        }
    }
    let ledger = world.delivery.ledger();
    assert_eq!((ledger.waiting, ledger.made), (world.made, world.made), "{ledger}");
    assert!((300..600).contains(&exchanges), "one in ten seconds: {exchanges}");
    while world.delivery.ledger().waiting > 0 {
        let sent = next(&mut world);
        world.answer_items(&vec![201; sent.len()]);
    }
    assert!(world.delivery.ledger().all_taken());
}
