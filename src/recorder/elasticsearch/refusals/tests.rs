use super::*;
use serde_json::Value;
use std::collections::BTreeSet;

fn fate(status: u64, kind: &str, reason: &str) -> Fate {
    fate_of(status, rule_of(kind.as_bytes(), reason.as_bytes()))
}

/// Texts as real servers give them; those of `tests/responses` are checked by their verdicts.
#[test]
fn what_a_person_can_fix_is_no_fault_of_the_document() {
    for (status, kind, reason) in [
        (403, "security_exception", "no permissions for [indices:data/write/bulk[s]] and User [name=weak]"),
        (401, "security_exception", "missing authentication credentials for REST request [/_bulk]"),
        (404, "index_not_found_exception", "no such index [i] and composable template [t] forbids index auto creation"),
        (
            400,
            "illegal_argument_exception",
            "no write index is defined for alias [a]. The write index may be explicitly disabled using \
             is_write_index=false or the alias points to multiple indices without one being designated as a write index",
        ),
        (
            400,
            "illegal_argument_exception",
            "Alias [a] has more than one indices associated with it [[one, two]], can't execute a single index op",
        ),
        (
            400,
            "validation_exception",
            "Validation Failed: 1: this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum \
             normal shards open;",
        ),
        (
            400,
            "illegal_argument_exception",
            "Validation Failed: 1: this action would add [14] total shards, but this cluster currently has [8998]/[9000] \
             maximum shards open;",
        ),
        (400, "illegal_argument_exception", "pipeline with id [geoip] does not exist"),
        (403, "status_exception", "a following engine does not accept operations without an assigned sequence number"),
        (403, "index_closed_exception", "closed"),
    ] {
        assert_eq!(fate(status, kind, reason), Fate::Mend, "{kind}: {reason}");
        let rule = rule_of(kind.as_bytes(), reason.as_bytes());
        assert!(rule.is_some_and(|rule| !rule.remedy.is_empty()), "{kind}: {reason}: nobody knows what to do");
    }
}

/// A document chooses its own values, and servers quote them.
#[test]
fn a_document_cannot_talk_itself_into_another_rule() {
    for reason in [
        "failed to parse field [s]. Preview of field's value: 'pipeline with id [x] does not exist'",
        "failed to parse field [s]. Preview of field's value: 'no write index is defined for alias [a].'",
        "mapper [Alias [x] has more than one indices] cannot be changed from type [long] to [text]",
        "Limit of total fields [1000] has been exceeded while adding new fields [maximum shards]",
    ] {
        for kind in ["illegal_argument_exception", "mapper_parsing_exception", "document_parsing_exception", "", "x"] {
            assert_eq!(fate(400, kind, reason), Fate::DeadLetter, "{kind}: {reason}");
        }
    }
    for kind in ["security_exceptions", "a_security_exception", "SECURITY_EXCEPTION"] {
        assert_eq!(fate(403, kind, ""), Fate::DeadLetter, "{kind}");
    }
}

#[test]
fn a_status_that_speaks_for_itself_needs_no_rule() {
    for kind in ["", "security_exception", "mapper_parsing_exception", "cluster_block_exception"] {
        for (status, expected) in [
            (200, Fate::Acked),
            (201, Fate::Acked),
            (408, Fate::Retry),
            (409, Fate::Duplicate),
            (429, Fate::Retry),
            (500, Fate::Retry),
            (503, Fate::Retry),
            (302, Fate::Retry),
        ] {
            assert_eq!(fate(status, kind, ""), expected, "{status} {kind}");
        }
    }
    assert_eq!(fate(404, "shard_not_found_exception", "no such shard"), Fate::Retry);
}

/// Nothing is left to chance: each refusal that was recorded has a rule, and each rule that servers allow to be provoked
/// was seen.
#[test]
fn each_recorded_refusal_has_a_rule() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/responses");
    let (mut refusals, mut used) = (0, BTreeSet::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "ndjson") {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let recorded: Value = serde_json::from_str(line).unwrap();
            let Ok(body) = serde_json::from_str::<Value>(recorded["body"].as_str().unwrap()) else { continue };
            for item in body["items"].as_array().into_iter().flatten() {
                let Some(outcome) = item.as_object().and_then(|item| item.values().next()) else { continue };
                let status = outcome["status"].as_u64().unwrap_or_default();
                if !(400..=499).contains(&status) || matches!(status, 409 | 429) {
                    continue;
                }
                let (kind, reason) = (outcome["error"]["type"].as_str(), outcome["error"]["reason"].as_str());
                let (kind, reason) = (kind.unwrap_or_default(), reason.unwrap_or_default());
                let rule = rule_of(kind.as_bytes(), reason.as_bytes());
                let at = rule.and_then(|rule| RULES.iter().position(|other| std::ptr::eq(rule, other)));
                used.insert(at.unwrap_or_else(|| panic!("{}: {kind}: {reason}", path.display())));
                refusals += 1;
            }
        }
    }
    assert!(refusals > 100, "only {refusals}");
    assert!(used.len() >= 6, "{used:?}");
}
