//! The command `expvastic`: arguments in, an exit code out.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(expvastic::cli::main(std::env::args_os().skip(1).collect()))
}
