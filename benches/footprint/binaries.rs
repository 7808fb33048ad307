//! The programs that are measured: true release builds, since the bench profile keeps symbols and debug lines.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::Outcome;

/// Copies of the binaries, so that a build in between does not change what is measured.
pub(crate) struct Binaries {
    pub(crate) full: PathBuf,
    pub(crate) full_bytes: u64,
    pub(crate) plain: Option<PathBuf>,
    pub(crate) plain_bytes: Option<u64>,
    _folder: TempDir,
}

impl Binaries {
    /// Builds with and without TLS, or takes the one that is `given`.
    pub(crate) fn prepare(given: Option<&Path>) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let (full, plain) = if let Some(given) = given {
            (keep(given, &folder, "expvastic")?, None)
        } else {
            eprintln!("footprint: building the release …");
            let full = keep(&build(&[])?, &folder, "expvastic")?;
            eprintln!("footprint: building the release without TLS …");
            let elsewhere = target_folder().join("footprint-without-tls");
            let elsewhere = elsewhere.to_string_lossy();
            let plain = build(&["--no-default-features", "--target-dir", &elsewhere])?;
            (full, Some(keep(&plain, &folder, "expvastic-without-tls")?))
        };
        let plain_bytes = match &plain {
            Some(plain) => Some(fs::metadata(plain)?.len()),
            None => None,
        };
        Ok(Self { full_bytes: fs::metadata(&full)?.len(), full, plain, plain_bytes, _folder: folder })
    }
}

/// The copy is forgotten by the system, and read from disk when it is first started, as after a boot. What has just been
/// written stands in memory in large pieces, and Linux from 6.18 on maps, and counts, each of them whole.
fn keep(binary: &Path, folder: &TempDir, name: &str) -> Outcome<PathBuf> {
    let copy = folder.path().join(name);
    fs::copy(binary, &copy).map_err(|error| format!("{}: {error}", binary.display()))?;
    let file = File::open(&copy)?;
    file.sync_all()?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(copy)
}

/// The folder above `release/expvastic`.
fn target_folder() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_expvastic"));
    binary.ancestors().nth(2).unwrap_or(binary).to_owned()
}

/// Runs cargo and gives the path that it says the binary has.
fn build(flags: &[&str]) -> Outcome<PathBuf> {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--release", "--bin", "expvastic", "--message-format", "json-render-diagnostics"])
        .args(flags)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo build: {}", output.status).into());
    }
    let messages = String::from_utf8(output.stdout)?;
    let executable = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)));
    executable.ok_or_else(|| "cargo named no executable".into())
}
