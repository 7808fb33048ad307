//! `expvastic test` beside real servers: what it says before and after documents are shipped, and that it changes nothing.

use super::{Bench, http, one_payload, text, unless};

impl Bench<'_> {
    pub(super) fn trying(&self) -> Vec<String> {
        let (_, app) = one_payload("goexpvar-1.26.8-plain.json");
        let config = |keys: &str| {
            format!(
                "readers: {{r: {{type_name: app, endpoint: {}}}}}\n\
                 recorders: {{e: {{endpoint: {}, index_name: \"tried-%Y\"{keys}}}}}\n\
                 routes: {{x: {{readers: r, recorders: e}}}}\n",
                app.address, self.server.address
            )
        };
        // Everything that is in the server, as far as it changes with use. Documents count from a refresh on, and a busy
        // server makes it late.
        let content = || {
            http::post(&self.server.address, "/_refresh", "");
            [
                "/_cat/indices?h=index,docs.count,uuid&s=index",
                "/_cat/templates?h=name,version&s=name",
                "/_cluster/state/metadata?filter_path=metadata.ingest",
            ]
            .map(|path| text(&http::get(&self.server.address, path)))
        };
        let mut problems = Vec::new();
        let mut said = |keys: &str, code: i32, lines: &[&str]| {
            let before = content();
            let output = self.expvastic(&["test"], &config(keys));
            let said = text(&output.stdout);
            let has = |line: &&&str| said.contains(*line) && output.status.code() == Some(code);
            let missing: Vec<_> = lines.iter().filter(|line| !has(line)).collect();
            problems.extend(unless(missing.is_empty(), || format!("test said {said}instead of {missing:?}")));
            problems.extend(unless(content() == before, || format!("test{keys} has changed something in the server")));
        };
        let product = if self.engine.name.starts_with("elasticsearch") { "Elasticsearch " } else { "OpenSearch " };
        let server = format!("✓ recorder e: {product}{}.", self.engine.name.rsplit('-').next().expect("a version"));
        let absent = format!(
            "{}/expvastic-tried-y does not exist yet: it is created before the first bulk",
            self.engine.templates
        );
        said(
            ", pipeline: nobodys",
            1,
            &[
                &server,
                &absent,
                " does not exist yet: the first document",
                "✗ recorder e: ingest pipeline nobodys does not exist",
            ],
        );
        said("", 0, &[&absent]);
        let once = self.expvastic(&["once"], &config(""));
        said("", 0, &["/expvastic-tried-y is up to date", " exists already (its field types fit)"]);
        problems.extend(unless(once.status.code() == Some(0), || format!("once says {}", text(&once.stderr))));
        problems
    }
}
