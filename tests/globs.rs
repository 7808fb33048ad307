//! What learning a layout costs, with patterns and names that are made to cost much: for a payload eight times as large about
//! eight times as much, not 64 times.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::disallowed_methods, reason = "a test may look at how long something takes")]

use expvastic::Config;
use expvastic::hot_path::HotPath;
use std::time::{Duration, Instant};

const SETTINGS: &[&str] = &[
    "exclude: [\"**.tmp\"]",
    "exclude: [\"**x*y\", \"**k*kx\"]",
    "include: [\"**v*\", \"k*.**k*y\"]",
    "rates: [\"**.tmp\", \"**k*kx\"]",
    "map_file: tests/config/maps/maps.yml, include: [\"v\", \"**.v\"]",
];

fn hot_path(settings: &str) -> HotPath {
    let config = format!(
        "readers: {{app: {{type_name: app, endpoint: \"localhost:1\", max_fields: 100000, {settings}}}}}\n\
         recorders: {{out: {{type: file, path: \"-\"}}}}\nroutes: {{r: {{readers: [app], recorders: [out]}}}}\n"
    );
    HotPath::of_config(&Config::parse("test", &config, &|_| None).expect("a good configuration"))
        .expect("a good reader")
}

/// What begins bodies, one variable of which is always shipped: names of only dots and without any, and names around others.
fn payloads(size: usize) -> [String; 4] {
    let members = |count: usize| (0..count).map(|at| format!(r#""{at}":{at}"#)).collect::<Vec<_>>().join(",");
    [
        format!(r#"{{"v":1,"{}":1"#, ".".repeat(size)),
        format!(r#"{{"v":1,"{}":1"#, "k".repeat(size)),
        format!(r#"{{"v":1,"{}":{{{}}}"#, "ké".repeat(size * 16), members(size / 4)),
        format!(r#"{{"v":1,"{}":[{{{}}}]"#, "k".repeat(size * 16), members(size / 100)),
    ]
}

/// One reader with two payloads in turn: each time it is learned anew.
struct Learner {
    path: HotPath,
    bodies: [Vec<u8>; 2],
    fastest: Duration,
}

impl Learner {
    fn new(settings: &str, payload: &str) -> Self {
        let bodies = ["}", ",\"other\":1}"].map(|end| format!("{payload}{end}").into_bytes());
        Self { path: hot_path(settings), bodies, fastest: Duration::MAX }
    }

    fn learn(&mut self) {
        let begin = Instant::now();
        let document = self.path.flatten(&mut self.bodies[0]).expect("a document");
        let time = begin.elapsed();
        assert!(document.windows(6).any(|member| member == b",\"v\":1"), "what is to be shipped is there");
        self.fastest = self.fastest.min(time);
        self.bodies.swap(0, 1);
    }
}

#[test]
fn learning_costs_each_key_once() {
    for settings in SETTINGS {
        for (kind, (small, large)) in payloads(1_000).iter().zip(payloads(8_000)).enumerate() {
            let (mut small, mut large) = (Learner::new(settings, small), Learner::new(settings, &large));
            // The least of some tries, in turn: what else runs on the machine only makes it more.
            for round in 0..50 {
                small.learn();
                large.learn();
                if round >= 3 && large.fastest < small.fastest * 24 {
                    break;
                }
            }
            let (few, many) = (small.fastest, large.fastest);
            assert!(many < few * 24, "{settings}, payload {kind}: {few:?}, eight times as much {many:?}");
        }
    }
}
