//! The servers on loopback that all subjects use: endpoints and a sink over plain HTTP, and the same over TLS.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{
    Outcome,
    app::App,
    http::{self, Opening},
    load::Way,
    names::Name,
    sink::Sink,
    tls::Tls,
};

/// All servers.
pub(crate) struct Loopback {
    pub(crate) name: Name,
    plain: Servers,
    secured: Option<Secured>,
}

/// Endpoints, and the server that takes the documents.
pub(crate) struct Servers {
    pub(crate) app: App,
    pub(crate) sink: Sink,
}

struct Secured {
    tls: Tls,
    /// All that the system trusts, and our CA.
    system_store: PathBuf,
    servers: Servers,
    /// Holds the certificates.
    _folder: TempDir,
}

impl Loopback {
    /// Starts the servers for so many readers. Those with TLS want the command `openssl`; there are none without readers.
    pub(crate) fn start(readers: usize, tls_readers: usize, name: Name) -> Outcome<Self> {
        let secured = if tls_readers > 0 { Some(Secured::start(tls_readers)?) } else { None };
        Ok(Self { name, plain: Servers::start(readers, http::plain)?, secured })
    }

    /// Those for this way.
    pub(crate) fn servers(&self, way: Way) -> Outcome<&Servers> {
        if !way.is_tls() {
            return Ok(&self.plain);
        }
        Ok(&self.secured.as_ref().ok_or("the servers with TLS were not started")?.servers)
    }

    /// The certificate of the CA.
    pub(crate) fn ca_file(&self) -> Option<&Path> {
        self.secured.as_ref().map(|secured| secured.tls.ca_file.as_path())
    }

    /// The CAs of the system, and our own.
    pub(crate) fn system_store(&self) -> Option<&Path> {
        self.secured.as_ref().map(|secured| secured.system_store.as_path())
    }

    /// Handshakes until now: full ones, and those that resumed a session.
    pub(crate) fn handshakes(&self) -> (u64, u64) {
        self.secured.as_ref().map_or((0, 0), |secured| secured.tls.handshakes())
    }
}

impl Servers {
    fn start(readers: usize, opening: impl Fn() -> Opening) -> Outcome<Self> {
        Ok(Self { app: App::start(readers, &opening())?, sink: Sink::start(&opening())? })
    }
}

impl Secured {
    fn start(readers: usize) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let tls = Tls::start(folder.path())?;
        let system_store = tls.system_store(folder.path())?;
        Ok(Self { servers: Servers::start(readers, || tls.opening())?, tls, system_store, _folder: folder })
    }
}
