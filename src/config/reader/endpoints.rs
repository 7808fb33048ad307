//! The endpoints of a reader: one, a list, a range of ports, or targets that are found while the program runs.

use super::super::ports::{self, SingleEndpoint};
use super::super::problems::Place;
use super::super::section::Section;
use super::super::{Node, access, values};
use super::{Origin, Part, Source, Sources, Targets};
use crate::access::{Access, Auth};
use crate::http::{UNIX_SCHEME, unix_parts};
use crate::limits;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What an endpoint begins with that stands for each address of its name.
const DNS_PREFIX: &str = "dns+";

/// URLs, and what distinguishes each from the others if there are several.
pub(super) type Urls = Vec<(String, Option<Part>)>;

/// What `endpoint` or `targets_file` stands for. None if something is wrong with it.
pub(super) fn sources(section: &mut Section<'_, '_>) -> Option<Sources> {
    let route_path = section.text("routepath");
    let route_path = route_path.as_deref();
    let (endpoint, file) = (section.node("endpoint"), section.node("targets_file"));
    match (endpoint, file) {
        (Some(_), Some((_, place))) => {
            section.wrong(&place, "set only one of endpoint and targets_file");
            None
        }
        (None, None) => {
            section.lacks("endpoint is missing: expected host:port such as localhost:1234");
            if section.is_partial() {
                access::reader_access(section, None);
            }
            None
        }
        (None, Some(_)) => {
            let path = section.file("targets_file", |path| Ok(path.to_owned()));
            let access = access::reader_access(section, None);
            Some(targets(Origin::File { path: path?, route_path: route_path.map(str::to_owned) }, access))
        }
        (Some((Node::List(items), _)), None) if items.len() != 1 => list(section, route_path),
        (Some((Node::List(_), _)), None) => {
            let (text, place) = section.texts("endpoint")?.pop()?;
            let parsed = one(&text, route_path).map_err(|message| section.wrong(&place, message)).ok();
            finish_one(section, parsed)
        }
        (Some(_), None) => {
            let parsed = section.parse("endpoint", |text| one(text, route_path));
            finish_one(section, parsed)
        }
    }
}

/// What one endpoint stands for.
enum One {
    /// URLs of the same host.
    Urls(Urls),
    /// Each address of the URL's host.
    Name(String),
}

/// A single endpoint, and the credentials that it contains.
fn one(text: &str, route_path: Option<&str>) -> Result<(One, Option<Auth>), String> {
    let Some(named) = text.trim().strip_prefix(DNS_PREFIX) else {
        let (endpoint, auth) = access::take_credentials(text)?;
        return Ok((One::Urls(urls(&endpoint, route_path)?), auth));
    };
    let (endpoint, auth) = access::take_credentials(named)?;
    if ports::has_range(&endpoint) || endpoint.starts_with(UNIX_SCHEME) {
        return Err("dns+ needs a host name and one port, such as dns+http://shop.internal:1234".to_owned());
    }
    Ok((One::Name(single_url(&endpoint, route_path)?), auth))
}

fn finish_one(section: &mut Section<'_, '_>, parsed: Option<(One, Option<Auth>)>) -> Option<Sources> {
    let (found, auth) = parsed.unzip();
    let first = match &found {
        // All ports have the same host and the same access.
        Some(One::Urls(urls)) => urls.first().map(|(url, _)| url.as_str()),
        Some(One::Name(url)) => Some(url.as_str()),
        None => None,
    };
    let access = access::reader_access(section, first.zip(auth));
    Some(match found? {
        One::Urls(urls) => with_access(urls, access),
        One::Name(url) => targets(Origin::Name { url }, access),
    })
}

fn targets(origin: Origin, access: Access) -> Sources {
    vec![(Source::Targets(Arc::new(Targets { origin, access: Arc::new(access) })), None)]
}

/// The endpoints of a list, each of which may have a range of ports.
fn list(section: &mut Section<'_, '_>, route_path: Option<&str>) -> Option<Sources> {
    let texts = section.texts("endpoint")?;
    let (mut all, mut nodes) = (Urls::new(), BTreeSet::new());
    let mut is_good = !texts.is_empty();
    for (text, place) in &texts {
        match listed(text, route_path) {
            Ok(urls) => is_good &= add_all(section, place, urls, &mut all, &mut nodes),
            Err(message) => {
                section.wrong(place, message);
                is_good = false;
            }
        }
        if all.len() > limits::SECTION_ENTRIES_MAX {
            section.wrong(place, format!("more than {} endpoints", limits::SECTION_ENTRIES_MAX));
            return None;
        }
    }
    // What is said of the access depends on whether any endpoint has TLS.
    let first = all.iter().find(|(url, _)| url.starts_with("https:")).or_else(|| all.first());
    let access = access::reader_access(section, first.map(|(url, _)| (url.as_str(), None)));
    is_good.then(|| with_access(all, access))
}

/// The URLs of one endpoint of a list.
fn listed(text: &str, route_path: Option<&str>) -> Result<Urls, String> {
    match one(text, route_path)? {
        (_, Some(_)) => Err("an endpoint of a list must not contain credentials: set auth, which is sent to each of \
                             them"
            .to_owned()),
        (One::Name(_), None) => Err("dns+ cannot be in a list: give it a reader of its own".to_owned()),
        (One::Urls(urls), None) => Ok(urls),
    }
}

/// Adds the URLs of one endpoint to those of the list. False if one of them is there already.
fn add_all(section: &Section<'_, '_>, place: &Place, urls: Urls, all: &mut Urls, nodes: &mut BTreeSet<String>) -> bool {
    for (url, _) in urls {
        let part = part_of(&url);
        if !nodes.insert(part.node.clone()) {
            section.wrong(place, format!("{} is in the list twice", part.node));
            return false;
        }
        all.push((url, Some(part)));
    }
    true
}

/// What distinguishes an endpoint from others on other hosts or ports.
pub(super) fn part_of(url: &str) -> Part {
    let authority = || {
        let authority = values::authority(url);
        match values::port(authority) {
            Some(_) => authority.to_owned(),
            None => format!("{authority}:{}", if url.starts_with("https:") { 443 } else { 80 }),
        }
    };
    let node = unix_parts(url).map_or_else(authority, |(socket, _)| socket.to_owned());
    Part { suffix: node.clone(), node }
}

pub(super) fn with_access(urls: Urls, access: Access) -> Sources {
    let access = Arc::new(access);
    let source = |(url, part)| (Source::Expvar { url, address: None, access: Arc::clone(&access) }, part);
    urls.into_iter().map(source).collect()
}

/// The URL of an endpoint without credentials; if it has a range of ports, one for each.
pub(super) fn urls(endpoint: &str, route_path: Option<&str>) -> Result<Urls, String> {
    if endpoint.len() + route_path.map_or(0, str::len) > limits::ENDPOINT_BYTES_MAX {
        return Err(too_long());
    }
    let url = |SingleEndpoint { endpoint, port }: SingleEndpoint| {
        let part = port.map(|port| Part { suffix: port.number.to_string(), node: port.node });
        Ok((single_url(&endpoint, route_path)?, part))
    };
    ports::endpoints(endpoint)?.into_iter().map(url).collect()
}

fn too_long() -> String {
    format!("the endpoint is longer than {} bytes", limits::ENDPOINT_BYTES_MAX)
}

/// The URL of an endpoint. Its path may be in `endpoint`, or, as in the Go program's configurations, in `routepath`. By
/// default it is Go's own path.
fn single_url(endpoint: &str, route_path: Option<&str>) -> Result<String, String> {
    if endpoint.len() + route_path.map_or(0, str::len) > limits::ENDPOINT_BYTES_MAX {
        return Err(too_long());
    }
    if endpoint.trim().starts_with(UNIX_SCHEME) {
        return values::unix_url(endpoint, route_path.unwrap_or_default());
    }
    let url = values::url(endpoint, route_path.unwrap_or_default())?;
    if route_path.is_some_and(|path| !path.is_empty()) || values::has_path(&url) {
        return Ok(url);
    }
    values::url(endpoint, "/debug/vars")
}
