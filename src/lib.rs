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
//! let (stop, stopped) = smol::channel::bounded::<()>(1);
//! // Wherever the program decides to end, on whichever thread: `stop.try_send(())`, or drop it.
//! let report = start_engines(&config, async { _ = stopped.recv().await })?;
//! assert!(report.ledgers.iter().all(|(_, ledger)| ledger.balances()));
//! # drop(stop);
//! # Ok(())
//! # }
//! ```
//!
//! - [`start_engines`] and [`Engine::start`] block the thread that calls them until the future `stop` completes, or nothing
//!   is left to do. Then they ship what waits, for at most `shutdown_timeout`. `stop` may be any future, such as one that waits
//!   for a channel or a signal. It is polled on the same thread, so it must not block. Handlers of signals are not installed.
//! - Several engines, or configurations, may run in one process, each on a thread of its own. They share nothing, except that
//!   no two of them can have the same spool folder or write to the same file.
//! - [`Reader::from_yaml`], [`Recorder::from_yaml`] and [`Settings::from_yaml`] take every key of a configuration file.
//!   [`Engine::with_reader_recorders`] makes an engine of them.
//! - [`observer`] gives the ledgers and counters of engines while they run.
//! - Messages are events of `tracing`. Without a subscriber, nothing is logged.

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
pub use engine::{
    Engine, EngineError, Observed, Observer, Report, observer, start_engines, start_engines_observed, tick_once,
};
pub use metrics::{Dropped, Ledger};
