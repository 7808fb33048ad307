//! The command `setup`: the index templates of all recorders of a configuration, put in place or only shown.

use super::Feed;
use super::elasticsearch::setup::{Address, Outcome};
use super::elasticsearch::template::{Flavour, Template, Wish};
use super::elasticsearch::wish;
use crate::config::{Config, Recorder, ServerTarget, Target};
use crate::http::Http;
use std::fmt::Write;
use std::sync::Arc;

/// What each recorder that a route names wishes for.
fn wishes(config: &Config) -> impl Iterator<Item = (&Recorder, &ServerTarget, Wish)> {
    config.recorders.iter().filter_map(|recorder| {
        let Target::Elasticsearch(target) = &recorder.target else { return None };
        let feeds = |other: &Arc<Recorder>| Arc::ptr_eq(other, recorder);
        let feeders = config.engines.iter().filter(|engine| engine.recorders.iter().any(feeds));
        let feed = Feed::of(feeders.map(|engine| &*engine.reader));
        (feed.readers > 0).then(|| (&**recorder, target, wish(recorder, target, feed)))
    })
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

/// Puts the templates in place; gives what was done, a line for each recorder, and whether all went well.
pub(crate) async fn apply(config: &Config, http: &Http) -> (String, bool) {
    let (mut text, mut is_good) = (String::new(), true);
    for (recorder, target, wish) in wishes(config) {
        let address = Address::new(&target.url, target.timeout);
        let line = match address.product(http).await {
            Err(silence) => Err(silence.refusal.reason),
            Ok(product) => match address.set_up(http, &wish, product).await {
                Err(silence) => Err(silence.refusal.reason),
                Ok(outcome @ (Outcome::Refused(_) | Outcome::NoName)) => Err(format!("{product}: {outcome}")),
                Ok(outcome) => Ok(format!("{product}: {outcome}")),
            },
        };
        is_good &= line.is_ok();
        let (Ok(line) | Err(line)) = line;
        let _ = writeln!(text, "{}: {line}", recorder.name());
    }
    if text.is_empty() {
        text.push_str("no recorder of a route ships to a server: there is nothing to set up\n");
    }
    (text, is_good)
}
