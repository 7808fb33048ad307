//! What Kibana and OpenSearch Dashboards make of saved objects: the searches that they send for visualisations.
#![allow(dead_code, reason = "each test takes what it needs of it")]

use serde_json::{Map, Value, json};

/// The time zone of the browser in which Kibana's searches were recorded.
const TIME_ZONE: &str = "Africa/Abidjan";
/// Up to this many values of a field, a front end asks each shard for [`SHARD_VALUES`].
const FEW_VALUES: u64 = 10;
const SHARD_VALUES: u64 = 25;

/// What a person has chosen at the top of a dashboard.
pub(crate) struct View {
    pub(crate) from: String,
    pub(crate) to: String,
    /// The width of a point in time. A front end computes it from the range.
    pub(crate) interval: &'static str,
}

/// Lines of saved objects.
pub(crate) fn objects(ndjson: &str) -> Vec<Value> {
    ndjson.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The JSON text in a member of a saved object's attributes.
pub(crate) fn inner(object: &Value, name: &str) -> Value {
    let text = object["attributes"][name].as_str().unwrap_or_else(|| panic!("no {name} in {object}"));
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The searches for a visualisation: one, or one for each of its controls.
pub(crate) fn searches(visualisation: &Value, view: &View) -> Vec<Value> {
    let state = inner(visualisation, "visState");
    if state["type"] == "input_control_vis" {
        let controls = state["params"]["controls"].as_array().expect("controls");
        return controls.iter().map(|control| of_control(&control["fieldName"], view)).collect();
    }
    let source = &visualisation["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"];
    let source: Value = serde_json::from_str(source.as_str().expect("a text")).expect("JSON");
    let mut filter = filter_of(source["query"]["query"].as_str().expect("a query"));
    filter.push(range(view));
    vec![json!({
        "aggs": aggregations(state["aggs"].as_array().expect("aggregations"), view),
        "size": 0,
        "_source": {"excludes": []},
        "query": {"bool": {"must": [], "filter": filter, "should": [], "must_not": []}},
        "track_total_hits": true,
    })]
}

fn of_control(field: &Value, view: &View) -> Value {
    json!({
        "timeout": "1000ms",
        "terminate_after": 100_000,
        "size": 0,
        "aggs": {"termsAgg": {"terms": {"order": {"_count": "desc"}, "field": field}}},
        "_source": {"excludes": []},
        "query": {"bool": {"must": [], "filter": [range(view)], "should": [], "must_not": []}},
        "track_total_hits": true,
    })
}

fn range(View { from, to, .. }: &View) -> Value {
    json!({"range": {"@timestamp": {"format": "strict_date_optional_time", "gte": from, "lte": to}}})
}

/// Of Kibana's query language: nothing, or `field : true`.
fn filter_of(query: &str) -> Vec<Value> {
    if query.is_empty() {
        return Vec::new();
    }
    let (field, value) = query.split_once(" : ").expect("field : value");
    let value: Value = serde_json::from_str(value).expect("true or false");
    let matched = json!({"match": {field: value}});
    vec![json!({"bool": {"should": [matched], "minimum_should_match": 1}})]
}

/// The buckets are nested in their order; the metrics are in the innermost ones.
fn aggregations(list: &[Value], view: &View) -> Value {
    let is_metric = |aggregation: &&Value| aggregation["schema"] == "metric";
    let mut inner = Map::new();
    for metric in list.iter().filter(is_metric).filter(|metric| metric["type"] != "count") {
        let params = &metric["params"];
        let mut sent = json!({"field": params["field"]});
        if metric["type"] == "percentiles" {
            sent["percents"] = params["percents"].clone();
            sent["keyed"] = json!(false);
        }
        inner.insert(text(&metric["id"]), json!({text(&metric["type"]): sent}));
    }
    for bucket in list.iter().rev().filter(|aggregation| !is_metric(aggregation)) {
        let mut sent = match bucket["type"].as_str() {
            Some("date_histogram") => json!({"date_histogram": {
                "field": bucket["params"]["field"],
                "fixed_interval": view.interval,
                "time_zone": TIME_ZONE,
                "min_doc_count": bucket["params"]["min_doc_count"],
            }}),
            Some("terms") => json!({"terms": terms(&bucket["params"], list)}),
            other => panic!("buckets of {other:?}"),
        };
        if !inner.is_empty() {
            sent["aggs"] = Value::Object(std::mem::take(&mut inner));
        }
        inner.insert(text(&bucket["id"]), sent);
    }
    Value::Object(inner)
}

fn terms(params: &Value, list: &[Value]) -> Value {
    let by = text(&params["orderBy"]);
    let is_count = list.iter().any(|other| other["id"] == by && other["type"] == "count");
    let by = if is_count { "_count".to_owned() } else { by };
    let mut sent = json!({"field": params["field"], "order": {by: params["order"]}, "size": params["size"]});
    if params["size"].as_u64().expect("a number") <= FEW_VALUES {
        sent["shard_size"] = json!(SHARD_VALUES);
    }
    sent
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
