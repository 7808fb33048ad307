//! Changes values that are valid JSON, but for which a server would refuse the document, to a form that every server
//! accepts.
//!
//! An integer beyond 64 bits (signed) gets a decimal point: `18446744073709551615.0` is the same number. As an integer,
//! some servers would refuse the document, whatever the mapping is. An array of values of more than one kind (numbers,
//! strings, booleans) has no type on any server; it is shipped as its own JSON text.

use crate::bytes::json;
use crate::bytes::scalar;
use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

/// The kinds of values in an array, as far as they matter to servers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Met(u8);

const NUMBER: u8 = 1;
const STRING: u8 = 2;
const BOOLEAN: u8 = 4;
/// An integer beyond 64 bits.
const LARGE: u8 = 8;

impl Met {
    /// Takes note of the scalar `text`.
    #[inline]
    pub(super) fn scalar(&mut self, text: &[u8]) {
        match text.first() {
            Some(b'"') => self.0 |= STRING,
            Some(b't' | b'f') => self.0 |= BOOLEAN,
            Some(b'-' | b'0'..=b'9') if scalar::is_beyond_i64(text) => self.0 |= NUMBER | LARGE,
            Some(b'-' | b'0'..=b'9') => self.0 |= NUMBER,
            _ => {}
        }
    }

    /// Takes note of a number within 64 bits.
    #[inline]
    pub(super) fn number(&mut self) {
        self.0 |= NUMBER;
    }

    /// Takes note of a value that is JSON text.
    pub(super) fn value(&mut self, text: &[u8]) {
        if text.first() != Some(&b'[') {
            return self.scalar(text);
        }
        for token in tokens(text) {
            self.scalar(token);
        }
    }

    /// Whether there was any scalar but `null`.
    pub(super) fn is_any(self) -> bool {
        self.0 != 0
    }

    fn is_mixed(self) -> bool {
        (self.0 & !LARGE).count_ones() > 1
    }

    /// Whether [`array`] would change anything.
    pub(super) fn is_odd(self) -> bool {
        self.0 & LARGE != 0 || self.is_mixed()
    }
}

/// The number that stands at the end of `out`, from `start` on.
#[inline]
pub(super) fn number(out: &mut Vec<u8>, start: usize) {
    if scalar::is_beyond_i64(&out[start..]) {
        out.extend_from_slice(b".0");
    }
}

/// The array that stands at the end of `out`, from `start` on. False if there is no room for it.
pub(super) fn array(out: &mut Vec<u8>, start: usize, arena: &Bump) -> bool {
    let text = &out[start..];
    let mut fitted = ArenaVec::new_in(arena);
    let mut met = Met::default();
    // A large integer is at least as long as what it gets.
    if fitted.try_reserve(2 * text.len()).is_err() {
        return false;
    }
    for token in tokens(text) {
        met.scalar(token);
        fitted.extend_from_slice_copy(token);
        if scalar::is_beyond_i64(token) {
            fitted.extend_from_slice_copy(b".0");
        }
    }
    out.truncate(start);
    if met.is_mixed() {
        out.push(b'"');
        json::write_escaped_bytes(out, &fitted);
        out.push(b'"');
    } else {
        out.extend_from_slice(&fitted);
    }
    true
}

/// The brackets, commas and scalars of an array without objects, which is valid JSON.
fn tokens(text: &[u8]) -> impl Iterator<Item = &[u8]> {
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
            let mut met = Met::default();
            met.value(text.as_bytes());
            assert_eq!(met.is_odd(), text != fitted, "{text}");
            let mut out = b"before".to_vec();
            out.extend_from_slice(text.as_bytes());
            assert!(array(&mut out, 6, &arena));
            assert_eq!(String::from_utf8(out).unwrap(), format!("before{fitted}"));
        }
    }
}
