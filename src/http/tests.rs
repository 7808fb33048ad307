//! Which hosts are neighbours, and where redirects lead.

use super::endpoint::{Address, Place};
use super::*;

fn proxies(variables: &[(&str, &str)]) -> Http {
    let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Http::new(1, &value)
}

#[test]
fn neighbours_are_reached_without_a_proxy() {
    let proxy = [("http_proxy", "http://proxy:3128"), ("https_proxy", "http://proxy:3128")];
    let (with, without) = (proxies(&proxy), proxies(&[]));
    for url in [
        "http://localhost:1",
        "http://LOCALHOST",
        "http://127.0.0.1/x",
        "http://127.9.9.9",
        "http://[::1]:9",
        "unix:///s:/x",
        "https://localhost",
        "http://x.localhost",
    ] {
        assert!(Endpoint::new(url).is_neighbour() && !with.needs([url].into_iter()).proxy, "{url}");
    }
    for url in ["http://203.0.113.77", "http://[fe80::1]:9200/x", "http://localhost.example", "https://203.0.113.77"] {
        assert!(
            !Endpoint::new(url).is_neighbour()
                && with.needs([url].into_iter()).proxy
                && !without.needs([url].into_iter()).proxy,
            "{url}"
        );
    }
}

#[test]
fn what_is_a_name_is_looked_up_when_a_connection_is_made() {
    for url in ["http://es:9200", "https://es.example", "http://localhost.example"] {
        assert!(Endpoint::new(url).has_name(), "{url}");
    }
    for url in ["http://localhost:1", "http://x.localhost", "https://127.0.0.1", "http://[::1]:9", "unix:///s:/x"] {
        assert!(!Endpoint::new(url).has_name(), "{url}");
    }
}

#[test]
fn localhost_is_looked_for_at_both_its_addresses() {
    let net = |address: &str| Address::Net(address.parse().unwrap());
    let place = |url| Endpoint::new(url).peer.place.clone();
    let expected = Place::Addresses(vec![net("127.0.0.1:1234"), net("[::1]:1234")]);
    assert_eq!(place("http://localhost:1234/debug/vars"), expected);
    assert_eq!(place("http://[::1]"), Place::Addresses(vec![net("[::1]:80")]));
    assert_eq!(place("https://[::1]"), Place::Addresses(vec![net("[::1]:443")]));
}

#[test]
fn redirects_are_resolved_and_lose_what_does_not_belong_to_them() {
    let from = Endpoint::new("http://localhost:1234/debug/vars?x=y");
    for (location, url) in [
        ("/other", "http://localhost:1234/other"),
        ("more", "http://localhost:1234/debug/more"),
        ("../up?a=b#c", "http://localhost:1234/up?a=b"),
        ("?z", "http://localhost:1234/debug/vars?z"),
        ("//app:99/v", "http://app:99/v"),
        ("http://[::1]:5/v", "http://[::1]:5/v"),
        ("http://user:password@app/v", "http://app/v"),
        ("/a b", "http://localhost:1234/a%20b"),
        ("http://xn--bcher-kva.test/v", "http://xn--bcher-kva.test/v"),
    ] {
        assert_eq!(from.redirected(location).unwrap(), Endpoint::new(url), "{location}");
    }
    for location in
        ["ftp://app/v", "file:///etc/passwd", "http://", "http://[::1/", "javascript:x", "http://bücher.test/v"]
    {
        let error = from.redirected(location).unwrap_err().to_string();
        assert!(error.contains("redirected to"), "{location}: {error}");
    }
    let to_tls = from.redirected("https://app/v");
    assert_eq!(to_tls.is_ok(), cfg!(feature = "tls"), "{to_tls:?}");
}
