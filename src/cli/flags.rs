//! The flags, with their environment variables.

use super::{Failure, SingleEngine, Source};
use crate::config::{INDEX_NAME_DEFAULT, values};
use crate::limits;
use std::time::Duration;

/// Flags that take a value, with their environment variables. `--config` also is `-c`.
pub(super) const VALUES: [(&str, &str); 9] = [
    ("--config", "EXPVASTIC_CONFIG"),
    ("--reader", "EXPVASTIC_READER"),
    ("--recorder", "EXPVASTIC_RECORDER"),
    ("--index", "EXPVASTIC_INDEX"),
    ("--type", "EXPVASTIC_TYPE"),
    ("--int", "EXPVASTIC_INT"),
    ("--timeout", "EXPVASTIC_TIMEOUT"),
    ("--backoff", "EXPVASTIC_BACKOFF"),
    ("--loglevel", "EXPVASTIC_LOGLEVEL"),
];

/// Those of them that name an endpoint.
const ENDPOINTS: [&str; 2] = ["--reader", "--recorder"];

/// Flags without a value.
pub(super) const SWITCHES: [&str; 4] = ["--dry-run", "--print", "--help", "--version"];

/// The values of the flags that were given.
pub(super) struct Flags([Option<String>; VALUES.len()]);

impl Flags {
    pub(super) fn take(arguments: &mut pico_args::Arguments) -> Result<Self, Failure> {
        let mut values = [const { None }; VALUES.len()];
        for ((flag, _), value) in VALUES.into_iter().zip(&mut values) {
            *value = arguments.opt_value_from_str(flag).map_err(|error| Failure::Usage(format!("{flag}: {error}")))?;
        }
        Ok(Self(values))
    }

    /// What was given as `--recorder`, where that is a name.
    pub(super) fn take_recorder(&mut self) -> Option<String> {
        let at = VALUES.iter().position(|(flag, _)| *flag == "--recorder")?;
        self.0[at].take()
    }

    /// The flag's value, else its variable's, read by `parser`.
    pub(super) fn value<T>(
        &mut self,
        name: &str,
        environment: &dyn Fn(&str) -> Option<String>,
        parser: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        let Some(index) = VALUES.iter().position(|(other, _)| *other == name) else { return Ok(None) };
        let variable = VALUES[index].1;
        let (origin, text) = match self.0[index].take() {
            Some(text) => (VALUES[index].0, Some(text)),
            None => (variable, environment(variable)),
        };
        let parsed = text.map(|text| parser(&text)).transpose();
        parsed.map_err(|message| Failure::Usage(format!("{origin}: {message}")))
    }

    /// A file or a single engine, whichever the flags speak of; the environment decides if they do not.
    pub(super) fn source(&mut self, environment: &dyn Fn(&str) -> Option<String>) -> Result<Source, Failure> {
        // All but --config and --loglevel describe a single engine.
        let single = 1..VALUES.len() - 1;
        let single_flag = single.clone().find(|&index| self.0[index].is_some());
        if let Some(path) = self.0[0].clone() {
            return match single_flag {
                None => Ok(Source::File(path)),
                Some(index) => Err(Failure::Usage(format!(
                    "{} cannot be combined with --config: set it in the file",
                    VALUES[index].0
                ))),
            };
        }
        if single_flag.is_none() {
            if let Some(path) = environment("EXPVASTIC_CONFIG") {
                return Ok(Source::File(path));
            }
            if single.clone().all(|index| environment(VALUES[index].1).is_none()) {
                let message = "nothing to do: give a configuration (-c conf.yml), or --reader and --recorder";
                return Err(Failure::Usage(message.to_owned()));
            }
        }
        self.single(environment).map(|single| Source::Flags(Box::new(single)))
    }

    fn single(&mut self, environment: &dyn Fn(&str) -> Option<String>) -> Result<SingleEngine, Failure> {
        let text = |text: &str| Ok(text.to_owned());
        for ((flag, _), value) in VALUES.iter().zip(&self.0).filter(|((flag, _), _)| ENDPOINTS.contains(flag)) {
            if value.as_deref().is_some_and(values::has_credentials) {
                let message = format!(
                    "{flag}: credentials on a command line are visible to every user of the machine: put them in a \
                     file (auth)"
                );
                return Err(Failure::Usage(message));
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
