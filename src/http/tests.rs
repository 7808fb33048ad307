//! Which hosts are neighbours, and where redirects lead.

use super::*;

#[test]
fn neighbours_are_told_from_strangers() {
    for url in [
        "http://localhost:1",
        "http://LOCALHOST",
        "http://127.0.0.1/x",
        "http://127.9.9.9",
        "http://[::1]:9",
        "unix:///s:/x",
    ] {
        assert!(Endpoint::new(url).is_direct(true), "{url}");
    }
    for url in ["http://203.0.113.77", "http://[fe80::1]:9200/x"] {
        assert!(Endpoint::new(url).is_direct(false), "{url}");
        assert!(!Endpoint::new(url).is_direct(true), "{url}");
    }
    for url in ["http://localhost.example", "http://es:9200", "https://127.0.0.1", "https://localhost", "/"] {
        assert!(!Endpoint::new(url).is_direct(false), "{url}");
    }
    assert!(Endpoint::new("https://localhost").is_neighbour() && Endpoint::new("http://x.localhost").is_neighbour());
    assert!(!Endpoint::new("http://x.localhost").is_direct(false), "its addresses have to be asked for");
    assert!(!Endpoint::new("https://203.0.113.77").is_neighbour());
}

#[test]
fn localhost_is_looked_for_at_both_its_addresses() {
    let net = |address: &str| Address::Net(address.parse().unwrap());
    let addresses = |url| Endpoint::new(url).addresses;
    assert_eq!(addresses("http://localhost:1234/debug/vars"), [net("127.0.0.1:1234"), net("[::1]:1234")]);
    assert_eq!(addresses("http://[::1]"), [net("[::1]:80")]);
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
