//! `expvastic sample`: the reference configuration, which is embedded in compressed form.

use flate2::bufread::GzDecoder;
use std::io::{self, Read, Write};

/// `expvastic.reference.yml`, compressed by `build.rs`.
static REFERENCE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/reference.yml.gz"));

/// Writes it out piece by piece.
///
/// # Errors
/// What is written does not arrive.
pub(super) fn print(out: &mut impl Write) -> io::Result<bool> {
    let mut decoder = GzDecoder::new(REFERENCE);
    let mut piece = [0; 1024];
    loop {
        match decoder.read(&mut piece)? {
            0 => return Ok(true),
            bytes => out.write_all(&piece[..bytes])?,
        }
    }
}
