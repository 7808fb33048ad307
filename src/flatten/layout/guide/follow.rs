//! The guide that follows a known layout.

use super::{ColumnTraits, Guide, Known, Member, Objects};
use crate::bytes::piece;
use crate::error::Stop;
use crate::layout::rates::{Number, Rates};
use crate::layout::{Kind, Layout, Name, Node};
use std::ops::Range;

/// Paths up to this length are copied as one piece of fixed length, which is fast. Paths are longer than keys.
const PATH_PIECE: usize = 64;

/// Follows a layout, and stops where the payload departs from it.
pub(crate) struct Follow<'l> {
    layout: &'l Layout,
    /// Where the next node is, and where its key and its name begin: places in the layout's three lists.
    node_at: usize,
    key_at: usize,
    name_at: usize,
    /// `,"`, then the keys of the objects that the current member is in, each followed by a dot: `path_bytes` in all.
    /// After them come the zeros that [`piece::append`] needs to copy a fixed length.
    path: &'l mut Vec<u8>,
    path_bytes: usize,
    /// The last leaf had no value when the layout was learned, nor before.
    lacks_value: bool,
    rates: Rates<'l>,
    /// Where the name of the last rate is in the layout's names.
    rate_name: Range<usize>,
}

impl<'l> Follow<'l> {
    pub(crate) fn new(layout: &'l Layout, rates: Rates<'l>, path: &'l mut Vec<u8>) -> Self {
        path.clear();
        let mut guide = Self {
            layout,
            node_at: 0,
            key_at: 0,
            name_at: 0,
            path,
            path_bytes: 0,
            lacks_value: false,
            rates,
            rate_name: 0..0,
        };
        guide.extend_path(b",\"", b"");
        guide
    }

    fn extend_path(&mut self, key: &[u8], dot: &[u8]) {
        self.path.truncate(self.path_bytes);
        self.path.extend_from_slice(key);
        self.path.extend_from_slice(dot);
        self.path_bytes = self.path.len();
        self.path.extend_from_slice(&[0; PATH_PIECE]);
    }

    /// The next node, which must be a member with this key. Does not step over it.
    #[inline]
    fn compare(&mut self, key: &[u8]) -> Result<&'l Node, Stop> {
        let Some(node) = self.layout.nodes.get(self.node_at) else { return Err(Stop::OtherLayout) };
        let end = self.key_at + node.key_bytes as usize;
        if node.kind == Kind::End || &self.layout.keys[self.key_at..end] != key {
            return Err(Stop::OtherLayout);
        }
        self.key_at = end;
        Ok(node)
    }

    /// Steps over the next node, which must be of this kind.
    fn take(&mut self, kind: Kind) -> Result<&'l Node, Stop> {
        match self.layout.nodes.get(self.node_at) {
            Some(node) if node.kind == kind => {
                self.node_at += 1;
                Ok(node)
            }
            _ => Err(Stop::OtherLayout),
        }
    }

    /// Steps into the next node, an object or a list of columns, whose key has been compared.
    fn enter(&mut self, kind: Kind) -> Result<(), Stop> {
        let node = self.take(kind)?;
        self.extend_path(&self.layout.keys[self.key_at - node.key_bytes as usize..self.key_at], b".");
        Ok(())
    }

    /// Writes the name of the next node, a leaf whose key has been compared, and steps over it. False if it has no name
    /// because it is not shipped.
    #[inline]
    fn write_name(&mut self, node: &Node, out: &mut Vec<u8>) -> bool {
        self.node_at += 1;
        self.lacks_value = node.lacks_value;
        if node.name != Name::Listed {
            let key = &self.layout.keys[self.key_at - node.key_bytes as usize..self.key_at];
            out.extend_from_slice(&self.path[..self.path_bytes]);
            out.extend_from_slice(key);
            out.extend_from_slice(b"\":");
            return true;
        }
        let end = self.name_at + node.name_bytes as usize;
        out.extend_from_slice(&self.layout.names[self.name_at..end]);
        self.name_at = end;
        node.name_bytes > 0
    }

    /// If the next node is an array that becomes an object by a key: its place in the rules.
    fn keyed_place(&self) -> Option<usize> {
        let node = self.layout.nodes.get(self.node_at).filter(|node| node.kind == Kind::Object)?;
        (node.name_bytes as usize).checked_sub(1)
    }

    /// Steps over the rate that comes after the last leaf.
    fn pass_rate(&mut self) {
        let bytes = self.layout.nodes.get(self.node_at).map_or(0, |node| node.name_bytes);
        self.rate_name = self.name_at..self.name_at + bytes as usize;
        self.name_at = self.rate_name.end;
        self.node_at += 1;
        self.rates.passed += 1;
    }
}

impl Guide for Follow<'_> {
    const LEARNS: bool = false;

    type Known = Self;

    #[inline]
    fn known(&mut self) -> Option<&mut Self> {
        Some(self)
    }

    #[inline]
    fn member(&mut self, key: &[u8]) -> Result<Member, Stop> {
        let node = self.compare(key)?;
        if node.kind == Kind::Skipped {
            self.node_at += 1;
            return Ok(Member::Skip);
        }
        Ok(Member::Walk(node.traits))
    }

    #[inline]
    fn leaf(&mut self, out: &mut Vec<u8>) -> Result<bool, Stop> {
        match self.layout.nodes.get(self.node_at) {
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
        // Whether its name is that of a value or of an object was open until now, so names have to be resolved again.
        if self.lacks_value { Err(Stop::OtherLayout) } else { Ok(()) }
    }

    fn object(&mut self) -> Result<(), Stop> {
        if self.keyed_place().is_some() {
            return Err(Stop::OtherLayout);
        }
        self.enter(Kind::Object)
    }

    fn end(&mut self) -> Result<(), Stop> {
        self.path_bytes -= self.take(Kind::End)?.name_bytes as usize;
        Ok(())
    }

    fn objects(&mut self) -> Result<Objects, Stop> {
        if self.layout.nodes.get(self.node_at).is_some_and(|node| node.kind == Kind::Dropped) {
            self.node_at += 1;
            return Ok(Objects::Dropped);
        }
        if let Some(place) = self.keyed_place() {
            return self.enter(Kind::Object).map(|()| Objects::Keyed(place));
        }
        self.enter(Kind::Columns).map(|()| Objects::Columns)
    }

    fn column(&mut self, name: &[u8], out: &mut Vec<u8>) -> Result<ColumnTraits, Stop> {
        let node = self.compare(name)?;
        Ok(ColumnTraits { named: self.write_name(node, out), text: node.traits.text })
    }
}

impl Known for Follow<'_> {
    #[inline]
    fn plain_leaf(&self, body: &[u8], start: usize, end: usize) -> Option<usize> {
        let node = self.layout.nodes.get(self.node_at)?;
        let is_it = node.name == Name::Plain
            && node.key_bytes as usize == end - start
            && piece::is_equal(&self.layout.keys, self.key_at, body, start, end - start);
        is_it.then_some(self.path_bytes)
    }

    #[inline]
    fn step_plain_leaf(&mut self, key_bytes: usize, out: &mut Vec<u8>) {
        piece::append::<PATH_PIECE>(out, self.path, 0, self.path_bytes);
        self.node_at += 1;
        self.key_at += key_bytes;
    }

    fn rate(&mut self, number: Number, out: &mut Vec<u8>) -> bool {
        self.rates.add(number, &self.layout.names[self.rate_name.clone()], out)
    }

    fn place(&self) -> usize {
        self.node_at
    }
}
