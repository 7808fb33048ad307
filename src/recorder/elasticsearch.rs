//! Ships bulks to Elasticsearch, OpenSearch, or any other server that speaks `_bulk`. There is no product check. This
//! module has what is known about the cluster behind a recorder's hosts, and one exchange with one of them; [`cluster`]
//! chooses the host.
//!
//! The product decides two things, the mapping types and the template. It is asked for before the first bulk and again
//! whenever it may have changed: after an exchange that failed, and when the server complains about types, which
//! settles the matter at once. A server that does not say what it is gets bulks like a new one.

pub(super) mod answer;
mod cluster;
mod existing;
mod gzip;
mod hosts;
pub(super) mod inspection;
mod mapping_types;
pub(super) mod reason;
mod refusals;
pub(super) mod retention;
mod scan;
mod server;
pub(super) mod setup;
pub(super) mod template;
mod trial;
pub(super) mod verdict;

use crate::bulk::Bulk;
use crate::config::{self, Compression, Recorder, ServerTarget};
use crate::http::{Endpoint, Http, Payload, Reply};
use crate::limits;
use crate::log::{ComponentLevel, component_log};
use crate::recorder::Feed;
use crate::redact;
use answer::{BulkAnswer, Judge};
use gzip::{Gzip, GzipSupport};
use mapping_types::MappingTypes;
use reason::Remedy;
pub(super) use server::Product;
use setup::life_cycle::Kept;
use setup::{Address, Outcome, ProbeRequest, RequestError};
use std::sync::Arc;
use template::Wish;
pub(crate) use template::index_pattern;
use template::means::Means;
pub(super) use template::meets_integers;
use verdict::{Refusal, Verdict};

/// The query of a bulk request: it limits the answer to what is needed to know the fate of each document.
const QUERY: &str = "filter_path=errors,items.*.status,items.*.error";

pub(super) use cluster::Cluster;
pub use trial::{BulkOutcome, BulkTrial};

/// The servers of one cluster.
#[derive(Debug)]
struct Elasticsearch {
    name: String,
    log_level: ComponentLevel,
    hosts: Vec<Host>,
    gzip: Gzip,
    /// None if no template is to be put in place.
    wish: Option<Wish>,
    product: Option<Product>,
    /// Whether `product` is still believed to be what is there.
    is_known: bool,
    /// How often in a row it was reachable but did not answer the question.
    failures: u32,
    types: MappingTypes,
    /// The product that contradicts what is known about its mapping types, according to the server's own answers.
    overruled: Option<Product>,
    /// What was last logged about the template.
    logged_outcome: Option<Outcome>,
}

/// One of them.
#[derive(Debug)]
struct Host {
    address: Address,
    bulk: Endpoint,
    compression: Compression,
    /// Whether it accepts compressed bulks.
    gzip_support: GzipSupport,
}

impl Elasticsearch {
    /// `feed` is what the recorder is given.
    fn new(config: &Recorder, target: &ServerTarget, feed: Feed, log_level: ComponentLevel) -> Self {
        let pipeline = target.pipeline.as_ref().map(|name| format!("&pipeline={name}")).unwrap_or_default();
        let host = |config::Host { url, access }: &config::Host| {
            let address = Address::new(url, access, target.timeout);
            let bulk = address.of("/_bulk", &format!("{QUERY}{pipeline}"));
            Host { address, bulk, compression: target.compression, gzip_support: GzipSupport::default() }
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
            types: MappingTypes::default(),
            overruled: None,
            logged_outcome: None,
        }
    }

    /// A template that is still to be put in place has to fit something else from now on.
    fn set_feed(&mut self, feed: Feed) {
        if let Some(wish) = &mut self.wish {
            (wish.fields_max, wish.verbatim) = (feed.fields_max, !feed.converts);
        }
    }

    /// Host and port of one of them.
    fn host(&self, at: usize) -> &str {
        self.hosts[at].address.host()
    }

    /// The request that probes it while it rests.
    fn probe_request(&self, http: &Http, at: usize) -> ProbeRequest {
        ProbeRequest { http: http.clone(), address: self.hosts[at].address.clone() }
    }

    /// Marks what is known as possibly out of date.
    fn doubt(&mut self) {
        self.is_known = false;
    }

    /// Sends the bulk to this host and judges the answer.
    async fn ship(&mut self, http: &Http, at: usize, bulk: &Arc<Bulk>) -> Verdict {
        let mut verdict = self.attempt(http, at, bulk).await;
        // A server may repeat secrets that it was sent.
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
            Err(refusal) => {
                self.is_known = false;
                return Verdict::Again(refusal);
            }
        };
        // If the whole bulk had the wrong types, nothing of it was taken: at once again, with the right ones.
        if !answer
            .request_complaint
            .as_ref()
            .is_some_and(|complaint| self.correct(|types| types.learn(complaint, &[], &[])))
        {
            return self.settle(at, answer, bulk);
        }
        match self.send(http, at, bulk).await {
            Ok(answer) => self.settle(at, answer, bulk),
            Err(refusal) => Verdict::Again(refusal),
        }
    }

    async fn send(&mut self, http: &Http, at: usize, bulk: &Arc<Bulk>) -> Result<BulkAnswer, Refusal> {
        let bulk = if self.types.wanted { Arc::new(self.types.apply(bulk)) } else { Arc::clone(bulk) };
        let host = &mut self.hosts[at];
        // Where it is may become known only by the first exchange with it.
        let is_wanted = host.compression.suits(host.bulk.is_neighbour());
        let compressed = if is_wanted && host.gzip_support.is_next_compressed() {
            self.gzip.compress(bulk.bytes()).await
        } else {
            None
        };
        let plain = || Payload::Bulk(Arc::clone(&bulk));
        let Some(compressed) = compressed else { return exchange(http, host, plain(), &bulk).await };
        let answer = exchange(http, host, Payload::Gzip(Arc::clone(&compressed)), &bulk).await;
        self.gzip.recycle(compressed);
        let answer = answer?;
        if !may_be_for_compression(&answer) {
            // It has read it, unless it was too busy for that.
            if matches!(answer.status, 200..=299) {
                host.gzip_support.worked();
            }
            return Ok(answer);
        }
        let is_certain = answer.status == 415;
        let answer = exchange(http, host, plain(), &bulk).await?;
        // Whatever else it says now, it has read this one.
        if !may_be_for_compression(&answer) && host.gzip_support.failed(is_certain) {
            component_log!(
                self.log_level,
                Info,
                recorder = self.name,
                "{} does not accept compressed bulks: sending them uncompressed, and retrying now and then",
                host.address.host()
            );
        }
        Ok(answer)
    }

    /// Completes the verdict. A document that was refused only for its type is sent again with the right one.
    fn settle(&mut self, at: usize, answer: BulkAnswer, bulk: &Bulk) -> Verdict {
        let BulkAnswer { status, mut verdict, complaints, .. } = answer;
        match &mut verdict {
            Verdict::Judged(judgement) if !complaints.is_empty() => {
                self.correct(|types| types.reconsider(&complaints, bulk, judgement));
            }
            // A person may mend it by another server.
            Verdict::Again(refusal) if refusal.slow => {
                self.is_known = false;
                refusal.advise(self.hosts[at].bulk.advice(status).map(Remedy::Authenticate));
            }
            _ => {}
        }
        verdict
    }

    /// Learns from a complaint about types; false if it taught nothing new.
    fn correct(&mut self, learn: impl FnOnce(&mut MappingTypes)) -> bool {
        let before = self.types.clone();
        learn(&mut self.types);
        if self.types.wanted != before.wanted {
            // It is not what it was taken for: an upgrade, or it says one thing and does another.
            self.is_known = false;
            self.overruled = self.product;
        }
        self.types != before
    }

    /// Learns what the server is, and puts the template in place.
    async fn learn(&mut self, http: &Http, at: usize) -> Result<(), Refusal> {
        let Err(error) = self.ask(http, at).await else {
            self.is_known = true;
            self.failures = 0;
            return Ok(());
        };
        self.failures += u32::from(error.is_reachable);
        if self.failures < limits::LEARNING_FAILURES_MAX {
            return Err(error.refusal);
        }
        component_log!(
            self.log_level,
            Warn,
            recorder = self.name,
            "cannot identify the server, shipping to it anyway: {}",
            error.refusal
        );
        self.is_known = true;
        self.failures = 0;
        Ok(())
    }

    async fn ask(&mut self, http: &Http, at: usize) -> Result<(), RequestError> {
        let address = &self.hosts[at].address;
        let product = address.product(http).await?;
        if self.product != Some(product) {
            let (name, version) = (product.name(), product.version());
            component_log!(
                self.log_level,
                Debug,
                recorder = self.name,
                product = name,
                version,
                "the server is {product}"
            );
            self.product = Some(product);
        }
        if let Some(wish) = &self.wish {
            let mut kept = Kept::default();
            let outcome = address.ensure(http, wish, product, &mut kept).await?;
            self.log_kept(&kept);
            if self.logged_outcome.as_ref() != Some(&outcome) {
                self.log_template(product, &outcome);
                self.logged_outcome = Some(outcome);
            }
        }
        if self.overruled != Some(product) {
            self.overruled = None;
            self.types.wanted = product.has_types();
        }
        Ok(())
    }

    /// Logs what has become of a retention. It is put in place only together with the template.
    fn log_kept(&self, kept: &Kept) {
        if *kept == Kept::NotWanted {
            return;
        }
        if kept.is_good() {
            component_log!(self.log_level, Info, recorder = self.name, "retention: {kept}");
        } else {
            component_log!(self.log_level, Warn, recorder = self.name, "retention: {kept}");
        }
    }

    fn log_template(&self, product: Product, outcome: &Outcome) {
        let name = &self.name;
        let (is_warning, what) = match outcome {
            Outcome::Exists => {
                return component_log!(self.log_level, Debug, recorder = name, "index template: {outcome}");
            }
            Outcome::Refused(_) | Outcome::NoName => (true, "no index template, the server guesses field types"),
            Outcome::NotForStream(..) => (true, "index template"),
            Outcome::Created(_, Some(existing)) => (existing.is_other(), "index template"),
            _ => (false, "index template"),
        };
        let (product, version) = (product.name(), product.version());
        if is_warning {
            component_log!(self.log_level, Warn, recorder = name, product, version, "{what}: {outcome}");
        } else {
            component_log!(self.log_level, Info, recorder = name, product, version, "{what}: {outcome}");
        }
    }
}

/// Sends a bulk in this form, and reads the answer as it comes.
async fn exchange(http: &Http, host: &Host, payload: Payload, bulk: &Bulk) -> Result<BulkAnswer, Refusal> {
    let mut judge = Judge::new(bulk.documents(), &redact::hide);
    let bytes_max = limits::answer_bytes_max(bulk.documents(), bulk.bytes().len());
    match http.post(&host.bulk, host.address.timeout, payload, bytes_max, &mut judge).await {
        Ok(Reply { status, retry_after, location, is_whole }) => {
            let mut answer = judge.conclude(status, retry_after, is_whole);
            if let (Verdict::Again(refusal), Some(location)) = (&mut answer.verdict, location) {
                refusal.advise(Some(Remedy::of_redirect(&location, "")));
            }
            Ok(answer)
        }
        // An answer that had begun may break off because of what is in it.
        Err(error) => Err(Refusal { is_odd: judge.has_begun(), ..Refusal::of(error) }),
    }
}

/// Whether a compressed bulk may have been refused for being compressed. Servers that read it as text say 400, as they do
/// for much else; what they have against types, they have read.
fn may_be_for_compression(answer: &BulkAnswer) -> bool {
    match answer.status {
        415 => true,
        400 => answer.request_complaint.is_none(),
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
        lean: target.lean,
        index_numbers: target.index_numbers,
        index_settings: target.index_settings.clone(),
        retention: target.retention,
        means: Means::None,
    }
}
