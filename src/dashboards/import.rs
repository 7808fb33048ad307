//! Sends saved objects to Kibana or OpenSearch Dashboards, and says in words what became of them.

use crate::access::Access;
use crate::http::{Answer, Endpoint, FORM_TYPE, Http, Identity, Payload};
use crate::limits;
use crate::plural::counted;
use crate::redact;
use simd_json::prelude::*;
use simd_json::tape;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Where saved objects are sent, and how.
pub(crate) struct Destination {
    /// The validated URL of the front end, with or without a path.
    pub(crate) url: String,
    pub(crate) access: Arc<Access>,
    pub(crate) timeout: Duration,
    /// Whether objects that exist are replaced.
    pub(crate) overwrite: bool,
}

const ELSEWHERE: &str = "is this Kibana or OpenSearch Dashboards, with its base path and space? Their port is usually \
                         5601; the search server's, 9200, has no dashboards";

/// Sends the objects. Gives a text about it, and whether all of them were taken.
pub(crate) async fn import(http: &Http, destination: Destination, objects: &[u8]) -> (String, bool) {
    let Destination { url, access, timeout, overwrite } = destination;
    let (base, query) = url.split_once('?').unwrap_or((&url, ""));
    let (mark, overwrites) = (if query.is_empty() { "" } else { "&" }, if overwrite { "overwrite=true" } else { "" });
    let target = [base.trim_end_matches('/'), "/api/saved_objects/_import?", query, mark, overwrites].concat();
    let endpoint = Endpoint::with_identity(&target, Rc::new(Identity::new(access)));
    let payload = Payload::Form(Arc::new(form(objects)));
    let answer = http.ask(&endpoint, timeout, Some(payload), limits::IMPORT_ANSWER_BYTES_MAX).await;
    match answer {
        Ok(mut answer) => {
            let advice = match &answer.location {
                Some(location) => {
                    let location = redact::quote(location.as_bytes(), limits::QUOTED_BYTES_MAX);
                    Some(format!("it redirects to {location}, and redirects are not followed; {ELSEWHERE}"))
                }
                None => endpoint.advice(answer.status),
            };
            outcome(&url, &mut answer, advice.as_deref())
        }
        Err(error) => {
            let (fix, _) = error.remedy("front end");
            // The key is one of the recorder's.
            let fix = fix.replace("endpoint", "--import");
            let between = if fix.is_empty() { "" } else { "; " };
            (format!("{url}: {error}{between}{fix}\n"), false)
        }
    }
}

fn form(objects: &[u8]) -> Vec<u8> {
    let head = "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"expvastic.ndjson\"\r\nContent-Type: \
                application/ndjson\r\n\r\n";
    let boundary = FORM_TYPE.split_once('=').map_or("", |(_, boundary)| boundary).as_bytes();
    [b"--", boundary, head.as_bytes(), objects, b"\r\n--", boundary, b"--\r\n"].concat()
}

/// What the answer says, and whether all objects were taken.
fn outcome(url: &str, answer: &mut Answer, advice: Option<&str>) -> (String, bool) {
    let page = redact::quote(&answer.body, limits::QUOTED_BYTES_MAX);
    let tape = simd_json::to_tape(&mut answer.body).ok();
    let root = tape.as_ref().map(|tape| tape.as_value());
    let success = member(root, "success").and_then(|success| success.as_bool());
    if let (200, Some(success)) = (answer.status, success) {
        let taken = member(root, "successCount").and_then(|count| count.as_u64()).unwrap_or_default();
        let mut text = counted(taken, "object") + " imported\n";
        let mut conflicts = false;
        let errors = member(root, "errors").and_then(|errors| errors.as_array());
        for error in errors.iter().flat_map(tape::Array::iter) {
            let reason = member(Some(error), "error");
            let kind = text_of(reason, "type");
            let is_conflict = kind.ends_with("conflict");
            conflicts |= is_conflict;
            for part in [
                "  ",
                text_of(Some(error), "type"),
                " ",
                text_of(Some(error), "id"),
                ": ",
                if is_conflict { "exists" } else { kind },
                " ",
                text_of(reason, "message"),
                "\n",
            ] {
                text.push_str(part);
            }
        }
        if conflicts {
            text.push_str("What exists was left as it is: --overwrite replaces it.\n");
        }
        return ([url, ": ", &redact::quote(text.as_bytes(), limits::IMPORT_TEXT_BYTES_MAX)].concat(), success);
    }
    let message = match text_of(root, "message") {
        "" => page,
        message => redact::quote(message.as_bytes(), limits::QUOTED_BYTES_MAX),
    };
    let advice = match (advice, answer.status) {
        (Some(advice), _) => advice,
        (None, 422) => "this version does not take these objects: Kibana 8 and 9, OpenSearch Dashboards 2 and 3 do",
        (None, 429 | 500..=599) => "it is busy, or not ready yet: try again",
        (None, _) => ELSEWHERE,
    };
    let privilege = if answer.status == 403 { "; it has to be allowed to write saved objects" } else { "" };
    (format!("{url}: status {}: {message}; {advice}{privilege}\n", answer.status), false)
}

fn member<'t, 'i>(value: Option<tape::Value<'t, 'i>>, name: &str) -> Option<tape::Value<'t, 'i>> {
    value?.get(name)
}

/// The text in a member; empty if there is none.
fn text_of<'i>(value: Option<tape::Value<'_, 'i>>, name: &str) -> &'i str {
    member(value, name).and_then(ValueIntoString::into_string).unwrap_or_default()
}
