//! Tells a server how long to keep documents: puts the policy in place that the template names, or the life cycle of a data
//! stream that exists already. What a person has made or changed is left alone.

use super::super::reason::Rejection;
use super::super::retention::{self, Found, Policy, StreamCycle};
use super::super::server::Product;
use super::super::template::means::{self, Means};
use super::super::template::{Flavour, Template, Wish, path_segment};
use super::{Address, RequestError};
use crate::http::{Answer, Http};
use crate::limits;
use std::fmt;

/// What has become of a retention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Kept {
    /// There is none in the configuration, or no template that could tell the server.
    #[default]
    NotWanted,
    /// The template has it, as the life cycle of the data stream: for this time.
    InTemplate(String),
    /// The template has it, and the data stream, which exists already, has got it.
    Given(String),
    /// The template has it, but the data stream exists already, with another one.
    OtherInStream(String),
    Created(Policy),
    Updated(Policy),
    UpToDate(Policy),
    /// A person has changed the policy, or made one of this name.
    Changed(Policy),
    /// The server has nothing for that. What to do instead.
    Impossible(String),
    /// The server refused the request for this path.
    Refused(String, Rejection),
}

impl Kept {
    /// Whether the server will delete documents as the configuration says.
    pub(crate) fn is_good(&self) -> bool {
        !matches!(self, Self::OtherInStream(_) | Self::Changed(_) | Self::Impossible(_) | Self::Refused(..))
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWanted => Ok(()),
            Self::InTemplate(time) => write!(f, "the data stream keeps documents for {time}"),
            Self::Given(time) => {
                write!(f, "the data stream, which exists already, keeps documents for {time} from now on")
            }
            Self::OtherInStream(time) => write!(
                f,
                "the data stream exists already, keeps documents for {time}, and is left unchanged: change it with PUT \
                 _data_stream/NAME/_lifecycle"
            ),
            Self::Created(policy) => write!(f, "created a policy that deletes indices, {}", policy.told()),
            Self::Updated(policy) => write!(f, "updated the policy that deletes indices, {}", policy.told()),
            Self::UpToDate(policy) => write!(f, "the policy that deletes indices is up to date, {}", policy.told()),
            Self::Changed(policy) => write!(
                f,
                "the policy {} was not made by expvastic, or was edited by hand, and is left unchanged; delete it to get a new one",
                policy.path
            ),
            Self::Impossible(instead) => write!(f, "the server cannot delete old documents by itself: {instead}"),
            Self::Refused(path, rejection) => write!(f, "the server rejected {path}: {rejection}"),
        }
    }
}

/// Whether an answer says that the server does not have such a request at all.
pub(crate) fn is_unknown(answer: &Answer) -> bool {
    // Elasticsearch 6 takes the path for that of a document, in an index whose name it refuses.
    let has = |words: &str| memchr::memmem::find(&answer.body, words.as_bytes()).is_some();
    answer.status == 405 || has("no handler found for uri") || has("invalid_index_name_exception")
}

impl Address {
    /// Puts the policy in place that deletes documents, if the server needs one. Gives what the template should say then.
    ///
    /// # Errors
    /// The server could not be asked.
    pub(super) async fn keep(&self, http: &Http, wish: &Wish, product: Product) -> Result<(Wish, Kept), RequestError> {
        let wish = Wish { means: Means::None, ..wish.clone() };
        let Some(kept) = wish.retention.filter(|_| Template::new(&wish, Flavour::of(product)).is_some()) else {
            return Ok((wish, Kept::NotWanted));
        };
        let means = Means::of(product, wish.data_stream);
        if means == Means::Stream {
            return Ok((Wish { means, ..wish }, Kept::InTemplate(means::notation(kept.hours))));
        }
        let kept = match Policy::new(&wish, means) {
            Some(policy) => self.put_policy(http, &wish, policy).await?,
            None => Kept::Impossible(retention::by_hand(&wish, self.host())),
        };
        let has_policy = matches!(kept, Kept::Created(_) | Kept::Updated(_) | Kept::UpToDate(_) | Kept::Changed(_));
        Ok((Wish { means: if has_policy { means } else { Means::None }, ..wish }, kept))
    }

    async fn put_policy(&self, http: &Http, wish: &Wish, policy: Policy) -> Result<Kept, RequestError> {
        let mut found = self.ask_up_to(limits::TEMPLATE_BYTES_MAX, http, &policy.path, "", None).await?;
        let (query, outcome): (String, fn(Policy) -> Kept) = match found.status {
            200..=299 => match policy.compare(&mut found.body) {
                Found::Same => return Ok(Kept::UpToDate(policy)),
                Found::Changed => return Ok(Kept::Changed(policy)),
                Found::Outdated { query } => (query, Kept::Updated),
            },
            404 => (String::new(), Kept::Created),
            _ => return Ok(self.not_kept(wish, policy, &found)),
        };
        let answer = self.ask(http, &policy.path, &query, Some(policy.text.clone())).await?;
        Ok(if answer.status < 300 { outcome(policy) } else { self.not_kept(wish, policy, &answer) })
    }

    fn not_kept(&self, wish: &Wish, policy: Policy, answer: &Answer) -> Kept {
        if is_unknown(answer) {
            return Kept::Impossible(retention::by_hand(wish, self.host()));
        }
        Kept::Refused(policy.path, self.rejection(answer))
    }

    /// The template has a life cycle for data streams, which applies to new ones only: gives it to one that exists already
    /// and has none.
    ///
    /// # Errors
    /// The server could not be asked.
    pub(super) async fn keep_stream(&self, http: &Http, wish: &Wish, kept: Kept) -> Result<Kept, RequestError> {
        let Kept::InTemplate(time) = kept else { return Ok(kept) };
        let path = format!("/_data_stream/{}", path_segment(&wish.index_name));
        let mut found = self.ask_up_to(limits::TEMPLATE_BYTES_MAX, http, &path, "", None).await?;
        let present = if found.status == 200 { retention::of_stream(&mut found.body) } else { None };
        match present.map(|StreamCycle { retention }| retention) {
            None => Ok(Kept::InTemplate(time)),
            Some(Some(present)) if present == time => Ok(Kept::InTemplate(time)),
            Some(Some(present)) => Ok(Kept::OtherInStream(present)),
            Some(None) => {
                let path = format!("{path}/_lifecycle");
                let text = format!(r#"{{"data_retention":"{time}"}}"#);
                let answer = self.ask(http, &path, "", Some(text)).await?;
                Ok(if answer.status < 300 { Kept::Given(time) } else { Kept::Refused(path, self.rejection(&answer)) })
            }
        }
    }
}
