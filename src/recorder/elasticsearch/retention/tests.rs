//! The texts for each kind of server, and how the answers of servers compare with them.

use super::super::server::{Product, Version};
use super::*;
use crate::config::Retention;

fn wish(index_name: &str, data_stream: bool, hours: u32) -> Wish {
    Wish {
        index_name: index_name.to_owned(),
        data_stream,
        fields_max: 1_000,
        verbatim: true,
        lean: true,
        index_numbers: None,
        index_settings: Vec::new(),
        retention: Some(Retention { hours }),
        means: Means::None,
    }
}

fn policy(index_name: &str, data_stream: bool, hours: u32, means: Means) -> Policy {
    Policy::new(&wish(index_name, data_stream, hours), means).unwrap()
}

#[test]
fn each_server_deletes_in_its_own_way() {
    let elasticsearch = |major, minor| Product::Elasticsearch(Version { major, minor });
    for (product, of_index, of_stream) in [
        (elasticsearch(5, 6), Means::None, Means::None),
        (elasticsearch(6, 5), Means::None, Means::None),
        (elasticsearch(6, 6), Means::Ilm, Means::Ilm),
        (elasticsearch(8, 10), Means::Ilm, Means::Ilm),
        (elasticsearch(8, 11), Means::Ilm, Means::Stream),
        (elasticsearch(9, 0), Means::Ilm, Means::Stream),
        (Product::OpenSearch(Version { major: 2, minor: 19 }), Means::Ism, Means::Ism),
        (Product::Unknown, Means::None, Means::None),
    ] {
        assert_eq!((Means::of(product, false), Means::of(product, true)), (of_index, of_stream), "{product}");
    }
}

/// A day's index is as old as its first document, so the last one would be deleted a day early.
#[test]
fn the_last_document_of_an_index_is_kept_as_long_as_the_first() {
    for (index_name, hours, path, after) in [
        ("shop-%Y.%m.%d", 720, "/_ilm/policy/expvastic-shop-y.m.d-30d", "31d"),
        ("shop-%Y.%m", 720, "/_ilm/policy/expvastic-shop-y.m-30d", "61d"),
        ("expvastic-%Y.%m.%d.%H", 36, "/_ilm/policy/expvastic-y.m.d.h-36h", "37h"),
    ] {
        let policy = policy(index_name, false, hours, Means::Ilm);
        assert_eq!((policy.path.as_str(), policy.after.as_str()), (path, after));
    }
    // An index that is rolled over is as old as its last document.
    let stream = policy("metrics-shop-default", true, 720, Means::Ilm);
    assert_eq!(
        stream.text,
        r#"{"policy":{"phases":{"hot":{"actions":{"rollover":{"max_age":"3d","max_size":"50gb"}}},"delete":{"min_age":"30d","actions":{"delete":{}}}}}}"#
    );
    let stream = policy("metrics-shop-default", true, 720, Means::Ism);
    assert!(stream.text.contains(r#"{"rollover":{"min_index_age":"3d","min_size":"50gb"}}"#) && stream.after == "33d");
}

/// The form is that of Elasticsearch's documentation of `GET _ilm/policy`.
#[test]
fn an_ilm_policy_is_ours_or_a_persons() {
    let policy = policy("shop-%Y.%m.%d", false, 720, Means::Ilm);
    assert_eq!(policy.text, r#"{"policy":{"phases":{"delete":{"min_age":"31d","actions":{"delete":{}}}}}}"#);
    let answer = |phases: &str| {
        let text = format!(
            r#"{{"expvastic-shop-y.m.d-30d":{{"version":1,"modified_date":"2026-01-01T00:00:00.000Z","policy":{{"phases":{phases}}},"in_use_by":{{"indices":[],"data_streams":[],"composable_templates":[]}}}}}}"#
        );
        policy.compare(&mut text.into_bytes())
    };
    let same = r#"{"delete":{"min_age":"31d","actions":{"delete":{"delete_searchable_snapshot":true}}}}"#;
    assert_eq!(answer(same), Found::Same);
    for phases in [
        same.replace("31d", "90d"),
        same.replace(r#"{"delete":{"delete_searchable_snapshot":true}}"#, "{}"),
        same.replacen('{', r#"{"warm":{"min_age":"2d","actions":{}},"#, 1),
        "{}".to_owned(),
    ] {
        assert_eq!(answer(&phases), Found::Changed, "{phases}");
    }
    assert_eq!(policy.compare(&mut b"<html>".to_vec()), Found::Changed);
}

/// The form is that of OpenSearch's documentation of `GET _plugins/_ism/policies`.
#[test]
fn an_ism_policy_of_ours_is_updated_unless_a_person_has_changed_it() {
    let policy = policy("shop-%Y.%m.%d", false, 720, Means::Ism);
    assert_eq!(policy.path, "/_plugins/_ism/policies/expvastic-shop-y.m.d");
    assert!(
        policy.text.contains(r#""ism_template":[{"index_patterns":["shop-*.*.*"],"priority":307}]"#),
        "{}",
        policy.text
    );
    let answer = |described: &str, after: &str, state: &str| {
        let text = format!(
            r#"{{"_id":"expvastic-shop-y.m.d","_version":3,"_seq_no":12,"_primary_term":1,"policy":{{"policy_id":"expvastic-shop-y.m.d","description":"{described}","last_updated_time":1641079731905,"schema_version":21,"error_notification":null,"default_state":"kept","states":[{{"name":"kept","actions":[],"transitions":[{{"state_name":"deleted","conditions":{{"min_index_age":"{after}"}}}}]}},{{"name":"deleted","actions":[{{"retry":{{"count":3,"backoff":"exponential","delay":"1m"}},"delete":{{}}}}],"transitions":[]}}{state}],"ism_template":[{{"index_patterns":["shop-*.*.*"],"priority":307,"last_updated_time":1641079731905}}]}}}}"#
        );
        policy.compare(&mut text.into_bytes())
    };
    let described = |after: &str| format!("{DESCRIPTION}{after}");
    assert_eq!(answer(&described("31d"), "31d", ""), Found::Same);
    let query = "if_seq_no=12&if_primary_term=1".to_owned();
    assert_eq!(answer(&described("8d"), "8d", ""), Found::Outdated { query });
    assert_eq!(answer(&described("31d"), "90d", ""), Found::Changed, "the time was edited");
    assert_eq!(answer("mine", "31d", ""), Found::Changed, "by a person");
    assert_eq!(answer(&described("31d"), "31d", r#",{"name":"x","actions":[],"transitions":[]}"#), Found::Changed);
}

/// The policy is valid JSON, and what a server returns of it is the same to us.
#[test]
fn policies_are_json() {
    for means in [Means::Ilm, Means::Ism] {
        for (name, data_stream) in [("größe-%Y.%m", false), ("s", true)] {
            let policy = policy(name, data_stream, 30, means);
            let parsed: serde_json::Value = serde_json::from_str(&policy.text).unwrap();
            let answer = if means == Means::Ilm { serde_json::json!({"name": parsed}) } else { parsed };
            assert_eq!(policy.compare(&mut answer.to_string().into_bytes()), Found::Same, "{name}");
        }
    }
}
