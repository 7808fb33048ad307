//! What a request carries. Pure.

use crate::bulk::Bulk;
use std::sync::Arc;

/// The type of a form with a file. It ends with what separates the parts, which no JSON text has a line like.
pub(crate) const FORM_TYPE: &str = "multipart/form-data; boundary=expvastic-3f9a61c07d52e84b";

/// What a request carries, and how.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// POST of documents.
    Bulk(Arc<Bulk>),
    /// The same, compressed by gzip.
    Gzip(Arc<Vec<u8>>),
    /// PUT of a JSON text.
    Json(Arc<str>),
    /// POST of a JSON text that only asks, and changes nothing.
    Question(Arc<str>),
    /// POST of a file, as a form sends it: the parts of the body are separated as [`FORM_TYPE`] says.
    Form(Arc<Vec<u8>>),
}

impl Payload {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bulk(bulk) => bulk.bytes(),
            Self::Gzip(bytes) | Self::Form(bytes) => bytes,
            Self::Json(text) | Self::Question(text) => text.as_bytes(),
        }
    }

    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Bulk(_) | Self::Gzip(_) | Self::Form(_) | Self::Question(_) => "POST",
            Self::Json(_) => "PUT",
        }
    }

    pub(super) fn content_type(&self) -> &'static str {
        match self {
            Self::Bulk(_) | Self::Gzip(_) => "application/x-ndjson",
            Self::Json(_) | Self::Question(_) => "application/json",
            Self::Form(_) => FORM_TYPE,
        }
    }

    /// Names of further header fields. Any value will do: without these, front ends refuse what changes something.
    pub(super) fn further_fields(&self) -> &'static [&'static str] {
        match self {
            Self::Form(_) => &["kbn-xsrf", "osd-xsrf"],
            Self::Bulk(_) | Self::Gzip(_) | Self::Json(_) | Self::Question(_) => &[],
        }
    }

    pub(super) fn content_encoding(&self) -> Option<&'static str> {
        match self {
            Self::Gzip(_) => Some("gzip"),
            Self::Bulk(_) | Self::Json(_) | Self::Form(_) | Self::Question(_) => None,
        }
    }
}
