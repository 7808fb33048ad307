//! The mapping type (`_type`) of documents: whether a server requires one, which one it is, and what servers answer if it
//! is wrong. Pure.
//!
//! Elasticsearch 5 requires a type with each document; 6 requires it and accepts only one per index; 7 accepts only
//! `_doc`; 8, 9 and OpenSearch refuse any. The type is the reader's `type_name`, as in the Go program, unless the index
//! already has one: then it is that of the index.

use super::reason::Reason;
use super::verdict::Judgement;
use crate::bulk::Bulk;
use crate::json;
use crate::limits;
use memchr::memmem;

/// What is known about mapping types on one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MappingTypes {
    /// Whether documents are sent with a type.
    pub(super) wanted: bool,
    /// Indices whose type differs from that of our documents, each with its type. Both are JSON strings without their
    /// quotes. The name of the index is the one in the documents, which may be an alias.
    of_index: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A server's complaint about a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Complaint {
    /// The document has no type, but the server requires one.
    Missing,
    /// The document has a type, but the server accepts none.
    Unwanted,
    /// The index already has one of these types. (The server names the index as well, but that is of no use: if the
    /// document was sent to an alias, it is another name than the document's.)
    Other(Vec<String>),
}

/// The complaints about the types of single documents.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Complaints {
    kinds: Vec<Complaint>,
    /// The index of each document, with the index of its complaint in `kinds`.
    of: Vec<(usize, usize)>,
}

impl Complaints {
    /// Adds a complaint. Equal ones are stored once, and the number of different ones is limited.
    pub(super) fn add(&mut self, document: usize, complaint: Complaint) {
        let known = self.kinds.iter().position(|known| *known == complaint);
        if known.is_none() && self.kinds.len() == limits::INDEX_TYPES_MAX {
            return;
        }
        let at = known.unwrap_or_else(|| {
            self.kinds.push(complaint);
            self.kinds.len() - 1
        });
        self.of.push((document, at));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// The complaints with the indices of their documents, in the order of the bulk.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Complaint)> {
        self.of.iter().map(|&(document, at)| (document, &self.kinds[at]))
    }

    /// Whether there is one about this document.
    pub(super) fn contains(&self, document: usize) -> bool {
        self.of.binary_search_by_key(&document, |&(document, _)| document).is_ok()
    }
}

impl MappingTypes {
    /// The bulk in the form that this server requires.
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

    /// Learns from a complaint about a document that was sent to this index with the type `sent`.
    pub(super) fn learn(&mut self, complaint: &Complaint, index: &[u8], sent: &[u8]) {
        match complaint {
            Complaint::Missing => self.wanted = true,
            Complaint::Unwanted => self.wanted = false,
            Complaint::Other(types) => {
                let Some(theirs) = types.iter().map(|name| escaped(name)).find(|name| name != sent) else { return };
                self.of_index.retain(|(other, _)| other != index);
                if self.of_index.len() == limits::INDEX_TYPES_MAX {
                    self.of_index.remove(0);
                }
                self.of_index.push((index.to_owned(), theirs));
            }
        }
    }

    /// Learns from the complaints in the answer to a bulk. Documents that were refused only for their type, and would
    /// be sent with another one now, are sent again.
    pub(super) fn reconsider(&mut self, complaints: &Complaints, bulk: &Bulk, judgement: &mut Judgement) {
        let sent = self.clone();
        for (document, complaint) in complaints.iter() {
            self.learn(complaint, bulk.index_of(document), sent.of_document(bulk, document));
        }
        judgement.retry(Reason::MappingType, |document| {
            complaints.contains(document) && self.differs(&sent, bulk, document)
        });
    }

    /// Whether a document of the bulk would now be sent differently than with the knowledge in `sent`.
    fn differs(&self, sent: &Self, bulk: &Bulk, document: usize) -> bool {
        self.wanted != sent.wanted
            || (self.wanted && self.of_document(bulk, document) != sent.of_document(bulk, document))
    }
}

/// Replaces a `type_name` that servers would refuse. Nothing is lost, because the document has it as its `service.name`.
/// The result goes into an action line without further escaping.
fn valid(type_name: &[u8]) -> &[u8] {
    let bad = type_name.is_empty()
        || type_name.len() > limits::MAPPING_TYPE_BYTES_MAX
        || matches!(type_name[0], b'_' | b'.')
        || type_name.iter().any(|byte| matches!(byte, b'#' | b',' | b'\\' | b'"' | 0..0x20))
        || std::str::from_utf8(type_name).is_err();
    if bad { b"expvastic" } else { type_name }
}

/// The name of a type as a JSON string, without its quotes.
fn escaped(name: &str) -> Vec<u8> {
    let mut text = Vec::new();
    json::write_escaped(&mut text, name);
    text
}

/// Recognises a complaint about types in the error of a whole request.
pub(super) fn complaint_of_request(reason: &[u8]) -> Option<Complaint> {
    if memmem::find(reason, b": type is missing;").is_some() {
        Some(Complaint::Missing)
    } else if memmem::find(reason, b"unknown parameter [_type]").is_some() {
        Some(Complaint::Unwanted)
    } else {
        None
    }
}

/// Recognises a complaint about types in the error of a single document.
pub(super) fn complaint_of_reason(reason: &[u8]) -> Option<Complaint> {
    const OTHER: &[u8] = b"as the final mapping would have more than 1 type: [";
    const UNWANTED: &[u8] = b"Invalid type: expecting [_doc] but got [";
    if memmem::find(reason, UNWANTED).is_some() {
        return Some(Complaint::Unwanted);
    }
    // "Rejecting mapping update to [i] as the final mapping would have more than 1 type: [a, b]"
    let types = std::str::from_utf8(&reason[memmem::find(reason, OTHER)? + OTHER.len()..]).ok()?;
    let is_name = |name: &&str| (1..=limits::MAPPING_TYPE_BYTES_MAX).contains(&name.len());
    let types = types.rsplit_once(']')?.0.split(", ").filter(is_name).take(limits::NAMED_TYPES_MAX);
    Some(Complaint::Other(types.map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::elasticsearch::trial::bulk_of;
    use crate::recorder::elasticsearch::verdict::{DeadLetter, Fate};

    /// The type in each action line.
    fn types_in(bulk: &Bulk) -> Vec<Option<String>> {
        let text = std::str::from_utf8(bulk.bytes()).unwrap();
        let actions = text.lines().step_by(2).map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        actions.map(|action| action["create"]["_type"].as_str().map(str::to_owned)).collect()
    }

    #[test]
    fn documents_carry_the_name_of_their_reader() {
        let types = MappingTypes { wanted: true, ..MappingTypes::default() };
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
        for (reason, complaint) in [
            ("Validation Failed: 1: type is missing;2: type is missing;", Some(Complaint::Missing)),
            ("Action/metadata line [1] contains an unknown parameter [_type]", Some(Complaint::Unwanted)),
            ("Malformed", None),
        ] {
            assert_eq!(complaint_of_request(reason.as_bytes()), complaint, "{reason}");
        }
        let other = |types: &[&str]| Some(Complaint::Other(types.iter().map(|name| (*name).to_owned()).collect()));
        for (reason, complaint) in [
            (
                "Rejecting mapping update to [expv-ty3] as the final mapping would have more than 1 type: [other, expvar]",
                other(&["other", "expvar"]),
            ),
            ("failed", None),
            ("as the final mapping would have more than 1 type: [a", None),
            ("Invalid type: expecting [_doc] but got [expvar]", Some(Complaint::Unwanted)),
        ] {
            assert_eq!(complaint_of_reason(reason.as_bytes()), complaint, "{reason}");
        }
        let long = "x".repeat(limits::MAPPING_TYPE_BYTES_MAX + 1);
        let many = format!("as the final mapping would have more than 1 type: [{long}, {}a]", "a, ".repeat(1000));
        assert_eq!(complaint_of_reason(many.as_bytes()), other(&["a"; limits::NAMED_TYPES_MAX]));
    }

    fn other(types: &[&str]) -> Complaint {
        Complaint::Other(types.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn the_type_that_an_index_has_is_taken() {
        let mut types = MappingTypes { wanted: true, ..MappingTypes::default() };
        let bulk = bulk_of(&[("i", "a"), ("i", "b"), ("i", "c"), ("j", "b")]);
        let (sent, mut complaints) = (types.clone(), Complaints::default());
        // Both documents were sent to an alias, so the complaint is matched by the type that was sent, not by the index.
        complaints.add(1, other(&["b", "a"]));
        complaints.add(2, other(&["a", "c"]));
        types.reconsider(&complaints, &bulk, &mut Judgement { fates: vec![Fate::Acked; 4], ..Judgement::default() });
        let differs: Vec<bool> = (0..4).map(|document| types.differs(&sent, &bulk, document)).collect();
        assert_eq!(differs, [false, true, true, false]);
        let expected = ["a", "a", "a", "b"].map(|name| Some(name.to_owned()));
        assert_eq!(types_in(&types.apply(&bulk)), expected);
        // The same complaint again changes nothing, so documents are not sent again for ever.
        let sent = types.clone();
        types.learn(&other(&["b"]), b"j", b"b");
        assert!((0..4).all(|document| !types.differs(&sent, &bulk, document)));
        for n in 0..2 * limits::INDEX_TYPES_MAX {
            types.learn(&other(&["x", "b"]), format!("i{n}").as_bytes(), b"b");
        }
        assert_eq!(types.of_index.len(), limits::INDEX_TYPES_MAX);
    }

    #[test]
    fn only_documents_that_were_refused_for_their_type_go_again() {
        let mut types = MappingTypes { wanted: true, ..MappingTypes::default() };
        let bulk = bulk_of(&[("i", "a"), ("i", "b"), ("i", "b"), ("i", "a")]);
        let letter = |index| DeadLetter { index, status: 400, reason: String::new(), message: String::new() };
        let fates = vec![Fate::Acked, Fate::DeadLetter, Fate::DeadLetter, Fate::DeadLetter];
        let mut judgement =
            Judgement { fates, refusals: Vec::new(), dead_letters: vec![letter(1), letter(2), letter(3)] };
        let mut complaints = Complaints::default();
        complaints.add(1, other(&["a", "b"]));
        complaints.add(3, other(&["a"]));
        types.reconsider(&complaints, &bulk, &mut judgement);
        assert_eq!(judgement.fates, [Fate::Acked, Fate::Retry, Fate::DeadLetter, Fate::DeadLetter]);
        assert_eq!(judgement.dead_letters, [letter(2), letter(3)]);
        assert_eq!(judgement.refusals.len(), 1);
    }

    #[test]
    fn what_a_server_calls_a_type_never_ends_an_action_line() {
        for name in ["a\nb", "\"},{\"x\":\"", "back\\slash", "\u{1}\u{7f}\t", "größe 😀", "a]b"] {
            let mut types = MappingTypes { wanted: true, ..MappingTypes::default() };
            let bulk = bulk_of(&[("i", "mine")]);
            let reason = format!("as the final mapping would have more than 1 type: [mine, {name}]");
            types.learn(&complaint_of_reason(reason.as_bytes()).unwrap(), b"i", b"mine");
            let sent = types.apply(&bulk);
            assert_eq!(types_in(&sent), [Some(name.to_owned())], "{name:?}");
            assert_eq!(memchr::memchr_iter(b'\n', sent.bytes()).count(), 2, "{name:?}");
        }
    }

    #[test]
    fn complaints_that_are_alike_are_kept_once_and_of_others_few() {
        let mut complaints = Complaints::default();
        for document in 0..1000 {
            complaints.add(document, other(&[&format!("t{}", document % (2 * limits::INDEX_TYPES_MAX))]));
        }
        assert_eq!(complaints.kinds.len(), limits::INDEX_TYPES_MAX);
        assert!(complaints.contains(0) && !complaints.contains(limits::INDEX_TYPES_MAX));
        assert!(complaints.iter().all(|(document, complaint)| {
            *complaint == other(&[&format!("t{}", document % (2 * limits::INDEX_TYPES_MAX))])
        }));
    }
}
