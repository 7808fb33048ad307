//! Reads the answer to a bulk as it arrives, and decides what becomes of each document. Pure.
//!
//! An answer may have any length. Only the beginning of one item's error, one byte for each document, and the reasons of
//! refusals are kept. If the reasons need more memory than their bound, the bulk is sent again in halves. Items beyond
//! the number of documents are not read.

use super::mapping_types::{self, Complaint, Complaints};
use super::reason::{Hint, Mismatch, Reason, Remedy, Said};
use super::refusals::{self, Rule};
use super::scan::{Event, Excerpt, Listener, Scanner, Step};
use super::verdict::{DeadLetter, Fate, Judgement, Refusal, SplitReason, Verdict};
use crate::http::Receiver;
use crate::limits;
use crate::quote;
use crate::reader::foreign;
use std::time::Duration;

/// What the answer to a bulk says.
#[derive(Debug)]
pub(super) struct BulkAnswer {
    pub(super) status: u16,
    pub(super) verdict: Verdict,
    /// Complaints about the mapping types of documents. Empty unless each document was judged.
    pub(super) complaints: Complaints,
    /// A complaint about mapping types in the error of the whole request.
    pub(super) request_complaint: Option<Complaint>,
}

/// Reads the answer to one bulk.
pub(super) struct Judge<'s> {
    /// Removes secrets from a text.
    scrub: &'s dyn Fn(&mut String),
    scanner: Scanner,
    reading: Reading<'s>,
    /// The beginning of the body, for messages about an answer that is something else.
    page: ExcerptBuffer,
    taken_bytes: usize,
    is_json: bool,
}

/// The beginning of a text, in a reusable buffer.
#[derive(Debug, Default)]
struct ExcerptBuffer {
    bytes: Vec<u8>,
    is_cut: bool,
}

/// The texts of an error in an answer: an object with `type` and `reason`, or a plain string from old servers.
#[derive(Debug, Default)]
struct ErrorText {
    kind: ExcerptBuffer,
    reason: ExcerptBuffer,
}

/// What has been understood so far.
struct Reading<'s> {
    scrub: &'s dyn Fn(&mut String),
    documents: usize,
    judgement: Judgement,
    complaints: Complaints,
    /// The status and the rule of each logged refusal, so that equal ones are logged once.
    refused: Vec<(u64, Option<&'static Rule>)>,
    /// Bytes of memory for the server's reasons about single documents.
    kept_bytes: usize,
    items: Items,
    item: Item,
    /// The `error` of the whole request, and the first of its causes.
    error: ErrorText,
    cause: ErrorText,
    /// Why this is not an answer to the bulk, if it is not.
    mismatch: Option<Mismatch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Items {
    None,
    Open,
    Whole,
}

/// The item that is being read.
#[derive(Debug, Default)]
struct Item {
    has_outcome: bool,
    has_error: bool,
    status: Option<u64>,
    error: ErrorText,
}

impl ExcerptBuffer {
    fn set(&mut self, text: Excerpt<'_>) {
        self.clear();
        self.bytes.extend_from_slice(text.bytes);
        self.is_cut = text.is_cut;
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = limits::EXCERPT_BYTES_MAX - self.bytes.len();
        self.is_cut |= bytes.len() > room;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.is_cut = false;
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The text without secrets. It is cut afterwards, so that no part of a secret remains.
    fn text(&self, bytes_max: usize, scrub: &dyn Fn(&mut String)) -> String {
        let mut text = quote::lossy(&self.bytes, self.is_cut);
        scrub(&mut text);
        quote::shorten(&mut text, bytes_max);
        text
    }
}

impl ErrorText {
    fn clear(&mut self) {
        self.kind.clear();
        self.reason.clear();
    }

    fn is_empty(&self) -> bool {
        self.kind.is_empty() && self.reason.is_empty()
    }

    /// Keeps the text if it is the type or the reason. If a name occurs twice, the first one applies.
    fn hear(&mut self, step: Step, text: Excerpt<'_>) {
        match step {
            Step::Type if self.kind.is_empty() => self.kind.set(text),
            Step::Reason if self.reason.is_empty() => self.reason.set(text),
            _ => {}
        }
    }

    fn texts(&self, scrub: &dyn Fn(&mut String)) -> (String, String) {
        let kind = self.kind.text(limits::ERROR_TYPE_BYTES_MAX, scrub);
        (kind, self.reason.text(limits::QUOTED_BYTES_MAX, scrub))
    }
}

impl<'s> Judge<'s> {
    /// Makes a judge for the answer to a bulk of `documents`. `scrub` removes secrets from a text.
    pub(super) fn new(documents: usize, scrub: &'s dyn Fn(&mut String)) -> Self {
        Self {
            scrub,
            scanner: Scanner::new(),
            reading: Reading::new(documents, scrub),
            page: ExcerptBuffer::default(),
            taken_bytes: 0,
            is_json: true,
        }
    }

    /// Whether the body has begun to arrive.
    pub(super) fn has_begun(&self) -> bool {
        self.taken_bytes > 0
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        let Reading { judgement, kept_bytes, item, error, cause, .. } = &self.reading;
        let words =
            [&item.error, error, cause].map(|words| words.kind.bytes.capacity() + words.reason.bytes.capacity());
        let texts = words.iter().sum::<usize>() + self.page.bytes.capacity() + self.scanner.memory_bytes();
        texts + kept_bytes + judgement.fates.capacity() * size_of::<Fate>()
    }

    /// Returns what the answer says, at the end of the body. `is_whole` is false if the rest of the body was not read.
    pub(super) fn conclude(self, status: u16, retry_after: Option<Duration>, is_whole: bool) -> BulkAnswer {
        let after = retry_after.map(|asked| asked.min(limits::RETRY_AFTER_MAX));
        let documents = self.reading.documents;
        let (verdict, mut complaints, mut request_complaint) = match status {
            200..=299 => self.of_success(status, after, is_whole),
            413 if documents > 1 => (Verdict::Split(SplitReason::BulkTooLarge), Complaints::default(), None),
            413 => {
                let message = "a single document is larger than the server accepts";
                (alone(413, "too_large", message.to_owned()), Complaints::default(), None)
            }
            _ => self.of_failure(status, after),
        };
        if !matches!(verdict, Verdict::Judged(_)) {
            complaints = Complaints::default();
        }
        if status != 400 {
            request_complaint = None;
        }
        BulkAnswer { status, verdict, complaints, request_complaint }
    }

    fn of_success(
        self,
        status: u16,
        after: Option<Duration>,
        is_whole: bool,
    ) -> (Verdict, Complaints, Option<Complaint>) {
        let Reading { documents, items, judgement, complaints, mismatch, .. } = self.reading;
        let is_good = self.is_json && mismatch.is_none();
        let is_over = is_good && is_whole && items == Items::Whole && self.scanner.is_complete();
        let verdict = if is_over {
            Verdict::Judged(judgement)
        } else if is_good && !is_whole && items != Items::None {
            // It is an answer to the bulk, but a longer one than is read.
            let message = format!("the server's response is longer than {} bytes", self.taken_bytes);
            if documents > 1 {
                Verdict::Split(SplitReason::AnswerTooLong)
            } else {
                alone(status, "long_answer", message)
            }
        } else {
            let mismatch = mismatch.filter(|_| self.is_json).unwrap_or(Mismatch::NotABulkResponse);
            let page = self.page.text(limits::QUOTED_BYTES_MAX, self.scrub);
            let reason = Reason::Mismatch { status, mismatch, page };
            Verdict::Again(Refusal { after, is_odd: true, ..Refusal::new(reason) })
        };
        (verdict, complaints, None)
    }

    /// Judges an answer that says that the whole request failed. The reason is the server's if it gave one, otherwise the
    /// beginning of its page.
    fn of_failure(self, status: u16, after: Option<Duration>) -> (Verdict, Complaints, Option<Complaint>) {
        let Reading { error, cause, .. } = self.reading;
        let request_complaint =
            [&error, &cause].into_iter().find_map(|words| mapping_types::complaint_of_request(&words.reason.bytes));
        let words = if error.is_empty() { cause } else { error };
        let rule = refusals::rule_of(&words.kind.bytes, &words.reason.bytes);
        let remedy = remedy_of(rule).filter(|_| matches!(status, 400 | 404));
        let hint = match status {
            _ if foreign::is_of_tls_port(&self.page.bytes) => Some(Hint::UseTls),
            300..=399 => Some(Hint::Redirect),
            403 => Some(Hint::Privileges),
            404 if remedy.is_none() => Some(Hint::NoBulkThere),
            _ => None,
        };
        let said = if words.is_empty() {
            Said::Page(self.page.text(limits::QUOTED_BYTES_MAX, self.scrub))
        } else {
            let (kind, reason) = words.texts(self.scrub);
            Said::Error { kind, reason }
        };
        // 408, 429 and 5xx are temporary. For other statuses a person has to do something.
        let slow = matches!(status, 300..=499) && !matches!(status, 408 | 429);
        // These statuses say that the server is busy, at another address, or needs credentials. They say nothing about
        // the content of the request.
        let is_odd = !matches!(status, 300..=399 | 401 | 404 | 405 | 407 | 408 | 429 | 502..=504);
        let reason = Reason::Refused { status, said, hint, remedy };
        let refusal = Refusal { after, slow, is_odd, ..Refusal::new(reason) };
        (Verdict::Again(refusal), Complaints::default(), request_complaint)
    }
}

/// The verdict for a document that was alone in its bulk and will never be accepted.
fn alone(status: u16, reason: &str, message: String) -> Verdict {
    let letter = DeadLetter { index: 0, status: status.into(), reason: reason.to_owned(), message };
    Verdict::Judged(Judgement { fates: vec![Fate::DeadLetter], refusals: Vec::new(), dead_letters: vec![letter] })
}

/// Why a document has to be sent again.
fn refusal_of(status: u64, (kind, reason): (String, String), rule: Option<&Rule>, fate: Fate) -> Refusal {
    let reason = Reason::Documents { status, kind, reason, remedy: remedy_of(rule) };
    Refusal { slow: fate == Fate::Mend, ..Refusal::new(reason) }
}

/// What a person can do about an error, if there is anything.
fn remedy_of(rule: Option<&Rule>) -> Option<Remedy> {
    rule.map(|rule| rule.remedy).filter(|remedy| !remedy.is_empty()).map(Remedy::Known)
}

impl Receiver for Judge<'_> {
    fn take(&mut self, status: u16, piece: &[u8]) -> bool {
        self.taken_bytes += piece.len();
        self.page.add(piece);
        self.is_json = self.is_json && self.scanner.read(piece, &mut self.reading);
        let is_success = (200..=299).contains(&status);
        if is_success && self.is_json && self.reading.mismatch.is_none() {
            return self.reading.kept_bytes <= limits::ANSWER_KEPT_BYTES_MAX;
        }
        // A short page is read to its end, so that the connection can be used again.
        self.taken_bytes <= limits::ANSWER_BYTES_MIN
    }

    fn restart(&mut self) {
        *self = Self::new(self.reading.documents, self.scrub);
    }
}

impl<'s> Reading<'s> {
    fn new(documents: usize, scrub: &'s dyn Fn(&mut String)) -> Self {
        Self {
            scrub,
            documents,
            judgement: Judgement::default(),
            complaints: Complaints::default(),
            refused: Vec::new(),
            kept_bytes: 0,
            items: Items::None,
            item: Item::default(),
            error: ErrorText::default(),
            cause: ErrorText::default(),
            mismatch: None,
        }
    }

    /// Decides what becomes of a document, at the end of its item.
    fn end_item(&mut self) -> Result<(), Mismatch> {
        let status = self.item.status.ok_or(Mismatch::NotABulkResponse)?;
        let words = &self.item.error;
        let rule = refusals::rule_of(&words.kind.bytes, &words.reason.bytes);
        let fate = refusals::fate_of(status, rule);
        let index = self.judgement.fates.len();
        self.judgement.fates.push(fate);
        match fate {
            Fate::Acked | Fate::Duplicate => {}
            Fate::Retry | Fate::Mend => {
                let kind = (status, rule);
                if self.refused.len() < limits::REFUSALS_LOGGED_MAX && !self.refused.contains(&kind) {
                    self.refused.push(kind);
                    let refusal = refusal_of(status, words.texts(self.scrub), rule, fate);
                    self.judgement.refusals.push(refusal);
                }
            }
            Fate::DeadLetter => {
                if let Some(complaint) = mapping_types::complaint_of_reason(&words.reason.bytes) {
                    self.complaints.add(index, complaint);
                    self.kept_bytes += size_of::<(usize, usize)>();
                }
                let (reason, message) = words.texts(self.scrub);
                self.kept_bytes += size_of::<DeadLetter>() + reason.len() + message.len();
                self.judgement.dead_letters.push(DeadLetter { index, status, reason, message });
            }
        }
        Ok(())
    }

    fn begin_item(&mut self) -> Result<(), Mismatch> {
        if self.judgement.fates.len() == self.documents {
            return Err(Mismatch::ItemCount);
        }
        let Item { has_outcome, has_error, status, error } = &mut self.item;
        (*has_outcome, *has_error, *status) = (false, false, None);
        error.clear();
        Ok(())
    }

    fn understand(&mut self, path: &[Step], event: Event<'_>) -> Result<(), Mismatch> {
        use Step::{Element, Error, Items as ItemsStep, RootCause, Status};
        match (path, event) {
            ([ItemsStep], Event::Array) if self.items == Items::None => {
                self.items = Items::Open;
                self.judgement.fates.reserve_exact(self.documents);
            }
            ([ItemsStep], Event::End) if self.judgement.fates.len() == self.documents => self.items = Items::Whole,
            ([ItemsStep], Event::End) => return Err(Mismatch::ItemCount),
            ([ItemsStep, Element], Event::Object) => return self.begin_item(),
            ([ItemsStep, Element], Event::End) => return self.end_item(),
            // An item has a single member, whose name is the action.
            ([ItemsStep, Element, _], Event::Object) if !self.item.has_outcome => self.item.has_outcome = true,
            ([ItemsStep, Element, _] | [ItemsStep, Element, _, Error], Event::End) => {}
            ([ItemsStep, Element, _, Status], Event::Number(number)) if self.item.status.is_none() => {
                self.item.status = Some(natural(number).ok_or(Mismatch::NotABulkResponse)?);
            }
            ([ItemsStep] | [ItemsStep, Element] | [ItemsStep, Element, _] | [ItemsStep, Element, _, Status], _) => {
                return Err(Mismatch::NotABulkResponse);
            }
            ([ItemsStep, Element, _, Error], _) if self.item.has_error => return Err(Mismatch::NotABulkResponse),
            ([ItemsStep, Element, _, Error], event) => {
                self.item.has_error = true;
                if let Event::Text(text) = event {
                    self.item.error.hear(Step::Reason, text);
                }
            }
            ([ItemsStep, Element, _, Error, step], Event::Text(text)) => self.item.error.hear(*step, text),
            ([Error], Event::Text(text)) => self.error.hear(Step::Reason, text),
            ([Error, step], Event::Text(text)) => self.error.hear(*step, text),
            ([Error, RootCause, Element, step], Event::Text(text)) => self.cause.hear(*step, text),
            _ => {}
        }
        Ok(())
    }
}

impl Listener for Reading<'_> {
    fn hear(&mut self, path: &[Step], event: Event<'_>) {
        if self.mismatch.is_none()
            && let Err(mismatch) = self.understand(path, event)
        {
            self.mismatch = Some(mismatch);
        }
    }
}

/// Parses a number without a sign, a decimal point or an exponent.
fn natural(number: Excerpt<'_>) -> Option<u64> {
    let text = std::str::from_utf8(number.bytes).ok().filter(|_| !number.is_cut)?;
    text.parse().ok()
}

/// Judges an answer that has arrived as a whole.
#[cfg(test)]
pub(crate) fn judge(answer: crate::http::Answer, documents: usize) -> Verdict {
    let crate::http::Answer { status, retry_after, body, .. } = answer;
    let mut judge = Judge::new(documents, &|_| {});
    judge.take(status, &body);
    judge.conclude(status, retry_after, true).verdict
}

#[cfg(test)]
mod tests;
