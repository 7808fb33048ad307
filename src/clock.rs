//! The clocks. Only modules that wait for something use them, such as `engine`, `recorder` and `log`; code that
//! computes takes the time as an argument.
#![allow(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]

use crate::calendar::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant, SystemTime};

/// For durations and deadlines.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// For what people and servers see.
pub(crate) fn timestamp() -> Timestamp {
    // A clock that is set to before 1970 gives its beginning.
    Timestamp::since_epoch(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// The monotonic clock of the system in microseconds, by which a supervisor puts events in order.
pub(crate) fn monotonic_microseconds() -> u128 {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default().as_micros()
}
