//! The addresses of a host name, outside of exchanges: libcurl looks names up by itself.

use super::{Address, Endpoint, without_brackets};

/// The addresses of an endpoint, for which a name server may have to be asked. None if it does not know the name.
pub(super) async fn addresses(endpoint: &Endpoint) -> Vec<Address> {
    if !endpoint.addresses.is_empty() {
        return endpoint.addresses.clone();
    }
    let host = without_brackets(endpoint.url.host().unwrap_or_default());
    let resolved = smol::net::resolve((host, endpoint.url.port_u16().unwrap_or(443))).await;
    resolved.unwrap_or_default().into_iter().map(Address::Net).collect()
}
