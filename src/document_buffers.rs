//! The buffers that turn a body into a document. There is one set for the whole process; one poll at a time uses it,
//! and never across an await.

use crate::bulk::{DocumentKey, IdSource};
use crate::calendar::Timestamp;
use crate::document;
use crate::flatten::{FlattenError, Loss, Report, Scratch, VariableRules, Variables};
use crate::http::Buffers;
use crate::limits;
use std::cell::RefCell;
use std::sync::Arc;
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
        let (key, report) = self.flatten(variables, own_members, time, elapsed, body)?;
        // Before the document is copied: the index of a large body takes more memory than any copy.
        self.scratch.trim(body.len());
        Ok((key, &self.document, report))
    }

    /// Like [`DocumentBuffers::document`], but keeps all memory, and the document in [`DocumentBuffers::flattened`].
    ///
    /// # Errors
    /// The same.
    pub(crate) fn flatten(
        &mut self,
        variables: &mut Variables,
        own_members: &[u8],
        time: Timestamp,
        elapsed: Duration,
        body: &mut Vec<u8>,
    ) -> Result<(DocumentKey, Report), FlattenError> {
        self.document.clear();
        document::begin(&mut self.document, time, own_members);
        let report = self.scratch.flatten(variables, elapsed, body, &mut self.document)?;
        document::end(&mut self.document);
        Ok((DocumentKey { time, id: self.ids.next_id() }, report))
    }

    /// The document that [`DocumentBuffers::flatten`] has made.
    pub(crate) fn flattened(&self) -> &[u8] {
        &self.document
    }

    /// The names of the variables that are left out of the document of a payload, by the reason: those that a reader with
    /// these rules would report if this was its first payload. Costs as much as making the document.
    #[cold]
    pub(crate) fn left_out(
        &mut self,
        rules: &Arc<VariableRules>,
        body: &mut Vec<u8>,
    ) -> Vec<(&'static str, Vec<String>)> {
        let mut variables = Variables::new(Arc::clone(rules));
        self.document.clear();
        // A payload that gives no document names what is broken in it all the same.
        let _ = self.scratch.flatten(&mut variables, Duration::ZERO, body, &mut self.document);
        let reasons = [
            ("broken", Loss::Broken),
            ("columns", Loss::Columns),
            ("unkeyed", Loss::Unkeyed),
            ("over_max_fields", Loss::OverLimit),
        ];
        let names = reasons.map(|(reason, loss)| {
            let mut names = Vec::new();
            loop {
                let lost = variables.lost(loss);
                if lost.names.is_empty() {
                    return (reason, names);
                }
                names.extend(lost.names);
            }
        });
        names.into_iter().filter(|(_, names)| !names.is_empty()).collect()
    }

    /// Takes the buffer of a body for another poll, and frees memory beyond what is usual.
    pub(crate) fn recycle(&mut self, body: Vec<u8>) {
        self.scratch.trim(body.len());
        self.document.clear();
        self.document.shrink_to(limits::KEPT_SCRATCH_BYTES_MAX);
        self.give_back(body);
    }

    /// Takes the buffer of a body for another poll.
    fn give_back(&mut self, mut body: Vec<u8>) {
        if self.bodies.len() < limits::POOLED_BODIES_MAX && body.capacity() > 0 {
            body.clear();
            body.shrink_to(limits::POOLED_BODY_BYTES_MAX);
            self.bodies.push(body);
        }
    }
}

impl Buffers for RefCell<DocumentBuffers> {
    fn take(&self) -> Vec<u8> {
        self.borrow_mut().take_body()
    }

    fn give_back(&self, buffer: Vec<u8>) {
        self.borrow_mut().give_back(buffer);
    }
}
