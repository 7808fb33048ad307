//! The key `retention` of a recorder: how long the server keeps documents.

use super::super::index_names;
use super::super::section::Section;
use super::IndexSetting;
use crate::limits;

/// How long documents are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention {
    pub(crate) hours: u32,
}

/// Takes the key. `index_name` is the name of the index, or, if `data_stream`, of the data stream.
pub(super) fn of(
    section: &mut Section<'_, '_>,
    index_name: Option<&str>,
    data_stream: bool,
    template: bool,
    settings: &[IndexSetting],
) -> Option<Retention> {
    let (_, place) = section.node("retention")?;
    let retention = section.parse("retention", parse)?;
    if !template {
        section.warn(&place, "retention has no effect: it comes with the template, which is off");
    }
    if let Some(name) = index_name.filter(|name| !data_stream && index_names::span_hours(name).is_none()) {
        section.warn(
            &place,
            format!(
                "retention has no effect: servers delete whole indices, and all documents go to the index {name}: use data_stream, or an index_name with a \
                 date such as {name}-%Y.%m.%d"
            ),
        );
        return None;
    }
    let is_life_cycle = |setting: &&IndexSetting| setting.name == "lifecycle" || setting.name.starts_with("lifecycle.");
    if let Some(other) = settings.iter().find(is_life_cycle) {
        section.wrong(&place, format!("index_settings has {} already: remove one of them", other.name));
    }
    Some(retention)
}

/// `30d`, `36h`, `1d12h`.
fn parse(text: &str) -> Result<Retention, String> {
    let expected = || format!("expected a time such as 30d or 36h, found {text:?}");
    let (days, hours) = match text.split_once('d') {
        Some((days, hours)) => (days.parse::<u32>().map_err(|_| expected())?, hours),
        None => (0, text),
    };
    let hours = match hours {
        "" => Some(0),
        hours => hours.strip_suffix('h').and_then(|hours| hours.parse::<u32>().ok()),
    };
    let hours = hours.ok_or_else(expected)?.checked_add(days.checked_mul(24).ok_or_else(expected)?);
    let most = limits::RETENTION_HOURS_MAX;
    match hours {
        Some(hours) if (1..=most).contains(&hours) => Ok(Retention { hours }),
        _ => Err(format!("expected a time from 1h to {}d, found {text:?}", most / 24)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_hours_are_whole() {
        for (text, hours) in [("30d", 720), ("36h", 36), ("1d12h", 36), ("1h", 1), ("36500d", 876_000), ("0d1h", 1)] {
            assert_eq!(parse(text), Ok(Retention { hours }), "{text}");
        }
        for text in
            ["", "30", "d", "h", "0d", "0h", "1.5d", "-1d", "30D", "1h1d", "5m", "36501d", "4294967295d", "1d 2h", "1w"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
