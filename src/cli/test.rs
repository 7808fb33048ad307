//! The command `test`: tries everything that the configuration names, and changes nothing.
//!
//! All parts are tried at the same time, each request within its own `timeout` and all of them within
//! [`limits::TEST_TIME_MAX`]. The lines are printed in the order of the configuration, each as soon as those before it are
//! known.

mod files;
mod line;
mod reader;

use super::output;
use crate::clock;
use crate::config::Config;
use crate::descriptors::{self, Reserve};
use crate::document_buffers::DocumentBuffers;
use crate::event_loop;
use crate::finding::Finding;
use crate::http::{Http, Identity};
use crate::limits;
use crate::pages;
use crate::recorder::{inspection, setup};
use line::Printer;
use smol::{LocalExecutor, Task};
use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// A part of the configuration that is being tried.
struct Part<'c> {
    section: &'static str,
    name: &'c str,
    findings: Task<Vec<Finding>>,
}

/// Tries everything and prints the result. `files` are those of the configuration, if it has some. Gives the exit code.
///
/// # Errors
/// The event loop cannot be started.
pub(super) fn run(config: &Config, files: &[PathBuf], is_json: bool) -> io::Result<u8> {
    // A secret of one part is also hidden in the answers to the others.
    let _known: Vec<Identity> = config.accesses().map(Identity::new).collect();
    descriptors::raise_limit();
    let hosts = config.recorders.iter().map(|recorder| recorder.hosts()).sum::<usize>();
    let http = Http::new(0, &|name| std::env::var(name).ok());
    http.set_limits(config.readers.len() + hosts, Reserve { files: limits::DESCRIPTORS_BASE, shipping: hosts }, true);
    let executor = LocalExecutor::new();
    let parts = begin(config, &http, &executor);
    let printer = Printer { files, is_json };
    let ends_at = clock::now() + limits::TEST_TIME_MAX;
    let mut failure = None;
    let code = output::write(|stdout| {
        event_loop::block_on(executor.run(finish(parts, &printer, ends_at, stdout))).unwrap_or_else(|error| {
            failure = Some(error);
            Ok(false)
        })
    });
    failure.map_or(Ok(code), Err)
}

/// Starts everything.
fn begin<'c>(config: &'c Config, http: &Http, executor: &LocalExecutor<'_>) -> Vec<Part<'c>> {
    let mut parts = Vec::new();
    let buffers = Rc::new(RefCell::new(DocumentBuffers::new([0; 9])));
    for reader in &config.readers {
        let tried = Arc::clone(reader);
        let polled = reader::try_reader(Arc::clone(reader), http.clone(), Rc::clone(&buffers));
        let findings = executor.spawn(async move { [polled.await, files::of_reader(&tried)].concat() });
        parts.push(Part { section: "readers", name: reader.name(), findings });
    }
    for recorder in &config.recorders {
        let mut add = |findings| parts.push(Part { section: "recorders", name: recorder.name(), findings });
        let feed = setup::feed(config, recorder);
        let is_asked = Rc::new(Cell::new(false));
        for at in 0..recorder.hosts() {
            let (recorder, is_asked) = (Arc::clone(recorder), Rc::clone(&is_asked));
            add(executor.spawn(inspection::inspect_host(recorder, at, feed, http.clone(), is_asked)));
        }
        let recorder = Arc::clone(recorder);
        add(executor
            .spawn(async move { [files::of_recorder(&recorder), inspection::inspect_files(&recorder)].concat() }));
    }
    if let Some(address) = config.settings().listen {
        let findings = executor.spawn(try_listen(address, http.clone()));
        parts.push(Part { section: "settings", name: "listen", findings });
    }
    parts
}

/// Prints the lines of all parts. False if something is wrong.
async fn finish(
    parts: Vec<Part<'_>>,
    printer: &Printer<'_>,
    ends_at: Instant,
    out: &mut impl Write,
) -> io::Result<bool> {
    let (mut is_good, mut places_left) = (true, limits::TEST_PLACES_MAX);
    let mut line = Vec::new();
    for Part { section, name, findings } in parts {
        let late = async {
            event_loop::sleep_until(ends_at).await;
            let text = format!("not finished within {:?}", limits::TEST_TIME_MAX);
            vec![Finding::bad("time", text).fix("find out what hangs; timeout limits each request", "timeout")]
        };
        for finding in smol::future::or(findings, late).await {
            is_good &= finding.is_good;
            line.clear();
            printer.append(&mut line, section, name, finding, &mut places_left);
            out.write_all(&line)?;
        }
        out.flush()?;
    }
    Ok(is_good)
}

/// Tries the address of the status pages. The process that runs with this configuration may have it.
async fn try_listen(address: SocketAddr, http: Http) -> Vec<Finding> {
    const CHECK: &str = "listen";
    vec![match pages::try_address(address) {
        Ok(()) => Finding::good(CHECK, format!("{address} is free")),
        Err(_) if pages::are_at(address, &http).await => {
            Finding::good(CHECK, format!("{address} is in use by a running expvastic"))
        }
        Err(problem) => Finding::bad(CHECK, format!("{address}: {problem}")).fix("", CHECK),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_has_not_finished_when_the_time_is_over_is_said_to_hang() {
        let executor = LocalExecutor::new();
        let part = |name, findings| Part { section: "readers", name, findings };
        let parts = vec![
            part("hung", executor.spawn(std::future::pending())),
            part("well", executor.spawn(async { vec![Finding::good("poll", "well")] })),
        ];
        let (mut out, printer) = (Vec::new(), Printer { files: &[], is_json: false });
        let ends_at = clock::now() + Duration::from_millis(100);
        let is_good = event_loop::block_on(executor.run(finish(parts, &printer, ends_at, &mut out)));
        assert!(!is_good.unwrap().unwrap());
        let hung = "✗ reader hung: not finished within 60s; find out what hangs; timeout limits each request\n";
        assert_eq!(String::from_utf8(out).unwrap(), format!("{hung}✓ reader well: well\n"));
    }
}
