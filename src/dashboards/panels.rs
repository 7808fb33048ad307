//! Which panels fit the fields that documents have. A panel of a field that is missing would be an error in OpenSearch
//! Dashboards. Pure.

use super::fields::{Field, Fields, Origin};
use super::panel::{Aggregation, Board, Dashboard, Format, Grid, Kind, Metric, Panel};
use crate::flatten::Globs;
use crate::limits;
use crate::plural::counted;

/// Panels that are shown if documents have one of their fields, one on each line: id, title, width, kind, the fields by
/// which documents are divided, the query, and the metrics. A metric is an aggregation, what it is about, and a label:
/// - `=NAME`: the variable with this name in the payload
/// - `/NAME`: its change per second
/// - `+NAME`: its change per second if that is shipped, else itself
/// - `@NAME`: a field that each document has
/// - `#NAME`: the documents, if there is such a variable; if the name is empty, in any case
///
/// It is a text because a table of constants would need three times as many bytes.
const GO: &str = "\
heap|Heap|24|line|||\
max=memstats.HeapAlloc:live heap|max=memstats.HeapInuse:in use|max=memstats.NextGC:next collection at|\
max=memstats.Sys:from the system
pauses|Garbage collection pauses, percentiles|24|line|||percentiles=memstats.PauseNs:pause
paused|Time paused|24|bars|service.name||sum=memstats.PauseNs:paused
paused-rate|Time paused per second|24|line|service.name||average/memstats.PauseTotalNs:paused per second
collections|Garbage collections per second|24|bars|service.name||max/memstats.NumGC:collections per second
allocation|Allocated per second|24|area|service.name||average/memstats.TotalAlloc:allocated per second
restarts|Restarts|12|number||expvastic.restarted : true|count#memstats.NumGC:restarts
services|Services|36|table|service.name,host.name||\
count#:documents|max@@timestamp:last seen|max=memstats.HeapAlloc:highest heap";
const OURS: &str = "\
shipper-memory|Resident memory of expvastic|24|line|host.name||max=process.resident_bytes:resident
shipper-polls|Polls|24|line|||max+Read Jobs:polls|max+Error Jobs:failed
shipper-documents|Documents|24|line|||max+DataType Objects:made|max+ElasticSearch Records:accepted by the servers";

/// Counters of each recorder or reader, one series for each: what the name ends with, id and title of the panel.
const BY_RECORDER: &str = "\
.acked|shipper-acked|Accepted documents by recorder
.waiting|shipper-waiting|Waiting documents by recorder";
const BY_READER: &str = "\
.polls|shipper-polls-by-reader|Polls by reader
.failures|shipper-failures|Failed polls by reader";

/// What documents that a recorder gave up are counted by, behind its name.
const GIVEN_UP: [&str; 2] = [".dead_lettered", ".dropped."];
/// How the variable that says how many goroutines there are may be called, without `_` and in lower case.
const GOROUTINES: &str = "goroutines numgoroutine numgoroutines goroutinescount";

const HALF: usize = 24;
const THIRD: usize = 16;
const HEIGHT: usize = 12;
const LOW: usize = 9;
/// The panel that adds up pauses.
const PAUSED: &str = "paused|";

/// The dashboards for these fields, and what they do not show, in words. `include` chooses the variables that get a
/// panel of their own; without it, the program's own variables do.
pub(super) fn dashboards(fields: &Fields, include: Option<&Globs>) -> (Vec<Dashboard>, Vec<String>) {
    let mut left_out = Vec::new();
    let mut dashboards = Vec::new();
    let mut go = Board::new();
    add_known(&mut go, GO, fields);
    add_variables(&mut go, fields, include, &mut left_out);
    let is_of_program = |field: &Field| matches!(field.origin, Origin::Program | Origin::Memstats);
    if include.is_some() || fields.list.iter().any(is_of_program) {
        dashboards.push(Dashboard { id: "go", title: "Go programs", panels: go.panels });
    }
    let mut ours = Board::new();
    add_known(&mut ours, OURS, fields);
    add_each(&mut ours, Origin::OurRecorder, BY_RECORDER, fields, &mut left_out);
    add_each(&mut ours, Origin::OurReader, BY_READER, fields, &mut left_out);
    add_given_up(&mut ours, fields, &mut left_out);
    if !ours.panels.is_empty() {
        dashboards.push(Dashboard { id: "shipper", title: "expvastic", panels: ours.panels });
    }
    (dashboards, left_out)
}

/// Adds those of the panels in a table that fit.
fn add_known(board: &mut Board, table: &'static str, fields: &Fields) {
    for line in table.lines() {
        // If many documents have the same pause, it cannot be added up.
        if fields.has_whole_rings && line.starts_with(PAUSED) {
            continue;
        }
        let mut cells = line.split('|');
        let mut next = || cells.next().unwrap_or_default();
        let (id, title, width, kind, split, query) = (next(), next(), next(), next(), next(), next());
        let metrics: Vec<Metric> = cells.filter_map(|cell| metric(fields, cell)).collect();
        if metrics.is_empty() {
            continue;
        }
        let kind = match kind.as_bytes() {
            [b'l', ..] => Kind::Line,
            [b'a', ..] => Kind::Area,
            [b'b', ..] => Kind::Bars,
            [b'n', ..] => Kind::Number,
            _ => Kind::Table,
        };
        let panel = chart(id.to_owned(), title.to_owned(), metrics, width.parse().unwrap_or(HALF));
        board.add(Panel { kind, split, query, ..panel });
    }
}

/// The metric in a cell of a table, if documents have what it is about.
fn metric(fields: &Fields, cell: &'static str) -> Option<Metric> {
    let (wanted, label) = cell.split_once(':')?;
    let at = wanted.find(|character: char| !character.is_ascii_alphabetic())?;
    let (aggregation, name) = (&wanted.as_bytes()[..2], &wanted[at + 1..]);
    let aggregation = match aggregation {
        b"co" => Aggregation::Count,
        b"av" => Aggregation::Average,
        b"su" => Aggregation::Sum,
        b"pe" => Aggregation::Percentiles,
        _ => Aggregation::Max,
    };
    let known = fields.find(name);
    let (field, format) = match wanted.as_bytes()[at] {
        b'@' => (name, Format::Number),
        b'#' if name.is_empty() || known.is_some() => ("", Format::Number),
        b'+' => return Some(counted_by(fields, known?, label)),
        b'/' => known.and_then(|field| fields.rate_of(field)).map(|rate| (&*rate.name, rate.format))?,
        _ => known.map(|field| (&*field.name, field.format))?,
    };
    Some(Metric { aggregation, field: field.to_owned(), label: label.to_owned(), format })
}

/// The metric for a number: its change per second if that is shipped.
fn counted_by(fields: &Fields, field: &Field, label: &str) -> Metric {
    let (aggregation, shown, suffix) = match fields.rate_of(field) {
        Some(rate) => (Aggregation::Average, rate, " per second"),
        None => (Aggregation::Max, field, ""),
    };
    Metric { aggregation, field: shown.name.clone(), label: [label, suffix].concat(), format: shown.format }
}

/// A chart of lines.
fn chart(id: String, title: String, metrics: Vec<Metric>, width: usize) -> Panel {
    let grid = Grid { x: 0, y: 0, width, height: HEIGHT };
    Panel { id, title, kind: Kind::Line, metrics, split: "", query: "", grid }
}

/// A panel for one variable.
fn add_variable(board: &mut Board, field: &Field, fields: &Fields, width: usize, height: usize) {
    let metric = counted_by(fields, field, &field.name);
    let mut panel = chart(["var-", &field.name].concat(), metric.label.clone(), vec![metric], width);
    (panel.split, panel.grid.height) = ("service.name", height);
    board.add(panel);
}

fn is_goroutines(field: &Field) -> bool {
    let leaf = field.name.rsplit('.').next().unwrap_or_default().replace('_', "").to_ascii_lowercase();
    field.origin == Origin::Program && GOROUTINES.split(' ').any(|name| name == leaf)
}

/// A panel for the number of goroutines, and for each chosen variable, those of one object side by side.
fn add_variables(board: &mut Board, fields: &Fields, include: Option<&Globs>, left_out: &mut Vec<String>) {
    let numbers = || fields.list.iter().filter(|field| !field.is_list && !fields.is_rate(field));
    let goroutines = numbers().find(|field| is_goroutines(field));
    if let Some(field) = goroutines {
        add_variable(board, field, fields, HALF, HEIGHT);
    }
    let is_wanted = |field: &&Field| {
        Some(*field) != goroutines
            && include.map_or(field.origin == Origin::Program, |include| include.matches(&field.name))
    };
    let mut chosen: Vec<&Field> = numbers().filter(is_wanted).collect();
    let all = chosen.len();
    if all == 0 && include.is_some() {
        left_out.push("--include matches no number".to_owned());
    }
    if all > limits::VARIABLE_PANELS_MAX {
        let all = counted(all as u64, "variable");
        left_out.push(format!("{all}, panels for the first {}: --include GLOB chooses", limits::VARIABLE_PANELS_MAX));
    }
    let mut room = limits::VARIABLE_PANELS_MAX;
    while let Some(first) = chosen.first().filter(|_| room > 0) {
        let object = first.object();
        board.begin_row();
        chosen.retain(|field| {
            let is_here = field.object() == object && room > 0;
            if is_here {
                room -= 1;
                add_variable(board, field, fields, THIRD, LOW);
            }
            !is_here
        });
    }
}

/// Panels with one series for each reader or recorder.
fn add_each(board: &mut Board, origin: Origin, table: &str, fields: &Fields, left_out: &mut Vec<String>) {
    for line in table.lines() {
        let mut cells = line.split('|');
        let mut next = || cells.next().unwrap_or_default();
        let (end, id, title) = (next(), next(), next());
        let mut metrics: Vec<Metric> = Vec::new();
        for field in fields.list.iter().filter(|field| field.origin == origin) {
            if let Some(name) = field.inner_name().strip_suffix(end) {
                metrics.push(counted_by(fields, field, name));
            }
        }
        cut(&mut metrics, title, left_out);
        if !metrics.is_empty() {
            board.add(chart(id.to_owned(), title.to_owned(), metrics, HALF));
        }
    }
}

/// A panel for each recorder with the documents that it gave up, by reason.
fn add_given_up(board: &mut Board, fields: &Fields, left_out: &mut Vec<String>) {
    let of_recorders =
        || fields.list.iter().filter(|field| field.origin == Origin::OurRecorder && !fields.is_rate(field));
    let mut names: Vec<&str> =
        of_recorders().filter_map(|field| field.inner_name().strip_suffix(GIVEN_UP[0])).collect();
    let title = "Dropped and dead-lettered documents";
    cut(&mut names, title, left_out);
    for name in names {
        let mut metrics = Vec::new();
        for field in of_recorders() {
            let behind = field.inner_name().strip_prefix(name).unwrap_or_default();
            if GIVEN_UP.iter().any(|part| behind.starts_with(part)) {
                metrics.push(counted_by(fields, field, &behind[1..]));
            }
        }
        board.add(chart(["shipper-given-up-", name].concat(), [title, ": ", name].concat(), metrics, HALF));
    }
}

/// Keeps as many as can be told apart.
fn cut<T>(list: &mut Vec<T>, title: &str, left_out: &mut Vec<String>) {
    if list.len() > limits::PANEL_SERIES_MAX {
        left_out.push(format!("{title}: the first {} of {}", limits::PANEL_SERIES_MAX, list.len()));
        list.truncate(limits::PANEL_SERIES_MAX);
    }
}
