//! The process that is measured. It is killed in any case when the bench ends.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Instant,
};

use tempfile::TempDir;

use crate::{
    Outcome,
    floor::Floor,
    load::{Load, Places, Way},
    peers::Peer,
    servers::Loopback,
    window::Scenario,
};

/// How much of a log is shown when something failed.
const LOG_LINES: usize = 30;

/// Who is measured.
pub(crate) enum Subject {
    /// expvastic itself.
    Program { binary: PathBuf, load: Load },
    /// Another shipper.
    Peer { peer: Peer, binary: PathBuf, load: Load },
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
    /// Starts the subject under this load.
    pub(crate) fn start(subject: &Subject, scenario: &Scenario, loopback: &Loopback) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        let places = |load: Load| -> Outcome<Places<'_>> {
            let servers = loopback.servers(load.way)?;
            Ok(Places::new(load, scenario.interval, scenario.readers, loopback, servers))
        };
        let (mut command, load) = match subject {
            Subject::Program { binary, load } => {
                let file = folder.path().join("conf.yml");
                fs::write(&file, places(*load)?.expvastic())?;
                let mut command = Command::new(binary);
                command.arg("-c").arg(file);
                (command, Some(load))
            }
            Subject::Peer { peer, binary, load } => (peer.command(binary, folder.path(), &places(*load)?)?, Some(load)),
            Subject::Floor(floor) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(floor.arguments());
                (command, None)
            }
        };
        command.current_dir(folder.path()).stdin(Stdio::null());
        command.stdout(File::create(folder.path().join("out"))?).stderr(File::create(&log)?);
        // The environment of whoever runs the bench is not part of the measurement.
        command.env_clear();
        match load.map(|load| load.way) {
            Some(Way::Proxy) => {
                let sink = loopback.servers(Way::Proxy)?.sink.port;
                command.env("http_proxy", format!("http://127.0.0.1:{sink}"));
            }
            Some(Way::SystemTls) => {
                command.envs(loopback.system_store().map(|store| ("SSL_CERT_FILE", store)));
            }
            // Whom it trusts cannot be configured elsewhere.
            Some(Way::Tls) if matches!(subject, Subject::Peer { peer: Peer::Original, .. }) => {
                command.envs(loopback.ca_file().map(|file| ("SSL_CERT_FILE", file)));
            }
            _ => {}
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
