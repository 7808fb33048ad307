//! The text of the index template, which gives fields the right types from the first document on. Pure.
//!
//! Go prints a whole float without a decimal point (`0`, then `0.0037`). A server that guesses types from the first
//! document makes such a field a `long`, and truncates every later fraction. So the template maps every number that is
//! not known to be an integer to `double`.
//!
//! The template's `_meta` names its owner and holds a checksum of its content. The checksum does not depend on the order
//! of members and on other things that a server changes when it returns a template. So a template that a person has
//! edited can be told from one that an older version of this program has put in place.

mod checksum;
pub(crate) mod means;
mod settings;

use super::server::Product;
use crate::config::{IndexSetting, Retention};
use crate::json;
use crate::limits;
use crate::metrics::{Ledger, ReaderCounts};
use checksum::{checksum, checksum_of};
use means::Means;
use simd_json::prelude::*;
use simd_json::tape;
use std::fmt::Write;

/// The template's `version`. Increase it with each change of the text that this module writes.
const VERSION: u32 = 3;
const OWNER: &str = "expvastic";

/// The numbers in Go's `memstats` that are certainly integers, as a regular expression. `memstats.NextGC` is not among
/// them: it is 2^64 - 1 while the garbage collector is off, which does not fit into a `long`.
const GO_INTEGERS: &str = r"memstats\\.((Total|Heap)?Alloc|(Heap|Stack|MSpan|MCache|BuckHash|GC|Other)?Sys|Lookups|Mallocs|Frees|(Heap|Stack|MSpan|MCache)Inuse|Heap(Idle|Released|Objects)|LastGC|Pause(TotalNs|Ns|End)|Num(Forced)?GC|BySize\\.(Size|Mallocs|Frees))";

/// The first segments of the names that [`integers`] matches.
const INTEGER_ROOTS: [&str; 4] = ["memstats", "readers", "recorders", "process"];

/// What the configuration wants from a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// `index_name` with its patterns, or the name of a data stream.
    pub(crate) index_name: String,
    pub(crate) data_stream: bool,
    /// The most field names that the readers together may ship.
    pub(crate) fields_max: usize,
    /// No reader converts numbers, and none renames other variables to names that [`integers`] matches. Only then can
    /// these names be mapped to `long`.
    pub(crate) verbatim: bool,
    /// Indices take less room, at the price of some time at the server.
    pub(crate) lean: bool,
    /// Whether numbers get an inverted index where the server can do without it. None: unless that makes indices small and
    /// takes nothing from users.
    pub(crate) index_numbers: Option<bool>,
    pub(crate) index_settings: Vec<IndexSetting>,
    /// How long documents are kept.
    pub(crate) retention: Option<Retention>,
    /// By what the server deletes them.
    pub(crate) means: Means,
}

/// The form of a template, which depends on the server and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// `_index_template` with `subobjects: false`: dotted names are not expanded to objects.
    Flat,
    /// `_index_template` of OpenSearch, which answers queries from the columns of numbers without an inverted index.
    OpenSearch,
    /// `_index_template`.
    Composable,
    /// `_template`.
    Legacy7,
    /// `_template`, with mapping types.
    Legacy6,
    /// `_template`, with mapping types and a single pattern.
    Legacy5,
}

/// One template, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) flavour: Flavour,
    /// Path below the endpoint, such as `/_index_template/expvastic`.
    pub(crate) path: String,
    /// One line of JSON.
    pub(crate) text: String,
    checksum: String,
    /// Whether it makes data streams instead of indices.
    makes_streams: bool,
}

/// How the server's template compares with ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Same,
    /// Written by this program, but by another version or for other settings.
    Outdated,
    /// Written by this program, and edited by a person since.
    Changed,
    /// Not written by this program.
    Foreign,
}

/// How the server's template compares with ours, and whether documents get a data stream by it where they need one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) comparison: Comparison,
    /// A data stream is needed, and the template makes indices instead.
    pub(crate) lacks_stream: bool,
}

impl Flavour {
    pub(crate) const ALL: [Self; 6] =
        [Self::Flat, Self::OpenSearch, Self::Composable, Self::Legacy7, Self::Legacy6, Self::Legacy5];

    pub(crate) fn of(product: Product) -> Self {
        match product {
            Product::Elasticsearch(version) if version.is_from(8, 3) => Self::Flat,
            Product::Elasticsearch(version) if version.is_from(7, 8) => Self::Composable,
            Product::Elasticsearch(version) if version.is_from(7, 0) => Self::Legacy7,
            Product::Elasticsearch(version) if version.is_from(6, 0) => Self::Legacy6,
            Product::Elasticsearch(_) => Self::Legacy5,
            Product::OpenSearch(_) => Self::OpenSearch,
            Product::Unknown => Self::Composable,
        }
    }

    /// Names the servers that take this form.
    pub(crate) fn servers(self) -> &'static str {
        match self {
            Self::Flat => "Elasticsearch from 8.3 on",
            Self::OpenSearch => "OpenSearch",
            Self::Composable => "Elasticsearch from 7.8 to 8.2",
            Self::Legacy7 => "Elasticsearch from 7.0 to 7.7",
            Self::Legacy6 => "Elasticsearch 6",
            Self::Legacy5 => "Elasticsearch 5",
        }
    }

    /// Whether numbers get an inverted index. Some servers answer queries from the columns, which every number has, if there is
    /// none. OpenSearch then calls the field not searchable, though, and its Dashboards offers no filter on it.
    fn indexes_numbers(self, wish: &Wish) -> bool {
        match self {
            Self::Flat => wish.index_numbers.unwrap_or(!wish.lean),
            Self::OpenSearch => wish.index_numbers.unwrap_or(true),
            Self::Composable | Self::Legacy7 | Self::Legacy6 | Self::Legacy5 => true,
        }
    }

    fn is_composable(self) -> bool {
        matches!(self, Self::Flat | Self::OpenSearch | Self::Composable)
    }
}

impl Template {
    /// Returns `None` if the index name consists of nothing but patterns: the template would apply to the indices of
    /// others, too.
    pub(crate) fn new(wish: &Wish, flavour: Flavour) -> Option<Self> {
        let pattern = index_pattern(&wish.index_name);
        if !pattern.contains(char::is_alphanumeric) {
            return None;
        }
        let kind = if flavour.is_composable() { "_index_template" } else { "_template" };
        let path = format!("/{kind}/{}", name(&wish.index_name));
        let unmarked = text(wish, flavour, &pattern, "");
        let checksum = checksum_of(&unmarked).unwrap_or_default();
        let mark = format!(r#","_meta":{{"owner":"{OWNER}","checksum":"{checksum}"}}"#);
        let text = text(wish, flavour, &pattern, &mark);
        let makes_streams = wish.data_stream && flavour.is_composable();
        Some(Self { flavour, path, text, checksum, makes_streams })
    }

    /// Compares the server's answer to a request for this template with what it should be.
    pub(crate) fn compare(&self, mut answer: Vec<u8>) -> Compared {
        const FOREIGN: Compared = Compared { comparison: Comparison::Foreign, lacks_stream: false };
        let Ok(tape) = simd_json::to_tape(&mut answer) else { return FOREIGN };
        let root = tape.as_value();
        let stored = if self.flavour.is_composable() {
            let first = root.get("index_templates").and_then(|list| list.as_array()?.iter().next());
            first.and_then(|entry| entry.get("index_template"))
        } else {
            root.as_object().and_then(|templates| templates.values().next())
        };
        let Some(stored) = stored else { return FOREIGN };
        let makes_streams = stored.contains_key("data_stream");
        let lacks_stream = self.makes_streams && !makes_streams;
        let mark = |key| meta(stored, self.flavour).and_then(|meta| meta.get(key)?.into_string());
        let checksum = checksum(stored);
        let comparison = if mark("owner") != Some(OWNER) {
            Comparison::Foreign
        } else if mark("checksum") != Some(checksum.as_str()) {
            Comparison::Changed
        } else if checksum == self.checksum && makes_streams == self.makes_streams {
            // The checksum says nothing of data streams: servers add members to what it is made of.
            Comparison::Same
        } else {
            Comparison::Outdated
        };
        Compared { comparison, lacks_stream }
    }
}

/// Whether a variable that is renamed to `name`, or one below it, may get a name that [`integers`] matches.
pub(crate) fn meets_integers(name: &str) -> bool {
    name.split('.').next().is_some_and(|root| INTEGER_ROOTS.contains(&root))
}

/// A regular expression, escaped for JSON, for the names of all numbers that are certainly integers: those of Go's
/// `memstats`, and this program's own counters.
fn integers() -> String {
    let one_of = |names: Vec<String>| names.join("|").replace('.', r"\\.");
    let (reader, recorder) = (one_of(ReaderCounts::names()), one_of(Ledger::names()));
    format!(r"^({GO_INTEGERS}|readers\\..+\\.({reader})|recorders\\..+\\.({recorder})|process\\.resident_bytes)$")
}

/// Replaces the `strftime` patterns of an index name by `*`, so that it matches every index that the name stands for.
pub(crate) fn index_pattern(index_name: &str) -> String {
    let mut glob = String::new();
    let mut characters = index_name.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            glob.push(character);
            continue;
        }
        // Flags and a width may precede the letter.
        let _ = characters.find(char::is_ascii_alphabetic);
        if !glob.ends_with('*') {
            glob.push('*');
        }
    }
    glob
}

/// The template's name in a URL, with characters that a path cannot contain escaped.
fn name(index_name: &str) -> String {
    path_segment(&plain_name(index_name))
}

/// The template's name: the index name without `%`.
pub(super) fn plain_name(index_name: &str) -> String {
    let plain = index_name.to_lowercase().replace('%', "");
    let prefix = if plain.starts_with(OWNER) { "" } else { "expvastic-" };
    format!("{prefix}{plain}")
}

/// If two templates match an index, the one with the more specific pattern should win. The servers' built-in templates have
/// a priority of at most 200.
pub(super) fn priority(pattern: &str) -> usize {
    300 + pattern.bytes().filter(|&byte| byte != b'*').count()
}

/// A name as a segment of a URL's path.
pub(super) fn path_segment(name: &str) -> String {
    let mut segment = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => segment.push(char::from(byte)),
            other => _ = write!(segment, "%{other:02X}"),
        }
    }
    segment
}

/// The template's text, with `mark` where the server keeps `_meta`.
fn text(wish: &Wish, flavour: Flavour, pattern: &str, mark: &str) -> String {
    let priority = priority(pattern);
    let pattern = quoted(pattern);
    let settings = settings::settings(wish, flavour);
    if flavour.is_composable() {
        let stream = if wish.data_stream { r#","data_stream":{}"# } else { "" };
        let mappings = mappings(wish, flavour, "");
        let life_cycle = match wish.retention {
            Some(kept) if wish.means == Means::Stream => {
                format!(r#","lifecycle":{{"enabled":true,"data_retention":"{}"}}"#, means::notation(kept.hours))
            }
            _ => String::new(),
        };
        return format!(
            r#"{{"index_patterns":[{pattern}],"priority":{priority},"version":{VERSION}{mark}{stream},"template":{{"settings":{settings},"mappings":{mappings}{life_cycle}}}}}"#
        );
    }
    let patterns = match flavour {
        Flavour::Legacy5 => format!(r#""template":{pattern}"#),
        _ => format!(r#""index_patterns":[{pattern}]"#),
    };
    let mappings = mappings(wish, flavour, mark);
    let mappings = match flavour {
        Flavour::Legacy7 => mappings,
        _ => format!(r#"{{"_default_":{mappings}}}"#),
    };
    format!(r#"{{{patterns},"order":10,"version":{VERSION},"settings":{settings},"mappings":{mappings}}}"#)
}

fn mappings(wish: &Wish, flavour: Flavour, mark: &str) -> String {
    let flat = if flavour == Flavour::Flat { r#","subobjects":false"# } else { "" };
    let index = if flavour.indexes_numbers(wish) { "" } else { r#","index":false"# };
    let integers = if wish.verbatim {
        format!(
            r#"{{"integers":{{"match_pattern":"regex","path_match":"{}","match_mapping_type":"long","mapping":{{"type":"long"{index}}}}}}},"#,
            integers()
        )
    } else {
        String::new()
    };
    format!(
        r#"{{"date_detection":false{flat}{mark},"dynamic_templates":[{integers}{{"whole_numbers":{{"match_mapping_type":"long","mapping":{{"type":"double"{index}}}}}}},{{"numbers":{{"match_mapping_type":"double","mapping":{{"type":"double"{index}}}}}}},{{"strings":{{"match_mapping_type":"string","mapping":{{"type":"keyword","ignore_above":{}}}}}}}],"properties":{{"@timestamp":{{"type":"date"}}}}}}"#,
        limits::INDEXED_STRING_CHARS_MAX
    )
}

fn quoted(text: &str) -> String {
    let mut quoted = Vec::new();
    json::write_string(&mut quoted, text);
    String::from_utf8(quoted).unwrap_or_default()
}

fn meta<'t, 'i>(stored: tape::Value<'t, 'i>, flavour: Flavour) -> Option<tape::Value<'t, 'i>> {
    match flavour {
        Flavour::Flat | Flavour::OpenSearch | Flavour::Composable => stored.get("_meta"),
        Flavour::Legacy7 => stored.get("mappings")?.get("_meta"),
        Flavour::Legacy6 | Flavour::Legacy5 => stored.get("mappings")?.get("_default_")?.get("_meta"),
    }
}

/// A line of JSON with line breaks and indentation.
pub(crate) fn pretty(line: &str) -> String {
    let (mut pretty, mut depth, mut in_string, mut before) = (String::new(), 0, false, ' ');
    for character in line.chars() {
        if in_string {
            pretty.push(character);
            in_string = character != '"' || before == '\\';
            before = if before == '\\' { ' ' } else { character };
            continue;
        }
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            '"' => in_string = true,
            _ => {}
        }
        if matches!(character, '}' | ']') && !matches!(before, '{' | '[') {
            let _ = write!(pretty, "\n{:1$}", "", 2 * depth);
        } else if matches!(before, '{' | '[' | ',') && !matches!(character, '}' | ']') {
            let level = if matches!(character, '{' | '[') { depth - 1 } else { depth };
            let _ = write!(pretty, "\n{:1$}", "", 2 * level);
        }
        pretty.push(character);
        if character == ':' {
            pretty.push(' ');
        }
        before = character;
    }
    pretty
}

#[cfg(test)]
mod tests;
