//! What is remembered about one reader's variables from one payload to the next.

use crate::layout::Layout;
use crate::layout::by_hash::NoRoom;
use crate::layout::lost::{ChangedNames, Loss, Lost, LostNames};
use crate::layout::names::Fields;
use crate::layout::rates;
use crate::layout::rules::VariableRules;
use crate::layout::unmatched::Unmatched;
use crate::walk::Options;
use crate::walk::gc;
use bumpalo::Bump;
use std::sync::Arc;
use std::time::Duration;

/// What is remembered about one reader's variables from one payload to the next.
pub struct Variables {
    pub(super) rules: Arc<VariableRules>,
    pub(super) layout: Layout,
    pub(super) fields: Fields,
    pub(super) lost: Lost,
    /// Patterns that match nothing, as long as nobody has taken them; none until there is a document.
    pub(super) unmatched: Option<Vec<Unmatched>>,
    /// The totals of garbage collections in the last document that had them.
    pub(super) totals: Option<gc::Totals>,
    pub(super) rates: rates::LastValues,
}

impl Variables {
    pub(super) fn options(&self) -> Options<'_> {
        Options {
            keyed_arrays: &self.rules.keyed_arrays,
            gc_pauses: self.rules.gc_pauses,
            dots_underscore: self.rules.dots_underscore,
            totals_before: self.totals,
        }
    }

    /// For a reader that has seen nothing yet.
    #[must_use]
    pub fn new(rules: impl Into<Arc<VariableRules>>) -> Self {
        let rules = rules.into();
        let fields = Fields::new(rules.fields_max, &rules.labels);
        let (layout, lost, rates) = (Layout::default(), Lost::default(), rates::LastValues::default());
        Self { rules, layout, fields, lost, unmatched: None, totals: None, rates }
    }

    /// A few of the names that were lost for the first time, and how many more there are. Each name is given once, so
    /// the next call gives the next ones.
    pub fn lost(&mut self, loss: Loss) -> LostNames {
        self.lost.take(loss)
    }

    /// From now on, remembers the names that are changed.
    pub fn want_changed(&mut self) {
        self.lost.want_changed();
    }

    /// A few of the names that were changed in the last payload, if they were wanted. They are given once.
    pub fn changed(&mut self) -> ChangedNames {
        self.lost.take_changed()
    }

    /// The patterns and names of the rules that match nothing in the payload of the first document. They are given
    /// once.
    pub fn unmatched(&mut self) -> Vec<Unmatched> {
        self.unmatched.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The layout has changed: puts the remembered counters into its order.
    pub(super) fn align_rates(&mut self, spare: &mut Vec<rates::Sample>, arena: &mut Bump) -> Result<(), NoRoom> {
        self.lost.forget_layout();
        let counters = &self.layout.counters;
        if counters.is_empty() && self.rates.is_empty() {
            return Ok(());
        }
        let aligned = self.rates.align(counters, arena, spare);
        arena.reset();
        aligned
    }

    /// A payload that was polled at `polled`, with these totals and counters, has become a document.
    pub(super) fn commit(&mut self, totals: Option<gc::Totals>, counters: &[Option<rates::Number>], polled: Duration) {
        self.fields.commit();
        self.totals = totals.or(self.totals);
        self.rates.commit(&self.layout.counters, counters, polled);
    }
}
