//! Index templates, data streams and ingest pipelines of real servers.

use super::server::parsed;
use super::{Bench, http, one_payload, text, unless};
use serde_json::Value;

impl Bench<'_> {
    fn template(&self, name: &str) -> Value {
        parsed(&http::get(&self.server.address, &format!("{}/{name}", self.engine.templates)))
    }

    /// A template is put in place once, is brought up to date on demand, and belongs to whoever has changed it.
    pub(super) fn templates(&self) -> Vec<String> {
        let (_, app) = one_payload("goexpvar-1.26.8-plain.json");
        let config = |fields: usize| {
            format!(
                "readers: {{r: {{type_name: app, endpoint: {}, max_fields: {fields}}}}}\n\
                 recorders: {{e: {{endpoint: {}, index_name: \"mine-%Y.%m.%d\"}}}}\n\
                 routes: {{x: {{readers: r, recorders: e}}}}\n",
                app.address, self.server.address
            )
        };
        let name = "expvastic-mine-y.m.d";
        let mut problems = Vec::new();
        let mut setup = |fields: usize, code: i32, said: &str| {
            let output = self.expvastic(&["setup"], &config(fields));
            let out = text(&output.stdout);
            let is_so = out.contains(said) && output.status.code() == Some(code);
            problems.extend(unless(is_so, || format!("setup said {out}{}instead of {said}", text(&output.stderr))));
        };
        setup(1_000, 0, "created ");
        let created = self.template(name);
        setup(1_000, 0, " is up to date");
        let once = self.expvastic(&["once"], &config(3_000));
        let started = self.template(name) == created && once.status.code() == Some(0);
        setup(2_000, 0, "updated ");
        let updated = self.template(name);
        setup(2_000, 0, " is up to date");

        // A person's change, and nothing else.
        let stored = if self.engine.templates == "/_template" {
            &updated[name]
        } else {
            &updated["index_templates"][0]["index_template"]
        };
        let by_hand = stored.to_string().replace("1024", "2048");
        http::put(&self.server.address, &format!("{}/{name}", self.engine.templates), &by_hand);
        let changed = self.template(name);
        setup(2_000, 0, "was edited by hand and is left unchanged");
        setup(1_000, 0, "was edited by hand and is left unchanged");
        let _ = self.expvastic(&["once"], &config(2_000));
        let kept = self.template(name) == changed;

        if self.engine.name == "elasticsearch-7" {
            self.put_printed("Elasticsearch from 7.0 to 7.7", &config(1_000));
        }
        problems.extend(unless(started, || format!("a start changes the template, or says: {}", text(&once.stderr))));
        problems.extend(unless(updated != created && changed != updated, || "the template does not change".to_owned()));
        problems.extend(unless(kept, || "a changed template does not stay".to_owned()));
        problems
    }

    /// The template that `setup --print` shows for servers that are not among ours, put by hand into one that takes it.
    fn put_printed(&self, servers: &str, config: &str) {
        let shown = text(&self.expvastic(&["setup", "--print"], config).stdout);
        let (_, request) = shown.split_once(&format!("# e: {servers}\nPUT ")).expect("it is shown");
        let (path, rest) = request.split_once('\n').expect("a body");
        let body = rest.split("\n\n").next().expect("a body");
        http::put(&self.server.address, path, body);
        let stored = parsed(&http::get(&self.server.address, path));
        let (_, stored) = stored.as_object().expect("an object").iter().next().expect("a template");
        assert_eq!(stored["mappings"], parsed(body.as_bytes())["mappings"]);
    }

    pub(super) fn data_streams(&self) -> Vec<String> {
        let (_, app) = one_payload("goexpvar-1.26.8-plain.json");
        let config = format!(
            "readers: {{r: {{type_name: app, endpoint: {}}}}}\n\
             recorders: {{e: {{endpoint: {}, data_stream: metrics-expvar-test}}}}\n\
             routes: {{x: {{readers: r, recorders: e}}}}\n",
            app.address, self.server.address
        );
        let codes = [0, 1].map(|_| self.expvastic(&["once"], &config).status.code());
        let stored = self.server.documents("metrics-expvar-test");
        let found = parsed(&http::get(&self.server.address, "/metrics-expvar-test/_search"));
        let index = found["hits"]["hits"][0]["_index"].as_str().unwrap_or_default().to_owned();
        let mut problems = Vec::new();
        problems.extend(unless(codes == [Some(0); 2] && stored.len() == 2, || {
            format!("data stream: {} documents", stored.len())
        }));
        problems.extend(unless(index.starts_with(".ds-") == self.engine.streams, || format!("the index is {index}")));
        problems
    }

    pub(super) fn pipelines(&self) -> Vec<String> {
        let (_, app) = one_payload("goexpvar-1.26.8-plain.json");
        let config = |pipeline: &str| {
            format!(
                "readers: {{r: {{type_name: app, endpoint: {}}}}}\n\
                 recorders: {{e: {{endpoint: {}, index_name: piped, pipeline: {pipeline}}}}}\n\
                 routes: {{x: {{readers: r, recorders: e}}}}\n",
                app.address, self.server.address
            )
        };
        http::put(&self.server.address, "/_ingest/pipeline/the%20one", r#"{"processors":[]}"#);
        let there = self.expvastic(&["once"], &config("the one"));
        let missing = self.expvastic(&["once"], &config("another"));
        let log = text(&missing.stderr);
        let mut problems = Vec::new();
        problems.extend(unless(there.status.code() == Some(0), || format!("pipeline: {}", text(&there.stderr))));
        problems.extend(unless(missing.status.code() == Some(1) && log.contains("another"), || {
            format!("no pipeline: {log}")
        }));
        problems.extend(unless(self.server.documents("piped").len() == 1, || {
            "not one document by the pipeline".to_owned()
        }));
        problems
    }
}
