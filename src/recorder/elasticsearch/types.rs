//! `_type`: whether documents are sent with one, which, and what servers say when it was the wrong one. Pure.
//!
//! Elasticsearch 5 asks for a type with each document, 6 asks for it and takes one for each index only, 7 takes `_doc`
//! only, and 8, 9 and OpenSearch refuse any. It is the reader's `type_name`, as the Go program had it; in an index that
//! has a type already, it is that one.

use crate::bulk::Bulk;
use crate::limits;
use memchr::memmem;
use simd_json::prelude::*;

/// What is known of the types of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Types {
    /// Whether documents carry one.
    pub(super) wanted: bool,
    /// The type that an index has, where it is another than that of our documents: JSON text, index then type.
    of_index: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a server has against a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Complaint {
    /// There is none, and it wants one.
    Missing,
    /// There is one, and it wants none.
    Unwanted,
    /// The index has another one.
    Other { index: String, types: Vec<String> },
}

impl Types {
    /// The bulk as this server takes it.
    pub(super) fn apply(&self, bulk: &Bulk) -> Bulk {
        bulk.typed(|index, type_name| self.of(index, type_name))
    }

    /// The type of a document whose reader has `type_name`; both are JSON strings without their quotes.
    fn of<'t>(&'t self, index: &[u8], type_name: &'t [u8]) -> &'t [u8] {
        let known = self.of_index.iter().find(|(other, _)| other == index);
        known.map_or_else(|| valid(type_name), |(_, type_name)| type_name)
    }

    /// The type that a document of the bulk has.
    pub(super) fn of_document<'t>(&'t self, bulk: &'t Bulk, document: usize) -> &'t [u8] {
        self.of(bulk.index_of(document), bulk.type_name_of(document))
    }

    /// Takes in what the server said of a document that was sent with the type `sent`.
    pub(super) fn learn(&mut self, complaint: &Complaint, sent: &[u8]) {
        match complaint {
            Complaint::Missing => self.wanted = true,
            Complaint::Unwanted => self.wanted = false,
            Complaint::Other { index, types } => {
                let other = |name: &&String| name.as_bytes() != sent && !name.contains(['"', '\\']);
                let Some(theirs) = types.iter().find(other) else { return };
                self.of_index.retain(|(other, _)| other != index.as_bytes());
                if self.of_index.len() == limits::INDEX_TYPES_MAX {
                    self.of_index.remove(0);
                }
                self.of_index.push((index.clone().into_bytes(), theirs.clone().into_bytes()));
            }
        }
    }

    /// Whether a document of the bulk would go out otherwise than it did when `sent` was known.
    pub(super) fn differs(&self, sent: &Self, bulk: &Bulk, document: usize) -> bool {
        self.wanted != sent.wanted
            || (self.wanted && self.of_document(bulk, document) != sent.of_document(bulk, document))
    }
}

/// A `type_name` that the servers would refuse is replaced: the document has it as its `service.name` all the same.
fn valid(type_name: &[u8]) -> &[u8] {
    let bad = type_name.is_empty()
        || type_name.len() > limits::MAPPING_TYPE_BYTES_MAX
        || matches!(type_name[0], b'_' | b'.')
        || type_name.iter().any(|byte| matches!(byte, b'#' | b',' | b'\\'));
    if bad { b"expvastic" } else { type_name }
}

/// What the answer to a whole request has against the types in it.
pub(super) fn complaint_of_request(status: u16, body: &[u8]) -> Option<Complaint> {
    if status != 400 {
        None
    } else if memmem::find(body, b": type is missing;").is_some() {
        Some(Complaint::Missing)
    } else if memmem::find(body, b"unknown parameter [_type]").is_some() {
        Some(Complaint::Unwanted)
    } else {
        None
    }
}

/// What the items of an answer have against their types, each with its place. Nearly always nothing, which costs two
/// searches in a short text.
pub(super) fn complaints_of_items(body: &[u8]) -> Vec<(usize, Complaint)> {
    if [OTHER, UNWANTED].iter().all(|needle| memmem::find(body, needle.as_bytes()).is_none()) {
        return Vec::new();
    }
    let mut copy = body.to_vec();
    let Ok(tape) = simd_json::to_tape(&mut copy) else { return Vec::new() };
    let root = tape.as_value();
    let Some(items) = root.get("items").and_then(|items| items.as_array()) else { return Vec::new() };
    let mut complaints = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let outcome = item.as_object().and_then(|item| item.values().next());
        let reason = outcome.and_then(|outcome| outcome.get("error")?.get("reason")?.into_string());
        if let Some(complaint) = reason.and_then(complaint_of_reason) {
            complaints.push((place, complaint));
        }
    }
    complaints
}

const OTHER: &str = "as the final mapping would have more than 1 type: [";
const UNWANTED: &str = "Invalid type: expecting [_doc] but got [";

fn complaint_of_reason(reason: &str) -> Option<Complaint> {
    if reason.contains(UNWANTED) {
        return Some(Complaint::Unwanted);
    }
    // "Rejecting mapping update to [i] as the final mapping would have more than 1 type: [a, b]"
    let (before, types) = reason.split_once(OTHER)?;
    let index = before.split_once('[')?.1.rsplit_once(']')?.0.to_owned();
    let types = types.split_once(']')?.0.split(", ").map(str::to_owned).collect();
    Some(Complaint::Other { index, types })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::{self, ActionLine, DocumentKey, IdSource};
    use crate::calendar::Timestamp;

    fn bulk_of(documents: &[(&str, &str)]) -> Bulk {
        let mut bulk = Bulk::default();
        let mut ids = IdSource::new([0; 9]);
        for (index, type_name) in documents {
            let time = Timestamp::EPOCH;
            let mut document = Vec::new();
            bulk::begin_document(&mut document, time, &bulk::own_members(type_name, "box", std::iter::empty()));
            bulk::end_document(&mut document);
            bulk.push(&mut ActionLine::new(index), DocumentKey { time, id: ids.next_id() }, &document);
        }
        bulk
    }

    /// The types of a bulk as it is sent.
    fn types_in(bulk: &Bulk) -> Vec<Option<String>> {
        let text = std::str::from_utf8(bulk.bytes()).unwrap();
        let actions = text.lines().step_by(2).map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        actions.map(|action| action["create"]["_type"].as_str().map(str::to_owned)).collect()
    }

    #[test]
    fn documents_carry_the_name_of_their_reader() {
        let types = Types { wanted: true, ..Types::default() };
        let long = "x".repeat(256);
        let bulk =
            bulk_of(&[("i", "my_app"), ("i", "größe"), ("i", "_doc"), ("i", "a,b"), ("i", "q\"q"), ("i", &long)]);
        let sent = types.apply(&bulk);
        let expected = ["my_app", "größe", "expvastic", "expvastic", "expvastic", "expvastic"];
        assert_eq!(types_in(&sent), expected.map(|name| Some(name.to_owned())));
        assert_eq!(types_in(&bulk), vec![None; 6]);
        let documents = |bulk: &Bulk| {
            let text = std::str::from_utf8(bulk.bytes()).unwrap();
            text.lines().skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(documents(&sent), documents(&bulk));
        assert_eq!(sent.documents(), 6);
        assert_eq!(sent.select(|at| at == 3).documents(), 1);
    }

    #[test]
    fn what_servers_say_of_types_is_understood() {
        for (status, body, complaint) in [
            (
                400,
                r#"{"error":{"root_cause":[{"type":"action_request_validation_exception","reason":"Validation Failed: 1: type is missing;2: type is missing;"}]},"status":400}"#,
                Some(Complaint::Missing),
            ),
            (
                400,
                r#"{"error":{"type":"illegal_argument_exception","reason":"Action/metadata line [1] contains an unknown parameter [_type]"},"status":400}"#,
                Some(Complaint::Unwanted),
            ),
            (400, r#"{"error":{"type":"illegal_argument_exception","reason":"Malformed"}}"#, None),
            (200, "1: type is missing;", None),
        ] {
            assert_eq!(complaint_of_request(status, body.as_bytes()), complaint, "{body}");
        }
        let items = r#"{"errors":true,"items":[
            {"create":{"status":201}},
            {"create":{"status":400,"error":{"type":"illegal_argument_exception","reason":"Rejecting mapping update to [expv-ty3] as the final mapping would have more than 1 type: [other, expvar]"}}},
            {"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed"}}},
            {"create":{"status":400,"error":{"type":"illegal_argument_exception","reason":"Invalid type: expecting [_doc] but got [expvar]"}}}]}"#;
        let other =
            Complaint::Other { index: "expv-ty3".to_owned(), types: vec!["other".to_owned(), "expvar".to_owned()] };
        assert_eq!(complaints_of_items(items.as_bytes()), [(1, other), (3, Complaint::Unwanted)]);
        assert_eq!(complaints_of_items(br#"{"errors":false,"items":[{"create":{"status":201}}]}"#), []);
    }

    #[test]
    fn the_type_that_an_index_has_is_taken() {
        let mut types = Types { wanted: true, ..Types::default() };
        let bulk = bulk_of(&[("i", "a"), ("i", "b"), ("i", "c"), ("j", "b")]);
        let sent = types.clone();
        let other = |index: &str, types: &[&str]| Complaint::Other {
            index: index.to_owned(),
            types: types.iter().map(|name| (*name).to_owned()).collect(),
        };
        // Each of them is complained of against what it was sent with.
        for (document, named) in [(1, ["b", "a"]), (2, ["a", "c"])] {
            types.learn(&other("i", &named), sent.of_document(&bulk, document));
        }
        let differs: Vec<bool> = (0..4).map(|document| types.differs(&sent, &bulk, document)).collect();
        assert_eq!(differs, [false, true, true, false]);
        let expected = ["a", "a", "a", "b"].map(|name| Some(name.to_owned()));
        assert_eq!(types_in(&types.apply(&bulk)), expected);
        // The same again teaches nothing, so that it is not tried for ever.
        let sent = types.clone();
        types.learn(&other("j", &["b"]), b"b");
        assert!((0..4).all(|document| !types.differs(&sent, &bulk, document)));
        for n in 0..2 * limits::INDEX_TYPES_MAX {
            types.learn(&other(&format!("i{n}"), &["x", "b"]), b"b");
        }
        assert_eq!(types.of_index.len(), limits::INDEX_TYPES_MAX);
    }
}
