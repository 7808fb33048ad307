//! Payloads in which values turn into objects and back, and the documents that a server stores. Unless a server keeps dotted names
//! flat, it refuses an object if its mapping has a value of that name, and the other way round.

use super::flatten_twin::Flat;
use super::loopback::{Reply, Server};
use super::server::differences;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The successive answers of one endpoint. A null makes no field in the mapping, so it may turn into anything.
#[rustfmt::skip]
const STORIES: [&[&str]; 8] = [
    &[r#"{"a":1}"#, r#"{"a":{"b":2,"c":{"d":3}}}"#, r#"{"a":4,"a.b":5}"#, r#"{"a.b.c":7}"#, r#"{"a":[{"x":8}],"a":9}"#],
    &[r#"{"a":{"b":1}}"#, r#"{"a":2}"#, r#"{"a":{"_value":{"x":3},"b":4}}"#, r#"{"a":[5,6]}"#],
    &[r#"{"a":1,"a.b":2}"#, r#"{"a":1,"a":2,"c":3}"#, r#"{"c":{"x":1},"a":{"_value#2":{"y":2}}}"#],
    &[r#"{"a":null,"b":[],"c":[[null]],"d":[{"l":[]}],"z":0}"#, r#"{"a":{"x":1},"b":[{"x":2}],"c":{"x":3},"d":{"l":{"x":4}},"z":0}"#,
      r#"{"a":5,"b":6,"d":7,"z":0}"#],
    &[r#"{"a":"text"}"#, r#"{"a":{"b":"text"}}"#, r#"{"a":"other","a.b.c":"text"}"#],
    &[r#"{"a":[{"x":1},{"x":2}]}"#, r#"{"a":[1,2]}"#, r#"{"a":{"x":{"y":1}}}"#, r#"{"a":[{"x":[{"y":2}]}]}"#],
    &[r#"{"a.b.c.d":1}"#, r#"{"a.b":1}"#, r#"{"a":{"b":{"c":2}}}"#, r#"{"a":true}"#],
    &[r#"{"n":1,"n_per_second":{"x":1}}"#, r#"{"n":2,"n_per_second":{"x":2}}"#, r#"{"n":3}"#],
];

/// Serves each story again and again, with its number as the path.
fn teller() -> (Server, Arc<Mutex<[usize; STORIES.len()]>>) {
    let polls = Arc::new(Mutex::new([0; STORIES.len()]));
    let counted = Arc::clone(&polls);
    let app = Server::start(move |request| {
        let story: usize = request.target[1..].parse().expect("the number of a story");
        let mut counted = counted.lock().expect("the polls");
        let payloads = STORIES[story];
        let payload = payloads[counted[story] % payloads.len()];
        counted[story] += 1;
        Reply::Chunked(payload.as_bytes().to_vec())
    });
    (app, polls)
}

/// Polls each story three times with `ship_until`, into an index of its own and into a file. Returns the problems of the stored
/// documents.
pub(crate) fn problems(
    elasticsearch: &str,
    file: &str,
    ship_until: impl FnOnce(&str, &mut dyn FnMut() -> bool) -> Option<String>,
    documents: impl Fn(&str) -> Vec<Flat>,
) -> Vec<String> {
    let (app, polls) = teller();
    let (mut readers, mut recorders, mut routes) = (String::new(), String::new(), String::new());
    for story in 0..STORIES.len() {
        readers += &format!("  r{story}: {{type_name: s{story}, endpoint: {}/{story}, interval: 50ms}}\n", app.address);
        recorders += &format!("  e{story}: {{endpoint: {elasticsearch}, index_name: story-{story}}}\n");
        routes += &format!("  x{story}: {{readers: r{story}, recorders: [e{story}, sent]}}\n");
    }
    let config = format!(
        "settings: {{shutdown_timeout: 60s}}\nreaders:\n{readers}recorders:\n{recorders}  sent: {{type: file, path: \"{file}\", \
         index_name: sent}}\nroutes:\n{routes}"
    );
    let mut all_are_told = || {
        let polls = polls.lock().expect("the polls");
        polls.iter().zip(STORIES).all(|(polls, payloads)| *polls > 3 * payloads.len())
    };
    let mut problems: Vec<String> = ship_until(&config, &mut all_are_told).into_iter().collect();
    let sent = std::fs::read_to_string(file).expect("what was sent");
    let mut sent_in: BTreeMap<String, Vec<Flat>> = BTreeMap::new();
    for line in sent.lines().skip(1).step_by(2) {
        let document: Flat = serde_json::from_str(line).expect("strict JSON");
        sent_in.entry(document["service.name"].as_str().expect("a name").to_owned()).or_default().push(document);
    }
    for story in 0..STORIES.len() {
        let sent = sent_in.remove(&format!("s{story}")).unwrap_or_default();
        let stored = documents(&format!("story-{story}"));
        problems.extend(compare(&sent, &stored).into_iter().map(|problem| format!("story {story}: {problem}")));
    }
    problems
}

fn compare(sent: &[Flat], stored: &[Flat]) -> Vec<String> {
    let mut problems = Vec::new();
    if sent.len() < 9 || sent.len() != stored.len() {
        problems.push(format!("{} documents of {} are stored", stored.len(), sent.len()));
    }
    let time = |document: &Flat| document["@timestamp"].as_str().map(str::to_owned);
    let stored: BTreeMap<_, _> = stored.iter().map(|document| (time(document), document)).collect();
    for sent in sent {
        match stored.get(&time(sent)) {
            Some(stored) => problems.extend(differences(sent, stored)),
            None => problems.push(format!("{sent:?} is not stored")),
        }
    }
    problems
}
