//! The keys of the configuration. They are read from the program's own error messages, which list the known keys for an
//! unknown one.

use expvastic::Config;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;

/// A key that is not similar to any known one.
const UNKNOWN: &str = "zzqxzzqx";
const KNOWN_HERE: &str = "known keys: ";
/// How a message names an unknown key that may be a secret.
const UNNAMED: &str = "an unknown key";

/// Required keys only, under the names of `expvastic.reference.yml`.
pub(crate) const WITHOUT_OPTIONAL_KEYS: &str = "\
readers:
  shop: {type_name: shop, endpoint: \"localhost:1234/debug/vars\"}
  own: {type: self, type_name: expvastic}
recorders:
  search: {endpoint: \"localhost:9200\"}
  stream: {endpoint: \"localhost:9200\", data_stream: metrics-shop-default}
  disk: {type: file, path: shop.ndjson}
routes:
  all: {readers: [shop, own], recorders: [search, stream, disk]}
";

/// A key of the configuration.
pub(crate) struct Key {
    /// The section of `docs/configuration.md` that it belongs to; empty for the sections themselves.
    pub(crate) section: String,
    pub(crate) name: String,
    /// From the root, with `*` for names that the user chooses.
    pub(crate) path: Vec<String>,
}

/// Every key that the program knows.
pub(crate) fn all() -> Vec<Key> {
    let base = json!({
        "settings": {},
        "readers": {"expvar": {"type_name": "a", "endpoint": "h:1"}, "self": {"type": "self", "type_name": "a"}},
        "recorders": {"elasticsearch": {"endpoint": "h:1"}, "file": {"type": "file", "path": "-"}},
        "routes": {"all": {"readers": ["expvar"], "recorders": ["elasticsearch"]}},
    });
    let mut keys = Vec::new();
    for pointer in ["", "/settings", "/routes/all"] {
        collect(&base, pointer, &mut keys);
    }
    for section in ["readers", "recorders"] {
        // Each kind of recorder exists in the base configuration, under its own name.
        let mut wrong = base.clone();
        let entries = wrong[section].as_object_mut().expect("a section");
        let kinds: BTreeSet<String> = entries.keys().cloned().collect();
        entries.values_mut().for_each(|entry| entry["type"] = UNKNOWN.into());
        let told = after(&errors(&wrong), "expected one of ");
        assert_eq!(told.iter().cloned().collect::<BTreeSet<_>>(), kinds, "the kinds of {section}");
        for kind in kinds {
            collect(&base, &format!("/{section}/{kind}"), &mut keys);
        }
    }
    let maps = tempfile::NamedTempFile::with_suffix(".yml").expect("a file");
    std::fs::write(maps.path(), format!("{UNKNOWN}: 1\n")).expect("written");
    let mut with_maps = base;
    with_maps["readers"]["expvar"]["map_file"] = maps.path().to_string_lossy().into();
    for name in after(&errors(&with_maps), KNOWN_HERE) {
        keys.push(Key { section: "map_file".to_owned(), name, path: Vec::new() });
    }
    keys
}

/// Adds the keys of the section at `pointer`, and of the sections below it.
fn collect(base: &Value, pointer: &str, keys: &mut Vec<Key>) {
    let mut probe = base.clone();
    let section = probe.pointer_mut(pointer).expect("the section");
    match section.as_object_mut() {
        Some(entries) => drop(entries.insert(UNKNOWN.to_owned(), 1.into())),
        None => *section = json!({UNKNOWN: 1}),
    }
    let steps: Vec<&str> = pointer.split('/').skip(1).collect();
    for name in after(&errors(&probe), KNOWN_HERE) {
        let mut below = base.clone();
        below.pointer_mut(pointer).expect("the section")[&name] = Value::Null;
        let inner = format!("{pointer}/{name}");
        if steps.len() >= 2 && steps[0] != "routes" {
            collect(&below, &inner, keys);
        }
        let section = match steps[..] {
            [] => "",
            [one] | [one, _] => one,
            [.., last] => last,
        };
        let path = inner.split('/').skip(1).map(str::to_owned).collect();
        keys.push(Key { section: section.to_owned(), name, path });
    }
}

/// The words of the first list behind `mark` in the error about the unknown name.
fn after(text: &str, mark: &str) -> Vec<String> {
    let mut lines = text.lines().filter(|line| line.contains(UNKNOWN) || line.contains(UNNAMED));
    let list = lines.find_map(|line| line.split_once(mark)).map(|(_, list)| list);
    list.map(|list| list.split(", ").map(str::to_owned).collect()).unwrap_or_default()
}

fn errors(config: &Value) -> String {
    Config::parse("probe.yml", &config.to_string(), &|_| None).map_or_else(|error| error.to_string(), |_| String::new())
}

/// The paths of the keys that are not in a file, commented out or not.
pub(crate) fn missing_in(text: &str, keys: &[Key]) -> Vec<String> {
    let texts = std::iter::once(text.to_owned()).chain(variants(text).into_iter().map(|(_, text)| text));
    let files: Vec<serde_yaml::Value> = texts.map(|text| serde_yaml::from_str(&text).expect("it is YAML")).collect();
    let is_there = |key: &&Key| key.path.is_empty() || files.iter().any(|file| holds(file, &key.path));
    keys.iter().filter(|key| !is_there(key)).map(|key| key.path.join(".")).collect()
}

/// Whether there is a value at the path. For readers and recorders, it may be in any of them.
fn holds(file: &serde_yaml::Value, path: &[String]) -> bool {
    let named = |value: &serde_yaml::Value, names: &[String]| {
        names.iter().try_fold(value.clone(), |value, name| value.get(name).cloned()).is_some()
    };
    let [section, kind, below @ ..] = path else { return named(file, path) };
    if section == "settings" || below.is_empty() {
        return named(file, path);
    }
    let Some(entries) = file.get(section).and_then(serde_yaml::Value::as_mapping) else { return false };
    let default = if section == "readers" { "expvar" } else { "elasticsearch" };
    let is_kind = |entry: &&serde_yaml::Value| {
        section == "routes" || entry.get("type").and_then(serde_yaml::Value::as_str).unwrap_or(default) == kind
    };
    entries.values().filter(is_kind).any(|entry| named(entry, below))
}

/// Variants of the file, each with one more line in effect that is commented out (`#key: …`, not `# words`). That line replaces
/// the one that has the same key. Each variant comes with the number of its line.
pub(crate) fn variants(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let key_of = |line: &str| {
        let bare = line.trim_start();
        (line.len() - bare.len(), bare.split(':').next().unwrap_or_default().to_owned())
    };
    let mut variants = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let bare = line.trim_start();
        let Some(example) = bare.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
        else {
            continue;
        };
        let used = format!("{}{example}", &line[..line.len() - bare.len()]);
        let (indent, key) = key_of(&used);
        // The entry that it is in: up to the next line that is indented less.
        let is_outside = |line: &&str| !line.trim().is_empty() && key_of(line).0 < indent;
        let first = lines[..at].iter().rposition(is_outside).map_or(0, |at| at + 1);
        let last = lines[at..].iter().position(is_outside).map_or(lines.len(), |end| at + end);
        // Only one of the two may be there.
        let key = if key == "targets_file" { "endpoint".to_owned() } else { key };
        let replaced = (first..last).find(|&other| key_of(lines[other]) == (indent, key.clone()));
        let kept = lines.iter().enumerate().filter(|(other, _)| replaced != Some(*other));
        let text: Vec<&str> = kept.map(|(other, line)| if other == at { &*used } else { line }).collect();
        variants.push((at + 1, text.join("\n")));
    }
    variants
}

/// A configuration as it is after it was loaded.
pub(crate) fn as_loaded(text: &str) -> String {
    let config = Config::parse("conf.yml", text, &|_| None).unwrap_or_else(|error| panic!("{error}"));
    format!("{config:#?}")
}

/// The errors of a configuration, except for files that do not exist on this machine, and for TLS in a build without it.
pub(crate) fn problems_of(text: &str) -> Vec<String> {
    let Err(error) = Config::parse("conf.yml", text, &|_| Some("value".to_owned())) else { return Vec::new() };
    let is_missing = |line: &&str| line.contains("No such file") || line.contains("file not found");
    let is_left_out = |line: &&str| !cfg!(feature = "tls") && line.contains("built without TLS");
    let problems = error.to_string();
    problems.lines().filter(|line| !is_missing(line) && !is_left_out(line)).map(str::to_owned).collect()
}

/// The configurations in a piece of YAML: the piece itself, or the contents of a `ConfigMap`. A part of a configuration is
/// completed.
pub(crate) fn configurations_in(yaml: &str) -> Vec<String> {
    let mut found = Vec::new();
    for document in yaml.split("\n---\n") {
        let value: serde_yaml::Value =
            serde_yaml::from_str(document).unwrap_or_else(|error| panic!("{error}:\n{yaml}"));
        let Some(entries) = value.as_mapping() else { continue };
        let is_ours = |key: &serde_yaml::Value| {
            key.as_str().is_some_and(|key| ["settings", "readers", "recorders", "routes"].contains(&key))
        };
        if entries.keys().any(is_ours) {
            found.push(made_whole(document, &value));
        }
        let held = value.get("data").and_then(serde_yaml::Value::as_mapping);
        let texts = held.into_iter().flat_map(|data| data.values()).filter_map(serde_yaml::Value::as_str);
        found.extend(texts.flat_map(configurations_in));
    }
    found
}

fn made_whole(text: &str, value: &serde_yaml::Value) -> String {
    let mut text = format!("{text}\n");
    for (section, missing) in [
        ("readers", "readers: {some: {type_name: a, endpoint: \"h:1\"}}\n"),
        ("recorders", "recorders: {some: {endpoint: \"h:1\"}}\n"),
    ] {
        if value.get(section).is_none() {
            text.push_str(missing);
        }
    }
    let names = |section: &str| {
        let entries = value.get(section).and_then(serde_yaml::Value::as_mapping);
        let names = entries.map(|entries| entries.keys().filter_map(serde_yaml::Value::as_str).collect::<Vec<_>>());
        format!("{:?}", names.unwrap_or_else(|| vec!["some"]))
    };
    if value.get("routes").is_none() {
        let (readers, recorders) = (names("readers"), names("recorders"));
        let _ = writeln!(text, "routes: {{all: {{readers: {readers}, recorders: {recorders}}}}}");
    }
    text
}
