//! What `expvastic test` finds out about a server. All requests only ask: they are GETs, and one POST that asks for
//! privileges. Nothing is changed, so what a server would do with a document is concluded from what it says.

use super::existing::{self, ExistingIndex};
use super::reason::Reason;
use super::retention::{self, Found, Policy};
use super::server::Product;
use super::setup::life_cycle::{Kept, is_unknown};
use super::setup::{Address, LACKS_STREAM, Outcome, RequestError, stream_advice};
use super::template::means::Means;
use super::template::{Compared, Comparison, Flavour, Template, Wish, index_pattern, path_segment};
use super::wish;
use crate::clock;
use crate::config::{Recorder, ServerTarget};
use crate::finding::Finding;
use crate::http::{Answer, Http, Payload};
use crate::limits;
use crate::log;
use crate::quote;
use crate::recorder::Feed;
use simd_json::prelude::*;
use simd_json::tape;
use std::fmt::Write;

/// What a question is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Policy,
    Template,
    DataStream,
    Index,
    LifeCycle,
    Pipeline,
    Privileges,
}

struct Question {
    subject: Subject,
    path: String,
    query: &'static str,
    payload: Option<Payload>,
}

/// What answers at a host.
#[derive(Clone, Copy)]
pub(crate) struct Server {
    product: Product,
    /// Whose privileges can be asked for. A server may refuse to say what it is, and tell this by how it does so.
    security: Product,
}

/// Asks one host what it is. None if bulks cannot be sent there.
pub(crate) async fn inspect_host(address: &Address, http: &Http) -> (Finding, Option<Server>) {
    const CHECK: &str = "server";
    const ENDPOINT: &str = "endpoint";
    let started = clock::now();
    let (mut refused, mut fix, mut key, mut moved) = (String::new(), String::new(), ENDPOINT, false);
    let mut security = Product::Unknown;
    // A server that refuses the first may take bulks nevertheless; then it knows the second, but not with this method.
    for path in ["/", "/_bulk"] {
        let mut answer = match address.ask(http, path, "", None).await {
            Ok(answer) => answer,
            Err(RequestError { refusal, .. }) => {
                let (fix, key) = match &*refusal.reason {
                    Reason::NoAnswer(error) => error.remedy("server"),
                    _ => ("it is not ready, or overloaded: look at its log".to_owned(), ENDPOINT),
                };
                return (Finding::bad(CHECK, address.named(refusal.to_string())).fix(fix, key), None);
            }
        };
        let milliseconds = log::milliseconds(clock::now() - started);
        let product = match (path, answer.status) {
            ("/", 200) => Product::of_answer(&mut answer.body),
            ("/_bulk", 200 | 400 | 403 | 405) => Product::Unknown,
            (_, status) => {
                if status == 403 {
                    security = Product::of_refusal(&answer.body);
                }
                let has_moved = answer.location.is_some();
                // If both redirect, the first one leads to the address of the server itself.
                if !(has_moved && moved) {
                    let (reason, remedy) = address.rejection(&answer).into_parts();
                    refused = format!("{path}: {reason}");
                    if !remedy.is_empty() {
                        (fix, key) = (remedy, if has_moved { ENDPOINT } else { "auth" });
                    }
                }
                moved |= has_moved;
                if status == 401 {
                    break;
                }
                continue;
            }
        };
        let text = format!("{product} at {} in {milliseconds} ms", address.host());
        let mut good = Finding::good(CHECK, text).fix(fix, "auth");
        good.figures.push(("ms", milliseconds));
        good.add_reachability(&http.reachability(&address.of("/", ""), address.timeout).await, clock::timestamp());
        let security = if product == Product::Unknown { security } else { product };
        return (good, Some(Server { product, security }));
    }
    if fix.is_empty() {
        fix.push_str("check the path of endpoint");
    }
    (Finding::bad(CHECK, address.named(refused)).fix(fix, key), None)
}

/// Asks for everything that the recorder's documents need there. Any host of a cluster can be asked.
pub(crate) async fn inspect_cluster(
    recorder: &Recorder,
    target: &ServerTarget,
    feed: Feed,
    address: &Address,
    http: &Http,
    server: Server,
) -> Vec<Finding> {
    let mut inspection = Inspection::new(recorder, target, feed, address, server);
    for Question { subject, path, query, payload } in inspection.questions() {
        if subject == Subject::LifeCycle && !inspection.has_index {
            continue;
        }
        match address.ask_up_to(limits::TEMPLATE_BYTES_MAX, http, &path, query, payload).await {
            Ok(answer) => inspection.conclude(subject, answer),
            // The path is in the reason.
            Err(RequestError { refusal, .. }) => inspection.findings.push(Finding::bad("server", refusal.to_string())),
        }
    }
    inspection.findings
}

struct Inspection<'i> {
    target: &'i ServerTarget,
    address: &'i Address,
    server: Server,
    wish: Wish,
    /// None if no template is to be put in place.
    template: Option<Template>,
    /// The index, or data stream, that documents go to now.
    index: String,
    lacks_template: bool,
    /// The server knows no data stream of this name.
    lacks_data_stream: bool,
    has_index: bool,
    findings: Vec<Finding>,
}

impl<'i> Inspection<'i> {
    fn new(recorder: &Recorder, target: &'i ServerTarget, feed: Feed, address: &'i Address, server: Server) -> Self {
        let mut wish = wish(recorder, target, feed);
        let mut index = Vec::new();
        // The configuration has been checked, so every pattern is known.
        let _ = clock::timestamp().fill(&wish.index_name, &mut index);
        // Without readers it is not known which documents a template would have to fit.
        let is_wanted = target.template && feed.readers > 0;
        if is_wanted && wish.retention.is_some() {
            wish.means = Means::of(server.product, wish.data_stream);
        }
        let template = is_wanted.then(|| Template::new(&wish, Flavour::of(server.product)));
        let mut findings = Vec::new();
        if template == Some(None) {
            findings.push(Finding::good("template", Outcome::NoName.to_string()).fix("", "index_name"));
        }
        let index = String::from_utf8_lossy(&index).into_owned();
        let template = template.flatten();
        Self {
            target,
            address,
            server,
            wish,
            template,
            index,
            lacks_template: false,
            lacks_data_stream: false,
            has_index: false,
            findings,
        }
    }

    fn questions(&self) -> Vec<Question> {
        let index = path_segment(&self.index);
        let mut questions = Vec::new();
        let mut ask = |subject, path, query| questions.push(Question { subject, path, query, payload: None });
        if let Some(policy) = self.policy() {
            ask(Subject::Policy, policy.path, "");
        }
        if let Some(template) = &self.template {
            ask(Subject::Template, template.path.clone(), "");
        }
        if self.target.data_stream {
            ask(Subject::DataStream, format!("/_data_stream/{index}"), "");
        }
        ask(Subject::Index, format!("/{index}/_mapping"), existing::QUERY);
        match self.server.product {
            Product::Elasticsearch(_) if !self.target.data_stream => {
                ask(Subject::LifeCycle, format!("/{index}/_settings"), "filter_path=*.settings.index.lifecycle.name");
            }
            Product::OpenSearch(_) => ask(Subject::LifeCycle, format!("/_plugins/_ism/explain/{index}"), ""),
            _ => {}
        }
        if let Some(pipeline) = &self.target.pipeline {
            ask(Subject::Pipeline, format!("/_ingest/pipeline/{}", path_segment(pipeline)), "filter_path=*.version");
        }
        match self.server.security {
            Product::Elasticsearch(version) if version.is_from(7, 0) => {
                ask(Subject::Privileges, "/_security/user/_has_privileges".to_owned(), "");
                let cluster = match &self.template {
                    Some(_) if self.wish.means == Means::Ilm => r#""monitor","manage_index_templates","manage_ilm""#,
                    Some(_) => r#""monitor","manage_index_templates""#,
                    None => "",
                };
                let text = format!(
                    r#"{{"cluster":[{cluster}],"index":[{{"names":["{}"],"privileges":["create_doc","auto_configure"]}}]}}"#,
                    index_pattern(&self.wish.index_name)
                );
                if let Some(question) = questions.last_mut() {
                    question.payload = Some(Payload::Question(text.into()));
                }
            }
            Product::OpenSearch(_) => ask(Subject::Privileges, "/_plugins/_security/authinfo".to_owned(), ""),
            _ => {}
        }
        questions
    }

    fn conclude(&mut self, subject: Subject, mut answer: Answer) {
        let finding = match (subject, answer.status) {
            (Subject::Policy, _) => self.of_policy(answer),
            (Subject::Template, _) => self.of_template(answer),
            (Subject::DataStream, 200) => Some(self.of_data_stream(&mut answer.body)),
            (Subject::DataStream, 404) => {
                self.lacks_data_stream = true;
                None
            }
            (Subject::Index, 200) => self.of_index(&mut answer.body),
            (Subject::Index, 404) if !self.has_index => {
                let kind = if self.target.data_stream { "data stream" } else { "index" };
                let text = format!("{kind} {} does not exist yet: the first document creates it", self.index);
                Some(Finding::good("index", text))
            }
            (Subject::LifeCycle, 200) => Some(Finding::good("retention", life_cycle(&mut answer.body))),
            (Subject::Pipeline, 200..=299) => Some(self.of_pipeline("exists", true)),
            (Subject::Pipeline, 404) => {
                let fix = "create it, or correct pipeline";
                Some(self.of_pipeline("does not exist", false).fix(fix, "pipeline"))
            }
            (Subject::Pipeline, _) => Some(self.of_pipeline("cannot be looked at with this account", true)),
            (Subject::Privileges, 200) => self.of_privileges(&mut answer.body),
            (Subject::DataStream | Subject::Index | Subject::LifeCycle | Subject::Privileges, _) => None,
        };
        self.findings.extend(finding);
    }

    /// The policy that deletes old documents; none if there is no template that names it, or no retention.
    fn policy(&self) -> Option<Policy> {
        self.template.as_ref().and_then(|_| Policy::new(&self.wish, self.wish.means))
    }

    fn of_policy(&mut self, mut answer: Answer) -> Option<Finding> {
        const CHECK: &str = "retention";
        let policy = self.policy()?;
        if is_unknown(&answer) {
            // The template is then put in place without it.
            self.wish.means = Means::None;
            self.template = Template::new(&self.wish, Flavour::of(self.server.product));
            let kept = Kept::Impossible(retention::by_hand(&self.wish, self.address.host()));
            return Some(Finding::bad(CHECK, kept.to_string()).fix("", CHECK));
        }
        let (kept, fix) = match answer.status {
            200..=299 => match policy.compare(&mut answer.body) {
                Found::Same => (Kept::UpToDate(policy), ""),
                Found::Changed => (Kept::Changed(policy), ""),
                Found::Outdated { .. } => {
                    let text = format!("the policy {} is for another time", policy.path);
                    return Some(Finding::bad(CHECK, text).fix("update it with expvastic setup", CHECK));
                }
            },
            404 => {
                let text = format!("the policy {} does not exist yet", policy.path);
                return Some(Finding::good(CHECK, text).fix("create it with expvastic setup", CHECK));
            }
            _ => {
                let fix = "create it once with expvastic setup and another account";
                (Kept::Refused(policy.path, self.address.rejection(&answer)), fix)
            }
        };
        let finding = Finding { is_good: kept.is_good(), ..Finding::good(CHECK, kept.to_string()) };
        Some(finding.fix(fix, CHECK))
    }

    fn of_template(&mut self, answer: Answer) -> Option<Finding> {
        let template = self.template.take()?;
        let (text, fix) = match answer.status {
            200..=299 => match template.compare(answer.body) {
                Compared { comparison, lacks_stream: true } => {
                    let text = format!("{} {LACKS_STREAM}", template.path);
                    return Some(Finding::bad("template", text).fix(stream_advice(comparison), "data_stream"));
                }
                Compared { comparison, .. } => of_comparison(template, comparison),
            },
            404 => {
                self.lacks_template = true;
                (format!("{} does not exist yet: it is created before the first bulk", template.path), "")
            }
            _ => {
                let (reason, _) = self.address.rejection(&answer).into_parts();
                let text = format!("{} cannot be looked at: {reason}", template.path);
                (text, "create it once with expvastic setup and another account")
            }
        };
        Some(Finding::good("template", text).fix(fix, "template"))
    }

    fn of_data_stream(&mut self, answer: &mut [u8]) -> Finding {
        self.has_index = true;
        let mut text = format!("data stream {} exists", self.index);
        if let Ok(tape) = simd_json::to_tape(answer)
            && let Some(stream) = tape.as_value().get("data_streams").and_then(|list| list.as_array()?.iter().next())
        {
            let kept = stream.get("lifecycle").and_then(|cycle| cycle.get("data_retention")?.into_string());
            let policy = || stream.get("ilm_policy").and_then(ValueIntoString::into_string);
            if let Some(kept) = kept {
                let _ = write!(text, ", documents are kept for {kept}");
            } else if let Some(policy) = policy() {
                let _ = write!(text, ", life cycle policy {policy}");
            }
        }
        Finding::good("index", text)
    }

    fn of_index(&mut self, answer: &mut [u8]) -> Option<Finding> {
        if self.lacks_data_stream {
            let text = format!("{} is an index or an alias, not a data stream", self.index);
            return Some(
                Finding::bad("index", text).fix("choose another data_stream, or use index_name", "data_stream"),
            );
        }
        self.has_index = true;
        let existing =
            ExistingIndex::of_answer(self.index.clone(), answer, Flavour::of(self.server.product), self.wish.verbatim)?;
        let text = existing.text();
        Some(if existing.is_other() {
            Finding::bad("index", text).fix("", "index_name")
        } else {
            Finding::good("index", text)
        })
    }

    fn of_pipeline(&self, state: &str, is_good: bool) -> Finding {
        let name = self.target.pipeline.as_deref().unwrap_or_default();
        Finding { is_good, ..Finding::good("pipeline", format!("ingest pipeline {name} {state}")) }
    }

    fn of_privileges(&self, answer: &mut [u8]) -> Option<Finding> {
        const CHECK: &str = "privileges";
        let tape = simd_json::to_tape(answer).ok()?;
        let root = tape.as_value();
        let text = |key| root.get(key).and_then(ValueIntoString::into_string);
        if let Some(user) = text("user_name") {
            let roles = root.get("roles").and_then(|roles| roles.as_array());
            let roles = roles.iter().flat_map(tape::Array::iter).filter_map(ValueIntoString::into_string);
            let roles = roles.collect::<Vec<_>>().join(", ");
            let text = format!("user {user:?} with the roles {roles}: OpenSearch does not tell what they permit");
            return Some(Finding::good(CHECK, text));
        }
        let user = text("username")?;
        let indices = root.get("index").and_then(|indices| indices.as_object()?.values().next());
        let (names, on_index) = (index_pattern(&self.wish.index_name), lacking(indices));
        let on_cluster = lacking(root.get("cluster"));
        if !on_index.is_empty() {
            let text = format!("user {user:?} lacks {on_index} on {names}");
            return Some(Finding::bad(CHECK, text).fix("grant it to this user or API key", "auth"));
        }
        if on_cluster.is_empty() {
            return Some(Finding::good(CHECK, format!("user {user:?} has all that is needed for {names}")));
        }
        let text = format!("user {user:?} lacks {on_cluster} on the cluster");
        let fix = "grant it, or create the template once with expvastic setup and another account";
        Some(Finding { is_good: !self.lacks_template, ..Finding::bad(CHECK, text).fix(fix, "auth") })
    }
}

/// What is said of a template that is there, and what to do.
fn of_comparison(template: Template, comparison: Comparison) -> (String, &'static str) {
    match comparison {
        Comparison::Same => (Outcome::UpToDate(template).to_string(), ""),
        Comparison::Changed => (Outcome::Changed(template).to_string(), ""),
        Comparison::Foreign => {
            (Outcome::Foreign(template).to_string(), "use another index_name, or merge the two by hand")
        }
        Comparison::Outdated => (
            format!("{} is of another version, or for other settings", template.path),
            "update it with expvastic setup",
        ),
    }
}

/// The names of those privileges that are missing.
fn lacking(privileges: Option<tape::Value<'_, '_>>) -> String {
    let mut names = String::new();
    for (name, has) in privileges.and_then(|object| object.as_object()).iter().flat_map(tape::Object::iter) {
        if has.as_bool() == Some(false) {
            names.push_str(if names.is_empty() { "" } else { " and " });
            names.push_str(name);
        }
    }
    quote::shorten(&mut names, limits::QUOTED_BYTES_MAX);
    names
}

/// What the life cycle of an index is, according to its settings or to the plugin for that.
fn life_cycle(answer: &mut [u8]) -> String {
    const ISM_POLICY: &str = "index.plugins.index_state_management.policy_id";
    let tape = simd_json::to_tape(answer).ok();
    let first = tape.as_ref().and_then(|tape| tape.as_value().as_object()?.values().next());
    let policy = first.and_then(|index| {
        let name = match index.get("settings") {
            Some(settings) => settings.get("index")?.get("lifecycle")?.get("name"),
            None => index.get(ISM_POLICY),
        };
        name?.into_string()
    });
    match policy {
        Some(policy) => format!("life cycle policy {policy}"),
        None => "no life cycle policy: documents stay until somebody deletes them".to_owned(),
    }
}
