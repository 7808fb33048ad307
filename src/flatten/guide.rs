//! What leads the walk through a payload: a layout that is followed, or one that is learned.

use super::choice::Progress;
use super::layout::{Kind, Layout, Node, Role, Shipped, Traits};
use super::names::{FNV_OFFSET, fnv};
use super::piece;
use super::rates::{Number, Rates};
use super::scalar;
use super::{FlattenError, GcPauses, VariableRules};
use std::ops::Range;

/// Why a walk ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The payload gives no document.
    Refused(FlattenError),
    /// Its members are not those of the layout.
    OtherLayout,
    /// It is no JSON, by more than single tokens.
    Tangled,
}

impl Stop {
    /// Offsets count from `start` bytes before.
    pub(super) fn moved(self, start: usize) -> Self {
        match self {
            Self::Refused(error) => Self::Refused(FlattenError { offset: error.offset + start, ..error }),
            other => other,
        }
    }
}

/// What is to be done with a member.
pub(super) enum Member {
    Out,
    In(Traits),
}

/// Tells the walk what to do with each member, in their order.
pub(super) trait Guide {
    /// Whether keys are seen for the first time: the walk then checks their escapes, and what it writes is not kept.
    const LEARNS: bool;

    /// Whether the next member is a value that is shipped as it is, under its keys as they stand, the last of which is
    /// `body[start..end]`. Gives the bytes of the name before that key. Nothing is stepped over.
    fn plain_leaf(&self, body: &[u8], start: usize, end: usize) -> Option<usize>;
    /// Writes those bytes, with what goes before a name, and steps over the leaf that [`Guide::plain_leaf`] knew.
    fn step_plain_leaf(&mut self, key_bytes: usize, out: &mut Vec<u8>);
    /// The next member, by its key as it stands in the payload.
    fn member(&mut self, key: &[u8]) -> Result<Member, Stop>;
    /// The member is a value or an array without objects. Writes its name; false if it is not shipped.
    fn leaf(&mut self, out: &mut Vec<u8>) -> Result<bool, Stop>;
    /// The leaf that was passed last, which is shipped, has a value.
    fn value(&mut self) -> Result<(), Stop>;
    /// The leaf was this number, and a rate may stand behind it. True if it does.
    fn rate(&mut self, number: Number, out: &mut Vec<u8>) -> bool;
    /// How many members have been passed: the same for the same member, as long as the layout is the same.
    fn place(&self) -> usize;
    /// The member is an object.
    fn object(&mut self) -> Result<(), Stop>;
    /// The object, or the list of columns, is at its end.
    fn end(&mut self) -> Result<(), Stop>;
    /// The member is an array with objects; false if it is not shipped.
    fn columns(&mut self) -> Result<bool, Stop>;
    /// A column of that array. Writes its name; false if it is not shipped.
    fn column(&mut self, name: &[u8], out: &mut Vec<u8>) -> Result<bool, Stop>;
}

/// Bytes of a path that are copied at a fixed length: paths are longer than keys.
const PATH_PIECE: usize = 64;

/// Follows a layout.
pub(super) struct Follow<'l> {
    layout: &'l Layout,
    node: usize,
    /// Ends of the last key and of the last name.
    key: usize,
    name: usize,
    /// `,"`, then the keys around the member that is looked at, each with a dot behind it: `path_bytes` of them. Behind them
    /// as much as [`piece::append`] wants to find there.
    path: &'l mut Vec<u8>,
    path_bytes: usize,
    /// The leaf that was passed last has had no value when the layout was learned, nor before.
    lacks_value: bool,
    rates: Rates<'l>,
    /// The name of the rate that was passed last.
    rate_name: Range<usize>,
}

impl<'l> Follow<'l> {
    pub(super) fn new(layout: &'l Layout, rates: Rates<'l>, path: &'l mut Vec<u8>) -> Self {
        path.clear();
        let mut follow =
            Self { layout, node: 0, key: 0, name: 0, path, path_bytes: 0, lacks_value: false, rates, rate_name: 0..0 };
        follow.extend_path(b",\"", b"");
        follow
    }

    fn extend_path(&mut self, key: &[u8], dot: &[u8]) {
        self.path.truncate(self.path_bytes);
        self.path.extend_from_slice(key);
        self.path.extend_from_slice(dot);
        self.path_bytes = self.path.len();
        self.path.extend_from_slice(&[0; PATH_PIECE]);
    }

    /// The node at the cursor, which must be a member with this key.
    #[inline]
    fn compare(&mut self, key: &[u8]) -> Result<&'l Node, Stop> {
        let Some(node) = self.layout.nodes.get(self.node) else { return Err(Stop::OtherLayout) };
        let end = self.key + node.key_bytes as usize;
        if node.kind == Kind::End || &self.layout.keys[self.key..end] != key {
            return Err(Stop::OtherLayout);
        }
        self.key = end;
        Ok(node)
    }

    /// Steps over the node at the cursor, which must be of this kind.
    fn take(&mut self, kind: Kind) -> Result<&'l Node, Stop> {
        match self.layout.nodes.get(self.node) {
            Some(node) if node.kind == kind => {
                self.node += 1;
                Ok(node)
            }
            _ => Err(Stop::OtherLayout),
        }
    }

    /// Steps into the object or the columns at the cursor.
    fn enter(&mut self, kind: Kind) -> Result<(), Stop> {
        let node = self.take(kind)?;
        self.extend_path(&self.layout.keys[self.key - node.key_bytes as usize..self.key], b".");
        Ok(())
    }

    /// Writes the name of the leaf at the cursor, whose key has been compared, and steps over it.
    #[inline]
    fn write_name(&mut self, node: &Node, out: &mut Vec<u8>) -> bool {
        self.node += 1;
        self.lacks_value = node.lacks_value;
        if node.keys_as_name {
            let key = &self.layout.keys[self.key - node.key_bytes as usize..self.key];
            out.extend_from_slice(&self.path[..self.path_bytes]);
            out.extend_from_slice(key);
            out.extend_from_slice(b"\":");
            return true;
        }
        let end = self.name + node.name_bytes as usize;
        out.extend_from_slice(&self.layout.names[self.name..end]);
        self.name = end;
        node.name_bytes > 0
    }

    /// Steps over the rate behind the leaf that was passed last.
    fn pass_rate(&mut self) {
        let bytes = self.layout.nodes.get(self.node).map_or(0, |node| node.name_bytes);
        self.rate_name = self.name..self.name + bytes as usize;
        self.name = self.rate_name.end;
        self.node += 1;
        self.rates.passed += 1;
    }
}

impl Guide for Follow<'_> {
    const LEARNS: bool = false;

    #[inline]
    fn plain_leaf(&self, body: &[u8], start: usize, end: usize) -> Option<usize> {
        let node = self.layout.nodes.get(self.node)?;
        let is_it = node.plain
            && node.key_bytes as usize == end - start
            && piece::is_equal(&self.layout.keys, self.key, body, start, end - start);
        is_it.then_some(self.path_bytes)
    }

    #[inline]
    fn step_plain_leaf(&mut self, key_bytes: usize, out: &mut Vec<u8>) {
        piece::append::<PATH_PIECE>(out, self.path, 0, self.path_bytes);
        self.node += 1;
        self.key += key_bytes;
    }

    #[inline]
    fn member(&mut self, key: &[u8]) -> Result<Member, Stop> {
        let node = self.compare(key)?;
        if node.kind == Kind::Out {
            self.node += 1;
            return Ok(Member::Out);
        }
        Ok(Member::In(node.traits))
    }

    #[inline]
    fn leaf(&mut self, out: &mut Vec<u8>) -> Result<bool, Stop> {
        match self.layout.nodes.get(self.node) {
            Some(node) if node.kind == Kind::Leaf => {
                let named = self.write_name(node, out);
                if node.traits.rated {
                    self.pass_rate();
                }
                Ok(named)
            }
            _ => Err(Stop::OtherLayout),
        }
    }

    #[inline]
    fn value(&mut self) -> Result<(), Stop> {
        // What names are to become of it, and of what is called like it, is to be found anew.
        if self.lacks_value { Err(Stop::OtherLayout) } else { Ok(()) }
    }

    fn rate(&mut self, number: Number, out: &mut Vec<u8>) -> bool {
        self.rates.add(number, &self.layout.names[self.rate_name.clone()], out)
    }

    fn place(&self) -> usize {
        self.node
    }

    fn object(&mut self) -> Result<(), Stop> {
        self.enter(Kind::Object)
    }

    fn end(&mut self) -> Result<(), Stop> {
        self.path_bytes -= self.take(Kind::End)?.name_bytes as usize;
        Ok(())
    }

    fn columns(&mut self) -> Result<bool, Stop> {
        if self.layout.nodes.get(self.node).is_some_and(|node| node.kind == Kind::Dropped) {
            self.node += 1;
            return Ok(false);
        }
        self.enter(Kind::Columns).map(|()| true)
    }

    fn column(&mut self, name: &[u8], out: &mut Vec<u8>) -> Result<bool, Stop> {
        let node = self.compare(name)?;
        Ok(self.write_name(node, out))
    }
}

/// Buffers that are kept from one payload to the next.
#[derive(Debug, Default)]
pub(super) struct LearnWork {
    /// Raw flat name of the member that is looked at: decoded, joined with dots.
    path: Vec<u8>,
    /// Of each member around it, and of itself.
    marks: Vec<Mark>,
    /// How far their names have come in the patterns.
    include: Progress,
    exclude: Progress,
    rates: Progress,
    /// Hashes of all members' names, in their order, if there are such patterns.
    pub(super) members: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Bytes of the path before it.
    before: usize,
    /// Taken by a pattern of `rates`.
    rated: bool,
    /// Of the path up to it, if there are such patterns.
    hash: u64,
}

/// What the rules say of a member by its name.
struct Entered {
    excluded: bool,
    included: bool,
    /// Place of the name in [`super::Renames`] that ends within its key.
    rename: Option<usize>,
}

/// Learns a layout.
pub(super) struct Learn<'l> {
    layout: &'l mut Layout,
    rules: &'l VariableRules,
    work: &'l mut LearnWork,
    /// Place of the leaf that was passed last.
    leaf: usize,
}

impl<'l> Learn<'l> {
    pub(super) fn new(layout: &'l mut Layout, rules: &'l VariableRules, work: &'l mut LearnWork) -> Self {
        layout.clear();
        work.path.clear();
        work.marks.clear();
        work.members.clear();
        for progress in [&mut work.include, &mut work.exclude, &mut work.rates] {
            progress.clear();
        }
        Self { layout, rules, work, leaf: 0 }
    }

    /// Appends a key to the path.
    fn enter(&mut self, key: &[u8]) -> Entered {
        let LearnWork { path, marks, include, exclude, rates, .. } = &mut *self.work;
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
        marks.push(Mark { before, rated, hash });
        Entered { excluded, included, rename: self.rules.renames.longest(path, key_at) }
    }

    /// Takes note that the last node is renamed, if it is.
    fn note_rename(&mut self, rename: Option<usize>) {
        let node = self.layout.nodes.len() - 1;
        self.layout.renamed.extend(rename.map(|rename| (node, rename)));
    }

    fn leave(&mut self) {
        if let Some(mark) = self.work.marks.pop() {
            self.work.path.truncate(mark.before);
            for progress in [&mut self.work.include, &mut self.work.exclude, &mut self.work.rates] {
                progress.pop();
            }
        }
    }

    /// The member at hand, one of the root's `memstats`.
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

impl Guide for Learn<'_> {
    const LEARNS: bool = true;

    fn plain_leaf(&self, _: &[u8], _: usize, _: usize) -> Option<usize> {
        None
    }

    fn step_plain_leaf(&mut self, _: usize, _: &mut Vec<u8>) {}

    fn member(&mut self, key: &[u8]) -> Result<Member, Stop> {
        let Entered { excluded, included, rename } = self.enter(key);
        if !self.rules.rates.is_empty() {
            self.work.members.extend(self.work.marks.last().map(|mark| mark.hash));
        }
        let role = self.role();
        let out = match self.rules.gc_pauses {
            GcPauses::Off if role.is_ring() => true,
            // Their values are needed to know which pauses are new.
            GcPauses::New if role != Role::None => false,
            _ => excluded || !(included || self.work.include.may_take_below(&self.rules.choice.include)),
        };
        let conversion = self.rules.conversions.of(&self.work.path);
        let traits = Traits { role, conversion, rated: false };
        self.layout.push(if out { Kind::Out } else { Kind::Leaf }, traits, key);
        if out {
            self.leave();
            return Ok(Member::Out);
        }
        if let Some(node) = self.layout.nodes.last_mut() {
            node.shipped = if excluded || !included { Shipped::Unwanted } else { Shipped::Yes };
        }
        self.note_rename(rename);
        Ok(Member::In(traits))
    }

    fn leaf(&mut self, _: &mut Vec<u8>) -> Result<bool, Stop> {
        self.leaf = self.layout.nodes.len() - 1;
        let hidden = self.layout.nodes.last().is_none_or(Node::is_hidden);
        if let Some(mark) = self.work.marks.last().filter(|mark| mark.rated && !hidden) {
            self.layout.push_rate(mark.hash);
        }
        self.leave();
        Ok(true)
    }

    fn value(&mut self) -> Result<(), Stop> {
        self.layout.nodes[self.leaf].lacks_value = false;
        Ok(())
    }

    fn rate(&mut self, _: Number, _: &mut Vec<u8>) -> bool {
        false
    }

    fn place(&self) -> usize {
        self.layout.nodes.len()
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

    fn columns(&mut self) -> Result<bool, Stop> {
        if self.rules.drop_object_arrays {
            self.set_last(Kind::Dropped);
            self.leave();
            return Ok(false);
        }
        self.set_last(Kind::Columns);
        Ok(true)
    }

    fn column(&mut self, name: &[u8], _: &mut Vec<u8>) -> Result<bool, Stop> {
        let Entered { excluded, included, rename } = self.enter(name);
        self.leave();
        self.layout.push(if excluded || !included { Kind::Out } else { Kind::Leaf }, Traits::NONE, name);
        self.leaf = self.layout.nodes.len() - 1;
        self.note_rename(rename);
        Ok(true)
    }
}
