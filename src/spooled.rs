//! A door to what reads a spool folder, with all that is done with its documents later, for fuzzing.

pub use crate::recorder::{FolderLoad, FolderTrial};
