//! A fake server with moods.

use super::super::numbers;
use crate::bulk::Bulk;
use crate::http::{Answer, HttpError};
use crate::recorder::elasticsearch::verdict::{self, Refusal, Verdict};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// A fake server that stores by id.
#[derive(Default)]
pub(super) struct Server {
    pub(super) stored: HashMap<Vec<u8>, u64>,
    pub(super) poison: BTreeSet<u64>,
    /// Their index takes nothing for now.
    pub(super) blocked: BTreeSet<u64>,
    /// Larger requests get 413; a lone document always fits.
    pub(super) bytes_max: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Behaviour {
    Well,
    /// No answer, and nothing was taken in.
    Lost,
    /// No answer, but all was taken in.
    AnswerLost,
    Status(u16),
    RetryAfter(u64),
    Html,
    Empty,
    CutOff,
    OneItemLess,
    ItemsMixed,
}

impl Server {
    pub(super) fn take(&mut self, bulk: &Bulk, behaviour: Behaviour, random: &mut fastrand::Rng) -> Verdict {
        let lost = || Verdict::Again(Refusal::of(HttpError::Timeout(Duration::ZERO)));
        let documents = bulk.documents();
        let answer = |status, retry_after: Option<u64>, body: Vec<u8>| {
            let retry_after = retry_after.map(Duration::from_secs);
            verdict::judge(Answer { status, retry_after, location: None, body }, documents)
        };
        if bulk.bytes().len() > self.bytes_max && documents > 1 {
            return answer(413, None, Vec::new());
        }
        match behaviour {
            Behaviour::Lost => lost(),
            Behaviour::AnswerLost => {
                self.store(bulk, &mut |_| None);
                lost()
            }
            Behaviour::Status(status) => answer(status, None, Vec::new()),
            Behaviour::RetryAfter(seconds) => answer(429, Some(seconds), Vec::new()),
            Behaviour::Html => answer(200, None, b"<html>OK</html>".to_vec()),
            Behaviour::Empty => answer(200, None, Vec::new()),
            Behaviour::Well => answer(200, None, self.store(bulk, &mut |_| None)),
            Behaviour::CutOff => {
                let body = self.store(bulk, &mut |_| None);
                answer(200, None, body[..random.usize(..body.len())].to_vec())
            }
            Behaviour::OneItemLess => {
                self.store(bulk, &mut |_| None);
                let body = r#"{"create":{"status":201}},"#.repeat(documents - 1);
                answer(200, None, format!("{{\"items\":[{}]}}", body.trim_end_matches(',')).into_bytes())
            }
            Behaviour::ItemsMixed => {
                let mut refuse = |_| match random.u8(..8) {
                    0 => Some((429, "es_rejected_execution_exception")),
                    1 => Some((503, "unavailable_shards_exception")),
                    2 => Some((403, "cluster_block_exception")),
                    _ => None,
                };
                answer(200, None, self.store(bulk, &mut refuse))
            }
        }
    }

    /// Takes in what is not refused; gives the answer's body.
    fn store(&mut self, bulk: &Bulk, refuse: &mut dyn FnMut(usize) -> Option<(u16, &'static str)>) -> Vec<u8> {
        let mut items = Vec::new();
        for (index, number) in numbers(bulk).into_iter().enumerate() {
            let id = bulk.document(index).split(|&byte| byte == b'\n').next().unwrap().to_vec();
            let (status, error) = match refuse(index) {
                Some(refused) => refused,
                None if self.poison.contains(&number) => (400, "mapper_parsing_exception"),
                None if self.blocked.contains(&number) => (403, "cluster_block_exception"),
                None if self.stored.contains_key(&id) => (409, "version_conflict_engine_exception"),
                None => {
                    self.stored.insert(id, number);
                    (201, "")
                }
            };
            items.push(match error {
                "" => format!("{{\"create\":{{\"status\":{status}}}}}"),
                _ => format!("{{\"create\":{{\"error\":{{\"type\":\"{error}\"}} , \"status\":{status}}}}}"),
            });
        }
        format!("{{ \"errors\" : true, \"items\":[{}] }}", items.join(",")).into_bytes()
    }

    /// The numbers of what is stored; each once.
    pub(super) fn numbers(&self) -> BTreeSet<u64> {
        let numbers: BTreeSet<u64> = self.stored.values().copied().collect();
        assert_eq!(numbers.len(), self.stored.len(), "no document twice");
        numbers
    }
}

pub(super) fn behaviour(random: &mut fastrand::Rng) -> Behaviour {
    match random.u8(..14) {
        0 => Behaviour::Lost,
        1 => Behaviour::AnswerLost,
        2 => Behaviour::Status(*random.choice(&[429, 500, 502, 503, 408]).unwrap()),
        3 => Behaviour::Status(*random.choice(&[401, 403, 404, 400, 301]).unwrap()),
        4 => Behaviour::RetryAfter(random.u64(1..20)),
        5 => Behaviour::Html,
        6 => Behaviour::Empty,
        7 => Behaviour::CutOff,
        8 => Behaviour::OneItemLess,
        9..=11 => Behaviour::ItemsMixed,
        _ => Behaviour::Well,
    }
}
