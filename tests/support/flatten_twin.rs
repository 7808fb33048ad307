//! The naive twin of the sanitiser, for payloads that are strict JSON. It parses the payload into a tree, and applies each
//! rule of the contract as one simple step. It is slow, and was written from the contract alone.
#![allow(dead_code, reason = "each test takes what it needs of it")]

#[path = "strict_json.rs"]
pub(crate) mod strict_json;
#[path = "twin_counters.rs"]
mod twin_counters;
#[path = "twin_globs.rs"]
mod twin_globs;
#[path = "twin_keyed.rs"]
mod twin_keyed;
#[path = "twin_names.rs"]
pub(crate) mod twin_names;
#[path = "twin_pauses.rs"]
mod twin_pauses;
#[path = "twin_texts.rs"]
pub(crate) mod twin_texts;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use strict_json::{Json, without_lone_surrogates};
use twin_counters::{Counter, Namesakes, count_namesakes, counters, rate};
use twin_globs::any_matches;
use twin_names::{Named, Names};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum GcPauses {
    New,
    All,
    Off,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) dots_underscore: bool,
    pub(crate) gc_pauses: GcPauses,
    pub(crate) drop_object_arrays: bool,
    pub(crate) max_fields: usize,
    /// Each has the value `label`.
    pub(crate) labels: Vec<String>,
    /// Names in the payload and in the document.
    pub(crate) rename: Vec<(String, String)>,
    pub(crate) rates: Vec<String>,
    /// Patterns, and the units of the numbers that texts become.
    pub(crate) convert: Vec<(String, String)>,
    /// Arrays, and the members that have the keys of their elements.
    pub(crate) keyed: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            include: vec!["**".to_owned()],
            exclude: vec!["cmdline".to_owned(), "memstats.BySize.**".to_owned()],
            dots_underscore: false,
            gc_pauses: GcPauses::New,
            drop_object_arrays: false,
            max_fields: 1000,
            labels: Vec::new(),
            rename: Vec::new(),
            rates: Vec::new(),
            convert: Vec::new(),
            keyed: Vec::new(),
        }
    }
}

impl Options {
    /// Whether the variable with this raw flat name is wanted.
    fn choose(&self, raw: &str) -> bool {
        any_matches(&self.include, raw) && !any_matches(&self.exclude, raw)
    }

    /// The value of the variable with this raw flat name, with numbers in place of texts if that is wanted.
    fn convert(&self, raw: &str, value: Json) -> Json {
        match self.convert.iter().find(|(pattern, _)| any_matches(std::slice::from_ref(pattern), raw)) {
            Some((_, unit)) => twin_texts::converted(value, unit),
            None => value,
        }
    }

    /// The keys, joined with dots. Dots within the keys are replaced if the options say so.
    fn joined(&self, keys: &[Key]) -> String {
        if self.dots_underscore {
            keys.iter().map(|key| key.replace('.', "_")).collect::<Vec<_>>().join(".")
        } else {
            keys.join(".")
        }
    }
}

/// The name of a variable in the document. `raw` is its keys joined with dots, and `joined` the same with the dots within
/// keys as the document has them, so both have the same length.
fn renamed(rename: &[(String, String)], raw: &str, joined: &str) -> String {
    let fits = |from: &str| raw == from || raw.starts_with(&format!("{from}."));
    match rename.iter().filter(|(from, _)| fits(from)).max_by_key(|(from, _)| from.len()) {
        Some((from, to)) => format!("{to}{}", &joined[from.len()..]),
        None => joined.to_owned(),
    }
}

/// What is shipped of a value that contains no objects, if anything.
fn shipped(value: &Json) -> Option<Json> {
    Some(without_broken_numbers(value)).filter(|value| *value != Json::Null)
}

/// The value with `null` in place of each number that no server stores.
fn without_broken_numbers(value: &Json) -> Json {
    match value {
        Json::Number(text) if text.len() > 1000 || text.parse::<f64>().is_ok_and(f64::is_infinite) => Json::Null,
        Json::Array(elements) => Json::Array(elements.iter().map(without_broken_numbers).collect()),
        other => other.clone(),
    }
}

/// Whether a server makes a field of the value: it is or contains something other than `null`.
pub(crate) fn has_scalar(value: &Json) -> bool {
    match value {
        Json::Null | Json::Object(_) => false,
        Json::Array(elements) => elements.iter().any(has_scalar),
        _ => true,
    }
}

/// A value in a form that servers accept: integers beyond 64 bits get a decimal point, and an array with several kinds of
/// values becomes a string.
fn fitted(value: Json) -> Json {
    let value = with_points(value);
    let mut kinds = Vec::new();
    kinds_in(&value, &mut kinds);
    kinds.dedup();
    match value {
        Json::Array(_) if kinds.iter().any(|kind| *kind != kinds[0]) => Json::String(value.to_string()),
        other => other,
    }
}

fn with_points(value: Json) -> Json {
    match value {
        Json::Number(text) if !text.contains(['.', 'e', 'E']) && text.parse::<i64>().is_err() => {
            Json::Number(text + ".0")
        }
        Json::Array(elements) => Json::Array(elements.into_iter().map(with_points).collect()),
        other => other,
    }
}

fn kinds_in(value: &Json, kinds: &mut Vec<&'static str>) {
    match value {
        Json::Null | Json::Object(_) => {}
        Json::Bool(_) => kinds.push("boolean"),
        Json::Number(_) => kinds.push("number"),
        Json::String(_) => kinds.push("string"),
        Json::Array(elements) => elements.iter().for_each(|element| kinds_in(element, kinds)),
    }
}

/// A key on the way to a variable.
type Key = Rc<str>;

/// A wanted member that is not an object.
struct Variable {
    /// The keys joined with dots, as the patterns see it.
    raw: String,
    /// The same, with the dots within keys as the document has them.
    joined: String,
    /// The value that is shipped, if any.
    value: Option<Json>,
    is_column: bool,
}

impl Variable {
    fn has_value(&self) -> bool {
        self.value.as_ref().is_some_and(has_scalar)
    }
}

/// A reader's memory from one document to the next, and how it makes them.
pub(crate) struct Reader {
    options: Options,
    names: Names,
    collections: Option<(u64, u64)>,
    /// The value of each counter in the last document.
    counters: HashMap<Counter, String>,
    /// The time since that document.
    pause_ns: u64,
    /// Results of [`Options::choose`] by raw name, because it is slow.
    chosen: RefCell<HashMap<String, bool>>,
}

/// The first document of a reader. `None` if there is nothing to ship.
pub(crate) fn document(options: &Options, payload: &str) -> Option<Vec<(String, Json)>> {
    Reader::new(options.clone()).document(payload)
}

impl Reader {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            names: Names::new(options.max_fields, &options.labels),
            options,
            collections: None,
            counters: HashMap::new(),
            pause_ns: 0,
            chosen: RefCell::default(),
        }
    }

    /// The document of a payload that comes one second after the last.
    pub(crate) fn document(&mut self, payload: &str) -> Option<Vec<(String, Json)>> {
        self.document_after(Duration::from_secs(1), payload)
    }

    pub(crate) fn document_after(&mut self, pause: Duration, payload: &str) -> Option<Vec<(String, Json)>> {
        self.pause_ns += u64::try_from(pause.as_nanos()).expect("below 500 years");
        let (collections, names) = (self.collections, self.names.clone());
        let document = self.document_of(payload);
        if document.is_none() {
            // A payload without a document does not change the reader's memory.
            (self.collections, self.names) = (collections, names);
        }
        document
    }

    fn document_of(&mut self, payload: &str) -> Option<Vec<(String, Json)>> {
        let Ok(Json::Object(root)) = Json::parse(&without_lone_surrogates(payload)) else { return None };
        let mut root = twin_keyed::with_objects("", root, &self.options.keyed);
        let unmended = root.clone();
        let restarted = self.mend_pauses(&mut root);
        // A ring buffer counts as a value from the beginning, whether or not it has new entries.
        let of_whole_rings = if self.options.gc_pauses == GcPauses::New { &unmended } else { &root };
        let is_value: Vec<bool> = self.variables(&[], of_whole_rings).iter().map(Variable::has_value).collect();
        let mut occurrences: HashMap<String, usize> =
            self.options.labels.iter().map(|label| (label.clone(), 1)).collect();
        let mut all = Namesakes::new();
        count_namesakes("", &root, &mut all);
        // Counters of the same name come in the order of the payload.
        let mut counters_of: HashMap<String, VecDeque<Counter>> = HashMap::new();
        for counter in counters(&Counter::default(), &root, &all, &mut Namesakes::new()) {
            counters_of.entry(counter.0.clone()).or_default().push_back(counter);
        }
        let (mut fields, mut values) = (Vec::new(), Vec::new());
        for (Variable { raw, joined, value, is_column }, has_value) in
            self.variables(&[], &root).into_iter().zip(is_value)
        {
            let name = renamed(&self.options.rename, &raw, &joined);
            // Arrays of objects are not counters, whatever the names of their columns are.
            let counter = if is_column { None } else { counters_of.get_mut(&raw).and_then(VecDeque::pop_front) };
            let Some(field) = self.names.admit(&name, &mut occurrences) else { continue };
            fields.push(Named { field, has_value, is_rate: false });
            values.push((value.map(|value| self.options.convert(&raw, value)), None));
            if is_column || !any_matches(&self.options.rates, &raw) {
                continue;
            }
            let Some(field) = self.names.admit(&format!("{name}_per_second"), &mut occurrences) else { continue };
            fields.push(Named { field, has_value: true, is_rate: true });
            values.push((None, counter));
        }
        let names = self.names.settle(&fields);
        let mut counters = HashMap::new();
        let mut document = Vec::new();
        let mut last = None;
        for (name, (value, counter)) in names.into_iter().zip(values) {
            let Some(name) = name else { continue };
            let value = match (counter, &last) {
                (None, _) => value,
                (Some(counter), Some(Json::Number(now))) => {
                    let before = self.counters.get(&counter).filter(|_| !restarted);
                    let rate = before.and_then(|before| rate(before, now, self.pause_ns));
                    counters.insert(counter, now.clone());
                    rate.map(|rate| Json::Number(format!("{rate:?}")))
                }
                (Some(_), _) => None,
            };
            document.extend(value.clone().map(|value| (name, fitted(value))));
            last = value;
        }
        if document.is_empty() {
            return None;
        }
        (self.counters, self.pause_ns) = (counters, 0);
        let label = |name: &String| (name.clone(), Json::String("label".to_owned()));
        document.splice(..0, self.options.labels.iter().map(label));
        if restarted {
            document.push(("expvastic.restarted".to_owned(), Json::Bool(true)));
        }
        Some(document)
    }

    fn choose(&self, raw: String) -> bool {
        let mut chosen = self.chosen.borrow_mut();
        *chosen.entry(raw).or_insert_with_key(|raw| self.options.choose(raw))
    }

    fn variables(&self, path: &[Key], members: &[(String, Json)]) -> Vec<Variable> {
        let mut variables = Vec::new();
        for (key, value) in members {
            let path = [path, &[Key::from(key.as_str())]].concat();
            match value {
                Json::Object(members) => variables.extend(self.variables(&path, members)),
                // The array itself is not a variable, only its columns are.
                Json::Array(elements) if value.has_object() => {
                    let columns = if self.options.drop_object_arrays {
                        Vec::new()
                    } else {
                        self.columns(path.len(), &path, elements)
                    };
                    variables.extend(columns.into_iter().map(|(keys, values)| Variable {
                        raw: self.column_name(path.len(), &keys),
                        joined: self.options.joined(&keys),
                        value: Some(Json::Array(values)),
                        is_column: true,
                    }));
                }
                leaf if self.choose(path.join(".")) => variables.push(Variable {
                    raw: path.join("."),
                    joined: self.options.joined(&path),
                    value: shipped(leaf),
                    is_column: false,
                }),
                _ => {}
            }
        }
        variables
    }

    /// The name of a column for the patterns: the raw name of its array, then the rest as the document has it. The path of
    /// the array has `array` keys.
    fn column_name(&self, array: usize, path: &[Key]) -> String {
        let (array, column) = path.split_at(array);
        format!("{}.{}", array.join("."), self.options.joined(column))
    }

    /// The wanted columns of an array with objects. Each has one value per row. The path of the outermost array has `array`
    /// keys.
    fn columns(&self, array: usize, path: &[Key], elements: &[Json]) -> Vec<(Vec<Key>, Vec<Json>)> {
        let mut columns = self.all_columns(array, path, elements);
        columns.retain(|(path, values)| {
            self.choose(self.column_name(array, path)) && values.iter().any(|value| *value != Json::Null)
        });
        columns
    }

    /// All columns, including unwanted ones and those that contain only `null`.
    fn all_columns(&self, array: usize, path: &[Key], elements: &[Json]) -> Vec<(Vec<Key>, Vec<Json>)> {
        let mut rows = Vec::new();
        self.rows(array, path, elements, &mut rows);
        // A row may have the same name several times. Each occurrence has a column of its own.
        let mut columns: Vec<(String, usize, Vec<Key>, Vec<Json>)> = Vec::new();
        let count = rows.len();
        for (row, cells) in rows.into_iter().enumerate() {
            let mut seen: HashMap<String, usize> = HashMap::new();
            for (path, value) in cells {
                let name = self.options.joined(&path);
                let place = *seen.entry(name.clone()).and_modify(|count| *count += 1).or_insert(1);
                let at = columns.iter().position(|(other, at, ..)| (other, *at) == (&name, place));
                let at = at.unwrap_or_else(|| {
                    columns.push((name, place, path, vec![Json::Null; count]));
                    columns.len() - 1
                });
                columns[at].3[row] = value;
            }
        }
        columns.into_iter().map(|(_, _, path, values)| (path, values)).collect()
    }

    /// Adds one row of cells per element. The elements of an inner array count as elements of the outer one.
    fn rows(&self, array: usize, path: &[Key], elements: &[Json], rows: &mut Vec<Vec<(Vec<Key>, Json)>>) {
        for element in elements {
            match element {
                Json::Object(members) => rows.push(self.cells(array, path, members)),
                Json::Array(further) if element.has_object() => self.rows(array, path, further, rows),
                beside => {
                    let path = [path, &[Key::from("_value")]].concat();
                    rows.push(vec![(path, without_broken_numbers(beside))]);
                }
            }
        }
    }

    /// The cells of an object in an array, each with the path of its column.
    fn cells(&self, array: usize, path: &[Key], members: &[(String, Json)]) -> Vec<(Vec<Key>, Json)> {
        let mut cells = Vec::new();
        for (key, value) in members {
            let path = [path, &[Key::from(key.as_str())]].concat();
            match value {
                Json::Object(members) => cells.extend(self.cells(array, &path, members)),
                Json::Array(elements) if value.has_object() => {
                    let inner = self.all_columns(array, &path, elements).into_iter();
                    cells.extend(inner.map(|(path, values)| {
                        let is_empty = values.iter().all(|value| *value == Json::Null);
                        (path, if is_empty { Json::Null } else { Json::Array(values) })
                    }));
                }
                leaf => cells.push((path, without_broken_numbers(leaf))),
            }
        }
        cells
    }
}

/// Flat name to value.
pub(crate) type Flat = BTreeMap<String, Value>;

/// The fields that the first document of a payload must have, if all pauses are shipped.
pub(crate) fn expected_fields(payload: &Value) -> Flat {
    let options = Options { gc_pauses: GcPauses::All, ..Options::default() };
    flat(document(&options, &payload.to_string()).unwrap_or_default())
}

pub(crate) fn flat(document: Vec<(String, Json)>) -> Flat {
    document.into_iter().map(|(name, value)| (name, value.into())).collect()
}
