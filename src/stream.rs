//! Pipes, terminals and sockets that are written to without ever waiting: a reader that has stopped reading must not
//! hold up the one thread.
//!
//! Standard output and error are shared with other processes, which would notice if they were set to non-blocking. So a
//! pipe or a terminal is opened once more, which gives flags of our own, and a socket is told not to wait with each
//! piece. Where neither works (the pipe belongs to another user), a piece is written only after the system has said
//! that there is room for so many bytes; such a write can still block if another process takes that room in between.

use crate::event_loop;
use crate::limits;
use crate::regular_file;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::time::Duration;

/// Something that is written to.
#[derive(Debug)]
pub(crate) struct Stream {
    file: File,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A file, or a device that takes everything: there is nobody to wait for.
    NeverFull,
    /// A pipe or terminal with flags of our own, which is set to non-blocking.
    OwnFlags,
    /// A socket: each call says that it must not block.
    Socket,
    /// A pipe or terminal whose flags are shared with others, so that it may block.
    SharedFlags,
}

impl Stream {
    /// A stream that other processes write to as well.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn of_shared(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        let shared = File::from(descriptor.try_clone_to_owned()?);
        let file_type = shared.metadata()?.file_type();
        if file_type.is_socket() {
            return Ok(Self { file: shared, kind: Kind::Socket });
        }
        if !file_type.is_fifo() && !rustix::termios::isatty(&shared) {
            return Ok(Self { file: shared, kind: Kind::NeverFull });
        }
        Ok(match reopened(&shared) {
            Ok(file) => Self { file, kind: Kind::OwnFlags },
            Err(_) => Self { file: shared, kind: Kind::SharedFlags },
        })
    }

    /// A file that was opened with [`regular_file::never_waiting`].
    pub(crate) fn of_own(file: File) -> Self {
        Self { file, kind: Kind::OwnFlags }
    }

    /// The same stream with a descriptor that leaves the low numbers to others.
    pub(crate) fn with_high_number(self) -> Self {
        Self { file: File::from(crate::descriptors::with_high_number(OwnedFd::from(self.file))), kind: self.kind }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Whether somebody reads from it who can be too slow.
    pub(crate) fn has_reader(&self) -> bool {
        self.kind != Kind::NeverFull
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is no room; those of the system.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.kind {
            Kind::NeverFull | Kind::OwnFlags => (&self.file).write(bytes),
            Kind::Socket => Ok(send(&self.file, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?),
            Kind::SharedFlags if !self.wait_for_room(Duration::ZERO) => Err(Errno::AGAIN.into()),
            // A pipe that has room has it for so many bytes.
            Kind::SharedFlags => (&self.file).write(&bytes[..bytes.len().min(limits::PIPE_WRITE_BYTES)]),
        }
    }

    /// Blocks the thread until there is room, at most for `timeout`. False if there still is none.
    pub(crate) fn wait_for_room(&self, timeout: Duration) -> bool {
        event_loop::block_until_writable(&self.file, timeout)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn reopened(shared: &File) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", shared.as_raw_fd());
    OpenOptions::new().write(true).custom_flags(regular_file::never_waiting()).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    /// Writes until there is no room; gives how much that was.
    fn fill(stream: &Stream) -> usize {
        let mut filled = 0;
        loop {
            match stream.write(&[b'x'; limits::PIPE_WRITE_BYTES]) {
                Ok(bytes) => filled += bytes,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    return filled;
                }
            }
        }
    }

    fn is_blocking(descriptor: impl AsFd) -> bool {
        !rustix::fs::fcntl_getfl(descriptor).unwrap().contains(rustix::fs::OFlags::NONBLOCK)
    }

    #[test]
    fn a_full_pipe_or_socket_is_not_waited_for_and_whoever_shares_it_does_not_feel_it() {
        let (mut pipe_reader, pipe) = io::pipe().unwrap();
        let (mut socket_reader, socket) = UnixStream::pair().unwrap();
        let ends: [(BorrowedFd<'_>, &mut dyn Read, Kind); 2] =
            [(pipe.as_fd(), &mut pipe_reader, Kind::OwnFlags), (socket.as_fd(), &mut socket_reader, Kind::Socket)];
        for (end, reader, kind) in ends {
            let stream = Stream::of_shared(end).unwrap();
            assert_eq!(stream.kind, kind);
            let filled = fill(&stream);
            assert!(filled > limits::PIPE_WRITE_BYTES && !stream.wait_for_room(Duration::ZERO));
            assert!(is_blocking(end));
            // The kernel has room again for a page, or half of a socket's buffer.
            reader.read_exact(&mut vec![0; filled]).unwrap();
            assert!(stream.wait_for_room(Duration::ZERO) && stream.write(b"more").unwrap() == 4);
        }
    }

    #[test]
    fn without_flags_of_our_own_a_piece_is_written_when_there_is_room() {
        let (mut reader, pipe) = io::pipe().unwrap();
        let stream = Stream { file: File::from(OwnedFd::from(pipe)), kind: Kind::SharedFlags };
        let filled = fill(&stream);
        reader.read_exact(&mut vec![0; filled]).unwrap();
        assert_eq!(fill(&stream), filled);
    }

    #[test]
    fn a_terminal_that_shows_nothing_more_is_not_waited_for() {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let terminal = OpenOptions::new()
            .write(true)
            .custom_flags(rustix::fs::OFlags::NOCTTY.bits().cast_signed())
            .open(name.to_str().unwrap())
            .unwrap();
        let stream = Stream::of_shared(terminal.as_fd()).unwrap();
        assert_eq!(stream.kind, Kind::OwnFlags);
        assert!(fill(&stream) > 0 && is_blocking(&terminal));
    }
}
