//! `retention` on real servers. Of these builds, Elasticsearch 6 has index life cycle management; the others have nothing that
//! deletes documents, and say so.

use super::processes::wait_until;
use super::server::parsed;
use super::{Bench, TIME_MAX, http, one_payload, text, unless};
use serde_json::{Value, json};

const POLICY: &str = "/_ilm/policy/expvastic-kept-y.m.d-30d";

impl Bench<'_> {
    pub(super) fn keeping(&self) -> Vec<String> {
        let (_, app) = one_payload("goexpvar-1.26.8-plain.json");
        let config = format!(
            "readers: {{r: {{type_name: app, endpoint: {}}}}}\n\
             recorders: {{e: {{endpoint: {}, index_name: \"kept-%Y.%m.%d\", retention: 30d}}}}\n\
             routes: {{x: {{readers: r, recorders: e}}}}\n",
            app.address, self.server.address
        );
        let mut problems = Vec::new();
        let mut setup = |code: i32, said: &[&str]| {
            let output = self.expvastic(&["setup"], &config);
            let out = text(&output.stdout);
            let is_so = said.iter().all(|words| out.contains(words)) && output.status.code() == Some(code);
            problems.extend(unless(is_so, || format!("setup said {out}{}instead of {said:?}", text(&output.stderr))));
        };
        if self.engine.name == "elasticsearch-6" {
            setup(0, &["created ", "created a policy that deletes indices", "after 31d"]);
            setup(0, &["is up to date", "the policy that deletes indices is up to date"]);
            problems.extend(self.is_managed(&config));
            problems.extend(self.policy_of_a_person(&config));
            problems.extend(self.is_deleted());
        } else {
            let by_hand = "the server cannot delete old documents by itself: delete old indices by a job of your own";
            setup(1, &["created ", by_hand]);
            setup(1, &["is up to date", by_hand]);
        }
        problems
    }

    /// An index that is made for a document is managed by the policy.
    fn is_managed(&self, config: &str) -> Vec<String> {
        let shipped = self.expvastic(&["once"], config);
        let mut problems = Vec::new();
        problems.extend(unless(shipped.status.code() == Some(0), || text(&shipped.stderr)));
        let policy = parsed(&http::get(&self.server.address, POLICY));
        let phases = &policy["expvastic-kept-y.m.d-30d"]["policy"]["phases"];
        let expected = json!({"delete": {"min_age": "31d", "actions": {"delete": {}}}});
        problems.extend(unless(*phases == expected, || format!("the policy is {policy}")));
        let explained = parsed(&http::get(&self.server.address, "/kept-*/_ilm/explain"));
        let indices: Vec<&Value> =
            explained["indices"].as_object().map(|indices| indices.values().collect()).unwrap_or_default();
        let is_so =
            indices.len() == 1 && indices[0]["managed"] == true && indices[0]["policy"] == "expvastic-kept-y.m.d-30d";
        problems.extend(unless(is_so, || format!("the index is not managed: {explained}")));
        problems
    }

    /// What a person has made of the policy stays, whatever is asked for.
    fn policy_of_a_person(&self, config: &str) -> Vec<String> {
        let edited = json!({"policy": {"phases": {"delete": {"min_age": "90d", "actions": {"delete": {}}}}}});
        http::put(&self.server.address, POLICY, &edited.to_string());
        let output = self.expvastic(&["setup"], config);
        let out = text(&output.stdout);
        let mut problems = Vec::new();
        let is_so = output.status.code() == Some(1) && out.contains("was edited by hand, and is left unchanged");
        problems.extend(unless(is_so, || format!("a policy that was edited: {out}")));
        let kept = parsed(&http::get(&self.server.address, POLICY));
        let age = &kept["expvastic-kept-y.m.d-30d"]["policy"]["phases"]["delete"]["min_age"];
        problems.extend(unless(age == "90d", || format!("the policy became {kept}")));
        problems
    }

    /// By way of the template, the policy deletes the index: at once, if a person shortens its time to nothing.
    fn is_deleted(&self) -> Option<String> {
        let server = &self.server.address;
        http::put(server, "/_cluster/settings", r#"{"transient":{"indices.lifecycle.poll_interval":"1s"}}"#);
        http::put(server, POLICY, r#"{"policy":{"phases":{"delete":{"min_age":"0ms","actions":{"delete":{}}}}}}"#);
        let indices = || parsed(&http::get(server, "/_cat/indices/kept-*?format=json"));
        let is_gone = wait_until(TIME_MAX, || indices().as_array().is_some_and(Vec::is_empty));
        unless(is_gone, || format!("the policy deletes nothing: {}", indices()))
    }
}
