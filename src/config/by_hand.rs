//! Readers, recorders and settings that a program makes by itself, from the same keys as in a file.

use super::expand::Expansion;
use super::maps::MapFiles;
use super::old_type_names::OldTypeNames;
use super::problems::{Place, Problems};
use super::section::Section;
use super::{ConfigError, Reader, Recorder, Settings, compose, node};
use crate::limits;
use std::path::Path;

impl Reader {
    /// A reader with these keys, as below its name in a configuration file: `endpoint: localhost:1234/debug/vars`.
    /// `${NAME}` is replaced by the value of that environment variable, and relative paths start from the current folder.
    /// Without `type_name`, its documents carry the name of the reader as `service.name`.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong, also if the keys stand for several readers.
    pub fn from_yaml(name: &str, keys: &str) -> Result<Self, ConfigError> {
        let origin = format!("reader {name}");
        let mut readers = parse(&origin, keys, &mut |section, map_files| {
            Some(Self::from_section(name, section, &Settings::default(), map_files))
        })?;
        match (readers.pop(), readers.is_empty()) {
            (Some(reader), true) if reader.type_name.is_empty() => Ok(reader.renamed(name.to_owned())),
            (Some(reader), true) => Ok(reader),
            _ => Err(ConfigError::of(&origin, "these are several readers: create one for each endpoint".to_owned())),
        }
    }
}

impl Recorder {
    /// A recorder with these keys, as below its name in a configuration file: `endpoint: localhost:9200`. `${NAME}` is
    /// replaced by the value of that environment variable, and relative paths start from the current folder.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong.
    pub fn from_yaml(name: &str, keys: &str) -> Result<Self, ConfigError> {
        let old = OldTypeNames::default();
        parse(&format!("recorder {name}"), keys, &mut |section, _| Self::from_section(name, section, &old))
    }
}

impl Settings {
    /// Settings with these keys, as in the section `settings` of a configuration file: `memory_limit: 4MiB`.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong.
    pub fn from_yaml(keys: &str) -> Result<Self, ConfigError> {
        parse("settings", keys, &mut |section, _| Some(Self::from_section(section)))
    }
}

/// Makes something of one section, whose text is in no file. Errors name it by `origin`. Nothing is built of a text that is
/// no section.
fn parse<T>(
    origin: &str,
    keys: &str,
    build: &mut dyn FnMut(Section<'_, '_>, &MapFiles<'_>) -> Option<T>,
) -> Result<T, ConfigError> {
    let variable = |name: &str| std::env::var(name).ok();
    let root = node::parse(keys).map_err(|problem| ConfigError::new(origin, vec![problem]))?;
    // Without a folder, so that relative paths start from the current one.
    let problems = Problems::of_file(keys, Path::new(origin));
    let (mut root, origins) = compose::merge_keys(root, &problems);
    problems.set_origins(origins);
    Expansion::new(&variable, limits::CONFIG_VALUES_BYTES_MAX).expand_all(&mut root, &problems);
    let section = Section::new(&root, Place::of_fragment(), &problems);
    let made = section.and_then(|section| build(section, &MapFiles::new(&variable)));
    let (found, warnings) = problems.finish();
    for warning in warnings {
        tracing::warn!("{}", warning.line(origin));
    }
    made.filter(|_| found.is_empty()).ok_or_else(|| ConfigError::new(origin, found))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn what_is_made_by_hand_is_what_a_file_says() {
        let (reader, recorder, settings) = (
            "type_name: t\nendpoint: h:1\ninterval: 7s\nmax_body: 2MiB\nlabels:\n  env: ${NO_SUCH_NAME:-test}\nrates: [\"*\"]\n\
             auth: {user: me, password: secret}",
            "endpoint: [\"a:1\", \"b:2\"]\nindex_name: i-%Y.%m.%d\nbulk: {documents: 7}\nspool: {path: waiting}\ntemplate: off",
            "memory_limit: 4MiB\nshutdown_timeout: 3s",
        );
        let within = |text: &str| text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n") + "\n";
        let file = format!(
            "settings:\n{}readers:\n  app:\n{}recorders:\n  es:\n{}routes: {{r: {{readers: app, recorders: es}}}}\n",
            within(settings),
            within(reader),
            within(recorder)
        );
        let config = Config::parse("conf.yml", &file, &|_| None).unwrap();
        assert_eq!(Reader::from_yaml("app", reader).unwrap(), *config.readers[0]);
        assert_eq!(Recorder::from_yaml("es", recorder).unwrap(), *config.recorders[0]);
        let settings = Settings::from_yaml(settings).unwrap();
        assert_eq!(settings.memory_limit_bytes, config.settings.memory_limit_bytes);
        assert_eq!(settings.shutdown_timeout, config.settings.shutdown_timeout);
    }

    #[test]
    fn documents_of_a_reader_without_a_type_name_carry_its_own() {
        assert_eq!(Reader::from_yaml("shop", "endpoint: h:1").unwrap().type_name, "shop");
        assert_eq!(Reader::from_yaml("own", "type: self").unwrap().type_name, "own");
    }

    #[test]
    fn errors_say_what_is_wrong_and_where_without_secrets() {
        let refused = |keys: &str| Reader::from_yaml("shop", keys).unwrap_err().to_string();
        let expected = "reader shop:2:1: intervall: unknown key \"intervall\", did you mean \"interval\"?";
        assert!(
            refused("endpoint: h:1\nintervall: 1s").starts_with(expected),
            "{}",
            refused("endpoint: h:1\nintervall: 1s")
        );
        assert_eq!(
            refused("endpoint: h:8000-8003"),
            "reader shop: these are several readers: create one for each endpoint"
        );
        for keys in ["", "- a", "text", "endpoint: {", "endpoint: h:1\nendpoint: h:2"] {
            assert!(refused(keys).starts_with("reader shop:"), "{keys:?}: {}", refused(keys));
        }
        let text = refused("endpoint: h:1\nauth: {user: me, password: hun,ter2x}");
        assert!(!text.contains("ter2x"), "{text}");
        assert!(Recorder::from_yaml("es", "endpoint: h:1\nbulk: {documents: 0}").is_err());
        assert!(Settings::from_yaml("memory_limit: 1").is_err());
    }
}
