//! An HTTP answer without a socket, for fuzzing.

use super::response::{AnswerError, Caps, Decoder, Progress};

/// What was made of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Of the answer itself: what comes before it (1xx) is no answer.
    pub status: u16,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    /// Unless there is more of the body than was wanted.
    pub is_whole: bool,
    /// Whether the connection can be used again.
    pub keep_alive: bool,
    /// The most bytes that were in the buffer at once, behind a piece that had come.
    pub buffered_bytes: usize,
}

/// Decodes an answer that comes in these pieces, and then ends; of the body of a success at most `success` bytes are taken,
/// of another at most `other`. `is_streamed`: the body is taken from the buffer as it comes.
///
/// # Errors
/// Why it is no answer.
pub fn decode<'p>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
    success: usize,
    other: usize,
    is_streamed: bool,
) -> Result<Decoded, String> {
    let said = |error: AnswerError| error.to_string();
    let mut decoder = Decoder::new(Caps { success, other }, is_streamed);
    let (mut buffer, mut body, mut buffered_bytes) = (Vec::new(), Vec::new(), 0);
    let mut progress = Progress::More;
    for piece in pieces {
        buffer.extend_from_slice(piece);
        progress = decoder.decode(&mut buffer).map_err(said)?;
        if is_streamed && let Some((_, bytes)) = decoder.pass_on() {
            body.extend(buffer.drain(..bytes));
        }
        buffered_bytes = buffered_bytes.max(buffer.len());
        if progress != Progress::More {
            break;
        }
    }
    if progress == Progress::More {
        decoder.end(&buffer).map_err(said)?;
    }
    let head = decoder.into_head().ok_or_else(|| said(AnswerError::Nothing))?;
    let is_whole = progress != Progress::TooLong;
    let body = if is_streamed { body } else { buffer };
    Ok(Decoded { status: head.status, body, is_whole, keep_alive: head.keep_alive, buffered_bytes })
}
