//! Names of indices and data streams, and the patterns in them.

use crate::calendar::{Timestamp, UnknownDirective};

/// Checks the name of an index, with or without `strftime` patterns, by the servers' rules.
///
/// # Errors
/// The rule that it breaks.
pub(crate) fn index_name(text: &str) -> Result<String, String> {
    let sample = Timestamp::EPOCH;
    let rendered = render_index(text, sample).map_err(|_| {
        format!("the index name {text:?} contains an unknown pattern: use %Y, %m, %d, %H, %j, %V and the like")
    })?;
    let problem = if rendered.is_empty() {
        Some("is empty")
    } else if rendered == "." || rendered == ".." {
        Some("is not a valid name")
    } else if rendered.len() > 255 {
        Some("is longer than 255 bytes")
    } else if rendered.starts_with(['-', '_', '+']) {
        Some("begins with -, _ or +")
    } else if rendered.chars().any(char::is_uppercase) {
        Some("contains uppercase letters")
    } else if rendered.chars().any(|c| r#"\/*?"<>| ,#:"#.contains(c) || c.is_control()) {
        Some(r#"contains a space or one of \ / * ? " < > | , # :"#)
    } else {
        None
    };
    match problem {
        Some(problem) => Err(format!("the index name {text:?} {problem}, which the server rejects")),
        None => Ok(text.to_owned()),
    }
}

/// Checks the name of a data stream. It is like that of an index, but has no patterns, because the server adds dates
/// itself.
///
/// # Errors
/// The rule that it breaks.
pub(crate) fn data_stream(text: &str) -> Result<String, String> {
    if text.contains('%') {
        return Err(format!(
            "the data stream name {text:?} contains a pattern: remove it, the server rolls the data stream over"
        ));
    }
    index_name(text).map_err(|message| message.replacen("index name", "data stream name", 1))
}

/// Replaces the patterns in an index name for an instant, in UTC.
pub(crate) fn render_index(pattern: &str, time: Timestamp) -> Result<String, UnknownDirective> {
    let mut name = Vec::new();
    time.fill(pattern, &mut name)?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}

/// A warning if an index name has the calendar year beside a week, or the year of the week beside a month or a day:
/// around New Year they differ.
pub(crate) fn mismatched_year(text: &str) -> Option<String> {
    let directives: Vec<char> = directives(text).collect();
    let first_of = |letters: &str| directives.iter().copied().find(|&letter| letters.contains(letter));
    match (first_of("Yy"), first_of("Gg"), first_of("V"), first_of("mdjqUW")) {
        // If there is also a month or a day, the calendar year is right.
        (Some(year), None, Some(_), None) => {
            let meant = if year == 'y' { 'g' } else { 'G' };
            Some(format!(
                "%{year} is not the year of the week %V: around New Year some days get a name that is a year off; \
                 write %{meant}"
            ))
        }
        (None, Some(year), _, Some(day)) => {
            let meant = if year == 'g' { 'y' } else { 'Y' };
            Some(format!(
                "%{year} is the year of the week, not that of %{day}: around New Year some days get a name that is a \
                 year off; write %{meant}"
            ))
        }
        _ => None,
    }
}

/// How many hours of documents an index with such a name takes at most. None if its name has no date with a year.
pub(crate) fn span_hours(pattern: &str) -> Option<u32> {
    let has = |letters: &str| directives(pattern).any(|letter| letters.contains(letter));
    if !has("YyGgF") {
        return None;
    }
    let spans = [("HIMS", 1), ("djFuw", 24), ("VUW", 7 * 24), ("m", 31 * 24), ("q", 92 * 24)];
    Some(spans.into_iter().find(|(letters, _)| has(letters)).map_or(366 * 24, |(_, hours)| hours))
}

/// The letters of the directives in a pattern, all of which must be known.
fn directives(pattern: &str) -> impl Iterator<Item = char> {
    let mut rest = pattern.chars();
    std::iter::from_fn(move || {
        rest.find(|&character| character == '%')?;
        rest.find(|&character| character != '-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn index_names_follow_the_servers_rules() {
        for name in ["expvastic", "expvastic-%Y.%m.%d", "a.b_c-1", "größe", "w-%G-%V"] {
            assert!(index_name(name).is_ok(), "{name}");
        }
        for name in
            ["", ".", "..", "_x", "-x", "+x", "Upper", "a b", "a,b", "a#b", "a:b", "a/b", "a*", "%Q", "x-%", "%A"]
        {
            assert!(index_name(name).is_err(), "{name}");
        }
        let time = Timestamp::since_epoch(Duration::from_millis(1_795_391_999_900));
        assert_eq!(render_index("expvastic-%Y.%m.%d", time).unwrap(), "expvastic-2026.11.22");
    }

    #[test]
    fn an_index_spans_the_finest_part_of_its_date() {
        for (name, hours) in [
            ("a-%Y.%m.%d", Some(24)),
            ("a-%F", Some(24)),
            ("a-%Y.%m.%d.%H", Some(1)),
            ("a-%G-%V", Some(168)),
            ("a-%Y-%j", Some(24)),
            ("a-%Y.%m", Some(744)),
            ("a-%Y", Some(8784)),
            ("a-%m.%d", None),
            ("a-%%Y", None),
            ("a", None),
        ] {
            assert_eq!(span_hours(name), hours, "{name}");
        }
    }

    #[test]
    fn weeks_go_with_their_own_years() {
        for (text, part) in [
            ("a-%Y.%V", "write %G"),
            ("a-%V-%y", "write %g"),
            ("a-%Y-%-V", "write %G"),
            ("a-%G.%m", "write %Y"),
            ("a-%g.%-d", "write %y"),
            ("a-%G.%j", "not that of %j"),
            ("a-%G.%V.%m", "write %Y"),
        ] {
            assert!(
                mismatched_year(text).is_some_and(|said| said.contains(part)),
                "{text}: {:?}",
                mismatched_year(text)
            );
        }
        for text in [
            "a",
            "a-%Y.%m.%d",
            "a-%G.%V",
            "a-%g-%-V",
            "a-%Y-%W",
            "a-%F-%G.%V",
            "a-%F-%V",
            "a-%V",
            "a-%Y-%%V",
            "a-%G",
            "a-%Y-%j",
        ] {
            assert_eq!(mismatched_year(text), None, "{text}");
        }
    }
}
