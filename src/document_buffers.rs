//! The buffers that turn a body into a document. There is one set for the whole process; one poll at a time uses it,
//! and never across an await.

use crate::bulk::{DocumentKey, IdSource};
use crate::calendar::Timestamp;
use crate::document;
use crate::flatten::{FlattenError, Report, Scratch, Variables};
use crate::limits;
use std::time::Duration;

/// The working memory of the sanitiser, the buffer for the document, and the body buffers that are not in use.
pub(crate) struct DocumentBuffers {
    scratch: Scratch,
    document: Vec<u8>,
    ids: IdSource,
    bodies: Vec<Vec<u8>>,
}

impl DocumentBuffers {
    /// `process_id` are random bytes that distinguish this process from every other. They become part of document ids.
    pub(crate) fn new(process_id: [u8; 9]) -> Self {
        Self {
            scratch: Scratch::new(),
            document: Vec::new(),
            ids: IdSource::new(process_id),
            bodies: Vec::with_capacity(limits::POOLED_BODIES_MAX),
        }
    }

    /// An empty buffer for a body: one that has been used before, if there is one.
    pub(crate) fn take_body(&mut self) -> Vec<u8> {
        self.bodies.pop().unwrap_or_default()
    }

    /// Makes the document of a payload. `time` is when it was polled, and `elapsed` is the same as the time since the
    /// start of the process. `variables` and `own_members` are those of its reader.
    ///
    /// # Errors
    /// [`FlattenError`]: there is no document.
    pub(crate) fn document(
        &mut self,
        variables: &mut Variables,
        own_members: &[u8],
        time: Timestamp,
        elapsed: Duration,
        body: &mut Vec<u8>,
    ) -> Result<(DocumentKey, &[u8], Report), FlattenError> {
        self.document.clear();
        document::begin(&mut self.document, time, own_members);
        let report = self.scratch.flatten(variables, elapsed, body, &mut self.document)?;
        document::end(&mut self.document);
        let key = DocumentKey { time, id: self.ids.next_id() };
        Ok((key, &self.document, report))
    }

    /// Takes the buffer of a body for another poll, and frees memory beyond what is usual.
    pub(crate) fn recycle(&mut self, mut body: Vec<u8>) {
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
