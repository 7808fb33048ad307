//! What a person can do about a failed exchange, for those who only try a configuration.

#[cfg(all(feature = "proxy", feature = "tls"))]
use super::libcurl::LibcurlError;
use super::{HttpError, TransportError};
#[cfg(feature = "tls")]
use crate::http::tls::{CertificateProblem, TlsError};

/// What to do, and the key of the configuration to look at. There is nothing to do that the error itself does not say if the
/// text is empty.
type Remedy = (String, &'static str);

const ENDPOINT: &str = "endpoint";
const FINAL_ADDRESS: &str = "set endpoint to the final address";

fn remedy(text: &str, key: &'static str) -> Remedy {
    (text.to_owned(), key)
}

impl HttpError {
    /// What to do about it. `who` is at the other end: the application, or the server.
    pub(crate) fn remedy(&self, who: &str) -> Remedy {
        match self {
            Self::Transport(error) => error.remedy(who),
            Self::AfterRedirect(_) | Self::TooManyRedirects { .. } => remedy(FINAL_ADDRESS, ENDPOINT),
            Self::Timeout(_) => {
                (format!("is the {who} running, and not overloaded? Check endpoint, or raise timeout"), ENDPOINT)
            }
            Self::Status(refused) => {
                let is_auth = matches!(refused.status, 401 | 403);
                let key = if is_auth && refused.content.redirected_to.is_none() { "auth" } else { ENDPOINT };
                let text = match (refused.status, &refused.advice) {
                    (_, Some(_)) => "",
                    (300..=399, None) => "it redirects without saying where to: set endpoint to the final address",
                    (500..=599, None) => "look at its log",
                    _ => "check endpoint",
                };
                remedy(text, key)
            }
            Self::TooLong(_) => remedy("check endpoint, or raise max_body", "max_body"),
        }
    }
}

impl TransportError {
    fn remedy(&self, who: &str) -> Remedy {
        match self {
            Self::Name { .. } => remedy("check the name in endpoint, and the name servers of this machine", ENDPOINT),
            Self::Redirect { .. } => remedy(FINAL_ADDRESS, ENDPOINT),
            Self::Secret(_) => remedy("", "auth"),
            Self::OutOfDescriptors => remedy("", ""),
            Self::Answer(_) | Self::Gzip(_) => remedy("check host and port of endpoint", ENDPOINT),
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.remedy(),
            #[cfg(all(feature = "proxy", feature = "tls"))]
            Self::Libcurl(LibcurlError::Tls(error)) | Self::ThroughProxy { error: LibcurlError::Tls(error), .. } => {
                error.remedy()
            }
            #[cfg(feature = "proxy")]
            Self::ThroughProxy { variable, .. } => {
                (format!("check the proxy in {variable}, or list the host in no_proxy"), ENDPOINT)
            }
            #[cfg(not(feature = "proxy"))]
            Self::NoProxies { .. } => remedy("", ENDPOINT),
            _ => (format!("is the {who} running? Check endpoint"), ENDPOINT),
        }
    }
}

#[cfg(feature = "tls")]
impl TlsError {
    fn remedy(&self) -> Remedy {
        match self {
            Self::NotTls { .. } | Self::ClosedInHandshake { .. } => {
                remedy("check the port of endpoint, or write http://", ENDPOINT)
            }
            Self::Certificate { problem, .. } => remedy(problem.remedy(), "tls"),
            Self::PlainHttp { .. } | Self::Name { .. } => remedy("", ENDPOINT),
            // Their texts name what to change.
            _ => remedy("", "tls"),
        }
    }
}

#[cfg(feature = "tls")]
impl CertificateProblem {
    fn remedy(&self) -> &'static str {
        match self {
            #[cfg(feature = "proxy")]
            Self::Unknown => "set tls.ca_file to its CA, or renew it",
            Self::Expired { .. } => "renew the certificate",
            Self::UnknownIssuer { ca_file: Some(_) } => "set tls.ca_file to the CA that signed it",
            Self::OtherName { .. } => "use a name that it is for in endpoint, or reissue it",
            Self::NotYetValid { .. }
            | Self::UnknownIssuer { ca_file: None }
            | Self::Version1
            | Self::IsCa
            | Self::Other { .. } => "",
        }
    }
}
