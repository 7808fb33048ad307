//! From the texts of a configuration to its tree.

use super::compose;
use super::error::Problem;
use super::node::{self, Node};
use super::problems::{FileText, Problems};
use crate::limits::CONFIG_VALUES_BYTES_MAX;
use std::cell::Cell;

/// Parses all files, and makes one tree of them.
///
/// # Errors
/// What is wrong with those that are no YAML.
pub(super) fn tree(files: Vec<FileText<'_>>) -> Result<(Node, Problems<'_>), Vec<Problem>> {
    let bytes_left = Cell::new(CONFIG_VALUES_BYTES_MAX);
    let (mut roots, mut wrong) = (Vec::new(), Vec::new());
    let several = files.len() > 1;
    for FileText { name, text } in &files {
        match node::parse_within(text, &bytes_left) {
            Ok(root) => roots.push(root),
            Err(problem) => wrong.push(Problem { file: several.then(|| name.clone()), ..problem }),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let problems = Problems::new(files);
    let (root, origins) = compose::compose(roots, &problems);
    problems.set_origins(origins);
    Ok((root, problems))
}
