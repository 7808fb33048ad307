//! Which host names may be in a request. A web page can make its own name lead to this machine's address (DNS rebinding),
//! and then read whatever is served here, because for the browser it is the same site. Such a request has the name of that
//! site in its `Host` field. Pure.

use std::net::{IpAddr, Ipv6Addr};

/// Whether a `Host` field names this process: by an address, as `localhost`, or by one of these `names`.
pub(super) fn is_own(host: &str, names: &[String]) -> bool {
    let Some(name) = without_port(host) else { return false };
    if let Some(address) = name.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4())
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// The name without a port; none if what follows the name is no port.
fn without_port(host: &str) -> Option<&str> {
    let end = if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (name, port) = host.split_at(end);
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_own_names_are_own_whatever_the_port() {
        let names = ["edge-7", "shop.example.com"].map(str::to_owned);
        for name in [
            "127.0.0.1",
            "10.1.2.3",
            "[::1]",
            "[fe80::1]",
            "[::ffff:10.0.0.1]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "edge-7",
            "Edge-7",
            "shop.example.com",
            "Shop.example.COM.",
        ] {
            for port in ["", ":9102", ":80", ":"] {
                assert!(is_own(&format!("{name}{port}"), &names), "{name}{port}");
            }
        }
    }

    #[test]
    fn other_names_are_not() {
        for host in [
            "",
            ".",
            ":9102",
            "attacker.example",
            "attacker.example:9102",
            "127.0.0.1.attacker.example",
            "localhost.attacker.example",
            "edge-7.attacker.example",
            "xshop.example.com",
            "::1",
            "[::1",
            "[::1]x",
            "[127.0.0.1]",
            "[]",
            "127.0.0.1:80:80",
            "localhost:80@attacker.example",
            "user@localhost",
            "localhost/",
            "127.0.0.1 ",
            "1",
            "0x7f.1",
            "edge-7, localhost",
        ] {
            assert!(!is_own(host, &["edge-7", "shop.example.com"].map(str::to_owned)), "{host:?}");
        }
    }
}
