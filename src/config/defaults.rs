//! Checks the section `defaults`, whatever the entries make of it.
//!
//! The defaults are read as if they were a reader, or a recorder, of each kind. So what is wrong in them is reported even if no
//! entry has them, and a key that no kind knows is told from one that some kinds do not know.

use super::compose::DEFAULTS;
use super::maps::MapFiles;
use super::node::Node;
use super::old_type_names::OldTypeNames;
use super::problems::{Place, Problems};
use super::section::{Section, Trial};
use super::{Reader, Recorder, Settings};
use std::cell::RefCell;

/// Reads the section and reports what is wrong with it.
pub(super) fn check(
    root: &mut Section<'_, '_>,
    settings: &Settings,
    map_files: &MapFiles<'_>,
    problems: &Problems<'_>,
) {
    let Some(mut defaults) = root.section(DEFAULTS) else { return };
    if let Some((node, place)) = defaults.node("readers") {
        try_each(node, &place, &Reader::KINDS, problems, &|section| {
            Reader::from_section(DEFAULTS, section, settings, map_files);
        });
    }
    if let Some((node, place)) = defaults.node("recorders") {
        try_each(node, &place, &Recorder::KINDS, problems, &|section| {
            Recorder::from_section(DEFAULTS, section, &OldTypeNames::default());
        });
    }
    defaults.finish();
}

fn try_each(
    node: &Node,
    place: &Place,
    kinds: &[&'static str],
    problems: &Problems<'_>,
    read: &dyn Fn(Section<'_, '_>),
) {
    let known = RefCell::default();
    for kind in kinds {
        let Some(section) = Section::tried(node, place.clone(), problems, Trial { kind, known: &known }) else {
            return;
        };
        read(section);
    }
    if let Some(mut section) = Section::new(node, place.clone(), problems) {
        section.know(known.into_inner());
        section.finish();
    }
}
