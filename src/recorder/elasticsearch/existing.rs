//! Compares the field types of an existing index with those of the template, because a template applies only to indices
//! that are created later. Pure.

use super::template::{Flavour, meets_integers};
use crate::limits;
use crate::redact;
use simd_json::prelude::*;
use simd_json::tape;
use std::fmt;

/// The query string that reduces an index's mapping to the types of its fields.
pub(super) const QUERY: &str = "filter_path=**.type";

/// What the text about an existing index begins with after a template was put in place.
const BEFORE_TEMPLATE: &str = "; it applies to new indices only, and ";

/// An index that existed before the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExistingIndex {
    index: String,
    /// The first few fields whose types differ from those of the template, as `name (type)`.
    others: Vec<String>,
    /// How many further fields differ.
    more: usize,
    /// Whether its fields could be read.
    is_read: bool,
}

impl ExistingIndex {
    /// Reads the server's answer to [`QUERY`] for this index (or alias, or data stream). Returns `None` if it is not an answer
    /// to that. `is_verbatim` says whether the template maps integers to `long`.
    pub(super) fn of_answer(index: String, answer: &mut [u8], flavour: Flavour, is_verbatim: bool) -> Option<Self> {
        let is_object = answer.first() == Some(&b'{');
        let mut existing = Self { index, others: Vec::new(), more: 0, is_read: false };
        let Ok(tape) = simd_json::to_tape(answer) else { return is_object.then_some(existing) };
        existing.is_read = true;
        // An alias or a data stream may have several indices, and documents go to the last one. An index without fields is
        // missing in the answer.
        let Some(last) = tape.as_value().as_object()?.values().last() else { return Some(existing) };
        let mappings = last.get("mappings")?;
        let has_types = matches!(flavour, Flavour::Legacy5 | Flavour::Legacy6);
        match mappings.as_object() {
            Some(types) if has_types => {
                types.values().for_each(|mapping| existing.add(mapping, &mut String::new(), is_verbatim));
            }
            _ => existing.add(mappings, &mut String::new(), is_verbatim),
        }
        Some(existing)
    }

    /// The text about it where no template was put in place.
    pub(super) fn text(&self) -> String {
        self.to_string().split_off(BEFORE_TEMPLATE.len())
    }

    /// Whether some fields are known to have other types.
    pub(super) fn is_other(&self) -> bool {
        !self.others.is_empty()
    }

    /// Checks all fields below an object of a mapping.
    fn add(&mut self, object: tape::Value<'_, '_>, path: &mut String, is_verbatim: bool) {
        let Some(fields) = object.get("properties").and_then(|fields| fields.as_object()) else { return };
        for (name, field) in &fields {
            let mark = path.len();
            if mark > 0 {
                path.push('.');
            }
            path.push_str(name);
            if let Some(kind) = field.get("type").and_then(ValueIntoString::into_string)
                && is_other(path, kind, is_verbatim)
            {
                if self.others.len() < limits::OTHER_TYPES_NAMED_MAX {
                    let named = format!("{path} ({kind})");
                    self.others.push(redact::quote(named.as_bytes(), limits::QUOTED_BYTES_MAX));
                } else {
                    self.more += 1;
                }
            }
            self.add(field, path, is_verbatim);
            path.truncate(mark);
        }
    }
}

/// Whether the template would have given this field another type.
fn is_other(path: &str, kind: &str, is_verbatim: bool) -> bool {
    match kind {
        // The first segment of the name tells whether the template may map the field to `long`.
        "long" => !(is_verbatim && meets_integers(path)),
        "date" => path != "@timestamp",
        "integer" | "short" | "byte" | "float" | "half_float" | "text" => true,
        _ => false,
    }
}

impl fmt::Display for ExistingIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, others, more, is_read } = self;
        write!(f, "{BEFORE_TEMPLATE}{index} exists already")?;
        if others.is_empty() {
            return f.write_str(if *is_read { " (its field types fit)" } else { " and keeps its types" });
        }
        write!(f, " with other types for {}", others.join(", "))?;
        if *more > 0 {
            write!(f, " and {more} more")?;
        }
        f.write_str(
            ", which truncate fractions or reject documents: write to another index_name, roll over the data stream \
             or alias, or reindex",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(answer: &str, flavour: Flavour, is_verbatim: bool) -> String {
        let existing =
            ExistingIndex::of_answer("shop".to_owned(), &mut answer.as_bytes().to_vec(), flavour, is_verbatim);
        existing.map(|existing| existing.to_string()).unwrap_or_default()
    }

    #[test]
    fn fields_of_other_types_are_named() {
        let properties = r#""properties":{"@timestamp":{"type":"date"},"load":{"type":"long"},"memstats":{"properties":{
            "Alloc":{"type":"long"},"GCCPUFraction":{"type":"float"}}},"built":{"type":"date"},"ok":{"type":"boolean"},
            "name":{"type":"text","fields":{"keyword":{"type":"keyword"}}},"type":{"type":"double"}}"#;
        let others =
            "with other types for load (long), memstats.GCCPUFraction (float), built (date), name (text), which";
        let flat = format!(r#"{{"shop":{{"mappings":{{{properties}}}}}}}"#);
        let typed = format!(r#"{{"shop":{{"mappings":{{"my_app":{{{properties}}}}}}}}}"#);
        for (answer, flavour) in [(&flat, Flavour::Flat), (&flat, Flavour::Legacy7), (&typed, Flavour::Legacy5)] {
            let said = said(answer, flavour, true);
            assert!(said.contains("shop exists already") && said.contains(others), "{said}");
        }
        assert!(said(&flat, Flavour::Flat, false).contains("memstats.Alloc (long)"));
    }

    #[test]
    fn many_fields_are_counted() {
        let fields: Vec<String> = (0..100).map(|number| format!(r#""f{number}":{{"type":"long"}}"#)).collect();
        let answer = format!(r#"{{"shop-1":{{}},"shop-2":{{"mappings":{{"properties":{{{}}}}}}}}}"#, fields.join(","));
        let said = said(&answer, Flavour::OpenSearch, true);
        let more = 100 - limits::OTHER_TYPES_NAMED_MAX;
        assert!(said.contains("f0 (long), f1 (long)") && said.contains(&format!("and {more} more")), "{said}");
    }

    #[test]
    fn an_index_that_fits_or_says_nothing_is_told_apart() {
        let fits = r#"{"shop":{"mappings":{"properties":{"a":{"type":"double"},"b":{"type":"keyword"}}}}}"#;
        assert!(said(fits, Flavour::Flat, true).ends_with("(its field types fit)"));
        for answer in ["{}", r#"{"shop":{"mappings":{}}}"#] {
            assert!(said(answer, Flavour::Flat, true).ends_with("(its field types fit)"), "{answer}");
        }
        let cut = r#"{"shop":{"mappings":{"prop"#;
        assert!(said(cut, Flavour::Flat, true).ends_with("shop exists already and keeps its types"));
        for answer in ["", "<html>", r#"{"version":{"number":"8"}}"#, "[]", r#"{"a":1}"#] {
            assert_eq!(said(answer, Flavour::Flat, true), "", "{answer}");
        }
    }
}
