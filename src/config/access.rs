//! `auth`, `tls` and `headers`: how to authenticate to an endpoint, and how to verify its identity.
//!
//! No message here repeats a value or the name of a header, because it may be a secret in the wrong place.

use super::section::Section;
use super::{ports, values};
use crate::access::pem::{self, Block};
use crate::access::{Access, Auth, ClientCertificate, SecretSource, Tls};
use crate::limits;
use crate::regular_file;
use crate::secret::{Secret, Shape};
use std::cell::Cell;
use std::path::{Path, PathBuf};

/// Headers that the program sets itself, and those that would change how a message is read.
const OWN_HEADERS: [&str; 13] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// A header whose name contains one of these probably has a secret value.
const SECRET_NAMES: [&str; 6] = ["auth", "cookie", "key", "password", "secret", "token"];

/// Refuses the keys where they have no effect; `why` gives the reason.
pub(super) fn refuse(section: &mut Section<'_, '_>, keys: &[&'static str], why: &str) {
    for &key in keys {
        // Asking for a key that is not there would list it among the known keys.
        let is_given = section.keys().any(|given| given == key);
        if let Some((_, place)) = is_given.then(|| section.node(key)).flatten() {
            if section.is_general(&place) {
                section.ignore(&place);
            } else {
                section.wrong(&place, format!("{key} has no effect here: {why}"));
            }
        }
    }
}

/// Reads `auth` and `tls` of a section for these endpoints, which may have contained credentials.
pub(super) fn access(section: &mut Section<'_, '_>, endpoints: &[(&str, Option<&Auth>)]) -> Access {
    let place = section.node("auth").map(|(_, place)| place);
    let auth = section.secret_section("auth").and_then(auth);
    if let Some(place) = place.filter(|_| endpoints.iter().any(|(_, given)| given.is_some())) {
        section.wrong(&place, "the endpoint contains credentials as well: set them in one place");
    }
    let is_short = |auth: &&Auth| matches!(auth, Auth::Basic { password: SecretSource::Text(secret), .. } if secret.expose().len() < limits::HIDDEN_BYTES_MIN);
    if endpoints.iter().filter_map(|(_, auth)| auth.as_ref()).any(is_short)
        && let Some((_, place)) = section.node("endpoint")
    {
        section.warn(&place, too_short("the password"));
    }
    let place = section.node("tls").map(|(_, place)| place);
    let tls = section.section("tls").map(tls).unwrap_or_default();
    if let Some(place) = place.filter(|_| !endpoints.is_empty()) {
        if !endpoints.iter().any(|(url, _)| url.starts_with("https:")) {
            if section.is_general(&place) {
                section.ignore(&place);
                return Access { auth, headers: Vec::new(), tls: Tls::default() };
            }
            section.warn(&place, "tls has no effect on an http:// endpoint: write https:// if the server speaks TLS");
        } else if !tls.verify {
            section.warn(
                &place,
                "verify is false: the certificate is not checked, so anyone in between can read and change all \
                 traffic, credentials included; set ca_file to the CA instead",
            );
        }
    }
    Access { auth, headers: Vec::new(), tls }
}

/// The same for a reader, which may also have `headers`. `endpoint` is none if it is not valid.
pub(super) fn reader_access(section: &mut Section<'_, '_>, endpoint: Option<(&str, Option<Auth>)>) -> Access {
    let endpoints: Vec<_> = endpoint.iter().map(|(url, auth)| (*url, auth.as_ref())).collect();
    let access = access(section, &endpoints);
    let auth = access.auth.or_else(|| endpoint.and_then(|(_, auth)| auth));
    let place = section.node("headers").map(|(_, place)| place);
    let (headers, has_short) = section.secret_section("headers").map(headers).unwrap_or_default();
    if let Some(place) = place.as_ref().filter(|_| has_short) {
        section.warn(place, too_short("the value of a header"));
    }
    let is_authorization = |(name, _): &(String, SecretSource)| name.eq_ignore_ascii_case("authorization");
    if let Some(place) = place.filter(|_| auth.is_some() && headers.iter().any(is_authorization)) {
        section.wrong(&place, "auth already sets the Authorization header: remove one of the two");
    }
    Access { auth, headers, tls: access.tls }
}

fn auth(mut section: Section<'_, '_>) -> Option<Auth> {
    let has_user = section.node("user").is_some();
    let has = |section: &mut Section<'_, '_>, keys: [&'static str; 2]| keys.map(|key| section.node(key).is_some());
    let (passwords, keys, tokens) =
        (has(&mut section, PASSWORD), has(&mut section, API_KEY), has(&mut section, BEARER));
    let has_password = passwords.contains(&true);
    let kinds = [has_user || has_password, keys.contains(&true), tokens.contains(&true)];
    match kinds.iter().filter(|is_given| **is_given).count() {
        0 => section.lacks("expected user and password, or api_key, or bearer (each secret also as …_file)"),
        1 if has_user && !has_password => section.lacks("user without a password: set password or password_file"),
        1 if has_password && !has_user => section.lacks("password without a user: set user"),
        1 => {}
        _ => section.lacks("set only one of user and password, api_key, bearer"),
    }
    let user = section.secret_parse("user", user);
    let password = secret(&mut section, PASSWORD, Shape::Password);
    let api_key = secret(&mut section, API_KEY, Shape::Token);
    let bearer = secret(&mut section, BEARER, Shape::Token);
    section.finish();
    let basic = user.zip(password).map(|(user, password)| Auth::Basic { user, password });
    let key = || api_key.map(Auth::ApiKey);
    basic.or_else(key).or_else(|| bearer.map(Auth::Bearer))
}

/// The keys of secrets. Each secret is either in the configuration, or in a file of its own.
const PASSWORD: [&str; 2] = ["password", "password_file"];
const API_KEY: [&str; 2] = ["api_key", "api_key_file"];
const BEARER: [&str; 2] = ["bearer", "bearer_file"];

fn secret(section: &mut Section<'_, '_>, [key, file_key]: [&'static str; 2], shape: Shape) -> Option<SecretSource> {
    let is_text = section.node(key).is_some();
    let file = section.node(file_key).map(|(_, place)| place);
    if let (true, Some(place)) = (is_text, &file) {
        section.wrong(place, format!("set only one of {key} and {file_key}"));
    }
    if is_text {
        let text = |text: &str| Secret::new(text, shape).map_err(|problem| format!("{key} {problem}"));
        let secret = section.secret_parse(key, text)?;
        warn_if_short(section, key, &secret);
        return Some(SecretSource::Text(secret));
    }
    let (path, secret) = section.file(file_key, |path| {
        let secret = Secret::read(path, shape).map_err(|error| error.to_string())?;
        Ok((path.to_owned(), secret))
    })?;
    warn_if_short(section, file_key, &secret);
    Some(SecretSource::File(path))
}

/// Warns about a short secret. Servers repeat what they get, and messages repeat what servers answer; a secret of a few
/// letters cannot be recognised in that.
fn warn_if_short(section: &mut Section<'_, '_>, key: &'static str, secret: &Secret) {
    if let Some((_, place)) = section.node(key).filter(|_| secret.expose().len() < limits::HIDDEN_BYTES_MIN) {
        section.warn(&place, too_short("this secret"));
    }
}

fn too_short(what: &str) -> String {
    let least = limits::HIDDEN_BYTES_MIN;
    format!("{what} is too short to be redacted from log messages (fewer than {least} bytes): choose a longer one")
}

fn user(text: &str) -> Result<String, String> {
    if text.contains(':') {
        return Err("user contains a `:`, which basic authentication does not allow".to_owned());
    }
    Secret::new(text, Shape::Password).map(|user| user.expose().to_owned()).map_err(|problem| format!("user {problem}"))
}

/// The headers, and whether one of them that is probably secret has too short a value.
fn headers(section: Section<'_, '_>) -> (Vec<(String, SecretSource)>, bool) {
    let count = section.keys().count();
    if count > limits::HEADERS_MAX {
        section.lacks(format!("{count} headers, at most {} are allowed", limits::HEADERS_MAX));
        return (Vec::new(), false);
    }
    let names: Vec<String> = section.keys().map(str::to_owned).collect();
    let has_short = Cell::new(false);
    let fields = section.each_secret(|name, text, path_of| {
        let (name, is_file) = name.strip_suffix("_file").map_or((name, false), |name| (name, true));
        let lower = name.to_ascii_lowercase();
        if names.iter().filter(|other| other.trim_end_matches("_file").eq_ignore_ascii_case(name)).count() > 1 {
            return Err("duplicate header".to_owned());
        }
        if OWN_HEADERS.contains(&lower.as_str()) {
            return Err(format!("{lower} is set by expvastic itself"));
        }
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
            return Err("not a valid header name".to_owned());
        }
        let (secret, file) = if is_file {
            let path = path_of(text);
            (Secret::read(&path, Shape::Field).map_err(|error| error.to_string())?, Some(path))
        } else {
            (Secret::new(text, Shape::Field).map_err(|problem| format!("the value {problem}"))?, None)
        };
        let sounds_secret = SECRET_NAMES.iter().any(|part| lower.contains(part));
        has_short.set(has_short.get() || sounds_secret && secret.expose().len() < limits::HIDDEN_BYTES_MIN);
        Ok((name.to_owned(), file.map_or(SecretSource::Text(secret), SecretSource::File)))
    });
    (fields, has_short.get())
}

fn tls(mut section: Section<'_, '_>) -> Tls {
    let ca_file = section.file("ca_file", |path| pem_file(path, "CERTIFICATE", "certificate"));
    let cert_file = section.file("cert_file", client_certificate);
    let key_file = section.file("key_file", |path| pem_file(path, "PRIVATE KEY", "private key"));
    let verify = section.boolean("verify").unwrap_or(true);
    let has = |section: &mut Section<'_, '_>, key| section.node(key).is_some();
    if has(&mut section, "cert_file") != has(&mut section, "key_file") {
        section.lacks("cert_file and key_file must be set together: the certificate and its private key");
    }
    let has_version_1 = ca_file.as_ref().is_some_and(PemFile::has_version_1);
    if let Some((_, place)) = section.node("ca_file").filter(|_| has_version_1) {
        section.warn(
            &place,
            "contains an X.509 version 1 certificate: trusted as a CA, but a server that presents it is rejected",
        );
    }
    let client = cert_file.zip(key_file);
    if let Some((certificate, key)) = &client
        && let Some(problem) = pair_problem(certificate, key)
        && let Some((_, place)) = section.node("key_file")
    {
        section.wrong(&place, problem);
    }
    section.finish();
    let client = client.map(|(cert, key)| ClientCertificate { cert_file: cert.path, key_file: key.path });
    Tls { ca_file: ca_file.map(|file| file.path), client, verify }
}

/// A file in PEM format that has been checked. libcurl reads it again whenever it connects.
struct PemFile {
    path: PathBuf,
    blocks: Vec<Block>,
}

impl PemFile {
    /// Whether it contains a certificate of X.509 version 1.
    fn has_version_1(&self) -> bool {
        self.blocks.iter().any(|block| pem::x509_version(&block.der) == Some(1))
    }
}

/// Reads a file in PEM format. It must contain blocks whose labels end with `label`, which errors call `what`.
fn pem_file(path: &Path, label: &str, what: &str) -> Result<PemFile, String> {
    Ok(PemFile { path: path.to_owned(), blocks: pem_blocks(path, label, what)? })
}

/// The same, without the path.
///
/// # Errors
/// The file, and what is wrong with it.
pub(crate) fn pem_blocks(path: &Path, label: &str, what: &str) -> Result<Vec<Block>, String> {
    let wrong = |problem: &str| format!("{}: {problem}", path.display());
    let text =
        regular_file::read(path, limits::CERTIFICATES_BYTES_MAX).map_err(|problem| wrong(&problem.to_string()))?;
    if memchr::memmem::find(&text, b"ENCRYPTED").is_some() {
        return Err(wrong("the private key is encrypted: expected one without a passphrase"));
    }
    let mut blocks = pem::blocks(&text).map_err(|error| wrong(&error.to_string()))?;
    blocks.retain(|block| block.label.ends_with(label));
    if blocks.is_empty() {
        return Err(wrong(&format!("contains no {what} in PEM format (-----BEGIN …)")));
    }
    Ok(blocks)
}

fn client_certificate(path: &Path) -> Result<PemFile, String> {
    let file = pem_file(path, "CERTIFICATE", "certificate")?;
    if file.has_version_1() {
        let advice = "reissue it with extensions (`openssl x509 -extfile …`), which makes it version 3";
        return Err(format!("{}: the certificate is X.509 version 1, which is not accepted: {advice}", path.display()));
    }
    Ok(file)
}

/// Why a client certificate and a private key cannot be used together; none if they can.
#[cfg(feature = "tls")]
fn pair_problem(certificate: &PemFile, key: &PemFile) -> Option<String> {
    let chain: Vec<&[u8]> = certificate.blocks.iter().map(|block| &block.der[..]).collect();
    let first = key.blocks.first()?;
    let problem = crate::http::pair_problem(&chain, &first.label, &first.der)?;
    let (certificate, key) = (certificate.path.display(), key.path.display());
    Some(format!("the certificate in {certificate} and the key in {key} cannot be used: {problem}"))
}

#[cfg(not(feature = "tls"))]
fn pair_problem(_: &PemFile, _: &PemFile) -> Option<String> {
    None
}

/// Takes `user:password@` out of an endpoint. Both are percent-decoded.
///
/// # Errors
/// What is wrong with it. Errors do not repeat any of it.
pub(super) fn take_credentials(endpoint: &str) -> Result<(String, Option<Auth>), String> {
    let (scheme, rest) = endpoint.split_once("://").map_or(("", endpoint), |(scheme, rest)| (scheme, rest));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some((credentials, host)) = rest[..end].rsplit_once('@') else {
        // Such as `u:p/w@host`, where the authority would end in the middle of the password.
        let is_port = || values::url(&rest[..end], "").is_ok() || ports::has_range(&rest[..end]);
        let is_odd = rest[..end].contains(':') && rest[end..].contains('@') && !is_port();
        if is_odd {
            return Err(format!("the endpoint seems to contain credentials with a {:?}: {ADVICE}", &rest[end..=end]));
        }
        return Ok((endpoint.to_owned(), None));
    };
    let (name, password) = credentials.split_once(':').ok_or_else(|| {
        format!(
            "the endpoint contains a user without a password: \
                                                           {ADVICE}"
        )
    })?;
    let decoded = |text: &str| {
        percent_decoded(text)
            .ok_or_else(|| format!("the credentials in the endpoint contain invalid percent-encoding: {ADVICE}"))
    };
    let problem = |what: &str| format!("in the endpoint's credentials, {what}");
    let user = user(&decoded(name)?).map_err(|what| problem(&what))?;
    let password =
        Secret::new(&decoded(password)?, Shape::Password).map_err(|what| problem(&format!("password {what}")))?;
    let separator = if scheme.is_empty() { "" } else { "://" };
    let bare = format!("{scheme}{separator}{host}{}", &rest[end..]);
    Ok((bare, Some(Auth::Basic { user, password: SecretSource::Text(password) })))
}

const ADVICE: &str = "use auth: {user, password}, or percent-encode all but letters and digits";

/// A part of a URL without its percent-encoding. None if that is damaged, or what it stands for is not UTF-8.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = behind;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_leave_the_endpoint() {
        for (endpoint, bare, user, password) in [
            ("http://u:p@h:1/x?y@z", "http://h:1/x?y@z", "u", "p"),
            ("u:p@h:1", "h:1", "u", "p"),
            ("https://u:p:q@[::1]:9", "https://[::1]:9", "u", "p:q"),
            ("https://u%40x:%70%2Fw%C3%A9@h", "https://h", "u@x", "p/wé"),
            ("https://u:p@w@h", "https://h", "u", "p@w"),
        ] {
            let (left, auth) = take_credentials(endpoint).unwrap();
            let Some(Auth::Basic { user: found, password: SecretSource::Text(secret) }) = auth else { panic!() };
            assert_eq!((left.as_str(), found.as_str(), secret.expose()), (bare, user, password));
        }
        for endpoint in ["h:1", "h:1-2/a@b", "http://h/a@b", "http://h:1/a:b@c", "", "http://[::1]:9/x@y"] {
            assert_eq!(take_credentials(endpoint), Ok((endpoint.to_owned(), None)));
        }
    }

    #[test]
    fn odd_credentials_are_refused_and_not_repeated() {
        for endpoint in [
            "http://hunter2@h",
            "http://:hunter2@h",
            "http://hunter2:@h",
            "http://u:hunter2/x@h",
            "http://u:hunter2#x@h:9200",
            "hunter2:hunter2?@h:9200",
            "http://u:hunter2%@h",
            "http://u:hunter2%zz@h",
            "http://u:hunter2%ff@h",
            "http://u:hunter2%0a@h",
            "http://hunter2%3a:x@h",
        ] {
            let error = take_credentials(endpoint).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
