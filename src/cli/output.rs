//! What commands print, and whether the output was written.

use super::{DONE, FAILED};
use std::io::{self, StdoutLock, Write};

/// Prints a text. Gives the exit code.
pub(super) fn print(text: &str) -> u8 {
    write(|stdout| stdout.write_all(text.as_bytes()).map(|()| true))
}

/// Lets `print` write to standard output; it gives whether the command has succeeded. Gives the exit code.
pub(super) fn write(print: impl FnOnce(&mut StdoutLock<'_>) -> io::Result<bool>) -> u8 {
    let mut stdout = io::stdout().lock();
    let done = print(&mut stdout).and_then(|is_well| stdout.flush().map(|()| is_well));
    match done {
        Ok(true) => return DONE,
        Ok(false) => {}
        // The reader, such as `head`, has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => _ = writeln!(io::stderr(), "expvastic: cannot write to standard output: {error}"),
    }
    FAILED
}
