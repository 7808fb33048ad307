//! Credentials and certificates: what the configuration says about authenticating to an endpoint and verifying it, and
//! the header fields that follow from it.

pub(crate) mod pem;

use crate::redact::Hidden;
use crate::secret::{Secret, SecretFileError, Shape, base64};
use std::path::{Path, PathBuf};

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretSource {
    Text(Secret),
    /// In a file, which is read again when it changes.
    File(PathBuf),
}

/// How the program authenticates to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Auth {
    Basic { user: String, password: SecretSource },
    ApiKey(SecretSource),
    Bearer(SecretSource),
}

/// How the endpoint is verified; for `https://` only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    /// The certificate authorities that are trusted instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) client: Option<ClientCertificate>,
    pub(crate) verify: bool,
}

/// The client certificate that is presented to an endpoint, and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    pub(crate) cert_file: PathBuf,
    pub(crate) key_file: PathBuf,
}

/// All that the configuration says about access to an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) auth: Option<Auth>,
    /// Further header fields. They may hold secrets.
    pub(crate) headers: Vec<(String, SecretSource)>,
    pub(crate) tls: Tls,
}

/// The header fields that are sent to an endpoint. Their secrets are hidden in texts from outside for as long as this value
/// exists.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    pub(crate) fields: Vec<(String, Secret)>,
    _hidden: Hidden,
}

impl SecretSource {
    fn load(&self, shape: Shape) -> Result<Secret, SecretFileError> {
        match self {
            Self::Text(secret) => Ok(secret.clone()),
            Self::File(path) => Secret::read(path, shape),
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::Text(_) => None,
            Self::File(path) => Some(path),
        }
    }

    /// ` in FILE`, for use in advice. Empty if the secret is in the configuration itself.
    fn place(&self) -> String {
        self.file().map(|path| format!(" in {}", path.display())).unwrap_or_default()
    }
}

impl Auth {
    fn secret(&self) -> &SecretSource {
        let (Self::Basic { password: secret, .. } | Self::ApiKey(secret) | Self::Bearer(secret)) = self;
        secret
    }

    /// The value of `Authorization`, and the parts of it that are secret.
    fn header_value(&self) -> Result<(String, Vec<Secret>), SecretFileError> {
        let (scheme, sent, mut secrets) = match self {
            Self::Basic { user, password } => {
                let password = password.load(Shape::Password)?;
                let both = base64::encoded(format!("{user}:{}", password.expose()).as_bytes());
                ("Basic", both, vec![password])
            }
            Self::ApiKey(key) => {
                let key = key.load(Shape::Token)?;
                // A server shows a new key as `encoded`, and as an id and a secret. Only the latter needs to be hidden.
                match key.expose().split_once(':') {
                    Some((_, secret)) => ("ApiKey", base64::encoded(key.expose().as_bytes()), vec![Secret::of(secret)]),
                    None => ("ApiKey", key.expose().to_owned(), vec![]),
                }
            }
            Self::Bearer(token) => ("Bearer", token.load(Shape::Token)?.expose().to_owned(), vec![]),
        };
        secrets.push(Secret::of(&sent));
        Ok((format!("{scheme} {sent}"), secrets))
    }

    /// Names the credentials, for a person who has to check them.
    fn describe(&self) -> String {
        match self {
            Self::Basic { user, password } => format!("the user {user:?} and the password{}", password.place()),
            Self::ApiKey(key) => format!("the API key{}, which may be wrong, expired or revoked", key.place()),
            Self::Bearer(token) => format!("the bearer token{}, which may be wrong or expired", token.place()),
        }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self { ca_file: None, client: None, verify: true }
    }
}

impl Access {
    /// Makes the header fields, and reads the files that they need.
    ///
    /// # Errors
    /// A file cannot be read, or contains no secret.
    pub(crate) fn load(&self) -> Result<Headers, SecretFileError> {
        let (mut fields, mut secrets) = (Vec::new(), Vec::new());
        if let Some(auth) = &self.auth {
            let (value, parts) = auth.header_value()?;
            secrets.extend(parts);
            fields.push(("Authorization".to_owned(), Secret::of(&value)));
        }
        for (name, value) in &self.headers {
            let value = value.load(Shape::Field)?;
            secrets.push(value.clone());
            fields.push((name.clone(), value));
        }
        Ok(Headers { fields, _hidden: Hidden::new(secrets) })
    }

    /// The files that secrets come from.
    pub(crate) fn secret_files(&self) -> impl Iterator<Item = &Path> {
        let auth = self.auth.iter().filter_map(|auth| auth.secret().file());
        auth.chain(self.headers.iter().filter_map(|(_, value)| value.file()))
    }

    /// What a person should check after an answer with this status. None if it has nothing to do with authentication.
    pub(crate) fn advice(&self, status: u16) -> Option<String> {
        match (status, &self.auth) {
            (401, None) => Some("the server requires credentials: set `auth`".to_owned()),
            (401, Some(auth)) => Some(format!("check `auth`: {}", auth.describe())),
            (403, None) => Some("the server denies access: check its access rules, or set `auth`".to_owned()),
            (403, Some(auth)) => Some(format!("check the privileges of `auth`: {}", auth.describe())),
            (407, _) => Some("a proxy requires credentials: check those in its URL".to_owned()),
            _ => None,
        }
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: &str, password: &str) -> Access {
        let password = SecretSource::Text(Secret::new(password, Shape::Password).unwrap());
        Access { auth: Some(Auth::Basic { user: user.to_owned(), password }), ..Access::default() }
    }

    fn authorization(auth: Auth) -> String {
        let sent = Access { auth: Some(auth), ..Access::default() }.load().unwrap();
        let (_, value) = &sent.fields[0];
        value.expose().to_owned()
    }

    #[test]
    fn each_kind_is_sent_as_servers_want_it() {
        let token = |text: &str| SecretSource::Text(Secret::new(text, Shape::Token).unwrap());
        let basic = basic("Aladdin", "open sesame").load().unwrap();
        assert_eq!(basic.fields[0].1.expose(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(authorization(Auth::ApiKey(token("SWQ6S2V5"))), "ApiKey SWQ6S2V5");
        assert_eq!(authorization(Auth::ApiKey(token("Id:Key"))), "ApiKey SWQ6S2V5");
        assert_eq!(authorization(Auth::Bearer(token("a.b-c"))), "Bearer a.b-c");
    }

    #[test]
    fn a_secret_is_shown_by_no_debug() {
        let access = Access {
            headers: vec![("X-Key".to_owned(), SecretSource::Text(Secret::new("hunter3", Shape::Field).unwrap()))],
            ..basic("shipper", "hunter2")
        };
        let sent = access.load().unwrap();
        for shown in [format!("{access:?}"), format!("{access:#?}"), format!("{sent:?}")] {
            assert!(shown.contains("***") && !shown.contains("hunter"), "{shown}");
        }
    }
}
