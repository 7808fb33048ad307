//! Bounds on what the supervisor of the process is told.

use std::time::Duration;

/// The least time between two status lines. Each of them wakes the supervisor, and people look less often.
pub(crate) const STATUS_PERIOD: Duration = Duration::from_secs(5);
/// Bytes of a status line. `systemctl status` shows it on one line of a terminal.
pub(crate) const STATUS_BYTES_MAX: usize = 200;
/// Recorders that a status line names.
pub(crate) const STATUS_RECORDERS_MAX: usize = 3;
/// The least time between two signs of life, so that a watchdog with an absurd time does not keep the thread busy.
pub(crate) const SIGN_OF_LIFE_MIN: Duration = Duration::from_millis(10);
