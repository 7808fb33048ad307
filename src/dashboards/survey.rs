//! Finds out which fields the documents of one recorder have: polls each of its readers once.

use super::fields::Fields;
use crate::config::{Config, LogLevel, Reader, Recorder, Routed, Source};
use crate::flatten::{FlattenError, GcPauses, Scratch, VariableRules, Variables};
use crate::http::{Endpoint, Http};
use crate::log::ComponentLevel;
use crate::metrics::{Ledger, Metrics, ProcessUsage, ReaderCounts, Snapshot};
use crate::reader::Reading;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// A poll, which gives a document.
type Polling<'p> = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + 'p>>;

/// The fields of the documents that `recorder` is given, and a line for each reader that gave none.
pub(crate) async fn fields(config: &Config, recorder: &Arc<Recorder>, http: &Http) -> (Fields, Vec<String>) {
    let feeds = |engine: &&Routed| engine.recorders.iter().any(|other| Arc::ptr_eq(other, recorder));
    let readers: Vec<&Arc<Reader>> = config.engines.iter().filter(feeds).map(|engine| &engine.reader).collect();
    let mut polls: Vec<Option<Polling<'_>>> = Vec::new();
    for reader in &readers {
        polls.push(Some(Box::pin(document(config, reader, http))));
    }
    let mut polled: Vec<_> = polls.iter().map(|_| None).collect();
    // All at once: one that does not answer must not hold up the others.
    poll_fn(|context| {
        for (poll, polled) in polls.iter_mut().zip(&mut polled) {
            if let Some(Poll::Ready(result)) = poll.as_mut().map(|poll| poll.as_mut().poll(context)) {
                (*poll, *polled) = (None, Some(result));
            }
        }
        if polls.iter().any(Option::is_some) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    let (mut fields, mut silent) = (Fields::default(), Vec::new());
    for (reader, polled) in readers.into_iter().zip(polled) {
        match polled {
            Some(Ok(mut document)) => fields.add(&mut document, &reader.variables, reader.source == Source::Own),
            Some(Err(error)) => silent.push([&reader.name, ": poll failed: ", &error].concat()),
            None => {}
        }
    }
    (fields, silent)
}

async fn document(config: &Config, reader: &Arc<Reader>, http: &Http) -> Result<Vec<u8>, String> {
    let reader = &one_of(reader, http).await?;
    let level = ComponentLevel::of_settings(LogLevel::Error);
    let reading = Reading::new(Arc::clone(reader), &level, "", Duration::ZERO, Some(1));
    let (mut body, mut document) = (Vec::new(), Vec::new());
    if reading.is_own() {
        render_counters(config, &mut body);
    }
    let make = &mut |body: &mut Vec<u8>| -> Result<(), FlattenError> {
        document = typical_document(&reader.variables, body)?;
        Ok(())
    };
    let polled = reading.poll_once(http, body, make).await;
    polled.map(|_| document).map_err(|error| error.to_string())
}

/// The reader; if it stands for targets, the one at the first address: they have the same variables.
async fn one_of(reader: &Arc<Reader>, http: &Http) -> Result<Arc<Reader>, String> {
    let Source::Targets(targets) = &reader.source else { return Ok(Arc::clone(reader)) };
    let url = targets.named_url().ok_or("there are no targets yet")?;
    let endpoint = Endpoint::with_identity(url, Rc::default());
    let addresses = http.addresses(&endpoint, reader.timeout).await.map_err(|error| error.to_string())?;
    let first = targets.at_addresses(reader, &[], &addresses).into_iter().next();
    first.ok_or_else(|| "the name has no address".to_owned())
}

/// The variables of the body in a document that is not a reader's first one, which has neither rates nor pauses.
pub(super) fn typical_document(rules: &VariableRules, body: &mut Vec<u8>) -> Result<Vec<u8>, FlattenError> {
    let mut rules = rules.clone();
    if rules.gc_pauses == GcPauses::New {
        // The body is taken for two polls, between which there was no collection.
        rules.gc_pauses = GcPauses::All;
    }
    let (mut scratch, mut variables, mut document) = (Scratch::new(), Variables::new(rules), Vec::new());
    for seconds in 0..2 {
        document.clear();
        document.extend_from_slice(b"{\"\":null");
        scratch.flatten(&mut variables, Duration::from_secs(seconds), body, &mut document)?;
    }
    document.push(b'}');
    Ok(document)
}

/// The payload of the reader `self`, as it is before anything has been counted.
fn render_counters(config: &Config, out: &mut Vec<u8>) {
    let counts = ReaderCounts::default();
    let mut recorders: Vec<(&str, Ledger)> = Vec::new();
    for recorder in config.engines.iter().flat_map(|engine| &engine.recorders) {
        if recorders.iter().all(|(name, _)| *name != recorder.name) {
            recorders.push((&recorder.name, Ledger::default()));
        }
    }
    let readers = config.engines.iter().map(|engine| (engine.reader.name(), &counts)).collect();
    let usage = ProcessUsage::now(Duration::ZERO);
    Snapshot { metrics: &Metrics::default(), usage, readers, recorders }.render(out);
}
