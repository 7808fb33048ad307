//! The index settings in a template. Pure.

use super::means::{self, Means};
use super::{Flavour, Wish};
use crate::flatten::names_conflict;
use crate::json;
use crate::limits;
use crate::sort::sorted;

/// The settings as JSON, nested as servers return them. Those of the configuration take the place of ours.
pub(super) fn settings(wish: &Wish, flavour: Flavour) -> String {
    // Servers that expand dotted names count each object as a field, too. Where they do not, there is room for twice the
    // names, because a program may have other ones after a restart.
    let each = if flavour == Flavour::Flat { 2 } else { limits::NAME_SEGMENTS_MAX };
    let limit = wish.fields_max.saturating_mul(each).saturating_add(100).clamp(1_000, 1_000_000_000).to_string();
    let mut all = vec![
        // A value that does not fit the type of its field is stored, and not indexed. Otherwise the document would be refused.
        ("mapping.ignore_malformed", "true"),
        ("mapping.total_fields.limit", limit.as_str()),
    ];
    if wish.lean {
        // Documents of one program are alike, so compressing them together more thoroughly halves the index.
        all.push(("codec", r#""best_compression""#));
    }
    let mut policy = Vec::new();
    if let Some(retention) = wish.retention.filter(|_| wish.means == Means::Ilm) {
        json::write_string(&mut policy, &means::ilm_name(wish, retention));
    }
    let policy = String::from_utf8_lossy(&policy);
    if !policy.is_empty() {
        all.push(("lifecycle.name", &policy));
    }
    for setting in &wish.index_settings {
        all.retain(|(name, _)| !names_conflict(name, &setting.name));
        all.push((&setting.name, &setting.value));
    }
    let mut text = String::from(r#"{"index":"#);
    write_object(&mut text, &sorted(all));
    text.push('}');
    text
}

/// Writes settings as an object. They are sorted by their dotted names, and none is below another one.
fn write_object(json: &mut String, mut settings: &[(&str, &str)]) {
    json.push('{');
    while let Some((first, value)) = settings.first() {
        let segment = first.split('.').next().unwrap_or_default();
        let below = |name: &'_ str| name.strip_prefix(segment).is_some_and(|rest| rest.starts_with('.'));
        let count = settings.iter().take_while(|(name, _)| below(name)).count();
        if !json.ends_with('{') {
            json.push(',');
        }
        json.push('"');
        json.push_str(segment);
        json.push_str("\":");
        if count == 0 {
            json.push_str(value);
        } else {
            let inner: Vec<(&str, &str)> =
                settings[..count].iter().map(|(name, value)| (&name[segment.len() + 1..], *value)).collect();
            write_object(json, &inner);
        }
        settings = &settings[count.max(1)..];
    }
    json.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::IndexSetting;

    fn wish(lean: bool, index_settings: &[(&str, &str)]) -> Wish {
        let setting =
            |(name, value): &(&str, &str)| IndexSetting { name: (*name).to_owned(), value: (*value).to_owned() };
        Wish {
            index_name: "i".to_owned(),
            data_stream: false,
            fields_max: 1_000,
            verbatim: true,
            lean,
            index_numbers: None,
            index_settings: index_settings.iter().map(setting).collect(),
            retention: None,
            means: Means::None,
        }
    }

    #[test]
    fn settings_of_the_configuration_are_merged_with_ours() {
        let of = |lean, more: &[(&str, &str)]| settings(&wish(lean, more), Flavour::Flat);
        assert_eq!(of(false, &[]), r#"{"index":{"mapping":{"ignore_malformed":true,"total_fields":{"limit":2100}}}}"#);
        assert_eq!(
            of(true, &[("number_of_replicas", r#""0""#), ("mapping.total_fields.limit", r#""9""#)]),
            r#"{"index":{"codec":"best_compression","mapping":{"ignore_malformed":true,"total_fields":{"limit":"9"}},"number_of_replicas":"0"}}"#
        );
        assert_eq!(
            of(true, &[("codec", r#""default""#), ("a-b", "1"), ("a.b", "2"), ("a.b-c", "3"), ("mapping", "4")]),
            r#"{"index":{"a-b":1,"a":{"b":2,"b-c":3},"codec":"default","mapping":4}}"#
        );
    }
}
