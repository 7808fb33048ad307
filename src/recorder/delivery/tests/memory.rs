//! `settings.memory_limit` counts documents, in bulks of any size.

use super::*;

/// What holds documents while they come.
#[derive(Debug, Clone, Copy)]
enum Server {
    /// It refuses each request.
    Overloaded,
    /// It never answers.
    Hung,
    /// It refuses each document for now.
    Refusing,
    /// It takes a bulk now and then.
    Slow,
}

const SERVERS: [Server; 4] = [Server::Overloaded, Server::Hung, Server::Refusing, Server::Slow];

fn exchange(world: &mut World, server: Server) {
    if matches!(server, Server::Hung) && world.made > 1 {
        return;
    }
    if let Step::Send(bulk) = world.delivery.next(world.now) {
        let documents = bulk.documents();
        drop(bulk);
        match server {
            Server::Overloaded => world.answer(503, None, "", documents),
            Server::Hung => {}
            Server::Refusing => world.answer_items(&vec![429; documents]),
            Server::Slow => world.answer_items(&vec![201; documents]),
        }
    }
}

/// Fills the memory until the first documents are dropped. Gives the bytes of documents that waited just before, with
/// their action lines, and the number of those that made room.
fn fill(recorder: &Recorder, memory_bytes_max: usize, document_bytes: usize, server: Server) -> (usize, u64) {
    let mut world = World::new(recorder, memory_bytes_max, Files::Simulated(simulated::Disk::default()));
    let action_bytes = r#"{"create":{"_index":"i","_id":"AAAAAAAAAAAAAAAAAAAA"}}"#.len() + 2;
    loop {
        let before = world.delivery.ledger();
        world.add_sized(document_bytes - r#"{"n":}"#.len() - world.made.to_string().len());
        let ledger = world.delivery.ledger();
        if ledger.dropped.total() > 0 {
            let waiting = usize::try_from(before.waiting).unwrap();
            return (waiting * (document_bytes + action_bytes), ledger.dropped.memory_limit);
        }
        let is_turn = !matches!(server, Server::Slow) || world.made.is_multiple_of(3);
        if is_turn {
            exchange(&mut world, server);
        }
        world.pass(Duration::from_millis(10));
    }
}

#[test]
fn memory_is_full_of_documents_before_the_first_is_dropped() {
    for (memory_bytes_max, sizes) in [(512 << 10, &[300, 4_000, 40_000][..]), (8 << 20, &[4_000, 40_000, 400_000])] {
        for (documents, bytes) in [(1, 1 << 20), (10, 1 << 20), (500, 1 << 20), (500, 16 << 10), (10, 50_000)] {
            let mut recorder = recorder();
            (recorder.bulk.documents, recorder.bulk.bytes) = (documents, bytes);
            for (size, server) in sizes.iter().flat_map(|size| SERVERS.map(|server| (*size, server))) {
                if matches!(server, Server::Slow) && documents > 1 {
                    // It would never be full.
                    continue;
                }
                let (held, dropped) = fill(&recorder, memory_bytes_max, size, server);
                let percent = held * 100 / memory_bytes_max;
                let what =
                    format!("{documents} documents, {bytes} bytes, of {size} each, {memory_bytes_max}, {server:?}");
                // A document more would not have fit.
                let least = 94 - 100 * size / memory_bytes_max;
                assert!((least..=100).contains(&percent), "{percent} %: {what}");
                assert!(dropped * size as u64 <= memory_bytes_max as u64 / 8, "{dropped} documents made room: {what}");
            }
        }
    }
}

#[test]
fn what_a_server_that_is_back_takes_is_freed_again() {
    for documents in [1, 500] {
        let mut recorder = recorder();
        recorder.bulk.documents = documents;
        let mut world = World::new(&recorder, 512 << 10, Files::System);
        for _ in 0..3 {
            while world.delivery.ledger().dropped.total() == 0 && world.delivery.ledger().waiting < 800 {
                world.add_sized(300);
            }
            world.delivery.flush(world.now);
            while let Step::Send(bulk) = world.delivery.next(world.now) {
                let documents = bulk.documents();
                drop(bulk);
                world.answer_items(&vec![201; documents]);
            }
            let ledger = world.delivery.ledger();
            assert_eq!((ledger.waiting, ledger.dropped.total()), (0, 0), "{ledger}");
        }
    }
}
