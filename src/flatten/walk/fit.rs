//! Changes values that are valid JSON but would make a server refuse the document to a form that every server accepts.
//!
//! An integer that does not fit into 64 bits (signed) gets a decimal point: `18446744073709551615.0` is the same
//! number. As an integer, it would make some servers refuse the document, whatever the mapping is. An array with values
//! of more than one kind (numbers, strings, booleans) has no type on any server; it is shipped as a string with the
//! JSON text of the array.

use crate::bytes::json;
use crate::bytes::scalar;
use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

/// Which kinds of scalars an array contains, as far as it matters to servers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ElementKinds(u8);

const NUMBER: u8 = 1;
const STRING: u8 = 2;
const BOOLEAN: u8 = 4;
/// An integer that does not fit into 64 bits.
const LARGE: u8 = 8;

impl ElementKinds {
    /// Adds the kind of a scalar; an empty text and `null` have none.
    #[inline]
    pub(super) fn add_scalar(&mut self, text: &[u8]) {
        match text.first() {
            Some(b'"') => self.0 |= STRING,
            Some(b't' | b'f') => self.0 |= BOOLEAN,
            Some(b'-' | b'0'..=b'9') if scalar::is_beyond_i64(text) => self.0 |= NUMBER | LARGE,
            Some(b'-' | b'0'..=b'9') => self.0 |= NUMBER,
            _ => {}
        }
    }

    /// Adds a number that is not a large integer.
    #[inline]
    pub(super) fn add_number(&mut self) {
        self.0 |= NUMBER;
    }

    /// Adds the kinds of a scalar or an array.
    pub(super) fn add_value(&mut self, text: &[u8]) {
        if text.first() != Some(&b'[') {
            return self.add_scalar(text);
        }
        for token in tokens(text) {
            self.add_scalar(token);
        }
    }

    /// Whether the array contains strings.
    pub(super) fn has_strings(self) -> bool {
        self.0 & STRING != 0
    }

    /// Whether the array contains any scalar except `null`.
    pub(super) fn has_any(self) -> bool {
        self.0 != 0
    }

    fn are_mixed(self) -> bool {
        (self.0 & !LARGE).count_ones() > 1
    }

    /// Whether [`array`] would change anything.
    pub(super) fn need_change(self) -> bool {
        self.0 & LARGE != 0 || self.are_mixed()
    }
}

/// Changes the number at the end of `out`, which begins at `start`, if need be.
#[inline]
pub(super) fn number(out: &mut Vec<u8>, start: usize) {
    if scalar::is_beyond_i64(&out[start..]) {
        out.extend_from_slice(b".0");
    }
}

/// Changes the array at the end of `out`, which begins at `start`. False if the arena has no room for it.
pub(super) fn array(out: &mut Vec<u8>, start: usize, arena: &Bump) -> bool {
    let text = &out[start..];
    let mut fitted = ArenaVec::new_in(arena);
    let mut kinds = ElementKinds::default();
    // Only large integers get longer, by two bytes, and each has more than two.
    if fitted.try_reserve(2 * text.len()).is_err() {
        return false;
    }
    for token in tokens(text) {
        kinds.add_scalar(token);
        fitted.extend_from_slice_copy(token);
        if scalar::is_beyond_i64(token) {
            fitted.extend_from_slice_copy(b".0");
        }
    }
    out.truncate(start);
    if kinds.are_mixed() {
        out.push(b'"');
        json::write_escaped_bytes(out, &fitted);
        out.push(b'"');
    } else {
        out.extend_from_slice(&fitted);
    }
    true
}

/// The brackets, commas and scalars of a valid array without objects.
pub(super) fn tokens(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        at += text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let rest = &text[at..];
        let length = match rest.first()? {
            b'[' | b']' | b',' => 1,
            b'"' => string_bytes(rest),
            _ => rest.iter().take_while(|byte| !matches!(byte, b',' | b']') && !byte.is_ascii_whitespace()).count(),
        };
        at += length;
        Some(&rest[..length])
    })
}

/// Length of the string that `text` begins with, with its quotes.
fn string_bytes(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if text[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_have_a_form_that_servers_take() {
        let arena = Bump::new();
        for (text, fitted) in [
            ("[]", "[]"),
            ("[1,2.5,null,[3]]", "[1,2.5,null,[3]]"),
            (r#"["a",null,["b]"]]"#, r#"["a",null,["b]"]]"#),
            ("[18446744073709551615,[-9223372036854775809]]", "[18446744073709551615.0,[-9223372036854775809.0]]"),
            ("[9223372036854775807,-9223372036854775808,1e30]", "[9223372036854775807,-9223372036854775808,1e30]"),
            (r#"[1,"t\"wo",3.5,true,[1]]"#, r#""[1,\"t\\\"wo\",3.5,true,[1]]""#),
            (r"[ true , [0] ]", r#""[true,[0]]""#),
            (r#"["x",18446744073709551616]"#, r#""[\"x\",18446744073709551616.0]""#),
        ] {
            let mut kinds = ElementKinds::default();
            kinds.add_value(text.as_bytes());
            assert_eq!(kinds.need_change(), text != fitted, "{text}");
            let mut out = b"before".to_vec();
            out.extend_from_slice(text.as_bytes());
            assert!(array(&mut out, 6, &arena));
            assert_eq!(String::from_utf8(out).unwrap(), format!("before{fitted}"));
        }
    }
}
