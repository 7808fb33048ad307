//! Measures one process under one load for some time: its costs, and whether it did its work.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    app::App,
    child::{Running, Subject},
    floor::{Floor, Pattern},
    procfs::{Sample, Work},
    sink::{Sink, Tally},
};

/// How long a process may take to its first document before the bench gives up.
const FIRST_DOCUMENT_MAX: Duration = Duration::from_secs(10);

/// Before and within the window of a start that is made for its memory: a few ticks.
const START_TIME: Duration = Duration::from_secs(1);

/// A load.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) readers: usize,
    pub(crate) interval: Duration,
    pub(crate) settle: Duration,
    pub(crate) window: Duration,
    /// Whether the server is known by a name, which wants another client than a number does.
    pub(crate) by_name: bool,
}

/// Both servers.
pub(crate) struct Loopback {
    pub(crate) app: App,
    pub(crate) sink: Sink,
}

/// What was measured.
pub(crate) struct Window {
    pub(crate) documents: u64,
    pub(crate) bulks: u64,
    pub(crate) body_bytes: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) cpu: Duration,
    pub(crate) work: Vec<Work>,
    pub(crate) reader_connections: u64,
    pub(crate) sink_connections: u64,
    pub(crate) first_document: Duration,
    pub(crate) peak_kb: u64,
    pub(crate) anonymous_kb: u64,
    pub(crate) threads: usize,
}

/// The windows of one subject, one per round.
#[derive(Default)]
pub(crate) struct Windows(pub(crate) Vec<Window>);

/// All windows of a scenario.
pub(crate) struct Figures {
    pub(crate) name: &'static str,
    pub(crate) readers: usize,
    pub(crate) program: Windows,
    /// Empty with one reader, where it is the same as the other.
    pub(crate) floor_each: Windows,
    pub(crate) floor_same: Windows,
    /// Further starts of the program, for its memory.
    pub(crate) starts: Windows,
}

impl Loopback {
    pub(crate) fn start(readers: usize) -> Outcome<Self> {
        Ok(Self { app: App::start(readers)?, sink: Sink::start()? })
    }
}

impl Windows {
    /// The middle one of a figure over the rounds.
    pub(crate) fn median(&self, figure: impl Fn(&Window) -> f64) -> f64 {
        median(self.0.iter().map(figure).collect())
    }

    pub(crate) fn cpu_ms(&self) -> f64 {
        self.median(Window::cpu_ms_per_document)
    }

    pub(crate) fn documents(&self) -> u64 {
        self.0.iter().map(|window| window.documents).sum()
    }
}

impl Window {
    pub(crate) fn cpu_ms_per_document(&self) -> f64 {
        self.per_document(self.cpu.as_secs_f64() * 1e3)
    }

    pub(crate) fn switches_per_document(&self) -> f64 {
        self.per_document(float(self.work.iter().map(|work| work.switches).sum()))
    }

    pub(crate) fn per_document(&self, amount: f64) -> f64 {
        amount / float(self.documents)
    }
}

impl Figures {
    /// Program and floors take turns, so that none of them has the quiet minutes for itself. Then the program is started so
    /// many times more, for its memory.
    pub(crate) fn collect(
        loopback: &Loopback,
        binary: &Path,
        scenario: &Scenario,
        rounds: usize,
        starts: usize,
    ) -> Outcome<Self> {
        let mut figures = Self {
            name: scenario.name,
            readers: scenario.readers,
            program: Windows::default(),
            floor_each: Windows::default(),
            floor_same: Windows::default(),
            starts: Windows::default(),
        };
        let subject = Subject::Program { binary: binary.to_owned(), by_name: scenario.by_name };
        for _ in 0..rounds {
            let program = measure(loopback, &subject, scenario)?;
            let document_bytes = program.body_bytes / program.documents.max(1);
            figures.program.0.push(program);
            let floor = |pattern| {
                Subject::Floor(Floor {
                    pattern,
                    interval: scenario.interval,
                    document_bytes: usize::try_from(document_bytes).unwrap_or(usize::MAX),
                    sink: loopback.sink.port,
                    readers: loopback.app.ports[..scenario.readers].to_vec(),
                })
            };
            if scenario.readers > 1 {
                figures.floor_each.0.push(measure(loopback, &floor(Pattern::Each), scenario)?);
            }
            figures.floor_same.0.push(measure(loopback, &floor(Pattern::Same), scenario)?);
        }
        let short = Scenario { settle: START_TIME, window: START_TIME, ..*scenario };
        for _ in 0..starts {
            figures.starts.0.push(measure(loopback, &subject, &short)?);
        }
        Ok(figures)
    }

    /// Peak memory of each process of the program, kB.
    pub(crate) fn peaks_kb(&self) -> impl Iterator<Item = u64> {
        self.program.0.iter().chain(&self.starts.0).map(|window| window.peak_kb)
    }

    /// The middle one of them, MB.
    pub(crate) fn peak_megabytes(&self) -> f64 {
        median(self.peaks_kb().map(|kb| float(kb * 1024) / 1e6).collect())
    }

    /// Those that were measured, by the names the report gives them.
    pub(crate) fn by_name(&self) -> impl Iterator<Item = (&'static str, &Windows)> {
        let floor = if self.readers == 1 { "floor (each = same)" } else { Pattern::Same.name() };
        [("expvastic", &self.program), (Pattern::Each.name(), &self.floor_each), (floor, &self.floor_same)]
            .into_iter()
            .filter(|(_, windows)| !windows.0.is_empty())
    }
}

/// Starts the subject, lets it settle, measures, checks, and ends it.
pub(crate) fn measure(loopback: &Loopback, subject: &Subject, scenario: &Scenario) -> Outcome<Window> {
    let ports = &loopback.app.ports[..scenario.readers];
    // The last requests of a client that was killed before are through by then.
    thread::sleep(Duration::from_millis(100));
    loopback.sink.reset();
    let before = (loopback.app.polls(), loopback.app.connections());
    let mut running = Running::start(subject, scenario.interval, ports, loopback.sink.port)?;
    let result = observe(loopback, subject, scenario, &mut running, before);
    result.map_err(|error| format!("{}: {error}\nits log ends:\n{}", scenario.name, running.log_tail()).into())
}

/// A moment between two ticks, seen from both servers and from the kernel.
struct Moment {
    sample: Sample,
    tally: Tally,
    polls: u64,
    connections: u64,
}

fn observe(
    loopback: &Loopback,
    subject: &Subject,
    scenario: &Scenario,
    running: &mut Running,
    before: (u64, u64),
) -> Outcome<Window> {
    if !loopback.sink.wait_beyond(0, FIRST_DOCUMENT_MAX) {
        running.check_alive()?;
        return Err("no document came".into());
    }
    thread::sleep(scenario.settle);
    wait_for_quiet(loopback, subject, scenario)?;
    let moment = |running: &Running| -> Outcome<Moment> {
        Ok(Moment {
            sample: Sample::take(running.pid())?,
            tally: loopback.sink.tally(),
            polls: loopback.app.polls() - before.0,
            connections: loopback.app.connections() - before.1,
        })
    };
    let end = Instant::now() + scenario.window;
    let first = moment(running)?;
    thread::sleep(end.saturating_duration_since(Instant::now()));
    let second = moment(running)?;
    running.check_alive()?;
    check(subject, scenario, &first, &second)?;
    Ok(window(running, &first, &second))
}

/// Half way between two exchanges nothing is under way: counts agree and no thread is on a CPU.
fn wait_for_quiet(loopback: &Loopback, subject: &Subject, scenario: &Scenario) -> Outcome<()> {
    let spread = match subject {
        Subject::Floor(floor) if floor.pattern == Pattern::Each => u32::try_from(scenario.readers)?,
        _ => 1,
    };
    if !loopback.sink.wait_beyond(loopback.sink.documents(), scenario.interval * 3) {
        return Err("documents stopped coming".into());
    }
    thread::sleep(scenario.interval / spread / 2);
    Ok(())
}

fn window(running: &Running, first: &Moment, second: &Moment) -> Window {
    let work = second.sample.since(&first.sample);
    let (old, new) = (&first.tally, &second.tally);
    Window {
        documents: new.documents - old.documents,
        bulks: new.bulks - old.bulks,
        body_bytes: new.bulk_body_bytes - old.bulk_body_bytes,
        bytes_received: new.bytes_received - old.bytes_received,
        bytes_sent: new.bytes_sent - old.bytes_sent,
        cpu: work.iter().map(|work| work.cpu).sum(),
        work,
        reader_connections: second.connections,
        sink_connections: new.connections,
        first_document: new.first.map_or(Duration::MAX, |first| first.saturating_duration_since(running.started)),
        peak_kb: second.sample.peak_kb,
        anonymous_kb: second.sample.anonymous_kb,
        threads: second.sample.threads.len(),
    }
}

/// A figure of a program that lost, repeated or invented documents would mean nothing.
fn check(subject: &Subject, scenario: &Scenario, first: &Moment, second: &Moment) -> Outcome<()> {
    let (old, new) = (&first.tally, &second.tally);
    let tick = scenario.readers as u64;
    let documents = new.documents - old.documents;
    let expected = tick * u64::try_from(scenario.window.as_millis() / scenario.interval.as_millis())?;
    // One tick may be under way at either end.
    ensure(documents.abs_diff(expected) <= tick, || format!("{documents} documents came, {expected} were due"))?;
    for (moment, tally) in [(first, old), (second, new)] {
        let (polls, documents) = (moment.polls, tally.documents);
        ensure(polls.abs_diff(documents) <= tick, || format!("{polls} polls were served, {documents} documents came"))?;
    }
    ensure(new.problems.is_empty(), || format!("a server would have refused: {}", new.problems.join("; ")))?;
    let opened = (second.connections - first.connections) + (new.connections - old.connections);
    ensure(opened == 0, || format!("{opened} connections were opened in the window instead of reused"))?;
    let readers = second.connections;
    ensure((tick..=2 * tick).contains(&readers), || format!("{readers} connections to {tick} endpoints"))?;
    ensure((1..=4).contains(&new.connections), || format!("{} connections to the server", new.connections))?;
    check_cpu(first, second)?;
    match subject {
        Subject::Program { .. } => check_documents(new),
        Subject::Floor(_) => Ok(()),
    }
}

/// The sum over threads misses those that ended; the kernel's coarse sum does not.
fn check_cpu(first: &Moment, second: &Moment) -> Outcome<()> {
    let fine: Duration = second.sample.since(&first.sample).iter().map(|work| work.cpu).sum();
    let coarse = second.sample.ticks.saturating_sub(first.sample.ticks);
    let tolerance = Duration::from_millis(40) + coarse / 10;
    ensure(fine.abs_diff(coarse) <= tolerance, || {
        format!("threads used {fine:?} of CPU, the process {coarse:?}: did a thread end?")
    })
}

/// Every document is one of ours, once, and a strict parser reads it.
fn check_documents(tally: &Tally) -> Outcome<()> {
    let (documents, distinct) = (tally.documents, tally.counters.len() as u64);
    ensure(tally.repeated == 0 && distinct == documents, || {
        format!("{documents} documents, but {distinct} polls are in them and {} twice", tally.repeated)
    })?;
    let body = std::str::from_utf8(&tally.first_body)?;
    let document: serde_json::Value = serde_json::from_str(body.lines().nth(1).unwrap_or_default())?;
    for name in ["@timestamp", "service.name", "host.name", "memstats.HeapAlloc", "memstats.GCCPUFraction"] {
        ensure(document.get(name).is_some(), || format!("the first document lacks {name}"))?;
    }
    Ok(())
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome<()> {
    if holds { Ok(()) } else { Err(otherwise().into()) }
}

/// The middle one.
fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    let middle = all.len() / 2;
    match all.len() {
        0 => f64::NAN,
        count if count % 2 == 0 => f64::midpoint(all[middle - 1], all[middle]),
        _ => all[middle],
    }
}

/// Counts and sizes here are far below 2^53.
#[allow(clippy::cast_precision_loss, reason = "counts and sizes here are far below 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
