//! A running reader: the schedule of its ticks, the state of its endpoint, and what is logged about its payloads.

pub(crate) mod foreign;
mod losses;
mod own_members;
pub(crate) mod schedule;
mod slowness;
mod warned;
pub(crate) mod watch;

use crate::clock;
use crate::config::{Reader, Source};
use crate::document_buffers::DocumentBuffers;
use crate::flatten::{FlattenError, Report, Variables};
use crate::http::{Buffers, Content, ContentKind, Endpoint, Http, HttpError, Identity, NewBuffers, Refused};
use crate::limits;
use crate::log::{self, ComponentLevel, FailureLog, LogLevel, component_log};
use crate::metrics::{ReaderCounts, ReaderStatus, Said, State};
use crate::plural::counted;
use foreign::Kind;
use losses::{Line, Losses};
use own_members::OwnMembers;
use schedule::Schedule;
use slowness::Slowness;
use std::cell::{Cell, Ref, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
pub(crate) use warned::Warned;
use watch::{Findings, Watch};

/// One reader at work.
pub(crate) struct Reading {
    config: Arc<Reader>,
    log_level: ComponentLevel,
    /// The endpoint; none for the program's own counters.
    endpoint: Option<Endpoint>,
    own_members: OwnMembers,
    pub(crate) counts: ReaderCounts,
    /// Borrowed only while a body becomes a document.
    pub(crate) variables: RefCell<Variables>,
    pub(crate) schedule: RefCell<Schedule>,
    under_way: Cell<bool>,
    health: RefCell<Health>,
    pub(crate) watch: Watch,
}

/// The state of the endpoint.
struct Health {
    log: FailureLog,
    losses: Losses,
    slowness: Slowness,
    random: fastrand::Rng,
    /// Why the last poll failed that did, and when.
    error: Option<(String, Instant)>,
}

/// Why a tick gave no document.
pub(crate) enum ReadError {
    /// There is no body. By far the most likely one: the program is not running, or the network fails.
    Http(HttpError),
    /// The body may be expvar's JSON, but gives no document; `message` also names the variable at fault. Unlikely: a
    /// variable writes something that is not JSON, or `include` matches nothing.
    Payload { error: FlattenError, message: String },
    /// The body is something else. Likely if the endpoint is not the right one.
    Foreign {
        error: FlattenError,
        kind: Kind,
        /// How the body begins, in words; none if it is empty and nothing is known about it.
        description: Option<String>,
        /// What the user can do about it.
        remedy: Option<String>,
    },
}

impl Reading {
    /// A reader that begins at `elapsed` since the start. It ends after `polls_max` polls, if that is given.
    pub(crate) fn new(
        config: Arc<Reader>,
        settings_level: &ComponentLevel,
        host_name: &str,
        elapsed: Duration,
        polls_max: Option<u64>,
    ) -> Self {
        let endpoint = match &config.source {
            Source::Expvar { url, address, access } => {
                let endpoint = Endpoint::with_identity(url, Rc::new(Identity::new(Arc::clone(access))));
                Some(address.map_or_else(|| endpoint.clone(), |address| endpoint.at(address)))
            }
            Source::Targets(_) | Source::Own => None,
        };
        let mut random = fastrand::Rng::new();
        let schedule = Schedule::new((config.interval, config.jitter), elapsed, polls_max, &mut random);
        Self {
            log_level: settings_level.with(config.log_level),
            own_members: OwnMembers::new(&config, endpoint.as_ref(), host_name),
            endpoint,
            counts: ReaderCounts::default(),
            variables: RefCell::new(Variables::new(Arc::clone(&config.variables))),
            schedule: RefCell::new(schedule),
            under_way: Cell::new(false),
            health: RefCell::new(Health {
                log: FailureLog::default(),
                losses: Losses::default(),
                slowness: Slowness::default(),
                random,
                error: None,
            }),
            watch: Watch::default(),
            config,
        }
    }

    /// Whether it has one of the targets of its section, which come and go, or stands for them.
    pub(crate) fn is_target(&self) -> bool {
        self.config.group.is_some()
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    pub(crate) fn config(&self) -> &Reader {
        &self.config
    }

    /// Whether it reads the program's own counters: it is the reader `self`.
    pub(crate) fn is_own(&self) -> bool {
        self.config.source == Source::Own
    }

    /// Whether it only stands for targets that have not been found yet.
    pub(crate) fn is_stand_in(&self) -> bool {
        matches!(self.config.source, Source::Targets(_))
    }

    /// The members that each of its documents begins with, after the time.
    pub(crate) fn own_members(&self) -> Ref<'_, [u8]> {
        self.own_members.of(&self.config, self.endpoint.as_ref())
    }

    /// Whether a poll is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way.get()
    }

    /// Memory that its next poll will probably take while the answer arrives.
    pub(crate) fn expected_bytes(&self) -> usize {
        self.watch.last_body_bytes().unwrap_or(limits::READ_BYTES_MIN).max(limits::POLL_BYTES)
    }

    /// Whether a poll has ended.
    pub(crate) fn was_polled(&self) -> bool {
        self.counts.polls.get() > u64::from(self.under_way.get())
    }

    /// Whether the last poll that has ended gave a document.
    pub(crate) fn is_up(&self) -> bool {
        self.was_polled() && self.health.borrow().log.in_a_row() == 0
    }

    /// Whether a poll is due at `elapsed` since the start. Counts the ticks that are not polled.
    pub(crate) fn begin_tick(&self, elapsed: Duration) -> bool {
        let late = self.schedule.borrow_mut().take(elapsed, &mut self.health.borrow_mut().random);
        let Some(late) = late else { return false };
        if self.is_stand_in() {
            // The tick was there to look for targets.
            self.schedule.borrow_mut().polled();
            return false;
        }
        self.counts.late_ticks.add(late);
        if self.under_way.get() {
            self.counts.late_ticks.add(1);
            return false;
        }
        self.under_way.set(true);
        self.counts.polls.add(1);
        self.schedule.borrow_mut().polled();
        true
    }

    /// Requests the payload, and puts it into `body`, which is replaced by one of `buffers` when the answer begins to
    /// arrive. Only for a reader with an endpoint.
    pub(crate) async fn poll(
        &self,
        http: &Http,
        buffers: &dyn Buffers,
        body: &mut Vec<u8>,
    ) -> Result<Content, HttpError> {
        let Some(endpoint) = &self.endpoint else { return Ok(Content::default()) };
        let got = http.get(endpoint, self.config.timeout, self.config.body_bytes_max, buffers, body).await;
        got.map_err(|error| match error {
            HttpError::Status(Refused { status, content, advice, .. }) => {
                let kind = Kind::of(&content, body);
                let page = (kind != Kind::Empty).then(|| foreign::described(&kind, &content, body));
                let advice = advice.or_else(|| foreign::remedy(&kind, status, body, self.url()));
                HttpError::Status(Refused { status, content, page, advice })
            }
            other => other,
        })
    }

    /// Polls once, for those who look at the reader beside a run. `make` makes a document of the body. For the program's own
    /// counters `body` is what they are now.
    pub(crate) async fn poll_once(
        &self,
        http: &Http,
        mut body: Vec<u8>,
        make: &mut dyn FnMut(&mut Vec<u8>) -> Result<(), FlattenError>,
    ) -> Result<Content, ReadError> {
        let content = self.poll(http, &NewBuffers(0), &mut body).await.map_err(ReadError::Http)?;
        match make(&mut body) {
            Ok(()) => Ok(content),
            Err(error) => Err(self.refused(error, &content, &body)),
        }
    }

    /// The error for a body that is not a payload.
    pub(crate) fn refused(&self, error: FlattenError, content: &Content, body: &[u8]) -> ReadError {
        let kind = Kind::of(content, body);
        if kind.may_be_expvar() {
            let message = losses::in_words(error, body, &mut self.variables.borrow_mut());
            return ReadError::Payload { error, message };
        }
        let is_bare = kind == Kind::Empty && content.kind == ContentKind::Unknown;
        let description = (!is_bare).then(|| foreign::described(&kind, content, body));
        let remedy = match (foreign::remedy(&kind, 200, body, self.url()), content.redirected_to.as_deref()) {
            (remedy, None) => remedy,
            (remedy, Some(target)) => Some(foreign::with_redirect(remedy, target)),
        };
        ReadError::Foreign { error, kind, description, remedy }
    }

    /// The poll has given a document.
    pub(crate) fn succeeded(&self, report: &Report, body: &[u8], warned: &Warned) {
        self.under_way.set(false);
        self.counts.body_bytes.add(body.len() as u64);
        self.counts.add(report);
        let mut health = self.health.borrow_mut();
        if let Some((failures, away)) = health.log.recovered(clock::now()) {
            component_log!(
                self.log_level,
                Info,
                reader = self.name(),
                failures,
                outage_ms = log::milliseconds(away),
                "polling recovered after {:.1} s",
                away.as_secs_f64()
            );
        }
        let lines = health.losses.lines(
            report,
            &mut self.variables.borrow_mut(),
            self.config.variables.fields_max,
            clock::now(),
        );
        for line in lines {
            let Line { values, times, message } = line;
            component_log!(
                self.log_level,
                Warn,
                reader = self.name(),
                url = self.url(),
                values,
                count = times,
                "{message}"
            );
        }
        let unmatched = self.variables.borrow_mut().unmatched();
        for unmatched in unmatched {
            let warning = losses::without_match(unmatched);
            // One that nobody sees must not keep others from theirs.
            if self.log_level.shows(LogLevel::Warn) && warned.is_first(&warning) {
                component_log!(self.log_level, Warn, reader = self.name(), url = self.url(), "{warning}");
            } else {
                component_log!(self.log_level, Debug, reader = self.name(), url = self.url(), "{warning}");
            }
        }
        if report.restarted {
            component_log!(self.log_level, Info, reader = self.name(), url = self.url(), "the target restarted");
        }
        component_log!(self.log_level, Debug, reader = self.name(), bytes = body.len(), "polled");
    }

    /// What was changed in the only document, in words. Empty if nothing was, or if nobody had asked for it before.
    pub(crate) fn changes(&self, report: &Report) -> String {
        losses::changes(self.variables.borrow_mut().changed(), report)
    }

    /// What the first document lacks, and which patterns of the configuration match nothing, in words.
    pub(crate) fn remarks(&self, report: &Report) -> Vec<String> {
        let mut variables = self.variables.borrow_mut();
        let fields_max = self.config.variables.fields_max;
        let lines = Losses::default().lines(report, &mut variables, fields_max, clock::now());
        let unmatched = variables.unmatched().into_iter().map(losses::without_match);
        lines.into_iter().map(|line| line.message).chain(unmatched).collect()
    }

    /// The endpoint; none for the reader `self`.
    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// Records how long a poll that gave a document took.
    pub(crate) fn took(&self, time: Duration) {
        let interval = self.config.interval;
        if self.health.borrow_mut().slowness.is_to_be_logged(time, interval) {
            component_log!(
                self.log_level,
                Warn,
                reader = self.name(),
                took_ms = log::milliseconds(time),
                interval_ms = log::milliseconds(interval),
                "the endpoint is slower than its interval: the response took {:.3} s, interval is {interval:?}; late \
                 ticks are skipped and counted (late_ticks): raise interval",
                time.as_secs_f64()
            );
        }
    }

    /// The poll has given no document. `elapsed` is the time since the start.
    pub(crate) fn failed(&self, error: &ReadError, elapsed: Duration) {
        self.under_way.set(false);
        self.counts.failures.add(1);
        let mut health = self.health.borrow_mut();
        health.error = Some((error.to_string(), clock::now()));
        if let Some(times) = health.log.failed(&error.kind(), clock::now()) {
            component_log!(
                self.log_level,
                Warn,
                reader = self.name(),
                url = self.url(),
                count = times,
                "poll failed: {error}"
            );
        }
        let (in_a_row, backoff) = (health.log.in_a_row(), u64::from(self.config.backoff));
        if in_a_row == backoff {
            component_log!(
                self.log_level,
                Warn,
                reader = self.name(),
                url = self.url(),
                "down after {} in a row; probing about every {:?}",
                counted(backoff, "failure"),
                limits::PROBE_INTERVAL.max(self.config.interval)
            );
        }
        if in_a_row >= backoff {
            let delay = crate::backoff::probe_delay(&mut health.random);
            let skipped = self.schedule.borrow_mut().postpone(elapsed + delay);
            self.counts.down_ticks.add(skipped);
        }
    }

    /// Keeps a document, because somebody looks at it, with what its payload lacked; an empty one was too long.
    #[cold]
    pub(crate) fn keep(
        &self,
        document: Vec<u8>,
        report: &Report,
        polled: Duration,
        buffers: &mut DocumentBuffers,
        body: &mut Vec<u8>,
    ) {
        let mut findings = Findings::of(report);
        if Findings::has_losses(report) {
            findings.left_out = buffers.left_out(&self.config.variables, body);
        }
        self.watch.keep(polled, document, findings);
    }

    /// How it is doing.
    pub(crate) fn status(&self, now: Instant, elapsed: Duration) -> ReaderStatus<'_> {
        let health = self.health.borrow();
        let (failures, last) = (health.log.in_a_row(), self.watch.last_poll(elapsed));
        ReaderStatus {
            name: self.name(),
            state: State::of(failures, self.config.backoff.into(), last.is_some()),
            failing: health.log.since().map(|since| now.saturating_duration_since(since)),
            failures,
            interval: self.config.interval,
            last,
            next: self.schedule.borrow().due().map(|due| due.saturating_sub(elapsed)),
            error: health.error.as_ref().map(|(text, at)| Said::new(text, *at, now)),
            counts: &self.counts,
        }
    }

    fn url(&self) -> &str {
        match &self.config.source {
            Source::Expvar { url, .. } => url,
            Source::Targets(targets) => targets.named_url().unwrap_or_default(),
            Source::Own => "self",
        }
    }
}

impl ReadError {
    /// The same text for errors that are alike: only the first of them is logged at once.
    fn kind(&self) -> String {
        match self {
            Self::Http(error) => error.kind(),
            Self::Payload { error, .. } => format!("{:?}", error.cause),
            Self::Foreign { kind, .. } => kind.name().to_owned(),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::Payload { message, .. } => f.write_str(message),
            Self::Foreign { error, description, remedy, .. } => {
                error.fmt(f)?;
                if let Some(description) = description {
                    write!(f, ": it {description}")?;
                }
                remedy.as_ref().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
            }
        }
    }
}
