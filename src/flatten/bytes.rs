//! The text of a body: which bytes are structure, what a valid scalar is, where something is, and how a body that is
//! not JSON becomes one that can be walked. Knows nothing about names, rules or documents.

pub(crate) mod index;
pub mod json;
pub(crate) mod locate;
pub(crate) mod piece;
pub(crate) mod quantity;
pub(crate) mod scalar;
pub(crate) mod strict;
pub(crate) mod untangle;
