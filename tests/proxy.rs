//! Proxies that the environment names: through libcurl, or refused by a program that is built without it. The proxies are on
//! loopback and get all requests, so no host name has to be resolved.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

#[cfg(feature = "proxy")]
#[path = "proxy/choice.rs"]
mod choice;
#[cfg(feature = "proxy")]
#[path = "proxy/credentials.rs"]
mod credentials;
#[path = "support/loopback.rs"]
mod loopback;
#[path = "support/program.rs"]
mod program;
#[cfg(feature = "proxy")]
#[path = "support/socks.rs"]
mod socks;
#[cfg(not(feature = "proxy"))]
#[path = "proxy/without.rs"]
mod without;
