//! The small requests to a server, which identify it and install the index template.

pub(crate) mod life_cycle;

use super::existing::{self, ExistingIndex};
use super::reason::{Reason, Rejection, Remedy};
use super::server::Product;
use super::template::{Compared, Comparison, Flavour, Template, Wish};
use super::verdict::Refusal;
use crate::access::Access;
use crate::clock;
use crate::http::{Answer, Endpoint, Http, HttpError, Identity, Payload};
use crate::limits;
use crate::reader::foreign;
use crate::redact;
use life_cycle::Kept;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The URL of a server, with what identifies the recorder to it.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// The configured URL without its query, and without a slash at its end.
    base: String,
    /// The query of the configured URL. It is sent with every request, because a proxy may require it.
    query: String,
    pub(super) timeout: Duration,
    identity: Rc<Identity>,
}

/// Why a small request has failed: there was no answer, or one that says that the server is busy or has failed itself.
#[derive(Debug)]
pub(crate) struct RequestError {
    pub(crate) refusal: Refusal,
    /// The server seems to be reachable, so bulks may succeed where small requests do not.
    pub(crate) is_reachable: bool,
}

/// The result of installing a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The second member is an index that exists already, so that the template does not apply to it.
    Created(Template, Option<ExistingIndex>),
    /// A template of that name exists and was left unchanged.
    Exists,
    Updated(Template, Option<ExistingIndex>),
    UpToDate(Template),
    /// The server's template was written by this program and edited by a person.
    Changed(Template),
    /// The server's template of this name was not written by this program.
    Foreign(Template),
    /// The server's template makes indices, and documents need a data stream. It was left unchanged; the comparison tells whether
    /// this program may update it.
    NotForStream(Template, Comparison),
    /// The index name consists of patterns only, so the template would match every index.
    NoName,
    /// The server rejected the template, or the request for the existing one. The usual cause is a missing privilege.
    Refused(Rejection),
}

/// The request that probes a resting host.
#[derive(Debug)]
pub(super) struct ProbeRequest {
    pub(super) http: Http,
    pub(super) address: Address,
}

impl ProbeRequest {
    /// Asks the host what it is. Any answer is good enough.
    ///
    /// # Errors
    /// The server is not reachable, or too busy.
    pub(super) async fn send(&self) -> Result<(), RequestError> {
        self.address.product(&self.http).await.map(|_| ())
    }
}

impl Address {
    /// `url` is the validated URL of the endpoint, with or without a path of its own.
    pub(crate) fn new(url: &str, access: &Arc<Access>, timeout: Duration) -> Self {
        let (base, query) = url.split_once('?').map_or((url, ""), |(base, query)| (base, query));
        let identity = Rc::new(Identity::new(Arc::clone(access)));
        Self { base: base.trim_end_matches('/').to_owned(), query: query.to_owned(), timeout, identity }
    }

    /// Host and port, for messages.
    pub(crate) fn host(&self) -> &str {
        let rest = self.base.split_once("://").map_or(self.base.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    /// Puts the name of the host before the reason, unless the reason contains it already.
    pub(crate) fn named(&self, reason: String) -> String {
        let host = self.host();
        if reason.contains(host) { reason } else { format!("{host}: {reason}") }
    }

    /// The endpoint for a request with this path and query.
    pub(super) fn of(&self, path: &str, query: &str) -> Endpoint {
        let separator = if self.query.is_empty() || query.is_empty() { "" } else { "&" };
        let mark = if self.query.is_empty() && query.is_empty() { "" } else { "?" };
        let url = format!("{}{path}{mark}{}{separator}{query}", self.base, self.query);
        Endpoint::with_identity(&url, Rc::clone(&self.identity))
    }

    /// Sends a small request, and returns the answer unless it says that the server is busy or has failed.
    pub(super) async fn ask(
        &self,
        http: &Http,
        path: &str,
        query: &str,
        put: Option<String>,
    ) -> Result<Answer, RequestError> {
        let put = put.map(|text| Payload::Json(text.into()));
        self.ask_up_to(limits::SMALL_ANSWER_BYTES_MAX, http, path, query, put).await
    }

    pub(super) async fn ask_up_to(
        &self,
        bytes_max: usize,
        http: &Http,
        path: &str,
        query: &str,
        payload: Option<Payload>,
    ) -> Result<Answer, RequestError> {
        let answer = http.ask(&self.of(path, query), self.timeout, payload, bytes_max).await.map_err(|error| {
            let is_reachable = matches!(error, HttpError::Timeout(_));
            RequestError { refusal: Refusal::of(error), is_reachable }
        })?;
        match answer.status {
            408 | 429 | 500..=599 => {
                let after = answer.retry_after.map(|asked| asked.min(limits::RETRY_AFTER_MAX));
                let reason = Reason::SmallRequest { path: path.to_owned(), rejection: self.rejection(&answer) };
                Err(RequestError { refusal: Refusal { after, ..Refusal::new(reason) }, is_reachable: true })
            }
            _ => Ok(answer),
        }
    }

    /// Asks the server what it is. A server that does not say is [`Product::Unknown`] and gets bulks nevertheless.
    ///
    /// # Errors
    /// The server could not be asked.
    pub(crate) async fn product(&self, http: &Http) -> Result<Product, RequestError> {
        let mut answer = self.ask(http, "/", "", None).await?;
        Ok(if answer.status == 200 { Product::of_answer(&mut answer.body) } else { Product::Unknown })
    }

    /// Installs the template, and what deletes old documents, if there is no template of its name.
    ///
    /// # Errors
    /// The server could not be asked.
    pub(crate) async fn ensure(
        &self,
        http: &Http,
        wish: &Wish,
        product: Product,
        kept: &mut Kept,
    ) -> Result<Outcome, RequestError> {
        let Some(template) = Template::new(wish, Flavour::of(product)) else { return Ok(Outcome::NoName) };
        let found = self.ask(http, &template.path, "", None).await?;
        match found.status {
            200..=299 if wish.data_stream => {
                let Compared { comparison, lacks_stream } = template.compare(found.body);
                Ok(if lacks_stream { Outcome::NotForStream(template, comparison) } else { Outcome::Exists })
            }
            200..=299 => Ok(Outcome::Exists),
            404 => {
                let (wish, new) = self.keep(http, wish, product).await?;
                *kept = new;
                let template = Template::new(&wish, template.flavour).unwrap_or(template);
                self.put_before(http, &wish, template, "create=true", Outcome::Created).await
            }
            _ => Ok(Outcome::Refused(self.rejection(&found))),
        }
    }

    /// Installs what deletes old documents and the template, or updates one that an earlier version of this program has installed.
    ///
    /// # Errors
    /// The server could not be asked.
    pub(crate) async fn set_up(
        &self,
        http: &Http,
        wish: &Wish,
        product: Product,
    ) -> Result<(Outcome, Kept), RequestError> {
        let (wish, kept) = self.keep(http, wish, product).await?;
        let outcome = self.set_up_template(http, &wish, product).await?;
        // What the template does not say does not come from it.
        let has_template = matches!(outcome, Outcome::Created(..) | Outcome::Updated(..) | Outcome::UpToDate(_));
        let kept = if has_template { self.keep_stream(http, &wish, kept).await? } else { kept };
        Ok((outcome, kept))
    }

    async fn set_up_template(&self, http: &Http, wish: &Wish, product: Product) -> Result<Outcome, RequestError> {
        let Some(template) = Template::new(wish, Flavour::of(product)) else { return Ok(Outcome::NoName) };
        let found = self.ask_up_to(limits::TEMPLATE_BYTES_MAX, http, &template.path, "", None).await?;
        let Compared { comparison, lacks_stream } = match found.status {
            200..=299 => template.compare(found.body),
            404 => return self.put_before(http, wish, template, "create=true", Outcome::Created).await,
            _ => return Ok(Outcome::Refused(self.rejection(&found))),
        };
        match comparison {
            Comparison::Changed | Comparison::Foreign if lacks_stream => {
                Ok(Outcome::NotForStream(template, comparison))
            }
            Comparison::Same => Ok(Outcome::UpToDate(template)),
            Comparison::Changed => Ok(Outcome::Changed(template)),
            Comparison::Foreign => Ok(Outcome::Foreign(template)),
            Comparison::Outdated => self.put_before(http, wish, template, "", Outcome::Updated).await,
        }
    }

    /// Installs the template, and then checks whether the index exists already. Both go into `outcome`.
    async fn put_before(
        &self,
        http: &Http,
        wish: &Wish,
        template: Template,
        query: &str,
        outcome: fn(Template, Option<ExistingIndex>) -> Outcome,
    ) -> Result<Outcome, RequestError> {
        Ok(match self.put(http, template, query).await? {
            Ok(template) => {
                let existing = self.existing(http, wish, &template).await;
                outcome(template, existing)
            }
            Err(rejection) => Outcome::Refused(rejection),
        })
    }

    /// The index that documents go to now, if it exists already and its mapping can be read.
    async fn existing(&self, http: &Http, wish: &Wish, template: &Template) -> Option<ExistingIndex> {
        let mut index = Vec::new();
        clock::timestamp().fill(&wish.index_name, &mut index).ok()?;
        let index = String::from_utf8(index).ok()?;
        let path = format!("/{index}/_mapping");
        let answer = self.ask_up_to(limits::TEMPLATE_BYTES_MAX, http, &path, existing::QUERY, None).await;
        let mut answer = answer.ok().filter(|answer| answer.status == 200)?;
        ExistingIndex::of_answer(index, &mut answer.body, template.flavour, wish.verbatim)
    }

    /// The answer as a reason, with a remedy if one is known.
    pub(super) fn rejection(&self, answer: &Answer) -> Rejection {
        let remedy = if foreign::is_of_tls_port(&answer.body) {
            Some(Remedy::UseTls)
        } else if let Some(location) = &answer.location {
            let advice = ", and redirects are not followed: set `endpoint` to the final address";
            Some(Remedy::of_redirect(location, advice))
        } else {
            self.of("/", "").advice(answer.status).map(Remedy::Authenticate)
        };
        Rejection { status: answer.status, page: redact::quote(&answer.body, limits::QUOTED_BYTES_MAX), remedy }
    }

    async fn put(
        &self,
        http: &Http,
        template: Template,
        query: &str,
    ) -> Result<Result<Template, Rejection>, RequestError> {
        let answer = self.ask(http, &template.path, query, Some(template.text.clone())).await?;
        Ok(if answer.status < 300 { Ok(template) } else { Err(self.rejection(&answer)) })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created(template, existing) => write!(f, "created {}{}", template.path, told(existing.as_ref())),
            Self::Exists => f.write_str("a template of that name exists and is left unchanged"),
            Self::Updated(template, existing) => write!(f, "updated {}{}", template.path, told(existing.as_ref())),
            Self::UpToDate(template) => write!(f, "{} is up to date", template.path),
            Self::Changed(template) => {
                write!(f, "{} was edited by hand and is left unchanged; delete it to get a new one", template.path)
            }
            Self::Foreign(template) => {
                write!(f, "{} was not created by expvastic and is left unchanged", template.path)
            }
            Self::NotForStream(template, comparison) => {
                write!(f, "{} {LACKS_STREAM}; {}", template.path, stream_advice(*comparison))
            }
            Self::NoName => f.write_str("no template: index_name consists of patterns only, which match every index"),
            Self::Refused(rejection) => write!(f, "the server rejected it: {rejection}"),
        }
    }
}

/// What is wrong with a template that makes indices instead of data streams.
pub(super) const LACKS_STREAM: &str =
    "has no data_stream, so the first document creates an index instead of a data stream";

/// What to do about a template that makes indices instead of data streams.
pub(super) fn stream_advice(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Same | Comparison::Outdated => "update it with expvastic setup",
        Comparison::Changed | Comparison::Foreign => r#"add "data_stream": {} to it, or delete it to get a new one"#,
    }
}

fn told(existing: Option<&ExistingIndex>) -> String {
    existing.map(ExistingIndex::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_go_below_the_endpoints() {
        for (url, path, query, expected) in [
            ("http://h:9200", "/_bulk", "a=b", "http://h:9200/_bulk?a=b"),
            ("http://h:9200/", "/", "", "http://h:9200/"),
            ("http://h/es/?x=y", "/_bulk", "a=b", "http://h/es/_bulk?x=y&a=b"),
            ("http://h/es/?x=y", "/_template/t", "", "http://h/es/_template/t?x=y"),
        ] {
            assert_eq!(Address::new(url, &Arc::default(), Duration::ZERO).of(path, query), Endpoint::new(expected));
        }
    }
}
