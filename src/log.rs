//! Log lines on standard error, as text or JSON: a `tracing` subscriber of our own.
//!
//! tracing-subscriber does the same with filters, spans and layers that nothing here needs, and costs more memory than
//! all of the sanitiser. Only events of this crate are shown, whatever the level: what libraries say may hold secrets.

use crate::clock;
use crate::config::{Config, LogFormat, LogLevel};
use crate::json;
use crate::limits;
use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

/// Target of the events of one reader or recorder, which has a level of its own.
pub(crate) const PART: &str = "expvastic::part";

/// What is logged by the process, from its start to its end.
pub(crate) struct Log(Arc<Lines>);

impl Log {
    /// Begins logging for the rest of the process.
    pub(crate) fn start(config: &Config) -> Self {
        let lines = Arc::new(Lines { shown: Mutex::new(Shown::of(config)), line: Mutex::new(Vec::new()) });
        // Only fails if a subscriber is set already: then the host program of the library shows the events.
        let _ = tracing::subscriber::set_global_default(Arc::clone(&lines));
        Self(lines)
    }

    /// Goes on as another configuration says.
    pub(crate) fn follow(&self, config: &Config) {
        *self.0.shown.lock().unwrap_or_else(PoisonError::into_inner) = Shown::of(config);
        // What is off is known to each place that logs, so that it costs nothing there.
        tracing::callsite::rebuild_interest_cache();
    }
}

/// What is shown, and how.
#[derive(Debug, Clone, Copy)]
struct Shown {
    level: Level,
    /// Of whichever reader or recorder wants to see most; each holds back what is above its own.
    part_level: Level,
    format: LogFormat,
}

impl Shown {
    fn of(config: &Config) -> Self {
        let settings = config.settings();
        let most_detailed = config.part_log_levels().fold(settings.log_level, LogLevel::max);
        Self { level: level(settings.log_level), part_level: level(most_detailed), format: settings.log_format }
    }
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}

struct Lines {
    shown: Mutex<Shown>,
    line: Mutex<Vec<u8>>,
}

impl Lines {
    fn shown(&self) -> Shown {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let shown = self.shown();
        let level = if target == PART { shown.part_level } else { shown.level };
        *metadata.level() <= level && (target == "expvastic" || target.starts_with("expvastic::"))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.shown().part_level.into())
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Ok(mut line) = self.line.lock() else { return };
        line.clear();
        match self.shown().format {
            LogFormat::Text => fields.write_text(&mut line, *event.metadata().level()),
            LogFormat::Json => fields.write_json(&mut line, *event.metadata().level()),
        }
        line.push(b'\n');
        // Nobody is left to tell if standard error is closed.
        let _ = std::io::stderr().write_all(&line);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The message and the fields of one event.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.rest.push((field.name(), format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.rest.push((field.name(), value.to_owned()));
    }
}

impl Fields {
    fn write_text(&self, line: &mut Vec<u8>, level: Level) {
        let _ = write!(line, "{:.3} {level:5} ", clock::timestamp());
        write_printable(line, &self.message);
        for (name, value) in &self.rest {
            let _ = write!(line, " {name}=");
            let quoted = value.is_empty() || value.contains([' ', '"', '=']);
            write_printable(line, &if quoted { format!("{value:?}") } else { value.clone() });
        }
    }

    fn write_json(&self, line: &mut Vec<u8>, level: Level) {
        let _ = write!(
            line,
            "{{\"time\":\"{:.3}\",\"level\":\"{}\",\"message\":",
            clock::timestamp(),
            level.as_str().to_ascii_lowercase()
        );
        json::write_string(line, &self.message);
        for (name, value) in &self.rest {
            line.push(b',');
            json::write_string(line, name);
            line.push(b':');
            json::write_string(line, value);
        }
        line.push(b'}');
    }
}

/// Text from outside cannot begin a line of its own or move the cursor.
fn write_printable(line: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            let _ = write!(line, "{}", c.escape_default());
        } else {
            let _ = write!(line, "{c}");
        }
    }
}

/// How much of one reader or recorder is shown: as much as it says itself, else as much as the settings say, now.
#[derive(Debug, Clone)]
pub(crate) struct PartLevel {
    own: Option<LogLevel>,
    settings: Rc<Cell<LogLevel>>,
}

impl PartLevel {
    /// The level of the settings, for those that have none of their own.
    pub(crate) fn of_settings(level: LogLevel) -> Self {
        Self { own: None, settings: Rc::new(Cell::new(level)) }
    }

    /// That of a reader or recorder of the same settings.
    pub(crate) fn with(&self, own: Option<LogLevel>) -> Self {
        Self { own, settings: Rc::clone(&self.settings) }
    }

    /// Changes the level of the settings for all who share it.
    pub(crate) fn change_settings(&self, level: LogLevel) {
        self.settings.set(level);
    }

    pub(crate) fn shows(&self, level: LogLevel) -> bool {
        level <= self.own.unwrap_or_else(|| self.settings.get())
    }
}

/// Logs an event of one reader or recorder, if its own level shows it:
/// `part_log!(part.log_level, Warn, warn, …)` with what [`tracing`]'s macro of that level takes.
macro_rules! part_log {
    ($shown:expr, $level:ident, $macro:ident, $($arguments:tt)+) => {
        if $shown.shows($crate::config::LogLevel::$level) {
            tracing::$macro!(target: $crate::log::PART, $($arguments)+);
        }
    };
}
pub(crate) use part_log;

/// Says when a failure that goes on, or comes and goes, is worth another line: at once, then after growing periods, with a
/// count.
#[derive(Debug, Default)]
pub(crate) struct FailureLog {
    kinds: Vec<FailureKind>,
    failures: u64,
    first: Option<Instant>,
    /// Something was said since it last worked.
    said: bool,
}

#[derive(Debug)]
struct FailureKind {
    name: String,
    silent_until: Instant,
    period: Duration,
    unsaid: u64,
}

impl FailureLog {
    /// One more failure of this kind. Gives the number of those not spoken of, this one included, if it is time for a
    /// line.
    pub(crate) fn failed(&mut self, kind: &str, now: Instant) -> Option<u64> {
        self.failures += 1;
        self.first.get_or_insert(now);
        let at = self.kind(kind, now);
        let known = &mut self.kinds[at];
        known.unsaid += 1;
        if now < known.silent_until {
            return None;
        }
        // What comes back is still the same, unless it was away for very long.
        let is_new = known.period.is_zero() || now >= known.silent_until + limits::LOG_PERIOD_MAX;
        known.period = if is_new { limits::LOG_PERIOD_MIN } else { (known.period * 2).min(limits::LOG_PERIOD_MAX) };
        known.silent_until = now + known.period;
        self.said = true;
        Some(std::mem::take(&mut known.unsaid))
    }

    /// The place of a kind. A new one takes that of another whose silence is over, if there are too many.
    fn kind(&mut self, name: &str, now: Instant) -> usize {
        if let Some(at) = self.kinds.iter().position(|known| known.name == name) {
            return at;
        }
        let over = self.kinds.iter().position(|known| known.silent_until <= now);
        if self.kinds.len() == limits::FAILURE_KINDS_MAX && over.is_none() {
            return limits::FAILURE_KINDS_MAX - 1;
        }
        if self.kinds.len() == limits::FAILURE_KINDS_MAX {
            over.map(|at| self.kinds.swap_remove(at));
        }
        let period = Duration::ZERO;
        self.kinds.push(FailureKind { name: name.to_owned(), silent_until: now, period, unsaid: 0 });
        self.kinds.len() - 1
    }

    /// Failures since it last worked.
    pub(crate) fn in_a_row(&self) -> u64 {
        self.failures
    }

    /// It works again. Gives the number of failures and for how long there were nothing but failures, if they were spoken
    /// of.
    pub(crate) fn recovered(&mut self, now: Instant) -> Option<(u64, Duration)> {
        let first = self.first.take()?;
        let failures = std::mem::take(&mut self.failures);
        let said = std::mem::take(&mut self.said);
        said.then(|| (failures, now.duration_since(first)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "some instant to count from")]
    fn an_hour_of_the_same_failure_takes_few_lines() {
        let start = Instant::now();
        let mut log = FailureLog::default();
        let mut said = Vec::new();
        for second in 0..3600 {
            said.extend(log.failed("refused", start + Duration::from_secs(second)));
        }
        assert!(said.len() <= 10, "{said:?}");
        assert_eq!(log.failed("another kind", start), Some(1));
        let end = start + Duration::from_secs(3600);
        assert_eq!(log.recovered(end), Some((3601, Duration::from_secs(3600))));
        assert_eq!(log.recovered(end), None);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "some instant to count from")]
    fn what_comes_and_goes_takes_few_lines_too() {
        let start = Instant::now();
        let mut log = FailureLog::default();
        let mut lines = 0;
        for second in (0..3600).step_by(2) {
            let at = |second| start + Duration::from_secs(second);
            lines += usize::from(log.failed("refused", at(second)).is_some());
            lines += usize::from(log.recovered(at(second + 1)).is_some());
        }
        assert!((2..=20).contains(&lines), "{lines}");
        let later = start + Duration::from_secs(3600 + 2000);
        assert!(log.failed("refused", later).is_some(), "after a long time it is new");
        assert_eq!(log.failed("refused", later + limits::LOG_PERIOD_MIN), Some(1));
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "some instant to count from")]
    fn many_kinds_share_a_place_until_another_is_free() {
        let start = Instant::now();
        let mut log = FailureLog::default();
        let said = (0..100).filter(|kind| log.failed(&kind.to_string(), start).is_some()).count();
        assert_eq!(said, limits::FAILURE_KINDS_MAX);
        assert_eq!(log.failed("new", start + limits::LOG_PERIOD_MIN), Some(1));
    }

    #[test]
    fn lines_are_one_line_whatever_is_in_them() {
        let fields = Fields { message: "a\nb\u{1b}[31m".to_owned(), rest: vec![("url", "x y\n".to_owned())] };
        let mut text = Vec::new();
        fields.write_text(&mut text, Level::WARN);
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.ends_with(r#"  WARN a\nb\u{1b}[31m url="x y\n""#)
                || text.ends_with(r#" WARN  a\nb\u{1b}[31m url="x y\n""#),
            "{text}"
        );
        let mut line = Vec::new();
        fields.write_json(&mut line, Level::WARN);
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(line["message"], "a\nb\u{1b}[31m");
        assert_eq!(line["level"], "warn");
    }
}
