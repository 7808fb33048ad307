//! expvastic is a small, exact sidecar. It polls Go *expvar* endpoints, flattens each payload into one document that
//! servers accept, and ships the documents to Elasticsearch or OpenSearch. Usually it runs as a command; with this
//! library, another program can build and start the same engines.
//!
//! ```text
//!  conf.yml ── config ──► engines
//!                            │
//!  every tick                ▼
//!    reader ── body ──► flatten ── document ──► bulk ── sealed ──► recorder ──► elasticsearch | file
//!    expvar | self      (simd-json's index,     (NDJSON, one for     (waits in memory,     │
//!       ▲                one walk)               each recorder)       ships, retries) ◄─ verdict
//!       └───────────────────────── metrics: counters and ledgers ◄───────────┘
//! ```
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use expvastic::{Config, start_engines};
//!
//! let config = Config::load("conf.yml")?;
//! let report = start_engines(&config, std::future::pending())?;
//! assert!(report.ledgers.iter().all(|(_, ledger)| ledger.balances()));
//! # Ok(())
//! # }
//! ```

mod config;

mod access;
mod backoff;
mod bulk;
mod dashboards;
mod document;
mod document_buffers;
mod engine;
mod http;
mod memory;
mod metrics;
mod pages;
mod quote;
mod reader;
mod recorder;
mod redact;
mod secret;
mod spool;

mod calendar;
mod clock;
mod descriptor_queue;
mod descriptors;
mod event_loop;
mod file_stamp;
mod finding;
mod limits;
mod log;
mod nonblocking;
mod plural;
mod regular_file;
mod signals;
mod sort;
mod stream;
mod systemd;
mod watchdog;

use expvastic_flatten::{self as flatten, json};

#[doc(hidden)]
pub mod answers;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod hot_path;
#[doc(hidden)]
pub mod spooled;

pub use config::{Config, ConfigError, LogFormat, LogLevel, Reader, Recorder, Settings};
pub use engine::{Engine, EngineError, Report, start_engines, tick_once};
pub use metrics::{Dropped, Ledger};
