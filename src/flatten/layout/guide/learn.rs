//! The guide that learns a layout.

use super::follow::Follow;
use super::{ColumnTraits, Guide, Member, Objects};
use crate::bytes::quantity::TextUnit;
use crate::bytes::scalar;
use crate::error::Stop;
use crate::layout::by_hash::{FNV_OFFSET, fnv};
use crate::layout::globs::Progress;
use crate::layout::keyed;
use crate::layout::rules::{GcPauses, VariableRules};
use crate::layout::texts::TextProgress;
use crate::layout::{Kind, Layout, Node, Renamed, Role, Shipped, Traits};

/// Buffers that are reused from one payload to the next.
#[derive(Debug, Default)]
pub(crate) struct LearnWork {
    /// The flat name of the current member before it is changed: its keys, decoded and joined with dots.
    path: Vec<u8>,
    /// One for each object that the current member is in, and one for itself.
    marks: Vec<Mark>,
    /// How far these names have got in the patterns of each list.
    include: Progress,
    exclude: Progress,
    rates: Progress,
    texts: TextProgress,
    /// Hashes of all members' names, in their order; empty if the rules have no `rates`.
    pub(crate) members: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Length of the path before this member.
    before: usize,
    /// Whether a pattern of `rates` matches it.
    rated: bool,
    /// Hash of the path up to its end, if the rules have `rates`.
    hash: u64,
}

/// What the rules say about a member because of its name.
struct Entered {
    excluded: bool,
    included: bool,
    /// Place in [`crate::layout::rename::Renames`] of the name that ends within its key.
    rename: Option<usize>,
    /// What its texts become.
    text: Option<TextUnit>,
}

/// Learns a layout.
pub(crate) struct Learn<'l> {
    layout: &'l mut Layout,
    rules: &'l VariableRules,
    work: &'l mut LearnWork,
    /// Place of the last leaf among the nodes.
    leaf_at: usize,
}

impl<'l> Learn<'l> {
    pub(crate) fn new(layout: &'l mut Layout, rules: &'l VariableRules, work: &'l mut LearnWork) -> Self {
        layout.clear();
        work.path.clear();
        work.marks.clear();
        work.members.clear();
        for progress in [&mut work.include, &mut work.exclude, &mut work.rates] {
            progress.clear();
        }
        work.texts.begin(&rules.texts);
        Self { layout, rules, work, leaf_at: 0 }
    }

    /// Appends a key to the path, and asks the rules about the name.
    fn enter(&mut self, key: &[u8]) -> Entered {
        let LearnWork { path, marks, include, exclude, rates, texts, .. } = &mut *self.work;
        let before = path.len();
        let around = marks.last().copied();
        if around.is_some() {
            path.push(b'.');
        }
        let key_at = path.len();
        scalar::decode(path, key);
        let piece = &path[before..];
        let included = include.push(&self.rules.choice.include, piece);
        let excluded = exclude.push(&self.rules.choice.exclude, piece);
        let counters = &self.rules.rates;
        let rated = rates.push(counters, piece);
        let hash = around.map_or(FNV_OFFSET, |around| around.hash);
        let hash = if counters.is_empty() { hash } else { fnv(hash, piece) };
        let text = texts.push(&self.rules.texts, piece);
        marks.push(Mark { before, rated, hash });
        Entered { excluded, included, rename: self.rules.renames.longest(path, key_at), text }
    }

    /// Records that the last node is renamed, if it is.
    fn note_rename(&mut self, rename: Option<usize>) {
        let node = self.layout.nodes.len() - 1;
        self.layout.renamed.extend(rename.map(|rename| Renamed { node, rename }));
    }

    fn leave(&mut self) {
        if let Some(mark) = self.work.marks.pop() {
            self.work.path.truncate(mark.before);
            for progress in [&mut self.work.include, &mut self.work.exclude, &mut self.work.rates] {
                progress.pop();
            }
            self.work.texts.pop();
        }
    }

    /// What the current member is to the count of garbage collections, if it is in the root's `memstats`.
    fn role(&self) -> Role {
        match self.work.path.strip_prefix(b"memstats.") {
            Some(key) if self.work.marks.len() == 2 && self.work.marks[1].before == b"memstats".len() => Role::of(key),
            _ => Role::None,
        }
    }

    fn set_last(&mut self, kind: Kind) {
        if let Some(node) = self.layout.nodes.last_mut() {
            node.kind = kind;
        }
    }
}

impl<'l> Guide for Learn<'l> {
    const LEARNS: bool = true;

    type Known = Follow<'l>;

    #[inline]
    fn known(&mut self) -> Option<&mut Follow<'l>> {
        None
    }

    fn member(&mut self, key: &[u8]) -> Result<Member, Stop> {
        let Entered { excluded, included, rename, text } = self.enter(key);
        if !self.rules.rates.is_empty() {
            self.work.members.extend(self.work.marks.last().map(|mark| mark.hash));
        }
        let role = self.role();
        let is_skipped = match self.rules.gc_pauses {
            GcPauses::Off if role.is_ring() => true,
            // Their values are needed to find out which pauses are new.
            GcPauses::New if role != Role::None => false,
            _ => excluded || !(included || self.work.include.may_take_below(&self.rules.choice.include)),
        };
        let conversion = self.rules.conversions.of(&self.work.path);
        let traits = Traits { role, conversion, text, rated: false };
        self.layout.push(if is_skipped { Kind::Skipped } else { Kind::Leaf }, traits, key);
        if is_skipped {
            self.leave();
            return Ok(Member::Skip);
        }
        if let Some(node) = self.layout.nodes.last_mut() {
            node.shipped = if excluded || !included { Shipped::Unwanted } else { Shipped::Yes };
        }
        self.note_rename(rename);
        Ok(Member::Walk(traits))
    }

    fn leaf(&mut self, _: &mut Vec<u8>) -> Result<bool, Stop> {
        self.leaf_at = self.layout.nodes.len() - 1;
        let hidden = self.layout.nodes.last().is_none_or(Node::is_hidden);
        if let Some(mark) = self.work.marks.last().filter(|mark| mark.rated && !hidden) {
            self.layout.push_rate(mark.hash);
        }
        self.leave();
        Ok(true)
    }

    fn value(&mut self) -> Result<(), Stop> {
        self.layout.nodes[self.leaf_at].lacks_value = false;
        Ok(())
    }

    fn object(&mut self) -> Result<(), Stop> {
        self.set_last(Kind::Object);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        self.layout.push_end();
        self.leave();
        Ok(())
    }

    fn objects(&mut self) -> Result<Objects, Stop> {
        if let Some(place) = keyed::place_of(&self.rules.keyed_arrays, &self.work.path) {
            self.set_last(Kind::Object);
            if let Some(node) = self.layout.nodes.last_mut() {
                node.name_bytes = u32::try_from(place + 1).unwrap_or_default();
            }
            return Ok(Objects::Keyed(place));
        }
        if self.rules.drop_object_arrays {
            self.set_last(Kind::Dropped);
            self.leave();
            return Ok(Objects::Dropped);
        }
        self.set_last(Kind::Columns);
        Ok(Objects::Columns)
    }

    fn column(&mut self, name: &[u8], _: &mut Vec<u8>) -> Result<ColumnTraits, Stop> {
        let Entered { excluded, included, rename, text } = self.enter(name);
        self.leave();
        let traits = Traits { text, ..Traits::NONE };
        self.layout.push(if excluded || !included { Kind::Skipped } else { Kind::Leaf }, traits, name);
        self.leaf_at = self.layout.nodes.len() - 1;
        self.note_rename(rename);
        Ok(ColumnTraits { named: true, text })
    }
}
