//! The flags, with their environment variables.

use super::usage::UsageError;
use super::{Failure, SingleEngine, Source};
use crate::config::{INDEX_NAME_DEFAULT, values};
use crate::limits;
use std::time::Duration;

/// A flag that takes a value.
pub(super) struct Flag {
    /// With its dashes.
    pub(super) name: &'static str,
    /// The environment variable that has the same meaning.
    pub(super) variable: &'static str,
}

/// The flags that take a value. `--config` is also `-c`.
pub(super) const VALUES: [Flag; 9] = [
    Flag { name: "--config", variable: "EXPVASTIC_CONFIG" },
    Flag { name: "--reader", variable: "EXPVASTIC_READER" },
    Flag { name: "--recorder", variable: "EXPVASTIC_RECORDER" },
    Flag { name: "--index", variable: "EXPVASTIC_INDEX" },
    Flag { name: "--type", variable: "EXPVASTIC_TYPE" },
    Flag { name: "--int", variable: "EXPVASTIC_INT" },
    Flag { name: "--timeout", variable: "EXPVASTIC_TIMEOUT" },
    Flag { name: "--backoff", variable: "EXPVASTIC_BACKOFF" },
    Flag { name: "--loglevel", variable: "EXPVASTIC_LOGLEVEL" },
];

/// Those whose value is an endpoint.
const ENDPOINTS: [&str; 2] = ["--reader", "--recorder"];

/// The flags without a value.
pub(super) const SWITCHES: [&str; 4] = ["--dry-run", "--print", "--help", "--version"];

/// The values of the flags in [`VALUES`] that are on the command line.
pub(super) struct Flags([Option<String>; VALUES.len()]);

impl Flags {
    pub(super) fn take(arguments: &mut pico_args::Arguments) -> Result<Self, Failure> {
        let mut values = [const { None }; VALUES.len()];
        for (Flag { name, .. }, value) in VALUES.into_iter().zip(&mut values) {
            let unparsed = |error| Failure::Usage(UsageError::Unparsed { flag: Some(name), error });
            *value = arguments.opt_value_from_str(name).map_err(unparsed)?;
        }
        Ok(Self(values))
    }

    /// The value of `--recorder`, for the command that takes it for a name.
    pub(super) fn take_recorder(&mut self) -> Option<String> {
        let at = VALUES.iter().position(|flag| flag.name == "--recorder")?;
        self.0[at].take()
    }

    /// The value of a flag, or else of its environment variable, read by `parser`.
    pub(super) fn value<T>(
        &mut self,
        name: &str,
        environment: &dyn Fn(&str) -> Option<String>,
        parser: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        let Some(index) = VALUES.iter().position(|flag| flag.name == name) else { return Ok(None) };
        let Flag { name, variable } = VALUES[index];
        let (origin, text) = match self.0[index].take() {
            Some(text) => (name, Some(text)),
            None => (variable, environment(variable)),
        };
        let parsed = text.map(|text| parser(&text)).transpose();
        parsed.map_err(|expected| Failure::Usage(UsageError::InvalidValue { origin, expected }))
    }

    /// A file, or a single engine, whichever the flags describe. If they describe neither, the environment decides.
    pub(super) fn source(&mut self, environment: &dyn Fn(&str) -> Option<String>) -> Result<Source, Failure> {
        // All but --config and --loglevel describe a single engine.
        let single = 1..VALUES.len() - 1;
        let single_flag = single.clone().find(|&index| self.0[index].is_some());
        if let Some(path) = self.0[0].clone() {
            return match single_flag {
                None => Ok(Source::File(path)),
                Some(index) => Err(Failure::Usage(UsageError::BesideConfig { flag: VALUES[index].name })),
            };
        }
        if single_flag.is_none() {
            if let Some(path) = environment("EXPVASTIC_CONFIG") {
                return Ok(Source::File(path));
            }
            if single.clone().all(|index| environment(VALUES[index].variable).is_none()) {
                return Err(Failure::Usage(UsageError::NothingToDo));
            }
        }
        self.single(environment).map(|single| Source::Flags(Box::new(single)))
    }

    fn single(&mut self, environment: &dyn Fn(&str) -> Option<String>) -> Result<SingleEngine, Failure> {
        let text = |text: &str| Ok(text.to_owned());
        for (flag, value) in VALUES.iter().zip(&self.0).filter(|(flag, _)| ENDPOINTS.contains(&flag.name)) {
            if value.as_deref().is_some_and(values::has_credentials) {
                return Err(Failure::Usage(UsageError::VisibleCredentials { flag: flag.name }));
            }
        }
        let interval = |text: &str| values::at_least(limits::INTERVAL_MIN, values::duration(text)?);
        let timeout = |text: &str| values::at_least(Duration::from_nanos(1), values::duration(text)?);
        let backoff = |text: &str| match text.parse() {
            Ok(backoff @ 1..=limits::BACKOFF_MAX) => Ok(backoff),
            _ => Err(format!("expected an integer from 1 to {}, found {text:?}", limits::BACKOFF_MAX)),
        };
        Ok(SingleEngine {
            reader: self
                .value("--reader", environment, text)?
                .unwrap_or_else(|| "localhost:1234/debug/vars".to_owned()),
            recorder: self.value("--recorder", environment, text)?.unwrap_or_else(|| "localhost:9200".to_owned()),
            index: self.value("--index", environment, text)?.unwrap_or_else(|| INDEX_NAME_DEFAULT.to_owned()),
            type_name: self.value("--type", environment, text)?.unwrap_or_else(|| "expvastic".to_owned()),
            interval: self.value("--int", environment, interval)?.unwrap_or(limits::INTERVAL_DEFAULT),
            timeout: self.value("--timeout", environment, timeout)?.unwrap_or(limits::TIMEOUT_DEFAULT),
            backoff: self.value("--backoff", environment, backoff)?.unwrap_or(limits::BACKOFF_DEFAULT),
        })
    }
}
