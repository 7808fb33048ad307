//! TLS for the servers of the bench and for its floor, with certificates that are made for it.

use std::{
    fs, io,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::ServerSessionMemoryCache,
};

use crate::{Outcome, http::Opening};

/// What the certificates of all servers are for: the name of the bench, the one that needs no lookup, and the address.
const SUBJECTS: &str = "subjectAltName=DNS:search.test,DNS:localhost,IP:127.0.0.1";
/// Where systems have the certificates that they trust.
const SYSTEM_STORES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// How many sessions a server remembers: those of all connections of a run.
const SESSIONS: usize = 256;

/// Servers with a certificate, and what their clients have to trust.
pub(crate) struct Tls {
    /// The certificate of the CA.
    pub(crate) ca_file: PathBuf,
    config: ServerConfig,
    handshakes: Arc<Handshakes>,
}

#[derive(Default)]
struct Handshakes {
    full: AtomicU64,
    resumed: AtomicU64,
}

impl Tls {
    /// Makes a CA and a certificate in this folder.
    pub(crate) fn start(folder: &Path) -> Outcome<Self> {
        openssl(folder, &["-subj", "/CN=footprint", "-keyout", "ca.key", "-out", "ca.pem"])?;
        let issued = ["-subj", "/CN=search.test", "-keyout", "server.key", "-out", "server.pem"];
        let by =
            ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", SUBJECTS, "-addext", "basicConstraints=critical,CA:FALSE"];
        openssl(folder, &[&issued[..], &by].concat())?;
        let chain = certificates(&folder.join("server.pem"))?;
        let key = PrivateKeyDer::from_pem_slice(&fs::read(folder.join("server.key"))?)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions()?.with_no_client_auth();
        let mut config = config.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { ca_file: folder.join("ca.pem"), config, handshakes: Arc::default() })
    }

    /// What opens connections of a server. Each server has sessions of its own: none can be resumed with another one.
    pub(crate) fn opening(&self) -> Opening {
        let mut config = self.config.clone();
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        let (config, handshakes) = (Arc::new(config), Arc::clone(&self.handshakes));
        Arc::new(move |mut socket| {
            let mut connection = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
            connection.complete_io(&mut socket)?;
            let is_resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
            let counted = if is_resumed { &handshakes.resumed } else { &handshakes.full };
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(Box::new(StreamOwned::new(connection, socket)))
        })
    }

    /// How many connections have been opened, and how many by resuming a session.
    pub(crate) fn handshakes(&self) -> (u64, u64) {
        (self.handshakes.full.load(Ordering::SeqCst), self.handshakes.resumed.load(Ordering::SeqCst))
    }

    /// A bundle of all that this system trusts, if there is such a file, and our CA: for `SSL_CERT_FILE`.
    pub(crate) fn system_store(&self, folder: &Path) -> Outcome<PathBuf> {
        let found = SYSTEM_STORES.iter().find_map(|path| fs::read(path).ok());
        let bundle = folder.join("system.pem");
        fs::write(&bundle, [found.unwrap_or_default(), fs::read(&self.ca_file)?].concat())?;
        Ok(bundle)
    }
}

/// Client and connection in one, as the floor needs it.
pub(crate) type ClientStream = StreamOwned<ClientConnection, TcpStream>;

/// What the clients of the floor have in common.
pub(crate) fn client(ca_file: &Path) -> Outcome<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(ca_file)?);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Speaks TLS over this connection.
pub(crate) fn connect(config: &Arc<ClientConfig>, host: &str, stream: TcpStream) -> Outcome<ClientStream> {
    let connection = ClientConnection::new(Arc::clone(config), ServerName::try_from(host.to_owned())?)?;
    Ok(StreamOwned::new(connection, stream))
}

fn certificates(file: &Path) -> Outcome<Vec<CertificateDer<'static>>> {
    Ok(CertificateDer::pem_slice_iter(&fs::read(file)?).collect::<Result<_, _>>()?)
}

/// Makes a certificate with a new key.
fn openssl(folder: &Path, flags: &[&str]) -> Outcome<()> {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(flags)
        .output()
        .map_err(|error| format!("openssl: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("openssl: {}", String::from_utf8_lossy(&output.stderr)).into())
}
