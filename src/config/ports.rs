//! Port ranges in a reader's endpoint: `localhost:8000-8003/debug/vars` stands for four endpoints, one for each port.
//! Pure.

use super::values;
use crate::flatten::Label;
use crate::limits;

/// The field of the Elastic Common Schema that says which node of a service a document is from.
const NODE_NAME: &str = "service.node.name";

/// One of the endpoints that a reader's endpoint stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SingleEndpoint {
    pub(super) endpoint: String,
    /// None if there is no range, and the endpoint stands for itself.
    pub(super) port: Option<Port>,
}

/// A port of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) number: u16,
    /// `host:port`, with the host as it stands in the endpoint.
    pub(super) node: String,
}

/// The endpoints that `endpoint`, which has no credentials, stands for.
///
/// # Errors
/// What is wrong with its range.
pub(super) fn endpoints(endpoint: &str) -> Result<Vec<SingleEndpoint>, String> {
    let endpoint = endpoint.trim();
    let start = endpoint.find("://").map_or(0, |at| at + 3);
    let authority = values::authority(endpoint);
    let Some((host, range)) = host_and_range(authority) else {
        return Ok(vec![SingleEndpoint { endpoint: endpoint.to_owned(), port: None }]);
    };
    let (scheme, behind) = (&endpoint[..start], &endpoint[start + authority.len()..]);
    let (first, last) = bounds(range)?;
    let single = |number| {
        let node = format!("{host}:{number}");
        SingleEndpoint { endpoint: format!("{scheme}{node}{behind}"), port: Some(Port { number, node }) }
    };
    Ok((first..=last).map(single).collect())
}

/// Whether `endpoint` has a valid port range.
pub(super) fn has_range(endpoint: &str) -> bool {
    host_and_range(values::authority(endpoint)).is_some_and(|(_, range)| bounds(range).is_ok())
}

/// The host and the range of an authority; none if it has no range.
fn host_and_range(authority: &str) -> Option<(&str, &str)> {
    if values::bracketed(authority).is_some() {
        return None;
    }
    let port = values::port(authority)?;
    let host = &authority[..authority.len() - port.len() - 1];
    port.contains('-').then_some((host, port))
}

/// The first and the last port of a range.
fn bounds(range: &str) -> Result<(u16, u16), String> {
    let number = |text: &str| match text.parse() {
        Ok(number @ 1_u16..) if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(number),
        _ => None,
    };
    let found = range.split_once('-').and_then(|(first, last)| Some((number(first)?, number(last)?)));
    let (first, last) = found.ok_or_else(|| {
        let shown = if values::is_like_a_port(range) { format!("{range:?}") } else { "this".to_owned() };
        format!("{shown} is not a port range: expected two numbers from 1 to 65535, such as 8000-8003")
    })?;
    if first > last {
        return Err(format!("the port range {range} is reversed: write {last}-{first}"));
    }
    let count = usize::from(last - first) + 1;
    if count > limits::RANGE_PORTS_MAX {
        let most = limits::RANGE_PORTS_MAX;
        return Err(format!(
            "the port range {range} has {count} ports, at most {most} are allowed: split it over several readers"
        ));
    }
    Ok((first, last))
}

/// The label by which the documents of several endpoints can be distinguished. Its value is different for each of them.
pub(super) fn label() -> Label {
    Label { name: NODE_NAME.to_owned(), value: None }
}

/// Describes a label in an error. Users have not written the label of several endpoints themselves, and may not know about it.
pub(super) fn described(label: &Label) -> String {
    let why = if label.value.is_none() { ", which each of several endpoints has" } else { "" };
    format!("the label {:?}{why}", label.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(endpoint: &str) -> Vec<(String, Option<String>)> {
        let endpoints = endpoints(endpoint).expect(endpoint).into_iter();
        endpoints.map(|single| (single.endpoint, single.port.map(|port| port.node))).collect()
    }

    #[test]
    fn a_range_stands_for_one_endpoint_on_each_port() {
        for (endpoint, expected) in [
            (
                "localhost:8000-8002/debug/vars",
                "localhost:8000/debug/vars localhost:8001/debug/vars localhost:8002/debug/vars",
            ),
            (" localhost:8000-8001", "localhost:8000 localhost:8001"),
            ("https://a-b.c:9-10?r=1-2", "https://a-b.c:9?r=1-2 https://a-b.c:10?r=1-2"),
            ("http://[::1]:65534-65535/x", "http://[::1]:65534/x http://[::1]:65535/x"),
            ("h:00080-080", "h:80"),
        ] {
            let endpoints: Vec<String> = told(endpoint).into_iter().map(|(endpoint, _)| endpoint).collect();
            assert_eq!(endpoints.join(" "), expected);
            assert!(has_range(endpoint));
        }
        assert_eq!(told("http://[::1]:7-7/x"), [("http://[::1]:7/x".to_owned(), Some("[::1]:7".to_owned()))]);
    }

    #[test]
    fn what_has_no_range_stands_for_itself() {
        for endpoint in
            ["localhost:8000", "my-host", "http://my-host:1/2-3:4-5", "[::1]:80", "[fe80--1]", "", "unix:///a:1-2"]
        {
            assert_eq!(told(endpoint), [(endpoint.to_owned(), None)]);
            assert!(!has_range(endpoint));
        }
    }

    #[test]
    fn a_range_is_two_ports_in_order_and_not_too_many() {
        for (range, said) in [
            ("8003-8000", "write 8000-8003"),
            ("0-3", "is not a port range"),
            ("1-70000", "is not a port range"),
            ("8000-", "is not a port range"),
            ("-8000", "is not a port range"),
            ("-", "is not a port range"),
            ("1-2-3", "is not a port range"),
            ("+1-2", "is not a port range"),
            ("1 - 2", "is not a port range"),
            ("1-257", "has 257 ports, at most 256"),
            ("1-65535", "has 65535 ports"),
        ] {
            let error = endpoints(&format!("localhost:{range}/x")).expect_err(range);
            assert!(error.contains(said), "{range}: {error}");
        }
        assert_eq!(told("localhost:1-256").len(), limits::RANGE_PORTS_MAX);
    }
}
