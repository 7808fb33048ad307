//! A request in the form that isahc expects.

#[cfg(feature = "tls")]
use super::super::error::TransportError;
use super::super::error::libcurl::LibcurlError;
use super::super::proxies::Proxy;
#[cfg(feature = "tls")]
use super::super::tls::TlsError;
use super::super::{ACCEPTED, HttpError, Payload, Request};
#[cfg(feature = "tls")]
use crate::access::{ClientCertificate, Tls};
use crate::clock;
#[cfg(feature = "tls")]
use crate::limits;
#[cfg(feature = "tls")]
use crate::regular_file;
use isahc::AsyncBody;
use isahc::config::Configurable;
use isahc::http::header;
#[cfg(feature = "tls")]
use isahc::tls::{Identity, PrivateKey, TlsConfig, TrustStore};
use smol::io::AsyncRead;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pub(super) fn prepared(request: &Request<'_>, proxy: &Proxy) -> Result<isahc::Request<AsyncBody>, HttpError> {
    let url = request.endpoint.url.clone();
    let left = request.deadline.saturating_duration_since(clock::now());
    if left.is_zero() {
        return Err(HttpError::Timeout(request.timeout));
    }
    // libcurl counts in milliseconds, and zero means "no timeout".
    let left = left.max(Duration::from_millis(1));
    // The proxy was chosen by `Proxies`. The empty list of exemptions keeps libcurl from reading `no_proxy` itself.
    let exempt: [&str; 0] = [];
    let proxy = Some(proxy.url.clone());
    let mut builder = isahc::Request::builder().uri(url).timeout(left).proxy(proxy).proxy_blacklist(exempt);
    #[cfg(feature = "tls")]
    if request.endpoint.url.scheme_str() == Some("https") {
        let tls = &request.endpoint.identity.access().tls;
        check_files(tls).map_err(TransportError::Tls)?;
        builder = builder.tls_config(tls_config(tls));
    }
    for (name, value) in &request.headers.fields {
        let mut value = header::HeaderValue::from_str(value.expose())
            .map_err(|_| LibcurlError::HeaderField { name: name.clone() })?;
        value.set_sensitive(true);
        builder = builder.header(name, value);
    }
    let built = match &request.payload {
        None => builder.method("GET").header(header::ACCEPT, ACCEPTED).body(AsyncBody::empty()),
        Some(payload) => {
            let length = payload.bytes().len() as u64;
            let body = AsyncBody::from_reader_sized(PayloadBody { payload: payload.clone(), sent: 0 }, length);
            if let Some(encoding) = payload.content_encoding() {
                builder = builder.header(header::CONTENT_ENCODING, encoding);
            }
            for name in payload.further_fields() {
                builder = builder.header(*name, "x");
            }
            builder.method(payload.method()).header(header::CONTENT_TYPE, payload.content_type()).body(body)
        }
    };
    built.map_err(|error| LibcurlError::Request { words: error.to_string() }.into())
}

/// Checks that the files which libcurl is going to open are regular: opening a FIFO would block its thread, and with it all
/// transfers.
#[cfg(feature = "tls")]
fn check_files(tls: &Tls) -> Result<(), TlsError> {
    let client = tls.client.iter().flat_map(|client| [&client.cert_file, &client.key_file]);
    tls.ca_file.iter().chain(client).try_for_each(|path| {
        regular_file::check(path, limits::CERTIFICATES_BYTES_MAX)
            .map_err(|error| TlsError::File { path: path.clone(), error })
    })
}

/// The TLS settings. libcurl reads the files each time it connects, so certificates can be replaced at any time.
#[cfg(feature = "tls")]
fn tls_config(tls: &Tls) -> TlsConfig {
    let mut config = TlsConfig::builder().danger_accept_invalid_certs(!tls.verify);
    if let Some(path) = &tls.ca_file {
        config = config.trust_store(TrustStore::from_file(path));
    }
    if let Some(ClientCertificate { cert_file, key_file }) = &tls.client {
        let key = PrivateKey::from_pem_file(key_file, None);
        config = config.identity(Identity::from_pem_file(cert_file, Some(key)));
    }
    config.build()
}

/// Reads a payload as the body of a request, without copying all of it first.
struct PayloadBody {
    payload: Payload,
    sent: usize,
}

impl AsyncRead for PayloadBody {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let rest = &self.payload.bytes()[self.sent..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.sent += length;
        Poll::Ready(Ok(length))
    }
}
