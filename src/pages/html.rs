//! The page for people: tables of readers and recorders with their counters. Pure.

use crate::metrics::{Count, Snapshot};
use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width\"><title>expvastic</title><style>\
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:2em}\
table{border-collapse:collapse}td,th{padding:.1em .8em;text-align:right;border-bottom:1px solid #8884}\
td:first-child,th:first-child{text-align:left;padding-left:0}</style>";

const FOOT: &str = "<p>All counters as expvar: <a href=/debug/vars>/debug/vars</a>. Health check: <a \
                    href=/healthz>/healthz</a>.</html>\n";

const END_OF_TABLE: &[u8] = b"</table>";

/// Appends the page.
pub(crate) fn overview(snapshot: &Snapshot<'_>, out: &mut Vec<u8>) {
    let usage = snapshot.usage;
    // Writing into memory does not fail.
    let _ = write!(
        out,
        "{HEAD}<h1>expvastic {}</h1><p>up {}, {} kB resident, {} ms of CPU",
        env!("CARGO_PKG_VERSION"),
        days_and_time(usage.uptime),
        usage.resident_bytes / 1024,
        usage.cpu.as_millis(),
    );
    let readers = ["reader", "polls", "failed", "late", "skipped while down", "restarts of the target"];
    begin_table(out, "Readers", &readers);
    for (name, counts) in &snapshot.readers {
        let counts = [&counts.polls, &counts.failures, &counts.late_ticks, &counts.down_ticks, &counts.restarts];
        row(out, name, counts.map(Count::get));
    }
    out.extend_from_slice(END_OF_TABLE);
    let recorders =
        ["recorder", "made", "= acked", "+ duplicate", "+ dead-lettered", "+ dropped", "+ waiting", "waiting on disk"];
    begin_table(out, "Recorders", &recorders);
    for (name, ledger) in &snapshot.recorders {
        let dropped = ledger.dropped.total();
        let outcomes = [ledger.acked, ledger.duplicate, ledger.dead_lettered, dropped];
        row(out, name, [ledger.made].into_iter().chain(outcomes).chain([ledger.waiting, ledger.spooled]));
    }
    out.extend_from_slice(END_OF_TABLE);
    out.extend_from_slice(FOOT.as_bytes());
}

fn begin_table(out: &mut Vec<u8>, title: &str, columns: &[&str]) {
    let _ = write!(out, "<h2>{title}</h2><table><tr>");
    for column in columns {
        cell(out, "th", column);
    }
}

fn row(out: &mut Vec<u8>, name: &str, counts: impl IntoIterator<Item = u64>) {
    out.extend_from_slice(b"\n<tr><td>");
    write_escaped(out, name);
    for count in counts {
        cell(out, "td", count);
    }
}

fn cell(out: &mut Vec<u8>, tag: &str, content: impl Display) {
    let _ = write!(out, "<{tag}>{content}");
}

fn days_and_time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    format!("{days} d {hours:02}:{minutes:02}:{:02}", seconds % 60)
}

/// A name is whatever the configuration says.
fn write_escaped(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Ledger, Metrics, ProcessUsage, ReaderCounts};

    #[test]
    fn each_reader_and_recorder_has_its_row_and_no_name_is_markup() {
        let (metrics, counts) = (Metrics::default(), ReaderCounts::default());
        counts.polls.add(7);
        counts.failures.add(2);
        let ledger = Ledger { made: 5, acked: 3, duplicate: 1, waiting: 1, ..Ledger::default() };
        let usage = ProcessUsage { uptime: Duration::from_secs(93_784), ..ProcessUsage::default() };
        let readers = vec![("<script>a&b", &counts)];
        let snapshot = Snapshot { metrics: &metrics, usage, readers, recorders: vec![("es", ledger)] };
        let mut out = Vec::new();
        overview(&snapshot, &mut out);
        let page = String::from_utf8(out).unwrap();
        for expected in [
            "up 1 d 02:03:04,",
            "<tr><td>&lt;script>a&amp;b<td>7<td>2<td>0<td>0<td>0",
            "<tr><td>es<td>5<td>3<td>1<td>0<td>0<td>1<td>0",
        ] {
            assert!(page.contains(expected), "no {expected} in {page}");
        }
        assert!(!page.contains("<script"));
    }
}
