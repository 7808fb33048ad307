//! What the fuzz targets assert: the same files that `tests/fuzz_corpus.rs` replays the corpus with.

#![allow(clippy::duplicate_mod, reason = "each set of checks brings the strict reader of JSON that it wants")]
#![allow(clippy::expect_used, reason = "a check says what it expects")]

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// For all that `config_front` does with a text of 1 MiB at most: several times what the dearest one known takes.
const FRONT_CPU_TIME_MAX: Duration = Duration::from_secs(3);

#[path = "../tests/support/answer_checks.rs"]
mod answer_checks;
#[path = "../tests/support/fuzz_checks.rs"]
mod fuzz_checks;
#[path = "../tests/support/spool_checks.rs"]
mod spool_checks;

/// See `fuzz_checks`.
pub fn flatten_any(input: &[u8]) {
    fuzz_checks::flatten_any(input);
}

/// See `fuzz_checks`.
pub fn flatten_twin(input: &[u8]) {
    fuzz_checks::flatten_twin(input);
}

/// See `fuzz_checks`.
pub fn salvage(input: &[u8]) {
    fuzz_checks::salvage(input);
}

/// See `fuzz_checks`.
pub fn config(input: &[u8]) {
    fuzz_checks::config(input);
}

/// See `fuzz_checks`. What it costs is measured, too: the processor's time, so that it does not matter what else runs.
pub fn config_front(input: &[u8]) {
    let begin = cpu_time();
    fuzz_checks::config_front(input);
    let spent = cpu_time().saturating_sub(begin);
    assert!(spent < FRONT_CPU_TIME_MAX, "{spent:?}");
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// See `fuzz_checks`.
pub fn map_file(input: &[u8]) {
    fuzz_checks::map_file(input);
}

/// See `answer_checks`.
pub fn bulk_answer(input: &[u8]) {
    answer_checks::bulk_answer(input);
}

/// See `answer_checks`.
pub fn http_answer(input: &[u8]) {
    answer_checks::http_answer(input);
}

/// See `spool_checks`.
pub fn spool_folder(input: &[u8]) {
    spool_checks::spool_folder(input);
}
