//! Everything that is wrong with a configuration. Problems are collected while its files are read. Their positions are looked
//! up together, at the end.

use super::error::{Location, Problem};
use super::node::{self, Target};
use super::notes::Notes;
use super::origins::{Origin, Origins, Via};
use super::suggest::Suggestions;
use crate::limits::{PROBLEMS_BYTES_MAX, PROBLEMS_MAX};
use crate::sort::sorted;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;

/// Sections that hold secrets. In braces, YAML takes `password: hun,ter2` for a password and a key `ter2`. So errors
/// about these sections do not repeat keys that are not similar to known ones.
const SECRET_SECTIONS: [&str; 2] = ["auth", "headers"];

/// Where a node is in the tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// The keys that lead to it, joined with dots, for messages.
    pub(super) name: String,
    /// The indices of the entries that lead to it.
    pub(super) indices: Vec<usize>,
    /// Whether it is a section that holds secrets, or in one.
    pub(super) holds_secrets: bool,
    /// The bytes of the name of the reader or recorder that it is in, if it is in one.
    entry_bytes: Option<usize>,
    /// Whether it is a reader or a recorder that is in no file.
    is_fragment: bool,
}

impl Place {
    /// The place of a reader or a recorder that is in no file.
    pub(super) fn of_fragment() -> Self {
        Self { is_fragment: true, ..Self::default() }
    }

    /// The place of entry `index`, called `key`, within this one.
    pub(super) fn entry(&self, index: usize, key: &str) -> Self {
        // Only directly below a reader or a recorder: those have names of the user's choice.
        let holds_secrets = (self.indices.len() == 2 || self.is_fragment) && SECRET_SECTIONS.contains(&key);
        let key = super::shorten(key);
        let entry_bytes = if self.indices.len() == 1 { Some(key.len()) } else { self.entry_bytes };
        let name = if self.name.is_empty() { key } else { format!("{}.{key}", self.name) };
        Self { name, holds_secrets: holds_secrets || self.holds_secrets, entry_bytes, ..self.below(index) }
    }

    /// The place of item `index` of the list at this one.
    pub(super) fn item(&self, index: usize) -> Self {
        Self { name: format!("{}[{index}]", self.name), ..self.below(index) }
    }

    /// The name of the reader or recorder that it is in, with its section.
    pub(super) fn entry_name(&self) -> &str {
        let section = self.name.find('.').map_or(0, |dot| dot + 1);
        self.entry_bytes.and_then(|bytes| self.name.get(..section + bytes)).unwrap_or(&self.name)
    }

    /// The name under which its part of `defaults` is known.
    fn name_in_defaults(&self) -> String {
        let mut parts = self.name.splitn(2, '.');
        let (section, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        // The name of the entry may contain dots.
        let key = self.entry_bytes.and_then(|bytes| rest.get(bytes..)).unwrap_or_default();
        format!("defaults.{section}{key}")
    }

    /// The place of entry or item `index`, with the name of this place, because its key may be a part of a secret.
    pub(super) fn below(&self, index: usize) -> Self {
        let indices = [&self.indices[..], &[index]].concat();
        Self { name: self.name.clone(), indices, is_fragment: false, ..*self }
    }
}

/// A problem or a warning whose position in the text has not been looked up.
struct Unplaced {
    name: String,
    at: Origin,
    at_key: bool,
    message: String,
    /// The message ends with the line of this place.
    first: Option<Origin>,
}

/// The text of one file.
pub(super) struct FileText<'t> {
    /// The file's name, which each message begins with.
    pub(super) name: String,
    pub(super) text: &'t str,
}

/// Everything that is wrong with a configuration.
pub(super) struct Problems<'t> {
    /// At least one.
    files: Vec<FileText<'t>>,
    origins: OnceCell<Origins>,
    found: RefCell<Vec<Unplaced>>,
    /// What is wrong with defaults, which many entries have, is said once: where that is, and whether it is about the key.
    said: RefCell<BTreeSet<(usize, Vec<usize>, bool)>>,
    /// How many more bytes the messages may have. Their positions are not known yet, so each counts as short as
    /// possible.
    room: Cell<usize>,
    /// How many problems are not shown.
    more: Cell<usize>,
    warnings: RefCell<Vec<Unplaced>>,
    pub(super) suggestions: Suggestions,
    /// What is noted for those who print the configuration; none if nobody does.
    pub(super) notes: Option<Notes>,
}

impl<'t> Problems<'t> {
    /// The problems of these files, of which there is at least one.
    pub(super) fn new(files: Vec<FileText<'t>>) -> Self {
        let room = Cell::new(room(files.first().map_or("", |file| &file.name)));
        Self {
            files,
            origins: OnceCell::new(),
            found: RefCell::default(),
            said: RefCell::default(),
            room,
            more: Cell::new(0),
            warnings: RefCell::default(),
            suggestions: Suggestions::default(),
            notes: None,
        }
    }

    /// The problems of a single file; `origin` is its path.
    pub(super) fn of_file(text: &'t str, origin: &Path) -> Self {
        Self::new(vec![FileText { name: origin.display().to_string(), text }])
    }

    /// The names of the files.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.name.as_str())
    }

    /// Says where the parts of the tree come from that is read from now on.
    pub(super) fn set_origins(&self, origins: Origins) {
        // They are set only once.
        let _ = self.origins.set(origins);
    }

    /// Whether some file contains these letters.
    pub(super) fn mentions(&self, letters: &str) -> bool {
        self.files.iter().any(|file| memchr::memmem::find(file.text.as_bytes(), letters.as_bytes()).is_some())
    }

    /// The folder of the file that a place is in. Relative paths there start from it.
    pub(super) fn folder(&self, place: &Place) -> &Path {
        let file = self.files.get(self.origin(place).file);
        file.and_then(|file| Path::new(&file.name).parent()).unwrap_or_else(|| Path::new(""))
    }

    /// Where the part of the tree comes from to which these indices lead.
    pub(super) fn origin_of(&self, indices: &[usize]) -> Origin {
        match self.origins.get() {
            Some(origins) => origins.find(indices),
            None => Origin { path: indices.to_vec(), ..Origin::default() },
        }
    }

    fn origin(&self, place: &Place) -> Origin {
        self.origin_of(&place.indices)
    }

    /// Whether two places are in the same file.
    pub(super) fn are_in_one_file(&self, one: &Place, other: &Place) -> bool {
        self.files.len() == 1 || self.origin(one).file == self.origin(other).file
    }

    /// Whether what is at this place comes from `defaults`.
    pub(super) fn is_default(&self, place: &Place) -> bool {
        self.origin(place).via == Via::Defaults
    }

    /// Reports that something is wrong with the value at `place`.
    pub(super) fn value(&self, place: &Place, message: impl Into<String>) {
        self.add(place, false, message.into(), None);
    }

    /// Reports that something is wrong with the key at `place`, or with the section that it opens.
    pub(super) fn key(&self, place: &Place, message: impl Into<String>) {
        self.add(place, true, message.into(), None);
    }

    /// Reports that the key at `place` repeats the one at `first`, whose line is appended to the message.
    pub(super) fn again(&self, place: &Place, message: impl Into<String>, first: &Place) {
        self.add(place, true, message.into(), Some(first));
    }

    fn add(&self, place: &Place, at_key: bool, message: String, first: Option<&Place>) {
        if let Some((name, at)) = self.to_say(place, at_key) {
            self.push(Unplaced { name, at, at_key, message, first: first.map(|first| self.origin(first)) });
        }
    }

    /// The name and the origin of a place. None if it is in `defaults`, and has been reported.
    fn to_say(&self, place: &Place, at_key: bool) -> Option<(String, Origin)> {
        let at = self.origin(place);
        let is_copy = at.via == Via::Defaults;
        let is_shared = is_copy || place.name.starts_with("defaults.");
        if is_shared && !self.said.borrow_mut().insert((at.file, at.path.clone(), at_key)) {
            return None;
        }
        Some((if is_copy { place.name_in_defaults() } else { place.name.clone() }, at))
    }

    /// Reports something about a key or a value in the text, before it has its place in the tree.
    pub(super) fn of_text(&self, at: &Origin, at_key: bool, name: &str, message: String) {
        self.push(Unplaced { name: name.to_owned(), at: at.clone(), at_key, message, first: None });
    }

    fn push(&self, mut problem: Unplaced) {
        if self.is_full() {
            self.more.set(self.more.get() + 1);
            return;
        }
        problem.message = super::error::readable(problem.message);
        let start = Some(Location { line: 1, column: 1 });
        let bytes = self.placed(&problem, start, start).line(&self.files[0].name).len() + 2;
        self.room.set(self.room.get().saturating_sub(bytes));
        self.found.borrow_mut().push(problem);
    }

    pub(super) fn has_any(&self) -> bool {
        !self.found.borrow().is_empty()
    }

    /// Whether further problems are only counted, so that their messages are not needed.
    pub(super) fn is_full(&self) -> bool {
        self.room.get() == 0 || self.found.borrow().len() == PROBLEMS_MAX
    }

    /// Reports a warning about the key at `place`.
    pub(super) fn warning(&self, place: &Place, message: impl Into<String>) {
        if self.warnings.borrow().len() < PROBLEMS_MAX
            && let Some((name, at)) = self.to_say(place, true)
        {
            let warning = Unplaced { name, at, at_key: true, message: message.into(), first: None };
            self.warnings.borrow_mut().push(warning);
        }
    }

    /// The problems in the order of the files, the last one being the number of those that are not shown; and the
    /// warnings.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        let (found, warnings) = (self.found.take(), self.warnings.take());
        let shown: Vec<&Unplaced> = found.iter().chain(&warnings).collect();
        let mut problems = self.locate(&shown);
        let warnings: Vec<Problem> = problems.split_off(found.len()).into_iter().map(|(_, warning)| warning).collect();
        let mut more = self.more.get();
        let origin = &self.files[0].name;
        let mut room = room(origin);
        let mut is_first = true;
        // What several sections merge is wrong in each of them.
        let mut said = BTreeSet::new();
        let mut merges = found.iter().map(|problem| problem.at.via == Via::Merge);
        problems.retain(|(file, problem)| {
            let place = problem.location.map(|at| (*file, at.line, at.column));
            let is_new = said.insert((place, problem.message.clone()));
            if merges.next() == Some(true) && !is_new {
                return false;
            }
            // Two bytes separate it from the next one. The first one is always shown.
            let left = room.checked_sub(problem.line(origin).len() + 2);
            room = left.unwrap_or(0);
            let is_shown = left.is_some() || is_first;
            is_first = false;
            more += usize::from(!is_shown);
            is_shown
        });
        let mut problems = in_order_of_the_files(problems);
        if more > 0 {
            problems.push(Problem::of_more(more));
        }
        (problems, warnings)
    }

    /// Looks up the positions of all of them, each with the index of its file.
    fn locate(&self, unplaced: &[&Unplaced]) -> Vec<(usize, Problem)> {
        let mut found = vec![(None, None); unplaced.len()];
        for (file, FileText { text, .. }) in self.files.iter().enumerate() {
            let mut targets = Vec::new();
            let mut takers = Vec::new();
            for (index, problem) in unplaced.iter().enumerate() {
                let own = Some((&problem.at, problem.at_key, false));
                let first = problem.first.as_ref().map(|first| (first, true, true));
                for (at, at_key, is_first) in own.into_iter().chain(first).filter(|(at, ..)| at.file == file) {
                    targets.push(Target { path: &at.path, at_key });
                    takers.push((index, is_first));
                }
            }
            // The position of a file as a whole is its beginning.
            let sought: Vec<Target<'_>> = targets.iter().filter(|target| !target.path.is_empty()).copied().collect();
            let mut located = node::locate(text, &sought).into_iter();
            for (target, (index, is_first)) in targets.iter().zip(takers) {
                let start = Some(Location { line: 1, column: 1 });
                let place = if target.path.is_empty() { start } else { located.next().flatten() };
                if is_first { found[index].1 = place } else { found[index].0 = place }
            }
        }
        let placed = |(problem, (at, first)): (&&Unplaced, _)| (problem.at.file, self.placed(problem, at, first));
        unplaced.iter().zip(found).map(placed).collect()
    }

    /// A problem with its position, and that of the first one.
    fn placed(&self, problem: &Unplaced, at: Option<Location>, first: Option<Location>) -> Problem {
        let line = first.map_or(0, |at| at.line);
        let first = match &problem.first {
            Some(first) if first.file != problem.at.file => {
                format!(", first at {}:{line}", self.files[first.file].name)
            }
            Some(_) => format!(", first on line {line}"),
            None => String::new(),
        };
        let text = format!("{}{first}", problem.message);
        let file = self.files.get(problem.at.file).filter(|_| self.files.len() > 1);
        Problem { file: file.map(|file| file.name.clone()), ..Problem::new(at, problem.name.clone(), text) }
    }
}

fn in_order_of_the_files(problems: Vec<(usize, Problem)>) -> Vec<Problem> {
    let place_of = |problem: &Problem| problem.location.map_or((0, 0), |at| (at.line, at.column));
    let places = problems.iter().enumerate().map(|(index, (file, problem))| (*file, place_of(problem), index));
    let order = sorted(places.collect());
    let mut problems: Vec<Option<Problem>> = problems.into_iter().map(|(_, problem)| Some(problem)).collect();
    order.into_iter().filter_map(|(_, _, index)| problems[index].take()).collect()
}

/// How many bytes there are for problems, without the line about those that are not shown.
fn room(origin: &str) -> usize {
    PROBLEMS_BYTES_MAX.saturating_sub(Problem::of_more(usize::MAX).line(origin).len())
}
