//! How an endpoint is reached, for `expvastic test`: the addresses of its name, the proxy, and the certificate.

use super::names::addresses;
use super::{Address, Endpoint, Http, without_brackets};
use crate::calendar::Timestamp;
use crate::clock;
use crate::event_loop;
use std::net::IpAddr;
use std::time::Duration;

/// What is known about an endpoint beside its answers.
#[derive(Debug, Default)]
pub(crate) struct Reachability {
    /// The addresses of its host name. Empty if it has none, or if a proxy looks the name up.
    pub(crate) addresses: Vec<IpAddr>,
    /// The environment variable that names the proxy.
    pub(crate) proxy: Option<&'static str>,
    /// When its certificate expires.
    pub(crate) certificate_expiry: Option<Timestamp>,
}

impl Http {
    /// Finds out how an endpoint is reached, in at most `timeout`.
    pub(crate) async fn reachability(&self, endpoint: &Endpoint, timeout: Duration) -> Reachability {
        let proxy = self.transports.proxies.for_url(&endpoint.url).filter(|_| !endpoint.is_neighbour());
        if let Some(proxy) = proxy {
            return Reachability { proxy: Some(proxy.variable), ..Reachability::default() };
        }
        let deadline = clock::now() + timeout;
        let late = async {
            event_loop::sleep_until(deadline).await;
            Vec::new()
        };
        let mut found = Reachability::default();
        if without_brackets(endpoint.url.host().unwrap_or_default()).parse::<IpAddr>().is_err() {
            let addresses = smol::future::or(addresses(endpoint), late).await.into_iter();
            found.addresses.extend(addresses.filter_map(|address| match address {
                Address::Net(address) => Some(address.ip()),
                Address::Unix(_) => None,
            }));
        }
        #[cfg(feature = "tls")]
        if endpoint.url.scheme_str() == Some("https") {
            found.certificate_expiry = super::certificate::expiry(endpoint, deadline).await;
        }
        found
    }
}
