//! TLS by rustls, over sockets that are connected already. Nothing here knows HTTP, names or how connections are kept.
//!
//! A [`Settings`] is made of the files that the configuration names, and shared by all connections with the same
//! configuration, so that sessions can be resumed. The files are looked at whenever a connection is made, and read again
//! when they have changed. The certificates of the system are read when the first connection needs them.

mod error;
mod session;
mod trust;

use crate::access::{ClientCertificate, Tls, pem};
use crate::file_stamp::FileStamp;
use crate::limits;
use crate::regular_file;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection};
use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) use error::{CertificateProblem, HandshakeError, TlsError, explained};
pub(super) use session::{Session, SessionError};
pub(crate) use trust::{pair_problem, store_problem};

/// An error of the protocol, or of a certificate.
pub(super) type ProtocolError = rustls::Error;

/// What is made of each TLS configuration that is in use.
#[derive(Default)]
pub(super) struct Settings {
    list: RefCell<Vec<Loaded>>,
}

struct Loaded {
    tls: Tls,
    /// The metadata of its files when they were read, in the order of [`files`].
    stamps: Vec<Option<FileStamp>>,
    config: ClientConfig,
    /// The same for each port, with the sessions that can be resumed there. rustls knows them by the name of the host only, and
    /// keeps eight tickets for each: those of twenty applications on one host would replace each other.
    of_ports: Vec<(u16, Arc<ClientConfig>)>,
}

impl Settings {
    /// Begins a session with the server that has this name or address, on this port.
    ///
    /// # Errors
    /// [`TlsError`] if a file cannot be used, or the name cannot be in a certificate.
    pub(super) fn session(&self, host: &str, port: u16, tls: &Tls) -> Result<Session, TlsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name { host: host.to_owned() })?;
        let connection = ClientConnection::new(self.config(port, tls)?, name);
        Ok(Session::new(connection.map_err(|error| TlsError::Setup { words: error.to_string() })?))
    }

    fn config(&self, port: u16, tls: &Tls) -> Result<Arc<ClientConfig>, TlsError> {
        let stamps: Vec<_> = files(tls).map(FileStamp::of).collect();
        let mut list = self.list.borrow_mut();
        if let Some(known) = list.iter_mut().find(|known| known.tls == *tls && known.stamps == stamps) {
            return Ok(known.config_of(port));
        }
        let mut loaded = Loaded { tls: tls.clone(), stamps, config: load(tls)?, of_ports: Vec::new() };
        let config = loaded.config_of(port);
        list.retain(|known| known.tls != *tls);
        if list.len() == limits::TLS_SETTINGS_MAX {
            list.remove(0);
        }
        list.push(loaded);
        Ok(config)
    }
}

impl Loaded {
    fn config_of(&mut self, port: u16) -> Arc<ClientConfig> {
        if let Some((_, known)) = self.of_ports.iter().find(|(known, _)| *known == port) {
            return Arc::clone(known);
        }
        let mut config = self.config.clone();
        config.resumption = Resumption::in_memory_sessions(limits::TLS_SESSIONS_MAX);
        let config = Arc::new(config);
        if self.of_ports.len() == limits::TLS_PORTS_MAX {
            self.of_ports.remove(0);
        }
        self.of_ports.push((port, Arc::clone(&config)));
        config
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

/// The files of a TLS configuration.
fn files(tls: &Tls) -> impl Iterator<Item = &Path> {
    let client = tls.client.iter().flat_map(|client| [&client.cert_file, &client.key_file]);
    tls.ca_file.iter().chain(client).map(PathBuf::as_path)
}

fn load(tls: &Tls) -> Result<ClientConfig, TlsError> {
    let setup = |error: rustls::Error| TlsError::Setup { words: error.to_string() };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(setup)?;
    let config = if tls.verify {
        config.with_root_certificates(trust::roots(tls)?)
    } else {
        config.dangerous().with_custom_certificate_verifier(Arc::new(trust::Anyone))
    };
    let mut config = match &tls.client {
        None => config.with_no_client_auth(),
        Some(ClientCertificate { cert_file, key_file }) => {
            let (chain, key) = (chain(cert_file)?, private_key(key_file)?);
            config
                .with_client_auth_cert(chain, key)
                .map_err(|_| TlsError::ClientCertificate { cert_file: cert_file.clone(), key_file: key_file.clone() })?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The blocks of a PEM file.
fn blocks(path: &Path) -> Result<Vec<pem::Block>, TlsError> {
    let text = regular_file::read(path, limits::CERTIFICATES_BYTES_MAX);
    let text = text.map_err(|error| TlsError::File { path: path.to_owned(), error })?;
    pem::blocks(&text).map_err(|error| TlsError::Pem { path: path.to_owned(), error })
}

/// The certificates in a PEM file.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = blocks(path)?.into_iter().filter(|block| block.label.ends_with("CERTIFICATE"));
    Ok(certificates.map(|block| block.der.into()).collect())
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let key = blocks(path)?.into_iter().find_map(|block| key_of(&block.label, block.der));
    key.ok_or_else(|| TlsError::NoKey { path: path.to_owned() })
}

/// A private key with this label in its PEM file. None if it has a format that is not supported.
fn key_of(label: &str, der: Vec<u8>) -> Option<PrivateKeyDer<'static>> {
    match label {
        "PRIVATE KEY" => Some(PrivateKeyDer::Pkcs8(der.into())),
        "RSA PRIVATE KEY" => Some(PrivateKeyDer::Pkcs1(der.into())),
        "EC PRIVATE KEY" => Some(PrivateKeyDer::Sec1(der.into())),
        _ => None,
    }
}
