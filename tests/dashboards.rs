//! `expvastic dashboards`: what is printed for which configuration, and what an import does and says. By real sockets; the
//! answers are those that Kibana and OpenSearch Dashboards document. Whether the panels show what was shipped is tested with
//! real servers, in `real_servers/dashboards.rs`.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[path = "support/expvastic.rs"]
mod expvastic;
#[path = "support/front_end.rs"]
mod front_end;
#[path = "support/loopback.rs"]
mod loopback;
#[cfg(feature = "tls")]
#[path = "dashboards/secured.rs"]
mod secured;
#[cfg(feature = "tls")]
#[path = "support/tls.rs"]
mod tls;

use front_end::{View, inner, objects, searches};
use loopback::{Reply, Request, Server};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const PLAIN: &str = include_str!("payloads/goexpvar-1.26.8-plain.json");
const SENT_BY_KIBANA: &str = include_str!("dashboards/sent_by_kibana.ndjson");

/// What a run of the program has printed.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(arguments: &[&str], environment: &[(&str, &str)], config: &str) -> Ran {
    run_beside(&[], arguments, environment, config)
}

/// The same in a folder with these files.
fn run_beside(files: &[(&str, &str)], arguments: &[&str], environment: &[(&str, &str)], config: &str) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("the file is written");
    }
    std::fs::write(folder.path().join("conf.yml"), config).expect("the configuration is written");
    let mut command = expvastic::expvastic();
    command.current_dir(folder.path()).arg("dashboards").args(["-c", "conf.yml"]).args(arguments);
    let output = command.envs(environment.iter().copied()).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn app(payload: &'static str) -> Server {
    Server::bare(move |_| Reply::Chunked(payload.into()))
}

/// One reader, one recorder with an index for each day.
fn config(app: &str, more: &str) -> String {
    format!(
        "readers: {{shop: {{type_name: shop, endpoint: \"{app}\", timeout: 5s}}}}\n\
         recorders: {{es: {{endpoint: \"127.0.0.1:1\", index_name: \"shop-%Y.%m.%d\", timeout: 5s{more}}}}}\n\
         routes: {{r: {{readers: [shop], recorders: [es]}}}}\n"
    )
}

fn ids(ran: &Ran) -> Vec<String> {
    objects(&ran.stdout).iter().map(|object| object["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn the_searches_that_we_build_are_those_that_kibana_sent() {
    let lines = objects(SENT_BY_KIBANA);
    assert_eq!(lines.len(), 8);
    for line in &lines {
        let sent = &line["sent"];
        let filter = sent["query"]["bool"]["filter"].as_array().expect("filters").last().expect("the range");
        let bound = |name: &str| filter["range"]["@timestamp"][name].as_str().expect("a time").to_owned();
        let view = View { from: bound("gte"), to: bound("lte"), interval: "30s" };
        let built = searches(&line["object"], &view);
        assert_eq!(&built[0], sent, "{}", line["object"]["id"]);
        if let Some(second) = line.get("sent_too") {
            assert_eq!(&built[1], second);
        }
    }
}

/// The visualisations that were looked at in Kibana 8.12 and OpenSearch Dashboards 2.8: ours are the same, but for titles,
/// labels and fields.
#[test]
fn visualisations_have_the_form_that_was_rendered() {
    let app = app(PLAIN);
    let ran = run(
        &[],
        &[],
        &config(&app.address, "")
            .replace("timeout: 5s}}\nrec", "timeout: 5s, rates: [memstats.TotalAlloc, memstats.NumGC]}}\nrec"),
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ours = objects(&ran.stdout);
    for (rendered, own) in [
        ("expvastic-heap", "expvastic-shop-heap"),
        ("expvastic-pauses", "expvastic-shop-pauses"),
        ("expvastic-gcrate", "expvastic-shop-collections"),
        ("expvastic-alloc", "expvastic-shop-allocation"),
        ("expvastic-restarts", "expvastic-shop-restarts"),
        ("expvastic-services", "expvastic-shop-services"),
        ("expvastic-control", "expvastic-shop-controls"),
    ] {
        let line = objects(SENT_BY_KIBANA).into_iter().find(|line| line["object"]["id"] == rendered).expect("rendered");
        let own = ours.iter().find(|object| object["id"] == own).unwrap_or_else(|| panic!("no {own}"));
        assert_eq!(shape(own), shape(&line["object"]), "{rendered}");
    }
}

/// A visualisation without what may differ: its id, titles and labels.
fn shape(object: &Value) -> Value {
    let mut state = inner(object, "visState");
    state["title"] = Value::Null;
    let params = &mut state["params"];
    if params.get("valueAxes").is_some() {
        params["valueAxes"][0]["title"] = Value::Null;
    }
    for series in params["seriesParams"].as_array_mut().into_iter().flatten() {
        series["data"]["label"] = Value::Null;
    }
    for aggregation in state["aggs"].as_array_mut().expect("a list") {
        if let Some(params) = aggregation["params"].as_object_mut() {
            params.remove("customLabel");
        }
    }
    let mut object = object.clone();
    for name in ["id", "references"] {
        object[name] = Value::Null;
    }
    let source = object["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"].as_str().expect("a text");
    object["source"] = serde_json::from_str(source).expect("JSON");
    for name in ["title", "visState", "kibanaSavedObjectMeta"] {
        object["attributes"][name] = Value::Null;
    }
    object["state"] = state;
    object
}

#[test]
fn what_is_printed_is_for_the_indices_of_the_recorder() {
    let app = app(PLAIN);
    let ran = run(&[], &[], &config(&app.address, ""));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let printed = objects(&ran.stdout);
    assert_eq!(printed[0]["attributes"]["title"], "shop-*.*.*");
    assert_eq!(printed[0]["attributes"]["timeFieldName"], "@timestamp");
    let formats = inner(&printed[0], "fieldFormatMap");
    assert_eq!(formats["memstats.HeapAlloc"], json!({"id": "bytes"}));
    assert_eq!(formats["memstats.PauseNs"]["params"]["inputFormat"], "nanoseconds");
    let stream =
        run(&[], &[], &config(&app.address, "").replace("index_name: \"shop-%Y.%m.%d\"", "data_stream: metrics-shop"));
    assert_eq!(objects(&stream.stdout)[0]["attributes"]["title"], "metrics-shop", "{stream:?}");
    assert_eq!(app.request_count(), 2, "one poll each time");
}

#[test]
fn a_recorder_shows_the_readers_that_are_routed_to_it() {
    let (one, other) = (app(r#"{"hits":1}"#), app(r#"{"misses":2}"#));
    let text = format!(
        "readers:\n  one: {{type_name: one, endpoint: \"{}\"}}\n  other: {{type_name: other, endpoint: \"{}\"}}\n  \
         me: {{type: self, type_name: me}}\n\
         recorders:\n  screen: {{type: file, path: \"-\", index_name: printed}}\n  first: {{endpoint: \"127.0.0.1:1\", \
         index_name: first}}\n  second: {{endpoint: \"127.0.0.1:1\", index_name: second}}\n  idle: {{endpoint: \"127.0.0.1:1\"}}\n\
         routes:\n  r: {{readers: one, recorders: [screen, first]}}\n  s: {{readers: [other, me], recorders: second}}\n",
        one.address, other.address
    );
    let has = |ran: &Ran, id: &str| ids(ran).iter().any(|own| own == id);
    let first = run(&[], &[], &text);
    assert!(has(&first, "expvastic-first-var-hits") && !has(&first, "expvastic-first-var-misses"), "{first:?}");
    assert!(!has(&first, "expvastic-first-shipper"), "no counters of our own are shipped there");
    let second = run(&["--recorder", "second"], &[], &text);
    assert!(has(&second, "expvastic-second-var-misses") && has(&second, "expvastic-second-shipper"), "{second:?}");
    assert!(second.stdout.contains("recorders.first.acked"), "the names of the configuration");
    assert!(has(&run(&["--recorder=screen"], &[], &text), "expvastic-printed-var-hits"), "a file may be sent later");
    for (name, expected) in [
        ("secnd", "no recorder is named \"secnd\", did you mean \"second\"?"),
        ("idle", "no route connects a reader to the recorder \"idle\""),
    ] {
        let ran = run(&["--recorder", name], &[], &text);
        assert!(ran.code == Some(64) && ran.stderr.contains(expected), "{ran:?}");
    }
}

#[test]
fn globs_choose_the_variables() {
    let app = app(r#"{"a":{"x":1,"y":2},"b":3,"c":4,"memstats":{"Frees":5}}"#);
    let variables = |arguments: &[&str], environment: &[(&str, &str)]| {
        let ran = run(arguments, environment, &config(&app.address, ""));
        let ids = ids(&ran).into_iter();
        let own = ids.filter_map(|id| id.strip_prefix("expvastic-shop-var-").map(str::to_owned));
        own.collect::<Vec<_>>()
    };
    assert_eq!(variables(&[], &[]), ["a.x", "a.y", "b", "c"]);
    assert_eq!(variables(&["--include", "a.*", "--include=memstats.F*"], &[]), ["a.x", "a.y", "memstats.Frees"]);
    assert_eq!(variables(&[], &[("EXPVASTIC_INCLUDE", "b\nc")]), ["b", "c"]);
}

#[test]
fn a_reader_that_is_away_is_told_and_the_others_are_shown() {
    let app = app(r#"{"hits":1}"#);
    let text = config(&app.address, "").replace(
        "readers: {shop",
        "readers: {away: {type_name: a, endpoint: \"127.0.0.1:1\"}, web: {type_name: w, endpoint: \"WEB\"}, shop",
    );
    let web = Server::bare(|_| Reply::Full(200, "Content-Type: text/html\r\n".into(), b"<html>hi</html>".to_vec()));
    let text = text.replace("WEB", &web.address).replace("readers: [shop]", "readers: [away, web, shop]");
    let ran = run(&[], &[], &text);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("away: poll failed: ") && ran.stderr.contains("refused"), "{ran:?}");
    assert!(ran.stderr.contains("web: poll failed: ") && ran.stderr.to_lowercase().contains("html"), "{ran:?}");
    assert!(ids(&ran).contains(&"expvastic-shop-var-hits".to_owned()), "{ran:?}");
    let nobody = run(&[], &[], &config("127.0.0.1:1", ""));
    assert!(
        nobody.code == Some(1) && nobody.stdout.is_empty() && nobody.stderr.contains("nothing to show"),
        "{nobody:?}"
    );
}

/// A front end that answers like this, and what it was sent.
fn front_end(status: u16, answer: &str) -> (Server, Arc<Mutex<Vec<Request>>>) {
    let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
    let (noted, answer) = (Arc::clone(&seen), answer.as_bytes().to_vec());
    let server = Server::bare(move |request| {
        let Request { method, target, head, body } = request;
        let copy = Request { method: method.clone(), target: target.clone(), head: head.clone(), body: body.clone() };
        noted.lock().expect("the requests").push(copy);
        Reply::Full(status, "Content-Type: application/json; charset=utf-8\r\n".into(), answer.clone())
    });
    (server, seen)
}

const SUCCESS: &str = r#"{"successCount":9,"success":true,"warnings":[],"successResults":[{"type":"index-pattern","id":"expvastic-shop","meta":{"title":"shop-*.*.*","icon":"indexPatternApp"},"managed":false}]}"#;
const CONFLICTS: &str = r#"{"successCount":7,"success":false,"warnings":[],"errors":[{"id":"expvastic-shop-heap","type":"visualization","title":"Heap","meta":{"title":"Heap","icon":"visualizeApp"},"error":{"type":"conflict"}},{"id":"expvastic-shop-go","type":"dashboard","meta":{},"error":{"type":"ambiguous_conflict","destinations":[]}}]}"#;

#[test]
fn an_import_sends_what_is_printed() {
    let app = app(PLAIN);
    let printed = run(&[], &[], &config(&app.address, "")).stdout;
    for (path, arguments, target) in [
        ("", &[][..], "/api/saved_objects/_import?"),
        ("/", &["--overwrite"], "/api/saved_objects/_import?overwrite=true"),
        ("/kibana/s/team", &[], "/kibana/s/team/api/saved_objects/_import?"),
        ("/x?key=1", &["--overwrite"], "/x/api/saved_objects/_import?key=1&overwrite=true"),
    ] {
        let (server, seen) = front_end(200, SUCCESS);
        let url = format!("http://{}{path}", server.address);
        let text = config(&app.address, ", auth: {user: u, password: planted-secret}");
        let ran = run(&[&["--import", &url][..], arguments].concat(), &[], &text);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(ran.stdout, format!("{url}: 9 objects imported\n"));
        let seen = seen.lock().expect("the requests");
        let [request] = &seen[..] else { panic!("{} requests", seen.len()) };
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", target));
        for field in ["kbn-xsrf: ", "osd-xsrf: ", "authorization: basic "] {
            assert!(
                request.head.contains(&format!("\n{field}")) || request.head.starts_with(field),
                "{}",
                request.head
            );
        }
        assert_eq!(file_of(request), printed);
    }
}

/// Names go through libcurl, and here through a proxy.
#[cfg(feature = "proxy")]
#[test]
fn an_import_by_name_sends_the_same() {
    let app = app(PLAIN);
    let text = config(&app.address, "");
    let (proxy, seen) = front_end(200, SUCCESS);
    let by_proxy = [("http_proxy", proxy.address.as_str()), ("no_proxy", "")];
    let ran = run(&["--import", "http://kibana.test/base", "--overwrite"], &by_proxy, &text);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "http://kibana.test/base: 9 objects imported\n"), "{ran:?}");
    let seen = seen.lock().expect("the requests");
    assert_eq!(seen[0].target, "http://kibana.test/base/api/saved_objects/_import?overwrite=true");
    assert!(seen[0].head.contains("kbn-xsrf: ") && seen[0].head.contains("osd-xsrf: "), "{}", seen[0].head);
    assert_eq!(file_of(&seen[0]), run(&[], &[], &text).stdout);
}

/// The file in a form, read as a server does.
fn file_of(request: &Request) -> String {
    let body = std::str::from_utf8(&request.body).expect("UTF-8");
    let boundary = body.lines().next().expect("a boundary");
    assert!(request.head.contains(&format!("content-type: multipart/form-data; boundary={}", &boundary[2..])));
    let (head, rest) = body.split_once("\r\n\r\n").expect("the head of the part");
    assert!(
        head.contains("\r\nContent-Disposition: form-data; name=\"file\"; filename=\"expvastic.ndjson\"\r\n"),
        "{head}"
    );
    let (file, end) = rest.rsplit_once("\r\n--").expect("the end");
    assert_eq!(format!("--{end}"), format!("{boundary}--\r\n"));
    file.to_owned()
}

#[test]
fn what_exists_is_told_and_replaced_only_when_asked() {
    let app = app(PLAIN);
    let (server, _) = front_end(200, CONFLICTS);
    let ran = run(&["--import", &server.address], &[], &config(&app.address, ""));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    for part in [
        "7 objects imported",
        "visualization expvastic-shop-heap: exists",
        "dashboard expvastic-shop-go: exists",
        "left as it is: --overwrite replaces it",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {ran:?}");
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let app = app(PLAIN);
    for (status, answer, auth, parts) in [
        (
            401,
            r#"{"statusCode":401,"error":"Unauthorized","message":"missing authentication credentials"}"#,
            "",
            &["status 401: missing authentication credentials", "set `auth`"][..],
        ),
        (
            401,
            r#"{"statusCode":401,"error":"Unauthorized","message":"unable to authenticate user [u] with planted-secret"}"#,
            ", auth: {user: u, password: planted-secret}",
            &["status 401", "check `auth`: the user \"u\""],
        ),
        (
            403,
            r#"{"statusCode":403,"error":"Forbidden","message":"Unable to bulk_create dashboard"}"#,
            ", auth: {user: u, password: planted-secret}",
            &["status 403: Unable to bulk_create dashboard", "allowed to write saved objects"],
        ),
        (
            422,
            r#"{"statusCode":422,"error":"Unprocessable Entity","message":"Document \"x\" has property \"index-pattern\" which belongs to a more recent version"}"#,
            "",
            &["belongs to a more recent version", "OpenSearch Dashboards 2 and 3"],
        ),
        (
            404,
            r#"{"statusCode":404,"error":"Not Found","message":"Not Found"}"#,
            "",
            &["status 404: Not Found", "base path and space"],
        ),
        (
            400,
            r#"{"error":"no handler found for uri [/api/saved_objects/_import?] and method [POST]"}"#,
            "",
            &["no handler found", "usually 5601"],
        ),
        (
            406,
            r#"{"error":"Content-Type header [multipart/form-data] is not supported","status":406}"#,
            "",
            &["usually 5601"],
        ),
        (302, "", "", &["status 302", "usually 5601"]),
        (503, "Kibana server is not ready yet", "", &["Kibana server is not ready yet", "try again"]),
        (200, "<html>welcome</html>", "", &["<html>welcome", "usually 5601"]),
        (200, r#"{"success":"yes"}"#, "", &["usually 5601"]),
        (
            200,
            r#"{"successCount":0,"success":false,"errors":[{"id":"a","type":"dashboard","error":{"type":"missing_references","references":[]}},{"id":"b","type":"lens","error":{"type":"unknown","message":"mapping set to strict","statusCode":400}}]}"#,
            "",
            &["0 objects imported", "dashboard a: missing_references", "lens b: unknown mapping set to strict"],
        ),
    ] {
        let (server, _) = front_end(status, answer);
        let ran = run(&["--import", &server.address], &[], &config(&app.address, auth));
        assert!(ran.code == Some(1) && ran.stdout.is_empty(), "{status}: {ran:?}");
        for part in parts {
            assert!(ran.stderr.contains(part), "{status} {answer}: no {part:?} in {ran:?}");
        }
        assert!(!ran.stderr.contains("planted-"), "{ran:?}");
    }
    let away = run(&["--import", "127.0.0.1:1"], &[], &config(&app.address, ""));
    assert!(away.code == Some(1) && away.stderr.contains("127.0.0.1:1") && away.stderr.contains("refused"), "{away:?}");
}

#[test]
fn credentials_of_the_front_end_come_from_the_environment_and_not_from_the_command_line() {
    let app = app(PLAIN);
    let (server, seen) = front_end(200, SUCCESS);
    let url = format!("http://grafana:planted-other@{}", server.address);
    let text = config(&app.address, ", auth: {api_key: planted-key}");
    let refused = run(&["--import", &url], &[], &text);
    assert!(refused.code == Some(64) && refused.stderr.contains("visible to every user"), "{refused:?}");
    let ran = run(&[], &[("EXPVASTIC_IMPORT", &url)], &text);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let seen = seen.lock().expect("the requests");
    assert!(seen[0].head.contains("authorization: basic "), "{}", seen[0].head);
    for said in [&ran.stdout, &ran.stderr, &refused.stderr] {
        assert!(!said.contains("planted-"), "{said}");
    }
}

#[test]
fn wrong_uses_are_told() {
    let app = app(PLAIN);
    for (arguments, expected) in [
        (&["--overwrite"][..], "--overwrite: works only with --import URL"),
        (&["--import", "ftp://h"], "expected http or https"),
        (&["--include", ""], "--include needs a value"),
        (&["--import", "a:1", "--import", "b:1"], "--import is given twice"),
    ] {
        let ran = run(arguments, &[], &config(&app.address, ""));
        assert!(ran.code == Some(64) && ran.stderr.contains(expected), "{arguments:?}: {ran:?}");
    }
}
