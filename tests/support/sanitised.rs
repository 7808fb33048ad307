//! Helpers for tests of the sanitiser. They parse a document strictly, check what must hold for every document, and compare it
//! with that of the twin.
#![allow(dead_code, reason = "each test takes what it needs of it")]

#[path = "flatten_twin.rs"]
pub(crate) mod flatten_twin;

use expvastic::Config;
use expvastic::hot_path::HotPath;
use flatten_twin::strict_json::{self, Json};
use flatten_twin::twin_names::{OWN, parents};
use flatten_twin::{GcPauses, Options};
use std::collections::HashSet;

pub(crate) type Variables = Vec<(String, Json)>;

/// A configuration of one reader with these options.
pub(crate) fn config(options: &Options) -> Config {
    let list = |patterns: &[String]| serde_json::to_string(patterns).expect("strings");
    let gc_pauses = match options.gc_pauses {
        GcPauses::New => "new",
        GcPauses::All => "all",
        GcPauses::Off => "off",
    };
    let labels: Vec<String> = options.labels.iter().map(|name| format!("{name:?}: label")).collect();
    let labels = labels.join(", ");
    let quoted = |text: &String| serde_json::to_string(text).expect("a string");
    let rename: Vec<String> =
        options.rename.iter().map(|(from, to)| format!("{}: {}", quoted(from), quoted(to))).collect();
    let rename = rename.join(", ");
    let convert: Vec<String> = options
        .convert
        .iter()
        .map(|(pattern, unit)| {
            let unit = if unit == "number" { unit.clone() } else { format!("{{unit: {unit}}}") };
            format!("{}: {unit}", quoted(pattern))
        })
        .collect();
    let convert = convert.join(", ");
    let keyed: Vec<String> =
        options.keyed.iter().map(|(array, member)| format!("{}: {}", quoted(array), quoted(member))).collect();
    let object_arrays = match (keyed.is_empty(), options.drop_object_arrays) {
        (false, _) => format!("{{{}}}", keyed.join(", ")),
        (true, true) => "drop".to_owned(),
        (true, false) => "columns".to_owned(),
    };
    let yaml = format!(
        "readers: {{app: {{type_name: app, endpoint: \"localhost:1\", include: {}, exclude: {}, dots: {}, \
         gc_pauses: {gc_pauses}, object_arrays: {object_arrays}, max_fields: {}, labels: {{{labels}}}, \
         rename: {{{rename}}}, convert: {{{convert}}}, rates: {}}}}}\n\
         recorders: {{out: {{type: file, path: \"-\"}}}}\nroutes: {{r: {{readers: [app], recorders: [out]}}}}\n",
        list(&options.include),
        list(&options.exclude),
        if options.dots_underscore { "underscore" } else { "keep" },
        options.max_fields,
        list(&options.rates),
    );
    Config::parse("test", &yaml, &|_| None).expect("a good configuration")
}

/// The labels and variables of a document, after it was checked against all promises.
pub(crate) fn variables(document: &[u8]) -> Variables {
    assert!(!document.contains(&b'\n') && !document.contains(&b'\r'), "a document is one line");
    let text = std::str::from_utf8(document).expect("a document is UTF-8");
    let Ok(Json::Object(mut members)) = Json::parse(text) else { panic!("a document is one strict object: {text}") };
    let mut names = HashSet::new();
    for (name, _) in &members {
        assert!(names.insert(name.as_str()), "{name} is there twice");
    }
    for name in &names {
        let clash = parents(name).find(|parent| names.contains(parent));
        assert_eq!(clash, None, "a value and an object, because of {name}");
        assert!(name.split('.').all(|segment| !segment.trim().is_empty()), "a blank segment in {name:?}");
        assert!(name.split('.').count() <= 20, "too deep: {name:?}");
        // What makes it unlike others comes behind the cut.
        let cut = name.find("._value").or_else(|| name.rfind('#')).unwrap_or(name.len());
        // So does the mark of an object whose name is a value's, wherever it stands.
        let marks: usize = name[..cut].matches("#object").map(str::len).sum();
        assert!(cut - marks <= 512, "too long: {name:?}");
    }
    let variables = members.split_off(3);
    for ((name, value), own) in members.iter().zip(OWN) {
        assert_eq!(name, own);
        assert!(matches!(value, Json::String(text) if !text.is_empty()), "{own} is {value:?}");
    }
    assert_eq!(members[1].1, Json::String("app".to_owned()));
    variables
}

/// The mapping that a server derives from the documents of one reader, if it expands dotted names to objects: it refuses a document
/// in which an object has the name of an earlier value, or the other way round.
pub(crate) struct Mapping {
    max_fields: usize,
    values: HashSet<String>,
    objects: HashSet<String>,
}

impl Mapping {
    pub(crate) fn new(options: &Options) -> Self {
        // The labels, and the mark of a restart.
        let max_fields = options.max_fields + options.labels.len() + 1;
        Self { max_fields, values: HashSet::new(), objects: HashSet::new() }
    }

    pub(crate) fn add(&mut self, document: &Variables) {
        let is_value = |value: &Json| flatten_twin::has_scalar(value);
        let names = document.iter().filter(|(_, value)| is_value(value)).map(|(name, _)| name.as_str());
        for name in OWN.into_iter().take(3).chain(names) {
            self.values.insert(name.to_owned());
            self.objects.extend(parents(name).map(str::to_owned));
        }
        let clash = self.values.intersection(&self.objects).next();
        assert_eq!(clash, None, "a value and an object of one name, this time or before");
        assert!(self.values.len() <= self.max_fields + 3, "{} names", self.values.len());
    }
}

/// Panics with the first difference, which is easier to read than two documents.
pub(crate) fn assert_same(found: Option<&Variables>, expected: Option<&Variables>, what: &str) {
    if let (Some(found), Some(expected)) = (found, expected) {
        for (found, expected) in found.iter().zip(expected) {
            let same = |(name, value): &(String, Json)| (name.clone(), strict_json::same_text(value));
            assert_eq!(same(found), same(expected), "{what}");
        }
        let names = |variables: &Variables| variables.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(found), names(expected), "{what}");
    }
    assert_eq!(found.is_some(), expected.is_some(), "{what}: {found:?}, expected {expected:?}");
}

pub(crate) fn hot_path(options: &Options) -> HotPath {
    HotPath::of_config(&config(options)).expect("a good reader")
}

pub(crate) fn flattened(hot_path: &mut HotPath, body: &[u8]) -> Option<Variables> {
    hot_path.flatten(&mut body.to_vec()).ok().map(variables)
}

/// `memstats` of a program with these pauses since its start.
pub(crate) fn memstats(pauses: &[u64], lie: u64) -> String {
    let mut rings = [vec![0; 256], vec![0; 256]];
    for (at, &pause) in pauses.iter().enumerate() {
        rings[0][at % 256] = pause;
        rings[1][at % 256] = 1_700_000_000_000_000_000 + at as u64;
    }
    let total = pauses.iter().sum::<u64>() + lie;
    let [pauses_ns, ends] = rings.map(|ring| serde_json::to_string(&ring).expect("numbers"));
    let count = pauses.len();
    format!(r#"{{"NumGC":{count},"PauseEnd":{ends},"PauseNs":{pauses_ns},"PauseTotalNs":{total},"Sys":1}}"#)
}

/// `from=to from=to`.
pub(crate) fn renames(pairs: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| pair.split_once('=').map(|(from, to)| (from.to_owned(), to.to_owned())).expect("from=to");
    pairs.split(' ').map(pair).collect()
}

pub(crate) fn options_of(short: &str) -> Options {
    let mut options = Options::default();
    match short.split_once(' ').unwrap_or((short, "")) {
        ("dots", rename) => {
            options.dots_underscore = true;
            options.rename = if rename.is_empty() { Vec::new() } else { renames(rename) };
        }
        ("drop", _) => options.drop_object_arrays = true,
        ("max", fields) => options.max_fields = fields.parse().expect("a number"),
        ("include", pattern) => options.include = vec![pattern.to_owned()],
        ("rates", patterns) => options.rates = patterns.split(' ').map(str::to_owned).collect(),
        ("rename+rates", pairs) => {
            (options.rename, options.rates) = (renames(pairs), vec!["**".to_owned()]);
        }
        ("max+rates", fields) => {
            (options.max_fields, options.rates) = (fields.parse().expect("a number"), vec!["**".to_owned()]);
        }
        ("exclude+rates", pattern) => {
            (options.exclude, options.rates) = (vec![pattern.to_owned()], vec!["**".to_owned()]);
        }
        ("exclude", pattern) => options.exclude = vec![pattern.to_owned()],
        ("rename", pairs) => options.rename = renames(pairs),
        ("convert", pairs) => options.convert = renames(pairs),
        ("keyed", pairs) => options.keyed = renames(pairs),
        ("labels", names) => options.labels = names.split(' ').map(str::to_owned).collect(),
        _ => {}
    }
    options
}
