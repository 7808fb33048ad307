//! Writes the tables to standard output, and appends them to a file if that is requested.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use crate::{
    Outcome,
    binaries::Binaries,
    idle::Idle,
    machine,
    names::Name,
    options::Options,
    targets::Target,
    window::{Figures, Scenario, Window, Windows, float},
};

/// Widths of the columns of the main table, and their heads.
const COLUMNS: [(&str, usize); 12] = [
    ("load", 22),
    ("who", 22),
    ("CPU ms/doc", 10),
    ("(each round)", 24),
    ("switches/doc", 12),
    ("VmHWM kB", 8),
    ("RssAnon kB", 10),
    ("threads", 7),
    ("B/doc to server + back", 22),
    ("docs/POST", 9),
    ("connections", 11),
    ("first doc ms", 12),
];

/// Collects what it prints.
pub(crate) struct Report {
    text: String,
}

impl Report {
    /// Says what was measured where, and begins the main table.
    pub(crate) fn begin(options: &Options, binaries: &Binaries, name: &Name, payload_bytes: usize) -> Self {
        let mut report = Self { text: String::new() };
        for line in machine::heading() {
            report.line(&line);
        }
        report.line(&format!("- `{}`", options.command()));
        let plain = binaries.plain_bytes.map_or_else(String::new, |bytes| format!(", {bytes} without TLS"));
        report.line(&format!("- stripped release binary: {} bytes with TLS{plain}", binaries.full_bytes));
        report.line(&format!("- payload: {payload_bytes} bytes, Go's, chunked; servers and clients on one loopback"));
        report.line(&format!(
            "- names: `{}`, {}; bytes on the wire are those of HTTP, before TLS",
            name.host, name.resolved
        ));
        report.line("");
        report.row(&COLUMNS.map(|(head, _)| head.to_owned()));
        report.row(&COLUMNS.map(|(_, width)| "-".repeat(width)));
        report
    }

    /// Program and floors of a scenario.
    pub(crate) fn rows<'a>(&mut self, all: impl IntoIterator<Item = &'a Figures>) {
        for figures in all {
            for (who, windows) in figures.by_name() {
                self.windows(figures.name, who, windows);
            }
        }
    }

    /// The build without TLS.
    pub(crate) fn plain_row(&mut self, scenario: &Scenario, window: &Window) {
        let cpu_ms = window.cpu_ms_per_document();
        let rounds = format!("{cpu_ms:.3}");
        self.row(&cells(scenario.name, "expvastic without TLS", cpu_ms, rounds, |figure| figure(window)));
    }

    fn windows(&mut self, load: &str, who: &str, windows: &Windows) {
        let rounds: Vec<String> =
            windows.0.iter().map(|window| format!("{:.3}", window.cpu_ms_per_document())).collect();
        self.row(&cells(load, who, windows.cpu_ms(), rounds.join(" "), |figure| windows.median(figure)));
    }

    /// Peak memory of each process of the program.
    pub(crate) fn peaks(&mut self, all: &[Figures]) {
        self.line("");
        self.line("VmHWM of each start, kB, in order of size. The targets below look at the middle one.");
        self.line("");
        for figures in all {
            let mut peaks: Vec<u64> = figures.peaks_kb().collect();
            peaks.sort_unstable();
            let each: Vec<String> = peaks.iter().map(u64::to_string).collect();
            self.line(&format!("- {}: {}", figures.name, each.join(", ")));
        }
    }

    /// Which thread does the work, and how often it is woken for it.
    pub(crate) fn threads(&mut self, all: &[Figures]) {
        self.line("");
        self.line("Per document and thread, last round: CPU and context switches.");
        self.line("");
        for figures in all {
            for (who, windows) in figures.by_name() {
                let Some(window) = windows.0.last() else {
                    continue;
                };
                let threads: Vec<String> = window
                    .work
                    .iter()
                    .map(|work| {
                        let cpu = window.per_document(work.cpu.as_secs_f64() * 1e3);
                        let switches = window.per_document(float(work.switches));
                        format!("{} {cpu:.3} ms {switches:.2}", work.name)
                    })
                    .collect();
                self.line(&format!("- {}, {who}: {}", figures.name, threads.join("; ")));
            }
        }
    }

    /// Handshakes of all connections of a run.
    pub(crate) fn handshakes(&mut self, all: &[Figures]) {
        let with_tls: Vec<&Figures> = all.iter().filter(|figures| figures.load.way.is_tls()).collect();
        if with_tls.is_empty() {
            return;
        }
        self.line("");
        self.line("TLS handshakes of each run, full + resumed.");
        self.line("");
        for figures in with_tls {
            for (who, windows) in figures.by_name() {
                let each: Vec<String> = windows
                    .0
                    .iter()
                    .map(|window| format!("{} + {}", window.handshakes.0, window.handshakes.1))
                    .collect();
                self.line(&format!("- {}, {who}: {}", figures.name, each.join(", ")));
            }
        }
    }

    /// Wake-ups between two ticks.
    pub(crate) fn idle(&mut self, all: &[Idle]) {
        for idle in all {
            let each: Vec<String> = idle.gaps.iter().map(|gap| gap.wake_ups().to_string()).collect();
            self.line("");
            self.line(&format!(
                "Idle, {}: wake-ups between two ticks (from 1 s after one to 0.5 s before the next): {}",
                idle.name,
                each.join(", ")
            ));
            for (number, gap) in idle.gaps.iter().enumerate() {
                for work in gap.0.iter().filter(|work| work.switches > 0) {
                    let (number, name, switches, cpu) = (number + 1, &work.name, work.switches, work.cpu);
                    self.line(&format!("- gap {number}: {name} woke {switches} times, {cpu:?}"));
                }
            }
        }
    }

    /// The program's CPU per document as a part of each floor's.
    pub(crate) fn ratios(&mut self, all: &[Figures]) {
        self.line("");
        for figures in all {
            for (floor, windows) in figures.by_name().skip(1) {
                let ratio = figures.program.cpu_ms() / windows.cpu_ms();
                self.line(&format!("- {}: CPU per document is {ratio:.2} × {floor}", figures.name));
            }
        }
    }

    pub(crate) fn targets(&mut self, targets: &[Target]) {
        self.line("");
        self.line("| target | at most | found | |");
        self.line("|---|---|---|---|");
        for target in targets {
            let verdict = if target.is_met() { "met" } else { "**not met**" };
            let (what, limit, found, unit) = (&target.what, target.limit, target.found, target.unit);
            self.line(&format!("| {what} | {limit} {unit} | {found:.2} {unit} | {verdict} |"));
        }
    }

    /// Adds everything to a file, which is made if need be, with its folder.
    pub(crate) fn append_to(&self, file: &Path) -> Outcome<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::options().create(true).append(true).open(file)?;
        Ok(writeln!(file, "{}", self.text)?)
    }

    fn row(&mut self, cells: &[String; COLUMNS.len()]) {
        let mut line = String::from("|");
        for (cell, (_, width)) in cells.iter().zip(COLUMNS) {
            // Writing to a string cannot fail.
            let _ = write!(line, " {cell:<width$} |");
        }
        self.line(&line);
    }

    fn line(&mut self, line: &str) {
        println!("{line}");
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// One row; `of` gives a figure of a window, or its median over several.
fn cells(
    load: &str,
    who: &str,
    cpu_ms: f64,
    rounds: String,
    of: impl Fn(fn(&Window) -> f64) -> f64,
) -> [String; COLUMNS.len()] {
    let received = of(|window| window.per_document(float(window.bytes_received)));
    let sent = of(|window| window.per_document(float(window.bytes_sent)));
    let readers = of(|window| float(window.reader_connections));
    let server = of(|window| float(window.sink_connections));
    [
        load.to_owned(),
        who.to_owned(),
        format!("{cpu_ms:.3}"),
        rounds,
        format!("{:.2}", of(Window::switches_per_document)),
        format!("{:.0}", of(|window| float(window.peak_kb))),
        format!("{:.0}", of(|window| float(window.anonymous_kb))),
        format!("{:.0}", of(|window| float(window.threads as u64))),
        format!("{received:.0} + {sent:.0}"),
        format!("{:.1}", of(|window| float(window.documents) / float(window.bulks))),
        format!("{readers:.0} + {server:.0}"),
        format!("{:.1}", of(|window| window.first_document.as_secs_f64() * 1e3)),
    ]
}
