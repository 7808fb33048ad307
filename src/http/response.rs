//! Decodes an HTTP/1.1 answer from its bytes as they arrive. Pure; the result is the same for any split into pieces.
//!
//! Bytes are read to the end of the buffer and decoded in place. Invariant: after [`Decoder::decode`] the buffer holds
//! the body so far, as far as it was not passed on, followed only by an incomplete piece of the head or of a chunk's
//! frame; both are bounded.

pub(super) mod head;

use crate::limits;
use head::{Framing, Head, parse_head};
use std::fmt;

/// Decodes one answer.
#[derive(Debug)]
pub(super) struct Decoder {
    state: State,
    caps: Caps,
    /// The body is read up to its cap even if it is known to be longer.
    is_streamed: bool,
    has_begun: bool,
    /// Bytes of the body so far, at the front of the buffer.
    body_bytes: usize,
    /// Bytes of the body that were passed on before them.
    passed_bytes: usize,
    /// Bytes behind them that are known to hold no end of a line.
    searched_bytes: usize,
    trailer_bytes: usize,
    head: Option<Head>,
}

/// How much of a body is taken, bytes: of a success, and of what is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caps {
    pub(super) success: usize,
    pub(super) other: usize,
}

/// How far an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more to come.
    More,
    /// It is whole, and the buffer holds its body.
    Whole,
    /// Its body is longer than the cap: the buffer holds the beginning. No more is taken.
    TooLong,
}

/// Why bytes are no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerError {
    /// The connection was closed before the first byte. Occasional: the process was stopped, or speaks another protocol.
    Nothing,
    /// The connection was closed within the answer. Occasional: the process was stopped.
    CutOff,
    /// It is something else than HTTP/1.1. Occasional: a wrong port.
    NotHttp,
    /// It is a TLS record: the request should have been one, too. Common while setting up: `http://` for `https://`.
    Tls,
    /// The head is longer than [`limits::HEAD_BYTES_MAX`]. Rare: a proxy in between that adds fields.
    HeadTooLong,
    /// The head has more fields than [`limits::HEAD_FIELDS_MAX`]. Rare, for the same reason.
    TooManyFields,
    /// `Content-Length` is no number, or there are two that differ. Rare: a broken server or proxy.
    BadLength,
    /// `Transfer-Encoding` is not `chunked` alone. Rare: nothing else is in use with HTTP/1.1.
    UnknownCoding,
    /// The frame of a chunk is malformed. Rare: a broken server or proxy.
    BadChunk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes of the body are still to come.
    Length(u64),
    ChunkSize,
    /// So many bytes of this chunk are still to come.
    Chunk(u64),
    ChunkEnd,
    Trailer,
    UntilClose,
    Whole,
}

impl Decoder {
    /// `is_streamed` if [`Decoder::pass_on`] is called after each step.
    pub(super) fn new(caps: Caps, is_streamed: bool) -> Self {
        Self {
            state: State::Head,
            caps,
            is_streamed,
            has_begun: false,
            body_bytes: 0,
            passed_bytes: 0,
            searched_bytes: 0,
            trailer_bytes: 0,
            head: None,
        }
    }

    /// Whether anything has come.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The head, once it is whole.
    pub(super) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The head of an answer that was begun.
    pub(super) fn into_head(self) -> Option<Head> {
        self.head
    }

    /// The status, and how many bytes at the front of the buffer are the body so far, once the head is whole. They are
    /// removed from there, and count on towards the cap.
    pub(super) fn pass_on(&mut self) -> Option<(u16, usize)> {
        let status = self.head.as_ref()?.status;
        self.passed_bytes += self.body_bytes;
        Some((status, std::mem::take(&mut self.body_bytes)))
    }

    /// Bytes that are certain to follow, according to a length that was announced.
    pub(super) fn bytes_to_come(&self) -> usize {
        let left = match self.state {
            State::Length(left) | State::Chunk(left) => left,
            _ => 0,
        };
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Decodes what was read to the end of `buffer` since the last call.
    ///
    /// # Errors
    /// [`AnswerError`]; the buffer then holds nothing of use.
    pub(super) fn decode(&mut self, buffer: &mut Vec<u8>) -> Result<Progress, AnswerError> {
        self.has_begun |= !buffer.is_empty();
        let mut at = self.body_bytes;
        let progress = loop {
            let step = match self.state {
                State::Head => self.head_step(&buffer[at..])?,
                State::Length(left) => self.body_step(buffer, at, left, State::Length),
                State::Chunk(left) => self.body_step(buffer, at, left, State::Chunk),
                State::UntilClose => self.body_step(buffer, at, u64::MAX, |_| State::UntilClose),
                State::ChunkSize => self.chunk_size_step(&buffer[at..])?,
                State::ChunkEnd => self.chunk_end_step(&buffer[at..])?,
                State::Trailer => self.trailer_step(&buffer[at..])?,
                State::Whole => Step::Over(Progress::Whole),
            };
            match step {
                Step::Past(bytes) => at += bytes,
                Step::Over(progress) => break progress,
            }
        };
        if progress == Progress::More {
            buffer.copy_within(at.., self.body_bytes);
            buffer.truncate(self.body_bytes + buffer.len() - at);
        } else {
            let is_clean = progress == Progress::Whole && at == buffer.len();
            if let Some(head) = &mut self.head {
                head.keep_alive &= is_clean;
            }
            buffer.truncate(self.body_bytes);
        }
        Ok(progress)
    }

    /// There are no more bytes. The buffer holds the body if this succeeds.
    ///
    /// # Errors
    /// [`AnswerError::Nothing`], [`AnswerError::CutOff`], [`AnswerError::NotHttp`].
    pub(super) fn end(&mut self, buffer: &[u8]) -> Result<(), AnswerError> {
        match self.state {
            State::UntilClose | State::Whole => Ok(()),
            _ if !self.has_begun => Err(AnswerError::Nothing),
            // A line that never ended has not been looked at.
            State::Head => parse_head(buffer).and(Err(AnswerError::CutOff)),
            _ => Err(AnswerError::CutOff),
        }
    }

    fn head_step(&mut self, raw: &[u8]) -> Result<Step, AnswerError> {
        let has_line = memchr::memchr(b'\n', &raw[self.searched_bytes..]).is_some();
        let parsed = if has_line { parse_head(raw)? } else { None };
        let Some((bytes, status, fields)) = parsed else {
            self.searched_bytes = raw.len();
            let is_bounded = raw.len() <= limits::HEAD_BYTES_MAX;
            return if is_bounded { Ok(Step::Over(Progress::More)) } else { Err(AnswerError::HeadTooLong) };
        };
        self.searched_bytes = 0;
        if status == 101 {
            // Switching protocols was not requested.
            return Err(AnswerError::NotHttp);
        }
        if status >= 200 {
            let (head, framing) = fields.into_head(status);
            self.state = match framing {
                Framing::Length(0) => State::Whole,
                Framing::Length(length) => State::Length(length),
                Framing::Chunks => State::ChunkSize,
                Framing::UntilClose => State::UntilClose,
            };
            self.head = Some(head);
        }
        Ok(Step::Past(bytes))
    }

    /// Takes as much of the body as has arrived, at most `left` bytes and what the cap allows.
    fn body_step(&mut self, buffer: &mut [u8], at: usize, left: u64, state: fn(u64) -> State) -> Step {
        let cap = if self.head.as_ref().is_some_and(Head::is_success) { self.caps.success } else { self.caps.other };
        let there = buffer.len() - at;
        let wanted = usize::try_from(left).unwrap_or(usize::MAX);
        let room = cap - self.passed_bytes - self.body_bytes;
        let bytes = there.min(wanted).min(room);
        if at > self.body_bytes {
            buffer.copy_within(at..at + bytes, self.body_bytes);
        }
        self.body_bytes += bytes;
        let is_endless = self.state == State::UntilClose;
        // A body that is too long by the length that was announced is not read at all, unless its beginning is passed on.
        let is_too_long = if is_endless || self.is_streamed { there.min(wanted) > room } else { wanted > room };
        if is_too_long {
            return Step::Over(Progress::TooLong);
        }
        if is_endless || bytes < wanted {
            self.state = state(left - bytes as u64);
            return if bytes == 0 { Step::Over(Progress::More) } else { Step::Past(bytes) };
        }
        self.state = if matches!(self.state, State::Chunk(_)) { State::ChunkEnd } else { State::Whole };
        Step::Past(bytes)
    }

    fn chunk_size_step(&mut self, raw: &[u8]) -> Result<Step, AnswerError> {
        if raw.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) {
            // httparse would take a line without a number for the last chunk.
            return Err(AnswerError::BadChunk);
        }
        if memchr::memchr(b'\n', raw).is_some_and(|end| !raw[..end].ends_with(b"\r")) {
            // httparse would read beyond a bare newline; other programs take it for the end of the line.
            return Err(AnswerError::BadChunk);
        }
        match httparse::parse_chunk_size(raw) {
            // The same bound for a line that comes in one piece, so that an answer is the same in whatever pieces it comes.
            Ok(httparse::Status::Complete((bytes, size))) if bytes <= limits::CHUNK_LINE_BYTES_MAX => {
                self.state = if size == 0 { State::Trailer } else { State::Chunk(size) };
                Ok(Step::Past(bytes))
            }
            Ok(httparse::Status::Partial) if raw.len() <= limits::CHUNK_LINE_BYTES_MAX => {
                Ok(Step::Over(Progress::More))
            }
            _ => Err(AnswerError::BadChunk),
        }
    }

    fn chunk_end_step(&mut self, raw: &[u8]) -> Result<Step, AnswerError> {
        match raw {
            [b'\r', b'\n', ..] => {
                self.state = State::ChunkSize;
                Ok(Step::Past(2))
            }
            [] | [b'\r'] => Ok(Step::Over(Progress::More)),
            _ => Err(AnswerError::BadChunk),
        }
    }

    /// Skips the fields behind the last chunk.
    fn trailer_step(&mut self, raw: &[u8]) -> Result<Step, AnswerError> {
        let line = memchr::memchr(b'\n', raw).map(|end| &raw[..=end]);
        if self.trailer_bytes + line.unwrap_or(raw).len() > limits::HEAD_BYTES_MAX {
            return Err(AnswerError::HeadTooLong);
        }
        let Some(line) = line else { return Ok(Step::Over(Progress::More)) };
        self.trailer_bytes += line.len();
        if matches!(line, b"\r\n" | b"\n") {
            self.state = State::Whole;
        }
        Ok(Step::Past(line.len()))
    }
}

/// What one step of the decoder has done.
enum Step {
    /// It has consumed so many bytes, and continues in the state that it has set.
    Past(usize),
    Over(Progress),
}

/// Writes the text of every error that is about an answer without its end.
pub(super) fn write_cut_off(f: &mut fmt::Formatter<'_>, cause: &dyn fmt::Display) -> fmt::Result {
    write!(f, "the response was cut off: {cause}")
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str(
                "the connection was closed before a response arrived (if this port speaks TLS, write \
                             https://)",
            ),
            Self::CutOff => write_cut_off(f, &"the connection was closed"),
            Self::NotHttp => f.write_str("the response is not HTTP/1.1: is this the right port?"),
            Self::Tls => f.write_str("the port speaks TLS: write https://"),
            Self::HeadTooLong => write!(f, "the response header is longer than {} bytes", limits::HEAD_BYTES_MAX),
            Self::TooManyFields => {
                write!(f, "the response header has more than {} fields", limits::HEAD_FIELDS_MAX)
            }
            Self::BadLength => f.write_str("the response has an invalid Content-Length"),
            Self::UnknownCoding => f.write_str("the response has a Transfer-Encoding other than chunked"),
            Self::BadChunk => f.write_str("the response is not HTTP/1.1: malformed chunk"),
        }
    }
}

#[cfg(test)]
mod tests;
