//! A reader's `map_file`, which names the values that are shipped in other units. The format is that of the Go
//! program's `maps.yml`.
//!
//! ```yaml
//! gc_types: [memstats.PauseNs, memstats.PauseEnd]   # lists: zeros removed, divided by 1,000
//! memory_bytes: {StackInuse: mb, memstats.Alloc: gb}  # numbers of bytes: b, kb, mb, gb
//! ```

use super::expand::{Expansion, Variable};
use super::file::FileRead;
use super::problems::{Place, Problems};
use super::section::Section;
use super::{compose, file, node};
use crate::flatten::{Conversion, Conversions};
use crate::limits;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The map files of one configuration. Each is read once, however many readers name it.
pub(super) struct MapFiles<'v> {
    variable: Variable<'v>,
    /// None for a file with a problem that has been reported.
    loaded: RefCell<BTreeMap<PathBuf, Option<Arc<Conversions>>>>,
    files: RefCell<Vec<FileRead>>,
    /// How long the other files may be.
    bytes_left: Cell<usize>,
}

impl<'v> MapFiles<'v> {
    pub(super) fn new(variable: Variable<'v>) -> Self {
        Self {
            variable,
            loaded: RefCell::default(),
            files: RefCell::default(),
            bytes_left: Cell::new(limits::MAP_FILES_BYTES_MAX),
        }
    }

    /// Loads the file.
    ///
    /// # Errors
    /// Everything that is wrong with it, on one line; after the first time, only that it is invalid.
    pub(super) fn load(&self, path: &Path) -> Result<Arc<Conversions>, String> {
        if let Some(known) = self.loaded.borrow().get(path) {
            return known.clone().ok_or_else(|| format!("{}: invalid, see above", path.display()));
        }
        let loaded = self.read(path).map(Arc::new);
        self.loaded.borrow_mut().insert(path.to_owned(), loaded.clone().ok());
        loaded
    }

    /// The files that were read.
    pub(super) fn files(self) -> Vec<FileRead> {
        self.files.into_inner()
    }

    fn read(&self, path: &Path) -> Result<Conversions, String> {
        let too_long = || {
            let most = limits::MAP_FILES_BYTES_MAX;
            format!("{}: the map files together are longer than the limit of {most} bytes", path.display())
        };
        if self.bytes_left.get() == 0 {
            return Err(too_long());
        }
        let (found, text) = file::read(path).map_err(|error| error.to_string())?;
        self.files.borrow_mut().push(FileRead::new(&found, &text));
        let left = self.bytes_left.get().checked_sub(text.len());
        self.bytes_left.set(left.unwrap_or(0));
        left.ok_or_else(too_long)?;
        parse(&found.display().to_string(), &text, self.variable)
    }
}

/// Reads the text of a map file; `origin` is its name in errors.
///
/// # Errors
/// Everything that is wrong with it, on one line.
pub(crate) fn parse(origin: &str, text: &str, variable: Variable<'_>) -> Result<Conversions, String> {
    let root = node::parse(text).map_err(|problem| problem.line(origin))?;
    let problems = Problems::of_file(text, Path::new(origin));
    let (mut root, origins) = compose::merge_keys(root, &problems);
    problems.set_origins(origins);
    Expansion::new(variable, limits::CONFIG_VALUES_BYTES_MAX).expand_all(&mut root, &problems);
    let conversions = Section::new(&root, Place::default(), &problems).map(conversions);
    let (found, _) = problems.finish();
    match conversions {
        Some(conversions) if found.is_empty() => Ok(conversions),
        _ => Err(found.iter().map(|problem| problem.line(origin)).collect::<Vec<_>>().join("; ")),
    }
}

fn conversions(mut root: Section<'_, '_>) -> Conversions {
    // The file that comes with the Go program lists them without dashes, so YAML reads them as one text.
    let lists = root.texts_or_none("gc_types").unwrap_or_default();
    let gc_lists: Vec<String> = lists.iter().flat_map(|(text, _)| text.split_whitespace()).map(str::to_owned).collect();
    let sizes = root.section("memory_bytes").map(|section| section.each(size)).unwrap_or_default();
    let names = gc_lists.len() + sizes.len();
    if names > limits::PATTERNS_MAX {
        root.lacks(format!("{names} names, at most {} are allowed", limits::PATTERNS_MAX));
    }
    root.finish();
    Conversions { gc_lists, sizes }
}

fn size(name: &str, unit: &str) -> Result<(String, Conversion), String> {
    let conversion = match unit.to_ascii_lowercase().as_str() {
        "b" => Ok(Conversion::Bytes),
        "kb" => Ok(Conversion::Kilobytes),
        "mb" => Ok(Conversion::Megabytes),
        "gb" => Ok(Conversion::Gigabytes),
        _ => Err(format!("unknown unit {unit:?}, expected b, kb, mb or gb")),
    }?;
    Ok((name.to_owned(), conversion))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_go_programs_file_is_read_in_each_of_its_spellings() {
        let sizes = vec![
            ("StackInuse".to_owned(), Conversion::Megabytes),
            ("memstats.Alloc".to_owned(), Conversion::Gigabytes),
        ];
        let expected =
            Conversions { gc_lists: vec!["memstats.PauseEnd".to_owned(), "memstats.PauseNs".to_owned()], sizes };
        for lists in [
            "gc_types:\n    memstats.PauseEnd\n    memstats.PauseNs",
            "gc_types: [memstats.PauseEnd, memstats.PauseNs]",
        ] {
            let text = format!("{lists}\nmemory_bytes:\n    StackInuse: mb\n    memstats.Alloc: GB\n");
            assert_eq!(parse("maps.yml", &text, &|_| None), Ok(expected.clone()));
        }
        assert_eq!(parse("maps.yml", "", &|_| None), Ok(Conversions::default()));
    }

    #[test]
    fn variables_are_filled_in() {
        let variable = |name: &str| (name == "UNIT").then(|| "kb".to_owned());
        let parsed = parse("m", "gc_types: [\"${LIST:-a.b}\"]\nmemory_bytes: {c: \"${UNIT}\"}\n", &variable);
        let sizes = vec![("c".to_owned(), Conversion::Kilobytes)];
        assert_eq!(parsed, Ok(Conversions { gc_lists: vec!["a.b".to_owned()], sizes }));
    }

    #[test]
    fn what_is_wrong_is_not_said_without_end() {
        for (unit, shown) in [("long ".repeat(1_000), 63), ("€".repeat(1_000), 21)] {
            let names: Vec<String> = (0..80).map(|n| format!("  a{n}: *u\n")).collect();
            let error =
                parse("m", &format!("memory_bytes:\n  a: &u {unit:?}\n{}", names.concat()), &|_| None).unwrap_err();
            assert!(error.len() <= limits::PROBLEMS_BYTES_MAX, "{} bytes", error.len());
            assert!(error.len() > limits::PROBLEMS_BYTES_MAX * 8 / 10, "{} bytes", error.len());
            assert_eq!(error.matches("unknown unit").count(), shown);
            assert!(error.ends_with(&format!("; m: and {} more problems", 81 - shown)), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, message) in [
            (
                "memory_bytes:\n  Alloc: tb\n",
                "m:2:10: memory_bytes.Alloc: unknown unit \"tb\", expected b, kb, mb or gb",
            ),
            ("memory_byte: {}\n", "m:1:1: memory_byte: unknown key \"memory_byte\", did you mean \"memory_bytes\"?"),
            ("memory_bytes:\n  a: mb\n  a: kb\n", "m:3:3: memory_bytes.a: given twice, first on line 2"),
            ("memory_bytes:\n  a: [mb]\n", "m:2:6: memory_bytes.a: expected text, found a list"),
            ("- a\n", "m:1:1: expected a mapping, found a list"),
        ] {
            assert_eq!(parse("m", text, &|_| None), Err(message.to_owned()));
        }
    }
}
