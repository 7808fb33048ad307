//! How a server is told how long to keep documents: the texts, and how they compare with what is there. Pure.
//!
//! There are three ways. A data stream has a life cycle of its own, which stands in the index template. Elsewhere indices
//! are deleted by a policy: of ILM, whose name stands in the template's settings, or of ISM, which names the indices.
//!
//! An ILM policy of ours has the time in its name and is therefore never changed. An ISM policy has one name for all times
//! and says in its description what it does; if it does anything else, a person has changed it.

use super::template::means::{Means, ilm_name, notation};
use super::template::{Wish, index_pattern, path_segment, plain_name, priority};
use crate::config::span_hours;
use crate::json;
use simd_json::prelude::*;
use simd_json::tape;

/// What the description of an ISM policy of ours begins with; a time follows.
const DESCRIPTION: &str = "Put in place by expvastic: indices are deleted after ";

/// An index of a data stream is rolled over when it has a tenth of the retention, or this many hours.
const ROLLOVER_HOURS_MAX: u32 = 30 * 24;

/// A policy that is to be put in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) means: Means,
    /// Path below the endpoint.
    pub(crate) path: String,
    /// One line of JSON.
    pub(crate) text: String,
    /// When it deletes an index, in the server's notation.
    after: String,
}

/// How the server's policy compares with ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Same,
    /// It is ours, for another time. The query lets the server replace just this one.
    Outdated {
        query: String,
    },
    /// A person has changed it, or made it.
    Changed,
}

impl Policy {
    /// None if it takes no policy.
    pub(crate) fn new(wish: &Wish, means: Means) -> Option<Self> {
        let retention = wish.retention?;
        let name = plain_name(&wish.index_name);
        let rollover = (retention.hours / 10).clamp(1, ROLLOVER_HOURS_MAX);
        // The time counts from when an index was made, or, if it is rolled over, from then on.
        let (from_creation, rolls) =
            if wish.data_stream { (rollover, true) } else { (span_hours(&wish.index_name).unwrap_or_default(), false) };
        let (path, text, after) = match means {
            Means::None | Means::Stream => return None,
            Means::Ilm => {
                let after = notation(retention.hours + if rolls { 0 } else { from_creation });
                let hot = if rolls {
                    format!(
                        r#""hot":{{"actions":{{"rollover":{{"max_age":"{}","max_size":"50gb"}}}}}},"#,
                        notation(rollover)
                    )
                } else {
                    String::new()
                };
                let text = format!(
                    r#"{{"policy":{{"phases":{{{hot}"delete":{{"min_age":"{after}","actions":{{"delete":{{}}}}}}}}}}}}"#
                );
                (format!("/_ilm/policy/{}", path_segment(&ilm_name(wish, retention))), text, after)
            }
            Means::Ism => {
                let after = notation(retention.hours + from_creation);
                let actions = if rolls {
                    format!(r#"{{"rollover":{{"min_index_age":"{}","min_size":"50gb"}}}}"#, notation(rollover))
                } else {
                    String::new()
                };
                let pattern = index_pattern(&wish.index_name);
                let mut quoted = Vec::new();
                json::write_string(&mut quoted, &pattern);
                let text = format!(
                    r#"{{"policy":{{"description":"{DESCRIPTION}{after}","default_state":"kept","states":[{{"name":"kept","actions":[{actions}],"transitions":[{{"state_name":"deleted","conditions":{{"min_index_age":"{after}"}}}}]}},{{"name":"deleted","actions":[{{"delete":{{}}}}],"transitions":[]}}],"ism_template":[{{"index_patterns":[{}],"priority":{}}}]}}}}"#,
                    String::from_utf8_lossy(&quoted),
                    priority(&pattern)
                );
                (format!("/_plugins/_ism/policies/{}", path_segment(&name)), text, after)
            }
        };
        Some(Self { means, path, text, after })
    }

    /// Compares the server's answer to a request for this policy with what it should be.
    pub(crate) fn compare(&self, answer: &mut [u8]) -> Found {
        simd_json::to_tape(answer).ok().and_then(|tape| self.compared(tape.as_value())).unwrap_or(Found::Changed)
    }

    fn compared(&self, root: tape::Value<'_, '_>) -> Option<Found> {
        if self.means == Means::Ilm {
            let policy = root.as_object()?.values().next()?.get("policy")?;
            let phases = policy.get("phases")?;
            let delete = phases.get("delete")?;
            let is_same = delete.get("min_age")?.into_string()? == self.after
                && delete.get("actions")?.get("delete").is_some()
                && phases.as_object()?.len() == self.text.matches(r#""actions":"#).count();
            return Some(if is_same { Found::Same } else { Found::Changed });
        }
        let policy = root.get("policy")?;
        let after = policy.get("description")?.into_string()?.strip_prefix(DESCRIPTION)?;
        let states = policy.get("states")?.as_array()?;
        let kept = states.iter().next()?;
        let transitions = kept.get("transitions")?.as_array()?;
        let condition = transitions.iter().next()?.get("conditions")?.get("min_index_age")?.into_string()?;
        let deleted = states.iter().nth(1)?.get("actions")?.as_array()?;
        let is_ours = condition == after
            && (states.len(), transitions.len(), deleted.len()) == (2, 1, 1)
            && deleted.iter().next()?.get("delete").is_some();
        Some(match (is_ours, after == self.after) {
            (false, _) => Found::Changed,
            (true, true) => Found::Same,
            (true, false) => {
                let number = |key| root.get(key).and_then(|number| number.as_u64());
                Found::Outdated {
                    query: format!("if_seq_no={}&if_primary_term={}", number("_seq_no")?, number("_primary_term")?),
                }
            }
        })
    }

    /// What it does.
    pub(crate) fn told(&self) -> String {
        format!("{} after {}", self.path, self.after)
    }
}

/// The life cycle of a data stream.
pub(crate) struct StreamCycle {
    /// None if it keeps documents for ever.
    pub(crate) retention: Option<String>,
}

/// What the server's answer says about the life cycle of a data stream. None if there is no such stream in it.
pub(crate) fn of_stream(answer: &mut [u8]) -> Option<StreamCycle> {
    let tape = simd_json::to_tape(answer).ok()?;
    let stream = tape.as_value().get("data_streams")?.as_array()?.iter().next()?;
    let retention = stream.get("lifecycle").and_then(|cycle| cycle.get("data_retention")?.into_string());
    Some(StreamCycle { retention: retention.map(str::to_owned) })
}

/// What to do where the server cannot do it.
pub(crate) fn by_hand(wish: &Wish, host: &str) -> String {
    let Some(retention) = wish.retention else { return String::new() };
    if wish.data_stream {
        return "delete old backing indices of the data stream by a job of your own".to_owned();
    }
    let hours = retention.hours + span_hours(&wish.index_name).unwrap_or_default();
    format!(
        "delete old indices by a job of your own, such as curl -X DELETE \"http://{}/$(date -u -d '-{hours} hours' '+{}')\"",
        host, wish.index_name
    )
}

#[cfg(test)]
mod tests;
