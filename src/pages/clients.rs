//! The clients that are connected to the status pages, and which of them has to go when there are too many. Pure but
//! for the wait.
//!
//! A probe must be answered whatever other clients do. So a new client takes the place of one that keeps us waiting,
//! once that one has had a moment to send its request. Until then new connections wait in the system's queue, with what
//! they have sent.

use crate::clock;
use crate::descriptors;
use crate::event_loop;
use crate::limits;
use smol::Task;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

/// The state of a client. Clients in the states that come first are closed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Gone,
    /// It has not sent its whole request.
    Asking,
    /// It has been sent the whole answer, and has not closed the connection.
    Leaving,
    /// It is reading its answer.
    Answered,
}

/// The number of clients that are served at once if the process may have this many descriptors.
pub(super) fn clients_max(descriptors: usize) -> usize {
    (descriptors / 8).clamp(limits::PAGE_CONNECTIONS_MIN, limits::PAGE_CONNECTIONS_MAX)
}

/// The clients, oldest first.
#[derive(Debug, Default)]
pub(super) struct Clients {
    list: RefCell<Vec<Client>>,
}

#[derive(Debug)]
struct Client {
    since: Instant,
    stage: Rc<Cell<Stage>>,
    /// Closes the connection when it is dropped.
    task: Task<()>,
}

impl Clients {
    /// Completes when there is room for one more.
    pub(super) async fn make_room(&self) {
        while let Some(until) = self.full_until(clock::now()) {
            event_loop::sleep_until(until).await;
        }
    }

    pub(super) fn enter(&self, now: Instant, spawn: impl FnOnce(Rc<Cell<Stage>>) -> Task<()>) {
        let stage = Rc::new(Cell::new(Stage::Asking));
        let task = spawn(Rc::clone(&stage));
        self.list.borrow_mut().push(Client { since: now, stage, task });
    }

    /// Closes the connection that can best be spared, if one has been there for long enough.
    pub(super) fn close_one(&self, now: Instant) {
        let mut list = self.list.borrow_mut();
        let has_had_its_time = |client: &Client| client.since + limits::PAGE_CLIENT_TIME_MIN <= now;
        let ripe = list.iter().enumerate().filter(|(_, client)| has_had_its_time(client));
        let spared = ripe.min_by_key(|(place, client)| (client.stage.get(), *place)).map(|(place, _)| place);
        let closed = spared.map(|place| list.remove(place));
        drop(list);
        drop(closed.map(|client| client.task));
    }

    /// Until when there is no room; replaces a client if possible.
    fn full_until(&self, now: Instant) -> Option<Instant> {
        self.list.borrow_mut().retain(|client| client.stage.get() != Stage::Gone);
        let max = clients_max(descriptors::limit());
        if self.list.borrow().len() >= max {
            self.close_one(now);
        }
        let list = self.list.borrow();
        let oldest = list.first().filter(|_| list.len() >= max)?;
        Some(oldest.since + limits::PAGE_CLIENT_TIME_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::LocalExecutor;

    /// Clients at these stages, one a time step, the last of them now.
    fn clients(executor: &LocalExecutor<'_>, now: Instant, stages: &[Stage]) -> Clients {
        let clients = Clients::default();
        for (place, &stage) in stages.iter().enumerate() {
            let age = limits::PAGE_CLIENT_TIME_MIN * u32::try_from(stages.len() - 1 - place).unwrap();
            clients.enter(now.checked_sub(age).unwrap(), |own| {
                own.set(stage);
                executor.spawn(std::future::pending())
            });
        }
        clients
    }

    fn stages(clients: &Clients) -> Vec<Stage> {
        clients.list.borrow().iter().map(|client| client.stage.get()).collect()
    }

    #[test]
    fn the_oldest_that_has_not_asked_has_to_go_first() {
        use Stage::{Answered, Asking, Leaving};

        let (executor, now) = (LocalExecutor::new(), clock::now());
        let clients = clients(&executor, now, &[Answered, Leaving, Asking, Answered, Asking]);
        for left in [
            &[Answered, Leaving, Answered, Asking][..],
            // The last one has only just come.
            &[Answered, Answered, Asking],
            &[Answered, Asking],
            &[Asking],
            &[Asking],
        ] {
            clients.close_one(now);
            assert_eq!(stages(&clients), left);
        }
        clients.close_one(now + limits::PAGE_CLIENT_TIME_MIN);
        assert_eq!(stages(&clients), []);
    }

    #[test]
    fn those_that_have_gone_are_not_counted_and_new_ones_have_their_time() {
        let (executor, now) = (LocalExecutor::new(), clock::now());
        let max = clients_max(descriptors::limit());
        let clients = clients(&executor, now, &vec![Stage::Asking; max]);
        assert_eq!(clients.full_until(now), None, "the oldest has been replaced");
        assert_eq!(clients.list.borrow().len(), max - 1);
        let young = self::clients(&executor, now, &[]);
        for _ in 0..max {
            young.enter(now, |_| executor.spawn(std::future::pending()));
        }
        assert_eq!(young.full_until(now), Some(now + limits::PAGE_CLIENT_TIME_MIN));
        young.list.borrow()[3].stage.set(Stage::Gone);
        assert_eq!(young.full_until(now), None);
        assert_eq!(young.list.borrow().len(), max - 1);
    }
}
