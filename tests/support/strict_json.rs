//! A tree of strict JSON that loses nothing. (`serde_json::Value` keeps only one of several members with the same name, and does
//! not keep their order.)
#![allow(dead_code, reason = "each test takes what it needs of it")]

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// A value that keeps duplicate members, their order, and each number's text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses strict JSON. A lone surrogate is refused as well.
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        Self::of_valid(serde_json::from_str::<&RawValue>(text)?.get(), &mut 0)
    }

    /// Reads the value at `at`, and moves `at` behind it. The text has to be grammatically correct.
    fn of_valid(text: &str, at: &mut usize) -> Result<Self, serde_json::Error> {
        let start = *at;
        Ok(match text.as_bytes()[start] {
            b'"' => Self::String(string(text, at)?),
            b'[' => {
                let mut elements = Vec::new();
                while is_another(text, at, b']') {
                    elements.push(Self::of_valid(text, at)?);
                }
                Self::Array(elements)
            }
            b'{' => {
                let mut members = Vec::new();
                while is_another(text, at, b'}') {
                    let key = string(text, at)?;
                    skip(text, at, b":");
                    members.push((key, Self::of_valid(text, at)?));
                }
                Self::Object(members)
            }
            first => {
                let length = text[start..].find([',', ']', '}', ' ', '\t', '\n', '\r']);
                *at = length.map_or(text.len(), |length| start + length);
                match first {
                    b'n' => Self::Null,
                    b't' | b'f' => Self::Bool(first == b't'),
                    _ => Self::Number(text[start..*at].to_owned()),
                }
            }
        })
    }

    pub(crate) fn has_object(&self) -> bool {
        match self {
            Self::Object(_) => true,
            Self::Array(elements) => elements.iter().any(Self::has_object),
            _ => false,
        }
    }

    pub(crate) fn as_u64(&self) -> Option<u64> {
        if let Self::Number(text) = self { text.parse().ok() } else { None }
    }
}

/// Skips whitespace and these bytes.
fn skip(text: &str, at: &mut usize, these: &[u8]) {
    while text.as_bytes().get(*at).is_some_and(|byte| byte.is_ascii_whitespace() || these.contains(byte)) {
        *at += 1;
    }
}

/// Skips the bracket or comma before an element or a member. Returns false at the closing bracket, which it skips as well.
fn is_another(text: &str, at: &mut usize, close: u8) -> bool {
    *at += usize::from(matches!(text.as_bytes()[*at], b'[' | b'{'));
    skip(text, at, b",");
    let is_another = text.as_bytes()[*at] != close;
    *at += usize::from(!is_another);
    is_another
}

/// Reads the string at `at`, and moves `at` behind it.
fn string(text: &str, at: &mut usize) -> Result<String, serde_json::Error> {
    let start = *at;
    *at += 1;
    while text.as_bytes()[*at] != b'"' {
        *at += if text.as_bytes()[*at] == b'\\' { 2 } else { 1 };
    }
    *at += 1;
    serde_json::from_str(&text[start..*at])
}

/// Its text, without blanks.
impl fmt::Display for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Bool(truth) => write!(formatter, "{truth}"),
            Self::Number(text) => formatter.write_str(text),
            Self::String(text) => write!(formatter, "{}", Value::from(text.as_str())),
            Self::Array(elements) => {
                let texts: Vec<String> = elements.iter().map(Self::to_string).collect();
                write!(formatter, "[{}]", texts.join(","))
            }
            Self::Object(members) => {
                let text = |(key, value): &(String, Self)| format!("{}:{value}", Value::from(key.as_str()));
                write!(formatter, "{{{}}}", members.iter().map(text).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(truth),
            Json::Number(text) => Self::Number(text.parse().expect("a number")),
            Json::String(text) => Self::String(text),
            Json::Array(elements) => Self::Array(elements.into_iter().map(Self::from).collect()),
            Json::Object(members) => {
                Self::Object(members.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
        }
    }
}

/// An array that is shipped as its text may have its strings escaped in more than one way.
pub(crate) fn same_text(value: &Json) -> Json {
    match value {
        Json::String(text) if text.starts_with('[') => {
            Json::String(Json::parse(text).map_or_else(|_| text.clone(), |array| array.to_string()))
        }
        other => other.clone(),
    }
}

/// The members of an object's text, each value as its text.
pub(crate) fn members(object: &str) -> Result<Vec<(String, &str)>, serde_json::Error> {
    struct Members<'a>(Vec<(String, &'a str)>);
    struct Collect;
    impl<'a> Visitor<'a> for Collect {
        type Value = Members<'a>;
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }
        fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Members<'a>, A::Error> {
            let mut members = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                members.push((key, value.get()));
            }
            Ok(Members(members))
        }
    }
    impl<'a> Deserialize<'a> for Members<'a> {
        fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(Collect)
        }
    }
    serde_json::from_str::<Members<'_>>(object).map(|members| members.0)
}

/// The JSON text with `\ufffd` in place of each lone surrogate.
pub(crate) fn without_lone_surrogates(json: &str) -> String {
    let unit = |at: &str| u32::from_str_radix(at.strip_prefix("\\u")?.get(..4)?, 16).ok();
    let mut mended = String::new();
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let (taken, text) = match (unit(rest), rest.get(6..).and_then(unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, &rest[..12]),
            (Some(0xD800..=0xDFFF), _) => (6, "\\ufffd"),
            _ if first == '\\' => {
                let escaped = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                (escaped, &rest[..escaped])
            }
            _ => (first.len_utf8(), &rest[..first.len_utf8()]),
        };
        mended.push_str(text);
        rest = &rest[taken..];
    }
    mended
}
