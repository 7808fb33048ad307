//! The sanitiser: the bytes that an endpoint answered become one flat JSON object, or an error and nothing.
//!
//! Pure and synchronous: no socket, clock, file or environment. simd-json finds the structural characters of the
//! untouched body (its first stage: UTF-8, closed strings, control characters, all by SIMD); one walk over that index
//! checks the rest of the grammar and copies tokens as they stand into the document. No tree is built and no number is
//! converted, so a value leaves with the digits that it came with.
//!
//! Invariants:
//! - the document is one line of valid JSON in UTF-8, whatever the body was;
//! - a broken value is left out and counted ([`Report::broken`]); its neighbours stay;
//! - a body that is cut off, no object, too deep, too long, or without any variable gives an error, and nothing is appended;
//! - every name is one that the server takes, and no two are equal (`names`);
//! - a [`Scratch`] that has seen the largest payload allocates no more.
//!
//! What becomes of each member is learned from a reader's first payload and kept as its layout; later payloads follow it
//! with one comparison for each key, until one departs from it and is learned anew.

mod arrays;
mod by_hash;
mod choice;
mod columns;
mod convert;
mod fit;
mod gc;
mod guide;
mod index;
mod layout;
mod locate;
mod mend;
mod names;
mod piece;
mod rates;
mod rename;
mod rings;
mod scalar;
mod strict;
mod walk;

pub mod json;
pub mod limits;

use by_hash::NoRoom;
use guide::{Follow, Learn, LearnWork, Stop};
use index::Index;
use layout::Layout;
use names::Fields;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use walk::{Options, Walk};

pub use choice::{Choice, Globs};
pub use convert::{Conversion, Conversions};
pub use names::{Mended, is_below, meet, unfit_for_label};
pub use rename::Renames;
pub use strict::is_object_in_one_line;

pub use index::PADDING_BYTES;
pub use locate::name_at;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Working memory of the sanitiser, one for the whole process, used only within [`Scratch::flatten`].
pub struct Scratch {
    index: Index,
    /// Name of a column: escaped as JSON, joined with dots.
    path: Vec<u8>,
    /// The keys around the member that is looked at.
    keys: Vec<u8>,
    learn: LearnWork,
    names: names::Work,
    /// The counters of the payload that is looked at.
    counters: Vec<Option<rates::Number>>,
    /// What is remembered of counters while it is put into another order.
    samples: Vec<rates::Sample>,
    /// What a tick needs besides: the table of names, the columns of arrays of objects. Emptied after each document.
    arena: bumpalo::Bump,
}

/// What a reader's configuration says of its variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableRules {
    /// Which variables are shipped at all.
    pub choice: Choice,
    /// Names are joined with `_` instead of dots.
    pub dots_underscore: bool,
    /// What is shipped of the ring buffers of garbage collections.
    pub gc_pauses: GcPauses,
    /// Arrays that hold an object are left out, instead of becoming one array for each member.
    pub drop_object_arrays: bool,
    /// What a `map_file` says of units, shared by all readers that name it.
    pub conversions: Arc<Conversions>,
    /// Names that variables get instead of their own.
    pub renames: Renames,
    /// Numbers of which the change per second is shipped, too.
    pub rates: Globs,
    /// Names that one reader ships at most.
    pub fields_max: usize,
    /// No variable gets their names.
    pub labels: Vec<Label>,
}

/// A member that each document of a reader carries as it is: no variable has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// As it stands in the document.
    pub name: String,
    /// A text; none if it differs among the readers that have the same rules.
    pub value: Option<String>,
}

/// What is shipped of the ring buffers of garbage collections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GcPauses {
    /// The pauses since the last document.
    New,
    /// The buffers as they are.
    All,
    /// Nothing.
    Off,
}

/// What is remembered of one reader's variables from one payload to the next.
pub struct Variables {
    rules: Arc<VariableRules>,
    layout: Layout,
    fields: Fields,
    totals: Option<gc::Totals>,
    rates: rates::Memory,
}

impl Default for VariableRules {
    fn default() -> Self {
        Self {
            choice: Choice::default(),
            dots_underscore: false,
            gc_pauses: GcPauses::New,
            drop_object_arrays: false,
            conversions: Arc::default(),
            renames: Renames::default(),
            rates: Globs::default(),
            fields_max: limits::FIELDS_DEFAULT,
            labels: Vec::new(),
        }
    }
}

impl VariableRules {
    /// Whether numbers may leave with other digits than they came with.
    #[must_use]
    pub fn converts(&self) -> bool {
        *self.conversions != Conversions::default()
    }
}

impl Variables {
    fn options(&self) -> Options {
        Options {
            gc_pauses: self.rules.gc_pauses,
            dots_underscore: self.rules.dots_underscore,
            totals_before: self.totals,
        }
    }

    /// A reader that has seen nothing yet.
    #[must_use]
    pub fn new(rules: impl Into<Arc<VariableRules>>) -> Self {
        let rules = rules.into();
        let fields = Fields::new(rules.fields_max, &rules.labels);
        Self { rules, layout: Layout::default(), fields, totals: None, rates: rates::Memory::default() }
    }

    /// The layout is another one: what is remembered of counters is put into its order.
    fn align_rates(&mut self, spare: &mut Vec<rates::Sample>, arena: &mut bumpalo::Bump) -> Result<(), NoRoom> {
        let counters = &mut self.layout.counters;
        if counters.is_empty() && self.rates.is_empty() {
            return Ok(());
        }
        rates::tell_apart(counters, arena)?;
        arena.reset();
        self.rates.align(counters, arena, spare)?;
        arena.reset();
        Ok(())
    }

    /// A payload that was polled at `polled`, with these totals and counters, has become a document.
    fn commit(&mut self, totals: Option<gc::Totals>, counters: &[Option<rates::Number>], polled: Duration) {
        self.totals = totals.or(self.totals);
        self.rates.commit(&self.layout.counters, counters, polled);
    }
}

/// What one payload held, for the own metrics.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Numbers that were shipped outside of arrays.
    pub numbers: u64,
    /// Strings that were shipped outside of arrays.
    pub strings: u64,
    /// Booleans that were shipped outside of arrays.
    pub booleans: u64,
    /// Arrays that were shipped, a column of an array of objects counting as one.
    pub lists: u64,
    /// Of `lists`, the ring buffers of garbage collections.
    pub gc_lists: u64,
    /// Objects within the payload.
    pub objects: u64,
    /// `null`, which has no place in a flat document.
    pub nulls: u64,
    /// Values that are no JSON and were left out.
    pub broken: u64,
    /// Numbers beyond the largest double, left out.
    pub out_of_range: u64,
    /// Lone surrogates in strings, written as U+FFFD.
    pub mended: u64,
    /// Byte offset of the first broken value.
    pub first_broken: Option<usize>,
    /// Values in arrays of objects that have more members than [`limits::COLUMNS_MAX`], left out.
    pub beyond_columns: u64,
    /// Byte offset behind the first of them.
    pub first_beyond_columns: Option<usize>,
    /// Names that had to be mended, and variables beyond `max_fields`.
    pub names: Mended,
    /// Of `numbers`, those that a `map_file` calls sizes in bytes.
    pub sizes: u64,
    /// Garbage collections that were overwritten before they were seen.
    pub gc_missed: u64,
    /// 1 if the totals of garbage collections contradict each other.
    pub gc_doubtful: u64,
    /// The target is another process than that of the last document.
    pub restarted: bool,
}

/// Why a payload gave no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlattenError {
    /// What is wrong.
    pub cause: Cause,
    /// Byte offset in the body.
    pub offset: usize,
}

/// The kinds of payload that are refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// There is no text.
    Empty,
    /// It is another value, or no JSON at all.
    NotAnObject,
    /// It ends within the object.
    CutOff,
    /// Something stands behind the object.
    TrailingData,
    /// A byte that the grammar does not have here.
    Unexpected(u8),
    /// Nested beyond [`limits::DEPTH_MAX`].
    TooDeep,
    /// Bytes that are no text.
    InvalidUtf8,
    /// A control character within a string.
    ControlCharacter,
    /// The document would be longer than [`limits::DOCUMENT_BYTES_MAX`].
    DocumentTooLong,
    /// There is nothing to ship.
    NoVariables,
    /// There is something, and the rules leave out all of it.
    AllLeftOut,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// Takes no memory yet.
    #[must_use]
    pub fn new() -> Self {
        let arena = bumpalo::Bump::new();
        arena.set_allocation_limit(Some(limits::DOCUMENT_BYTES_MAX));
        Self {
            index: Index::new(),
            path: Vec::new(),
            keys: Vec::new(),
            learn: LearnWork::default(),
            names: names::Work::default(),
            counters: Vec::new(),
            samples: Vec::new(),
            arena,
        }
    }

    /// Appends the variables of `body` to `out` as `,"name":value`, in their order: the caller has begun the object
    /// with its own members and closes it.
    ///
    /// `polled` is when the payload was asked for, since any beginning: rates are over the time between two documents.
    ///
    /// `body` is grown by [`PADDING_BYTES`] while it is read and has its length back afterwards.
    ///
    /// Bytes that are no UTF-8 and raw control characters in strings cost a second try over a copy in which they are
    /// marked as broken.
    ///
    /// # Errors
    /// [`FlattenError`] with `out` as it was.
    pub fn flatten(
        &mut self,
        variables: &mut Variables,
        polled: Duration,
        body: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Report, FlattenError> {
        let mark = out.len();
        let seconds = variables.rates.seconds_until(polled);
        let result = match self.flatten_strict(variables, seconds, body, out) {
            Err(error) if matches!(error.cause, Cause::InvalidUtf8 | Cause::ControlCharacter) => {
                let mut copy = mend::marked(body);
                let original = |offset| mend::original_offset(body, offset);
                let result = self.flatten_strict(variables, seconds, &mut copy, out);
                result
                    .map(|(report, totals)| {
                        (Report { first_broken: report.first_broken.map(original), ..report }, totals)
                    })
                    .map_err(|error| FlattenError { offset: original(error.offset), ..error })
            }
            other => other,
        };
        match result {
            Ok(_) if out.len() == mark => {
                let cause = if variables.layout.leaves_out() { Cause::AllLeftOut } else { Cause::NoVariables };
                Err(FlattenError { cause, offset: 0 })
            }
            Ok((report, totals)) => {
                variables.commit(totals, &self.counters, polled);
                Ok(report)
            }
            Err(error) => {
                out.truncate(mark);
                Err(error)
            }
        }
    }

    fn flatten_strict(
        &mut self,
        variables: &mut Variables,
        seconds: Option<f64>,
        body: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(Report, Option<gc::Totals>), FlattenError> {
        let mark = out.len();
        let start = if body.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        self.index.build(body, start)?;
        let moved = |error: FlattenError| FlattenError { offset: error.offset + start, ..error };
        let body = &body[start..];
        let mut followed = self.follow(variables, seconds, body, out);
        if matches!(followed, Err(Stop::OtherLayout)) {
            out.truncate(mark);
            self.learn(variables, body, out).map_err(moved)?;
            out.truncate(mark);
            followed = self.follow(variables, seconds, body, out);
        }
        if matches!(&followed, Ok((report, _)) if report.restarted && !variables.layout.counters.is_empty()) {
            // That all counters began anew is known at the end of the payload only.
            self.arena.reset();
            out.truncate(mark);
            followed = self.follow(variables, None, body, out);
        }
        self.arena.reset();
        match followed {
            Ok((report, totals)) => {
                let first_broken = report.first_broken.map(|offset| offset + start);
                Ok((Report { names: variables.layout.mended, first_broken, ..report }, totals))
            }
            Err(Stop::Refused(error)) => Err(moved(error)),
            // Cannot be: both walks read the same bytes.
            Err(Stop::OtherLayout) => Err(FlattenError { cause: Cause::NoVariables, offset: start }),
        }
    }

    fn follow(
        &mut self,
        variables: &Variables,
        seconds: Option<f64>,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(Report, Option<gc::Totals>), Stop> {
        let rates = variables.rates.rates(variables.layout.counters.len(), seconds, &mut self.counters);
        let guide = Follow::new(&variables.layout, rates, &mut self.keys);
        let options = variables.options();
        Walk::new(guide, options, body, self.index.offsets(), &mut self.path, out, &self.arena).run()
    }

    fn learn(&mut self, variables: &mut Variables, body: &[u8], out: &mut Vec<u8>) -> Result<(), FlattenError> {
        self.arena.reset();
        let options = variables.options();
        let guide = Learn::new(&mut variables.layout, &variables.rules, &mut self.learn);
        let walk = Walk::new(guide, options, body, self.index.offsets(), &mut self.path, out, &self.arena);
        let learned = walk.run().map(|_| ()).map_err(|stop| match stop {
            Stop::Refused(error) => error,
            Stop::OtherLayout => FlattenError { cause: Cause::NoVariables, offset: 0 },
        });
        self.arena.reset();
        let no_room = |NoRoom| FlattenError { cause: Cause::DocumentTooLong, offset: 0 };
        let named = learned.and_then(|()| {
            let Variables { layout, fields, rules, .. } = variables;
            names::resolve(layout, fields, &mut self.names, rules, &self.arena).map_err(no_room)
        });
        self.arena.reset();
        let named = named.and_then(|()| variables.align_rates(&mut self.samples, &mut self.arena).map_err(no_room));
        if named.is_err() {
            variables.layout.clear();
        }
        variables.layout.give_back();
        named
    }

    /// Gives back what an outlier made it grow to.
    pub fn trim(&mut self, body_bytes: usize) {
        // The arena holds the columns' whole names, which may be many times the body.
        if body_bytes.max(self.arena.allocated_bytes()) > limits::KEPT_SCRATCH_BYTES_MAX {
            *self = Self::new();
        }
    }
}

impl fmt::Display for FlattenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::NoVariables => return f.write_str("the payload holds no variable"),
            Cause::AllLeftOut => {
                return f.write_str(
                    "all that the payload holds is left out: see include, exclude, max_fields and object_arrays",
                );
            }
            Cause::Empty => return f.write_str("the body is empty, expected a JSON object"),
            Cause::NotAnObject => f.write_str("the body is not a JSON object")?,
            Cause::CutOff => f.write_str("the JSON is cut off")?,
            Cause::TrailingData => f.write_str("something follows the end of the JSON object")?,
            Cause::Unexpected(byte) => write!(f, "unexpected `{}` in the JSON", byte.escape_ascii())?,
            Cause::TooDeep => write!(f, "the JSON is nested deeper than {} levels", limits::DEPTH_MAX)?,
            Cause::InvalidUtf8 => f.write_str("the body is not UTF-8")?,
            Cause::ControlCharacter => f.write_str("a string holds a raw control character")?,
            Cause::DocumentTooLong => {
                write!(f, "the flat document would be longer than {} bytes", limits::DOCUMENT_BYTES_MAX)?;
            }
        }
        write!(f, " (byte {})", self.offset)
    }
}

#[cfg(test)]
mod tests;
