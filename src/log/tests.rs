//! Which lines are logged when, and what a line looks like.

use super::*;

#[test]
#[allow(clippy::disallowed_methods, reason = "some instant to count from")]
fn an_hour_of_the_same_failure_takes_few_lines() {
    let start = Instant::now();
    let mut log = FailureLog::default();
    let mut said = Vec::new();
    for second in 0..3600 {
        said.extend(log.failed("refused", start + Duration::from_secs(second)));
    }
    assert!(said.len() <= 10, "{said:?}");
    assert_eq!(log.failed("another kind", start), Some(1));
    let end = start + Duration::from_secs(3600);
    assert_eq!(log.recovered(end), Some((3601, Duration::from_secs(3600))));
    assert_eq!(log.recovered(end), None);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "some instant to count from")]
fn what_comes_and_goes_takes_few_lines_too() {
    let start = Instant::now();
    let mut log = FailureLog::default();
    let mut lines = 0;
    for second in (0..3600).step_by(2) {
        let at = |second| start + Duration::from_secs(second);
        lines += usize::from(log.failed("refused", at(second)).is_some());
        lines += usize::from(log.recovered(at(second + 1)).is_some());
    }
    assert!((2..=20).contains(&lines), "{lines}");
    let later = start + Duration::from_secs(3600 + 2000);
    assert!(log.failed("refused", later).is_some(), "after a long time it is new");
    assert_eq!(log.failed("refused", later + limits::LOG_PERIOD_MIN), Some(1));
}

#[test]
#[allow(clippy::disallowed_methods, reason = "some instant to count from")]
fn many_kinds_share_a_place_until_another_is_free() {
    let start = Instant::now();
    let mut log = FailureLog::default();
    let said = (0..100).filter(|kind| log.failed(&kind.to_string(), start).is_some()).count();
    assert_eq!(said, limits::FAILURE_KINDS_MAX);
    assert_eq!(log.failed("new", start + limits::LOG_PERIOD_MIN), Some(1));
}

#[test]
fn lines_are_one_line_whatever_is_in_them() {
    let fields = Fields {
        message: "a\nb\u{1b}[31m".to_owned(),
        rest: vec![("url", Value::Text("x y\n".to_owned())), ("outage_ms", Value::Literal("5400".to_owned()))],
    };
    let mut text = Vec::new();
    fields.write(&mut text, Level::WARN, LogFormat::Text);
    let text = String::from_utf8(text).unwrap();
    let text = text.strip_suffix('\n').unwrap();
    assert!(
        text.ends_with(r#"  WARN a\nb\u{1b}[31m url="x y\n""#)
            || text.ends_with(r#" WARN  a\nb\u{1b}[31m url="x y\n""#),
        "{text}"
    );
    let mut line = Vec::new();
    fields.write(&mut line, Level::WARN, LogFormat::Json);
    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(line["message"], "a\nb\u{1b}[31m");
    assert_eq!(line["level"], "warn");
    assert_eq!((&line["url"], &line["outage_ms"]), (&"x y\n".into(), &5400.into()), "a duration is a number");
}

#[test]
fn a_line_is_bounded_whatever_is_in_it() {
    for filler in ["x", "\u{1}", "\"", "\u{fffd}", "\u{1f600}", "\n"] {
        for (message, value) in [(10, 2_000_000), (5_000, 10), (4_000, 4_000), (1_000_000, 1_000_000)] {
            let text = |bytes: usize| filler.repeat(bytes / filler.len());
            let rest = vec![("short", Value::Text("whole".to_owned())), ("long", Value::Text(text(value)))];
            let fields = Fields { message: text(message), rest };
            for format in [LogFormat::Text, LogFormat::Json] {
                let mut line = Vec::new();
                fields.write(&mut line, Level::WARN, format);
                assert!(line.len() <= limits::LOG_LINE_BYTES_MAX, "{} bytes", line.len());
                assert!(line.len() > limits::LOG_LINE_BYTES_MAX / 2, "{} bytes", line.len());
                let line = String::from_utf8(line).unwrap();
                assert!(line.contains('\u{2026}') && line.contains("whole") && line.ends_with('\n'), "{line}");
                assert_eq!(line.lines().count(), 1);
                if format == LogFormat::Json {
                    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
                    let is_cut = |text: &str, whole: &str| {
                        text == whole || text.strip_suffix('\u{2026}').is_some_and(|begun| whole.starts_with(begun))
                    };
                    assert!(is_cut(line["message"].as_str().unwrap(), &fields.message));
                    assert!(is_cut(line["long"].as_str().unwrap(), fields.rest[1].1.text()));
                }
            }
        }
    }
}
