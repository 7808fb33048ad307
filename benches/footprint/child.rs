//! The process that is measured. It is killed in any case when the bench ends.

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{Outcome, floor::Floor};

/// How much of a log is shown when something failed.
const LOG_LINES: usize = 30;

/// Who is measured.
pub(crate) enum Subject {
    /// expvastic itself. It knows the server by its number, or by a name: then by way of a proxy, which is the server
    /// itself, so that it takes the client that does TLS and names, and nothing has to be resolved.
    Program { binary: PathBuf, by_name: bool },
    /// This bench, started again as a floor.
    Floor(Floor),
}

/// A running subject.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
    pub(crate) started: Instant,
    /// Holds configuration and log, and goes with the process.
    _folder: TempDir,
}

impl Running {
    /// Starts the subject with readers on these ports.
    pub(crate) fn start(subject: &Subject, interval: Duration, readers: &[u16], sink: u16) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        let mut command = match subject {
            Subject::Program { binary, by_name } => {
                let file = folder.path().join("conf.yml");
                let server = if *by_name { "search.test" } else { "127.0.0.1" };
                fs::write(&file, configuration(interval, readers, server, sink))?;
                let mut command = Command::new(binary);
                command.arg("-c").arg(file);
                command
            }
            Subject::Floor(floor) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(floor.arguments());
                command
            }
        };
        command.current_dir(folder.path()).stdin(Stdio::null());
        command.stdout(File::create(folder.path().join("out"))?).stderr(File::create(&log)?);
        // The environment of whoever runs the bench is not part of the measurement.
        command.env_clear();
        if let Subject::Program { by_name: true, .. } = subject {
            command.env("http_proxy", format!("http://127.0.0.1:{sink}"));
        }
        let started = Instant::now();
        let child = command.spawn()?;
        Ok(Self { child, log, started, _folder: folder })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error if the process has ended, which no subject ever should.
    pub(crate) fn check_alive(&mut self) -> Outcome<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("the process ended: {status}").into()),
        }
    }

    /// The end of what it logged, to stand beside an error.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(interval: Duration, readers: &[u16], server: &str, sink: u16) -> String {
    let mut text = String::from("readers:\n");
    let mut names = Vec::new();
    for (number, port) in readers.iter().enumerate() {
        let name = format!("app_{number}");
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  {name}: {{type: expvar, type_name: app, endpoint: \"127.0.0.1:{port}/debug/vars\", \
             interval: {}ms, timeout: 3s}}",
            interval.as_millis()
        );
        names.push(name);
    }
    let _ = write!(
        text,
        "recorders:\n  \
         es: {{type: elasticsearch, endpoint: \"{server}:{sink}\", index_name: expvastic, timeout: 5s}}\n\
         routes:\n  r: {{readers: [{}], recorders: [es]}}\n",
        names.join(", ")
    );
    text
}
