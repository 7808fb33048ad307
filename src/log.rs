//! Log lines on standard error, as text or JSON: a `tracing` subscriber of our own.
//!
//! tracing-subscriber does the same with filters, spans and layers that nothing here needs, and costs more memory than
//! all of the sanitiser. Only events of this crate are shown, at any level: what libraries log may hold secrets.
//!
//! Invariants: a line has at most [`limits::LOG_LINE_BYTES_MAX`] bytes, whatever is in it. Writing one waits for room
//! in standard error for a short, bounded time.

mod level;
mod stderr;

use crate::clock;
use crate::json;
use crate::limits;
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use stderr::Output;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

pub use level::{LogFormat, LogLevel};

/// The target of events that are about one component: a reader or recorder, each of which can have a level of its own.
pub(crate) const COMPONENT: &str = "expvastic::component";

/// The log of the process.
pub(crate) struct Log(Arc<Lines>);

impl Log {
    /// Begins logging for the rest of the process.
    pub(crate) fn start(shown: Shown) -> Self {
        let written = Mutex::new(Written { line: Vec::new(), output: Output::standard_error() });
        let lines = Arc::new(Lines { shown: Mutex::new(shown), written });
        // Only fails if a subscriber is set already: then the host program of the library shows the events.
        let _ = tracing::subscriber::set_global_default(Arc::clone(&lines));
        Self(lines)
    }

    /// Applies another configuration.
    pub(crate) fn follow(&self, shown: Shown) {
        *self.0.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
        // Each logging statement caches whether it is enabled, so disabled ones cost nothing.
        tracing::callsite::rebuild_interest_cache();
    }
}

/// What is shown, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    level: Level,
    /// The most verbose level of all readers and recorders; each of them filters by its own.
    component_level: Level,
    format: LogFormat,
}

impl Shown {
    /// `components` are the levels of the readers and recorders that have one of their own.
    pub(crate) fn new(settings: LogLevel, components: impl Iterator<Item = LogLevel>, format: LogFormat) -> Self {
        let most_verbose = components.fold(settings, LogLevel::max);
        Self { level: tracing_level(settings), component_level: tracing_level(most_verbose), format }
    }
}

/// The same level in the terms of [`tracing`].
pub(crate) const fn tracing_level(level: LogLevel) -> Level {
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
    written: Mutex<Written>,
}

/// The buffer for a line, and where lines go.
struct Written {
    line: Vec<u8>,
    output: Output,
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
        let level = if target == COMPONENT { shown.component_level } else { shown.level };
        *metadata.level() <= level && (target == "expvastic" || target.starts_with("expvastic::"))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.shown().component_level.into())
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        // Another thread logs only while it ends the process. If the two meet here, one of the lines is left out.
        let Ok(mut written) = self.written.try_lock() else { return };
        let Written { line, output } = &mut *written;
        let format = self.shown().format;
        if output.dropped() > 0 {
            let message = "log lines dropped: standard error was not being read".to_owned();
            let notice = Fields { message, rest: vec![("lines", Value::Literal(output.dropped().to_string()))] };
            notice.write(line, Level::WARN, format);
            output.write_notice(line);
        }
        fields.write(line, *event.metadata().level(), format);
        output.write(line);
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
    rest: Vec<(&'static str, Value)>,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    /// A number or a truth value, as JSON writes it.
    Literal(String),
}

impl Value {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Literal(text) => text,
        }
    }
}

/// Whether a field is for programs only, and is left out of text lines: there, the message says the same in words.
fn is_in_message(name: &str) -> bool {
    name.ends_with("_ms") || name == "route"
}

impl Fields {
    fn push_literal(&mut self, field: &Field, value: impl fmt::Display) {
        self.rest.push((field.name(), Value::Literal(value.to_string())));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.rest.push((field.name(), Value::Text(format!("{value:?}"))));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.rest.push((field.name(), Value::Text(value.to_owned())));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push_literal(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push_literal(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push_literal(field, value);
    }
}

impl Fields {
    /// Writes the line with its end into `line`, which is emptied first. The longest values are cut until it fits.
    fn write(&self, line: &mut Vec<u8>, level: Level, format: LogFormat) {
        let mut value_bytes_max = limits::LOG_LINE_BYTES_MAX;
        loop {
            line.clear();
            match format {
                LogFormat::Text => self.write_text(line, level, value_bytes_max),
                LogFormat::Json => self.write_json(line, level, value_bytes_max),
            }
            line.push(b'\n');
            if line.len() <= limits::LOG_LINE_BYTES_MAX || value_bytes_max == 0 {
                return;
            }
            value_bytes_max -= value_bytes_max.div_ceil(8);
        }
    }

    fn write_text(&self, line: &mut Vec<u8>, level: Level, value_bytes_max: usize) {
        let _ = write!(line, "{:.3} {level:5} ", clock::timestamp());
        write_printable(line, &cut(&self.message, value_bytes_max));
        for (name, value) in self.rest.iter().filter(|(name, _)| !is_in_message(name)) {
            let _ = write!(line, " {name}=");
            let value = cut(value.text(), value_bytes_max);
            let quoted = value.is_empty() || value.contains([' ', '"', '=']);
            write_printable(line, &if quoted { format!("{value:?}").into() } else { value });
        }
    }

    fn write_json(&self, line: &mut Vec<u8>, level: Level, value_bytes_max: usize) {
        let _ = write!(
            line,
            "{{\"time\":\"{:.3}\",\"level\":\"{}\",\"message\":",
            clock::timestamp(),
            level.as_str().to_ascii_lowercase()
        );
        json::write_string(line, &cut(&self.message, value_bytes_max));
        for (name, value) in &self.rest {
            line.push(b',');
            json::write_string(line, name);
            line.push(b':');
            match value {
                Value::Text(text) => json::write_string(line, &cut(text, value_bytes_max)),
                Value::Literal(literal) => line.extend_from_slice(literal.as_bytes()),
            }
        }
        line.push(b'}');
    }
}

/// At most this many bytes of `text`, and then `…`.
fn cut(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return text.into();
    }
    let end = (0..=bytes_max).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
    format!("{}…", &text[..end]).into()
}

/// Writes `text` with its control characters escaped, so that text from outside cannot begin a line or move the cursor.
pub(crate) fn write_printable(line: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            let _ = write!(line, "{}", c.escape_default());
        } else {
            let _ = write!(line, "{c}");
        }
    }
}

/// The log level of one reader or recorder: its own, otherwise the current one of the settings.
#[derive(Debug, Clone)]
pub(crate) struct ComponentLevel {
    own: Option<LogLevel>,
    settings: Rc<Cell<LogLevel>>,
}

impl ComponentLevel {
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

/// A duration as the value of a field whose name ends in `_ms`.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Logs an event of one reader or recorder, if its own level shows it:
/// `component_log!(its_level, Warn, …)`, followed by what [`tracing::warn!`] takes.
macro_rules! component_log {
    ($component:expr, $level:ident, $($arguments:tt)+) => {
        if $component.shows($crate::log::LogLevel::$level) {
            const LEVEL: tracing::Level = $crate::log::tracing_level($crate::log::LogLevel::$level);
            tracing::event!(target: $crate::log::COMPONENT, LEVEL, $($arguments)+);
        }
    };
}
pub(crate) use component_log;

/// Decides when a failure that lasts or recurs is worth another log line: at once, then after periods that grow. Each
/// line has the number of failures since the one before it.
#[derive(Debug, Default)]
pub(crate) struct FailureLog {
    kinds: Vec<FailureKind>,
    failures: u64,
    first: Option<Instant>,
    /// Whether a failure has been logged since it last worked.
    is_logged: bool,
}

#[derive(Debug)]
struct FailureKind {
    name: String,
    silent_until: Instant,
    period: Duration,
    unlogged: u64,
}

impl FailureLog {
    /// Counts a failure of this kind. If it is time for a log line, returns the number of failures that were not
    /// logged, including this one.
    pub(crate) fn failed(&mut self, kind: &str, now: Instant) -> Option<u64> {
        self.failures += 1;
        self.first.get_or_insert(now);
        let at = self.kind(kind, now);
        let known = &mut self.kinds[at];
        known.unlogged += 1;
        if now < known.silent_until {
            return None;
        }
        // A failure that comes back soon continues with its period, so that one that comes and goes takes few lines.
        let is_new = known.period.is_zero() || now >= known.silent_until + limits::LOG_PERIOD_MAX;
        known.period = if is_new { limits::LOG_PERIOD_MIN } else { (known.period * 2).min(limits::LOG_PERIOD_MAX) };
        known.silent_until = now + known.period;
        self.is_logged = true;
        Some(std::mem::take(&mut known.unlogged))
    }

    /// The place of a kind in the list. If the list is full, a new kind replaces one that may be logged again; if there is
    /// none, it shares the last place.
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
        self.kinds.push(FailureKind { name: name.to_owned(), silent_until: now, period, unlogged: 0 });
        self.kinds.len() - 1
    }

    /// Failures since it last worked.
    pub(crate) fn in_a_row(&self) -> u64 {
        self.failures
    }

    /// When the first of these failures was.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.first
    }

    /// It works again. Returns the number of failures and how long they lasted, if they were logged.
    pub(crate) fn recovered(&mut self, now: Instant) -> Option<(u64, Duration)> {
        let first = self.first.take()?;
        let failures = std::mem::take(&mut self.failures);
        let is_logged = std::mem::take(&mut self.is_logged);
        is_logged.then(|| (failures, now.duration_since(first)))
    }
}

#[cfg(test)]
mod tests;
