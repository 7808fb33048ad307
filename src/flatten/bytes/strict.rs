//! Checks in a single pass, without allocation, whether a text from elsewhere is a JSON object.

use super::scalar;
use crate::limits::DEPTH_MAX;

/// Whether `text` is exactly one JSON object (RFC 8259), in UTF-8 and without a line end. It is stricter than the
/// grammar in two respects: it refuses half a surrogate pair, as strict parsers do, and nesting deeper than
/// [`DEPTH_MAX`].
#[must_use]
pub fn is_object_in_one_line(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok()
        && text.get(skip_space(text, 0)) == Some(&b'{')
        && value_end(text, skip_space(text, 0)).is_some_and(|end| skip_space(text, end) == text.len())
}

/// The objects and arrays around the current value.
#[derive(Default)]
struct Around {
    /// A bit for each, the innermost one lowest: 1 for an object, 0 for an array.
    kinds: u64,
    depth: usize,
}

const _: () = assert!(DEPTH_MAX <= u64::BITS as usize);

impl Around {
    /// Steps into an object or array. None if that is too deep.
    fn open(&mut self, is_object: bool) -> Option<()> {
        self.kinds = self.kinds << 1 | u64::from(is_object);
        self.depth += 1;
        (self.depth <= DEPTH_MAX).then_some(())
    }

    fn close(&mut self) {
        self.kinds >>= 1;
        self.depth -= 1;
    }

    fn is_object(&self) -> bool {
        self.kinds & 1 == 1
    }
}

/// Where the value that begins at `at` ends; none if it is not valid.
fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut around = Around::default();
    loop {
        at = match *text.get(at)? {
            open @ (b'{' | b'[') => {
                around.open(open == b'{')?;
                let first = skip_space(text, at + 1);
                match (open, text.get(first)?) {
                    (b'{', b'}') | (b'[', b']') => {
                        around.close();
                        first + 1
                    }
                    (b'{', _) => {
                        at = key_end(text, first)?;
                        continue;
                    }
                    _ => {
                        at = first;
                        continue;
                    }
                }
            }
            b'"' => string_end(text, at)?,
            b't' => word_end(text, at, b"true")?,
            b'f' => word_end(text, at, b"false")?,
            b'n' => word_end(text, at, b"null")?,
            _ => scalar::number_end(text, at)?,
        };
        // After a value: step out of all objects and arrays that end here.
        loop {
            if around.depth == 0 {
                return Some(at);
            }
            at = skip_space(text, at);
            match (*text.get(at)?, around.is_object()) {
                (b'}', true) | (b']', false) => around.close(),
                (b',', true) => {
                    at = key_end(text, skip_space(text, at + 1))?;
                    break;
                }
                (b',', false) => {
                    at = skip_space(text, at + 1);
                    break;
                }
                _ => return None,
            }
            at += 1;
        }
    }
}

/// Where the value begins whose key begins at `at`.
fn key_end(text: &[u8], at: usize) -> Option<usize> {
    let colon = skip_space(text, string_end(text, at)?);
    (text.get(colon) == Some(&b':')).then(|| skip_space(text, colon + 1))
}

/// Where the string that begins at `at` ends.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    let mut at = word_end(text, at, b"\"")?;
    loop {
        while text.get(at).is_some_and(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
            at += 1;
        }
        match *text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += scalar::escape_len(text, at)?,
            _ => return None,
        }
    }
}

fn word_end(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    text.get(at..)?.starts_with(word).then_some(at + word.len())
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a strict parser says of it.
    fn twin(text: &[u8]) -> bool {
        !text.contains(&b'\n') && serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
    }

    #[test]
    fn objects_are_told_from_everything_else() {
        let good = [
            "{}",
            " { } \r",
            r#"{"a":1}"#,
            r#"{"a":-0.5e+7,"b":[1,"x",null,true,false,[],{}],"c":{"d":{"e":[[{"f":"\u00e9\ud83d\ude80\n"}]]}}}"#,
            "{\t\"ä\" : [ 1 , 2 ] , \"b\" : { } }",
        ];
        for text in good {
            assert!(is_object_in_one_line(text.as_bytes()) && twin(text.as_bytes()), "{text}");
        }
        let bad = [
            "",
            " ",
            "{",
            "}",
            "[]",
            "1",
            "null",
            "\"{}\"",
            "{}{}",
            "{} x",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":[1,]}",
            "{\"a\":[1}",
            "{\"a\":{]}",
            "{\"a\":01}",
            "{\"a\":+1}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":NaN}",
            "{\"a\":tru}",
            "{\"a\":\"x}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\t\"}",
            "{\"a\":\n1}",
            "\n{}",
            "{}\n",
            "{\"a\":1}\u{0}",
            "{\"a\":\"\\",
            "{\"\\",
            "{\"a\":1e}",
            "\u{feff}{}",
        ];
        for text in bad {
            assert!(!is_object_in_one_line(text.as_bytes()) && !twin(text.as_bytes()), "{text}");
        }
        assert!(!is_object_in_one_line(b"{\"a\":\"\xff\"}"), "no UTF-8");
        let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(is_object_in_one_line(nested(DEPTH_MAX).as_bytes()));
        assert!(!is_object_in_one_line(nested(DEPTH_MAX + 1).as_bytes()));
        assert!(!is_object_in_one_line(&b"{\"a\":".repeat(1 << 20)), "and no stack is used up by it");
    }

    #[test]
    fn it_agrees_with_a_strict_parser_whatever_the_text_is_made_of() {
        const PIECES: [&str; 30] = [
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "\"a\"",
            "\"b\":",
            "\\",
            "\\n",
            "\\u0041",
            "\\ud83d\\ude00",
            "\\udc00",
            "1",
            "-",
            "0",
            ".5",
            "e3",
            "true",
            "null",
            " ",
            "\t",
            "\r",
            "\n",
            "é",
            "\u{1}",
            "{\"a\":1}",
            "[1,2]",
            "\"x\":{",
        ];
        let (mut state, mut objects) = (0x9e37_79b9_7f4a_7c15_u64, 0);
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below).unwrap()
        };
        for _ in 0..200_000 {
            let text: String = (0..random(9)).map(|_| PIECES[random(30)]).collect();
            let text = if random(2) == 0 { text } else { format!("{{\"k\":{text}}}") };
            let is_object = is_object_in_one_line(text.as_bytes());
            assert_eq!(is_object, twin(text.as_bytes()), "{text:?}");
            objects += u32::from(is_object);
        }
        assert!(objects > 1_000, "{objects}");
    }
}
