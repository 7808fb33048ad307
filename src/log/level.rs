//! Log levels and formats.

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Data was lost.
    Error,
    /// Something failed and is tried again.
    Warn,
    /// Starts, stops, recoveries.
    Info,
    /// Each poll and each shipment.
    Debug,
    /// Everything.
    Trace,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}
