//! The command `setup`: installs or prints the index templates of all recorders of a configuration.

use super::Feed;
use super::elasticsearch::setup::{Address, Outcome};
use super::elasticsearch::template::{Flavour, Template, Wish};
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
        for flavour in Flavour::ALL {
            let _ = match Template::new(&wish, flavour) {
                Some(template) => writeln!(
                    text,
                    "# {}: {}\nPUT {}\n{}\n",
                    recorder.name(),
                    flavour.servers(),
                    template.path,
                    template.pretty()
                ),
                None => writeln!(text, "# {}: {}: {}\n", recorder.name(), flavour.servers(), Outcome::NoName),
            };
        }
    }
    text
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
            Ok((product, outcome @ (Outcome::Refused(_) | Outcome::NoName | Outcome::NotForStream(..)))) => {
                return Err(format!("{product}: {outcome}"));
            }
            Ok((product, outcome)) => return Ok(format!("{product}: {outcome}")),
            Err(error) if target.hosts.len() == 1 => return Err(error.refusal.to_string()),
            Err(error) => failures.push(address.named(error.refusal.to_string())),
        }
    }
    Err(failures.join("; "))
}
