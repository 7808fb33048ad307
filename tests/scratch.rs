//! How much memory the sanitiser needs in addition to the body and the document, and that it gives memory back after an unusually
//! large payload.
//!
//! Resident memory is measured: simd-json reserves a tape of 24 bytes for each token, but never writes to it, so the tape takes no
//! memory.
#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::print_stdout, reason = "what is measured is of interest, too")]

#[path = "support/recorded.rs"]
mod recorded;

use expvastic::Config;
use expvastic::hot_path::HotPath;
use peak_alloc::PeakAlloc;
use std::fs;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// A figure of `/proc/self/status`, in bytes.
fn status(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the figure");
    line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<usize>().expect("a number") << 10
}

/// By how much resident memory grew at most while `work` ran.
fn peak_growth(work: impl FnOnce()) -> usize {
    fs::write("/proc/self/clear_refs", "5").expect("the peak starts anew");
    let before = status("VmRSS");
    work();
    status("VmHWM") - before
}

fn hot_path(max_fields: usize) -> HotPath {
    let yaml = format!(
        "readers: {{app: {{type_name: app, endpoint: \"localhost:1\", max_fields: {max_fields}}}}}\n\
         recorders: {{out: {{type: file, path: \"-\"}}}}\nroutes: {{r: {{readers: [app], recorders: [out]}}}}\n"
    );
    let config = Config::parse("test", &yaml, &|_| None).expect("a good configuration");
    HotPath::of_config(&config).expect("a good reader")
}

/// All in one test: what another thread allocates would be counted too.
#[test]
fn what_a_payload_takes_is_bounded_and_given_back() {
    the_largest_payload_takes_four_times_its_length_and_gives_it_back();
    the_columns_of_a_small_payload_are_given_back();
}

/// Each column's name is as long as half of the payload.
fn the_columns_of_a_small_payload_are_given_back() {
    let members = (0..900).map(|at| format!(r#""{at}":1"#)).collect::<Vec<_>>().join(",");
    let payload = format!(r#"{{"a":[{{"{}":{{{members}}}}}]}}"#, "k".repeat(11_000));
    assert!(payload.len() < 20_000, "{} bytes", payload.len());
    let mut path = hot_path(1000);
    let in_use_before = ALLOCATOR.current_usage();
    for (payload, kept_min, kept_max) in [(payload.as_bytes(), 900 * 11_000, usize::MAX), (br#"{"a":1}"#, 0, 3 << 20)] {
        let mut body = payload.to_vec();
        path.flatten(&mut body).expect("a document");
        path.recycle(body);
        let kept = ALLOCATOR.current_usage() - in_use_before;
        println!("{} bytes with columns: kept {kept}", payload.len());
        assert!((kept_min..kept_max).contains(&kept), "{kept} bytes are kept");
    }
}

fn the_largest_payload_takes_four_times_its_length_and_gives_it_back() {
    let (name, payload) = recorded::payloads().into_iter().max_by_key(|(_, body)| body.len()).expect("payloads");
    assert!(payload.len() > 1 << 20, "{name}");
    for max_fields in [1000, 100_000] {
        let mut path = hot_path(max_fields);
        let in_use_before = ALLOCATOR.current_usage();
        let mut body = Vec::with_capacity(payload.len() + 64);
        body.extend_from_slice(&payload);
        let with_body = ALLOCATOR.current_usage();
        let mut document = 0;
        let peak = peak_growth(|| document = path.flatten(&mut body).expect("a document").len());
        let taken = with_body + peak;
        path.recycle(body);
        // What the reader remembers of its variables, one body and one document of usual size.
        let kept = ALLOCATOR.current_usage() - in_use_before;
        assert!(taken - ALLOCATOR.current_usage() > payload.len() * 3 / 2, "{kept} of {taken} bytes are kept");
        // While the document's buffer grows, there is an older one of half its length beside it.
        let scratch = peak.saturating_sub(document + document / 2 + kept);
        println!("{name}, max_fields {max_fields}: {} bytes, kept {kept}, scratch {scratch}", payload.len());
        assert!(scratch <= 4 * payload.len(), "{scratch} bytes for {} bytes", payload.len());
        assert!(kept <= 4 * payload.len(), "{kept} bytes are kept");
    }
}
