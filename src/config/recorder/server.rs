//! The keys of a recorder that ships to a server.

use super::super::node::Node;
use super::super::section::Section;
use super::super::{access, index_names, one_of, values};
use super::{Compression, Host, ServerTarget, Target, index_name, index_settings, retention};
use crate::access::{Access, Auth};
use crate::limits;
use std::sync::Arc;

/// The server, and the index or data stream there.
pub(super) fn target(section: &mut Section<'_, '_>) -> (Option<Target>, Option<String>) {
    if section.node("endpoint").is_none() {
        section.lacks("endpoint is missing: expected host:port such as localhost:9200");
    }
    let hosts = endpoints(section);
    let access = Arc::new(access::access(
        section,
        &hosts.iter().flatten().map(|(url, auth)| (url.as_str(), auth.as_ref())).collect::<Vec<_>>(),
    ));
    let timeout = section.positive_duration("timeout").unwrap_or(limits::TIMEOUT_DEFAULT);
    let stream = section.node("data_stream").map(|(_, place)| place);
    let name = match &stream {
        Some(place) if section.node("index_name").is_some() => {
            section.wrong(place, "set only one of data_stream and index_name");
            None
        }
        Some(_) => section.parse_name("data_stream", "a data stream name", index_names::data_stream),
        None => index_name(section),
    };
    let pipeline = section
        .unless_off("pipeline", "none")
        .and_then(|it| it.parse_name("pipeline", "the name of an ingest pipeline, or none", values::pipeline));
    let TemplateKeys { template, lean, index_numbers } = template(section);
    let index_settings = index_settings::of(section);
    if let Some((_, place)) = section.node("index_settings").filter(|_| !template) {
        section.warn(&place, "index_settings has no effect: they are settings of the template, which is off");
    }
    let retention = retention::of(section, name.as_deref(), stream.is_some(), template, &index_settings);
    let compression = section.parse("compression", |text| {
        one_of("value", text, &[("gzip", Compression::Gzip), ("none", Compression::None)])
    });
    let host = |(url, auth): (String, Option<Auth>)| {
        let own = |auth| Arc::new(Access { auth: Some(auth), ..Access::clone(&access) });
        Host { url, access: auth.map_or_else(|| Arc::clone(&access), own) }
    };
    let server = hosts.map(|hosts| hosts.into_iter().map(host).collect()).map(|hosts| ServerTarget {
        compression: compression.unwrap_or(Compression::WherePaid),
        timeout,
        pipeline,
        data_stream: stream.is_some(),
        template,
        lean,
        index_numbers,
        index_settings,
        retention,
        ..ServerTarget::new(hosts)
    });
    (server.map(Target::Elasticsearch), name)
}

/// The hosts in `endpoint`, which is one or a list, with their credentials.
fn endpoints(section: &mut Section<'_, '_>) -> Option<Vec<(String, Option<Auth>)>> {
    let parse = |text: &str| {
        let (endpoint, auth) = access::take_credentials(text)?;
        Ok((values::url(&endpoint, "")?, auth))
    };
    let Some((Node::List(items), list)) = section.node("endpoint") else {
        return section.parse("endpoint", parse).map(|host| vec![host]);
    };
    if items.is_empty() {
        section.wrong(&list, "the list is empty, expected at least one host:port such as localhost:9200");
        return None;
    }
    if items.len() > limits::HOSTS_MAX {
        section.wrong(&list, format!("{} hosts, expected at most {}", items.len(), limits::HOSTS_MAX));
        return None;
    }
    let (mut hosts, mut seen) = (Vec::new(), Vec::<String>::new());
    for (at, (text, place)) in section.texts("endpoint")?.into_iter().enumerate() {
        let same = match parse(&text) {
            Err(message) => {
                section.wrong(&place, message);
                format!("wrong {at}")
            }
            Ok((url, auth)) => {
                let same = values::same_url(&url);
                hosts.push((url, auth));
                same
            }
        };
        if let Some(first) = seen.iter().position(|other| *other == same) {
            section.wrong(&place, format!("the same host as endpoint[{first}]: remove one of them"));
        }
        seen.push(same);
    }
    (hosts.len() == items.len()).then_some(hosts)
}

/// What the key `template` says, as in [`ServerTarget`].
struct TemplateKeys {
    template: bool,
    lean: bool,
    index_numbers: Option<bool>,
}

fn template(section: &mut Section<'_, '_>) -> TemplateKeys {
    let mut keys = TemplateKeys { template: true, lean: true, index_numbers: None };
    if let Some((Node::Map(_), _)) = section.node("template") {
        if let Some(mut template) = section.section("template") {
            keys.lean = template.boolean("lean").unwrap_or(true);
            keys.index_numbers = template.boolean("index_numbers");
            template.finish();
        }
        return keys;
    }
    let template = section.parse("template", |text| one_of("value", text, &[("auto", true), ("off", false)]));
    TemplateKeys { template: template.unwrap_or(true), ..keys }
}
