//! How many lines an outage is worth.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts log lines.
struct Counting(AtomicUsize);

impl tracing::Subscriber for &'static Counting {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn an_hour_of_outage_takes_at_most_twenty_lines() {
    for (recorder, memory_bytes_max) in [(recorder(), 64 << 10), (with_spool(64 << 10), 64 << 10)] {
        let lines: &'static Counting = Box::leak(Box::new(Counting(AtomicUsize::new(0))));
        let ledger = tracing::subscriber::with_default(lines, || {
            let mut world = World::new(&recorder, memory_bytes_max, Files::Simulated(simulated::Disk::default()));
            for _ in 0..3600 {
                world.add();
                while let Step::Send(bulk) = world.delivery.next(world.now) {
                    let documents = bulk.documents();
                    drop(bulk);
                    // What differs each time: a message with the time in it.
                    let time = (world.now - world.start).as_secs_f64();
                    let body = format!(r#"{{"error":{{"type":"t","reason":"not at {time}"}}}}"#);
                    world.answer(503, None, &body, documents);
                }
                world.pass(seconds(1.0));
            }
            world.delivery.flush(world.now);
            while let Step::Send(bulk) = world.delivery.next(world.now) {
                let documents = bulk.documents();
                drop(bulk);
                world.answer_items(&vec![201; documents]);
            }
            world.delivery.ledger()
        });
        let logged = lines.0.load(Ordering::SeqCst);
        assert!(ledger.dropped.total() > 0 && ledger.waiting == 0, "{ledger}");
        assert!((3..=20).contains(&logged), "{logged} lines");
    }
}
