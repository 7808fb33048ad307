//! What became of each document of a bulk. [`super::answer`] reads the server's answer, [`super::refusals`] has the
//! rules for single documents. Pure.
//!
//! A document counts as delivered only if the server said so about that very document. An answer that does not match
//! the bulk (a proxy's page, a body that is cut off, another number of items) delivers nothing. Documents have lasting
//! ids, so sending them again is harmless.

use super::reason::{Reason, Remedy};
use crate::http::HttpError;
use crate::limits;
use crate::quote;
use crate::redact;
use std::fmt;
use std::time::Duration;

/// What to do with a bulk.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The usual case: the server has judged each document by itself.
    Judged(Judgement),
    /// The request failed as a whole, because the server is away, overloaded or refuses it. The bulk has to be sent again
    /// later.
    Again(Refusal),
    /// The bulk or the answer to it is too large, so the bulk has to be sent in halves. Rare.
    Split(SplitReason),
}

/// Why a bulk has to be sent in halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SplitReason {
    /// The server answered 413. The likelier of the two: `bulk.bytes` is larger than the server, or a proxy in front of
    /// it, accepts.
    BulkTooLarge,
    /// The answer is longer than its bounds in [`limits`] allow. It takes a server that refuses nearly all documents of
    /// the bulk, each with a long reason.
    AnswerTooLong,
}

/// The fate of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Acked,
    /// 409: it is there from an earlier try.
    Duplicate,
    Retry,
    /// Sent again after a long pause, because a person has to fix something first.
    Mend,
    DeadLetter,
}

impl Fate {
    /// Whether the document is sent again.
    pub(crate) fn is_again(self) -> bool {
        matches!(self, Self::Retry | Self::Mend)
    }
}

/// The fates of all documents, why some have to be sent again, and the server's reason for each that it will never
/// accept.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    pub(crate) fates: Vec<Fate>,
    /// One for each kind; a few at most.
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) dead_letters: Vec<DeadLetter>,
}

/// A document that the server refused for good. Both texts are the server's own words, without secrets and cut to a
/// bounded length, unless the request with this document alone failed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    /// Place in the bulk.
    pub(crate) index: usize,
    pub(crate) status: u64,
    /// The server's name for it, such as `mapper_parsing_exception`; empty if it gave none.
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// A bulk, a small request or some documents of a bulk were not accepted. Its `Display` is the text for the log.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(super) reason: Box<Reason>,
    /// The host that it is about, if the recorder has several.
    pub(super) host: Option<String>,
    /// The server asked for this pause.
    pub(crate) after: Option<Duration>,
    /// A person has to fix it, so there is no use in trying often.
    pub(crate) slow: bool,
    /// The server answered, and the content of the request may be the cause.
    pub(crate) is_odd: bool,
}

impl SplitReason {
    /// The reason for the log.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::BulkTooLarge => "the bulk is too large for the server",
            Self::AnswerTooLong => "the response to the bulk is too long",
        }
    }
}

impl Verdict {
    /// Every text in it that a server has written.
    pub(super) fn for_each_text(&mut self, mut change: impl FnMut(&mut String)) {
        let refusals = match self {
            Self::Judged(judgement) => {
                for letter in &mut judgement.dead_letters {
                    change(&mut letter.reason);
                    change(&mut letter.message);
                }
                judgement.refusals.as_mut_slice()
            }
            Self::Again(refusal) => std::slice::from_mut(refusal),
            Self::Split(_) => &mut [],
        };
        for refusal in refusals {
            refusal.reason.for_each_text(&mut change);
        }
    }
}

impl Judgement {
    /// Every document was taken.
    pub(crate) fn all_acked(documents: usize) -> Self {
        Self { fates: vec![Fate::Acked; documents], ..Self::default() }
    }

    /// The refusal that determines the pause before the next try: one that passes by itself, if there is one.
    pub(crate) fn decisive_refusal(&self) -> Option<&Refusal> {
        self.refusals.iter().find(|refusal| !refusal.slow).or_else(|| self.refusals.first())
    }

    /// Documents that the server refused for good go again all the same, if `is_wanted` says so of their places.
    pub(super) fn retry(&mut self, reason: Reason, is_wanted: impl Fn(usize) -> bool) {
        let Self { fates, refusals, dead_letters } = self;
        let mut refusal = Some(Refusal::new(reason));
        dead_letters.retain(|letter| {
            let is_wanted = is_wanted(letter.index);
            if is_wanted {
                fates[letter.index] = Fate::Retry;
                refusals.extend(refusal.take());
            }
            !is_wanted
        });
    }
}

impl Refusal {
    /// One that passes by itself.
    pub(crate) fn new(reason: Reason) -> Self {
        Self { reason: Box::new(reason), host: None, after: None, slow: false, is_odd: false }
    }

    /// There was no answer.
    pub(crate) fn of(error: HttpError) -> Self {
        Self::new(Reason::NoAnswer(error))
    }

    /// Adds what a person should do about a bulk that was refused as a whole, if that is not known yet.
    pub(super) fn advise(&mut self, advice: Option<Remedy>) {
        if let Reason::Refused { remedy: remedy @ None, .. } = &mut *self.reason {
            *remedy = advice;
        }
    }

    /// A text that is the same for refusals of the same kind: the log counts them by it.
    pub(crate) fn kind(&self) -> String {
        bounded(self.reason.kind(), limits::FAILURE_KIND_BYTES_MAX)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = bounded(self.reason.text(), limits::FAILURE_REASON_BYTES_MAX);
        match &self.host {
            Some(host) if !text.contains(host) => write!(f, "{host}: {text}"),
            _ => f.write_str(&text),
        }
    }
}

/// The text without secrets, which could have come together only in the whole of it. It is cut afterwards.
fn bounded(mut text: String, bytes_max: usize) -> String {
    redact::hide(&mut text);
    quote::shorten(&mut text, bytes_max);
    text
}

#[cfg(test)]
pub(crate) use super::answer::judge;
