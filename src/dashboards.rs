//! Dashboards for Kibana and OpenSearch Dashboards, made of what the readers of one recorder publish.
//!
//! [`survey`] polls each reader once and finds out which fields its documents have, and [`panels`] chooses the panels
//! that fit them. A [`panel::Panel`] says what is shown, and nothing of the form of saved objects; [`classic`] writes
//! that form, and [`import`] sends it to a front end.

mod classic;
mod fields;
pub(crate) mod import;
mod panel;
mod panels;
pub(crate) mod survey;

use crate::config::Recorder;
use crate::flatten::Globs;
use crate::recorder::index_pattern;
use fields::Fields;

/// The saved objects for the documents of `recorder`, one on each line, and what they do not show, in words. None if
/// the fields make no panel. `include` chooses the variables that get a panel of their own.
pub(crate) fn objects(recorder: &Recorder, fields: &Fields, include: Option<&Globs>) -> Option<(Vec<u8>, Vec<String>)> {
    let (dashboards, left_out) = panels::dashboards(fields, include);
    let written = || classic::written(&index_pattern(&recorder.index_name), &dashboards);
    (!dashboards.is_empty()).then(|| (written(), left_out))
}

#[cfg(test)]
mod tests;
