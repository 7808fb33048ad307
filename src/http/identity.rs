//! The header fields that identify us to one origin. They are read again when the files that they come from change.

use super::HttpError;
use super::error::TransportError;
use crate::access::{Access, Sent, Tls};
use crate::clock;
use crate::limits;
use crate::log::FailureLog;
use crate::secret::SecretFileError;
use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// What is known of an origin's [`Access`].
#[derive(Debug, Default)]
pub(crate) struct Identity {
    access: Arc<Access>,
    known: RefCell<Option<Known>>,
    failures: RefCell<FailureLog>,
}

#[derive(Debug)]
struct Known {
    sent: Rc<Sent>,
    /// What was sent before that: the answer to it may still be under way, and is not to repeat it either.
    _before: Option<Rc<Sent>>,
    /// How the files looked when they were read, in their order.
    stamps: Vec<Option<Stamp>>,
    looked: Instant,
}

/// A file that looks the same has the same text.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    /// What is secret is hidden from now on in texts from anywhere. A file that cannot be read is tried again when it is needed.
    pub(crate) fn new(access: impl Into<Arc<Access>>) -> Self {
        let identity = Self { access: access.into(), ..Self::default() };
        let _ = identity.sent(clock::now());
        identity
    }

    /// Nobody, who trusts the same certificates: for where a redirect leads. Whoever answered chooses that place, so neither
    /// credentials nor a client certificate go there; whom to believe is our own choice, and stays what it was.
    pub(super) fn anonymous(&self) -> Self {
        let tls = Tls { client: None, ..self.access.tls.clone() };
        Self { access: Arc::new(Access { tls, ..Access::default() }), ..Self::default() }
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// What is to be sent now. A file that is away for a moment, or cannot be read any more, leaves what was in it.
    ///
    /// # Errors
    /// A file that could not be read yet.
    pub(super) fn sent(&self, now: Instant) -> Result<Rc<Sent>, HttpError> {
        let mut known = self.known.borrow_mut();
        if let Some(known) = &mut *known {
            let is_recent = now.saturating_duration_since(known.looked) < limits::SECRET_LOOK_INTERVAL;
            if is_recent || known.stamps.is_empty() {
                return Ok(Rc::clone(&known.sent));
            }
            known.looked = now;
            if known.stamps == self.stamps() {
                return Ok(Rc::clone(&known.sent));
            }
        }
        match (self.load(known.as_ref(), now), &*known) {
            (Ok(new), _) => Ok(Rc::clone(&known.insert(new).sent)),
            (Err(error), Some(old)) => {
                let are_there = self.stamps().iter().all(Option::is_some);
                let times = self.failures.borrow_mut().failed(&error.to_string(), now);
                if let Some(times) = times.filter(|_| are_there) {
                    tracing::warn!(count = times, "cannot reload a secret, keeping the current one: {error}");
                }
                Ok(Rc::clone(&old.sent))
            }
            (Err(error), None) => Err(HttpError::Transport(TransportError::Secret(error))),
        }
    }

    /// Reads the files whatever they look like; whether something else is to be sent from now on.
    pub(super) fn reread(&self, now: Instant) -> bool {
        if self.access.secret_files().next().is_none() {
            return false;
        }
        let mut known = self.known.borrow_mut();
        let Ok(new) = self.load(known.as_ref(), now) else { return false };
        let is_other = known.as_ref().is_none_or(|known| known.sent != new.sent);
        *known = Some(new);
        is_other
    }

    fn load(&self, before: Option<&Known>, now: Instant) -> Result<Known, SecretFileError> {
        // Looked at first: what changes behind this look is seen at the next.
        let stamps = self.stamps();
        let before = before.map(|before| Rc::clone(&before.sent));
        Ok(Known { sent: Rc::new(self.access.load()?), _before: before, stamps, looked: now })
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        let stamp = |path| {
            fs::metadata(path).ok().map(|file| Stamp {
                inode: file.ino(),
                bytes: file.size(),
                modified: (file.mtime(), file.mtime_nsec()),
                changed: (file.ctime(), file.ctime_nsec()),
            })
        };
        self.access.secret_files().map(stamp).collect()
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.access == other.access
    }
}

impl Eq for Identity {}
