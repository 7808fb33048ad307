//! The proxies that environment variables configure, and the hosts that are reached without one. Pure.
//!
//! The variables are those that libcurl reads, and `HTTP_PROXY`, which libcurl ignores: in a CGI program, whoever sends a
//! request can set that variable with a header field named `Proxy`. It is therefore used unless this is a CGI program.

use super::endpoint::without_brackets;
use super::uri::Uri;
use crate::redact::Hidden;
use std::net::IpAddr;

const HTTP_VARIABLES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
const HTTPS_VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const EXEMPTION_VARIABLES: [&str; 2] = ["no_proxy", "NO_PROXY"];
/// Set in the environment of CGI programs.
const CGI_VARIABLE: &str = "REQUEST_METHOD";

/// The proxies that the environment configures.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    /// Hosts that are reached without a proxy, in the notation of `no_proxy`.
    exempt: String,
    /// Redacts the credentials in the URLs of the proxies.
    _hidden: Vec<Hidden>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proxy {
    /// The environment variable that configures it.
    pub(super) variable: &'static str,
    pub(super) url: Uri,
}

impl Proxies {
    /// Reads the configuration. `environment` returns the value of a variable.
    pub(super) fn new(environment: &dyn Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| environment(name).filter(|value| !value.is_empty());
        let is_cgi = value(CGI_VARIABLE).is_some();
        let known = |name: &&'static str| value(name).filter(|_| !(is_cgi && *name == "HTTP_PROXY"));
        let first = |names: [&'static str; 4]| {
            names.into_iter().find_map(|variable| Some(Proxy { variable, url: known(&variable)?.parse().ok()? }))
        };
        let urls = HTTP_VARIABLES.iter().chain(&HTTPS_VARIABLES).filter_map(known);
        Self {
            http: first(HTTP_VARIABLES),
            https: first(HTTPS_VARIABLES),
            exempt: EXEMPTION_VARIABLES.iter().find_map(|name| value(name)).unwrap_or_default(),
            _hidden: urls.map(|url| Hidden::of_url(&url)).collect(),
        }
    }

    /// Whether any is configured.
    pub(super) fn are_configured(&self) -> bool {
        self.http.is_some() || self.https.is_some()
    }

    /// The proxy through which this URL is reached, if there is one and its host is not exempt.
    pub(super) fn for_url(&self, url: &Uri) -> Option<&Proxy> {
        let proxy = if url.scheme_str() == Some("https") { &self.https } else { &self.http };
        proxy.as_ref().filter(|_| !is_exempt(url.host().unwrap_or_default(), &self.exempt))
    }
}

/// Whether the host is in a list such as `localhost,.example.org,10.0.0.0/8`. A name in the list also matches its
/// subdomains.
fn is_exempt(host: &str, list: &str) -> bool {
    let host = without_brackets(host).trim_end_matches('.');
    let address = host.parse::<IpAddr>().ok();
    list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty()).any(|entry| match address {
        _ if entry == "*" => true,
        Some(address) => is_within(address, entry),
        None => is_in_domain(host, entry.trim_start_matches('.').trim_end_matches('.')),
    })
}

fn is_in_domain(host: &str, domain: &str) -> bool {
    let Some(at) = host.len().checked_sub(domain.len()).filter(|_| !domain.is_empty()) else { return false };
    let is_end = host.is_char_boundary(at) && host[at..].eq_ignore_ascii_case(domain);
    is_end && (at == 0 || host.as_bytes()[at - 1] == b'.')
}

/// Whether the entry is this address, or a network that contains it.
fn is_within(address: IpAddr, entry: &str) -> bool {
    let (network, bits) = entry.split_once('/').map_or((entry, None), |(network, bits)| (network, Some(bits)));
    let network = without_brackets(network).parse::<IpAddr>();
    let (number, other, width) = match (address, network) {
        (IpAddr::V4(one), Ok(IpAddr::V4(other))) => (one.to_bits().into(), other.to_bits().into(), 32),
        (IpAddr::V6(one), Ok(IpAddr::V6(other))) => (one.to_bits(), other.to_bits(), 128),
        _ => return false,
    };
    let bits = bits.map_or(Some(width), |bits| bits.parse().ok()).filter(|bits| *bits <= width);
    bits.is_some_and(|bits| (number ^ other).checked_shr(width - bits).unwrap_or_default() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(variables: &[(&str, &str)], url: &str) -> Option<&'static str> {
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Proxies::new(&value).for_url(&url.parse().unwrap()).map(|proxy| proxy.variable)
    }

    #[test]
    fn each_variable_has_its_turn() {
        let all = [
            ("ALL_PROXY", "socks5h://p:1"),
            ("all_proxy", "p:2"),
            ("HTTP_PROXY", "http://u:planted-w@p:3"),
            ("http_proxy", "http://p:4/"),
        ];
        for (first, expected) in [(0, "ALL_PROXY"), (1, "all_proxy"), (2, "HTTP_PROXY"), (3, "http_proxy")] {
            assert_eq!(variable(&all[..=first], "http://es:9200"), Some(expected));
        }
        assert_eq!(variable(&all, "https://es:9200"), Some("all_proxy"));
        assert_eq!(variable(&[("HTTPS_PROXY", "p:5"), all[1]], "https://es"), Some("HTTPS_PROXY"));
        assert_eq!(variable(&[("http_proxy", ""), all[2]], "http://es"), Some("HTTP_PROXY"), "an empty one names none");
        assert_eq!(variable(&[("http_proxy", "not a URL")], "http://es"), None);
    }

    #[test]
    fn whoever_sends_a_request_to_a_cgi_program_names_no_proxy() {
        let cgi = [("HTTP_PROXY", "p:1"), ("REQUEST_METHOD", "GET")];
        assert_eq!(variable(&cgi, "http://es"), None);
        assert_eq!(variable(&[cgi[0], cgi[1], ("http_proxy", "p:2")], "http://es"), Some("http_proxy"));
    }

    #[test]
    fn hosts_that_are_exempt_have_no_proxy() {
        for (host, list, expected) in [
            ("es.example.org", "example.org", true),
            ("ES.Example.ORG", "a, .example.org", true),
            ("example.org.", "example.org", true),
            ("notexample.org", "example.org", false),
            ("es", "example.org,es.", true),
            ("es", "", false),
            ("es", ".", false),
            ("anything", "*", true),
            ("10.1.2.3", "10.0.0.0/8", true),
            ("11.1.2.3", "10.0.0.0/8", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "0.0.0.0/0", true),
            ("10.1.2.3", "10.1.2.3/33,10.1.2.3/x", false),
            ("10.1.2.3", "2.3", false),
            ("[2001:db8::1]", "2001:db8::/32", true),
            ("[2001:db8::1]", "[2001:db8::1]", true),
            ("[2001:db9::1]", "2001:db8::/32,10.0.0.0/8", false),
            ("größe.test", "e.test", false),
        ] {
            assert_eq!(is_exempt(host, list), expected, "{host} in {list:?}");
        }
        assert_eq!(variable(&[("http_proxy", "p:1"), ("NO_PROXY", "es")], "http://es:9200"), None);
        let lower_first = [("http_proxy", "p:1"), ("NO_PROXY", "es"), ("no_proxy", "other")];
        assert_eq!(variable(&lower_first, "http://es:9200"), Some("http_proxy"));
    }
}
