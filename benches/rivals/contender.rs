//! The implementations that are compared, and how they are timed.
//!
//! simd-json decodes escapes in place, so each call gets a new copy of the body. For every contender, the copy is made before
//! the clock is read, so none is charged for it, and all find the body in the cache. The clock is read before and after each
//! call, and the time for reading it is subtracted.

use crate::{ours::Ours, recorded, scanner::Scanner, tree};
use simd_json::{Buffers, INPUT_PADDING, Tape};
use std::{
    hint::black_box,
    rc::Rc,
    time::{Duration, Instant},
};

/// The payloads that are strict JSON.
pub(crate) fn payloads() -> Vec<(String, Vec<u8>)> {
    let mut payloads = recorded::payloads();
    payloads.retain(|(name, _)| !name.contains(".invalid."));
    assert!(payloads.len() >= 20, "only {} payloads", payloads.len());
    payloads
}

/// Takes a body, gives a figure of what it made of it, the same each time.
type Run = Box<dyn FnMut(&mut Vec<u8>) -> usize>;

/// One contender and one payload.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    run: Run,
    made: usize,
    payload: Rc<[u8]>,
    padding: usize,
    body: Vec<u8>,
    clock_cost: Duration,
}

/// All of them, `parse_only` first.
pub(crate) fn all(payload: &[u8]) -> [Contender; 4] {
    check(payload);
    let payload: Rc<[u8]> = payload.into();
    let (mut buffers, mut tape) = (Buffers::new(payload.len()), Some(Tape::null()));
    let parse_only = move |body: &mut Vec<u8>| {
        let len = body.len() - INPUT_PADDING;
        let mut filled = tape.take().expect("put back").reset();
        simd_json::fill_tape_padded(body, len, &mut buffers, &mut filled).expect("JSON");
        let nodes = filled.0.len();
        tape = Some(filled.reset());
        nodes
    };
    let mut ours = Ours::new();
    let mut scanner = Scanner::default();
    let mut out = Vec::new();
    [
        Contender::new("parse_only", &payload, INPUT_PADDING, parse_only),
        Contender::new("flatten", &payload, 0, move |body| ours.flatten(body, <[u8]>::len)),
        Contender::new("serde_json_tree", &payload, 0, move |body| {
            tree::flatten(body, &mut out);
            out.len()
        }),
        Contender::new("scanner", &payload, 0, move |body| scanner.flatten(body).expect("JSON").len()),
    ]
}

impl Contender {
    fn new(
        name: &'static str,
        payload: &Rc<[u8]>,
        padding: usize,
        run: impl FnMut(&mut Vec<u8>) -> usize + 'static,
    ) -> Self {
        let clock_cost = clock_cost();
        let (run, payload) = (Box::new(run), Rc::clone(payload));
        let mut contender = Self { name, run, made: 0, payload, padding, body: Vec::new(), clock_cost };
        contender.copy();
        contender.made = (contender.run)(&mut contender.body);
        assert!(contender.made > 20, "{name} makes something of the payload");
        contender
    }

    fn copy(&mut self) {
        self.body.clear();
        self.body.extend_from_slice(&self.payload);
        self.body.resize(self.payload.len() + self.padding, 0);
    }

    /// The time of one call, whose result is asserted.
    pub(crate) fn time(&mut self) -> Duration {
        self.copy();
        let start = Instant::now();
        let made = (self.run)(black_box(&mut self.body));
        let time = start.elapsed();
        assert_eq!(made, self.made, "{} makes the same each time", self.name);
        time.saturating_sub(self.clock_cost)
    }

    /// The mean of one call over as many as fill `span`, one at the least.
    pub(crate) fn mean(&mut self, span: Duration) -> f64 {
        let (mut calls, mut total) = (0_u32, Duration::ZERO);
        while calls == 0 || total < span {
            total += self.time();
            calls += 1;
        }
        total.as_secs_f64() / f64::from(calls)
    }
}

/// What two readings of the clock cost with nothing between them.
fn clock_cost() -> Duration {
    let mut costs: Vec<Duration> = (0..1001).map(|_| Instant::now().elapsed()).collect();
    costs.sort();
    costs[costs.len() / 2]
}

/// All of them make the same of the payload, up to what is meant to differ: our columns, our own members.
fn check(payload: &[u8]) {
    let read = |document: &[u8]| -> serde_json::Map<String, serde_json::Value> {
        serde_json::from_slice(document).expect("a JSON object")
    };
    let ours = Ours::new().flatten(&mut payload.to_vec(), read);
    let scanned = read(Scanner::default().flatten(payload).expect("JSON"));
    let mut out = Vec::new();
    tree::flatten(payload, &mut out);
    let tree = read(&out);
    assert!(tree.keys().eq(scanned.keys()), "the rivals find the same members");
    let scalars = tree.iter().filter(|(_, value)| !value.is_array());
    let (same, different): (Vec<_>, Vec<_>) =
        scalars.partition(|&(name, value)| ours.get(name) == Some(value) && scanned.get(name) == Some(value));
    assert!(different.len() <= same.len() / 3, "more differs than names that we alone mend: {different:?}");
}
