//! The way from a body to a sealed bulk, as the engine goes it, for the benches and the test that counts allocations.

use crate::bulk;
use crate::clock;
use crate::config::{Config, LogLevel, Recorder};
use crate::flatten::{VariableRules, Variables};
use crate::recorder::Recording;
use crate::workbench::Workbench;
use std::sync::Arc;

/// One reader's and one recorder's part of that way.
pub struct HotPath {
    bench: Workbench,
    recording: Recording,
    variables: Variables,
    own_members: Vec<u8>,
}

impl HotPath {
    /// A reader called `service_name`, a recorder into `index_name`.
    ///
    /// # Errors
    /// An index name that a server would refuse.
    pub fn new(service_name: &str, index_name: &str) -> Result<Self, crate::ConfigError> {
        Self::with_rules(service_name, index_name, VariableRules::default())
    }

    /// The first reader of a configuration.
    ///
    /// # Errors
    /// A configuration without a reader.
    pub fn of_config(config: &Config) -> Result<Self, crate::ConfigError> {
        let reader = config.readers.first().ok_or_else(|| crate::ConfigError::of("readers", "none".to_owned()))?;
        Self::with_rules(&reader.type_name, "expvastic", reader.variables.clone())
    }

    fn with_rules(service_name: &str, index_name: &str, rules: VariableRules) -> Result<Self, crate::ConfigError> {
        let recorder = Recorder::file("bench", "-", index_name)?;
        Ok(Self {
            bench: Workbench::new([0; 9]),
            recording: Recording::new(Arc::new(recorder), LogLevel::Error, 1, 64 << 20),
            variables: Variables::new(rules),
            own_members: bulk::own_members(service_name, "host"),
        })
    }

    /// Makes a document of the body, copies it into the bulk, and seals the bulk.
    ///
    /// # Errors
    /// Why there is no document.
    pub fn tick(&mut self, body: &mut Vec<u8>) -> Result<(), String> {
        let time = clock::timestamp();
        let made = self.bench.document(&mut self.variables, &self.own_members, time, body);
        let (key, document, _) = made.map_err(|error| error.to_string())?;
        self.recording.add(key, document, clock::now());
        self.recording.seal();
        Ok(())
    }

    /// Makes a document of the body, and nothing else of it.
    ///
    /// # Errors
    /// Why there is no document.
    pub fn flatten(&mut self, body: &mut Vec<u8>) -> Result<&[u8], String> {
        let time = clock::timestamp();
        match self.bench.document(&mut self.variables, &self.own_members, time, body) {
            Ok((_, document, _)) => Ok(document),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Gives the buffers of an outlier back, as the engine does behind each tick.
    pub fn rest(&mut self, body: Vec<u8>) {
        self.bench.take_back(body);
    }

    /// Hands the oldest sealed bulk to `receive`, and takes it for delivered. False if there is none.
    pub fn deliver(&mut self, receive: impl FnOnce(&[u8])) -> bool {
        self.recording.deliver_next(receive)
    }
}
