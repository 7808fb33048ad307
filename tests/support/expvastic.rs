//! The program as a command on which the environment of this machine has no influence: a proxy, CA certificates or settings of
//! the program that are set there would change what a test sees.
#![allow(dead_code, reason = "each test takes what it needs of it")]

use std::ffi::OsStr;
use std::process::Command;

/// What starting a process needs: where programs are, and how those of another architecture run.
const KEPT: [&str; 4] = ["PATH", "TMPDIR", "LD_LIBRARY_PATH", "QEMU_LD_PREFIX"];

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_expvastic");

/// Names another build of the program, such as an optimised one, whose memory or speed is looked at.
pub(crate) const OTHER_BINARY: &str = "TESTED_BINARY";

pub(crate) fn expvastic() -> Command {
    isolated(std::env::var_os(OTHER_BINARY).unwrap_or_else(|| BINARY.into()))
}

/// Another program, such as a shell, that starts it.
pub(crate) fn isolated(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command
}
