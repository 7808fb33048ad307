//! What became of each document of a bulk: a pure function of the server's answer.
//!
//! Nothing counts as delivered that the server did not say of that very document. An answer that does not match the bulk
//! (a proxy's page, a body that is cut off, another number of items) delivers nothing; the documents carry lasting ids, so
//! sending them again is harmless.

use crate::http::Answer;
use crate::limits;
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

/// The fates of all documents, and what the server said of the first of each kind of failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) fates: Vec<Fate>,
    pub(crate) retry_reason: Option<String>,
    pub(crate) dead_letter_reason: Option<String>,
}

/// Why nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    /// The server asked for this pause.
    pub(crate) after: Option<Duration>,
    /// A person has to mend it: no use in asking often.
    pub(crate) slow: bool,
}

impl Judgement {
    /// Every document was taken.
    pub(crate) fn all_acked(documents: usize) -> Self {
        Self { fates: vec![Fate::Acked; documents], ..Self::default() }
    }

    /// A document that the server refused goes again all the same.
    pub(super) fn retry(&mut self, document: usize, reason: &str) {
        self.fates[document] = Fate::Retry;
        if !self.fates.contains(&Fate::DeadLetter) {
            self.dead_letter_reason = None;
        }
        self.retry_reason.get_or_insert_with(|| reason.to_owned());
    }
}

/// Judges an answer to a bulk of `documents`.
pub(crate) fn judge(mut answer: Answer, documents: usize) -> Verdict {
    let after = answer.retry_after.as_deref().and_then(retry_after);
    match answer.status {
        200..=299 => {}
        413 if documents > 1 => return Verdict::Split,
        413 => return lone(Fate::DeadLetter, "status 413: the document alone is larger than the server takes"),
        status => {
            let reason = whole_request_reason(status, &mut answer.body);
            // 408 and 429 pass by themselves, and so does what is wrong with the server; the rest a person must mend.
            let slow = matches!(status, 300..=499) && !matches!(status, 408 | 429);
            return Verdict::Again(Refusal { reason, after, slow });
        }
    }
    let quoted = quote(&answer.body);
    match judge_items(&mut answer.body, documents) {
        Ok(judgement) => Verdict::Judged(judgement),
        Err(mismatch) => {
            let reason = format!("status {} but {mismatch}: {quoted}", answer.status);
            Verdict::Again(Refusal { reason, after, slow: false })
        }
    }
}

fn lone(fate: Fate, reason: &str) -> Verdict {
    Verdict::Judged(Judgement { fates: vec![fate], retry_reason: None, dead_letter_reason: Some(reason.to_owned()) })
}

/// Seconds, as servers send it; the date form is left to our own pause.
fn retry_after(value: &str) -> Option<Duration> {
    let seconds = value.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(limits::RETRY_AFTER_MAX))
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
    let mut judgement = Judgement::default();
    for item in &items {
        let outcome = item.as_object().and_then(|item| item.values().next()).ok_or(NO_ANSWER)?;
        let outcome = outcome.as_object().ok_or(NO_ANSWER)?;
        let status = outcome.get("status").and_then(|status| status.as_u64()).ok_or(NO_ANSWER)?;
        let error = outcome.get("error").map(ItemError::read).unwrap_or_default();
        let fate = fate_of(status, &error.kind);
        let reason = match fate {
            Fate::Acked | Fate::Duplicate => None,
            Fate::Retry => Some(&mut judgement.retry_reason),
            Fate::DeadLetter => Some(&mut judgement.dead_letter_reason),
        };
        if let Some(reason) = reason {
            reason.get_or_insert_with(|| {
                format!("item status {status}: {} {}", error.kind, quote(error.reason.as_bytes()))
            });
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
        408 | 429 | 500..=599 => Fate::Retry,
        // A write block, a full disk (403 before Elasticsearch 7), an index that was closed (403 in 5, 400 since 6).
        _ if matches!(error, "cluster_block_exception" | "index_closed_exception") => Fate::Retry,
        _ => Fate::DeadLetter,
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
}

/// What a server said of a whole request: its own reason if it gave one, else how its page begins.
fn whole_request_reason(status: u16, body: &mut [u8]) -> String {
    let quoted = quote(body);
    let error = simd_json::to_tape(body).ok().and_then(|tape| {
        let root = tape.as_value();
        root.get("error").map(ItemError::read)
    });
    let hint = match status {
        300..=399 => " (redirects are not followed when shipping: put the final address into `endpoint`)",
        401 => " (the server asks for credentials)",
        403 => " (the server forbids it: check the proxy or the user's rights)",
        404 => " (no `_bulk` there: check the path of `endpoint`)",
        _ => "",
    };
    match error {
        Some(ItemError { kind, reason }) if !(kind.is_empty() && reason.is_empty()) => {
            format!("status {status}{hint}: {kind} {}", quote(reason.as_bytes()))
        }
        _ if quoted.is_empty() => format!("status {status}{hint}"),
        _ => format!("status {status}{hint}: {quoted}"),
    }
}

/// The beginning of somebody else's text, for a log line.
pub(super) fn quote(text: &[u8]) -> String {
    let shown = &text[..text.len().min(limits::QUOTED_BYTES_MAX)];
    let mut quoted = String::from_utf8_lossy(shown).into_owned();
    if shown.len() < text.len() {
        quoted.push('…');
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str, documents: usize) -> Verdict {
        judge(Answer { status, retry_after: None, body: body.as_bytes().to_vec() }, documents)
    }

    fn fates(body: &str, documents: usize) -> Vec<Fate> {
        match judged(200, body, documents) {
            Verdict::Judged(judgement) => judgement.fates,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn each_item_has_its_fate_whatever_the_order_of_members() {
        use Fate::{Acked, DeadLetter, Duplicate, Retry};
        for (item, fate) in [
            (r#"{"create":{"status":201}}"#, Acked),
            (r#"{"create":{"_id":"x","status":200,"error":null}}"#, Acked),
            (r#"{"index": {"error":{"type":"version_conflict_engine_exception"},"status" : 409}}"#, Duplicate),
            (r#"{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"r"}}}"#, Retry),
            (r#"{"create":{"status":503,"error":{"type":"unavailable_shards_exception"}}}"#, Retry),
            (r#"{"create":{"status":403,"error":{"type":"cluster_block_exception"}}}"#, Retry),
            (r#"{"create":{"status":403,"error":{"type":"security_exception"}}}"#, DeadLetter),
            (r#"{"create":{"status":400,"error":{"type":"index_closed_exception"}}}"#, Retry),
            (r#"{"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"r"}}}"#, DeadLetter),
            (r#"{"create":{"status":400,"error":"MapperParsingException[failed]"}}"#, DeadLetter),
        ] {
            assert_eq!(fates(&format!("{{\"took\":1,\"errors\":true,\"items\":[{item}]}}"), 1), [fate], "{item}");
            assert_eq!(fates(&format!("{{\"items\":[{item},{item}],\"errors\" : true}}"), 2), [fate, fate], "{item}");
        }
    }

    #[test]
    fn what_does_not_match_the_bulk_delivers_nothing() {
        for body in [
            "",
            "<html>OK</html>",
            "{}",
            "[]",
            r#"{"errors":false}"#,
            r#"{"errors":false,"items":{}}"#,
            r#"{"errors":false,"items":[{"create":{"status":201}}]}"#,
            r#"{"items":[{"create":{"status":201}},{}]}"#,
            r#"{"items":[{"create":{"status":201}},{"create":{}}]}"#,
            r#"{"items":[{"create":{"status":201}},{"create":{"sta"#,
            r#"{"items":[{"create":{"status":"201"}},{"create":{"status":201}}]}"#,
        ] {
            assert!(matches!(judged(200, body, 2), Verdict::Again(Refusal { slow: false, .. })), "{body}");
        }
    }

    #[test]
    fn whole_requests_are_tried_again_at_the_fitting_pace() {
        for (status, slow) in [
            (401, true),
            (403, true),
            (404, true),
            (400, true),
            (301, true),
            (408, false),
            (429, false),
            (502, false),
            (503, false),
        ] {
            let Verdict::Again(refusal) = judged(status, r#"{"error":{"type":"t","reason":"the reason"}}"#, 3) else {
                panic!()
            };
            assert_eq!(refusal.slow, slow, "{status}");
            assert!(refusal.reason.contains("the reason"), "{}", refusal.reason);
        }
        assert_eq!(judged(413, "", 2), Verdict::Split);
        let Verdict::Judged(alone) = judged(413, "", 1) else { panic!() };
        assert_eq!(alone.fates, [Fate::DeadLetter]);
    }

    #[test]
    fn a_pause_that_the_server_asks_for_is_honoured_within_bounds() {
        let after =
            |value: &str| match judge(Answer { status: 429, retry_after: Some(value.to_owned()), body: Vec::new() }, 1)
            {
                Verdict::Again(refusal) => refusal.after,
                other => panic!("{other:?}"),
            };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("86400"), Some(limits::RETRY_AFTER_MAX));
        assert_eq!(after("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
