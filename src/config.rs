//! The configuration: a YAML file becomes readers, recorders and the engines that its routes make of them.
//!
//! Loading collects everything that is wrong, each with file, line, key path, what was found and what was expected, and
//! gives either a [`Config`] that needs no further check or a [`ConfigError`] with all of it.

mod expand;
mod node;
mod routes;
mod section;
mod suggest;
pub(crate) mod values;

use crate::limits;
use node::{Location, Node};
use section::{Place, Problems, Section};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use suggest::nearest;
pub use values::LogLevel;

/// A valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) settings: Settings,
    pub(crate) readers: Vec<Arc<Reader>>,
    pub(crate) recorders: Vec<Arc<Recorder>>,
    /// One for each reader that a route names, in the order of the readers.
    pub(crate) engines: Vec<Routed>,
    /// What works but deserves a word, ready to be shown.
    pub(crate) warnings: Vec<String>,
}

/// One reader and the recorders that the routes give it, merged, in the order in which they were named.
#[derive(Debug, Clone)]
pub(crate) struct Routed {
    pub(crate) reader: Arc<Reader>,
    pub(crate) recorders: Vec<Arc<Recorder>>,
}

/// What holds for the whole process.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) log_level: LogLevel,
    pub(crate) log_format: LogFormat,
    pub(crate) memory_limit_bytes: u64,
    pub(crate) shutdown_timeout: Duration,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A reader: which endpoint is polled, how often, and how its documents are called.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(crate) name: String,
    pub(crate) type_name: String,
    pub(crate) source: Source,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) backoff: u32,
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) body_bytes_max: u64,
}

/// What a reader reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// `type: expvar`: GET this URL.
    Expvar { url: String },
    /// `type: self`: the program's own counters.
    Own,
}

/// A recorder: where documents are shipped to, and in what portions.
#[derive(Debug, Clone)]
pub struct Recorder {
    pub(crate) name: String,
    pub(crate) target: Target,
    pub(crate) index_name: String,
    pub(crate) backoff: u32,
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) bulk: BulkLimits,
}

/// Where a recorder's bulks go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// `type: elasticsearch`: POST to `_bulk` below this URL.
    Elasticsearch { url: String, timeout: Duration },
    /// `type: file`: append to this file, or to standard output for `-`.
    File { path: PathBuf, bytes_max: u64, keep: u32 },
}

/// When a bulk is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BulkLimits {
    pub(crate) documents: u32,
    pub(crate) bytes: u64,
    pub(crate) age: Duration,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, or whatever the text came from.
    origin: String,
    problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    location: Option<Location>,
    /// Names of the sections and the key, joined with dots; empty for the file as a whole.
    key: String,
    message: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            log_level: LogLevel::Info,
            log_format: LogFormat::Text,
            memory_limit_bytes: limits::MEMORY_LIMIT_DEFAULT,
            shutdown_timeout: limits::SHUTDOWN_TIMEOUT_DEFAULT,
        }
    }
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

impl Config {
    /// Loads a file; `.yml` or `.yaml` may be left out of its name. `${NAME}` is filled in from the environment.
    ///
    /// # Errors
    /// [`ConfigError`]: the file cannot be read, or all that is wrong with it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let (path, text) = read(path.as_ref())?;
        let variable = |name: &str| std::env::var(name).ok();
        Self::parse(&path.display().to_string(), &text, &variable)
    }

    /// Reads a configuration from `text`; `origin` names it in errors, `variable` gives the values of `${NAME}`.
    ///
    /// # Errors
    /// [`ConfigError`] with all that is wrong.
    pub fn parse(origin: &str, text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let error = |problems| ConfigError { origin: origin.to_owned(), problems };
        let mut root = node::parse(text)
            .map_err(|(message, location)| error(vec![Problem { location, key: String::new(), message }]))?;
        let problems = Problems::new(text);
        section::expand_all(&mut root, &Place::default(), variable, &problems);
        let config = Self::from_node(&root, &problems);
        let (found, warnings) = problems.finish();
        match config {
            Some(mut config) if found.is_empty() => {
                config.warnings = warnings.iter().map(|warning| warning.line(origin)).collect();
                Ok(config)
            }
            _ => Err(error(found)),
        }
    }

    /// One reader, one recorder: what the command line without a file stands for.
    #[must_use]
    pub fn single(reader: Reader, recorder: Recorder, settings: Settings) -> Self {
        let (reader, recorder) = (Arc::new(reader), Arc::new(recorder));
        let engines = vec![Routed { reader: Arc::clone(&reader), recorders: vec![Arc::clone(&recorder)] }];
        Self { settings, readers: vec![reader], recorders: vec![recorder], engines, warnings: Vec::new() }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The engines as `check` prints them: `reader → recorder, recorder`, then what no route names.
    #[must_use]
    pub fn routes(&self) -> String {
        routes::render(self)
    }

    /// For a dry run: the bulks go to standard output instead.
    pub(crate) fn ship_to_standard_output(&mut self) {
        let redirected = |recorder: &Arc<Recorder>| {
            let target = Target::File { path: PathBuf::from("-"), bytes_max: u64::MAX, keep: 0 };
            Arc::new(Recorder { target, ..Recorder::clone(recorder) })
        };
        let redirect: Vec<_> =
            self.recorders.iter().map(|recorder| (Arc::clone(recorder), redirected(recorder))).collect();
        for recorder in self.engines.iter_mut().flat_map(|engine| &mut engine.recorders).chain(&mut self.recorders) {
            if let Some((_, to)) = redirect.iter().find(|(from, _)| Arc::ptr_eq(from, recorder)) {
                *recorder = Arc::clone(to);
            }
        }
    }

    /// The levels of the readers and recorders that have one of their own.
    pub(crate) fn part_log_levels(&self) -> impl Iterator<Item = LogLevel> {
        let readers = self.readers.iter().filter_map(|reader| reader.log_level);
        readers.chain(self.recorders.iter().filter_map(|recorder| recorder.log_level))
    }

    fn from_node(root: &Node, problems: &Problems<'_>) -> Option<Self> {
        if *root == Node::Null {
            problems.value(&Place::default(), "the file is empty: expected readers, recorders and routes");
            return None;
        }
        let mut root = Section::new(root, Place::default(), problems)?;
        let settings = root.section("settings").map(Settings::from_section);
        let readers = entries(&mut root, "readers", "reader", problems, Reader::from_section);
        let recorders = entries(&mut root, "recorders", "recorder", problems, Recorder::from_section);
        let engines = routes::merge(&mut root, &readers, &recorders, problems);
        root.finish();
        Some(Self {
            settings: settings.unwrap_or_default(),
            readers: readers.into_iter().filter_map(|(_, reader)| reader).collect(),
            recorders: recorders.into_iter().filter_map(|(_, recorder)| recorder).collect(),
            engines,
            warnings: Vec::new(),
        })
    }
}

/// The named entries of a section, each once. An entry with something wrong keeps its name, so that routes find it.
type Named<T> = Vec<(String, Option<Arc<T>>)>;

fn entries<T>(
    root: &mut Section<'_, '_>,
    key: &'static str,
    kind: &str,
    problems: &Problems<'_>,
    build: impl Fn(&str, Section<'_, '_>) -> Option<T>,
) -> Named<T> {
    let Some((node, place)) = root.node(key) else {
        root.lacks(format!("the section {key:?} is missing: there is nothing to do without a {kind}"));
        return Vec::new();
    };
    let Node::Map(map) = node else {
        problems.value(&place, format!("expected a {kind}'s name and its keys, found {}", node.describe()));
        return Vec::new();
    };
    if map.len() > limits::SECTION_ENTRIES_MAX {
        problems.key(&place, format!("{} entries, at most {} are taken", map.len(), limits::SECTION_ENTRIES_MAX));
        return Vec::new();
    }
    let mut named: Named<T> = Vec::new();
    for (index, (name, node)) in map.iter().enumerate() {
        let entry = place.entry(index, name);
        if name.trim().is_empty() {
            problems.key(&entry, format!("a {kind} needs a name, found an empty one"));
        } else if let Some(first) = map[..index].iter().position(|(other, _)| other == name) {
            let line = problems.line(&place.entry(first, name));
            problems.key(&entry, format!("the {kind} {name:?} is defined twice, first in line {line}"));
        } else {
            let value = Section::new(node, entry, problems).and_then(|section| build(name, section));
            named.push((name.clone(), value.map(Arc::new)));
        }
    }
    named
}

impl Settings {
    fn from_section(mut section: Section<'_, '_>) -> Self {
        let default = Self::default();
        let old = ["debug_evel", "debug_level"].map(|key| {
            let place = section.node(key).map(|(_, place)| place);
            if let Some(place) = place {
                section.warn(&place, format!("{key:?} is an old name and still works: write log_level"));
            }
            section.parse(key, values::log_level)
        });
        let settings = Self {
            log_level: section.parse("log_level", values::log_level).or(old[0]).or(old[1]).unwrap_or(default.log_level),
            log_format: section.parse("log_format", log_format).unwrap_or(default.log_format),
            memory_limit_bytes: section.size("memory_limit", 64 << 10, 1 << 40).unwrap_or(default.memory_limit_bytes),
            shutdown_timeout: section.duration("shutdown_timeout").unwrap_or(default.shutdown_timeout),
        };
        section.finish();
        settings
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("expected text or json, found {text:?}")),
    }
}

/// The value of `type`, one of `known`; the first is the default.
fn kind(section: &mut Section<'_, '_>, known: &[&'static str]) -> Option<&'static str> {
    if section.node("type").is_none() {
        return known.first().copied();
    }
    section.parse("type", |text| {
        known.iter().copied().find(|kind| *kind == text).ok_or_else(|| match nearest(text, known.iter().copied()) {
            Some(meant) => format!("unknown type {text:?}, did you mean {meant:?}?"),
            None => format!("unknown type {text:?}, expected one of {}", known.join(", ")),
        })
    })
}

impl Reader {
    /// A reader of the expvar endpoint at `endpoint` (`localhost:1234/debug/vars`), whose documents carry `type_name`
    /// as `service.name`.
    ///
    /// # Errors
    /// [`ConfigError`] if the endpoint is not one.
    pub fn expvar(name: &str, type_name: &str, endpoint: &str) -> Result<Self, ConfigError> {
        let url = expvar_url(endpoint, None).map_err(|message| ConfigError::of(&format!("reader {name}"), message))?;
        Ok(Self::new(name, type_name, Source::Expvar { url }))
    }

    /// A reader of the program's own counters.
    #[must_use]
    pub fn own(name: &str, type_name: &str) -> Self {
        Self::new(name, type_name, Source::Own)
    }

    fn new(name: &str, type_name: &str, source: Source) -> Self {
        Self {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            source,
            interval: Duration::from_secs(1),
            timeout: limits::TIMEOUT_DEFAULT,
            backoff: limits::BACKOFF_DEFAULT,
            log_level: None,
            body_bytes_max: limits::BODY_BYTES_DEFAULT,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Polls every `interval` (at least a millisecond).
    #[must_use]
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval: interval.max(limits::INTERVAL_MIN), ..self }
    }

    /// Gives an exchange up after `timeout`.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Takes the endpoint for down after `backoff` failures in a row.
    #[must_use]
    pub fn backoff(self, backoff: u32) -> Self {
        Self { backoff, ..self }
    }

    fn from_section(name: &str, mut section: Section<'_, '_>) -> Option<Self> {
        let kind = kind(&mut section, &["expvar", "self"]);
        let type_name = section.parse("type_name", type_name);
        if type_name.is_none() && section.node("type_name").is_none() {
            section.lacks("type_name is missing: the name of these documents, such as my_app");
        }
        let source = match kind {
            Some("self") => {
                // The Go program's configurations give a self reader an endpoint; it goes over no network here.
                let _ = (section.node("endpoint"), section.node("routepath"));
                Some(Source::Own)
            }
            _ => reader_endpoint(&mut section),
        };
        let mut reader =
            Self::new(name, type_name.as_deref().unwrap_or_default(), source.clone().unwrap_or(Source::Own));
        if let Some(interval) = section.positive_duration("interval") {
            reader = reader.interval(interval);
        }
        reader.timeout = section.positive_duration("timeout").unwrap_or(reader.timeout);
        reader.backoff = backoff(&mut section);
        reader.log_level = section.parse("log_level", values::log_level);
        reader.body_bytes_max =
            section.size("max_body", 2, limits::BODY_BYTES_MAX).unwrap_or(limits::BODY_BYTES_DEFAULT);
        if let Some((_, place)) = section.node("map_file") {
            section.warn(&place, "map_file is not applied yet: values are shipped as they are");
        }
        section.finish();
        (kind.is_some() && type_name.is_some() && source.is_some()).then_some(reader)
    }
}

fn type_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("type_name is empty: expected the name of these documents, such as my_app".to_owned());
    }
    if text.len() > 512 {
        return Err("type_name is longer than 512 bytes".to_owned());
    }
    Ok(text.to_owned())
}

fn backoff(section: &mut Section<'_, '_>) -> u32 {
    let backoff = section.number("backoff", 1, 1_000_000).unwrap_or_else(|| limits::BACKOFF_DEFAULT.into());
    u32::try_from(backoff).unwrap_or(u32::MAX)
}

fn reader_endpoint(section: &mut Section<'_, '_>) -> Option<Source> {
    let route_path = section.text("routepath");
    if section.node("endpoint").is_none() {
        section.lacks("endpoint is missing: expected host:port such as localhost:1234");
        return None;
    }
    section.parse("endpoint", |text| expvar_url(text, route_path.as_deref())).map(|url| Source::Expvar { url })
}

/// Both dialects: the path stands in `endpoint`, or beside it; without either it is Go's own.
fn expvar_url(endpoint: &str, route_path: Option<&str>) -> Result<String, String> {
    let url = values::url(endpoint, route_path.unwrap_or_default())?;
    if route_path.is_some_and(|path| !path.is_empty()) || values::has_path(&url) {
        return Ok(url);
    }
    values::url(endpoint, "/debug/vars")
}

impl Recorder {
    /// A recorder into `index_name` of the Elasticsearch or OpenSearch at `endpoint` (`localhost:9200`).
    ///
    /// # Errors
    /// [`ConfigError`] if the endpoint is not one, or the server would refuse the index name.
    pub fn elasticsearch(name: &str, endpoint: &str, index_name: &str) -> Result<Self, ConfigError> {
        let error = |message| ConfigError::of(&format!("recorder {name}"), message);
        let url = values::url(endpoint, "").map_err(error)?;
        let index_name = values::index_name(index_name).map_err(error)?;
        Ok(Self::new(name, Target::Elasticsearch { url, timeout: limits::TIMEOUT_DEFAULT }, index_name))
    }

    /// A recorder that appends the `_bulk` text to the file `path`; `-` is standard output.
    ///
    /// # Errors
    /// [`ConfigError`] if a server would refuse the index name.
    pub fn file(name: &str, path: impl Into<PathBuf>, index_name: &str) -> Result<Self, ConfigError> {
        let index_name =
            values::index_name(index_name).map_err(|message| ConfigError::of(&format!("recorder {name}"), message))?;
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
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives an exchange with a server up after `limit`.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        if let Target::Elasticsearch { timeout, .. } = &mut self.target {
            *timeout = limit;
        }
        self
    }

    /// Takes the server for down after `backoff` failures in a row.
    #[must_use]
    pub fn backoff(self, backoff: u32) -> Self {
        Self { backoff, ..self }
    }

    fn from_section(name: &str, mut section: Section<'_, '_>) -> Option<Self> {
        let kind = kind(&mut section, &["elasticsearch", "file"]);
        let index_name = match section.node("index_name") {
            None => Some("expvastic".to_owned()),
            Some(_) => section.parse("index_name", values::index_name),
        };
        let target = match kind {
            Some("file") => file_target(&mut section),
            _ => elasticsearch_target(&mut section),
        };
        let backoff = backoff(&mut section);
        let log_level = section.parse("log_level", values::log_level);
        let bulk = section.section("bulk").map(BulkLimits::from_section).unwrap_or_default();
        section.finish();
        kind?;
        Some(Self { name: name.to_owned(), target: target?, index_name: index_name?, backoff, log_level, bulk })
    }
}

fn elasticsearch_target(section: &mut Section<'_, '_>) -> Option<Target> {
    if section.node("endpoint").is_none() {
        section.lacks("endpoint is missing: expected host:port such as localhost:9200");
    }
    let url = section.parse("endpoint", |text| values::url(text, ""));
    let timeout = section.positive_duration("timeout").unwrap_or(limits::TIMEOUT_DEFAULT);
    Some(Target::Elasticsearch { url: url?, timeout })
}

fn file_target(section: &mut Section<'_, '_>) -> Option<Target> {
    if section.node("path").is_none() {
        section.lacks("path is missing: expected a file, or \"-\" for standard output");
    }
    let path = section.parse("path", |text| match text {
        "" => Err("path is empty: expected a file, or \"-\" for standard output".to_owned()),
        text => Ok(PathBuf::from(text)),
    });
    let bytes_max = section.size("bytes", 64 << 10, 1 << 50).unwrap_or(limits::FILE_BYTES_DEFAULT);
    let keep = section.number("keep", 0, limits::FILE_KEEP_MAX).unwrap_or_else(|| limits::FILE_KEEP_DEFAULT.into());
    Some(Target::File { path: path?, bytes_max, keep: u32::try_from(keep).unwrap_or(u32::MAX) })
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

/// Reads the file, or the same name with `.yml` or `.yaml`, within its bound.
fn read(path: &Path) -> Result<(PathBuf, String), ConfigError> {
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
        Ok(_) => std::fs::read(found),
        Err(error) => Err(error),
    };
    match bytes {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok((found.clone(), text)),
            Err(utf8) => error(format!("is not UTF-8 text (byte {})", utf8.utf8_error().valid_up_to())),
        },
        Err(io) if io.kind() == std::io::ErrorKind::NotFound => {
            let tried: Vec<String> = candidates.iter().map(|candidate| candidate.display().to_string()).collect();
            error(format!("there is no such file (looked for {})", tried.join(", ")))
        }
        Err(io) => error(format!("cannot be read: {io}")),
    }
}

/// At most 60 characters of something that a person wrote, to be repeated to them.
fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(57).chain("...".chars()).collect() }
}

impl Problem {
    fn line(&self, origin: &str) -> String {
        let place = self.location.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
        let key = if self.key.is_empty() { String::new() } else { format!(": {}", self.key) };
        format!("{origin}{place}{key}: {}", self.message)
    }
}

impl ConfigError {
    pub(crate) fn of(origin: &str, message: String) -> Self {
        Self { origin: origin.to_owned(), problems: vec![Problem { location: None, key: String::new(), message }] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(|problem| problem.line(&self.origin)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}
