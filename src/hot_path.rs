//! What happens between a body and a sealed bulk, as the engine does it: for the benches, and for the test that counts
//! allocations. Also the sanitiser alone, and the first stages of reading a configuration, for fuzzing.

use crate::clock;
use crate::config::{Config, LogLevel, Reader, Recorder, maps};
use crate::document;
use crate::document_buffers::DocumentBuffers;
use crate::flatten::{self, Conversions, Loss, Report, Scratch, VariableRules, Variables};
use crate::log::ComponentLevel;
use crate::recorder::{Feed, Recording};
use std::sync::Arc;
use std::time::Duration;

/// One reader and one recorder, without endpoint and server.
pub struct HotPath {
    buffers: DocumentBuffers,
    recording: Recording,
    variables: Variables,
    own_members: Vec<u8>,
    /// Pretended time since the start, from which rates are computed.
    elapsed: Duration,
}

impl HotPath {
    /// A reader called `service_name`, a recorder into `index_name`.
    ///
    /// # Errors
    /// An index name that a server would refuse.
    pub fn new(service_name: &str, index_name: &str) -> Result<Self, crate::ConfigError> {
        Self::of_reader(&Reader::own("bench", service_name), index_name)
    }

    /// The first reader of a configuration.
    ///
    /// # Errors
    /// A configuration without a reader.
    pub fn of_config(config: &Config) -> Result<Self, crate::ConfigError> {
        Self::of_reader(first_reader(config)?, "expvastic")
    }

    fn of_reader(reader: &Reader, index_name: &str) -> Result<Self, crate::ConfigError> {
        let recorder = Recorder::file("bench", "-", index_name)?;
        let own_members = document::own_members(&reader.type_name, "host", reader.labels());
        Ok(Self {
            buffers: DocumentBuffers::new([0; 9]),
            recording: Recording::new(
                Arc::new(recorder),
                &ComponentLevel::of_settings(LogLevel::Error),
                Feed { readers: 1, ..Feed::default() },
                64 << 20,
            ),
            variables: Variables::new(Arc::clone(&reader.variables)),
            own_members,
            elapsed: Duration::ZERO,
        })
    }

    /// Makes a document of the body, copies it into the bulk, and seals the bulk, as if a second had passed since the
    /// previous one.
    ///
    /// # Errors
    /// Why there is no document.
    pub fn tick(&mut self, body: &mut Vec<u8>) -> Result<(), String> {
        let time = clock::timestamp();
        self.elapsed += Duration::from_secs(1);
        let made = self.buffers.document(&mut self.variables, &self.own_members, time, self.elapsed, body);
        let (key, document, _) = made.map_err(|error| error.to_string())?;
        self.recording.add(key, document, clock::now());
        self.recording.seal();
        Ok(())
    }

    /// Only makes a document of the body, as if a second had passed since the previous one. What an outlier took is kept until
    /// [`HotPath::recycle`].
    ///
    /// # Errors
    /// Why there is no document.
    pub fn flatten(&mut self, body: &mut Vec<u8>) -> Result<&[u8], String> {
        self.flatten_after(Duration::from_secs(1), body)
    }

    /// The same, as if `pause` had passed.
    ///
    /// # Errors
    /// Why there is no document.
    pub fn flatten_after(&mut self, pause: Duration, body: &mut Vec<u8>) -> Result<&[u8], String> {
        let time = clock::timestamp();
        self.elapsed += pause;
        match self.buffers.flatten(&mut self.variables, &self.own_members, time, self.elapsed, body) {
            Ok(_) => Ok(self.buffers.flattened()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Recycles the body's buffer and frees what an outlier took, as the engine does after each poll.
    pub fn recycle(&mut self, body: Vec<u8>) {
        self.buffers.recycle(body);
    }

    /// Hands the oldest sealed bulk to `receive` and counts it as delivered. False if there is none.
    pub fn deliver(&mut self, receive: impl FnOnce(&[u8])) -> bool {
        self.recording.deliver_next(receive)
    }
}

fn first_reader(config: &Config) -> Result<&Reader, crate::ConfigError> {
    let reader = config.readers.first().ok_or_else(|| crate::ConfigError::of("readers", "none".to_owned()))?;
    Ok(reader)
}

/// The sanitiser, and what one reader remembers.
pub struct Sanitiser {
    scratch: Scratch,
    rules: Arc<VariableRules>,
    variables: Variables,
    elapsed: Duration,
}

/// What one payload held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Variables that were shipped.
    pub shipped: u64,
    /// Values that are no JSON and were left out.
    pub broken: u64,
    /// Numbers that no server can store, left out.
    pub out_of_range: u64,
}

impl Sanitiser {
    /// For the first reader of a configuration.
    ///
    /// # Errors
    /// A configuration without a reader.
    pub fn of_config(config: &Config) -> Result<Self, crate::ConfigError> {
        Ok(Self::with_rules(Arc::clone(&first_reader(config)?.variables)))
    }

    /// For a reader with nothing but a `map_file` that holds `text`.
    ///
    /// # Errors
    /// What is wrong with it, on one line.
    pub fn of_map_file(text: &str) -> Result<Self, String> {
        let conversions = Arc::new(maps::parse("maps.yml", text, &|_| None)?);
        Ok(Self::with_rules(Arc::new(VariableRules { conversions, ..VariableRules::default() })))
    }

    /// The names in the `map_file`.
    #[must_use]
    pub fn converted_names(&self) -> Vec<&str> {
        let Conversions { gc_lists, sizes } = &*self.rules.conversions;
        gc_lists.iter().chain(sizes.iter().map(|(name, _)| name)).map(String::as_str).collect()
    }

    fn with_rules(rules: Arc<VariableRules>) -> Self {
        Self { scratch: Scratch::new(), variables: Variables::new(Arc::clone(&rules)), rules, elapsed: Duration::ZERO }
    }

    /// Replaces the reader by a new one with the same rules. The scratch stays.
    pub fn forget(&mut self) {
        self.variables = Variables::new(Arc::clone(&self.rules));
    }

    /// Appends the variables of the body to `out` as `,"name":value`, as if it had been polled `pause` after the last
    /// one.
    ///
    /// # Errors
    /// Why there are none; `out` is then as it was.
    pub fn append(&mut self, pause: Duration, body: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<Counts, String> {
        self.elapsed += pause;
        let made = self.scratch.flatten(&mut self.variables, self.elapsed, body, out);
        let report = made.map_err(|error| error.to_string())?;
        let Report { numbers, strings, booleans, lists, broken, out_of_range, .. } = report;
        let shipped = numbers + strings + booleans + lists + u64::from(report.restarted);
        Ok(Counts { shipped, broken, out_of_range })
    }

    /// Names of broken values that were lost for the first time, as a log line shows them.
    pub fn lost(&mut self) -> Vec<String> {
        self.variables.lost(Loss::Broken).names
    }
}

pub use crate::config::YamlSizes;

/// The size of a YAML text, once as the scan before parsing counts it, once as the parser finds it. None if the text is
/// refused, or has aliases, which the parser expands.
#[must_use]
pub fn yaml_sizes(text: &str) -> Option<YamlSizes> {
    YamlSizes::of(text)
}

/// The name of the variable at `offset` of any body, as a log line about a broken value would show it.
#[must_use]
pub fn name_at(body: &[u8], offset: usize) -> String {
    flatten::name_at(body, offset)
}
