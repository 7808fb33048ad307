//! The assertions of the fuzz targets for the configuration and for a `map_file`.

use super::sanitised::flatten_twin::strict_json::Json;
use super::{Flat, flatten};
use expvastic::Config;
use expvastic::hot_path::{self, Sanitiser};

/// Any text as a configuration, with an environment: either a configuration whose first reader works, or errors of a
/// bounded length that each name a line of the text.
pub(crate) fn config(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let environment = |name: &str| match name {
        "HOST" => Some("localhost".to_owned()),
        "PORT" => Some("9200".to_owned()),
        "EMPTY" => Some(String::new()),
        "ODD" => Some("a: {b: \n${HOST}".to_owned()),
        "LONG" => Some("long ".repeat(1_000)),
        _ => None,
    };
    // The folder in which a map_file would be looked for.
    match Config::parse("/there/is/no/such/folder/conf.yml", &text, &environment) {
        Ok(config) => {
            assert!(config.routes().len() <= routes_bytes_max(&text), "{} bytes", config.routes().len());
            if let Ok(mut sanitiser) = Sanitiser::of_config(&config) {
                flatten(&mut sanitiser, br#"{"a":1,"b":{"c":[2,3]},"memstats":{"NumGC":4}}"#);
            }
        }
        Err(error) => {
            let said = error.to_string();
            check_error(&said, "/there/is/no/such/folder/conf.yml", &text);
            assert!(said.len() <= 64 << 10, "{} bytes", said.len());
        }
    }
}

/// The lengths of the texts of `config_front`. The first byte of an input chooses one; most are short, so that many are tried.
const FRONT_BYTES: [usize; 16] =
    [0, 0, 0, 0, 0, 0, 0, 0, 4 << 10, 4 << 10, 4 << 10, 4 << 10, 4 << 10, 64 << 10, 64 << 10, 1 << 20];

/// Input: `SIZE HEAD 0xff UNIT 0xff TAIL`, a text in which the unit is repeated as often as fits. It must be refused or loaded in
/// time, which the fuzzer checks, and the scan before parsing must count at least what the parser makes of it.
pub(crate) fn config_front(input: &[u8]) {
    let Some((&size, rest)) = input.split_first() else { return };
    let mut parts = rest.split(|&byte| byte == 0xff);
    let mut next = || parts.next().unwrap_or_default();
    let (head, unit, tail) = (next(), next(), next());
    let room = FRONT_BYTES[usize::from(size) % FRONT_BYTES.len()].saturating_sub(head.len() + tail.len());
    let count = room.checked_div(unit.len()).unwrap_or_default().max(1);
    let text = [head, &unit.repeat(count), tail].concat();
    // Bytes that are not UTF-8 become longer.
    let longest = FRONT_BYTES[15].min(text.len());
    let text = String::from_utf8_lossy(&text);
    let text = &text[..(0..=longest).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default()];
    config(text.as_bytes());
    let _ = Sanitiser::of_map_file(text);
    if let Some(sizes) = hot_path::yaml_sizes(text) {
        assert!(sizes.counted_nodes >= sizes.nodes, "{sizes:?}");
        assert!(2 * sizes.counted_depth >= sizes.depth, "{sizes:?}");
    }
}

/// The most bytes that the routes of a configuration with this text may take.
fn routes_bytes_max(text: &str) -> usize {
    // A line for each reader and each recorder, which take some of the text each. A range of ports stands for 256 readers; it has
    // a `-`, or an escape of one, or is repeated by an alias.
    let ranges = text.matches(['-', '\\', '*']).count();
    // With `defaults`, each entry may have the one range.
    let entries = if text.contains("defaults") || text.contains('\\') { text.len() } else { 1 };
    let lines = text.len() + 256 * ranges.saturating_mul(entries);
    // A reader with its port, and at most all recorders with what parts them. Of an escape of two bytes three may come.
    let line = 40 + 5 * text.len();
    lines.saturating_mul(line)
}

/// Checks that each line of an error is readable, and names a line of the text.
fn check_error(said: &str, origin: &str, text: &str) {
    assert!(!said.is_empty(), "an error without a word");
    // YAML has more line breaks than `lines` knows.
    let lines = 1 + text.matches(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    for problem in said.lines() {
        let place = problem.strip_prefix(origin).and_then(|rest| rest.strip_prefix(':'));
        let Some(place) = place else { panic!("{problem:?} names no file") };
        if place.starts_with(" and ") {
            continue;
        }
        let mut numbers = place.splitn(3, ':').map(str::parse::<usize>);
        let (Some(Ok(line)), Some(Ok(column))) = (numbers.next(), numbers.next()) else {
            panic!("{problem:?} names no line");
        };
        assert!((1..=lines + 1).contains(&line) && column >= 1, "{problem:?} leads nowhere");
        assert!(!problem.contains(char::is_control), "{problem:?} would upset a terminal");
    }
}

/// Input: `MAP_FILE 0xff BODY`, any text as a `map_file`, and a payload. Variables that the file does not name must not change.
pub(crate) fn map_file(input: &[u8]) {
    let (text, body) = match input.iter().position(|&byte| byte == 0xff) {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &br#"{"Alloc":1536,"a":{"b":[0,1500]}}"#[..]),
    };
    let text = String::from_utf8_lossy(text);
    let mut mapped = match Sanitiser::of_map_file(&text) {
        Ok(sanitiser) => sanitiser,
        Err(said) => {
            assert!(said.starts_with("maps.yml:") && !said.contains(char::is_control), "{said:?}");
            assert!(said.len() <= 64 << 10, "{} bytes", said.len());
            return;
        }
    };
    let converted: Vec<String> = mapped.converted_names().into_iter().map(str::to_owned).collect();
    let mut plain = Sanitiser::of_map_file("").expect("nothing is wrong with nothing");
    for _ in 0..2 {
        let (mapped, plain) = (flatten(&mut mapped, body), flatten(&mut plain, body));
        let (Flat::Document(mapped, counts), Flat::Document(plain, plain_counts)) = (&mapped, &plain) else {
            assert_eq!(mapped, plain);
            return;
        };
        assert_eq!(counts, plain_counts);
        assert_eq!(mapped.len(), plain.len());
        for ((name, value), (plain_name, plain_value)) in mapped.iter().zip(plain) {
            assert_eq!(name, plain_name);
            if value != plain_value {
                check_conversion(value, plain_value);
                assert!(name.len() > 400 || is_named(name, &converted), "{name:?} is not named");
            }
        }
    }
}

/// Whether the name of a variable is one of these, or ends with one. It may be mended, but not cut.
fn is_named(name: &str, names: &[String]) -> bool {
    let mut name: String = lower(name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('#'));
    while let Some(moved) = name.strip_suffix("._value") {
        name.truncate(moved.len());
    }
    // What had to be mended: blank segments are `_`.
    names.iter().any(|given| {
        let given = lower(given.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('#'));
        let given = given.strip_suffix("._value").unwrap_or(&given);
        let blank = given.rsplit('.').next().is_some_and(|leaf| leaf.trim().is_empty());
        name.ends_with(given) || (blank && name.ends_with('_'))
    })
}

/// Character by character, as the program does it.
fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// `value` is `plain` in another unit.
fn check_conversion(value: &Json, plain: &Json) {
    let close = |value: f64, expected: f64| (value - expected).abs() <= expected.abs() * 1e-12;
    let number = |json: &Json| if let Json::Number(text) = json { text.parse::<f64>().ok() } else { None };
    match (value, plain) {
        (Json::Number(_), Json::Number(_)) => {
            let (value, plain) = (number(value).expect("a number"), number(plain).expect("a number"));
            let units = [1024.0, 1024.0 * 1024.0, 1024.0 * 1024.0 * 1024.0];
            assert!(units.iter().any(|unit| close(value, plain / unit)), "{plain} became {value}");
        }
        (Json::Array(values), Json::Array(plain)) => {
            // A double may be too small for a thousandth of it. What is broken has no value, and keeps its place.
            let thousandths = plain.iter().map(|json| number(json).map(|number| number / 1000.0));
            let expected: Vec<Option<f64>> = thousandths.filter(|it| *it != Some(0.0)).collect();
            assert_eq!(values.len(), expected.len(), "only zeros are removed");
            for (value, expected) in values.iter().zip(expected) {
                match (value, expected) {
                    (Json::Null, None) => {}
                    (Json::Number(_), Some(expected)) => {
                        assert!(close(number(value).expect("a number"), expected), "{expected} became {value:?}");
                    }
                    _ => panic!("{expected:?} became {value:?}"),
                }
            }
        }
        _ => panic!("{plain:?} became {value:?}"),
    }
}
