//! The command `health`: asks a running expvastic for a page and tells whether it was served, by the exit code. Images have
//! no shell and no other client for their probes.

use super::usage::UsageError;
use super::{DONE, FAILED, Failure, Invocation, Source};
use crate::config::values;
use crate::event_loop;
use crate::http::{Endpoint, Http};
use crate::limits;
use crate::log::write_printable;
use crate::quote;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

const PAGE: &str = "/healthz";

/// The page that a command line asks for: without a path, it is [`PAGE`].
///
/// # Errors
/// What is wrong with the URL.
pub(super) fn page_at(url: &str) -> Result<String, Failure> {
    let has_path = values::has_path(url.trim_end_matches('/'));
    let checked = if has_path { values::url(url, "") } else { values::url(url.trim_end_matches('/'), PAGE) };
    checked.map_err(|expected| Failure::Usage(UsageError::InvalidValue { origin: "health", expected }))
}

/// The page of a process on this machine that listens at this address.
fn page_of(listen: SocketAddr) -> Result<String, String> {
    if listen.port() == 0 {
        return Err("the system chooses the port (port 0): give the URL that the log shows".to_owned());
    }
    let host = match listen.ip() {
        IpAddr::V4(all) if all.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(all) if all.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        one => one,
    };
    Ok(format!("http://{}{PAGE}", SocketAddr::new(host, listen.port())))
}

impl Invocation {
    /// Asks, and says on standard error why the answer is no. Gives the exit code.
    pub(super) fn health(&self) -> u8 {
        match self.page().and_then(|url| ask(&url)) {
            Ok(()) => DONE,
            Err(problem) => {
                let mut line = b"expvastic health: ".to_vec();
                write_printable(&mut line, &problem);
                line.push(b'\n');
                let _ = std::io::stderr().write_all(&line);
                FAILED
            }
        }
    }

    fn page(&self) -> Result<String, String> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        let listen = match self.listen {
            Some(listen) => Some(listen),
            None => self.load().map_err(|failure| self.unreadable(&failure))?.settings.listen,
        };
        listen.map_or_else(|| Err("no status pages: set settings.listen, or --listen".to_owned()), page_of)
    }

    /// The file may be a new one that is wrong, while the process still runs with the one before.
    fn unreadable(&self, failure: &Failure) -> String {
        let path = match &self.source {
            Source::Files(paths) => paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
            Source::Flags(_) | Source::None => "the flags".to_owned(),
        };
        let problem = failure.to_string();
        let first = problem.lines().next().unwrap_or_default();
        format!("cannot find settings.listen in {path}: {first} (give the URL instead)")
    }
}

/// Asks for a page.
///
/// # Errors
/// Why it is not served, and what to do.
fn ask(url: &str) -> Result<(), String> {
    // A proxy could not reach this machine.
    let http = Http::new(0, &|_| None);
    let endpoint = Endpoint::with_identity(url, Rc::default());
    let answer = http.ask(&endpoint, limits::HEALTH_TIME, None, limits::SMALL_ANSWER_BYTES_MAX);
    match event_loop::block_on(answer) {
        Ok(Ok(answer)) if answer.status == 200 => Ok(()),
        Ok(Ok(answer)) => {
            let text = quote::lossy(&answer.body, false);
            let mut first = text.lines().next().unwrap_or_default().to_owned();
            quote::shorten(&mut first, limits::HEALTH_TEXT_BYTES_MAX);
            let separator = if first.is_empty() { "" } else { ": " };
            Err(format!("{url} answered {}{separator}{first}", answer.status))
        }
        Ok(Err(error)) => {
            Err(format!("{url}: {error} (is expvastic running, with settings.listen or --listen at this address?)"))
        }
        Err(error) => Err(format!("cannot start the event loop: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_that_of_the_url_or_of_this_machine() {
        for (url, page) in [
            ("localhost:9102", "http://localhost:9102/healthz"),
            ("http://127.0.0.1:9102/", "http://127.0.0.1:9102/healthz"),
            ("http://[::1]:9102/ready", "http://[::1]:9102/ready"),
        ] {
            assert_eq!(page_at(url).unwrap(), page);
        }
        for (listen, page) in [
            ("127.0.0.1:9102", "http://127.0.0.1:9102/healthz"),
            ("0.0.0.0:9102", "http://127.0.0.1:9102/healthz"),
            ("[::]:9102", "http://[::1]:9102/healthz"),
            ("10.1.2.3:80", "http://10.1.2.3:80/healthz"),
        ] {
            assert_eq!(page_of(listen.parse().unwrap()).unwrap(), page);
        }
        assert!(page_of("127.0.0.1:0".parse().unwrap()).unwrap_err().contains("give the URL"));
    }
}
