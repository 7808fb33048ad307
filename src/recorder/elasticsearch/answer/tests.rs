use super::*;
use crate::http::Answer;
use serde_json::Value;
use std::fmt::Write;
use std::path::PathBuf;

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
    assert!(matches!(judged(413, "", 2), Verdict::Split(_)));
    let Verdict::Judged(alone) = judged(413, "", 1) else { panic!() };
    assert_eq!(alone.fates, [Fate::DeadLetter]);
    assert_eq!((alone.dead_letters[0].index, alone.dead_letters[0].status), (0, 413));
}

#[test]
fn a_pause_that_the_server_asks_for_is_honoured_within_bounds() {
    let after = |retry_after: Option<Duration>| match judge(Answer { status: 429, retry_after, body: Vec::new() }, 1) {
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
        judge(Answer { status: self.status, retry_after: self.retry_after, body }, self.documents)
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
            assert_eq!(judgement.retry.is_some(), judgement.fates.contains(&Fate::Retry), "{key:?}");
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
