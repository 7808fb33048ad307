//! The payload of the reader `self`: all counters, rendered as expvar JSON.

use super::{Ledger, MENDED_NAMES, Metrics, Object, ProcessUsage, ReaderCounts};
use crate::flatten;

/// Everything that the own payload is rendered from.
pub(crate) struct Snapshot<'a> {
    pub(crate) metrics: &'a Metrics,
    pub(crate) usage: ProcessUsage,
    pub(crate) readers: Vec<(&'a str, &'a ReaderCounts)>,
    pub(crate) recorders: Vec<(&'a str, Ledger)>,
}

impl Snapshot<'_> {
    /// Writes an expvar payload into `out`.
    pub(crate) fn render(self, out: &mut Vec<u8>) {
        let metrics = self.metrics;
        let mut object = Object::new(out);
        for (name, value) in [
            ("Readers", self.readers.len() as u64),
            ("Recorders", self.recorders.len() as u64),
            ("Read Jobs", metrics.reads.get()),
            ("Waiting Read Jobs", metrics.reads_under_way.get()),
            ("Record Jobs", metrics.records_sent.get()),
            ("Waiting Record Jobs", metrics.records_under_way.get()),
            ("Error Jobs", metrics.error_jobs.get()),
            ("ElasticSearch Records", metrics.documents_taken.get()),
            ("DataType Objects", metrics.documents.get()),
            ("DataType Objects Errors", metrics.document_errors.get()),
            ("Unidentified JSON Count", metrics.payloads_refused.get()),
            ("StringType Count", metrics.strings.get()),
            ("FloatType Count", metrics.numbers.get()),
            ("FloatListType Count", metrics.lists.get()),
            ("GCListType Count", metrics.gc_lists.get()),
            ("ByteType Count", metrics.sizes.get()),
            ("Nested Type Count", metrics.objects.get()),
        ] {
            object.number(name, value);
        }
        object.nested("process", &mut |process| {
            process.number("resident_bytes", self.usage.resident_bytes);
            process.seconds("cpu_seconds", self.usage.cpu);
            process.seconds("uptime_seconds", self.usage.uptime);
        });
        object.nested("readers", &mut |section| {
            for (name, counts) in &self.readers {
                section.nested(name, &mut |reader| reader_members(reader, counts));
            }
        });
        object.nested("recorders", &mut |section| {
            for (name, ledger) in &self.recorders {
                section.nested(name, &mut |recorder| {
                    for (key, value) in ledger.members() {
                        recorder.number(key, value);
                    }
                });
            }
        });
        object.end();
    }
}

fn reader_members(reader: &mut Object<'_>, counts: &ReaderCounts) {
    for (key, count) in counts.members() {
        reader.number(key, count.get());
    }
    reader.nested(MENDED_NAMES, &mut |names| {
        for (kind, count) in flatten::Mended::KINDS.iter().zip(&counts.names) {
            names.number(kind, count.get());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_own_payload_is_json_with_the_go_programs_names() {
        let metrics = Metrics::default();
        metrics.count_payload(&flatten::Report { numbers: 3, lists: 2, gc_lists: 1, ..flatten::Report::default() });
        let counts = ReaderCounts::default();
        counts.polls.add(5);
        metrics.reads.add(6);
        metrics.documents_taken.add(4);
        let ledger = Ledger { made: 5, acked: 3, duplicate: 1, waiting: 1, ..Ledger::default() };
        assert!(ledger.balances() && !ledger.all_taken());
        let mut out = Vec::new();
        let snapshot = Snapshot {
            metrics: &metrics,
            usage: ProcessUsage {
                resident_bytes: 1,
                cpu: Duration::from_millis(1250),
                uptime: Duration::from_micros(7),
            },
            readers: vec![("a \"b\"", &counts)],
            recorders: vec![("es", ledger)],
        };
        snapshot.render(&mut out);
        let payload: serde_json::Value = serde_json::from_slice(&out).expect("strict JSON");
        for (pointer, expected) in [
            ("/Read Jobs", "6"),
            ("/ElasticSearch Records", "4"),
            ("/FloatType Count", "3"),
            ("/FloatListType Count", "1"),
            ("/GCListType Count", "1"),
            ("/process/cpu_seconds", "1.250000"),
            ("/process/uptime_seconds", "0.000007"),
            ("/readers/a \"b\"/polls", "5"),
            ("/recorders/es/waiting", "1"),
        ] {
            assert_eq!(payload.pointer(pointer).map(ToString::to_string).as_deref(), Some(expected), "{pointer}");
        }
    }
}
