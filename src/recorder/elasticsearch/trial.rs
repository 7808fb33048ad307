//! A bulk and the answers to it, without a server: for fuzzing.

use super::answer::{BulkAnswer, Judge};
use super::mapping_types::MappingTypes;
use super::verdict::{Fate, Verdict};
use crate::bulk::{ActionLine, Bulk, DocumentKey, IdSource};
use crate::calendar::Timestamp;
use crate::document;
use crate::http::Receiver;

/// A bulk, and what its server has said of types so far.
pub struct BulkTrial {
    bulk: Bulk,
    types: MappingTypes,
}

/// What becomes of the bulk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkOutcome {
    /// For each document `acked`, `duplicate`, `retry` or `dead`; for each that is dead its place, the status, and what the server
    /// said.
    Judged(Vec<&'static str>, Vec<(usize, u64, String, String)>),
    /// The documents of each half.
    Halves([Vec<Vec<u8>>; 2]),
    /// All documents are sent again, for this reason. It is the server's own text, or says why the answer is not one to
    /// the bulk.
    Again(String),
}

/// A bulk with a document for each pair of an index and a service name.
pub(super) fn bulk_of(names: &[(&str, &str)]) -> Bulk {
    let (mut bulk, mut ids) = (Bulk::default(), IdSource::new([0; 9]));
    for (index, service_name) in names {
        let time = Timestamp::EPOCH;
        let mut document = Vec::new();
        document::begin(&mut document, time, &document::own_members(service_name, "host", std::iter::empty()));
        document::end(&mut document);
        bulk.push(&mut ActionLine::new(index), DocumentKey { time, id: ids.next_id() }, &document);
    }
    bulk
}

fn documents(bulk: &Bulk) -> Vec<Vec<u8>> {
    (0..bulk.documents()).map(|document| bulk.document(document).to_vec()).collect()
}

impl BulkTrial {
    /// Documents by index and service name, for a server that wants a type with each.
    #[must_use]
    pub fn new(names: &[(&str, &str)]) -> Self {
        let mut types = MappingTypes::default();
        types.wanted = true;
        Self { bulk: bulk_of(names), types }
    }

    /// Its documents, each with its action line.
    #[must_use]
    pub fn documents(&self) -> Vec<Vec<u8>> {
        documents(&self.bulk)
    }

    /// The bulk as it would be sent now.
    #[must_use]
    pub fn sent(&self) -> Vec<u8> {
        if self.types.wanted { self.types.apply(&self.bulk).bytes().to_vec() } else { self.bulk.bytes().to_vec() }
    }

    /// Judges an answer that comes in these pieces. Gives the most bytes that were held of it, too.
    pub fn answer<'p>(&mut self, status: u16, pieces: impl IntoIterator<Item = &'p [u8]>) -> (BulkOutcome, usize) {
        let mut judge = Judge::new(self.bulk.documents(), &|_| {});
        let (mut is_whole, mut memory_bytes) = (true, 0);
        for piece in pieces {
            is_whole = judge.take(status, piece);
            memory_bytes = memory_bytes.max(judge.memory_bytes());
            if !is_whole {
                break;
            }
        }
        let BulkAnswer { mut verdict, complaints, request_complaint, .. } = judge.conclude(status, None, is_whole);
        if let Some(complaint) = request_complaint {
            self.types.learn(&complaint, &[], &[]);
        }
        if let Verdict::Judged(judgement) = &mut verdict {
            self.types.reconsider(&complaints, &self.bulk, judgement);
        }
        let outcome = match verdict {
            Verdict::Split(_) => BulkOutcome::Halves(self.bulk.halves().each_ref().map(documents)),
            Verdict::Again(refusal) => BulkOutcome::Again(refusal.to_string()),
            Verdict::Judged(judgement) => {
                let name = |fate: &Fate| match fate {
                    Fate::Acked => "acked",
                    Fate::Duplicate => "duplicate",
                    Fate::Retry => "retry",
                    Fate::Mend => "mend",
                    Fate::DeadLetter => "dead",
                };
                let letters = judgement.dead_letters.into_iter();
                let letters = letters.map(|letter| (letter.index, letter.status, letter.reason, letter.message));
                BulkOutcome::Judged(judgement.fates.iter().map(name).collect(), letters.collect())
            }
        };
        (outcome, memory_bytes)
    }
}
