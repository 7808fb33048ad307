//! The targets, and whether they are reached. A MB is 10^6 bytes.

use crate::{
    binaries::Binaries,
    idle::Gap,
    window::{Figures, float},
};

/// Everything that a target may look at.
pub(crate) struct Findings<'a> {
    pub(crate) binaries: &'a Binaries,
    pub(crate) figures: &'a [Figures],
    pub(crate) gaps: &'a [Gap],
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
    let mut targets = vec![Target::new("binary with TLS", 6.0, megabytes(findings.binaries.full_bytes), "MB")];
    if let Some(bytes) = findings.binaries.plain_bytes {
        targets.push(Target::new("binary without TLS", 2.2, megabytes(bytes), "MB"));
    }
    for figures in findings.figures {
        of_scenario(figures, &mut targets);
    }
    let peak = |readers: usize| {
        // The first of them: the others differ in more than that.
        let figures = findings.figures.iter().find(|figures| figures.readers == readers)?;
        Some(figures.peak_megabytes())
    };
    if let (Some(one), Some(twenty)) = (peak(1), peak(20)) {
        targets.push(Target::new("VmHWM of 20 readers less that of 1", 0.3, twenty - one, "MB"));
    }
    if let Some(most) = findings.gaps.iter().map(Gap::wake_ups).max() {
        targets.push(Target::new("wake-ups between two ticks", 0.0, float(most), ""));
    }
    targets
}

fn of_scenario(figures: &Figures, targets: &mut Vec<Target>) {
    let name = figures.name;
    let program = &figures.program;
    let mut add = |what: &str, limit, found, unit| {
        targets.push(Target::new(format!("{name}: {what}"), limit, found, unit));
    };
    // One reader's, and as much more as twenty may take.
    add("VmHWM with TLS", if figures.readers == 1 { 4.5 } else { 4.8 }, figures.peak_megabytes(), "MB");
    add("threads", 3.0, program.median(|window| float(window.threads as u64)), "");
    add("first document after exec", 50.0, program.median(|window| window.first_document.as_secs_f64() * 1e3), "ms");
    if figures.readers == 1 {
        add("CPU per document, of the floor's", 2.5, program.cpu_ms() / figures.floor_same.cpu_ms(), "");
    } else {
        add("CPU per document, of floor each", 0.5, program.cpu_ms() / figures.floor_each.cpu_ms(), "");
    }
}
