//! A reader's `convert`, which names the variables whose texts become numbers, and its `object_arrays`.

use super::node::Node;
use super::patterns;
use super::section::Section;
use crate::flatten::{KeyedArray, TextUnit, TextUnits};
use crate::limits;

/// Kinds of texts that can be given without a unit, and the unit that their numbers have.
const KINDS: [(&str, &str); 4] = [("number", "number"), ("duration", "ns"), ("size", "B"), ("bytes", "B")];

/// What `object_arrays` says.
#[derive(Default)]
pub(super) struct ObjectArrays {
    /// Those that become objects by a key.
    pub(super) keyed: Vec<KeyedArray>,
    /// Whether the others are left out.
    pub(super) drop_others: bool,
}

/// Takes the key `convert`.
pub(super) fn text_units(section: &mut Section<'_, '_>) -> TextUnits {
    let Some(entries) = section.section("convert") else { return TextUnits::default() };
    let count = entries.keys().count();
    if count > limits::PATTERNS_MAX {
        entries.lacks(format!("{count} patterns, at most {} are allowed", limits::PATTERNS_MAX));
        return TextUnits::default();
    }
    TextUnits::new(&entries.each_node(|pattern, node| match patterns::problem(pattern, "convert") {
        Some(problem) => Err(problem),
        None => unit(node).map(|unit| (pattern.to_owned(), unit)),
    }))
}

/// The unit that the value of a pattern names: a kind of text, or `{unit: ms}`.
fn unit(node: &Node) -> Result<TextUnit, String> {
    let unit = match node {
        Node::Text(kind) => {
            let unit = KINDS.iter().find(|(name, _)| name == kind).map(|(_, unit)| *unit);
            unit.ok_or_else(|| unknown_kind(kind))?
        }
        Node::Map(entries) => match entries.as_slice() {
            [(key, Node::Text(unit))] if key == "unit" => unit,
            [(key, other)] if key == "unit" => {
                return Err(format!("expected a unit such as ms or MiB, found {}", other.describe()));
            }
            _ => return Err("expected one key, unit, as in {unit: ms}".to_owned()),
        },
        other => {
            return Err(format!("expected number, duration, size or {{unit: ms}}, found {}", other.describe()));
        }
    };
    let is_kind = matches!(node, Node::Text(_));
    TextUnit::named(if unit == "\u{b5}s" || unit == "\u{3bc}s" { "us" } else { unit })
        .filter(|_| is_kind || unit != "number")
        .ok_or_else(|| unknown_unit(unit))
}

fn unknown_kind(kind: &str) -> String {
    match TextUnit::named(kind) {
        Some(_) => format!("{kind} is a unit: write {{unit: {kind}}}"),
        None => format!(
            "unknown kind {:?}, expected number, duration, size or a unit as in {{unit: ms}}",
            super::shorten(kind)
        ),
    }
}

fn unknown_unit(unit: &str) -> String {
    if matches!(unit, "m" | "min" | "h" | "d") {
        return format!(
            "the unit {unit} is not available, as 100 seconds are no decimal number of minutes or longer units: use s"
        );
    }
    if unit == "number" {
        return "a number has no unit: write number without {unit: …}".to_owned();
    }
    let units: Vec<&str> = TextUnit::names().filter(|name| *name != "number").collect();
    let near = units.iter().find(|name| name.eq_ignore_ascii_case(unit));
    let meant = near.map_or_else(String::new, |near| format!(", did you mean {near}?"));
    format!("unknown unit {:?}{meant}; expected one of {}", super::shorten(unit), units.join(", "))
}

/// Takes the key `object_arrays`: a word, or a map from arrays to the members that have the keys.
pub(super) fn object_arrays(section: &mut Section<'_, '_>) -> ObjectArrays {
    if !matches!(section.node("object_arrays"), Some((Node::Map(_), _))) {
        let drop_others =
            section.parse("object_arrays", |text| super::one_of("value", text, &[("columns", false), ("drop", true)]));
        return ObjectArrays { drop_others: drop_others.unwrap_or_default(), ..ObjectArrays::default() };
    }
    let Some(entries) = section.section("object_arrays") else { return ObjectArrays::default() };
    let (count, most) = (entries.keys().count(), limits::KEYED_ARRAYS_MAX);
    if count > most {
        entries.lacks(format!("{count} arrays, at most {most} are allowed"));
        return ObjectArrays::default();
    }
    let keyed = entries.each(|array, member| {
        if array.is_empty() || member.is_empty() {
            return Err("expected the name of an array and of a member of its objects, as in {Gauges: Name}".to_owned());
        }
        if array.len().max(member.len()) > limits::RENAMED_BYTES_MAX {
            return Err(format!("the name is longer than {} bytes", limits::RENAMED_BYTES_MAX));
        }
        Ok(KeyedArray { array: array.to_owned(), member: member.to_owned() })
    });
    ObjectArrays { keyed, drop_others: false }
}
