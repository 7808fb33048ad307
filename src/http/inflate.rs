//! An answer that is compressed by gzip although nobody asked for that: some proxies do so.
//!
//! Memory: the text beside its compressed form, both within the cap, and some 45 kB of state meanwhile.

use super::HttpError;
use super::error::{GzipError, TransportError};
use crate::event_loop;
use crate::flatten::PADDING_BYTES;
use crate::limits;
use flate2::bufread::GzDecoder;
use std::io::Read;

/// Whether these bytes begin with gzip's magic number. Some servers announce gzip, but send plain text.
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Appends the text to `text`, an empty buffer. Lets other tasks run in between.
///
/// # Errors
/// It would be longer than the cap, or is no whole gzip text; the buffer then holds nothing of use.
pub(super) async fn inflate(packed: &[u8], bytes_max: usize, text: &mut Vec<u8>) -> Result<(), HttpError> {
    let broken = |error| HttpError::Transport(TransportError::Gzip(error));
    let mut decoder = decoder(packed);
    loop {
        // One byte beyond the cap is enough to know that the text is too long.
        let piece_bytes = limits::INFLATED_TURN_BYTES.min(bytes_max + 1 - text.len());
        if text.capacity() - text.len() < piece_bytes + PADDING_BYTES {
            text.reserve_exact((piece_bytes + PADDING_BYTES).max(text.len() / 4));
        }
        match (&mut decoder).take(piece_bytes as u64).read_to_end(text) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(broken(GzipError::CutOff));
            }
            Err(_) => return Err(broken(GzipError::Damaged)),
            Ok(0) if decoder.get_ref().is_empty() => return Ok(()),
            Ok(0) => return Err(broken(GzipError::TrailingData)),
            Ok(_) if text.len() > bytes_max => return Err(HttpError::TooLong(bytes_max as u64)),
            Ok(_) => event_loop::yield_now().await,
        }
    }
}

/// Appends the text of a file that is part of the program.
#[cold]
pub(crate) fn unpack(packed: &[u8], text: &mut Vec<u8>) {
    // It is whole: a test reads it.
    let _ = decoder(packed).read_to_end(text);
}

/// Makes the decoder, in a function of its own: its 45 kB are on the stack at first, and a task that inflates nothing must
/// not touch so much of the stack.
#[cold]
#[inline(never)]
fn decoder(packed: &[u8]) -> GzDecoder<&[u8]> {
    GzDecoder::new(packed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::bufread::GzEncoder;
    use proptest::prelude::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        GzEncoder::new(text, Compression::new(6)).read_to_end(&mut packed).unwrap();
        packed
    }

    fn inflated(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        let done = event_loop::block_on(async { inflate(packed, bytes_max, &mut text).await }).unwrap();
        assert!(text.capacity() <= 2 * bytes_max + limits::INFLATED_TURN_BYTES, "{} bytes", text.capacity());
        done.map(|()| text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_text_comes_back_within_its_cap() {
        let text = b"{\"a\": 1}".repeat(30_000);
        let (packed, bomb) = (packed(&text), packed(&vec![b' '; 50_000_000]));
        assert!(is_gzip(&packed) && !is_gzip(&text));
        assert_eq!(inflated(&packed, text.len()).as_ref(), Ok(&text));
        let fails = |packed: &[u8], bytes_max: usize, how: &str| {
            let error = inflated(packed, bytes_max).unwrap_err();
            assert!(error.contains(how), "{how}: {error}");
        };
        fails(&packed, text.len() - 1, "the body is longer than max_body (239999 bytes)");
        fails(&[&packed[..], b"x"].concat(), text.len(), "has trailing data");
        fails(&packed.repeat(2), 2 * text.len(), "has trailing data");
        for end in [0, 2, 9, 10, packed.len() / 2, packed.len() - 8, packed.len() - 1] {
            fails(&packed[..end], text.len(), "is cut off");
        }
        fails(&bomb, 100_000, "the body is longer than max_body");
    }

    proptest! {
        #[test]
        fn damage_is_an_error_and_never_another_text(text: Vec<u8>, at: prop::sample::Index, bits in 1..=255_u8) {
            let mut packed = packed(&text);
            let at = at.index(packed.len());
            packed[at] ^= bits;
            if let Ok(other) = inflated(&packed, text.len() + 1000) {
                prop_assert_eq!(other, text, "some bytes of the head mean nothing");
            }
        }
    }
}
