//! Programs that a test starts. Their output goes to files in the test's own folder, and they are stopped in any case.
#![allow(dead_code, reason = "each test takes what it needs of it")]

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const POLL_PAUSE: Duration = Duration::from_millis(5);
/// `serve` gives its node 30 s to end; this is longer.
const STOP_TIME_MAX: Duration = Duration::from_secs(40);
const TAIL_LINES: usize = 40;

/// A folder that is removed after the test. If the test fails, it is kept, and its path is printed.
pub(crate) struct Workdir(TempDir);

impl Workdir {
    /// Makes a folder that other users can read, because a server that must not run as root runs as another user.
    pub(crate) fn new(name: &str) -> Self {
        let prefix = format!("expvastic-{name}-");
        let folder = tempfile::Builder::new()
            .prefix(&prefix)
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .expect("a temporary folder");
        Self(folder)
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.disable_cleanup(true);
            eprintln!("The logs are in {}", self.0.path().display());
        }
    }
}

/// What happens to a program if this one is killed before it can stop it.
#[derive(Clone, Copy)]
pub(crate) enum Orphaned {
    Terminate,
    Kill,
}

/// A started program.
pub(crate) struct Running {
    name: &'static str,
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    /// Starts `program`; its output goes to `NAME.out` and `NAME.err` in the folder.
    pub(crate) fn start(
        folder: &Workdir,
        name: &'static str,
        orphaned: Orphaned,
        program: impl AsRef<OsStr>,
        arguments: &[&str],
    ) -> Self {
        let (out, err) = (folder.join(&format!("{name}.out")), folder.join(&format!("{name}.err")));
        let child = tied_to_us(orphaned, program.as_ref())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&out).expect("a file for the output"))
            .stderr(File::create(&err).expect("a file for the errors"))
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name, child, out, err }
    }

    /// Waits for the first `count` output lines that begin with `prefix`, and returns the rest of each.
    pub(crate) fn wait_for_lines(&mut self, prefix: &str, count: usize, time_max: Duration) -> Vec<String> {
        let mut found = Vec::new();
        let deadline = Instant::now() + time_max;
        loop {
            let ended = self.status();
            let text = fs::read_to_string(&self.out).expect("the output is readable");
            let whole_lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            found.clear();
            found.extend(whole_lines.filter_map(|line| line.strip_prefix(prefix)).map(str::to_owned));
            if found.len() >= count {
                return found;
            }
            assert!(ended.is_none(), "{} ended ({ended:?}) before it said {prefix:?}", self.name);
            assert!(Instant::now() < deadline, "{} did not say {prefix:?} in time", self.name);
            thread::sleep(POLL_PAUSE);
        }
    }

    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child")
    }

    /// Sends SIGTERM and waits for the end. Returns `None` if the program does not end in time.
    pub(crate) fn terminate(&mut self, time_max: Duration) -> Option<ExitStatus> {
        if let Some(status) = self.status() {
            return Some(status);
        }
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        wait_until(time_max, || self.status().is_some());
        self.status()
    }

    /// The last lines of what the program wrote to its standard error.
    fn log_tail(&self) -> String {
        let text = fs::read(&self.err).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        format!("--- the end of {}\n{tail}", self.err.display())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended_by_itself = self.status();
        if self.terminate(STOP_TIME_MAX).is_none() {
            eprintln!("{} does not end by itself, so it is killed", self.name);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            if let Some(status) = ended_by_itself {
                eprintln!("{} had ended before the test stopped it: {status}", self.name);
            }
            eprintln!("{}", self.log_tail());
        }
    }
}

/// Waits until `done` returns true or the time is over. Returns whether it did.
pub(crate) fn wait_until(time_max: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + time_max;
    while !done() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(POLL_PAUSE);
    }
    true
}

/// Runs a program to its end, and panics unless it succeeds.
pub(crate) fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let done = Command::new(program)
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {arguments:?}: {}\n{errors}", done.status);
}

/// If `setpriv` is installed, the kernel ends the program if this thread ends without having ended it.
fn tied_to_us(orphaned: Orphaned, program: &OsStr) -> Command {
    let signal = match orphaned {
        Orphaned::Terminate => "TERM",
        Orphaned::Kill => "KILL",
    };
    let works = Command::new("setpriv")
        .args(["--pdeathsig", signal, "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal]).arg(program);
    command
}
