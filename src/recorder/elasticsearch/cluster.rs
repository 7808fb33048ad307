//! The hosts of one recorder: each bulk goes to a healthy one, and on to the next if that one fails. Hosts that rest
//! are asked for their state meanwhile.
//!
//! All hosts are taken for one cluster, which makes going on to the next one safe: it has the same documents, and
//! answers 409 for those that got through to the first. Invariants: no bulk waits for a host that rests while another
//! is healthy; a bulk fails only if each host that was tried has failed.

use super::Elasticsearch;
use super::hosts::{Failure, Hosts};
use super::setup::{Question, Silence};
use super::verdict::{Refusal, Verdict};
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

/// One cluster.
pub(in crate::recorder) struct Cluster {
    server: Elasticsearch,
    watch: Watch,
}

/// The state of the hosts.
struct Watch {
    name: String,
    log_level: ComponentLevel,
    hosts: Hosts,
    logs: Vec<FailureLog>,
    random: fastrand::Rng,
    /// One for each host that rests.
    probes: Vec<Probe>,
    /// A host has come back: it may have been upgraded meanwhile.
    has_news: bool,
}

/// Waits for the end of a host's rest, then asks it what it is.
struct Probe {
    at: usize,
    answer: Pin<Box<dyn Future<Output = Answer>>>,
}

/// Ok for any answer but one that says that the host is busy. Otherwise why there was none, and the question, to be
/// asked again.
type Answer = Result<(), (Silence, Question)>;

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

    /// Sends the bulk to one host after the other, until one accepts or judges it.
    pub(in crate::recorder) async fn ship(&mut self, http: &Http, bulk: &Arc<Bulk>) -> Verdict {
        if self.server.hosts.len() == 1 {
            // With a single host, the recorder's own pace is enough.
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
            refusal.reason = self.server.hosts[at].address.named(refusal.reason);
            let until = self.watch.failed(at, &refusal, started);
            self.watch.ask(at, until, self.server.question(http, at));
            // One failure that passes by itself is enough to try again soon, and a host that is away may be the one
            // that accepts the bulk.
            refusal.slow &= last.as_ref().is_none_or(|last| last.slow);
            refusal.is_odd &= last.is_none_or(|last| last.is_odd);
            last = Some(refusal);
        }
        let refusal = last.unwrap_or_else(|| Refusal::new("no host".to_owned(), "no host to try".to_owned()));
        Verdict::Again(Refusal { after: self.watch.hosts.asked_pause(clock::now()), ..refusal })
    }

    /// Probes hosts that rest, for as long as it is polled.
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

    /// Gives the end of its rest.
    fn failed(&mut self, at: usize, refusal: &Refusal, started: Instant) -> Instant {
        let now = clock::now();
        if let Some(times) = self.logs[at].failed(&refusal.kind, now) {
            let reason = &refusal.reason;
            component_log!(
                self.log_level,
                Warn,
                recorder = self.name,
                count = times,
                "a host failed, shipping to the others: {reason}"
            );
        }
        let failure = Failure { cost: now - started, asked: refusal.after, slow: refusal.slow };
        self.hosts.failed(at, failure, now, &mut self.random)
    }

    /// Has the question asked at the end of the rest.
    fn ask(&mut self, at: usize, until: Instant, question: Question) {
        self.probes.retain(|probe| probe.at != at);
        let answer = async move {
            event_loop::sleep_until(until).await;
            match question.ask().await {
                Ok(()) => Ok(()),
                Err(silence) => Err((silence, question)),
            }
        };
        self.probes.push(Probe { at, answer: Box::pin(answer) });
    }

    /// Never completes. With nothing to ask it only sleeps.
    async fn attend<T>(&mut self) -> T {
        loop {
            let (at, answer) = poll_fn(|context| self.poll_probes(context)).await;
            self.probes.retain(|probe| probe.at != at);
            match answer {
                Ok(()) => {
                    self.hosts.returned(at);
                    self.has_news = true;
                }
                Err((silence, question)) => {
                    // Nobody waited for it.
                    let failure = Failure { asked: silence.refusal.after, ..Failure::default() };
                    let until = self.hosts.failed(at, failure, clock::now(), &mut self.random);
                    self.ask(at, until, question);
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
