//! The sanitiser: the bytes that an endpoint answered become one flat JSON object, or an error and nothing else.
//!
//! Pure and synchronous: no socket, clock, file or environment. simd-json finds the structural characters of the body
//! without changing it (its first stage: UTF-8, closed strings, control characters, all by SIMD). One walk over that
//! index checks the rest of the grammar and copies tokens as they stand into the document. No tree is built and no
//! number is converted, so a value leaves with the digits that it came with.
//!
//! Invariants:
//! - the document is one line of valid JSON in UTF-8, whatever the body was;
//! - a broken value is left out, counted ([`Report::broken`]) and named ([`Variables::lost`]); its neighbours stay;
//! - a body that is cut off, not an object, too deep, too long, or without any variable gives an error, and nothing is
//!   appended;
//! - every name is one that the server accepts, and no two are equal (`names`);
//! - a [`Scratch`] that has seen the largest payload allocates no more.
//!
//! What becomes of each member is learned from a reader's first payload and kept as its layout. Later payloads follow
//! it with one comparison for each key, until one departs from it and is learned anew.
//!
//! The modules are on three floors, each of which uses only those before it: `bytes`, `layout`, `walk`.

mod bytes;
mod error;
mod layout;
mod variables;
mod walk;

pub mod limits;

use bytes::index::Index;
use bytes::untangle;
use error::Stop;
use layout::by_hash::NoRoom;
use layout::guide::{Follow, Learn, LearnWork};
use layout::lost::LostAt;
use layout::{Layout, names, rates, unmatched};
use std::time::Duration;
use walk::{Walk, gc};

pub use bytes::index::PADDING_BYTES;
pub use bytes::json;
pub use bytes::locate::name_at;
pub use bytes::strict::is_object_in_one_line;
pub use error::{Cause, FlattenError};
pub use layout::Mended;
pub use layout::choice::{Choice, Globs};
pub use layout::convert::{Conversion, Conversions};
pub use layout::lost::Loss;
pub use layout::names::{is_below, meet, unfit_for_label};
pub use layout::rename::Renames;
pub use layout::rules::{GcPauses, Label, VariableRules};
pub use layout::unmatched::Unmatched;
pub use variables::Variables;
pub use walk::report::Report;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Working memory of the sanitiser, one for the whole process, used only within [`Scratch::flatten`].
pub struct Scratch {
    index: Index,
    /// Name of a column: escaped as JSON, joined with dots.
    path: Vec<u8>,
    /// The keys around the member that is looked at.
    keys: Vec<u8>,
    /// Where something of the payload is lost.
    lost: Vec<LostAt>,
    /// The copy of a body that cannot be followed as it is.
    copy: Vec<u8>,
    learn: LearnWork,
    /// What is learned at first; then what was known before, in case there is no document.
    spare: Layout,
    has_learned: bool,
    names: names::Work,
    /// The counters of the payload that is looked at.
    counters: Vec<Option<rates::Number>>,
    /// What is remembered of counters while it is put into another order.
    samples: Vec<rates::Sample>,
    /// What a tick needs besides: the table of names, the columns of arrays of objects. Emptied after each document.
    arena: bumpalo::Bump,
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
            lost: Vec::new(),
            copy: Vec::new(),
            learn: LearnWork::default(),
            spare: Layout::default(),
            has_learned: false,
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
    /// A body that is not JSON, by more than single tokens, costs a second walk over a repaired copy.
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
        self.has_learned = false;
        let seconds = variables.rates.seconds_until(polled);
        let followed = match self.flatten_strict(variables, seconds, body, out) {
            Err(Stop::Tangled) => {
                out.truncate(mark);
                self.flatten_tangled(variables, seconds, body, out)
            }
            other => other,
        };
        let error = match followed {
            Ok((report, totals)) if out.len() > mark => {
                variables.commit(totals, &self.counters, polled);
                if self.has_learned {
                    self.spare.clear();
                    self.spare.give_back();
                }
                return Ok(report);
            }
            Ok((report, _)) if report.broken > 0 => FlattenError { cause: Cause::AllBroken, offset: 0 },
            Ok(_) if variables.layout.leaves_out() => FlattenError { cause: Cause::AllLeftOut, offset: 0 },
            Err(Stop::Refused(error)) => FlattenError { offset: error.offset.min(body.len()), ..error },
            // No walk stops for the other reasons here: its layout has just been learned, or its body repaired.
            Ok(_) | Err(Stop::OtherLayout | Stop::Tangled) => FlattenError { cause: Cause::NoVariables, offset: 0 },
        };
        out.truncate(mark);
        self.unlearn(variables);
        Err(error)
    }

    /// Flattens a copy of the body that can be followed.
    #[cold]
    #[inline(never)]
    fn flatten_tangled(
        &mut self,
        variables: &mut Variables,
        seconds: Option<f64>,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(Report, Option<gc::Totals>), Stop> {
        let start = text_start(body);
        let mut copy = std::mem::take(&mut self.copy);
        let untangled = untangle::untangle(&body[start..], &mut copy);
        let result = match untangled {
            Ok(()) if untangle::is_too_dense(&copy) => {
                Err(Stop::Refused(FlattenError { cause: Cause::TooDense, offset: start }))
            }
            Ok(()) => self.flatten_strict(variables, seconds, &mut copy, out),
            Err(error) => Err(Stop::Refused(error).moved(start)),
        };
        self.copy = copy;
        result
    }

    fn flatten_strict(
        &mut self,
        variables: &mut Variables,
        seconds: Option<f64>,
        body: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(Report, Option<gc::Totals>), Stop> {
        let mark = out.len();
        let start = text_start(body);
        self.index.build(body, start)?;
        let body = &body[start..];
        let mut followed = self.follow(variables, seconds, body, out);
        if matches!(followed, Err(Stop::OtherLayout)) {
            out.truncate(mark);
            let learned = self.learn(variables, body, out);
            out.truncate(mark);
            followed = learned.and_then(|()| self.follow(variables, seconds, body, out));
        }
        if matches!(&followed, Ok((report, _)) if report.restarted && !variables.layout.counters.is_empty()) {
            // That all counters began anew is known at the end of the payload only.
            self.arena.reset();
            out.truncate(mark);
            followed = self.follow(variables, None, body, out);
        }
        self.arena.reset();
        let (report, totals) = followed.map_err(|stop| stop.moved(start))?;
        if !self.lost.is_empty() {
            variables.lost.note(body, &mut self.lost);
        }
        if let Some(offset) = report.first_beyond_columns {
            variables.lost.note_name(Loss::Columns, name_at(body, offset).as_bytes());
        }
        if variables.unmatched.is_none() && out.len() > mark {
            variables.unmatched = Some(unmatched::unmatched(&variables.rules, body));
        }
        Ok((Report { names: variables.layout.mended, ..report }, totals))
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
        let (options, text) = (variables.options(), (body, self.index.offsets()));
        Walk::new(guide, options, text, &mut self.path, out, &mut self.lost, &self.arena).run()
    }

    /// Learns the layout of the body. What was known before is kept until there is a document, and stays if this fails.
    fn learn(&mut self, variables: &mut Variables, body: &[u8], out: &mut Vec<u8>) -> Result<(), Stop> {
        self.arena.reset();
        self.unlearn(variables);
        let guide = Learn::new(&mut self.spare, &variables.rules, &mut self.learn);
        let (options, text) = (variables.options(), (body, self.index.offsets()));
        let walk = Walk::new(guide, options, text, &mut self.path, out, &mut self.lost, &self.arena);
        let walked = walk.run();
        self.arena.reset();
        walked?;
        let named = rates::tell_apart(&mut self.spare, &self.learn.members, &self.arena).and_then(|()| {
            let Variables { fields, lost, rules, .. } = variables;
            names::resolve(&mut self.spare, fields, lost, &mut self.names, rules, &self.arena)
        });
        self.arena.reset();
        std::mem::swap(&mut variables.layout, &mut self.spare);
        variables.layout.give_back();
        self.has_learned = true;
        named.and_then(|()| variables.align_rates(&mut self.samples, &mut self.arena)).map_err(|NoRoom| {
            self.unlearn(variables);
            Stop::Refused(FlattenError { cause: Cause::DocumentTooLong, offset: 0 })
        })
    }

    /// The payload that was learned last has not become a document: restores the layout before it.
    fn unlearn(&mut self, variables: &mut Variables) {
        if !std::mem::take(&mut self.has_learned) {
            return;
        }
        std::mem::swap(&mut variables.layout, &mut self.spare);
        variables.fields.take_back(&variables.rules.labels);
        if let Err(NoRoom) = variables.align_rates(&mut self.samples, &mut self.arena) {
            variables.rates = rates::Memory::default();
        }
    }

    /// Frees memory that an outlier has made it allocate.
    pub fn trim(&mut self, body_bytes: usize) {
        // The arena holds the columns' whole names, which may be many times the body.
        if body_bytes.max(self.arena.allocated_bytes()).max(self.copy.capacity()) > limits::KEPT_SCRATCH_BYTES_MAX {
            *self = Self::new();
        }
    }
}

/// Where the text of a body begins: behind its byte order mark, if it has one.
fn text_start(body: &[u8]) -> usize {
    if body.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 }
}

#[cfg(test)]
mod tests;
