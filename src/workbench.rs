//! The buffers that turn a body into a document: one set for the whole process, used by one poll at a time, never
//! across an await.

use crate::bulk::{DocumentKey, IdSource};
use crate::calendar::Timestamp;
use crate::document;
use crate::flatten::{FlattenError, Report, Scratch, Variables};
use crate::limits;
use std::time::Duration;

/// The scratch of the sanitiser, the document buffer, and the body buffers that are not in use.
pub(crate) struct Workbench {
    scratch: Scratch,
    document: Vec<u8>,
    ids: IdSource,
    bodies: Vec<Vec<u8>>,
}

impl Workbench {
    /// `process` are random bytes that tell this process from every other.
    pub(crate) fn new(process: [u8; 9]) -> Self {
        Self {
            scratch: Scratch::new(),
            document: Vec::new(),
            ids: IdSource::new(process),
            bodies: Vec::with_capacity(limits::POOLED_BODIES_MAX),
        }
    }

    /// An empty body buffer, used before if there is one.
    pub(crate) fn take_body(&mut self) -> Vec<u8> {
        self.bodies.pop().unwrap_or_default()
    }

    /// Makes the document of a payload that was polled at `time`, which is `polled` since the start; `variables` and `own_members` are its reader's.
    ///
    /// # Errors
    /// [`FlattenError`]: there is no document.
    pub(crate) fn document(
        &mut self,
        variables: &mut Variables,
        own_members: &[u8],
        time: Timestamp,
        polled: Duration,
        body: &mut Vec<u8>,
    ) -> Result<(DocumentKey, &[u8], Report), FlattenError> {
        self.document.clear();
        document::begin(&mut self.document, time, own_members);
        let report = self.scratch.flatten(variables, polled, body, &mut self.document)?;
        document::end(&mut self.document);
        let key = DocumentKey { time, id: self.ids.next_id() };
        Ok((key, &self.document, report))
    }

    /// Keeps the body's buffer for another poll, and no more memory than is usual.
    pub(crate) fn take_back(&mut self, mut body: Vec<u8>) {
        self.scratch.trim(body.len());
        self.document.clear();
        self.document.shrink_to(limits::KEPT_SCRATCH_BYTES_MAX);
        if self.bodies.len() < limits::POOLED_BODIES_MAX && body.capacity() > 0 {
            body.clear();
            body.shrink_to(limits::POOLED_BODY_BYTES_MAX);
            self.bodies.push(body);
        }
    }
}
