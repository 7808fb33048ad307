//! `${NAME}`, `${NAME:-default}` and `${NAME:?message}` in any scalar of the configuration. `$${` stands for a literal
//! `${`.

use super::node::Node;
use super::problems::Problems;
use super::step::Step;
use std::fmt;

/// Gives the value of the variable with this name.
pub(super) type Variable<'v> = &'v dyn Fn(&str) -> Option<String>;

/// Replaces `${NAME}` by values.
pub(super) struct Expansion<'v> {
    variable: Variable<'v>,
    /// How many more bytes the texts with values may have.
    room: usize,
}

/// Why a text cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ExpandError {
    /// With the values, the texts of the file are too long. Unlikely: some variable has a huge value.
    TooLong,
    /// There is `${` without `}`. Likely where a literal `${` was meant.
    Unclosed,
    /// What is between the braces is not the name of a variable. It may be a part of a secret, so it is not repeated.
    NotAName,
    /// The variable is not set, and there is no default. The most likely one.
    NotSet { name: String },
    /// The variable is not set, and the file says what to do about it.
    Required { name: String, message: String },
    /// The colon is followed by something else than `-default` or `?message`. It may be a secret that was meant as a
    /// default, so it is not repeated.
    UnknownForm { name: String },
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => {
                f.write_str("the file is too long after expanding `${…}`: the value of a variable is too long")
            }
            Self::Unclosed => f.write_str("`${` without a closing `}`; for a literal `${` write `$${`"),
            Self::NotAName => f.write_str("`${…}` must contain a variable name: letters, digits and _ only"),
            Self::NotSet { name } => {
                write!(f, "the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
            }
            Self::Required { name, message } => write!(f, "the environment variable {name} is not set: {message}"),
            Self::UnknownForm { name } => {
                write!(f, "`${{{name}:…}}`: expected `-default` or `?message` after the `:`")
            }
        }
    }
}

impl<'v> Expansion<'v> {
    pub(super) fn new(variable: Variable<'v>, bytes_max: usize) -> Self {
        Self { variable, room: bytes_max }
    }

    /// Replaces `${NAME}` in every scalar of a file.
    pub(super) fn expand_all(&mut self, root: &mut Node, problems: &Problems<'_>) {
        self.expand_below(root, &Step::Root, problems);
    }

    fn expand_below(&mut self, node: &mut Node, step: &Step<'_>, problems: &Problems<'_>) {
        match node {
            Node::Text(text) if text.contains("${") => match self.expand_one(text) {
                Ok(text) => *node = Node::Text(text),
                Err(error) => {
                    problems.value(&step.place(), error.to_string());
                    *node = Node::Invalid;
                }
            },
            Node::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.expand_below(item, &Step::Item { within: step, index }, problems);
                }
            }
            Node::Map(entries) => {
                for (index, (key, value)) in entries.iter_mut().enumerate() {
                    self.expand_below(value, &Step::Entry { within: step, index, key }, problems);
                }
            }
            Node::Text(_) | Node::Null | Node::Bool(_) | Node::Number { .. } | Node::Invalid => {}
        }
    }

    fn expand_one(&mut self, text: &str) -> Result<String, ExpandError> {
        if self.room == 0 {
            return Err(ExpandError::TooLong);
        }
        let expanded = expand(text, self.variable, self.room);
        match &expanded {
            Ok(expanded) => self.room -= expanded.len(),
            // Once a text is too long, no other text is expanded, because each attempt would copy the values again.
            Err(ExpandError::TooLong) => self.room = 0,
            Err(_) => {}
        }
        expanded
    }
}

/// Replaces each `${…}` in `text`, which may then have at most `most` bytes.
fn expand(text: &str, variable: Variable<'_>, most: usize) -> Result<String, ExpandError> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, inside) = (&rest[..start], &rest[start + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = inside;
            continue;
        }
        expanded.push_str(before);
        let end = inside.find('}').ok_or(ExpandError::Unclosed)?;
        expanded.push_str(&value_of(&inside[..end], variable)?);
        rest = &inside[end + 1..];
        if expanded.len() + rest.len() > most {
            return Err(ExpandError::TooLong);
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The value of what is between the braces.
fn value_of(form: &str, variable: Variable<'_>) -> Result<String, ExpandError> {
    let (name, otherwise) = form.split_once(':').map_or((form, None), |(name, otherwise)| (name, Some(otherwise)));
    let named = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !named || name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(ExpandError::NotAName);
    }
    let value = variable(name);
    let name = || name.to_owned();
    match otherwise.map(|text| (text.get(..1), text.get(1..).unwrap_or_default())) {
        None => value.ok_or_else(|| ExpandError::NotSet { name: name() }),
        Some((Some("-"), default)) => Ok(value.filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())),
        Some((Some("?"), message)) => value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| ExpandError::Required { name: name(), message: message.to_owned() }),
        Some(_) => Err(ExpandError::UnknownForm { name: name() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms() {
        let environment = |name: &str| match name {
            "HOST" => Some("es.local".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let expanded = |text: &str| expand(text, &environment, 50);
        assert_eq!(expanded("no form, not even $HOST or $"), Ok("no form, not even $HOST or $".to_owned()));
        for (text, value) in [
            ("${HOST}", "es.local"),
            ("http://${HOST}:${PORT:-9200}/", "http://es.local:9200/"),
            ("${EMPTY}|${EMPTY:-x}|${HOST:?must be there}", "|x|es.local"),
            ("${NONE:-}", ""),
            ("${NONE:-a:b}", "a:b"),
            ("$${HOST} and $${ and ${HOST}", "${HOST} and ${ and es.local"),
            ("$$${HOST}$", "$${HOST}$"),
        ] {
            assert_eq!(expanded(text), Ok(value.to_owned()), "{text}");
        }
        for (text, part) in [
            ("${NONE}", "NONE is not set; set it, or write ${NONE:-default}"),
            ("${NONE:?ask Jo}", "NONE is not set: ask Jo"),
            ("${EMPTY:?ask Jo}", "EMPTY is not set: ask Jo"),
            ("${HOST", "without a closing"),
            ("${}", "must contain a variable name"),
            ("${A B}", "must contain a variable name"),
            ("${9}", "must contain a variable name"),
            ("${HOST:+x}", "after the `:`"),
            ("${HOST:}", "after the `:`"),
            ("${HOST}${HOST}${HOST}${HOST}${HOST}${HOST}${HOST}", "too long"),
        ] {
            let error = expanded(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
