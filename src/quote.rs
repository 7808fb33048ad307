//! Makes texts from outside short enough to be stored and logged. Pure.

/// The beginning of a text, which may be any bytes. `is_cut` means that there was more of it; `…` then shows that.
pub(crate) fn lossy(bytes: &[u8], is_cut: bool) -> String {
    let mut bytes = bytes;
    if is_cut
        && let Err(error) = std::str::from_utf8(bytes)
        && error.error_len().is_none()
    {
        // The cut went through a character.
        bytes = &bytes[..error.valid_up_to()];
    }
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    if is_cut {
        text.push('…');
    }
    text
}

/// Cuts a text to `bytes_max` bytes, and appends `…` if it was longer.
pub(crate) fn shorten(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max + '…'.len_utf8() {
        let end = (0..=bytes_max).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
        text.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_goes_through_no_character() {
        let text = "aä€😀".repeat(3);
        for bytes in 0..=text.len() {
            let cut = lossy(&text.as_bytes()[..bytes], true);
            assert!(text.starts_with(cut.strip_suffix('…').unwrap()), "{cut}");
            assert!(cut.len() + 3 > bytes, "{cut}: no more than one character is lost");
            let mut short = text.clone();
            shorten(&mut short, bytes);
            assert!(short == text || text.starts_with(short.strip_suffix('…').unwrap()), "{short}");
            assert!(short.len() <= bytes + 3, "{short}");
        }
        assert_eq!(lossy(b"a\xffb\xc3", false), "a\u{fffd}b\u{fffd}");
        assert_eq!(lossy(b"a\xffb\xc3", true), "a\u{fffd}b\u{fffd}…");
    }

    #[test]
    fn what_is_short_stays_as_it_is() {
        let mut text = "abc".to_owned();
        shorten(&mut text, 3);
        assert_eq!(text, "abc");
    }
}
