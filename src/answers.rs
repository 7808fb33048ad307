//! An entry point for fuzzing what reads the answers of servers: an answer to a bulk, with the bulk that it judges, and
//! any HTTP answer, each split into arbitrary pieces.

pub use crate::http::trial::{Decoded, decode};
pub use crate::recorder::{BulkOutcome, BulkTrial};
