//! How readers and recorders are doing at one moment, for the status pages: states in words, and JSON of all that is
//! known of them.

use super::{Ledger, Object, ReaderCounts};
use crate::{json, redact};
use std::time::{Duration, Instant};

/// How a reader or a recorder is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing is known yet: there was no poll, or nothing has been sent.
    Waiting,
    Up,
    Failing,
    /// It has failed `backoff` times in a row.
    Down,
    /// It has ended and takes nothing more.
    Ended,
}

impl State {
    /// `failures` are those in a row.
    pub(crate) fn of(failures: u64, backoff: u64, has_worked: bool) -> Self {
        match failures {
            0 if has_worked => Self::Up,
            0 => Self::Waiting,
            _ if failures >= backoff => Self::Down,
            _ => Self::Failing,
        }
    }

    /// As it stands in `/api/status`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Up => "up",
            Self::Failing => "failing",
            Self::Down => "down",
            Self::Ended => "ended",
        }
    }
}

/// The last failure, in words, and how long ago it was.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) age: Duration,
}

impl Said {
    /// A text from outside that was said at an instant. Secrets are removed from it.
    pub(crate) fn new(text: &str, at: Instant, now: Instant) -> Self {
        let mut text = text.to_owned();
        redact::hide(&mut text);
        Self { text, age: now.saturating_duration_since(at) }
    }
}

/// The last poll that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LastPoll {
    /// Since it ended; in a reader, when it ended since the start of the process.
    pub(crate) ended: Duration,
    pub(crate) took: Duration,
    /// Of the last poll that gave a document.
    pub(crate) body_bytes: usize,
    pub(crate) document_bytes: usize,
}

/// One reader.
#[derive(Debug)]
pub(crate) struct ReaderStatus<'a> {
    pub(crate) name: &'a str,
    pub(crate) state: State,
    /// How long it has been failing.
    pub(crate) failing: Option<Duration>,
    pub(crate) failures: u64,
    pub(crate) interval: Duration,
    pub(crate) last: Option<LastPoll>,
    pub(crate) next: Option<Duration>,
    pub(crate) error: Option<Said>,
    pub(crate) counts: &'a ReaderCounts,
}

/// What waits in one recorder.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waiting {
    pub(crate) memory_bytes: u64,
    pub(crate) disk_bytes: u64,
    /// The age of the oldest document, if one waits.
    pub(crate) oldest: Option<Duration>,
    /// Documents from before the start wait on disk: the oldest is older than that.
    pub(crate) has_older: bool,
}

/// One recorder.
#[derive(Debug)]
pub(crate) struct RecorderStatus<'a> {
    pub(crate) name: &'a str,
    pub(crate) state: State,
    /// How long it has been failing.
    pub(crate) failing: Option<Duration>,
    pub(crate) failures: u64,
    /// Product and version of the server, or what else it writes to.
    pub(crate) target: String,
    /// How long ago documents were last accepted.
    pub(crate) last_ack: Option<Duration>,
    /// Until the next attempt.
    pub(crate) next: Option<Duration>,
    pub(crate) waiting: Waiting,
    pub(crate) error: Option<Said>,
    pub(crate) ledger: Ledger,
}

/// Members that readers and recorders have in common.
fn common(object: &mut Object<'_>, state: State, failing: Option<Duration>, failures: u64, error: Option<&Said>) {
    object.text("state", state.word());
    maybe(object, "failing_seconds", failing);
    object.number("failures_in_a_row", failures);
    if let Some(Said { text, age }) = error {
        object.text("error", text);
        object.seconds("error_age_seconds", *age);
    }
}

fn maybe(object: &mut Object<'_>, name: &str, value: Option<Duration>) {
    if let Some(value) = value {
        object.seconds(name, value);
    }
}

impl ReaderStatus<'_> {
    /// Appends it as JSON; `recorders` are those that it feeds.
    pub(crate) fn write(&self, recorders: &mut dyn Iterator<Item = &str>, out: &mut Vec<u8>) {
        let mut object = Object::new(out);
        object.text("name", self.name);
        common(&mut object, self.state, self.failing, self.failures, self.error.as_ref());
        object.seconds("interval_seconds", self.interval);
        if let Some(LastPoll { ended, took, body_bytes, document_bytes }) = self.last {
            object.seconds("last_poll_age_seconds", ended);
            object.seconds("last_poll_seconds", took);
            object.number("body_bytes", body_bytes as u64);
            object.number("document_bytes", document_bytes as u64);
        }
        maybe(&mut object, "next_poll_seconds", self.next);
        object.list("recorders", &mut |out| recorders.next().map(|name| json::write_string(out, name)).is_some());
        object.nested("counts", &mut |counts| self.counts.write_counts(counts));
        object.nested("mended_names", &mut |names| self.counts.write_mended_names(names));
        object.end();
    }
}

impl RecorderStatus<'_> {
    /// Appends it as JSON.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut object = Object::new(out);
        object.text("name", self.name);
        common(&mut object, self.state, self.failing, self.failures, self.error.as_ref());
        object.text("target", &self.target);
        maybe(&mut object, "last_ack_age_seconds", self.last_ack);
        maybe(&mut object, "next_attempt_seconds", self.next);
        let Waiting { memory_bytes, disk_bytes, oldest, has_older } = self.waiting;
        object.number("waiting_memory_bytes", memory_bytes);
        object.number("waiting_disk_bytes", disk_bytes);
        maybe(&mut object, "oldest_age_seconds", oldest);
        object.flag("has_older_from_disk", has_older);
        object.nested("ledger", &mut |ledger| {
            for (name, value) in self.ledger.members() {
                ledger.number(name, value);
            }
        });
        object.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        let counts = ReaderCounts::default();
        counts.polls.add(2);
        let reader = ReaderStatus {
            name: "a\"b",
            state: State::of(2, 15, true),
            failing: Some(Duration::from_millis(1500)),
            failures: 2,
            interval: Duration::from_secs(1),
            last: None,
            next: None,
            error: Some(Said { text: "refused".to_owned(), age: Duration::ZERO }),
            counts: &counts,
        };
        let mut out = Vec::new();
        reader.write(&mut ["x", "y"].into_iter(), &mut out);
        let expected = r#"{"name":"a\"b","state":"failing","failing_seconds":1.500000,"failures_in_a_row":2,"error":"refused","error_age_seconds":0.000000,"interval_seconds":1.000000,"recorders":["x","y"],"counts":{"polls":2},"mended_names":{}}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_state_follows_from_the_failures_in_a_row() {
        for (failures, has_worked, state) in
            [(0, false, State::Waiting), (0, true, State::Up), (1, true, State::Failing), (14, false, State::Failing)]
        {
            assert_eq!(State::of(failures, 15, has_worked), state);
        }
        assert_eq!((State::of(15, 15, true), State::of(1, 1, true)), (State::Down, State::Down));
    }
}
