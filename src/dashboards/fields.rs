//! The numbers that the documents of some readers have. Pure.

use super::panel::Format;
use crate::flatten::{Conversion, GcPauses, VariableRules, is_below};
use simd_json::prelude::*;
use simd_json::tape;

/// What the name of a counter's rate ends with.
const RATE_SUFFIX: &str = "_per_second";

pub(super) const PAUSES: &str = "memstats.PauseNs";

/// The names in payloads that panels ask for. A reader may ship them under other names.
const KNOWN: [&str; 13] = [
    "memstats.HeapAlloc",
    "memstats.HeapInuse",
    "memstats.NextGC",
    "memstats.Sys",
    PAUSES,
    "memstats.PauseTotalNs",
    "memstats.TotalAlloc",
    "memstats.NumGC",
    "process.resident_bytes",
    "Read Jobs",
    "Error Jobs",
    "DataType Objects",
    "ElasticSearch Records",
];

/// What the names of Go's sizes in bytes end with.
const GO_SIZES: [&str; 6] = ["Alloc", "Sys", "Inuse", "Idle", "Released", "NextGC"];

/// The numbers that documents have, each name once, in the order of the documents.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(super) list: Vec<Field>,
    /// Whether documents have whole ring buffers of pauses, so that many documents have the same pause.
    pub(super) has_whole_rings: bool,
}

/// A number, or a list of numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    /// Its name in the payload, if it is one of [`KNOWN`] and renamed.
    known: Option<&'static str>,
    pub(super) origin: Origin,
    /// Where the name continues behind that of the object that `origin` stands for.
    inner: usize,
    pub(super) is_list: bool,
    pub(super) format: Format,
}

/// Where a number comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A variable of the program itself.
    Program,
    /// Go's `memstats`.
    Memstats,
    /// Our own counters: of one reader, of one recorder, of the process.
    OurReader,
    OurRecorder,
    OurProcess,
}

impl Fields {
    /// Adds the numbers in a document of a reader with these rules, which reads our own counters or not. The text is of
    /// no use afterwards.
    pub(super) fn add(&mut self, document: &mut [u8], rules: &VariableRules, is_own: bool) {
        let Ok(tape) = simd_json::to_tape(document) else { return };
        let Some(members) = tape.as_value().as_object() else { return };
        let shipped = |known: &str| rules.renames.renamed(known).unwrap_or_else(|| known.to_owned());
        let objects: &[(&str, Origin)] = if is_own {
            &[("readers", Origin::OurReader), ("recorders", Origin::OurRecorder)]
        } else {
            &[("memstats", Origin::Memstats)]
        };
        let objects: Vec<(String, Origin)> = objects.iter().map(|(name, origin)| (shipped(name), *origin)).collect();
        let elsewhere = if is_own { Origin::OurProcess } else { Origin::Program };
        // Readers of one kind have the same names in the same order.
        let mut next = 0;
        for (name, value) in &members {
            let Some(is_list) = is_list_of_numbers(value) else { continue };
            let known = KNOWN.into_iter().find(|known| match rules.renames.renamed(known) {
                Some(shipped) => shipped == name,
                None => *known == name,
            });
            self.has_whole_rings |= known == Some(PAUSES) && rules.gc_pauses == GcPauses::All;
            let (before, behind) = self.list.split_at(next);
            if let Some(found) = behind.iter().chain(before).position(|field| field.name == name) {
                next = (next + found + 1) % self.list.len();
                continue;
            }
            let object = objects.iter().find(|(object, _)| is_below(name, object));
            let (inner, origin) = object.map_or((0, elsewhere), |(object, origin)| (object.len() + 1, *origin));
            let format = format_of(known.unwrap_or(name), origin, is_list, rules);
            self.list.push(Field { name: name.to_owned(), known, origin, inner, is_list, format });
            next = 0;
        }
    }

    /// The variable with this name in the payload.
    pub(super) fn find(&self, known: &str) -> Option<&Field> {
        self.list.iter().find(|field| field.known.unwrap_or(&field.name) == known)
    }

    /// The change per second of this counter.
    pub(super) fn rate_of(&self, counter: &Field) -> Option<&Field> {
        self.list.iter().find(|field| field.name.strip_suffix(RATE_SUFFIX) == Some(&counter.name))
    }

    /// Whether it is the change per second of another field.
    pub(super) fn is_rate(&self, field: &Field) -> bool {
        let counter = field.name.strip_suffix(RATE_SUFFIX);
        counter.is_some_and(|counter| self.list.iter().any(|other| other.name == counter))
    }
}

impl Field {
    /// The name of the object that it is in; empty if it is in none.
    pub(super) fn object(&self) -> &str {
        self.name.rsplit_once('.').map_or("", |(object, _)| object)
    }

    /// The part of the name that `origin` does not stand for.
    pub(super) fn inner_name(&self) -> &str {
        &self.name[self.inner..]
    }
}

/// Whether the value is a list of numbers; none if it is not even a number.
fn is_list_of_numbers(value: tape::Value<'_, '_>) -> Option<bool> {
    if value.is_number() {
        return Some(false);
    }
    let first = value.as_array()?.iter().next()?;
    first.is_number().then_some(true)
}

/// How the values of a variable are shown, by its name in the payload and the units of a `map_file`.
fn format_of(name: &str, origin: Origin, is_list: bool, rules: &VariableRules) -> Format {
    let counter = name.strip_suffix(RATE_SUFFIX).unwrap_or(name);
    let is_size = || {
        origin == Origin::Memstats && GO_SIZES.iter().any(|end| counter.ends_with(end)) || counter.ends_with("bytes")
    };
    match rules.conversions.of(counter.as_bytes()) {
        Conversion::Bytes => Format::Bytes,
        Conversion::Microseconds if is_list => Format::Microseconds,
        Conversion::Kilobytes | Conversion::Megabytes | Conversion::Gigabytes => Format::Number,
        Conversion::None | Conversion::Microseconds => match counter {
            _ if is_size() => Format::Bytes,
            PAUSES | "memstats.PauseTotalNs" => Format::Nanoseconds,
            _ => Format::Number,
        },
    }
}
