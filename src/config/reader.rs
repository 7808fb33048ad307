//! The section of a reader.

mod endpoints;
mod targets;

use super::convert::{self, ObjectArrays};
use super::maps::MapFiles;
use super::patterns::patterns;
use super::section::Section;
use super::values;
use super::{ConfigError, Settings, access, backoff, kind, one_of, ports, rename};
use crate::access::Access;
use crate::flatten::{Choice, GcPauses, Globs, Label, VariableRules, check_label_name, is_below, names_conflict};
use crate::limits;
use crate::log::LogLevel;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
pub(crate) use targets::TargetsError;

/// A reader: which endpoint is polled, how often, and what becomes of its variables.
#[derive(Debug, Clone, PartialEq)]
pub struct Reader {
    pub(crate) name: String,
    pub(crate) type_name: String,
    /// The `host.name` of its documents. None if that depends on where the endpoint is.
    pub(crate) host_name: Option<String>,
    pub(crate) source: Source,
    pub(crate) interval: Duration,
    /// Shorter than `interval`.
    pub(crate) jitter: Duration,
    pub(crate) timeout: Duration,
    pub(crate) backoff: u32,
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) body_bytes_max: u64,
    /// Shared by the readers of one section.
    pub(crate) variables: Arc<VariableRules>,
    /// `host:port` of a reader that is one of several of its section: the value of the label that has none.
    node: Option<String>,
    /// The name of its section, if the section has [`Source::Targets`].
    pub(crate) group: Option<Arc<str>>,
}

/// What a reader reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// `type: expvar`: an endpoint.
    Expvar {
        url: String,
        /// Where its host is, if that was looked up before: one of the addresses of a name.
        address: Option<IpAddr>,
        /// Shared by readers with equal ones.
        access: Arc<Access>,
    },
    /// Endpoints that are found while the program runs. A reader of them polls nothing: it stands for its section as long as
    /// there are none.
    Targets(Arc<Targets>),
    /// `type: self`: the program's own counters.
    Own,
}

/// Where the endpoints of a section are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Targets {
    pub(crate) origin: Origin,
    /// Shared by all of them.
    pub(crate) access: Arc<Access>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In a file.
    File { path: PathBuf, route_path: Option<String> },
    /// At each address of the URL's host.
    Name { url: String },
}

impl Source {
    /// The URL that is polled, or whose host is looked up.
    pub(crate) fn url(&self) -> Option<&str> {
        match self {
            Self::Expvar { url, .. } => Some(url),
            Self::Targets(targets) => targets.named_url(),
            Self::Own => None,
        }
    }

    /// How the endpoints are accessed.
    pub(crate) fn access(&self) -> Option<&Arc<Access>> {
        match self {
            Self::Expvar { access, .. } => Some(access),
            Self::Targets(targets) => Some(&targets.access),
            Self::Own => None,
        }
    }
}

/// What the readers of one section read: one source, or several, each with what distinguishes it from the others.
type Sources = Vec<(Source, Option<Part>)>;

/// What distinguishes a reader from the others of its section.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// What its name ends with, behind a colon.
    suffix: String,
    /// `host:port`, or the path of a socket.
    node: String,
}

impl Reader {
    /// The values of `type`; the first one is the default.
    pub(super) const KINDS: [&str; 2] = ["expvar", "self"];

    /// A reader of the expvar endpoint at `endpoint` (`localhost:1234/debug/vars`), whose documents carry `type_name`
    /// as `service.name`.
    ///
    /// # Errors
    /// [`ConfigError`] if the endpoint is not valid, or has a port range, which would be more than one reader.
    pub fn expvar(name: &str, type_name: &str, endpoint: &str) -> Result<Self, ConfigError> {
        let one = Self::expvars(name, type_name, endpoint)?.pop().filter(|reader| reader.name == name);
        let message = "the endpoint has a port range: create one reader for each port";
        one.ok_or_else(|| ConfigError::of(&format!("reader {name}"), message.to_owned()))
    }

    /// The same, but the endpoint may have a port range: one reader for each port.
    pub(crate) fn expvars(name: &str, type_name: &str, endpoint: &str) -> Result<Vec<Self>, ConfigError> {
        let error = |message| ConfigError::of(&format!("reader {name}"), message);
        let (endpoint, auth) = access::take_credentials(endpoint).map_err(error)?;
        let urls = endpoints::urls(&endpoint, None).map_err(error)?;
        let sources = endpoints::with_access(urls, Access { auth, ..Access::default() });
        let labels = are_several(&sources).then(ports::label).into_iter().collect();
        let variables = Arc::new(VariableRules { labels, ..VariableRules::default() });
        Ok(Self { variables, ..Self::new(name, type_name, Source::Own) }.for_each(sources))
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
            host_name: None,
            source,
            interval: limits::INTERVAL_DEFAULT,
            jitter: Duration::ZERO,
            timeout: limits::TIMEOUT_DEFAULT,
            backoff: limits::BACKOFF_DEFAULT,
            log_level: None,
            body_bytes_max: limits::BODY_BYTES_DEFAULT,
            variables: Arc::default(),
            node: None,
            group: None,
        }
    }

    /// The name of the reader.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names and values of its labels.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let node = self.node.as_deref().unwrap_or_default();
        self.variables.labels.iter().map(move |label| (label.name.as_str(), label.value.as_deref().unwrap_or(node)))
    }

    /// Gives its documents this `host.name`. Without it, they have this machine's name if the endpoint is here, and otherwise
    /// the host of the endpoint.
    #[must_use]
    pub fn host_name(self, name: impl Into<String>) -> Self {
        Self { host_name: Some(name.into()), ..self }
    }

    /// Polls every `interval` (at least a millisecond).
    #[must_use]
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval: interval.max(limits::INTERVAL_MIN), ..self }
    }

    /// Gives up a poll after `timeout`.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Considers the endpoint down after `backoff` failures in a row.
    #[must_use]
    pub fn backoff(self, backoff: u32) -> Self {
        Self { backoff, ..self }
    }

    /// The same with another `type_name`.
    pub(super) fn renamed(&self, type_name: String) -> Self {
        Self { type_name, ..self.clone() }
    }

    /// One reader like this for each source. If it is one of several, the name of the reader ends with what it is.
    fn for_each(self, sources: Sources) -> Vec<Self> {
        let reader = |(source, part): (Source, Option<Part>)| {
            let mut reader = Self { source, ..self.clone() };
            if matches!(reader.source, Source::Targets(_)) {
                reader.group = Some(self.name.as_str().into());
            }
            match part {
                Some(part) => reader.into_part(part),
                None => reader,
            }
        };
        sources.into_iter().map(reader).collect()
    }

    /// The same as one of several.
    fn into_part(self, Part { suffix, node }: Part) -> Self {
        Self { name: format!("{}:{suffix}", self.name), node: Some(node), ..self }
    }

    /// The readers that a section stands for: one, or one for each of its endpoints. None if something is wrong with it.
    pub(super) fn from_section(
        name: &str,
        section: Section<'_, '_>,
        settings: &Settings,
        map_files: &MapFiles<'_>,
    ) -> Vec<Self> {
        Self::with_sources(name, section, map_files)
            .map(|(reader, sources)| {
                let host_name = reader.host_name.clone().or_else(|| settings.host_name.clone());
                Self { host_name, ..reader }.for_each(sources)
            })
            .unwrap_or_default()
    }

    fn with_sources(name: &str, mut section: Section<'_, '_>, map_files: &MapFiles<'_>) -> Option<(Self, Sources)> {
        let kind = kind(&mut section, &Self::KINDS);
        let mut type_name = section.parse("type_name", type_name);
        if section.node("type_name").is_none() {
            // Its recorders may have one, as `old_type_names` finds out when the routes are known.
            type_name = Some(String::new());
        }
        let host_name = section.parse_name("host_name", "the name of a host", host_name);
        let sources = match kind {
            Some("self") => {
                // Configurations of the Go program give a self reader an endpoint, which has no use here.
                let _ = (section.node("endpoint"), section.node("routepath"));
                access::refuse(
                    &mut section,
                    &["auth", "tls", "headers", "targets_file"],
                    "a self reader sends no requests",
                );
                Some(vec![(Source::Own, None)])
            }
            _ => endpoints::sources(&mut section),
        };
        let interval = section.duration_from("interval", limits::INTERVAL_MIN);
        let jitter = jitter(&mut section, interval);
        let timeout = section.positive_duration("timeout").unwrap_or(limits::TIMEOUT_DEFAULT);
        let backoff = backoff(&mut section);
        let log_level = section.parse("log_level", values::log_level);
        let max_body = section.size("max_body", 2, limits::BODY_BYTES_MAX);
        let variables = Arc::new(variable_rules(&mut section, sources.as_deref().is_some_and(are_several), map_files));
        targets::check(&mut section, name, &variables, sources.as_deref());
        section.finish();
        kind?;
        let reader = Self::new(name, &type_name?, Source::Own).timeout(timeout).backoff(backoff);
        let reader = reader.interval(interval.unwrap_or(limits::INTERVAL_DEFAULT));
        let body_bytes_max = max_body.unwrap_or(limits::BODY_BYTES_DEFAULT);
        Some((Self { host_name, jitter, log_level, body_bytes_max, variables, ..reader }, sources?))
    }
}

fn jitter(section: &mut Section<'_, '_>, interval: Option<Duration>) -> Duration {
    // If the interval has a problem, only that is reported.
    let is_wrong = interval.is_none() && (section.is_partial() || section.keys().any(|key| key == "interval"));
    let interval = interval.unwrap_or(limits::INTERVAL_DEFAULT);
    let jitter = section.parse("jitter", |text| match values::duration(text)? {
        jitter if jitter < interval || is_wrong => Ok(jitter),
        jitter => Err(format!(
            "jitter ({jitter:?}) must be shorter than interval ({interval:?}): lower it, or raise interval"
        )),
    });
    jitter.unwrap_or_default()
}

/// Whether there may be more than one of these.
fn are_several(sources: &[(Source, Option<Part>)]) -> bool {
    sources.iter().any(|(source, part)| part.is_some() || matches!(source, Source::Targets(_)))
}

fn variable_rules(section: &mut Section<'_, '_>, are_several: bool, map_files: &MapFiles<'_>) -> VariableRules {
    let default = VariableRules::default();
    let include = patterns(section, "include");
    let exclude = patterns(section, "exclude");
    let choice = Choice::default().replaced(include.as_deref(), exclude.as_deref());
    let gc_pauses = section.parse("gc_pauses", |text| {
        one_of("value", text, &[("new", GcPauses::New), ("all", GcPauses::All), ("off", GcPauses::Off)])
    });
    let ObjectArrays { keyed, drop_others } = convert::object_arrays(section);
    let dots_underscore = section.parse("dots", |text| one_of("value", text, &[("keep", false), ("underscore", true)]));
    let fields_max = section.number("max_fields", 1, limits::FIELDS_MAX);
    let conversions = section.file("map_file", |path| map_files.load(path));
    let texts = convert::text_units(section);
    let labels = labels(section, are_several.then(ports::label));
    let rates = patterns(section, "rates").map(|texts| Globs::new(&texts)).unwrap_or_default();
    let renames = rename::renames(section, &labels);
    VariableRules {
        choice,
        dots_underscore: dots_underscore.unwrap_or(default.dots_underscore),
        gc_pauses: gc_pauses.unwrap_or(default.gc_pauses),
        keyed_arrays: keyed,
        drop_object_arrays: drop_others,
        conversions: conversions.unwrap_or_default(),
        texts,
        renames,
        rates,
        fields_max: fields_max.map_or(default.fields_max, |fields| usize::try_from(fields).unwrap_or(usize::MAX)),
        labels,
    }
}

/// The labels. The first one is `own`, unless the user has one with the same name.
fn labels(section: &mut Section<'_, '_>, own: Option<Label>) -> Vec<Label> {
    let Some(names) = section.section("labels") else { return own.into_iter().collect() };
    if names.keys().count() > limits::LABELS_MAX {
        names.lacks(format!("{} labels, at most {} are allowed", names.keys().count(), limits::LABELS_MAX));
        return Vec::new();
    }
    let all: Vec<String> = names.keys().map(str::to_owned).collect();
    let own = own.filter(|own| !all.contains(&own.name));
    let given = names.each(|name, value| {
        let label = label(name, value)?;
        if let Some(other) = all.iter().find(|other| is_below(name, other)) {
            return Err(format!("conflicts with the label {other:?}: a name cannot be both a value and an object"));
        }
        if let Some(own) = own.as_ref().filter(|own| names_conflict(name, &own.name)) {
            return Err(format!("this name conflicts with {}: choose another", ports::described(own)));
        }
        Ok(label)
    });
    own.into_iter().chain(given).collect()
}

/// A label that is valid for itself.
fn label(name: &str, value: &str) -> Result<Label, String> {
    if let Err(problem) = check_label_name(name) {
        return Err(format!("the label name {problem}: choose another"));
    }
    if value.len() > limits::LABEL_BYTES_MAX {
        return Err(format!("the label is longer than {} bytes", limits::LABEL_BYTES_MAX));
    }
    Ok(Label { name: name.to_owned(), value: Some(value.to_owned()) })
}

pub(super) fn type_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("type_name is empty: expected the name of these documents, such as my_app".to_owned());
    }
    if text.len() > limits::TYPE_NAME_BYTES_MAX {
        return Err(format!("type_name is longer than {} bytes", limits::TYPE_NAME_BYTES_MAX));
    }
    Ok(text.to_owned())
}

/// The `host.name` of documents. It may be any text, as people name machines as they like.
pub(super) fn host_name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("host_name is empty: leave it out for the name of the endpoint's host".to_owned()),
        name if name.len() > limits::HOST_NAME_BYTES_MAX => {
            Err(format!("host_name is longer than {} bytes", limits::HOST_NAME_BYTES_MAX))
        }
        name => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The readers of a section with these keys.
    fn readers(keys: &str) -> Vec<Arc<Reader>> {
        let text = format!(
            "readers: {{a: {{type_name: a, {keys}}}}}\nrecorders: {{b: {{type: file, path: \"-\"}}}}\nroutes: {{r: {{readers: a, recorders: b}}}}"
        );
        super::super::Config::parse("conf.yml", &text, &|_| None).expect("a configuration").readers
    }

    #[test]
    fn the_ports_of_a_range_share_what_is_the_same() {
        let all = readers("endpoint: \"h:1-256\", headers: {A: b}, include: [c], labels: {env: x}");
        assert_eq!(all.len(), 256);
        let Source::Expvar { access: first_access, .. } = &all[0].source else { panic!() };
        for reader in &all {
            let Source::Expvar { access, .. } = &reader.source else { panic!() };
            assert!(Arc::ptr_eq(&reader.variables, &all[0].variables) && Arc::ptr_eq(access, first_access));
        }
    }

    #[test]
    fn each_port_of_a_range_has_a_label_but_the_users_wins() {
        for (labels, expected) in [
            ("{}", "service.node.name=h:2"),
            ("{env: x}", "service.node.name=h:2 env=x"),
            ("{env: x, service.node.name: mine}", "env=x service.node.name=mine"),
            ("{service.node.role: x, service.nod: y}", "service.node.name=h:2 service.node.role=x service.nod=y"),
        ] {
            let found = readers(&format!("endpoint: \"h:1-2\", labels: {labels}"));
            let told: Vec<String> = found[1].labels().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(told.join(" "), expected);
        }
        let by_hand = Reader::expvars("a", "a", "h:1-2").unwrap();
        assert_eq!(by_hand[1].labels().collect::<Vec<_>>(), [("service.node.name", "h:2")]);
        assert_eq!(readers("endpoint: \"h:1\"")[0].labels().count(), 0);
    }

    #[test]
    fn text_that_looks_like_a_number_stays_as_it_stands() {
        let found =
            readers("endpoint: h, max_body: 0x1000, backoff: 0xF, labels: {a: 0x12ab, b: +5, c: 0o17, d: -0, e: 1.50}");
        let values: Vec<&str> = found[0].labels().map(|(_, value)| value).collect();
        assert_eq!(
            (values.join(" ").as_str(), found[0].body_bytes_max, found[0].backoff),
            ("0x12ab +5 0o17 -0 1.50", 4096, 15)
        );
    }

    #[test]
    fn a_reader_made_by_hand_has_one_port() {
        assert_eq!(Reader::expvar("a", "a", "u:p@h-1:7/x-y").unwrap().name(), "a");
        for endpoint in ["h:7-8", "http://u:p@h:7-7/x"] {
            let error = Reader::expvar("a", "a", endpoint).unwrap_err().to_string();
            assert_eq!(error, "reader a: the endpoint has a port range: create one reader for each port");
        }
    }
}
