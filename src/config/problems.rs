//! Everything that is wrong with one file. Problems are collected while the file is read. Their positions are looked up
//! together, at the end.

use super::error::{Location, Problem};
use super::node::{self, Target};
use super::suggest::Suggestions;
use crate::limits::{PROBLEMS_BYTES_MAX, PROBLEMS_MAX};
use crate::sort::sorted;
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

/// Sections that hold secrets. In braces, YAML takes `password: hun,ter2` for a password and a key `ter2`. So errors
/// about these sections do not repeat keys that are not similar to known ones.
const SECRET_SECTIONS: [&str; 2] = ["auth", "headers"];

/// Where a node is in the tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// The keys that lead to it, joined with dots, for messages.
    pub(super) name: String,
    /// The indices of the entries that lead to it, for [`node::locate`].
    indices: Vec<usize>,
    /// Whether it is a section that holds secrets, or in one.
    pub(super) holds_secrets: bool,
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
        let name = if self.name.is_empty() { key } else { format!("{}.{key}", self.name) };
        Self { name, holds_secrets: holds_secrets || self.holds_secrets, ..self.below(index) }
    }

    /// The place of item `index` of the list at this one.
    pub(super) fn item(&self, index: usize) -> Self {
        Self { name: format!("{}[{index}]", self.name), ..self.below(index) }
    }

    /// The place of entry or item `index`, with the name of this place, because its key may be a part of a secret.
    pub(super) fn below(&self, index: usize) -> Self {
        let indices = [&self.indices[..], &[index]].concat();
        Self { name: self.name.clone(), indices, holds_secrets: self.holds_secrets, is_fragment: false }
    }
}

/// A problem or a warning whose position in the text has not been looked up.
struct Unplaced {
    place: Place,
    at_key: bool,
    message: String,
    /// The message ends with the line of this place.
    first: Option<Place>,
}

impl Unplaced {
    /// The problem with its position, and that of `first`.
    fn placed(&self, at: Option<Location>, first: Option<Location>) -> Problem {
        let line = first.map_or(0, |at| at.line);
        let first = self.first.as_ref().map(|_| format!(", first on line {line}")).unwrap_or_default();
        Problem::new(at, self.place.name.clone(), format!("{}{first}", self.message))
    }

    /// The positions to look up for it.
    fn targets(&self) -> impl Iterator<Item = Target<'_>> {
        let own = Target { path: &self.place.indices, at_key: self.at_key };
        let first = self.first.as_ref().map(|first| Target { path: &first.indices, at_key: true });
        std::iter::once(own).chain(first)
    }
}

/// Everything that is wrong with one file.
pub(super) struct Problems<'t> {
    text: &'t str,
    /// The folder of the file, from which relative paths in it start.
    folder: PathBuf,
    /// The file's name, which each message begins with.
    origin: String,
    found: RefCell<Vec<Unplaced>>,
    /// How many more bytes the messages may have. Their positions are not known yet, so each counts as short as
    /// possible.
    room: Cell<usize>,
    /// How many problems are not shown.
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

    /// Whether further problems are only counted, so that their messages are not needed.
    pub(super) fn is_full(&self) -> bool {
        self.room.get() == 0 || self.found.borrow().len() == PROBLEMS_MAX
    }

    /// Reports a warning about the key at `place`.
    pub(super) fn warning(&self, place: &Place, message: impl Into<String>) {
        if self.warnings.borrow().len() < PROBLEMS_MAX {
            let unplaced = Unplaced { place: place.clone(), at_key: true, message: message.into(), first: None };
            self.warnings.borrow_mut().push(unplaced);
        }
    }

    /// The problems in the order of the file, the last one being the number of those that are not shown; and the
    /// warnings.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        let (found, warnings) = (self.found.into_inner(), self.warnings.into_inner());
        let shown: Vec<&Unplaced> = found.iter().chain(&warnings).collect();
        let mut problems = placed(self.text, &shown);
        let warnings = problems.split_off(found.len());
        let mut more = self.more.get();
        let mut room = room(&self.origin);
        let mut is_first = true;
        problems.retain(|problem| {
            // Two bytes separate it from the next one. The first one is always shown.
            let left = room.checked_sub(problem.line(&self.origin).len() + 2);
            room = left.unwrap_or(0);
            let is_shown = left.is_some() || is_first;
            is_first = false;
            more += usize::from(!is_shown);
            is_shown
        });
        let mut problems = in_order_of_the_file(problems);
        if more > 0 {
            problems.push(Problem::of_more(more));
        }
        (problems, warnings)
    }
}

fn in_order_of_the_file(problems: Vec<Problem>) -> Vec<Problem> {
    let place_of = |problem: &Problem| problem.location.map_or((0, 0), |at| (at.line, at.column));
    let order = sorted(problems.iter().enumerate().map(|(index, problem)| (place_of(problem), index)).collect());
    let mut problems: Vec<Option<Problem>> = problems.into_iter().map(Some).collect();
    order.into_iter().filter_map(|(_, index)| problems[index].take()).collect()
}

/// How many bytes there are for problems, without the line about those that are not shown.
fn room(origin: &str) -> usize {
    PROBLEMS_BYTES_MAX.saturating_sub(Problem::of_more(usize::MAX).line(origin).len())
}

/// Looks up the positions of all of them. The position of the file as a whole is its beginning.
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
