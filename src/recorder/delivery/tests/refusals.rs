//! Documents that wait until a person has fixed something.

use super::*;

/// Answers what is sent now: each document has the status and the type of its error, or neither.
fn answer(world: &mut World, errors: &[(u16, &str)]) {
    let item = |(status, kind): &(u16, &str)| {
        format!("{{\"create\":{{\"status\":{status},\"error\":{{\"type\":\"{kind}\",\"reason\":\"r\"}}}}}}")
    };
    let items: Vec<String> = errors.iter().map(item).collect();
    world.answer(200, None, &format!("{{\"items\":[{}]}}", items.join(",")), errors.len());
}

const FORBIDDEN: (u16, &str) = (403, "security_exception");
const NO_INDEX: (u16, &str) = (404, "index_not_found_exception");
const BUSY: (u16, &str) = (429, "es_rejected_execution_exception");

#[test]
fn what_a_person_has_to_fix_is_tried_at_the_slow_pace_and_delays_no_other() {
    let mut world = World::plain(&recorder());
    world.add();
    assert_eq!(world.send(), [0]);
    answer(&mut world, &[FORBIDDEN]);
    let pause = world.pause();
    assert!(pause >= limits::PROBE_INTERVAL.mul_f64(0.7), "{pause:?}");
    // Fresh ones go out all the same, and join it if they fare no better.
    world.add();
    assert_eq!(world.send(), [1]);
    answer(&mut world, &[NO_INDEX]);
    world.add();
    assert_eq!(world.send(), [2]);
    world.answer_items(&[201]);
    assert_eq!(world.pause(), pause);
    world.pass(pause);
    assert_eq!(world.send(), [0, 1]);
    world.answer_items(&[201, 201]);
    assert_eq!((world.delivery.ledger().acked, world.delivery.ledger().dead_lettered), (3, 0));
}

#[test]
fn what_passes_by_itself_sets_the_pace_for_those_beside_it() {
    for order in [[BUSY, FORBIDDEN], [FORBIDDEN, BUSY]] {
        let mut world = World::plain(&recorder());
        let keys = [0, 1].map(|_| DocumentKey { time: Timestamp::EPOCH, id: world.ids.next_id() });
        for key in keys {
            world.delivery.add(key, b"{\"n\":0}", world.now);
        }
        world.delivery.seal(world.now);
        assert_eq!(world.send(), [0, 0]);
        answer(&mut world, &order);
        let pause = world.pause();
        assert!(pause <= limits::RETRY_DELAY_MIN, "{order:?}: {pause:?}");
    }
}
