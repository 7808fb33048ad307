//! Parsers for the scalars of the configuration: durations, sizes, endpoints, index names, levels.
//!
//! Each parser gives a value that needs no further checks, or says what was expected.

use crate::http::{UNIX_SCHEME, Uri, unix_parts};
use crate::limits;
use crate::log::LogLevel;
use std::fmt::Write;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

/// A duration in Go's notation: `300ms`, `1.5s`, `1h15m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("expected a duration such as 500ms, 1.5s or 1m30s, found {text:?}");
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(total);
    }
    if rest.is_empty() {
        return Err(expected());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let letters = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |length| digits + length);
        let number: f64 = rest[..digits].parse().map_err(|_| expected())?;
        let unit_seconds = match &rest[digits..letters] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "" => return Err(format!("the duration {text:?} has no unit: write {text}s or {text}ms")),
            _ => return Err(expected()),
        };
        total = Duration::try_from_secs_f64(number * unit_seconds)
            .ok()
            .and_then(|more| total.checked_add(more))
            .filter(|sum| *sum <= limits::DURATION_MAX)
            .ok_or_else(|| format!("the duration {text:?} is longer than a year"))?;
        rest = &rest[letters..];
    }
    Ok(total)
}

/// Checks that a duration is not shorter than `least`, which is above zero.
pub(crate) fn at_least(least: Duration, duration: Duration) -> Result<Duration, String> {
    match duration {
        Duration::ZERO => Err("cannot be zero, expected a duration such as 500ms or 1s".to_owned()),
        short if short < least => Err(format!("cannot be shorter than {least:?}, found {short:?}")),
        duration => Ok(duration),
    }
}

/// A number of bytes: `512`, `64kB`, `8MiB`, `1GiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let expected = || format!("expected a size such as 512kB, 8MiB or 1048576, found {text:?}");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| expected())?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1_u64,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "ki" | "kib" => 1 << 10,
        "mi" | "mib" => 1 << 20,
        "gi" | "gib" => 1 << 30,
        _ => return Err(expected()),
    };
    #[allow(clippy::cast_precision_loss, reason = "units are powers far below 2^53")]
    let bytes = number * unit as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked against the range first")]
    if bytes.is_finite() && bytes < 1e15 { Ok(bytes.round() as u64) } else { Err(expected()) }
}

/// The URL of an endpoint, which may lack `http://`, with `path` appended.
///
/// # Errors
/// What is wrong with it. Errors do not repeat credentials.
pub(crate) fn url(endpoint: &str, path: &str) -> Result<String, String> {
    let endpoint = endpoint.trim();
    if endpoint.is_empty() {
        return Err("the endpoint is empty, expected host:port such as localhost:1234".to_owned());
    }
    let with_scheme = if endpoint.contains("://") { endpoint.to_owned() } else { format!("http://{endpoint}") };
    let (scheme, rest) = with_scheme.split_once("://").unwrap_or_default();
    match scheme {
        "http" => {}
        "https" if cfg!(feature = "tls") => {}
        "https" => {
            return Err("this expvastic was built without TLS and cannot reach https:// endpoints: use http://, or \
                               a build with the feature `tls`"
                .to_owned());
        }
        _ => return Err(format!("the endpoint has the scheme {scheme:?}, expected http or https")),
    }
    let authority = authority(&with_scheme);
    if authority.contains('@') {
        return Err("credentials in an endpoint are not supported: remove them".to_owned());
    }
    check_authority(authority)?;
    if rest.contains('#') {
        return Err(format!("the endpoint {endpoint:?} contains a fragment (`#…`), which is never sent: remove it"));
    }
    let joined = join(&with_scheme, path);
    let parsed: Result<Uri, _> = joined.parse();
    match parsed {
        Ok(_) => Ok(joined),
        Err(error) => Err(format!("{joined:?} is not a URL: {error}")),
    }
}

/// The URL of an endpoint on a Unix socket, `unix:///run/app.sock` or `unix:///run/app.sock:/path`, with `path`
/// appended. By default the path is Go's own.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn unix_url(endpoint: &str, path: &str) -> Result<String, String> {
    let (endpoint, path) = (endpoint.trim(), path.trim());
    let (socket, inner) = unix_parts(endpoint).unwrap_or_else(|| (endpoint.trim_start_matches(UNIX_SCHEME), ""));
    if !socket.starts_with('/') || socket.contains(['?', '#']) {
        return Err(format!("the endpoint {endpoint:?} has no socket path, expected unix:///run/app.sock"));
    }
    if socket.len() > limits::SOCKET_PATH_BYTES_MAX {
        let most = limits::SOCKET_PATH_BYTES_MAX;
        return Err(format!("the socket path has {} bytes, the system allows {most}", socket.len()));
    }
    let target = if path.is_empty() && inner.is_empty() { "/debug/vars" } else { inner };
    let target = url("localhost", target).and_then(|url| self::url(&url, path))?;
    let target = target.strip_prefix("http://localhost").unwrap_or_default();
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok(format!("{UNIX_SCHEME}{socket}:{slash}{target}"))
}

/// The address of the status pages: `127.0.0.1:9102`, `localhost:9102`, `[::1]:9102`, or `:9102` for all IPv4 addresses
/// of this machine. With port 0, the system chooses one.
///
/// # Errors
/// What was expected.
pub(crate) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = text.trim().rsplit_once(':').unwrap_or((text, ""));
    let host = match host {
        "" => "0.0.0.0",
        "localhost" => "127.0.0.1",
        number => number,
    };
    format!("{host}:{port}").parse().map_err(|_| match bracketed(text.trim()) {
        Some(bracketed) => format!("an IPv6 address before a port must be in brackets: write {bracketed}"),
        None => format!(
            "expected a local address and port such as 127.0.0.1:9102, or :9102 for all addresses, found {text:?}"
        ),
    })
}

/// A normal form of a URL that [`url`] has given: two URLs with the same host and path have the same.
pub(crate) fn same_url(url: &str) -> String {
    let parsed = url::Url::parse(url).map(String::from);
    parsed.unwrap_or_else(|_| url.to_owned()).trim_end_matches('/').to_owned()
}

/// Whether an endpoint contains credentials.
pub(crate) fn has_credentials(endpoint: &str) -> bool {
    authority(endpoint).contains('@')
}

/// The host and port of an endpoint, with its credentials, if it has some.
pub(crate) fn authority(endpoint: &str) -> &str {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// The text in the place of the port of an authority, which must not have credentials.
pub(crate) fn port(authority: &str) -> Option<&str> {
    match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']').and_then(|(_, port)| port.strip_prefix(':')),
        None => authority.split_once(':').map(|(_, port)| port),
    }
}

/// Whether an error may repeat the text in the place of a port. In braces, YAML takes only `u:hun` of `u:hun,ter2@host`
/// for the endpoint, and the text is then the beginning of a password.
pub(crate) fn is_like_a_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit() || b"+- ".contains(&byte))
}

fn check_authority(authority: &str) -> Result<(), String> {
    if authority.starts_with('[') && !authority.contains(']') {
        return Err("the address has no closing `]`".to_owned());
    }
    if let Some(bracketed) = bracketed(authority) {
        return Err(format!("an IPv6 address must be in brackets: write {bracketed}"));
    }
    let port = port(authority);
    let host = port.map_or(authority, |port| &authority[..authority.len() - port.len() - 1]);
    if host.is_empty() {
        return Err("the endpoint has no host, expected host:port such as localhost:1234".to_owned());
    }
    let shown = if port.is_some_and(is_like_a_port) { format!("{authority:?}") } else { "the endpoint".to_owned() };
    match port.map(str::parse::<u16>) {
        None | Some(Ok(1..)) => Ok(()),
        Some(Err(_)) if port.and_then(|port| port.split_once('-')).is_some_and(|(first, _)| !first.is_empty()) => {
            Err(format!("{shown} has a port range, which only readers support: list each server as host:port"))
        }
        Some(_) => Err(format!("the port of {shown} is not a number from 1 to 65535")),
    }
}

/// The right way to write an IPv6 address that lacks its brackets, with or without a port. None if it is something
/// else.
pub(crate) fn bracketed(authority: &str) -> Option<String> {
    let is_v6 = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    match authority.rsplit_once(':') {
        Some((host, port)) if is_v6(host) && !port.is_empty() && is_like_a_port(port) => {
            Some(format!("[{host}]:{port}"))
        }
        _ => is_v6(authority).then(|| format!("[{authority}]")),
    }
}

/// Appends `path` to the path of `url`, before its query.
fn join(url: &str, path: &str) -> String {
    let path = path.trim();
    if path.is_empty() {
        return url.to_owned();
    }
    let (base, query) = url.split_once('?').map_or((url, ""), |(base, query)| (base, query));
    let base = base.trim_end_matches('/');
    let slash = if path.starts_with('/') || path.starts_with('?') { "" } else { "/" };
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    format!("{base}{slash}{path}{query}")
}

/// Whether a URL that [`url`] has given has a path other than `/`.
pub(crate) fn has_path(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['?', '#']).next().and_then(|place| place.split_once('/')).is_some_and(|(_, path)| !path.is_empty())
}

/// The name of an ingest pipeline, escaped for a URL.
///
/// # Errors
/// It is not a valid name.
pub(crate) fn pipeline(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > limits::PIPELINE_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(format!("expected the name of an ingest pipeline, found {text:?}"));
    }
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    Ok(escaped)
}

/// A log level by its name, or by a name that the Go program's logger had for it.
pub(crate) fn log_level(text: &str) -> Result<LogLevel, String> {
    match text.to_ascii_lowercase().as_str() {
        "error" | "fatal" | "panic" => Ok(LogLevel::Error),
        "warn" | "warning" => Ok(LogLevel::Warn),
        "info" => Ok(LogLevel::Info),
        "debug" => Ok(LogLevel::Debug),
        "trace" => Ok(LogLevel::Trace),
        _ => Err(format!("expected one of error, warn, info, debug, trace, found {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        let ms = Duration::from_millis;
        for (text, value) in [
            ("500ms", ms(500)),
            ("1s", ms(1000)),
            ("1.5s", ms(1500)),
            ("1m30s", ms(90_000)),
            ("2h", ms(7_200_000)),
            ("0", ms(0)),
            ("0s", ms(0)),
            ("10us", Duration::from_micros(10)),
            ("3µs", Duration::from_micros(3)),
            ("7ns", Duration::from_nanos(7)),
        ] {
            assert_eq!(duration(text), Ok(value), "{text}");
        }
        for text in ["", "s", "5", "5x", "5 s", "-1s", "1s5", "1.2.3s", "9999h", "1e3s", "inf", "NaNs"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_to_listen_at_is_a_number_or_localhost() {
        for (text, address) in [
            ("127.0.0.1:9102", "127.0.0.1:9102"),
            (" localhost:0 ", "127.0.0.1:0"),
            (":80", "0.0.0.0:80"),
            ("[::1]:9102", "[::1]:9102"),
        ] {
            assert_eq!(listen_address(text).map(|address| address.to_string()), Ok(address.to_owned()), "{text}");
        }
        for text in
            ["", "9102", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", ":70000", "::1:x", "host:1", "http://127.0.0.1:1"]
        {
            assert!(listen_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_know_both_kinds_of_unit() {
        for (text, value) in
            [("0", 0), ("512", 512), ("64kB", 64_000), ("8MiB", 8 << 20), ("1.5 MiB", 3 << 19), ("1g", 1_000_000_000)]
        {
            assert_eq!(size(text), Ok(value), "{text}");
        }
        for text in ["", "MiB", "-1", "8XB", "1e99GiB", "nan"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn endpoints_become_urls() {
        for (endpoint, path, expected) in [
            ("localhost:1234", "/debug/vars", "http://localhost:1234/debug/vars"),
            ("localhost:1234/debug/vars", "", "http://localhost:1234/debug/vars"),
            ("http://h:1/p/?r=x%20y", "q", "http://h:1/p/q?r=x%20y"),
            ("[::1]:9200", "/_bulk", "http://[::1]:9200/_bulk"),
            ("HOST", "", "http://HOST"),
        ] {
            assert_eq!(url(endpoint, path).as_deref(), Ok(expected));
        }
        for endpoint in
            ["", ":9200", "http://", "ftp://h", "h:0", "h:65536", "h:x", "[::1", "u:p@h:1", "h:1/#f", "h h:1"]
        {
            let error = url(endpoint, "").expect_err(endpoint);
            assert!(!error.contains("u:p"), "no credentials in {error}");
        }
        assert_eq!(url("https://h", "").is_ok(), cfg!(feature = "tls"));
        assert!(has_path("http://h:1/x") && !has_path("http://h:1/") && !has_path("http://h?x=/y"));
    }

    #[test]
    fn sockets_become_urls() {
        for (endpoint, path, expected) in [
            ("unix:///run/app.sock", "", "unix:///run/app.sock:/debug/vars"),
            ("unix:///run/app.sock", "vars?r=^mem", "unix:///run/app.sock:/vars?r=^mem"),
            ("unix:///run/app.sock:/vars?a=b", "", "unix:///run/app.sock:/vars?a=b"),
            ("unix:///run/a:b.sock:/x", "/vars", "unix:///run/a:b.sock:/x/vars"),
            ("unix:///run/app.sock:/", "", "unix:///run/app.sock:/"),
        ] {
            assert_eq!(unix_url(endpoint, path).as_deref(), Ok(expected));
        }
        let long = format!("unix:///{}", "x".repeat(107));
        for endpoint in
            ["unix://", "unix://app.sock", "unix:///run/app.sock?a=b", "unix:///app.sock:/a b", long.as_str()]
        {
            assert!(unix_url(endpoint, "").is_err(), "{endpoint}");
        }
    }
}
