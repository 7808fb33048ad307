//! Where the body of an answer goes: into a buffer as a whole, or piece by piece to somebody who reads it as it comes.

/// Reads the body of an answer as it comes.
pub(crate) trait Receiver {
    /// Takes the next bytes of the body of an answer with this status. False if no more of it is wanted.
    fn take(&mut self, status: u16, piece: &[u8]) -> bool;

    /// What has come so far does not count: there will be another answer.
    fn restart(&mut self);
}

/// A body on its way.
pub(super) struct Incoming<'b> {
    /// What has come and was not passed on; without memory until something comes.
    pub(super) buffer: &'b mut Vec<u8>,
    receiver: Option<&'b mut dyn Receiver>,
}

impl<'b> Incoming<'b> {
    /// All of it stays in the buffer.
    pub(super) fn kept(buffer: &'b mut Vec<u8>) -> Self {
        Self { buffer, receiver: None }
    }

    /// None of it stays there.
    pub(super) fn passed_on(buffer: &'b mut Vec<u8>, receiver: &'b mut dyn Receiver) -> Self {
        Self { buffer, receiver: Some(receiver) }
    }

    /// Whether somebody reads it as it comes.
    pub(super) fn is_passed_on(&self) -> bool {
        self.receiver.is_some()
    }

    /// Hands over the first bytes of the buffer, if somebody reads them. None if they stay where they are, else whether more
    /// is wanted.
    pub(super) fn pass_on(&mut self, status: u16, bytes: usize) -> Option<bool> {
        let receiver = self.receiver.as_mut()?;
        let is_wanted = bytes == 0 || receiver.take(status, &self.buffer[..bytes]);
        self.buffer.drain(..bytes);
        Some(is_wanted)
    }

    pub(super) fn restart(&mut self) {
        self.buffer.clear();
        if let Some(receiver) = &mut self.receiver {
            receiver.restart();
        }
    }
}
