//! What a server is, according to its answer to `GET /`: a product and a version, and nothing about licences.

use simd_json::prelude::*;
use std::fmt;

/// What answers at the endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Product {
    Elasticsearch(Version),
    OpenSearch(Version),
    /// A server that does not say what it is, or refuses the request.
    #[default]
    Unknown,
}

/// The first two numbers of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl Product {
    /// Reads the answer to `GET /`.
    pub(crate) fn of_answer(body: &mut [u8]) -> Self {
        let Ok(tape) = simd_json::to_tape(body) else { return Self::Unknown };
        let root = tape.as_value();
        let text = |key| root.get("version")?.get(key)?.into_string();
        let Some(version) = text("number").and_then(Version::parse) else { return Self::Unknown };
        match text("distribution") {
            Some("opensearch") => Self::OpenSearch(version),
            _ => Self::Elasticsearch(version),
        }
    }

    /// What refuses to say what it is because of a missing privilege, as far as its words tell.
    pub(crate) fn of_refusal(body: &[u8]) -> Self {
        let has = |words: &str| memchr::memmem::find(body, words.as_bytes()).is_some();
        // The versions do not matter: both have had privileges from then on.
        if has("is granted by the cluster privileges") {
            Self::Elasticsearch(Version { major: 8, minor: 0 })
        } else if has("no permissions for [cluster:") {
            Self::OpenSearch(Version { major: 1, minor: 0 })
        } else {
            Self::Unknown
        }
    }

    /// Whether documents need a mapping type there, as in Elasticsearch before version 7.
    pub(crate) fn has_types(self) -> bool {
        matches!(self, Self::Elasticsearch(version) if version.major < 7)
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(['.', '-']);
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next().and_then(|minor| minor.parse().ok()).unwrap_or(0);
        Some(Self { major, minor })
    }

    /// Whether it is this version or a later one.
    pub(crate) fn is_from(self, major: u32, minor: u32) -> bool {
        self >= Self { major, minor }
    }
}

impl Product {
    /// Its name, for the fields of a log line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Elasticsearch(_) => "Elasticsearch",
            Self::OpenSearch(_) => "OpenSearch",
            Self::Unknown => "unknown",
        }
    }

    /// `major.minor`; empty if it is unknown.
    pub(crate) fn version(self) -> String {
        match self {
            Self::Elasticsearch(version) | Self::OpenSearch(version) => format!("{}.{}", version.major, version.minor),
            Self::Unknown => String::new(),
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elasticsearch(_) | Self::OpenSearch(_) => write!(f, "{} {}", self.name(), self.version()),
            Self::Unknown => f.write_str("unidentified server"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_what_it_says_it_is() {
        let elasticsearch = |major, minor| Product::Elasticsearch(Version { major, minor });
        for (body, product) in [
            (r#"{"name":"n","version":{"number":"5.6.16","build_hash":"3a740d1"}}"#, elasticsearch(5, 6)),
            (r#"{"version":{"build_flavor":"default","number":"8.19.21"},"tagline":"You Know"}"#, elasticsearch(8, 19)),
            (r#"{"version":{"number":"8.11.0","build_flavor":"serverless"}}"#, elasticsearch(8, 11)),
            (r#"{"version":{"number":"9"}}"#, elasticsearch(9, 0)),
            (r#"{"version":{"number":"7.0.0-beta1"}}"#, elasticsearch(7, 0)),
            (
                r#"{"version":{"distribution":"opensearch","number":"2.19.6"}}"#,
                Product::OpenSearch(Version { major: 2, minor: 19 }),
            ),
            (r#"{"version":{"number":"x"}}"#, Product::Unknown),
            (r#"{"version":{"number":8}}"#, Product::Unknown),
            (r#"{"version":"8.1"}"#, Product::Unknown),
            ("[]", Product::Unknown),
            ("<html>", Product::Unknown),
            ("", Product::Unknown),
        ] {
            assert_eq!(Product::of_answer(&mut body.as_bytes().to_vec()), product, "{body}");
        }
        for (body, name) in [
            (
                r#"{"error":{"type":"security_exception","reason":"action [cluster:monitor/main] is unauthorized for user [u] with effective roles [w], this action is granted by the cluster privileges [monitor,manage,all]"},"status":403}"#,
                "Elasticsearch",
            ),
            (
                r#"{"error":{"type":"security_exception","reason":"no permissions for [cluster:monitor/main] and User [name=u]"},"status":403}"#,
                "OpenSearch",
            ),
            ("Forbidden", "unknown"),
        ] {
            assert_eq!(Product::of_refusal(body.as_bytes()).name(), name, "{body}");
        }
        assert!(elasticsearch(6, 8).has_types() && !elasticsearch(7, 0).has_types());
        assert!(!Product::OpenSearch(Version { major: 1, minor: 0 }).has_types() && !Product::Unknown.has_types());
        let version = Version { major: 7, minor: 10 };
        assert!(version.is_from(7, 8) && version.is_from(6, 99) && !version.is_from(8, 0));
    }
}
