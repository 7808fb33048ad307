//! `type_name` in a recorder, where the first versions of the Go program (v0.1.0 to v0.1.2) had it. It applies to the
//! readers that are routed to the recorder and have no `type_name` of their own.

use super::problems::{Place, Problems};
use super::section::Section;
use super::{Named, Reader, Routed, reader};
use crate::sort::sorted;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

const MISSING: &str = "type_name is missing: the name of these documents, such as my_app";
/// How many readers one warning names.
const NAMES_SHOWN: usize = 5;

/// The `type_name`s of recorders, and the readers without one, until the routes are known.
#[derive(Default)]
pub(super) struct OldTypeNames {
    given: RefCell<Vec<Given>>,
    /// The names of the readers' entries, in the order of the file.
    lacking: RefCell<Vec<(String, Place)>>,
}

/// The `type_name` of a recorder.
struct Given {
    recorder: String,
    type_name: String,
    place: Place,
    /// The entries of the readers that use it.
    takers: BTreeSet<String>,
}

impl OldTypeNames {
    /// Takes the key of a recorder, if it is there. Otherwise errors do not list it among the known keys.
    pub(super) fn take(&self, recorder: &str, section: &mut Section<'_, '_>) {
        if !section.keys().any(|key| key == "type_name") {
            return;
        }
        let type_name = section.parse("type_name", reader::type_name);
        if let (Some((_, place)), Some(type_name)) = (section.node("type_name"), type_name) {
            let given = Given { recorder: recorder.to_owned(), type_name, place, takers: BTreeSet::new() };
            self.given.borrow_mut().push(given);
        }
    }

    /// Records that a reader has no `type_name`. [`Self::settle`] will give it one.
    pub(super) fn lack(&self, reader: &str, place: &Place) {
        self.lacking.borrow_mut().push((reader.to_owned(), place.clone()));
    }

    /// Gives each reader without a `type_name` that of its recorders.
    pub(super) fn settle(self, readers: &mut Named<Reader>, engines: &mut [Routed], problems: &Problems<'_>) {
        let (mut given, lacking) = (self.given.into_inner(), self.lacking.into_inner());
        if given.is_empty() {
            for (_, place) in &lacking {
                problems.key(place, MISSING);
            }
            return;
        }
        let recorders = given.iter().enumerate().map(|(index, given)| (given.recorder.clone(), index));
        let by_recorder = sorted(recorders.collect());
        let routed = engines.iter().enumerate().map(|(index, engine)| (Arc::as_ptr(&engine.reader), index));
        let routed = sorted(routed.collect());
        let mut lacking = lacking.into_iter().peekable();
        for (entry, members) in readers {
            let Some((_, place)) = lacking.next_if(|(name, _)| name == entry) else { continue };
            let mut problem = None;
            for reader in members {
                let at = routed.binary_search_by_key(&Arc::as_ptr(reader), |(reader, _)| *reader).ok();
                let engine = at.map(|at| &mut engines[routed[at].1]);
                match chosen(engine.as_deref(), &given, &by_recorder) {
                    // A reader without a route is not polled, so it needs no name.
                    Choice::Unrouted => {}
                    Choice::One(of) => {
                        for &index in &of {
                            given[index].takers.insert(entry.clone());
                        }
                        *reader = Arc::new(reader.renamed(given[of[0]].type_name.clone()));
                        if let Some(engine) = engine {
                            engine.reader = Arc::clone(reader);
                        }
                    }
                    Choice::None => problem = problem.or_else(|| Some(MISSING.to_owned())),
                    Choice::Several { first, other } => problem = Some(contradiction(&given[first], &given[other])),
                }
            }
            if let Some(problem) = problem {
                problems.key(&place, problem);
            }
        }
        for given in given {
            problems.warning(&given.place, given.notice());
        }
    }
}

/// What the recorders of a reader have as `type_name`.
enum Choice {
    /// The reader has no recorders.
    Unrouted,
    /// None of them has one.
    None,
    /// One or several have the same; their indices.
    One(Vec<usize>),
    /// They have different ones; the indices of two that differ.
    Several { first: usize, other: usize },
}

fn chosen(engine: Option<&Routed>, given: &[Given], by_recorder: &[(String, usize)]) -> Choice {
    let Some(engine) = engine else { return Choice::Unrouted };
    let place = |name: &String| by_recorder.binary_search_by(|(recorder, _)| recorder.cmp(name)).ok();
    let of_recorders = engine.recorders.iter().filter_map(|recorder| place(&recorder.name));
    let found: Vec<usize> = of_recorders.map(|place| by_recorder[place].1).collect();
    let Some(&first) = found.first() else { return Choice::None };
    let differs = |other: &&usize| given[**other].type_name != given[first].type_name;
    let Some(&other) = found.iter().find(differs) else { return Choice::One(found) };
    Choice::Several { first, other }
}

fn contradiction(first: &Given, other: &Given) -> String {
    format!(
        "the recorders {:?} and {:?} have different type_names, {:?} and {:?}: set type_name on the reader",
        first.recorder, other.recorder, first.type_name, other.type_name
    )
}

impl Given {
    /// The warning about it.
    fn notice(&self) -> String {
        let mut takers = self.takers.iter();
        let Some(first) = takers.next() else {
            return "type_name belongs to readers and has no effect here: no reader routed here needs it".to_owned();
        };
        let others: Vec<String> = takers.by_ref().take(NAMES_SHOWN - 1).map(|name| format!("{name:?}")).collect();
        let more = takers.count();
        let others = match (others.is_empty(), more) {
            (true, _) => String::new(),
            (false, 0) => format!(", and the same for {}", others.join(", ")),
            (false, more) => format!(", and the same for {} and {more} more", others.join(", ")),
        };
        format!(
            "type_name belongs to readers (it still works here): write readers: {{{first:?}: {{type_name: \
             {:?}}}}}{others}",
            self.type_name
        )
    }
}
