//! What a recorder ships to: a cluster, a file or a stream.

use super::Feed;
use super::elasticsearch::reason::Reason;
use super::elasticsearch::verdict::{Judgement, Refusal, Verdict};
use super::elasticsearch::{Cluster, Product};
use super::file::Appender;
use crate::bulk::Bulk;
use crate::config::{Recorder, Target};
use crate::http::Http;
use crate::log::ComponentLevel;
use std::io;
use std::sync::Arc;

pub(super) enum Sink {
    Elasticsearch(Box<Cluster>),
    File(Appender),
}

impl Sink {
    pub(super) fn new(config: &Recorder, feed: Feed, log_level: ComponentLevel) -> Self {
        match &config.target {
            Target::Elasticsearch(server) => {
                Self::Elasticsearch(Box::new(Cluster::new(config, server, feed, log_level)))
            }
            Target::File { path, bytes_max, keep } => {
                Self::File(Appender::new(path.clone(), config.file_mode, *bytes_max, *keep))
            }
        }
    }

    /// Applies another feed.
    pub(super) fn set_feed(&mut self, feed: Feed) {
        if let Self::Elasticsearch(cluster) = self {
            cluster.set_feed(feed);
        }
    }

    /// Ships a bulk, and returns what became of its documents.
    ///
    /// # Errors
    /// The output was closed, so there is no use in trying again.
    pub(super) async fn ship(&mut self, http: &Http, bulk: &Arc<Bulk>) -> Result<Verdict, io::Error> {
        match self {
            Self::Elasticsearch(cluster) => Ok(cluster.ship(http, bulk).await),
            Self::File(appender) => match appender.append(bulk).await {
                Ok(()) => Ok(Verdict::Judged(Judgement::all_acked(bulk.documents()))),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(error),
                Err(error) => {
                    let reason = Reason::File { path: appender.path().to_owned(), error };
                    Ok(Verdict::Again(Refusal::new(reason)))
                }
            },
        }
    }

    /// Whether it copies each bulk to send it, uncompressed.
    pub(super) fn sends_copies(&self) -> bool {
        matches!(self, Self::Elasticsearch(cluster) if cluster.sends_copies())
    }

    /// What the server is, if it is known.
    pub(super) fn product(&self) -> Option<Product> {
        match self {
            Self::Elasticsearch(cluster) => cluster.product(),
            Self::File(_) => None,
        }
    }

    /// Does what has to be done while there is nothing to ship, such as probing hosts, for as long as it is polled.
    pub(super) async fn attend<T>(&mut self) -> T {
        match self {
            Self::Elasticsearch(cluster) => cluster.attend().await,
            Self::File(_) => std::future::pending().await,
        }
    }
}
