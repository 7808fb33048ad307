//! Text as it stands in a body: which bytes are its structure, what is a scalar, where something stands, and how what is
//! no JSON is made into what can be followed. Knows nothing of names, rules or documents.

pub(crate) mod index;
pub mod json;
pub(crate) mod locate;
pub(crate) mod piece;
pub(crate) mod scalar;
pub(crate) mod strict;
pub(crate) mod untangle;
