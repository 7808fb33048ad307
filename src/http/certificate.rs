//! Explains why a server's certificate is not accepted. libcurl knows the reason, but isahc passes only an error code on.
//!
//! After such a failure a second handshake is made only to look at the certificate; it ends when the certificate is
//! refused. `expvastic test` looks at it in the same way, to see when it expires. Only this module uses rustls, which is
//! also the TLS library that libcurl is built with.

use super::error::libcurl::{CertificateProblem, LibcurlError};
use super::{Address, Endpoint, direct, names, without_brackets};
use crate::access::{Tls, pem};
use crate::calendar::Timestamp;
use crate::clock;
use crate::event_loop::{self, Interest, TimedOut};
use crate::limits;
use crate::nonblocking;
use crate::redact;
use crate::regular_file;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use std::net::TcpStream;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Why no TLS connection can be made.
pub(super) enum Finding {
    /// The endpoint's certificate is not accepted.
    Certificate(CertificateProblem),
    /// The endpoint speaks plain HTTP on this port.
    PlainHttp,
}

/// Makes a handshake with the endpoint to find out what is wrong. Returns `None` if that is not found out in time.
pub(super) async fn look(endpoint: &Endpoint, deadline: Instant) -> Option<Finding> {
    let late = async {
        event_loop::sleep_until(deadline.min(clock::now() + limits::CERTIFICATE_LOOK_TIME)).await;
        None
    };
    let verifier = verifier(&endpoint.identity.access().tls)?;
    smol::future::or(find(endpoint, deadline, verifier), late).await
}

async fn find(endpoint: &Endpoint, deadline: Instant, verifier: Arc<dyn ServerCertVerifier>) -> Option<Finding> {
    let tls = &endpoint.identity.access().tls;
    let host = without_brackets(endpoint.url.host()?);
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().ok()?.dangerous();
    let config = Arc::new(config.with_custom_certificate_verifier(verifier).with_no_client_auth());
    let addresses = names::addresses(endpoint).await;
    for address in addresses {
        let name = ServerName::try_from(host.to_owned()).ok()?;
        let connection = ClientConnection::new(Arc::clone(&config), name).ok()?;
        match shake_hands(connection, &address, deadline).await {
            Some(Seen::Error(Error::InvalidCertificate(error))) => {
                return Some(Finding::Certificate(describe(&error, host, tls)));
            }
            Some(Seen::PlainHttp) => return Some(Finding::PlainHttp),
            _ => {}
        }
    }
    None
}

/// When the certificate that the endpoint shows expires. None if that cannot be found out in time. Whether the certificate
/// is accepted is for libcurl to say: nothing is sent over this connection.
pub(super) async fn expiry(endpoint: &Endpoint, deadline: Instant) -> Option<Timestamp> {
    let noted = Arc::new(Noting::default());
    let late = event_loop::sleep_until(deadline.min(clock::now() + limits::CERTIFICATE_LOOK_TIME));
    let shown = async { _ = find(endpoint, deadline, noted.clone()).await };
    smol::future::or(shown, late).await;
    *noted.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Accepts any certificate, and notes when it expires.
#[derive(Debug, Default)]
struct Noting(Mutex<Option<Timestamp>>);

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pem::expiry(certificate);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The verifier that libcurl uses for this configuration.
fn verifier(tls: &Tls) -> Option<Arc<dyn ServerCertVerifier>> {
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let Some(path) = &tls.ca_file else { return Some(Arc::new(Verifier::new(provider).ok()?)) };
    let mut roots = RootCertStore::empty();
    let text = regular_file::read(path, limits::CERTIFICATES_BYTES_MAX).ok()?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().ok()?;
    roots.add_parsable_certificates(certificates);
    Some(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?)
}

/// Why a client certificate and a private key cannot be used together. `chain` is the certificate with those of its issuers.
/// All of them are DER; `key_label` is the PEM label of the key, which tells its format.
pub(crate) fn pair_problem(chain: &[&[u8]], key_label: &str, key: &[u8]) -> Option<String> {
    let key = key.to_vec();
    let key = match key_label {
        "PRIVATE KEY" => PrivateKeyDer::Pkcs8(key.into()),
        "RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(key.into()),
        "EC PRIVATE KEY" => PrivateKeyDer::Sec1(key.into()),
        other => return Some(format!("unsupported key type {other}")),
    };
    let chain = chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    match CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()) {
        Ok(_) => None,
        Err(Error::InconsistentKeys(_)) => Some("do they belong together?".to_owned()),
        Err(error) => Some(redact::quote(error.to_string().as_bytes(), limits::QUOTED_BYTES_MAX)),
    }
}

/// What is wrong with the format of a PEM file, if anything is.
pub(super) fn pem_problem(path: &Path) -> Option<LibcurlError> {
    let text = regular_file::read(path, limits::CERTIFICATES_BYTES_MAX).ok()?;
    pem::blocks(&text).err().map(|error| LibcurlError::Pem { path: path.to_owned(), error })
}

/// Advice if the system has no CA certificates, without which no server is trusted.
pub(crate) fn store_problem() -> Option<&'static str> {
    Verifier::new(Arc::new(aws_lc_rs::default_provider())).is_err().then_some(NO_STORE)
}

const NO_STORE: &str = "this system has no CA certificates: install them (often the package ca-certificates), set \
                        SSL_CERT_FILE, or set tls.ca_file to the server's CA";

/// Why a handshake has failed.
enum Seen {
    Error(Error),
    PlainHttp,
}

/// The beginning of an answer in plain HTTP.
const PLAIN_BEGINNING: &[u8] = b"HTTP/";

/// Makes a handshake. Returns `None` if it succeeds, or fails without one of these causes.
async fn shake_hands(mut connection: ClientConnection, address: &Address, deadline: Instant) -> Option<Seen> {
    let socket = direct::connect_to(address, deadline).await.ok()?.ok()?;
    let stream = Rc::new(TcpStream::from(socket.try_clone().ok()?));
    while connection.is_handshaking() || connection.wants_write() {
        if connection.wants_write() && nonblocking::attempt(|| connection.write_tls(&mut &*stream)).ok()?.is_none() {
            event_loop::ready(stream.clone(), Interest::Both, Some(deadline)).await.map_err(|TimedOut| ()).ok()?;
            continue;
        }
        if !connection.wants_read() || !connection.is_handshaking() {
            continue;
        }
        event_loop::ready(stream.clone(), Interest::Read, Some(deadline)).await.map_err(|TimedOut| ()).ok()?;
        let stream: &TcpStream = &stream;
        let mut beginning = [0; PLAIN_BEGINNING.len()];
        if stream.peek(&mut beginning).is_ok() && beginning == PLAIN_BEGINNING {
            return Some(Seen::PlainHttp);
        }
        match nonblocking::attempt(|| connection.read_tls(&mut &*stream)).ok()? {
            Some(0) => return None,
            Some(_) => {
                if let Err(error) = connection.process_new_packets() {
                    return Some(Seen::Error(error));
                }
            }
            None => {}
        }
    }
    None
}

fn describe(error: &CertificateError, host: &str, tls: &Tls) -> CertificateProblem {
    use CertificateError as Wrong;
    let instant = |time: &UnixTime| Timestamp::since_epoch(Duration::from_secs(time.as_secs()));
    match error {
        Wrong::ExpiredContext { not_after, .. } => CertificateProblem::Expired { at: Some(instant(not_after)) },
        Wrong::Expired => CertificateProblem::Expired { at: None },
        Wrong::NotValidYetContext { not_before, .. } => CertificateProblem::NotYetValid { from: instant(not_before) },
        // The signature is bad if a trusted CA has the issuer's name, but another key.
        Wrong::UnknownIssuer | Wrong::BadSignature => {
            CertificateProblem::UnknownIssuer { ca_file: tls.ca_file.clone() }
        }
        Wrong::NotValidForNameContext { presented, .. } => {
            // rustls writes each name as `DnsName("app.test")`.
            let bare = |name: &String| name.split(['(', '"', ')']).rfind(|part| !part.is_empty()).map(str::to_owned);
            let names: Vec<String> = presented.iter().filter_map(bare).collect();
            let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            let names = redact::quote(names.as_bytes(), limits::QUOTED_BYTES_MAX);
            CertificateProblem::OtherName { names, host: host.to_owned() }
        }
        Wrong::Other(other) if format!("{other:?}").contains("UnsupportedCertVersion") => CertificateProblem::Version1,
        Wrong::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => CertificateProblem::IsCa,
        other => {
            let words = redact::quote(other.to_string().as_bytes(), limits::QUOTED_BYTES_MAX);
            CertificateProblem::Other { words }
        }
    }
}
