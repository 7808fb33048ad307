use super::*;
use crate::http::Answer;
use serde_json::Value;
use std::cell::RefCell;
use std::fmt::Write;
use std::path::PathBuf;

fn judged(status: u16, body: &str, documents: usize) -> Verdict {
    judge(Answer { status, body: body.as_bytes().to_vec(), ..Answer::default() }, documents)
}

fn fates(body: &str, documents: usize) -> Vec<Fate> {
    match judged(200, body, documents) {
        Verdict::Judged(judgement) => judgement.fates,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn each_item_has_its_fate_whatever_the_order_of_members() {
    use Fate::{Acked, DeadLetter, Duplicate, Mend, Retry};
    for (item, fate) in [
        (r#"{"create":{"status":201}}"#, Acked),
        (r#"{"create":{"_id":"x","status":200,"error":null}}"#, Acked),
        (r#"{"index": {"error":{"type":"version_conflict_engine_exception"},"status" : 409}}"#, Duplicate),
        (r#"{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"r"}}}"#, Retry),
        (r#"{"create":{"status":503,"error":{"type":"unavailable_shards_exception"}}}"#, Retry),
        (r#"{"create":{"status":403,"error":{"type":"cluster_block_exception"}}}"#, Retry),
        (r#"{"create":{"status":403,"error":{"type":"security_exception"}}}"#, Mend),
        (r#"{"create":{"status":400,"error":{"type":"index_closed_exception"}}}"#, Mend),
        (r#"{"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"r"}}}"#, DeadLetter),
        (r#"{"create":{"status":400,"error":"MapperParsingException[failed]"}}"#, DeadLetter),
        (r#"{"create":{"status":408}}"#, Retry),
        (r#"{"create":{"status":302}}"#, Retry),
        (r#"{"create":{"status":0}}"#, Retry),
        (r#"{"create":{"status":503,"error":{"type":"cluster_block_exception"}}}"#, Retry),
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
        r#"{"items":[{"create":{"status":201},"index":{"status":400}},{"create":{"status":201}}]}"#,
        r#"{"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}}]}"#,
        r#"{"items":[{"create":{"status":201}},{"create":{"status":201}}]} and more"#,
    ] {
        assert!(matches!(judged(200, body, 2), Verdict::Again(Refusal { slow: false, .. })), "{body}");
    }
}

#[test]
fn what_is_said_twice_delivers_nothing() {
    for body in [
        r#"{"items":[{"create":{"status":400}}],"items":[{"create":{"status":201}}]}"#,
        r#"{"items":[{"create":{"status":201,"status":400}}]}"#,
        r#"{"items":[{"create":{"error":null,"status":201,"error":{"type":"t"}}}]}"#,
        r#"{"items":[{"create":{"status":201},"create":{"status":201}}]}"#,
    ] {
        assert!(matches!(judged(200, body, 1), Verdict::Again(_)), "{body}");
    }
}

/// Judges an answer that comes in pieces, and stops where it says that it wants no more.
fn judged_in_pieces<'p>(status: u16, pieces: impl IntoIterator<Item = &'p [u8]>, documents: usize) -> BulkAnswer {
    let mut judge = Judge::new(documents, &|_| {});
    let is_whole = pieces.into_iter().all(|piece| judge.take(status, piece));
    judge.conclude(status, None, is_whole)
}

#[test]
fn an_answer_is_the_same_in_whatever_pieces_it_comes() {
    for answer in recorded() {
        let body = answer.body.as_bytes();
        let whole = format!("{:?}", judged_in_pieces(answer.status, [body], answer.documents));
        for length in [1, 2, 3, 7, 64, 1000] {
            let pieces = judged_in_pieces(answer.status, body.chunks(length), answer.documents);
            assert_eq!(format!("{pieces:?}"), whole, "{} {} in pieces of {length}", answer.server, answer.case);
        }
        for cut in (0..=body.len()).step_by(5) {
            let pieces = judged_in_pieces(answer.status, [&body[..cut], &body[cut..]], answer.documents);
            assert_eq!(format!("{pieces:?}"), whole, "{} {} cut at {cut}", answer.server, answer.case);
        }
    }
}

/// Whatever the status: nothing is read from an item that the bulk has no document for.
#[test]
fn more_items_than_documents_are_an_answer_to_another_bulk() {
    let complaint =
        r#"{"create":{"status":400,"error":{"type":"t","reason":"Invalid type: expecting [_doc] but got [a]"}}}"#;
    for status in [200, 201, 299, 301, 307, 400, 401, 403, 404, 413, 415, 429, 500, 503] {
        for documents in 1..4 {
            for items in documents + 1..documents + 4 {
                let body = format!("{{\"items\":[{}]}}", vec![complaint; items].join(","));
                let answer = judged_in_pieces(status, [body.as_bytes()], documents);
                assert!(answer.complaints.is_empty(), "{status}");
                match answer.verdict {
                    Verdict::Judged(judgement) => assert_eq!((status, judgement.fates.len()), (413, 1)),
                    Verdict::Split(_) => assert!(status == 413 && documents > 1),
                    Verdict::Again(_) => assert_ne!(status, 413),
                }
            }
        }
    }
}

/// An answer that quotes long texts of refused documents twice each.
fn long_answer(documents: usize, quoted_bytes: usize) -> String {
    let quote = "v".repeat(quoted_bytes);
    let item = format!(
        r#"{{"create":{{"status":400,"error":{{"type":"mapper_parsing_exception","reason":"failed [{quote}]","caused_by":{{"type":"t","reason":"{quote}"}}}}}}}}"#
    );
    format!(r#"{{"errors":true,"items":[{}]}}"#, vec![item; documents].join(","))
}

#[test]
fn a_long_answer_is_judged_in_the_memory_of_one_item() {
    let body = long_answer(100, 40_000);
    let mut judge = Judge::new(100, &|_| {});
    for piece in body.as_bytes().chunks(16 << 10) {
        assert!(judge.take(200, piece));
        let held = [&judge.page, &judge.reading.item.error.kind, &judge.reading.item.error.reason];
        assert!(held.iter().all(|held| held.bytes.capacity() <= 2 * limits::EXCERPT_BYTES_MAX));
    }
    let Verdict::Judged(judgement) = judge.conclude(200, None, true).verdict else { panic!("it is whole") };
    assert_eq!(judgement.fates, [Fate::DeadLetter; 100]);
    let letter = &judgement.dead_letters[99];
    assert!(letter.message.starts_with("failed [vvv") && letter.message.ends_with("v…"), "{letter:?}");
    assert_eq!(letter.message.len(), limits::QUOTED_BYTES_MAX + '…'.len_utf8());
}

#[test]
fn an_answer_without_end_leads_to_halves_and_then_to_a_dead_letter() {
    let body = long_answer(4, 40_000);
    let cut = &body.as_bytes()[..100_000];
    for documents in [2, 4] {
        let mut judge = Judge::new(documents, &|_| {});
        judge.take(200, cut);
        assert!(matches!(judge.conclude(200, None, false).verdict, Verdict::Split(_)));
    }
    let mut judge = Judge::new(1, &|_| {});
    judge.take(200, &cut[..50_000]);
    let Verdict::Judged(judgement) = judge.conclude(200, None, false).verdict else { panic!() };
    assert_eq!((judgement.fates.as_slice(), judgement.dead_letters[0].index), (&[Fate::DeadLetter][..], 0));
    assert!(judgement.dead_letters[0].message.contains("longer than 50000 bytes"), "{judgement:?}");
    // What never comes to an item is no answer to a bulk, however long it is.
    for body in [" ".repeat(100_000), format!("{{\"a\":\"{}", "x".repeat(100_000)), "<html>".repeat(20_000)] {
        let mut judge = Judge::new(1, &|_| {});
        judge.take(200, body.as_bytes());
        assert!(matches!(judge.conclude(200, None, false).verdict, Verdict::Again(Refusal { is_odd: true, .. })));
    }
}

#[test]
fn what_is_kept_of_refused_documents_is_bounded() {
    for (documents, quoted) in [(100_000, 0), (100_000, 2_000), (3_000, 10_000)] {
        let text = |letter: &str, number: usize| format!("{number}{}", letter.repeat(quoted));
        let item = |number| {
            let (kind, reason) = (text("t", number), text("r", number));
            format!(r#"{{"create":{{"status":400,"error":{{"type":"{kind}","reason":"{reason}"}}}}}}"#)
        };
        let mut judge = Judge::new(documents, &|_| {});
        judge.take(200, br#"{"items":["#);
        let mut number = 0;
        while judge.take(200, format!("{}{}", if number == 0 { "" } else { "," }, item(number)).as_bytes()) {
            number += 1;
            assert!(number < documents, "it is too much before the end");
        }
        let letters = &judge.reading.judgement.dead_letters;
        let texts: usize = letters.iter().map(|letter| letter.reason.len() + letter.message.len()).sum();
        let kept = texts + size_of_val(letters.as_slice());
        assert!(kept <= limits::ANSWER_KEPT_BYTES_MAX + 1_000, "{documents} {quoted}: {kept}");
        assert!(number > 500, "those of a usual bulk fit in: {number}");
        assert!(matches!(judge.conclude(200, None, false).verdict, Verdict::Split(_)));
    }
}

#[test]
fn a_page_that_is_no_answer_is_read_to_its_end_if_that_is_near() {
    for (status, body) in [(200, "<html>"), (503, "<html>"), (503, r#"{"error":{"type":"t"},"x":[0,0,0,0"#)] {
        let mut judge = Judge::new(1, &|_| {});
        assert!(judge.take(status, body.as_bytes()));
        let blanks = vec![b' '; limits::ANSWER_BYTES_MIN / 2];
        assert!(judge.take(status, &blanks));
        assert!(!judge.take(status, &blanks), "{status} {body}");
    }
}

#[test]
fn an_error_is_understood_though_its_page_is_cut_off() {
    let body = r#"{"error":{"root_cause":[{"type":"c","reason":"Validation Failed: 1: type is missing;"}],"#;
    let answer = judged_in_pieces(400, [body.as_bytes()], 2);
    assert_eq!(answer.request_complaint, Some(Complaint::Missing));
    let Verdict::Again(refusal) = answer.verdict else { panic!() };
    assert!(refusal.kind().ends_with(": c") && refusal.to_string().contains("type is missing"), "{refusal:?}");
}

#[test]
fn what_a_server_says_is_bounded_and_secrets_are_taken_out_before_it_is_cut() {
    let secret = "s3cret".repeat(50);
    let seen = RefCell::new(Vec::new());
    let scrub = |text: &mut String| {
        seen.borrow_mut().push(text.len());
        *text = text.replace(&secret, "***");
    };
    // The secret goes over the bounds of what is shown.
    let said = format!("{}{secret} {}", "x".repeat(100), "\u{1}ä".repeat(1 << 20));
    let text = Value::from(said.as_str());
    let item = |status: u16| {
        format!(r#"{{"items":[{{"create":{{"status":{status},"error":{{"type":{text},"reason":{text}}}}}}}]}}"#)
    };
    for (status, body) in [
        (503, format!(r#"{{"error":{{"type":{text},"reason":{text}}}}}"#)),
        (503, format!(r#"{{"error":{text}}}"#)),
        (503, said.clone()),
        (200, said.clone()),
        (200, item(429)),
        (200, item(400)),
    ] {
        let mut judge = Judge::new(1, &scrub);
        judge.take(status, body.as_bytes());
        let mut verdict = judge.conclude(status, None, true).verdict;
        let mut texts = Vec::new();
        verdict.for_each_text(|text| texts.push(text.clone()));
        if let Verdict::Again(refusal) = &verdict {
            texts.extend([refusal.kind(), refusal.to_string()]);
        }
        for text in texts {
            assert!(text.len() <= limits::FAILURE_REASON_BYTES_MAX + 3, "{status}: {} bytes", text.len());
            assert!(!text.contains("s3cret"), "{status}: {text}");
        }
    }
    let bounds = limits::EXCERPT_BYTES_MAX..limits::EXCERPT_BYTES_MAX * 3;
    assert!(seen.borrow().iter().all(|bytes| *bytes == 0 || bounds.contains(bytes)), "{seen:?}");
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
        assert!(refusal.to_string().contains("the reason"), "{refusal}");
    }
    assert!(matches!(judged(413, "", 2), Verdict::Split(_)));
    let Verdict::Judged(alone) = judged(413, "", 1) else { panic!() };
    assert_eq!(alone.fates, [Fate::DeadLetter]);
    assert_eq!((alone.dead_letters[0].index, alone.dead_letters[0].status), (0, 413));
}

#[test]
fn a_pause_that_the_server_asks_for_is_honoured_within_bounds() {
    let after = |retry_after| match judge(Answer { status: 429, retry_after, ..Answer::default() }, 1) {
        Verdict::Again(refusal) => refusal.after,
        other => panic!("{other:?}"),
    };
    assert_eq!(after(Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
    assert_eq!(after(Some(Duration::from_secs(86_400))), Some(limits::RETRY_AFTER_MAX));
    assert_eq!((after(Some(Duration::ZERO)), after(None)), (Some(Duration::ZERO), None));
}

/// An answer that a real server gave; see `tests/responses/README.md`.
struct Recorded {
    server: String,
    case: String,
    documents: usize,
    status: u16,
    retry_after: Option<Duration>,
    body: String,
}

impl Recorded {
    fn judged(&self) -> Verdict {
        let body = self.body.clone().into_bytes();
        judge(Answer { status: self.status, retry_after: self.retry_after, body, ..Answer::default() }, self.documents)
    }
}

fn responses() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/responses")
}

fn recorded() -> Vec<Recorded> {
    let mut recorded = Vec::new();
    for entry in std::fs::read_dir(responses()).unwrap() {
        let path = entry.unwrap().path();
        let Some(server) = path.file_name().unwrap().to_str().unwrap().strip_suffix(".ndjson") else { continue };
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let answer: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| answer[name].as_str().map(str::to_owned);
            let number = |name: &str| answer[name].as_u64().unwrap();
            recorded.push(Recorded {
                server: server.to_owned(),
                case: text("case").unwrap(),
                documents: usize::try_from(number("documents")).unwrap(),
                status: u16::try_from(number("status")).unwrap(),
                retry_after: text("retry_after").map(|seconds| Duration::from_secs(seconds.parse().unwrap())),
                body: text("body").unwrap(),
            });
        }
    }
    assert!(recorded.len() > 600, "only {} answers", recorded.len());
    recorded
}

/// A verdict as `verdicts.txt` writes it.
fn written(verdict: &Verdict) -> String {
    let mut text = String::new();
    match verdict {
        Verdict::Split(_) => text += "split",
        Verdict::Again(refusal) => {
            text += if refusal.slow { "again slowly" } else { "again" };
            if let Some(after) = refusal.after {
                write!(text, " after {} s", after.as_secs()).unwrap();
            }
        }
        Verdict::Judged(judgement) => {
            for run in judgement.fates.chunk_by(|one, other| one == other) {
                let name = match run[0] {
                    Fate::Acked => "acked",
                    Fate::Duplicate => "duplicate",
                    Fate::Retry => "retry",
                    Fate::Mend => "mend",
                    Fate::DeadLetter => "dead",
                };
                let times = if run.len() > 1 { format!("*{}", run.len()) } else { String::new() };
                write!(text, "{}{name}{times}", if text.is_empty() { "" } else { " " }).unwrap();
            }
        }
    }
    text
}

#[test]
fn each_recorded_answer_gets_its_verdict() {
    let table = std::fs::read_to_string(responses().join("verdicts.txt")).unwrap();
    let mut expected = std::collections::HashMap::new();
    let mut case = "";
    for line in table.lines() {
        match line.strip_prefix("    ").and_then(|line| line.split_once(" : ")) {
            None => case = line,
            Some((verdict, servers)) => {
                expected.extend(servers.split(' ').map(|server| ((server.to_owned(), case.to_owned()), verdict)));
            }
        }
    }
    let recorded = recorded();
    assert_eq!(recorded.len(), expected.len(), "an answer for each line of the table");
    for answer in recorded {
        let verdict = answer.judged();
        let key = (answer.server.clone(), answer.case.clone());
        assert_eq!(written(&verdict), expected[&key], "{key:?}: {verdict:?}");
        if let Verdict::Judged(judgement) = verdict {
            let indices: Vec<usize> = judgement.dead_letters.iter().map(|letter| letter.index).collect();
            let dead: Vec<usize> =
                (0..answer.documents).filter(|&at| judgement.fates[at] == Fate::DeadLetter).collect();
            assert_eq!(indices, dead, "{key:?}: each dead letter comes with the server's words");
            assert!(judgement.dead_letters.iter().all(|letter| !letter.reason.is_empty()), "{key:?}");
            assert_eq!(judgement.refusals.is_empty(), !judgement.fates.iter().any(|fate| fate.is_again()), "{key:?}");
            let is_slow = judgement.decisive_refusal().is_some_and(|pace| pace.slow);
            assert!(
                !is_slow || !judgement.fates.contains(&Fate::Retry),
                "{key:?}: what passes by itself sets the pace"
            );
        }
    }
}

#[test]
fn a_recorded_answer_that_is_cut_off_or_of_another_bulk_delivers_nothing() {
    let mut seen = 0;
    for mut answer in recorded() {
        if !(200..300).contains(&answer.status) || !matches!(answer.judged(), Verdict::Judged(_)) {
            continue;
        }
        seen += 1;
        for documents in [answer.documents - 1, answer.documents + 1] {
            let other = Recorded { documents, body: answer.body.clone(), retry_after: None, ..answer };
            assert!(matches!(other.judged(), Verdict::Again(_)), "{} {}", other.server, other.case);
            answer = Recorded { documents: answer.documents, ..other };
        }
        let whole = answer.body.clone();
        let end = whole.trim_end().len();
        for length in (0..end).step_by(7).chain([end - 1]).filter(|&length| whole.is_char_boundary(length)) {
            answer.body = whole[..length].to_owned();
            assert!(matches!(answer.judged(), Verdict::Again(_)), "{}: {}", answer.server, answer.body);
        }
    }
    assert!(seen > 400, "only {seen} answers");
}

#[test]
fn the_order_of_members_and_blanks_do_not_matter() {
    let mut seen = 0;
    for mut answer in recorded() {
        let Ok(parsed) = serde_json::from_str::<Value>(&answer.body) else { continue };
        let verdict = answer.judged();
        answer.body = spaced_and_reversed(&parsed);
        let again = answer.judged();
        assert_eq!(written(&again), written(&verdict), "{} {}", answer.server, answer.case);
        if let (Verdict::Judged(one), Verdict::Judged(other)) = (verdict, again) {
            assert_eq!(one.dead_letters, other.dead_letters, "{} {}", answer.server, answer.case);
        }
        seen += 1;
    }
    assert!(seen > 500, "only {seen} answers");
}

/// The same JSON with the members of each object in the other order and blanks wherever they may be.
fn spaced_and_reversed(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .rev()
                .map(|(name, member)| format!("\n {} : {}", Value::from(name.as_str()), spaced_and_reversed(member)))
                .collect();
            format!("{{ {} }}", members.join(" , "))
        }
        Value::Array(items) => {
            format!("[ {} ]", items.iter().map(spaced_and_reversed).collect::<Vec<_>>().join(" ,\t"))
        }
        scalar => scalar.to_string(),
    }
}
