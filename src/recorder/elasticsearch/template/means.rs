//! By what a server deletes old documents, as far as the template says it. Pure.

use super::super::server::Product;
use super::{Wish, plain_name};
use crate::config::Retention;

/// By what a server deletes documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Means {
    /// By nothing, or nothing is to be deleted.
    #[default]
    None,
    /// The life cycle of a data stream.
    Stream,
    /// Elasticsearch's index life cycle management.
    Ilm,
    /// OpenSearch's index state management.
    Ism,
}

impl Means {
    pub(crate) fn of(product: Product, data_stream: bool) -> Self {
        match product {
            Product::Elasticsearch(version) if data_stream && version.is_from(8, 11) => Self::Stream,
            Product::Elasticsearch(version) if version.is_from(6, 6) => Self::Ilm,
            Product::OpenSearch(_) => Self::Ism,
            Product::Elasticsearch(_) | Product::Unknown => Self::None,
        }
    }
}

/// The name of the ILM policy for this template.
pub(crate) fn ilm_name(wish: &Wish, retention: Retention) -> String {
    format!("{}-{}", plain_name(&wish.index_name), notation(retention.hours))
}

/// A time in the servers' notation.
pub(crate) fn notation(hours: u32) -> String {
    if hours.is_multiple_of(24) { format!("{}d", hours / 24) } else { format!("{hours}h") }
}
