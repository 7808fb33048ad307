//! The command `setup`: installs or prints the index templates of all recorders of a configuration.

use super::Feed;
use super::elasticsearch::retention::Policy;
use super::elasticsearch::setup::life_cycle::Kept;
use super::elasticsearch::setup::{Address, Outcome};
use super::elasticsearch::template::means::Means;
use super::elasticsearch::template::{Flavour, Template, Wish, pretty};
use super::elasticsearch::wish;
use crate::config::{Config, Host, Recorder, ServerTarget, Target};
use crate::http::{Http, Identity};
use std::fmt::Write;
use std::sync::Arc;

/// The recorders that routes name and that ship to a server, each with what its template should say.
fn wishes(config: &Config) -> impl Iterator<Item = (&Recorder, &ServerTarget, Wish)> {
    config.recorders.iter().filter_map(|recorder| {
        let Target::Elasticsearch(target) = &recorder.target else { return None };
        let feed = feed(config, recorder);
        (feed.readers > 0).then(|| (&**recorder, target, wish(recorder, target, feed)))
    })
}

/// What the readers that routes connect to a recorder give it.
pub(crate) fn feed(config: &Config, recorder: &Arc<Recorder>) -> Feed {
    let feeds = |other: &Arc<Recorder>| Arc::ptr_eq(other, recorder);
    let feeders = config.engines.iter().filter(|engine| engine.recorders.iter().any(feeds));
    Feed::of(feeders.map(|engine| &*engine.reader))
}

/// The templates as requests, for each kind of server.
pub(crate) fn shown(config: &Config) -> String {
    let mut text = String::new();
    for (recorder, _, wish) in wishes(config) {
        for (servers, flavour, means) in forms(&wish) {
            let wish = Wish { means, ..wish.clone() };
            let _ = match Template::new(&wish, flavour) {
                Some(template) => {
                    if let Some(policy) = Policy::new(&wish, means) {
                        let (name, body) = (recorder.name(), pretty(&policy.text));
                        let _ = writeln!(text, "# {name}: {servers}\nPUT {}\n{body}\n", policy.path);
                    }
                    let name = recorder.name();
                    writeln!(text, "# {name}: {servers}\nPUT {}\n{}\n", template.path, pretty(&template.text))
                }
                None => writeln!(text, "# {}: {servers}: {}\n", recorder.name(), Outcome::NoName),
            };
        }
    }
    text
}

/// The kinds of servers that get different requests: their names, the form of their template, and by what they delete.
fn forms(wish: &Wish) -> Vec<(&'static str, Flavour, Means)> {
    let is_kept = wish.retention.is_some();
    let mut forms = Vec::new();
    for flavour in Flavour::ALL {
        let servers = flavour.servers();
        match flavour {
            Flavour::Flat if is_kept && wish.data_stream => {
                forms.push(("Elasticsearch from 8.11 on", flavour, Means::Stream));
                forms.push(("Elasticsearch from 8.3 to 8.10", flavour, Means::Ilm));
            }
            Flavour::OpenSearch if is_kept => forms.push((servers, flavour, Means::Ism)),
            Flavour::Legacy6 if is_kept => {
                forms.push(("Elasticsearch from 6.6 on", flavour, Means::Ilm));
                forms.push(("Elasticsearch from 6.0 to 6.5, which delete nothing", flavour, Means::None));
            }
            Flavour::Legacy5 if is_kept => forms.push(("Elasticsearch 5, which deletes nothing", flavour, Means::None)),
            Flavour::Flat | Flavour::Composable | Flavour::Legacy7 if is_kept => {
                forms.push((servers, flavour, Means::Ilm));
            }
            _ => forms.push((servers, flavour, Means::None)),
        }
    }
    forms
}

/// Installs the templates. Returns a line for each recorder that says what was done, and whether all went well.
pub(crate) async fn apply(config: &Config, http: &Http) -> (String, bool) {
    let (mut text, mut is_good) = (String::new(), true);
    // A secret of one recorder is also hidden in the answers to the others.
    let _known: Vec<Identity> = config.accesses().map(Identity::new).collect();
    for (recorder, target, wish) in wishes(config) {
        let line = apply_to(target, &wish, http).await;
        is_good &= line.is_ok();
        let (Ok(line) | Err(line)) = line;
        let _ = writeln!(text, "{}: {line}", recorder.name());
    }
    if text.is_empty() {
        text.push_str("no route has an elasticsearch recorder: nothing to set up\n");
    }
    (text, is_good)
}

/// Asks one host after the other until one answers. Any of them will do, because they belong to one cluster.
async fn apply_to(target: &ServerTarget, wish: &Wish, http: &Http) -> Result<String, String> {
    let mut failures = Vec::new();
    for Host { url, access } in &target.hosts {
        let address = Address::new(url, access, target.timeout);
        let outcome = match address.product(http).await {
            Err(error) => Err(error),
            Ok(product) => address.set_up(http, wish, product).await.map(|outcome| (product, outcome)),
        };
        match outcome {
            Ok((product, (outcome, kept))) => {
                let retention = if kept == Kept::NotWanted { String::new() } else { format!("; retention: {kept}") };
                let line = format!("{product}: {outcome}{retention}");
                let is_bad = matches!(outcome, Outcome::Refused(_) | Outcome::NoName | Outcome::NotForStream(..));
                return if is_bad || !kept.is_good() { Err(line) } else { Ok(line) };
            }
            Err(error) if target.hosts.len() == 1 => return Err(error.refusal.to_string()),
            Err(error) => failures.push(address.named(error.refusal.to_string())),
        }
    }
    Err(failures.join("; "))
}
