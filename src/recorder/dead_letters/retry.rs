//! Sends the documents of dead letters again, unchanged, to the server that refused them.
//!
//! Invariant: a letter is removed from its file only if the server answered 2xx or 409 for its document. A letter that is
//! refused again is kept, with the server's new reason.

use super::error::{Ended, LetterFileError, RetryProblem};
use super::files::{self, LetterFile};
use super::letter;
use super::replacement::{Done, LockedFile, Replacement};
use super::summary::Summary;
use super::survey::Survey;
use crate::bulk::Bulk;
use crate::clock;
use crate::config::{Recorder, Settings};
use crate::event_loop;
use crate::http::Http;
use crate::limits;
use crate::log::{ComponentLevel, component_log};
use crate::recorder::Feed;
use crate::recorder::elasticsearch::verdict::{DeadLetter, Fate, Judgement, Refusal, Verdict};
use crate::recorder::retry_state::RetryState;
use crate::recorder::sink::Sink;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What became of a recorder's letters.
#[derive(Debug, Default)]
pub(crate) struct Retried {
    /// Letters that were found.
    pub(crate) letters: u64,
    /// Documents that the server has accepted now.
    pub(crate) stored: u64,
    /// Documents that the server had accepted before.
    pub(crate) duplicate: u64,
    pub(crate) refused: Summary,
    /// Documents that the server refused for now, and may accept later.
    pub(crate) not_now: Summary,
    /// Letters that are still in the files.
    pub(crate) left: u64,
    /// Lines that are not letters. They are kept.
    pub(crate) broken_lines: u64,
    /// Messages about the first few of those lines.
    pub(crate) broken: Vec<String>,
    /// Whether a signal has ended the command.
    pub(crate) is_stopped: bool,
    /// What stopped the command, or prevented it from removing letters from their file.
    pub(crate) problems: Vec<RetryProblem>,
}

impl Retried {
    /// Whether the files are empty now.
    pub(crate) fn is_all_taken(&self) -> bool {
        self.left == 0 && self.broken_lines == 0 && self.problems.is_empty()
    }

    /// Adds the letters of a file, and what became of them. `is_thinned` says whether the accepted ones were removed from it.
    fn add(&mut self, survey: Survey, sent: Sent, is_thinned: bool) {
        self.letters += survey.letters;
        self.left += survey.letters - if is_thinned { sent.stored + sent.duplicate } else { 0 };
        self.stored += sent.stored;
        self.duplicate += sent.duplicate;
        self.refused.append(sent.refused);
        self.not_now.append(sent.pass.not_now);
        self.broken_lines += survey.broken_lines;
        self.broken.extend(survey.broken);
    }
}

/// Sends the letters in the files of `path` again until the server has accepted or refused each of them, has accepted
/// nothing for `settings.shutdown_timeout`, or `stop` completes with the name of a signal.
pub(crate) async fn retry<S: Future<Output = &'static str>>(
    recorder: &Recorder,
    path: &Path,
    feed: Feed,
    settings: &Settings,
    http: &Http,
    mut stop: Pin<&mut S>,
) -> Retried {
    let mut total = Retried::default();
    let stopped = async { Err(Ended::Stopped(stop.as_mut().await)) };
    let begun = async { begin(path).await.map_err(Ended::File) };
    let files = smol::future::or(stopped, begun).await.unwrap_or_else(|ended| {
        total.is_stopped = matches!(ended, Ended::Stopped(_));
        total.problems.push(RetryProblem::NothingSent(ended));
        Vec::new()
    });
    let mut sender = Sender::new(recorder, feed, settings, http);
    let mut is_over = false;
    for (file, mut replacement) in files {
        let survey = match Survey::of(&file) {
            Ok(survey) => survey,
            Err(error) => {
                total.problems.push(RetryProblem::File(file.unreadable(error)));
                continue;
            }
        };
        let mut sent = Sent::default();
        if is_over {
            total.add(survey, sent, false);
            continue;
        }
        let stopped = async { Err(Ended::Stopped(stop.as_mut().await)) };
        let sending = sender.send_file(&file, &mut replacement, &mut sent);
        let mut is_thinned = true;
        if let Err(ended) = smol::future::or(stopped, sending).await {
            is_over = true;
            // After a file error the replacement may be incomplete.
            is_thinned = !matches!(ended, Ended::File(_));
            total.is_stopped = matches!(ended, Ended::Stopped(_));
            total.problems.push(RetryProblem::Ended(ended));
        }
        if is_thinned && let Err(error) = replacement.take_place(&file, &sent.done, path).await {
            is_thinned = false;
            total.problems.push(RetryProblem::File(error));
        }
        total.add(survey, sent, is_thinned);
    }
    total
}

/// Opens the files, and begins a replacement for each. The lock ensures that no line is incomplete when they are opened.
async fn begin(path: &Path) -> Result<Vec<(LetterFile, Replacement)>, LetterFileError> {
    if files::open_all(path)?.is_empty() {
        return Ok(Vec::new());
    }
    let locked = LockedFile::of(path).await?;
    let all = files::open_all(path);
    drop(locked);
    let begin = |file: LetterFile| Replacement::begin(&file).map(|replacement| (file, replacement));
    all?.into_iter().map(begin).collect()
}

/// What became of the letters of one file.
#[derive(Debug, Default)]
struct Sent {
    done: Done,
    stored: u64,
    duplicate: u64,
    refused: Summary,
    pass: Pass,
}

/// The result of one pass over a file.
#[derive(Debug, Default)]
struct Pass {
    not_now: Summary,
    /// If requests have failed as a whole: the number of documents in the largest one, and the last reason.
    failed: Option<(usize, Refusal)>,
    /// How long to wait before the next pass.
    delay: Duration,
}

/// Documents that are sent together, each with the number of its line.
#[derive(Debug, Default)]
struct Portion {
    bulk: Arc<Bulk>,
    lines: Vec<u64>,
    /// The number of requests with this portion that have failed as a whole.
    failures: u64,
}

impl Portion {
    fn push(&mut self, document: &[u8], line: u64) {
        if let Some(bulk) = Arc::get_mut(&mut self.bulk) {
            bulk.push_whole(document);
            self.lines.push(line);
        }
    }

    fn halves(&self) -> [Self; 2] {
        let (first, last) = self.lines.split_at(self.lines.len() / 2);
        let part = |bulk: Bulk, lines: &[u64]| Self { bulk: Arc::new(bulk), lines: lines.to_vec(), failures: 0 };
        let [one, other] = self.bulk.halves();
        [part(one, first), part(other, last)]
    }
}

/// One recorder's connection to its server.
struct Sender<'s> {
    recorder: &'s Recorder,
    log_level: ComponentLevel,
    http: &'s Http,
    sink: Sink,
    /// The back-off after requests that failed as a whole.
    requests: RetryState,
    /// The back-off after documents that were refused one by one.
    items: RetryState,
    /// Whether the server has answered a request with a verdict on each document.
    is_well: bool,
    /// Portions in a row whose requests failed as a whole.
    failed_in_a_row: u64,
    /// The most documents that are sent together.
    documents_max: usize,
    /// How long to go on while the server accepts nothing, and when it has last accepted something.
    patience: Duration,
    progress_at: Instant,
}

impl<'s> Sender<'s> {
    fn new(recorder: &'s Recorder, feed: Feed, settings: &Settings, http: &'s Http) -> Self {
        let mut random = fastrand::Rng::new();
        let log_level = ComponentLevel::of_settings(settings.log_level).with(recorder.log_level);
        Self {
            recorder,
            log_level: log_level.clone(),
            http,
            sink: Sink::new(recorder, feed, log_level),
            requests: RetryState::new(recorder.backoff, random.fork()),
            items: RetryState::new(recorder.backoff, random.fork()),
            is_well: false,
            failed_in_a_row: 0,
            documents_max: recorder.bulk.documents as usize,
            patience: settings.shutdown_timeout,
            progress_at: clock::now(),
        }
    }

    /// Makes passes over a file until the server has accepted or refused each letter, or has accepted nothing for too long.
    async fn send_file(
        &mut self,
        file: &LetterFile,
        replacement: &mut Replacement,
        sent: &mut Sent,
    ) -> Result<(), Ended> {
        self.documents_max = self.recorder.bulk.documents as usize;
        loop {
            sent.pass = Pass::default();
            self.pass(file, replacement, sent).await?;
            if let Some((documents, refusal)) = sent.pass.failed.take() {
                if self.is_halving() && (self.is_late() || !self.may_be_due_to_documents(&refusal)) {
                    return Err(Ended::GaveUp(refusal));
                }
                if documents > 1 {
                    // Smaller portions show which document is to blame.
                    self.documents_max = documents / 2;
                    continue;
                }
            }
            if sent.pass.not_now.documents() == 0 || !self.pause(sent.pass.delay).await {
                return Ok(());
            }
        }
    }

    fn is_halving(&self) -> bool {
        self.documents_max < self.recorder.bulk.documents as usize
    }

    /// Whether a request may have failed because of its documents, because the server accepts other requests.
    fn may_be_due_to_documents(&self, refusal: &Refusal) -> bool {
        refusal.is_odd || self.is_well
    }

    /// Whether the server has accepted nothing for too long.
    fn is_late(&self) -> bool {
        clock::now() >= self.progress_at + self.patience
    }

    /// Makes one pass over a file.
    async fn pass(&mut self, file: &LetterFile, replacement: &mut Replacement, sent: &mut Sent) -> Result<(), Ended> {
        let failed = |error| Ended::File(file.unreadable(error));
        let (mut portion, mut document) = (Portion::default(), Vec::new());
        let mut lines = file.lines().map_err(failed)?;
        while let Some(line) = lines.next().map_err(failed)? {
            if sent.done.is(line.number) {
                continue;
            }
            let letter = match line.letter() {
                Ok(Some(letter)) => letter,
                Ok(None) => {
                    sent.done.set(line.number);
                    continue;
                }
                Err(_) => continue,
            };
            document.clear();
            letter.write_document(&mut document);
            let bytes = (portion.bulk.bytes().len() + document.len()) as u64;
            if portion.lines.len() >= self.documents_max || bytes > self.recorder.bulk.bytes {
                self.send(std::mem::take(&mut portion), replacement, sent).await?;
            }
            portion.push(&document, line.number);
        }
        self.send(portion, replacement, sent).await
    }

    /// Sends a portion until the server has judged each of its documents, or the request has failed several times.
    async fn send(&mut self, portion: Portion, replacement: &mut Replacement, sent: &mut Sent) -> Result<(), Ended> {
        let mut waiting = vec![portion];
        while let Some(mut portion) = waiting.pop() {
            if portion.lines.is_empty() {
                continue;
            }
            match self.sink.ship(self.http, &portion.bulk).await {
                Ok(Verdict::Judged(judgement)) => {
                    self.requests.recovered(clock::now());
                    (self.is_well, self.failed_in_a_row) = (true, 0);
                    self.book(&portion, &judgement, replacement, sent).map_err(Ended::File)?;
                    if !judgement.refusals.is_empty() {
                        self.pause(sent.pass.delay.min(limits::BACKLOG_DELAY_MAX)).await;
                    }
                }
                Ok(Verdict::Split(_)) => waiting.extend(portion.halves().into_iter().rev()),
                Ok(Verdict::Again(refusal)) => {
                    portion.failures += 1;
                    let delay = self.request_failed(&refusal);
                    let is_tried = portion.failures >= limits::TRIES_IN_A_ROW && (refusal.is_odd || self.is_halving());
                    if !is_tried && self.pause(delay).await {
                        waiting.push(portion);
                    } else {
                        self.set_aside(&portion, refusal, delay, &mut sent.pass)?;
                    }
                }
                // Only a recorder that ships to a file or a stream returns this error.
                Err(error) => return Err(Ended::OutputClosed(error)),
            }
        }
        Ok(())
    }

    /// Skips a portion that the server fails on as a whole, unless the server accepts nothing else either.
    fn set_aside(
        &mut self,
        portion: &Portion,
        refusal: Refusal,
        delay: Duration,
        pass: &mut Pass,
    ) -> Result<(), Ended> {
        self.failed_in_a_row += 1;
        let is_over = if self.may_be_due_to_documents(&refusal) {
            self.failed_in_a_row >= limits::TRIES_IN_A_ROW && self.is_late()
        } else {
            self.failed_in_a_row > 1
        };
        if is_over {
            return Err(Ended::GaveUp(refusal));
        }
        pass.not_now.add(&refusal.to_string(), "", portion.lines.len() as u64);
        let largest = pass.failed.as_ref().map_or(0, |(documents, _)| *documents).max(portion.lines.len());
        pass.delay = delay;
        pass.failed = Some((largest, refusal));
        Ok(())
    }

    /// Books what became of each document.
    ///
    /// # Errors
    /// Why a letter that was refused again cannot be written.
    fn book(
        &mut self,
        portion: &Portion,
        judgement: &Judgement,
        replacement: &mut Replacement,
        sent: &mut Sent,
    ) -> Result<(), LetterFileError> {
        let (mut refused, time) = (Vec::new(), clock::timestamp());
        for letter in &judgement.dead_letters {
            letter::write(&mut refused, &self.recorder.name, letter, portion.bulk.document(letter.index), time);
        }
        replacement.append(&refused)?;
        for DeadLetter { status, reason, message, .. } in &judgement.dead_letters {
            sent.refused.add(&letter::kind(status, reason), message, 1);
        }
        let mut not_now = 0;
        for (fate, line) in judgement.fates.iter().zip(&portion.lines) {
            match fate {
                Fate::Acked => sent.stored += 1,
                Fate::Duplicate => sent.duplicate += 1,
                Fate::DeadLetter => {}
                Fate::Retry | Fate::Mend => {
                    not_now += 1;
                    continue;
                }
            }
            sent.done.set(*line);
        }
        let now = clock::now();
        let is_progress = not_now < portion.lines.len() as u64;
        if is_progress {
            self.progress_at = now;
        }
        if let Some(refusal) = judgement.decisive_refusal() {
            sent.pass.not_now.add(&refusal.to_string(), "", not_now);
            sent.pass.delay = self.items.failed(refusal, is_progress, now).delay;
        }
        Ok(())
    }

    /// Logs that a request failed, at a limited rate. Returns how long to wait before the next one.
    fn request_failed(&mut self, refusal: &Refusal) -> Duration {
        let failed = self.requests.failed(refusal, false, clock::now());
        if let Some(times) = failed.unlogged {
            let name = self.recorder.name.as_str();
            component_log!(self.log_level, Warn, recorder = name, count = times, "sending failed: {refusal}");
        }
        failed.delay
    }

    /// Waits for `delay`. Returns false, without waiting, if by then the server would have accepted nothing for too long.
    async fn pause(&mut self, delay: Duration) -> bool {
        let until = clock::now() + delay;
        let is_patient = until < self.progress_at + self.patience;
        if is_patient {
            smol::future::or(event_loop::sleep_until(until), self.sink.attend()).await;
        }
        is_patient
    }
}
