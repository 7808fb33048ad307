//! What became of each document of a bulk: a pure function of the server's answer.
//!
//! Nothing counts as delivered that the server did not say of that very document. An answer that does not match the bulk
//! (a proxy's page, a body that is cut off, another number of items) delivers nothing; the documents carry lasting ids, so
//! sending them again is harmless.

use crate::http::{Answer, HttpError};
use crate::limits;
use crate::reader::foreign;
use crate::redact;
use simd_json::prelude::*;
use simd_json::tape;
use std::time::Duration;

/// What to do with a bulk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Each document has its own fate, in the order of the bulk.
    Judged(Judgement),
    /// All of it again later.
    Again(Refusal),
    /// Too large for the server: in halves.
    Split,
}

/// The fate of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Acked,
    /// 409: it is there from an earlier try.
    Duplicate,
    Retry,
    DeadLetter,
}

/// The fates of all documents, why the first of those that go again was not taken, and what the server said of each that
/// it will never take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) fates: Vec<Fate>,
    pub(crate) retry: Option<Refusal>,
    pub(crate) dead_letters: Vec<DeadLetter>,
}

/// A document that the server refused for good, and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    /// Place in the bulk.
    pub(crate) index: usize,
    pub(crate) status: u64,
    /// The server's name for it, such as `mapper_parsing_exception`; empty if it gave none.
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// Why something was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The same for refusals that are alike, whatever is in their text.
    pub(crate) kind: String,
    pub(crate) reason: String,
    /// The server asked for this pause.
    pub(crate) after: Option<Duration>,
    /// A person has to mend it: no use in asking often.
    pub(crate) slow: bool,
}

impl Verdict {
    /// Every text in it that may come from outside.
    pub(super) fn for_each_text(&mut self, mut change: impl FnMut(&mut String)) {
        let refusal = match self {
            Self::Judged(judgement) => {
                for letter in &mut judgement.dead_letters {
                    change(&mut letter.reason);
                    change(&mut letter.message);
                }
                judgement.retry.as_mut()
            }
            Self::Again(refusal) => Some(refusal),
            Self::Split => None,
        };
        if let Some(Refusal { kind, reason, .. }) = refusal {
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

    /// A document that the server refused goes again all the same.
    pub(super) fn retry(&mut self, document: usize, reason: &str) {
        self.fates[document] = Fate::Retry;
        self.dead_letters.retain(|letter| letter.index != document);
        self.retry.get_or_insert_with(|| Refusal::new(reason.to_owned(), reason.to_owned()));
    }
}

impl Refusal {
    /// One that passes by itself.
    pub(crate) fn new(kind: String, reason: String) -> Self {
        Self { kind, reason, after: None, slow: false }
    }

    /// Adds what a person should look at.
    pub(super) fn advise(&mut self, advice: Option<String>) {
        if let Some(advice) = advice {
            self.reason = format!("{}; {advice}", self.reason);
        }
    }

    /// There was no answer.
    pub(crate) fn of(error: &HttpError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// Judges an answer to a bulk of `documents`.
pub(crate) fn judge(mut answer: Answer, documents: usize) -> Verdict {
    let after = answer.retry_after.map(|asked| asked.min(limits::RETRY_AFTER_MAX));
    match answer.status {
        200..=299 => {}
        413 if documents > 1 => return Verdict::Split,
        413 => return too_large(),
        status => {
            let (kind, reason) = whole_request_reason(status, &mut answer.body);
            // 408 and 429 pass by themselves, and so does what is wrong with the server; the rest a person must mend.
            let slow = matches!(status, 300..=499) && !matches!(status, 408 | 429);
            return Verdict::Again(Refusal { kind, reason, after, slow });
        }
    }
    let quoted = quote(&answer.body);
    match judge_items(&mut answer.body, documents) {
        Ok(judgement) => Verdict::Judged(judgement),
        Err(mismatch) => {
            let kind = format!("status {} but {mismatch}", answer.status);
            let reason = format!("{kind}: {quoted}");
            Verdict::Again(Refusal { kind, reason, after, slow: false })
        }
    }
}

/// 413 for a document that was alone in its bulk.
fn too_large() -> Verdict {
    let message = "the document alone is larger than the server takes".to_owned();
    let dead_letter = DeadLetter { index: 0, status: 413, reason: "too_large".to_owned(), message };
    Verdict::Judged(Judgement { fates: vec![Fate::DeadLetter], retry: None, dead_letters: vec![dead_letter] })
}

fn judge_items(body: &mut [u8], documents: usize) -> Result<Judgement, &'static str> {
    const NO_ANSWER: &str = "the body is not the answer to a bulk";
    let tape = simd_json::to_tape(body).map_err(|_| NO_ANSWER)?;
    let root = tape.as_value();
    let items = root.as_object().and_then(|answer| answer.get("items")).ok_or(NO_ANSWER)?;
    let items = items.as_array().ok_or(NO_ANSWER)?;
    if items.len() != documents {
        return Err("the body speaks of another number of documents");
    }
    let mut judgement = Judgement { fates: Vec::with_capacity(documents), ..Judgement::default() };
    for (index, item) in items.iter().enumerate() {
        let item = item.as_object().filter(|item| item.len() == 1).ok_or(NO_ANSWER)?;
        let outcome = item.values().next().and_then(|outcome| outcome.as_object()).ok_or(NO_ANSWER)?;
        let status = outcome.get("status").and_then(|status| status.as_u64()).ok_or(NO_ANSWER)?;
        let error = outcome.get("error").map(ItemError::read).unwrap_or_default();
        let fate = fate_of(status, &error.kind);
        match fate {
            Fate::Acked | Fate::Duplicate => {}
            Fate::Retry => _ = judgement.retry.get_or_insert_with(|| error.refusal(status)),
            Fate::DeadLetter => judgement.dead_letters.push(error.dead_letter(index, status)),
        }
        judgement.fates.push(fate);
    }
    Ok(judgement)
}

/// The rule for one document: what passes by itself is tried again, what the server will never take is not.
fn fate_of(status: u64, error: &str) -> Fate {
    match status {
        200..=299 => Fate::Acked,
        409 => Fate::Duplicate,
        408 | 429 => Fate::Retry,
        // A write block, a full disk (403 before Elasticsearch 7), an index that was closed (403 in 5, 400 since 6).
        400..=499 if matches!(error, "cluster_block_exception" | "index_closed_exception") => Fate::Retry,
        400..=499 => Fate::DeadLetter,
        // 5xx passes by itself; what no server says is no refusal.
        _ => Fate::Retry,
    }
}

/// `error` of an item: an object with type and reason, or (old servers) a string.
#[derive(Default)]
struct ItemError {
    kind: String,
    reason: String,
}

impl ItemError {
    fn read(error: tape::Value<'_, '_>) -> Self {
        if let Some(text) = error.as_str() {
            return Self { kind: String::new(), reason: text.to_owned() };
        }
        let text = |key| error.get(key).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
        Self { kind: text("type"), reason: text("reason") }
    }

    fn refusal(self, status: u64) -> Refusal {
        let kind = format!("item status {status}: {}", quote(self.kind.as_bytes()));
        let reason = format!("{kind} {}", quote(self.reason.as_bytes()));
        Refusal::new(kind, reason)
    }

    fn dead_letter(self, index: usize, status: u64) -> DeadLetter {
        DeadLetter { index, status, reason: quote(self.kind.as_bytes()), message: quote(self.reason.as_bytes()) }
    }
}

/// What a server said of a whole request: the kind, then its own reason if it gave one, else how its page begins.
fn whole_request_reason(status: u16, body: &mut [u8]) -> (String, String) {
    let quoted = quote(body);
    let error = simd_json::to_tape(body).ok().and_then(|tape| {
        let root = tape.as_value();
        root.get("error").map(ItemError::read)
    });
    let hint = match status {
        _ if foreign::is_of_tls_port(quoted.as_bytes()) => " (this port speaks TLS: write https://)",
        300..=399 => " (redirects are not followed when shipping: put the final address into `endpoint`)",
        403 => " (shipping wants the privileges create_doc and auto_configure for the index)",
        404 => " (no `_bulk` there: check the path of `endpoint`)",
        _ => "",
    };
    match error {
        Some(ItemError { kind, reason }) if !(kind.is_empty() && reason.is_empty()) => {
            let kind = format!("status {status}{hint}: {}", quote(kind.as_bytes()));
            let reason = format!("{kind} {}", quote(reason.as_bytes()));
            (kind, reason)
        }
        _ if quoted.is_empty() => (format!("status {status}"), format!("status {status}{hint}")),
        _ => (format!("status {status}"), format!("status {status}{hint}: {quoted}")),
    }
}

/// The beginning of somebody else's text without what is secret, for a log line.
pub(super) fn quote(text: &[u8]) -> String {
    redact::quote(text, limits::QUOTED_BYTES_MAX)
}

#[cfg(test)]
mod tests;
