//! Nothing that the configuration names can block the only thread: pipes that nobody reads, or FIFOs and devices in place of
//! files. Runs the program itself.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;

use loopback::{Reply, Server, Store, counting_app, storing_server, wait_until};
use program::Program;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// An endpoint that is polled, a server that stores.
struct Around {
    app: Server,
    server: Server,
    store: Arc<Mutex<Store>>,
}

impl Around {
    fn new() -> Self {
        let (server, store) = storing_server();
        Self { app: counting_app(), server, store }
    }

    fn config(&self, settings: &str, reader: &str, recorder: &str) -> String {
        format!(
            "settings: {{{settings}}}\n\
             readers: {{app: {{type_name: app, endpoint: \"{}\", interval: 5ms, timeout: 2s{reader}}}}}\n\
             recorders: {{es: {{endpoint: \"{}\", timeout: 2s, bulk: {{age: 50ms}}{recorder}}}}}\n\
             routes: {{r: {{readers: [app], recorders: [es]}}}}\n",
            self.app.address, self.server.address
        )
    }

    fn goes_on(&self) {
        let stored = || self.store.lock().expect("the store").documents.len();
        let before = stored();
        wait_until("more documents are stored", || stored() > before + 20);
    }

    /// It still answers to what it is told, and ends by itself.
    fn ends_well(&self, mut program: Program) {
        self.goes_on();
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0));
    }
}

fn fifo(path: &Path) {
    let _ = std::fs::remove_file(path);
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
}

/// The end that a test reads, and the one that the program writes to.
fn stream(kind: &str) -> (File, OwnedFd) {
    match kind {
        "pipe" => {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            (OwnedFd::from(reader).into(), writer.into())
        }
        "socket" => {
            let (reader, writer) = UnixStream::pair().expect("a pair");
            (OwnedFd::from(reader).into(), writer.into())
        }
        _ => {
            let terminal = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY);
            let terminal = terminal.expect("a terminal");
            rustix::pty::unlockpt(&terminal).expect("unlocked");
            let name = rustix::pty::ptsname(&terminal, Vec::new()).expect("its name");
            let shown = rustix::fs::open(name, OFlags::WRONLY | OFlags::NOCTTY, Mode::empty()).expect("its other end");
            (terminal.into(), shown)
        }
    }
}

/// Reads what is there, and goes on until `end` has come.
fn read_until(reader: &mut File, end: &str) -> String {
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&read).contains(end) {
        let bytes = reader.read(&mut piece).expect("it is open");
        assert!(bytes > 0, "the end: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&piece[..bytes]);
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// Writes until there is no room. Gives the number of bytes.
fn fill(writer: &OwnedFd) -> usize {
    rustix::io::ioctl_fionbio(writer, true).expect("set");
    let mut filled = 0;
    // The system passes on what is written to a terminal, which makes room once more.
    let while_room_returns = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };
    while rustix::event::poll(&mut [PollFd::new(writer, PollFlags::OUT)], Some(&while_room_returns)).expect("polled")
        > 0
    {
        for piece in [&[b'x'; 4096][..], b"x"] {
            while let Ok(bytes) = rustix::io::write(writer, piece) {
                filled += bytes;
            }
        }
    }
    rustix::io::ioctl_fionbio(writer, false).expect("set back");
    filled
}

#[test]
fn log_lines_that_nobody_reads_are_dropped_and_counted() {
    for kind in ["pipe", "socket", "terminal"] {
        let around = Around::new();
        let (mut reader, writer) = stream(kind);
        let filled = fill(&writer);
        let shared = writer.try_clone().expect("once more");
        let mut program = Program::start_saying_to(shared, &around.config("", "", ""));
        around.goes_on();
        program.signal("USR1");
        around.goes_on();
        program.signal("HUP");
        around.goes_on();
        let is_blocking = !rustix::fs::fcntl_getfl(&writer).expect("its flags").contains(OFlags::NONBLOCK);
        assert!(is_blocking, "{kind}: others who share it would feel it");
        drop(writer);
        reader.read_exact(&mut vec![0; filled]).expect("what was in it");
        // Now there is room, and few lines come: those of the end find their place however slowly they are read.
        program.signal("TERM");
        let said = read_until(&mut reader, "ledger: made");
        assert_eq!(program.wait(), Some(0));
        let line =
            said.lines().find(|line| line.contains("log lines dropped")).unwrap_or_else(|| panic!("{kind}: {said}"));
        let count = line.rsplit('=').next().and_then(|count| count.trim().parse::<u64>().ok());
        assert!(count >= Some(4), "{kind}: {line}");
    }
}

#[test]
fn what_is_refused_goes_on_being_refused_where_its_file_is_a_fifo() {
    let (app, store) = (counting_app(), Arc::new(Mutex::new(Store::default())));
    let taken = Arc::clone(&store);
    let bulks = AtomicUsize::new(0);
    // Every second bulk is refused.
    let server = Server::start(move |request| {
        let is_refused = bulks.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        let refused = |_| is_refused.then_some((400, "mapper_parsing_exception"));
        taken.lock().expect("the store").take(&request.body, refused)
    });
    let around = Around { app, server, store };
    let folder = tempfile::tempdir().expect("a folder");
    let dead = folder.path().join("dead");
    fifo(&dead);
    let text = around.config("shutdown_timeout: 300ms", "", &format!(", dead_letter: \"{}\"", dead.display()));
    let mut program = Program::start(&[], &text);
    around.goes_on();
    let problem = "it is a FIFO, not a regular file";
    wait_until("it says so", || program.read("stderr").contains(problem));
    program.signal("TERM");
    assert!(program.wait().is_some());
    assert!(program.read("stderr").contains("ledger: made"));
}

#[test]
fn a_secret_whose_file_becomes_something_else_stays_what_it_was() {
    let around = Around::new();
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "planted-in-a-file\n").expect("written");
    let auth = format!(", auth: {{user: me, password_file: \"{}\"}}", secret.display());
    let program = Program::start(&[], &around.config("", "", &auth));
    around.goes_on();
    for kind in ["a FIFO", "a device", "a directory", "2000000000 bytes long"] {
        std::fs::remove_file(&secret).or_else(|_| std::fs::remove_dir(&secret)).expect("removed");
        match kind {
            "a FIFO" => fifo(&secret),
            "a device" => symlink("/dev/zero", &secret).expect("linked"),
            "a directory" => std::fs::create_dir(&secret).expect("made"),
            _ => File::create(&secret).and_then(|file| file.set_len(2_000_000_000)).expect("made"),
        }
        let problem = format!("cannot reload a secret, keeping the current one: {}: is {kind}", secret.display());
        wait_until("it says so", || program.read("stderr").contains(&problem));
        around.goes_on();
    }
    around.ends_well(program);
}

#[test]
fn a_configuration_that_leads_to_something_else_than_files_changes_nothing() {
    let around = Around::new();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fifo(Path::new(&path("fifo")));
    symlink("/dev/zero", path("endless")).expect("linked");
    File::create(path("long")).and_then(|file| file.set_len(2_000_000_000)).expect("made");
    let good = around.config("", "", "");
    let program = Program::start(&[], &good);
    around.goes_on();
    let mut times = 0;
    for key in ["map_file: FILE", "headers: {X-Key_file: FILE}", "tls: {ca_file: FILE}", "auth: {bearer_file: FILE}"] {
        for (file, problem) in [
            ("fifo", "is a FIFO, not a regular file"),
            ("endless", "is a device, not a regular file"),
            ("long", "is 2000000000 bytes long, the limit is "),
        ] {
            let key = key.replace("FILE", &format!("\"{}\"", path(file)));
            std::fs::write(program.path("conf.yml"), around.config("", &format!(", {key}"), "")).expect("written");
            program.signal("HUP");
            times += 1;
            let kept = "invalid configuration: keeping the current one";
            wait_until("it says so", || program.read("stderr").matches(kept).count() == times);
            wait_until("it says why", || program.read("stderr").contains(&format!("{}: {problem}", path(file))));
            around.goes_on();
        }
    }
    std::fs::remove_file(program.path("conf.yml")).expect("removed");
    for (kind, leads_to) in [("a FIFO", path("fifo")), ("a device", path("endless"))] {
        symlink(leads_to, program.path("conf.yml")).expect("linked");
        program.signal("HUP");
        let problem = format!("conf.yml: is {kind}, not a regular file");
        wait_until("it says so", || program.read("stderr").contains(&problem));
        around.goes_on();
        std::fs::remove_file(program.path("conf.yml")).expect("removed");
    }
    around.ends_well(program);
}

/// It is read again when it has changed.
#[cfg(feature = "tls")]
#[test]
fn a_certificate_that_becomes_a_fifo_holds_up_nobody() {
    let around = Around::new();
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").expect("written");
    let secured = format!(
        "secured: {{type_name: s, endpoint: \"https://{}\", interval: 20ms, timeout: 1h, tls: {{ca_file: \"{}\"}}}}",
        around.app.address,
        ca.display()
    );
    let text = around.config("", "", "").replace("readers: {", &format!("readers: {{{secured}, "));
    let text = text.replace("[app]", "[app, secured]");
    let program = Program::start(&[], &text);
    around.goes_on();
    fifo(&ca);
    let problem = format!("{}: is a FIFO, not a regular file", ca.display());
    wait_until("it says so", || program.read("stderr").contains(&problem));
    around.ends_well(program);
}

#[test]
fn a_file_recorder_whose_pipe_nobody_reads_holds_up_no_other() {
    let (server, store) = storing_server();
    let app = Server::start(|_| Reply::ok(format!("{{\"ballast\": \"{}\"}}", "x".repeat(10_000))));
    let around = Around { app, server, store };
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    fifo(&pipe);
    let text = around.config("shutdown_timeout: 300ms", "", "").replace(
        "recorders: {",
        &format!("recorders: {{pipe: {{type: file, path: \"{}\", bulk: {{age: 50ms}}}}, ", pipe.display()),
    );
    let mut program = Program::start(&[], &text.replace("[es]", "[pipe, es]"));
    // A pipe holds six.
    around.goes_on();
    around.goes_on();
    assert_eq!(program.status("Threads"), 1);
    program.signal("TERM");
    assert_eq!(program.wait(), Some(1), "what is not written is lost");
    assert!(program.read("stderr").contains("shutdown_timeout (300ms) expired"));
}
