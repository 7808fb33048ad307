//! Brings arguments, as people write them, into the form that the parser accepts.

use super::Failure;
use super::table::{FLAGS, Flag, REPEATED};
use super::usage::UsageError;
use crate::config::nearest;
use std::ffi::OsString;

/// Replaces the Go program's spellings by ours, and refuses what the parser would misunderstand: a flag as the value of
/// another one, a flag that is given twice, `--`, flags that do not exist.
pub(super) fn normalise(arguments: Vec<OsString>) -> Result<Vec<String>, Failure> {
    let mut normal = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    let mut arguments = arguments
        .into_iter()
        .map(|argument| argument.into_string().map_err(|raw| Failure::Usage(UsageError::NotUtf8(raw))));
    while let Some(argument) = arguments.next().transpose()? {
        if !argument.starts_with('-') || argument == "-" {
            normal.push(argument);
            continue;
        }
        let (flag, value) = argument.split_once('=').map_or((&*argument, None), |(flag, value)| (flag, Some(value)));
        let flag = known_flag(flag)?;
        let name = flag.name;
        let is_seen = seen.contains(&name);
        if is_seen && !REPEATED.contains(&name) {
            return Err(Failure::Usage(UsageError::GivenTwice { flag: name }));
        }
        seen.push(name);
        if flag.is_switch() {
            if value.is_some() {
                return Err(Failure::Usage(UsageError::TakesNoValue { flag: name }));
            }
            normal.push(name.to_owned());
            continue;
        }
        let value = match value {
            Some(value) => value.to_owned(),
            None => match arguments.next().transpose()? {
                Some(next) if !next.starts_with('-') => next,
                Some(next) => return Err(Failure::Usage(UsageError::FlagAsValue { flag: name, found: next })),
                None => return Err(Failure::Usage(UsageError::NoValue { flag: name })),
            },
        };
        if value.is_empty() {
            return Err(Failure::Usage(UsageError::EmptyValue { flag: name }));
        }
        let is_earlier = |argument: &&mut String| is_seen && argument.split('=').next() == Some(name);
        match normal.iter_mut().find(is_earlier) {
            Some(earlier) => *earlier += &["\n", &value].concat(),
            None => normal.push(format!("{name}={value}")),
        }
    }
    Ok(normal)
}

/// A flag in any spelling.
fn known_flag(flag: &str) -> Result<&'static Flag, Failure> {
    let bare = flag.trim_start_matches('-');
    let is_meant = |known: &&Flag| known.name[2..] == *bare || !bare.is_empty() && known.letter == bare;
    if let Some(known) = FLAGS.iter().find(is_meant).filter(|_| flag.len() - bare.len() <= 2) {
        return Ok(known);
    }
    if bare.is_empty() {
        return Err(Failure::Usage(UsageError::UnexpectedArgument(flag.to_owned())));
    }
    let meant = nearest(bare, FLAGS.iter().map(|known| &known.name[2..]));
    Err(Failure::Usage(UsageError::UnknownFlag { flag: flag.to_owned(), meant }))
}
