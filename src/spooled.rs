//! An entry point for fuzzing what reads a spool folder, with everything that is done with its documents later.

pub use crate::recorder::{FolderLoad, FolderTrial};
