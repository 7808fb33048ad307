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
    Ready,
    /// Its flags are ours, and say that nothing waits.
    Own,
    Socket,
    /// Its flags are not ours.
    Shared,
}

impl Stream {
    /// What others share.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn of_shared(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        let shared = File::from(descriptor.try_clone_to_owned()?);
        let file_type = shared.metadata()?.file_type();
        if file_type.is_socket() {
            return Ok(Self { file: shared, kind: Kind::Socket });
        }
        if !file_type.is_fifo() && !rustix::termios::isatty(&shared) {
            return Ok(Self { file: shared, kind: Kind::Ready });
        }
        Ok(match reopened(&shared) {
            Ok(file) => Self { file, kind: Kind::Own },
            Err(_) => Self { file: shared, kind: Kind::Shared },
        })
    }

    /// What was opened with [`regular_file::never_waiting`].
    pub(crate) fn of_own(file: File) -> Self {
        Self { file, kind: Kind::Own }
    }

    /// The same under a number that is out of the way of others.
    pub(crate) fn permanent(self) -> Self {
        Self { file: File::from(crate::descriptors::out_of_the_way(OwnedFd::from(self.file))), kind: self.kind }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Whether it may have to wait for somebody who reads.
    pub(crate) fn has_reader(&self) -> bool {
        self.kind != Kind::Ready
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is no room; what the system says.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.kind {
            Kind::Ready | Kind::Own => (&self.file).write(bytes),
            Kind::Socket => Ok(send(&self.file, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?),
            Kind::Shared if !self.has_room(Duration::ZERO) => Err(Errno::AGAIN.into()),
            // A pipe that has room has it for so many bytes.
            Kind::Shared => (&self.file).write(&bytes[..bytes.len().min(limits::PIPE_WRITE_BYTES)]),
        }
    }

    /// Whether there is room, or comes to be within `patience`, for which the thread stands still.
    pub(crate) fn has_room(&self, patience: Duration) -> bool {
        event_loop::block_until_writable(&self.file, patience)
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
            [(pipe.as_fd(), &mut pipe_reader, Kind::Own), (socket.as_fd(), &mut socket_reader, Kind::Socket)];
        for (end, reader, kind) in ends {
            let stream = Stream::of_shared(end).unwrap();
            assert_eq!(stream.kind, kind);
            let filled = fill(&stream);
            assert!(filled > limits::PIPE_WRITE_BYTES && !stream.has_room(Duration::ZERO));
            assert!(is_blocking(end));
            // The kernel has room again for a page, or half of a socket's buffer.
            reader.read_exact(&mut vec![0; filled]).unwrap();
            assert!(stream.has_room(Duration::ZERO) && stream.write(b"more").unwrap() == 4);
        }
    }

    #[test]
    fn without_flags_of_our_own_a_piece_is_written_when_there_is_room() {
        let (mut reader, pipe) = io::pipe().unwrap();
        let stream = Stream { file: File::from(OwnedFd::from(pipe)), kind: Kind::Shared };
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
        assert_eq!(stream.kind, Kind::Own);
        assert!(fill(&stream) > 0 && is_blocking(&terminal));
    }
}
