//! Counts wake-ups between two ticks, of which there should be none. A wake-up is a context switch of any thread.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    child::{Running, Subject},
    load::{Load, Way},
    procfs::{Sample, Work},
    servers::Loopback,
    window::Scenario,
};

const INTERVAL: Duration = Duration::from_secs(5);
/// What belongs to a tick is over by then.
const AFTER_TICK: Duration = Duration::from_secs(1);
const BEFORE_TICK: Duration = Duration::from_millis(500);
/// The moment of the second look, counted from the tick.
const LAST_LOOK: Duration = Duration::from_millis(4500);
const _: () = assert!(LAST_LOOK.as_millis() + BEFORE_TICK.as_millis() == INTERVAL.as_millis());

/// The work of each thread in one gap.
pub(crate) struct Gap(pub(crate) Vec<Work>);

impl Gap {
    pub(crate) fn wake_ups(&self) -> u64 {
        self.0.iter().map(|work| work.switches).sum()
    }
}

/// All gaps of a run.
pub(crate) struct Idle {
    pub(crate) name: &'static str,
    pub(crate) gaps: Vec<Gap>,
}

/// Watches a reader of 5 s between its ticks.
pub(crate) fn measure(loopback: &Loopback, binary: &Path, way: Way, gaps: usize) -> Outcome<Idle> {
    let sink = &loopback.servers(way)?.sink;
    thread::sleep(Duration::from_millis(100));
    sink.reset();
    let (name, load) = (if way.is_tls() { "1 reader, 5 s, TLS" } else { "1 reader, 5 s" }, Load::of(way));
    let subject = Subject::Program { binary: binary.to_owned(), load };
    let (settle, window) = (AFTER_TICK, INTERVAL);
    let scenario = Scenario { name, readers: 1, interval: INTERVAL, settle, window, load, restarts: false };
    let mut running = Running::start(&subject, &scenario, loopback)?;
    // The first tick belongs to the start: templates, version, first connections.
    let mut tick = Instant::now();
    let gaps = (0..=gaps)
        .map(|number| {
            let seen = sink.documents();
            if !sink.wait_beyond(seen, INTERVAL * 2) {
                return Err(format!("idle: no document came\nits log ends:\n{}", running.log_tail()).into());
            }
            if number > 0 {
                check_pace(tick.elapsed())?;
            }
            tick = Instant::now();
            thread::sleep(AFTER_TICK);
            let first = Sample::take(running.pid())?;
            thread::sleep((tick + LAST_LOOK).saturating_duration_since(Instant::now()));
            let second = Sample::take(running.pid())?;
            running.check_alive()?;
            Ok(Gap(second.since(&first)))
        })
        .skip(1)
        .collect::<Outcome<_>>()?;
    Ok(Idle { name, gaps })
}

/// A tick at another time would put work into the gap, or the gap into a tick.
fn check_pace(since: Duration) -> Outcome<()> {
    if since.abs_diff(INTERVAL) < BEFORE_TICK {
        return Ok(());
    }
    Err(format!("idle: two documents came {since:?} apart, not {INTERVAL:?}").into())
}
