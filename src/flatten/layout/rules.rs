//! What a reader's configuration says about its variables.

use super::convert::Conversions;
use super::globs::{Choice, Globs};
use super::keyed::KeyedArray;
use super::rename::Renames;
use super::texts::TextUnits;
use crate::limits;
use std::sync::Arc;

/// What a reader's configuration says about its variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableRules {
    /// Which variables are shipped at all.
    pub choice: Choice,
    /// Whether dots in keys become `_`.
    pub dots_underscore: bool,
    /// What is shipped of Go's ring buffers of garbage collections.
    pub gc_pauses: GcPauses,
    /// Arrays of objects that become one object each.
    pub keyed_arrays: Vec<KeyedArray>,
    /// Whether other arrays of objects are left out, instead of becoming one array for each member of the objects.
    pub drop_object_arrays: bool,
    /// The units of a `map_file`, shared by all readers that name the file.
    pub conversions: Arc<Conversions>,
    /// The variables whose texts become numbers.
    pub texts: TextUnits,
    /// The variables that are renamed.
    pub renames: Renames,
    /// Numbers whose change per second is shipped as well.
    pub rates: Globs,
    /// The most names that the reader ships.
    pub fields_max: usize,
    /// Fields that each document has anyway; no variable gets one of their names.
    pub labels: Vec<Label>,
}

/// A static field of each document of a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The field's name in the document.
    pub name: String,
    /// The field's value; none if it differs among the readers that share these rules.
    pub value: Option<String>,
}

/// What is shipped of Go's ring buffers of garbage collections.
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
            keyed_arrays: Vec::new(),
            drop_object_arrays: false,
            conversions: Arc::default(),
            texts: TextUnits::default(),
            renames: Renames::default(),
            rates: Globs::default(),
            fields_max: limits::FIELDS_DEFAULT,
            labels: Vec::new(),
        }
    }
}

impl VariableRules {
    /// Whether numbers may be shipped with other digits than they have in the payload.
    #[must_use]
    pub fn converts(&self) -> bool {
        *self.conversions != Conversions::default()
    }
}
