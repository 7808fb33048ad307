//! The section of a recorder.

mod index_settings;
mod retention;
mod server;

use super::old_type_names::OldTypeNames;
use super::section::Section;
use super::values;
use super::{ConfigError, access, backoff, index_names, kind};
use crate::access::Access;
use crate::limits;
use crate::log::LogLevel;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use retention::Retention;

/// The default index, as in the Go program.
pub(crate) const INDEX_NAME_DEFAULT: &str = "expvastic";

/// A recorder: where documents are shipped to, and in which bulks.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorder {
    pub(crate) name: String,
    pub(crate) target: Target,
    pub(crate) index_name: String,
    pub(crate) backoff: u32,
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) bulk: BulkLimits,
    /// The folder for documents that have waited, so that they do not fill the memory and survive a restart.
    pub(crate) spool: Option<SpoolFolder>,
    /// A file for documents that the server refuses for good.
    pub(crate) dead_letter: Option<PathBuf>,
    /// The mode of that file, or of the one that a recorder of type `file` writes.
    pub(crate) file_mode: FileMode,
}

/// The mode of new files: readable and writable by the owner, unless the configuration says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FileMode(Option<u32>);

impl FileMode {
    fn parse(text: &str) -> Result<Self, String> {
        let mode = u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8).ok();
        // The owner must be able to read and write it, and nobody may execute it.
        let mode = mode.filter(|mode| mode & 0o600 == 0o600 && mode & !0o666 == 0);
        let expected = "expected the permissions of the file in octal, from 0600 to 0666, such as 0640";
        mode.map(|mode| Self(Some(mode))).ok_or_else(|| format!("{expected}, found {text:?}"))
    }

    /// The mode to create a file with. The umask of the process may remove some of it.
    pub(crate) fn of_new(self) -> u32 {
        self.0.unwrap_or(0o600)
    }

    /// Gives a file that has just been created the configured mode, whatever the umask is.
    pub(crate) fn apply(self, file: &File) -> io::Result<()> {
        self.0.map_or(Ok(()), |mode| file.set_permissions(Permissions::from_mode(mode)))
    }
}

/// A recorder's folder on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpoolFolder {
    pub(crate) path: PathBuf,
    pub(crate) bytes_max: u64,
    /// After this time, what waits is safe on disk.
    pub(crate) sync: Duration,
}

/// Where a recorder's bulks go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// `type: elasticsearch`.
    Elasticsearch(ServerTarget),
    /// `type: file`: append to this file, or to standard output for `-`.
    File { path: PathBuf, bytes_max: u64, keep: u32 },
}

/// A server with a `_bulk` API, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerTarget {
    /// The hosts of one cluster, at least one.
    pub(crate) hosts: Vec<Host>,
    pub(crate) compression: Compression,
    pub(crate) timeout: Duration,
    /// The ingest pipeline for the documents.
    pub(crate) pipeline: Option<String>,
    /// Whether `index_name` is the name of a data stream.
    pub(crate) data_stream: bool,
    /// Whether an index template is created if there is none.
    pub(crate) template: bool,
    /// Whether the template makes indices small.
    pub(crate) lean: bool,
    /// Whether numbers get an inverted index; none if that depends on `lean` and the server.
    pub(crate) index_numbers: Option<bool>,
    /// Further settings for the template.
    pub(crate) index_settings: Vec<IndexSetting>,
    /// How long the server is to keep documents; none if for ever, or until others delete them.
    pub(crate) retention: Option<Retention>,
}

/// A setting of indices, as the index template gives it to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexSetting {
    /// Its dotted name, without `index.`. None is below another one.
    pub(crate) name: String,
    /// JSON: a text, or a list of texts.
    pub(crate) value: String,
}

/// One host of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) url: String,
    /// Shared by all hosts without credentials of their own.
    pub(crate) access: Arc<Access>,
}

/// Whether requests with bulks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    None,
    /// Only if they leave this machine, because there the network is the cost.
    WherePaid,
}

impl ServerTarget {
    fn new(hosts: Vec<Host>) -> Self {
        Self {
            hosts,
            compression: Compression::WherePaid,
            timeout: limits::TIMEOUT_DEFAULT,
            pipeline: None,
            data_stream: false,
            template: true,
            lean: true,
            index_numbers: None,
            index_settings: Vec::new(),
            retention: None,
        }
    }
}

impl Compression {
    /// Whether bulks to such a host are compressed.
    pub(crate) fn suits(self, is_neighbour: bool) -> bool {
        match self {
            Self::Gzip => true,
            Self::None => false,
            Self::WherePaid => !is_neighbour,
        }
    }
}

/// When a bulk is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BulkLimits {
    pub(crate) documents: u32,
    pub(crate) bytes: u64,
    pub(crate) age: Duration,
}

impl Default for BulkLimits {
    fn default() -> Self {
        Self {
            documents: limits::BULK_DOCUMENTS_DEFAULT,
            bytes: limits::BULK_BYTES_DEFAULT,
            age: limits::BULK_AGE_DEFAULT,
        }
    }
}

impl Recorder {
    /// The values of `type`; the first one is the default.
    pub(super) const KINDS: [&str; 2] = ["elasticsearch", "file"];

    /// A recorder into `index_name` of the Elasticsearch or OpenSearch at `endpoint` (`localhost:9200`).
    ///
    /// # Errors
    /// [`ConfigError`] if the endpoint is not valid, or servers would refuse the index name.
    pub fn elasticsearch(name: &str, endpoint: &str, index_name: &str) -> Result<Self, ConfigError> {
        let error = |message| ConfigError::of(&format!("recorder {name}"), message);
        let (endpoint, auth) = access::take_credentials(endpoint).map_err(error)?;
        let url = values::url(&endpoint, "").map_err(error)?;
        let access = Arc::new(Access { auth, ..Access::default() });
        let index_name = index_names::index_name(index_name).map_err(error)?;
        Ok(Self::new(name, Target::Elasticsearch(ServerTarget::new(vec![Host { url, access }])), index_name))
    }

    /// A recorder that appends the `_bulk` text to the file `path`; `-` is standard output.
    ///
    /// # Errors
    /// [`ConfigError`] if servers would refuse the index name.
    pub fn file(name: &str, path: impl Into<PathBuf>, index_name: &str) -> Result<Self, ConfigError> {
        let index_name = index_names::index_name(index_name)
            .map_err(|message| ConfigError::of(&format!("recorder {name}"), message))?;
        let target =
            Target::File { path: path.into(), bytes_max: limits::FILE_BYTES_DEFAULT, keep: limits::FILE_KEEP_DEFAULT };
        Ok(Self::new(name, target, index_name))
    }

    fn new(name: &str, target: Target, index_name: String) -> Self {
        Self {
            name: name.to_owned(),
            target,
            index_name,
            backoff: limits::BACKOFF_DEFAULT,
            log_level: None,
            bulk: BulkLimits::default(),
            spool: None,
            dead_letter: None,
            file_mode: FileMode::default(),
        }
    }

    /// The number of hosts that it ships to.
    pub(crate) fn hosts(&self) -> usize {
        match &self.target {
            Target::Elasticsearch(server) => server.hosts.len(),
            Target::File { .. } => 0,
        }
    }

    /// The places on disk that it writes to, each with its key in the configuration.
    pub(super) fn paths(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let file = match &self.target {
            Target::File { path, .. } if path != Path::new("-") => Some(path.as_path()),
            Target::File { .. } | Target::Elasticsearch(_) => None,
        };
        let spool = self.spool.as_ref().map(|spool| spool.path.as_path());
        let paths = [("path", file), ("spool", spool), ("dead_letter", self.dead_letter.as_deref())];
        paths.into_iter().filter_map(|(key, path)| Some((key, path?)))
    }

    /// The name of the recorder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives up a request to a server after `limit`.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        if let Target::Elasticsearch(server) = &mut self.target {
            server.timeout = limit;
        }
        self
    }

    /// Considers the server down after `backoff` failures in a row.
    #[must_use]
    pub fn backoff(self, backoff: u32) -> Self {
        Self { backoff, ..self }
    }

    /// Makes documents that have waited for `sync` wait in the folder `path`, which gets at most `bytes_max` bytes. No
    /// effect on a recorder that writes to a file.
    #[must_use]
    pub fn spool(self, path: impl Into<PathBuf>, bytes_max: u64, sync: Duration) -> Self {
        if matches!(self.target, Target::File { .. }) {
            return self;
        }
        let bytes_max = bytes_max.max(limits::SPOOL_BYTES_MIN);
        Self { spool: Some(SpoolFolder { path: path.into(), bytes_max, sync }), ..self }
    }

    /// Keeps documents that the server refuses for good in the file `path`.
    #[must_use]
    pub fn dead_letter(self, path: impl Into<PathBuf>) -> Self {
        Self { dead_letter: Some(path.into()), ..self }
    }

    pub(super) fn from_section(name: &str, mut section: Section<'_, '_>, old: &OldTypeNames) -> Option<Self> {
        old.take(name, &mut section);
        let kind = kind(&mut section, &Self::KINDS);
        let (target, index_name) = match kind {
            Some("file") => (file_target(&mut section), index_name(&mut section)),
            _ => server::target(&mut section),
        };
        let backoff = backoff(&mut section);
        let log_level = section.parse("log_level", values::log_level);
        let bulk = section.section("bulk").map(BulkLimits::from_section).unwrap_or_default();
        let file_mode = section.parse("file_mode", FileMode::parse).unwrap_or_default();
        let (mut spool, mut dead_letter) = (None, None);
        if kind != Some("file") {
            let asked = section.unless_off("spool", "off").and_then(|it| it.section("spool"));
            spool = asked.and_then(SpoolFolder::from_section);
            dead_letter =
                section.unless_off("dead_letter", "off").and_then(|it| named_path(it, "dead_letter", "a file"));
        }
        section.finish();
        kind?;
        let (name, target, index_name) = (name.to_owned(), target?, index_name?);
        Some(Self { name, target, index_name, backoff, log_level, bulk, spool, dead_letter, file_mode })
    }
}

fn index_name(section: &mut Section<'_, '_>) -> Option<String> {
    let Some((_, place)) = section.node("index_name") else { return Some(INDEX_NAME_DEFAULT.to_owned()) };
    let name = section.parse("index_name", index_names::index_name)?;
    if let Some(warning) = index_names::mismatched_year(&name) {
        section.warn(&place, warning);
    }
    Some(name)
}

fn file_target(section: &mut Section<'_, '_>) -> Option<Target> {
    access::refuse(section, &["auth", "tls"], "a file recorder sends no requests");
    if section.node("path").is_none() {
        section.lacks("path is missing: expected a file, or \"-\" for standard output");
    }
    let path = named_path(section, "path", "a file, or \"-\" for standard output");
    let bytes_max = section.size("bytes", 64 << 10, 1 << 50).unwrap_or(limits::FILE_BYTES_DEFAULT);
    let keep = section.number("keep", 0, limits::FILE_KEEP_MAX).unwrap_or_else(|| limits::FILE_KEEP_DEFAULT.into());
    Some(Target::File { path: path?, bytes_max, keep: u32::try_from(keep).unwrap_or(u32::MAX) })
}

/// A path to write to. A relative one starts from the folder of the configuration file, as the process may be started
/// anywhere.
fn named_path(section: &mut Section<'_, '_>, key: &'static str, expected: &str) -> Option<PathBuf> {
    let text = section.parse_name(key, expected, |text| match text {
        "" => Err(format!("{key} is empty: expected {expected}")),
        text => Ok(text.to_owned()),
    })?;
    Some(if text == "-" { PathBuf::from(text) } else { section.path(key, &text) })
}

impl SpoolFolder {
    fn from_section(mut section: Section<'_, '_>) -> Option<Self> {
        if section.node("path").is_none() {
            section.lacks("path is missing: expected a folder that no other expvastic uses");
        }
        let path = named_path(&mut section, "path", "a folder that no other expvastic uses");
        let bytes_max = section
            .size("bytes", limits::SPOOL_BYTES_MIN, limits::SPOOL_BYTES_MAX)
            .unwrap_or(limits::SPOOL_BYTES_DEFAULT);
        let sync = section.positive_duration("sync").unwrap_or(limits::SPOOL_SYNC_DEFAULT);
        section.finish();
        Some(Self { path: path?, bytes_max, sync })
    }
}

impl BulkLimits {
    fn from_section(mut section: Section<'_, '_>) -> Self {
        let default = Self::default();
        let documents = section.number("documents", 1, limits::BULK_DOCUMENTS_MAX).map(u32::try_from);
        let limits = Self {
            documents: documents.and_then(Result::ok).unwrap_or(default.documents),
            bytes: section.size("bytes", 1 << 10, limits::BULK_BYTES_MAX).unwrap_or(default.bytes),
            age: section.duration("age").unwrap_or(default.age),
        };
        section.finish();
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use std::path::Path;

    #[test]
    fn what_is_written_is_looked_for_from_the_folder_of_the_configuration() {
        let text = "readers: {a: {type_name: a, endpoint: \"h:1\"}}\nrecorders:\n  es: {endpoint: \"h:9200\", spool: {path: s}, \
                    dead_letter: /d.ndjson}\n  off: {endpoint: \"h:9200\", spool: off, dead_letter: off, pipeline: none}\n  \
                    out: {type: file, path: out/x.ndjson}\n  screen: {type: file, path: \"-\"}\n\
                    routes: {r: {readers: a, recorders: [es, off, out, screen]}}\n";
        let config = Config::parse("/etc/expvastic/conf.yml", text, &|_| None).unwrap();
        let paths = |index: usize| config.recorders[index].paths().map(|(_, path)| path).collect::<Vec<_>>();
        assert_eq!(paths(0), ["/etc/expvastic/s", "/d.ndjson"].map(Path::new));
        assert_eq!(paths(2), [Path::new("/etc/expvastic/out/x.ndjson")]);
        // "off" is not a path, and standard output is not in a folder.
        assert!(paths(1).is_empty() && paths(3).is_empty());
    }

    #[test]
    fn a_recorder_that_writes_to_a_file_has_no_spool() {
        let spool = |recorder: Recorder| recorder.spool("spool", 1 << 20, Duration::from_secs(1)).spool;
        assert!(spool(Recorder::file("f", "-", "i").unwrap()).is_none());
        assert!(spool(Recorder::elasticsearch("es", "localhost:9200", "i").unwrap()).is_some());
    }
}
