//! What can be wrong with a command line.

use crate::config::ConfigError;
use std::ffi::OsString;
use std::fmt;

/// Why a command line is not understood, or cannot be carried out. All of these are mistakes of whoever has written it.
#[derive(Debug)]
pub(super) enum UsageError {
    /// An argument is not UTF-8. Unlikely: it takes a file name from another system.
    NotUtf8(OsString),
    /// An argument that no command and no flag takes. Likely after a space without quotes.
    UnexpectedArgument(String),
    /// A command that does not exist; perhaps another one was meant.
    UnknownCommand { command: String, meant: Option<&'static str> },
    /// A command with several actions lacks one, or does not have this one.
    UnknownAction { command: &'static str, actions: &'static str, found: String },
    /// A flag that does not exist; perhaps another one was meant. The most likely one.
    UnknownFlag { flag: String, meant: Option<&'static str> },
    /// A flag is there twice, so it is not clear which one counts.
    GivenTwice { flag: &'static str },
    /// A flag that is only a switch has a value.
    TakesNoValue { flag: &'static str },
    /// A flag is the last argument, but needs a value.
    NoValue { flag: &'static str },
    /// A flag that needs a value is followed by another flag.
    FlagAsValue { flag: &'static str, found: String },
    /// The value of a flag is empty. Likely where a shell variable is not set.
    EmptyValue { flag: &'static str },
    /// The value of a flag, or of its environment variable, is not valid; what was expected, in words.
    InvalidValue { origin: &'static str, expected: String },
    /// The environment variable of a switch is neither true nor false.
    NotASwitch { variable: &'static str, found: String },
    /// A flag is there with a command that does not have it. Those that have it are separated by `|`.
    OtherCommand { flag: &'static str, commands: &'static str },
    /// A flag that describes an engine is there together with a file, which describes engines as well.
    BesideConfig { flag: &'static str },
    /// There is neither a file nor a flag that describes an engine. Likely when somebody runs the program for the first
    /// time.
    NothingToDo,
    /// The configuration that is to be printed is not in a file.
    NothingToResolve,
    /// `health` has neither a URL nor anything that names the address of the status pages.
    NothingToAsk,
    /// The command needs a configuration. Does not occur: [`UsageError::NothingToDo`] comes first.
    NoConfiguration,
    /// The flag of an endpoint contains credentials, which every user of the machine could read.
    VisibleCredentials { flag: &'static str },
    /// The endpoints or names in flags are not valid.
    InvalidEngine(ConfigError),
    /// No recorder has the name in `--recorder`; perhaps another one was meant.
    UnknownRecorder { name: String, meant: Option<String> },
    /// No route connects a reader to the recorder in `--recorder`, or to any.
    NoReader { recorder: Option<String> },
    /// The recorder in `--recorder` keeps no dead letters.
    NoDeadLetters { recorder: String },
    /// What the parser of arguments says about one, or about a flag. Unlikely: most of it is checked before.
    Unparsed { flag: Option<&'static str>, error: pico_args::Error },
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8(argument) => write!(f, "the argument {} is not UTF-8", argument.display()),
            Self::UnexpectedArgument(argument) => write!(f, "unexpected argument {argument:?}"),
            Self::UnknownCommand { command, meant } => {
                write!(f, "unknown command {command:?}")?;
                meant.map_or(Ok(()), |meant| write!(f, ", did you mean {meant}?"))
            }
            Self::UnknownAction { command, actions, found } => {
                write!(f, "{command}: expected {actions}, found {found:?}: try expvastic {command} ls -c conf.yml")
            }
            Self::UnknownFlag { flag, meant } => {
                write!(f, "unknown flag {flag}")?;
                meant.map_or(Ok(()), |meant| write!(f, ", did you mean --{meant}?"))
            }
            Self::GivenTwice { flag } => write!(f, "{flag} is given twice"),
            Self::TakesNoValue { flag } => write!(f, "{flag} takes no value"),
            Self::NoValue { flag } => write!(f, "{flag} needs a value"),
            Self::FlagAsValue { flag, found } => write!(f, "{flag} needs a value, found {found:?}"),
            Self::EmptyValue { flag } => write!(f, "{flag} needs a value, found an empty one"),
            Self::InvalidValue { origin, expected } => write!(f, "{origin}: {expected}"),
            Self::NotASwitch { variable, found } => write!(f, "{variable}: expected true or false, found {found:?}"),
            Self::OtherCommand { flag, commands } => {
                let command = commands.split('|').next().unwrap_or_default();
                write!(f, "{flag} works only with {}: expvastic {command} {flag}", commands.replace('|', " or "))
            }
            Self::BesideConfig { flag } => write!(f, "{flag} cannot be combined with --config: set it in the file"),
            Self::NothingToDo => {
                f.write_str("nothing to do: give a configuration (-c conf.yml), or --reader and --recorder")
            }
            Self::NothingToResolve => f.write_str("--resolved needs a file: give a configuration (-c conf.yml)"),
            Self::NothingToAsk => f.write_str(
                "health: no address to ask: give a URL (expvastic health http://127.0.0.1:9102), --listen, or -c conf.yml \
                 with settings.listen",
            ),
            Self::NoConfiguration => f.write_str("no configuration given"),
            Self::VisibleCredentials { flag } => write!(
                f,
                "{flag}: credentials on a command line are visible to every user of the machine: put them in a file \
                 (auth)"
            ),
            Self::InvalidEngine(error) => error.fmt(f),
            Self::UnknownRecorder { name, meant } => {
                write!(f, "--recorder: no recorder is named {name:?}")?;
                meant.as_ref().map_or(Ok(()), |meant| write!(f, ", did you mean {meant:?}?"))
            }
            Self::NoReader { recorder: Some(recorder) } => {
                write!(f, "--recorder: no route connects a reader to the recorder {recorder:?}")
            }
            Self::NoReader { recorder: None } => f.write_str("no route connects a reader to a recorder"),
            Self::NoDeadLetters { recorder } => write!(f, "--recorder: {recorder} has no dead_letter file"),
            Self::Unparsed { flag: Some(flag), error } => write!(f, "{flag}: {error}"),
            Self::Unparsed { flag: None, error } => error.fmt(f),
        }
    }
}
