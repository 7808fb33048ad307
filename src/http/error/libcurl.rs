//! Why an exchange through libcurl failed. libcurl's own words are kept only where there is nothing better to say; they
//! have been cut, and secrets have been removed from them.

#[cfg(feature = "tls")]
use crate::access::pem::PemError;
#[cfg(feature = "tls")]
use crate::calendar::Timestamp;
use crate::http::response::{AnswerError, write_cut_off};
#[cfg(feature = "tls")]
use crate::regular_file::ReadError;
use std::fmt;
#[cfg(feature = "tls")]
use std::path::PathBuf;

/// Why an exchange through libcurl failed. A `place` is host and port.
#[derive(Debug)]
pub(crate) enum LibcurlError {
    /// libcurl or its thread cannot be started. Rare: the system gives no thread or no memory.
    Start { words: String },
    /// It is used before it was started. Should not happen.
    NotStarted,
    /// The value of this header field cannot be sent. Should not happen: the configuration is checked.
    HeaderField { name: String },
    /// The client does not take the request. Should not happen, for the same reason.
    Request { words: String },
    /// A certificate or key cannot be read before libcurl opens it. Occasional: it was moved, or is mounted later.
    #[cfg(feature = "tls")]
    File { path: PathBuf, error: ReadError },
    /// The host has no address. Common: a wrong name, or no network.
    NoHost { place: String },
    /// Nothing listens there, or it cannot be reached. The most common one.
    NotConnected { place: String },
    /// The server does not speak TLS, or nothing that this program speaks. Occasional.
    Handshake { place: String },
    /// The handshake failed because the server answers in plain HTTP. Common while setting up: `https://` for `http://`.
    #[cfg(feature = "tls")]
    PlainHttp { place: String },
    /// The server's certificate is not accepted. Common while setting up.
    Certificate { place: String, problem: CertificateProblem },
    /// A file of the client certificate is no good PEM file. Rare: it is checked when the configuration is loaded.
    #[cfg(feature = "tls")]
    Pem { path: PathBuf, error: PemError },
    /// The client certificate cannot be used with its key. Rare: only one of the two was replaced.
    #[cfg(feature = "tls")]
    ClientCertificate { cert_file: PathBuf, key_file: PathBuf },
    /// The certificates of `tls.ca_file` cannot be used. Rare.
    #[cfg(feature = "tls")]
    CaFile { path: PathBuf },
    /// The system has no certificates, in these words. Common in small containers.
    #[cfg(feature = "tls")]
    NoCaStore { advice: &'static str },
    /// The connection was closed after the handshake. Likely the server wants a client certificate, or another one.
    ClosedByPeer { place: String, has_client_certificate: bool },
    /// What came is no answer, by the rules that both transports share.
    Answer(AnswerError),
    /// libcurl does not take the answer's first line or its length. Rare: a wrong port.
    BadAnswer,
    /// The same of a header or a chunk. Rare.
    BadFraming,
    /// The connection failed within the answer, or what came is no HTTP. Occasional: the process was killed.
    Receive,
    /// The connection failed within the answer, in libcurl's words. Rare.
    CutOff { words: String },
    /// Anything else, in libcurl's words. Rare.
    Other { words: String },
}

/// Why a server's certificate is not accepted.
#[derive(Debug)]
pub(crate) enum CertificateProblem {
    /// It was not possible to find out: libcurl gives only a number. Rare, with TLS.
    Unknown,
    /// Common: nobody has renewed it.
    #[cfg(feature = "tls")]
    Expired { at: Option<Timestamp> },
    /// Rare: mostly the clock of this machine is wrong.
    #[cfg(feature = "tls")]
    NotYetValid { from: Timestamp },
    /// No trusted CA has signed it; without a `ca_file`, those of the system are meant. The most common one.
    #[cfg(feature = "tls")]
    UnknownIssuer { ca_file: Option<PathBuf> },
    /// It is for other names than that of the endpoint; they are short and hold no secrets. Common.
    #[cfg(feature = "tls")]
    OtherName { names: String, host: String },
    /// It has no extensions, which are needed for names. Occasional: certificates of old scripts.
    #[cfg(feature = "tls")]
    Version1,
    /// A CA's own certificate is used by the server. Occasional: self-signed ones of old scripts.
    #[cfg(feature = "tls")]
    IsCa,
    /// Anything else, in the words of the TLS library. Rare.
    #[cfg(feature = "tls")]
    Other { words: String },
}

impl fmt::Display for LibcurlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { words } => write!(f, "cannot start the HTTP client: {words}"),
            Self::NotStarted => f.write_str("the HTTP client is not started"),
            Self::HeaderField { name } => write!(f, "the header field {name} cannot be sent"),
            Self::Request { words } | Self::Other { words } => f.write_str(words),
            #[cfg(feature = "tls")]
            Self::File { path, error } => write!(f, "{}: {error}", path.display()),
            Self::NoHost { place } => write!(f, "cannot resolve the host name of {place}"),
            Self::NotConnected { place } => write!(f, "cannot connect to {place}: is a server listening there?"),
            Self::Handshake { place } => write!(f, "the TLS handshake with {place} failed: does it speak TLS?"),
            #[cfg(feature = "tls")]
            Self::PlainHttp { place } => {
                write!(f, "the TLS handshake with {place} failed: it speaks plain HTTP; write http://")
            }
            Self::Certificate { place, problem } => {
                write!(f, "the certificate of {place} was rejected: {problem}")
            }
            #[cfg(feature = "tls")]
            Self::Pem { path, error } => write!(f, "{}: {error}", path.display()),
            #[cfg(feature = "tls")]
            Self::ClientCertificate { cert_file, key_file } => write!(
                f,
                "the certificate in {} and the key in {} cannot be used: do they belong together?",
                cert_file.display(),
                key_file.display()
            ),
            #[cfg(feature = "tls")]
            Self::CaFile { path } => write!(f, "the certificates in {} cannot be used", path.display()),
            #[cfg(feature = "tls")]
            Self::NoCaStore { advice } => f.write_str(advice),
            Self::ClosedByPeer { place, has_client_certificate: false } => write!(
                f,
                "{place} closed the connection: if it requires a client certificate, set tls.cert_file and tls.key_file"
            ),
            Self::ClosedByPeer { place, has_client_certificate: true } => {
                write!(f, "{place} closed the connection: does it accept the certificate in tls.cert_file?")
            }
            Self::Answer(error) => error.fmt(f),
            Self::BadAnswer => f.write_str("the response is not HTTP/1.1, or has an invalid Content-Length"),
            Self::BadFraming => f.write_str("the response is not HTTP/1.1: malformed header or chunk"),
            Self::Receive => f.write_str("the response was cut off or is not valid HTTP/1.1"),
            Self::CutOff { words } => write_cut_off(f, words),
        }
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("it may be untrusted, expired, or for another name"),
            #[cfg(feature = "tls")]
            Self::Expired { at: Some(at) } => write!(f, "it expired at {at}"),
            #[cfg(feature = "tls")]
            Self::Expired { at: None } => f.write_str("it has expired"),
            #[cfg(feature = "tls")]
            Self::NotYetValid { from } => write!(f, "it is not valid before {from}; is the clock right?"),
            #[cfg(feature = "tls")]
            Self::UnknownIssuer { ca_file: Some(path) } => write!(f, "it is not signed by a CA in {}", path.display()),
            #[cfg(feature = "tls")]
            Self::UnknownIssuer { ca_file: None } => {
                f.write_str("it is not signed by a CA that the system trusts; set tls.ca_file to its CA")
            }
            #[cfg(feature = "tls")]
            Self::OtherName { names, host } => write!(f, "it is for {names}, not for {host}"),
            #[cfg(feature = "tls")]
            Self::Version1 => f.write_str("it is X.509 version 1: reissue it as version 3, with extensions"),
            #[cfg(feature = "tls")]
            Self::IsCa => f.write_str(
                "it is a CA certificate (CA:TRUE), not a server certificate; give the server one of its own",
            ),
            #[cfg(feature = "tls")]
            Self::Other { words } => f.write_str(words),
        }
    }
}
