//! The string literals in Rust sources, of which all messages of the program consist.

use std::path::Path;

/// What stands for a value in a message, here and in the documentation.
pub(crate) const VALUE: char = '…';

/// Every text of the product's code below `folder`, with [`VALUE`] where values are filled in.
pub(crate) fn texts_below(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "tests" {
            texts.extend(texts_below(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") && name != "tests.rs" {
            let source = std::fs::read_to_string(&path).expect("readable");
            texts.extend(texts_of(source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()));
        }
    }
    texts
}

/// The same for one source.
pub(crate) fn texts_of(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let mut texts = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        at += match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['\'', '\\', ..] => rest[3..].iter().position(|c| *c == '\'').map_or(rest.len(), |end| end + 4),
            ['\'', _, '\'', ..] => 3,
            ['r', '"' | '#', ..] => raw(rest, &mut texts),
            ['"', ..] => quoted(rest, &mut texts),
            _ => 1,
        };
    }
    texts
}

/// Reads a string literal that begins here, and returns its length in the source.
fn quoted(rest: &[char], texts: &mut Vec<String>) -> usize {
    let mut text = String::new();
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '"' => break,
            '\\' => {
                at += 1;
                match rest.get(at) {
                    Some('\n') => {
                        while rest.get(at + 1).is_some_and(|c| c.is_whitespace()) {
                            at += 1;
                        }
                    }
                    Some('n') => text.push('\n'),
                    Some(other) => text.push(*other),
                    None => {}
                }
            }
            other => text.push(other),
        }
        at += 1;
    }
    texts.push(with_values(&text));
    at + 1
}

/// Reads a raw string literal, and returns its length in the source, or 1 if there is none.
fn raw(rest: &[char], texts: &mut Vec<String>) -> usize {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 1;
    }
    let body = &rest[hashes + 2..];
    let ends =
        |at: usize| body[at] == '"' && body[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    let length = (0..body.len()).find(|at| ends(*at)).unwrap_or(body.len());
    texts.push(with_values(&body[..length].iter().collect::<String>()));
    hashes * 2 + 3 + length
}

/// `{name}` and `{}` become [`VALUE`], `{{` a brace.
fn with_values(text: &str) -> String {
    let mut shown = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' | '}' if chars.peek() == Some(&c) => {
                chars.next();
                shown.push(c);
            }
            '{' => {
                let inside: String = chars.by_ref().take_while(|c| *c != '}').collect();
                let is_value = inside.chars().all(|c| c.is_alphanumeric() || "_.:?#$<>^*".contains(c));
                if is_value {
                    shown.push(VALUE);
                } else {
                    shown.extend(["{", inside.as_str(), "}"]);
                }
            }
            other => shown.push(other),
        }
    }
    shown
}
