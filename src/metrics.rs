//! Counters: what was read, what became of every document (the ledger), and what the process costs.
//!
//! They are single-threaded cells, rendered on demand as an expvar payload. The names of the Go program are kept, so
//! that old dashboards can be mapped.

mod object;
mod payload;
pub(crate) mod prometheus;
mod status;

use crate::flatten;
pub(crate) use object::Object;
pub(crate) use payload::Snapshot;
use smol::channel::Sender;
pub(crate) use status::{LastPoll, ReaderStatus, RecorderStatus, Said, State, Waiting};
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::time::Duration;

/// A counter that only grows, or a gauge.
#[derive(Debug, Default)]
pub(crate) struct Count(Cell<u64>);

impl Count {
    pub(crate) fn add(&self, number: u64) {
        self.0.set(self.0.get().saturating_add(number));
    }

    pub(crate) fn subtract(&self, number: u64) {
        self.0.set(self.0.get().saturating_sub(number));
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// What became of every document that one recorder was given:
/// `made = acked + duplicate + dead_lettered + dropped + waiting`, at every moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Documents that the recorder was given.
    pub made: u64,
    /// Taken by the server (2xx for that document) or written to the file.
    pub acked: u64,
    /// Already there (409): an earlier try had arrived, its answer had not.
    pub duplicate: u64,
    /// Refused for good by the server.
    pub dead_lettered: u64,
    /// Given up by a stated policy.
    pub dropped: Dropped,
    /// In memory, on disk, or on their way.
    pub waiting: u64,
    /// Of those that wait: on disk.
    pub spooled: u64,
    /// Of those that were made: by an earlier process, and found in the spool.
    pub recovered: u64,
}

/// Documents that were given up, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The oldest made room for newer ones within `settings.memory_limit`.
    pub memory_limit: u64,
    /// The oldest on disk made room for newer ones within `spool.bytes`.
    pub spool_full: u64,
    /// Their part of the spool was damaged.
    pub damaged: u64,
    /// Others have removed the files of the spool that they were in.
    pub spool_removed: u64,
    /// Still waiting when the recorder, or the program, had ended and `settings.shutdown_timeout` was over.
    pub shutdown: u64,
    /// The recorder had gone: nobody reads its standard output any more.
    pub recorder_gone: u64,
    /// The server had refused them for good, their dead letters could not be written, and they had to go for one of the
    /// reasons above.
    pub dead_letter_unwritable: u64,
}

impl Dropped {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.members().into_iter().map(|(_, documents)| documents).sum()
    }

    /// Each reason with its name in the ledger.
    pub(crate) fn members(&self) -> [(&'static str, u64); 7] {
        // Without `..`, a new reason cannot be forgotten here.
        let Self { memory_limit, spool_full, damaged, spool_removed, shutdown, recorder_gone, dead_letter_unwritable } =
            *self;
        [
            ("dropped.memory_limit", memory_limit),
            ("dropped.spool_full", spool_full),
            ("dropped.damaged", damaged),
            ("dropped.spool_removed", spool_removed),
            ("dropped.shutdown", shutdown),
            ("dropped.recorder_gone", recorder_gone),
            ("dropped.dead_letter_unwritable", dead_letter_unwritable),
        ]
    }
}

impl Ledger {
    /// Whether every document is accounted for. It always is.
    #[must_use]
    pub fn balances(&self) -> bool {
        let done = self.acked + self.duplicate + self.dead_lettered + self.dropped.total();
        self.made == done + self.waiting && self.spooled <= self.waiting
    }

    /// Whether every document was taken.
    #[must_use]
    pub fn all_taken(&self) -> bool {
        self.made == self.taken()
    }

    pub(crate) fn taken(&self) -> u64 {
        self.acked + self.duplicate
    }

    /// Says what became of a recorder's documents, when it has ended.
    pub(crate) fn log(&self, recorder: &str) {
        tracing::info!(recorder, "ledger: {self}");
        if self.spooled > 0 {
            tracing::info!(
                recorder,
                documents = self.spooled,
                "documents left in the spool: shipped when a recorder uses that folder again"
            );
        }
        if self.dropped.total() > 0 {
            let dropped = self.dropped;
            tracing::error!(
                recorder,
                dropped.memory_limit,
                dropped.spool_full,
                dropped.damaged,
                dropped.spool_removed,
                dropped.shutdown,
                dropped.recorder_gone,
                dropped.dead_letter_unwritable,
                "documents lost"
            );
        }
    }

    /// Each counter with its name in the own payload.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'static str, u64)> {
        // Without `..`, a new counter cannot be forgotten here. If it is a fate, it belongs into the next function.
        let Self { made, acked: _, duplicate: _, dead_lettered: _, dropped: _, waiting, spooled, recovered } = *self;
        let waits = [("waiting", waiting), ("spooled", spooled), ("recovered", recovered)];
        [("made", made)].into_iter().chain(self.fates()).chain(waits)
    }

    /// The counters of documents that no longer wait, each with its name.
    fn fates(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let Self { acked, duplicate, dead_lettered, dropped, .. } = *self;
        let done = [("acked", acked), ("duplicate", duplicate), ("dead_lettered", dead_lettered)];
        done.into_iter().chain(dropped.members())
    }

    /// The names of all counters in the own payload, below `recorders.NAME`.
    pub(crate) fn names() -> Vec<String> {
        Self::default().members().map(|(name, _)| name.to_owned()).collect()
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { made, acked, duplicate, dead_lettered, waiting, spooled, recovered, .. } = self;
        let dropped = self.dropped.total();
        write!(
            f,
            "made {made} = acked {acked} + duplicate {duplicate} + dead_lettered {dead_lettered} + dropped {dropped} + \
             waiting {waiting}"
        )?;
        if *spooled + *recovered > 0 {
            write!(f, " ({recovered} recovered from the spool, {spooled} waiting there)")?;
        }
        Ok(())
    }
}

/// What the counters of mended names are in, in the own payload.
const MENDED_NAMES: &str = "mended_names";

/// Counters of one reader.
#[derive(Debug, Default)]
pub(crate) struct ReaderCounts {
    pub(crate) polls: Count,
    pub(crate) failures: Count,
    /// Ticks that passed while the poll before was still under way, or the machine slept.
    pub(crate) late_ticks: Count,
    /// Ticks that passed while the endpoint counted as down.
    pub(crate) down_ticks: Count,
    /// Values that were no JSON and were left out.
    pub(crate) broken_values: Count,
    /// Numbers beyond the largest double, left out.
    pub(crate) out_of_range: Count,
    /// Values in arrays of objects with too many members, left out.
    pub(crate) beyond_columns: Count,
    /// Texts that should have become numbers, and were none.
    pub(crate) unconverted_texts: Count,
    /// Elements of arrays that had no key, left out.
    pub(crate) unkeyed_elements: Count,
    /// Lone surrogates in strings, replaced.
    pub(crate) mended_strings: Count,
    /// Garbage collections that were overwritten before they were seen.
    pub(crate) gc_missed: Count,
    /// Documents whose totals of garbage collections contradict each other.
    pub(crate) gc_doubtful: Count,
    /// Restarts of the target.
    pub(crate) restarts: Count,
    /// Names that were mended, by [`flatten::Mended::KINDS`].
    pub(crate) names: [Count; flatten::Mended::KINDS.len()],
    pub(crate) body_bytes: Count,
}

impl ReaderCounts {
    /// Counters but for the mended names.
    const MEMBERS: usize = 14;

    /// Each counter with its name in the own payload, except for the mended names, which are an object there.
    fn members(&self) -> [(&'static str, &Count); Self::MEMBERS] {
        // Without `..`, a new counter cannot be forgotten here.
        let Self {
            polls,
            failures,
            late_ticks,
            down_ticks,
            broken_values,
            out_of_range,
            beyond_columns,
            unconverted_texts,
            unkeyed_elements,
            mended_strings,
            gc_missed,
            gc_doubtful,
            restarts,
            names: _,
            body_bytes,
        } = self;
        [
            ("polls", polls),
            ("failures", failures),
            ("late_ticks", late_ticks),
            ("down_ticks", down_ticks),
            ("broken_values", broken_values),
            ("out_of_range_numbers", out_of_range),
            ("beyond_columns", beyond_columns),
            ("unconverted_texts", unconverted_texts),
            ("unkeyed_elements", unkeyed_elements),
            ("mended_strings", mended_strings),
            ("gc_missed", gc_missed),
            ("gc_doubtful", gc_doubtful),
            ("restarts", restarts),
            ("body_bytes", body_bytes),
        ]
    }

    /// Writes those that are not zero.
    pub(crate) fn write_counts(&self, object: &mut Object<'_>) {
        write_counted(object, &mut self.members().into_iter());
    }

    /// Writes how many names were mended, by kind, without those that are zero.
    pub(crate) fn write_mended_names(&self, object: &mut Object<'_>) {
        write_counted(object, &mut flatten::Mended::KINDS.into_iter().zip(&self.names));
    }

    /// The names of all counters in the own payload, below `readers.NAME`.
    pub(crate) fn names() -> Vec<String> {
        let counts = Self::default();
        let names = counts.members().map(|(name, _)| name.to_owned());
        let mended = flatten::Mended::KINDS.iter().map(|kind| format!("{MENDED_NAMES}.{kind}"));
        names.into_iter().chain(mended).collect()
    }

    /// Adds what one payload held.
    pub(crate) fn add(&self, report: &flatten::Report) {
        self.broken_values.add(report.broken);
        self.out_of_range.add(report.out_of_range);
        self.beyond_columns.add(report.beyond_columns);
        self.unconverted_texts.add(report.unconverted);
        self.unkeyed_elements.add(report.unkeyed);
        self.mended_strings.add(report.mended);
        self.gc_missed.add(report.gc_missed);
        self.gc_doubtful.add(report.gc_doubtful);
        self.restarts.add(report.restarted.into());
        for (count, mended) in self.names.iter().zip(report.names.counts()) {
            count.add(mended);
        }
    }
}

/// Writes counters, without those that are zero.
fn write_counted(object: &mut Object<'_>, counts: &mut dyn Iterator<Item = (&'static str, &Count)>) {
    for (name, count) in counts.filter(|(_, count)| count.get() > 0) {
        object.number(name, count.get());
    }
}

/// Counters of the whole process, by the Go program's names.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Polls that were begun, and those that gave no document.
    pub(crate) reads: Count,
    pub(crate) reads_failed: Count,
    pub(crate) reads_under_way: Count,
    pub(crate) records_sent: Count,
    pub(crate) records_under_way: Count,
    /// Documents that are where they should be.
    pub(crate) documents_taken: Count,
    pub(crate) documents: Count,
    pub(crate) document_errors: Count,
    pub(crate) payloads_refused: Count,
    pub(crate) strings: Count,
    pub(crate) numbers: Count,
    pub(crate) lists: Count,
    pub(crate) gc_lists: Count,
    pub(crate) sizes: Count,
    pub(crate) objects: Count,
    pub(crate) error_jobs: Count,
    /// Wakes the task that tells a supervisor what was shipped, if there is one.
    pub(crate) settled: OnceCell<Sender<()>>,
}

impl Metrics {
    /// A recorder knows what has become of the documents that it has sent.
    pub(crate) fn tell_settled(&self) {
        if let Some(settled) = self.settled.get() {
            // If the channel is full, the task has been woken already.
            let _ = settled.try_send(());
        }
    }

    pub(crate) fn count_payload(&self, report: &flatten::Report) {
        self.documents.add(1);
        self.strings.add(report.strings);
        self.numbers.add(report.numbers - report.sizes);
        self.lists.add(report.lists - report.gc_lists);
        self.gc_lists.add(report.gc_lists);
        self.sizes.add(report.sizes);
        self.objects.add(report.objects);
        self.document_errors.add(report.broken);
    }
}

/// What the kernel says of this process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ProcessUsage {
    pub(crate) resident_bytes: u64,
    pub(crate) cpu: Duration,
    pub(crate) uptime: Duration,
}

impl ProcessUsage {
    /// Reads the kernel's figures. Where there is no `/proc`, memory is 0.
    pub(crate) fn now(uptime: Duration) -> Self {
        let pages = std::fs::read_to_string("/proc/self/statm")
            .ok()
            .and_then(|statm| statm.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let cpu = Duration::try_from(cpu).unwrap_or_default();
        let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        Self { resident_bytes: pages.unwrap_or(0) * page_bytes, cpu, uptime }
    }
}

/// File descriptors that this process has open. Where there is no `/proc`, 0.
pub(crate) fn open_descriptors() -> u64 {
    // One more is open while they are counted.
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count().saturating_sub(1) as u64)
}
