//! The sanitiser turns the bytes that an endpoint has answered into one flat JSON object, or gives an error and nothing
//! else.
//!
//! It is pure and synchronous: no socket, clock, file or environment. The first stage of simd-json finds the structural
//! characters of the body, without changing it; it also checks UTF-8, that strings are closed, and control characters,
//! all with SIMD. One walk over that index checks the rest of the grammar and copies tokens into the document as they
//! stand. No tree is built and no number is converted, so a number is shipped with the digits that it has in the
//! payload.
//!
//! Invariants:
//! - the document is one line of valid JSON in UTF-8, whatever the body was;
//! - a broken value is left out, counted ([`Report::broken`]) and named ([`Variables::lost`]); its neighbours stay;
//! - a body that is cut off, not an object, too deep, too long, or without any variable gives an error, and nothing is
//!   appended;
//! - every name is one that servers accept, and no two are equal (`names`);
//! - once a [`Scratch`] has seen the largest payload, it allocates nothing.
//!
//! What becomes of each member is learned from a reader's first payload and remembered as its layout. Later payloads
//! are walked along that layout, with one comparison for each key. A payload that departs from it is learned anew.
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
pub use bytes::quantity::TextUnit;
pub use bytes::strict::is_object_in_one_line;
pub use error::{Cause, FlattenError};
pub use layout::Mended;
pub use layout::convert::{Conversion, Conversions};
pub use layout::globs::{Choice, Globs};
pub use layout::keyed::KeyedArray;
pub use layout::lost::{ChangedNames, Loss, LostNames};
pub use layout::names::{LabelNameError, check_label_name, is_below, names_conflict};
pub use layout::rename::Renames;
pub use layout::rules::{GcPauses, Label, VariableRules};
pub use layout::texts::TextUnits;
pub use layout::unmatched::Unmatched;
pub use variables::Variables;
pub use walk::report::Report;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The working memory of the sanitiser. One is enough for the whole process: it holds nothing between two calls of
/// [`Scratch::flatten`].
pub struct Scratch {
    index: Index,
    /// The name of the current column: keys joined with dots, escaped as JSON.
    path: Vec<u8>,
    /// The keys of the objects that the current member is in.
    keys: Vec<u8>,
    /// Where something in the payload is lost.
    lost: Vec<LostAt>,
    /// The repaired copy of a body that cannot be walked as it is.
    copy: Vec<u8>,
    learn: LearnWork,
    /// The layout that is being learned. Then it is swapped with that of the reader, and the previous one waits here
    /// until there is a document.
    spare: Layout,
    /// Whether the reader's layout was learned from the current payload.
    has_learned: bool,
    names: names::Work,
    /// The counters of the current payload.
    counters: Vec<Option<rates::Number>>,
    /// A buffer for putting the remembered counters into another order.
    samples: Vec<rates::Sample>,
    /// The table of names, and the columns of arrays of objects. Emptied after each walk.
    arena: bumpalo::Bump,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// An empty one, which has allocated nothing yet.
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

    /// Appends the variables of `body` to `out` as `,"name":value`, in their order. The caller has begun the object
    /// with members of its own, and closes it.
    ///
    /// `polled` is when the payload was requested, measured from any fixed instant. Rates are computed over the time
    /// between two documents.
    ///
    /// While it is read, `body` is longer by [`PADDING_BYTES`]; afterwards it has its length again.
    ///
    /// If more than single tokens of the body are not JSON, a repaired copy is walked, which takes longer.
    ///
    /// # Errors
    /// [`FlattenError`]; `out` is then as it was.
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
                    // The reader keeps buffers of the right size. Those that have grown stay here, for whoever learns next.
                    // There is no room for two of an unusually large one.
                    if variables.layout.bytes() <= limits::KEPT_SCRATCH_BYTES_MAX {
                        self.spare.copy_from(&variables.layout);
                        std::mem::swap(&mut variables.layout, &mut self.spare);
                    }
                    variables.layout.shrink();
                    self.spare.clear();
                    self.spare.shrink();
                }
                return Ok(report);
            }
            Ok((report, _)) if report.broken > 0 => FlattenError { cause: Cause::AllBroken, offset: 0 },
            Ok(_) if variables.layout.leaves_out() => FlattenError { cause: Cause::AllLeftOut, offset: 0 },
            Err(Stop::Refused(error)) => FlattenError { offset: error.offset.min(body.len()), ..error },
            // The other reasons to stop do not occur here: the layout has just been learned, or the body repaired.
            Ok(_) | Err(Stop::OtherLayout | Stop::Tangled) => FlattenError { cause: Cause::NoVariables, offset: 0 },
        };
        out.truncate(mark);
        self.unlearn(variables);
        Err(error)
    }

    /// Flattens a repaired copy of the body.
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
        if body.len() > limits::MENDED_BYTES_MAX {
            // The index of the body may take four times its length. There is no room for that beside a copy.
            self.index = Index::new();
        }
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
        if matches!(&followed, Ok((report, _)) if rates::are_void(report.restarted, &variables.layout)) {
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
        if let Some(offset) = report.first_mended {
            variables.lost.note_mended_text(body, offset);
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
        let rates = variables.rates.for_payload(variables.layout.counters.len(), seconds, &mut self.counters);
        let guide = Follow::new(&variables.layout, rates, &mut self.keys);
        let (options, text) = (variables.options(), (body, self.index.offsets()));
        Walk::new(guide, options, text, &mut self.path, out, &mut self.lost, &self.arena).run()
    }

    /// Learns the layout of the body. The previous layout is kept until there is a document, and restored if there is
    /// none.
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
        self.has_learned = true;
        named.and_then(|()| variables.align_rates(&mut self.samples, &mut self.arena)).map_err(|NoRoom| {
            self.unlearn(variables);
            Stop::Refused(FlattenError { cause: Cause::DocumentTooLong, offset: 0 })
        })
    }

    /// Restores the previous layout if one has been learned, because its payload has not become a document.
    fn unlearn(&mut self, variables: &mut Variables) {
        if !std::mem::take(&mut self.has_learned) {
            return;
        }
        std::mem::swap(&mut variables.layout, &mut self.spare);
        variables.fields.roll_back(&variables.rules.labels);
        if let Err(NoRoom) = variables.align_rates(&mut self.samples, &mut self.arena) {
            variables.rates = rates::LastValues::default();
        }
    }

    /// Frees the memory if an unusually large body of `body_bytes` has made it grow, and a large repaired copy in any case:
    /// with it, the next body would take more memory than announced.
    pub fn trim(&mut self, body_bytes: usize) {
        // The arena holds the full names of columns, which can be many times as long as the body.
        if body_bytes.max(self.arena.allocated_bytes()) > limits::KEPT_SCRATCH_BYTES_MAX {
            *self = Self::new();
        }
        if self.copy.capacity() > limits::KEPT_COPY_BYTES_MAX {
            self.copy = Vec::new();
        }
    }
}

/// Where the text of a body begins: after its byte order mark, if it has one.
fn text_start(body: &[u8]) -> usize {
    if body.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 }
}

#[cfg(test)]
mod tests;
