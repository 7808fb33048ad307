//! The keys of `settings` for the status pages.

use super::node::Node;
use super::section::Section;
use super::values;
use crate::limits;
use std::net::SocketAddr;

/// The value of `listen`: the address, or a section of the address and of what is shown there.
pub(super) fn of(settings: &mut Section<'_, '_>) -> (Option<SocketAddr>, bool) {
    let Some(settings) = settings.unless_off("listen", "off") else { return (None, true) };
    if !matches!(settings.node("listen"), Some((Node::Map(_), _))) {
        return (settings.parse("listen", values::listen_address), true);
    }
    let Some(mut section) = settings.section("listen") else { return (None, true) };
    let address = section.parse("address", values::listen_address);
    if section.node("address").is_none() {
        section.lacks("the key \"address\" is missing: 127.0.0.1:9102, or :9102 for all addresses");
    }
    let documents = section.boolean("documents").unwrap_or(true);
    section.finish();
    (address, documents)
}

/// The value of `listen_hosts`.
pub(super) fn hosts(settings: &mut Section<'_, '_>) -> Vec<String> {
    let names = settings.texts_or_none("listen_hosts").unwrap_or_default();
    if let Some((_, place)) = names.get(limits::PAGE_HOSTS_MAX) {
        settings.wrong(place, format!("at most {} names are allowed", limits::PAGE_HOSTS_MAX));
    }
    let checked = names.into_iter().filter_map(|(name, place)| match host_name(&name) {
        Ok(name) => Some(name),
        Err(problem) => {
            settings.wrong(&place, problem);
            None
        }
    });
    checked.collect()
}

/// A host name in lower case.
fn host_name(text: &str) -> Result<String, String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if text.is_empty() || text.len() > limits::HOST_NAME_BYTES_MAX || !text.bytes().all(is_part) {
        return Err(format!("expected a host name such as expvastic.example.com, without a port, found {text:?}"));
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Settings};

    fn settings(text: &str) -> Result<Settings, String> {
        let yaml = format!(
            "settings: {{{text}}}\nreaders: {{a: {{type: self, type_name: a}}}}\nrecorders: {{b: {{type: file, path: \"-\"}}}}\n\
             routes: {{r: {{readers: [a], recorders: [b]}}}}\n"
        );
        Config::parse("test", &yaml, &|_| None).map(|config| config.settings).map_err(|error| error.to_string())
    }

    #[test]
    fn the_pages_are_an_address_or_a_section() {
        for (text, address, documents) in [
            ("", None, true),
            ("listen: off", None, true),
            ("listen: false", None, true),
            ("listen: \"localhost:9102\"", Some("127.0.0.1:9102"), true),
            ("listen: {address: \":1\"}", Some("0.0.0.0:1"), true),
            ("listen: {address: \"[::1]:1\", documents: false}", Some("[::1]:1"), false),
        ] {
            let settings = settings(text).unwrap();
            let found = settings.listen.map(|address| address.to_string());
            assert_eq!((found.as_deref(), settings.listen_documents), (address, documents), "{text}");
        }
        for (text, problem) in [
            ("listen: {documents: false}", "\"address\" is missing"),
            ("listen: {address: here}", "expected a local address"),
            ("listen: {address: \":1\", document: false}", "did you mean \"documents\"?"),
            ("listen: {address: \":1\", documents: some}", "expected true or false"),
            ("listen: [\":1\"]", "listen"),
        ] {
            let error = settings(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn host_names_have_no_port_and_no_scheme() {
        assert_eq!(
            settings("listen_hosts: [Shop.Example.com, edge_7]").unwrap().listen_hosts,
            ["shop.example.com", "edge_7"]
        );
        assert_eq!(settings("listen_hosts: one").unwrap().listen_hosts, ["one"]);
        for name in ["\"a:80\"", "http://a", "\"\"", "\"*\"", "a/b"] {
            let error = settings(&format!("listen_hosts: [{name}]")).unwrap_err();
            assert!(error.contains("expected a host name"), "{name}: {error}");
        }
    }
}
