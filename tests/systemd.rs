//! What a service manager is told. The test is the manager: it binds the socket, and starts the program with it.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;
#[path = "support/reloads.rs"]
mod reloads;

use loopback::{Server, counting_app, storing_server, wait_until};
use program::Program;
use reloads::{only, sequence, stop};
use std::cell::RefCell;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use tempfile::TempDir;

struct Manager {
    socket: UnixDatagram,
    /// What the program finds in `NOTIFY_SOCKET`.
    place: String,
    messages: RefCell<Vec<String>>,
    _folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        Self::at(socket, path.to_str().expect("UTF-8").to_owned(), folder)
    }

    /// With a socket that is in no file system.
    fn in_no_folder(name: &str) -> Self {
        let name = format!("expvastic-{name}-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a short name");
        let socket = UnixDatagram::bind_addr(&address).expect("bound");
        Self::at(socket, format!("@{name}"), tempfile::tempdir().expect("a folder"))
    }

    fn at(socket: UnixDatagram, place: String, folder: TempDir) -> Self {
        socket.set_nonblocking(true).expect("set");
        Self { socket, place, messages: RefCell::default(), _folder: folder }
    }

    fn start(&self, environment: &[(&str, &str)], config: &str) -> Program {
        let own = [("NOTIFY_SOCKET", self.place.as_str())];
        Program::start_with(&[&own, environment].concat(), &[], config)
    }

    /// Everything that has come so far.
    fn messages(&self) -> Vec<String> {
        let mut message = [0; 4096];
        while let Ok(bytes) = self.socket.recv(&mut message) {
            let text = String::from_utf8(message[..bytes].to_vec()).expect("UTF-8");
            self.messages.borrow_mut().push(text);
        }
        self.messages.borrow().clone()
    }

    fn count(&self, beginning: &str) -> usize {
        self.messages().iter().filter(|message| message.starts_with(beginning)).count()
    }

    /// Changes of state, in their order.
    fn states(&self) -> Vec<String> {
        let is_state = |message: &String| !message.starts_with("STATUS=") && !message.starts_with("WATCHDOG=");
        self.messages().into_iter().filter(is_state).collect()
    }

    /// Waits for so many changes of state, and gives the last.
    fn state(&self, number: usize) -> String {
        wait_until("a change of state", || self.states().len() >= number);
        self.states()[number - 1].clone()
    }

    fn wait_for(&self, what: &str) {
        wait_until(what, || self.messages().iter().any(|message| message.contains(what)));
    }
}

fn shipping(server: &Server, app: &Server) -> String {
    only(&app.address, "es", &format!("endpoint: \"{}\", timeout: 2s", server.address))
}

#[test]
fn the_states_of_the_process_are_told_in_their_order() {
    let (app, (server, store)) = (counting_app(), storing_server());
    let manager = Manager::new();
    let good = shipping(&server, &app).replace("settings: {", "settings: {listen: \"127.0.0.1:0\", ");
    let mut program = manager.start(&[], &good);
    assert_eq!(manager.state(1), "READY=1\nSTATUS=started");
    let said = program.read("stderr");
    assert!(said.contains("status pages at"), "not before the configuration is in force: {said}");
    manager.wait_for(" shipped, ");
    wait_until("documents are stored", || sequence(&store).len() > 3);

    program.signal("HUP");
    let reloading = manager.state(2);
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("the message");
    assert!(time.parse::<u64>().expect("microseconds") > 0);
    assert_eq!(manager.state(3), "READY=1\nSTATUS=configuration reloaded");

    std::fs::write(program.path("conf.yml"), "readers: [").expect("written");
    program.signal("HUP");
    assert!(manager.state(4).starts_with("RELOADING=1\nMONOTONIC_USEC="));
    let refused = "the new configuration was refused (see the log), the one before is in force";
    assert_eq!(manager.state(5), format!("READY=1\nSTATUS={refused}"));
    manager.wait_for(&format!(" waiting; {refused}"));

    assert_eq!(stop(&mut program), Some(0));
    assert!(manager.state(6).starts_with("STOPPING=1\nEXTEND_TIMEOUT_USEC=1100000\nSTATUS="), "{}", manager.state(6));
    assert_eq!((manager.states().len(), manager.count("WATCHDOG=")), (6, 0));
}

#[test]
fn a_configuration_that_is_refused_is_never_ready() {
    let manager = Manager::new();
    let mut program = manager.start(&[("WATCHDOG_USEC", "100000")], "readers: [");
    assert_eq!(program.wait(), Some(78));
    assert_eq!(manager.messages(), [""; 0]);
}

#[test]
fn a_server_that_is_away_is_in_the_status() {
    let app = counting_app();
    let manager = Manager::in_no_folder("away");
    let _program = manager.start(&[], &only(&app.address, "es", "endpoint: \"127.0.0.1:1\""));
    manager.wait_for("STATUS=0 documents shipped, ");
    let said = manager.messages().into_iter().find(|message| message.starts_with("STATUS=")).expect("a status");
    assert!(said.ends_with(" waiting; no answer for es"), "{said}");
}

#[test]
fn signs_of_life_end_when_the_thread_does_nothing() {
    let (app, (server, _store)) = (counting_app(), storing_server());
    let manager = Manager::new();
    // Nothing but the watchdog wakes it.
    let config = shipping(&server, &app).replace("interval: 10ms", "interval: 1h");
    let period = Duration::from_millis(100);
    let program = manager.start(&[("WATCHDOG_USEC", "200000")], &config);
    wait_until("five signs of life", || manager.count("WATCHDOG=1") >= 5);
    program.signal("STOP");
    let stat = format!("/proc/{}/stat", program.id());
    wait_until("it is stopped", || std::fs::read_to_string(&stat).expect("it is there").contains(") T "));
    let before = manager.messages().len();
    manager.socket.set_nonblocking(false).expect("set");
    manager.socket.set_read_timeout(Some(10 * period)).expect("set");
    let nothing = manager.socket.recv(&mut [0; 64]).expect_err("no sign of life");
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    manager.socket.set_nonblocking(true).expect("set");
    program.signal("CONT");
    wait_until("it goes on", || manager.messages().len() > before);
}

#[test]
fn a_watchdog_of_another_process_gets_no_sign_of_life() {
    let (app, (server, store)) = (counting_app(), storing_server());
    let manager = Manager::new();
    let environment = [("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "1")];
    let mut program = manager.start(&environment, &shipping(&server, &app));
    wait_until("documents are stored", || sequence(&store).len() > 10);
    assert_eq!(stop(&mut program), Some(0));
    assert_eq!((manager.count("READY=1"), manager.count("WATCHDOG=")), (1, 0));
}

#[test]
fn a_manager_that_does_not_read_holds_up_nothing() {
    let (app, (server, store)) = (counting_app(), storing_server());
    let manager = Manager::new();
    let mut program = manager.start(&[("WATCHDOG_USEC", "20000")], &shipping(&server, &app));
    let filler = UnixDatagram::unbound().expect("a socket");
    filler.set_nonblocking(true).expect("set");
    wait_until("the socket is full", || filler.send_to(b"FILLER=1", &manager.place).is_err());
    let stored = sequence(&store).len();
    wait_until("documents are stored", || sequence(&store).len() > stored + 20);
    assert_eq!(stop(&mut program), Some(0));
}

#[test]
fn without_a_watchdog_a_manager_costs_no_wake_up() {
    let (app, (server, store)) = (counting_app(), storing_server());
    let manager = Manager::new();
    let program = manager.start(&[], &shipping(&server, &app).replace("interval: 10ms", "interval: 1h"));
    wait_until("a document is stored", || !sequence(&store).is_empty());
    manager.wait_for("STATUS=1 document shipped");
    // The thread blocks once for whatever wakes it.
    let is_idle = || {
        let before = program.status("voluntary_ctxt_switches");
        std::thread::sleep(Duration::from_secs(1));
        before == program.status("voluntary_ctxt_switches")
    };
    assert!((0..20).any(|_| is_idle()), "it is woken again and again");
}
