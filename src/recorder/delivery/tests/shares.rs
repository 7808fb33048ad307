//! While the server is slower than documents arrive, all lanes get their turns.

use super::*;

/// A server that takes so long for a bulk that a fresh document comes meanwhile, and what it has been sent.
struct Slow {
    world: World,
    sent: Vec<Vec<u64>>,
}

impl Slow {
    /// Answers so many bulks; each document has its status.
    fn answer(&mut self, bulks: usize, status: impl Fn(u64) -> u16) {
        for _ in 0..bulks {
            self.world.add();
            let Step::Send(bulk) = self.world.delivery.next(self.world.now) else { panic!("a fresh one waits") };
            let numbers = numbers(&bulk);
            drop(bulk);
            self.world.pass(seconds(0.2));
            self.world.add();
            let statuses: Vec<u16> = numbers.iter().map(|number| status(*number)).collect();
            self.world.answer_items(&statuses);
            self.sent.push(numbers);
        }
    }

    /// Places among the bulks that were sent of those with such documents.
    fn places(&self, of: impl Fn(u64) -> bool) -> Vec<usize> {
        let places = self.sent.iter().enumerate();
        places.filter(|(_, numbers)| numbers.iter().any(|number| of(*number))).map(|(place, _)| place).collect()
    }
}

/// No bulk of these is more than so many behind the one before.
fn assert_apart(places: &[usize], most: usize) {
    let apart = places.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(places[0] < most && apart.is_none_or(|apart| apart <= most), "{places:?}");
}

fn with_backlog(documents: u64) -> Slow {
    let files = Files::Simulated(simulated::Disk::default());
    let mut earlier = World::new(&with_spool(1 << 20), 1 << 20, files.clone());
    (0..documents).for_each(|_| earlier.add());
    earlier.delivery.drain(earlier.now);
    earlier.delivery.give_up(earlier.now);
    let mut world = World::new(&with_spool(1 << 20), 1 << 20, files);
    (world.made, world.ids) = (documents, IdSource::new([6; 9]));
    Slow { world, sent: Vec::new() }
}

#[test]
fn of_four_bulks_one_is_of_the_backlog_on_disk() {
    let mut slow = with_backlog(300);
    slow.answer(200, |_| 201);
    let places = slow.places(|number| number < 300);
    assert_eq!(places.len(), 30, "whole bulks");
    assert_apart(&places, 4);
    let old: Vec<u64> = places.iter().flat_map(|place| slow.sent[*place].clone()).collect();
    assert_eq!(old, (0..300).collect::<Vec<u64>>(), "in order");
    assert_eq!(slow.places(|number| number >= 300)[..3], [0, 1, 2], "fresh ones first");
}

#[test]
fn documents_that_were_refused_one_by_one_are_tried_again_beside_fresh_ones() {
    for recorder in [recorder(), with_spool(1 << 20)] {
        let mut slow = Slow { world: World::plain(&recorder), sent: Vec::new() };
        // All are refused, again and again.
        slow.answer(40, |_| 429);
        let refused = slow.world.made;
        slow.sent.clear();
        slow.answer(200, |_| 201);
        let places = slow.places(|number| number < refused - 2);
        assert!(places.last().is_some_and(|last| *last < 100), "{places:?}");
        let stored: BTreeSet<u64> = slow.sent.concat().into_iter().collect();
        assert!((0..slow.world.made - 2).all(|number| stored.contains(&number)), "{}", slow.world.delivery.ledger());
    }
}

#[test]
fn neither_the_refused_ones_nor_the_backlog_keep_each_other_from_their_turns() {
    let mut slow = with_backlog(1000);
    // Every third of the backlog goes into an index that is blocked, and so do some of the fresh ones.
    slow.answer(500, |number| if number % 3 == 0 { 429 } else { 201 });
    slow.sent.clear();
    let status = |number: u64| if number.is_multiple_of(3) && number < 1200 { 429 } else { 201 };
    slow.answer(1000, status);
    let stored: BTreeSet<u64> = slow.sent.concat().into_iter().filter(|number| status(*number) == 201).collect();
    let kept_out = (1200..1480).filter(|number| number % 3 == 0 && !stored.contains(number)).count();
    assert_eq!(kept_out, 0, "what was refused for a while is stored, though others are refused all the time");
    let ledger = slow.world.delivery.ledger();
    assert!(ledger.waiting <= 400 + 20, "{ledger}");
}

#[test]
fn a_blocked_index_keeps_no_other_refused_document_waiting_for_long() {
    for recorder in [recorder(), with_spool(1 << 20)] {
        let mut world = World::plain(&recorder);
        // Forty bulks for an index that is blocked, and one document behind them that was refused once.
        for _ in 0..400 {
            world.add();
        }
        world.add();
        let (start, mut stored_at, mut was_refused) = (world.now, None, false);
        while stored_at.is_none() {
            match world.delivery.next(world.now) {
                Step::Send(bulk) => {
                    let numbers = numbers(&bulk);
                    drop(bulk);
                    let status = |number: &u64| if *number < 400 || !was_refused { 429 } else { 201 };
                    let statuses: Vec<u16> = numbers.iter().map(status).collect();
                    was_refused |= numbers.contains(&400);
                    world.answer_items(&statuses);
                    stored_at = statuses.contains(&201).then_some(world.now);
                }
                Step::Wait(Some(until)) => world.pass(until - world.now),
                other => panic!("{other:?}"),
            }
        }
        let waited = stored_at.unwrap() - start;
        assert!(waited < seconds(60.0), "{waited:?}: a second for each bulk, not ten");
    }
}
