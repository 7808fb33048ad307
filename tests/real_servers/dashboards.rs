//! Dashboards over documents that the program shipped from a real Go program, which restarts meanwhile: each panel's search,
//! as a front end builds it from what `expvastic dashboards` prints, returns the values that are in the documents.

use super::flatten_twin::Flat;
use super::front_end::{View, inner, objects, searches};
use super::http;
use super::processes::{self, Orphaned, Running, Workdir};
use super::server::{Server, parsed, release_binary};
use super::{APP_TIME_MAX, EXIT_TIME_MAX, POLLS_TIME_MAX, stat};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// Polls before the restart and after it. The program collects garbage at every seventh.
const POLLS_BEFORE: u64 = 30;
const POLLS_AFTER: u64 = 16;
const INDICES: &str = "dashboards-%Y.%m.%d";
const PATTERN: &str = "dashboards-*.*.*";
const INTERVAL_MS: i64 = 1_000;
/// Visualisations without a metric that has a field.
const WITHOUT_FIELDS: [&str; 2] = ["controls", "restarts"];

/// What is wrong with the panels on this server. The Go program is in the folder.
pub(crate) fn each_panel_shows_what_was_shipped(server: &Server, folder: &Workdir) -> Vec<String> {
    let _shipped_by = ship(server, folder);
    let documents = server.documents(PATTERN);
    let objects = printed(folder);
    let visualisations: Vec<&Value> = objects.iter().filter(|object| object["type"] == "visualization").collect();
    assert!(visualisations.len() > 75, "only {} panels", visualisations.len());
    assert_eq!(objects[0]["attributes"]["title"], PATTERN);
    let view = View { from: "now-1h".to_owned(), to: "now+1h".to_owned(), interval: "1s" };
    let types = parsed(&http::get(&server.address, &format!("/{PATTERN}/_field_caps?fields=*")))["fields"].clone();
    let mut problems = Vec::new();
    let mut check = Check { documents: documents.iter().collect(), values: BTreeMap::new() };
    for object in visualisations {
        let title = object["attributes"]["title"].as_str().expect("a title");
        for search in searches(object, &view) {
            let answer = parsed(&http::post(&server.address, &format!("/{PATTERN}/_search"), &search.to_string()));
            let found = check.search(&search, &answer);
            problems.extend(found.into_iter().map(|problem| format!("{title}: {problem}")));
        }
        problems.extend(wrong_types(object, &types).into_iter().map(|problem| format!("{title}: {problem}")));
    }
    problems.extend(check.missing());
    problems
}

/// Ships from the Go program, which is started once more at the same port meanwhile. The second one still runs.
fn ship(server: &Server, folder: &Workdir) -> Running {
    let binary = folder.join("expvarapp");
    let mut first = Running::start(folder, "shop", Orphaned::Kill, &binary, &[]);
    let address = first.wait_for_lines("listening ", 1, APP_TIME_MAX).remove(0);
    let config = folder.join("dashboards.yml");
    fs::write(&config, config_text(&address, &server.address)).expect("the configuration is written");
    let arguments = ["-c", config.to_str().expect("a plain path")];
    let mut shipper = Running::start(folder, "shipper", Orphaned::Kill, release_binary(), &arguments);
    let polled = |polls| processes::wait_until(POLLS_TIME_MAX, || stat(&address, "polls") >= polls);
    assert!(polled(POLLS_BEFORE), "not polled often enough before the restart");
    drop(first);
    let port = address.rsplit(':').next().expect("a port");
    let mut second = Running::start(folder, "shop-again", Orphaned::Kill, &binary, &["-port", port]);
    second.wait_for_lines("listening ", 1, APP_TIME_MAX);
    assert!(polled(POLLS_AFTER), "not polled often enough after the restart");
    let status = shipper.terminate(EXIT_TIME_MAX).expect("expvastic ends after SIGTERM");
    assert_eq!(status.code(), Some(0), "the exit code after SIGTERM ({status})");
    second
}

fn config_text(app: &str, server: &str) -> String {
    format!(
        "readers:\n  app: {{type_name: shop, endpoint: {app}, interval: 100ms, timeout: 3s, rates: [memstats.TotalAlloc, \
         memstats.NumGC, memstats.PauseTotalNs, poll_seq]}}\n  me: {{type: self, type_name: shipper, interval: 300ms}}\n\
         recorders:\n  es: {{endpoint: \"{server}\", index_name: \"{INDICES}\"}}\n\
         routes:\n  all: {{readers: [app, me], recorders: es}}\n"
    )
}

/// What the command prints for the same configuration.
fn printed(folder: &Workdir) -> Vec<Value> {
    let mut command = Command::new(release_binary());
    let output = command.current_dir(folder.join("")).args(["dashboards", "-c", "dashboards.yml"]).output();
    let output = output.expect("expvastic starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    objects(&String::from_utf8(output.stdout).expect("UTF-8"))
}

/// The fields of a visualisation whose type in the server is not the one that its numbers need.
fn wrong_types(object: &Value, types: &Value) -> Vec<String> {
    let state = inner(object, "visState");
    let aggregations = state["aggs"].as_array().expect("a list");
    let fields = aggregations.iter().filter_map(|aggregation| aggregation["params"]["field"].as_str());
    let controls = state["params"]["controls"].as_array().into_iter().flatten();
    let fields: Vec<&str> = fields.chain(controls.filter_map(|control| control["fieldName"].as_str())).collect();
    let id = object["id"].as_str().expect("an id");
    let has_fields = !fields.is_empty() || WITHOUT_FIELDS.iter().any(|end| id.ends_with(end));
    let mut problems: Vec<String> = (!has_fields).then(|| "no field".to_owned()).into_iter().collect();
    for field in fields {
        let found: Vec<&str> = types[field].as_object().into_iter().flatten().map(|(kind, _)| kind.as_str()).collect();
        let expected = expected_type(field);
        if found != [expected] {
            problems.push(format!("{field} is {found:?} and not {expected}"));
        }
    }
    problems
}

fn expected_type(field: &str) -> &'static str {
    let is_below = |object: &str| field.starts_with(object);
    match field {
        "@timestamp" => "date",
        "service.name" | "host.name" => "keyword",
        // 2^64 - 1 without a collector.
        "memstats.NextGC" => "double",
        _ if field.ends_with("_per_second") => "double",
        _ if is_below("memstats.") || is_below("readers.") || is_below("recorders.") => "long",
        "process.resident_bytes" => "long",
        _ => "double",
    }
}

/// Compares answers with the documents.
struct Check<'d> {
    documents: Vec<&'d Flat>,
    /// How many values were seen of each field that a metric is about.
    values: BTreeMap<String, usize>,
}

impl Check<'_> {
    fn search(&mut self, search: &Value, answer: &Value) -> Vec<String> {
        let mut documents = self.documents.clone();
        let filters = search["query"]["bool"]["filter"].as_array().expect("filters");
        let is_restarts = filters[0].get("bool").is_some();
        if is_restarts {
            documents.retain(|document| document.get("expvastic.restarted") == Some(&Value::Bool(true)));
        }
        let mut problems = Vec::new();
        let total = &answer["hits"]["total"]["value"];
        if total.as_u64() != u64::try_from(documents.len()).ok() || answer["timed_out"] != false {
            problems.push(format!("{total} documents instead of {}", documents.len()));
        }
        if is_restarts && documents.len() != 1 {
            problems.push(format!("{} restarts", documents.len()));
        }
        self.aggregations(&search["aggs"], &answer["aggregations"], &documents, &mut problems);
        problems
    }

    fn aggregations(&mut self, asked: &Value, answer: &Value, documents: &[&Flat], problems: &mut Vec<String>) {
        for (id, asked) in asked.as_object().into_iter().flatten() {
            let answer = &answer[id];
            let (kind, params) =
                asked.as_object().expect("an object").iter().find(|(name, _)| *name != "aggs").expect("one");
            let field = params["field"].as_str().expect("a field");
            match kind.as_str() {
                "date_histogram" => {
                    let point = |document: &Flat| Some(Value::from(milliseconds(document) / INTERVAL_MS * INTERVAL_MS));
                    self.buckets(asked, answer, &groups(documents, point), problems);
                }
                "terms" => {
                    self.buckets(asked, answer, &groups(documents, |document| document.get(field).cloned()), problems);
                }
                _ => self.metric(kind, field, answer, documents, problems),
            }
        }
    }

    fn buckets(&mut self, asked: &Value, answer: &Value, groups: &Groups<'_>, problems: &mut Vec<String>) {
        let buckets = answer["buckets"].as_array().cloned().unwrap_or_default();
        let found: Vec<(String, u64)> = buckets
            .iter()
            .map(|bucket| (bucket["key"].to_string(), bucket["doc_count"].as_u64().unwrap_or_default()))
            .collect();
        let counts = |(key, documents): (&String, &Vec<&Flat>)| (key.clone(), documents.len() as u64);
        let mut expected: Vec<(String, u64)> = groups.iter().map(counts).collect();
        if asked["terms"]["order"]["_count"] == "desc" {
            // Equal counts are in the order of their keys, in both.
            expected.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        }
        if found != expected {
            problems.push(format!("the buckets {found:?} and not {expected:?}"));
        }
        for bucket in &buckets {
            if let Some(documents) = groups.get(&bucket["key"].to_string()) {
                self.aggregations(&asked["aggs"], bucket, documents, problems);
            }
        }
    }

    fn metric(&mut self, kind: &str, field: &str, answer: &Value, documents: &[&Flat], problems: &mut Vec<String>) {
        let mut values: Vec<f64> = documents.iter().flat_map(|document| numbers(document, field)).collect();
        values.sort_by(f64::total_cmp);
        *self.values.entry(field.to_owned()).or_default() += values.len();
        let value = answer["value"].as_f64();
        let sum: f64 = values.iter().sum();
        #[allow(clippy::cast_precision_loss, reason = "there are few")]
        let count = values.len() as f64;
        let is_right = match kind {
            "max" => value == values.last().copied(),
            "sum" => is_near(value, Some(sum)),
            "avg" => is_near(value, (count > 0.0).then_some(sum / count)),
            "percentiles" => are_percentiles(answer, &values),
            other => panic!("a metric {other}"),
        };
        if !is_right {
            problems.push(format!("{kind} of {field} is {answer}, of {values:?}"));
        }
    }

    /// Fields that no document has.
    fn missing(&self) -> Vec<String> {
        let without = self.values.iter().filter(|(_, values)| **values == 0);
        without.map(|(field, _)| format!("no document has a number for {field}")).collect()
    }
}

/// Documents by the JSON text of a key.
type Groups<'d> = BTreeMap<String, Vec<&'d Flat>>;

fn groups<'d>(documents: &[&'d Flat], key: impl Fn(&Flat) -> Option<Value>) -> Groups<'d> {
    let mut groups = Groups::new();
    for document in documents {
        if let Some(key) = key(document) {
            groups.entry(key.to_string()).or_default().push(document);
        }
    }
    groups
}

fn milliseconds(document: &Flat) -> i64 {
    let text = document["@timestamp"].as_str().expect("a time");
    text.parse::<jiff::Timestamp>().expect("RFC 3339").as_millisecond()
}

fn numbers(document: &Flat, field: &str) -> Vec<f64> {
    #[allow(clippy::cast_precision_loss, reason = "a server gives it as a double, too")]
    match document.get(field) {
        None => Vec::new(),
        Some(_) if field == "@timestamp" => vec![milliseconds(document) as f64],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_f64).collect(),
        Some(value) => value.as_f64().into_iter().collect(),
    }
}

fn is_near(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() <= expected.abs() * 1e-9,
        (found, expected) => found == expected,
    }
}

/// Servers interpolate between the values next to a percentile, in ways of their own.
fn are_percentiles(answer: &Value, sorted: &[f64]) -> bool {
    let percentiles = answer["values"].as_array().cloned().unwrap_or_default();
    percentiles.len() == 4
        && percentiles.iter().all(|percentile| {
            let value = percentile["value"].as_f64();
            let Some(last) = sorted.len().checked_sub(1) else { return value.is_none() };
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_sign_loss,
                clippy::cast_possible_truncation,
                reason = "few"
            )]
            let place = (percentile["key"].as_f64().unwrap_or_default() / 100.0 * last as f64) as usize;
            let (low, high) = (sorted[place.saturating_sub(1)], sorted[(place + 2).min(last)]);
            let is_between = value.is_some_and(|value| low <= value && value <= high);
            is_between && (percentile["key"].as_f64() != Some(100.0) || value == sorted.last().copied())
        })
}
