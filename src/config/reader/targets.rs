//! Targets: endpoints that are found while the program runs, in a file or among the addresses of a name. Each becomes a reader
//! like that of its section.
//!
//! The file has the form of Prometheus' `file_sd`, in JSON or YAML:
//!
//! ```yaml
//! - targets: ["shop-1:1234", "shop-2:1234"]
//!   labels: {env: prod}          # of the documents; `__scheme__` and `__metrics_path__` change the endpoint
//! ```

use super::super::node::{self, Node};
use super::super::problems::{Place, Problems};
use super::super::section::Section;
use super::super::{access, ports};
use super::{Origin, Part, Reader, Source, Targets, endpoints, label};
use crate::flatten::{Label, VariableRules, names_conflict};
use crate::limits;
use crate::regular_file;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why there are no targets to be had from a file.
#[derive(Debug)]
pub(crate) enum TargetsError {
    /// There is no file. Likely at the start: what writes it may start later.
    Missing(PathBuf),
    /// Everything that is wrong with it. Occasional: it is being written, or has a mistake.
    Invalid(String),
}

impl Targets {
    /// The readers of the file's targets. `template` is the reader of the section. Those of `known` that stay are given back,
    /// so that they are not in memory twice. Nothing for targets of another kind.
    ///
    /// # Errors
    /// [`TargetsError`]
    pub(crate) fn in_file(&self, template: &Reader, known: &[Arc<Reader>]) -> Result<Vec<Arc<Reader>>, TargetsError> {
        let Origin::File { path, route_path } = &self.origin else { return Ok(Vec::new()) };
        let invalid = |message: String| TargetsError::Invalid(format!("{}: {message}", path.display()));
        let bytes = match regular_file::read(path, limits::CONFIG_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(problem) if problem.is_not_found() => return Err(TargetsError::Missing(path.clone())),
            Err(problem) => return Err(invalid(problem.to_string())),
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| invalid("is not UTF-8 text".to_owned()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let file = File { targets: self, route_path: route_path.as_deref(), template, known: Known::of(known) };
        let parsed = file.parse(path, text);
        parsed.map_err(TargetsError::Invalid)
    }

    /// The readers of the addresses that the name has now. Those of `known` that stay are given back.
    pub(crate) fn at_addresses(
        &self,
        template: &Reader,
        known: &[Arc<Reader>],
        addresses: &[IpAddr],
    ) -> Vec<Arc<Reader>> {
        let Origin::Name { url } = &self.origin else { return Vec::new() };
        let with_port = endpoints::part_of(url).node;
        let port = with_port.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(80);
        let mut addresses = addresses.to_vec();
        // The resolver shuffles them.
        addresses.sort_unstable();
        addresses.dedup();
        let known = Known::of(known);
        let reader = |address: IpAddr| {
            let node = SocketAddr::new(address, port).to_string();
            let source = Source::Expvar { url: url.clone(), address: Some(address), access: Arc::clone(&self.access) };
            known.or_new(Reader { source, ..template.clone() }.into_part(Part { suffix: node.clone(), node }))
        };
        addresses.into_iter().take(limits::NAME_TARGETS_MAX).map(reader).collect()
    }

    /// The file, if they are in one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File { path, .. } => Some(path),
            Origin::Name { .. } => None,
        }
    }

    /// The URL whose host is looked up, if there is one.
    pub(crate) fn named_url(&self) -> Option<&str> {
        match &self.origin {
            Origin::Name { url } => Some(url),
            Origin::File { .. } => None,
        }
    }
}

/// Reports what is wrong with the file of a section with these rules, if it has one.
pub(super) fn check(
    section: &mut Section<'_, '_>,
    name: &str,
    rules: &Arc<VariableRules>,
    sources: Option<&[(Source, Option<Part>)]>,
) {
    let Some([(Source::Targets(targets), _)]) = sources else { return };
    let Some((_, place)) = section.node("targets_file") else { return };
    let template = Reader { variables: Arc::clone(rules), ..Reader::new(name, "", Source::Own) };
    match targets.in_file(&template, &[]) {
        Ok(_) => {}
        Err(error @ TargetsError::Missing(_)) => {
            section.warn(&place, format!("{error}: there are no targets until it is there"));
        }
        Err(error) => section.wrong(&place, error.to_string()),
    }
}

/// The readers that there were before, by their nodes.
struct Known<'r>(BTreeMap<&'r str, &'r Arc<Reader>>);

impl<'r> Known<'r> {
    fn of(readers: &'r [Arc<Reader>]) -> Self {
        Self(readers.iter().filter_map(|reader| Some((reader.node.as_deref()?, reader))).collect())
    }

    /// The known reader that equals this one, so that it is not in memory twice, or this one.
    fn or_new(&self, reader: Reader) -> Arc<Reader> {
        let old = reader.node.as_deref().and_then(|node| self.0.get(node)).filter(|old| ****old == reader);
        old.map_or_else(|| Arc::new(reader), |old| Arc::clone(old))
    }
}

/// A file that is read.
struct File<'t> {
    targets: &'t Targets,
    route_path: Option<&'t str>,
    template: &'t Reader,
    known: Known<'t>,
}

/// The targets that have been read, by their nodes.
type Read = BTreeMap<String, Arc<Reader>>;

impl File<'_> {
    fn parse(&self, path: &Path, text: &str) -> Result<Vec<Arc<Reader>>, String> {
        let origin = path.display().to_string();
        let root = node::parse(text).map_err(|problem| problem.line(&origin))?;
        let problems = Problems::of_file(text, path);
        let (mut read, mut order) = (Read::new(), Vec::new());
        match &root {
            Node::List(groups) => {
                for (index, group) in groups.iter().enumerate() {
                    let place = Place::default().item(index);
                    let section = Section::new(group, place, &problems);
                    section.and_then(|section| self.group(section, &mut read, &mut order));
                    if order.len() > limits::SECTION_ENTRIES_MAX {
                        let most = limits::SECTION_ENTRIES_MAX;
                        problems.value(&Place::default(), format!("more than {most} targets"));
                        break;
                    }
                }
            }
            other => problems.value(
                &Place::default(),
                format!(
                    "expected a list such as [{{\"targets\": [\"host:1234\"]}}], or [] for no targets, found {}",
                    other.describe()
                ),
            ),
        }
        let (found, _) = problems.finish();
        if found.is_empty() {
            return Ok(order);
        }
        Err(found.iter().map(|problem| problem.line(&origin)).collect::<Vec<_>>().join("; "))
    }

    /// Reads targets that have the same labels.
    fn group(&self, mut section: Section<'_, '_>, read: &mut Read, order: &mut Vec<Arc<Reader>>) -> Option<()> {
        let labels = Labels::of(&mut section, &self.template.variables)?;
        if section.node("targets").is_none() {
            section.lacks("targets is missing: expected a list such as [\"host:1234\"]");
        }
        for (text, place) in section.texts_or_none("targets")? {
            let readers = match self.readers(&text, &labels) {
                Ok(readers) => readers,
                Err(message) => {
                    section.wrong(&place, message);
                    continue;
                }
            };
            for (node, reader) in readers {
                match read.get(&node) {
                    None => {
                        let reader = self.known.or_new(reader);
                        order.push(Arc::clone(&reader));
                        read.insert(node, reader);
                    }
                    Some(known) if **known == reader => {}
                    Some(_) => {
                        section.wrong(&place, format!("{node} is a target already, with other labels or another path"));
                    }
                }
            }
            if order.len() > limits::SECTION_ENTRIES_MAX {
                return None;
            }
        }
        section.finish();
        Some(())
    }

    /// The readers of one target: one, or one for each port of a range.
    fn readers(&self, text: &str, labels: &Labels) -> Result<Vec<(String, Reader)>, String> {
        let text = text.trim();
        let endpoint = match &labels.scheme {
            Some(scheme) if !text.contains("://") => format!("{scheme}://{text}"),
            _ => text.to_owned(),
        };
        let (endpoint, auth) = access::take_credentials(&endpoint)?;
        if auth.is_some() {
            return Err("a target must not contain credentials: set auth in the reader, which is sent to each of its \
                        targets"
                .to_owned());
        }
        let urls = endpoints::urls(&endpoint, labels.path.as_deref().or(self.route_path))?;
        let reader = |(url, _): (String, Option<Part>)| {
            let part = endpoints::part_of(&url);
            let source = Source::Expvar { url, address: None, access: Arc::clone(&self.targets.access) };
            let reader = Reader { source, variables: Arc::clone(&labels.variables), ..self.template.clone() };
            (part.node.clone(), reader.into_part(part))
        };
        Ok(urls.into_iter().map(reader).collect())
    }
}

/// What the labels of some targets say.
struct Labels {
    /// The rules of the section, with these labels.
    variables: Arc<VariableRules>,
    scheme: Option<String>,
    path: Option<String>,
}

/// What the names of labels begin with that are meant for the program that reads the file.
const HIDDEN_PREFIX: &str = "__";

impl Labels {
    fn of(section: &mut Section<'_, '_>, rules: &Arc<VariableRules>) -> Option<Self> {
        let mut all = Self { variables: Arc::clone(rules), scheme: None, path: None };
        let Some(given) = section.section("labels") else { return Some(all) };
        if given.keys().count() > limits::PATTERNS_MAX {
            given.lacks(format!("more than {} labels", limits::PATTERNS_MAX));
            return None;
        }
        let names: Vec<String> =
            given.keys().filter(|name| !name.starts_with(HIDDEN_PREFIX)).map(str::to_owned).collect();
        let count = given.keys().count();
        let read = given.each(|name, value| {
            if name.starts_with(HIDDEN_PREFIX) {
                return Ok((name.to_owned(), value.to_owned(), None));
            }
            let label = label(name, value)?;
            check_conflicts(name, &names, rules)?;
            Ok((name.to_owned(), value.to_owned(), Some(label)))
        });
        let is_whole = read.len() == count;
        let mut labels = Vec::new();
        for (name, value, label) in read {
            match (name.as_str(), label) {
                ("__scheme__", _) => all.scheme = Some(value),
                ("__metrics_path__", _) => all.path = Some(value),
                (_, label) => labels.extend(label),
            }
        }
        if !labels.is_empty() {
            let kept = rules.labels.iter().filter(|old| labels.iter().all(|label: &Label| label.name != old.name));
            let labels: Vec<Label> = kept.cloned().chain(labels.iter().cloned()).collect();
            if labels.len() > limits::LABELS_MAX + 1 {
                section.lacks(format!(
                    "{} labels with those of the reader, at most {} are allowed",
                    labels.len(),
                    limits::LABELS_MAX
                ));
                return None;
            }
            all.variables = Arc::new(VariableRules { labels, ..(**rules).clone() });
        }
        is_whole.then_some(all)
    }
}

/// Whether a label fits to the other names, of which no document can have two in the same place.
fn check_conflicts(name: &str, others: &[String], rules: &VariableRules) -> Result<(), String> {
    if let Some(other) = others.iter().find(|other| *other != name && names_conflict(name, other)) {
        return Err(format!("conflicts with the label {other:?}: a name cannot be both a value and an object"));
    }
    if let Some(other) = rules.labels.iter().find(|other| other.name != name && names_conflict(name, &other.name)) {
        return Err(format!("conflicts with {}: choose another", ports::described(other)));
    }
    if let Some(renamed) = rules.renames.targets().find(|renamed| names_conflict(name, renamed)) {
        return Err(format!("conflicts with {renamed:?}, which a variable is renamed to: choose another"));
    }
    Ok(())
}

impl fmt::Display for TargetsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "{}: there is no such file", path.display()),
            Self::Invalid(message) => f.write_str(message),
        }
    }
}
