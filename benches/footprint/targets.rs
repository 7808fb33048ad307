//! The targets, and whether they are reached. A MB is 10^6 bytes.

use crate::{
    binaries::Binaries,
    idle::{Gap, Idle},
    load::{Load, Way},
    window::{Figures, float},
};

/// Everything that a target may look at.
pub(crate) struct Findings<'a> {
    pub(crate) binaries: &'a Binaries,
    pub(crate) figures: &'a [Figures],
    pub(crate) idle: &'a [Idle],
}

/// One line of the verdict.
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) limit: f64,
    pub(crate) found: f64,
    pub(crate) unit: &'static str,
}

impl Target {
    fn new(what: impl Into<String>, limit: f64, found: f64, unit: &'static str) -> Self {
        Self { what: what.into(), limit, found, unit }
    }

    pub(crate) fn is_met(&self) -> bool {
        self.found <= self.limit
    }
}

/// Those targets whose figures there are.
pub(crate) fn judge(findings: &Findings<'_>) -> Vec<Target> {
    let megabytes = |bytes: u64| float(bytes) / 1e6;
    let mut targets =
        vec![Target::new("binary with TLS and proxies", 5.2, megabytes(findings.binaries.full_bytes), "MB")];
    if let Some(bytes) = findings.binaries.plain_bytes {
        targets.push(Target::new("binary without TLS and proxies", 2.3, megabytes(bytes), "MB"));
    }
    for figures in findings.figures {
        of_scenario(figures, &mut targets);
    }
    // The first of them: the others differ in more than that.
    let first = |wanted: &dyn Fn(&Figures) -> bool| findings.figures.iter().find(|figures| wanted(figures));
    let more = |one: Option<&Figures>, other: Option<&Figures>| Some(other?.peak_megabytes() - one?.peak_megabytes());
    for (way, what) in [(Way::Number, ""), (Way::Tls, ", TLS")] {
        let peak = |readers: usize| first(&|figures| figures.load == Load::of(way) && figures.readers == readers);
        if let Some(more) = more(peak(1), peak(20)) {
            targets.push(Target::new(format!("VmHWM of 20 readers less that of 1{what}"), 0.3, more, "MB"));
        }
    }
    let with = |way: Way| first(&|figures| figures.load == Load::of(way) && figures.readers == 1);
    if let Some(more) = more(with(Way::Tls), with(Way::SystemTls)) {
        targets.push(Target::new("VmHWM with the system's CAs less that with ca_file", 0.3, more, "MB"));
    }
    for idle in findings.idle {
        if let Some(most) = idle.gaps.iter().map(Gap::wake_ups).max() {
            targets.push(Target::new(format!("{}: wake-ups between two ticks", idle.name), 0.0, float(most), ""));
        }
    }
    targets
}

/// At most. Of what has none, the issue of TLS and names asks nothing.
struct Limits {
    peak_megabytes: Option<f64>,
    threads: f64,
    first_document_ms: f64,
    /// CPU per document as a part of the floor's: of one reader, or of floor each.
    cpu: Option<f64>,
}

impl Limits {
    fn of(figures: &Figures) -> Self {
        let is_one = figures.readers == 1;
        let are_hundreds = figures.readers >= 100;
        match figures.load.way {
            Way::Number if are_hundreds => {
                Self { peak_megabytes: Some(10.0), threads: 3.0, first_document_ms: 500.0, cpu: None }
            }
            // One reader's, and as much more as twenty may take.
            Way::Number | Way::Proxy => Self {
                peak_megabytes: Some(if is_one { 4.5 } else { 4.8 }),
                threads: 3.0,
                first_document_ms: 50.0,
                cpu: Some(if is_one { 2.5 } else { 0.5 }),
            },
            Way::Name => Self { peak_megabytes: Some(4.7), threads: 1.0, first_document_ms: 15.0, cpu: Some(2.0) },
            // The floor compresses nothing.
            Way::Tls if figures.load.gzip => {
                Self { peak_megabytes: None, threads: 1.0, first_document_ms: 30.0, cpu: None }
            }
            Way::Tls => Self {
                peak_megabytes: Some(if is_one { 5.0 } else { 5.3 }),
                threads: 1.0,
                first_document_ms: 30.0,
                cpu: Some(if is_one { 2.0 } else { 0.3 }),
            },
            // Its memory is compared with that of the load before.
            Way::SystemTls => Self { peak_megabytes: None, threads: 1.0, first_document_ms: 30.0, cpu: Some(2.0) },
        }
    }
}

fn of_scenario(figures: &Figures, targets: &mut Vec<Target>) {
    let (name, program, limits) = (figures.name, &figures.program, Limits::of(figures));
    let mut add = |what: &str, limit, found, unit| {
        targets.push(Target::new(format!("{name}: {what}"), limit, found, unit));
    };
    if let Some(limit) = limits.peak_megabytes {
        add("VmHWM", limit, figures.peak_megabytes(), "MB");
    }
    add("threads", limits.threads, program.median(|window| float(window.threads as u64)), "");
    let first_ms = program.median(|window| window.first_document.as_secs_f64() * 1e3);
    add("first document after exec", limits.first_document_ms, first_ms, "ms");
    match limits.cpu {
        Some(limit) if figures.readers == 1 => {
            add("CPU per document, of the floor's", limit, program.cpu_ms() / figures.floor_same.cpu_ms(), "");
        }
        Some(limit) => {
            add("CPU per document, of floor each", limit, program.cpu_ms() / figures.floor_each.cpu_ms(), "");
        }
        None => {}
    }
}
