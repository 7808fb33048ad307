//! What templates contain, and how they are compared.

use super::*;
use crate::metrics::{Metrics, ProcessUsage, Snapshot};

/// A template as version 1 wrote it. That version listed only some of the counters.
const VERSION_1: &str = r#"{"index_patterns":["expvastic"],"priority":311,"version":1,"_meta":{"owner":"expvastic","checksum":"377cbee2d5d6db02"},"template":{"settings":{"index":{"mapping":{"total_fields":{"limit":2100},"ignore_malformed":true}}},"mappings":{"date_detection":false,"subobjects":false,"dynamic_templates":[{"integers":{"match_pattern":"regex","path_match":"^(memstats\\.((Total|Heap)?Alloc|(Heap|Stack|MSpan|MCache|BuckHash|GC|Other)?Sys|Lookups|Mallocs|Frees|(Heap|Stack|MSpan|MCache)Inuse|Heap(Idle|Released|Objects)|LastGC|Pause(TotalNs|Ns|End)|Num(Forced)?GC|BySize\\.(Size|Mallocs|Frees))|readers\\..+\\.(polls|failures|late_ticks|down_ticks|body_bytes)|recorders\\..+\\.(made|acked|duplicate|dead_lettered|waiting)|process\\.resident_bytes)$","match_mapping_type":"long","mapping":{"type":"long"}}},{"whole_numbers":{"match_mapping_type":"long","mapping":{"type":"double"}}},{"numbers":{"match_mapping_type":"double","mapping":{"type":"double"}}},{"strings":{"match_mapping_type":"string","mapping":{"type":"keyword","ignore_above":1024}}}],"properties":{"@timestamp":{"type":"date"}}}}}"#;

fn wish(index_name: &str) -> Wish {
    Wish {
        index_name: index_name.to_owned(),
        data_stream: false,
        fields_max: 1_000,
        verbatim: true,
        lean: true,
        index_numbers: None,
        index_settings: Vec::new(),
        retention: None,
        means: Means::None,
    }
}

#[test]
fn patterns_take_in_no_more_than_the_names() {
    for (index_name, pattern, name) in [
        ("expvastic", "expvastic", "expvastic"),
        ("shop", "shop", "expvastic-shop"),
        ("shop-%Y.%m.%d", "shop-*.*.*", "expvastic-shop-y.m.d"),
        ("expvastic-%Y%m%d", "expvastic-*", "expvastic-ymd"),
        ("w-%G-%-V", "w-*-*", "expvastic-w-g--v"),
        ("größe", "größe", "expvastic-gr%C3%B6%C3%9Fe"),
    ] {
        assert_eq!((index_pattern(index_name).as_str(), super::name(index_name).as_str()), (pattern, name));
        assert!(Template::new(&wish(index_name), Flavour::Flat).is_some());
    }
    for index_name in ["%Y.%m.%d", "%Y", ".%Y"] {
        assert_eq!(Template::new(&wish(index_name), Flavour::Flat), None, "{index_name}");
    }
}

/// Collects the dotted names of all numbers below `object`.
fn numbers(object: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    for (name, value) in object.as_object().unwrap() {
        let path = format!("{path}{name}");
        match value {
            serde_json::Value::Object(_) => numbers(value, &format!("{path}."), found),
            _ => found.push(path),
        }
    }
}

#[test]
fn every_counter_of_a_reader_or_recorder_is_an_integer_to_the_server() {
    let (metrics, counts, mut payload) = (Metrics::default(), ReaderCounts::default(), Vec::new());
    let snapshot = Snapshot {
        metrics: &metrics,
        usage: ProcessUsage::default(),
        readers: vec![("NAME", &counts)],
        recorders: vec![("NAME", Ledger::default())],
    };
    snapshot.render(&mut payload);
    let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    // The regular expression as the server reads it from the JSON text.
    let integers: String = serde_json::from_str(&format!("\"{}\"", integers())).unwrap();
    for section in ["readers", "recorders"] {
        let mut names = Vec::new();
        numbers(&payload[section]["NAME"], "", &mut names);
        assert!(names.len() > 10, "{names:?}");
        let list = integers.split(&format!(r"|{section}\..+\.(")).nth(1).unwrap().split(')').next().unwrap();
        let mut listed: Vec<String> = list.split('|').map(|name| name.replace(r"\.", ".")).collect();
        listed.sort();
        names.sort();
        assert_eq!(listed, names, "{section}");
    }
}

#[test]
fn names_of_integers_are_known_by_their_root() {
    let integers = integers();
    let names = integers.trim_start_matches("^(").split(['|', '(']).filter(|part| part.contains(r"s\\."));
    let roots: Vec<&str> =
        names.map(|name| name.split('\\').next().unwrap()).filter(|name| *name != "mended_names").collect();
    assert_eq!(roots, INTEGER_ROOTS);
    for (name, expected) in [("memstats.Alloc", true), ("process", true), ("memstat.Alloc", false), ("a.b", false)] {
        assert_eq!(meets_integers(name), expected, "{name}");
    }
}

#[test]
fn each_flavour_is_json_with_what_it_needs() {
    for flavour in Flavour::ALL {
        for data_stream in [false, true] {
            let wish = Wish { data_stream, ..wish("shop-%Y.%m.%d") };
            let template = Template::new(&wish, flavour).unwrap();
            let parsed: serde_json::Value = serde_json::from_str(&template.text).unwrap();
            let laid_out: serde_json::Value = serde_json::from_str(&pretty(&template.text)).unwrap();
            assert_eq!(parsed, laid_out);
            assert!(pretty(&template.text).lines().count() > 30);
            assert_eq!(parsed.get("data_stream").is_some(), data_stream && flavour.is_composable());
            let mappings = match flavour {
                Flavour::Flat | Flavour::OpenSearch | Flavour::Composable => &parsed["template"]["mappings"],
                Flavour::Legacy7 => &parsed["mappings"],
                Flavour::Legacy6 | Flavour::Legacy5 => &parsed["mappings"]["_default_"],
            };
            assert_eq!(mappings["date_detection"], false);
            assert_eq!(mappings.get("subobjects").is_some(), flavour == Flavour::Flat);
            let patterns = [&parsed["template"], &parsed["index_patterns"][0]];
            assert!(patterns.contains(&&serde_json::Value::from("shop-*.*.*")));
        }
    }
}

#[test]
fn numbers_go_without_an_inverted_index_where_the_server_can_do_that_and_nobody_misses_it() {
    let index = |flavour, lean, index_numbers| {
        let wish = Wish { lean, index_numbers, ..wish("shop") };
        match Template::new(&wish, flavour).unwrap().text.matches(r#""index":false"#).count() {
            0 => true,
            3 => false,
            other => panic!("{other} of three kinds of numbers"),
        }
    };
    for flavour in Flavour::ALL {
        let can_do_without = matches!(flavour, Flavour::Flat | Flavour::OpenSearch);
        assert_eq!(index(flavour, true, None), flavour != Flavour::Flat, "{flavour:?}");
        assert!(index(flavour, false, None), "{flavour:?}");
        for lean in [false, true] {
            assert_eq!(index(flavour, lean, Some(false)), !can_do_without, "{flavour:?}");
            assert!(index(flavour, lean, Some(true)), "{flavour:?}");
        }
    }
}

/// The answer of a server that has this template.
fn stored(text: &str) -> Vec<u8> {
    format!(r#"{{"index_templates":[{{"name":"expvastic-shop","index_template":{text}}}]}}"#).into_bytes()
}

fn compared(template: &Template, answer: Vec<u8>) -> Comparison {
    let Compared { comparison, lacks_stream } = template.compare(answer);
    assert!(!lacks_stream);
    comparison
}

#[test]
fn a_template_that_makes_indices_is_no_good_for_a_data_stream() {
    for flavour in [Flavour::Flat, Flavour::OpenSearch, Flavour::Composable] {
        let [index, stream] =
            [false, true].map(|data_stream| Template::new(&Wish { data_stream, ..wish("shop") }, flavour).unwrap());
        let of = |comparison, lacks_stream| Compared { comparison, lacks_stream };
        // As servers return it.
        let returned = stream.text.replace(r#""data_stream":{}"#, r#""data_stream":{"hidden":false}"#);
        assert_eq!(stream.compare(stored(&returned)), of(Comparison::Same, false));
        assert_eq!(stream.compare(stored(&index.text)), of(Comparison::Outdated, true));
        let changed = index.text.replace("1024", "2048");
        assert_eq!(stream.compare(stored(&changed)), of(Comparison::Changed, true));
        assert_eq!(stream.compare(stored("{}")), of(Comparison::Foreign, true));
        assert_eq!(stream.compare(b"{}".to_vec()), of(Comparison::Foreign, false), "it is not known");
        assert_eq!(index.compare(stored(&returned)), of(Comparison::Outdated, false));
    }
    let legacy = Template::new(&Wish { data_stream: true, ..wish("shop") }, Flavour::Legacy7).unwrap();
    let answer = format!(r#"{{"expvastic-shop":{}}}"#, legacy.text).into_bytes();
    assert_eq!(compared(&legacy, answer), Comparison::Same, "these servers have no data streams");
}

#[test]
fn what_a_person_changed_is_told_from_what_is_only_older() {
    let template = Template::new(&wish("shop"), Flavour::Flat).unwrap();
    assert_eq!(compared(&template, stored(&template.text)), Comparison::Same);
    // As servers return it: settings quoted, members in another order, members of their own.
    let returned = template.text.replace("2100", "\"2100\"").replacen('{', r#"{"composed_of":[],"created_date":7,"#, 1);
    assert_eq!(compared(&template, stored(&returned)), Comparison::Same);
    assert_eq!(compared(&template, stored(&template.text.replace("2100", "2200"))), Comparison::Changed);
    assert_eq!(compared(&template, stored(&template.text.replace(OWNER, "me"))), Comparison::Foreign);
    assert_eq!(compared(&template, stored("{}")), Comparison::Foreign);
    assert_eq!(compared(&template, b"{}".to_vec()), Comparison::Foreign);
    let other = Template::new(&Wish { fields_max: 2_000, ..wish("shop") }, Flavour::Flat).unwrap();
    assert_eq!(compared(&template, stored(&other.text)), Comparison::Outdated);

    assert_eq!(compared(&template, stored(VERSION_1)), Comparison::Outdated, "older, and not changed by a person");
    assert_eq!(compared(&template, stored(&VERSION_1.replace("2100", "2200"))), Comparison::Changed);

    let legacy = Template::new(&wish("shop"), Flavour::Legacy5).unwrap();
    assert_eq!(compared(&legacy, format!(r#"{{"expvastic-shop":{}}}"#, legacy.text).into_bytes()), Comparison::Same);
}
