//! Reads a configuration file within its bound, and looks at folders that it names.

use super::ConfigError;
use crate::limits;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads the file, or the same name with `.yml` or `.yaml`, within its bound.
pub(super) fn read(path: &Path) -> Result<(PathBuf, String), ConfigError> {
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let candidates = [path.to_owned(), with(".yml"), with(".yaml")];
    let found = candidates.iter().find(|candidate| candidate.is_file()).unwrap_or(&candidates[0]);
    let error = |message| Err(ConfigError::of(&found.display().to_string(), message));
    if found.is_dir() {
        return error("is a directory, expected a YAML file".to_owned());
    }
    let bytes = match std::fs::metadata(found) {
        Ok(metadata) if metadata.len() > limits::CONFIG_BYTES_MAX => {
            return error(format!("is {} bytes long, at most {} are read", metadata.len(), limits::CONFIG_BYTES_MAX));
        }
        Ok(_) => read_bounded(found),
        Err(error) => Err(error),
    };
    match bytes {
        Ok(bytes) if bytes.len() as u64 > limits::CONFIG_BYTES_MAX => {
            error(format!("is longer than {} bytes, which are the most that are read", limits::CONFIG_BYTES_MAX))
        }
        Ok(bytes) => match String::from_utf8(bytes) {
            // Editors of other systems begin a file with one; no place in it is counted from there.
            Ok(text) => Ok((found.clone(), text.strip_prefix(BYTE_ORDER_MARK).map(str::to_owned).unwrap_or(text))),
            Err(utf8) => error(format!("is not UTF-8 text (byte {})", utf8.utf8_error().valid_up_to())),
        },
        Err(failure) if failure.kind() == io::ErrorKind::NotFound => {
            let tried: Vec<String> = candidates.iter().map(|candidate| candidate.display().to_string()).collect();
            error(format!("there is no such file (looked for {})", tried.join(", ")))
        }
        Err(failure) => error(format!("cannot be read: {failure}")),
    }
}

/// One byte more than the bound at most: what has no length, such as a pipe, may have no end.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limits::CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What others than the owner of a spool folder could do there, and how to end that. Nothing if there is no folder: then it is
/// made as it is to be.
pub(super) fn looseness(folder: &Path) -> Option<String> {
    let path = folder.display();
    let found = std::fs::metadata(folder).ok().filter(std::fs::Metadata::is_dir)?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Some(format!("the folder {path} is open to other users (mode {mode:04o}): chmod 700 {path}"));
    }
    let lock = folder.join("lock");
    let is_link = std::fs::symlink_metadata(&lock).is_ok_and(|found| found.is_symlink());
    is_link.then(|| format!("{} is a symbolic link, which is not followed: rm {}", lock.display(), lock.display()))
}
