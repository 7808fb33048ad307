//! The type of an endpoint's address. No other module has to know where it comes from.

pub(crate) use ::http::Uri;
