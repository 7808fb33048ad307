//! Decodes an HTTP/1.1 answer as its bytes arrive. Pure; the result does not depend on how the bytes are split into pieces.
//!
//! New bytes are appended to the buffer and decoded in place. Invariant: after [`Decoder::decode`] the buffer holds the
//! part of the body that has arrived and was not passed on. Behind it there may be an incomplete piece of the head or of
//! the framing of a chunk. Both parts are bounded.

pub(super) mod head;

use crate::limits;
use head::{Framing, Head, parse_head};
use std::fmt;

/// Decodes one answer.
#[derive(Debug)]
pub(super) struct Decoder {
    state: State,
    caps: Caps,
    /// Whether the body is read up to its cap even if its announced length is greater.
    is_streamed: bool,
    has_begun: bool,
    /// Bytes of the body at the front of the buffer.
    body_bytes: usize,
    /// Bytes of the body that came before those, and were passed on.
    passed_bytes: usize,
    /// Bytes behind `body_bytes` that have been searched and contain no line end.
    searched_bytes: usize,
    trailer_bytes: usize,
    head: Option<Head>,
}

/// The most bytes of a body that are read: that of a success, and that of any other answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caps {
    pub(super) success: usize,
    pub(super) other: usize,
}

/// How much of an answer has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The answer is not complete yet.
    More,
    /// The answer is complete, and the buffer holds its body.
    Whole,
    /// The body is longer than the cap. The buffer holds its beginning, and no more of it is read.
    TooLong,
}

/// Why the bytes that have arrived are not a valid answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerError {
    /// The connection was closed before the first byte. Occasional: the process was stopped, or speaks another protocol.
    Nothing,
    /// The connection was closed within the answer. Occasional: the process was stopped.
    CutOff,
    /// It is not HTTP/1.1. Occasional: a wrong port.
    NotHttp,
    /// The answer is a TLS record, so the port expects TLS. Common while setting up: `http://` instead of `https://`.
    Tls,
    /// The head is longer than [`limits::HEAD_BYTES_MAX`]. Rare: a proxy in between that adds fields.
    HeadTooLong,
    /// The head has more fields than [`limits::HEAD_FIELDS_MAX`]. Rare, for the same reason.
    TooManyFields,
    /// `Content-Length` is no number, or there are two that differ. Rare: a broken server or proxy.
    BadLength,
    /// `Transfer-Encoding` is something other than just `chunked`. Rare: with HTTP/1.1 nothing else is in use.
    UnknownCoding,
    /// The framing of a chunk is malformed. Rare: a broken server or proxy.
    BadChunk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// The number of bytes of the body that have not arrived yet.
    Length(u64),
    ChunkSize,
    /// The number of bytes of this chunk that have not arrived yet.
    Chunk(u64),
    ChunkEnd,
    Trailer,
    UntilClose,
    Whole,
}

impl Decoder {
    /// `is_streamed` says whether [`Decoder::pass_on`] is called after each call of [`Decoder::decode`].
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

    /// Whether any byte has arrived.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The head, once it is complete.
    pub(super) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The head, if it has arrived completely.
    pub(super) fn into_head(self) -> Option<Head> {
        self.head
    }

    /// Once the head is complete, returns the status and the number of bytes of the body at the front of the buffer. The
    /// caller removes these bytes from the buffer; they still count towards the cap.
    pub(super) fn pass_on(&mut self) -> Option<(u16, usize)> {
        let status = self.head.as_ref()?.status;
        self.passed_bytes += self.body_bytes;
        Some((status, std::mem::take(&mut self.body_bytes)))
    }

    /// The number of bytes that are still to come according to the announced length of the body or chunk.
    pub(super) fn bytes_to_come(&self) -> usize {
        let left = match self.state {
            State::Length(left) | State::Chunk(left) => left,
            _ => 0,
        };
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Decodes the bytes that were appended to `buffer` since the last call.
    ///
    /// # Errors
    /// [`AnswerError`]. The content of the buffer is then meaningless.
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

    /// Ends the answer, because the connection was closed. If this succeeds, the buffer holds the body.
    ///
    /// # Errors
    /// [`AnswerError::Nothing`], [`AnswerError::CutOff`], [`AnswerError::NotHttp`].
    pub(super) fn end(&mut self, buffer: &[u8]) -> Result<(), AnswerError> {
        match self.state {
            State::UntilClose | State::Whole => Ok(()),
            _ if !self.has_begun => Err(AnswerError::Nothing),
            // A first line without an end has not been parsed yet.
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

    /// Takes the part of the body that has arrived, but at most `left` bytes, and no more than the cap allows.
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
        // If the announced length is above the cap, nothing of the body is read, unless its beginning is passed on.
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
            // httparse would treat a line without a number as the last chunk.
            return Err(AnswerError::BadChunk);
        }
        if memchr::memchr(b'\n', raw).is_some_and(|end| !raw[..end].ends_with(b"\r")) {
            // httparse would read past a bare newline, which other programs treat as the end of the line.
            return Err(AnswerError::BadChunk);
        }
        match httparse::parse_chunk_size(raw) {
            // A complete line has the same bound as an incomplete one, so that the result does not depend on the pieces.
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

    /// Skips the trailer, which are the fields behind the last chunk.
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
    /// It has consumed this number of bytes. Decoding continues in the state that it has set.
    Past(usize),
    /// Nothing more can be decoded for now.
    Over(Progress),
}

/// Writes the message for an answer that ends too early.
pub(super) fn write_cut_off(f: &mut fmt::Formatter<'_>, cause: &dyn fmt::Display) -> fmt::Result {
    write!(f, "the response was cut off: {cause}")
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str(
                "the connection was closed before a response arrived (if this port speaks TLS, write https://)",
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
