//! What every test of the sanitiser does with a document: reads it strictly, checks what holds of each, and compares it
//! with the twin's.
#![allow(dead_code, reason = "each test takes what it needs of it")]

#[path = "flatten_twin.rs"]
pub(crate) mod flatten_twin;

use expvastic::Config;
use flatten_twin::strict_json::{self, Json};
use flatten_twin::{GcPauses, OWN, Options};
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
    let yaml = format!(
        "readers: {{app: {{type_name: app, endpoint: \"localhost:1\", include: {}, exclude: {}, dots: {}, \
         gc_pauses: {gc_pauses}, object_arrays: {}, max_fields: {}, labels: {{{labels}}}, \
         rename: {{{rename}}}, rates: {}}}}}\n\
         recorders: {{out: {{type: file, path: \"-\"}}}}\nroutes: {{r: {{readers: [app], recorders: [out]}}}}\n",
        list(&options.include),
        list(&options.exclude),
        if options.dots_underscore { "underscore" } else { "keep" },
        if options.drop_object_arrays { "drop" } else { "columns" },
        options.max_fields,
        list(&options.rates),
    );
    Config::parse("test", &yaml, &|_| None).expect("a good configuration")
}

/// The labels and variables of a document that keeps what each one promises.
pub(crate) fn variables(document: &[u8]) -> Variables {
    assert!(!document.contains(&b'\n') && !document.contains(&b'\r'), "a document is one line");
    let text = std::str::from_utf8(document).expect("a document is UTF-8");
    let Ok(Json::Object(mut members)) = Json::parse(text) else { panic!("a document is one strict object: {text}") };
    let mut names = HashSet::new();
    for (name, _) in &members {
        assert!(names.insert(name.as_str()), "{name} is there twice");
    }
    for name in &names {
        let clash = flatten_twin::parents(name).find(|parent| names.contains(parent));
        assert_eq!(clash, None, "a value and an object, because of {name}");
        assert!(name.split('.').all(|segment| !segment.trim().is_empty()), "a blank segment in {name:?}");
        assert!(name.split('.').count() <= 20, "too deep: {name:?}");
        // What makes it unlike others comes behind the cut.
        let cut = name.find("._value").or_else(|| name.rfind('#')).unwrap_or(name.len());
        assert!(cut <= 512, "too long: {name:?}");
    }
    let variables = members.split_off(3);
    for ((name, value), own) in members.iter().zip(OWN) {
        assert_eq!(name, own);
        assert!(matches!(value, Json::String(text) if !text.is_empty()), "{own} is {value:?}");
    }
    assert_eq!(members[1].1, Json::String("app".to_owned()));
    variables
}

/// The first difference is easier to read than two documents.
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
