//! An endpoint for tests that kill the program. Polls are numbered and their times are recorded, so that a test can tell which
//! documents a kill may have cost.
#![allow(dead_code, reason = "each test takes what it needs of it")]

use super::loopback::{Reply, Server};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// An endpoint that remembers when it was polled, and by which run of the program.
pub(crate) struct App {
    pub(crate) server: Server,
    polled: Arc<Mutex<Vec<Polled>>>,
    has_ended: Arc<AtomicBool>,
}

#[derive(Clone, Copy)]
struct Polled {
    at: Instant,
    run: usize,
}

/// A reason why polls of one run may have made no document. It covers the polls from `before` the moment `at` until `after` it
/// (or until the end of the run), and the last poll before that moment, whose answer may not have been read yet.
///
/// How long the program takes depends on the load of the machine, so that time is measured in its own polls: it has one thread,
/// and polls nothing while that is held up. Therefore `before` is counted back not from the moment itself, but from the poll that
/// was followed by `polls` others until then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doubt {
    pub(crate) run: usize,
    pub(crate) at: Instant,
    pub(crate) before: Duration,
    pub(crate) polls: usize,
    pub(crate) after: Option<Duration>,
}

/// A check value for a number, by which the test recognises a damaged document.
pub(crate) fn check_of(number: u64) -> String {
    format!("{:016x}", (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)).repeat(20)
}

impl App {
    pub(crate) fn start() -> Self {
        let polled = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&polled);
        let has_ended: Arc<AtomicBool> = Arc::default();
        let ended = Arc::clone(&has_ended);
        let server = Server::start(move |request| {
            if ended.load(Ordering::SeqCst) {
                return Reply::Full(503, String::new(), Vec::new());
            }
            let run = request.target.rsplit('=').next().and_then(|run| run.parse().ok()).expect("a run");
            let mut polled = noted.lock().expect("the times");
            let number = polled.len() as u64;
            polled.push(Polled { at: Instant::now(), run });
            Reply::ok(format!("{{\"poll_seq\":{number},\"check\":\"{}\"}}", check_of(number)))
        });
        Self { server, polled, has_ended }
    }

    /// From now on, polls get no values, and are not counted.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
    }

    pub(crate) fn polls(&self) -> u64 {
        self.polled.lock().expect("the times").len() as u64
    }

    pub(crate) fn polls_of(&self, run: usize) -> usize {
        self.polled.lock().expect("the times").iter().filter(|polled| polled.run == run).count()
    }

    /// The polls that may have made no document for one of these reasons.
    pub(crate) fn doubtful(&self, doubts: &[Doubt]) -> BTreeSet<u64> {
        let polled = self.polled.lock().expect("the times");
        let mut doubtful = BTreeSet::new();
        for doubt in doubts {
            let of_run = (0..).zip(polled.iter()).filter(|(_, polled)| polled.run == doubt.run);
            let mut earlier: Vec<(u64, Polled)> = of_run
                .clone()
                .filter(|(_, polled)| polled.at < doubt.at)
                .map(|(number, polled)| (number, *polled))
                .collect();
            doubtful.extend(earlier.last().map(|(number, _)| *number));
            earlier.truncate(earlier.len().saturating_sub(doubt.polls));
            // A run with fewer polls may not have saved anything.
            let moment = if doubt.polls == 0 { Some(doubt.at) } else { earlier.last().map(|(_, polled)| polled.at) };
            let near = of_run.filter(|(_, polled)| {
                moment.is_none_or(|moment| polled.at + doubt.before >= moment)
                    && doubt.after.is_none_or(|after| polled.at <= doubt.at + after)
            });
            doubtful.extend(near.map(|(number, _)| number));
        }
        doubtful
    }

    /// How old these were when the kill of their run came, oldest first.
    pub(crate) fn ages(&self, numbers: &[u64], kills: &[Instant]) -> Vec<(Duration, u64)> {
        let polled = self.polled.lock().expect("the times");
        let age = |&number: &u64| {
            let Polled { at, run } = polled[usize::try_from(number).expect("small")];
            kills.get(run).map(|kill| (kill.saturating_duration_since(at), number))
        };
        let mut ages: Vec<_> = numbers.iter().filter_map(age).collect();
        ages.sort_unstable_by(|one, other| other.cmp(one));
        ages
    }
}
