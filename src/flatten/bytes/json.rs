//! JSON text that the program itself writes: strings and integers appended to a buffer.
//!
//! The output is always valid JSON on one line. Only control characters, quotes and backslashes are escaped.

use std::io::Write as _;

/// What takes the place of a missing or broken value in an array or a column.
pub(crate) const NULL: &[u8] = b"null";

/// Appends `text` as a JSON string, quotes included.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
}

/// Appends `text` as a JSON string without its quotes.
pub fn write_escaped(out: &mut Vec<u8>, text: &str) {
    write_escaped_bytes(out, text.as_bytes());
}

/// Appends `bytes`, which are UTF-8, as a JSON string without its quotes.
pub fn write_escaped_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut copied = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                write_hex(out, byte);
            }
        }
    }
    out.extend_from_slice(&bytes[copied..]);
}

/// Appends a finite double. It always has a point or an exponent, so that servers that guess types take it for a
/// double, and at most 25 bytes.
pub fn write_double(out: &mut Vec<u8>, value: f64) {
    // Writing to a vector does not fail.
    let _ = write!(out, "{value:?}");
}

/// Appends a byte as two hexadecimal digits.
pub fn write_hex(out: &mut Vec<u8>, byte: u8) {
    out.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
}

/// Appends an integer.
pub fn write_u64(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789"[(value % 10) as usize];
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        let texts = ["", "plain", "a\"b\\c", "\u{0}\u{1f}\u{7f}\n\r\t", "Grüße, 世界 🚀 \u{2028}"];
        for text in texts {
            let mut out = Vec::new();
            write_string(&mut out, text);
            assert!(!out.contains(&b'\n'));
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
        for value in [0, 7, 10, 99, 1 << 53, u64::MAX] {
            let mut out = Vec::new();
            write_u64(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }
}
