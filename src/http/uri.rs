//! The type of an endpoint's address: libcurl's client wants it, and nobody else has to know whose it is.

pub(crate) use isahc::http::Uri;
