//! Sends bulks to the hosts of one recorder. Each bulk goes to a healthy host, and to the next one if that fails. In the
//! meantime, resting hosts are probed.
//!
//! All hosts are assumed to belong to one cluster. So it is safe to send a bulk to the next host: it has the same
//! documents, and answers 409 for those that the first host has accepted. Invariants: no bulk waits for a resting host
//! while another one is healthy, and a bulk fails only if every host that was tried has failed.

use super::hosts::{Failure, Hosts};
use super::reason::Reason;
use super::setup::{ProbeRequest, RequestError};
use super::verdict::{Refusal, Verdict};
use super::{Elasticsearch, Product};
use crate::bulk::Bulk;
use crate::clock;
use crate::config::{Recorder, ServerTarget};
use crate::event_loop;
use crate::http::Http;
use crate::log::{self, ComponentLevel, FailureLog, component_log};
use crate::recorder::Feed;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// The cluster that one recorder ships to.
pub(in crate::recorder) struct Cluster {
    server: Elasticsearch,
    watch: Watch,
}

/// Keeps track of the state of the hosts.
struct Watch {
    name: String,
    log_level: ComponentLevel,
    hosts: Hosts,
    logs: Vec<FailureLog>,
    random: fastrand::Rng,
    /// One for each resting host.
    probes: Vec<Probe>,
    /// A host has come back since the last bulk. It may have been upgraded in the meantime.
    has_news: bool,
}

/// Waits for the end of a host's rest, then asks it what it is.
struct Probe {
    at: usize,
    answer: Pin<Box<dyn Future<Output = Answer>>>,
}

/// `Ok` for any answer, except one that says that the host is busy. The error comes with the request, so that it can be
/// sent again.
type Answer = Result<(), (RequestError, ProbeRequest)>;

impl Cluster {
    pub(in crate::recorder) fn new(
        config: &Recorder,
        target: &ServerTarget,
        feed: Feed,
        log_level: ComponentLevel,
    ) -> Self {
        let mut random = fastrand::Rng::new();
        let count = target.hosts.len();
        let watch = Watch {
            name: config.name.clone(),
            log_level: log_level.clone(),
            hosts: Hosts::new(count, &mut random),
            logs: (0..count).map(|_| FailureLog::default()).collect(),
            random,
            probes: Vec::new(),
            has_news: false,
        };
        Self { server: Elasticsearch::new(config, target, feed, log_level), watch }
    }

    /// Applies another feed.
    pub(in crate::recorder) fn set_feed(&mut self, feed: Feed) {
        self.server.set_feed(feed);
    }

    /// Whether bulks are copied to add mapping types.
    pub(in crate::recorder) fn sends_copies(&self) -> bool {
        self.server.types.wanted
    }

    /// What the servers are, if it is known.
    pub(in crate::recorder) fn product(&self) -> Option<Product> {
        self.server.product
    }

    /// Sends the bulk to one host after the other, until one accepts or judges it.
    pub(in crate::recorder) async fn ship(&mut self, http: &Http, bulk: &Arc<Bulk>) -> Verdict {
        if self.server.hosts.len() == 1 {
            // A single host needs no rests: the recorder's own back-off is enough.
            return self.server.ship(http, 0, bulk).await;
        }
        let mut last: Option<Refusal> = None;
        for at in self.watch.hosts.candidates(clock::now()) {
            if std::mem::take(&mut self.watch.has_news) {
                self.server.doubt();
            }
            let started = clock::now();
            let verdict = smol::future::or(self.server.ship(http, at, bulk), self.watch.attend()).await;
            let Verdict::Again(mut refusal) = verdict else {
                self.watch.worked(at, self.server.host(at));
                return verdict;
            };
            refusal.host = Some(self.server.host(at).to_owned());
            let until = self.watch.failed(at, &refusal, started);
            self.watch.probe(at, until, self.server.probe_request(http, at));
            // If one of the failures is temporary, the bulk is tried again soon. If one says nothing about the content of
            // the bulk, that host may accept it once it is back.
            refusal.slow &= last.as_ref().is_none_or(|last| last.slow);
            refusal.is_odd &= last.is_none_or(|last| last.is_odd);
            last = Some(refusal);
        }
        let refusal = last.unwrap_or_else(|| Refusal::new(Reason::NoHost));
        Verdict::Again(Refusal { after: self.watch.hosts.asked_pause(clock::now()), ..refusal })
    }

    /// Probes resting hosts, for as long as it is polled.
    pub(in crate::recorder) async fn attend<T>(&mut self) -> T {
        self.watch.attend().await
    }
}

impl Watch {
    /// The host has accepted a bulk, or judged it.
    fn worked(&mut self, at: usize, host: &str) {
        self.probes.retain(|probe| probe.at != at);
        if self.hosts.worked(at)
            && let Some((failures, away)) = self.logs[at].recovered(clock::now())
        {
            component_log!(
                self.log_level,
                Info,
                recorder = self.name,
                failures,
                outage_ms = log::milliseconds(away),
                "{host} accepts bulks again after {:.1} s",
                away.as_secs_f64()
            );
        }
    }

    /// Logs the failure of a host, and returns the end of its rest.
    fn failed(&mut self, at: usize, refusal: &Refusal, started: Instant) -> Instant {
        let now = clock::now();
        if let Some(times) = self.logs[at].failed(&refusal.kind(), now) {
            component_log!(
                self.log_level,
                Warn,
                recorder = self.name,
                count = times,
                "a host failed, shipping to the others: {refusal}"
            );
        }
        let failure = Failure { cost: now - started, asked: refusal.after, slow: refusal.slow };
        self.hosts.failed(at, failure, now, &mut self.random)
    }

    /// Starts a probe that sends the request at the end of the rest.
    fn probe(&mut self, at: usize, until: Instant, request: ProbeRequest) {
        self.probes.retain(|probe| probe.at != at);
        let answer = async move {
            event_loop::sleep_until(until).await;
            match request.send().await {
                Ok(()) => Ok(()),
                Err(error) => Err((error, request)),
            }
        };
        self.probes.push(Probe { at, answer: Box::pin(answer) });
    }

    /// Runs the probes. It never completes, and without probes it only sleeps.
    async fn attend<T>(&mut self) -> T {
        loop {
            let (at, answer) = poll_fn(|context| self.poll_probes(context)).await;
            self.probes.retain(|probe| probe.at != at);
            match answer {
                Ok(()) => {
                    self.hosts.returned(at);
                    self.has_news = true;
                }
                Err((error, request)) => {
                    // No documents waited for this probe, so the failure cost nothing.
                    let failure = Failure { asked: error.refusal.after, ..Failure::default() };
                    let until = self.hosts.failed(at, failure, clock::now(), &mut self.random);
                    self.probe(at, until, request);
                }
            }
        }
    }

    fn poll_probes(&mut self, context: &mut Context<'_>) -> Poll<(usize, Answer)> {
        for probe in &mut self.probes {
            if let Poll::Ready(answer) = probe.answer.as_mut().poll(context) {
                return Poll::Ready((probe.at, answer));
            }
        }
        Poll::Pending
    }
}
