//! How an endpoint is reached, for `expvastic test`: the addresses of its name, the proxy, and the certificate.

#[cfg(feature = "tls")]
use super::{Caps, NewBuffers, Purpose, Request};
use super::{Endpoint, Http};
use crate::calendar::Timestamp;
use crate::clock;
use std::net::IpAddr;
#[cfg(feature = "tls")]
use std::rc::Rc;
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
        if let Some(proxy) = self.proxy_for(endpoint) {
            return Reachability { proxy: Some(proxy.variable), ..Reachability::default() };
        }
        let deadline = clock::now() + timeout;
        let direct = &self.transports.direct;
        let addresses = direct.addresses(endpoint, timeout, deadline).await;
        #[cfg_attr(not(feature = "tls"), allow(unused_mut, reason = "there are no certificates"))]
        let mut found = Reachability { addresses, ..Reachability::default() };
        #[cfg(feature = "tls")]
        if endpoint.is_tls() {
            let request = Request {
                endpoint,
                purpose: Purpose::Poll,
                headers: Rc::default(),
                payload: None,
                timeout,
                deadline,
                caps: Caps { success: 0, other: 0 },
                buffers: &NewBuffers(0),
            };
            found.certificate_expiry = direct.certificate_expiry(&request).await;
        }
        found
    }
}
