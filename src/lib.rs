//! expvastic ships Go *expvar* metrics to Elasticsearch and OpenSearch. wip
pub mod config;
mod backoff;
mod bulk;
#[doc(hidden)]
pub mod cli;
mod clock;
mod engine;
mod flatten;
mod http;
mod json;
mod limits;
mod log;
mod metrics;
mod reader;
mod recorder;
pub use engine::{Engine, EngineError, Report, start_engines, tick_once};
