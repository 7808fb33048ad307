//! The table of ratios: each contender's time divided by that of simd-json's parse alone. The contenders take turns in each
//! round, so that noise affects all of them.

use crate::{Outcome, contender, machine};
use std::{fmt::Write as _, fs::File, io::Write as _, path::Path, time::Duration};

const ROUNDS: usize = 21;
const SPAN: Duration = Duration::from_millis(2);
const GO_ITSELF: &str = "goexpvar-1.26.8-plain.json";

/// One payload: seconds of the parse, and of each contender its name and its ratios to the parse, sorted.
struct Row {
    name: String,
    bytes: usize,
    parse: f64,
    ratios: Vec<(&'static str, Vec<f64>)>,
}

/// Prints the table, and appends it to a file if there is one.
pub(crate) fn run(record: Option<&Path>) -> Outcome<()> {
    let mut text = machine::heading().join("\n");
    let _ = write!(
        text,
        "\n- `cargo bench --bench hot_path -- --ratios`: time by that of simd-json's parse (`fill_tape_padded`), \
         median of {ROUNDS} rounds in turn, {} ms each\n\n",
        SPAN.as_millis()
    );
    let rows: Vec<Row> = contender::payloads().into_iter().map(|(name, body)| measure(name, &body)).collect();
    table(&mut text, &rows);
    summary(&mut text, &rows);
    println!("{text}");
    match record {
        Some(file) => Ok(writeln!(File::options().create(true).append(true).open(file)?, "{text}")?),
        None => Ok(()),
    }
}

fn measure(name: String, body: &[u8]) -> Row {
    let mut contenders = contender::all(body);
    let mut parse = Vec::new();
    let mut ratios: Vec<(&str, Vec<f64>)> = contenders[1..].iter().map(|rival| (rival.name, Vec::new())).collect();
    for round in 0..ROUNDS {
        let mut means = [0.0; 4];
        let mut turns: Vec<usize> = (0..means.len()).collect();
        // Each way round in turn, or one would always come after the same other.
        if round % 2 == 1 {
            turns.reverse();
        }
        for turn in turns {
            means[turn] = contenders[turn].mean(SPAN);
        }
        parse.push(means[0]);
        for (mean, (_, ratios)) in means[1..].iter().zip(&mut ratios) {
            ratios.push(mean / means[0]);
        }
    }
    parse.sort_by(f64::total_cmp);
    for (_, ratios) in &mut ratios {
        ratios.sort_by(f64::total_cmp);
    }
    Row { name, bytes: body.len(), parse: parse[ROUNDS / 2], ratios }
}

fn table(text: &mut String, rows: &[Row]) {
    let _ = write!(text, "| {:34} | {:>7} | {:>8} | GB/s |", "payload", "bytes", "parse µs");
    for (name, _) in rows.iter().take(1).flat_map(|row| &row.ratios) {
        let _ = write!(text, " {name:>15} |");
    }
    text.push_str(" flatten, middle half |\n|---|--:|--:|--:|--:|--:|--:|--:|\n");
    for Row { name, bytes, parse, ratios } in rows {
        let size = f64::from(u32::try_from(*bytes).unwrap_or(u32::MAX));
        let _ = write!(text, "| {name:34} | {bytes:7} | {:8.2} | {:4.2} |", parse * 1e6, size / parse / 1e9);
        for (_, ratios) in ratios {
            let _ = write!(text, " {:15.2} |", ratios[ROUNDS / 2]);
        }
        let flatten = &ratios[0].1;
        let _ = writeln!(text, " {:13.2} … {:.2} |", flatten[ROUNDS / 4], flatten[ROUNDS - 1 - ROUNDS / 4]);
    }
}

/// Median, Go's own and maximum of each contender; beside ours what they should be.
fn summary(text: &mut String, rows: &[Row]) {
    text.push_str("\n| contender | of all | at most | found | |\n|---|---|--:|--:|---|\n");
    for at in 0..rows[0].ratios.len() {
        let contender = rows[0].ratios[at].0;
        let ratio = |row: &Row| row.ratios[at].1[ROUNDS / 2];
        let mut all: Vec<f64> = rows.iter().map(ratio).collect();
        all.sort_by(f64::total_cmp);
        let median = f64::midpoint(all[(all.len() - 1) / 2], all[all.len() / 2]);
        let go_itself = rows.iter().find(|row| row.name == GO_ITSELF).map_or(f64::NAN, ratio);
        for (what, found, limit) in
            [("median", median, 0.75), (GO_ITSELF, go_itself, 0.6), ("maximum", all[all.len() - 1], 1.2)]
        {
            let (limit, verdict) = match contender {
                "flatten" if found <= limit => (limit.to_string(), "met"),
                "flatten" => (limit.to_string(), "**not met**"),
                _ => (String::new(), ""),
            };
            let _ = writeln!(text, "| {contender} | {what} | {limit} | {found:.2} | {verdict} |");
        }
    }
}
