//! Ships bulks to Elasticsearch, OpenSearch, or whatever else speaks `_bulk`. No product check: any server that answers
//! like one is one. Here is what is known of the cluster behind a recorder's hosts, and one exchange with one of them;
//! [`cluster`] chooses the host.
//!
//! What the server is decides two things, the mapping types and the template, and is asked before the first bulk and
//! again whenever it may have changed: after an exchange that failed, and when the server has something against the
//! types, which settles the matter at once. A server that will not say what it is gets bulks like a new one.

mod cluster;
mod gzip;
mod hosts;
mod server;
pub(super) mod setup;
pub(super) mod template;
mod types;
pub(super) mod verdict;

use crate::bulk::Bulk;
use crate::config::{self, Recorder, ServerTarget};
use crate::http::{Answer, Endpoint, Http, HttpError, Payload};
use crate::limits;
use crate::log::{PartLevel, part_log};
use crate::recorder::Feed;
use crate::redact;
use gzip::Gzip;
use server::Product;
use setup::{Address, Outcome, Question, Silence};
use std::sync::Arc;
use template::Wish;
pub(super) use template::meets_integers;
use types::{Complaint, Types};
use verdict::{Refusal, Verdict};

/// What is asked of the answer: enough to know the fate of each document, and no more.
const QUERY: &str = "filter_path=errors,items.*.status,items.*.error";

pub(super) use cluster::Cluster;

/// The servers of one cluster.
#[derive(Debug)]
struct Elasticsearch {
    name: String,
    log_level: PartLevel,
    hosts: Vec<Host>,
    gzip: Gzip,
    /// None if no template is to be put in place.
    wish: Option<Wish>,
    product: Option<Product>,
    /// Whether `product` is what is there now, as far as is known.
    is_known: bool,
    /// Times in a row that it was there and did not answer.
    failures: u32,
    types: Types,
    /// The product whose types are not those that it is known for, by the server's own word.
    overruled: Option<Product>,
    /// What was last said of the template.
    said: Option<Outcome>,
}

/// One of them.
#[derive(Debug)]
struct Host {
    address: Address,
    bulk: Endpoint,
    /// Whether bulks go to it compressed.
    compress: bool,
}

impl Elasticsearch {
    /// `feed` is what the recorder is given.
    fn new(config: &Recorder, target: &ServerTarget, feed: Feed, log_level: PartLevel) -> Self {
        let pipeline = target.pipeline.as_ref().map(|name| format!("&pipeline={name}")).unwrap_or_default();
        let host = |config::Host { url, access }: &config::Host| {
            let address = Address::new(url, access, target.timeout);
            let bulk = address.of("/_bulk", &format!("{QUERY}{pipeline}"));
            let compress = target.compression.suits(bulk.is_neighbour());
            Host { address, bulk, compress }
        };
        Self {
            name: config.name.clone(),
            log_level,
            hosts: target.hosts.iter().map(host).collect(),
            gzip: Gzip::default(),
            wish: target.template.then(|| wish(config, target, feed)),
            product: None,
            is_known: false,
            failures: 0,
            types: Types::default(),
            overruled: None,
            said: None,
        }
    }

    /// A template that is still to be put in place has to fit something else from now on.
    fn expect(&mut self, feed: Feed) {
        if let Some(wish) = &mut self.wish {
            (wish.fields_max, wish.verbatim) = (feed.fields_max, !feed.converts);
        }
    }

    /// Host and port of one of them.
    fn host(&self, at: usize) -> &str {
        self.hosts[at].address.host()
    }

    /// What it is to be asked when it rests.
    fn question(&self, http: &Http, at: usize) -> Question {
        Question { http: http.clone(), address: self.hosts[at].address.clone() }
    }

    /// What is known may have changed.
    fn doubt(&mut self) {
        self.is_known = false;
    }

    /// Sends the bulk to this host and judges the answer.
    async fn ship(&mut self, http: &Http, at: usize, bulk: &Arc<Bulk>) -> Verdict {
        let mut verdict = self.attempt(http, at, bulk).await;
        // A server may repeat what it was sent.
        verdict.for_each_text(redact::hide);
        verdict
    }

    async fn attempt(&mut self, http: &Http, at: usize, bulk: &Arc<Bulk>) -> Verdict {
        if !self.is_known
            && let Err(refusal) = self.learn(http, at).await
        {
            return Verdict::Again(refusal);
        }
        let answer = match self.send(http, at, bulk).await {
            Ok(answer) => answer,
            Err(error) => {
                self.is_known = false;
                return Verdict::Again(Refusal::of(&error));
            }
        };
        let Some(complaint) = types::complaint_of_request(answer.status, &answer.body) else {
            return self.judge(at, answer, bulk);
        };
        // The whole bulk had the wrong types, so that nothing of it was taken: at once again, with the right ones.
        if !self.correct(&complaint, &[]) {
            return self.judge(at, answer, bulk);
        }
        match self.send(http, at, bulk).await {
            Ok(answer) => self.judge(at, answer, bulk),
            Err(error) => Verdict::Again(Refusal::of(&error)),
        }
    }

    async fn send(&mut self, http: &Http, at: usize, bulk: &Arc<Bulk>) -> Result<Answer, HttpError> {
        let answer_bytes = limits::ANSWER_BYTES_MIN + bulk.documents() * limits::ANSWER_BYTES_PER_DOCUMENT;
        let bulk = if self.types.wanted { Arc::new(self.types.apply(bulk)) } else { Arc::clone(bulk) };
        let host = &mut self.hosts[at];
        let ask = async |payload| http.ask(&host.bulk, host.address.timeout, Some(payload), answer_bytes).await;
        let compressed = if host.compress { self.gzip.compress(bulk.bytes()).await } else { None };
        let Some(compressed) = compressed else { return ask(Payload::Bulk(bulk)).await };
        let answer = ask(Payload::Gzip(Arc::clone(&compressed))).await;
        self.gzip.recycle(compressed);
        if !answer.as_ref().is_ok_and(may_be_for_compression) {
            return answer;
        }
        let answer = ask(Payload::Bulk(bulk)).await?;
        // Whatever else it says now, it has read this one.
        if !may_be_for_compression(&answer) {
            host.compress = false;
            part_log!(
                self.log_level,
                Info,
                info,
                recorder = self.name,
                "{} does not take compressed bulks: they are sent to it as they are from now on",
                host.address.host()
            );
        }
        Ok(answer)
    }

    /// The fates of the documents. One that was refused for its type only goes again, with the right one.
    fn judge(&mut self, at: usize, answer: Answer, bulk: &Bulk) -> Verdict {
        let complaints = types::complaints_of_items(&answer.body);
        let advice = self.hosts[at].bulk.advice(answer.status);
        let mut verdict = verdict::judge(answer, bulk.documents());
        match &mut verdict {
            Verdict::Judged(judgement) if !complaints.is_empty() => {
                let sent = self.types.clone();
                for (document, complaint) in &complaints {
                    self.correct(complaint, sent.of_document(bulk, *document));
                }
                for (document, _) in complaints {
                    if self.types.differs(&sent, bulk, document) {
                        judgement.retry(document, "documents had another type than their index");
                    }
                }
            }
            // A person may mend it by another server.
            Verdict::Again(refusal) if refusal.slow => {
                self.is_known = false;
                refusal.advise(advice);
            }
            _ => {}
        }
        verdict
    }

    /// Takes in what the server has against the types that it was sent; false if that was known.
    fn correct(&mut self, complaint: &Complaint, sent: &[u8]) -> bool {
        let before = self.types.clone();
        self.types.learn(complaint, sent);
        if self.types.wanted != before.wanted {
            // It is not what it was taken for: an upgrade, or it says one thing and does another.
            self.is_known = false;
            self.overruled = self.product;
        }
        self.types != before
    }

    /// Learns what the server is, and puts the template in place.
    async fn learn(&mut self, http: &Http, at: usize) -> Result<(), Refusal> {
        let Err(silence) = self.ask(http, at).await else {
            self.is_known = true;
            self.failures = 0;
            return Ok(());
        };
        self.failures += u32::from(silence.is_there);
        if self.failures < limits::LEARNING_FAILURES_MAX {
            return Err(silence.refusal);
        }
        part_log!(
            self.log_level,
            Warn,
            warn,
            recorder = self.name,
            "the server does not say what it is, and is written to all the same: {}",
            silence.refusal.reason
        );
        self.is_known = true;
        self.failures = 0;
        Ok(())
    }

    async fn ask(&mut self, http: &Http, at: usize) -> Result<(), Silence> {
        let address = &self.hosts[at].address;
        let product = address.product(http).await?;
        if self.product != Some(product) {
            part_log!(self.log_level, Debug, debug, recorder = self.name, "the server is {product}");
            self.product = Some(product);
        }
        if let Some(wish) = &self.wish {
            let outcome = address.ensure(http, wish, product).await?;
            if self.said.as_ref() != Some(&outcome) {
                self.say(&outcome);
                self.said = Some(outcome);
            }
        }
        if self.overruled != Some(product) {
            self.overruled = None;
            self.types.wanted = product.has_types();
        }
        Ok(())
    }

    fn say(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Refused(_) | Outcome::NoName => part_log!(
                self.log_level,
                Warn,
                warn,
                recorder = self.name,
                "no index template, so that the server guesses types: {outcome}"
            ),
            Outcome::Exists => {
                part_log!(self.log_level, Debug, debug, recorder = self.name, "index template: {outcome}");
            }
            _ => part_log!(self.log_level, Info, info, recorder = self.name, "index template: {outcome}"),
        }
    }
}

/// Whether a compressed bulk may have been refused for being compressed. Servers that read it as text say 400, as they do
/// for much else; what they have against types, they have read.
fn may_be_for_compression(answer: &Answer) -> bool {
    match answer.status {
        415 => true,
        400 => types::complaint_of_request(answer.status, &answer.body).is_none(),
        _ => false,
    }
}

/// The template that fits what a recorder is given.
pub(super) fn wish(config: &Recorder, target: &ServerTarget, feed: Feed) -> Wish {
    Wish {
        index_name: config.index_name.clone(),
        data_stream: target.data_stream,
        fields_max: feed.fields_max,
        verbatim: !feed.converts,
    }
}
