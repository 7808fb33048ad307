//! Reads a configuration file, and checks the spool folders that it names.

use super::ConfigError;
use crate::limits;
use crate::regular_file::{self, ReadError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads the file, or the one with `.yml` or `.yaml` appended to its name. Also gives its path.
pub(super) fn read(path: &Path) -> Result<(PathBuf, String), ConfigError> {
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let mut candidates = vec![path.to_owned()];
    if !path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml") {
        candidates.extend([with(".yml"), with(".yaml")]);
    }
    let found = candidates.iter().find(|candidate| candidate.is_file()).unwrap_or(&candidates[0]);
    let error = |message| Err(ConfigError::of(&found.display().to_string(), message));
    if found.is_dir() {
        return error("is a directory, expected a YAML file".to_owned());
    }
    match regular_file::read(found, limits::CONFIG_BYTES_MAX) {
        Ok(bytes) => match String::from_utf8(bytes) {
            // Some editors begin a file with it. Positions in the file do not count it.
            Ok(text) => Ok((found.clone(), text.strip_prefix(BYTE_ORDER_MARK).map(str::to_owned).unwrap_or(text))),
            Err(utf8) => error(format!("is not UTF-8 text (byte {})", utf8.utf8_error().valid_up_to())),
        },
        Err(problem) if problem.is_not_found() => {
            let tried: Vec<String> = candidates.iter().map(|candidate| candidate.display().to_string()).collect();
            let tried = if tried.len() > 1 { format!(" (looked for {})", tried.join(", ")) } else { String::new() };
            error(format!("file not found{tried}"))
        }
        Err(problem @ ReadError::Irregular(_)) => {
            error(format!("{problem}: it is read again on reload (SIGHUP), so save it to a file first"))
        }
        Err(problem) => error(problem.to_string()),
    }
}

/// A warning if users other than its owner can use a spool folder. None if there is no folder: it will be created with
/// the right mode.
pub(super) fn looseness(folder: &Path) -> Option<String> {
    let path = folder.display();
    let found = std::fs::metadata(folder).ok().filter(std::fs::Metadata::is_dir)?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Some(format!("the folder {path} is accessible to other users (mode {mode:04o}): chmod 700 {path}"));
    }
    let lock = folder.join("lock");
    let is_link = std::fs::symlink_metadata(&lock).is_ok_and(|found| found.is_symlink());
    is_link.then(|| format!("{} is a symbolic link, which is not followed: rm {}", lock.display(), lock.display()))
}
