//! The most memory that the process can take with a given configuration, whatever endpoints and servers answer. It is the
//! sum of the bounds in [`limits`], and is logged at the start. Pure.

use crate::config::{Config, Reader, Recorder, ServerTarget, Source, Target};
use crate::http::Endpoint;
use crate::limits;
use std::rc::Rc;
use std::sync::Arc;

/// The most resident memory of the process, bytes.
/// `has_proxies` says whether the environment names a proxy.
pub(crate) fn bytes_max(config: &Config, has_proxies: bool) -> u64 {
    let readers: Vec<&Reader> = config.engines.iter().map(|engine| &*engine.reader).collect();
    let recorders: Vec<&Recorder> = recorders(config);
    let share = config.settings().memory_limit_bytes / recorders.len().max(1) as u64;
    let bodies: Vec<u64> = readers.iter().map(|reader| body_bytes(reader)).collect();
    let largest = bodies.iter().copied().max().unwrap_or_default();
    // One payload at a time is turned into a document. Meanwhile the bodies of the others may be arriving.
    let payloads = largest * limits::MEMORY_PER_BODY_BYTE + bodies.iter().sum::<u64>() - largest;
    let polled = readers.iter().filter_map(|reader| reader.source.url());
    let endpoints: Vec<Endpoint> = polled.chain(recorders.iter().flat_map(|it| urls(it))).map(endpoint).collect();
    let needs = |is_needed: &dyn Fn(&Endpoint) -> bool, bytes| if endpoints.iter().any(is_needed) { bytes } else { 0 };
    let secured = endpoints.iter().filter(|endpoint| endpoint.is_tls()).count() as u64;
    limits::PROGRAM_BYTES
        + needs(&|endpoint| has_proxies && !endpoint.is_neighbour(), limits::LIBCURL_BYTES)
        + needs(&Endpoint::has_name, limits::LOOKUP_BYTES)
        + needs(&Endpoint::is_tls, limits::TLS_BYTES)
        + secured * limits::TLS_CONNECTION_BYTES
        + config.settings().memory_limit_bytes
        + if shows_documents(config) { limits::PAGE_BYTES } else { 0 }
        + payloads
        + readers.len() as u64 * limits::READER_BYTES
        + recorders.iter().map(|recorder| recorder_bytes(recorder, share, largest)).sum::<u64>()
}

/// Whether the status pages show documents.
fn shows_documents(config: &Config) -> bool {
    config.settings().listen.is_some() && config.settings().listen_documents
}

/// The recorders that routes name, each once even if several readers ship to it.
fn recorders(config: &Config) -> Vec<&Recorder> {
    let mut recorders: Vec<&Arc<Recorder>> = Vec::new();
    for recorder in config.engines.iter().flat_map(|engine| &engine.recorders) {
        if !recorders.iter().any(|known| Arc::ptr_eq(known, recorder)) {
            recorders.push(recorder);
        }
    }
    recorders.into_iter().map(|recorder| &**recorder).collect()
}

/// Bytes of the longest body that is read from this reader's endpoint: a payload, or an error page.
fn body_bytes(reader: &Reader) -> u64 {
    match reader.source {
        Source::Expvar { .. } | Source::Targets(_) => reader.body_bytes_max.max(limits::ERROR_PAGE_BYTES as u64),
        Source::Own => limits::OWN_PAYLOAD_BYTES,
    }
}

/// Memory of a recorder in addition to its share, which covers the queued documents and one bulk of the usual size.
fn recorder_bytes(recorder: &Recorder, share: u64, document: u64) -> u64 {
    let Target::Elasticsearch(server) = &recorder.target else { return 0 };
    let usual = recorder.bulk.bytes.min(share / 8);
    // A single long document makes a larger bulk.
    let bulk = usual.max(document.min(share / 2));
    let copies = if is_compressed(server) { 2 * bulk + limits::GZIP_BYTES } else { bulk } - usual;
    let hosts = server.hosts.len() as u64 * limits::HOST_BYTES;
    copies + 2 * limits::ANSWER_KEPT_BYTES_MAX as u64 + u64::from(recorder.bulk.documents) + hosts
}

fn is_compressed(server: &ServerTarget) -> bool {
    server.hosts.iter().any(|host| server.compression.suits(endpoint(&host.url).is_neighbour()))
}

/// The URLs that a recorder ships to.
fn urls(recorder: &Recorder) -> impl Iterator<Item = &str> {
    let hosts = match &recorder.target {
        Target::Elasticsearch(server) => &server.hosts[..],
        Target::File { .. } => &[],
    };
    hosts.iter().map(|host| host.url.as_str())
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint::with_identity(url, Rc::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(yaml: &str) -> u64 {
        bytes_max(&Config::parse("test", yaml, &|_| None).unwrap(), false)
    }

    fn with(settings: &str, reader: &str, recorder: &str) -> u64 {
        bound(&format!(
            "settings: {{{settings}}}\nreaders: {{a: {{type_name: a, endpoint: \"localhost:1\"{reader}}}}}\n\
             recorders: {{es: {{endpoint: \"localhost:2\"{recorder}}}}}\nroutes: {{r: {{readers: a, recorders: es}}}}\n"
        ))
    }

    #[test]
    fn twenty_megabytes_are_enough_by_default() {
        let bytes = with("", "", "");
        assert!((15_000_000..=20_000_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn the_sum_follows_the_configuration() {
        let default = with("", "", "");
        assert_eq!(with("memory_limit: 24MiB", "", "") - default, 16 << 20);
        assert_eq!(with("", ", max_body: 2MiB", "") - default, limits::MEMORY_PER_BODY_BYTE << 20 | 1 << 20);
        assert_eq!(with("", "", ", bulk: {documents: 100000}") - default, 100_000 - 500);
        assert_eq!(with("", "", ", compression: gzip") - default, (1 << 20) + limits::GZIP_BYTES);
        assert!(with("", "", ", compression: none") == default);
        assert_eq!(with("listen: \":1\"", "", "") - default, limits::PAGE_BYTES);
        assert_eq!(with("listen: {address: \":1\", documents: false}", "", ""), default);
        let two = "readers: {a: {type_name: a, endpoint: \"localhost:1\"}, b: {type_name: a, endpoint: \"es:1\"}}\n\
                   recorders: {es: {endpoint: \"localhost:2\"}, unused: {endpoint: \"localhost:3\"}}\n\
                   routes: {r: {readers: [a, b], recorders: es}}\n";
        assert_eq!(bound(two) - default, (1 << 20) + limits::READER_BYTES + limits::LOOKUP_BYTES);
        let parsed = Config::parse("test", two, &|_| None).unwrap();
        assert_eq!(bytes_max(&parsed, true) - bytes_max(&parsed, false), limits::LIBCURL_BYTES);
    }
}
