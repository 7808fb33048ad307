//! What `expvastic test` finds out about a recorder: its servers, and the places on disk that it writes to. Nothing is
//! written, and no file is created: a file that exists is only opened, and for others the permissions of the folder count.

use super::Feed;
use super::dead_letters::KEPT_FILES;
use super::elasticsearch::inspection;
use super::elasticsearch::setup::Address;
use super::{CLOSED, rotated, stands_for_nothing};
use crate::config::{Host, Recorder, ServerTarget, Target};
use crate::finding::Finding;
use crate::http::Http;
use crate::limits;
use crate::plural::grouped;
use crate::spool::disk::{OpenError, Survey, check_format};
use crate::spool::files::Files;
use rustix::fs::Access;
use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// Inspects one host of a server. The first that answers is also asked what the whole cluster has; `is_asked` is shared
/// by all of them.
pub(crate) async fn inspect_host(
    recorder: Arc<Recorder>,
    at: usize,
    feed: Feed,
    http: Http,
    is_asked: Rc<Cell<bool>>,
) -> Vec<Finding> {
    let Some((target, Host { url, access })) = host(&recorder, at) else { return Vec::new() };
    let address = Address::new(url, access, target.timeout);
    let (finding, server) = inspection::inspect_host(&address, &http).await;
    let mut findings = vec![finding];
    if let Some(server) = server
        && !is_asked.replace(true)
    {
        findings.extend(inspection::inspect_cluster(&recorder, target, feed, &address, &http, server).await);
    }
    findings
}

fn host(recorder: &Recorder, at: usize) -> Option<(&ServerTarget, &Host)> {
    let Target::Elasticsearch(target) = &recorder.target else { return None };
    Some((target, target.hosts.get(at)?))
}

/// Inspects the places on disk.
pub(crate) fn inspect_files(recorder: &Recorder) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Target::File { path, bytes_max, keep } = &recorder.target {
        findings.push(if path == Path::new("-") {
            standard_output()
        } else {
            let place = Place { check: "path", what: "file", path, is_folder: false, is_made_with_folder: false };
            place.inspect(bytes_max.saturating_mul(u64::from(*keep) + 1), used_by_rotated(path, *keep))
        });
    }
    if let Some(spool) = &recorder.spool {
        let path = &spool.path;
        let place = Place { check: "spool", what: "spool folder", path, is_folder: true, is_made_with_folder: true };
        let folder = Files::System.open(path).ok();
        let unreadable = folder.as_ref().and_then(|folder| check_format(folder, path).err());
        findings.push(if let Some(error @ OpenError::OtherFormat(..)) = unreadable {
            Finding::bad(place.check, error.to_string()).fix("", place.check)
        } else {
            let found = folder.and_then(|folder| Survey::of(&folder).ok());
            place.inspect(spool.bytes_max, found.map_or(0, |found| found.used_bytes()))
        });
    }
    if let Some(path) = &recorder.dead_letter {
        let place =
            Place { check: "dead_letter", what: "dead-letter file", path, is_folder: false, is_made_with_folder: true };
        let bytes_max = limits::DEAD_LETTER_BYTES_MAX * u64::from(KEPT_FILES + 1);
        findings.push(place.inspect(bytes_max, used_by_rotated(path, KEPT_FILES)));
    }
    findings
}

fn standard_output() -> Finding {
    if stands_for_nothing(io::stdout()) {
        Finding::bad("path", CLOSED)
    } else {
        Finding::good("path", "standard output")
    }
}

/// Bytes of a file and of those that were rotated away from it.
fn used_by_rotated(path: &Path, keep: u32) -> u64 {
    let rotated = (1..=keep).map(|number| rotated::numbered(path, number));
    let all = std::iter::once(path.to_owned()).chain(rotated);
    all.filter_map(|path| fs::metadata(path).ok()).map(|found| found.len()).sum()
}

/// A place on disk that a recorder writes to.
struct Place<'p> {
    /// Its key in the configuration.
    check: &'static str,
    what: &'static str,
    path: &'p Path,
    is_folder: bool,
    /// Whether folders that are missing are created.
    is_made_with_folder: bool,
}

impl Place<'_> {
    /// `bytes_max` is what may be written there, of which `used` bytes exist already.
    fn inspect(&self, bytes_max: u64, used: u64) -> Finding {
        let Self { check, what, path, .. } = *self;
        let path = path.display();
        let state = match self.try_to_write() {
            Ok(state) => state,
            Err(error) => {
                let is_missing = error.kind() == io::ErrorKind::NotFound;
                let fix = if is_missing { "create its folder" } else { "check its permissions" };
                return Finding::bad(check, format!("{what} {path} cannot be written to: {error}")).fix(fix, check);
            }
        };
        let text = format!("{what} {path} can be {state}");
        let Some(free) = self.free_bytes() else { return Finding::good(check, text) };
        let needed = bytes_max.saturating_sub(used);
        let text = format!("{text}, {} MiB free, up to {} MiB needed", grouped(free >> 20), grouped(needed >> 20));
        let mut finding = if free < needed {
            Finding::bad(check, text).fix("free disk space, or lower the limit", check)
        } else {
            Finding::good(check, text)
        };
        finding.figures = vec![("free_bytes", free), ("needed_bytes", needed)];
        finding
    }

    fn try_to_write(&self) -> io::Result<&'static str> {
        let found = match fs::symlink_metadata(self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = if self.is_made_with_folder { self.existing() } else { parent(self.path) };
                rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)?;
                return Ok("created");
            }
            found => found?,
        };
        if self.is_folder {
            if !fs::metadata(self.path)?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            rustix::fs::access(self.path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)?;
        } else if self.check == "dead_letter" || fs::metadata(self.path)?.is_file() {
            rotated::check_regular(fs::metadata(self.path))?;
            rotated::open_existing(self.path, &found)?;
        } else {
            // Opening something else may have effects.
            rustix::fs::access(self.path, Access::WRITE_OK)?;
        }
        Ok("written to")
    }

    /// The place itself, or the nearest folder above it that exists.
    fn existing(&self) -> &Path {
        self.path.ancestors().find(|path| path.exists()).unwrap_or_else(|| Path::new("."))
    }

    fn free_bytes(&self) -> Option<u64> {
        let found = rustix::fs::statvfs(self.existing()).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}
