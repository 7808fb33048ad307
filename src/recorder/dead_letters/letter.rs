//! Writes one line of a dead-letter file, and splits it again without changing a byte of the document. Pure.

use super::error::NoLetter;
use crate::bulk;
use crate::calendar::Timestamp;
use crate::flatten;
use crate::json;
use crate::limits;
use crate::recorder::elasticsearch::verdict::DeadLetter;
use std::fmt;
use std::io::Write;

/// The parts of a dead letter, as JSON texts within its line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Letter<'l> {
    time: &'l [u8],
    status: &'l [u8],
    reason: &'l [u8],
    message: &'l [u8],
    action: &'l [u8],
    document: &'l [u8],
}

/// Appends the line of a letter. `document` includes its action line. Both are copied unchanged.
pub(in crate::recorder) fn write(
    line: &mut Vec<u8>,
    recorder: &str,
    letter: &DeadLetter,
    document: &[u8],
    time: Timestamp,
) {
    // Writing to a `Vec` cannot fail.
    let _ = write!(line, "{{\"time\":\"{time:.6}\",\"recorder\":");
    json::write_string(line, recorder);
    line.extend_from_slice(b",\"status\":");
    json::write_u64(line, letter.status);
    line.extend_from_slice(b",\"reason\":");
    json::write_string(line, &letter.reason);
    line.extend_from_slice(b",\"message\":");
    json::write_string(line, &letter.message);
    let end = memchr::memchr(b'\n', document).unwrap_or(document.len());
    let (action, source) = document.split_at(end);
    line.extend_from_slice(b",\"action\":");
    line.extend_from_slice(action);
    line.extend_from_slice(b",\"document\":");
    line.extend_from_slice(source.trim_ascii());
    line.extend_from_slice(b"}\n");
}

impl<'l> Letter<'l> {
    /// Splits a line, with or without its line end. A line is accepted only if its document can be sent: it has an action
    /// line that [`bulk`] recognises, and one valid JSON object without line breaks.
    ///
    /// # Errors
    /// Why it is not a letter.
    pub(crate) fn split(line: &'l [u8]) -> Result<Self, NoLetter> {
        let mut letter = Self::default();
        let mut members = Members::of(line.trim_ascii())?;
        while let Some((name, value)) = members.next()? {
            let part = match name {
                b"time" => &mut letter.time,
                b"status" => &mut letter.status,
                b"reason" => &mut letter.reason,
                b"message" => &mut letter.message,
                b"action" => &mut letter.action,
                b"document" => &mut letter.document,
                _ => continue,
            };
            if !part.is_empty() {
                return Err(NoLetter::RepeatedMember);
            }
            *part = value;
        }
        if letter.action.len() >= limits::ACTION_LINE_BYTES_MAX
            || bulk::action_start(&[letter.action, b"\n"].concat()) != Some(0)
        {
            return Err(NoLetter::ForeignAction);
        }
        if letter.document.len() >= limits::SOURCE_BYTES_MAX || !flatten::is_object_in_one_line(letter.document) {
            return Err(NoLetter::NoDocument);
        }
        Ok(letter)
    }

    /// The document with its action line and both line ends, as it was sent.
    pub(super) fn write_document(&self, out: &mut Vec<u8>) {
        for part in [self.action, b"\n", self.document, b"\n"] {
            out.extend_from_slice(part);
        }
    }

    /// When the document was refused. Empty if the line does not say.
    pub(crate) fn time(&self) -> String {
        shown(self.time)
    }

    /// The server's status and error type.
    pub(crate) fn kind(&self) -> String {
        kind(&shown(self.status), &shown(self.reason))
    }

    pub(crate) fn message(&self) -> String {
        shown(self.message)
    }
}

/// The name of a kind of refusal.
pub(super) fn kind(status: &dyn fmt::Display, reason: &str) -> String {
    format!("status {status} {reason}").trim_end().to_owned()
}

/// Replaces control characters, which a terminal would interpret.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|shown| if shown.is_control() { char::REPLACEMENT_CHARACTER } else { shown }).collect()
}

/// Prepares a JSON string or number for a terminal. Escapes are kept, except those of quotes, slashes and backslashes.
fn shown(value: &[u8]) -> String {
    let bare = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    let (mut text, mut is_escape) = (String::new(), false);
    for character in String::from_utf8_lossy(bare).chars() {
        if text.len() >= limits::QUOTED_BYTES_MAX {
            text.push('…');
            break;
        }
        match character {
            '\\' if !is_escape => {
                is_escape = true;
                continue;
            }
            '"' | '\\' | '/' => {}
            _ if is_escape => text.push('\\'),
            _ => {}
        }
        is_escape = false;
        text.push(character);
    }
    printable(&text)
}

/// The name of a member, without its quotes, and its value.
type Member<'l> = (&'l [u8], &'l [u8]);

/// Iterates over the members of a JSON object. Values are not parsed, except as far as is necessary to find their ends.
struct Members<'l> {
    text: &'l [u8],
    /// The offset of the unread rest.
    at: usize,
    is_first: bool,
}

impl<'l> Members<'l> {
    fn of(text: &'l [u8]) -> Result<Self, NoLetter> {
        if text.first() == Some(&b'{') { Ok(Self { text, at: 1, is_first: true }) } else { Err(NoLetter::NoObject) }
    }

    fn next(&mut self) -> Result<Option<Member<'l>>, NoLetter> {
        match (self.peek()?, self.is_first) {
            (b'}', _) if self.at + 1 == self.text.len() => return Ok(None),
            (b',', false) => self.at += 1,
            (b'"', true) => {}
            _ => return Err(NoLetter::NoObject),
        }
        self.is_first = false;
        if self.peek()? != b'"' {
            return Err(NoLetter::NoObject);
        }
        let name = self.value()?;
        if self.peek()? != b':' {
            return Err(NoLetter::NoObject);
        }
        self.at += 1;
        self.peek()?;
        Ok(Some((&name[1..name.len() - 1], self.value()?)))
    }

    /// Skips white space, and returns the next byte.
    fn peek(&mut self) -> Result<u8, NoLetter> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied().ok_or(NoLetter::Truncated)
    }

    /// Reads the value that begins here.
    fn value(&mut self) -> Result<&'l [u8], NoLetter> {
        let (start, mut depth) = (self.at, 0_usize);
        loop {
            match *self.text.get(self.at).ok_or(NoLetter::Truncated)? {
                b'"' => self.at = self.string_end()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1).ok_or(NoLetter::NoObject)?;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
            // A number or a literal ends at a character that can follow a value.
            let is_word = !matches!(self.text[start], b'"' | b'{' | b'[');
            let goes_on = |byte: &u8| !matches!(byte, b',' | b'}' | b']') && !byte.is_ascii_whitespace();
            if depth == 0 && !(is_word && self.text.get(self.at).is_some_and(goes_on)) {
                return Ok(&self.text[start..self.at]);
            }
        }
    }

    /// The offset after the end of the string that begins here.
    fn string_end(&self) -> Result<usize, NoLetter> {
        let mut at = self.at + 1;
        loop {
            at += self.text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)).ok_or(NoLetter::Truncated)?;
            if self.text[at] == b'"' {
                return Ok(at + 1);
            }
            at += 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const ACTION: &str = r#"{"create":{"_index":"shop-2026.11.22","_id":"ljo7zxuww_IZAAAAAAAA"}}"#;

    /// Documents that would not come back unchanged if the line were searched for member names, or parsed into a tree.
    const NASTY: [&str; 12] = [
        "{}",
        r#"{"n":9007199254740993,"m":18446744073709551615,"l":-9223372036854775808}"#,
        r#"{"f":0.1000000000000000055511151231257827,"g":1.0,"h":1E-7,"i":1e+308,"z":-0.0}"#,
        r#"{"s":"a\",\"document\":{\"x\":1}}","t":"\",\"action\":"}"#,
        r#"{"a,\"document\":":",\"document\":{}","document":"}","action":{"create":{"_index":"i","_id":"x"}}}"#,
        r#"{"s":"\\","t":"\\\"","u":"\\\\\"}{"}"#,
        r#"{"u":"größe 😀 \ud83d\ude00 \u00e9 \/ \b\f\n\r\t","ключ":"值"}"#,
        r#"{"b":["[","{","]","}",[1,[2,[null,true,false]]],{"c":{"d":{"e":"}}}"}}}]}"#,
        r#"{"a":1,"a#2":2,"":3}"#,
        r#"{"long":123456789012345678901234567890123456789012345678901234567890.5}"#,
        "{\"del\":\"\u{7f}\",\"c1\":\"\u{9b}31m\",\"nbsp\":\"\u{a0}\",\"rtl\":\"\u{202e}\"}",
        r#"{"time":"2026","recorder":"r","status":1,"reason":"","message":"","action":{},"document":{}}"#,
    ];

    fn letter(message: &str) -> DeadLetter {
        DeadLetter { index: 0, status: 400, reason: "mapper_parsing_exception".to_owned(), message: message.to_owned() }
    }

    fn written(message: &str, document: &str) -> Vec<u8> {
        let time = Timestamp::since_epoch(Duration::from_secs(1_795_323_967));
        let mut line = Vec::new();
        write(&mut line, "es \",\"document\":{}", &letter(message), format!("{ACTION}\n{document}\n").as_bytes(), time);
        line
    }

    #[test]
    fn a_letter_gives_the_document_back_byte_for_byte() {
        let messages = ["", "failed [\"x\"]", "\",\"document\":{\"y\":2}}", "\\", "\n\u{1}", "{\"action\":"];
        for document in NASTY {
            for message in messages {
                let line = written(message, document);
                serde_json::from_slice::<serde_json::Value>(&line).expect("a line is strict JSON");
                let letter = Letter::split(&line).unwrap_or_else(|why| panic!("{document} {message}: {why}"));
                let mut sent = Vec::new();
                letter.write_document(&mut sent);
                assert_eq!(String::from_utf8(sent).unwrap(), format!("{ACTION}\n{document}\n"), "{message}");
                assert_eq!(letter.kind(), "status 400 mapper_parsing_exception");
                assert_eq!(letter.time(), "2026-11-22T05:06:07.000000Z");
            }
        }
    }

    #[test]
    fn a_letter_that_is_cut_off_anywhere_is_none() {
        let line = written("m \"q\" \\", NASTY[4]);
        let line = line.trim_ascii();
        assert!(Letter::split(line).is_ok());
        for end in 0..line.len() {
            let why = Letter::split(&line[..end]).expect_err("nothing of it can be sent");
            assert_eq!(
                why,
                if end == 0 { NoLetter::NoObject } else { NoLetter::Truncated },
                "{}",
                String::from_utf8_lossy(&line[..end])
            );
        }
        // An incomplete letter, followed by the next one without a line end in between.
        let glued = [&line[..line.len() / 2], line].concat();
        Letter::split(&glued).unwrap_err();
        Letter::split(&[line, line].concat()).unwrap_err();
    }

    #[test]
    fn what_others_have_done_to_a_line_is_taken_as_long_as_it_can_be_sent() {
        let action = r#"{"create":{"_index":"i","_id":"x"}}"#;
        for good in [
            format!("{{\"action\":{action},\"document\":{{\"a\":1}}}}"),
            format!(
                " {{ \"document\" : {{ \"a\" : 1.0 }} , \"status\" : null, \"note\" : [1, \"}}\"] , \"action\" : {action} }} \r\n"
            ),
        ] {
            let letter = Letter::split(good.as_bytes()).unwrap_or_else(|why| panic!("{good}: {why}"));
            let mut sent = Vec::new();
            letter.write_document(&mut sent);
            assert!(sent.starts_with(action.as_bytes()) && sent.ends_with(b"}\n"));
        }
        for (wrong, why) in [
            ("null", NoLetter::NoObject),
            ("[]", NoLetter::NoObject),
            ("{}", NoLetter::ForeignAction),
            ("{\"a\"}", NoLetter::NoObject),
            ("{,}", NoLetter::NoObject),
            ("{\"a\":1 \"b\":2}", NoLetter::NoObject),
            ("{\"a\":1}}", NoLetter::NoObject),
            ("{\"a\":1]", NoLetter::NoObject),
            (r#"{"action":{"index":{"_index":"i","_id":"x"}},"document":{}}"#, NoLetter::ForeignAction),
            (r#"{"action":{"create":{"_index":"i"}},"document":{}}"#, NoLetter::ForeignAction),
            (r#"{"action":{"create":{"_index":"i","_id":"x"}}}"#, NoLetter::NoDocument),
            (r#"{"action":{"create":{"_index":"i","_id":"x"}},"document":[]}"#, NoLetter::NoDocument),
            (r#"{"action":{"create":{"_index":"i","_id":"x"}},"document":{"a":01}}"#, NoLetter::NoDocument),
            (
                r#"{"action":{"create":{"_index":"i","_id":"x"}},"document":{"a":1},"document":{"a":2}}"#,
                NoLetter::RepeatedMember,
            ),
        ] {
            assert_eq!(Letter::split(wrong.as_bytes()), Err(why), "{wrong}");
        }
        let pretty = format!("{{\"action\":{action},\"document\":{{\n\"a\":1}}}}");
        assert_eq!(Letter::split(pretty.as_bytes()), Err(NoLetter::NoDocument), "a bulk has a line for each document");
    }

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_obey() {
        let line = written("[\u{1b}[31m] \u{9b}2J \u{7f} \"quoted\" \\ / \t", "{}");
        let said = Letter::split(&line).unwrap().message();
        assert_eq!(said, "[\\u001b[31m] \u{fffd}2J \u{fffd} \"quoted\" \\ / \\t");
        let long = Letter::split(&written(&"ä".repeat(1_000), "{}")).unwrap().message();
        assert!(long.ends_with('…') && long.len() < limits::QUOTED_BYTES_MAX + 8);
        assert_eq!(shown(b"\x1b[2J"), "\u{fffd}[2J", "nor of a line that is no JSON");
    }

    #[test]
    fn a_line_is_split_where_a_strict_parser_splits_it_whatever_it_is_made_of() {
        const PIECES: [&str; 22] = [
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "\\",
            "\\\"",
            " ",
            "1",
            "-0.10",
            "true",
            "\"a\"",
            "\"b\":",
            "\"document\":",
            "\"action\":",
            "{\"c\":2}",
            "[null]",
            ",\"document\":{}",
            "é",
            "\\u0041",
        ];
        type Parts<'l> = std::collections::HashMap<String, &'l serde_json::value::RawValue>;
        let mut random = fastrand::Rng::with_seed(16);
        let (mut letters, mut valid) = (0, 0);
        for _ in 0..100_000 {
            let mut made =
                |most: usize| (0..random.usize(0..most)).map(|_| PIECES[random.usize(..22)]).collect::<String>();
            let line =
                format!("{{{}\"message\":\"{}\",\"action\":{ACTION},\"document\":{{{}}}}}", made(3), made(4), made(6));
            let split = Letter::split(line.as_bytes());
            let twin = serde_json::from_str::<Parts<'_>>(&line).ok();
            if let Ok(letter) = split {
                letters += 1;
                assert!(flatten::is_object_in_one_line(letter.document), "{line}");
                if let Some(twin) = &twin {
                    valid += 1;
                    let theirs = ["action", "document"].map(|name| twin[name].get().as_bytes());
                    assert_eq!([letter.action, letter.document], theirs, "{line}");
                }
            } else {
                // serde_json keeps the last of several members of one name, and accepts a document that is not an object.
                let is_wrong = |parts: &Parts<'_>| {
                    let is_object = parts.get("document").is_some_and(|it| it.get().starts_with('{'));
                    split == Err(NoLetter::RepeatedMember)
                        || !is_object
                        || parts.get("action").is_none_or(|it| it.get() != ACTION)
                };
                assert!(twin.as_ref().is_none_or(is_wrong), "{line}: {split:?}");
            }
        }
        assert!(letters > 1_000 && valid > 1_000, "{letters} {valid}");
    }
}
