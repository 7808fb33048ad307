//! File descriptors: how many there may be, who has precedence, and what is closed when there are none left.
//!
//! The system always gives out the lowest free number. Connections to readers are moved above one floor and those to
//! recorders above a lower one, so the numbers below stay free for what must not fail: spool, dead letters, files,
//! configuration, status pages. Because this depends on numbers and not on a count, it also holds when another process
//! lowers the limit of the running process. Before anything fails, idle connections are closed, oldest first.

pub(crate) mod spares;

use crate::limits;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::cell::RefCell;
#[cfg(feature = "proxy")]
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Weak;

thread_local! {
    /// The holders of connections that can be closed when descriptors run out.
    static IDLE: RefCell<Vec<Weak<dyn Idle>>> = const { RefCell::new(Vec::new()) };
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    Poll,
    /// Shipping has precedence over polls.
    Ship,
}

/// A holder of idle connections.
pub(crate) trait Idle {
    /// Closes the oldest that is for this purpose; false if there is none.
    fn close_oldest(&self, purpose: Purpose) -> bool;
}

/// Descriptors that are kept for others than polls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reserve {
    /// Files, and whatever else is not a connection to a reader or a recorder.
    pub(crate) files: usize,
    /// Connections to recorders.
    pub(crate) shipping: usize,
}

impl Reserve {
    /// The lowest number that a connection for this purpose has if the limit leaves enough.
    fn full_floor(self, purpose: Purpose) -> usize {
        match purpose {
            Purpose::Ship => self.files,
            Purpose::Poll => self.files + self.shipping,
        }
    }

    /// The lowest number that a connection for this purpose may have while the limit is `limit`. One for each purpose is
    /// left at any limit.
    fn floor(self, purpose: Purpose, limit: usize) -> usize {
        let left = match purpose {
            Purpose::Ship => 2,
            Purpose::Poll => 1,
        };
        self.full_floor(purpose).min(limit.saturating_sub(left))
    }

    /// Whether a connection for this purpose may keep its number. Only if the number is low is the limit asked for, which
    /// takes a system call.
    pub(crate) fn allows(self, purpose: Purpose, number: RawFd) -> bool {
        usize::try_from(number)
            .is_ok_and(|number| number >= self.full_floor(purpose) || number >= self.floor(purpose, limit()))
    }

    /// Gives a new connection a number that its purpose may have.
    ///
    /// # Errors
    /// [`Errno::MFILE`] if there is none.
    pub(crate) fn assign(self, purpose: Purpose, socket: OwnedFd) -> io::Result<OwnedFd> {
        if self.allows(purpose, socket.as_raw_fd()) {
            return Ok(socket);
        }
        self.duplicate(purpose, &socket)
    }

    /// The same descriptor once more, under a number that its purpose may have.
    ///
    /// # Errors
    /// [`Errno::MFILE`] if there is none.
    pub(crate) fn duplicate(self, purpose: Purpose, descriptor: &OwnedFd) -> io::Result<OwnedFd> {
        let floor = RawFd::try_from(self.floor(purpose, limit())).unwrap_or(RawFd::MAX);
        rustix::io::fcntl_dupfd_cloexec(descriptor, floor).map_err(|error| match error {
            // The limit has been lowered between the two calls.
            Errno::INVAL => Errno::MFILE.into(),
            other => other.into(),
        })
    }

    /// Connections that libcurl, which gives its own the lowest numbers, may have: not more than a part of what is left
    /// for polls.
    #[cfg(feature = "proxy")]
    pub(crate) fn for_libcurl(self) -> usize {
        (limit().saturating_sub(self.files + self.shipping) * 3 / 8).max(2)
    }
}

/// The number of descriptors that this process may have now.
pub(crate) fn limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(RawFd::MAX as usize)
}

/// Raises the limit as far as the system lets us without privileges. Returns the limit before and after.
pub(crate) fn raise_limit() -> (Rlimit, Rlimit) {
    let before = getrlimit(Resource::Nofile);
    // If this is refused, the limit stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum });
    (before, getrlimit(Resource::Nofile))
}

/// Whether the process, or the system, has no descriptor left.
pub(crate) fn are_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// The text for people when descriptors have run out.
pub(crate) fn advice() -> String {
    format!("out of file descriptors (the limit is {}: raise it with ulimit -n or LimitNOFILE=)", limit())
}

/// Moves a descriptor that stays open for as long as the process lives to a high number: the low ones remain usable if the
/// limit is lowered. If there is no high one, it keeps its number.
pub(crate) fn with_high_number(descriptor: OwnedFd) -> OwnedFd {
    rustix::io::fcntl_dupfd_cloexec(&descriptor, limits::PERMANENT_DESCRIPTORS_FLOOR).unwrap_or(descriptor)
}

/// Registers a holder of idle connections, for as long as it lives.
pub(crate) fn register(holder: Weak<dyn Idle>) {
    IDLE.with_borrow_mut(|holders| {
        holders.retain(|holder| holder.strong_count() > 0);
        holders.push(holder);
    });
}

/// Closes one idle connection: the oldest one of polls, or if there is none, the oldest one of recorders.
fn close_idle() -> bool {
    close_idle_for(Purpose::Ship)
}

/// The same without closing connections that have precedence over `purpose`.
pub(crate) fn close_idle_for(purpose: Purpose) -> bool {
    let holders: Vec<_> = IDLE.with_borrow(|holders| holders.iter().filter_map(Weak::upgrade).collect());
    let purposes = [Purpose::Poll, Purpose::Ship].into_iter().filter(|closed| *closed <= purpose);
    purposes.into_iter().any(|purpose| holders.iter().any(|holder| holder.close_oldest(purpose)))
}

/// Runs an operation that needs a descriptor and has precedence over all connections. While there is none, frees those
/// that are held in reserve or idle, one after the other, until it works.
///
/// # Errors
/// That of the last attempt.
pub(crate) fn freeing<T>(attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    until_there_is_one(attempt, make_room)
}

/// The same for an operation that may only close idle connections.
///
/// # Errors
/// That of the last attempt.
pub(crate) fn closing_idle<T>(attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    until_there_is_one(attempt, close_idle)
}

/// Frees a descriptor for something that has precedence over all connections; false if there is none to be had.
pub(crate) fn make_room() -> bool {
    spares::release() || close_idle()
}

fn until_there_is_one<T>(mut attempt: impl FnMut() -> io::Result<T>, make_room: impl Fn() -> bool) -> io::Result<T> {
    loop {
        match attempt() {
            Err(error) if are_exhausted(&error) && make_room() => {}
            done => return done,
        }
    }
}

/// Whether this many descriptors are free, for a library that aborts without them.
#[cfg(feature = "proxy")]
pub(crate) fn are_free(count: usize) -> bool {
    let mut held = Vec::with_capacity(count);
    (0..count).all(|_| closing_idle(|| File::open("/dev/null")).map(|file| held.push(file)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(not(feature = "proxy"))]
    use std::fs::File;

    #[test]
    fn each_purpose_has_numbers_of_its_own_at_any_limit() {
        let reserve = Reserve { files: 20, shipping: 3 };
        for (limit, shipping, polling) in
            [(1024, 20, 23), (24, 20, 23), (23, 20, 22), (16, 14, 15), (2, 0, 1), (0, 0, 0)]
        {
            let floors = [Purpose::Ship, Purpose::Poll].map(|purpose| reserve.floor(purpose, limit));
            assert_eq!(floors, [shipping, polling], "{limit}");
        }
    }

    #[test]
    fn a_connection_is_moved_above_the_floor_of_its_purpose() {
        let socket = || OwnedFd::from(File::open("/dev/null").unwrap());
        let reserve = Reserve { files: 500, shipping: 100 };
        for (purpose, floor) in [(Purpose::Ship, 500), (Purpose::Poll, 600)] {
            let assigned = reserve.assign(purpose, socket()).unwrap();
            assert!(assigned.as_raw_fd() >= floor && reserve.allows(purpose, assigned.as_raw_fd()));
            let number = assigned.as_raw_fd();
            assert_eq!(reserve.assign(purpose, assigned).unwrap().as_raw_fd(), number, "it stays where it is");
        }
        let free = Reserve::default();
        let here = socket();
        let number = here.as_raw_fd();
        assert_eq!(free.assign(Purpose::Poll, here).unwrap().as_raw_fd(), number);
    }

    #[test]
    fn what_is_idle_is_closed_until_there_is_a_descriptor_polls_first() {
        use std::cell::Cell;
        use std::rc::Rc;

        struct Holder {
            idle: RefCell<Vec<Purpose>>,
        }

        impl Idle for Holder {
            fn close_oldest(&self, purpose: Purpose) -> bool {
                let mut idle = self.idle.borrow_mut();
                idle.iter().position(|other| *other == purpose).map(|at| idle.remove(at)).is_some()
            }
        }

        let all = vec![Purpose::Ship, Purpose::Poll, Purpose::Poll];
        let holder = Rc::new(Holder { idle: RefCell::new(all) });
        let weak: Weak<Holder> = Rc::downgrade(&holder);
        register(weak);
        let missing = Cell::new(2);
        let attempt = || match missing.replace(missing.get() - 1) {
            0 => Ok("opened"),
            _ => Err(Errno::MFILE.into()),
        };
        assert_eq!(freeing(attempt).unwrap(), "opened");
        assert_eq!(*holder.idle.borrow(), [Purpose::Ship]);
        assert!(!close_idle_for(Purpose::Poll), "one that ships is not closed for a poll");
        let never = freeing(|| Err::<(), _>(Errno::NFILE.into())).unwrap_err();
        assert!(are_exhausted(&never) && holder.idle.borrow().is_empty());
        let other = freeing(|| Err::<(), _>(Errno::ACCESS.into())).unwrap_err();
        assert!(!are_exhausted(&other));
    }
}
