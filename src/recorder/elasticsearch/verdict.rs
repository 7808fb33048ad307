//! What became of each document of a bulk. [`super::answer`] reads the server's answer, [`super::refusals`] has the
//! rules for single documents. Pure.
//!
//! A document counts as delivered only if the server said so about that very document. An answer that does not match
//! the bulk (a proxy's page, a body that is cut off, another number of items) delivers nothing. Documents have lasting
//! ids, so sending them again is harmless.

use crate::http::HttpError;
use crate::limits;
use crate::quote;
use std::time::Duration;

/// What to do with a bulk.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

/// Why a bulk, a small request or some documents of a bulk were not accepted. It holds texts because they come from the
/// server in most cases: an error in its answer, or the beginning of another page. Both are bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// A text that is the same for refusals of the same kind: the log counts them by it.
    pub(crate) kind: String,
    /// The whole reason, as it is logged.
    pub(crate) reason: String,
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
    /// Every text in it that may come from outside.
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
        for Refusal { kind, reason, .. } in refusals {
            change(kind);
            change(reason);
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
    pub(super) fn retry(&mut self, reason: &str, is_wanted: impl Fn(usize) -> bool) {
        let Self { fates, refusals, dead_letters } = self;
        let mut refusal = Some(Refusal::new(reason.to_owned(), reason.to_owned()));
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
    /// One that passes by itself. Both texts are kept for as long as it fails, so they are bounded here.
    pub(crate) fn new(mut kind: String, mut reason: String) -> Self {
        quote::shorten(&mut kind, limits::FAILURE_KIND_BYTES_MAX);
        quote::shorten(&mut reason, limits::FAILURE_REASON_BYTES_MAX);
        Self { kind, reason, after: None, slow: false, is_odd: false }
    }

    /// Adds what a person should look at.
    pub(super) fn advise(&mut self, advice: &str) {
        if !advice.is_empty() {
            self.reason = format!("{}; {advice}", self.reason.trim_end_matches(['.', ';', ' ']));
            quote::shorten(&mut self.reason, limits::FAILURE_REASON_BYTES_MAX);
        }
    }

    /// There was no answer.
    pub(crate) fn of(error: &HttpError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

#[cfg(test)]
pub(crate) use super::answer::judge;
