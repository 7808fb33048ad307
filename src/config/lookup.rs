//! Where a key stands in the files of a configuration, for messages about what a valid configuration leads to.

use super::file::{SourceFile, read_all};
use super::node::{self, Node, Target};
use super::{front, load};
use std::path::PathBuf;

/// The place of a key, as `conf.yml:12`. If it is not in the files, because it has its default, that of the nearest section
/// around it. `keys` lead to it, and `paths` to the files. None if they can no longer be read.
///
/// The reader of one port of a range is called `NAME:PORT`, and its section `NAME`.
pub(crate) fn place_of(paths: &[PathBuf], keys: [&str; 3]) -> Option<String> {
    let files = read_all(paths).ok()?;
    let (root, problems) = front::tree(load::texts(&files)).ok()?;
    let (mut node, mut indices) = (&root, Vec::new());
    for key in keys {
        let Node::Map(entries) = node else { break };
        let is_meant = |(name, _): &(String, Node)| {
            key.strip_prefix(name.as_str()).is_some_and(|port| port.is_empty() || port.starts_with(':'))
        };
        let Some(index) = entries.iter().position(is_meant) else { break };
        indices.push(index);
        node = &entries[index].1;
    }
    let origin = problems.origin_of(&indices);
    let SourceFile { path, text } = files.get(origin.file)?;
    let found = node::locate(text, &[Target { path: &origin.path, at_key: true }]);
    let line = found.first().copied().flatten()?.line;
    Some(format!("{}:{line}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_or_what_is_around_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conf.yml");
        let text = "readers:\n  app:\n    endpoint: h:1-2\nrecorders: {es: {endpoint: h:9200}}\n";
        std::fs::write(&path, text).unwrap();
        let line = |keys| {
            place_of(std::slice::from_ref(&path), keys).map(|place| place.rsplit_once(':').unwrap().1.to_owned())
        };
        for (keys, expected) in [
            (["readers", "app", "endpoint"], "3"),
            (["readers", "app:2", "endpoint"], "3"),
            (["readers", "app", "timeout"], "2"),
            (["readers", "other", "endpoint"], "1"),
            (["recorders", "es", "endpoint"], "4"),
        ] {
            assert_eq!(line(keys).as_deref(), Some(expected), "{keys:?}");
        }
        let without_ending = place_of(&[folder.path().join("conf")], ["readers", "app", "endpoint"]);
        assert!(without_ending.is_some_and(|place| place.ends_with("conf.yml:3")));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(line(["readers", "app", "endpoint"]), None);
    }
}
