//! Writes to standard error, which may be a pipe that nobody reads: a line that finds no room is dropped and counted.

use crate::clock;
use crate::limits;
use crate::nonblocking;
use crate::stream::Stream;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Where log lines go.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// None if it is closed.
    stream: Option<Stream>,
    /// Lines since the last one that was written.
    dropped: u64,
    /// The last line was written in part.
    is_torn: bool,
    /// The reader has not read anything since a line found no room.
    is_stuck: bool,
    patience: Patience,
}

/// How long a line may still wait for room: a reader that is only slower than a burst of lines should not miss any.
#[derive(Debug, Default)]
struct Patience {
    since: Option<Instant>,
    left: Duration,
}

impl Output {
    pub(super) fn standard_error() -> Self {
        let stream = Stream::of_shared(io::stderr().as_fd()).map(Stream::with_high_number).ok();
        Self { stream, ..Self::default() }
    }

    /// Lines that found no room since one was written.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Writes a line that says how many were dropped.
    pub(super) fn write_notice(&mut self, line: &[u8]) {
        let dropped = std::mem::take(&mut self.dropped);
        self.write(line);
        if self.dropped > 0 {
            // The notice itself is none of them.
            self.dropped = dropped;
        }
    }

    /// Writes a line, or drops it.
    pub(super) fn write(&mut self, line: &[u8]) {
        // Written after a dropped line, it would look as if nothing were missing.
        let is_written = self.dropped == 0 && (!self.is_torn || self.write_all(b"\n")) && self.write_all(line);
        if !is_written {
            self.dropped += 1;
        }
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let Some(stream) = &self.stream else { return false };
            match nonblocking::attempt(|| stream.write(bytes)) {
                Ok(Some(written @ 1..)) => {
                    bytes = &bytes[written..];
                    self.is_torn = !bytes.is_empty();
                    self.is_stuck = false;
                }
                Ok(None) if self.wait_for_room() => {}
                // If it is closed, there is nowhere to report that.
                _ => return false,
            }
        }
        true
    }

    /// Waits for room, once in a while and not for long.
    fn wait_for_room(&mut self) -> bool {
        let Some(stream) = self.stream.as_ref().filter(|_| !self.is_stuck) else { return false };
        let now = clock::now();
        if self.patience.since.is_none_or(|since| now.duration_since(since) >= limits::LOG_PATIENCE_PERIOD) {
            self.patience = Patience { since: Some(now), left: limits::LOG_PATIENCE };
        }
        let has_room = stream.wait_for_room(self.patience.left);
        self.patience.left = self.patience.left.saturating_sub(clock::now().duration_since(now));
        self.is_stuck = !has_room;
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn lines_that_find_no_room_are_counted_and_the_rest_is_whole() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut output = Output { stream: Stream::of_shared(writer.as_fd()).ok(), ..Output::default() };
        let line = [&[b'x'; 1022][..], b"\n"].concat();
        while output.dropped() == 0 {
            output.write(&line);
        }
        (0..5).for_each(|_| output.write(b"dropped\n"));
        assert_eq!(output.dropped(), 6);
        output.write_notice(b"notice\n");
        assert_eq!(output.dropped(), 6, "there is no room for the notice either");
        let mut read = vec![0; 1 << 20];
        let bytes = reader.read(&mut read).unwrap();
        read.truncate(bytes);
        output.write_notice(b"notice\n");
        output.write(b"next\n");
        assert_eq!(output.dropped(), 0);
        drop((output, writer));
        reader.read_to_end(&mut read).unwrap();
        let text = String::from_utf8(read).unwrap();
        let (lines, end) = text.split_at(text.len() - b"notice\nnext\n".len());
        assert_eq!(end, "notice\nnext\n");
        let whole = lines.lines().filter(|written| written.len() == line.len() - 1).count();
        assert!(whole > 10 && lines.lines().count() - whole <= 1, "{whole} of {}", lines.lines().count());
    }

    #[test]
    fn one_that_is_closed_costs_nothing_but_the_line() {
        let (reader, writer) = io::pipe().unwrap();
        let mut output = Output { stream: Stream::of_shared(writer.as_fd()).ok(), ..Output::default() };
        drop(reader);
        (0..3).for_each(|_| output.write(b"line\n"));
        assert_eq!(output.dropped(), 3);
    }
}
