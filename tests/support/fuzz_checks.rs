//! The assertions of each fuzz target. `fuzz/` looks for inputs that violate them, and `tests/fuzz_corpus.rs` replays the
//! committed inputs.
#![allow(dead_code, reason = "the targets take one each")]

#[path = "fuzz_config_checks.rs"]
mod fuzz_config_checks;
#[path = "payload_from_bytes.rs"]
mod payload_from_bytes;
#[path = "sanitised.rs"]
mod sanitised;

use expvastic::Config;
use expvastic::hot_path::{Counts, Sanitiser};
pub(crate) use fuzz_config_checks::{config, config_front, map_file};
use payload_from_bytes::payload;
use sanitised::flatten_twin::strict_json::{self, Json};
use sanitised::flatten_twin::{GcPauses, Options, Reader, twin_texts};
use sanitised::{Mapping, Variables, assert_same, variables};
use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

const OWN_MEMBERS: &[u8] = br#"{"@timestamp":"t","service.name":"app","host.name":"h""#;
/// The errors for a body that is an object of which nothing is shipped.
const NO_VARIABLES: [&str; 3] = [
    "nothing in the payload is valid JSON",
    "the payload contains no variables",
    "every variable in the payload is left out: check include, exclude, max_fields and object_arrays",
];
/// The most bytes of a document without its own members, by the contract.
const DOCUMENT_BYTES_MAX: usize = 16 << 20;
/// Longer bodies are not compared with the twin: they may have more columns, or more gaps in them, than are shipped, while the
/// twin ships all.
const TWIN_BYTES_MAX: usize = 3_000;
/// The most names in a log line, and the most bytes of one of them.
const LOST_NAMES_TOLD: usize = 5;
const LOST_NAME_BYTES_MAX: usize = 256;
/// The deepest nesting of objects and arrays that is read.
const DEPTH_MAX: usize = 64;

/// The result for one body.
#[derive(Debug, PartialEq)]
enum Flat {
    Document(Variables, Counts),
    Refused(String),
}

impl Flat {
    fn variables(&self) -> Option<&Variables> {
        match self {
            Self::Document(variables, _) => Some(variables),
            Self::Refused(_) => None,
        }
    }

    fn values(&self) -> Option<Vec<Json>> {
        self.variables().map(values)
    }
}

fn values(variables: &Variables) -> Vec<Json> {
    variables.iter().map(|(_, value)| strict_json::same_text(value)).collect()
}

/// Flattens a body one second after the last one, and checks what must hold for every body.
fn flatten(sanitiser: &mut Sanitiser, body: &[u8]) -> Flat {
    flatten_after(sanitiser, Duration::from_secs(1), body)
}

fn flatten_after(sanitiser: &mut Sanitiser, pause: Duration, body: &[u8]) -> Flat {
    let mut document = OWN_MEMBERS.to_vec();
    let mut read = body.to_vec();
    let outcome = sanitiser.append(pause, &mut read, &mut document);
    assert!(read == body, "the body is left as it was");
    match outcome {
        Err(error) => {
            assert!(document == OWN_MEMBERS, "an error leaves nothing behind: {error}");
            let offset = error.split_once(" (byte ").map(|(_, offset)| offset.trim_end_matches(')'));
            let offset = offset.map_or(0, |offset| offset.parse::<usize>().expect("an offset"));
            assert!(offset <= body.len(), "{error}");
            Flat::Refused(error)
        }
        Ok(counts) => {
            assert!(document.len() <= OWN_MEMBERS.len() + DOCUMENT_BYTES_MAX, "{} bytes", document.len());
            document.push(b'}');
            let variables = variables(&document);
            assert_eq!(variables.len() as u64, counts.shipped, "{counts:?}: each variable is counted");
            check_lost(sanitiser);
            Flat::Document(variables, counts)
        }
    }
}

/// Checks that lost values are named, with few and short names.
fn check_lost(sanitiser: &mut Sanitiser) {
    let names = sanitiser.lost();
    assert!(names.len() <= LOST_NAMES_TOLD, "{names:?}");
    for name in names {
        assert!(!name.trim().is_empty() && name.len() <= LOST_NAME_BYTES_MAX, "{name:?}");
    }
}

/// The options from which the first byte of an input chooses, with their configurations. All of them want something of
/// `memstats`, because the twin always reads it.
static OPTIONS: LazyLock<Vec<(Options, Config)>> = LazyLock::new(|| {
    let default = Options::default;
    let patterns = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let include = |texts: &[&str]| Options { include: patterns(texts), ..default() };
    let pairs = |texts: &[(&str, &str)]| -> Vec<(String, String)> {
        texts.iter().map(|&(from, to)| (from.to_owned(), to.to_owned())).collect()
    };
    let exclude = |texts: &[&str]| Options { exclude: patterns(texts), ..default() };
    let all = [
        default(),
        Options { gc_pauses: GcPauses::All, ..exclude(&[]) },
        Options { gc_pauses: GcPauses::All, dots_underscore: true, ..exclude(&[]) },
        Options { gc_pauses: GcPauses::All, drop_object_arrays: true, ..default() },
        Options { gc_pauses: GcPauses::Off, max_fields: 100_000, ..default() },
        Options { dots_underscore: true, ..exclude(&[]) },
        Options { max_fields: 1, ..default() },
        Options { max_fields: 5, ..default() },
        Options { dots_underscore: true, drop_object_arrays: true, max_fields: 3, ..default() },
        Options { gc_pauses: GcPauses::Off, dots_underscore: true, ..exclude(&["a._value", "**#*"]) },
        include(&["a.*", "memstats.**"]),
        include(&["*.b", "memstats.PauseEnd"]),
        include(&["**.b", "*b*", "memstats.N*"]),
        exclude(&["a.b", "memstats.PauseNs"]),
        exclude(&["**b**"]),
        exclude(&["a.*.c", "_id", "service.**", "memstats.NumGC"]),
        Options { rename: pairs(&[("a", "b"), ("a.b", "a#2"), ("b", "z.y"), ("_id", "a._value")]), ..exclude(&[]) },
        Options {
            rename: pairs(&[("a.", "a"), (".", "c.d"), ("a.b.c", "b"), ("memstats", "go"), ("memstats.NumGC", "a#2")]),
            dots_underscore: true,
            ..default()
        },
        Options { rates: patterns(&["**"]), ..default() },
        Options { rates: patterns(&["**.b", "a.**", "memstats.N*"]), gc_pauses: GcPauses::All, ..exclude(&[]) },
        Options { rates: patterns(&["**"]), dots_underscore: true, max_fields: 7, ..default() },
        Options {
            rates: patterns(&["a", "b", "memstats"]),
            rename: pairs(&[("a", "a_per_second"), ("b", "x"), ("a.b", "x_per_second")]),
            ..exclude(&["a.c", "memstats.NumGC"])
        },
        Options { gc_pauses: GcPauses::All, rates: patterns(&["**"]), ..exclude(&[]) },
        Options {
            convert: pairs(&[("a.b", "ms"), ("a**", "ns"), ("**.b", "number"), ("b*", "MiB")]),
            keyed: pairs(&[("a", "b"), ("b", "a"), ("a.a", "_value"), ("c", "a.b")]),
            ..exclude(&[])
        },
        Options {
            convert: pairs(&[("a**", "number"), ("b**", "B"), ("c**", "s")]),
            keyed: pairs(&[("a.b", "a"), ("a", "a")]),
            rates: patterns(&["a**", "**.b", "c*"]),
            dots_underscore: true,
            max_fields: 9,
            ..default()
        },
    ];
    all.into_iter().map(|options| (options.clone(), sanitised::config(&options))).collect()
});

fn options(choice: u8) -> (&'static Options, Sanitiser) {
    let (options, config) = &OPTIONS[usize::from(choice) % OPTIONS.len()];
    (options, Sanitiser::of_config(config).expect("a reader"))
}

/// Input: `BODY`, which may be any bytes, or `BODY 0xff OPTIONS EDIT…`, where the edits make a second payload from the first.
pub(crate) fn flatten_any(input: &[u8]) {
    let (body, controls) = match input.iter().rposition(|&byte| byte == 0xff) {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &[][..]),
    };
    let (choice, edits) = controls.split_first().map_or((0, controls), |(&choice, edits)| (choice, edits));
    let (options, mut sanitiser) = options(choice);
    let other = edited(body, edits);
    let first = flatten(&mut sanitiser, body);
    let again = flatten(&mut sanitiser, body);
    let has_rates = !options.rates.is_empty();
    if !has_rates {
        assert_eq!(again, first, "the same again is the same");
    }
    let second = flatten(&mut sanitiser, &other);
    for (body, flat) in [(body, &first), (body, &again), (&other, &second)] {
        if !has_rates && options.convert.is_empty() {
            check_numbers(body, flat);
        }
        if let Flat::Document(variables, _) = flat {
            assert!(variables.len() <= options.max_fields + 1, "{} variables", variables.len());
        }
    }
    check_against_twin(options, &[(body, &first), (body, &again), (&other, &second)]);
    // Each name has a colon: the two together do not get to `max_fields`.
    let colons = [body, &other].iter().map(|body| body.split(|byte| *byte == b':').count()).sum::<usize>();
    if !has_rates && options.gc_pauses != GcPauses::New && options.max_fields >= 1000 && colons < 1000 {
        check_memory(&mut sanitiser, body, &other, &second);
    }
}

/// Checks that a document depends only on the names that the reader has learned, and not on the order in which it has learned
/// them, and that the values are the same for a reader that has learned none.
fn check_memory(sanitiser: &mut Sanitiser, body: &[u8], other: &[u8], second: &Flat) {
    sanitiser.forget();
    let alone = flatten(sanitiser, other);
    assert_eq!(alone.values(), second.values());
    let first = flatten(sanitiser, body);
    // A name that is a value in one payload and an object in the other keeps the kind that it had first.
    if alone == *second {
        assert_eq!(flatten(sanitiser, other), *second, "learned in another order");
    }
    if matches!(first, Flat::Refused(_)) {
        assert_eq!(alone, *second, "what is refused leaves nothing behind");
    }
}

/// A copy of `body` in which each edit (place, kind, byte) has been made.
fn edited(body: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut copy = body.to_vec();
    for edit in edits.chunks_exact(4).take(8) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % (copy.len() + 1);
        let (kind, byte) = (edit[2], edit[3]);
        let end = (at + usize::from(byte)).min(copy.len());
        match kind % 5 {
            0 => copy[at..].iter_mut().take(1).for_each(|found| *found = byte),
            1 => copy.insert(at, byte),
            2 => drop(copy.drain(at..end)),
            3 => copy.extend_from_within(at..end),
            _ => copy[at..end].reverse(),
        }
    }
    copy
}

/// Checks that each number of the document is in the body with the same text. Integers beyond 64 bits may have got `.0`.
fn check_numbers(body: &[u8], flat: &Flat) {
    let Flat::Document(variables, _) = flat else { return };
    let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let numbers: HashSet<&[u8]> = body.split(|byte| !part(byte)).collect();
    let is_there = |text: &str| numbers.contains(text.as_bytes());
    for_each_number(variables.iter().map(|(_, value)| value), &|text| {
        let pointless = text.strip_suffix(".0").filter(|text| text.parse::<i64>().is_err());
        assert!(is_there(text) || pointless.is_some_and(is_there), "{text} is not in the body");
    });
}

fn for_each_number<'j>(values: impl Iterator<Item = &'j Json>, check: &dyn Fn(&str)) {
    for value in values {
        match value {
            Json::Number(text) => check(text),
            Json::Array(elements) => for_each_number(elements.iter(), check),
            Json::Object(_) => panic!("an object in a document"),
            _ => {}
        }
    }
}

/// Checks that the documents are those of the twin, if all bodies are strict JSON.
fn check_against_twin(options: &Options, bodies: &[(&[u8], &Flat)]) {
    let mut twin = Reader::new(options.clone());
    for (body, found) in bodies {
        let Some(text) = std::str::from_utf8(body).ok().filter(|text| text.len() <= TWIN_BYTES_MAX) else { return };
        match Json::parse(&strict_json::without_lone_surrogates(text)) {
            Ok(root @ Json::Object(_)) if depth(&root) <= DEPTH_MAX && twin_knows(options, &root) => {}
            _ => return,
        }
        let expected = twin.document(text);
        assert_same(found.variables(), expected.as_ref(), text);
        match found {
            Flat::Document(_, counts) => assert_eq!(counts.broken, 0, "{text}"),
            Flat::Refused(error) => assert!(NO_VARIABLES.contains(&error.as_str()), "{error}: {text}"),
        }
    }
}

/// Whether the twin can tell what becomes of the texts.
fn twin_knows(options: &Options, json: &Json) -> bool {
    options.convert.is_empty()
        || match json {
            Json::String(text) => text.chars().count() <= twin_texts::CHARACTERS_MAX,
            Json::Array(elements) => elements.iter().all(|element| twin_knows(options, element)),
            Json::Object(members) => members.iter().all(|(_, value)| twin_knows(options, value)),
            _ => true,
        }
}

fn depth(json: &Json) -> usize {
    match json {
        Json::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or_default(),
        Json::Object(members) => 1 + members.iter().map(|(_, value)| depth(value)).max().unwrap_or_default(),
        _ => 0,
    }
}

/// The pauses between payloads.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_millis(300),
    Duration::ZERO,
    Duration::from_nanos(7),
    Duration::from_secs(5_000_000),
];

/// Input: `OPTIONS EDITS (PLACE BYTE)… PAYLOAD`. Checks that a reader makes the same documents as the twin: from a payload that is
/// generated from the bytes, and from the payloads that result when some of the bytes are changed.
pub(crate) fn flatten_twin(input: &[u8]) {
    let Some((&[choice, edits], rest)) = input.split_first_chunk() else { return };
    let (edits, bytes) = rest.split_at(rest.len().min(2 * usize::from(edits % 3)));
    let (options, mut sanitiser) = options(choice);
    let mut bytes = bytes.to_vec();
    let mut bodies = vec![payload(&bytes, false).whole];
    for edit in edits.chunks_exact(2) {
        let place = usize::from(edit[0]);
        if let Some(byte) = bytes.get_mut(place) {
            *byte = edit[1];
            bodies.push(payload(&bytes, false).whole);
        }
    }
    let first = bodies[0].clone();
    if bodies.len() > 1 {
        bodies.push(first.clone());
    }
    bodies.insert(1, first);
    let (mut twin, mut mapping) = (Reader::new(options.clone()), Mapping::new(options));
    for (tick, body) in bodies.iter().enumerate() {
        let pause = PAUSES[(tick + usize::from(choice)) % PAUSES.len()];
        let expected = twin.document_after(pause, body);
        let found = flatten_after(&mut sanitiser, pause, body.as_bytes());
        assert_same(found.variables(), expected.as_ref(), body);
        match found {
            Flat::Document(variables, counts) => {
                mapping.add(&variables);
                assert_eq!(counts.broken, 0, "{body}");
            }
            Flat::Refused(error) => assert!(NO_VARIABLES.contains(&error.as_str()), "{error}: {body}"),
        }
    }
}

/// Generates a payload with broken parts from the bytes. Checks that the other parts are shipped as if the broken ones had been
/// left out for another reason, and that each break is counted.
pub(crate) fn salvage(input: &[u8]) {
    let Some((&choice, bytes)) = input.split_first() else { return };
    let options = match choice % 4 {
        3 => OPTIONS.iter().rfind(|(options, _)| options.keyed.is_empty()).expect("with rates"),
        other => &OPTIONS[1 + usize::from(other) % 2],
    };
    let mut sanitiser = Sanitiser::of_config(&options.1).expect("a reader");
    let payload = payload(bytes, true);
    let body = payload.broken.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&payload.broken);
    if body.starts_with(b"{\n") || body.starts_with(b"{\r\n") {
        // With one variable on each line, another rule determines where broken values end.
        return;
    }
    let mut twin = Reader::new(options.0.clone());
    let equivalent = (payload.broken.as_slice(), payload.equivalent.as_str(), payload.breaks);
    for (body, strict, breaks) in
        [equivalent, equivalent, (payload.whole.as_bytes(), payload.whole.as_str(), 0), equivalent]
    {
        let expected = twin.document(strict);
        let found = flatten(&mut sanitiser, body);
        let what = || format!("{} as {strict}", body.escape_ascii());
        assert_same(found.variables(), expected.as_ref(), &what());
        match found {
            Flat::Document(_, counts) => assert_eq!(counts.broken, breaks, "{}", what()),
            Flat::Refused(error) => assert!(NO_VARIABLES.contains(&error.as_str()), "{error}: {}", what()),
        }
    }
}
