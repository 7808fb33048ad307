//! Ends a process whose one thread hangs while it is ending: a system call on a disk or a network file system may never
//! return.
//!
//! The watchdog is a second thread that exists only while the process is ending. It waits until the time for that is
//! over, then logs what was last known and exits. The library never starts one, because its host must go on.

use crate::clock;
use crate::limits;
use crate::metrics::Ledger;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Each recorder's name and ledger.
type Ledgers = Vec<(String, Ledger)>;

/// Ends the process if it does not end by itself.
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
}

struct Shared {
    /// As they were when the main thread last did something.
    ledgers: Mutex<Ledgers>,
    /// The number of a signal that asks the process to end and that the main thread has not noticed yet; 0 is none.
    pending_stop: Arc<AtomicUsize>,
}

impl Watchdog {
    pub(crate) fn new(pending_stop: Arc<AtomicUsize>) -> Self {
        Self { shared: Arc::new(Shared { ledgers: Mutex::default(), pending_stop }) }
    }

    /// The process has `limit` to end.
    pub(crate) fn begin(&self, limit: Duration, ledgers: Ledgers) {
        self.update(ledgers);
        let (shared, start) = (Arc::clone(&self.shared), clock::now());
        let thread = std::thread::Builder::new().name("watchdog".to_owned());
        // If the thread cannot be started, the process ends all the same, unless it hangs.
        if let Err(error) = thread.spawn(move || shared.watch(start, limit)) {
            tracing::debug!("cannot start the watchdog thread: {error}");
        }
    }

    /// Updates what is logged if the process hangs.
    pub(crate) fn update(&self, ledgers: Ledgers) {
        *self.shared.ledgers.lock().unwrap_or_else(PoisonError::into_inner) = ledgers;
    }
}

impl Shared {
    fn watch(&self, start: Instant, limit: Duration) {
        let reason = self.reason_to_end(start, limit);
        tracing::error!("{reason}: exiting; the ledger may be out of date");
        for (recorder, ledger) in &*self.ledgers.lock().unwrap_or_else(PoisonError::into_inner) {
            ledger.log(recorder);
        }
        std::process::exit(1);
    }

    fn reason_to_end(&self, start: Instant, limit: Duration) -> String {
        let mut pending_since = None;
        loop {
            std::thread::sleep(limits::WATCHDOG_LOOK);
            let elapsed = clock::now().duration_since(start);
            if elapsed >= limit.saturating_add(limits::SHUTDOWN_GRACE) {
                return format!("shutdown_timeout ({limit:?}) expired while a system call hangs (a disk?)");
            }
            if self.pending_stop.load(Ordering::SeqCst) == 0 {
                pending_since = None;
            } else if elapsed < limits::SAME_SIGNAL {
                // So early it counts as the same signal as the first.
                self.pending_stop.store(0, Ordering::SeqCst);
            } else if *pending_since.get_or_insert(elapsed) + limits::SIGNAL_HEARD <= elapsed {
                return "a second signal was received while a system call hangs (a disk?)".to_owned();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::log::Log;
    use std::process::{Command, Output};

    const CONFIG: &str = "readers: {r: {type: self, type_name: r}}\nrecorders: {es: {endpoint: \"h:1\"}}\n\
                          routes: {r: {readers: [r], recorders: [es]}}\n";
    /// Says to a test process that it is the one that hangs, and for how long it may.
    const ROLE: &str = "EXPVASTIC_TEST_HANGS_WITHIN_MS";

    fn waiting(documents: u64) -> Ledgers {
        vec![("es".to_owned(), Ledger { made: documents, waiting: documents, ..Ledger::default() })]
    }

    /// The one that hangs.
    fn hang(limit: Duration) {
        let config = Config::parse("test", CONFIG, &|_| None).unwrap();
        let _log = Log::start(config.logged());
        let pending_stop = Arc::new(AtomicUsize::new(0));
        let watchdog = Watchdog::new(Arc::clone(&pending_stop));
        watchdog.begin(limit, waiting(1));
        watchdog.update(waiting(7));
        loop {
            std::thread::sleep(Duration::from_millis(10));
            // A signal comes again and again, and nobody hears it.
            pending_stop.store(15, Ordering::SeqCst);
        }
    }

    fn run(test: &str, limit: Duration) -> Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env(ROLE, limit.as_millis().to_string());
        command.output().unwrap()
    }

    #[test]
    fn a_process_that_hangs_ends_with_what_was_known_last() {
        if let Ok(limit) = std::env::var(ROLE) {
            hang(Duration::from_millis(limit.parse().unwrap()));
        }
        let this = "watchdog::tests::a_process_that_hangs_ends_with_what_was_known_last";
        let begin = clock::now();
        for (limit, reason) in [
            (Duration::ZERO, "shutdown_timeout (0ns) expired while a system call hangs"),
            (Duration::from_secs(3600), "a second signal was received while a system call hangs"),
        ] {
            let output = run(this, limit);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains(reason) && said.contains("ledger: made 7 = acked 0"), "{said}");
        }
        // Within a second of the first a signal is the same one, and then it may still be heard.
        assert!(clock::now() >= begin + limits::SHUTDOWN_GRACE + limits::SAME_SIGNAL + limits::SIGNAL_HEARD);
    }
}
