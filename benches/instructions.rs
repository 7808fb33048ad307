//! User instructions per leaf, counted by callgrind: `cargo bench --bench instructions`. It uses no clock, so its figures are
//! free of noise.
//!
//! The program runs itself under valgrind, once with 1 and once with 101 flattens of a payload. The difference is the cost of
//! 100 flattens, without start-up, reading the file and the first growth of buffers. A *member* is a member of the resulting
//! document; for *values*, each element of an array counts as one.
//!
//! Callgrind supports AVX2, but not AVX-512, so the AVX2 code of simd-json is measured.

#![allow(clippy::expect_used, reason = "a bench that cannot run says why")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::print_stderr, reason = "a bench says on standard error why it failed")]

#[path = "rivals/ours.rs"]
mod ours;

use ours::Ours;
use serde_json::{Map, Value};
use std::{
    error::Error,
    fs,
    io::ErrorKind,
    path::Path,
    process::{Command, ExitCode},
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const PAYLOADS: [&str; 6] = [
    "etcd-3.4.23.json",
    "goexpvar-1.26.8-plain.json",
    "goexpvar-1.26.8-escapes.json",
    "goexpvar-1.26.8-many.json",
    "influxdb-1.6.7-loaded.json",
    "jaeger-1.57.0-loaded.json",
];
const FLATTENS: u32 = 100;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["--flatten", name, times] => child(name, times),
        _ if words.contains(&"--list") => {
            println!("instructions: test");
            Ok(())
        }
        // `cargo bench` and `cargo test` pass a filter to all targets, and this one is for another target.
        _ if words.iter().any(|word| !word.starts_with('-') && !"instructions".contains(word)) => Ok(()),
        _ if words.contains(&"--bench") && !words.contains(&"--test") => bench(),
        _ => smoke(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Flattens each payload once, without valgrind.
fn smoke() -> Outcome<()> {
    for name in PAYLOADS {
        let leaves = Leaves::of(name)?;
        println!("instructions: {name}: {} members, {} values", leaves.members, leaves.values);
    }
    Ok(())
}

fn bench() -> Outcome<()> {
    println!(
        "| payload                      | bytes | members | values | instructions | per member | per value | per byte |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for name in PAYLOADS {
        let bytes = body(name)?.len();
        let Leaves { members, values } = Leaves::of(name)?;
        let instructions = (instructions(name, FLATTENS + 1)? - instructions(name, 1)?) / f64::from(FLATTENS);
        let per = |count: usize| u32::try_from(count).map(|count| instructions / f64::from(count));
        println!(
            "| {name:28} | {bytes:5} | {members:7} | {values:6} | {instructions:12.0} | {:10.1} | {:9.1} | {:8.2} |",
            per(members)?,
            per(values)?,
            per(bytes)?,
        );
    }
    Ok(())
}

/// The instructions of a child that flattens a payload `times` times.
fn instructions(name: &str, times: u32) -> Outcome<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--flatten", name, &times.to_string()])
        .output();
    let output = match output {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err("there is no valgrind here; `apt-get install valgrind` or `dnf install valgrind`".into());
        }
        other => other?,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("valgrind: {}: {said}", output.status).into());
    }
    // `==4711== Collected : 123456`
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, count)| count.trim());
    Ok(collected.ok_or_else(|| format!("valgrind counted nothing: {said}"))?.parse()?)
}

/// Flattens a payload `times` times. This is what runs under valgrind.
fn child(name: &str, times: &str) -> Outcome<()> {
    let mut body = body(name)?;
    let mut ours = Ours::new();
    let expected = ours.flatten(&mut body, <[u8]>::len);
    for _ in 1..times.parse::<u32>()? {
        assert_eq!(ours.flatten(&mut body, <[u8]>::len), expected, "the same document each time");
    }
    Ok(())
}

fn body(name: &str) -> Outcome<Vec<u8>> {
    Ok(fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/payloads").join(name))?)
}

/// The numbers of members and values in a document.
struct Leaves {
    members: usize,
    values: usize,
}

impl Leaves {
    fn of(name: &str) -> Outcome<Self> {
        let document: Map<String, Value> =
            Ours::new().flatten(&mut body(name)?, |document| serde_json::from_slice(document))?;
        let values = document.values().map(|value| value.as_array().map_or(1, Vec::len)).sum();
        assert!(document.len() > 10, "a document of {name}");
        Ok(Self { members: document.len(), values })
    }
}
