//! The program itself, started with a configuration, and stopped in any case.
#![allow(dead_code, unused_imports, reason = "each test takes what it needs of it")]
#![allow(clippy::disallowed_methods, reason = "a test has a deadline")]
#![allow(clippy::print_stderr, reason = "a failed test shows what the program said")]

#[path = "expvastic.rs"]
mod expvastic;

pub(crate) use expvastic::{BINARY, OTHER_BINARY, expvastic, isolated};

use rustix::process::{Pid, Resource, getrlimit, prlimit};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) struct Program {
    folder: TempDir,
    child: Child,
}

/// Room that `/dev/shm` has to have for the files of the tests that run at the same time.
const ROOM_BYTES: u64 = 512 << 20;

/// A folder in memory where there is room. A disk that others keep busy can hold up one `fsync` for longer than a process
/// has to end after its `shutdown_timeout`.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let has_room = rustix::fs::statvfs(memory).is_ok_and(|found| found.f_bavail * found.f_frsize > ROOM_BYTES);
    if has_room { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
}

impl Program {
    /// Starts `expvastic ARGUMENTS -c conf.yml` in a folder of its own.
    pub(crate) fn start(arguments: &[&str], config: &str) -> Self {
        Self::start_with(&[], arguments, config)
    }

    /// The same with these environment variables.
    pub(crate) fn start_with(environment: &[(&str, &str)], arguments: &[&str], config: &str) -> Self {
        Self::start_in(folder(), environment, arguments, config)
    }

    /// Starts it in a folder that `prepare` has filled.
    pub(crate) fn start_prepared(config: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = folder();
        prepare(folder.path());
        Self::start_in(folder, &[], &[], config)
    }

    /// The same with these environment variables and arguments.
    pub(crate) fn start_prepared_with(
        environment: &[(&str, &str)],
        arguments: &[&str],
        config: &str,
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let folder = folder();
        prepare(folder.path());
        Self::start_in(folder, environment, arguments, config)
    }

    /// Starts it once more in the folder where an earlier one has ended.
    pub(crate) fn start_again(mut self, arguments: &[&str], config: &str) -> Self {
        self.kill();
        let folder = std::mem::replace(&mut self.folder, folder());
        Self::start_in(folder, &[], arguments, config)
    }

    fn start_in(folder: TempDir, environment: &[(&str, &str)], arguments: &[&str], config: &str) -> Self {
        let command = expvastic();
        Self::start_as(command, folder, environment, arguments, config)
    }

    /// Starts it with a limit on the size of files, which acts like a full disk: what still fits is written. Its standard
    /// output is appended to.
    pub(crate) fn start_within(file_bytes_max: usize, config: &str) -> Self {
        assert_eq!(file_bytes_max % 512, 0, "the shell counts blocks");
        let script = format!("trap '' XFSZ; ulimit -S -f {}; exec \"$0\" \"$@\" >>stdout", file_bytes_max / 512);
        let mut command = isolated("sh");
        command.args(["-c", &script, BINARY]);
        Self::start_as(command, folder(), &[], &[], config)
    }

    /// Takes back the limit of [`Program::start_within`]: from now on no disk is full.
    pub(crate) fn make_room(&self) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        prlimit(id, Resource::Fsize, getrlimit(Resource::Fsize)).expect("the limit of the program is soft");
    }

    /// Starts it from a shell that runs `script` first, which may set a limit.
    pub(crate) fn start_after(script: &str, environment: &[(&str, &str)], config: &str) -> Self {
        let mut command = isolated("sh");
        command.args(["-c", &format!("{script}; exec \"$0\" \"$@\""), BINARY]);
        Self::start_as(command, folder(), environment, &[], config)
    }

    /// Starts it with something else than a file for standard error.
    pub(crate) fn start_saying_to(stderr: impl Into<Stdio>, config: &str) -> Self {
        let command = expvastic();
        let folder = folder();
        Self::spawn(command, folder, &[], &[], config, stderr.into())
    }

    fn start_as(
        command: Command,
        folder: TempDir,
        environment: &[(&str, &str)],
        arguments: &[&str],
        config: &str,
    ) -> Self {
        let stderr = File::create(folder.path().join("stderr")).expect("created");
        Self::spawn(command, folder, environment, arguments, config, stderr.into())
    }

    fn spawn(
        mut command: Command,
        folder: TempDir,
        environment: &[(&str, &str)],
        arguments: &[&str],
        config: &str,
        stderr: Stdio,
    ) -> Self {
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("conf.yml"), config).expect("written");
        command.current_dir(folder.path()).args(arguments).args(["-c", "conf.yml"]).stdin(Stdio::null());
        command.envs(environment.iter().copied());
        command.stdout(File::create(path("stdout")).expect("created"));
        command.stderr(stderr);
        let child = command.spawn().expect("expvastic starts");
        Self { folder, child }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The complete documents in a file recorder's file.
    pub(crate) fn documents(&self, name: &str) -> Vec<Value> {
        let text = self.read(name);
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let documents = whole.lines().skip(1).step_by(2);
        documents.map(|line| serde_json::from_str(line).expect("a document is strict JSON")).collect()
    }

    /// A field of `/proc/PID/status`, such as `VmHWM` (kB) or `Threads`.
    pub(crate) fn status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).expect("the field");
        line.split_whitespace().next().and_then(|value| value.parse().ok()).expect("a number")
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(sent.expect("kill starts").success());
    }

    /// Sends the signal again and again until the program has ended, and returns the exit code. The program ignores those
    /// that come too soon after the first.
    pub(crate) fn hurry(&mut self, signal: &str) -> Option<i32> {
        while self.is_running() {
            self.signal(signal);
            std::thread::sleep(Duration::from_millis(20));
        }
        self.wait()
    }

    /// `kill -9`, if it still runs.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Runs `expvastic ARGUMENTS -c conf.yml` beside it.
    pub(crate) fn beside(&self, arguments: &[&str]) -> Output {
        let mut command = expvastic();
        command.current_dir(self.folder.path()).args(arguments).args(["-c", "conf.yml"]).output().expect("it starts")
    }

    /// Waits for the end; gives the exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end; it said: {}", self.read("stderr"));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("expvastic said:\n{}", self.read("stderr"));
            return;
        }
        // All secrets in tests begin like this. None may be in anything that the program writes, in any test.
        let entries = std::fs::read_dir(self.folder.path()).expect("the folder");
        for name in entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()) {
            if matches!(name.as_str(), "stdout" | "stderr") || name.contains(".ndjson") {
                assert!(!self.read(&name).contains("planted-"), "a secret is in {name}");
            }
        }
    }
}
