//! The key `index_settings` of a recorder: settings of indices that are merged into our index template. They are written as a
//! server's documentation writes them: nested, dotted, or both, with or without `index.` in front.

use super::super::node::Node;
use super::super::problems::Place;
use super::super::section::Section;
use super::IndexSetting;
use crate::flatten::names_conflict;
use crate::json;
use crate::limits;

const PREFIX: &str = "index.";

pub(super) fn of(section: &mut Section<'_, '_>) -> Vec<IndexSetting> {
    let Some((node, place)) = section.node("index_settings") else { return Vec::new() };
    let mut settings = Vec::new();
    if matches!(node, Node::Map(_) | Node::Null | Node::Invalid) {
        collect(node, "", &place, section, &mut settings);
    } else {
        section
            .wrong(&place, format!("expected settings such as {{number_of_replicas: 0}}, found {}", node.describe()));
    }
    settings
}

/// Appends the settings in `node`, whose names begin with `prefix`. It recurses no deeper than YAML may be nested.
fn collect(node: &Node, prefix: &str, place: &Place, section: &Section<'_, '_>, settings: &mut Vec<IndexSetting>) {
    let Node::Map(entries) = node else { return };
    for (index, (key, node)) in entries.iter().enumerate() {
        let place = place.entry(index, key);
        let name = format!("{prefix}{key}");
        if let Node::Map(_) = node {
            collect(node, &format!("{name}."), &place, section, settings);
            continue;
        }
        let name = name.strip_prefix(PREFIX).unwrap_or(&name).to_owned();
        if settings.len() == limits::INDEX_SETTINGS_MAX {
            return section.wrong(&place, format!("more than {} settings", limits::INDEX_SETTINGS_MAX));
        }
        match checked(&name, node, settings) {
            Ok(value) => settings.push(IndexSetting { name, value }),
            Err(Some(message)) => section.wrong(&place, message),
            Err(None) => {}
        }
    }
}

/// The value of a setting. The error is without a message if there is one about the value already.
fn checked(name: &str, node: &Node, others: &[IndexSetting]) -> Result<String, Option<String>> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.split('.').all(|segment| !segment.is_empty() && segment.bytes().all(is_plain)) {
        return Err(Some("expected the name of an index setting, such as number_of_replicas".to_owned()));
    }
    if let Some(other) = others.iter().find(|other| names_conflict(&other.name, name)) {
        return Err(Some(format!("there is a value for {} already", other.name)));
    }
    let mut value = Vec::new();
    match node {
        Node::List(items) => {
            value.push(b'[');
            for (at, item) in items.iter().enumerate() {
                value.extend((at > 0).then_some(b','));
                json::write_string(&mut value, &scalar(item)?);
            }
            value.push(b']');
        }
        node => json::write_string(&mut value, &scalar(node)?),
    }
    String::from_utf8(value).map_err(|_| None)
}

fn scalar(node: &Node) -> Result<String, Option<String>> {
    match node {
        Node::Text(text) | Node::Number { text, .. } => Ok(text.clone()),
        Node::Bool(value) => Ok(value.to_string()),
        Node::Invalid => Err(None),
        Node::Null | Node::List(_) | Node::Map(_) => {
            Err(Some(format!("expected a value or a list of values, found {}", node.describe())))
        }
    }
}
