//! The configuration. A YAML file becomes readers, recorders, and the engines that its routes make of them.
//!
//! Loading collects every problem, each with file, line, key path, what was found and what was expected. It gives
//! either a [`Config`] that needs no further checks, or a [`ConfigError`] with all problems.

mod access;
mod alternatives;
mod by_hand;
mod compose;
mod convert;
mod defaults;
mod error;
mod expand;
mod file;
mod front;
mod groups;
mod index_names;
mod listen;
mod load;
mod lookup;
pub(crate) mod maps;
mod node;
mod notes;
mod old_type_names;
mod origins;
mod paths;
mod patterns;
mod ports;
mod problems;
mod reader;
mod recorder;
mod rename;
mod resolved;
mod routes;
mod scan;
mod section;
mod shared;
mod step;
mod suggest;
pub(crate) mod values;

use crate::access::Access;
use crate::limits;
use crate::log::Shown;
use error::shorten;
use maps::MapFiles;
use node::Node;
use old_type_names::OldTypeNames;
use problems::{FileText, Place, Problems};
use section::Section;
use shared::Shared;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use crate::log::{LogFormat, LogLevel};
pub(crate) use access::{pem_blocks, percent_decoded};
pub use error::ConfigError;
pub(crate) use file::{FileRead, list as list_files};
pub(crate) use index_names::span_hours;
pub(crate) use load::resolved;
pub(crate) use lookup::place_of;
pub use node::YamlSizes;
pub use reader::Reader;
pub(crate) use reader::{Source, Targets, TargetsError};
pub use recorder::Recorder;
pub(crate) use recorder::{
    Compression, FileMode, Host, INDEX_NAME_DEFAULT, IndexSetting, Retention, ServerTarget, Target,
};
pub(crate) use suggest::nearest;

/// A valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) settings: Settings,
    pub(crate) readers: Vec<Arc<Reader>>,
    pub(crate) recorders: Vec<Arc<Recorder>>,
    /// One engine for each reader that a route names, in the order of the readers.
    pub(crate) engines: Vec<Routed>,
    /// What stands for targets, which may change while the engines run: the reader of the section, with its recorders.
    pub(crate) groups: Vec<Routed>,
    /// Warnings, ready to be shown.
    pub(crate) warnings: Vec<String>,
    /// The files that it is from, and those that they name and that are read with them.
    pub(crate) files: Vec<FileRead>,
}

/// One reader and the recorders that the routes give it, merged, in the order in which they were named.
#[derive(Debug, Clone)]
pub(crate) struct Routed {
    pub(crate) reader: Arc<Reader>,
    pub(crate) recorders: Vec<Arc<Recorder>>,
}

/// Settings of the whole process.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) log_level: LogLevel,
    pub(crate) log_format: LogFormat,
    /// The address of the status pages, if there are any.
    pub(crate) listen: Option<SocketAddr>,
    /// Whether they show values of documents.
    pub(crate) listen_documents: bool,
    /// Host names, in lower case, by which they may be addressed, besides those that always work.
    pub(crate) listen_hosts: Vec<String>,
    /// The `host.name` of all documents, for readers without one.
    pub(crate) host_name: Option<String>,
    /// Whether the configuration is loaded again when its files change.
    pub(crate) watch: bool,
    pub(crate) memory_limit_bytes: u64,
    pub(crate) shutdown_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            log_level: LogLevel::Info,
            log_format: LogFormat::Text,
            listen: None,
            listen_documents: true,
            listen_hosts: Vec::new(),
            host_name: None,
            watch: false,
            memory_limit_bytes: limits::MEMORY_LIMIT_DEFAULT,
            shutdown_timeout: limits::SHUTDOWN_TIMEOUT_DEFAULT,
        }
    }
}

impl Config {
    /// Loads a file, whose name may lack `.yml` or `.yaml`, or all YAML files of a folder. `${NAME}` is replaced by the value
    /// of that environment variable.
    ///
    /// # Errors
    /// [`ConfigError`]: a file cannot be read, or everything that is wrong with it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::load_all(&[path.as_ref().to_owned()])
    }

    /// The same for several files and folders, which together are one configuration.
    ///
    /// # Errors
    /// [`ConfigError`]: a file cannot be read, or everything that is wrong with them.
    pub fn load_all(paths: &[PathBuf]) -> Result<Self, ConfigError> {
        load::load(paths)
    }

    /// Reads a configuration from `text`. `origin` is the path of the file: errors name it, and relative paths start
    /// from its folder. `variable` gives the values of `${NAME}`.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong.
    pub fn parse(origin: &str, text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        load::parse(vec![FileText { name: origin.to_owned(), text }], variable, None)
    }

    /// A configuration with one recorder for all of these readers, as the command line without a file describes it.
    #[must_use]
    pub fn single(readers: Vec<Reader>, recorder: Recorder, settings: Settings) -> Self {
        let readers: Vec<_> = readers.into_iter().map(Arc::new).collect();
        let recorders = vec![Arc::new(recorder)];
        let engine = |reader: &Arc<Reader>| Routed { reader: Arc::clone(reader), recorders: recorders.clone() };
        let engines = readers.iter().map(engine).collect();
        Self { settings, readers, recorders, engines, groups: Vec::new(), warnings: Vec::new(), files: Vec::new() }
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

    /// For a dry run: makes all bulks go to standard output.
    pub(crate) fn ship_to_standard_output(&mut self) {
        let redirected = |recorder: &Arc<Recorder>| {
            let target = Target::File { path: PathBuf::from("-"), bytes_max: u64::MAX, keep: 0 };
            Arc::new(Recorder { target, spool: None, dead_letter: None, ..Recorder::clone(recorder) })
        };
        let redirect: Vec<_> =
            self.recorders.iter().map(|recorder| (Arc::clone(recorder), redirected(recorder))).collect();
        let engines = self.engines.iter_mut().chain(&mut self.groups);
        for recorder in engines.flat_map(|engine| &mut engine.recorders).chain(&mut self.recorders) {
            if let Some((_, to)) = redirect.iter().find(|(from, _)| Arc::ptr_eq(from, recorder)) {
                *recorder = Arc::clone(to);
            }
        }
    }

    /// Which messages are logged, and in which format.
    pub(crate) fn logged(&self) -> Shown {
        let readers = self.readers.iter().filter_map(|reader| reader.log_level);
        let own_levels = readers.chain(self.recorders.iter().filter_map(|recorder| recorder.log_level));
        Shown::new(self.settings.log_level, own_levels, self.settings.log_format)
    }

    /// Whether a server or an endpoint has to present a certificate that the system trusts.
    #[cfg(feature = "tls")]
    pub(crate) fn relies_on_system_trust(&self) -> bool {
        let relies =
            |url: &str, access: &Access| url.starts_with("https:") && access.tls.verify && access.tls.ca_file.is_none();
        let of_reader =
            |source: &Source| source.url().zip(source.access()).is_some_and(|(url, access)| relies(url, access));
        let of_recorder = |target: &Target| matches!(target, Target::Elasticsearch(server) if server.hosts.iter().any(|host| relies(&host.url, &host.access)));
        self.readers.iter().any(|reader| of_reader(&reader.source))
            || self.recorders.iter().any(|recorder| of_recorder(&recorder.target))
    }

    /// The URLs of all endpoints and hosts.
    #[cfg(not(feature = "proxy"))]
    pub(crate) fn urls(&self) -> impl Iterator<Item = &str> {
        let readers = self.readers.iter().filter_map(|reader| reader.source.url());
        let hosts = self.recorders.iter().flat_map(|recorder| match &recorder.target {
            Target::Elasticsearch(target) => &target.hosts[..],
            Target::File { .. } => &[],
        });
        readers.chain(hosts.map(|host| host.url.as_str()))
    }

    /// How each endpoint and each host is accessed.
    pub(crate) fn accesses(&self) -> impl Iterator<Item = Arc<Access>> {
        let readers = self.readers.iter().filter_map(|reader| reader.source.access());
        let hosts = self.recorders.iter().flat_map(|recorder| match &recorder.target {
            Target::Elasticsearch(target) => &target.hosts[..],
            Target::File { .. } => &[],
        });
        readers.chain(hosts.map(|host| &host.access)).map(Arc::clone)
    }

    fn from_node(root: &Node, problems: &Problems<'_>, map_files: &MapFiles<'_>) -> Option<Self> {
        if *root == Node::Null {
            problems.value(&Place::default(), "the file is empty: expected readers, recorders and routes");
            return None;
        }
        let mut root = Section::new(root, Place::default(), problems)?;
        let settings = root.section("settings").map(Settings::from_section).unwrap_or_default();
        let old = OldTypeNames::default();
        let shared = RefCell::<Shared>::default();
        let reader = |name: &str, section: Section<'_, '_>| {
            if !section.keys().any(|key| key == "type_name") {
                old.lack(name, &section.place);
            }
            let mut readers = Reader::from_section(name, section, &settings, map_files);
            for reader in &mut readers {
                shared.borrow_mut().share_with(reader);
            }
            readers
        };
        let mut readers = entries(&mut root, "readers", "reader", problems, reader);
        let recorder =
            |name: &str, section: Section<'_, '_>| Recorder::from_section(name, section, &old).into_iter().collect();
        let recorders = entries(&mut root, "recorders", "recorder", problems, recorder);
        groups::check_names(&mut root, &readers, problems);
        paths::check(&mut root, &recorders, problems);
        let mut engines = routes::merge(&mut root, &readers, &recorders, problems);
        old.settle(&mut readers, &mut engines, problems);
        defaults::check(&mut root, &settings, map_files, problems);
        root.finish();
        let mut readers = readers.into_iter().flat_map(|(_, readers)| readers).collect();
        let groups = groups::expand(&mut readers, &mut engines);
        Some(Self {
            settings,
            readers,
            recorders: recorders.into_iter().flat_map(|(_, recorders)| recorders).collect(),
            engines,
            groups,
            warnings: Vec::new(),
            files: Vec::new(),
        })
    }
}

/// The named entries of a section, each once, with the readers or recorders that it stands for. An entry with a problem
/// stands for none, but keeps its name, so that routes find it.
type Named<T> = Vec<(String, Vec<Arc<T>>)>;

/// Reads the entries of a section; `build` makes readers or recorders of one.
fn entries<T>(
    root: &mut Section<'_, '_>,
    key: &'static str,
    kind: &str,
    problems: &Problems<'_>,
    build: impl Fn(&str, Section<'_, '_>) -> Vec<T>,
) -> Named<T> {
    let mut named = Vec::new();
    let all = each_entry(root, key, kind, problems, &mut |name, section| {
        let parts: Vec<Arc<T>> =
            section.map_or_else(Vec::new, |section| build(name, section)).into_iter().map(Arc::new).collect();
        let count = parts.len();
        named.push((name.to_owned(), parts));
        count
    });
    if all.is_some() { named } else { Vec::new() }
}

/// Gives each entry to `take`, which returns how many readers or recorders it made of it. Nothing if there are too many.
fn each_entry(
    root: &mut Section<'_, '_>,
    key: &'static str,
    kind: &str,
    problems: &Problems<'_>,
    take: &mut dyn FnMut(&str, Option<Section<'_, '_>>) -> usize,
) -> Option<()> {
    let Some((node, place)) = root.node(key) else {
        root.lacks(format!("the section {key:?} is missing: at least one {kind} is required"));
        return None;
    };
    let Node::Map(map) = node else {
        problems.value(&place, format!("expected the {kind}'s name and its keys, found {}", node.describe()));
        return None;
    };
    if map.len() > limits::SECTION_ENTRIES_MAX {
        problems.key(&place, format!("{} entries, at most {} are allowed", map.len(), limits::SECTION_ENTRIES_MAX));
        return None;
    }
    let mut firsts = BTreeMap::new();
    let mut count = 0;
    for (index, (name, node)) in map.iter().enumerate() {
        let entry = place.entry(index, name);
        let first = *firsts.entry(name.as_str()).or_insert(index);
        if name.trim().is_empty() {
            problems.key(&entry, format!("the name of a {kind} is empty"));
        } else if name.len() > limits::ENTRY_NAME_BYTES_MAX {
            problems.key(&entry, format!("the name is longer than {} bytes", limits::ENTRY_NAME_BYTES_MAX));
        } else if first < index {
            problems.again(&entry, format!("the {kind} {name:?} is defined twice"), &place.entry(first, name));
        } else {
            count += take(name, Section::new(node, entry, problems));
        }
        if count > limits::SECTION_ENTRIES_MAX {
            let most = limits::SECTION_ENTRIES_MAX;
            problems.key(
                &place,
                format!("more than {most} {kind}s (each port of a range, and each endpoint of a list, counts as one)"),
            );
            return None;
        }
    }
    Some(())
}

impl Settings {
    fn from_section(mut section: Section<'_, '_>) -> Self {
        let default = Self::default();
        let old = ["debug_evel", "debug_level"].map(|key| {
            let place = section.node(key).map(|(_, place)| place);
            if let Some(place) = place {
                section.warn(&place, format!("{key:?} is an old name (it still works): write log_level"));
            }
            section.parse(key, values::log_level)
        });
        let (listen, listen_documents) = listen::of(&mut section);
        let settings = Self {
            log_level: section.parse("log_level", values::log_level).or(old[0]).or(old[1]).unwrap_or(default.log_level),
            log_format: section.parse("log_format", log_format).unwrap_or(default.log_format),
            listen,
            listen_documents,
            listen_hosts: listen::hosts(&mut section),
            host_name: section.parse_name("host_name", "the name of a host", reader::host_name),
            watch: section.boolean("watch").unwrap_or(default.watch),
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

/// The value of `type`, which must be one of `known`. The first one is the default.
fn kind(section: &mut Section<'_, '_>, known: &[&'static str]) -> Option<&'static str> {
    if section.node("type").is_none() && section.tried_kind().is_none() {
        return known.first().copied();
    }
    let tried = section.tried_kind();
    let named: Vec<_> = known.iter().map(|kind| (*kind, *kind)).collect();
    let given = section.parse("type", |text| match text {
        "opensearch" => Err("for OpenSearch use a recorder of type elasticsearch".to_owned()),
        _ => one_of("type", text, &named),
    });
    tried.or(given)
}

/// The value that has the name `text` among `known`. The error calls it a `what`.
fn one_of<T: Copy>(what: &str, text: &str, known: &[(&'static str, T)]) -> Result<T, String> {
    let names = || known.iter().map(|(name, _)| *name);
    let found = known.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| match nearest(text, names()) {
        Some(meant) => format!("unknown {what} {text:?}, did you mean {meant:?}?"),
        None => format!("unknown {what} {text:?}, expected one of {}", names().collect::<Vec<_>>().join(", ")),
    })
}

fn backoff(section: &mut Section<'_, '_>) -> u32 {
    let most = limits::BACKOFF_MAX.into();
    let backoff = section.number("backoff", 1, most).unwrap_or_else(|| limits::BACKOFF_DEFAULT.into());
    u32::try_from(backoff).unwrap_or(u32::MAX)
}
