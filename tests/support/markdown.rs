//! Reads the parts of Markdown that the checks of the documentation need: headings and their anchors, links, code, and tables.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Folders that do not contain documentation.
const SKIPPED_FOLDERS: [&str; 5] = [".git", "target", "artifacts", "corpus", "node_modules"];

/// One markdown file.
pub(crate) struct Page {
    /// From the root of the repository.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Every markdown file below `root`.
pub(crate) fn pages(root: &Path) -> Vec<Page> {
    let mut paths = Vec::new();
    collect(root, &mut paths);
    paths.sort();
    let page = |path: PathBuf| Page {
        text: std::fs::read_to_string(&path).expect("readable"),
        path: path.strip_prefix(root).expect("below the root").to_owned(),
    };
    paths.into_iter().map(page).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            if !SKIPPED_FOLDERS.iter().any(|skipped| name == *skipped) {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
}

/// A heading, and the text below it up to the next heading of the same level or a higher one.
pub(crate) struct Section<'p> {
    pub(crate) heading: &'p str,
    pub(crate) lines: Vec<&'p str>,
}

impl Page {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.to_owned() }
    }

    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The lines outside fenced code, each with its number.
    pub(crate) fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut in_code = false;
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(move |(_, line)| {
            let is_fence = line.trim_start().starts_with("```");
            in_code ^= is_fence;
            !in_code && !is_fence
        })
    }

    /// The fenced code in `language`, each with the number of its first line.
    pub(crate) fn code(&self, language: &str) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let mut open: Option<(usize, &str, usize, String)> = None;
        for (index, line) in self.text.lines().enumerate() {
            let trimmed = line.trim_start();
            match (&mut open, trimmed.strip_prefix("```")) {
                (None, Some(name)) => open = Some((index + 2, name, line.len() - trimmed.len(), String::new())),
                (None, None) => {}
                (Some((_, _, indent, text)), None) => {
                    text.push_str(line.get(*indent..).unwrap_or_default());
                    text.push('\n');
                }
                (Some(_), Some(_)) => {
                    let (start, name, _, text) = open.take().expect("it is open");
                    if name == language {
                        found.push((start, text));
                    }
                }
            }
        }
        found
    }

    /// The headings, each with its level.
    fn headings(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose().filter_map(|(_, line)| {
            let level = line.bytes().take_while(|byte| *byte == b'#').count();
            (1..=6).contains(&level).then(|| line[level..].strip_prefix(' ')).flatten().map(|text| (level, text.trim()))
        })
    }

    /// The anchors (`#…`) that GitHub makes from its headings.
    pub(crate) fn anchors(&self) -> BTreeSet<String> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut anchors = BTreeSet::new();
        for (_, heading) in self.headings() {
            let base = anchor(heading);
            let count = counts.entry(base.clone()).or_default();
            anchors.insert(if *count == 0 { base.clone() } else { format!("{base}-{count}") });
            *count += 1;
        }
        anchors
    }

    /// The targets of its links, each with its line.
    pub(crate) fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (number, line) in self.prose() {
            let bare = without_code(line);
            let mut rest = bare.as_str();
            while let Some(at) = rest.find("](") {
                rest = &rest[at + 2..];
                let end = rest.find(')').unwrap_or(rest.len());
                links.push((number, rest[..end].to_owned()));
            }
        }
        links
    }

    /// The section whose heading holds `name` as code.
    pub(crate) fn section_of(&self, name: &str) -> Option<Section<'_>> {
        let wanted = format!("`{name}`");
        self.sections(|_, heading| heading.contains(&wanted)).into_iter().next()
    }

    /// The sections whose headings are wanted.
    pub(crate) fn sections(&self, is_wanted: impl Fn(usize, &str) -> bool) -> Vec<Section<'_>> {
        let level_of = |line: &str| line.bytes().take_while(|byte| *byte == b'#').count();
        let lines: Vec<&str> = self.prose().map(|(_, line)| line).collect();
        let mut found = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let level = level_of(line);
            if level == 0 || !is_wanted(level, line[level..].trim()) {
                continue;
            }
            let below = lines[at + 1..].iter().take_while(|line| !(1..=level).contains(&level_of(line)));
            found.push(Section { heading: line[level..].trim(), lines: below.copied().collect() });
        }
        found
    }
}

/// The texts between backquotes in a line.
pub(crate) fn code_spans(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// The cells of a table row. `None` if the line is not one.
pub(crate) fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    (!inner.bytes().all(|byte| b"|-: ".contains(&byte))).then(|| inner.split(" | ").map(str::trim).collect())
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

fn anchor(heading: &str) -> String {
    // A link counts as its text.
    let mut text = String::new();
    let mut rest = heading;
    while let Some((before, behind)) = rest.split_once("](") {
        text.push_str(before);
        rest = behind.split_once(')').map_or("", |(_, behind)| behind);
    }
    text.push_str(rest);
    let kept = text.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
