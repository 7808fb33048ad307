//! Loads a configuration from its files.

use super::expand::{Expansion, Variable};
use super::file::{self, FileRead, SourceFile};
use super::maps::MapFiles;
use super::notes::Notes;
use super::problems::FileText;
use super::{Config, ConfigError, front, resolved as printed};
use crate::limits;
use std::path::PathBuf;

/// Loads these files and folders as one configuration.
pub(super) fn load(paths: &[PathBuf]) -> Result<Config, ConfigError> {
    let files = file::read_all(paths)?;
    let mut config = parse(texts(&files), &environment, None)?;
    config.files.extend(files.iter().map(|file| FileRead::new(&file.path, &file.text)));
    let origin = files.first().map(|file| file.path.display().to_string()).unwrap_or_default();
    for recorder in &config.recorders {
        let found = recorder.spool.as_ref().and_then(|spool| file::looseness(&spool.path));
        config.warnings.extend(found.map(|found| format!("{origin}: recorders.{}.spool: {found}", recorder.name)));
    }
    Ok(config)
}

/// The configuration as it is in force, as YAML without secrets.
///
/// # Errors
/// [`ConfigError`]: a file cannot be read, or everything that is wrong with them.
pub(crate) fn resolved(paths: &[PathBuf]) -> Result<(Config, String), ConfigError> {
    let files = file::read_all(paths)?;
    let mut text = String::new();
    let config = parse(texts(&files), &environment, Some(&mut text))?;
    Ok((config, text))
}

/// Reads a configuration from the texts of its files. Writes it to `resolved` as it is in force.
pub(super) fn parse(
    files: Vec<FileText<'_>>,
    variable: Variable<'_>,
    resolved: Option<&mut String>,
) -> Result<Config, ConfigError> {
    let origin = files.first().map(|file| file.name.clone()).unwrap_or_default();
    let error = |problems| ConfigError::new(&origin, problems);
    let (mut root, mut problems) = front::tree(files).map_err(error)?;
    problems.notes = resolved.is_some().then(Notes::default);
    Expansion::new(variable, limits::CONFIG_VALUES_BYTES_MAX).expand_all(&mut root, &problems);
    let map_files = MapFiles::new(variable);
    let config = Config::from_node(&root, &problems, &map_files);
    if let (Some(text), Some(notes)) = (resolved, &problems.notes) {
        *text = printed::print(&root, notes);
    }
    let (found, warnings) = problems.finish();
    match config {
        Some(mut config) if found.is_empty() => {
            config.warnings = warnings.iter().map(|warning| warning.line(&origin)).collect();
            config.files = map_files.files();
            Ok(config)
        }
        _ => Err(error(found)),
    }
}

/// What is read of each file.
pub(super) fn texts(files: &[SourceFile]) -> Vec<FileText<'_>> {
    files.iter().map(|file| FileText { name: file.path.display().to_string(), text: &file.text }).collect()
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
