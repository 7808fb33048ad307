//! What the status pages show of a reader: its last poll and, as long as somebody looks at it, its last document. Pure:
//! the time, as the duration since the start of the process, is an argument.
//!
//! Nothing is kept, and nothing is allocated, until somebody asks. Nothing wakes the process to forget a document: that
//! happens at the next tick or request.

use crate::limits;
use crate::metrics::{LastPoll, Object, ReaderCounts};
use crate::{flatten, json};
use std::cell::{Cell, RefCell};
use std::time::Duration;

/// The last poll and the last document of one reader.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// `ended` in it is since the start of the process.
    last: Cell<Option<LastPoll>>,
    /// When somebody last asked for the document.
    asked: Cell<Option<Duration>>,
    kept: RefCell<Option<Box<Kept>>>,
}

/// A document, and what its payload lacked.
#[derive(Debug)]
struct Kept {
    polled: Duration,
    document: Vec<u8>,
    findings: Findings,
}

/// What was mended in a payload or left out of it.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// As if this had been the only payload of its reader.
    pub(crate) counts: ReaderCounts,
    /// Names of the variables that were left out, for each reason.
    pub(crate) left_out: Vec<(&'static str, Vec<String>)>,
}

impl Watch {
    /// A poll has ended, `ended` after the start of the process. `sizes` are those of the body and of the document, if it
    /// gave one.
    pub(crate) fn polled(&self, ended: Duration, took: Duration, sizes: Option<(usize, usize)>) {
        let before = self.last.get().map(|last| (last.body_bytes, last.document_bytes));
        let (body_bytes, document_bytes) = sizes.or(before).unwrap_or_default();
        self.last.set(Some(LastPoll { ended, took, body_bytes, document_bytes }));
    }

    /// The length of the last body, if there was a poll.
    pub(crate) fn last_body_bytes(&self) -> Option<usize> {
        self.last.get().map(|last| last.body_bytes)
    }

    /// The last poll that has ended; `ended` is how long ago that was.
    pub(crate) fn last_poll(&self, elapsed: Duration) -> Option<LastPoll> {
        self.last.get().map(|last| LastPoll { ended: elapsed.saturating_sub(last.ended), ..last })
    }

    /// Somebody asks for the last document.
    pub(crate) fn ask(&self, elapsed: Duration) {
        self.asked.set(Some(elapsed));
    }

    /// When somebody last asked.
    pub(crate) fn asked(&self) -> Option<Duration> {
        self.asked.get()
    }

    /// Whether somebody has asked lately.
    pub(crate) fn is_on(&self, elapsed: Duration) -> bool {
        self.asked.get().is_some_and(|asked| elapsed.saturating_sub(asked) <= limits::PAGE_DOCUMENT_TIME)
    }

    /// Keeps a document, polled at `polled`, in place of the last one.
    pub(crate) fn keep(&self, polled: Duration, document: Vec<u8>, findings: Findings) {
        self.kept.replace(Some(Box::new(Kept { polled, document, findings })));
    }

    /// Forgets the document.
    pub(crate) fn forget(&self) {
        self.asked.set(None);
        self.kept.take();
    }

    /// Writes the last document, if there is one, with what its payload lacked.
    pub(crate) fn write(&self, elapsed: Duration, object: &mut Object<'_>) {
        let kept = self.kept.borrow();
        let Some(Kept { polled, document, findings }) = kept.as_deref() else { return };
        object.seconds("age_seconds", elapsed.saturating_sub(*polled));
        if document.is_empty() {
            object.text("error", "the document is too long to be shown");
        } else {
            object.json("document", document);
        }
        object.nested("counts", &mut |counts| findings.counts.write_counts(counts));
        object.nested("mended_names", &mut |names| findings.counts.write_mended_names(names));
        object.nested("left_out", &mut |left_out| {
            for (reason, names) in &findings.left_out {
                let mut names = names.iter();
                left_out.list(reason, &mut |out| names.next().map(|name| json::write_string(out, name)).is_some());
            }
        });
    }
}

impl Findings {
    /// What a report says about its payload.
    pub(crate) fn of(report: &flatten::Report) -> Self {
        let findings = Self::default();
        findings.counts.add(report);
        findings
    }

    /// Whether variables are left out whose names can be found.
    pub(crate) fn has_losses(report: &flatten::Report) -> bool {
        report.left_out() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn written(watch: &Watch, elapsed: Duration) -> String {
        let mut out = Vec::new();
        let mut object = Object::new(&mut out);
        watch.write(elapsed, &mut object);
        object.end();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_document_is_wanted_for_thirty_seconds_after_the_last_request() {
        let watch = Watch::default();
        assert!(!watch.is_on(at(0)) && written(&watch, at(0)) == "{}");
        watch.ask(at(100));
        for (seconds, is_on) in [(99, true), (100, true), (130, true), (131, false)] {
            assert_eq!(watch.is_on(at(seconds)), is_on, "{seconds}");
        }
        watch.ask(at(120));
        assert!(watch.is_on(at(150)) && !watch.is_on(at(151)));
        watch.forget();
        assert!(!watch.is_on(at(120)));
    }

    #[test]
    fn what_a_payload_lacked_is_beside_its_document() {
        let watch = Watch::default();
        watch.ask(at(1));
        let report = flatten::Report { broken: 2, restarted: true, ..flatten::Report::default() };
        let mut findings = Findings::of(&report);
        assert!(Findings::has_losses(&report) && !Findings::has_losses(&flatten::Report::default()));
        findings.left_out.push(("broken", vec!["a\"".to_owned(), "b".to_owned()]));
        watch.keep(at(1), br#"{"x":1.50}"#.to_vec(), findings);
        let expected = r#"{"age_seconds":1.500000,"document":{"x":1.50},"counts":{"broken_values":2,"restarts":1},"mended_names":{},"left_out":{"broken":["a\"","b"]}}"#;
        assert_eq!(written(&watch, Duration::from_millis(2500)), expected);
        watch.keep(at(2), Vec::new(), Findings::default());
        assert!(written(&watch, at(2)).contains(r#""error":"the document is too long"#));
        watch.forget();
        assert_eq!(written(&watch, at(2)), "{}");
    }

    #[test]
    fn the_sizes_of_the_last_document_stay_while_polls_fail() {
        let watch = Watch::default();
        assert!(watch.last_poll(at(5)).is_none());
        watch.polled(at(5), at(1), Some((100, 10)));
        watch.polled(at(7), at(2), None);
        let last = watch.last_poll(at(9)).unwrap();
        assert_eq!((last.ended, last.took, last.body_bytes, last.document_bytes), (at(2), at(2), 100, 10));
    }
}
