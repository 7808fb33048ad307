//! Checks that no two recorders write to the same place on disk: files are rotated, and folders are locked. Paths that
//! look different may lead to the same place.

use super::node::Node;
use super::problems::{Place, Problems};
use super::section::Section;
use super::{Named, Recorder};
use crate::limits::{LINKS_MAX, PATH_BYTES_MAX};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Which recorder uses a place.
struct Owner<'r> {
    recorder: &'r str,
    key: &'static str,
    /// The path as it is written.
    path: &'r Path,
}

/// Refuses paths that two recorders would write to, and those of the configuration's own files.
pub(super) fn check(root: &mut Section<'_, '_>, recorders: &Named<Recorder>, problems: &Problems<'_>) {
    let Some((Node::Map(map), section)) = root.node("recorders") else { return };
    let mut places = Places::default();
    let own: Vec<(u64, u64)> = problems.names().filter_map(|name| RealPlace::find(Path::new(name))?.file).collect();
    let mut entries: BTreeMap<&str, usize> = BTreeMap::new();
    entries.extend(map.iter().enumerate().map(|(index, (name, _))| (&**name, index)).rev());
    for recorder in recorders.iter().flat_map(|(_, recorders)| recorders) {
        for (key, path) in recorder.paths() {
            let owner = Owner { recorder: &recorder.name, key, path };
            let Some(found) = RealPlace::find(path) else { continue };
            let message = match places.taken(&found) {
                _ if found.file.is_some_and(|file| own.contains(&file)) => {
                    format!("{key} is the configuration file itself")
                }
                Some(first) => first.refuse(&owner, &found.path),
                None => {
                    places.take(found, owner);
                    continue;
                }
            };
            let index = entries.get(&*recorder.name);
            let place = index.map_or_else(|| section.clone(), |&index| section.entry(index, &recorder.name));
            problems.key(&place, message);
        }
    }
    places.check_rotated(&mut |owner, message| {
        let index = entries.get(owner.recorder);
        let place: Place = index.map_or_else(|| section.clone(), |&index| section.entry(index, owner.recorder));
        problems.key(&place, message);
    });
}

impl Owner<'_> {
    fn refuse(&self, other: &Owner<'_>, real: &Path) -> String {
        // If both paths are written the same way, the real one says nothing new.
        let place = if self.path == other.path { String::new() } else { format!(" ({})", real.display()) };
        let Self { recorder, key, .. } = self;
        format!("{} is also the {key} of the recorder {recorder:?}{place}: each needs its own", other.key)
    }
}

/// Where a path leads.
struct RealPlace {
    /// The path without links, as far as it exists.
    path: PathBuf,
    /// The device and number of the file, if it exists. Two paths may be hard links to one file.
    file: Option<(u64, u64)>,
}

/// The places that recorders use.
#[derive(Default)]
struct Places<'r> {
    by_path: BTreeMap<PathBuf, Owner<'r>>,
    by_file: BTreeMap<(u64, u64), PathBuf>,
}

impl<'r> Places<'r> {
    fn taken(&self, place: &RealPlace) -> Option<&Owner<'r>> {
        let same_file = place.file.and_then(|file| self.by_file.get(&file));
        self.by_path.get(&place.path).or_else(|| self.by_path.get(same_file?))
    }

    fn take(&mut self, place: RealPlace, owner: Owner<'r>) {
        if let Some(file) = place.file {
            self.by_file.insert(file, place.path.clone());
        }
        self.by_path.insert(place.path, owner);
    }

    /// Rotated files are called `….1` and so on, which must not be the name of another file.
    fn check_rotated(&self, refuse: &mut dyn FnMut(&Owner<'r>, String)) {
        for (path, owner) in &self.by_path {
            let number = path.extension().and_then(|ending| ending.to_str());
            let is_number = number.is_some_and(|ending| ending.bytes().all(|byte| byte.is_ascii_digit()));
            let rotated = is_number.then(|| self.by_path.get(&path.with_extension(""))).flatten();
            if let Some(Owner { recorder, key, .. }) = rotated.filter(|other| other.key != "spool") {
                let message = format!(
                    "{} is the name of a rotated {key} of the recorder {recorder:?}: each needs its own",
                    owner.key
                );
                refuse(owner, message);
            }
        }
    }
}

impl RealPlace {
    /// None if it cannot be found out; writing there will then fail, and report why.
    fn find(path: &Path) -> Option<Self> {
        let path = real_path(&std::path::absolute(path).ok()?)?;
        let file = fs::metadata(&path).ok().map(|found| (found.dev(), found.ino()));
        Some(Self { path, file })
    }
}

/// The path without links, not even links to something that does not exist. The part that does not exist stays as it
/// is.
fn real_path(path: &Path) -> Option<PathBuf> {
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return None;
    }
    let steps =
        |path: &Path| -> Vec<OsString> { path.components().rev().map(|step| step.as_os_str().to_owned()).collect() };
    let mut ahead = steps(path);
    let mut real = PathBuf::new();
    let (mut links_left, mut missing) = (LINKS_MAX, 0_usize);
    while let Some(step) = ahead.pop() {
        if step == ".." {
            real.pop();
            missing = missing.saturating_sub(1);
            continue;
        }
        // To push the root replaces everything.
        real.push(&step);
        if missing > 0 {
            missing += 1;
            continue;
        }
        match fs::symlink_metadata(&real) {
            Ok(found) if found.is_symlink() => {
                links_left = links_left.checked_sub(1)?;
                ahead.extend(steps(&fs::read_link(&real).ok()?));
                real.pop();
            }
            Ok(_) => {}
            Err(_) => missing = 1,
        }
    }
    Some(real)
}
