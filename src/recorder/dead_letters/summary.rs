//! A summary of refusals by kind: how often each occurs, and a few of the server's messages. Pure.

use super::letter;
use crate::limits;
use std::fmt;

/// The kinds of refusal among some documents, in the order of their first occurrence.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    kinds: Vec<Kind>,
    /// Documents of further kinds, beyond [`LETTER_KINDS_MAX`](limits::LETTER_KINDS_MAX).
    others: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Kind {
    name: String,
    documents: u64,
    /// The first few different messages.
    messages: Vec<String>,
}

impl Summary {
    pub(crate) fn add(&mut self, name: &str, message: &str, documents: u64) {
        let (name, message) = (letter::printable(name), letter::printable(message));
        let kind = match self.kinds.iter().position(|kind| kind.name == name) {
            Some(at) => &mut self.kinds[at],
            None if self.kinds.len() < limits::LETTER_KINDS_MAX => {
                self.kinds.push(Kind { name, documents: 0, messages: Vec::new() });
                let last = self.kinds.len() - 1;
                &mut self.kinds[last]
            }
            None => {
                self.others += documents;
                return;
            }
        };
        kind.documents += documents;
        let is_new = !message.is_empty() && !kind.messages.contains(&message);
        if is_new && kind.messages.len() < limits::LETTER_MESSAGES_MAX {
            kind.messages.push(message);
        }
    }

    pub(crate) fn append(&mut self, other: Self) {
        for Kind { name, documents, messages } in other.kinds {
            self.add(&name, "", documents);
            for message in messages {
                self.add(&name, &message, 0);
            }
        }
        self.others += other.others;
    }

    pub(crate) fn documents(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.documents).sum::<u64>() + self.others
    }
}

/// Indented lines, each with a line end.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Kind { name, documents, messages } in &self.kinds {
            writeln!(f, "  {documents} × {name}")?;
            for message in messages {
                writeln!(f, "      {message}")?;
            }
        }
        if self.others > 0 {
            writeln!(f, "  {} × other kinds", self.others)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_counted_within_bounds() {
        let mut summary = Summary::default();
        for number in 0..100 {
            summary.add("status 400 mapper_parsing_exception", &format!("failed to parse [{}]", number % 5), 1);
            summary.add(&format!("status {number}"), "", 1);
        }
        assert_eq!(summary.documents(), 200);
        let text = summary.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "  100 × status 400 mapper_parsing_exception");
        assert_eq!(lines[1], "      failed to parse [0]");
        assert_eq!(lines.len(), limits::LETTER_KINDS_MAX + limits::LETTER_MESSAGES_MAX + 1);
        assert_eq!(*lines.last().unwrap(), format!("  {} × other kinds", 100 - (limits::LETTER_KINDS_MAX - 1)));
    }
}
