//! The type of an endpoint's address. libcurl's client needs it, and no other module has to know where it comes from.

pub(crate) use isahc::http::Uri;
