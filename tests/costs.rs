//! The time for a payload is proportional to its length, whatever it contains and whatever the reader's options are: eight times
//! the text takes about eight times as long, not sixty-four times. No answer of an endpoint may block the only thread.

#![allow(clippy::expect_used, reason = "a test says what it expects")]
use expvastic::Config;
use expvastic::hot_path::HotPath;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// What this thread has cost so far: however busy the machine is, it is charged for its own work only.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("time does not run backwards")
}

/// One reader with two payloads in turn, so that each time it learns the layout anew.
struct Learner {
    path: HotPath,
    bodies: [Vec<u8>; 2],
}

impl Learner {
    fn new(settings: &str, payload: &str) -> Self {
        let config = format!(
            "readers: {{app: {{type_name: app, endpoint: \"localhost:1\", max_body: 16MiB, max_fields: 100000{settings}}}}}\n\
             recorders: {{out: {{type: file, path: \"-\"}}}}\nroutes: {{r: {{readers: [app], recorders: [out]}}}}\n"
        );
        let config = Config::parse("test", &config, &|_| None).expect("a good configuration");
        let path = HotPath::of_config(&config).expect("a good reader");
        let members = payload.strip_suffix('}').expect("an object");
        let bodies = ["}", ",\"other\":1}"].map(|end| format!("{members}{end}").into_bytes());
        Self { path, bodies }
    }

    /// How long it takes to learn. Gives the document to `look`.
    fn learn(&mut self, look: impl Fn(&[u8])) -> Duration {
        self.bodies.swap(0, 1);
        let begin = cpu_time();
        let document = self.path.flatten(&mut self.bodies[0]).expect("a document");
        let time = cpu_time().checked_sub(begin).expect("time passes");
        look(document);
        time
    }
}

/// What the payload of eight times the size costs is about eight times as much. `look` is given a round, counted from 0, a
/// size, and the document.
fn assert_linear(settings: &str, size: usize, payload: impl Fn(usize) -> String, look: impl Fn(usize, usize, &[u8])) {
    let mut small = Learner::new(settings, &payload(size));
    let mut large = Learner::new(settings, &payload(8 * size));
    let (mut few, mut many) = (Duration::MAX, Duration::MAX);
    for round in 0..50 {
        let times = [
            small.learn(|document| look(round, size, document)),
            large.learn(|document| look(round, 8 * size, document)),
        ];
        if round < 2 {
            // There is less to do: buffers are empty, and no counter has a rate.
            continue;
        }
        // The least of some tries, in turn: what else runs on the machine only makes it more.
        (few, many) = (few.min(times[0]), many.min(times[1]));
        if round >= 4 && many < few * 24 {
            return;
        }
    }
    panic!("{settings} {size} take {few:?}, {} take {many:?}", 8 * size);
}

fn joined(members: impl Iterator<Item = String>) -> String {
    members.collect::<Vec<_>>().join(",")
}

/// Names of columns that begin alike and come in another order in each element.
#[test]
fn columns_with_long_names() {
    let prefix = "k".repeat(11_000);
    let payload = |size: usize| {
        let element = |step: usize| {
            let members = joined((0..size).map(|at| format!(r#""{}":1"#, 1_000 + at * step % size)));
            format!(r#"{{"{prefix}":{{{members}}}}}"#)
        };
        format!(r#"{{"a":[{}]}}"#, joined((1..120).filter(|step| step % 2 == 1 && step % 5 > 0).map(element)))
    };
    assert_linear("", 100, payload, |_, _, _| ());
}

/// Arrays that are looked at twice, as they hold ends of lines.
#[test]
fn arrays_of_several_lines() {
    for array in ["[1,\n2]", "[{},\n[\n]]"] {
        let within = |size: usize| format!(r#"{{"a":[{}]}}"#, vec![array; size].join(","));
        assert_linear("", 2_000, within, |_, _, _| ());
        let beside = |size: usize| format!("{{{}}}", joined((0..size).map(|at| format!(r#""{at}":{array}"#))));
        assert_linear("", 2_000, beside, |_, _, _| ());
    }
}

/// Patterns that are made to cost much, for names that are: of only dots and without any, and names around others.
#[test]
fn patterns() {
    let members = |count: usize| joined((0..count).map(|at| format!(r#""{at}":{at}"#)));
    let payloads: [&dyn Fn(usize) -> String; 4] = [
        &|size| format!(r#"{{"v":1,"{}":1}}"#, ".".repeat(size)),
        &|size| format!(r#"{{"v":1,"{}":1}}"#, "k".repeat(size)),
        &|size| format!(r#"{{"v":1,"{}":{{{}}}}}"#, "ké".repeat(size * 16), members(size / 4)),
        &|size| format!(r#"{{"v":1,"{}":[{{{}}}]}}"#, "k".repeat(size * 16), members(size / 100)),
    ];
    for settings in [
        ", exclude: [\"**.tmp\"]",
        ", exclude: [\"**x*y\", \"**k*kx\"]",
        ", include: [\"**v*\", \"k*.**k*y\"]",
        ", rates: [\"**.tmp\", \"**k*kx\"]",
        ", map_file: tests/config/maps/maps.yml, include: [\"v\", \"**.v\"]",
    ] {
        for payload in payloads {
            assert_linear(settings, 1_000, payload, |_, _, document| {
                assert!(document.windows(6).any(|member| member == b",\"v\":1"), "what is to be shipped is there");
            });
        }
    }
}

/// Counters with names of their own, with one name, and within a very long one.
#[test]
fn rates_of_many_counters() {
    let own_names = |size: usize| joined((0..size).map(|at| format!(r#""{at}":{at}"#)));
    let payloads: [&dyn Fn(usize) -> String; 3] = [
        &|size| format!("{{{}}}", own_names(size)),
        &|size| format!("{{{}}}", joined((0..size).map(|at| format!(r#""a":{at}"#)))),
        &|size| format!(r#"{{"{}":{{{}}}}}"#, "k".repeat(100 * size), own_names(size)),
    ];
    for payload in payloads {
        assert_linear(", rates: [\"**\"]", 500, payload, |round, size, document| {
            let names = std::str::from_utf8(document).expect("UTF-8").matches("\":").count();
            let wanted = if round == 0 { size } else { 2 * size };
            assert!(names > wanted, "each number has a rate: {names} names in round {round}");
        });
    }
}
