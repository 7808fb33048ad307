//! That a payload costs by its length, whatever is in it: eight times as much of it takes about eight times as long, not
//! sixty-four. What an endpoint answers must not hold up the one thread.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "a test may look at how long something takes")]

use expvastic::Config;
use expvastic::hot_path::HotPath;
use std::time::{Duration, Instant};

/// Learns and follows this payload.
fn tick(payload: &str) -> Duration {
    let config = "readers: {app: {type_name: app, endpoint: \"localhost:1\", max_body: 16MiB}}\n\
                  recorders: {out: {type: file, path: \"-\"}}\nroutes: {r: {readers: [app], recorders: [out]}}\n";
    let config = Config::parse("test", config, &|_| None).expect("a good configuration");
    let mut path = HotPath::of_config(&config).expect("a good reader");
    let mut body = Vec::with_capacity(payload.len() + 64);
    body.extend_from_slice(payload.as_bytes());
    let begin = Instant::now();
    path.flatten(&mut body).expect("a document");
    begin.elapsed()
}

/// What eight times as much costs is about eight times as much. The least of some tries counts: what else runs on the
/// machine only makes it more.
fn assert_linear(payload: impl Fn(usize) -> String, size: usize) {
    let cost = |size| {
        let payload = payload(size);
        (0..3).map(|_| tick(&payload)).min().expect("some")
    };
    let (few, many) = (cost(size), cost(8 * size));
    assert!(many < few * 8 * 3, "{size} take {few:?}, {} take {many:?}", 8 * size);
}

/// Names of columns that begin alike and come in another order in each element.
#[test]
fn columns_with_long_names() {
    let prefix = "k".repeat(11_000);
    let payload = |size: usize| {
        let element = |step: usize| {
            let members = (0..size).map(|at| format!(r#""{}":1"#, 1_000 + at * step % size));
            format!(r#"{{"{prefix}":{{{}}}}}"#, members.collect::<Vec<_>>().join(","))
        };
        format!(
            r#"{{"a":[{}]}}"#,
            (1..120).filter(|step| step % 2 == 1 && step % 5 > 0).map(element).collect::<Vec<_>>().join(",")
        )
    };
    assert_linear(payload, 100);
}

/// Arrays that are looked at twice, as they hold ends of lines.
#[test]
fn arrays_of_several_lines() {
    for array in ["[1,\n2]", "[{},\n[\n]]"] {
        assert_linear(|size| format!(r#"{{"a":[{}]}}"#, vec![array; size].join(",")), 2_000);
        let member = |at: usize| format!(r#""{at}":{array}"#);
        assert_linear(|size| format!("{{{}}}", (0..size).map(member).collect::<Vec<_>>().join(",")), 2_000);
    }
}
