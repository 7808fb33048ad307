use super::fields::Fields;
use super::panel::{Aggregation, COLUMNS, CONTROLS_HEIGHT, Dashboard, Format, Kind, Panel};
use super::*;
use crate::config::Config;
use crate::metrics::{Ledger, Metrics, ProcessUsage, ReaderCounts, Snapshot};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

const PLAIN: &str = include_str!("../../tests/payloads/goexpvar-1.26.8-plain.json");

/// A reader's section of a configuration, and what it reads.
type Read<'r> = (&'r str, String);

fn our_counters(readers: &[&str], recorders: &[&str]) -> String {
    let counts = ReaderCounts::default();
    let mut out = Vec::new();
    let snapshot = Snapshot {
        metrics: &Metrics::default(),
        usage: ProcessUsage::default(),
        readers: readers.iter().map(|name| (*name, &counts)).collect(),
        recorders: recorders.iter().map(|name| (*name, Ledger::default())).collect(),
    };
    snapshot.render(&mut out);
    String::from_utf8(out).expect("JSON")
}

fn fields_of(readers: &[Read<'_>]) -> Fields {
    let mut fields = Fields::default();
    for (section, payload) in readers {
        let (kind, endpoint) = if section.contains("type: self") { ("", "") } else { ("", "endpoint: localhost:1, ") };
        let text = format!(
            "readers: {{r: {{type_name: t, {endpoint}{kind}{section}}}}}\nrecorders: {{e: {{endpoint: localhost:9200}}}}\n\
             routes: {{x: {{readers: r, recorders: e}}}}"
        );
        let config = Config::parse("conf.yml", &text, &|_| None).unwrap_or_else(|error| panic!("{error}"));
        let rules = &config.readers[0].variables;
        let mut document = survey::typical_document(rules, &mut payload.clone().into_bytes()).expect("a document");
        fields.add(&mut document, rules, section.contains("type: self"));
    }
    fields
}

fn dashboards_of(readers: &[Read<'_>], include: &[&str]) -> (Vec<Dashboard>, Vec<String>) {
    let include = (!include.is_empty()).then(|| Globs::new(include));
    panels::dashboards(&fields_of(readers), include.as_ref())
}

fn panels_of(section: &str, payload: &str) -> Vec<Panel> {
    let (dashboards, _) = dashboards_of(&[(section, payload.to_owned())], &[]);
    dashboards.into_iter().flat_map(|dashboard| dashboard.panels).collect()
}

fn panel<'p>(panels: &'p [Panel], id: &str) -> Option<&'p Panel> {
    panels.iter().find(|panel| panel.id == id)
}

/// What a panel shows: its aggregations with their fields.
fn shown(panels: &[Panel], id: &str) -> Vec<(Aggregation, String)> {
    let metrics = panel(panels, id).map(|panel| &panel.metrics[..]).unwrap_or_default();
    metrics.iter().map(|metric| (metric.aggregation, metric.field.clone())).collect()
}

fn ids(panels: &[Panel]) -> Vec<&str> {
    panels.iter().map(|panel| panel.id.as_str()).collect()
}

#[test]
fn a_plain_go_program_gets_what_it_has() {
    let panels = panels_of("", PLAIN);
    assert_eq!(ids(&panels)[..5], ["heap", "pauses", "paused", "restarts", "services"]);
    let heap = ["HeapAlloc", "HeapInuse", "NextGC", "Sys"].map(|name| (Aggregation::Max, format!("memstats.{name}")));
    assert_eq!(shown(&panels, "heap"), heap);
    let heap = panel(&panels, "heap").expect("it is there");
    assert!(heap.metrics.iter().all(|metric| metric.format == Format::Bytes));
    assert_eq!(shown(&panels, "pauses"), [(Aggregation::Percentiles, "memstats.PauseNs".to_owned())]);
    let paused = panel(&panels, "paused").expect("it is there");
    assert_eq!((paused.metrics[0].aggregation, paused.metrics[0].format), (Aggregation::Sum, Format::Nanoseconds));
    let services = panel(&panels, "services").expect("it is there");
    assert_eq!((services.kind, services.split, services.metrics.len()), (Kind::Table, "service.name,host.name", 3));
}

#[test]
fn rates_have_panels_where_they_are_shipped() {
    let payload = r#"{"hits":1,"load":0.5,"memstats":{"TotalAlloc":9,"NumGC":3,"PauseTotalNs":7,"HeapAlloc":5}}"#;
    let plain = panels_of("", payload);
    assert_eq!(ids(&plain), ["heap", "restarts", "services", "var-hits", "var-load"]);
    assert_eq!(shown(&plain, "var-hits"), [(Aggregation::Max, "hits".to_owned())]);
    let rates = panels_of("rates: [hits, memstats.TotalAlloc, memstats.NumGC, memstats.PauseTotalNs]", payload);
    let expected = ["heap", "paused-rate", "collections", "allocation", "restarts", "services", "var-hits", "var-load"];
    assert_eq!(ids(&rates), expected);
    for (id, aggregation, field) in [
        ("var-hits", Aggregation::Average, "hits_per_second"),
        ("allocation", Aggregation::Average, "memstats.TotalAlloc_per_second"),
        ("collections", Aggregation::Max, "memstats.NumGC_per_second"),
        ("paused-rate", Aggregation::Average, "memstats.PauseTotalNs_per_second"),
    ] {
        assert_eq!(shown(&rates, id), [(aggregation, field.to_owned())], "{id}");
    }
    let format = |id| panel(&rates, id).map(|panel| panel.metrics[0].format);
    assert_eq!(format("allocation"), Some(Format::Bytes));
    assert_eq!(format("paused-rate"), Some(Format::Nanoseconds));
    assert_eq!(format("collections"), Some(Format::Number));
}

#[test]
fn what_is_left_out_or_renamed_changes_the_panels() {
    let without = panels_of("exclude: [memstats.HeapInuse, memstats.Pause*, memstats.NumGC]", PLAIN);
    assert_eq!(ids(&without)[..2], ["heap", "services"]);
    assert!(!shown(&without, "heap").iter().any(|(_, field)| field == "memstats.HeapInuse"));
    let none = panels_of("exclude: [memstats]", PLAIN);
    assert_eq!(ids(&none)[0], "services");
    assert_eq!(panel(&none, "services").map(|panel| panel.metrics.len()), Some(2), "no heap in the table");
    let off = panels_of("gc_pauses: off", PLAIN);
    assert!(panel(&off, "pauses").is_none() && panel(&off, "paused").is_none() && panel(&off, "restarts").is_some());
    let all = panels_of("gc_pauses: all", PLAIN);
    assert!(panel(&all, "pauses").is_some(), "percentiles");
    assert!(panel(&all, "paused").is_none(), "a pause that many documents have cannot be summed up");
    let renamed = panels_of("rename: {memstats: go.mem, memstats.Sys: total}", PLAIN);
    let heap = ["go.mem.HeapAlloc", "go.mem.HeapInuse", "go.mem.NextGC", "total"];
    assert_eq!(shown(&renamed, "heap"), heap.map(|name| (Aggregation::Max, name.to_owned())));
    assert_eq!(shown(&renamed, "pauses"), [(Aggregation::Percentiles, "go.mem.PauseNs".to_owned())]);
    assert!(!ids(&renamed).iter().any(|id| id.starts_with("var-go.mem")), "{:?}", ids(&renamed));
}

#[test]
fn variables_stand_by_their_objects_and_globs_choose() {
    let payload = r#"{"a":{"x":1,"y":{"z":2}},"name":"text","ok":true,"list":[1,2],"b":3,"num_goroutines":7,
        "c":{"d":4},"a2":5,"body_bytes":6,"memstats":{"Frees":8}}"#;
    let panels = panels_of("", payload);
    let expected =
        ["services", "var-num_goroutines", "var-a.x", "var-a.y.z", "var-b", "var-a2", "var-body_bytes", "var-c.d"];
    assert_eq!(ids(&panels), expected);
    let format = |id| panel(&panels, id).map(|panel| panel.metrics[0].format);
    assert_eq!((format("var-b"), format("var-body_bytes")), (Some(Format::Number), Some(Format::Bytes)));
    for (include, expected) in [
        (
            &["a.**", "memstats.F*"][..],
            &["services", "var-num_goroutines", "var-a.x", "var-a.y.z", "var-memstats.Frees"][..],
        ),
        (&["*"], &["services", "var-num_goroutines", "var-b", "var-a2", "var-body_bytes"]),
        (&["nothing"], &["services", "var-num_goroutines"]),
    ] {
        let (dashboards, _) = dashboards_of(&[("", payload.to_owned())], include);
        // A pattern that matches an object takes in all of it.
        let found: Vec<&str> =
            ids(&dashboards[0].panels).into_iter().filter(|id| include != ["*"] || !id.contains('.')).collect();
        assert_eq!(found, expected, "{include:?}");
    }
}

#[test]
fn many_variables_get_as_many_panels_as_a_page_can_show() {
    let members: Vec<String> = (0..200).map(|number| format!("\"v{number}\":{number}")).collect();
    let payload = format!("{{{}}}", members.join(","));
    let (dashboards, left_out) = dashboards_of(&[("", payload)], &[]);
    let variables = dashboards[0].panels.iter().filter(|panel| panel.id.starts_with("var-")).count();
    assert_eq!(variables, crate::limits::VARIABLE_PANELS_MAX);
    assert_eq!(left_out, ["200 variables, panels for the first 60: --include GLOB chooses"]);
}

#[test]
fn our_own_counters_have_a_dashboard_with_the_names_of_the_configuration() {
    let payload = our_counters(&["shop", "self"], &["elastic.1", "file"]);
    let (dashboards, _) = dashboards_of(&[("type: self", payload.clone())], &[]);
    assert_eq!(dashboards.len(), 1, "no program, no dashboard for it");
    let panels = &dashboards[0].panels;
    for (id, fields) in [
        ("shipper-memory", &["process.resident_bytes"][..]),
        ("shipper-polls", &["Read Jobs", "Error Jobs"]),
        ("shipper-acked", &["recorders.elastic.1.acked", "recorders.file.acked"]),
        ("shipper-waiting", &["recorders.elastic.1.waiting", "recorders.file.waiting"]),
        ("shipper-failures", &["readers.shop.failures", "readers.self.failures"]),
    ] {
        assert_eq!(
            shown(panels, id),
            fields.iter().map(|name| (Aggregation::Max, (*name).to_owned())).collect::<Vec<_>>()
        );
    }
    let given_up = panel(panels, "shipper-given-up-elastic.1").expect("it is there");
    let labels: Vec<&str> = given_up.metrics.iter().map(|metric| metric.label.as_str()).collect();
    assert_eq!(labels[..3], ["dead_lettered", "dropped.memory_limit", "dropped.spool_full"]);
    assert_eq!(panel(panels, "shipper-waiting").map(|panel| panel.metrics[0].label.as_str()), Some("elastic.1"));
    let (dashboards, _) =
        dashboards_of(&[("type: self, rates: [recorders.*.acked, 'recorders.*.*.acked']", payload)], &[]);
    let rate = "recorders.elastic.1.acked_per_second".to_owned();
    assert_eq!(shown(&dashboards[0].panels, "shipper-acked")[0], (Aggregation::Average, rate));
    let many: Vec<String> = (0..40).map(|number| format!("r{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (dashboards, left_out) = dashboards_of(&[("type: self", our_counters(&many, &["e"]))], &[]);
    assert_eq!(shown(&dashboards[0].panels, "shipper-failures").len(), 20);
    assert_eq!(left_out, ["Polls by reader: the first 20 of 40", "Failed polls by reader: the first 20 of 40"]);
}

#[test]
fn several_readers_share_their_panels() {
    let two = [("", r#"{"hits":1,"memstats":{"HeapAlloc":5}}"#.to_owned()), ("", r#"{"b":2,"hits":1}"#.to_owned())];
    let (dashboards, _) = dashboards_of(&two, &[]);
    assert_eq!(ids(&dashboards[0].panels), ["heap", "services", "var-hits", "var-b"]);
    assert_eq!(dashboards_of(&[("", r#"{"name":"text"}"#.to_owned())], &[]).0, []);
}

#[test]
fn panels_lie_side_by_side_and_not_on_each_other() {
    let (dashboards, _) = dashboards_of(&[("", PLAIN.to_owned()), ("type: self", our_counters(&["a"], &["b"]))], &[]);
    for Dashboard { panels, .. } in &dashboards {
        let mut taken = BTreeSet::new();
        for panel in panels {
            let grid = panel.grid;
            assert!(grid.x + grid.width <= COLUMNS && grid.y >= CONTROLS_HEIGHT, "{}", panel.id);
            for x in grid.x..grid.x + grid.width {
                for y in grid.y..grid.y + grid.height {
                    assert!(taken.insert((x, y)), "{} lies on another panel", panel.id);
                }
            }
        }
    }
}

fn written(readers: &[Read<'_>], pattern: &str) -> String {
    let (dashboards, _) = dashboards_of(readers, &[]);
    String::from_utf8(classic::written(pattern, &dashboards)).expect("UTF-8")
}

/// Objects by type and id.
fn parsed(text: &str) -> Vec<((String, String), Value)> {
    let key = |object: &Value| ["type", "id"].map(|name| object[name].as_str().expect("a text").to_owned());
    let parse = |line: &str| {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let [kind, id] = key(&object);
        ((kind, id), object)
    };
    text.lines().map(parse).collect()
}

#[test]
fn what_is_written_is_whole() {
    let odd = r#"{"a \"b\" $^\\":1,"größe":2,"x":{"c/d?e#f":3},"long":{"n":4}}"#.replace("long", &"l".repeat(300));
    let readers = [("", PLAIN.to_owned()), ("", odd), ("type: self", our_counters(&["a \"b\"", "c"], &["$", "^"]))];
    let objects = parsed(&written(&readers, "shop-*.*"));
    let known: BTreeSet<_> = objects.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(known.len(), objects.len(), "two objects have one id");
    for ((kind, id), object) in &objects {
        assert!(id.starts_with("expvastic-shop") && id.len() < 480, "{id}");
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)), "{id}");
        let version = match kind.as_str() {
            "index-pattern" => "7.6.0",
            "visualization" => "7.10.0",
            "dashboard" => "7.9.3",
            other => panic!("{other}"),
        };
        assert_eq!(object["migrationVersion"], serde_json::json!({kind.as_str(): version}));
        for reference in object["references"].as_array().expect("a list") {
            let target = ["type", "id"].map(|name| reference[name].as_str().expect("a text").to_owned());
            assert!(known.contains(&(target[0].clone(), target[1].clone())), "{id} refers to {reference}");
        }
        for name in ["visState", "panelsJSON", "optionsJSON", "fieldFormatMap"] {
            let Some(text) = object["attributes"][name].as_str() else { continue };
            let inner: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{id}: {error}: {text}"));
            if name == "visState" {
                assert_eq!(inner["title"], object["attributes"]["title"], "{id}");
            }
            for panel in inner.as_array().into_iter().flatten() {
                let reference = &panel["panelRefName"];
                let references = object["references"].as_array().expect("a list");
                assert!(references.iter().any(|other| other["name"] == *reference), "{id}: {reference}");
            }
        }
    }
    let titles: Vec<&str> = objects.iter().filter_map(|(_, object)| object["attributes"]["title"].as_str()).collect();
    assert!(
        titles.contains(&"a \"b\" $^\\ [expvastic-shop]") && titles.contains(&"x.c/d?e#f [expvastic-shop]"),
        "{titles:?}"
    );
}

#[test]
fn the_same_indices_have_the_same_ids() {
    let id = |pattern: &str| parsed(&written(&[("", PLAIN.to_owned())], pattern)).remove(0).0.1;
    for (pattern, expected) in [
        ("expvastic", "expvastic"),
        ("expvastic-*.*.*", "expvastic"),
        ("expvastic*", "expvastic"),
        ("shop-*", "expvastic-shop"),
        ("shop.eu-*.*", "expvastic-shop.eu"),
        ("größe", "expvastic-gr~c3~b6~c3~9fe"),
    ] {
        assert_eq!(id(pattern), expected, "{pattern}");
    }
}

#[test]
fn sizes_in_the_units_of_a_map_file_are_not_shown_as_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let map = folder.path().join("maps.yml");
    std::fs::write(&map, "gc_types: [PauseNs]\nmemory_bytes: {HeapAlloc: mb, memstats.Sys: b, rest: b}\n")
        .expect("written");
    let section = format!("map_file: {}", map.display());
    let panels = panels_of(&section, &PLAIN.replacen('{', "{\"rest\":5,", 1));
    let formats: Vec<Format> =
        panel(&panels, "heap").expect("it is there").metrics.iter().map(|metric| metric.format).collect();
    assert_eq!(formats, [Format::Number, Format::Bytes, Format::Bytes, Format::Bytes]);
    let format = |id| panel(&panels, id).map(|panel| panel.metrics[0].format);
    assert_eq!((format("pauses"), format("var-rest")), (Some(Format::Microseconds), Some(Format::Bytes)));
}

/// What lies in the repository for people who have not made their own. To write it again:
/// `EXPVASTIC_WRITE_DASHBOARDS=1 cargo test --lib dashboards`.
#[test]
fn the_static_file_is_what_this_code_writes() {
    let readers = [("include: [memstats.**]", PLAIN.to_owned()), ("type: self", our_counters(&[], &[]))];
    let text = written(&readers, "expvastic*");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/expvastic.ndjson");
    if std::env::var_os("EXPVASTIC_WRITE_DASHBOARDS").is_some() {
        std::fs::write(&path, &text).expect("written");
    }
    let file = std::fs::read_to_string(&path).expect("readable");
    assert!(file == text, "{} is out of date: see the comment above this test", path.display());
}
