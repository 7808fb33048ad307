//! The recorded payloads of real programs, in `tests/payloads`.

use std::path::Path;

/// File name and bytes of each, in the order of the names.
pub(crate) fn payloads() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/payloads");
    let entries = std::fs::read_dir(folder).expect("the payloads are there");
    let mut payloads: Vec<(String, Vec<u8>)> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("readable"))
        })
        .collect();
    payloads.sort();
    payloads
}
