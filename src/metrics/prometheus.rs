//! The counters in the text format of Prometheus. Pure.
//!
//! The text of a process with thousands of readers is long, so it comes in pieces. All samples of a family stand together:
//! a family is one piece, or several in a row.

use super::{Ledger, ReaderCounts};
use crate::flatten;
use crate::json;
use std::time::Duration;

/// What the pieces are written from.
pub(crate) struct Figures<'a> {
    pub(crate) readers: Vec<ReaderFigures<'a>>,
    pub(crate) recorders: Vec<RecorderFigures<'a>>,
}

pub(crate) struct ReaderFigures<'a> {
    pub(crate) name: &'a str,
    pub(crate) counts: &'a ReaderCounts,
    /// The last poll gave a document.
    pub(crate) is_up: bool,
}

pub(crate) struct RecorderFigures<'a> {
    pub(crate) name: &'a str,
    pub(crate) ledger: Ledger,
    pub(crate) waiting_bytes: u64,
    pub(crate) oldest_waiting: Duration,
    pub(crate) spool_bytes: u64,
    pub(crate) spool_bytes_max: u64,
    /// The last request succeeded.
    pub(crate) is_up: bool,
}

/// The process, as other programs name these figures, too.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ProcessFigures {
    pub(crate) resident_bytes: u64,
    pub(crate) cpu: Duration,
    /// When it started, since the beginning of 1970.
    pub(crate) started: Duration,
    pub(crate) open_descriptors: u64,
    pub(crate) descriptors_max: u64,
}

/// What the counters of a reader mean, in the order of [`ReaderCounts::members`].
const READER_HELP: [&str; ReaderCounts::MEMBERS] = [
    "Polls that were begun.",
    "Polls that gave no document.",
    "Ticks skipped because the poll before was still under way.",
    "Ticks skipped while the endpoint was down.",
    "Values left out because they were not JSON.",
    "Numbers left out because they were beyond the range of a double.",
    "Values left out of arrays of objects with too many members.",
    "Texts that were not what convert says, shipped as they are.",
    "Elements without a key of their own, left out of arrays that object_arrays names.",
    "Strings with a lone surrogate, which was replaced.",
    "Garbage collections overwritten before they were seen.",
    "Documents with contradictory totals of garbage collections.",
    "Restarts of the target.",
    "Bytes of payloads.",
];

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

/// The number of pieces: the process, each counter of readers, their mended names by kind, their states, the recorders.
pub(crate) const PIECES: usize = 1 + READER_HELP.len() + flatten::Mended::KINDS.len() + 1 + 1;

/// Appends one of the pieces.
pub(crate) fn write(piece: usize, figures: &Figures<'_>, out: &mut Vec<u8>) {
    let readers = &figures.readers;
    let mut text = Text { out, name: ["expvastic_reader_", "up", ""] };
    let up = 1 + READER_HELP.len() + flatten::Mended::KINDS.len();
    if let Some(help) = READER_HELP.get(piece.wrapping_sub(1)) {
        let (member, _) = ReaderCounts::default().members()[piece - 1];
        text.name = ["expvastic_reader_", member, "_total"];
        text.begin(COUNTER, help);
        for reader in readers {
            let (_, count) = reader.counts.members()[piece - 1];
            text.sample(&[("reader", reader.name)], count.get());
        }
    } else if piece < up {
        let kind = piece - 1 - READER_HELP.len();
        text.name = ["expvastic_reader_", "mended_names", "_total"];
        if kind == 0 {
            text.begin(COUNTER, "Names changed because servers refuse them, by kind.");
        }
        for reader in readers {
            let labels = [("reader", reader.name), ("kind", flatten::Mended::KINDS[kind])];
            text.sample(&labels, reader.counts.names[kind].get());
        }
    } else if piece == up {
        text.begin(GAUGE, "Whether the last poll gave a document.");
        for reader in readers {
            text.sample(&[("reader", reader.name)], reader.is_up.into());
        }
    } else {
        recorders(&mut text, &figures.recorders);
    }
}

/// Appends the first piece, which is about the process.
pub(crate) fn write_process(process: ProcessFigures, out: &mut Vec<u8>) {
    let mut text = Text { out, name: ["expvastic_", "build_info", ""] };
    text.begin(GAUGE, "The version of the program; the value is 1.");
    text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    for (name, kind, help, value) in [
        ("resident_memory_bytes", GAUGE, "Resident memory.", process.resident_bytes),
        ("open_fds", GAUGE, "Open file descriptors.", process.open_descriptors),
        ("max_fds", GAUGE, "Limit of open file descriptors.", process.descriptors_max),
    ] {
        text.name = ["process_", name, ""];
        text.begin(kind, help);
        text.sample(&[], value);
    }
    for (name, kind, help, value) in [
        ("cpu_seconds_total", COUNTER, "User and system CPU time.", process.cpu),
        ("start_time_seconds", GAUGE, "Start of the process, since 1970.", process.started),
    ] {
        text.name = ["process_", name, ""];
        text.begin(kind, help);
        text.labels(&[]);
        text.seconds(value);
    }
}

/// A figure of a recorder.
type Figure = fn(&RecorderFigures<'_>) -> u64;

const RECORDER_FIGURES: [(&str, &str, &str, Figure); 9] = [
    ("made_documents_total", COUNTER, "Documents that the recorder was given.", |it| it.ledger.made),
    ("recovered_documents_total", COUNTER, "Of those: found in the spool at the start.", |it| it.ledger.recovered),
    ("waiting_documents", GAUGE, "Documents in memory, on disk or on their way.", |it| it.ledger.waiting),
    ("spooled_documents", GAUGE, "Of those that wait: on disk.", |it| it.ledger.spooled),
    ("waiting_bytes", GAUGE, "Documents that wait in memory.", |it| it.waiting_bytes),
    ("oldest_waiting_seconds", GAUGE, "Age of the oldest document that waits.", |it| it.oldest_waiting.as_secs()),
    ("spool_bytes", GAUGE, "Files of the spool.", |it| it.spool_bytes),
    ("spool_limit_bytes", GAUGE, "The most that they may take; 0 without a spool.", |it| it.spool_bytes_max),
    ("up", GAUGE, "Whether the last request succeeded.", |it| it.is_up.into()),
];

fn recorders(text: &mut Text<'_>, recorders: &[RecorderFigures<'_>]) {
    for (name, kind, help, figure) in RECORDER_FIGURES {
        text.name = ["expvastic_recorder_", name, ""];
        text.begin(kind, help);
        for recorder in recorders {
            text.sample(&[("recorder", recorder.name)], figure(recorder));
        }
    }
    text.name = ["expvastic_recorder_", "documents", "_total"];
    text.begin(COUNTER, "What became of the documents that no longer wait.");
    for recorder in recorders {
        for (fate, documents) in recorder.ledger.fates() {
            text.sample(&[("recorder", recorder.name), ("fate", fate)], documents);
        }
    }
}

/// Families that are being written.
struct Text<'o> {
    out: &'o mut Vec<u8>,
    /// Of the family, in three parts.
    name: [&'static str; 3],
}

impl Text<'_> {
    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn push_name(&mut self) {
        for part in self.name {
            self.push(part);
        }
    }

    /// Begins a family.
    fn begin(&mut self, kind: &str, help: &str) {
        self.push("# HELP ");
        self.push_name();
        self.push(" ");
        self.push(help);
        self.push("\n# TYPE ");
        self.push_name();
        self.push(" ");
        self.push(kind);
        self.push("\n");
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        self.labels(labels);
        json::write_u64(self.out, value);
        self.push("\n");
    }

    /// Begins a sample.
    fn labels(&mut self, labels: &[(&str, &str)]) {
        self.push_name();
        for (place, (label, value)) in labels.iter().enumerate() {
            self.push(if place == 0 { "{" } else { "," });
            self.push(label);
            self.push("=\"");
            for byte in value.bytes() {
                match byte {
                    b'\n' => self.push("\\n"),
                    b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', byte]),
                    _ => self.out.push(byte),
                }
            }
            self.push("\"");
        }
        self.push(if labels.is_empty() { " " } else { "} " });
    }

    /// Ends a sample.
    fn seconds(&mut self, value: Duration) {
        json::write_u64(self.out, value.as_secs());
        let start = self.out.len();
        json::write_u64(self.out, (1_000_000 + value.subsec_micros()).into());
        self.out[start] = b'.';
        self.push("\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_of_readers_and_recorders_is_a_sample_of_its_family() {
        let (first, second) = (ReaderCounts::default(), ReaderCounts::default());
        first.polls.add(7);
        second.names[1].add(3);
        let readers = vec![
            ReaderFigures { name: "a", counts: &first, is_up: true },
            ReaderFigures { name: "b\"\\\n{}é", counts: &second, is_up: false },
        ];
        let mut ledger = Ledger { made: 9, acked: 5, waiting: 3, ..Ledger::default() };
        ledger.dropped.spool_full = 1;
        let oldest_waiting = Duration::from_secs(12);
        let recorder = RecorderFigures {
            name: "es",
            ledger,
            waiting_bytes: 100,
            oldest_waiting,
            spool_bytes: 4096,
            spool_bytes_max: 8192,
            is_up: true,
        };
        let figures = Figures { readers, recorders: vec![recorder] };
        let mut out = Vec::new();
        write_process(ProcessFigures { cpu: Duration::from_millis(1250), ..ProcessFigures::default() }, &mut out);
        (1..PIECES).for_each(|piece| write(piece, &figures, &mut out));
        let text = String::from_utf8(out).unwrap();
        let kind = flatten::Mended::KINDS[1];
        for line in [
            "# HELP expvastic_reader_polls_total Polls that were begun.",
            "# TYPE expvastic_reader_polls_total counter",
            "expvastic_reader_polls_total{reader=\"a\"} 7",
            "expvastic_reader_polls_total{reader=\"b\\\"\\\\\\n{}é\"} 0",
            "expvastic_reader_body_bytes_total{reader=\"a\"} 0",
            &format!("expvastic_reader_mended_names_total{{reader=\"b\\\"\\\\\\n{{}}é\",kind=\"{kind}\"}} 3"),
            "expvastic_reader_up{reader=\"a\"} 1",
            "expvastic_recorder_documents_total{recorder=\"es\",fate=\"acked\"} 5",
            "expvastic_recorder_documents_total{recorder=\"es\",fate=\"dropped.spool_full\"} 1",
            "expvastic_recorder_waiting_documents{recorder=\"es\"} 3",
            "expvastic_recorder_oldest_waiting_seconds{recorder=\"es\"} 12",
            "process_cpu_seconds_total 1.250000",
            concat!("expvastic_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert_eq!(text.lines().filter(|other| *other == line).count(), 1, "{line} in {text}");
        }
        let fates = text.lines().filter(|line| line.starts_with("expvastic_recorder_documents_total")).count();
        assert_eq!(fates, ledger.members().count() - 4, "all but made, waiting, spooled and recovered");
        // A sum over the fates and what waits is what was made.
        let sum: u64 = ledger.fates().map(|(_, documents)| documents).sum();
        assert_eq!(sum + ledger.waiting, ledger.made);
    }
}
