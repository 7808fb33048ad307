//! What a reader's configuration says about its variables.

use super::choice::{Choice, Globs};
use super::convert::Conversions;
use super::rename::Renames;
use crate::limits;
use std::sync::Arc;

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
