//! Ships bulks to Elasticsearch, OpenSearch, or whatever else speaks `_bulk`. No product check: any server that answers
//! like one is one.

pub(super) mod verdict;

use crate::bulk::Bulk;
use crate::http::{Http, Uri};
use crate::limits;
use std::sync::Arc;
use std::time::Duration;
use verdict::{Refusal, Verdict};

/// What is asked of the answer: enough to know the fate of each document, and no more.
const QUERY: &str = "filter_path=errors,items.*.status,items.*.error";

/// One server.
#[derive(Debug)]
pub(super) struct Elasticsearch {
    bulk_url: Uri,
    timeout: Duration,
}

impl Elasticsearch {
    /// `url` is the validated URL of the endpoint, with or without a path of its own.
    pub(super) fn new(url: &str, timeout: Duration) -> Self {
        let (base, query) = url.split_once('?').map_or((url, ""), |(base, query)| (base, query));
        let separator = if query.is_empty() { "" } else { "&" };
        let bulk_url = format!("{}/_bulk?{query}{separator}{QUERY}", base.trim_end_matches('/'));
        Self { bulk_url: bulk_url.parse().unwrap_or_default(), timeout }
    }

    /// Sends the bulk and judges the answer.
    pub(super) async fn ship(&self, http: &Http, bulk: &Arc<Bulk>) -> Verdict {
        let documents = bulk.documents();
        let answer_bytes = limits::ANSWER_BYTES_MIN + documents * limits::ANSWER_BYTES_PER_DOCUMENT;
        match http.post_bulk(&self.bulk_url, self.timeout, Arc::clone(bulk), answer_bytes).await {
            Ok(answer) => verdict::judge(answer, documents),
            Err(error) => Verdict::Again(Refusal { reason: error.to_string(), after: None, slow: false }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bulk_goes_below_the_endpoints_path() {
        for (url, bulk_url) in [
            ("http://h:9200", "http://h:9200/_bulk?"),
            ("http://h:9200/", "http://h:9200/_bulk?"),
            ("http://h/es/?x=y", "http://h/es/_bulk?x=y&"),
        ] {
            let server = Elasticsearch::new(url, Duration::ZERO);
            assert_eq!(server.bulk_url.to_string(), format!("{bulk_url}{QUERY}"));
        }
    }
}
