//! Reads the files of a configuration, and checks the spool folders that it names.

use super::ConfigError;
use crate::limits;
use crate::regular_file::{self, ReadError};
use crate::sort::sorted;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// A file and its text.
#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// What is remembered of a file that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRead {
    pub(crate) path: PathBuf,
    /// By which another text is told from the one that was read.
    pub(crate) digest: u64,
}

impl FileRead {
    pub(crate) fn new(path: &Path, text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self { path: path.to_owned(), digest: hasher.finish() }
    }

    /// Reads a file, or the problem with it.
    pub(crate) fn again(path: &Path) -> Self {
        match read(path) {
            Ok((path, text)) => Self::new(&path, &text),
            Err(problem) => Self::new(path, &problem.to_string()),
        }
    }
}

/// The files of a configuration: for each path the file, or the one with `.yml` or `.yaml` appended to its name; of a folder,
/// all its `*.yml` and `*.yaml`, in the order of their names. A file that is found twice counts once.
///
/// # Errors
/// A path leads to no file, or there are too many.
pub(crate) fn list(paths: &[PathBuf]) -> Result<Vec<PathBuf>, ConfigError> {
    let (mut files, mut seen) = (Vec::new(), BTreeSet::new());
    for path in paths {
        let found = find(path);
        let found = if found.is_dir() { in_folder(&found)? } else { vec![found] };
        files
            .extend(found.into_iter().filter(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone()))));
    }
    if files.len() > limits::CONFIG_FILES_MAX {
        let message = format!("more than {} files: put some of them together", limits::CONFIG_FILES_MAX);
        return Err(error(&files[0], message));
    }
    Ok(files)
}

/// Reads all files of a configuration.
///
/// # Errors
/// That of the first file that cannot be read.
pub(super) fn read_all(paths: &[PathBuf]) -> Result<Vec<SourceFile>, ConfigError> {
    let (mut files, mut bytes) = (Vec::new(), 0);
    for path in list(paths)? {
        let (path, text) = read(&path)?;
        bytes += text.len() as u64;
        if bytes > limits::CONFIG_BYTES_MAX {
            let most = limits::CONFIG_BYTES_MAX;
            return Err(error(&path, format!("the files of the configuration together are longer than {most} bytes")));
        }
        files.push(SourceFile { path, text });
    }
    Ok(files)
}

/// The file that a path leads to, or a folder.
fn find(path: &Path) -> PathBuf {
    let candidates = candidates(path);
    let found = candidates.iter().find(|candidate| candidate.is_file()).unwrap_or(&candidates[0]);
    found.clone()
}

fn candidates(path: &Path) -> Vec<PathBuf> {
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let mut candidates = vec![path.to_owned()];
    if !is_yaml(path) {
        candidates.extend([with(".yml"), with(".yaml")]);
    }
    candidates
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml")
}

/// The YAML files of a folder. A Kubernetes `ConfigMap` has links to them, through a hidden folder.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let unreadable = |problem: std::io::Error| error(folder, format!("the folder cannot be read: {problem}"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_yaml(&path) && !is_hidden && !path.is_dir() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(error(folder, "the folder contains no *.yml or *.yaml file".to_owned()));
    }
    Ok(sorted(files))
}

fn error(path: &Path, message: String) -> ConfigError {
    ConfigError::of(&path.display().to_string(), message)
}

/// Reads the file, or the one with `.yml` or `.yaml` appended to its name. Also gives its path.
pub(super) fn read(path: &Path) -> Result<(PathBuf, String), ConfigError> {
    let candidates = candidates(path);
    let found = find(path);
    let error = |message| Err(error(&found, message));
    if found.is_dir() {
        return error("is a directory, expected a YAML file".to_owned());
    }
    match regular_file::read(&found, limits::CONFIG_BYTES_MAX) {
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
