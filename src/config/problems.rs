//! Everything that is wrong with one file. Problems are collected while the file is read; their positions are looked up
//! at the end, all at once.

use super::error::{Location, Problem};
use super::node::{self, Target};
use super::suggest::Suggestions;
use crate::limits::{PROBLEMS_BYTES_MAX, PROBLEMS_MAX};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

/// Sections that hold secrets. Of `password: hun,ter2` within braces YAML makes a key `ter2`: no error repeats a key there that
/// is not near a known one.
const SECRET_SECTIONS: [&str; 2] = ["auth", "headers"];

/// Where a node stands: its key path for people, its entry indices for [`node::locate`].
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) name: String,
    indices: Vec<usize>,
    /// Whether it is a section that holds secrets, or within one.
    pub(super) holds_secrets: bool,
}

impl Place {
    /// The place of entry `index`, called `key`, within this one.
    pub(super) fn entry(&self, index: usize, key: &str) -> Self {
        // Of a reader or a recorder, which are called as the user likes.
        let holds_secrets = self.indices.len() == 2 && SECRET_SECTIONS.contains(&key);
        let key = super::shorten(key);
        let name = if self.name.is_empty() { key } else { format!("{}.{key}", self.name) };
        Self { name, holds_secrets: holds_secrets || self.holds_secrets, ..self.below(index) }
    }

    pub(super) fn item(&self, index: usize) -> Self {
        Self { name: format!("{}[{index}]", self.name), ..self.below(index) }
    }

    /// The place of entry or item `index` under the name of this one: its key may be a part of a secret.
    pub(super) fn below(&self, index: usize) -> Self {
        let indices = [&self.indices[..], &[index]].concat();
        Self { name: self.name.clone(), indices, holds_secrets: self.holds_secrets }
    }
}

/// A problem or a warning whose place has not been looked for.
struct Unplaced {
    place: Place,
    at_key: bool,
    message: String,
    /// Whose line the message ends with.
    first: Option<Place>,
}

impl Unplaced {
    fn placed(&self, at: Option<Location>, first: Option<Location>) -> Problem {
        let line = first.map_or(0, |at| at.line);
        let first = self.first.as_ref().map(|_| format!(", first on line {line}")).unwrap_or_default();
        Problem::new(at, self.place.name.clone(), format!("{}{first}", self.message))
    }

    fn targets(&self) -> impl Iterator<Item = Target<'_>> {
        let own = Target { path: &self.place.indices, at_key: self.at_key };
        let first = self.first.as_ref().map(|first| Target { path: &first.indices, at_key: true });
        std::iter::once(own).chain(first)
    }
}

/// All that is wrong with one file, and its text to find the places in.
pub(super) struct Problems<'t> {
    text: &'t str,
    /// Where the file is: other files that it names are looked for from there.
    folder: PathBuf,
    /// The file's name, as it stands before each.
    origin: String,
    found: RefCell<Vec<Unplaced>>,
    /// Bytes that they may still take, if their places took the fewest.
    room: Cell<usize>,
    /// Problems beyond those that are shown.
    more: Cell<usize>,
    warnings: RefCell<Vec<Unplaced>>,
    pub(super) suggestions: Suggestions,
}

impl<'t> Problems<'t> {
    /// `origin` is the file that `text` came from.
    pub(super) fn new(text: &'t str, origin: &Path) -> Self {
        let folder = origin.parent().map(Path::to_owned).unwrap_or_default();
        let origin = origin.display().to_string();
        let room = Cell::new(room(&origin));
        Self {
            text,
            folder,
            origin,
            found: RefCell::default(),
            room,
            more: Cell::new(0),
            warnings: RefCell::default(),
            suggestions: Suggestions::default(),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Something is wrong with the value at `place`.
    pub(super) fn value(&self, place: &Place, message: impl Into<String>) {
        self.add(place, false, message.into(), None);
    }

    /// Something is wrong with the key at `place`, or with the section that it opens.
    pub(super) fn key(&self, place: &Place, message: impl Into<String>) {
        self.add(place, true, message.into(), None);
    }

    /// The key at `place` repeats the one at `first`: the message ends with the line of that one.
    pub(super) fn again(&self, place: &Place, message: impl Into<String>, first: &Place) {
        self.add(place, true, message.into(), Some(first));
    }

    fn add(&self, place: &Place, at_key: bool, message: String, first: Option<&Place>) {
        if self.is_full() {
            self.more.set(self.more.get() + 1);
            return;
        }
        let message = super::error::readable(message);
        let unplaced = Unplaced { place: place.clone(), at_key, message, first: first.cloned() };
        let start = Some(Location { line: 1, column: 1 });
        let bytes = unplaced.placed(start, start).line(&self.origin).len() + 2;
        self.room.set(self.room.get().saturating_sub(bytes));
        self.found.borrow_mut().push(unplaced);
    }

    pub(super) fn has_any(&self) -> bool {
        !self.found.borrow().is_empty()
    }

    /// Whether further problems are only counted, so that their messages need not be worked out.
    pub(super) fn is_full(&self) -> bool {
        self.room.get() == 0 || self.found.borrow().len() == PROBLEMS_MAX
    }

    /// A warning about the key at `place`.
    pub(super) fn warning(&self, place: &Place, message: impl Into<String>) {
        if self.warnings.borrow().len() < PROBLEMS_MAX {
            let unplaced = Unplaced { place: place.clone(), at_key: true, message: message.into(), first: None };
            self.warnings.borrow_mut().push(unplaced);
        }
    }

    /// What was found, in the order of the file, and how much more there is; then the warnings.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        let (found, warnings) = (self.found.into_inner(), self.warnings.into_inner());
        let shown: Vec<&Unplaced> = found.iter().chain(&warnings).collect();
        let mut problems = placed(self.text, &shown);
        let warnings = problems.split_off(found.len());
        let mut more = self.more.get();
        let mut room = room(&self.origin);
        let mut is_first = true;
        problems.retain(|problem| {
            // Two bytes part it from the next; the first is always shown.
            let left = room.checked_sub(problem.line(&self.origin).len() + 2);
            room = left.unwrap_or(0);
            let is_shown = left.is_some() || is_first;
            is_first = false;
            more += usize::from(!is_shown);
            is_shown
        });
        problems.sort_by_key(|problem| problem.location.map_or((0, 0), |at| (at.line, at.column)));
        if more > 0 {
            problems.push(Problem::of_more(more));
        }
        (problems, warnings)
    }
}

/// Bytes for problems, beside the words about those that are not shown.
fn room(origin: &str) -> usize {
    PROBLEMS_BYTES_MAX.saturating_sub(Problem::of_more(usize::MAX).line(origin).len())
}

/// All of them with their places. The file as a whole is at its beginning.
fn placed(text: &str, unplaced: &[&Unplaced]) -> Vec<Problem> {
    let start = Location { line: 1, column: 1 };
    let targets: Vec<Target<'_>> = unplaced.iter().flat_map(|problem| problem.targets()).collect();
    let sought: Vec<Target<'_>> = targets.iter().filter(|target| !target.path.is_empty()).copied().collect();
    let mut located = node::locate(text, &sought).into_iter();
    let mut places =
        targets.iter().map(|target| if target.path.is_empty() { Some(start) } else { located.next().flatten() });
    let mut next = || places.next().flatten();
    unplaced
        .iter()
        .map(|problem| {
            let at = next();
            let first = problem.first.as_ref().and_then(|_| next());
            problem.placed(at, first)
        })
        .collect()
}
