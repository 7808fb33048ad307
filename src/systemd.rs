//! What the supervisor of the process is told, in systemd's protocol (`sd_notify`): that the configuration is in force,
//! that it is being loaded again, that the process ends, one line about what it does, and signs of life for a watchdog.
//!
//! Invariants: nothing here waits. A process without `NOTIFY_SOCKET` has no [`Supervisor`], and one without a watchdog has
//! no timer for it. All messages come from the thread that ships, so a sign of life means that this thread is alive.

use crate::clock;
use crate::descriptors;
use crate::limits;
use crate::nonblocking;
use crate::quote;
use std::cell::{Cell, RefCell};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// The supervisor that has started this process and wants to know how it is doing.
#[derive(Debug)]
pub(crate) struct Supervisor {
    /// It is not connected: the supervisor may be restarted, and then has another socket at the same address.
    socket: UnixDatagram,
    address: SocketAddr,
    /// How often a watchdog is given a sign of life, if there is one.
    ping_period: Option<Duration>,
    /// The last change of state, if there was no room for it in the supervisor's socket.
    unsent: RefCell<String>,
    is_reload_refused: Cell<bool>,
    has_failed: Cell<bool>,
}

impl Supervisor {
    /// None if there is no supervisor that wants messages. `environment` gives the value of a variable.
    pub(crate) fn of(environment: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let place = environment("NOTIFY_SOCKET")?;
        let opened = address(&place).and_then(|address| {
            let socket = UnixDatagram::from(descriptors::with_high_number(UnixDatagram::unbound()?.into()));
            socket.set_nonblocking(true)?;
            Ok((socket, address))
        });
        match opened {
            Ok((socket, address)) => Some(Self {
                socket,
                address,
                ping_period: ping_period(environment, std::process::id()),
                unsent: RefCell::default(),
                is_reload_refused: Cell::new(false),
                has_failed: Cell::new(false),
            }),
            Err(error) => {
                tracing::debug!("cannot use NOTIFY_SOCKET {place:?}: {error}");
                None
            }
        }
    }

    /// The configuration is in force. `status` says which.
    pub(crate) fn ready(&self, status: &str) {
        self.is_reload_refused.set(false);
        self.change_state(&format!("READY=1\nSTATUS={status}"));
    }

    /// The configuration is about to be loaded again.
    pub(crate) fn reloading(&self) {
        self.change_state(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::monotonic_microseconds()));
    }

    /// The new configuration is not used. Each status line says so until another one is.
    pub(crate) fn reload_refused(&self) {
        self.is_reload_refused.set(true);
        self.change_state(&format!("READY=1\nSTATUS={RELOAD_REFUSED}"));
    }

    /// The process ends within this time, which may be longer than the unit allows by itself.
    pub(crate) fn stopping(&self, within: Duration, status: &str) {
        self.change_state(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}\nSTATUS={status}", within.as_micros()));
    }

    /// Shows one line about what the process does.
    pub(crate) fn show(&self, status: &str) {
        let mut line = status.replace(char::is_control, " ");
        quote::shorten(&mut line, limits::STATUS_BYTES_MAX);
        if self.is_reload_refused.get() {
            line = format!("{line}; {RELOAD_REFUSED}");
        }
        self.send(&format!("STATUS={line}"));
    }

    /// Gives the watchdog a sign of life.
    pub(crate) fn ping(&self) {
        self.send("WATCHDOG=1");
    }

    /// When the next sign of life is due if there is one now; none if there is no watchdog.
    pub(crate) fn next_ping(&self, now: Instant) -> Option<Instant> {
        now.checked_add(self.ping_period?)
    }

    /// Sends again a change of state for which there was no room.
    pub(crate) fn send_again(&self) {
        let message = self.unsent.take();
        if !message.is_empty() {
            self.change_state(&message);
        }
    }

    fn change_state(&self, message: &str) {
        let is_done = self.send(message);
        // An earlier state does not matter any more.
        self.unsent.replace(if is_done { String::new() } else { message.to_owned() });
    }

    /// False if there is no room for the message, so that it may be tried again.
    fn send(&self, message: &str) -> bool {
        match nonblocking::attempt(|| self.socket.send_to_addr(message.as_bytes(), &self.address)) {
            Ok(sent) => sent.is_some(),
            Err(error) => {
                if !self.has_failed.replace(true) {
                    tracing::debug!("cannot reach the supervisor at NOTIFY_SOCKET: {error}");
                }
                true
            }
        }
    }
}

const RELOAD_REFUSED: &str = "the new configuration was refused (see the log), the one before is in force";

/// A path, or a name behind an `@` that is in no file system.
fn address(place: &str) -> io::Result<SocketAddr> {
    match place.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None if place.starts_with('/') => SocketAddr::from_pathname(place),
        None => Err(io::Error::new(io::ErrorKind::Unsupported, "expected a path, or a name behind an @")),
    }
}

/// Half of the watchdog's time. None if there is no watchdog, or if it watches another process.
fn ping_period(environment: &dyn Fn(&str) -> Option<String>, own_id: u32) -> Option<Duration> {
    let is_own = environment("WATCHDOG_PID").is_none_or(|id| id.parse() == Ok(own_id));
    let microseconds = environment("WATCHDOG_USEC").filter(|_| is_own)?.parse::<u64>().ok()?;
    (microseconds > 0).then(|| (Duration::from_micros(microseconds) / 2).max(limits::SIGN_OF_LIFE_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor(socket: &str) -> Option<Supervisor> {
        Supervisor::of(&|name| (name == "NOTIFY_SOCKET").then(|| socket.to_owned()))
    }

    #[test]
    fn a_watchdog_gets_two_signs_of_life_in_its_time_if_it_watches_this_process() {
        let period = |usec: Option<&str>, pid: Option<&str>| {
            let value = |name: &str| if name == "WATCHDOG_USEC" { usec } else { pid };
            ping_period(&|name| value(name).map(str::to_owned), 7)
        };
        assert_eq!(period(None, Some("7")), None);
        assert_eq!(period(Some("3000000"), None), Some(Duration::from_millis(1500)));
        assert_eq!(period(Some("3000000"), Some("7")), Some(Duration::from_millis(1500)));
        assert_eq!(period(Some("3000000"), Some("8")), None);
        assert_eq!(period(Some("3000000"), Some("seven")), None);
        assert_eq!(period(Some("1"), None), Some(limits::SIGN_OF_LIFE_MIN));
        for nothing in ["0", "", "-1", "soon"] {
            assert_eq!(period(Some(nothing), None), None, "{nothing}");
        }
        assert!(period(Some(&u64::MAX.to_string()), None).is_some());
    }

    #[test]
    fn without_a_usable_address_there_is_no_supervisor() {
        assert!(Supervisor::of(&|_| None).is_none());
        for place in ["vsock:2:1234", "relative", &format!("/{}", "x".repeat(200)), &format!("@{}", "x".repeat(200))] {
            assert!(supervisor(place).is_none(), "{place}");
        }
    }

    #[test]
    fn a_socket_that_is_missing_or_full_holds_up_nothing_and_gets_the_last_state_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let supervisor = supervisor(path.to_str().unwrap()).unwrap();
        supervisor.ready("nobody is there");
        supervisor.ping();

        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        while supervisor.send("filling") {}
        supervisor.ready("first");
        supervisor.stopping(Duration::from_secs(1), "last");
        supervisor.show("no room");
        let received = || {
            let mut message = [0; 512];
            let bytes = socket.recv(&mut message).ok()?;
            Some(String::from_utf8(message[..bytes].to_vec()).unwrap())
        };
        while received().is_some_and(|message| message == "filling") {}
        assert_eq!(received(), None);
        supervisor.send_again();
        assert_eq!(received().unwrap(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=1000000\nSTATUS=last");
        supervisor.send_again();
        assert_eq!(received(), None);
    }

    #[test]
    fn a_status_is_one_short_line_that_keeps_telling_of_a_refused_reload() {
        let name = format!("expvastic-status-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let supervisor = supervisor(&format!("@{name}")).unwrap();
        let received = || {
            let mut message = [0; 1024];
            let bytes = socket.recv(&mut message).unwrap();
            String::from_utf8(message[..bytes].to_vec()).unwrap()
        };
        supervisor.show("a\nMAINPID=1");
        assert_eq!(received(), "STATUS=a MAINPID=1");
        supervisor.show(&"x".repeat(1000));
        assert!(received().len() < limits::STATUS_BYTES_MAX + 20);
        supervisor.reload_refused();
        assert_eq!(received(), format!("READY=1\nSTATUS={RELOAD_REFUSED}"));
        supervisor.show("a");
        assert_eq!(received(), format!("STATUS=a; {RELOAD_REFUSED}"));
        supervisor.ready("b");
        supervisor.show("a");
        assert_eq!((received().as_str(), received().as_str()), ("READY=1\nSTATUS=b", "STATUS=a"));
    }
}
