//! Log lines about variables that are missing in a reader's documents. Each variable is named when it is first lost;
//! that some are missing is repeated once per period. Time is an argument.

use crate::flatten::{self, Cause, ChangedNames, FlattenError, Loss, LostNames, Mended, Report, Unmatched, Variables};
use crate::log::FailureLog;
use crate::plural::counted;
use crate::redact;
use std::fmt::Write;
use std::time::Instant;

/// What has been logged about all losses: nothing of a kind until there is one, because most readers have none.
#[derive(Default)]
pub(super) struct Losses {
    broken: Option<Box<Kind>>,
    columns: Option<Box<Kind>>,
    unkeyed: Option<Box<Kind>>,
    unconverted: Option<Box<Kind>>,
}

/// What has been logged about one kind of loss.
#[derive(Default)]
struct Kind {
    log: FailureLog,
    /// The names in the last log line.
    names: String,
}

/// A log line.
pub(super) struct Line {
    /// How many values are missing in this document.
    pub(super) values: u64,
    /// The number of such documents since the last line of this kind.
    pub(super) times: u64,
    pub(super) message: String,
}

impl Losses {
    /// The log lines about a document.
    pub(super) fn lines(
        &mut self,
        report: &Report,
        variables: &mut Variables,
        fields_max: usize,
        now: Instant,
    ) -> Vec<Line> {
        let mut lines = Vec::new();
        let broken = report.broken + report.out_of_range;
        if let Some((times, names)) = Kind::are_due(&mut self.broken, broken, || variables.lost(Loss::Broken), now) {
            let message = format!(
                "left out values that are not valid JSON, or not numbers that a server can store: \
                                   {names}"
            );
            lines.push(Line { values: broken, times, message });
        }
        let columns = report.beyond_columns;
        if let Some((times, names)) = Kind::are_due(&mut self.columns, columns, || variables.lost(Loss::Columns), now) {
            let message = format!(
                "the objects in the array {names} have more than {} different members, or more than {} gaps: the rest \
                 is left out; exclude the array, or set object_arrays: drop",
                flatten::limits::COLUMNS_MAX,
                flatten::limits::GAPS_MAX
            );
            lines.push(Line { values: columns, times, message });
        }
        let unkeyed = report.unkeyed;
        if let Some((times, names)) = Kind::are_due(&mut self.unkeyed, unkeyed, || variables.lost(Loss::Unkeyed), now) {
            let message = format!(
                "left out elements without a key of their own in the array {names}: object_arrays names a member that each \
                 object there must have, as text, and no two with the same one"
            );
            lines.push(Line { values: unkeyed, times, message });
        }
        let unconverted = report.unconverted;
        if let Some((times, names)) =
            Kind::are_due(&mut self.unconverted, unconverted, || variables.lost(Loss::Unconverted), now)
        {
            let message = format!(
                "texts that are not what convert says of them are shipped as they are: {names}; correct the unit, or leave them \
                 out of convert"
            );
            lines.push(Line { values: unconverted, times, message });
        }
        let over_limit = report.names.over_limit;
        if over_limit > 0
            && let Some(names) = listed(variables.lost(Loss::OverLimit))
        {
            let message = format!(
                "more than max_fields ({fields_max}) variables: left out {names}; raise max_fields, or exclude what is not needed"
            );
            lines.push(Line { values: over_limit, times: 1, message });
        }
        lines
    }
}

impl Kind {
    /// The number of documents since the last line, and the names, if values are lost and it is time for a line: some
    /// names are new, or the period is over.
    fn are_due(
        kind: &mut Option<Box<Self>>,
        values: u64,
        new: impl FnOnce() -> LostNames,
        now: Instant,
    ) -> Option<(u64, &str)> {
        if values == 0 {
            return None;
        }
        let kind = kind.get_or_insert_default();
        let times = kind.log.failed("lost", now);
        let new = listed(new());
        if times.is_none() && new.is_none() {
            return None;
        }
        if let Some(new) = new {
            kind.names = new;
        }
        Some((times.unwrap_or(1), &kind.names))
    }
}

/// The warning about patterns and names of the configuration that match nothing.
pub(super) fn without_match(unmatched: Unmatched) -> String {
    let Unmatched { key, mut patterns } = unmatched;
    let more = patterns.len().saturating_sub(flatten::limits::LOST_NAMES_TOLD);
    patterns.truncate(flatten::limits::LOST_NAMES_TOLD);
    let names = listed(LostNames { names: patterns, more }).unwrap_or_default();
    format!("no variable in the first document matches these patterns in {key}: {names}; are they misspelt?")
}

/// What was changed in a payload: the names, and half surrogate pairs in texts. Empty if nothing was.
pub(super) fn changes(changed: ChangedNames, report: &Report) -> String {
    let ChangedNames { names, more, mended_text } = changed;
    let count = names.len() + more;
    let mut text = String::new();
    if count > 0 {
        let kinds = Mended::KINDS.iter().zip(report.names.counts()).take(Mended::KINDS.len() - 1);
        // The last kind is that of names beyond `max_fields`, which are left out.
        let kinds = kinds.filter(|(_, count)| *count > 0).map(|(kind, count)| format!("{count} {kind}"));
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        let names = names.iter().map(|[name, shipped]| format!("{} is shipped as {}", quoted(name), quoted(shipped)));
        let names = names.collect::<Vec<_>>().join(", ");
        let count = counted(count as u64, "name");
        text = format!(", {count} changed ({kinds}): {names}{}", and_more(more));
    }
    if let Some(name) = mended_text {
        let count = counted(report.mended, "half surrogate pair");
        let _ = write!(text, ", {count} replaced by U+FFFD, the first in {}", quoted(&name));
    }
    text
}

/// `"a", "b" and 3 more`; none if there are no names.
fn listed(lost: LostNames) -> Option<String> {
    let LostNames { names, more } = lost;
    if names.is_empty() {
        return None;
    }
    let quoted: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    Some(quoted.join(", ") + &and_more(more))
}

fn and_more(more: usize) -> String {
    if more > 0 { format!(" and {more} more") } else { String::new() }
}

/// A name from a payload, as a log line shows it.
fn quoted(name: &str) -> String {
    format!("{:?}", redact::quote(name.as_bytes(), flatten::limits::LOST_NAME_SHOWN_BYTES_MAX))
}

/// Why a body gives no document, with the name of the variable at fault.
pub(super) fn in_words(error: FlattenError, body: &[u8], variables: &mut Variables) -> String {
    let name = || quoted(&flatten::name_at(body, error.offset));
    match error.cause {
        Cause::Broken => format!(
            "the variable {} is not valid JSON, and the start of the next one cannot be found (byte {})",
            name(),
            error.offset
        ),
        Cause::AllBroken => match listed(variables.lost(Loss::Broken)) {
            Some(names) => format!("{error}: {names}"),
            None => error.to_string(),
        },
        Cause::TooDeep => format!("{error}, in the variable {}", name()),
        _ => error.to_string(),
    }
}
