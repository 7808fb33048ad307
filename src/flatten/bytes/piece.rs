//! Copies and compares short pieces of text without a function call. Most keys, names and values have a few dozen
//! bytes, for which a call costs more than the copy.

/// Appends `from[start..end]`. If it has at most `SHORT` bytes, exactly `SHORT` bytes are copied and the rest is cut
/// off, provided that enough bytes follow it.
#[allow(clippy::inline_always, reason = "a fifth of the instructions of a member")]
#[inline(always)]
pub(crate) fn append<const SHORT: usize>(out: &mut Vec<u8>, from: &[u8], start: usize, end: usize) {
    let len = end - start;
    match from.get(start..).and_then(<[u8]>::first_chunk::<SHORT>) {
        Some(piece) if len <= SHORT => {
            let whole = out.len() + len;
            out.extend_from_slice(piece);
            out.truncate(whole);
        }
        _ => out.extend_from_slice(&from[start..end]),
    }
}

/// Whether the `len` bytes at `a_start` in `a` are equal to those at `b_start` in `b`.
#[allow(clippy::inline_always, reason = "a fifth of the instructions of a member")]
#[inline(always)]
pub(crate) fn is_equal(a: &[u8], a_start: usize, b: &[u8], b_start: usize, len: usize) -> bool {
    let difference = |at: usize| Some(eight(a, a_start + at)? ^ eight(b, b_start + at)?);
    match len {
        // If the text has fewer than eight bytes, the shift removes those after it.
        1..=8 => match difference(0) {
            Some(difference) => difference << (8 * (8 - len)) == 0,
            None => a.get(a_start..a_start + len) == b.get(b_start..b_start + len),
        },
        9..=16 => difference(0) == Some(0) && difference(len - 8) == Some(0),
        _ => a.get(a_start..a_start + len) == b.get(b_start..b_start + len),
    }
}

/// The eight bytes at `at`, the first one in the lowest bits.
#[inline]
pub(crate) fn eight(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    #[test]
    fn pieces_of_each_length_are_appended() {
        for start in 0..TEXT.len() {
            for end in start..=TEXT.len() {
                let mut out = b"out".to_vec();
                append::<32>(&mut out, TEXT, start, end);
                assert_eq!(out, [b"out", &TEXT[start..end]].concat());
            }
        }
    }

    #[test]
    fn pieces_are_equal_if_each_byte_is() {
        for len in 0..24 {
            for (a_start, b_start) in [(0, 0), (3, 9), (TEXT.len() - len, 0), (0, TEXT.len() - len)] {
                let mut other = vec![b'-'; TEXT.len()];
                other[b_start..b_start + len].copy_from_slice(&TEXT[a_start..a_start + len]);
                assert!(is_equal(TEXT, a_start, &other, b_start, len), "{len} at {a_start} and {b_start}");
                for at in b_start..b_start + len {
                    let mut wrong = other.clone();
                    wrong[at] ^= 0x80;
                    assert!(!is_equal(TEXT, a_start, &wrong, b_start, len), "{len}, differs at {at}");
                }
            }
        }
        assert!(!is_equal(b"abc", 0, b"ab", 0, 3) && !is_equal(b"ab", 1, b"abc", 1, 2), "one is shorter");
    }
}
