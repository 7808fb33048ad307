//! Loads the configuration that a command line names.

use super::output::print;
use super::usage::UsageError;
use super::{Failure, Invocation, Source};
use crate::config::{self, Config, ConfigError};
#[cfg(any(feature = "tls", not(feature = "proxy")))]
use crate::http;
use std::io::Write;
use std::path::PathBuf;

impl Invocation {
    /// The files and folders of the configuration; none if it is not in files.
    pub(super) fn paths(&self) -> &[PathBuf] {
        if let Source::Files(paths) = &self.source { paths } else { &[] }
    }

    /// Loads the configuration.
    pub(super) fn load(&self) -> Result<Config, Failure> {
        let mut config = match &self.source {
            Source::Files(paths) => Config::load_all(paths).map_err(Failure::Config)?,
            Source::Flags(single) => single.config()?,
            Source::None => return Err(Failure::Usage(UsageError::NoConfiguration)),
        };
        self.overrule(&mut config);
        Ok(config)
    }

    /// The same, and shows what is doubtful about the configuration.
    pub(super) fn load_and_warn(&self) -> Result<Config, Failure> {
        let config = self.load()?;
        show_warnings(&config);
        #[cfg(feature = "tls")]
        if config.relies_on_system_trust()
            && let Some(problem) = http::store_problem()
        {
            let _ = writeln!(std::io::stderr(), "{problem}");
        }
        #[cfg(not(feature = "proxy"))]
        for problem in http::proxy_problems(config.urls(), &|name| std::env::var(name).ok()) {
            let _ = writeln!(std::io::stderr(), "{problem}");
        }
        Ok(config)
    }

    /// Loads the files again; none if there is no file.
    pub(super) fn load_again(&self) -> Option<Result<Config, ConfigError>> {
        let Source::Files(paths) = &self.source else { return None };
        let mut loaded = Config::load_all(paths);
        if let Ok(config) = &mut loaded {
            self.overrule(config);
        }
        Some(loaded)
    }

    /// Applies the settings of the command line, which win.
    fn overrule(&self, config: &mut Config) {
        if let Some(level) = self.log_level {
            config.settings.log_level = level;
        }
        config.settings.listen = self.listen.or(config.settings.listen);
    }

    /// Prints the configuration as it is in force.
    pub(super) fn show_resolved(&self) -> Result<u8, Failure> {
        let Source::Files(paths) = &self.source else { return Err(Failure::Usage(UsageError::NothingToResolve)) };
        let (config, text) = config::resolved(paths).map_err(Failure::Config)?;
        show_warnings(&config);
        Ok(print(&text))
    }
}

/// Shows what is doubtful about a configuration.
pub(super) fn show_warnings(config: &Config) {
    for warning in &config.warnings {
        let _ = writeln!(std::io::stderr(), "{warning}");
    }
}
