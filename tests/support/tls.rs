//! A loopback server that speaks TLS, with answers and endings that the test chooses, and certificates for it.
#![allow(dead_code, reason = "each test takes what it needs of it")]
#![allow(clippy::disallowed_methods, reason = "the other side of the socket has threads of its own")]

use super::loopback::{Reply, Request, read_request, send, small_answer};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerConfig, ServerConnection, WebPkiClientVerifier};
use rustls::{
    ConnectionTrafficSecrets, ContentType, HandshakeKind, ProtocolVersion, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};
use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub(crate) type TlsStream = StreamOwned<ServerConnection, TcpStream>;

/// Both versions, each alone.
pub(crate) static VERSIONS: [&[&SupportedProtocolVersion]; 2] =
    [&[&rustls::version::TLS13], &[&rustls::version::TLS12]];

/// The names of this machine that the program asks for.
pub(crate) const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// A CA with a certificate that signs itself.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
}

/// A certificate with its key.
pub(crate) struct Certified {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { der: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for this machine.
    pub(crate) fn issue(&self) -> Certified {
        self.issue_as(KeyPair::generate().expect("a key"), &NAMES, |_| {})
    }

    /// A certificate for these names and addresses, with another property that `change` gives it.
    pub(crate) fn issue_as(
        &self,
        key: KeyPair,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Certified {
        let mut params = named("server", names);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Certified { der: certificate.der().clone(), pem: certificate.pem(), key }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a CA");
        roots
    }
}

fn named(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("good names");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Which client certificates a server asks for.
#[derive(Clone, Copy)]
pub(crate) enum Clients<'a> {
    NotAsked,
    Asked(&'a Authority),
    Required(&'a Authority),
}

/// The configuration of a server with this certificate. Sessions are resumed.
pub(crate) fn config(
    certified: &Certified,
    versions: &[&'static SupportedProtocolVersion],
    clients: Clients<'_>,
) -> ServerConfig {
    config_of_chain(vec![certified.der.clone()], &certified.key, versions, clients)
}

pub(crate) fn config_of_chain(
    chain: Vec<CertificateDer<'static>>,
    key: &KeyPair,
    versions: &[&'static SupportedProtocolVersion],
    clients: Clients<'_>,
) -> ServerConfig {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_protocol_versions(versions).expect("versions");
    let config = config.with_client_cert_verifier(verifier(clients));
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    config.with_single_cert(chain, key.into()).expect("a certificate that fits its key")
}

fn verifier(clients: Clients<'_>) -> Arc<dyn ClientCertVerifier> {
    let builder = |authority: &Authority| {
        WebPkiClientVerifier::builder_with_provider(authority.roots().into(), Arc::new(ring::default_provider()))
    };
    match clients {
        Clients::NotAsked => WebPkiClientVerifier::no_client_auth(),
        Clients::Asked(authority) => builder(authority).allow_unauthenticated().build().expect("a verifier"),
        Clients::Required(authority) => builder(authority).build().expect("a verifier"),
    }
}

/// How a server ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By `close_notify`, as TLS asks for.
    Announced,
    /// In the same way, but the TCP connection stays open until the other side has closed it.
    AnnouncedAndOpen,
    /// By the end of the TCP connection alone.
    Bare,
}

/// Runs until the test process ends.
pub(crate) struct TlsServer {
    pub(crate) port: u16,
    pub(crate) seen: Arc<Seen>,
    config: Arc<Mutex<Arc<ServerConfig>>>,
}

/// What a server has seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// TCP connections.
    pub(crate) connections: AtomicUsize,
    /// Requests that the handler has answered.
    pub(crate) requests: AtomicUsize,
    /// Of each connection whose handshake was complete.
    pub(crate) handshakes: Mutex<Vec<HandshakeKind>>,
    /// The client certificates of these connections.
    pub(crate) clients: Mutex<Vec<Option<CertificateDer<'static>>>>,
}

impl TlsServer {
    /// A server whose handler answers what the program asks it, but for the questions what kind of server it is.
    pub(crate) fn start(
        config: ServerConfig,
        ending: Ending,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").expect("a free port"), config, ending, handler)
    }

    pub(crate) fn start_on(
        listener: TcpListener,
        config: ServerConfig,
        ending: Ending,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let talk = move |mut input: BufReader<TlsStream>, seen: &Seen| {
            while let Some(request) = read_request(&mut input) {
                let reply = small_answer(&request).unwrap_or_else(|| {
                    seen.requests.fetch_add(1, Ordering::SeqCst);
                    handler(&request)
                });
                let output = input.get_mut();
                let stays = send(output, reply).unwrap_or(false) && output.flush().is_ok();
                if !stays {
                    end(output, ending);
                    return;
                }
            }
        };
        Self::talking(listener, config, talk)
    }

    /// A server that does what `talk` says with each connection whose handshake is complete.
    pub(crate) fn talking(
        listener: TcpListener,
        config: ServerConfig,
        talk: impl Fn(BufReader<TlsStream>, &Seen) + Send + Sync + 'static,
    ) -> Self {
        let port = listener.local_addr().expect("an address").port();
        let (seen, config) = (Arc::<Seen>::default(), Arc::new(Mutex::new(Arc::new(config))));
        let (noted, current, talk) = (Arc::clone(&seen), Arc::clone(&config), Arc::new(talk));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                noted.connections.fetch_add(1, Ordering::SeqCst);
                let (noted, talk) = (Arc::clone(&noted), Arc::clone(&talk));
                let config = Arc::clone(&current.lock().expect("the configuration"));
                std::thread::spawn(move || {
                    if let Some(stream) = shake_hands(stream, config, &noted) {
                        talk(BufReader::new(stream), &noted);
                    }
                });
            }
        });
        Self { port, seen, config }
    }

    /// Later connections are made with this configuration, as if the server had been restarted.
    pub(crate) fn configure(&self, config: ServerConfig) {
        *self.config.lock().expect("the configuration") = Arc::new(config);
    }

    pub(crate) fn request_count(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn connection_count(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn handshakes(&self) -> Vec<HandshakeKind> {
        self.seen.handshakes.lock().expect("the handshakes").clone()
    }
}

fn shake_hands(stream: TcpStream, config: Arc<ServerConfig>, seen: &Seen) -> Option<TlsStream> {
    let mut stream = StreamOwned::new(ServerConnection::new(config).expect("a connection"), stream);
    stream.conn.complete_io(&mut stream.sock).ok()?;
    let kind = stream.conn.handshake_kind()?;
    let client = stream.conn.peer_certificates().and_then(|chain| chain.first()).cloned();
    seen.clients.lock().expect("the clients").push(client);
    seen.handshakes.lock().expect("the handshakes").push(kind);
    Some(stream)
}

/// Ends the connection.
pub(crate) fn end(stream: &mut TlsStream, ending: Ending) {
    if ending != Ending::Bare {
        stream.conn.send_close_notify();
        let _ = stream.conn.complete_io(&mut stream.sock);
    }
    if ending == Ending::AnnouncedAndOpen {
        let _ = std::io::copy(&mut stream.sock, &mut std::io::sink());
    }
    let _ = stream.sock.shutdown(Shutdown::Write);
}

/// The format of a private key's file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyForm {
    Pkcs8,
    Pkcs1,
    Sec1,
}

/// An RSA key for tests. It takes a second to make one, and `ring` cannot.
pub(crate) fn rsa_key() -> KeyPair {
    let pem = include_str!("../tls/rsa.key");
    KeyPair::from_pkcs8_pem_and_sign_algo(pem, &rcgen::PKCS_RSA_SHA256).expect("an RSA key")
}

/// The file of a private key.
pub(crate) fn key_file(key: &KeyPair, form: KeyForm) -> String {
    let pkcs8 = key.serialize_der();
    // SEQUENCE { version, algorithm, OCTET STRING { the key in its own format } }
    let (within, _) = der_element(&pkcs8);
    let (_version, rest) = der_element(within);
    let (_algorithm, rest) = der_element(rest);
    let (own, _) = der_element(rest);
    match form {
        KeyForm::Pkcs8 => key.serialize_pem(),
        KeyForm::Pkcs1 => pem("RSA PRIVATE KEY", own),
        KeyForm::Sec1 => pem("EC PRIVATE KEY", own),
    }
}

/// The content of the first element, and what is behind it.
fn der_element(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, head) = match der[1] {
        short @ 0..0x80 => (usize::from(short), 2),
        long => {
            let bytes = usize::from(long & 0x7f);
            let length = der[2..2 + bytes].iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
            (length, 2 + bytes)
        }
    };
    (&der[head..head + length], &der[head + length..])
}

fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----");
    for (number, group) in der.chunks(3).enumerate() {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(group.get(at).copied().unwrap_or_default()));
        if number % 16 == 0 {
            text.push('\n');
        }
        for digit in 0..4 {
            let is_there = digit <= group.len();
            text.push(if is_there { char::from(DIGITS[bits >> (18 - 6 * digit) & 63]) } else { '=' });
        }
    }
    text + &format!("\n-----END {label}-----\n")
}

/// Replaces a file in one step, as a tool that renews certificates does.
pub(crate) fn replace(path: &Path, text: &str) {
    let fresh = path.with_extension("fresh");
    std::fs::write(&fresh, text).expect("written");
    std::fs::rename(fresh, path).expect("renamed");
}

/// Writes records that no server would, behind a handshake in TLS 1.3 with a configuration that has `enable_secret_extraction`.
pub(crate) struct RecordWriter {
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
    socket: TcpStream,
}

impl RecordWriter {
    pub(crate) fn behind(stream: BufReader<TlsStream>) -> Self {
        let (connection, socket) = stream.into_inner().into_parts();
        let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.tls13()).expect("TLS 1.3");
        let (sequence, secrets) = connection.dangerous_extract_secrets().expect("secrets").tx;
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
        else {
            panic!("a cipher of TLS 1.3")
        };
        Self { encrypter: suite.aead_alg.encrypter(key, iv), sequence, socket }
    }

    /// Sends the records of these contents over and over, until the other side has gone.
    pub(crate) fn flood(&mut self, content: ContentType, records: &[Vec<u8>]) {
        loop {
            let mut bytes = Vec::new();
            while bytes.len() < 1 << 16 {
                for record in records {
                    let payload = OutboundChunks::Single(record);
                    let message = OutboundPlainMessage { typ: content, version: ProtocolVersion::TLSv1_3, payload };
                    let sealed = self.encrypter.encrypt(message, self.sequence).expect("it is encrypted");
                    bytes.extend_from_slice(&sealed.encode());
                    self.sequence += 1;
                }
            }
            if self.socket.write_all(&bytes).is_err() {
                return;
            }
        }
    }
}

/// The message `NewSessionTicket` of TLS 1.3 with a ticket of so many bytes, in pieces that fit into records.
pub(crate) fn ticket_message(ticket_bytes: u16) -> Vec<Vec<u8>> {
    let ticket = vec![b't'; ticket_bytes.into()];
    let (lifetime, age_add, nonce) = ([0, 0, 1, 0], [0; 4], [1, 0]);
    let no_extensions = [0; 2];
    let parts: [&[u8]; 6] = [&lifetime, &age_add, &nonce, &ticket_bytes.to_be_bytes(), &ticket, &no_extensions];
    let content = parts.concat();
    let length = u32::try_from(content.len()).expect("a short message").to_be_bytes();
    let message = [&[4], &length[1..], &content[..]].concat();
    message.chunks(16 << 10).map(<[u8]>::to_vec).collect()
}
