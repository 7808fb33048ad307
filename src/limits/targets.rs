//! Bounds on the targets of readers, and on how many are polled at the same time.

use std::time::Duration;

/// Ports in a range. Each port keeps a connection open, and a process may have 1,024 open files by default. One digit too
/// many (`8000-18003`) would make 10,000 readers.
pub(crate) const RANGE_PORTS_MAX: usize = 256;

/// The least time between two looks at a file of targets. It is looked at on ticks, which may be a little early, so this is a
/// little less than the second that people expect. A look costs a system call.
pub(crate) const TARGETS_LOOK_INTERVAL: Duration = Duration::from_millis(900);
/// Addresses of one name that are polled, each by a reader of its own. A headless service of Kubernetes has one for each pod.
pub(crate) const NAME_TARGETS_MAX: usize = 1_000;
/// The pause before a name is looked up again that has no known address.
pub(crate) const TARGETS_RETRY: Duration = Duration::from_secs(10);

/// Bytes of the bodies that polls which begin together will probably have, by those before. Further polls begin when one of
/// these has ended, or after [`POLLS_PAUSE`]. So the bodies of hundreds of readers are not in memory at the same time, and one
/// that hangs holds up nobody for longer than that.
pub(crate) const BODIES_IN_FLIGHT_BYTES_MAX: usize = 256 << 10;
/// The least that a poll counts for in [`BODIES_IN_FLIGHT_BYTES_MAX`]: its request, its state, and a part of its answer.
pub(crate) const POLL_BYTES: usize = 4 << 10;
/// The time after which more polls begin although none has ended. 800 readers with bodies of 10 kB, which are all slow, have
/// begun within a third of a second.
pub(crate) const POLLS_PAUSE: Duration = Duration::from_millis(10);
