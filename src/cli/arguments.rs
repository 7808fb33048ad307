//! Normalises arguments as people write them into the form that the parser accepts.

use super::Failure;
use super::flags::{SWITCHES, VALUES};
use crate::config::nearest;
use std::ffi::OsString;

/// Turns the Go program's spellings into ours and refuses what the parser would misread: a flag as another's value, a
/// flag given twice, `--`, flags that do not exist.
pub(super) fn normalise(arguments: Vec<OsString>) -> Result<Vec<String>, Failure> {
    let mut normal = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    let mut arguments = arguments.into_iter().map(|argument| {
        argument.into_string().map_err(|raw| Failure::Usage(format!("the argument {} is not UTF-8", raw.display())))
    });
    while let Some(argument) = arguments.next().transpose()? {
        if !argument.starts_with('-') || argument == "-" {
            normal.push(argument);
            continue;
        }
        let (flag, value) = argument.split_once('=').map_or((&*argument, None), |(flag, value)| (flag, Some(value)));
        let name = known_flag(flag)?;
        if seen.contains(&name) {
            return Err(Failure::Usage(format!("{name} is given twice")));
        }
        seen.push(name);
        if SWITCHES.contains(&name) {
            if value.is_some() {
                return Err(Failure::Usage(format!("{name} takes no value")));
            }
            normal.push(name.to_owned());
            continue;
        }
        let value = match value {
            Some(value) => value.to_owned(),
            None => match arguments.next().transpose()? {
                Some(next) if !next.starts_with('-') => next,
                Some(next) => return Err(Failure::Usage(format!("{name} needs a value, found {next:?}"))),
                None => return Err(Failure::Usage(format!("{name} needs a value"))),
            },
        };
        if value.is_empty() {
            return Err(Failure::Usage(format!("{name} needs a value, found an empty one")));
        }
        normal.push(format!("{name}={value}"));
    }
    Ok(normal)
}

/// The long form, dashes included, of a flag in any spelling.
fn known_flag(flag: &str) -> Result<&'static str, Failure> {
    let bare = flag.trim_start_matches('-');
    let long = match bare {
        "c" => "config",
        "h" => "help",
        "V" => "version",
        other => other,
    };
    let names = VALUES.iter().map(|(name, _)| *name).chain(SWITCHES);
    if let Some(name) = names.clone().find(|name| name[2..] == *long).filter(|_| flag.len() - bare.len() <= 2) {
        return Ok(name);
    }
    if bare.is_empty() {
        return Err(Failure::Usage(format!("unexpected argument {flag:?}")));
    }
    let hint =
        nearest(bare, names.map(|name| &name[2..])).map(|name| format!(", did you mean --{name}?")).unwrap_or_default();
    Err(Failure::Usage(format!("unknown flag {flag}{hint}")))
}
