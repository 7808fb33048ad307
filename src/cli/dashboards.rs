//! `expvastic dashboards`: prints saved objects for Kibana and OpenSearch Dashboards, or imports them.

use super::flags::Flags;
use super::output::{self, print};
use super::table::INCLUDE;
use super::usage::UsageError;
use super::{FAILED, Failure};
use crate::access::Access;
use crate::config::{Config, Host, INDEX_NAME_DEFAULT, Recorder, Target, nearest};
use crate::dashboards::import::{self, Destination};
use crate::dashboards::{objects, survey};
use crate::engine::EngineError;
use crate::event_loop;
use crate::flatten::Globs;
use crate::http::Http;
use crate::limits;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// Polls the readers of the recorder, and prints or imports the dashboards that fit.
pub(super) fn run(config: &Config, recorder: Option<&str>, flags: &Flags) -> Result<u8, Failure> {
    let recorder = chosen(config, recorder).map_err(Failure::Usage)?;
    let destination = destination(recorder, flags).map_err(Failure::Usage)?;
    let include = flags.get(INCLUDE).map(|patterns| Globs::new(&patterns.lines().collect::<Vec<_>>()));
    let http = Http::new(config.engines.len() + 1, &|name| std::env::var(name).ok());
    let work = async {
        let (fields, silent) = survey::fields(config, recorder, &http).await;
        let is_whole = silent.is_empty();
        say(&silent);
        let Some((objects, left_out)) = objects(recorder, &fields, include.as_ref()) else {
            say(&[format!("{}: no reader publishes a number: there is nothing to show", recorder.name)]);
            return FAILED;
        };
        say(&left_out);
        let code = match destination {
            None => output::write(|stdout| stdout.write_all(&objects).map(|()| true)),
            Some(destination) => {
                let (text, is_good) = import::import(&http, destination, &objects).await;
                if is_good {
                    print(&text)
                } else {
                    say(&[text]);
                    FAILED
                }
            }
        };
        if is_whole { code } else { code.max(FAILED) }
    };
    event_loop::block_on(work).map_err(|error| Failure::Engine(EngineError::EventLoop(error)))
}

fn say(lines: &[String]) {
    for line in lines {
        let _ = writeln!(std::io::stderr(), "expvastic: {}", line.trim_end());
    }
}

/// The recorder with this name, or else the first one that ships to a server, or else the first one.
fn chosen<'c>(config: &'c Config, name: Option<&str>) -> Result<&'c Arc<Recorder>, UsageError> {
    let fed = || config.engines.iter().flat_map(|engine| &engine.recorders);
    let Some(name) = name else {
        let server = fed().find(|recorder| matches!(recorder.target, Target::Elasticsearch(_)));
        return server.or_else(|| fed().next()).ok_or(UsageError::NoReader { recorder: None });
    };
    if config.recorders.iter().all(|recorder| recorder.name != name) {
        let meant = nearest(name, config.recorders.iter().map(|recorder| recorder.name())).map(str::to_owned);
        return Err(UsageError::UnknownRecorder { name: name.to_owned(), meant });
    }
    fed().find(|recorder| recorder.name == name).ok_or_else(|| UsageError::NoReader { recorder: Some(name.to_owned()) })
}

/// Where the objects are to be sent, with the credentials of the URL, or else of the recorder, and its certificates.
fn destination(recorder: &Recorder, flags: &Flags) -> Result<Option<Destination>, UsageError> {
    let overwrite = flags.has("--overwrite");
    let Some(url) = flags.get("--import") else {
        let expected = "works only with --import URL".to_owned();
        let lonely = UsageError::InvalidValue { origin: "--overwrite", expected };
        return if overwrite { Err(lonely) } else { Ok(None) };
    };
    let front_end = Recorder::elasticsearch("--import", url, INDEX_NAME_DEFAULT).map_err(UsageError::InvalidEngine)?;
    let Some((own, _)) = server(&front_end) else { return Ok(None) };
    let (access, timeout) = match server(recorder) {
        Some((host, timeout)) => (Arc::clone(&host.access), timeout),
        None => (Arc::default(), limits::TIMEOUT_DEFAULT),
    };
    let access = match &own.access.auth {
        None => access,
        auth => Arc::new(Access { auth: auth.clone(), headers: Vec::new(), tls: access.tls.clone() }),
    };
    Ok(Some(Destination { url: own.url.clone(), access, timeout, overwrite }))
}

/// The first host of a server, and the limit for each exchange with it.
fn server(recorder: &Recorder) -> Option<(&Host, Duration)> {
    let Target::Elasticsearch(server) = &recorder.target else { return None };
    Some((server.hosts.first()?, server.timeout))
}
