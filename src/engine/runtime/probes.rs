//! What collectors and probes ask for: `/metrics` and `/ready`.

use super::{Engine, Runtime};
use crate::clock;
use crate::config::Target;
use crate::descriptors;
use crate::limits;
use crate::metrics::prometheus::{self, Figures, ProcessFigures, ReaderFigures, RecorderFigures};
use crate::metrics::{ProcessUsage, open_descriptors};
use crate::pages::Status;
use std::fmt;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

impl Runtime {
    /// Writes a piece of `/metrics`.
    pub(super) fn write_metrics(&self, piece: usize, out: &mut Vec<u8>) {
        if piece == 0 {
            let usage = ProcessUsage::now(self.elapsed());
            let process = ProcessFigures {
                resident_bytes: usage.resident_bytes,
                cpu: usage.cpu,
                started: self.started_at.duration_since_epoch(),
                open_descriptors: open_descriptors(),
                descriptors_max: descriptors::limit() as u64,
            };
            return prometheus::write_process(process, out);
        }
        let (now, elapsed) = (clock::now(), self.elapsed());
        let (engines, recorders) = (self.engines.borrow(), self.recorders.borrow());
        // What a recorder is doing takes more to find out, and only the last piece is about recorders.
        let asked = if piece + 1 < prometheus::PIECES { &recorders[..0] } else { &recorders[..] };
        let readers = engines.iter().map(|engine| ReaderFigures {
            name: engine.reading.name(),
            counts: &engine.reading.counts,
            is_up: engine.reading.is_up(),
        });
        let recorders = asked.iter().map(|one| {
            let status = one.recording.status(now, elapsed);
            RecorderFigures {
                name: one.recording.name(),
                ledger: status.ledger,
                waiting_bytes: status.waiting.memory_bytes,
                oldest_waiting: status.waiting.oldest.unwrap_or_default(),
                spool_bytes: status.waiting.disk_bytes,
                spool_bytes_max: one.recording.config().spool.as_ref().map_or(0, |spool| spool.bytes_max),
                is_up: one.recording.is_answering(),
            }
        });
        prometheus::write(piece, &Figures { readers: readers.collect(), recorders: recorders.collect() }, out);
    }

    /// Writes what is not ready, a line for each reader and recorder, or that everything is.
    pub(super) fn write_ready(&self, out: &mut Vec<u8>) -> Status {
        let (now, elapsed) = (clock::now(), self.elapsed());
        let mut reasons = Reasons { out, number: 0 };
        // Targets come and go, and a new one that hangs is no reason to be taken out of service.
        let is_awaited = |engine: &&Rc<Engine>| !engine.reading.was_polled() && !engine.reading.is_target();
        for engine in self.engines.borrow().iter().filter(is_awaited) {
            reasons.add("reader", engine.reading.name(), &"not polled yet");
        }
        for one in self.recorders.borrow().iter().filter(|one| !one.recording.is_answering()) {
            let status = one.recording.status(now, elapsed);
            let name = one.recording.name();
            match (&status.error, status.failing, &one.recording.config().target) {
                _ if one.recording.is_gone() => reasons.add("recorder", name, &"its output was closed"),
                (Some(error), Some(failing), _) => {
                    reasons.add("recorder", name, &Failing { time: failing, error: &error.text });
                }
                (_, _, Target::Elasticsearch(_)) => reasons.add("recorder", name, &"no answer from its server yet"),
                (_, _, Target::File { .. }) => reasons.add("recorder", name, &"nothing written yet"),
            }
        }
        reasons.end()
    }
}

/// What is told of a recorder that fails.
struct Failing<'a> {
    time: Duration,
    error: &'a str,
}

impl fmt::Display for Failing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failing for {} s: {}", self.time.as_secs(), self.error)
    }
}

/// Why the program is not ready.
struct Reasons<'o> {
    out: &'o mut Vec<u8>,
    number: usize,
}

impl Reasons<'_> {
    fn add(&mut self, kind: &str, name: &str, reason: &dyn fmt::Display) {
        self.number += 1;
        if self.number <= limits::READY_LINES_MAX {
            let start = self.out.len();
            // Writing into memory does not fail.
            let _ = write!(self.out, "{kind} {name}: {reason}");
            self.out[start..].iter_mut().filter(|byte| byte.is_ascii_control()).for_each(|byte| *byte = b' ');
            self.out.push(b'\n');
        }
    }

    fn end(self) -> Status {
        match self.number {
            0 => {
                self.out.extend_from_slice(b"ready\n");
                return Status::Ok;
            }
            number if number > limits::READY_LINES_MAX => {
                let _ = writeln!(self.out, "and {} more", number - limits::READY_LINES_MAX);
            }
            _ => {}
        }
        Status::Unavailable
    }
}
