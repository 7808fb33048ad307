//! Writes dashboards as saved objects in their classic form: visualisations by reference. Kibana 8 and 9 and OpenSearch
//! Dashboards 2 and 3 all take it. Kibana means to drop this form in version 10; another one can be written from the
//! same [`Panel`]s. Pure.

use super::panel::{Aggregation, COLUMNS, CONTROLS, CONTROLS_HEIGHT, Dashboard, Format, Grid, Kind, Panel};
use crate::json;
use crate::limits;

/// The versions of the forms of objects. OpenSearch Dashboards refuses later ones.
const INDEX_PATTERN: &str = "{\"id\":\"$\",\"type\":\"index-pattern\",\"attributes\":{\"title\":\"$\",\"timeFieldName\":\"@timestamp\",\"fields\":\"[]\",\"fieldFormatMap\":\"$\"},\"references\":[],\"migrationVersion\":{\"index-pattern\":\"7.6.0\"}}\n";
const VISUALISATION: &str = "{\"id\":\"$-$\",\"type\":\"visualization\",\"attributes\":{\"title\":\"$ [$]\",\"description\":\"\",\"version\":1,\"uiStateJSON\":\"{}\",\"visState\":\"$\",\"kibanaSavedObjectMeta\":{\"searchSourceJSON\":\"$\"}},\"references\":[^],\"migrationVersion\":{\"visualization\":\"7.10.0\"}}\n";
const DASHBOARD: &str = "{\"id\":\"$-$\",\"type\":\"dashboard\",\"attributes\":{\"title\":\"$ [$]\",\"description\":\"\",\"hits\":0,\"version\":1,\"timeRestore\":true,\"timeFrom\":\"now-15m\",\"timeTo\":\"now\",\"refreshInterval\":{\"pause\":false,\"value\":10000},\"optionsJSON\":\"{\\\"useMargins\\\":true,\\\"hidePanelTitles\\\":false}\",\"panelsJSON\":\"[$]\",\"kibanaSavedObjectMeta\":{\"searchSourceJSON\":\"{\\\"query\\\":{\\\"query\\\":\\\"\\\",\\\"language\\\":\\\"kuery\\\"},\\\"filter\\\":[]}\"}},\"references\":[^],\"migrationVersion\":{\"dashboard\":\"7.9.3\"}}\n";

const REFERENCE: &str = r#"{"name":"$","type":"$","id":"$"}"#;
const SEARCH_SOURCE: &str = r#"{"query":{"query":"$","language":"kuery"},"filter":[],"indexRefName":"kibanaSavedObjectMeta.searchSourceJSON.index"}"#;
const STATE: &str = r#"{"title":"$ [$]","type":"$","params":^,"aggs":[^]}"#;

const CHART: &str = r##"{"type":"$","grid":{"categoryLines":false},"categoryAxes":[{"id":"CategoryAxis-1","type":"category","position":"bottom","show":true,"style":{},"scale":{"type":"linear"},"labels":{"show":true,"filter":true,"truncate":100},"title":{}}],"valueAxes":[{"id":"ValueAxis-1","name":"LeftAxis-1","type":"value","position":"left","show":true,"style":{},"scale":{"type":"linear","mode":"normal"},"labels":{"show":true,"rotate":0,"filter":false,"truncate":100},"title":{"text":""}}],"seriesParams":[^],"addTooltip":true,"addLegend":true,"legendPosition":"right","times":[],"addTimeMarker":false,"labels":{},"thresholdLine":{"show":false,"value":10,"width":1,"style":"full","color":"#E7664C"}}"##;
const SERIES: &str = r#"{"show":true,"type":"$","mode":"normal","data":{"label":"$","id":"$"},"valueAxis":"ValueAxis-1","drawLinesBetweenPoints":true,"lineWidth":2,"interpolate":"linear","showCircles":false}"#;
const NUMBER: &str = r##"{"addTooltip":true,"addLegend":false,"type":"metric","metric":{"percentageMode":false,"useRanges":false,"colorSchema":"Green to Red","metricColorMode":"None","colorsRange":[{"from":0,"to":10000}],"labels":{"show":true},"invertColors":false,"style":{"bgFill":"#000","bgColor":false,"labelColor":false,"subText":"","fontSize":60}}}"##;
const TABLE: &str = r#"{"perPage":10,"showPartialRows":false,"showMetricsAtAllLevels":false,"showTotal":false,"totalFunc":"sum","percentageCol":""}"#;

const METRIC: &str = r#"{"id":"$","enabled":true,"type":"$","schema":"metric","params":{"customLabel":"$"^}}"#;
const FIELD: &str = r#","field":"$""#;
const PERCENTS: &str = r#","percents":[50,95,99,100]"#;
const TIME: &str = r#",{"id":"$","enabled":true,"type":"date_histogram","schema":"segment","params":{"field":"@timestamp","useNormalizedOpenSearchInterval":true,"useNormalizedEsInterval":true,"scaleMetricValues":false,"interval":"auto","drop_partials":false,"min_doc_count":1,"extended_bounds":{}}}"#;
const SPLIT: &str = r#",{"id":"$","enabled":true,"type":"terms","schema":"$","params":{"field":"$",^,"otherBucket":false,"otherBucketLabel":"Other","missingBucket":false,"missingBucketLabel":"Missing"}}"#;
/// Which values of a field are shown: as series those that come first, as rows those with most documents.
const SERIES_ORDER: &str = r#""orderBy":"_key","order":"asc","size":10"#;
const ROWS_ORDER: &str = r#""orderBy":"1","order":"desc","size":50"#;

const CONTROLS_PARAMS: &str =
    r#"{"controls":[^],"updateFiltersOnChange":true,"useTimeFilter":true,"pinFilters":false}"#;
const CONTROL: &str = r#"{"id":"c$","fieldName":"$","parent":"","label":"$","type":"list","options":{"type":"terms","multiselect":true,"dynamicOptions":true,"size":50,"order":"desc"},"indexPatternRefName":"$"}"#;
const CONTROLS_ID: &str = "controls";
const CONTROLS_TITLE: &str = "Which service";

const PLACED: &str = r#"{"version":"7.9.3","panelIndex":"$","gridData":{"x":^,"y":^,"w":^,"h":^,"i":"$"},"title":"$","embeddableConfig":{},"panelRefName":"$"}"#;

/// The objects, one on each line: the index pattern for the indices `pattern`, the visualisations, the dashboards.
pub(super) fn written(pattern: &str, dashboards: &[Dashboard]) -> Vec<u8> {
    let prefix = prefix(pattern);
    let panels = || dashboards.iter().flat_map(|dashboard| &dashboard.panels);
    let mut out = Vec::new();
    fill(&mut out, INDEX_PATTERN, &[&prefix, pattern.as_bytes(), &formats(panels())]);
    write_controls(&mut out, &prefix);
    for panel in panels() {
        write_panel(&mut out, &prefix, panel);
    }
    for dashboard in dashboards {
        write_dashboard(&mut out, &prefix, dashboard);
    }
    out
}

/// What all ids begin with. It is the same each time for the same indices.
fn prefix(pattern: &str) -> Vec<u8> {
    let name = pattern.trim_matches(['*', '-', '.', '_', '%']);
    let mut prefix = b"expvastic".to_vec();
    if name != "expvastic" {
        prefix.push(b'-');
        append_id(&mut prefix, name);
    }
    prefix
}

/// Appends a name to an id, without the characters that have a meaning in URLs. A long one is cut, and gets its checksum.
fn append_id(out: &mut Vec<u8>, name: &str) {
    let (kept, rest) = name.as_bytes().split_at(name.len().min(limits::SAVED_ID_PART_BYTES_MAX));
    for &byte in kept {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            out.push(byte);
        } else {
            out.push(b'~');
            json::write_hex(out, byte);
        }
    }
    if !rest.is_empty() {
        out.push(b'~');
        json::write_u64(out, rest.iter().fold(0, |sum: u64, &byte| sum.wrapping_mul(31).wrapping_add(byte.into())));
    }
}

/// Appends `template` with its marks replaced by `values`, in turn: `$` by a value within a JSON string, `^` by a value that
/// is JSON.
fn fill(out: &mut Vec<u8>, template: &str, values: &[&[u8]]) {
    let mut values = values.iter();
    for byte in template.bytes() {
        match byte {
            b'$' => json::write_escaped_bytes(out, values.next().copied().unwrap_or_default()),
            b'^' => out.extend_from_slice(values.next().copied().unwrap_or_default()),
            other => out.push(other),
        }
    }
}

fn filled(template: &str, values: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    fill(&mut out, template, values);
    out
}

fn decimal(number: usize) -> Vec<u8> {
    let mut digits = Vec::new();
    json::write_u64(&mut digits, number as u64);
    digits
}

/// Puts a comma before what is not the first in a list.
fn separate(list: &mut Vec<u8>) {
    if !list.is_empty() {
        list.push(b',');
    }
}

/// How the index pattern shows the fields of these panels.
fn formats<'p>(panels: impl Iterator<Item = &'p Panel>) -> Vec<u8> {
    let mut seen: Vec<&str> = Vec::new();
    let mut list = Vec::new();
    for metric in panels.flat_map(|panel| &panel.metrics) {
        let format: &[u8] = match metric.format {
            Format::Number => continue,
            Format::Bytes => br#"{"id":"bytes"}"#,
            Format::Nanoseconds => {
                br#"{"id":"duration","params":{"inputFormat":"nanoseconds","outputFormat":"asMilliseconds","outputPrecision":3}}"#
            }
            Format::Microseconds => {
                br#"{"id":"duration","params":{"inputFormat":"microseconds","outputFormat":"asMilliseconds","outputPrecision":3}}"#
            }
        };
        if !seen.contains(&metric.field.as_str()) {
            seen.push(&metric.field);
            separate(&mut list);
            fill(&mut list, r#""$":^"#, &[metric.field.as_bytes(), format]);
        }
    }
    [b"{", &list[..], b"}"].concat()
}

fn write_controls(out: &mut Vec<u8>, prefix: &[u8]) {
    let (mut controls, mut references) = (Vec::new(), Vec::new());
    for (at, field) in CONTROLS.iter().enumerate() {
        let reference = [b"control_", &decimal(at)[..], b"_index_pattern"].concat();
        let field = field.as_bytes();
        separate(&mut controls);
        fill(&mut controls, CONTROL, &[&decimal(at + 1), field, field, &reference]);
        separate(&mut references);
        fill(&mut references, REFERENCE, &[&reference, b"index-pattern", prefix]);
    }
    let (title, params) = (CONTROLS_TITLE.as_bytes(), filled(CONTROLS_PARAMS, &[&controls]));
    let state = filled(STATE, &[title, prefix, b"input_control_vis", &params, b""]);
    fill(out, VISUALISATION, &[prefix, CONTROLS_ID.as_bytes(), title, prefix, &state, b"{}", &references]);
}

fn write_panel(out: &mut Vec<u8>, prefix: &[u8], panel: &Panel) {
    let kind: &[u8] = match panel.kind {
        Kind::Line => b"line",
        Kind::Area => b"area",
        Kind::Bars => b"histogram",
        Kind::Number => b"metric",
        Kind::Table => b"table",
    };
    let (mut metrics, mut series) = (Vec::new(), Vec::new());
    for (at, metric) in panel.metrics.iter().enumerate() {
        let (id, label) = (decimal(at + 1), metric.label.as_bytes());
        let (aggregation, more): (&[u8], &str) = match metric.aggregation {
            Aggregation::Count => (b"count", ""),
            Aggregation::Max => (b"max", ""),
            Aggregation::Average => (b"avg", ""),
            Aggregation::Sum => (b"sum", ""),
            Aggregation::Percentiles => (b"percentiles", PERCENTS),
        };
        let mut field = Vec::new();
        if !metric.field.is_empty() {
            fill(&mut field, FIELD, &[metric.field.as_bytes()]);
        }
        field.extend_from_slice(more.as_bytes());
        separate(&mut metrics);
        fill(&mut metrics, METRIC, &[&id, aggregation, label, &field]);
        separate(&mut series);
        fill(&mut series, SERIES, &[kind, label, &id]);
    }
    let is_chart = matches!(panel.kind, Kind::Line | Kind::Area | Kind::Bars);
    let mut id = panel.metrics.len() + 1;
    if is_chart {
        fill(&mut metrics, TIME, &[&decimal(id)]);
        id += 1;
    }
    let (schema, order): (&[u8], &str) = if is_chart { (b"group", SERIES_ORDER) } else { (b"bucket", ROWS_ORDER) };
    for (at, field) in panel.split.split(',').filter(|field| !field.is_empty()).enumerate() {
        fill(&mut metrics, SPLIT, &[&decimal(id + at), schema, field.as_bytes(), order.as_bytes()]);
    }
    let params = match panel.kind {
        Kind::Number => NUMBER.as_bytes().to_vec(),
        Kind::Table => TABLE.as_bytes().to_vec(),
        Kind::Line | Kind::Area | Kind::Bars => filled(CHART, &[kind, &series]),
    };
    let (id, title) = (filled_id(panel), panel.title.as_bytes());
    let state = filled(STATE, &[title, prefix, kind, &params, &metrics]);
    let source = filled(SEARCH_SOURCE, &[panel.query.as_bytes()]);
    let reference = filled(REFERENCE, &[b"kibanaSavedObjectMeta.searchSourceJSON.index", b"index-pattern", prefix]);
    fill(out, VISUALISATION, &[prefix, &id, title, prefix, &state, &source, &reference]);
}

/// The end of a panel's id.
fn filled_id(panel: &Panel) -> Vec<u8> {
    let mut id = Vec::new();
    append_id(&mut id, &panel.id);
    id
}

fn write_dashboard(out: &mut Vec<u8>, prefix: &[u8], dashboard: &Dashboard) {
    let (mut panels, mut references) = (Vec::new(), Vec::new());
    let mut place = |title: &[u8], id: &[u8], grid: Grid, at: usize| {
        let (index, reference) = (decimal(at + 1), [b"panel_", &decimal(at)[..]].concat());
        let [x, y, width, height] = [grid.x, grid.y, grid.width, grid.height].map(decimal);
        separate(&mut panels);
        fill(&mut panels, PLACED, &[&index, &x, &y, &width, &height, &index, title, &reference]);
        separate(&mut references);
        fill(&mut references, REFERENCE, &[&reference, b"visualization", &[prefix, b"-", id].concat()]);
    };
    let controls = Grid { x: 0, y: 0, width: COLUMNS, height: CONTROLS_HEIGHT };
    place(CONTROLS_TITLE.as_bytes(), CONTROLS_ID.as_bytes(), controls, 0);
    for (at, panel) in (1..).zip(&dashboard.panels) {
        place(panel.title.as_bytes(), &filled_id(panel), panel.grid, at);
    }
    let (id, title) = (dashboard.id.as_bytes(), dashboard.title.as_bytes());
    fill(out, DASHBOARD, &[prefix, id, title, prefix, &panels, &references]);
}
