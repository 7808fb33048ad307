//! Measures one process under one load for some time: its costs, and whether it did its work.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    child::{Running, Subject},
    floor::{Floor, Pattern},
    load::Load,
    procfs::{Sample, Work},
    servers::{Loopback, Servers},
    sink::Tally,
};

/// How long a process may take to its first document before the bench gives up.
const FIRST_DOCUMENT_MAX: Duration = Duration::from_secs(10);

/// Before and within the window of a start that is made for its memory: a few ticks.
const START_TIME: Duration = Duration::from_secs(1);

/// To the server, of one subject: one for bulks, and others for what it asks at the start.
const SINK_CONNECTIONS_MAX: u64 = 4;

/// A load.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) readers: usize,
    pub(crate) interval: Duration,
    pub(crate) settle: Duration,
    pub(crate) window: Duration,
    pub(crate) load: Load,
    /// Whether the sink closes its connections half way through the window, as if it were started again.
    pub(crate) restarts: bool,
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
    /// TLS handshakes since the start: full ones, and those that resumed a session.
    pub(crate) handshakes: (u64, u64),
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
    pub(crate) load: Load,
    pub(crate) program: Windows,
    /// Empty with one reader, where it is the same as the other.
    pub(crate) floor_each: Windows,
    pub(crate) floor_same: Windows,
    /// Further starts of the program, for its memory.
    pub(crate) starts: Windows,
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
            load: scenario.load,
            program: Windows::default(),
            floor_each: Windows::default(),
            floor_same: Windows::default(),
            starts: Windows::default(),
        };
        let subject = Subject::Program { binary: binary.to_owned(), load: scenario.load };
        let (way, servers) = (scenario.load.way, loopback.servers(scenario.load.way)?);
        let host = if way.has_name() { loopback.name.host } else { "127.0.0.1" };
        for _ in 0..rounds {
            let program = measure(loopback, &subject, scenario)?;
            let document_bytes = program.body_bytes / program.documents.max(1);
            figures.program.0.push(program);
            let floor = |pattern| {
                Subject::Floor(Floor {
                    pattern,
                    interval: scenario.interval,
                    document_bytes: usize::try_from(document_bytes).unwrap_or(usize::MAX),
                    host: host.to_owned(),
                    ca_file: loopback.ca_file().filter(|_| way.is_tls()).map(Path::to_owned),
                    sink: servers.sink.port,
                    readers: servers.app.ports[..scenario.readers].to_vec(),
                })
            };
            if scenario.readers > 1 {
                figures.floor_each.0.push(measure(loopback, &floor(Pattern::Each), scenario)?);
            }
            figures.floor_same.0.push(measure(loopback, &floor(Pattern::Same), scenario)?);
        }
        let short = Scenario { settle: START_TIME, window: START_TIME, restarts: false, ..*scenario };
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
    let servers = loopback.servers(scenario.load.way)?;
    // The last requests of a client that was killed before are through by then.
    thread::sleep(Duration::from_millis(100));
    servers.sink.reset();
    let before = Counts::of(loopback, servers);
    let mut running = Running::start(subject, scenario, loopback)?;
    let result = observe(&Observed { loopback, servers, subject, scenario, before }, &mut running);
    result.map_err(|error| format!("{}: {error}\nits log ends:\n{}", scenario.name, running.log_tail()).into())
}

/// What the servers count over all subjects.
struct Counts {
    polls: u64,
    connections: u64,
    handshakes: (u64, u64),
}

impl Counts {
    fn of(loopback: &Loopback, servers: &Servers) -> Self {
        let app = &servers.app;
        Self { polls: app.polls(), connections: app.connections(), handshakes: loopback.handshakes() }
    }
}

/// Who is measured, and from where.
struct Observed<'o> {
    loopback: &'o Loopback,
    servers: &'o Servers,
    subject: &'o Subject,
    scenario: &'o Scenario,
    before: Counts,
}

/// A moment between two ticks, seen from both servers and from the kernel.
struct Moment {
    sample: Sample,
    tally: Tally,
    /// Since the start of the subject.
    counts: Counts,
}

impl Moment {
    fn now(observed: &Observed<'_>, running: &Running) -> Outcome<Self> {
        let (now, before) = (Counts::of(observed.loopback, observed.servers), &observed.before);
        let (full, resumed) = now.handshakes;
        Ok(Self {
            sample: Sample::take(running.pid())?,
            tally: observed.servers.sink.tally(),
            counts: Counts {
                polls: now.polls - before.polls,
                connections: now.connections - before.connections,
                handshakes: (full - before.handshakes.0, resumed - before.handshakes.1),
            },
        })
    }
}

fn observe(observed: &Observed<'_>, running: &mut Running) -> Outcome<Window> {
    let (scenario, sink) = (observed.scenario, &observed.servers.sink);
    if !sink.wait_beyond(0, FIRST_DOCUMENT_MAX) {
        running.check_alive()?;
        return Err("no document came".into());
    }
    thread::sleep(scenario.settle);
    wait_for_quiet(observed)?;
    let start = Instant::now();
    let first = Moment::now(observed, running)?;
    if scenario.restarts {
        // Between two ticks, as both ends of the window are.
        let ticks = scenario.window.as_millis() / scenario.interval.as_millis() / 2;
        let restart = start + scenario.interval * u32::try_from(ticks)?;
        thread::sleep(restart.saturating_duration_since(Instant::now()));
        sink.hang_up();
    }
    thread::sleep((start + scenario.window).saturating_duration_since(Instant::now()));
    let second = Moment::now(observed, running)?;
    running.check_alive()?;
    check(observed.subject, scenario, &first, &second)?;
    Ok(window(running, &first, &second))
}

/// Half way between two exchanges nothing is under way: counts agree and no thread is on a CPU.
fn wait_for_quiet(observed: &Observed<'_>) -> Outcome<()> {
    let (scenario, sink) = (observed.scenario, &observed.servers.sink);
    let spread = match observed.subject {
        Subject::Floor(floor) if floor.pattern == Pattern::Each => u32::try_from(scenario.readers)?,
        _ => 1,
    };
    if !sink.wait_beyond(sink.documents(), scenario.interval * 3) {
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
        reader_connections: second.counts.connections,
        sink_connections: new.connections,
        handshakes: second.counts.handshakes,
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
    // One tick may be under way at either end. Others collect documents, and poll when they like.
    let tolerance = if matches!(subject, Subject::Peer { .. }) { 2 * tick } else { tick };
    ensure(documents > 0 && documents.abs_diff(expected) <= tolerance, || {
        format!("{documents} documents came, {expected} were due")
    })?;
    if matches!(subject, Subject::Peer { .. }) {
        return Ok(());
    }
    for (moment, tally) in [(first, old), (second, new)] {
        let (polls, documents) = (moment.counts.polls, tally.documents);
        ensure(polls.abs_diff(documents) <= tick, || format!("{polls} polls were served, {documents} documents came"))?;
    }
    ensure(new.problems.is_empty(), || format!("a server would have refused: {}", new.problems.join("; ")))?;
    check_connections(scenario, first, second)?;
    check_cpu(first, second)?;
    match subject {
        Subject::Program { load, .. } => {
            let (compressed, bulks) = (new.compressed, new.bulks);
            ensure(compressed == if load.gzip { bulks } else { 0 }, || {
                format!("{compressed} of {bulks} bulks were compressed")
            })?;
            check_documents(new)
        }
        Subject::Peer { .. } | Subject::Floor(_) => Ok(()),
    }
}

/// Connections are kept, and opened again only after a restart: then TLS resumes its sessions.
fn check_connections(scenario: &Scenario, first: &Moment, second: &Moment) -> Outcome<()> {
    let tick = scenario.readers as u64;
    let of_readers = second.counts.connections - first.counts.connections;
    let of_sink = second.tally.connections - first.tally.connections;
    let to_sink = if scenario.restarts { 1..=SINK_CONNECTIONS_MAX } else { 0..=0 };
    ensure(of_readers == 0 && to_sink.contains(&of_sink), || {
        format!("{of_readers} connections to endpoints and {of_sink} to the server were opened in the window")
    })?;
    let (readers, sink) = (second.counts.connections, second.tally.connections - of_sink);
    ensure((tick..=2 * tick).contains(&readers), || format!("{readers} connections to {tick} endpoints"))?;
    ensure((1..=SINK_CONNECTIONS_MAX).contains(&sink), || format!("{sink} connections to the server"))?;
    let full = second.counts.handshakes.0 - first.counts.handshakes.0;
    ensure(full == 0, || format!("{full} sessions were not resumed"))
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
