//! The flags of a command line, and their environment variables.

use super::table::{CONFIG, FLAGS, Flag};
use super::usage::UsageError;
use super::{Failure, SingleEngine, Source};
use crate::config::{INDEX_NAME_DEFAULT, values};
use crate::limits;
use std::path::PathBuf;
use std::time::Duration;

/// Those whose value is an endpoint.
const ENDPOINTS: [&str; 3] = ["--reader", "--recorder", "--import"];

/// The flags in [`FLAGS`] that are on the command line, with their values. That of a switch is empty.
#[derive(Debug, PartialEq)]
pub(super) struct Flags([Option<String>; FLAGS.len()]);

impl Flags {
    pub(super) fn take(arguments: &mut pico_args::Arguments) -> Result<Self, Failure> {
        let mut values = [const { None }; FLAGS.len()];
        for (flag, value) in FLAGS.iter().zip(&mut values) {
            let unparsed = |error| Failure::Usage(UsageError::Unparsed { flag: Some(flag.name), error });
            *value = if flag.is_switch() {
                arguments.contains(flag.name).then(String::new)
            } else {
                arguments.opt_value_from_str(flag.name).map_err(unparsed)?
            };
        }
        Ok(Self(values))
    }

    /// Whether a flag is given; after [`Self::complete`], also by its environment variable.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of a flag.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0[place(name)?].as_deref()
    }

    /// Completes the flags that only some commands have by their environment variables, if this command is one of those.
    ///
    /// # Errors
    /// Another command's flag is on the command line, or the variable of a switch is neither true nor false.
    pub(super) fn complete(
        &mut self,
        command: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), Failure> {
        for (flag, value) in FLAGS.iter().zip(&mut self.0).filter(|(flag, _)| !flag.commands.is_empty()) {
            let Flag { name, commands, variable, .. } = *flag;
            if !flag.belongs_to(command) {
                if value.is_some() {
                    return Err(Failure::Usage(UsageError::OtherCommand { flag: name, commands }));
                }
            } else if value.is_none() {
                *value = environment(variable);
                if flag.is_switch() && !is_switched_on(variable, value.as_deref().unwrap_or_default())? {
                    *value = None;
                }
            }
        }
        Ok(())
    }

    /// Refuses credentials in what is on the command line.
    pub(super) fn check_visible(&self) -> Result<(), Failure> {
        let has_credentials = |flag: &&str| self.get(flag).is_some_and(values::has_credentials);
        match ENDPOINTS.into_iter().find(|flag| has_credentials(flag)) {
            Some(flag) => Err(Failure::Usage(UsageError::VisibleCredentials { flag })),
            None => Ok(()),
        }
    }

    /// The value of `--recorder`, for the command that takes it for a name.
    pub(super) fn take_recorder(&mut self) -> Option<String> {
        self.0[place("--recorder")?].take()
    }

    /// The value of a flag, or else of its environment variable, read by `parser`.
    pub(super) fn value<T>(
        &mut self,
        name: &str,
        environment: &dyn Fn(&str) -> Option<String>,
        parser: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        let Some(index) = place(name) else { return Ok(None) };
        let Flag { name, variable, .. } = FLAGS[index];
        let (origin, text) = match self.0[index].take() {
            Some(text) => (name, Some(text)),
            None => (variable, environment(variable)),
        };
        let parsed = text.map(|text| parser(&text)).transpose();
        parsed.map_err(|expected| Failure::Usage(UsageError::InvalidValue { origin, expected }))
    }

    /// Files, or a single engine, whichever the flags describe. If they describe neither, the environment decides.
    pub(super) fn source(&mut self, environment: &dyn Fn(&str) -> Option<String>) -> Result<Source, Failure> {
        let engine = || FLAGS.iter().zip(&self.0).filter(|(flag, _)| flag.describes_engine);
        let engine_flag = engine().find(|(_, value)| value.is_some()).map(|(flag, _)| flag.name);
        if let Some(paths) = self.get(CONFIG) {
            return match engine_flag {
                None => Ok(Source::Files(paths.split('\n').map(PathBuf::from).collect())),
                Some(flag) => Err(Failure::Usage(UsageError::BesideConfig { flag })),
            };
        }
        if engine_flag.is_none() {
            if let Some(path) = environment("EXPVASTIC_CONFIG") {
                return Ok(Source::Files(vec![path.into()]));
            }
            if engine().all(|(flag, _)| environment(flag.variable).is_none()) {
                return Err(Failure::Usage(UsageError::NothingToDo));
            }
        }
        self.single(environment).map(|single| Source::Flags(Box::new(single)))
    }

    fn single(&mut self, environment: &dyn Fn(&str) -> Option<String>) -> Result<SingleEngine, Failure> {
        let text = |text: &str| Ok(text.to_owned());
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

fn place(name: &str) -> Option<usize> {
    FLAGS.iter().position(|flag| flag.name == name)
}

fn is_switched_on(variable: &'static str, value: &str) -> Result<bool, Failure> {
    match value.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(Failure::Usage(UsageError::NotASwitch { variable, found: value.to_owned() })),
    }
}
