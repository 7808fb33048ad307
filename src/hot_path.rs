//! The way from a body to a sealed bulk, as the engine goes it, for the benches and the test that counts allocations.

use crate::bulk;
use crate::clock;
use crate::config::{LogLevel, Recorder};
use crate::recorder::Recording;
use crate::workbench::Workbench;
use std::sync::Arc;

/// One reader's and one recorder's part of that way.
pub struct HotPath {
    bench: Workbench,
    recording: Recording,
    own_members: Vec<u8>,
}

impl HotPath {
    /// A reader called `service_name`, a recorder into `index_name`.
    ///
    /// # Errors
    /// An index name that a server would refuse.
    pub fn new(service_name: &str, index_name: &str) -> Result<Self, crate::ConfigError> {
        let recorder = Recorder::file("bench", "-", index_name)?;
        Ok(Self {
            bench: Workbench::new([0; 9]),
            recording: Recording::new(Arc::new(recorder), LogLevel::Error, 1, 64 << 20),
            own_members: bulk::own_members(service_name, "host"),
        })
    }

    /// Makes a document of the body, copies it into the bulk, and seals the bulk.
    ///
    /// # Errors
    /// Why there is no document.
    pub fn tick(&mut self, body: &mut Vec<u8>) -> Result<(), String> {
        let time = clock::timestamp();
        let made = self.bench.document(&self.own_members, time, body);
        let (key, document, _) = made.map_err(|error| error.to_string())?;
        self.recording.add(key, document, clock::now());
        self.recording.seal();
        Ok(())
    }

    /// Hands the oldest sealed bulk to `receive`, and takes it for delivered. False if there is none.
    pub fn deliver(&mut self, receive: impl FnOnce(&[u8])) -> bool {
        self.recording.deliver_next(receive)
    }
}
