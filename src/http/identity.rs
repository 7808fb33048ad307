//! The header fields that identify us to one origin. They are read again when the files that they come from change.

use super::HttpError;
use super::error::TransportError;
use crate::access::{Access, Headers, Tls};
use crate::clock;
use crate::file_stamp::FileStamp;
use crate::limits;
use crate::log::FailureLog;
use crate::secret::SecretFileError;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// What identifies us to one origin, according to its [`Access`].
#[derive(Debug, Default)]
pub(crate) struct Identity {
    access: Arc<Access>,
    loaded: RefCell<Option<Loaded>>,
    failures: RefCell<FailureLog>,
}

#[derive(Debug)]
struct Loaded {
    headers: Rc<Headers>,
    /// Those before them. An answer to a request with them may still be under way, and their secrets stay hidden in it.
    _before: Option<Rc<Headers>>,
    /// The metadata of the files when they were read, in their order; none for a file that was not there.
    stamps: Vec<Option<FileStamp>>,
    checked_at: Instant,
}

impl Identity {
    /// Reads the files. From now on their secrets are hidden in texts from outside. A file that cannot be read is tried again
    /// when it is needed.
    pub(crate) fn new(access: impl Into<Arc<Access>>) -> Self {
        let identity = Self { access: access.into(), ..Self::default() };
        let _ = identity.headers(clock::now());
        identity
    }

    /// The same without credentials, header fields and client certificate, for the target of a redirect to another origin:
    /// the server that redirects us must not choose who gets them. Which certificates are trusted stays in force.
    pub(super) fn anonymous(&self) -> Self {
        let tls = Tls { client: None, ..self.access.tls.clone() };
        Self { access: Arc::new(Access { tls, ..Access::default() }), ..Self::default() }
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// The header fields to send now. If a file is missing or cannot be read any more, those that were read last.
    ///
    /// # Errors
    /// If a file could not be read and never has been.
    pub(super) fn headers(&self, now: Instant) -> Result<Rc<Headers>, HttpError> {
        let mut loaded = self.loaded.borrow_mut();
        if let Some(loaded) = &mut *loaded {
            let is_recent = now.saturating_duration_since(loaded.checked_at) < limits::SECRET_LOOK_INTERVAL;
            if is_recent || loaded.stamps.is_empty() {
                return Ok(Rc::clone(&loaded.headers));
            }
            loaded.checked_at = now;
            if loaded.stamps == self.stamps() {
                return Ok(Rc::clone(&loaded.headers));
            }
        }
        match (self.load(loaded.as_ref(), now), &*loaded) {
            (Ok(new), _) => Ok(Rc::clone(&loaded.insert(new).headers)),
            (Err(error), Some(old)) => {
                let are_there = self.stamps().iter().all(Option::is_some);
                let times = self.failures.borrow_mut().failed(&error.to_string(), now);
                if let Some(times) = times.filter(|_| are_there) {
                    tracing::warn!(count = times, "cannot reload a secret, keeping the current one: {error}");
                }
                Ok(Rc::clone(&old.headers))
            }
            (Err(error), None) => Err(HttpError::Transport(TransportError::Secret(error))),
        }
    }

    /// Reads the files again, even if their metadata has not changed. Returns whether the header fields are others now.
    pub(super) fn reload(&self, now: Instant) -> bool {
        if self.access.secret_files().next().is_none() {
            return false;
        }
        let mut loaded = self.loaded.borrow_mut();
        let Ok(new) = self.load(loaded.as_ref(), now) else { return false };
        let is_other = loaded.as_ref().is_none_or(|loaded| loaded.headers != new.headers);
        *loaded = Some(new);
        is_other
    }

    fn load(&self, before: Option<&Loaded>, now: Instant) -> Result<Loaded, SecretFileError> {
        // The metadata comes first: a file that changes after this line is read again the next time.
        let stamps = self.stamps();
        let before = before.map(|before| Rc::clone(&before.headers));
        Ok(Loaded { headers: Rc::new(self.access.load()?), _before: before, stamps, checked_at: now })
    }

    fn stamps(&self) -> Vec<Option<FileStamp>> {
        self.access.secret_files().map(FileStamp::of).collect()
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.access == other.access
    }
}

impl Eq for Identity {}
