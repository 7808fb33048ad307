//! Why there is no TLS connection, or why it has ended.

use crate::access::Tls;
use crate::access::pem::PemError;
use crate::calendar::Timestamp;
use crate::limits;
use crate::redact;
use crate::regular_file::ReadError;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why there is no TLS connection, or why it has ended. A `place` is host and port.
#[derive(Debug)]
pub(crate) enum TlsError {
    /// What came is not TLS. Occasional: a wrong port.
    NotTls { place: String },
    /// The server answers in plain HTTP. Common while setting up: `https://` for `http://`.
    PlainHttp { place: String },
    /// The connection was closed within the handshake. Occasional: a wrong port, or a server that is ending.
    ClosedInHandshake { place: String },
    /// The server's certificate is not accepted. Common while setting up.
    Certificate { place: String, problem: CertificateProblem },
    /// The server does not accept our certificate, or wants one. Common while setting up client certificates.
    RefusedByPeer { place: String, has_client_certificate: bool },
    /// The server ended the handshake for another reason, by an alert or because we have nothing in common. Rare: mostly a
    /// server that knows only versions before TLS 1.2.
    Handshake { place: String, words: String },
    /// The server violates the protocol, after the handshake. Rare.
    Broken { words: String },
    /// A file cannot be read. Occasional: it was moved, or is mounted later.
    File { path: PathBuf, error: ReadError },
    /// A file is no good PEM file. Rare: it is checked when the configuration is loaded.
    Pem { path: PathBuf, error: PemError },
    /// A file holds no private key of a known format. Rare, for the same reason.
    NoKey { path: PathBuf },
    /// The client certificate cannot be used with its key. Rare: only one of the two was replaced.
    ClientCertificate { cert_file: PathBuf, key_file: PathBuf },
    /// The certificates of `tls.ca_file` cannot be used. Rare.
    CaFile { path: PathBuf },
    /// The system has no certificates, in these words. Common in small containers.
    NoCaStore { advice: &'static str },
    /// The host of the URL cannot be in a certificate, such as a name with an underscore at its end. Rare.
    Name { host: String },
    /// The TLS library cannot be used like this. Should not happen.
    Setup { words: String },
}

/// Why a server's certificate is not accepted.
#[derive(Debug)]
pub(crate) enum CertificateProblem {
    /// It was not possible to find out: libcurl gives only a number. Rare: behind a proxy.
    #[cfg(feature = "proxy")]
    Unknown,
    /// Common: nobody has renewed it.
    Expired { at: Option<Timestamp> },
    /// Rare: mostly the clock of this machine is wrong.
    NotYetValid { from: Timestamp },
    /// No trusted CA has signed it; without a `ca_file`, those of the system are meant. The most common one.
    UnknownIssuer { ca_file: Option<PathBuf> },
    /// It is for other names than that of the endpoint; they are short and hold no secrets. Common.
    OtherName { names: String, host: String },
    /// It has no extensions, which are needed for names. Occasional: certificates of old scripts.
    Version1,
    /// A CA's own certificate is used by the server. Occasional: self-signed ones of old scripts.
    IsCa,
    /// Anything else, in the words of the TLS library. Rare.
    Other { words: String },
}

/// How a handshake fails.
#[derive(Debug)]
pub(in crate::http) enum HandshakeError {
    TimedOut,
    System(io::Error),
    /// The connection was closed before the handshake was complete.
    Closed,
    PlainHttp,
    Tls(Error),
}

/// What an error of the TLS library means, at the server that is called `host` and known by `place`.
pub(in crate::http) fn explained(error: &Error, host: &str, place: &str, tls: &Tls) -> TlsError {
    use AlertDescription as Alert;
    let place = place.to_owned();
    match error {
        Error::InvalidCertificate(error) => TlsError::Certificate { place, problem: describe(error, host, tls) },
        Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::NoCertificate
            | Alert::AccessDenied,
        ) => TlsError::RefusedByPeer { place, has_client_certificate: tls.client.is_some() },
        Error::AlertReceived(_) | Error::PeerIncompatible(_) | Error::NoApplicationProtocol => {
            TlsError::Handshake { place, words: quoted(error) }
        }
        _ => TlsError::NotTls { place },
    }
}

fn quoted(error: &dyn fmt::Display) -> String {
    redact::quote(error.to_string().as_bytes(), limits::QUOTED_BYTES_MAX)
}

impl TlsError {
    /// The same kind of error, after the handshake.
    pub(in crate::http) fn of_connection(error: &Error, host: &str, place: &str, tls: &Tls) -> Self {
        match explained(error, host, place, tls) {
            Self::NotTls { .. } | Self::Handshake { .. } => Self::Broken { words: quoted(error) },
            other => other,
        }
    }
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
            CertificateProblem::OtherName { names: quoted(&names), host: host.to_owned() }
        }
        Wrong::Other(other) if format!("{other:?}").contains("UnsupportedCertVersion") => CertificateProblem::Version1,
        Wrong::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => CertificateProblem::IsCa,
        other => CertificateProblem::Other { words: quoted(other) },
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTls { place } | Self::ClosedInHandshake { place } => {
                write!(f, "the TLS handshake with {place} failed: does it speak TLS?")
            }
            Self::PlainHttp { place } => {
                write!(f, "the TLS handshake with {place} failed: it speaks plain HTTP; write http://")
            }
            Self::Certificate { place, problem } => {
                write!(f, "the certificate of {place} was rejected: {problem}")
            }
            Self::RefusedByPeer { place, has_client_certificate: false } => write!(
                f,
                "{place} closed the connection: if it requires a client certificate, set tls.cert_file and tls.key_file"
            ),
            Self::RefusedByPeer { place, has_client_certificate: true } => {
                write!(f, "{place} closed the connection: does it accept the certificate in tls.cert_file?")
            }
            Self::Handshake { place, words } => {
                write!(f, "the TLS handshake with {place} failed: {words}; TLS 1.2 or 1.3 is required")
            }
            Self::Broken { words } => write!(f, "the TLS connection failed: {words}"),
            Self::File { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Pem { path, error } => write!(f, "{}: {error}", path.display()),
            Self::NoKey { path } => write!(f, "{}: contains no private key in PEM format", path.display()),
            Self::ClientCertificate { cert_file, key_file } => write!(
                f,
                "the certificate in {} and the key in {} cannot be used: do they belong together?",
                cert_file.display(),
                key_file.display()
            ),
            Self::CaFile { path } => write!(f, "the certificates in {} cannot be used", path.display()),
            Self::NoCaStore { advice } => f.write_str(advice),
            Self::Name { host } => write!(f, "{host} is not a name that a certificate can be for"),
            Self::Setup { words } => write!(f, "cannot set up TLS: {words}"),
        }
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "proxy")]
            Self::Unknown => f.write_str("it may be untrusted, expired, or for another name"),
            Self::Expired { at: Some(at) } => write!(f, "it expired at {at}"),
            Self::Expired { at: None } => f.write_str("it has expired"),
            Self::NotYetValid { from } => write!(f, "it is not valid before {from}; is the clock right?"),
            Self::UnknownIssuer { ca_file: Some(path) } => write!(f, "it is not signed by a CA in {}", path.display()),
            Self::UnknownIssuer { ca_file: None } => {
                f.write_str("it is not signed by a CA that the system trusts; set tls.ca_file to its CA")
            }
            Self::OtherName { names, host } => write!(f, "it is for {names}, not for {host}"),
            Self::Version1 => f.write_str("it is X.509 version 1: reissue it as version 3, with extensions"),
            Self::IsCa => f.write_str(
                "it is a CA certificate (CA:TRUE), not a server certificate; give the server one of its own",
            ),
            Self::Other { words } => f.write_str(words),
        }
    }
}
