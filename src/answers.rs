//! A door to what reads the answers of servers, for fuzzing: an answer to a bulk, with the bulk that it judges, and any HTTP
//! answer, each in whatever pieces it comes.

pub use crate::http::trial::{Decoded, decode};
pub use crate::recorder::{BulkOutcome, BulkTrial};
