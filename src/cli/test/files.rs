//! Tries to read the files of secrets and certificates. They could be read when the configuration was loaded, by this user;
//! the lines name them.

use crate::access::pem;
use crate::access::{Access, Auth, SecretSource};
use crate::clock;
use crate::config::{Reader, Recorder, Target, pem_blocks};
use crate::finding::Finding;
use crate::secret::{Secret, Shape};
use std::path::Path;

const CHECK: &str = "file";
const CLIENT: &str = "client certificate";

pub(super) fn of_reader(reader: &Reader) -> Vec<Finding> {
    inspect(reader.source.access().map(|access| &**access).into_iter())
}

pub(super) fn of_recorder(recorder: &Recorder) -> Vec<Finding> {
    match &recorder.target {
        Target::Elasticsearch(target) => inspect(target.hosts.iter().map(|host| &*host.access)),
        Target::File { .. } => Vec::new(),
    }
}

/// Each file once, though several hosts may need it.
fn inspect<'a>(accesses: impl Iterator<Item = &'a Access>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |finding| {
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    };
    for Access { auth, headers, tls } in accesses {
        let secret = match auth {
            Some(Auth::Basic { password, .. }) => Some((password, "password", Shape::Password)),
            Some(Auth::ApiKey(key)) => Some((key, "API key", Shape::Token)),
            Some(Auth::Bearer(token)) => Some((token, "bearer token", Shape::Token)),
            None => None,
        };
        if let Some((SecretSource::File(path), what, shape)) = secret {
            add(of_secret(what, "auth", path, shape));
        }
        for (_, value) in headers {
            // The name may be a secret in the wrong place.
            if let SecretSource::File(path) = value {
                add(of_secret("header", "headers", path, Shape::Field));
            }
        }
        if let Some(path) = &tls.ca_file {
            add(of_pem("CA", path, "CERTIFICATE", "certificate"));
        }
        if let Some(client) = &tls.client {
            add(of_pem(CLIENT, &client.cert_file, "CERTIFICATE", "certificate"));
            add(of_pem("private key", &client.key_file, "PRIVATE KEY", "private key"));
        }
    }
    findings
}

fn of_secret(what: &str, key: &'static str, path: &Path, shape: Shape) -> Finding {
    match Secret::read(path, shape) {
        Ok(_) => readable(what, path),
        Err(error) => unreadable(what, key, &error.to_string()),
    }
}

fn of_pem(what: &str, path: &Path, label: &str, content: &str) -> Finding {
    match pem_blocks(path, label, content) {
        Ok(blocks) => {
            let mut finding = readable(what, path);
            let expiry = blocks.first().and_then(|block| pem::expiry(&block.der));
            if let Some(expiry) = expiry.filter(|_| what == CLIENT) {
                finding.add_expiry(expiry, clock::timestamp());
            }
            finding
        }
        Err(problem) => unreadable(what, "tls", &problem),
    }
}

fn readable(what: &str, path: &Path) -> Finding {
    Finding::good(CHECK, format!("{what} file {} can be read", path.display()))
}

/// The file is in the problem.
fn unreadable(what: &str, key: &'static str, problem: &str) -> Finding {
    Finding::bad(CHECK, format!("{what} file {problem}")).fix("check its path, its content and its permissions", key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{ClientCertificate, Tls};
    use std::path::PathBuf;

    #[test]
    fn each_file_that_cannot_be_used_is_named_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("good"), "planted-secret\n").unwrap();
        std::fs::write(path("empty"), "\n").unwrap();
        let file = |name: &str| SecretSource::File(path(name));
        let client = ClientCertificate { cert_file: path("good"), key_file: PathBuf::from("/nowhere/key") };
        let access = Access {
            auth: Some(Auth::Basic { user: "u".to_owned(), password: file("empty") }),
            headers: vec![("x-a".to_owned(), file("good")), ("x-b".to_owned(), file("gone"))],
            tls: Tls { ca_file: Some(path("good")), client: Some(client), verify: true },
        };
        let line = |finding: &Finding| {
            let text = finding.text.replace(&format!("{}/", folder.path().display()), "");
            format!("{} {} {text}", finding.is_good, finding.key)
        };
        let found: Vec<String> = inspect([&access, &access].into_iter()).iter().map(line).collect();
        let no_pem = "contains no certificate in PEM format (-----BEGIN …)";
        assert_eq!(
            found,
            [
                "false auth password file empty: is empty".to_owned(),
                "true  header file good can be read".to_owned(),
                "false headers header file gone: cannot be read: No such file or directory (os error 2)".to_owned(),
                format!("false tls CA file good: {no_pem}"),
                format!("false tls client certificate file good: {no_pem}"),
                "false tls private key file /nowhere/key: cannot be read: No such file or directory (os error 2)"
                    .to_owned(),
            ]
        );
    }
}
