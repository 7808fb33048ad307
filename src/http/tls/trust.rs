//! Whose certificates are trusted, and whether a client certificate fits its key.

use super::{TlsError, chain, key_of};
use crate::access::Tls;
use crate::limits;
use crate::redact;
use crate::regular_file;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};

const NO_STORE: &str = "this system has no CA certificates: install them (often the package ca-certificates), set \
                        SSL_CERT_FILE, or set tls.ca_file to the server's CA";

/// The certificates that are trusted: those of `ca_file`, or else those of the system.
///
/// # Errors
/// [`TlsError`] if there are none.
pub(super) fn roots(tls: &Tls) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = &tls.ca_file else {
        for path in system_files() {
            add_file(&mut roots, &path);
        }
        return if roots.is_empty() { Err(TlsError::NoCaStore { advice: NO_STORE }) } else { Ok(roots) };
    };
    roots.add_parsable_certificates(chain(path)?);
    if roots.is_empty() { Err(TlsError::CaFile { path: path.clone() }) } else { Ok(roots) }
}

/// Adds the certificates of a file of the system. One that cannot be used is left out, as everywhere.
fn add_file(roots: &mut RootCertStore, path: &Path) {
    let text = regular_file::read(path, limits::CERTIFICATES_BYTES_MAX).unwrap_or_default();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).flatten());
}

/// The files with the system's certificates: those that the environment names, or else the bundle that the system has, or else
/// what is in its folder.
fn system_files() -> Vec<PathBuf> {
    let named = |variable| std::env::var_os(variable).filter(|value| !value.is_empty());
    let (file, folders) = (named("SSL_CERT_FILE"), named("SSL_CERT_DIR"));
    if file.is_some() || folders.is_some() {
        let folders = folders.iter().flat_map(std::env::split_paths).flat_map(|folder| files_in(&folder));
        return file.map(PathBuf::from).into_iter().chain(folders).collect();
    }
    let found = openssl_probe::probe();
    match found.cert_file {
        Some(bundle) => vec![bundle],
        None => found.cert_dir.iter().flat_map(|folder| files_in(folder)).collect(),
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).take(limits::CA_FILES_MAX).collect()
}

/// Advice if the system has no CA certificates, without which no server is trusted.
pub(crate) fn store_problem() -> Option<&'static str> {
    let has_certificate = |path: &PathBuf| {
        let text = regular_file::read(path, limits::CERTIFICATES_BYTES_MAX).unwrap_or_default();
        CertificateDer::pem_slice_iter(&text).flatten().next().is_some()
    };
    (!system_files().iter().any(has_certificate)).then_some(NO_STORE)
}

/// Why a client certificate and a private key cannot be used together. `chain` is the certificate with those of its issuers.
/// All of them are DER; `key_label` is the PEM label of the key, which tells its format.
pub(crate) fn pair_problem(chain: &[&[u8]], key_label: &str, key: &[u8]) -> Option<String> {
    let Some(key) = key_of(key_label, key.to_vec()) else { return Some(format!("unsupported key type {key_label}")) };
    let chain = chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
        Ok(_) => None,
        Err(Error::InconsistentKeys(_)) => Some("do they belong together?".to_owned()),
        Err(error) => Some(redact::quote(error.to_string().as_bytes(), limits::QUOTED_BYTES_MAX)),
    }
}

/// Accepts any certificate, for `verify: false`.
#[derive(Debug)]
pub(super) struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
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
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
